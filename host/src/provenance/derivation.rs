//! Whether a derivation may be substituted at all: `allowSubstitutes` in its environment.
//!
//! A `.drv` file is one ATerm, `Derive([outputs],[inputs],[sources],"platform","builder",[args],
//! [("name","value"),…])` (`libstore/derivations.cc`, `unparse`); newer formats put a version
//! before the outputs. The environment is the last part of either.

use std::{fs, io, path::Path};

use crate::{FactError, Result};

const ATTEMPT: &str = "read a derivation";

/// False if the derivation forbids substitution; `None` if it is not in the store (any more).
pub(super) fn allows_substitutes(drv: &Path) -> Result<Option<bool>> {
    let bytes = match fs::read(drv) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(FactError::io(ATTEMPT, drv, &e, "")),
    };
    allowed(&bytes).map(Some).ok_or_else(|| {
        let cure = "`nix-store --verify --check-contents` says whether the store is damaged";
        FactError::malformed(ATTEMPT, drv, "not a derivation", cure)
    })
}

/// `ParsedDerivation::substitutesAllowed`: with structured attributes a boolean of that name,
/// otherwise a variable that is `1`; allowed if there is none.
fn allowed(bytes: &[u8]) -> Option<bool> {
    let environment = environment(bytes)?;
    let get = |name: &[u8]| environment.iter().find(|(n, _)| n == name).map(|(_, v)| v);
    if let Some(json) = get(b"__json") {
        let attributes: serde_json::Value = serde_json::from_slice(json).ok()?;
        return match attributes.get("allowSubstitutes") {
            None => Some(true),
            Some(value) => value.as_bool(),
        };
    }
    Some(get(b"allowSubstitutes").is_none_or(|value| value == b"1"))
}

fn environment(bytes: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let open = bytes.iter().position(|byte| *byte == b'(')?;
    let mut parser = Parser(&bytes[open..]);
    let Term::Sequence(parts) = parser.term(0)? else {
        return None;
    };
    let Term::Sequence(pairs) = parts.into_iter().next_back()? else {
        return None;
    };
    pairs.into_iter().map(Term::into_pair).collect()
}

enum Term {
    Text(Vec<u8>),
    Sequence(Vec<Term>),
}

impl Term {
    fn into_pair(self) -> Option<(Vec<u8>, Vec<u8>)> {
        let Self::Sequence(parts) = self else {
            return None;
        };
        match <[Self; 2]>::try_from(parts) {
            Ok([Self::Text(name), Self::Text(value)]) => Some((name, value)),
            _ => None,
        }
    }
}

struct Parser<'a>(&'a [u8]);

impl Parser<'_> {
    /// Derivations nest five deep; the limit keeps a malformed file from exhausting the stack.
    const MAX_DEPTH: u32 = 32;

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn term(&mut self, depth: u32) -> Option<Term> {
        match self.next()? {
            b'"' => Some(Term::Text(self.text()?)),
            b'(' => self.sequence(b')', depth),
            b'[' => self.sequence(b']', depth),
            _ => None,
        }
    }

    fn sequence(&mut self, close: u8, depth: u32) -> Option<Term> {
        let mut parts = Vec::new();
        if depth == Self::MAX_DEPTH {
            return None;
        }
        if self.0.first() == Some(&close) {
            self.next();
            return Some(Term::Sequence(parts));
        }
        loop {
            parts.push(self.term(depth + 1)?);
            match self.next()? {
                b',' => {}
                byte if byte == close => return Some(Term::Sequence(parts)),
                _ => return None,
            }
        }
    }

    /// The rest of a string, behind its opening quote.
    fn text(&mut self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        loop {
            match self.next()? {
                b'"' => return Some(out),
                b'\\' => out.push(match self.next()? {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    other => other,
                }),
                byte => out.push(byte),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(environment: &str) -> Option<bool> {
        let drv = format!(
            "Derive([(\"out\",\"/nix/store/x\",\"\",\"\")],[(\"/nix/store/d.drv\",[\"out\"])],[],\
             \"x86_64-linux\",\"/bin/sh\",[\"-c\",\"echo \\\"[(\\\" >$out\"],[{environment}])"
        );
        allowed(drv.as_bytes())
    }

    #[test]
    fn a_derivation_may_be_substituted_unless_it_says_otherwise() {
        assert_eq!(with(""), Some(true));
        assert_eq!(with(r#"("name","x")"#), Some(true));
        assert_eq!(with(r#"("allowSubstitutes","1"),("name","x")"#), Some(true));
        assert_eq!(with(r#"("a","b"),("allowSubstitutes","")"#), Some(false));
    }

    #[test]
    fn structured_attributes_are_asked_before_the_environment() {
        let no =
            r#"("__json","{\"allowSubstitutes\":false,\"name\":\"x\"}"),("allowSubstitutes","1")"#;
        assert_eq!(with(no), Some(false));
        assert_eq!(with(r#"("__json","{\"name\":\"x\"}")"#), Some(true));
    }

    #[test]
    fn a_file_that_is_no_derivation_is_refused() {
        for text in [
            "",
            "Derive(",
            "Derive([],[",
            "Derive([],[\"x])",
            "[[[[",
            "()",
        ] {
            assert_eq!(allowed(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(
            allowed(format!("({}", "[".repeat(1_000_000)).as_bytes()),
            None
        );
    }

    #[test]
    fn a_derivation_of_a_newer_format_is_read_too() {
        let drv = r#"DrvWithVersion("xp-dyn-drv",[],[],[],"p","b",[],[("allowSubstitutes","")])"#;
        assert_eq!(allowed(drv.as_bytes()), Some(false));
    }
}
