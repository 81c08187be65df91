//! `snowguard release`: an operator has looked, and what is latched or waits begins anew.

use std::{fs, io};

use tracing::{info, warn};

use super::Remedies;
use crate::keep::KeepError;

impl Remedies {
    /// `snowguard release` leaves a marker; a latched remedy begins anew. The marker goes last: what
    /// it stands for must be on disk by then, or a kill in between would lose it.
    pub(super) fn release(&mut self) {
        let marker = self.layout.inside(&self.settings.state_dir).join("release");
        let left = match fs::metadata(&marker) {
            Ok(meta) => meta.modified().ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                warn!(path = %marker.display(), %error, "the release cannot be taken");
                return;
            }
        };
        // One that cannot be removed would release a failure yet to come.
        if left.is_none() || self.released != left {
            info!("released by an operator");
            if let Err(error) = self.release_all() {
                warn!(%error, "the release is not on disk yet and is taken again");
                return;
            }
            self.released = left;
        }
        if let Err(error) = fs::remove_file(&marker) {
            warn!(path = %marker.display(), %error, "the release is taken, and its marker must be removed by hand");
        }
    }

    fn release_all(&mut self) -> Result<(), KeepError> {
        self.restraint.release()?;
        self.resume_refused_ms = None;
        let system = (&mut self.machine, &mut self.machine_kept);
        let profiles = self.profiles.values_mut();
        let profiles = profiles.map(|instance| (&mut instance.machine, &mut instance.kept));
        for (machine, kept) in profiles.chain([system]) {
            let released = machine.clone().release();
            if released != *machine {
                kept.save(&released)?;
                *machine = released;
            }
        }
        Ok(())
    }
}
