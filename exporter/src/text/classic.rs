//! Prometheus text format 0.0.4 (prometheus/docs, "Exposition formats").

use std::fmt::Write as _;

use crate::sample::{Family, Kind, Sample};

/// The families as a whole page.
pub(super) fn render(families: &[Family]) -> String {
    let mut out = String::new();
    for family in families.iter().filter(|family| !family.samples.is_empty()) {
        family_lines(&mut out, family);
    }
    out
}

fn family_lines(out: &mut String, family: &Family) {
    let name = &family.name;
    // The format knows no info: it is a gauge that is always 1.
    let kind = match family.kind {
        Kind::Gauge | Kind::Info => "gauge",
        Kind::Counter => "counter",
    };
    out.push_str("# HELP ");
    out.push_str(name);
    out.push(' ');
    escape(out, &family.help, Quotes::Plain);
    out.push_str("\n# TYPE ");
    out.push_str(name);
    out.push(' ');
    out.push_str(kind);
    out.push('\n');
    for sample in &family.samples {
        out.push_str(name);
        label_set(out, sample);
        out.push(' ');
        number(out, sample.value);
        out.push('\n');
    }
}

fn label_set(out: &mut String, sample: &Sample) {
    for (index, (name, value)) in sample.labels.iter().enumerate() {
        out.push(if index == 0 { '{' } else { ',' });
        out.push_str(name);
        out.push_str("=\"");
        escape(out, value, Quotes::Escaped);
        out.push('"');
    }
    if !sample.labels.is_empty() {
        out.push('}');
    }
}

/// Whether `"` is special where the text stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Quotes {
    /// In HELP of 0.0.4.
    Plain,
    /// In label values, and in HELP of OpenMetrics.
    Escaped,
}

/// Appends `text` with backslash and line feed (and quotes) escaped.
pub(super) fn escape(out: &mut String, text: &str, quotes: Quotes) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes == Quotes::Escaped => out.push_str("\\\""),
            c => out.push(c),
        }
    }
}

fn number(out: &mut String, value: f64) {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else if value.abs() >= 1e21 {
        // Hundreds of digits otherwise. Writing to a String cannot fail.
        let _ = write!(out, "{value:e}");
    } else {
        let _ = write!(out, "{value}");
    }
}
