//! The thread that walks.

use std::{
    convert::Infallible,
    ffi::OsString,
    io,
    ops::ControlFlow,
    sync::mpsc::{Receiver, Sender, TryRecvError, channel},
    thread,
    time::SystemTime,
};

use snowguard_host::{
    Layout,
    store::{Pace as HostPace, Reclaimable, RowId, Weights},
};
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};
use tracing::info;

use super::{Share, pace::Pace};

/// One piece of work.
#[derive(Debug)]
pub(super) struct Job {
    /// What is known.
    pub(super) weights: Weights,
    /// What is to be walked.
    pub(super) unknown: Vec<(RowId, Box<str>)>,
    /// Dead entries without a row, if nothing else remains to be walked and all is to be added up.
    pub(super) strays: Option<Vec<OsString>>,
    pub(super) now: SystemTime,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) weights: Weights,
    pub(super) sum: Option<Reclaimable>,
}

/// The thread. It ends soon after this is dropped.
#[derive(Debug)]
pub(super) struct Worker {
    jobs: Sender<Job>,
    results: Receiver<Done>,
    /// Nothing is ever sent: that it is gone tells the thread to end.
    _alive: Sender<Infallible>,
}

impl Worker {
    pub(super) fn start(layout: &Layout, share: Share) -> io::Result<Self> {
        let (jobs, to_do) = channel::<Job>();
        let (finished, results) = channel();
        let (alive, stop) = channel();
        let layout = layout.clone();
        thread::Builder::new()
            .name("weigh".to_owned())
            .spawn(move || {
                step_back();
                for job in to_do {
                    let mut pace = Pace::new(share, &stop);
                    let ControlFlow::Continue(done) = work(&layout, job, &mut || pace.step())
                    else {
                        return;
                    };
                    if finished.send(done).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Self {
            jobs,
            results,
            _alive: alive,
        })
    }

    /// Gives it a job. If the thread broke down, [`Worker::done`] says so.
    pub(super) fn give(&self, job: Job) {
        let _ = self.jobs.send(job);
    }

    pub(super) fn done(&self) -> Result<Done, TryRecvError> {
        self.results.try_recv()
    }
}

/// Does a job; breaks off when `pace` does.
pub(super) fn work<B>(
    layout: &Layout,
    job: Job,
    pace: &mut HostPace<'_, B>,
) -> ControlFlow<B, Done> {
    let Job {
        mut weights,
        unknown,
        strays,
        now,
    } = job;
    let unread = weights.walk(layout, &unknown, now, pace)?;
    let sum = match strays {
        Some(strays) => Some(weights.sum(layout, &strays, unread, pace)?),
        None => None,
    };
    ControlFlow::Continue(Done { weights, sum })
}

/// `SCHED_IDLE`: this thread runs when no other wants to, and, having no I/O priority of its own,
/// reads in the idle class as well (`task_nice_ioclass` in Linux), where the disk's scheduler knows
/// classes.
fn step_back() {
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    if let Err(error) =
        set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle)
    {
        info!(%error, "the dead are weighed at ordinary priority; does the unit allow sched_setscheduler?");
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::step_back;

    /// Promise 7: "Reading never blocks or slows Nix."
    #[test]
    fn the_thread_runs_and_reads_only_when_nobody_else_wants_to() {
        let stat = std::thread::spawn(|| {
            step_back();
            std::fs::read_to_string("/proc/thread-self/stat").unwrap()
        });
        let stat = stat.join().unwrap();
        // proc_pid_stat(5): (41) policy, counted from the field after the name, (3).
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let policy = fields.split(' ').nth(41 - 3).unwrap();
        const SCHED_IDLE: &str = "5";
        assert_eq!(policy, SCHED_IDLE);
    }

    /// What has no I/O priority of its own has that of its policy (`task_nice_ioclass`,
    /// include/linux/ioprio.h). Asked for the group, as for one process `ionice` shows what was set.
    #[test]
    fn to_linux_such_a_thread_reads_when_the_disk_is_idle() {
        let command = ["-i", "0", "setsid", "sh", "-c", "ionice -P $$"];
        let said = Command::new("chrt").args(command).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), "idle");
    }
}
