use super::*;

const HOUR: i64 = 3_600_000;
/// Some time in 2027.
const NOW: i64 = 1_800_000_000_000;

fn policy() -> Policy {
    Policy {
        max_runs_per_day: 4,
        breaker: 2,
        jitter: Duration::ZERO,
        ..Policy::default()
    }
}

fn asked() -> Asked<'static> {
    Asked {
        incident: "gc-Low-1",
        since_ms: NOW,
        host: "a",
        is_urgent: false,
    }
}

fn reason(history: &History, policy: &Policy, now_ms: i64) -> Option<Reason> {
    let mut history = history.clone();
    history.settle(now_ms);
    let refusal = history.refusal(policy, asked(), now_ms);
    refusal.map(|refusal| refusal.reason)
}

fn report(end: End, freed: u64) -> Report {
    let space = |bytes| Space { bytes, files: 0 };
    Report {
        end,
        promised: space(1000),
        freed: space(freed),
        detail: String::new(),
    }
}

fn short(freed: u64) -> Report {
    report(End::Short("no_progress"), freed)
}

/// As it is read from disk by the watchdog that comes after one that was ended.
fn after_a_kill(history: &History) -> History {
    serde_json::from_str(&serde_json::to_string(history).unwrap()).unwrap()
}

#[test]
fn one_that_ends_its_watchdog_each_time_is_not_gone_on_with_for_ever() {
    let mut history = History::default();
    for minute in 0..4 {
        assert_eq!(history.spent(&policy()), None, "{minute}");
        history.begun(NOW + minute * 60_000);
        history = after_a_kill(&history);
    }
    let refusal = history.spent(&policy()).unwrap();
    assert_eq!(refusal.reason, Reason::Budget);
    history.settle(NOW + 25 * HOUR);
    assert_eq!(history.spent(&policy()), None);
}

#[test]
fn a_collection_counts_once_however_it_is_begun_and_not_at_all_if_it_did_nothing() {
    let nothing = [
        report(End::Observed, 0),
        report(
            End::Refused(Refusal {
                reason: Reason::Collecting,
                detail: String::new(),
            }),
            0,
        ),
    ];
    let mut history = History::default();
    for report in &nothing {
        history.begun(NOW);
        history.ended(&policy(), report, NOW);
        history.begun(NOW);
        history.called_off();
        assert_eq!(history, History::default());
    }
    // Killed once, gone on with, and come to its end: the kill is one, and the end another.
    history.begun(NOW);
    history = after_a_kill(&history);
    history.begun(NOW);
    history.ended(&policy(), &report(End::Reached, 1), NOW);
    assert_eq!(history.ended_ms, [NOW, NOW]);
}

#[test]
fn so_many_collections_begin_in_any_24_hours_and_no_more() {
    let mut history = History::default();
    for hour in 0..4 {
        let now = NOW + hour * HOUR;
        assert_eq!(reason(&history, &policy(), now), None, "{hour}");
        history.ended(&policy(), &report(End::Reached, 1), now);
    }
    assert_eq!(
        reason(&history, &policy(), NOW + 4 * HOUR),
        Some(Reason::Budget)
    );
    assert_eq!(
        reason(&history, &policy(), NOW + 24 * HOUR - 1),
        Some(Reason::Budget)
    );
    assert_eq!(reason(&history, &policy(), NOW + 24 * HOUR), None);
}

#[test]
fn a_clock_that_was_set_back_does_not_hold_a_host_for_more_than_a_day() {
    let mut history = History::default();
    let far = NOW + 1000 * 24 * HOUR;
    for _ in 0..3 {
        history.ended(&policy(), &short(0), far);
    }
    history.settle(NOW);
    assert_eq!(reason(&history, &policy(), NOW), Some(Reason::Breaker));
    assert_eq!(
        reason(&history, &policy(), NOW + 24 * HOUR - 1),
        Some(Reason::Breaker)
    );
    assert_eq!(reason(&history, &policy(), NOW + 24 * HOUR), None);
}

