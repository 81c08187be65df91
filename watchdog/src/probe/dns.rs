//! The probe that looks a name up, as every other program of the host does.

use std::net::ToSocketAddrs;

/// Looks the name up with `getaddrinfo(3)`. That cannot be interrupted; whoever waits for it
/// waits no longer than he wants to.
pub(super) fn check(host: &str) -> Result<String, String> {
    // A dot at the end would keep the search list out; that is the configuration's to say.
    let found = (host, 0_u16).to_socket_addrs();
    let mut found = found.map_err(|cause| format!("cannot look up {host}: {cause}"))?;
    match found.next() {
        Some(address) => Ok(format!("{host} is {}", address.ip())),
        None => Err(format!("{host} has no address")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_has_an_address_passes_and_one_that_has_none_fails() {
        let local = check("localhost").expect("every host has it");
        assert!(
            local.contains("127.0.0.1") || local.contains("::1"),
            "{local}"
        );
        // A label of more than 63 letters, so that no server needs to be asked (RFC 1035).
        let nobody = format!("{}.invalid", "a".repeat(64));
        let why = check(&nobody).expect_err("no such name");
        assert!(why.contains(&nobody), "{why}");
    }
}
