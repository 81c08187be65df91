//! Promise 7: "Reading never blocks or slows Nix".

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use snowguard_host::Layout;
use tempfile::TempDir;

use super::*;

/// Waits as long as it takes.
const PATIENT: Manner = Manner {
    interval: Duration::from_secs(60),
    timeout: Duration::from_secs(20),
    patience: Duration::from_secs(20),
    least_bytes: 0,
};

struct Host {
    _dir: TempDir,
    layout: Layout,
    asked: Arc<AtomicUsize>,
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        fs::create_dir_all(layout.store()).unwrap();
        fs::create_dir_all(Greeting::socket(&layout).parent().unwrap()).unwrap();
        Self {
            _dir: dir,
            layout,
            asked: Arc::default(),
        }
    }

    /// A daemon of Nix 2.3 that greets so many clients; then nobody listens any more.
    fn daemon(&self, clients: usize) {
        let socket = Greeting::socket(&self.layout);
        let _ = fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).unwrap();
        let asked = Arc::clone(&self.asked);
        thread::spawn(move || {
            for _ in 0..clients {
                let (mut stream, _) = listener.accept().unwrap();
                asked.fetch_add(1, Ordering::SeqCst);
                stream.read_exact(&mut [0; 16]).unwrap();
                let words: [u64; 3] = [0x6478_696f, 0x115, 0x616c_7473];
                let words: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
                stream.write_all(&words).unwrap();
                let _ = stream.read_to_end(&mut Vec::new());
            }
        });
    }

    fn up(&self, daemon: &mut Daemon, at: u64) -> Option<f64> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(at);
        let families = daemon.collect(&Context::new(&self.layout, now)).unwrap();
        let up = families.iter().find(|f| f.name == "nix_daemon_up")?;
        assert_eq!(families.len() == 2, up.samples[0].value == 1.0);
        Some(up.samples[0].value)
    }
}

#[test]
fn the_daemon_is_asked_once_a_minute_however_often_it_is_scraped() {
    let host = Host::new();
    host.daemon(2);
    let mut daemon = Daemon::with(PATIENT);
    for at in [100, 101, 130, 159] {
        assert_eq!(host.up(&mut daemon, at), Some(1.0));
    }
    assert_eq!(host.asked.load(Ordering::SeqCst), 1);
    assert_eq!(host.up(&mut daemon, 160), Some(1.0));
    assert_eq!(host.asked.load(Ordering::SeqCst), 2);
}

#[test]
fn a_daemon_that_is_gone_is_down_and_up_again_when_it_is_back() {
    let host = Host::new();
    let mut daemon = Daemon::with(PATIENT);
    assert_eq!(host.up(&mut daemon, 0), None, "no socket, no daemon");
    drop(UnixListener::bind(Greeting::socket(&host.layout)).unwrap());
    assert_eq!(host.up(&mut daemon, 60), Some(0.0));
    host.daemon(1);
    assert_eq!(host.up(&mut daemon, 61), Some(0.0), "not asked again yet");
    assert_eq!(host.up(&mut daemon, 120), Some(1.0));
}

#[test]
fn a_daemon_that_says_nothing_holds_no_scrape_and_is_down_when_its_time_is_over() {
    let host = Host::new();
    // It takes the connection, by the kernel's queue, and never looks at it.
    let _silent = UnixListener::bind(Greeting::socket(&host.layout)).unwrap();
    let mut daemon = Daemon::with(Manner {
        patience: Duration::ZERO,
        timeout: Duration::from_secs(600),
        ..PATIENT
    });
    assert_eq!(host.up(&mut daemon, 0), None, "not known yet");
    assert_eq!(host.up(&mut daemon, 600), None);
    assert_eq!(host.up(&mut daemon, 601), Some(0.0));
}

#[test]
fn on_a_disk_that_is_nearly_full_the_daemon_is_left_alone() {
    let host = Host::new();
    host.daemon(1);
    let mut daemon = Daemon::with(Manner {
        least_bytes: u64::MAX,
        ..PATIENT
    });
    assert_eq!(host.up(&mut daemon, 0), None);
    assert_eq!(host.asked.load(Ordering::SeqCst), 0);
}