#[test]
fn collections_that_bring_nothing_open_the_breaker_until_a_day_has_passed_or_a_release() {
    let mut history = History::default();
    history.ended(&policy(), &short(49), NOW);
    assert_eq!(reason(&history, &policy(), NOW), None);
    history.ended(&policy(), &short(0), NOW);
    assert_eq!(reason(&history, &policy(), NOW), Some(Reason::Breaker));
    assert_eq!(reason(&history, &policy(), NOW + 24 * HOUR), None);
    // One try a day: the next failure closes the door again.
    history.ended(&policy(), &short(0), NOW + 24 * HOUR);
    assert_eq!(
        reason(&history, &policy(), NOW + 25 * HOUR),
        Some(Reason::Breaker)
    );
    history.release();
    assert_eq!(reason(&history, &policy(), NOW + 25 * HOUR), None);
}

#[test]
fn a_collection_that_brings_something_closes_the_breaker() {
    for good in [short(50), report(End::Reached, 0)] {
        let mut history = History::default();
        history.ended(&policy(), &short(0), NOW);
        history.ended(&policy(), &good, NOW);
        history.ended(&policy(), &short(0), NOW);
        assert_eq!(reason(&history, &policy(), NOW), None, "{good:?}");
    }
}

#[test]
fn what_was_only_observed_or_refused_counts_for_nothing() {
    let mut history = History::default();
    let refusal = Refusal {
        reason: Reason::Collecting,
        detail: String::new(),
    };
    for end in [End::Observed, End::Refused(refusal)] {
        for _ in 0..5 {
            history.ended(&policy(), &report(end.clone(), 0), NOW);
        }
    }
    assert_eq!(history, History::default());
}

#[test]
fn hosts_of_a_fleet_begin_at_different_times_and_each_at_the_same_one_again() {
    let policy = Policy {
        jitter: Duration::from_secs(600),
        ..policy()
    };
    let begins = |host: &str| {
        let asked = Asked { host, ..asked() };
        let history = History::default();
        let waits = |second: &i64| {
            history
                .refusal(&policy, asked, NOW + second * 1000)
                .is_some()
        };
        let seconds = (0..=600).take_while(waits).count();
        assert!(seconds <= 600, "{host} never begins");
        seconds
    };
    let times: Vec<usize> = (0..200)
        .map(|host| begins(&format!("host-{host}")))
        .collect();
    for tenth in 0..10 {
        let within = times.iter().filter(|time| **time / 61 == tenth).count();
        assert!((5..50).contains(&within), "{within} in tenth {tenth}");
    }
    assert_eq!(begins("host-7"), times[7]);
}

#[test]
fn a_disk_that_is_urgent_does_not_wait_for_others() {
    let policy = Policy {
        jitter: Duration::from_secs(1 << 30),
        ..policy()
    };
    let history = History::default();
    let refusal = history.refusal(&policy, asked(), NOW).unwrap();
    assert_eq!(refusal.reason, Reason::Jitter);
    let now = Asked {
        is_urgent: true,
        ..asked()
    };
    assert_eq!(history.refusal(&policy, now, NOW), None);
}

#[test]
fn a_history_of_an_older_version_is_read() {
    assert_eq!(
        serde_json::from_str::<History>("{}").unwrap(),
        History::default()
    );
}

#[test]
fn what_did_not_help_an_alert_is_not_tried_again_within_the_pause_even_after_a_restart() {
    let policy = Policy {
        cooldown: Duration::from_secs(600),
        ..policy()
    };
    let mut history = History::default();
    history.rest(&policy, "Low", NOW);
    let text = serde_json::to_string(&history).unwrap();
    let mut history: History = serde_json::from_str(&text).unwrap();
    let until = NOW + 600_000;
    assert_eq!(history.rests_until(&policy, "Low", until - 1), Some(until));
    assert_eq!(history.rests_until(&policy, "Low", until), None);
    assert_eq!(history.rests_until(&policy, "Other", NOW), None);
    let resting: Vec<_> = history.resting(&policy, until - 1).collect();
    assert_eq!(resting, [("Low", until)]);
    assert_eq!(history.resting(&policy, until).count(), 0);
    // A clock that was set back does not make it longer.
    history.settle(NOW - 24 * HOUR);
    let until = until - 24 * HOUR;
    assert_eq!(history.rests_until(&policy, "Low", until), None);
    // What is over is not kept for ever.
    history.rest(&policy, "Other", NOW);
    assert!(history.resting_ms.keys().eq(["Other"]));
    history.release();
    assert_eq!(history, History::default());
}
