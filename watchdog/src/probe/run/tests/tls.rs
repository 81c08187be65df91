//! A web server that speaks TLS, with an authority of its own.

use std::{path::Path, process::Command, sync::Arc};

use tokio_rustls::rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use super::*;

/// `ca.pem` in the directory may certify the server, which is `localhost` and nobody else.
fn certified(dir: &Path) -> ServerConfig {
    let openssl = |arguments: &str| {
        let mut command = Command::new("openssl");
        command.args(arguments.split_whitespace()).current_dir(dir);
        let output = command.output().expect("openssl");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!(
        "req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority"
    ));
    openssl(&format!(
        "req {key} -keyout own.key -out own.csr -subj /CN=localhost"
    ));
    fs::write(dir.join("ext"), "subjectAltName=DNS:localhost\n").expect("extension");
    openssl(
        "x509 -req -in own.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out own.pem -days 2
         -extfile ext",
    );
    let pem = |name: &str| fs::read(dir.join(name)).expect("PEM");
    let own = CertificateDer::from_pem_slice(&pem("own.pem")).expect("certificate");
    let key = PrivateKeyDer::from_pem_slice(&pem("own.key")).expect("key");
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![own], key)
        .expect("configuration")
}

fn server(config: ServerConfig) -> u16 {
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("port");
    let port = listener.local_addr().expect("address").port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).expect("connection");
            let mut stream = StreamOwned::new(connection, stream.expect("a connection"));
            let mut request = [0; 1024];
            // One that does not trust us hangs up.
            if stream.read(&mut request).is_ok() {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell");
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    port
}

fn https(host: &str, port: u16, ca_file: Option<&Path>) -> Check {
    Check::Http {
        url: format!("https://{host}:{port}/").parse().expect("URL"),
        status: vec![200],
        body_contains: Some("well".to_owned()),
        ca_file: ca_file.map(Into::into),
    }
}

#[test]
fn a_server_of_https_is_believed_if_somebody_trusted_says_who_it_is() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let port = server(certified(dir.path()));
    let ca = dir.path().join("ca.pem");
    let well = run(https("localhost", port, Some(&ca)), 20_000);
    assert!(well.passed, "{}", well.detail);
    let other = run(https("127.0.0.1", port, Some(&ca)), 20_000);
    assert!(
        !other.passed && other.detail.contains("no TLS"),
        "{}",
        other.detail
    );
    let nobody = run(https("localhost", port, None), 20_000);
    assert!(
        !nobody.passed && nobody.detail.contains("/nonexistent/ca.pem"),
        "{}",
        nobody.detail
    );
}
