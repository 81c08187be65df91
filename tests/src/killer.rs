//! Something between a program of ours and the Nix daemon that passes everything on, and kills the
//! program at a point of their talk.

use std::{
    fs,
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI32, Ordering},
    },
    thread,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{nix_daemon::SOCKET, wait::until};

/// When it kills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// As the program asks to delete, before the daemon hears of it.
    Asking,
    /// When the daemon has been asked to delete, whatever it has said by then.
    Asked,
    /// When the daemon says that it deletes the first path.
    FirstPath,
    /// Some paths later.
    Middle,
    /// When the daemon is done, before the program hears of it.
    Answered,
}

/// `STDERR_LAST` of the worker protocol: the daemon has no more to say before its answer.
const LAST: &[u8] = &[0x73, 0x74, 0x6c, 0x61, 0, 0, 0, 0];
const DELETING: &[u8] = b"deleting '/";

/// It kills once, and passes on whatever comes after.
#[derive(Debug)]
pub struct Killer {
    victim: Arc<AtomicI32>,
    has_killed: Arc<AtomicBool>,
}

impl Killer {
    /// Listens in the daemon's place below `root`, and passes on to where it really listens.
    ///
    /// # Panics
    /// If it cannot listen.
    #[must_use]
    pub fn between(root: &Path, daemon: &Path, at: At) -> Self {
        let place = root.join(SOCKET);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        let listener = UnixListener::bind(place).unwrap();
        let killer = Self {
            victim: Arc::default(),
            has_killed: Arc::default(),
        };
        let talk = Talk {
            daemon: daemon.to_owned(),
            at,
            victim: Arc::clone(&killer.victim),
            has_killed: Arc::clone(&killer.has_killed),
        };
        thread::spawn(move || {
            for client in listener.incoming() {
                let talk = talk.clone();
                thread::spawn(move || talk.pass_on(&client.unwrap()));
            }
        });
        killer
    }

    /// Says whom it kills.
    ///
    /// # Panics
    /// If that is no process.
    pub fn kills(&self, victim: u32) {
        let victim = i32::try_from(victim).unwrap();
        self.victim.store(victim, Ordering::SeqCst);
    }

    /// Whether it has.
    #[must_use]
    pub fn has_killed(&self) -> bool {
        self.has_killed.load(Ordering::SeqCst)
    }
}

#[derive(Clone)]
struct Talk {
    daemon: PathBuf,
    at: At,
    victim: Arc<AtomicI32>,
    has_killed: Arc<AtomicBool>,
}

impl Talk {
    /// What fails here has ended the talk, which is for the two to notice.
    fn pass_on(&self, client: &UnixStream) {
        let Ok(daemon) = UnixStream::connect(&self.daemon) else {
            return;
        };
        let (talk, up, down) = (self.clone(), client.try_clone(), daemon.try_clone());
        let (Ok(up), Ok(down)) = (up, down) else {
            return;
        };
        let asks = thread::spawn(move || {
            talk.copy(&up, &down, &|said| match talk.at {
                At::Asking => has(said, b"/nix/store/").then_some(false),
                At::Asked => has(said, b"/nix/store/").then_some(true),
                _ => None,
            });
        });
        self.copy(&daemon, client, &|said| {
            let paths = count(said, DELETING);
            let is_it = match self.at {
                At::Asking | At::Asked => false,
                At::FirstPath => paths >= 1,
                At::Middle => paths >= 5,
                At::Answered => said
                    .windows(DELETING.len())
                    .rposition(|part| part == DELETING)
                    .is_some_and(|last| has(&said[last..], LAST)),
            };
            is_it.then_some(false)
        });
        let _ = asks.join();
    }

    /// Copies until either ends, or until `kills` says of all that was said so far that it is time,
    /// and whether the last of it is passed on before.
    fn copy(&self, from: &UnixStream, to: &UnixStream, kills: &dyn Fn(&[u8]) -> Option<bool>) {
        let (mut from, mut to) = (from, to);
        let mut piece = [0; 4096];
        let mut said = Vec::new();
        while let Ok(length @ 1..) = from.read(&mut piece) {
            said.extend_from_slice(&piece[..length]);
            let time = kills(&said).filter(|_| !self.has_killed.load(Ordering::SeqCst));
            if time != Some(false) && to.write_all(&piece[..length]).is_err() {
                break;
            }
            if time.is_some() {
                self.kill();
                break;
            }
        }
        for stream in [from, to] {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn kill(&self) {
        let victim = until("it is said whom to kill", || {
            Some(self.victim.load(Ordering::SeqCst)).filter(|victim| *victim > 0)
        });
        self.has_killed.store(true, Ordering::SeqCst);
        kill(Pid::from_raw(victim), Signal::SIGKILL).unwrap();
    }
}

fn has(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn count(text: &[u8], part: &[u8]) -> usize {
    text.windows(part.len())
        .filter(|window| *window == part)
        .count()
}
