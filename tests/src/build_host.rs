//! A host that builds: a store on a small file system that is `/nix` to its own programs, with
//! build users and a `/tmp` of its own, in a mount namespace for each command. The machine's own
//! Nix is never touched.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use tempfile::TempDir;

use crate::{
    lab::{self, Nix, Running},
    small_store::{Kind, SmallStore},
    wait::until,
};

/// Hosts that this test program has made.
static HOSTS: AtomicU32 = AtomicU32::new(0);

const ENTER: &str = r#"
# Where the lab itself is below /tmp, it stays in sight.
case "$LAB" in
  /tmp/*)
    mkdir -p "$HOST$LAB"
    mount --bind "$LAB" "$HOST$LAB"
    ;;
esac
mount --bind "$HOST/nix" /nix
mount --rbind "$HOST/tmp" /tmp
mount --bind "$HOST/etc/passwd" /etc/passwd
mount --bind "$HOST/etc/group" /etc/group
exec "$@"
"#;

/// The host. Its file system goes with it.
#[derive(Debug)]
pub struct BuildHost {
    /// Its store, whose root is the host's root.
    pub store: SmallStore,
    nix: Nix,
    _dir: TempDir,
}

impl BuildHost {
    /// A host with a store of `mib` MiB and these lines in its `nix.conf`.
    ///
    /// # Panics
    /// If anything fails.
    #[must_use]
    pub fn new(nix: &Nix, mib: u64, conf: &str) -> Self {
        lab::must_be_root();
        // Not below the /tmp that its programs do not see.
        let dir = tempfile::tempdir_in("/var/tmp").unwrap();
        let store = SmallStore::make(dir.path(), nix, Kind::Tmpfs, mib, 8000);
        let everybody = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        // Build users must get at their directories.
        everybody(dir.path(), 0o755);
        everybody(&store.root, 0o755);
        fs::create_dir_all(store.root.join("tmp")).unwrap();
        everybody(&store.root.join("tmp"), 0o1777);
        // Before a build Nix kills whatever runs as its user, so no two hosts may have the same.
        let group = 2_000_000 + std::process::id() * 256 + HOSTS.fetch_add(4, Ordering::Relaxed);
        let users = [group + 1, group + 2, group + 3];
        let mut passwd = fs::read_to_string("/etc/passwd").unwrap();
        let mut groups = fs::read_to_string("/etc/group").unwrap();
        for uid in users {
            passwd += &format!("bld{uid}:x:{uid}:{group}::/var/empty:/usr/sbin/nologin\n");
        }
        let members = users.map(|uid| format!("bld{uid}")).join(",");
        groups += &format!("sgbld:x:{group}:{members}\n");
        fs::write(store.root.join("etc/passwd"), passwd).unwrap();
        fs::write(store.root.join("etc/group"), groups).unwrap();
        let conf = format!(
            "sandbox = false\nbuild-users-group = sgbld\nmax-jobs = 8\nrequire-sigs = false\n\
             extra-experimental-features = nix-command\n{conf}\n"
        );
        for etc in [store.root.join("etc/nix"), store.home.join("etc/nix")] {
            fs::write(etc.join("nix.conf"), &conf).unwrap();
        }
        Self {
            store,
            nix: nix.clone(),
            _dir: dir,
        }
    }

    /// A place below its root.
    #[must_use]
    pub fn path(&self, below: &str) -> PathBuf {
        self.store.root.join(below)
    }

    /// A command of its Nix, which sees its `/nix`, `/tmp` and users.
    #[must_use]
    pub fn command(&self, tool: &str, args: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["-m", "/bin/sh", "-e", "-c", ENTER, "enter"])
            .arg(fs::canonicalize(self.nix.bin()).unwrap().join(tool))
            .args(args)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOST", &self.store.root)
            .env("LAB", fs::canonicalize(lab::dir()).unwrap())
            .env("HOME", &self.store.home)
            .env("USER", "root")
            .env("NIX_CONF_DIR", self.store.home.join("etc/nix"));
        command
    }

    /// Standard output, trimmed, of a command that must succeed.
    ///
    /// # Panics
    /// If it does not.
    pub fn run(&self, tool: &str, args: &[&str]) -> String {
        let output = self.command(tool, args).output();
        let what = format!("{tool} ({}) {args:?}", self.nix.release);
        lab::stdout(&what, output).trim().to_owned()
    }

    /// Its daemon, once it listens.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn daemon(&self) -> Running {
        let mut command = self.command("nix-daemon", &[]);
        let daemon = Running::start(command.stderr(Stdio::null()));
        let socket = self.path("nix/var/nix/daemon-socket/socket");
        until("the Nix daemon listens", || {
            std::os::unix::net::UnixStream::connect(&socket).ok()
        });
        daemon
    }

    /// Starts to make a path, by a client of the daemon.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn realise(&self, path: &str) -> Running {
        let mut command = self.command("nix-store", &["--realise", path]);
        command.env("NIX_REMOTE", "daemon").stdout(Stdio::null());
        Running::start(&mut command)
    }

    /// The derivation of a build that writes a file of a MiB into its directory and then waits
    /// until a line comes through the FIFO of this name in `/tmp`. Local, because a Nix that was
    /// unpacked in a folder cannot start itself as its build hook.
    ///
    /// # Panics
    /// If anything fails.
    #[must_use]
    pub fn gated(&self, name: &str) -> String {
        let fifo = self.path("tmp").join(name);
        let mode = nix::sys::stat::Mode::from_bits_truncate(0o666);
        nix::unistd::mkfifo(&fifo, mode).unwrap();
        fs::set_permissions(&fifo, fs::Permissions::from_mode(0o666)).unwrap();
        let script = format!(
            "/usr/bin/head -c 1048576 /dev/urandom > object-{name}; read line < /tmp/{name}; echo built > $out"
        );
        let expression = format!(
            "derivation {{ name = \"{name}\"; system = builtins.currentSystem; builder = \"/bin/sh\"; \
             args = [ \"-c\" ''{script}'' ]; preferLocalBuild = true; }}"
        );
        self.run("nix-instantiate", &["-E", &expression])
    }

    /// Waits until a gated build waits, and returns its directory, the outermost that Nix made.
    #[must_use]
    pub fn directory_of(&self, name: &str) -> PathBuf {
        let object = format!("object-{name}");
        let parents = ["tmp", "nix/var/nix/builds"];
        until("the build has written its file", || {
            for parent in parents {
                let entries = fs::read_dir(self.path(parent))
                    .into_iter()
                    .flatten()
                    .flatten();
                for top in entries.map(|entry| entry.path()) {
                    let places = [top.join(&object), top.join("build").join(&object)];
                    let is_whole =
                        |place: &PathBuf| place.metadata().is_ok_and(|meta| meta.len() == 1 << 20);
                    if places.iter().any(is_whole) {
                        return Some(top);
                    }
                }
            }
            None
        })
    }

    /// Lets a gated build go on.
    ///
    /// # Panics
    /// If nobody waits.
    pub fn let_go(&self, name: &str) {
        fs::write(self.path("tmp").join(name), "\n").unwrap();
    }
}
