//! The probe that asks systemd how units are, by `systemctl show`.

use std::{collections::BTreeMap, path::Path, time::Duration};

use super::{
    command::{self, Fault},
    run::Look,
};

/// How often systemd has restarted a unit by itself, from one look to the next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Restarts {
    /// `NRestarts` at the last look.
    last: u64,
    /// By how much it grew since the activation.
    grown: u64,
}

impl Restarts {
    /// After one more look. A unit that was stopped and started counts from 0 again, which is
    /// what a switch does to those that it changes.
    fn look(seen: Option<Self>, count: u64, look: Look) -> Self {
        let Some(Self { last, grown }) = seen else {
            // A unit that is new has restarted so often since it is there; when all of them are
            // new, so is the watchdog, which knows nothing of before.
            let grown = if look.first { 0 } else { count };
            return Self { last: count, grown };
        };
        let since_last = match count.checked_sub(last) {
            _ if look.afresh => 0,
            grown => grown.unwrap_or(count),
        };
        let before = if look.counts_on { grown } else { 0 };
        Self {
            last: count,
            grown: before.saturating_add(since_last),
        }
    }
}

/// What is asked of systemd.
pub(super) struct Wanted<'a> {
    pub(super) units: &'a [String],
    pub(super) max_restarts: u64,
    pub(super) max_failed: Option<u64>,
}

/// Asks, and counts on in `seen`.
pub(super) fn check(
    systemctl: &Path,
    wanted: &Wanted<'_>,
    seen: &mut BTreeMap<String, Restarts>,
    look: Look,
    timeout: Duration,
) -> Result<String, Fault> {
    let mut wrong = Vec::new();
    if !wanted.units.is_empty() {
        let mut args = vec![
            "show".to_owned(),
            "--property=Id,Names,LoadState,ActiveState,SubState,Result,NRestarts".to_owned(),
            "--".to_owned(),
        ];
        args.extend(wanted.units.iter().cloned());
        let said = command::printed(systemctl, &args, timeout)?;
        for unit in wanted.units {
            if let Err(why) = judge(unit, &said, wanted.max_restarts, seen, look) {
                wrong.push(why);
            }
        }
    }
    if let Some(most) = wanted.max_failed {
        let args = ["show".to_owned(), "--property=NFailedUnits".to_owned()];
        let said = command::printed(systemctl, &args, timeout)?;
        let failed = value(&said, "NFailedUnits").and_then(|n| n.parse::<u64>().ok());
        match failed {
            None => wrong.push(format!(
                "{systemctl:?} does not count failed units: {said:?}"
            )),
            Some(failed) if failed > most => {
                wrong.push(format!("{failed} units have failed, and {most} may"));
            }
            Some(_) => {}
        }
    }
    if wrong.is_empty() {
        Ok("all units are well".to_owned())
    } else {
        Err(wrong.join("; ").into())
    }
}

fn judge(
    unit: &str,
    said: &str,
    max_restarts: u64,
    seen: &mut BTreeMap<String, Restarts>,
    look: Look,
) -> Result<(), String> {
    // One block for each unit, an empty line between them. A name that is an alias is one of `Names`.
    let is_it = |block: &&str| {
        let names = value(block, "Names").unwrap_or_default();
        value(block, "Id") == Some(unit) || names.split_whitespace().any(|name| name == unit)
    };
    let block = said
        .split("\n\n")
        .find(is_it)
        .ok_or_else(|| format!("systemd says nothing of {unit}"))?;
    let of = |key: &str| value(block, key).unwrap_or("unknown");
    if of("LoadState") != "loaded" {
        return Err(format!("{unit} is {}", of("LoadState")));
    }
    // Only services have it.
    if let Some(count) = value(block, "NRestarts").and_then(|count| count.parse().ok()) {
        let restarts = Restarts::look(seen.get(unit).copied(), count, look);
        seen.insert(unit.to_owned(), restarts);
        if restarts.grown > max_restarts {
            return Err(format!(
                "{unit} was restarted {} times since the activation, and {max_restarts} are borne",
                restarts.grown
            ));
        }
    }
    if matches!(of("ActiveState"), "active" | "reloading" | "refreshing") {
        Ok(())
    } else {
        let (active, sub, result) = (of("ActiveState"), of("SubState"), of("Result"));
        Err(format!("{unit} is {active} ({sub}, result {result})"))
    }
}

fn value<'a>(block: &'a str, key: &str) -> Option<&'a str> {
    let mut values = block.lines().filter_map(|line| line.split_once('='));
    values
        .find(|(name, _)| *name == key)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests;
