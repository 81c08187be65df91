//! `nix.conf`: those settings of Nix that facts depend on.
//!
//! Those of root's Nix: the daemon's, and those of whatever root runs to collect. Like every Nix
//! they read the host's file and then, if they are there, the files of their user
//! (`loadConfFile` in `libstore/globals.cc`), which `HOME` names or else the file of passwords.
//!
//! Read as `AbstractConfig::applyConfig` of Nix does (`libutil/config.cc`, 2.8 to 2.34), which
//! passes over an included file, and a file of the user, that it may not read. Root may read what
//! this user may not, such as a file of access tokens or root's home: it could hold any setting, so
//! it is passed over, too, but named in [`NixConf::unread_files`].

mod lines;

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{FactError, Kind, Layout, Result};
use lines::{Line, Lines};

const ATTEMPT: &str = "read the configuration of Nix";

/// What root's Nix reads after the host's file, the last one counting most (`getConfigDirs` in
/// `libutil`), where no variable of its environment names other places.
const ROOTS_OWN: [&str; 2] = ["/etc/xdg/nix/nix.conf", "/root/.config/nix/nix.conf"];

/// User ids that Nix allocates by itself in place of a group of build users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UidRange {
    /// `start-id`: the first user id.
    pub start: u32,
    /// `id-count`: how many there are. A build takes a slot of [`UidRange::SLOT`] of them.
    pub count: u32,
}

impl UidRange {
    /// Ids to a slot (`maxIdsPerBuild` in `libstore/globals.hh`).
    pub const SLOT: u32 = 1 << 16;
}

/// The settings of the host's Nix that facts depend on, defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NixConf {
    /// `keep-outputs`: a live derivation keeps its outputs alive.
    pub keep_outputs: bool,
    /// `keep-derivations`: a live output keeps its derivation alive.
    pub keep_derivations: bool,
    /// `build-users-group`; `None` if it is set to nothing. Nix defaults to `nixbld` when it runs
    /// as root and to nothing otherwise; the daemon of a host runs as root.
    pub build_users_group: Option<String>,
    /// The ids of `auto-allocate-uids`, if that is on and the experimental feature of the same
    /// name is, without which Nix ignores the setting.
    pub auto_allocate_uids: Option<UidRange>,
    /// `substituters` in the order of configuration, as written.
    pub substituters: Vec<String>,
    /// `substitute`.
    pub substitute: bool,
    /// `always-allow-substitutes`: a derivation's own `allowSubstitutes` is ignored.
    pub always_allow_substitutes: bool,
    /// `keep-build-log`: a build in progress has its log open.
    pub keep_build_log: bool,
    /// `build-dir`: where builds work, if it is set.
    pub build_dir: Option<PathBuf>,
    /// `use-sqlite-wal`.
    pub use_sqlite_wal: bool,
    /// `narinfo-cache-negative-ttl`: how long "this substituter has it not" is remembered.
    pub narinfo_cache_negative_ttl: Duration,
    /// `netrc-file`: names and passwords for substituters.
    pub netrc_file: PathBuf,
    /// `ssl-cert-file`, if it is set: the authorities that certify substituters.
    pub ssl_cert_file: Option<PathBuf>,
    /// Included files and files of root that are there, or may be, but that this process cannot
    /// read: the settings above are those of the host only if none of them is set in there.
    pub unread_files: Vec<PathBuf>,
}

impl Default for NixConf {
    fn default() -> Self {
        Self {
            keep_outputs: false,
            keep_derivations: true,
            build_users_group: Some("nixbld".to_owned()),
            auto_allocate_uids: None,
            substituters: vec!["https://cache.nixos.org/".to_owned()],
            substitute: true,
            always_allow_substitutes: false,
            keep_build_log: true,
            build_dir: None,
            use_sqlite_wal: true,
            narinfo_cache_negative_ttl: Duration::from_secs(3600),
            netrc_file: PathBuf::from("/etc/nix/netrc"),
            ssl_cert_file: None,
            unread_files: Vec::new(),
        }
    }
}

