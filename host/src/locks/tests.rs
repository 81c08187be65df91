//! Promise 7: "Reading never blocks or slows Nix: no lock of Nix's is taken […]".

use std::{
    fs::File,
    os::unix::fs::symlink,
    process,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use tempfile::TempDir;

use super::*;
use crate::Kind;

fn here() -> Locks {
    Locks::read(&Layout::new("/")).unwrap()
}

#[test]
fn a_file_is_held_exactly_while_somebody_has_an_exclusive_lock_on_it() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("994");
    let file = File::create(&path).unwrap();
    assert!(!here().is_held(&path).unwrap(), "existence is not use");
    file.lock().unwrap();
    assert_eq!(here().holder(&path).unwrap(), Some(process::id()));
    file.unlock().unwrap();
    assert!(!here().is_held(&path).unwrap());
}

#[test]
fn a_shared_lock_is_not_an_exclusive_one() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("gc.lock");
    let file = File::create(&path).unwrap();
    file.lock_shared().unwrap();
    assert!(!here().is_held(&path).unwrap());
    assert!(here().is_locked(&path).unwrap());
    file.unlock().unwrap();
    assert!(!here().is_locked(&path).unwrap());
}

#[test]
fn looking_takes_no_lock_that_another_would_have_to_wait_for() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("gc.lock");
    let file = File::create(&path).unwrap();
    let locks = here();
    locks.is_held(&path).unwrap();
    file.try_lock().unwrap();
}

#[test]
fn a_lock_file_that_is_not_there_is_not_held() {
    let dir = TempDir::new().unwrap();
    assert!(!here().is_held(&dir.path().join("none")).unwrap());
}

#[test]
fn a_directory_that_cannot_be_searched_is_an_error_and_not_a_no() {
    let dir = TempDir::new().unwrap();
    let knot = dir.path().join("knot");
    symlink("knot", &knot).unwrap();
    let error = here().is_held(&knot.join("994")).unwrap_err();
    assert_eq!(error.kind, Kind::Io);
}

/// A process file system of three lines: one lock, one waiter for it, one other mount.
fn fixture(locks: &str, mountinfo: &str) -> (TempDir, Layout) {
    let dir = TempDir::new().unwrap();
    let proc_dir = dir.path().join("proc");
    fs::create_dir_all(proc_dir.join("self")).unwrap();
    fs::write(proc_dir.join("locks"), locks).unwrap();
    fs::write(proc_dir.join("self/mountinfo"), mountinfo).unwrap();
    let layout = Layout::new(dir.path()).with_proc(proc_dir);
    (dir, layout)
}

#[test]
fn a_file_of_a_btrfs_subvolume_is_found_by_the_device_of_its_mount() {
    let (dir, layout) = fixture("", "");
    let path = dir.path().join("lk");
    let inode = File::create(&path).unwrap().metadata().unwrap().ino();
    // The reader sees a device that no mount has; the table has that of the mount, 0:41.
    let point = fs::canonicalize(dir.path()).unwrap();
    let mountinfo = format!(
        "1 0 7:7 / / rw - ext4 x rw\n2 1 0:41 /sv {} rw - btrfs /dev/x rw\n",
        point.display()
    );
    fs::write(dir.path().join("proc/self/mountinfo"), mountinfo).unwrap();
    let line = format!("1: FLOCK  ADVISORY  WRITE 4242 00:29:{inode} 0 EOF\n");
    fs::write(dir.path().join("proc/locks"), line).unwrap();
    assert_eq!(
        Locks::read(&layout).unwrap().holder(&path).unwrap(),
        Some(4242)
    );
}

#[test]
fn one_who_waits_for_a_lock_does_not_hold_it() {
    let (_dir, layout) = fixture(
        "1: FLOCK  ADVISORY  READ  7 fe:00:5 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 8 fe:00:5 0 EOF\n",
        "",
    );
    let locks = Locks::read(&layout).unwrap();
    assert_eq!(locks.pids(), [0; 0]);
    let entries = locks.entries;
    assert_eq!(entries.len(), 1);
    assert!(entries[0].shared && entries[0].pid == 7);
}

#[test]
fn a_table_that_is_not_one_is_refused_by_name() {
    let (_dir, layout) = fixture("1: FLOCK ADVISORY WRITE x\n", "");
    let error = Locks::read(&layout).unwrap_err();
    assert_eq!(error.kind, Kind::Malformed);
    assert!(error.to_string().contains("proc/locks"));
}

#[test]
fn a_hidden_table_is_an_error_and_not_an_empty_one() {
    let (dir, layout) = fixture("", "");
    fs::remove_file(dir.path().join("proc/locks")).unwrap();
    let error = Locks::read(&layout).unwrap_err();
    assert_eq!(error.kind, Kind::Missing);
    assert!(error.cure.contains("ProcSubset"));
}

#[test]
fn a_held_lock_is_never_overlooked_while_others_come_and_go() {
    // Enough that the kernel hands its table out in several pieces.
    const OTHERS: usize = 150;
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("held");
    let held = File::create(&path).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for worker in 0..2 {
            let (dir, done) = (&dir, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let files: Vec<File> = (0..OTHERS)
                        .map(|i| File::create(dir.path().join(format!("{worker}-{i}"))).unwrap())
                        .collect();
                    files.iter().for_each(|file| file.lock().unwrap());
                }
            });
        }
        held.lock().unwrap();
        let overlooked = (0..1000)
            .filter(|_| !here().is_held(&path).unwrap())
            .count();
        done.store(true, Ordering::Relaxed);
        assert_eq!(overlooked, 0);
    });
}
