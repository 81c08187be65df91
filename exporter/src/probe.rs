//! Asking a substituter whether it is there and lets this host in.
//!
//! Nix up to 2.34 takes an answer of 401, 403 or 407 for "not found" and builds without a word
//! (`libstore/filetransfer.cc`), and asks again for what it remembers only after a week. So it is
//! asked here: for `nix-cache-info`, and for the narinfo of a path that it had.

mod address;
mod ask;
mod netrc;
mod tls;

pub(crate) use address::Address;
pub(crate) use netrc::Netrc;
pub use tls::Authorities;

use std::time::Duration;

/// What a substituter answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// How long it took to say that it is a substituter, or not to.
    pub(crate) took: Duration,
    /// Why it is not there, if it is not. One that asks for a password is.
    pub(crate) up: Result<(), String>,
    /// Whether it lets this host in, if it said so.
    pub(crate) authorized: Option<bool>,
}

/// Asks one substituter. `known` is the hash part of a path that it had.
pub(crate) async fn probe(
    address: &Address,
    known: Option<&str>,
    netrc: &Netrc,
    authorities: &Authorities,
    timeout: Duration,
) -> Finding {
    let begun = tokio::time::Instant::now();
    let asking = ask::Asking {
        address,
        credentials: address.credentials().or_else(|| netrc.of(address.host())),
        authorities,
    };
    let info = match tokio::time::timeout(timeout, asking.get("nix-cache-info")).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer in {timeout:?}")),
    };
    let took = begun.elapsed();
    let finding = |up, authorized| Finding {
        took,
        up,
        authorized,
    };
    match info {
        Err(cause) => finding(Err(cause), None),
        Ok(answer) if answer.refuses() => finding(Ok(()), Some(false)),
        Ok(answer) => match answer.is_substituter() {
            Err(cause) => finding(Err(cause), None),
            Ok(()) => {
                let Some(known) = known else {
                    return finding(Ok(()), None);
                };
                let narinfo = format!("{known}.narinfo");
                let asked = tokio::time::timeout(timeout, asking.head(&narinfo)).await;
                let authorized = match asked {
                    Ok(Ok(answer)) if answer.refuses() => Some(false),
                    Ok(Ok(answer)) if answer.is_found() => Some(true),
                    // It may have forgotten the path, or be slow: that says nothing.
                    _ => None,
                };
                finding(Ok(()), authorized)
            }
        },
    }
}
