//! Each thing that a client can hold has a limit, and one client's is not another's loss.

use std::{
    net::SocketAddr,
    sync::mpsc::{Receiver, Sender, channel},
    time::Duration,
};

use snowguard_host::Layout;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        watch,
    },
    task::JoinHandle,
};

use super::{LIMITS, Limits, Server};
use crate::{
    collect::{CollectError, Collector, Context, Names, Registry},
    sample::Family,
    weigh::Share,
};

/// Says when a collection begins, and ends it when it is let go or the test is over.
struct Gated {
    begun: UnboundedSender<()>,
    go: Receiver<()>,
}

impl Collector for Gated {
    fn name(&self) -> &'static str {
        "gated"
    }

    fn families(&self) -> &'static [&'static str] {
        &[]
    }

    fn collect(&mut self, _: &Context<'_>) -> Result<Vec<Family>, CollectError> {
        let _ = self.begun.send(());
        let _ = self.go.recv();
        Ok(Vec::new())
    }
}

struct Site {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
    begun: UnboundedReceiver<()>,
    go: Sender<()>,
}

impl Site {
    async fn new(limits: Limits) -> Self {
        let (sender, begun) = unbounded_channel();
        let (go, receiver) = channel();
        let gated = Gated {
            begun: sender,
            go: receiver,
        };
        let registry = Registry::new(Layout::new("/nonexistent"), &Names::none());
        let registry = registry.with(Box::new(gated));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let server = Server::with_limits(registry, Share::percent(100).unwrap(), limits);
        let serving = tokio::spawn(async move { server.serve(vec![listener], stopped).await });
        Self {
            address,
            stop,
            serving,
            begun,
            go,
        }
    }

    async fn collection_begins(&mut self) {
        self.begun.recv().await.unwrap();
    }

    fn let_it_end(&self) {
        self.go.send(()).unwrap();
    }

    fn get(&self, path: &'static str, headers: &'static str) -> JoinHandle<String> {
        let address = self.address;
        tokio::spawn(async move {
            let text =
                format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            read(&mut stream).await
        })
    }
}

async fn read(stream: &mut TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_collection_that_hangs_is_reported_before_the_reader_gives_up() {
    let mut site = Site::new(LIMITS).await;
    let answer = site.get("/metrics", "X-Prometheus-Scrape-Timeout-Seconds: 0.6\r\n");
    site.collection_begins().await;
    let in_time = tokio::time::timeout(Duration::from_secs(20), answer).await;
    let answer = in_time.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("has not ended within"), "{answer}");
    assert!(
        site.get("/-/healthy", "")
            .await
            .unwrap()
            .starts_with("HTTP/1.1 200 ")
    );
    site.let_it_end();
}

#[tokio::test]
async fn one_request_too_many_is_refused_and_the_others_are_answered() {
    let mut site = Site::new(Limits {
        in_flight: 1,
        ..LIMITS
    })
    .await;
    let first = site.get("/metrics", "");
    site.collection_begins().await;
    let refused = site.get("/metrics", "").await.unwrap();
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert!(refused.contains("too many requests"), "{refused}");
    site.let_it_end();
    assert!(first.await.unwrap().starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_client_that_sends_half_a_request_is_let_go() {
    let head_timeout = Duration::from_millis(50);
    let site = Site::new(Limits {
        head_timeout,
        ..LIMITS
    })
    .await;
    let mut slow = TcpStream::connect(site.address).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    // Hyper's own timeout would be thirty seconds.
    let answer = tokio::time::timeout(Duration::from_secs(10), read(&mut slow))
        .await
        .unwrap();
    assert!(!answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_connection_too_many_is_served_when_another_is_closed() {
    let site = Site::new(Limits {
        connections: 1,
        ..LIMITS
    })
    .await;
    let mut idle = TcpStream::connect(site.address).await.unwrap();
    idle.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    let waiting = site.get("/-/healthy", "");
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    drop(idle);
    assert!(waiting.await.unwrap().starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_connection_that_is_kept_for_long_is_closed_between_requests() {
    let connection_deadline = Duration::from_millis(50);
    let site = Site::new(Limits {
        connection_deadline,
        ..LIMITS
    })
    .await;
    let mut kept = TcpStream::connect(site.address).await.unwrap();
    kept.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    // Without the deadline this would end with the head timeout, ten seconds later.
    let answer = tokio::time::timeout(Duration::from_secs(5), read(&mut kept))
        .await
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_request_in_flight_is_answered_before_the_server_ends() {
    let mut site = Site::new(LIMITS).await;
    let answer = site.get("/metrics", "");
    site.collection_begins().await;
    site.stop.send_replace(true);
    tokio::task::yield_now().await;
    assert!(!site.serving.is_finished());
    site.let_it_end();
    assert!(answer.await.unwrap().starts_with("HTTP/1.1 200 "));
    site.serving.await.unwrap();
    assert!(TcpStream::connect(site.address).await.is_err());
}
