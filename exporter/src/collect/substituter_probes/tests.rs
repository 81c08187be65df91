//! Real servers of every kind on the loopback. Promise 7: "Reading never blocks or slows Nix",
//! nor does a substituter that never answers hold a scrape.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Command,
    sync::Arc,
};

use tempfile::TempDir;
use tokio_rustls::rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use super::*;

const INFO: &str = "StoreDir: /nix/store\nWantMassQuery: 1\n";
const KNOWN: &str = "abcdfghijklmnpqrsvwxyz0123456789";

/// The status and body for a path, with or without the right password; `None` to say nothing.
type Says = fn(path: &str, has_password: bool) -> Option<(u16, &'static str)>;

fn answer<S: Read + Write>(stream: S, says: Says) {
    let mut stream = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        match stream.read_line(&mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) if line.trim().is_empty() => break,
            Ok(_) => head.push(line),
        }
    }
    let path = head[0].split(' ').nth(1).unwrap();
    // me:pass
    let has_password = head
        .iter()
        .any(|line| line.trim().ends_with("Basic bWU6cGFzcw=="));
    match says(path, has_password) {
        None => {
            // Until the client has gone.
            let _ = stream.read_line(&mut String::new());
        }
        Some((status, body)) => {
            let length = body.len();
            let body = if head[0].starts_with("HEAD") {
                ""
            } else {
                body
            };
            let _ = write!(
                stream.get_mut(),
                "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
        }
    }
}

fn serve(says: Says, tls: Option<Arc<ServerConfig>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, tls) = (stream.unwrap(), tls.clone());
            thread::spawn(move || match tls {
                None => answer(stream, says),
                Some(config) => {
                    let connection = ServerConnection::new(config).unwrap();
                    answer(StreamOwned::new(connection, stream), says);
                }
            });
        }
    });
    address
}

/// A host with these substituters, and a path that each of them had.
fn host(substituters: &[String]) -> (TempDir, Layout) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    fs::create_dir_all(root.join("etc/nix")).unwrap();
    let text = format!("substituters = {}\n", substituters.join(" "));
    fs::write(root.join("etc/nix/nix.conf"), text).unwrap();
    let cache = root.join("root/.cache/nix");
    fs::create_dir_all(&cache).unwrap();
    let db = rusqlite::Connection::open(cache.join("binary-cache-v6.sqlite")).unwrap();
    db.execute_batch(
        "CREATE TABLE BinaryCaches (id INTEGER PRIMARY KEY, url TEXT, priority INTEGER);
         CREATE TABLE NARs (cache INTEGER, hashPart TEXT, timestamp INTEGER, present INTEGER);",
    )
    .unwrap();
    for (id, url) in (1_i64..).zip(substituters) {
        db.execute("INSERT INTO BinaryCaches VALUES (?1, ?2, 40)", (id, url))
            .unwrap();
        for (hash, at, present) in [(KNOWN, 7, 1), ("old", 3, 1), ("missed", 9, 0)] {
            db.execute(
                "INSERT INTO NARs VALUES (?1, ?2, ?3, ?4)",
                (id, hash, at, present),
            )
            .unwrap();
        }
    }
    let layout = Layout::new(root);
    (dir, layout)
}

/// Up and authorized, in the order of `nix.conf`.
fn find(layout: &Layout, timeout: Duration) -> Vec<(bool, Option<bool>)> {
    let conf = NixConf::read(layout).unwrap();
    let mut findings = round(layout, &conf, timeout);
    let order = conf.substituters.iter().map(|url| {
        let finding = findings.remove(&label_value(url)).unwrap();
        (finding.up.is_ok(), finding.authorized)
    });
    order.collect()
}

const PATIENT: Duration = Duration::from_secs(20);

fn well(path: &str, _: bool) -> Option<(u16, &'static str)> {
    match path.strip_suffix(".narinfo") {
        None if path == "/nix-cache-info" => Some((200, INFO)),
        Some(hash) if hash.trim_start_matches('/') == KNOWN => Some((200, "StorePath: x\n")),
        _ => Some((404, "")),
    }
}

fn info_alone(path: &str, otherwise: u16) -> Option<(u16, &'static str)> {
    Some(match path {
        "/nix-cache-info" => (200, INFO),
        _ => (otherwise, ""),
    })
}

