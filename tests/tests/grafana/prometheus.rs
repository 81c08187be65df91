//! A real Prometheus that scrapes one page, on addresses of its own choice.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use snowguard_tests::lab;
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

/// Ends with the test.
pub(crate) struct Prometheus {
    address: SocketAddr,
    _process: lab::Running,
    _dir: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes `page` each second and loads the shipped rules.
    pub(crate) fn scraping(page: String) -> Self {
        let target = serve(page);
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("prometheus.yml");
        let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules/*.rules.yaml");
        let text = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: [{rules:?}]\n\
             scrape_configs:\n\
             - {{job_name: snowguard, static_configs: [{{targets: ['{target}']}}]}}\n"
        );
        fs::write(&config, text).unwrap();
        let log = dir.path().join("log");
        let process = lab::Running::start(
            Command::new(lab::dir().join("bin/prometheus3"))
                .arg(format!("--config.file={}", config.display()))
                .arg(format!(
                    "--storage.tsdb.path={}",
                    dir.path().join("data").display()
                ))
                .arg("--web.listen-address=127.0.0.1:0")
                .stdout(Stdio::null())
                .stderr(File::create(&log).unwrap()),
        );
        let address = until("it listens", || listening(&log));
        let prometheus = Self {
            address,
            _process: process,
            _dir: dir,
        };
        // It listens a while before it answers queries.
        prometheus.wait_for("vector(1)");
        prometheus
    }

    /// The data of one answer, or what Prometheus said.
    pub(crate) fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let encoded = parameters
            .iter()
            .map(|(k, v)| format!("{}={}", encode(k), encode(v)));
        let query = encoded.collect::<Vec<_>>().join("&");
        let mut stream = TcpStream::connect(self.address).map_err(|e| e.to_string())?;
        let request = format!("GET /api/v1/{path}?{query} HTTP/1.0\r\n\r\n");
        let mut answer = String::new();
        stream
            .write_all(request.as_bytes())
            .and_then(|()| stream.read_to_string(&mut answer))
            .map_err(|e| e.to_string())?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let mut json: Value = serde_json::from_str(body).map_err(|e| format!("{e}: {answer}"))?;
        if json["status"] == "success" {
            Ok(json["data"].take())
        } else {
            Err(json["error"].to_string())
        }
    }

    /// The series of an instant query.
    pub(crate) fn query(&self, expr: &str) -> Result<Vec<Value>, String> {
        let mut data = self.get("query", &[("query", expr)])?;
        match data["result"].take() {
            Value::Array(series) => Ok(series),
            other => Err(format!("no vector: {other}")),
        }
    }

    /// Waits until a query has a result.
    pub(crate) fn wait_for(&self, expr: &str) {
        until(expr, || {
            self.query(expr).ok().filter(|series| !series.is_empty())
        });
    }
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < DEADLINE, "waited in vain until {what}");
        thread::sleep(POLL);
    }
}

/// The address that Prometheus logs as soon as it listens.
fn listening(log: &PathBuf) -> Option<SocketAddr> {
    let text = fs::read_to_string(log).unwrap();
    let line = text
        .lines()
        .find(|line| line.contains("\"Listening on\""))?;
    let (_, after) = line.split_once("address=")?;
    after.split_whitespace().next()?.parse().ok()
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

fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}
