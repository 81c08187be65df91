//! The templates in annotations and labels: the part of Go's `text/template` and of Prometheus's
//! functions (template/template.go, Prometheus 3.5) that needs neither a query nor an address.
//!
//! Supported are `$labels`, `$value`, `$externalLabels`, `$externalURL` and what `.` holds, own
//! variables, `if`, `with`, `range` over labels, pipelines, and the functions of
//! [`function::Function`]. Anything else is refused at load, by name. The watchdog has no external
//! labels and no external URL: both are empty there.

use std::collections::BTreeMap;

use crate::labels::Labels;

mod format;
mod function;
mod lexer;
mod number;
mod parser;
mod render;
mod text;
mod time;
mod tree;
mod value;

/// What to do about a template that is refused.
pub(crate) const CURE: &str = "use labels, the value, and functions that need neither a query nor \
     an address, or leave the rule to Prometheus";

/// A template that was checked at load.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Template(Vec<tree::Node>);

/// What a template is filled in with beside labels and value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    /// What the server adds to every alert; empty in the watchdog.
    pub(crate) external_labels: &'a BTreeMap<String, String>,
    /// Where the server is reached; empty in the watchdog.
    pub(crate) external_url: &'a str,
}

impl Template {
    /// Reads a template; the error says what in it cannot be used.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        parser::parse(text).map(Self)
    }

    /// A text as it is, whatever it looks like.
    pub(crate) fn literal(text: &str) -> Self {
        Self(vec![tree::Node::Text(text.to_owned())])
    }

    /// The text without anything to fill in, if that is all there is.
    pub(crate) fn plain(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [tree::Node::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Fills in the labels and the value of one result. A label that is not there is empty. What
    /// cannot be filled in says so in the place of the text, as in Prometheus.
    pub(crate) fn render(&self, labels: &Labels, value: f64, context: Context<'_>) -> String {
        if let Some(plain) = self.plain() {
            return plain.to_owned();
        }
        render::render(&self.0, labels, value, context)
            .unwrap_or_else(|reason| format!("<error expanding template: {reason}>"))
    }
}

#[cfg(test)]
mod judged;
#[cfg(test)]
mod tests;
