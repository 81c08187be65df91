//! One question over HTTP or HTTPS, and its answer. Redirections are not followed.

use std::{path::PathBuf, time::Duration};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Method, Uri, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use snowguard_exporter::Authorities;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    runtime::Builder,
};

/// A body longer than this is a failure: nobody searches it for a word, and no answer may eat the
/// memory of the watchdog.
const MAX_BODY: usize = 1024 * 1024;

/// What is asked.
#[derive(Debug, Clone)]
pub(crate) struct Question<'a> {
    pub(crate) method: Method,
    pub(crate) url: &'a Uri,
    /// Names in lower case.
    pub(crate) headers: &'a [(&'static str, &'static str)],
    pub(crate) body: Bytes,
    /// Whether the body of the answer is wanted.
    pub(crate) reads: bool,
    /// Who may certify the server of an `https://` URL: the first of these files that is there.
    pub(crate) authorities: &'a [PathBuf],
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: hyper::StatusCode,
    /// Empty if it was not wanted.
    pub(crate) body: Bytes,
}

impl Question<'_> {
    /// Asks, and waits for so long for the whole answer.
    pub(crate) fn ask(&self, timeout: Duration) -> Result<Answer, String> {
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(|cause| format!("cannot start a runtime: {cause}"))?;
        let outcome = runtime.block_on(async {
            tokio::time::timeout(timeout, self.connect())
                .await
                .unwrap_or_else(|_| Err(format!("no answer in {timeout:?}")))
        });
        // A name look-up that still blocks must not keep us.
        runtime.shutdown_background();
        outcome
    }

    async fn connect(&self) -> Result<Answer, String> {
        let host = self.url.host().unwrap_or_default();
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let is_tls = is_tls(self.url);
        let port = self.url.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let stream = TcpStream::connect((name, port))
            .await
            .map_err(|cause| format!("cannot connect to {host}:{port}: {cause}"))?;
        if is_tls {
            let authorities = Authorities::of_files(self.authorities);
            self.over(authorities.secure(stream, name).await?).await
        } else {
            self.over(stream).await
        }
    }

    async fn over<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> Result<Answer, String> {
        let url = self.url;
        let host = url.host().unwrap_or_default();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|cause| format!("cannot speak HTTP to {host}: {cause}"))?;
        let path = url.path_and_query().map_or("/", |path| path.as_str());
        let authority = url.authority().map_or(host, |authority| authority.as_str());
        let mut request = hyper::Request::builder()
            .method(self.method.clone())
            .uri(path)
            .header(header::HOST, authority)
            .header(header::USER_AGENT, "snowguard")
            .header(header::CONNECTION, "close");
        for (name, value) in self.headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Full::new(self.body.clone()))
            .map_err(|cause| format!("cannot ask for {url}: {cause}"))?;
        let answer = async {
            let response = sender
                .send_request(request)
                .await
                .map_err(|cause| format!("no answer from {url}: {cause}"))?;
            self.read(response).await
        };
        tokio::pin!(answer, connection);
        tokio::select! {
            // What was answered is judged even where the server has already hung up.
            biased;
            outcome = &mut answer => outcome,
            _ = &mut connection => answer.await,
        }
    }

    async fn read(
        &self,
        response: hyper::Response<hyper::body::Incoming>,
    ) -> Result<Answer, String> {
        let status = response.status();
        let body = if self.reads {
            let body = Limited::new(response.into_body(), MAX_BODY).collect().await;
            body.map_err(|cause| format!("cannot read what {} answered: {cause}", self.url))?
                .to_bytes()
        } else {
            Bytes::new()
        };
        Ok(Answer { status, body })
    }
}

/// True if it is asked over TLS.
pub(crate) fn is_tls(url: &Uri) -> bool {
    url.scheme_str() == Some("https")
}

/// A URL that can be asked.
pub(crate) fn url(key: &str, text: &str) -> Result<Uri, String> {
    let url: Uri = text
        .parse()
        .map_err(|cause| format!("`{key}` is {text:?}: {cause}"))?;
    if !matches!(url.scheme_str(), Some("http" | "https")) || url.host().is_none_or(str::is_empty) {
        return Err(format!(
            "`{key}` is {text:?}; write http://HOST[:PORT]/PATH or https://HOST[:PORT]/PATH"
        ));
    }
    if url.authority().is_some_and(|a| a.as_str().contains('@')) {
        return Err(format!("`{key}` names a user; no credentials are sent"));
    }
    Ok(url)
}
