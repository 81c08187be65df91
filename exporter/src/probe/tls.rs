//! TLS: with the authorities that the host's Nix trusts, or with others.

use std::{path::PathBuf, sync::Arc};

use snowguard_host::{Layout, NixConf};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

/// Where Nix looks for authorities if `ssl-cert-file` names no other (`globals.cc`).
const BUNDLES: [&str; 2] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/nix/var/nix/profiles/default/etc/ssl/certs/ca-bundle.crt",
];

/// Who may certify a server; or why that is not known.
#[derive(Clone)]
pub struct Authorities(Result<Arc<ClientConfig>, String>);

impl Authorities {
    /// Those of a host.
    pub(crate) fn read(layout: &Layout, conf: &NixConf) -> Self {
        let places: Vec<PathBuf> = match &conf.ssl_cert_file {
            Some(file) => vec![layout.inside(file)],
            None => BUNDLES.iter().map(|file| layout.inside(file)).collect(),
        };
        Self::of_files(&places)
    }

    /// Those in the first of these files that is there. What is wrong with it is said when a
    /// server is to be certified.
    pub fn of_files(places: &[PathBuf]) -> Self {
        let Some(bundle) = places.iter().find(|place| place.exists()) else {
            return Self(Err(format!(
                "no certificates of authorities at {:?}",
                places.first()
            )));
        };
        let found = std::fs::read(bundle).map_err(|error| format!("{bundle:?}: {error}"));
        Self(found.and_then(|pem| client(&pem)))
    }

    /// Speaks TLS over a connection.
    ///
    /// # Errors
    /// The server is not the one of this name, or nobody may certify it, or it speaks no TLS.
    pub async fn secure(
        &self,
        stream: TcpStream,
        host: &str,
    ) -> Result<TlsStream<TcpStream>, String> {
        let config = self.0.clone()?;
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| format!("{host:?} is no name of a host: {error}"))?;
        TlsConnector::from(config)
            .connect(name, stream)
            .await
            .map_err(|error| format!("no TLS with {host}: {error}"))
    }
}

fn client(pem: &[u8]) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    // One that cannot be used is one authority less, as for any client.
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).filter_map(Result::ok));
    if roots.is_empty() {
        return Err("no certificate of an authority can be used".to_owned());
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
