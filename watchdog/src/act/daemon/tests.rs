//! Daemons that misbehave: nothing they say makes the client panic, wait without end or take
//! memory for what never came. Real daemons are in `tests/tests/daemon.rs`.

use std::{
    io::{self, Cursor},
    os::unix::net::{UnixListener, UnixStream},
    thread,
};

use proptest::{
    collection::vec,
    prelude::{Just, ProptestConfig, Strategy, any, prop_assert, prop_oneof, proptest},
};

use super::*;

/// A daemon that has said all it will ever say, whatever it is told.
#[derive(Debug)]
struct Said(Cursor<Vec<u8>>);

impl Read for Said {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a well-behaved daemon of a version says at first.
fn greeting(minor: u64) -> Message {
    let mut message = Message::default();
    message.number(DAEMON_MAGIC).number(MAJOR << 8 | minor);
    let spoken = minor.min(MINOR);
    if spoken >= 33 {
        message.text(b"2.34.8");
    }
    if spoken >= 35 {
        message.number(1);
    }
    message.number(LAST);
    message
}

const LAST: u64 = 0x616c_7473;
const NEXT: u64 = 0x6f6c_6d67;
const ERROR: u64 = 0x6378_7470;

fn ask(said: &Message) -> (Result<(), DaemonError>, usize) {
    let mut lines = 0;
    let outcome = Daemon::greet(Said(Cursor::new(said.0.clone())))
        .and_then(|mut daemon| daemon.collect(&["aaa-one".into()], &mut |_| lines += 1));
    (outcome, lines)
}

#[test]
fn every_version_from_2_3_on_is_understood() {
    // 2.3, 2.8, 2.18 and Lix, 2.24 and later, and one yet to come.
    for minor in [21, 34, 35, 38, 60] {
        let mut said = greeting(minor);
        said.number(NEXT).text(b"deleting '/nix/store/aaa-one'");
        said.number(LAST).number(1).text(b"/nix/store/aaa-one");
        said.number(4096).number(0);
        let (outcome, lines) = ask(&said);
        outcome.unwrap();
        assert_eq!(lines, 1, "1.{minor}");
    }
}

#[test]
fn what_nix_refuses_is_its_own_sentence_in_every_version() {
    for minor in [21, 38] {
        let mut said = greeting(minor);
        said.number(ERROR);
        if minor < 26 {
            said.text(b"it is alive").number(1);
        } else {
            said.text(b"Error").number(0).text(b"Error");
            said.text(b"\x1b[31;1mit is alive\x1b[0m").number(0);
            said.number(1).number(0).text(b"while collecting");
        }
        let (outcome, _) = ask(&said);
        let Err(DaemonError::Refused(sentence)) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(sentence, "it is alive");
    }
}

#[test]
fn a_peer_that_is_no_daemon_or_too_old_a_one_is_unreachable() {
    let mut other = Message::default();
    other.0.extend(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let mut old = Message::default();
    old.number(DAEMON_MAGIC).number(MAJOR << 8 | 9);
    let mut major = Message::default();
    major.number(DAEMON_MAGIC).number(2 << 8 | 1);
    for said in [other, old, major, Message::default()] {
        let (outcome, _) = ask(&said);
        assert!(
            matches!(outcome, Err(DaemonError::Unreachable(_))),
            "{outcome:?}"
        );
    }
}

/// Frames of a conversation, some of them with a length that lies.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![
        Just(NEXT),
        Just(LAST),
        Just(ERROR),
        Just(0x5354_5254),
        Just(0x5354_4f50),
        Just(0x5253_4c54),
        Just(0x6461_7461),
        0..9_u64,
        any::<u64>(),
    ]
    .prop_map(|number| number.to_le_bytes().to_vec());
    let text = vec(any::<u8>(), 0..40).prop_map(|text| {
        let mut message = Message::default();
        message.text(&text);
        message.0
    });
    let piece = prop_oneof![3 => number, 2 => text, 1 => vec(any::<u8>(), 0..20)];
    vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3000) })]

    #[test]
    fn no_garbage_makes_the_client_panic_or_keep_more_than_it_was_sent(
        minor in 10..60_u64, greeted in any::<bool>(), frames in frames(),
    ) {
        let mut said = if greeted { greeting(minor) } else { Message::default() };
        said.0.extend(frames);
        let (mut kept, sent) = (0, said.0.len());
        let outcome = Daemon::greet(Said(Cursor::new(said.0))).and_then(|mut daemon| {
            daemon.collect(&["aaa-one".into()], &mut |line| {
                // What is in memory at once is one text, and what was reserved for it.
                kept = kept.max(line.len());
            })
        });
        prop_assert!(kept <= sent.min(4096), "{kept} of {sent}");
        if let Err(DaemonError::Refused(sentence)) = outcome {
            prop_assert!(sentence.len() <= 3 * 4096);
        }
    }
}

