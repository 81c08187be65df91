//! Opens the sockets, or says in one line why not.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use tokio::net::TcpListener;

/// Why an address cannot be listened on: the address, the cause and the cure.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}; {cure}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// The cause.
    pub source: io::Error,
    cure: &'static str,
}

impl BindError {
    /// True if another process listens there.
    pub fn is_in_use(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrInUse
    }
}

/// Listens on each of the addresses.
///
/// # Errors
/// [`BindError`] for the first address that cannot be had; then none is listened on.
pub async fn bind(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, BindError> {
    let mut listeners = Vec::new();
    for address in addresses {
        listeners.push(bind_one(*address).await?);
    }
    Ok(listeners)
}

async fn bind_one(address: SocketAddr) -> Result<TcpListener, BindError> {
    let error = match TcpListener::bind(address).await {
        Ok(listener) => return Ok(listener),
        Err(error) => error,
    };
    // "Every address" of a kernel without IPv6 is every address of IPv4.
    if address.ip().is_unspecified() && address.is_ipv6() && lacks_family(&error) {
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port());
        return TcpListener::bind(address)
            .await
            .map_err(|source| BindError::new(address, source));
    }
    Err(BindError::new(address, error))
}

fn lacks_family(error: &io::Error) -> bool {
    error.raw_os_error() == Some(nix::errno::Errno::EAFNOSUPPORT as i32)
        || error.kind() == io::ErrorKind::AddrNotAvailable
}

impl BindError {
    fn new(address: SocketAddr, source: io::Error) -> Self {
        let cure = match source.kind() {
            io::ErrorKind::AddrInUse => {
                "stop the process that holds it (ss -ltnp shows which), or choose another with \
                 --web.listen-address or exporter.listen"
            }
            io::ErrorKind::PermissionDenied => "choose a port above 1023",
            io::ErrorKind::AddrNotAvailable => "choose an address that this host has",
            _ => "choose another with --web.listen-address or exporter.listen",
        };
        Self {
            address,
            source,
            cure,
        }
    }
}
