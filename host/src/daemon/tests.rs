//! Promise 8: "What cannot be read is reported, not assumed." Real daemons greet in
//! `tests/nix/daemon.rs`; here are those that do not.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::Shutdown,
    os::unix::net::UnixListener,
    thread,
};

use tempfile::TempDir;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn host() -> (TempDir, Layout) {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path());
    fs::create_dir_all(Greeting::socket(&layout).parent().unwrap()).unwrap();
    (dir, layout)
}

/// A daemon that takes the client's greeting and says these words, its last if it hangs up.
fn daemon(layout: &Layout, words: &[u64], hangs_up: bool) {
    let listener = UnixListener::bind(Greeting::socket(layout)).unwrap();
    let words: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut greeting = [0; 16];
        stream.read_exact(&mut greeting).unwrap();
        stream.write_all(&words).unwrap();
        if hangs_up {
            stream.shutdown(Shutdown::Write).unwrap();
        }
        // Until the client has gone.
        let _ = stream.read_to_end(&mut Vec::new());
    });
}

const MAGIC: u64 = 0x6478_696f;
const LAST: u64 = 0x616c_7473;

#[test]
fn a_daemon_of_each_age_is_understood() {
    let version = u64::from_le_bytes(*b"2.34.8\0\0");
    for (words, said) in [
        // 1.21 of Nix 2.3, 1.34 of 2.8, 1.38 of 2.34.
        (vec![MAGIC, 0x115, LAST], None),
        (vec![MAGIC, 0x122, 6, version, LAST], Some("2.34.8")),
        (vec![MAGIC, 0x126, 6, version, 1, LAST], Some("2.34.8")),
    ] {
        let (_dir, layout) = host();
        daemon(&layout, &words, false);
        let greeting = Greeting::exchange(&layout, PATIENCE).unwrap().unwrap();
        assert_eq!(greeting.version.as_deref(), said);
    }
}

#[test]
fn a_host_without_a_socket_has_no_daemon_to_be_down() {
    let (_dir, layout) = host();
    assert_eq!(Greeting::exchange(&layout, PATIENCE).unwrap(), None);
}

#[test]
fn a_socket_that_nobody_listens_on_is_an_error_with_a_cure() {
    let (_dir, layout) = host();
    drop(UnixListener::bind(Greeting::socket(&layout)).unwrap());
    let error = Greeting::exchange(&layout, PATIENCE).unwrap_err();
    assert!(error.to_string().contains("nix-daemon.socket"), "{error}");
}

#[test]
fn a_daemon_that_says_nothing_is_given_up_in_time() {
    let (_dir, layout) = host();
    daemon(&layout, &[MAGIC], false);
    let error = Greeting::exchange(&layout, Duration::from_millis(200)).unwrap_err();
    assert_eq!(error.kind, Kind::Busy);
}

#[test]
fn a_daemon_that_hangs_up_or_is_none_of_nix_is_no_answer() {
    for (words, kind) in [
        (vec![], Kind::Io),
        (vec![MAGIC, 0x122], Kind::Io),
        (vec![42, 42], Kind::Malformed),
        (vec![MAGIC, 0x215], Kind::Malformed),
        (vec![MAGIC, 0x122, u64::MAX], Kind::Malformed),
        (vec![MAGIC, 0x115, 0x6378_7470], Kind::Malformed),
    ] {
        let (_dir, layout) = host();
        daemon(&layout, &words, true);
        let error = Greeting::exchange(&layout, PATIENCE).unwrap_err();
        assert_eq!(error.kind, kind, "{words:x?}: {error}");
    }
}
