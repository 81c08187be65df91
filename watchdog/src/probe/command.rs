//! The probe that runs a program.
//!
//! It runs as the watchdog does and under the watchdog's own root: a probe looks at services, and
//! those run beside the watchdog even where `--root` points it at another store.

use std::{
    io::Read,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        signal::{Signal, killpg},
        wait::{Id, WaitPidFlag, WaitStatus, waitid},
    },
    unistd::Pid,
};

const POLL: Duration = Duration::from_millis(10);
/// How much of the end of stderr is kept.
const TAIL: usize = 2048;

/// How much of standard output is read by a probe that reads it.
const MAX_OUTPUT: usize = 1024 * 1024;

/// The program ends with 0.
pub(crate) fn check(program: &Path, args: &[String], timeout: Duration) -> Result<String, String> {
    run(program, args, timeout, Stdio::null()).map(|_| format!("{program:?} succeeded"))
}

/// What a program that ends with 0 prints, as far as it is at most a mebibyte.
pub(crate) fn output(program: &Path, args: &[String], timeout: Duration) -> Result<String, String> {
    run(program, args, timeout, Stdio::piped())
}

/// Runs the program, without a shell, with an empty environment, in a process group of its own
/// that is killed as a whole at the end.
fn run(
    program: &Path,
    args: &[String],
    timeout: Duration,
    stdout: Stdio,
) -> Result<String, String> {
    let begun = Instant::now();
    let mut child = Command::new(program)
        .args(args)
        .env_clear()
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|cause| format!("cannot run {program:?}: {cause}"))?;
    let said = child.stderr.take().map(|pipe| end_of(pipe, TAIL));
    let printed = child.stdout.take().map(|pipe| end_of(pipe, MAX_OUTPUT));
    let in_time = ended_within(&child, begun, timeout);
    // Before the child is reaped, so that its number still names its group and nobody else's.
    if let Ok(group) = i32::try_from(child.id()) {
        // Fails if nobody is left in it, which is well.
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
    let status = child
        .wait()
        .map_err(|cause| format!("cannot wait for {program:?}: {cause}"))?;
    // The group is dead, so the pipe ends; unless a process left the group, which nobody waits for.
    let read = |pipe: Option<mpsc::Receiver<String>>| {
        let text = pipe.and_then(|pipe| pipe.recv_timeout(Duration::from_millis(200)).ok());
        text.unwrap_or_default()
    };
    let (said, printed) = (read(said), read(printed));
    match in_time {
        Err(why) => Err(format!("cannot watch {program:?}: {why}")),
        Ok(false) => Err(format!("{program:?} took longer than {timeout:?}; {said}")),
        Ok(true) if status.success() => Ok(printed),
        Ok(true) => Err(format!("{program:?}: {status}; {said}")),
    }
}

/// Waits for the end of a child without reaping it.
fn ended_within(child: &Child, begun: Instant, timeout: Duration) -> Result<bool, String> {
    let id = i32::try_from(child.id()).map_err(|cause| cause.to_string())?;
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
    loop {
        match waitid(Id::Pid(Pid::from_raw(id)), flags) {
            Ok(WaitStatus::StillAlive) | Err(nix::Error::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(cause) => return Err(cause.to_string()),
        }
        if begun.elapsed() >= timeout {
            return Ok(false);
        }
        thread::sleep(POLL);
    }
}

/// Reads all of a pipe and keeps its end, on a thread so that a full pipe stops no child.
fn end_of(mut pipe: impl Read + Send + 'static, keep: usize) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut kept = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = pipe.read(&mut buffer) {
            kept.extend_from_slice(buffer.get(..count).unwrap_or_default());
            let excess = kept.len().saturating_sub(keep);
            kept.drain(..excess);
        }
        // Nobody listens any more if this came too late.
        let _ = sender.send(String::from_utf8_lossy(&kept).trim().to_owned());
    });
    receiver
}
