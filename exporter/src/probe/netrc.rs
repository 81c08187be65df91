//! Names and passwords for substituters, as curl reads them from a netrc file.

use std::{fs, io, path::Path};

/// What a netrc file says; nothing if it is not there or this user may not read it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Netrc {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// `None` for `default`, which ends the list.
    machine: Option<String>,
    login: String,
    password: String,
}

impl Netrc {
    /// Reads the file. Without it substituters are asked without a password, as Nix does
    /// (`CURL_NETRC_OPTIONAL`).
    ///
    /// # Errors
    /// If it is there but cannot be read: what is refused then says nothing.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    fn parse(text: &str) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        let entry = |machine| Entry {
            machine,
            login: String::new(),
            password: String::new(),
        };
        let lines = text.lines().filter(|line| !line.trim().starts_with('#'));
        let mut words = lines.flat_map(str::split_whitespace);
        while let Some(word) = words.next() {
            match (word, entries.last_mut()) {
                ("machine", _) => entries.push(entry(words.next().map(str::to_owned))),
                ("default", _) => entries.push(entry(None)),
                ("login", Some(last)) => last.login = words.next().unwrap_or_default().to_owned(),
                ("password", Some(last)) => {
                    last.password = words.next().unwrap_or_default().to_owned();
                }
                _ => {}
            }
        }
        Self { entries }
    }

    /// `LOGIN:PASSWORD` for a host.
    pub(crate) fn of(&self, host: &str) -> Option<String> {
        let mut entries = self.entries.iter();
        let found = entries.find(|entry| entry.machine.as_deref().is_none_or(|m| m == host))?;
        Some(format!("{}:{}", found.login, found.password))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_for_a_host_or_the_default_counts() {
        let netrc = Netrc::parse(
            "# machine c login x\nmachine a login me password p\n\
             machine b\n  login you\n  password q\ndefault login any password r\n",
        );
        assert_eq!(netrc.of("a").as_deref(), Some("me:p"));
        assert_eq!(netrc.of("b").as_deref(), Some("you:q"));
        assert_eq!(netrc.of("c").as_deref(), Some("any:r"));
        assert_eq!(Netrc::parse("machine a login x").of("b"), None);
    }
}
