//! A disk that is full and is not the store's, and the reverse: the programs, as they are called.
//!
//! Promise 3: "It works on a disk with 0 bytes and 0 inodes free, without Prometheus, without
//! network, and after being killed at any point."
//! Promise 6: "Each decision, act or refusal, is in the journal and in a metric, with its reason."

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use snowguard_host::{Layout, store::FileSystem};
use snowguard_tests::{
    host::Host,
    lab::{self, Nix},
    nix_daemon::NixDaemon,
    programs,
};

/// Which file system has not a byte and not an inode left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Full {
    /// `/`, with `/tmp`, `/var/tmp` and the journal on it.
    Root,
    /// `/nix`.
    Nix,
}

type Run = (&'static str, Full, bool);

/// Any two of these meet.
const RUNS: [Run; 6] = [
    ("bookworm", Full::Root, false),
    ("bookworm", Full::Nix, true),
    ("trixie", Full::Root, true),
    ("trixie", Full::Nix, false),
    ("sid", Full::Root, true),
    ("sid", Full::Nix, false),
];

fn runs() -> Vec<Run> {
    let mut runs = RUNS.to_vec();
    if std::env::var("SNOWGUARD_MATRIX").is_ok_and(|asked| asked == "all") {
        runs.extend(RUNS.map(|(release, full, daemon)| (release, full, !daemon)));
    }
    runs
}

/// `/nix` on a file system of its own. It goes with the test.
struct Apart(std::path::PathBuf);

impl Apart {
    fn put(host: &Host) -> Self {
        let nix = host.root().join("nix");
        let options = Some("size=80m,nr_inodes=4000,mode=755");
        mount(
            Some("tmpfs"),
            &nix,
            Some("tmpfs"),
            MsFlags::empty(),
            options,
        )
        .unwrap();
        host.store.store(&["--load-db"]);
        Self(nix)
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

/// Takes every byte and every inode that is left.
fn fill(directory: &Path) {
    let mut file = fs::File::create(directory.join("fill")).unwrap();
    for size in [1 << 20, 4096, 1] {
        while file.write_all(&vec![0x5a; size]).is_ok() {}
    }
    let many = directory.join("many");
    if fs::create_dir(&many).is_ok() {
        (0..).find(|number: &u32| fs::File::create(many.join(number.to_string())).is_err());
    }
}

fn snowguard(host: &Host, args: &[&str]) -> Output {
    let mut command = Command::new(programs::snowguard());
    command.args(args).arg("--root").arg(host.root());
    command.arg("--config").arg(host.config());
    for name in ["TMPDIR", "HOME", "SQLITE_TMPDIR"] {
        command.env(name, host.root().join("tmp"));
    }
    command.stdin(Stdio::null()).output().unwrap()
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn whichever_disk_is_full_the_stores_is_collected_and_the_story_is_told() {
    for (release, full, has_daemon) in runs() {
        println!("== {release}: {full:?} full, daemon {has_daemon}");
        heals(&lab::nix(release), full, has_daemon);
    }
}

fn heals(nix: &Nix, full: Full, has_daemon: bool) {
    let host = Host::new(nix, 24);
    let _apart = Apart::put(&host);
    fs::create_dir_all(host.root().join("tmp")).unwrap();
    let alive = host.store.add("alive", 1024);
    host.store.link(&alive, "nix/var/nix/gcroots/alive");
    for number in 0..24 {
        host.store.add(&format!("dead-{number}"), 1024);
    }
    let _daemon = has_daemon.then(|| NixDaemon::start(nix, &host.store));
    host.configure("", "[gc]\nmode = 'act'\nballast = '16MiB'\n");
    // As the watchdog makes it while there is room.
    let layout = Layout::new(host.root());
    snowguard_watchdog::act::ballast::Ballast::of(&layout, 16 << 20)
        .make()
        .unwrap();
    match full {
        Full::Root => fill(host.root()),
        Full::Nix => fill(&host.root().join("nix")),
    }
    assert!(
        fs::write(
            host.root().join(match full {
                Full::Root => "one-more",
                Full::Nix => "nix/one-more",
            }),
            "x"
        )
        .is_err()
    );
    let avail = || FileSystem::read(&layout).unwrap().avail_bytes;
    let before = avail();

    let output = snowguard(&host, &["gc", "--free", "12MiB", "--yes"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(avail() >= before + (12 << 20));
    assert!(host.store.is_valid(&alive));
    // Where the journal could not be written, its lines wait beside it.
    let history = snowguard(&host, &["history", "--json"]);
    assert_eq!(history.status.code(), Some(0), "{}", said(&history));
    let story = said(&history);
    for step in ["\"plan\"", "\"act\"", "\"done\""] {
        assert!(story.contains(step), "{step}: {story}");
    }
    host.store.verify();
}
