//! A probe as it is written: the keys of all kinds, of which each kind takes its own.

use std::{net::Ipv6Addr, path::PathBuf};

use serde::Deserialize;
use snowguard_exporter::units::TimeSpan;

use super::{
    Check, DEFAULT_RESTARTS, DEFAULT_TIMEOUT, ProbeConfig, RouteFamily, Severity, grace, interval,
    parse_timeout, window,
};

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawKind {
    Tcp,
    Http,
    Command,
    Systemd,
    Writable,
    Dns,
    DefaultRoute,
}

impl RawKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Http => "http",
            Self::Command => "command",
            Self::Systemd => "systemd",
            Self::Writable => "writable",
            Self::Dns => "dns",
            Self::DefaultRoute => "default_route",
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(u16),
    More(Vec<u16>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    kind: RawKind,
    timeout: Option<String>,
    failures: Option<u32>,
    of: Option<u32>,
    interval: Option<TimeSpan>,
    grace: Option<TimeSpan>,
    severity: Option<Severity>,
    profile: Option<String>,
    address: Option<String>,
    url: Option<String>,
    status: Option<OneOrMore>,
    body_contains: Option<String>,
    ca_file: Option<PathBuf>,
    command: Option<Vec<String>>,
    units: Option<Vec<String>>,
    max_restarts: Option<u64>,
    max_failed: Option<u64>,
    directory: Option<PathBuf>,
    host: Option<String>,
    family: Option<RouteFamily>,
}

impl Raw {
    /// Each key that is given and belongs to one kind.
    fn given(&self) -> impl Iterator<Item = (RawKind, &'static str)> {
        use RawKind as K;
        [
            (K::Tcp, "address", self.address.is_some()),
            (K::Http, "url", self.url.is_some()),
            (K::Http, "status", self.status.is_some()),
            (K::Http, "body_contains", self.body_contains.is_some()),
            (K::Http, "ca_file", self.ca_file.is_some()),
            (K::Command, "command", self.command.is_some()),
            (K::Systemd, "units", self.units.is_some()),
            (K::Systemd, "max_restarts", self.max_restarts.is_some()),
            (K::Systemd, "max_failed", self.max_failed.is_some()),
            (K::Writable, "directory", self.directory.is_some()),
            (K::Dns, "host", self.host.is_some()),
            (K::DefaultRoute, "family", self.family.is_some()),
        ]
        .into_iter()
        .filter(|(_, _, given)| *given)
        .map(|(kind, key, _)| (kind, key))
    }

    fn check(self) -> Result<Check, String> {
        match self.kind {
            RawKind::Tcp => tcp(self.address),
            RawKind::Http => http(self.url, self.status, self.body_contains, self.ca_file),
            RawKind::Command => argv(self.command),
            RawKind::Systemd => systemd(self.units, self.max_restarts, self.max_failed),
            RawKind::Writable => writable(self.directory),
            RawKind::Dns => dns(self.host),
            RawKind::DefaultRoute => Ok(Check::DefaultRoute {
                family: self.family.unwrap_or_default(),
            }),
        }
    }
}

impl TryFrom<Raw> for ProbeConfig {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        let kind = raw.kind;
        if let Some((_, key)) = raw.given().find(|(of, _)| *of != kind) {
            return Err(format!(
                "a probe of kind `{}` has no key `{key}`",
                kind.name()
            ));
        }
        let (failures, of) = window(raw.failures, raw.of)?;
        Ok(Self {
            timeout: (raw.timeout.as_deref()).map_or(Ok(DEFAULT_TIMEOUT), parse_timeout)?,
            failures,
            of,
            interval: interval(raw.interval)?,
            grace: grace(raw.grace)?,
            severity: raw.severity.unwrap_or_default(),
            profile: raw.profile.clone(),
            check: raw.check()?,
        })
    }
}

fn tcp(address: Option<String>) -> Result<Check, String> {
    let address = address.ok_or("a probe of kind `tcp` needs `address = \"HOST:PORT\"`")?;
    // The last number of an IPv6 address is no port.
    let is_host = |host: &str| {
        let inside = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        match inside {
            Some(inside) => inside.parse::<Ipv6Addr>().is_ok(),
            None => !host.is_empty() && !host.contains([':', '[', ']']),
        }
    };
    match address.rsplit_once(':') {
        Some((host, port)) if is_host(host) && port.parse::<u16>().is_ok_and(|p| p > 0) => {
            Ok(Check::Tcp { address })
        }
        _ => Err(format!(
            "`address` is {address:?}; write HOST:PORT, an IPv6 address as [::1]:PORT"
        )),
    }
}

