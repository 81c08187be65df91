//! What the boot loader starts by default, as far as it can be read back.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{Profile, SystemLink, system::with_generation};
use crate::{FactError, Layout, Result};

const ATTEMPT: &str = "read the boot default";
const CURE: &str = "make it readable to this user";

/// The boot loader's default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BootDefault {
    /// The system whose `init=` the default entry starts.
    System(SystemLink),
    /// No boot loader whose default can be read (only that of systemd-boot can), or one that found
    /// its default by itself.
    Unknown,
}

/// `loader/loader.conf` names the entry, `loader/entries/NAME` has `options … init=STORE PATH/init`
/// (`systemd-boot-builder.py` of nixpkgs). The EFI variable `LoaderEntryDefault` overrides it and
/// is not looked at.
pub(super) fn read(layout: &Layout, profile: Option<&Profile>) -> Result<BootDefault> {
    for esp in ["/boot", "/efi", "/boot/efi"] {
        let loader = layout.inside(esp).join("loader");
        let conf = loader.join("loader.conf");
        let text = match fs::read_to_string(&conf) {
            Ok(text) => text,
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                continue;
            }
            Err(e) => return Err(FactError::io(ATTEMPT, conf, &e, CURE)),
        };
        // A pattern, `@saved` or no default at all is decided by the loader at boot, and what it
        // found by itself (`arch-linux.efi`, `auto-windows`) has no file that would tell.
        let is_in_a_file = |entry: &&str| {
            let found = entry.ends_with(".efi") || entry.starts_with("auto-");
            !entry.contains(['*', '?', '@', '[']) && (entry.ends_with(".conf") || !found)
        };
        let Some(entry) = value(&text, "default").filter(is_in_a_file) else {
            return Ok(BootDefault::Unknown);
        };
        let file = if entry.ends_with(".conf") {
            entry.to_owned()
        } else {
            format!("{entry}.conf")
        };
        if file.contains('/') {
            return Err(FactError::malformed(
                ATTEMPT,
                conf,
                format!("default entry {file:?}"),
                "",
            ));
        }
        return of_entry(&loader.join("entries").join(file), profile);
    }
    Ok(BootDefault::Unknown)
}

fn of_entry(entry: &Path, profile: Option<&Profile>) -> Result<BootDefault> {
    let text = fs::read_to_string(entry).map_err(|e| {
        let cure = "the default entry of loader.conf must exist; install the boot loader again";
        FactError::io(ATTEMPT, entry, &e, cure)
    })?;
    let init = value(&text, "options")
        .into_iter()
        .flat_map(str::split_whitespace)
        .find_map(|option| option.strip_prefix("init="));
    Ok(match init.and_then(|init| Path::new(init).parent()) {
        Some(system) => BootDefault::System(with_generation(PathBuf::from(system), profile)),
        None => BootDefault::Unknown,
    })
}

fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (word, rest) = line.trim().split_once(char::is_whitespace)?;
        (word == key).then(|| rest.trim())
    })
}
