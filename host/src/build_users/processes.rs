//! The processes that run as build users.

use std::{
    fs, io,
    ops::Range,
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, SystemTime},
};

use crate::{FactError, Layout, Result, processes::all_are_visible};

const ATTEMPT: &str = "find the processes of build users";

/// `USER_HZ`, the unit of times in `/proc/PID/stat`: 100 on every architecture that Nix builds on.
const TICKS_PER_SECOND: u64 = 100;

/// When the oldest process with one of these user ids was started. The ids are those that the
/// host sees, also for builders in a user namespace of their own.
pub(super) fn oldest_start(layout: &Layout, taken: &[Range<u32>]) -> Result<Option<SystemTime>> {
    if taken.is_empty() {
        return Ok(None);
    }
    let proc_dir = layout.proc_dir();
    all_are_visible(layout, ATTEMPT)?;
    let mut oldest: Option<u64> = None;
    let error = |e: &io::Error| FactError::io(ATTEMPT, proc_dir, e, "");
    for process in fs::read_dir(proc_dir).map_err(|e| error(&e))? {
        let process = process.map_err(|e| error(&e))?;
        let name = process.file_name();
        if !name.as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        // A process that ends meanwhile is no builder any more.
        let Some(uid) = absent_as_none(process.metadata(), &process.path())?.map(|m| m.uid())
        else {
            continue;
        };
        if !taken.iter().any(|uids| uids.contains(&uid)) {
            continue;
        }
        let path = process.path().join("stat");
        if let Some(stat) = absent_as_none(fs::read_to_string(&path), &path)? {
            let start = start_ticks(&stat)
                .ok_or_else(|| FactError::malformed(ATTEMPT, &path, "no start time", ""))?;
            oldest = Some(oldest.map_or(start, |ticks| ticks.min(start)));
        }
    }
    let Some(ticks) = oldest else {
        return Ok(None);
    };
    let since_boot = Duration::from_millis(ticks.saturating_mul(1000 / TICKS_PER_SECOND));
    Ok(Some(boot_time(proc_dir)? + since_boot))
}

fn absent_as_none<T>(result: io::Result<T>, path: &Path) -> Result<Option<T>> {
    // ESRCH: the process ended between opening and reading its file.
    const ESRCH: i32 = nix::errno::Errno::ESRCH as i32;
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.kind() == io::ErrorKind::NotFound || e.raw_os_error() == Some(ESRCH) => {
            Ok(None)
        }
        Err(e) => Err(FactError::io(ATTEMPT, path, &e, "")),
    }
}

/// Field 22 of `/proc/PID/stat`; the second field is a name in brackets that may hold anything.
fn start_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

fn boot_time(proc_dir: &Path) -> Result<SystemTime> {
    let path = proc_dir.join("stat");
    let text = fs::read_to_string(&path)
        .map_err(|e| FactError::io(ATTEMPT, &path, &e, "let this unit have ProcSubset=all"))?;
    let seconds = text
        .lines()
        .find_map(|line| line.strip_prefix("btime "))
        .and_then(|seconds| seconds.trim().parse().ok())
        .ok_or_else(|| FactError::malformed(ATTEMPT, &path, "no boot time", ""))?;
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_time_is_found_behind_any_name_of_a_process() {
        let stat = "42 (a) b (c)) S 1 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 8761 0 0 18446";
        assert_eq!(start_ticks(stat), Some(8761));
    }
}
