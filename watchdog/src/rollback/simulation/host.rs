//! The host of a story, and what the watchdog's verbs do to it.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    panic::resume_unwind,
};

use crate::{
    act::{set_profile::NotSet, switch::SwitchEnd},
    rollback::{
        facts::{GenerationId, SystemSeen, TargetCheck},
        machine::{Act, Machine},
        run::Verbs,
        turn::Answer,
    },
};

/// What the watchdog did to the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::rollback) enum Call {
    SetProfile(GenerationId),
    Switch(GenerationId),
    SetBootDefault(GenerationId),
    /// To what the boot loader starts.
    Reboot(String),
}

/// What a lock server does. One that is silent may have heard all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rollback) enum Server {
    Grants,
    Refuses,
    Deaf,
    Dumb,
}

#[derive(Debug)]
pub(in crate::rollback) struct Host {
    pub(in crate::rollback) generations: Vec<GenerationId>,
    pub(in crate::rollback) current: Option<GenerationId>,
    pub(in crate::rollback) running: String,
    /// Closures under which the probe fails.
    pub(in crate::rollback) broken: BTreeSet<String>,
    /// The probe fails under every closure.
    pub(in crate::rollback) fault_in_var: bool,
    /// It fails so many times yet, whatever runs.
    pub(in crate::rollback) flaps: u8,
    /// An activation has stopped what it probes.
    pub(in crate::rollback) stopped: bool,
    pub(in crate::rollback) invalid: BTreeSet<String>,
    /// The kernel of each closure that has another one than the first.
    pub(in crate::rollback) kernels: BTreeMap<String, u8>,
    /// What was booted, and how many boots there were before.
    pub(in crate::rollback) booted: String,
    pub(in crate::rollback) boots: u32,
    /// Whether a reboot was asked for, and whether none ever comes.
    pub(super) rebooting: bool,
    pub(in crate::rollback) reboot_stuck: bool,
    pub(in crate::rollback) validity_unreadable: bool,
    /// Somebody else sets the profile whenever the watchdog is about to.
    pub(in crate::rollback) profile_busy: bool,
    pub(in crate::rollback) switch_ends: SwitchEnd,
    pub(in crate::rollback) disk_full: bool,
    pub(in crate::rollback) disk: Option<Machine>,
    /// Every way from one state on disk to another.
    pub(in crate::rollback) ways: BTreeSet<(&'static str, &'static str)>,
    /// What runs is what the profile points to.
    pub(in crate::rollback) follows_profile: bool,
    /// What a reboot would start.
    pub(in crate::rollback) boot: Option<String>,
    /// A switch leaves that as it is, as a boot loader does that does not list the target.
    pub(in crate::rollback) loader_forgets: bool,
    /// Nothing changes it.
    pub(in crate::rollback) loader_stuck: bool,
    /// What our own GC root keeps.
    pub(in crate::rollback) kept: Option<String>,
    /// What the lock server of the fleet does, and whether this host holds a place there.
    pub(in crate::rollback) server: Server,
    pub(in crate::rollback) holds_place: bool,
    /// How many times in a row it was silent when asked for one.
    pub(in crate::rollback) unanswered: u32,
    /// The closure that the updater may not bring.
    pub(in crate::rollback) held: Option<String>,
    /// How many more effects the watchdog lives for.
    pub(in crate::rollback) fuse: Option<u32>,
    pub(in crate::rollback) calls: Vec<Call>,
}

impl Host {
    /// One without any system.
    pub(super) fn new() -> Self {
        Self {
            generations: Vec::new(),
            current: None,
            running: String::new(),
            broken: BTreeSet::new(),
            fault_in_var: false,
            flaps: 0,
            stopped: false,
            invalid: BTreeSet::new(),
            kernels: BTreeMap::new(),
            booted: String::new(),
            boots: 0,
            rebooting: false,
            reboot_stuck: false,
            validity_unreadable: false,
            profile_busy: false,
            switch_ends: SwitchEnd::Switched,
            disk_full: false,
            disk: None,
            ways: BTreeSet::new(),
            boot: None,
            loader_forgets: false,
            loader_stuck: false,
            kept: None,
            server: Server::Grants,
            holds_place: false,
            unanswered: 0,
            held: None,
            follows_profile: false,
            fuse: None,
            calls: Vec::new(),
        }
    }

    /// The kernel of a closure.
    fn kernel(&self, store_path: &str) -> u8 {
        self.kernels.get(store_path).copied().unwrap_or_default()
    }

    /// Neither what is booted nor what runs has its kernel.
    fn has_foreign_kernel(&self, store_path: &str) -> bool {
        let kernel = self.kernel(store_path);
        kernel != self.kernel(&self.booted) && kernel != self.kernel(&self.running)
    }

    /// One effect comes nearer to the kill.
    pub(super) fn burn(host: &RefCell<Self>) {
        let mut here = host.borrow_mut();
        match here.fuse {
            Some(0) => {
                here.fuse = None;
                drop(here);
                resume_unwind(Box::new("killed"));
            }
            Some(left) => here.fuse = Some(left - 1),
            None => {}
        }
    }
}

