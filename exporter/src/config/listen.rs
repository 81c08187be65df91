//! Addresses to listen on: `[::]:7669`, `127.0.0.1:7669`, or `:7669` for every address.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use serde::{Deserialize, Deserializer, de};

/// Text that is no address to listen on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an address to listen on; write ADDRESS:PORT as in 127.0.0.1:7669, [::1]:7669 or :7669"
)]
pub struct ListenError(String);

/// Every address of the host, of IPv4 too where the kernel has `net.ipv6.bindv6only` off, as it
/// is by default.
pub(super) fn any_address(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)
}

/// Reads one address. Names of hosts are not resolved: what is listened on must not depend on a
/// name server.
///
/// # Errors
/// [`ListenError`] if it is not `ADDRESS:PORT` or `:PORT`.
pub fn parse_listen(text: &str) -> Result<SocketAddr, ListenError> {
    let address = match text.strip_prefix(':') {
        Some(port) => port.parse().ok().map(any_address),
        None => text.parse().ok(),
    };
    address.ok_or_else(|| ListenError(text.to_owned()))
}

/// One address, or a list of at least one.
#[derive(Debug)]
pub(super) struct Listen(pub(super) Vec<SocketAddr>);

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor)
    }
}

struct Visitor;

impl<'de> de::Visitor<'de> for Visitor {
    type Value = Listen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address to listen on, or a list of them")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Listen, E> {
        let address = parse_listen(text).map_err(E::custom)?;
        Ok(Listen(vec![address]))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Listen, A::Error> {
        let mut addresses = Vec::new();
        while let Some(text) = list.next_element::<String>()? {
            addresses.push(parse_listen(&text).map_err(de::Error::custom)?);
        }
        if addresses.is_empty() {
            return Err(de::Error::invalid_length(0, &"at least one address"));
        }
        Ok(Listen(addresses))
    }
}
