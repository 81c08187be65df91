//! Hosts of a fleet ask a lock server that speaks FleetLock whether it is their turn.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use serde_json::Value;
use snowguard_tests::wait::until;
use snowguard_watchdog::record::Step;

use super::rollback::Deploys;

/// A server with one place, taken by another host until it is freed.
struct Server {
    url: String,
    is_free: Arc<AtomicBool>,
    /// What was asked, each time: path and id.
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (is_free, asked) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let server = Self {
            url,
            is_free: Arc::clone(&is_free),
            asked: Arc::clone(&asked),
        };
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let mut head = Vec::new();
                let mut line = String::new();
                while stream.read_line(&mut line).unwrap() > 2 {
                    head.push(std::mem::take(&mut line).to_ascii_lowercase());
                }
                assert!(
                    head.iter()
                        .any(|line| line.starts_with("fleet-lock-protocol: true"))
                );
                let length = head
                    .iter()
                    .find_map(|line| line.strip_prefix("content-length: "));
                let mut body = vec![0; length.unwrap().trim().parse().unwrap()];
                stream.read_exact(&mut body).unwrap();
                let body: Value = serde_json::from_slice(&body).unwrap();
                let id = body["client_params"]["id"].as_str().unwrap().to_owned();
                let path = head[0].split(' ').nth(1).unwrap().to_owned();
                let granted = path == "/v1/steady-state" || is_free.load(Ordering::SeqCst);
                asked.lock().unwrap().push((path, id));
                let (status, body) = if granted {
                    (200, "")
                } else {
                    (
                        409,
                        r#"{"kind": "failed_lock", "value": "all places are taken"}"#,
                    )
                };
                write!(
                    stream.get_mut(),
                    "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                )
                .unwrap();
            }
        });
        server
    }

    fn asked(&self, path: &str) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        let of_path = asked.iter().filter(|(asked, _)| asked == path);
        of_path.map(|(_, id)| id.clone()).collect()
    }
}

#[test]
fn a_host_goes_back_when_its_turn_has_come_and_tells_the_server_when_it_has_ended() {
    let server = Server::start();
    let deploys = Deploys::told(&format!("[rollback.fleet_lock]\nurl = '{}'\n", server.url));
    let host = &deploys.host;
    fs::write(host.root().join("etc/machine-id"), "0123456789abcdef\n").unwrap();
    let first = deploys.deploy(1, "works");
    let _watchdog = host.watch();
    let _ = host.recorded(Step::State, "settled");
    assert_eq!(server.asked("/v1/pre-reboot"), [""; 0], "nothing is wrong");

    let second = deploys.deploy(2, "broken");
    let refused = host.recorded(Step::Refused, "fleet_lock_refused");
    assert!(
        refused.message.contains("all places are taken"),
        "{refused:?}"
    );
    until("it asks again", || {
        (server.asked("/v1/pre-reboot").len() > 2).then_some(())
    });
    assert_eq!(deploys.stands().0, second, "others act now");
    host.published("snowguard_fleet_lock_held", &[], 1.0);

    server.is_free.store(true, Ordering::SeqCst);
    let _ = host.recorded(Step::Done, "rolled_back");
    assert_eq!(deploys.stands().0, first);
    let _ = host.recorded(Step::State, "fleet_lock_returned");
    host.published("snowguard_fleet_lock_held", &[], 0.0);
    let mut ids = server.asked("/v1/pre-reboot");
    ids.extend(server.asked("/v1/steady-state"));
    ids.dedup();
    assert_eq!(ids.len(), 1, "one host, one id: {ids:?}");
    assert!(
        !ids[0].contains("0123456789abcdef"),
        "the machine id is a secret"
    );
}