impl TargetCheck for RefCell<Host> {
    fn valid(&self, store_path: &str) -> Result<bool, String> {
        let host = self.borrow();
        if host.validity_unreadable {
            return Err("the database is locked".to_owned());
        }
        Ok(!host.invalid.contains(store_path))
    }

    fn needs_reboot(&self, _: &SystemSeen, target: &str) -> Result<Option<String>, String> {
        let needs = self.borrow().has_foreign_kernel(target);
        Ok(needs.then(|| "its kernel is another".to_owned()))
    }
}

pub(super) struct Hand<'a>(pub(super) &'a RefCell<Host>);

impl Verbs for Hand<'_> {
    fn set_profile(&mut self, target: &GenerationId, _: Option<u64>) -> Result<(), NotSet> {
        Host::burn(self.0);
        {
            let mut host = self.0.borrow_mut();
            if host.profile_busy {
                return Err(NotSet::Busy("somebody else deploys".to_owned()));
            }
            host.calls.push(Call::SetProfile(target.clone()));
            let made_anew = GenerationId {
                number: host.generations.iter().map(|g| g.number).max().unwrap_or(0) + 1,
                ..target.clone()
            };
            if host.generations.contains(target) {
                host.current = Some(target.clone());
            } else if !host.invalid.contains(&target.store_path) {
                host.generations.push(made_anew.clone());
                host.current = Some(made_anew);
            } else {
                return Err(NotSet::Failed("it is not valid".to_owned()));
            }
            if host.follows_profile {
                host.running.clone_from(&target.store_path);
            }
        }
        Host::burn(self.0);
        Ok(())
    }

    fn switch(&mut self, target: &GenerationId, _: &str) -> Result<SwitchEnd, String> {
        Host::burn(self.0);
        let end = {
            let mut host = self.0.borrow_mut();
            host.calls.push(Call::Switch(target.clone()));
            let foreign = host.has_foreign_kernel(&target.store_path);
            assert!(!foreign, "switched to another kernel");
            if host.switch_ends.has_switched() {
                host.running.clone_from(&target.store_path);
            }
            // The boot loader comes first, before it is seen that the init interface differs.
            let loads =
                host.switch_ends.has_switched() || host.switch_ends == SwitchEnd::InitInterface;
            if loads && !host.loader_forgets && !host.loader_stuck {
                host.boot = Some(target.store_path.clone());
            }
            host.switch_ends
        };
        Host::burn(self.0);
        Ok(end)
    }

    fn set_boot_default(&mut self, target: &GenerationId, _: &str) -> Result<SwitchEnd, String> {
        Host::burn(self.0);
        {
            let mut host = self.0.borrow_mut();
            host.calls.push(Call::SetBootDefault(target.clone()));
            if !host.loader_stuck {
                host.boot = Some(target.store_path.clone());
            }
        }
        Host::burn(self.0);
        Ok(SwitchEnd::Switched)
    }

    fn reboot(&mut self) -> Result<(), String> {
        Host::burn(self.0);
        let mut host = self.0.borrow_mut();
        let to = host.boot.clone().unwrap_or_default();
        host.calls.push(Call::Reboot(to));
        host.rebooting = !host.reboot_stuck;
        drop(host);
        Host::burn(self.0);
        Ok(())
    }

    fn keep_target(&mut self, target: Option<&str>) -> Result<(), String> {
        Host::burn(self.0);
        self.0.borrow_mut().kept = target.map(ToOwned::to_owned);
        Host::burn(self.0);
        Ok(())
    }

    fn take_turn(&mut self) -> Answer {
        Host::burn(self.0);
        let server = {
            let mut host = self.0.borrow_mut();
            let heard = matches!(host.server, Server::Grants | Server::Dumb);
            host.holds_place |= heard;
            let silent = matches!(host.server, Server::Deaf | Server::Dumb);
            host.unanswered = if silent { host.unanswered + 1 } else { 0 };
            host.server
        };
        Host::burn(self.0);
        match server {
            Server::Grants => Answer::Granted,
            Server::Refuses if self.0.borrow().holds_place => Answer::Granted,
            Server::Refuses => Answer::Refused("all places are taken".to_owned()),
            Server::Deaf | Server::Dumb => Answer::Silent("no answer".to_owned()),
        }
    }

    fn end_turn(&mut self) -> Result<(), String> {
        Host::burn(self.0);
        let server = self.0.borrow().server;
        if server != Server::Deaf {
            self.0.borrow_mut().holds_place = false;
        }
        Host::burn(self.0);
        match server {
            Server::Grants | Server::Refuses => Ok(()),
            Server::Deaf | Server::Dumb => Err("no answer".to_owned()),
        }
    }

    fn hold_updater(&mut self, closure: &str) -> Result<Option<String>, String> {
        if self.0.borrow().held.as_deref() == Some(closure) {
            return Ok(None);
        }
        Host::burn(self.0);
        self.0.borrow_mut().held = Some(closure.to_owned());
        Host::burn(self.0);
        Ok(Some("it may not start".to_owned()))
    }

    fn release_updater(&mut self) -> Result<String, String> {
        Host::burn(self.0);
        self.0.borrow_mut().held = None;
        Host::burn(self.0);
        Ok("it may start".to_owned())
    }

    fn describe(&self, act: &Act) -> String {
        format!("would do {act:?}")
    }
}
