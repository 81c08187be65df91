//! Which generation to go back to. Never "the previous number": the one before a bad generation
//! may be bad as well.

use super::{
    decision::name_of,
    facts::{Facts, GenerationId, SystemSeen},
    state::Denied,
};

/// The outcome of the choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Go back to this one.
    Target(GenerationId),
    /// No known good generation is left; why each was passed over.
    None(Vec<String>),
    /// This is the one, but it cannot be switched to on a running machine.
    NeedsReboot(GenerationId, String),
    /// It could not be read whether a generation may be a target.
    Blind(String),
}

/// The generation that was known good last, still has its link or is kept by our own GC root, is
/// valid and is not condemned.
///
/// `good` is ordered by when a generation was found good, oldest first. The first that qualifies
/// is taken or none: where it needs a reboot, going back further would not be the last known
/// good system.
pub fn choose(
    good: &[GenerationId],
    denied: &[Denied],
    bad: &str,
    system: &SystemSeen,
    facts: &Facts<'_>,
) -> Choice {
    let mut passed_over = Vec::new();
    for candidate in good.iter().rev() {
        let path = candidate.store_path.as_str();
        let name = name_of(candidate);
        if path == bad || denied.iter().any(|denied| denied.store_path == path) {
            passed_over.push(format!("{name} is condemned"));
            continue;
        }
        // What our own root keeps can be made a generation again.
        let has_lost_its_link = candidate.has_link() && !system.generations.contains(candidate);
        if has_lost_its_link && system.kept.as_deref() != Some(path) {
            passed_over.push(format!("{name} has no link in the profile any more"));
            continue;
        }
        match facts.targets.valid(path) {
            Ok(true) => {}
            Ok(false) => {
                passed_over.push(format!("{name} is not valid in the store any more"));
                continue;
            }
            Err(why) => return Choice::Blind(why),
        }
        return match facts.targets.needs_reboot(system, path) {
            Ok(None) => Choice::Target(candidate.clone()),
            Ok(Some(what)) => Choice::NeedsReboot(candidate.clone(), what),
            Err(why) => Choice::Blind(why),
        };
    }
    Choice::None(passed_over)
}
