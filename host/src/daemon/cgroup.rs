//! What builds wait for: the pressure files of the daemon's control group (cgroup v2, PSI), and
//! how much memory it takes. Without `use-cgroups` builders run in the daemon's own group, with
//! it in groups below that; the files count both.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{FactError, Layout, Result};

const ATTEMPT: &str = "read the pressure on the daemon of Nix";

/// The hierarchy of control groups.
const HIERARCHY: &str = "/sys/fs/cgroup";

/// Where the daemon's unit is unless it has a slice of its own.
const UNIT: &str = "system.slice/nix-daemon.service";

/// Groups that a daemon makes below its unit to move itself to (`use-cgroups`; Lix).
const OWN_GROUPS: [&str; 2] = ["nix-daemon", "supervisor"];

/// What there can be a lack of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Processor time.
    Cpu,
    /// The disk.
    Io,
    /// Memory.
    Memory,
}

impl Resource {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Io, Self::Memory];

    /// As the kernel writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Io => "io",
            Self::Memory => "memory",
        }
    }
}

/// For how long there was a lack of one resource, since the group was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pressure {
    /// Of what.
    pub resource: Resource,
    /// How long at least one process waited (`some`).
    pub waiting: Duration,
    /// How long all of them did (`full`); not known of the processor before Linux 5.13.
    pub stalled: Option<Duration>,
}

/// The daemon's control group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonCgroup {
    /// Pressure by resource; none where the kernel does not keep it (`psi=0`).
    pub pressure: Vec<Pressure>,
    /// Memory of all of its processes in bytes, caches of files included.
    pub memory_bytes: Option<u64>,
    /// What it may take at most, if that is limited.
    pub memory_limit_bytes: Option<u64>,
}

impl DaemonCgroup {
    /// Reads the group of `nix-daemon.service`, or of a process named `nix-daemon` where that is
    /// not in the slice of the system. `None` if there is none: the daemon is started by the first
    /// client, and a host may have none.
    ///
    /// # Errors
    /// If a file is there but cannot be read or is not what the kernel writes.
    pub fn read(layout: &Layout) -> Result<Option<Self>> {
        match find(layout)? {
            Some(group) => read(&group).map(Some),
            None => Ok(None),
        }
    }
}

