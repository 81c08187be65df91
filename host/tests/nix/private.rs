//! A host of its own for a test: a private `/nix`, users and configuration, in a mount namespace
//! for each command, so that the machine's own Nix is never touched.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Output},
    sync::atomic::{AtomicU32, Ordering},
};

use snowguard_host::Layout;
use tempfile::TempDir;

use crate::lab::Nix;

/// Hosts that this test program has made.
static HOSTS: AtomicU32 = AtomicU32::new(0);

const ENTER: &str = r#"
mount --bind "$HOST/nix" /nix
mount --bind "$HOST/etc/passwd" /etc/passwd
mount --bind "$HOST/etc/group" /etc/group
exec "$@"
"#;

pub(crate) struct Host {
    dir: TempDir,
    /// Three build users. Before a build Nix kills whatever runs as its user, so no two hosts may
    /// have the same ones.
    pub(crate) build_users: [u32; 3],
    pub(crate) nix: Nix,
}

impl Host {
    pub(crate) fn new(nix: Nix, conf: &str) -> Self {
        let dir = TempDir::new().unwrap();
        // Build users must be able to get at what builders wait for.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for sub in ["nix/store", "nix/var/nix", "etc/nix", "root"] {
            fs::create_dir_all(dir.path().join(sub)).unwrap();
        }
        fs::set_permissions(dir.path().join("root"), fs::Permissions::from_mode(0o700)).unwrap();
        let group = 1_000_000 + std::process::id() * 256 + HOSTS.fetch_add(4, Ordering::Relaxed);
        let build_users = [group + 1, group + 2, group + 3];
        let mut passwd = fs::read_to_string("/etc/passwd").unwrap();
        let mut groups = fs::read_to_string("/etc/group").unwrap();
        for uid in build_users {
            passwd.push_str(&format!(
                "bld{uid}:x:{uid}:{group}::/var/empty:/usr/sbin/nologin\n"
            ));
        }
        let members = build_users.map(|uid| format!("bld{uid}")).join(",");
        groups.push_str(&format!("sgbld:x:{group}:{members}\n"));
        let host = Self {
            dir,
            build_users,
            nix,
        };
        fs::write(host.path("etc/passwd"), passwd).unwrap();
        fs::write(host.path("etc/group"), groups).unwrap();
        host.configure(conf);
        host
    }

    pub(crate) fn configure(&self, conf: &str) {
        let text = format!("sandbox = false\n{conf}\n");
        fs::write(self.path("etc/nix/nix.conf"), text).unwrap();
    }

    pub(crate) fn path(&self, sub: &str) -> PathBuf {
        self.dir.path().join(sub)
    }

    pub(crate) fn layout(&self) -> Layout {
        Layout::new(self.dir.path())
    }

    /// A command of this Nix, which sees this host's `/nix`, users and configuration.
    pub(crate) fn command(&self, tool: &str, args: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["-m", "/bin/sh", "-e", "-c", ENTER, "enter"])
            .arg(self.nix.bin.join(tool))
            .args(args)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOST", self.dir.path())
            .env("HOME", self.path("root"))
            .env("USER", "root")
            .env("NIX_CONF_DIR", self.path("etc/nix"));
        command
    }

    pub(crate) fn output(&self, tool: &str, args: &[&str]) -> Output {
        self.command(tool, args).output().unwrap()
    }

    /// Standard output, trimmed, of a command that must succeed.
    pub(crate) fn run(&self, tool: &str, args: &[&str]) -> String {
        let output = self.output(tool, args);
        let said = String::from_utf8_lossy(&output.stderr);
        let release = self.nix.release;
        assert!(
            output.status.success(),
            "{tool} ({release}) {args:?}: {said}"
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The store path of a derivation that runs `script` in a shell, with these attributes. Local,
    /// because a Nix that was unpacked in a folder cannot start itself as its build hook.
    pub(crate) fn derivation(&self, name: &str, attributes: &str, script: &str) -> String {
        let expression = format!(
            "derivation {{ name = \"{name}\"; system = builtins.currentSystem; \
             builder = \"/bin/sh\"; args = [ \"-c\" ''{script}'' ]; preferLocalBuild = true; {attributes} }}"
        );
        self.run("nix-instantiate", &["-E", &expression])
    }
}
