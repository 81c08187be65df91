use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tempfile::TempDir;

use super::{Ages, LeftOver, LeftOverKind, LeftOvers};
use crate::{Kind, Layout};

const DAY: Duration = Duration::from_secs(86_400);
const BUILD: &str = "nix/var/nix/builds/nix-77-0";
const LOG: &str = "nix/var/log/nix/drvs/aa/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-hello.drv.bz2";

struct Host(TempDir);

impl Host {
    /// An idle host with the directory and the log of one build.
    fn new() -> Self {
        let host = Self(TempDir::new().unwrap());
        for sub in ["nix/store", "nix/var/nix/db", "proc/self", "tmp", "etc/nix"] {
            fs::create_dir_all(host.at(sub)).unwrap();
        }
        fs::set_permissions(host.at("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
        host.write("proc/locks", "");
        host.write("proc/self/mountinfo", "");
        host.write(&format!("{BUILD}/build/object.o"), &"x".repeat(10_000));
        host.write(LOG, "made");
        host
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn link(&self, path: &str, target: &Path) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    fn layout(&self) -> Layout {
        Layout::new(self.0.path()).with_proc(self.at("proc"))
    }

    /// What there is in two days' time that is a day old by then.
    fn look(&self) -> LeftOvers {
        let ages = Ages {
            build_directories: Some(DAY),
            logs: Some(DAY),
        };
        LeftOvers::read(&self.layout(), ages, SystemTime::now() + 2 * DAY)
    }

    fn paths(&self) -> Vec<String> {
        let left = self.look();
        assert_eq!(left.unreadable.len(), 0, "{:?}", left.unreadable);
        let paths = left.found.iter().map(|found| &found.path);
        paths
            .map(|path| path.strip_prefix(self.0.path()).unwrap())
            .map(|path| path.to_str().unwrap().to_owned())
            .collect()
    }
}

#[test]
fn what_is_old_and_what_nobody_uses_is_found_with_what_it_takes() {
    let host = Host::new();
    let left = host.look().found;
    let [log, build] = &left[..] else {
        panic!("{left:?}")
    };
    assert_eq!((build.kind, build.files), (LeftOverKind::BuildDirectory, 3));
    assert!(build.bytes >= 10_000, "{}", build.bytes);
    assert_eq!((log.kind, log.files), (LeftOverKind::Log, 1));
    let derivation = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-hello.drv";
    assert_eq!(log.derivation.as_deref(), Some(derivation));
    // Nothing is a day old yet, and what is not asked for is not looked for.
    let ages = Ages {
        build_directories: Some(DAY),
        logs: Some(DAY),
    };
    let now = LeftOvers::read(&host.layout(), ages, SystemTime::now());
    assert_eq!(now.found, []);
    let none = LeftOvers::read(&host.layout(), Ages::default(), SystemTime::now() + 2 * DAY);
    assert_eq!(none.found, []);
}

#[test]
fn a_directory_that_anything_has_to_do_with_is_in_use() {
    type Use = fn(&Host, &Path);
    let uses: [(&str, Use); 7] = [
        ("working directory", |host, build| {
            host.link("proc/9/cwd", &build.join("build"));
        }),
        ("environment", |host, build| {
            let text = format!("A=b\0NIX_BUILD_TOP={}/build\0C=d", build.display());
            host.write("proc/9/environ", &text);
        }),
        ("an open file, by its inode alone", |host, build| {
            let file = build.join("build/object.o");
            host.link("proc/9/fd/3", &file);
            let inode = fs::metadata(&file).unwrap().ino();
            host.write("proc/9/fdinfo/3", &format!("pos:\t0\nino:\t{inode}\n"));
        }),
        ("a file of a kernel that tells no inode", |host, build| {
            host.link("proc/9/fd/3", &build.join("build/object.o"));
            host.write("proc/9/fdinfo/3", "pos:\t0\n");
        }),
        ("mapped", |host, build| {
            let inode = fs::metadata(build.join("build/object.o")).unwrap().ino();
            let line = format!("7f-80 r-xp 00000000 fe:00 {inode}     /build/object.o\n");
            host.write("proc/9/maps", &line);
        }),
        ("mounted in a sandbox", |host, _| {
            let line = "36 35 98:0 /nix/var/nix/builds/nix-77-0/build /build rw - ext4 x rw\n";
            host.write("proc/9/mountinfo", line);
            host.link("proc/9/ns/mnt", Path::new("mnt:[4026532000]"));
        }),
        ("mounted upon", |host, build| {
            let line = format!("36 35 98:0 / {}/build rw - tmpfs x rw\n", build.display());
            host.write("proc/self/mountinfo", &line);
        }),
    ];
    for (what, take) in uses {
        let host = Host::new();
        take(&host, &host.at(BUILD));
        assert_eq!(host.paths(), [LOG], "{what}");
    }
}

#[test]
fn a_directory_of_a_build_user_that_a_build_has_is_in_use() {
    let host = Host::new();
    let uid = fs::metadata(host.at(BUILD)).unwrap().uid();
    host.write("etc/group", "nixbld:x:7:builder\n");
    host.write("etc/passwd", &format!("builder:x:{uid}:7::/:/none\n"));
    let lock = format!("nix/var/nix/userpool/{uid}");
    host.write(&lock, "");
    assert_eq!(host.paths(), [LOG, BUILD]);
    let meta = fs::metadata(host.at(&lock)).unwrap();
    let device = (
        nix::sys::stat::major(meta.dev()),
        nix::sys::stat::minor(meta.dev()),
    );
    let line = format!(
        "1: FLOCK  ADVISORY  WRITE 9 {:02x}:{:02x}:{} 0 EOF\n",
        device.0,
        device.1,
        meta.ino()
    );
    host.write("proc/locks", &line);
    assert_eq!(host.paths(), [LOG]);
}

#[test]
fn links_are_not_followed_and_what_has_another_name_frees_nothing() {
    let host = Host::new();
    fs::create_dir(host.at("precious")).unwrap();
    host.link("nix/var/nix/builds/nix-78-0", &host.at("precious"));
    host.link("tmp/nix-build-hello.drv-0", &host.at("precious"));
    host.write("precious/file", &"x".repeat(100_000));
    let inside = host.at(BUILD).join("build/shared");
    fs::hard_link(host.at("precious/file"), &inside).unwrap();
    symlink(host.at("precious"), host.at(BUILD).join("link")).unwrap();
    // Of a log with another name, too.
    fs::hard_link(host.at(LOG), host.at("precious/log")).unwrap();
    let left = host.look().found;
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0].files, 4, "two directories, a file and a link");
    assert!(left[0].bytes < 100_000, "{}", left[0].bytes);
}

#[test]
fn in_a_directory_where_anybody_writes_only_what_nix_calls_so_is_one() {
    let host = Host::new();
    for name in ["nix-build-hello-2.drv-3", "nix-1-0", "nix-build-mine"] {
        fs::create_dir(host.at("tmp").join(name)).unwrap();
    }
    assert_eq!(host.paths(), [LOG, BUILD, "tmp/nix-build-hello-2.drv-3"]);
}

#[test]
fn a_directory_that_nix_conf_names_is_looked_through() {
    let host = Host::new();
    fs::create_dir_all(host.at("scratch/nix-5-1")).unwrap();
    host.write("etc/nix/nix.conf", "build-dir = /scratch\n");
    assert_eq!(host.paths(), [LOG, BUILD, "scratch/nix-5-1"]);
}

#[test]
fn processes_that_cannot_be_read_leave_everything_in_place() {
    let host = Host::new();
    // Whatever it is that fails.
    fs::create_dir_all(host.at("proc/9/environ")).unwrap();
    let left = host.look();
    assert_eq!(left.found, []);
    assert_eq!(left.unreadable.len(), 2);
    assert!(left.unreadable[0].to_string().contains("proc/9/environ"));
}

#[test]
fn a_log_that_a_worker_has_open_is_not_old() {
    let host = Host::new();
    host.link("proc/9/fd/13", &host.at(LOG));
    assert_eq!(host.paths(), [BUILD]);
}

fn found(host: &Host, kind: LeftOverKind) -> LeftOver {
    let mut found = host.look().found.into_iter();
    found.find(|found| found.kind == kind).unwrap()
}

#[test]
fn one_that_was_changed_since_or_taken_into_use_is_not_the_one_that_was_found() {
    for kind in [LeftOverKind::BuildDirectory, LeftOverKind::Log] {
        let host = Host::new();
        let left = found(&host, kind);
        assert_eq!(left.look_again(&host.layout()).unwrap(), Some(()));
        host.write(&format!("{BUILD}/build/new.o"), "");
        host.write(LOG, "again");
        let error = left.look_again(&host.layout()).unwrap_err();
        assert_eq!(error.kind, Kind::Malformed, "{error}");

        let host = Host::new();
        let left = found(&host, kind);
        fs::remove_dir_all(host.at("nix/var")).unwrap();
        fs::create_dir_all(host.at("nix/var/nix")).unwrap();
        assert_eq!(left.look_again(&host.layout()).unwrap(), None);
    }
    let host = Host::new();
    let left = found(&host, LeftOverKind::BuildDirectory);
    host.link("proc/9/cwd", &host.at(BUILD));
    let error = left.look_again(&host.layout()).unwrap_err();
    assert!(error.to_string().contains("begun to use it"), "{error}");
}
