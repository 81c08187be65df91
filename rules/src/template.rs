//! The templates in annotations and labels: a small part of what Prometheus allows.
//!
//! `{{ $labels.name }}`, `{{ $value }}`, and the value through one of `humanize`, `humanize1024`,
//! `humanizeDuration`, `humanizePercentage` and `printf "%.2f"`. Anything else is refused at load.

use crate::labels::Labels;

mod number;

/// What is supported, for messages.
pub(crate) const SUPPORTED: &str = "supported are {{ $labels.name }}, {{ $value }}, and $value \
     through humanize, humanize1024, humanizeDuration, humanizePercentage or printf \"%.2f\"";

/// A template that was checked at load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Label(String),
    Value(Form),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Humanize,
    Humanize1024,
    HumanizeDuration,
    HumanizePercentage,
    /// `printf "%.Nf"`
    Fixed(usize),
}

impl Template {
    /// Reads a template; the error is the part that is not supported.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, action)) = rest.split_once("{{") {
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let refused = |action: &str| format!("{{{{{action}}}}}");
            let Some((action, after)) = action.split_once("}}") else {
                return Err(format!("{{{{{action}"));
            };
            parts.push(part(action).ok_or_else(|| refused(action))?);
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// A text as it is, whatever it looks like.
    pub(crate) fn literal(text: &str) -> Self {
        Self(vec![Part::Text(text.to_owned())])
    }

    /// The text without anything to fill in, if that is all there is.
    pub(crate) fn plain(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Fills in the labels and the value of one result. A label that is not there is empty.
    pub(crate) fn render(&self, labels: &Labels, value: f64) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Label(name) => labels.get(name).to_owned(),
            Part::Value(form) => number::format(*form, value),
        };
        self.0.iter().map(part).collect()
    }
}

fn part(action: &str) -> Option<Part> {
    let words = action.replace('|', " | ");
    let words = words.split_whitespace().collect::<Vec<_>>();
    Some(match words.as_slice() {
        ["$value"] => Part::Value(Form::Plain),
        ["$value", "|", function] | [function, "$value"] => Part::Value(match *function {
            "humanize" => Form::Humanize,
            "humanize1024" => Form::Humanize1024,
            "humanizeDuration" => Form::HumanizeDuration,
            "humanizePercentage" => Form::HumanizePercentage,
            _ => return None,
        }),
        ["$value", "|", "printf", format] | ["printf", format, "$value"] => {
            Part::Value(Form::Fixed(fixed_digits(format)?))
        }
        [label] => {
            let name = label.strip_prefix("$labels.")?;
            crate::labels::is_label_name(name).then(|| Part::Label(name.to_owned()))?
        }
        _ => return None,
    })
}

fn fixed_digits(format: &str) -> Option<usize> {
    let digits = format.strip_prefix("\"%.")?.strip_suffix("f\"")?;
    let one_digit = digits.len() == 1 && digits.chars().all(|c| c.is_ascii_digit());
    one_digit.then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests;
