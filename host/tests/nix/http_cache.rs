//! A binary cache over HTTP: the files of a folder, or a refusal.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

pub(crate) struct HttpCache {
    pub(crate) url: String,
    refuses: Arc<AtomicBool>,
}

impl HttpCache {
    /// Serves until the test program ends.
    pub(crate) fn serve(folder: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let refuses = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&refuses);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (folder, flag) = (folder.clone(), Arc::clone(&flag));
                thread::spawn(move || answer(&stream.unwrap(), &folder, &flag));
            }
        });
        Self { url, refuses }
    }

    /// From now on every `.narinfo` is answered with 403.
    pub(crate) fn refuse(&self) {
        self.refuses.store(true, Ordering::SeqCst);
    }
}

fn answer(mut stream: &TcpStream, folder: &Path, refuses: &AtomicBool) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    let mut words = request.split(' ');
    let head_only = words.next() == Some("HEAD");
    let target = words
        .next()
        .unwrap_or("/")
        .trim_start_matches('/')
        .to_owned();
    // The rest of the request, or closing would cut off the answer.
    lines.find(String::is_empty);
    let (status, body) = if refuses.load(Ordering::SeqCst) && target.ends_with(".narinfo") {
        ("403 Forbidden", Vec::new())
    } else {
        match fs::read(folder.join(&target)) {
            Ok(body) => ("200 OK", body),
            Err(_) => ("404 Not Found", Vec::new()),
        }
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    // A client that has gone away wants no answer.
    let _ = stream.write_all(head.as_bytes());
    if !head_only {
        let _ = stream.write_all(&body);
    }
}
