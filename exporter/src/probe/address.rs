//! Where a substituter is, as `nix.conf` has it.

use hyper::Uri;

/// A substituter that speaks HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    host: String,
    port: u16,
    path: String,
    credentials: Option<String>,
    is_tls: bool,
}

impl Address {
    /// Reads a URL. `None` if it is none of HTTP: `s3`, `ssh` and files are not asked.
    pub(crate) fn parse(url: &str) -> Option<Self> {
        let is_tls = url.starts_with("https://");
        if !is_tls && !url.starts_with("http://") {
            return None;
        }
        let bare = url.split(['?', '#']).next()?;
        let uri: Uri = bare.parse().ok()?;
        let authority = uri.authority()?;
        let user = authority.as_str().rsplit_once('@').map(|(user, _)| user);
        Some(Self {
            host: uri.host()?.to_owned(),
            port: uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            path: uri.path().trim_end_matches('/').to_owned(),
            credentials: user.map(decoded),
            is_tls,
        })
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// The name or number of the host, without the brackets of IPv6.
    pub(crate) fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// `HOST:PORT` as a request has it.
    pub(crate) fn authority(&self) -> String {
        match (self.is_tls, self.port) {
            (true, 443) | (false, 80) => self.host.clone(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }

    /// The path of a file of the substituter.
    pub(crate) fn path_of(&self, file: &str) -> String {
        format!("{}/{file}", self.path)
    }

    /// `USER:PASSWORD` of the URL.
    pub(crate) fn credentials(&self) -> Option<String> {
        self.credentials.clone()
    }
}

/// With `%40` as `@`.
fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = tail
            .get(..2)
            .filter(|_| first == b'%')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match hex {
            Some(byte) => {
                out.push(byte);
                rest = &tail[2..];
            }
            None => {
                out.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_as_nix_does() {
        let address = Address::parse("https://me:p%40ss@cache.example/x/?priority=30").unwrap();
        assert_eq!((address.host(), address.port()), ("cache.example", 443));
        assert_eq!(address.path_of("nix-cache-info"), "/x/nix-cache-info");
        assert_eq!(address.credentials().as_deref(), Some("me:p@ss"));
        assert_eq!(address.authority(), "cache.example");
        let address = Address::parse("http://[::1]:8080").unwrap();
        assert_eq!((address.host(), address.port()), ("::1", 8080));
        assert_eq!(address.authority(), "[::1]:8080");
        assert_eq!(address.path_of("f"), "/f");
        for other in [
            "s3://bucket",
            "file:///x",
            "ssh://host",
            "daemon",
            "https://",
        ] {
            assert_eq!(Address::parse(other), None, "{other}");
        }
    }
}
