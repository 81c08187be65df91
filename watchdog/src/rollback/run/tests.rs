//! A rollback carried out by the real verbs on a tree of files: a store of shell scripts, a
//! profile of links.
//!
//! Promise 3: "… and after being killed at any point." Promise 5: "In `observe` mode nothing on
//! the host changes."

use std::{
    collections::BTreeMap,
    env, fs,
    io::Write,
    os::unix::{
        fs::{MetadataExt, symlink},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use snowguard_host::Layout;

use super::{Hands, HostVerbs, tick};
use crate::{
    act::{
        hold_updater::{HoldUpdater, Updaters},
        reboot::Reboot,
        set_profile::SetProfile,
        stop::Stop,
        switch::{Switch, Way},
        target_root::TargetRoot,
    },
    probe::{Check, Means, ProbeConfig, Prober},
    record::{Mode, Record},
    rollback::{
        facts::{AlertSeen, Facts, GenerationId, SystemSeen},
        machine::Machine,
        policy::Policy,
        reboot::HostTargets,
    },
};

/// Where the child of the kill test finds its host.
const CHILD: &str = "SNOWGUARD_TEST_ROLLBACK_CHILD";

/// A host below a directory. Store paths are those of the tree, so that no chroot is needed.
struct Tree(PathBuf);

impl Tree {
    /// Generation 1 runs and is well, generation 2 is its successor and is not.
    fn plant(root: &Path) -> Self {
        let tree = Self(root.to_owned());
        fs::create_dir_all(tree.profile().with_file_name("")).expect("profiles");
        fs::create_dir_all(root.join("run")).expect("run");
        fs::create_dir_all(root.join("gcroots")).expect("GC roots");
        for (number, health) in [(1, "well"), (2, "ill")] {
            let system = tree.system(number);
            fs::create_dir_all(system.join("bin")).expect("system");
            fs::write(system.join("health"), health).expect("health");
            // The contract: a lock that does not wait, exit 11 if it is held; then the switch.
            let script = format!(
                "#!/bin/sh\nexec 9> {run}/lock\nflock -n 9 || exit 11\necho begin >> {run}/log\n\
                 if [ -p {run}/pause ]; then read line < {run}/pause; fi\n\
                 ln -sfn {system} {run}/current-system\necho end >> {run}/log\n",
                run = root.join("run").display(),
                system = system.display(),
            );
            // By another process: a thread that forks while this one has it open for writing
            // would make it "busy" for whoever runs it.
            let status = Command::new("/bin/sh")
                .args(["-c", "printf %s \"$1\" > \"$2\" && chmod 755 \"$2\"", "sh"])
                .arg(script)
                .arg(system.join("bin/switch-to-configuration"))
                .status();
            assert!(status.expect("sh").success());
            symlink(&system, tree.link(number)).expect("link");
        }
        tree.activate(1);
        tree
    }

    fn system(&self, number: u64) -> PathBuf {
        self.0.join(format!("nix/store/{number}-nixos-system"))
    }

    fn profile(&self) -> PathBuf {
        self.0.join("nix/var/nix/profiles/system")
    }

    fn link(&self, number: u64) -> PathBuf {
        self.profile()
            .with_file_name(format!("system-{number}-link"))
    }

    fn running(&self) -> PathBuf {
        fs::read_link(self.0.join("run/current-system")).expect("running system")
    }

    fn current(&self) -> PathBuf {
        fs::read_link(self.profile()).expect("profile")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.0.join("run/log")).unwrap_or_default()
    }

    /// Somebody deploys.
    fn activate(&self, number: u64) {
        for (link, target) in [
            (
                self.profile(),
                PathBuf::from(format!("system-{number}-link")),
            ),
            (self.0.join("run/current-system"), self.system(number)),
        ] {
            let _ = fs::remove_file(&link);
            symlink(target, link).expect("link");
        }
    }

    fn generation(&self, number: u64) -> GenerationId {
        let meta = fs::symlink_metadata(self.link(number)).expect("link");
        GenerationId {
            number,
            store_path: self.system(number).to_str().expect("UTF-8").to_owned(),
            linked_at_ms: meta.mtime() * 1000 + meta.mtime_nsec() / 1_000_000,
        }
    }

    fn seen(&self) -> SystemSeen {
        let generations = vec![self.generation(1), self.generation(2)];
        let points_at = |g: &&GenerationId| self.link(g.number).ends_with(self.current());
        SystemSeen {
            running: Some(self.running().to_str().expect("UTF-8").to_owned()),
            booted: None,
            current: generations.iter().find(points_at).cloned(),
            generations,
            kept: None,
            ..SystemSeen::default()
        }
    }

    fn verbs(&self) -> HostVerbs {
        HostVerbs {
            profile: SetProfile {
                profile: self.profile(),
                lock_deadline: Duration::from_secs(10),
            },
            switch: Switch {
                way: Way::Child,
                deadline: Duration::from_secs(60),
                log: None,
                stop: Stop::new(),
            },
            root: TargetRoot {
                link: self.0.join("gcroots/snowguard/rollback-target"),
            },
            updater: HoldUpdater {
                updaters: Updaters::default(),
                layout: Layout::new(&self.0),
                state_dir: "/state".into(),
                run_dir: "/boot-only".into(),
                systemd: None,
                profile: None,
            },
            reboot: Reboot {
                systemctl: None,
                unsaved: PathBuf::from("/nonexistent"),
            },
            fleet: None,
            place: None,
        }
    }

    /// Every path below the tree with what it is.
    fn everything(&self) -> BTreeMap<PathBuf, String> {
        let mut all = BTreeMap::new();
        let mut left = vec![self.0.clone()];
        while let Some(path) = left.pop() {
            let meta = fs::symlink_metadata(&path).expect("metadata");
            let content = if meta.is_dir() {
                let entries = fs::read_dir(&path).expect("directory");
                left.extend(entries.map(|entry| entry.expect("entry").path()));
                String::new()
            } else if meta.is_symlink() {
                format!("{:?}", fs::read_link(&path).expect("link"))
            } else {
                fs::read_to_string(&path).expect("file")
            };
            let (mode, at) = (meta.mode(), (meta.mtime(), meta.mtime_nsec()));
            all.insert(path, format!("{mode:o} {at:?} {content}"));
        }
        all
    }
}

/// A watchdog with its state in a file.
struct Watchdog<'a> {
    tree: &'a Tree,
    state: &'a Path,
    machine: Machine,
    prober: Prober,
    policy: Policy,
    records: Vec<Record>,
    now: i64,
}