#[test]
fn each_answer_of_a_substituter_is_told_from_the_others() {
    let kinds: [(Says, (bool, Option<bool>)); 9] = [
        (well, (true, Some(true))),
        (|_, _| Some((401, "")), (true, Some(false))),
        (|_, _| Some((403, "")), (true, Some(false))),
        (|_, _| Some((404, "")), (false, None)),
        (|_, _| Some((500, "")), (false, None)),
        (|_, _| Some((200, "<html>")), (false, None)),
        (|_, _| Some((200, "StoreDir: /gnu/store\n")), (false, None)),
        // It has forgotten the path: that says nothing of the credentials.
        (|path, _| info_alone(path, 404), (true, None)),
        // Anyone may read the info, but nothing else.
        (|path, _| info_alone(path, 401), (true, Some(false))),
    ];
    let url = |(says, _): &(Says, _)| format!("http://{}", serve(*says, None));
    let (_dir, layout) = host(&kinds.iter().map(url).collect::<Vec<_>>());
    let expected: Vec<_> = kinds.iter().map(|(_, expected)| *expected).collect();
    assert_eq!(find(&layout, PATIENT), expected);
}

#[test]
fn a_substituter_that_is_not_there_or_never_answers_is_down() {
    let silent = serve(|_, _| None, None);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = nobody.local_addr().unwrap();
    let (_dir, layout) = host(&[format!("http://{silent}"), format!("http://{nobody}")]);
    let timeout = Duration::from_millis(300);
    assert_eq!(find(&layout, timeout), [(false, None), (false, None)]);
}

#[test]
fn the_password_of_the_netrc_file_or_of_the_url_is_used() {
    let says: Says = |path, has_password| {
        if has_password {
            well(path, true)
        } else {
            Some((401, ""))
        }
    };
    let address = serve(says, None);
    let (_dir, layout) = host(&[format!("http://{address}/")]);
    assert_eq!(find(&layout, PATIENT), [(true, Some(false))]);
    let netrc = layout.inside("/etc/nix/netrc");
    fs::write(&netrc, "machine 127.0.0.1\nlogin me\npassword pass\n").unwrap();
    assert_eq!(find(&layout, PATIENT), [(true, Some(true))]);
    let (_dir, layout) = host(&[format!("http://me:pass@{address}")]);
    assert_eq!(find(&layout, PATIENT), [(true, Some(true))]);
}

/// An authority, and a server that it vouches for.
fn certified(dir: &Path) -> ServerConfig {
    let openssl = |arguments: &str| {
        let mut command = Command::new("openssl");
        command.args(arguments.split_whitespace()).current_dir(dir);
        let output = command.output().unwrap();
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
    fs::write(dir.join("ext"), "subjectAltName=DNS:localhost\n").unwrap();
    openssl(
        "x509 -req -in own.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out own.pem -days 2
         -extfile ext",
    );
    let pem = |name: &str| fs::read(dir.join(name)).unwrap();
    let own = CertificateDer::from_pem_slice(&pem("own.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(&pem("own.key")).unwrap();
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own], key)
        .unwrap()
}

#[test]
fn a_substituter_over_tls_is_believed_only_if_an_authority_of_the_host_vouches_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let address = serve(well, Some(Arc::new(certified(dir.path()))));
    let (_host, layout) = host(&[format!("https://localhost:{}", address.port())]);
    assert_eq!(find(&layout, PATIENT), [(false, None)], "no authorities");
    let bundle = layout.inside("/etc/ssl/certs/ca-certificates.crt");
    fs::create_dir_all(bundle.parent().unwrap()).unwrap();
    fs::copy(dir.path().join("ca.pem"), &bundle).unwrap();
    assert_eq!(find(&layout, PATIENT), [(true, Some(true))]);
    // Another authority, of the same name.
    drop(certified(dir.path()));
    fs::copy(dir.path().join("ca.pem"), &bundle).unwrap();
    assert_eq!(find(&layout, PATIENT), [(false, None)]);
}

#[test]
fn a_scrape_never_waits_for_a_substituter_and_each_round_begins_at_its_time() {
    let silent = serve(|_, _| None, None);
    let (_dir, layout) = host(&[format!("http://{silent}")]);
    let options = Options {
        substituter_probe_interval: Some(Duration::from_secs(300)),
        ..Options::default()
    };
    let mut probes = SubstituterProbes::new(&options, false);
    probes.timeout = Duration::from_millis(200);
    let collect = |probes: &mut SubstituterProbes, seconds| {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let families = probes.collect(&Context::new(&layout, now)).unwrap();
        let up = families.into_iter().find(|family| family.name == UP)?;
        Some(up.samples.iter().map(|s| s.value).collect::<Vec<_>>())
    };
    assert_eq!(collect(&mut probes, 0), None, "another root, another host");
    probes.any_root = true;
    assert_eq!(collect(&mut probes, 0), Some(vec![]));
    // The round ends by itself, whatever the scrapes do.
    let findings = probes.under_way.as_ref().unwrap().recv().unwrap();
    let (sender, receiver) = mpsc::channel();
    sender.send(findings).unwrap();
    probes.under_way = Some(receiver);
    assert_eq!(collect(&mut probes, 1), Some(vec![0.0]));
    assert_eq!(collect(&mut probes, 299), Some(vec![0.0]));
    assert!(probes.under_way.is_none());
    collect(&mut probes, 300);
    assert!(probes.under_way.is_some());
}
