//! What Nix says, read for people and for the one thing that matters: which path it refuses.

use std::ffi::{OsStr, OsString};

use snowguard_host::STORE_DIR;

/// Without the colours that Nix paints its words with, whatever it writes to.
pub(super) fn plain(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let mut parts = said.split('\u{1b}');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part
            .find(|c: char| c.is_ascii_alphabetic())
            .map_or(part.len(), |at| at + 1);
        out.push_str(&part[end..]);
    }
    out.trim().to_owned()
}

/// Which of the entries Nix refuses, if that is what it says: the first that it names in
/// `Cannot delete path '/nix/store/…' since it is still alive` (`gc.cc`, all versions), or in
/// `cannot delete path '…' because it is in use by …` (`invalidatePathChecked`, for one that got
/// a referrer meanwhile).
pub(super) fn refused(said: &str, entries: &[OsString]) -> Option<OsString> {
    if !said.contains("still alive") && !said.contains("in use by") {
        return None;
    }
    let first = said.split_once(&format!("{STORE_DIR}/"))?.1;
    // What no name of a store path can have.
    let end = first.find(|c: char| !(c.is_ascii_alphanumeric() || "+-._?=".contains(c)));
    let name = OsStr::new(&first[..end.unwrap_or(first.len())]);
    entries.iter().find(|entry| *entry == name).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALIVE: &str = "0000000000000000000000000000000a-alive";

    fn asked() -> Vec<OsString> {
        vec!["0000000000000000000000000000000b-dead".into(), ALIVE.into()]
    }

    #[test]
    fn the_path_that_nix_refuses_is_named_by_it() {
        for said in [
            format!(
                "error: \u{1b}[31mcannot delete path '/nix/store/{ALIVE}' since it is still alive. \
                 To find out why, use: nix-store --query --roots"
            ),
            format!(
                "cannot delete path '/nix/store/{ALIVE}' because it is in use by '/nix/store/x'"
            ),
            format!("Cannot delete path '/nix/store/{ALIVE}' since it is still alive"),
            format!("some paths are still alive: /nix/store/{ALIVE}"),
        ] {
            let said = plain(said.as_bytes());
            assert_eq!(refused(&said, &asked()), Some(ALIVE.into()), "{said}");
        }
    }

    #[test]
    fn a_path_that_was_not_asked_for_or_another_failure_refuses_nothing() {
        for said in [
            "cannot delete path '/nix/store/other' since it is still alive".to_owned(),
            format!("cannot delete path '/nix/store/{ALIVE}': No space left on device"),
            format!("cannot delete path '/tmp/{ALIVE}' since it is still alive"),
            "cannot delete path '/nix/store/".to_owned(),
            "it is still alive: /nix/store/".to_owned(),
            "database disk image is malformed".to_owned(),
            String::new(),
        ] {
            assert_eq!(refused(&said, &asked()), None, "{said}");
        }
    }
}