impl<'a> Watchdog<'a> {
    fn start(tree: &'a Tree, state: &'a Path, mode: Mode) -> Self {
        let machine = match fs::read_to_string(state) {
            Ok(text) => Machine::from_json(&text).expect("state"),
            Err(_) => Machine::default(),
        };
        let check = Check::Command {
            program: "/bin/grep".into(),
            args: vec![
                "-q".to_owned(),
                "well".to_owned(),
                tree.0
                    .join("run/current-system/health")
                    .display()
                    .to_string(),
            ],
        };
        let probe = ProbeConfig {
            timeout: Duration::from_secs(10),
            failures: 1,
            of: 1,
            ..ProbeConfig::new(check)
        };
        let means = Means {
            systemctl: "/nonexistent/systemctl".into(),
            net: "/proc/net".into(),
            authorities: Vec::new(),
        };
        let policy = Policy {
            mode,
            soak: Duration::from_secs(60),
            ..Policy::default()
        };
        Self {
            tree,
            state,
            machine,
            prober: Prober::new(BTreeMap::from([("health".to_owned(), probe)]), means),
            policy,
            records: Vec::new(),
            now: jiff::Timestamp::now().as_millisecond(),
        }
    }

    fn tick(&mut self) {
        self.now += 15_000;
        let probes = self.prober.run(Instant::now(), None);
        let system = self.tree.seen();
        let fails = probes.iter().any(|probe| !probe.ok) && self.machine.on_trial();
        let alerts: Vec<AlertSeen> = fails
            .then(|| AlertSeen {
                name: "ProbeFails".to_owned(),
                active_at_ms: self.now,
                probe: Some("health".to_owned()),
            })
            .into_iter()
            .collect();
        let layout = Layout::new("/");
        let valid = |path: &str| Ok(Path::new(path).exists());
        let targets = HostTargets::new(&layout, &valid);
        let facts = Facts {
            system: Some(&system),
            probes: Some(&probes),
            confirmed: None,
            alerts: &alerts,
            pending: &[],
            unanswered: &[],
            targets: &targets,
        };
        let state = self.state;
        let mut persist = |machine: &Machine| {
            let text = machine.to_json().map_err(|cause| cause.to_string())?;
            let fresh = state.with_extension("new");
            fs::write(&fresh, text).map_err(|cause| cause.to_string())?;
            fs::rename(&fresh, state).map_err(|cause| cause.to_string())
        };
        let mut verbs = self.tree.verbs();
        let mut hands = Hands {
            verbs: &mut verbs,
            persist: &mut persist,
            recorder: &mut self.records,
        };
        let machine = std::mem::take(&mut self.machine);
        self.machine = tick(machine, facts, &self.policy, self.now, &mut hands);
    }