#[test]
fn a_length_that_lies_is_refused_before_anything_is_kept_for_it() {
    let mut said = greeting(38);
    said.number(NEXT).number(u64::MAX);
    let (outcome, _) = ask(&said);
    assert!(outcome.unwrap_err().to_string().contains("a text of"));
    let mut said = greeting(38);
    said.number(LAST).number(u64::MAX);
    let (outcome, _) = ask(&said);
    assert!(outcome.unwrap_err().to_string().contains("items"));
}

/// A client whose peer is in the hands of the test.
fn pair(stop: &Stop, patience: Duration) -> (Timed, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let deadline = Instant::now() + patience;
    (Timed::new(ours, stop.clone(), deadline).unwrap(), theirs)
}

#[test]
fn a_daemon_that_says_nothing_is_given_up_at_the_deadline() {
    let (ours, _theirs) = pair(&Stop::new(), Duration::from_millis(300));
    let begun = Instant::now();
    let error = Daemon::greet(ours).unwrap_err();
    assert!(
        matches!(error, DaemonError::Unreachable(WireError::Late)),
        "{error}"
    );
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_daemon_that_drips_words_without_end_is_given_up_at_the_deadline() {
    let (ours, mut theirs) = pair(&Stop::new(), Duration::from_millis(500));
    let drip = thread::spawn(move || {
        let mut said = greeting(38);
        let mut line = Message::default();
        line.number(NEXT).text(b"still at it");
        loop {
            if theirs.write_all(&said.0).is_err() {
                return;
            }
            said.0.clone_from(&line.0);
        }
    });
    let mut daemon = Daemon::greet(ours).unwrap();
    let error = daemon
        .collect(&["aaa-one".into()], &mut |_| {})
        .unwrap_err();
    assert!(
        matches!(error, DaemonError::Interrupted(WireError::Late)),
        "{error}"
    );
    drop(daemon);
    drip.join().unwrap();
}

#[test]
fn a_wish_to_stop_ends_the_wait_for_a_daemon() {
    let stop = Stop::new();
    let (ours, _theirs) = pair(&stop, Duration::from_secs(600));
    stop.ask();
    let error = Daemon::greet(ours).unwrap_err();
    assert!(
        matches!(error, DaemonError::Unreachable(WireError::Stopped)),
        "{error}"
    );
}

#[test]
fn a_socket_that_accepts_and_then_closes_is_no_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let closes = thread::spawn(move || drop(listener.accept().unwrap()));
    let error = Daemon::connect(&path, &Stop::new(), Instant::now() + ANSWER).unwrap_err();
    assert!(matches!(error, DaemonError::Unreachable(_)), "{error}");
    closes.join().unwrap();
    let error = Daemon::connect(&path, &Stop::new(), Instant::now() + ANSWER).unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
}

#[test]
fn a_daemon_that_does_not_greet_is_not_waited_for_beyond_what_the_caller_has() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let _hung = UnixListener::bind(&path).unwrap();
    let begun = Instant::now();
    let by = begun + Duration::from_millis(200);
    let error = Daemon::connect(&path, &Stop::new(), by).unwrap_err();
    assert!(error.to_string().contains("no answer in time"), "{error}");
    assert!(begun.elapsed() < ANSWER, "{:?}", begun.elapsed());
}
