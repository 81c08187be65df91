//! `snowguard generations`: every profile, and what each generation is to the host.

use std::path::Path;

use serde::Serialize;
use snowguard_host::{Generation, Profile, Profiles, System};

use super::{Host, failure::Failure, page::Page, system::SystemView, table::Table, text, warn};

#[derive(Debug, Serialize)]
struct Report {
    profiles: Vec<ProfileView>,
    system: SystemView,
    complete: bool,
    unreadable: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ProfileView {
    name: String,
    current: Option<u64>,
    generations: Vec<GenerationView>,
}

#[derive(Debug, Serialize)]
struct GenerationView {
    number: u64,
    created: String,
    store_path: String,
    /// False if the link dangles.
    valid: bool,
    marks: Vec<&'static str>,
}

pub(super) fn run(host: &Host, json: bool, page: &mut Page<'_>) -> Result<(), Failure> {
    let profiles = Profiles::read(&host.layout)?;
    let (system, boot_error) = SystemView::of(System::read(&host.layout, &profiles)?);
    let views: Vec<_> = (profiles.profiles.iter())
        .map(|profile| view(profile, &system))
        .collect();
    let mut unreadable = profiles.unreadable;
    unreadable.extend(boot_error);
    warn(&unreadable, "the list is not complete");
    let report = Report {
        profiles: views,
        system,
        complete: unreadable.is_empty(),
        unreadable: unreadable.iter().map(ToString::to_string).collect(),
    };
    if json {
        return page.json(&report);
    }
    for_people(&report, page)
}

fn view(profile: &Profile, system: &SystemView) -> ProfileView {
    let generations = profile.generations.iter();
    ProfileView {
        name: text::lossless(&profile.name),
        current: profile.current,
        generations: generations
            .map(|generation| GenerationView {
                number: generation.id.number,
                created: text::time(generation.id.created),
                store_path: text::lossless(&generation.id.target),
                valid: generation.valid,
                marks: marks(profile, generation, system),
            })
            .collect(),
    }
}

fn marks(profile: &Profile, generation: &Generation, system: &SystemView) -> Vec<&'static str> {
    let number = Some(generation.id.number);
    let mut marks = Vec::new();
    if profile.current == number {
        marks.push("current");
    }
    if profile.name == Path::new("system") {
        for (mark, link) in system.links().into_iter().skip(1) {
            if link.is_some_and(|link| link.generation == number) {
                marks.push(mark);
            }
        }
    }
    marks
}

fn for_people(report: &Report, page: &mut Page<'_>) -> Result<(), Failure> {
    let headings = ["PROFILE", "GENERATION", "CREATED", "IS", "STORE PATH"];
    let mut table = Table::new(&headings, &[1]);
    for profile in &report.profiles {
        for generation in &profile.generations {
            let mut is = generation.marks.clone();
            if !generation.valid {
                is.push("dangling");
            }
            table.row([
                profile.name.clone(),
                generation.number.to_string(),
                generation.created.clone(),
                is.join(" "),
                generation.store_path.clone(),
            ]);
        }
    }
    page.table(&table, 0)?;
    for profile in &report.profiles {
        let current = profile.current;
        let is_there = |number| profile.generations.iter().any(|g| g.number == number);
        if let Some(number) = current.filter(|number| !is_there(*number)) {
            page.line(&format!(
                "{}: points at generation {number}, which is gone",
                profile.name
            ))?;
        }
    }
    for (mark, link) in report.system.links() {
        if let Some(link) = link.filter(|link| link.generation.is_none()) {
            page.line(&format!(
                "{mark}: {}, which is no generation",
                link.store_path
            ))?;
        }
    }
    Ok(())
}
