//! `[probes.NAME]` of the configuration.

use std::{path::PathBuf, time::Duration};

use hyper::Uri;
use jiff::SignedDuration;
use serde::Deserialize;

/// No probe may take longer, so that a tick stays a tick.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_FAILURES: u32 = 100;

/// One probe, checked: each kind has its own keys and no other's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Raw")]
pub struct ProbeConfig {
    /// What is tried.
    pub check: Check,
    /// How long it may take. Written with a unit (`"5s"`), at most [`MAX_TIMEOUT`].
    pub timeout: Duration,
    /// How many failures in a row count as failed.
    pub failures: u32,
}

/// What a probe tries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// A TCP connection can be made.
    Tcp {
        /// `HOST:PORT`.
        address: String,
    },
    /// A GET is answered.
    Http {
        /// An `http://` URL.
        url: Uri,
        /// The statuses that are well; none given means any 2xx.
        status: Vec<u16>,
        /// What the body must contain.
        body_contains: Option<String>,
    },
    /// A program exits with 0. It runs as the watchdog does, under the watchdog's own root (not
    /// under `--root`), without a shell, with an empty environment.
    Command {
        /// The program, an absolute path.
        program: PathBuf,
        /// Its arguments.
        args: Vec<String>,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawKind {
    Tcp,
    Http,
    Command,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(u16),
    More(Vec<u16>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    kind: RawKind,
    address: Option<String>,
    url: Option<String>,
    status: Option<OneOrMore>,
    body_contains: Option<String>,
    command: Option<Vec<String>>,
    timeout: Option<String>,
    failures: Option<u32>,
}

impl TryFrom<Raw> for ProbeConfig {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        let Raw {
            kind,
            address,
            url,
            status,
            body_contains,
            command,
            timeout,
            failures,
        } = raw;
        let timeout = timeout.map_or(Ok(DEFAULT_TIMEOUT), |text| parse_timeout(&text))?;
        let failures = failures.unwrap_or(2);
        if !(1..=MAX_FAILURES).contains(&failures) {
            return Err(format!(
                "`failures` is {failures}; give a number from 1 to {MAX_FAILURES}"
            ));
        }
        let foreign =
            |kind: &str, keys: &[(&str, bool)]| match keys.iter().find(|(_, given)| *given) {
                Some((key, _)) => Err(format!("a probe of kind `{kind}` has no key `{key}`")),
                None => Ok(()),
            };
        let http_keys = [
            ("url", url.is_some()),
            ("status", status.is_some()),
            ("body_contains", body_contains.is_some()),
        ];
        let address_key = ("address", address.is_some());
        let command_key = ("command", command.is_some());
        let check = match kind {
            RawKind::Tcp => {
                foreign("tcp", &http_keys)?;
                foreign("tcp", &[command_key])?;
                tcp(address)?
            }
            RawKind::Http => {
                foreign("http", &[address_key, command_key])?;
                http(url, status, body_contains)?
            }
            RawKind::Command => {
                foreign("command", &http_keys)?;
                foreign("command", &[address_key])?;
                argv(command)?
            }
        };
        Ok(Self {
            check,
            timeout,
            failures,
        })
    }
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    let parsed: SignedDuration = text.parse().map_err(|_| {
        format!("`timeout` is {text:?}; write a number with its unit, such as \"5s\" or \"500ms\"")
    })?;
    match Duration::try_from(parsed) {
        Ok(timeout) if !timeout.is_zero() && timeout <= MAX_TIMEOUT => Ok(timeout),
        _ => Err(format!(
            "`timeout` is {text:?}; it must be more than 0 and at most {}s",
            MAX_TIMEOUT.as_secs()
        )),
    }
}

fn tcp(address: Option<String>) -> Result<Check, String> {
    let address = address.ok_or("a probe of kind `tcp` needs `address = \"HOST:PORT\"`")?;
    match address.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0) => {
            Ok(Check::Tcp { address })
        }
        _ => Err(format!("`address` is {address:?}; write HOST:PORT")),
    }
}

fn http(
    url: Option<String>,
    status: Option<OneOrMore>,
    body_contains: Option<String>,
) -> Result<Check, String> {
    let url = url.ok_or("a probe of kind `http` needs `url = \"http://…\"`")?;
    let parsed: Uri = url
        .parse()
        .map_err(|cause| format!("`url` is {url:?}: {cause}"))?;
    if parsed.scheme_str() != Some("http") || parsed.host().is_none_or(str::is_empty) {
        return Err(format!(
            "`url` is {url:?}; only http://HOST[:PORT]/PATH can be probed"
        ));
    }
    if parsed.authority().is_some_and(|a| a.as_str().contains('@')) {
        return Err("`url` names a user; probes send no credentials".to_owned());
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn read(text: &str) -> Result<ProbeConfig, String> {
        #[derive(Debug, Deserialize)]
        struct File {
            probes: BTreeMap<String, ProbeConfig>,
        }
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        Ok(file.probes.into_values().next().expect("one probe"))
    }

    #[test]
    fn every_kind_is_read_with_its_defaults() {
        let tcp = read("[probes.ssh]\nkind = 'tcp'\naddress = '127.0.0.1:22'").expect("tcp");
        assert_eq!((tcp.timeout, tcp.failures), (Duration::from_secs(5), 2));
        let http = read(
            "[probes.web]\nkind='http'\nurl='http://[::1]:80/x'\nstatus=[200,204]\ntimeout='500ms'\nfailures=1",
        );
        let http = http.expect("http");
        assert_eq!(http.timeout, Duration::from_millis(500));
        assert!(matches!(http.check, Check::Http { status, .. } if status == [200, 204]));
        let command = read("[probes.job]\nkind = 'command'\ncommand = ['/bin/true', 'a b']");
        let expected = Check::Command {
            program: "/bin/true".into(),
            args: vec!["a b".into()],
        };
        assert_eq!(command.expect("command").check, expected);
    }

    #[test]
    fn a_mistake_is_refused_with_the_key_that_is_wrong() {
        for (text, said) in [
            ("kind = 'tcp'", "needs `address"),
            ("kind = 'tcp'\naddress = 'host'", "write HOST:PORT"),
            (
                "kind = 'tcp'\naddress = 'h:1'\nurl = 'http://h'",
                "no key `url`",
            ),
            ("kind = 'http'\nurl = 'https://h/'", "only http://"),
            ("kind = 'http'\nurl = 'http://u:p@h/'", "no credentials"),
            ("kind = 'http'\nurl = 'http://h/'\nstatus = 99", "names 99"),
            ("kind = 'command'\ncommand = []", "is empty"),
            ("kind = 'command'\ncommand = ['true']", "absolute path"),
            (
                "kind = 'command'\ncommand = ['/x']\naddress = 'h:1'",
                "no key `address`",
            ),
            (
                "kind = 'tcp'\naddress = 'h:1'\ntimeout = '5'",
                "with its unit",
            ),
            (
                "kind = 'tcp'\naddress = 'h:1'\ntimeout = '31s'",
                "at most 30s",
            ),
            (
                "kind = 'tcp'\naddress = 'h:1'\ntimeout = '-1s'",
                "more than 0",
            ),
            ("kind = 'tcp'\naddress = 'h:1'\nfailures = 0", "from 1 to"),
            (
                "kind = 'tcp'\naddress = 'h:1'\ncolour = 1",
                "unknown field `colour`",
            ),
            ("kind = 'icmp'", "unknown variant `icmp`"),
        ] {
            let error = read(&format!("[probes.p]\n{text}")).expect_err(text);
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
