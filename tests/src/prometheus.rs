//! A real Prometheus, on an address of its own choice.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{lab::Running, wait::until};

/// Ends with the test.
#[derive(Debug)]
pub struct Prometheus {
    address: SocketAddr,
    _process: Running,
    _dir: TempDir,
}

/// A configuration that scrapes one target each second, with `scrape` as further settings of
/// it, and evaluates the shipped rules each second.
#[must_use]
pub fn scraping(target: SocketAddr, scrape: &str) -> String {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules/*.rules.yaml");
    format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
         rule_files: [{rules:?}]\n\
         scrape_configs:\n\
         - {{job_name: snowguard, static_configs: [{{targets: ['{target}']}}], {scrape}}}\n"
    )
}

impl Prometheus {
    /// Starts one with this configuration, and waits until it answers.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(program: &Path, config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("prometheus.yml");
        fs::write(&path, config).unwrap();
        let log = dir.path().join("log");
        let process = Running::start(
            Command::new(program)
                .arg(format!("--config.file={}", path.display()))
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
    ///
    /// # Errors
    /// The sentence of the answer, or of the connection.
    pub fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
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
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn query(&self, expr: &str) -> Result<Vec<Value>, String> {
        let mut data = self.get("query", &[("query", expr)])?;
        match data["result"].take() {
            Value::Array(series) => Ok(series),
            other => Err(format!("no vector: {other}")),
        }
    }

    /// Waits until a query has a result.
    pub fn wait_for(&self, expr: &str) {
        until(expr, || {
            self.query(expr).ok().filter(|series| !series.is_empty())
        });
    }
}

/// The address that Prometheus logs as soon as it listens.
fn listening(log: &Path) -> Option<SocketAddr> {
    let text = fs::read_to_string(log).unwrap();
    let line = text
        .lines()
        .find(|line| line.contains("\"Listening on\""))?;
    let (_, after) = line.split_once("address=")?;
    after.split_whitespace().next()?.parse().ok()
}

fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}
