//! The probe that runs a program.
//!
//! It runs as the watchdog does and under the watchdog's own root: a probe looks at services, and
//! those run beside the watchdog even where `--root` points it at another store.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
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

/// Why a probe did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// One line for people.
    pub(super) why: String,
    /// It could not be tried at all, for want of the watchdog's own means: that says nothing of what
    /// it probes.
    pub(super) blind: bool,
}

impl From<String> for Fault {
    fn from(why: String) -> Self {
        Self { why, blind: false }
    }
}

impl Fault {
    /// What could not be begun. A program that is not there is a fault of the host.
    pub(super) fn begin(attempt: &str, cause: &io::Error) -> Self {
        let errno = cause.raw_os_error().map(Errno::from_raw);
        Self {
            why: format!("{attempt}: {cause}"),
            blind: matches!(
                errno,
                Some(Errno::EAGAIN | Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM)
            ),
        }
    }
}

/// The fault of a probe, where what the watchdog itself could get right after it says whose it is: a
/// look-up of a name, say, keeps to itself that it lacked a descriptor.
pub(super) fn whose(fault: Fault, means: io::Result<()>) -> Fault {
    match means {
        Err(cause) if !fault.blind => {
            let lack = Fault::begin(&format!("cannot probe: {}", fault.why), &cause);
            if lack.blind { lack } else { fault }
        }
        _ => fault,
    }
}

/// Whether descriptors can be had, as many as a probe needs.
pub(super) fn means() -> io::Result<()> {
    let held: io::Result<Vec<File>> = (0..4).map(|_| File::open("/dev/null")).collect();
    held.map(drop)
}

/// The program ends with 0.
pub(crate) fn check(program: &Path, args: &[String], timeout: Duration) -> Result<String, String> {
    tried(program, args, timeout).map_err(|fault| fault.why)
}

/// The same, where it matters whether it could be run at all.
pub(super) fn tried(program: &Path, args: &[String], timeout: Duration) -> Result<String, Fault> {
    run(program, args, timeout, Stdio::null()).map(|_| format!("{program:?} succeeded"))
}

/// What a program that ends with 0 prints, as far as it is at most a mebibyte.
pub(crate) fn output(program: &Path, args: &[String], timeout: Duration) -> Result<String, String> {
    printed(program, args, timeout).map_err(|fault| fault.why)
}

/// The same, where it matters whether it could be run at all.
pub(super) fn printed(program: &Path, args: &[String], timeout: Duration) -> Result<String, Fault> {
    run(program, args, timeout, Stdio::piped())
}

/// Runs the program, without a shell, with an empty environment, in a process group of its own
/// that is killed as a whole at the end.
fn run(program: &Path, args: &[String], timeout: Duration, stdout: Stdio) -> Result<String, Fault> {
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
        .map_err(|cause| Fault::begin(&format!("cannot run {program:?}"), &cause))?;
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
        Err(why) => Err(format!("cannot watch {program:?}: {why}").into()),
        Ok(false) => Err(format!("{program:?} took longer than {timeout:?}; {said}").into()),
        Ok(true) if status.success() => Ok(printed),
        Ok(true) => Err(format!("{program:?}: {status}; {said}").into()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_watchdog_lacks_itself_is_no_fault_of_the_host() {
        let blind = |errno: Errno| {
            let cause = io::Error::from_raw_os_error(errno as i32);
            Fault::begin("cannot run it", &cause).blind
        };
        assert!(blind(Errno::EAGAIN) && blind(Errno::EMFILE));
        assert!(!blind(Errno::ENOENT) && !blind(Errno::EACCES));
    }

    #[test]
    fn a_probe_that_fails_while_the_watchdog_lacks_descriptors_says_nothing_of_the_host() {
        let fault = || Fault::from("cannot look up web: Name or service not known".to_owned());
        let lack = |errno: Errno| Err(io::Error::from_raw_os_error(errno as i32));
        let blind = whose(fault(), lack(Errno::EMFILE));
        assert!(blind.blind, "{blind:?}");
        assert!(
            blind.why.contains("cannot look up web") && blind.why.contains("Too many open files"),
            "{blind:?}"
        );
        assert_eq!(whose(fault(), Ok(())), fault());
        assert_eq!(whose(fault(), lack(Errno::ENOENT)), fault());
        assert!(means().is_ok());
    }
}
