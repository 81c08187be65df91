use super::*;
use crate::check;
use crate::eval;

fn value(window: &Window, text: &str, at_ms: i64) -> Option<f64> {
    let expr = check::parse(text).unwrap();
    let vector = eval::evaluate(&expr, window, at_ms).unwrap();
    vector.first().map(|element| element.value)
}

fn plain(name: &str, value: f64) -> (Labels, f64) {
    (Labels::metric(name), value)
}

#[test]
fn a_series_that_is_gone_from_a_scrape_is_gone_at_once() {
    let mut window = Window::new(Duration::from_secs(600));
    let both = [plain("a", 1.0), plain("b", 2.0)];
    window.append_scrape(0, both).unwrap();
    window.append_scrape(15_000, [plain("a", 3.0)]).unwrap();
    assert_eq!(value(&window, "a", 15_000), Some(3.0));
    assert_eq!(value(&window, "b", 14_999), Some(2.0));
    assert_eq!(value(&window, "b", 15_000), None);
    assert_eq!(value(&window, "count_over_time(b[5m])", 15_000), Some(1.0));
}

#[test]
fn after_a_failed_collection_no_series_has_a_value() {
    let mut window = Window::new(Duration::from_secs(600));
    window.append_scrape(0, [plain("a", 1.0)]).unwrap();
    window.mark_all_stale(15_000).unwrap();
    assert_eq!(value(&window, "a", 15_000), None);
    window.append_scrape(30_000, [plain("a", 1.0)]).unwrap();
    assert_eq!(value(&window, "a", 30_000), Some(1.0));
}

#[test]
fn a_nan_is_a_value_and_no_mark_of_an_end() {
    let mut window = Window::new(Duration::from_secs(600));
    window.append_scrape(0, [plain("a", f64::NAN)]).unwrap();
    assert!(value(&window, "a", 0).unwrap().is_nan());
}

#[test]
fn samples_older_than_the_retention_are_dropped_and_so_are_empty_series() {
    let mut window = Window::new(Duration::from_secs(60));
    let both = [plain("a", 1.0), plain("b", 1.0)];
    window.append_scrape(0, both).unwrap();
    for tick in 1..1000 {
        window
            .append_scrape(tick * 15_000, [plain("a", 1.0)])
            .unwrap();
        assert!(window.sample_count() <= 5 + 2);
    }
    assert_eq!(window.sample_count(), 5);
    assert_eq!(window.series(None).count(), 1);
}

#[test]
fn a_clock_that_goes_back_is_an_error_until_the_window_is_cleared() {
    let mut window = Window::new(Duration::from_secs(60));
    window.append_scrape(30_000, [plain("a", 1.0)]).unwrap();
    for at_ms in [30_000, 15_000] {
        let error = window.append_scrape(at_ms, [plain("a", 2.0)]).unwrap_err();
        let newest_ms = 30_000;
        assert_eq!(error, AppendError::OutOfOrder { at_ms, newest_ms });
        assert!(error.to_string().contains("clear the window"));
        assert!(window.mark_all_stale(at_ms).is_err());
    }
    assert_eq!(value(&window, "a", 30_000), Some(1.0));
    window.clear();
    window.append_scrape(15_000, [plain("a", 2.0)]).unwrap();
    assert_eq!(value(&window, "a", 15_000), Some(2.0));
}

#[test]
fn a_scrape_with_a_series_twice_changes_nothing() {
    let mut window = Window::new(Duration::from_secs(60));
    window.append_scrape(0, [plain("a", 1.0)]).unwrap();
    let twice = [plain("b", 1.0), plain("b", 2.0)];
    let error = window.append_scrape(15_000, twice).unwrap_err();
    assert!(
        error.to_string().contains("the series b is there twice"),
        "{error}"
    );
    assert_eq!(value(&window, "a", 15_000), Some(1.0));
    assert_eq!(value(&window, "b", 15_000), None);
}

#[test]
fn a_window_covers_what_was_collected_and_is_kept() {
    let mut window = Window::new(Duration::from_secs(60));
    assert!(!window.covers(0));
    window.mark_all_stale(1_000).unwrap();
    assert!(!window.covers(1_000), "a failed collection is none");
    window.append_scrape(15_000, []).unwrap();
    assert!(window.covers(15_000));
    assert!(!window.covers(14_999));
    window.append_scrape(600_000, []).unwrap();
    assert!(window.covers(540_000));
    assert!(!window.covers(539_999));
    window.clear();
    assert!(!window.covers(600_000));
}

#[test]
fn a_longer_retention_claims_nothing_that_was_dropped_before() {
    let mut window = Window::new(Duration::from_secs(60));
    for second in 0..=300 {
        window
            .append_scrape(second * 1000, [(Labels::metric("a"), 1.0)])
            .unwrap();
    }
    window.retain_for(Duration::from_secs(600));
    assert!(window.covers(240_000));
    assert!(!window.covers(239_999));
}
