//! The probe that asks a web server.

use std::{path::PathBuf, time::Duration};

use hyper::{Method, Uri, body::Bytes};

use crate::http::{Answer, Question};

/// One GET. Redirects are not followed: a status of 3xx is what was answered. A body that nobody
/// searches is not read.
pub(super) fn check(
    url: &Uri,
    status: &[u16],
    body_contains: Option<&str>,
    authorities: &[PathBuf],
    timeout: Duration,
) -> Result<String, String> {
    let question = Question {
        method: Method::GET,
        url,
        headers: &[],
        body: Bytes::new(),
        reads: body_contains.is_some(),
        authorities,
    };
    let Answer { status: code, body } = question.ask(timeout)?;
    let well = match status {
        [] => code.is_success(),
        wanted => wanted.contains(&code.as_u16()),
    };
    if !well {
        return Err(format!("{url} answered {code}"));
    }
    let Some(wanted) = body_contains else {
        return Ok(format!("{url} answered {code}"));
    };
    let found = body
        .windows(wanted.len().max(1))
        .any(|window| window == wanted.as_bytes());
    if found || wanted.is_empty() {
        Ok(format!("{url} answered {code} with {wanted:?} in it"))
    } else {
        Err(format!("{url} answered {code} without {wanted:?} in it"))
    }
}
