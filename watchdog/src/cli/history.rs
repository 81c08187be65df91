//! `snowguard history`: the journal, told incident by incident.

use std::path::PathBuf;

use snowguard_watchdog::{
    journal,
    record::{Record, Step},
    watch::RUN_DIR,
};

use super::{Host, arguments, failure::Failure, page::Page, say, table::Table, text};

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
        let (mut records, mut unreadable) = read(&path)?;
        // Lines that a full disk has not taken yet.
        let (waiting, torn) = read(&journal::path_in(&host.layout.inside(RUN_DIR)))?;
        records.extend(waiting);
        unreadable += torn;
        if unreadable > 0 {
            let lines = text::number(unreadable, "line", "lines");
            say(&format!(
                "snowguard: warning: {lines} of {path:?} could not be read; one after a crash is normal"
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
        "{}  {}, {}",
        first.incident,
        first.remedy.name(),
        text::mode(first.mode)
    ))?;
    let mut table = Table::plain();
    for record in records {
        table.row([
            text::time_ms(record.at_ms),
            step(record.step).to_owned(),
            record.message.clone(),
        ]);
    }
    page.table(&table, 2)
}

/// The word for a step.
pub(super) const fn step(step: Step) -> &'static str {
    match step {
        Step::Trip => "trip",
        Step::Plan => "plan",
        Step::Refused => "refused",
        Step::Act => "act",
        Step::Verify => "verify",
        Step::Done => "done",
        Step::Failed => "failed",
        Step::State => "state",
    }
}