fn find(layout: &Layout) -> Result<Option<PathBuf>> {
    let hierarchy = layout.inside(HIERARCHY);
    let usual = hierarchy.join(UNIT);
    if usual.is_dir() {
        return Ok(Some(usual));
    }
    let proc_dir = layout.proc_dir();
    let error = |e: &io::Error| FactError::io(ATTEMPT, proc_dir, e, "mount /proc");
    for process in fs::read_dir(proc_dir).map_err(|e| error(&e))? {
        let process = process.map_err(|e| error(&e))?.path();
        // What cannot be read has ended, or is no process.
        let Ok(name) = fs::read_to_string(process.join("comm")) else {
            continue;
        };
        if name.trim_end() != "nix-daemon" {
            continue;
        }
        let Ok(groups) = fs::read_to_string(process.join("cgroup")) else {
            continue;
        };
        let group = groups.lines().find_map(|line| line.strip_prefix("0::/"));
        let found = group.and_then(unit_of).map(|unit| hierarchy.join(unit));
        if let Some(found) = found.filter(|found| found.is_dir()) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The unit's group, without the group that the daemon made for itself. A daemon that somebody
/// started by hand is in the group of a session, whose pressure is not that of builds.
fn unit_of(group: &str) -> Option<&Path> {
    let group = Path::new(group);
    let own = group.file_name()?.to_str()?;
    let unit = if OWN_GROUPS.contains(&own) {
        group.parent()?
    } else {
        group
    };
    unit.extension()
        .is_some_and(|kind| kind == "service")
        .then_some(unit)
}

fn read(group: &Path) -> Result<DaemonCgroup> {
    let mut pressure = Vec::new();
    for resource in Resource::ALL {
        let path = group.join(format!("{}.pressure", resource.as_str()));
        if let Some(text) = text(&path)? {
            let malformed = || FactError::malformed(ATTEMPT, &path, "not what PSI writes", "");
            let waiting = total(&text, "some")
                .and_then(|total| total)
                .ok_or_else(malformed)?;
            let stalled = match total(&text, "full") {
                Some(total) => Some(total.ok_or_else(malformed)?),
                None => None,
            };
            pressure.push(Pressure {
                resource,
                waiting,
                stalled,
            });
        }
    }
    Ok(DaemonCgroup {
        pressure,
        memory_bytes: bytes(&group.join("memory.current"))?,
        memory_limit_bytes: bytes(&group.join("memory.max"))?,
    })
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=1234`, in microseconds: `None` if there is no
/// such line, and nothing in it if the line has no total.
fn total(text: &str, kind: &str) -> Option<Option<Duration>> {
    let line = text
        .lines()
        .find(|line| line.split(' ').next() == Some(kind))?;
    let total = line
        .split(' ')
        .find_map(|word| word.strip_prefix("total="))
        .and_then(|total| total.parse().ok());
    Some(total.map(Duration::from_micros))
}

/// A number of bytes; `max` is no limit.
fn bytes(path: &Path) -> Result<Option<u64>> {
    let Some(text) = text(path)? else {
        return Ok(None);
    };
    match text.trim_end() {
        "max" => Ok(None),
        number => number
            .parse()
            .map(Some)
            .map_err(|_| FactError::malformed(ATTEMPT, path, "not a number", "")),
    }
}

/// `None` if the kernel does not keep this: no such file (the controller is off), or one that it
/// refuses to read (`psi=0` on the kernel's command line).
fn text(path: &Path) -> Result<Option<String>> {
    const NOT_KEPT: i32 = nix::errno::Errno::EOPNOTSUPP as i32;
    // The group may go while it is read: a daemon that nobody uses is stopped.
    const GONE: i32 = nix::errno::Errno::ENODEV as i32;
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) if matches!(e.raw_os_error(), Some(NOT_KEPT | GONE)) => Ok(None),
        Err(e) => Err(FactError::io(ATTEMPT, path, &e, "")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    fn host(files: &[(&str, &str)]) -> (tempfile::TempDir, Layout) {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path()).with_proc(dir.path().join("proc"));
        fs::create_dir_all(layout.proc_dir()).unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        (dir, layout)
    }

    const SOME: &str = "some avg10=0.00 avg60=1.20 avg300=0.00 total=2500000\n";
    const BOTH: &str = "some avg10=0.00 avg60=0.00 avg300=0.00 total=3000000\n\
                        full avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\n";

    #[test]
    fn pressure_and_memory_are_those_of_the_unit() {
        let unit = "sys/fs/cgroup/system.slice/nix-daemon.service";
        let (_dir, layout) = host(&[
            (&format!("{unit}/cpu.pressure"), SOME),
            (&format!("{unit}/memory.pressure"), BOTH),
            (&format!("{unit}/memory.current"), "4096\n"),
            (&format!("{unit}/memory.max"), "max\n"),
        ]);
        let group = DaemonCgroup::read(&layout).unwrap().unwrap();
        let expected = [
            Pressure {
                resource: Resource::Cpu,
                waiting: Duration::from_millis(2500),
                stalled: None,
            },
            Pressure {
                resource: Resource::Memory,
                waiting: Duration::from_secs(3),
                stalled: Some(Duration::from_millis(1500)),
            },
        ];
        assert_eq!(group.pressure, expected);
        assert_eq!(
            (group.memory_bytes, group.memory_limit_bytes),
            (Some(4096), None)
        );
    }

    #[test]
    fn a_daemon_in_a_slice_of_its_own_is_found_by_its_process() {
        for (own, found) in [
            ("builder.slice/nix-daemon.service", true),
            ("builder.slice/nix-daemon.service/nix-daemon", true),
            ("builder.slice/nix-daemon.service/supervisor", true),
            ("user.slice/user-0.slice/session-1.scope", false),
        ] {
            let (_dir, layout) = host(&[
                ("proc/7/comm", "bash\n"),
                ("proc/8/comm", "nix-daemon\n"),
                ("proc/8/cgroup", &format!("0::/{own}\n")),
                (
                    "sys/fs/cgroup/builder.slice/nix-daemon.service/memory.current",
                    "1\n",
                ),
                (
                    "sys/fs/cgroup/user.slice/user-0.slice/session-1.scope/memory.current",
                    "2\n",
                ),
            ]);
            let group = DaemonCgroup::read(&layout).unwrap();
            assert_eq!(
                group.and_then(|group| group.memory_bytes),
                found.then_some(1),
                "{own}"
            );
        }
    }

    #[test]
    fn a_file_that_the_kernel_never_wrote_is_an_error_and_not_a_zero() {
        let unit = "sys/fs/cgroup/system.slice/nix-daemon.service";
        for text in ["", "some total=x\n", "some total=1\nfull avg10=0\n"] {
            let (_dir, layout) = host(&[(&format!("{unit}/io.pressure"), text)]);
            let error = DaemonCgroup::read(&layout).unwrap_err();
            assert_eq!(error.kind, Kind::Malformed, "{text:?}");
        }
    }

    #[test]
    fn a_daemon_that_nobody_has_started_is_under_no_pressure() {
        let (_dir, layout) = host(&[]);
        assert_eq!(DaemonCgroup::read(&layout).unwrap(), None);
    }
}
