//! A binary cache over HTTP that serves a folder, and gives the second half of an archive only when
//! it is told to: a substitution that is under way for as long as a test needs it.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex},
    thread,
};

#[derive(Debug, Default)]
struct State {
    half_given: bool,
    may_end: bool,
}

/// The cache. It serves until the test program ends.
#[derive(Debug)]
pub struct SlowCache {
    /// For `substituters`.
    pub url: String,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl SlowCache {
    /// Serves a folder that `nix copy --to file://…` has written.
    ///
    /// # Panics
    /// If there is no loopback.
    #[must_use]
    pub fn serve(folder: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new((Mutex::new(State::default()), Condvar::new()));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (folder, state) = (folder.clone(), Arc::clone(&shared));
                thread::spawn(move || answer(&stream.unwrap(), &folder, &state));
            }
        });
        Self { url, state }
    }

    /// Waits until half of an archive was given.
    ///
    /// # Panics
    /// If the server failed.
    pub fn half_given(&self) {
        let (state, changed) = &*self.state;
        let state = state.lock().unwrap();
        drop(
            changed
                .wait_while(state, |state| !state.half_given)
                .unwrap(),
        );
    }

    /// Lets it give the rest.
    ///
    /// # Panics
    /// If the server failed.
    pub fn let_go(&self) {
        let (state, changed) = &*self.state;
        state.lock().unwrap().may_end = true;
        changed.notify_all();
    }
}

fn answer(mut stream: &TcpStream, folder: &Path, state: &(Mutex<State>, Condvar)) {
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
    let (status, body) = match fs::read(folder.join(&target)) {
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    // A client that has gone away wants no answer.
    let _ = stream.write_all(head.as_bytes());
    if head_only {
        return;
    }
    let (first, rest) = body.split_at(body.len() / 2);
    let _ = stream.write_all(first);
    if target.contains(".nar") && !target.ends_with(".narinfo") {
        let (state, changed) = state;
        let mut state = state.lock().unwrap();
        state.half_given = true;
        changed.notify_all();
        drop(changed.wait_while(state, |state| !state.may_end).unwrap());
    }
    let _ = stream.write_all(rest);
}
