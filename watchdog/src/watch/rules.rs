//! The rules in force: the operator's files, or those that ship with the program.

use snowguard_host::Layout;
use snowguard_rules::{LoadError, RuleSet, SHIPPED};

use crate::config::Settings;

/// How many rules may be in force: all of them are evaluated at every tick.
const MOST_RULES: usize = 2_000;

/// Loads the rules that the settings name.
///
/// # Errors
/// If one of the files or one of the rules cannot be used, or there are more than 2000 rules in
/// all; then none is.
pub fn load_rules(layout: &Layout, settings: &Settings) -> Result<RuleSet, LoadError> {
    if settings.rules.is_empty() {
        return RuleSet::parse_all(SHIPPED)?.within(settings.window);
    }
    let files: Vec<_> = settings
        .rules
        .iter()
        .map(|path| layout.inside(path))
        .collect();
    RuleSet::load(&files)?
        .at_most(MOST_RULES)?
        .within(settings.window)
}
