//! A client of FleetLock, the protocol by which Zincati asks Airlock and others whether a host may
//! go down (<https://coreos.github.io/zincati/development/fleetlock/protocol/>). A server counts
//! the hosts of each group that hold a place by their id; to ask again changes nothing.

use std::{path::PathBuf, time::Duration};

use hyper::{Method, Uri, body::Bytes};
use serde::Deserialize;
use serde_json::json;
use tokio_rustls::rustls::{
    SupportedCipherSuite,
    crypto::{hash::HashAlgorithm, ring},
};

use super::turn::Answer;
use crate::http::Question;

/// Longer words of a server are no explanation.
const MAX_SAID: usize = 200;

/// The lock of a fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetLock {
    /// `{url}/v1/pre-reboot` is asked.
    pub url: Uri,
    /// The group of hosts that share the places.
    pub group: String,
    /// What tells this host from others.
    pub id: String,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Who may certify the server of an `https://` URL: the first of these files that is there.
    pub authorities: Vec<PathBuf>,
}

/// What a server says with any status but 200.
#[derive(Deserialize)]
struct Said {
    kind: String,
    value: String,
}

impl FleetLock {
    /// Asks for a place.
    pub fn take(&self) -> Answer {
        match self.ask("pre-reboot") {
            Ok((200, _)) => Answer::Granted,
            // Only what speaks the protocol refuses. A proxy that has lost its server does not.
            Ok((status, Some(said))) => Answer::Refused(format!("{status}, {said}")),
            Ok((status, None)) => Answer::Silent(format!(
                "{} answered {status} and nothing of the protocol",
                self.url
            )),
            Err(why) => Answer::Silent(why),
        }
    }

    /// Gives the place back; one that this host does not hold as well.
    ///
    /// # Errors
    /// Why the server may count this host still.
    pub fn give_back(&self) -> Result<(), String> {
        match self.ask("steady-state")? {
            (200, _) => Ok(()),
            (status, said) => Err(format!(
                "{} answered {status}, {}",
                self.url,
                said.as_deref().unwrap_or("and nothing of the protocol")
            )),
        }
    }

    /// The status, and what an error of the protocol says.
    fn ask(&self, what: &str) -> Result<(u16, Option<String>), String> {
        let base = self.url.to_string();
        let url: Uri = format!("{}/v1/{what}", base.trim_end_matches('/'))
            .parse()
            .map_err(|cause| format!("{base}: {cause}"))?;
        let body = json!({ "client_params": { "id": self.id, "group": self.group } });
        let question = Question {
            method: Method::POST,
            url: &url,
            headers: &[
                ("fleet-lock-protocol", "true"),
                ("content-type", "application/json"),
            ],
            body: Bytes::from(body.to_string()),
            reads: true,
            authorities: &self.authorities,
        };
        let answer = question.ask(self.timeout)?;
        let said: Option<Said> = serde_json::from_slice(&answer.body).ok();
        let said = said.map(|said| {
            let text = format!("{}: {}", said.kind, said.value);
            text.chars().take(MAX_SAID).collect()
        });
        Ok((answer.status.as_u16(), said))
    }
}

/// The id of a host where the configuration gives none. Whoever sees it cannot tell the machine id
/// by it, which is a secret of the host (`machine-id(5)`). `None` without a machine id.
pub fn id_of(machine_id: &str) -> Option<String> {
    let machine_id = Some(machine_id.trim()).filter(|id| !id.is_empty())?;
    let suites = ring::default_provider().cipher_suites;
    let sha256 = suites.iter().find_map(|suite| match suite {
        SupportedCipherSuite::Tls13(suite) => Some(suite.common.hash_provider)
            .filter(|hash| hash.algorithm() == HashAlgorithm::SHA256),
        _ => None,
    })?;
    let hash = sha256.hash(format!("snowguard fleet lock {machine_id}").as_bytes());
    let half = hash.as_ref().iter().take(16);
    Some(half.map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests;