impl NixConf {
    /// Reads the host's `nix.conf`, root's own, and what they include. No such file means all
    /// defaults.
    ///
    /// # Errors
    /// If the host's `nix.conf` itself cannot be read, an `include` is missing, a line is none, or
    /// a value that matters here is malformed: with file and line number.
    pub fn read(layout: &Layout) -> Result<Self> {
        let main = Path::new("/etc/nix/nix.conf");
        let mut lines = match std::fs::symlink_metadata(layout.inside(main)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Lines::default(),
            _ => lines::read(layout, main)?,
        };
        for own in ROOTS_OWN {
            lines::read_if_readable(layout, Path::new(own), &mut lines)?;
        }
        Ok(Self {
            unread_files: lines.unread,
            ..apply(&lines.settings)?
        })
    }
}

/// Later lines override earlier ones, `extra-` appends to what is there by then.
fn apply(lines: &[Line]) -> Result<NixConf> {
    let mut conf = NixConf::default();
    let mut auto = false;
    let mut range = UidRange {
        start: 0x3400_0000,
        count: 128 * UidRange::SLOT,
    };
    let mut features: Vec<String> = Vec::new();
    for line in lines {
        match line.name.as_str() {
            "keep-outputs" | "gc-keep-outputs" => conf.keep_outputs = boolean(line)?,
            "keep-derivations" | "gc-keep-derivations" => conf.keep_derivations = boolean(line)?,
            "build-users-group" => {
                conf.build_users_group = Some(line.value.clone()).filter(|name| !name.is_empty());
            }
            "auto-allocate-uids" => auto = boolean(line)?,
            "start-id" => range.start = number(line)?,
            "id-count" => range.count = number(line)?,
            "experimental-features" => features = words(line).collect(),
            "extra-experimental-features" => features.extend(words(line)),
            "substituters" | "binary-caches" => conf.substituters = words(line).collect(),
            "extra-substituters" | "extra-binary-caches" => conf.substituters.extend(words(line)),
            "substitute" | "build-use-substitutes" => conf.substitute = boolean(line)?,
            "always-allow-substitutes" => conf.always_allow_substitutes = boolean(line)?,
            "keep-build-log" | "build-keep-log" => conf.keep_build_log = boolean(line)?,
            "build-dir" => {
                conf.build_dir = Some(PathBuf::from(&line.value)).filter(|path| path.is_absolute());
            }
            "use-sqlite-wal" => conf.use_sqlite_wal = boolean(line)?,
            "netrc-file" => conf.netrc_file = PathBuf::from(&line.value),
            "ssl-cert-file" => {
                conf.ssl_cert_file =
                    Some(PathBuf::from(&line.value)).filter(|path| !path.as_os_str().is_empty());
            }
            "narinfo-cache-negative-ttl" => {
                conf.narinfo_cache_negative_ttl = Duration::from_secs(number(line)?.into());
            }
            _ => {}
        }
    }
    if auto
        && features
            .iter()
            .any(|feature| feature == "auto-allocate-uids")
    {
        conf.auto_allocate_uids = Some(range);
    }
    Ok(conf)
}

fn words(line: &Line) -> impl Iterator<Item = String> + '_ {
    line.value.split_whitespace().map(str::to_owned)
}

fn boolean(line: &Line) -> Result<bool> {
    match line.value.as_str() {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        _ => Err(wrong(line, "a boolean", "write true or false")),
    }
}

/// Decimal, with a unit prefix of K, M, G or T (`string2IntWithUnitPrefix`).
fn number(line: &Line) -> Result<u32> {
    let digits = line
        .value
        .trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match line.value[digits.len()..].to_ascii_uppercase().as_str() {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        "T" => 1 << 40,
        _ => return Err(wrong(line, "a number", "")),
    };
    let value = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(unit));
    value
        .and_then(|n| u32::try_from(n).ok())
        .ok_or_else(|| wrong(line, "a number below 2^32", ""))
}

fn wrong(line: &Line, wanted: &str, cure: &str) -> FactError {
    let cause = format!(
        "line {}: {} = {:?} is not {wanted}",
        line.number, line.name, line.value
    );
    FactError::new(Kind::Malformed, ATTEMPT, &line.file, cause, cure)
}

#[cfg(test)]
mod tests;