    fn ticks(&mut self, count: usize) {
        (0..count).for_each(|_| self.tick());
    }

    fn is(&self) -> &'static str {
        self.machine.state().name()
    }
}

#[test]
fn a_deploy_that_breaks_a_probe_is_undone_on_the_files_of_the_host() {
    let root = tempfile::tempdir().expect("temporary directory");
    let tree = Tree::plant(&root.path().join("host"));
    let state = root.path().join("state.json");
    let mut watchdog = Watchdog::start(&tree, &state, Mode::Act);
    watchdog.ticks(6);
    assert_eq!(watchdog.is(), "settled");
    tree.activate(2);
    watchdog.ticks(6);
    assert_eq!(watchdog.is(), "settled");
    assert_eq!(tree.running(), tree.system(1));
    assert_eq!(tree.current(), Path::new("system-1-link"));
    assert_eq!(tree.log(), "begin\nend\n");
}

#[test]
fn observe_mode_leaves_every_file_of_the_host_as_it_was() {
    let root = tempfile::tempdir().expect("temporary directory");
    let tree = Tree::plant(&root.path().join("host"));
    let state = root.path().join("state.json");
    let mut watchdog = Watchdog::start(&tree, &state, Mode::Observe);
    watchdog.ticks(6);
    tree.activate(2);
    let before = tree.everything();
    watchdog.ticks(10);
    assert_eq!(watchdog.is(), "observed");
    assert_eq!(tree.everything(), before);
    let would: Vec<&str> = watchdog
        .records
        .iter()
        .filter(|record| record.message.starts_with("would "))
        .map(|record| record.message.as_str())
        .collect();
    assert_eq!(would.len(), 3, "{would:?}");
    assert!(
        would
            .iter()
            .any(|line| line.contains("1-nixos-system/bin/switch-to-configuration"))
    );
}

/// No test of its own: what the kill test kills. Without its host in the environment it is done
/// at once.
#[test]
fn the_watchdog_that_the_kill_test_kills() {
    let Some(root) = env::var_os(CHILD).map(PathBuf::from) else {
        return;
    };
    let tree = Tree(root.join("host"));
    let state = root.join("state.json");
    Watchdog::start(&tree, &state, Mode::Act).ticks(6);
}

#[test]
fn killed_in_the_middle_of_a_switch_the_rollback_is_resumed_and_comes_to_its_end() {
    let root = tempfile::tempdir().expect("temporary directory");
    let tree = Tree::plant(&root.path().join("host"));
    let state = root.path().join("state.json");
    Watchdog::start(&tree, &state, Mode::Act).ticks(6);
    tree.activate(2);
    let pause = tree.0.join("run/pause");
    nix::unistd::mkfifo(&pause, nix::sys::stat::Mode::S_IRWXU).expect("fifo");

    let mut child = Command::new(env::current_exe().expect("this program"))
        .args(["--exact", "--nocapture"])
        .arg("rollback::run::tests::the_watchdog_that_the_kill_test_kills")
        .env(CHILD, root.path())
        .process_group(0)
        .spawn()
        .expect("child");
    wait_until("the switch has begun", || tree.log() == "begin\n");
    let group = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("pid"));
    nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL).expect("kill");
    child.wait().expect("reap");
    assert_eq!(
        tree.running(),
        tree.system(2),
        "killed before the switch was done"
    );

    // The switch outlives the watchdog and still holds its lock.
    let mut watchdog = Watchdog::start(&tree, &state, Mode::Act);
    assert_eq!(watchdog.is(), "rolling_back");
    watchdog.ticks(2);
    assert_eq!(watchdog.is(), "rolling_back");
    assert!(
        watchdog
            .records
            .iter()
            .all(|record| record.reason == "lock_held")
    );
    let mut writer = fs::OpenOptions::new()
        .write(true)
        .open(&pause)
        .expect("fifo");
    writer.write_all(b"go\n").expect("let it go on");
    drop(writer);
    wait_until("the first switch is done", || tree.log() == "begin\nend\n");
    fs::remove_file(&pause).expect("no pause for the next one");
    // The lock goes with the process, a moment after its last word.
    wait_until("the rollback is verified", || {
        watchdog.tick();
        watchdog.is() == "settled"
    });
    assert_eq!(tree.running(), tree.system(1));
    assert_eq!(tree.current(), Path::new("system-1-link"));
}

fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    for _ in 0..500 {
        if is() {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("not within ten seconds: {what}");
}
