//! A lock server of the tests' own that speaks the protocol: places, groups, errors, silence.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use serde_json::Value;

use super::*;

#[derive(Debug, Default)]
struct Places {
    /// How many hosts of a group may act at once.
    most: usize,
    held: BTreeMap<String, BTreeSet<String>>,
    /// It takes connections and says nothing.
    silent: bool,
    /// It is a proxy whose server is gone.
    gone: bool,
}

/// A server, and its URL.
struct Server {
    places: Arc<Mutex<Places>>,
    url: String,
}

impl Server {
    fn start(most: usize) -> Self {
        let places = Places {
            most,
            ..Places::default()
        };
        let places = Arc::new(Mutex::new(places));
        let listener = TcpListener::bind("127.0.0.1:0").expect("port");
        let url = format!("http://{}/lock/", listener.local_addr().expect("address"));
        let shared = Arc::clone(&places);
        thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.expect("a connection"), &shared);
            }
        });
        Self { places, url }
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn client(&self, id: &str) -> FleetLock {
        FleetLock {
            url: self.url.parse().expect("URL"),
            group: "default".to_owned(),
            id: id.to_owned(),
            timeout: Duration::from_secs(20),
            authorities: Vec::new(),
        }
    }
}

fn answer(stream: TcpStream, places: &Mutex<Places>) {
    let mut stream = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).expect("a request") == 0 {
            return;
        }
        match line.trim() {
            "" => break,
            line => head.push(line.to_ascii_lowercase()),
        }
    }
    let value = |name: &str| {
        let mut lines = head.iter().filter_map(|line| line.split_once(": "));
        lines
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.to_owned())
    };
    let length = value("content-length").map_or(0, |n| n.parse().expect("a length"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).expect("the body");
    let mut places = places.lock().unwrap_or_else(PoisonError::into_inner);
    if places.silent {
        drop(places);
        // Until the client has gone.
        let _ = stream.read_line(&mut String::new());
        return;
    }
    let (status, said) = if places.gone {
        (502, "<html>bad gateway</html>".to_owned())
    } else if value("fleet-lock-protocol").as_deref() != Some("true") {
        error(400, "missing_header", "no fleet-lock-protocol header")
    } else {
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        let word = |key: &str| {
            body["client_params"][key]
                .as_str()
                .expect("a word")
                .to_owned()
        };
        let (id, group) = (word("id"), word("group"));
        let most = places.most;
        let held = places.held.entry(group).or_default();
        match head[0].split(' ').take(2).collect::<Vec<_>>()[..] {
            ["post", "/lock/v1/pre-reboot"] if held.contains(&id) || held.len() < most => {
                held.insert(id);
                (200, String::new())
            }
            ["post", "/lock/v1/pre-reboot"] => error(409, "failed_lock", "all places are taken"),
            ["post", "/lock/v1/steady-state"] => {
                held.remove(&id);
                (200, String::new())
            }
            _ => error(404, "not_found", "no such thing"),
        }
    };
    let _ = write!(
        stream.get_mut(),
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{said}",
        said.len()
    );
}

fn error(status: u16, kind: &str, value: &str) -> (u16, String) {
    (status, json!({ "kind": kind, "value": value }).to_string())
}

#[test]
fn a_place_is_held_by_one_host_until_it_is_given_back() {
    let server = Server::start(1);
    let (one, two) = (server.client("one"), server.client("two"));
    assert_eq!(one.take(), Answer::Granted);
    assert_eq!(
        one.take(),
        Answer::Granted,
        "asked again, it holds the same"
    );
    let refused = Answer::Refused("409, failed_lock: all places are taken".to_owned());
    assert_eq!(two.take(), refused);
    two.give_back().expect("what it never held");
    assert_eq!(two.take(), refused);
    one.give_back().expect("given back");
    assert_eq!(two.take(), Answer::Granted);
    let mut other = server.client("three");
    other.group = "canary".to_owned();
    assert_eq!(
        other.take(),
        Answer::Granted,
        "another group has its own places"
    );
}

#[test]
fn a_server_that_says_nothing_of_the_protocol_is_silent_and_has_not_refused() {
    let server = Server::start(1);
    let mut client = server.client("one");
    client.timeout = Duration::from_millis(300);
    server.places().silent = true;
    let why = client.take();
    assert!(
        matches!(&why, Answer::Silent(why) if why.contains("no answer")),
        "{why:?}"
    );
    client.give_back().expect_err("nobody took it");
    server.places().silent = false;
    client.timeout = Duration::from_secs(20);
    server.places().gone = true;
    let why = client.take();
    assert!(
        matches!(&why, Answer::Silent(why) if why.contains("502")),
        "{why:?}"
    );
    let why = client.give_back().expect_err("nobody took it");
    assert!(why.contains("502"), "{why}");
    server.places().gone = false;
    assert_eq!(client.take(), Answer::Granted);
    // Nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0").expect("port");
    let url = format!("http://{}", port.local_addr().expect("address"));
    drop(port);
    client.url = url.parse().expect("URL");
    assert!(matches!(client.take(), Answer::Silent(_)));
}

#[test]
fn a_host_is_known_by_an_id_of_its_own_that_does_not_tell_its_machine_id() {
    // printf 'snowguard fleet lock %s' 0123 | sha256sum | cut -c1-32
    let id = id_of("0123\n").expect("an id");
    assert_eq!(id, "a1257a293e01456db309cc1a0a8a4107");
    assert_ne!(id_of("0124"), Some(id));
    assert_eq!(id_of("\n"), None);
}
