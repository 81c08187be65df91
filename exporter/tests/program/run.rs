//! The real program.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::host::Host;

/// Nobody, on every distribution.
pub(crate) const UNPRIVILEGED: &str = "65534";

pub(crate) fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_snowguard-exporter"))
}

/// The program as a user without privilege. Root becomes nobody; anyone else is that already.
pub(crate) fn unprivileged() -> Command {
    if !nix::unistd::geteuid().is_root() {
        return command();
    }
    let mut command = Command::new("setpriv");
    command
        .args([
            "--reuid",
            UNPRIVILEGED,
            "--regid",
            UNPRIVILEGED,
            "--clear-groups",
        ])
        .arg(env!("CARGO_BIN_EXE_snowguard-exporter"));
    command
}

/// The program's arguments for this host.
pub(crate) fn with_host(mut command: Command, host: &Host) -> Command {
    command
        .arg("--root")
        .arg(host.root())
        .arg("--proc")
        .arg(host.proc_dir());
    command
}

pub(crate) fn once(host: &Host) -> Output {
    with_host(command(), host).arg("--once").output().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The lines of the log that hold the text.
pub(crate) fn count_lines(log: &str, text: &str) -> usize {
    log.lines().filter(|line| line.contains(text)).count()
}

/// The running server; it is killed at the end if it still runs.
pub(crate) struct Running {
    child: Child,
    log: mpsc::Receiver<String>,
    pub(crate) address: SocketAddr,
}

impl Running {
    /// Starts the server on a free port of the loopback and waits until it listens.
    pub(crate) fn start(host: &Host, config: Option<&Path>) -> Self {
        let mut command = with_host(command(), host);
        command.args(["--web.listen-address", "127.0.0.1:0"]);
        // Most tests ask again at once for what they have just changed.
        let eager = host.dir.path().join("eager.toml");
        std::fs::write(&eager, "[exporter]\ncollect_share = '100%'\n").unwrap();
        command.arg("--config").arg(config.unwrap_or(&eager));
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let (sender, log) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || {
            for line in stderr.lines() {
                if sender.send(line.unwrap()).is_err() {
                    return;
                }
            }
        });
        let mut running = Self {
            child,
            log,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let line = running.wait_for("msg=listening");
        let (_, rest) = line.split_once("address=").unwrap();
        running.address = rest.split(' ').next().unwrap().parse().unwrap();
        running
    }

    /// The next line of the log that holds the text.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        loop {
            let line = self
                .log
                .recv_timeout(Duration::from_secs(20))
                .unwrap_or_else(|_| panic!("the log never said {text:?}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// The log until the program ended.
    pub(crate) fn rest_of_log(&self) -> String {
        self.log.iter().map(|line| line + "\n").collect()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap());
        kill(pid, signal).unwrap();
    }

    pub(crate) fn wait(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// The whole answer to a request without body.
    pub(crate) fn request(&self, method: &str, path: &str, headers: &str) -> String {
        let text =
            format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
        self.send(text.as_bytes())
    }

    /// The whole answer to these bytes.
    pub(crate) fn send(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
