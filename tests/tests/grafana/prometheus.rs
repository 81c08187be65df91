//! A real Prometheus that scrapes one page.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener},
    thread,
};

use snowguard_tests::{
    lab,
    prometheus::{self, Prometheus},
};

/// Starts one that scrapes `page` each second and loads the shipped rules.
pub(crate) fn scraping(page: String) -> Prometheus {
    let config = prometheus::scraping(serve(page), "");
    Prometheus::start(&lab::dir().join("bin/prometheus3"), &config)
}

/// Answers every request with the page; in each answer all counters have grown by one.
fn serve(page: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let request = BufReader::new(stream.try_clone().unwrap()).lines();
            let _ = request.map_while(Result::ok).find(|line| line.is_empty());
            let body = grown(&page, number);
            // A scraper that has gone away is none of our business.
            let _ = write!(
                stream,
                "HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n\r\n{body}"
            );
        }
    });
    address
}

fn grown(page: &str, number: usize) -> String {
    let grow = |line: &str| {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        match line.rsplit_once(' ') {
            Some((series, _)) if name.ends_with("_total") => format!("{series} {number}\n"),
            _ => format!("{line}\n"),
        }
    };
    page.lines().map(grow).collect()
}
