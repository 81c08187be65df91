//! The probe that connects.

use std::{
    net::{TcpStream, ToSocketAddrs},
    time::{Duration, Instant},
};

/// Connects to the first address of a name that answers, and closes the connection again.
pub(super) fn check(address: &str, timeout: Duration) -> Result<String, String> {
    let begun = Instant::now();
    let found = address
        .to_socket_addrs()
        .map_err(|cause| format!("cannot look up {address}: {cause}"))?;
    let mut last = format!("{address} has no address");
    for socket in found {
        let left = timeout.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Err(format!("no answer in {timeout:?}; {last}"));
        }
        match TcpStream::connect_timeout(&socket, left) {
            Ok(_) => return Ok(format!("connected to {socket}")),
            Err(cause) => last = format!("cannot connect to {socket}: {cause}"),
        }
    }
    Err(last)
}
