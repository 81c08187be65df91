//! The lines of `nix.conf` and of what it includes, in the order in which they take effect.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::ATTEMPT;
use crate::{FactError, Layout, Result};

#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) file: PathBuf,
    pub(super) number: usize,
}

/// All settings of `file` (a path of the host), those of included files in place.
pub(super) fn read(layout: &Layout, file: &Path) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    read_into(layout, file, &mut Vec::new(), &mut lines)?;
    Ok(lines)
}

fn read_into(
    layout: &Layout,
    file: &Path,
    above: &mut Vec<PathBuf>,
    lines: &mut Vec<Line>,
) -> Result<()> {
    let real = layout.inside(layout.resolve(ATTEMPT, file)?);
    let malformed = |number: usize, cause: &str, cure: &str| {
        FactError::malformed(ATTEMPT, &real, format!("line {number}: {cause}"), cure)
    };
    if above.contains(&real) {
        let cause = "a file that includes itself";
        return Err(FactError::malformed(
            ATTEMPT,
            real,
            cause,
            "remove one of the includes",
        ));
    }
    let text = fs::read_to_string(&real)
        .map_err(|e| FactError::io(ATTEMPT, &real, &e, "make it readable to this user"))?;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            [word @ ("include" | "!include"), target] => {
                let target = file.parent().unwrap_or(file).join(target);
                if exists(layout, &target)? {
                    above.push(real.clone());
                    read_into(layout, &target, above, lines)?;
                    above.pop();
                } else if *word == "include" {
                    let cause = format!("includes {target:?}, which does not exist");
                    return Err(malformed(number, &cause, "write !include if that is meant"));
                }
            }
            [name, "=", value @ ..] => lines.push(Line {
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

fn exists(layout: &Layout, target: &Path) -> Result<bool> {
    let real = match layout.resolve(ATTEMPT, target) {
        Ok(logical) => layout.inside(logical),
        Err(e) if e.kind == crate::Kind::Missing => return Ok(false),
        Err(e) => return Err(e),
    };
    match fs::symlink_metadata(&real) {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(FactError::io(
            ATTEMPT,
            real,
            &e,
            "make it readable to this user",
        )),
    }
}
