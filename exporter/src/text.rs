//! The two text formats that a snapshot is published in, and which of them a reader asked for.

mod classic;
mod negotiate;
mod openmetrics;

pub use negotiate::negotiate;

use crate::sample::Family;

/// A text exposition format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text format 0.0.4: what every reader understands.
    Classic,
    /// OpenMetrics 1.0: for readers that ask for it.
    OpenMetrics,
}

impl Format {
    /// The exact `Content-Type` of the format. Prometheus 3 refuses a scrape whose type is missing
    /// or does not fit the text (prometheus/docs, "Migration to Prometheus 3").
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
            // All names are of the old character set, so that any escaping scheme leaves them as
            // they are; 1.0 formats must name one (prometheus/docs, "Escaping Schemes").
            Self::OpenMetrics => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
            }
        }
    }

    /// The families in this format, each with its HELP and TYPE line; families without a sample
    /// are left out.
    pub fn render(self, families: &[Family]) -> String {
        match self {
            Self::Classic => classic::render(families),
            Self::OpenMetrics => openmetrics::render(families),
        }
    }
}

#[cfg(test)]
mod tests;
