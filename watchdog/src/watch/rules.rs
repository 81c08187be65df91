//! The rules in force: the operator's files, or those that ship with the program.

use snowguard_host::Layout;
use snowguard_rules::{LoadError, RuleSet, SHIPPED};

use crate::config::Settings;

/// Loads the rules that the settings name.
///
/// # Errors
/// If one of the files or one of the rules cannot be used; then none is.
pub fn load_rules(layout: &Layout, settings: &Settings) -> Result<RuleSet, LoadError> {
    if settings.rules.is_empty() {
        return RuleSet::parse_all(SHIPPED)?.within(settings.window);
    }
    let files: Vec<_> = settings
        .rules
        .iter()
        .map(|path| layout.inside(path))
        .collect();
    RuleSet::load(&files)?.within(settings.window)
}