fn http(
    url: Option<String>,
    status: Option<OneOrMore>,
    body_contains: Option<String>,
    ca_file: Option<PathBuf>,
) -> Result<Check, String> {
    let url = url.ok_or("a probe of kind `http` needs `url = \"http://…\"`")?;
    let parsed = crate::http::url("url", &url)?;
    if let Some(file) = &ca_file {
        if file.is_relative() {
            return Err(format!("`ca_file` is {file:?}; give an absolute path"));
        }
        if !crate::http::is_tls(&parsed) {
            return Err("`ca_file` is for an https:// URL".to_owned());
        }
    }
    if body_contains.as_ref().is_some_and(String::is_empty) {
        return Err("`body_contains` is empty, which every body contains".to_owned());
    }
    let status = match status {
        None => Vec::new(),
        Some(OneOrMore::One(one)) => vec![one],
        Some(OneOrMore::More(more)) => more,
    };
    if let Some(wrong) = status.iter().find(|code| !(100..=599).contains(*code)) {
        return Err(format!("`status` names {wrong}; a status is 100 to 599"));
    }
    Ok(Check::Http {
        url: parsed,
        status,
        body_contains,
        ca_file,
    })
}

fn argv(command: Option<Vec<String>>) -> Result<Check, String> {
    let command =
        command.ok_or("a probe of kind `command` needs `command = [\"/PROGRAM\", \"ARG\"]`")?;
    let mut words = command.into_iter();
    let program = PathBuf::from(words.next().ok_or("`command` is empty")?);
    if !program.is_absolute() {
        return Err(format!(
            "`command` begins with {program:?}; give the absolute path of the program"
        ));
    }
    Ok(Check::Command {
        program,
        args: words.collect(),
    })
}

fn systemd(
    units: Option<Vec<String>>,
    max_restarts: Option<u64>,
    max_failed: Option<u64>,
) -> Result<Check, String> {
    let units = units.unwrap_or_default();
    if units.is_empty() && max_failed.is_none() {
        return Err(
            "a probe of kind `systemd` needs `units = [\"NAME.service\"]`, `max_failed`, or both"
                .to_owned(),
        );
    }
    if units.is_empty() && max_restarts.is_some() {
        return Err("`max_restarts` is about `units`, and there are none".to_owned());
    }
    // What systemd takes as a name (`VALID_CHARS` in src/basic/unit-name.h); a pattern or an
    // option would ask something else than it seems to.
    let is_name = |unit: &String| {
        let letters = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
        unit.contains('.') && !unit.starts_with('-') && unit.chars().all(letters)
    };
    if let Some(wrong) = units.iter().find(|unit| !is_name(unit)) {
        return Err(format!(
            "`units` names {wrong:?}; write the whole name of a unit, such as \"nginx.service\""
        ));
    }
    Ok(Check::Systemd {
        units,
        max_restarts: max_restarts.unwrap_or(DEFAULT_RESTARTS),
        max_failed,
    })
}

fn writable(directory: Option<PathBuf>) -> Result<Check, String> {
    let directory = directory.ok_or("a probe of kind `writable` needs `directory = \"/DIR\"`")?;
    if !directory.is_absolute() {
        return Err(format!(
            "`directory` is {directory:?}; give an absolute path"
        ));
    }
    Ok(Check::Writable { directory })
}

fn dns(host: Option<String>) -> Result<Check, String> {
    let host = host.ok_or("a probe of kind `dns` needs `host = \"NAME\"`")?;
    if host.is_empty() || host.contains([':', '/', ' ']) {
        return Err(format!("`host` is {host:?}; write a name alone"));
    }
    // What `inet_aton(3)` reads as an address, such as 127.1: no name ends in a number.
    let last = host.trim_end_matches('.').rsplit('.').next();
    let is_number = |label: &str| {
        let hex = label
            .strip_prefix("0x")
            .or_else(|| label.strip_prefix("0X"));
        hex.map_or_else(
            || label.bytes().all(|byte| byte.is_ascii_digit()),
            |hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()),
        )
    };
    if last.is_some_and(is_number) {
        return Err(format!(
            "`host` is {host:?}, for which no server is ever asked; write a name"
        ));
    }
    Ok(Check::Dns { host })
}
