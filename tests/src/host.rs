//! A host of its own for the real programs: a chroot store on a small file system, `/run` on
//! another as everywhere, a configuration, and what the watchdog leaves behind to look at.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use snowguard_exporter::state_file::{self, StateFile};
use snowguard_host::Layout;
use snowguard_watchdog::{
    journal,
    record::{Record, Step},
};
use tempfile::TempDir;

use crate::{
    daemon::{Daemon, tail},
    lab::{self, Nix},
    programs,
    small_store::{Kind, SmallStore},
    wait::until_or,
};

/// The host. Its file systems go with it.
#[derive(Debug)]
pub struct Host {
    /// Its store, whose root is the host's root.
    pub store: SmallStore,
    nix: Nix,
    dir: TempDir,
}

impl Host {
    /// A host with a store of `mib` MiB.
    ///
    /// # Panics
    /// If anything fails.
    #[must_use]
    pub fn new(nix: &Nix, mib: u64) -> Self {
        lab::must_be_root();
        let dir = tempfile::tempdir().unwrap();
        let store = SmallStore::make(dir.path(), nix, Kind::Tmpfs, mib, 4000);
        let run = store.root.join("run");
        fs::create_dir(&run).unwrap();
        mount(
            Some("tmpfs"),
            &run,
            Some("tmpfs"),
            MsFlags::empty(),
            Some("size=4m"),
        )
        .unwrap();
        // Snowguard's own, so that what else changes is told from it.
        for own in ["var/lib/snowguard", "run/snowguard"] {
            fs::create_dir_all(store.root.join(own)).unwrap();
        }
        let users = "root:x:0:\nnixbld:x:30000:nixbld1\n";
        fs::write(store.root.join("etc/group"), users).unwrap();
        let users = "root:x:0:0::/:/bin/sh\nnixbld1:x:30001:30000::/:/bin/false\n";
        fs::write(store.root.join("etc/passwd"), users).unwrap();
        let nix = nix.clone();
        Self { store, nix, dir }
    }

    /// Its root directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.store.root
    }

    /// A place outside of it.
    #[must_use]
    pub fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a rule file and the configuration: this, a tick of one second, those rules, and
    /// Nix where the text names no other, and an exporter that looks anew whenever it is asked.
    pub fn configure(&self, rules: &str, text: &str) {
        // Whatever is in a test's store came only now.
        let text = if text.contains("keep_recent") {
            text.to_owned()
        } else {
            text.replacen("[gc]\n", "[gc]\nkeep_recent = '0s'\n", 1)
        };
        let watchdog = if text.contains("nix_bin") {
            String::new()
        } else {
            format!(
                "[watchdog]\ninterval = '1s'\nnix_bin = {:?}\n",
                self.nix.bin()
            )
        };
        let files = if rules.is_empty() {
            ""
        } else {
            let path = self.root().join("etc/snowguard/test.rules.yaml");
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, rules).unwrap();
            "[rules]\nfiles = ['/etc/snowguard/test.rules.yaml']\n"
        };
        let exporter = "[exporter]\ncollect_share = '100%'\n";
        fs::write(self.config(), format!("{exporter}{watchdog}{files}{text}")).unwrap();
    }

    /// The file of the configuration.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.beside("snowguard.toml")
    }

    /// The command that watches it.
    #[must_use]
    pub fn watch_command(&self) -> Command {
        let mut command = Command::new(programs::snowguard());
        command.arg("watch").arg("--root").arg(self.root());
        command.arg("--config").arg(self.config());
        command
    }

    /// Starts the watchdog. All of one host share a log.
    #[must_use]
    pub fn watch(&self) -> Daemon {
        Daemon::start(&mut self.watch_command(), &self.beside("watch.log"))
    }

    /// The journal.
    ///
    /// # Panics
    /// If it cannot be read, or more than the last line of it is torn.
    #[must_use]
    pub fn journal(&self) -> Vec<Record> {
        let path = journal::path_in(&self.root().join("var/lib/snowguard"));
        let journal::Contents {
            records,
            unreadable: torn,
        } = journal::read(&path).unwrap();
        assert!(torn.len() <= 1, "torn: {torn:?}");
        records
    }

    /// Waits until the journal has a record of this step and reason.
    #[must_use]
    pub fn recorded(&self, step: Step, reason: &str) -> Record {
        self.recorded_times(step, reason, 1)
    }

    /// Waits until the journal has so many records of this step and reason, and returns the last.
    #[must_use]
    pub fn recorded_times(&self, step: Step, reason: &str, times: usize) -> Record {
        let is_it = |record: &Record| record.step == step && record.reason == reason;
        until_or(
            || {
                let log = tail(&self.beside("watch.log"));
                format!("no {step:?} {reason:?}:\n{log}")
            },
            || self.journal().into_iter().filter(is_it).nth(times - 1),
        )
    }

    /// What the watchdog publishes for a name and some of its labels, if it does.
    ///
    /// # Panics
    /// If the state file cannot be read.
    #[must_use]
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let state = StateFile::read(&Layout::new(self.root()).inside(state_file::PATH));
        let state = match state {
            Err(error) if error.is_missing() => return None,
            other => other.unwrap(),
        };
        let family = state
            .families
            .into_iter()
            .find(|family| family.name == name)?;
        let mut samples = family.samples.into_iter();
        let sample = samples.find(|sample| {
            let has = |(name, value): &(&str, &str)| {
                let mut own = sample.labels.iter();
                own.any(|(label, text)| label == name && text == value)
            };
            labels.iter().all(has)
        })?;
        Some(sample.value)
    }

    /// Waits until the watchdog publishes this value.
    pub fn published(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        until_or(
            || {
                let log = tail(&self.beside("watch.log"));
                let now = self.metric(name, labels);
                format!("{name}{labels:?} is {now:?}:\n{log}")
            },
            || (self.metric(name, labels) == Some(value)).then_some(()),
        );
    }

    /// Waits until the watchdog has looked so many times more.
    pub fn ticks(&self, more: u32) {
        let ticks = || self.metric("snowguard_watchdog_ticks_total", &[]);
        let begun = ticks().unwrap_or(0.0);
        until_or(
            || format!("no {more} ticks more"),
            || (ticks()? >= begun + f64::from(more)).then_some(()),
        );
    }

    /// Everything on it that a change would show in, but for Snowguard's own files.
    #[must_use]
    pub fn tree(&self) -> BTreeSet<String> {
        let mut find = Command::new("find");
        find.arg(self.root());
        for own in ["var/lib/snowguard", "run/snowguard"] {
            let path = self.root().join(own);
            find.arg("-path").arg(path).args(["-prune", "-o"]);
        }
        find.args(["-printf", "%p %y %s %m %l %T@ %n\\n"]);
        let text = lab::stdout("find", find.output());
        text.lines().map(str::to_owned).collect()
    }

    /// Fills the store's file system, but for so many KiB.
    pub fn fill_but(&self, kib: u64) {
        self.store.fill_bytes();
        let fill = fs::File::options().write(true).open(self.fill()).unwrap();
        let size = fill.metadata().unwrap().len();
        fill.set_len(size - kib * 1024).unwrap();
    }

    /// Frees what was filled.
    pub fn free(&self) {
        fs::remove_file(self.fill()).unwrap();
    }

    fn fill(&self) -> PathBuf {
        self.root().join("fill")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The store takes away its own, which this one lies on.
        let _ = umount2(&self.root().join("run"), MntFlags::MNT_DETACH);
    }
}
