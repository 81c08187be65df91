//! How long one evaluation of the rules of a directory takes over the full window of a host, and
//! what the window takes: `rules_time DIRECTORY`. Called by `tests/bench`.

#![allow(clippy::print_stdout)] // It says what it measured.

use std::path::PathBuf;
use std::time::Instant;

use snowguard_rules::{Engine, Labels, RuleSet, Window, testing};

/// About what a host has.
const SERIES: usize = 250;
const TICK_MS: i64 = 15_000;
const EVALUATIONS: u32 = 200;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::args_os().nth(1).map(PathBuf::from);
    let directory = directory.ok_or("name the directory of the rule files")?;
    let begun = Instant::now();
    let rules = RuleSet::load(std::slice::from_ref(&directory))?;
    println!("{} rules loaded in {:?}", rules.len(), begun.elapsed());

    // Everything that the rules read, as their own unit tests give it to them, of one host.
    let mut series: Vec<Labels> = Vec::new();
    for test in std::fs::read_dir(directory.join("tests"))? {
        let text = std::fs::read_to_string(test?.path())?;
        for line in text.lines() {
            let Some(given) = line.trim().strip_prefix("- series: ") else {
                continue;
            };
            let given = testing::series::labels(given.trim_matches('\''))?;
            let own = |(name, _): &(&str, &str)| !["instance", "job"].contains(name);
            let labels = given.iter().filter(own);
            let labels = labels.fold(Labels::default(), |all, (name, value)| {
                all.with(name, value)
            });
            if !series.contains(&labels) && series.len() < SERIES {
                series.push(labels);
            }
        }
    }
    println!("{} series that the rules read, of {SERIES}", series.len());
    for other in series.len()..SERIES {
        series.push(Labels::metric("other").with("number", other.to_string()));
    }

    let needed = rules.needed_window();
    let ticks = i64::try_from(needed.as_millis())? / TICK_MS;
    let mut window = Window::new(needed);
    let mut engine = Engine::new(rules);
    let tick = |window: &mut Window, tick: i64| {
        let value = |index: usize| (index * 1_000_003) as f64 + (tick % 97) as f64;
        let samples = series.iter().enumerate();
        let samples = samples.map(|(index, labels)| (labels.clone(), value(index)));
        window.append_scrape(tick * TICK_MS, samples)
    };
    for at in 0..=ticks {
        tick(&mut window, at)?;
    }
    let mut evaluating = std::time::Duration::ZERO;
    let begun = Instant::now();
    for at in 1..=i64::from(EVALUATIONS) {
        let at = ticks + at;
        tick(&mut window, at)?;
        let before = Instant::now();
        engine.evaluate(&mut window, at * TICK_MS);
        evaluating += before.elapsed();
    }
    println!(
        "{:?} for one tick, {:?} of it to evaluate",
        begun.elapsed() / EVALUATIONS,
        evaluating / EVALUATIONS
    );
    println!(
        "{} samples over {needed:?} in about {} bytes",
        window.sample_count(),
        window.memory_bytes()
    );
    Ok(())
}
