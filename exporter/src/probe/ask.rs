//! One question over HTTP. Redirections are not followed: whoever redirects is there.

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{Method, Request, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::{Address, Authorities};

/// The longest `nix-cache-info`; those of today are a few lines.
const MAX_BODY: usize = 64 << 10;

/// A substituter, and how to ask it.
pub(super) struct Asking<'a> {
    pub(super) address: &'a Address,
    pub(super) credentials: Option<String>,
    pub(super) authorities: &'a Authorities,
}

/// Status and body.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    body: Bytes,
}

impl Answer {
    /// True if it wants other credentials.
    pub(super) fn refuses(&self) -> bool {
        matches!(self.status.as_u16(), 401 | 403 | 407)
    }

    /// True if it has what was asked for.
    pub(super) fn is_found(&self) -> bool {
        self.status.is_success() || self.status.is_redirection()
    }

    /// That this is the `nix-cache-info` of a substituter for the usual store.
    pub(super) fn is_substituter(&self) -> Result<(), String> {
        if self.status.is_redirection() {
            return Ok(());
        }
        if !self.status.is_success() {
            return Err(format!("it answered {}", self.status));
        }
        let text = String::from_utf8_lossy(&self.body);
        let store = text.lines().find_map(|line| line.strip_prefix("StoreDir:"));
        match store.map(str::trim) {
            Some(snowguard_host::STORE_DIR) => Ok(()),
            Some(other) => Err(format!("its store is {other:?}")),
            None => Err("its nix-cache-info names no store".to_owned()),
        }
    }
}

impl Asking<'_> {
    pub(super) async fn get(&self, file: &str) -> Result<Answer, String> {
        self.ask(Method::GET, file).await
    }

    pub(super) async fn head(&self, file: &str) -> Result<Answer, String> {
        self.ask(Method::HEAD, file).await
    }

    async fn ask(&self, method: Method, file: &str) -> Result<Answer, String> {
        let (host, port) = (self.address.host(), self.address.port());
        let stream = TcpStream::connect((host, port))
            .await
            .map_err(|error| format!("cannot connect to {host}:{port}: {error}"))?;
        if self.address.is_tls() {
            let stream = self.authorities.secure(stream, host).await?;
            self.over(stream, method, file).await
        } else {
            self.over(stream, method, file).await
        }
    }

    async fn over<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        method: Method,
        file: &str,
    ) -> Result<Answer, String> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| format!("it speaks no HTTP: {error}"))?;
        let mut request = Request::builder()
            .method(method)
            .uri(self.address.path_of(file))
            .header(header::HOST, self.address.authority())
            .header(header::USER_AGENT, "snowguard")
            .header(header::CONNECTION, "close");
        if let Some(credentials) = &self.credentials {
            let value = format!("Basic {}", base64(credentials.as_bytes()));
            request = request.header(header::AUTHORIZATION, value);
        }
        let request = request
            .body(Empty::<Bytes>::new())
            .map_err(|error| format!("cannot ask: {error}"))?;
        let answer = async {
            let response = sender
                .send_request(request)
                .await
                .map_err(|error| format!("no answer: {error}"))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_BODY).collect().await;
            let body = body.map_err(|error| format!("it broke off: {error}"))?;
            Ok(Answer {
                status,
                body: body.to_bytes(),
            })
        };
        tokio::pin!(answer, connection);
        tokio::select! {
            // What was answered counts even where the server has already hung up.
            biased;
            outcome = &mut answer => outcome,
            _ = &mut connection => answer.await,
        }
    }
}

/// As HTTP wants credentials (RFC 4648).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let byte = |at: usize| three.get(at).copied().unwrap_or(0);
        let word = u32::from_be_bytes([0, byte(0), byte(1), byte(2)]);
        for at in 0..4 {
            let digit = usize::try_from(word >> (18 - 6 * at) & 63).unwrap_or(0);
            let is_there = at <= u32::try_from(three.len()).unwrap_or(3);
            out.push(if is_there {
                char::from(DIGITS[digit])
            } else {
                '='
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn credentials_are_written_as_http_wants_them() {
        // The examples of RFC 4648.
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
