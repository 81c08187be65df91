//! Promise 7: "Reading never blocks or slows Nix: no lock of Nix's is taken […]".
//! Promise 8: "What cannot be read is reported, not assumed."
//!
//! Real builds by a real daemon with three build users. Builders wait for the test at a FIFO.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant, SystemTime},
};

use snowguard_host::{BuildUsers, Kind, Layout, Locks, NixConf};

use crate::{lab, private::Host};

const CONF: &str = "build-users-group = sgbld\nmax-jobs = 8\nsubstitute = false";
const DEADLINE: Duration = Duration::from_secs(30);

/// A process that ends with the test, also if the test fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Builds {
    client: Running,
    gate: File,
    _daemon: Running,
    derivations: Vec<String>,
    host: Host,
}

impl Builds {
    /// Starts builds that run until they are let go.
    fn start(nix: lab::Nix, count: usize) -> Self {
        let host = Host::new(nix, CONF);
        // Lock files of earlier builds: what a reader that took locks would take.
        let pool = host.path("nix/var/nix/userpool");
        fs::create_dir(&pool).unwrap();
        for uid in host.build_users {
            File::create(pool.join(uid.to_string())).unwrap();
        }
        let fifo = host.path("gate");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        fs::set_permissions(&fifo, fs::Permissions::from_mode(0o666)).unwrap();
        // Open for both, so that neither side waits for the other to open it.
        let gate = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&fifo)
            .unwrap();
        let script = format!("read line < {}; echo built > $out", fifo.display());
        let mut derivations: Vec<String> = (0..count)
            .map(|i| host.derivation(&format!("build-{i}"), "", &script))
            .collect();
        derivations.sort();
        let daemon = host
            .command("nix-daemon", &[])
            .stderr(Stdio::null())
            .spawn();
        let daemon = Running(daemon.unwrap());
        let socket = host.path("nix/var/nix/daemon-socket/socket");
        until(|| fs::symlink_metadata(&socket).is_ok().then_some(()));
        let mut args = vec!["--realise"];
        args.extend(derivations.iter().map(String::as_str));
        let client = host
            .command("nix-store", &args)
            .env("NIX_REMOTE", "daemon")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        Self {
            client: Running(client.unwrap()),
            gate,
            _daemon: daemon,
            derivations,
            host,
        }
    }

    fn read(&self) -> BuildUsers {
        read(&self.host.layout())
    }

    /// Lets all builders go; what the client said when all was built.
    fn finish(&mut self) -> String {
        let lines = "\n".repeat(self.derivations.len());
        self.gate.write_all(lines.as_bytes()).unwrap();
        let mut said = String::new();
        let mut stderr = self.client.0.stderr.take().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        assert!(self.client.0.wait().unwrap().success(), "{said}");
        said
    }
}

fn read(layout: &Layout) -> BuildUsers {
    let conf = NixConf::read(layout).unwrap();
    BuildUsers::read(layout, &conf, &Locks::read(layout).unwrap()).unwrap()
}

fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            begun.elapsed() < DEADLINE,
            "it did not come to that within {DEADLINE:?}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

/// Set when the test is over, whichever way.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn waits_for_user(said: &str) -> bool {
    // Up to 2.18, and since 2.19.
    said.contains("waiting for UID") || said.contains("waiting for a free build user")
}

#[test]
fn with_more_builds_than_users_all_users_are_busy_and_the_other_builds_wait() {
    for nix in lab::all_nix() {
        let begun = SystemTime::now();
        let mut builds = Builds::start(nix, 5);
        let users = until(|| {
            let users = builds.read();
            let found = users.builds.as_ref().unwrap();
            let settled = found.active.len() == 3 && found.waiting.len() == 2;
            (settled && users.oldest_start.as_ref().unwrap().is_some()).then_some(users)
        });
        assert_eq!((users.users, users.busy()), (3, 3));
        let mut uids: Vec<u32> = users.holders.iter().map(|holder| holder.uid).collect();
        uids.sort_unstable();
        assert_eq!(uids, builds.host.build_users);

        let found = users.builds.unwrap();
        let mut all: Vec<String> = found.active.iter().map(|b| b.derivation.clone()).collect();
        all.extend(found.waiting);
        all.sort();
        assert_eq!(all, builds.derivations);

        // Boot time has whole seconds, a process' start hundredths.
        let oldest = users.oldest_start.unwrap().unwrap();
        assert!(
            oldest + Duration::from_secs(2) > begun
                && oldest <= SystemTime::now() + Duration::from_secs(1)
        );

        let said = builds.finish();
        assert!(waits_for_user(&said), "{said}");
    }
}

#[test]
fn reading_all_the_time_never_makes_a_build_wait_for_a_user() {
    let mut builds = Builds::start(lab::nix("bookworm"), 3);
    let layout = builds.host.layout();
    let done = AtomicBool::new(false);
    let said = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                read(&layout);
            }
        });
        let _stop = Stop(&done);
        until(|| (builds.read().busy() == 3).then_some(()));
        builds.finish()
    });
    assert!(!waits_for_user(&said), "{said}");
}

#[test]
fn when_all_builds_are_done_nobody_is_busy_although_the_lock_files_stay() {
    let mut builds = Builds::start(lab::nix("sid"), 2);
    until(|| (builds.read().busy() == 2).then_some(()));
    builds.gate.write_all(b"\n\n").unwrap();
    assert!(builds.client.0.wait().unwrap().success());
    let users = builds.read();
    assert_eq!(users.busy(), 0);
    let first = builds.host.build_users[0];
    assert!(
        builds
            .host
            .path(&format!("nix/var/nix/userpool/{first}"))
            .exists()
    );
    assert_eq!(users.builds.unwrap().active, []);
    assert_eq!(users.oldest_start.unwrap(), None);
}

const AS_NOBODY: &str = "SNOWGUARD_TEST_HOST";

#[test]
fn an_unprivileged_reader_counts_users_and_says_that_it_cannot_see_builds() {
    // This test runs itself again as nobody, who is told the host by the environment.
    if let Some(root) = std::env::var_os(AS_NOBODY) {
        let users = read(&Layout::new(root));
        assert_eq!((users.users, users.busy()), (3, 2));
        assert!(users.oldest_start.unwrap().is_some());
        assert_eq!(users.builds.unwrap_err().kind, Kind::Denied);
        return;
    }
    let mut builds = Builds::start(lab::nix("bookworm"), 2);
    until(|| {
        builds
            .read()
            .oldest_start
            .unwrap()
            .filter(|_| builds.read().busy() == 2)
    });
    let program = builds.host.path("reader");
    // By another process: a file that this one has open for writing while a test beside this one
    // forks cannot be executed ("text file busy").
    let mut copy = Command::new("install");
    copy.args(["-m", "755"])
        .arg(std::env::current_exe().unwrap())
        .arg(&program);
    assert!(copy.status().unwrap().success());
    let this =
        "build_users::an_unprivileged_reader_counts_users_and_says_that_it_cannot_see_builds";
    as_nobody(&program, this, &builds.host.path(""));
    builds.finish();
}

fn as_nobody(program: &Path, test: &str, root: &Path) {
    let output = Command::new(program)
        .args(["--exact", test])
        .env(AS_NOBODY, root)
        .current_dir("/")
        .uid(65534)
        .gid(65534)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}
