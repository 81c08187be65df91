//! `snowguard generations`: every profile, what each generation is to the host, and what it holds.

use std::path::Path;

use serde::Serialize;
use snowguard_host::{
    Generation, Profile, Profiles, System,
    store::{Holdings, PathId, ProfileHoldings, Share, closures},
};

use super::{
    Host, failure::Failure, page::Page, store::kept::Kept, system::SystemView, table::Table, text,
    warn, warn_of_unsized,
};

#[derive(Debug, Serialize)]
struct Report {
    profiles: Vec<ProfileView>,
    system: SystemView,
    complete: bool,
    unreadable: Vec<String>,
    /// Paths of no known size, which count as nothing in every sum; `null` if that is not known.
    unsized_paths: Option<usize>,
}

#[derive(Debug, Serialize)]
struct ProfileView {
    name: String,
    current: Option<u64>,
    generations: Vec<GenerationView>,
    /// What the generations keep together, or the link of a profile without any keeps, and nothing
    /// else does; `null` if it is not known.
    together: Option<Share>,
    /// What keeping only the newest so many frees; empty if it is not known.
    keeping: Vec<Keeping>,
}

/// A point of the curve "keep the newest K".
#[derive(Debug, Serialize)]
struct Keeping {
    keep: usize,
    frees: Share,
}

#[derive(Debug, Serialize)]
struct GenerationView {
    number: u64,
    created: String,
    store_path: String,
    /// False if the link dangles.
    valid: bool,
    marks: Vec<&'static str>,
    /// The generation and all that it refers to; `null` if it is not valid, or not known.
    closure: Option<Share>,
    /// What dies if this generation goes and nothing else does; `null` if it is not known.
    alone: Option<Share>,
    /// What dies if all older generations go that may; `null` if it is not known.
    frees_older: Option<Share>,
}

/// What the generations of all profiles hold.
struct Held {
    profiles: Vec<ProfileHoldings>,
    /// The closures of the generations of each profile.
    closures: Vec<Vec<Option<Share>>>,
}

pub(super) fn run(host: &Host, json: bool, page: &mut Page<'_>) -> Result<(), Failure> {
    let mut profiles = Profiles::everybodys(&host.layout)?;
    let system = System::read(&host.layout, &profiles)?;
    let mut unreadable = std::mem::take(&mut profiles.unreadable);
    let mut unsized_paths = None;
    let held = match Kept::read(&host.layout) {
        Ok(mut kept) => {
            unsized_paths = Some(kept.graph.unsized_paths());
            let held = Held::of(&kept, &profiles, &system.stay());
            unreadable.append(&mut kept.roots.unreadable);
            Some(held)
        }
        // The links tell what there is all the same.
        Err(error) => {
            unreadable.push(error);
            None
        }
    };
    let (system, boot_error) = SystemView::of(system);
    unreadable.extend(boot_error);
    let views: Vec<_> = (profiles.profiles.iter().enumerate())
        .map(|(index, profile)| view(profile, &system, held.as_ref().map(|held| (held, index))))
        .collect();
    let consequence = match &held {
        Some(_) => "the list is not complete, and a generation may hold less than is said",
        None => "the list is not complete, and what each generation holds is not known",
    };
    warn(&unreadable, consequence);
    warn_of_unsized(unsized_paths.unwrap_or(0));
    let report = Report {
        profiles: views,
        system,
        complete: unreadable.is_empty(),
        unreadable: unreadable.iter().map(ToString::to_string).collect(),
        unsized_paths,
    };
    if json {
        page.json(&report)?;
    } else {
        for_people(&report, page)?;
    }
    // What each generation holds was asked for, and is not known.
    held.map(drop).ok_or(Failure::Incomplete)
}

impl Held {
    fn of(kept: &Kept, profiles: &Profiles, stay: &[&Path]) -> Self {
        let Kept { graph, keep, roots } = kept;
        let profiles = Holdings::of(graph, *keep, roots, profiles, stay).profiles;
        let all = profiles.iter().flat_map(|profile| &profile.generations);
        let targets: Vec<PathId> = all.filter_map(|generation| generation.path).collect();
        let mut sizes = closures(graph, &targets).into_iter();
        let closures = (profiles.iter())
            .map(|profile| {
                let generations = profile.generations.iter();
                generations
                    .map(|g| g.path.and_then(|_| sizes.next()))
                    .collect()
            })
            .collect();
        Self { profiles, closures }
    }
}

fn view(profile: &Profile, system: &SystemView, held: Option<(&Held, usize)>) -> ProfileView {
    let holdings = held.map(|(held, index)| &held.profiles[index]);
    let generation = |(place, generation): (usize, &Generation)| {
        let holding = holdings.map(|holdings| &holdings.generations[place]);
        GenerationView {
            number: generation.id.number,
            created: text::time(generation.id.created),
            store_path: text::lossless(&generation.id.target),
            valid: generation.valid,
            marks: marks(profile, generation, system),
            closure: held.and_then(|(held, index)| held.closures[index][place]),
            alone: holding.map(|holding| holding.alone),
            frees_older: holding.map(|holding| holding.frees_older),
        }
    };
    ProfileView {
        name: text::lossless(&profile.name),
        current: profile.current,
        generations: profile
            .generations
            .iter()
            .enumerate()
            .map(generation)
            .collect(),
        together: holdings.map(|holdings| holdings.together),
        keeping: holdings.map_or_else(Vec::new, |holdings| {
            let keeps = 1..=profile.generations.len();
            keeps
                .map(|keep| Keeping {
                    keep,
                    frees: holdings.keeping(keep),
                })
                .collect()
        }),
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
    let headings = [
        "PROFILE",
        "GENERATION",
        "CREATED",
        "CLOSURE (NAR)",
        "ALONE (NAR)",
        "OLDER FREE (NAR)",
        "IS",
        "STORE PATH",
    ];
    let mut table = Table::new(&headings, &[1, 3, 4, 5]);
    let bound = if report.complete { "" } else { "<= " };
    let size = |share: Option<Share>, bound: &str| match share {
        Some(share) => format!("{bound}{}", text::size(share.nar_bytes)),
        None => "?".to_owned(),
    };
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
                size(generation.closure, ""),
                size(generation.alone, bound),
                size(generation.frees_older, bound),
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
    for profile in &report.profiles {
        if profile.generations.is_empty() && profile.current.is_none() {
            page.line(&format!(
                "{}: has no generations; its link alone keeps {} (NAR)",
                profile.name,
                size(profile.together, bound)
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
