//! `snowguard history`: the journal, told incident by incident.

use std::path::PathBuf;

use snowguard_watchdog::{
    journal::{self, Contents},
    record::{Record, Step},
    watch::{BY_HAND, RUN_DIR},
};

use super::{Host, arguments, failure::Failure, page::Page, say, table::Table, text};

/// So many lines that are no records are named one by one.
const NAMED: usize = 5;

/// The journal of a host and the records in it.
pub(super) struct Journal {
    pub(super) path: PathBuf,
    pub(super) records: Vec<Record>,
}

impl Journal {
    /// Reads it. Lines that a crash has torn are told of, and left out.
    pub(super) fn read(host: &Host) -> Result<Self, Failure> {
        let state_dir = host.settings()?.state_dir;
        let path = journal::path_in(&host.layout.inside(state_dir));
        let read = |path: &PathBuf| {
            journal::read(path).map_err(|source| Failure::Io {
                attempt: "read the journal",
                path: path.clone(),
                source,
                cure: "run as root, or see `watchdog.state_dir` in the configuration",
            })
        };
        let Contents {
            mut records,
            mut unreadable,
        } = read(&path)?;
        // Lines that a full disk has not taken yet: the watchdog's, and those of a collection by
        // hand.
        let run_dir = host.layout.inside(RUN_DIR);
        for directory in [run_dir.join(BY_HAND), run_dir] {
            let waiting = read(&journal::path_in(&directory))?;
            records.extend(waiting.records);
            unreadable.extend(waiting.unreadable);
        }
        for line in unreadable.iter().take(NAMED) {
            say(&format!(
                "snowguard: warning: {line}; one after a crash is normal"
            ));
        }
        if unreadable.len() > NAMED {
            let lines = text::number(unreadable.len() - NAMED, "line", "lines");
            say(&format!(
                "snowguard: warning: {lines} more could not be read"
            ));
        }
        Ok(Self { path, records })
    }
}

pub(super) fn run(
    host: &Host,
    asked: &arguments::History,
    page: &mut Page<'_>,
) -> Result<(), Failure> {
    let Journal { path, mut records } = Journal::read(host)?;
    if let Some(name) = &asked.incident {
        records.retain(|record| record.incident == *name);
        if records.is_empty() {
            let name = name.clone();
            return Err(Failure::NoIncident { name, path });
        }
    }
    if asked.json {
        return records.iter().try_for_each(|record| page.json_line(record));
    }
    if records.is_empty() {
        return page.line(&format!("Nothing was decided yet: no record in {path:?}"));
    }
    for (index, incident) in incidents(&records).into_iter().enumerate() {
        if index > 0 {
            page.line("")?;
        }
        story(&incident, page)?;
    }
    Ok(())
}

/// The records of each incident together, incidents in the order in which they began.
fn incidents(records: &[Record]) -> Vec<Vec<&Record>> {
    let mut incidents: Vec<Vec<&Record>> = Vec::new();
    for record in records {
        let same = |incident: &&mut Vec<&Record>| incident[0].incident == record.incident;
        match incidents.iter_mut().rev().find(same) {
            Some(incident) => incident.push(record),
            None => incidents.push(vec![record]),
        }
    }
    incidents
}

fn story(records: &[&Record], page: &mut Page<'_>) -> Result<(), Failure> {
    let Some(first) = records.first() else {
        return Ok(());
    };
    page.heading(&format!(
        "{}  {}, {}{}",
        first.incident,
        first.remedy.name(),
        first.mode.name(),
        outcome(records)
    ))?;
    let mut table = Table::plain();
    for record in records {
        table.row([
            text::time_ms(record.at_ms),
            record.step.name().to_owned(),
            record.message.clone(),
        ]);
    }
    page.table(&table, 2)
}

/// How a collection ended, by the numbers of its last line: what was freed of what was promised,
/// and in how long. Nothing for other stories.
fn outcome(records: &[&Record]) -> String {
    let ended = records.iter().rev().find(|record| {
        matches!(record.step, Step::Done | Step::Failed) && record.facts.get("freed").is_some()
    });
    let Some((first, ended)) = records.first().zip(ended) else {
        return String::new();
    };
    let bytes = |name: &str| {
        let bytes = ended.facts[name]["bytes"].as_u64();
        bytes.map_or_else(|| "?".to_owned(), text::size)
    };
    let seconds = ended.at_ms.saturating_sub(first.at_ms).max(0) / 1000;
    format!(
        ": {}, {} freed of {} promised, after {seconds} s",
        ended.reason,
        bytes("freed"),
        bytes("promised"),
    )
}
