//! The verb that gives up an automatic root: its link below `gcroots/auto` goes, as Nix removes it
//! when what it names is gone. The link that it names (`result`) is its owner's and stays.

use std::{fs, io};

use snowguard_host::FactError;

use crate::gc::ladder::StaleRoot;

const ATTEMPT: &str = "give up an automatic root";

/// Removes links below `gcroots/auto`.
#[derive(Debug, Clone)]
pub struct RemoveRoot;

impl RemoveRoot {
    /// Removes one, if neither link was made anew since it was chosen and it keeps what it kept.
    /// One that is gone already is no error.
    ///
    /// # Errors
    /// It is another one by now, or the operating system refuses. It is then as it was.
    pub fn run(&self, root: &StaleRoot) -> Result<(), FactError> {
        let failed = |source: io::Error| FactError::io(ATTEMPT, &root.auto, &source, "run as root");
        let made = |meta: fs::Metadata| meta.modified();
        let registered = match fs::symlink_metadata(&root.auto).and_then(made) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            registered => registered.map_err(failed)?,
        };
        let link = fs::symlink_metadata(&root.link)
            .and_then(made)
            .map_err(failed)?;
        let target = fs::read_link(&root.link).map_err(failed)?;
        let mut parts = target.components().map(|part| part.as_os_str());
        let keeps_the_same = parts.nth(3) == Some(root.keeps.as_ref());
        if registered.max(link) != root.made || !keeps_the_same {
            let cause = "it was made anew since it was chosen";
            return Err(FactError::malformed(ATTEMPT, &root.auto, cause, "it stays"));
        }
        fs::remove_file(&root.auto).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::gc::policy::Space;

    #[test]
    fn the_root_goes_and_the_link_stays_unless_it_was_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (auto, link) = (dir.path().join("auto"), dir.path().join("result"));
        let name = format!("{:0>32}-hello", 1);
        symlink(format!("/nix/store/{name}/bin"), &link).unwrap();
        symlink(&link, &auto).unwrap();
        let made = fs::symlink_metadata(&auto).unwrap().modified().unwrap();
        let root = StaleRoot {
            auto: auto.clone(),
            link: link.clone(),
            keeps: name.clone(),
            made,
            frees: Space::NONE,
        };
        let other = StaleRoot {
            keeps: format!("{:0>32}-hello", 2),
            ..root.clone()
        };
        let younger = StaleRoot {
            made: made - std::time::Duration::from_secs(1),
            ..root.clone()
        };
        for changed in [other, younger] {
            let error = RemoveRoot.run(&changed).unwrap_err();
            assert!(error.to_string().contains("made anew"), "{error}");
        }
        RemoveRoot.run(&root).unwrap();
        assert!(auto.symlink_metadata().is_err());
        assert!(link.symlink_metadata().is_ok());
        RemoveRoot.run(&root).unwrap();
    }
}
