//! A chroot store on a small file system of its own, with real paths added by real Nix: something
//! to fill up and to heal.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::lab::{Nix, stdout};

/// The kinds of file system that stores lie on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// ext4 on a loop device.
    Ext4,
    /// tmpfs.
    Tmpfs,
    /// btrfs on a loop device.
    Btrfs,
}

/// The store. Its file system goes with it.
#[derive(Debug)]
pub struct SmallStore {
    /// The directory for `--store` and `--root`, where the file system is mounted.
    pub root: PathBuf,
    /// A home outside of it.
    pub home: PathBuf,
    nix: Nix,
}

impl SmallStore {
    /// Makes a file system of `mib` MiB with `inodes` inodes (where that can be said) below
    /// `dir`, and a store in it.
    ///
    /// # Panics
    /// If anything fails.
    #[must_use]
    pub fn make(dir: &Path, nix: &Nix, kind: Kind, mib: u64, inodes: u64) -> Self {
        let (root, home) = (dir.join("root"), dir.join("home"));
        fs::create_dir_all(&root).unwrap();
        fs::create_dir_all(home.join("etc/nix")).unwrap();
        match kind {
            Kind::Tmpfs => {
                let options = format!("size={mib}m,nr_inodes={inodes}");
                mount(
                    Some("tmpfs"),
                    &root,
                    Some("tmpfs"),
                    MsFlags::empty(),
                    Some(options.as_str()),
                )
                .unwrap();
            }
            Kind::Ext4 | Kind::Btrfs => {
                let image = dir.join("image");
                fs::File::create(&image)
                    .unwrap()
                    .set_len(mib << 20)
                    .unwrap();
                let image = image.to_str().unwrap();
                let inodes = inodes.to_string();
                match kind {
                    Kind::Ext4 => run("mkfs.ext4", &["-q", "-N", &inodes, image]),
                    // Data and metadata apart, as everywhere but on disks that are too small for it.
                    _ if mib > 256 => run("mkfs.btrfs", &["-q", image]),
                    _ => run(
                        "mkfs.btrfs",
                        &["-q", "--mixed", "-m", "single", "-d", "single", image],
                    ),
                };
                run("mount", &["-o", "loop", image, root.to_str().unwrap()]);
            }
        }
        let store = Self {
            root,
            home,
            nix: nix.clone(),
        };
        fs::create_dir_all(store.root.join("etc/nix")).unwrap();
        store.store(&["--load-db"]);
        store
    }

    /// Runs `nix-store --store ROOT …`.
    pub fn store(&self, args: &[&str]) -> String {
        let mut all = vec!["--store", self.root.to_str().unwrap()];
        all.extend(args);
        self.nix.run("nix-store", &self.home, &all)
    }

    /// Adds a path with a file of `kib` KiB of noise and the text of `refers_to` in it, and
    /// returns it. Nix finds no references in what is added as a source, so they are registered
    /// by `--load-db` when asked for.
    pub fn add(&self, name: &str, kib: usize) -> String {
        let place = self.home.join(name);
        fs::create_dir_all(&place).unwrap();
        let mut noise = Vec::with_capacity(kib * 1024);
        let mut state = 0x9e37_79b9_7f4a_7c15u64 ^ (name.len() as u64);
        for byte in name.bytes() {
            state = state.rotate_left(9) ^ u64::from(byte);
        }
        while noise.len() < kib * 1024 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            noise.extend_from_slice(&state.to_le_bytes());
        }
        fs::write(place.join("content"), noise).unwrap();
        let path = self
            .store(&["--add", place.to_str().unwrap()])
            .trim()
            .to_owned();
        fs::remove_dir_all(&place).unwrap();
        path
    }

    /// A link below the root, with its directories.
    pub fn link(&self, target: &str, at: &str) -> PathBuf {
        let at = self.root.join(at);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        if at.symlink_metadata().is_ok() {
            fs::remove_file(&at).unwrap();
        }
        symlink(target, &at).unwrap();
        at
    }

    /// Makes generation `number` of the system profile, with a path of its own, and points the
    /// profile at it.
    pub fn system_generation(&self, number: u64, kib: usize) -> String {
        let path = self.add(&format!("nixos-system-{number}"), kib);
        let link = format!("nix/var/nix/profiles/system-{number}-link");
        let link = self.link(&path, &link);
        // A minute apart, so that their age is told.
        run(
            "touch",
            &[
                "-h",
                "-d",
                &format!("@{}", 1_700_000_000 + number * 60),
                link.to_str().unwrap(),
            ],
        );
        self.link(
            &format!("system-{number}-link"),
            "nix/var/nix/profiles/system",
        );
        path
    }

    /// Whether Nix says that the path is valid.
    pub fn is_valid(&self, path: &str) -> bool {
        let root = self.root.to_str().unwrap();
        let args = ["--store", root, "--check-validity", path];
        self.nix
            .command("nix-store", &self.home)
            .args(args)
            .output()
            .unwrap()
            .status
            .success()
    }

    /// Asks Nix to look at every byte of every valid path.
    pub fn verify(&self) {
        self.store(&["--verify", "--check-contents"]);
    }

    /// What `nix-store --gc --print-live` says.
    pub fn live(&self) -> Vec<String> {
        self.store(&["--gc", "--print-live"])
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// Takes every byte that is left.
    pub fn fill_bytes(&self) {
        let path = self.root.join("fill");
        let mut options = fs::OpenOptions::new();
        let mut file = options.create(true).append(true).open(&path).unwrap();
        for size in [1 << 20, 4096, 1] {
            let block = vec![0x5a; size];
            while std::io::Write::write_all(&mut file, &block).is_ok() {}
            // Blocks that were promised but not written yet show only now.
            let _ = file.sync_all();
        }
    }

    /// Takes every inode that is left.
    pub fn fill_inodes(&self) {
        let directory = self.root.join("many");
        fs::create_dir_all(&directory).unwrap();
        for number in 0.. {
            if fs::File::create(directory.join(number.to_string())).is_err() {
                break;
            }
        }
    }
}

impl Drop for SmallStore {
    fn drop(&mut self) {
        // Or the directory could not be removed, nor the image in it. If it cannot be taken away,
        // it goes with the test's mount namespace.
        let _ = umount2(&self.root, MntFlags::MNT_DETACH);
    }
}

fn run(program: &str, args: &[&str]) -> String {
    stdout(
        &format!("{program} {args:?}"),
        Command::new(program).args(args).output(),
    )
}
