//! The probe that asks a web server.

use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, Uri, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, runtime::Builder};

/// A body longer than this is a failure: nobody searches it for a word, and no probe may eat the
/// memory of the watchdog.
const MAX_BODY: usize = 1024 * 1024;

/// One GET. Redirects are not followed: a status of 3xx is what was answered.
pub(super) fn check(
    url: &Uri,
    status: &[u16],
    body_contains: Option<&str>,
    timeout: Duration,
) -> Result<String, String> {
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|cause| format!("cannot start a runtime: {cause}"))?;
    let outcome = runtime.block_on(async {
        tokio::time::timeout(timeout, get(url, status, body_contains))
            .await
            .unwrap_or_else(|_| Err(format!("no answer in {timeout:?}")))
    });
    // A name look-up that still blocks must not keep us.
    runtime.shutdown_background();
    outcome
}

async fn get(url: &Uri, status: &[u16], body_contains: Option<&str>) -> Result<String, String> {
    let host = url.host().unwrap_or_default();
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let port = url.port_u16().unwrap_or(80);
    let stream = TcpStream::connect((name, port))
        .await
        .map_err(|cause| format!("cannot connect to {host}:{port}: {cause}"))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|cause| format!("cannot speak HTTP to {host}:{port}: {cause}"))?;
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let authority = url.authority().map_or(host, |authority| authority.as_str());
    let request = Request::get(path)
        .header(header::HOST, authority)
        .header(header::USER_AGENT, "snowguard")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|cause| format!("cannot ask for {url}: {cause}"))?;
    let answer = async {
        let response = sender
            .send_request(request)
            .await
            .map_err(|cause| format!("no answer from {url}: {cause}"))?;
        judge(response, url, status, body_contains).await
    };
    tokio::pin!(answer, connection);
    tokio::select! {
        // What was answered is judged even where the server has already hung up.
        biased;
        outcome = &mut answer => outcome,
        _ = &mut connection => answer.await,
    }
}

async fn judge(
    response: hyper::Response<hyper::body::Incoming>,
    url: &Uri,
    status: &[u16],
    body_contains: Option<&str>,
) -> Result<String, String> {
    let code = response.status();
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
    let body = Limited::new(response.into_body(), MAX_BODY)
        .collect()
        .await
        .map_err(|cause| format!("cannot read what {url} answered: {cause}"))?
        .to_bytes();
    let found = body
        .windows(wanted.len().max(1))
        .any(|window| window == wanted.as_bytes());
    if found || wanted.is_empty() {
        Ok(format!("{url} answered {code} with {wanted:?} in it"))
    } else {
        Err(format!("{url} answered {code} without {wanted:?} in it"))
    }
}
