//! The lines of `nix.conf` and of what it includes, in the order in which they take effect.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::ATTEMPT;
use crate::{FactError, Kind, Layout, Result};

const CURE: &str = "make it readable to this user";

#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) file: PathBuf,
    pub(super) number: usize,
}

/// What a file says, with all that it includes.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The settings, those of included files in place.
    pub(super) settings: Vec<Line>,
    /// Files that are there, or may be, but cannot be read, as this process finds them.
    pub(super) unread: Vec<PathBuf>,
}

/// All settings of `file` (a path of the host) and of what it includes.
pub(super) fn read(layout: &Layout, file: &Path) -> Result<Lines> {
    let mut lines = Lines::default();
    let real = layout.inside(layout.resolve(ATTEMPT, file)?);
    let text = fs::read_to_string(&real).map_err(|e| FactError::io(ATTEMPT, &real, &e, CURE))?;
    let source = Source { file, real, text };
    parse(layout, &source, &mut Vec::new(), &mut lines)?;
    Ok(lines)
}

/// Adds the settings of a file that Nix passes over if it is not there, or cannot be read.
pub(super) fn read_if_readable(layout: &Layout, file: &Path, lines: &mut Lines) -> Result<()> {
    match included(layout, file)? {
        Included::Text(source) => parse(layout, &source, &mut Vec::new(), lines)?,
        Included::Unread(path) => lines.unread.push(path),
        Included::Missing => {}
    }
    Ok(())
}

struct Source<'a> {
    /// As the host names it.
    file: &'a Path,
    /// As this process finds it.
    real: PathBuf,
    text: String,
}

fn parse(
    layout: &Layout,
    source: &Source<'_>,
    above: &mut Vec<PathBuf>,
    lines: &mut Lines,
) -> Result<()> {
    let Source { file, real, text } = source;
    let malformed = |number: usize, cause: &str, cure: &str| {
        FactError::malformed(ATTEMPT, real, format!("line {number}: {cause}"), cure)
    };
    if above.contains(real) {
        let cause = "a file that includes itself";
        return Err(FactError::malformed(
            ATTEMPT,
            real,
            cause,
            "remove one of the includes",
        ));
    }
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            [word @ ("include" | "!include"), target] => {
                let target = file.parent().unwrap_or(file).join(target);
                match included(layout, &target)? {
                    Included::Text(source) => {
                        above.push(real.clone());
                        parse(layout, &source, above, lines)?;
                        above.pop();
                    }
                    Included::Unread(path) => lines.unread.push(path),
                    Included::Missing if *word == "!include" => {}
                    Included::Missing => {
                        let cause = format!("includes {target:?}, which does not exist");
                        let cure = "write !include if that is meant";
                        return Err(malformed(number, &cause, cure));
                    }
                }
            }
            [name, "=", value @ ..] => lines.settings.push(Line {
                name: (*name).to_owned(),
                value: value.join(" "),
                file: real.clone(),
                number,
            }),
            _ => return Err(malformed(number, "not a setting", "write NAME = VALUE")),
        }
    }
    Ok(())
}

enum Included<'a> {
    Text(Source<'a>),
    Unread(PathBuf),
    Missing,
}

/// Nix passes over an included file that is there and cannot be read, by either word
/// (`applyConfig` catches the system error of `readFile`). Where it cannot even see whether the
/// file is there it gives up the whole of `nix.conf`; but it is the daemon of root whose settings
/// are wanted, and the directory may be closed to this user alone.
fn included<'a>(layout: &Layout, target: &'a Path) -> Result<Included<'a>> {
    let real = match layout.resolve(ATTEMPT, target) {
        Ok(logical) => layout.inside(logical),
        Err(e) => {
            return match e.kind {
                Kind::Missing => Ok(Included::Missing),
                Kind::Denied => Ok(Included::Unread(e.path)),
                // A file where a directory should be, a loop of links: Nix passes over those as well.
                Kind::Io | Kind::Malformed => Ok(Included::Unread(e.path)),
                _ => Err(e),
            };
        }
    };
    match fs::read(&real) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Included::Text(Source {
                file: target,
                real,
                text,
            })),
            Err(_) => Err(FactError::malformed(ATTEMPT, real, "not text", "")),
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Included::Missing),
        Err(_) => Ok(Included::Unread(real)),
    }
}
