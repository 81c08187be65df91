//! Patterns of file names (`filepath.Glob`, Go 1.24): `*`, `?`, `[a-z]`, `[^a]`, and `\` before a
//! sign that stands for itself. No pattern goes across a `/`.

use std::fs;
use std::path::{Path, PathBuf};

/// The files that a pattern names, in name order; `None` if it is not a pattern. What cannot be
/// read names no file, as in Go.
pub(super) fn glob(pattern: &Path) -> Option<Vec<PathBuf>> {
    let pattern = pattern.to_str()?;
    matches(pattern, "")?;
    if !pattern.contains(['*', '?', '[', '\\']) {
        let path = PathBuf::from(pattern);
        return Some(if path.symlink_metadata().is_ok() {
            vec![path]
        } else {
            Vec::new()
        });
    }
    let mut found = vec![PathBuf::from(if pattern.starts_with('/') {
        "/"
    } else {
        ""
    })];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        let mut next = Vec::new();
        for directory in found {
            next.extend(within(&directory, part)?);
        }
        found = next;
    }
    Some(found)
}

fn within(directory: &Path, part: &str) -> Option<Vec<PathBuf>> {
    if !part.contains(['*', '?', '[', '\\']) {
        let path = directory.join(part);
        let there = path.symlink_metadata().is_ok();
        return Some(there.then_some(path).into_iter().collect());
    }
    let place = if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        if let Some(name) = entry.file_name().to_str()
            && matches(part, name)?
        {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Some(names.iter().map(|name| directory.join(name)).collect())
}

/// Whether a pattern fits the whole of a name; `None` if it is not a pattern.
fn matches(pattern: &str, name: &str) -> Option<bool> {
    let mut chars = pattern.chars();
    let Some(first) = chars.next() else {
        return Some(name.is_empty());
    };
    let rest = chars.as_str();
    let mut of_name = name.chars();
    let head = of_name.next().filter(|c| *c != '/');
    let tail = of_name.as_str();
    match first {
        '*' => {
            let here = matches(rest, name)?;
            Some(here || (head.is_some() && matches(pattern, tail)?))
        }
        '?' => Some(matches(rest, tail)? && head.is_some()),
        '[' => {
            let (fits, rest) = class(rest, head)?;
            Some(matches(rest, tail)? && fits)
        }
        '\\' => {
            let wanted = chars.next()?;
            Some(matches(chars.as_str(), tail)? && head == Some(wanted))
        }
        wanted => Some(matches(rest, tail)? && name.starts_with(wanted)),
    }
}

/// Whether a sign is of a class such as `a-z]`, and what follows it.
fn class(text: &str, sign: Option<char>) -> Option<(bool, &str)> {
    let (negated, mut rest) = match text.strip_prefix('^') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut fits = false;
    for count in 0.. {
        if let Some(after) = rest.strip_prefix(']').filter(|_| count > 0) {
            return Some((sign.is_some() && fits != negated, after));
        }
        let low;
        (low, rest) = member(rest)?;
        let high;
        (high, rest) = match rest.strip_prefix('-') {
            Some(after) => member(after)?,
            None => (low, rest),
        };
        fits |= sign.is_some_and(|sign| low <= sign && sign <= high);
    }
    None
}

fn member(text: &str) -> Option<(char, &str)> {
    let mut chars = text.chars();
    let sign = match chars.next()? {
        '-' | ']' => return None,
        '\\' => chars.next()?,
        sign => sign,
    };
    (!chars.as_str().is_empty()).then_some((sign, chars.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_as_in_go() {
        let cases = [
            ("*.yaml", "a.yaml", Some(true)),
            ("*.yaml", "a.yml", Some(false)),
            ("a?c", "abc", Some(true)),
            ("a?c", "ac", Some(false)),
            ("[a-c]x", "bx", Some(true)),
            ("[^a-c]x", "bx", Some(false)),
            ("\\*", "*", Some(true)),
            ("*", "a/b", Some(false)),
            ("[", "a", None),
            ("[]a]", "a", None),
            ("a[", "b", None),
            ("\\", "a", None),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
