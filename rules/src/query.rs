//! PromQL queries outside of rules: for tests, and for whoever asks the window a question.

use std::collections::BTreeSet;

use crate::expr::Expr;
use crate::labels::Labels;
use crate::window::Window;
use crate::{check, eval};

/// A query that was checked: all of it can be evaluated. Other than a rule, it may name a fixed
/// time (`@ 1234.5`), and leave out the step of a subquery, which is then a minute.
#[derive(Debug, Clone)]
pub struct Query {
    expr: Expr,
}

/// When a query is evaluated, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryTimes {
    /// The first time of evaluation: `@ start()`, in milliseconds since the Unix epoch.
    pub start_ms: i64,
    /// The last time of evaluation: `@ end()`, in milliseconds since the Unix epoch.
    pub end_ms: i64,
    /// Whether names of metrics are dropped from the result alone, and not by each function and
    /// operator: the feature flag `promql-delayed-name-removal` of Prometheus. Rules are evaluated
    /// without, as on a server without flags.
    pub late_names: bool,
}

impl QueryTimes {
    /// One evaluation at that time, as a rule is evaluated.
    pub fn at(at_ms: i64) -> Self {
        Self {
            start_ms: at_ms,
            end_ms: at_ms,
            late_names: false,
        }
    }
}

/// Why a query has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// It is not PromQL, or not all of it is supported.
    #[error("{0}")]
    Refused(String),
    /// It has no answer over the samples at hand.
    #[error("{0}")]
    Evaluation(String),
}

impl Query {
    /// Parses a query.
    ///
    /// # Errors
    /// If it is not PromQL, or if not all of it is supported: then that is named.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        match check::parse_query(text) {
            Ok(expr) => Ok(Self { expr }),
            Err(check::Unsupported(reason)) => Err(QueryError::Refused(reason)),
        }
    }

    /// Whether it gives one number, and not a vector.
    pub fn is_scalar(&self) -> bool {
        matches!(self.expr, Expr::Scalar(_))
    }

    /// Whether a series of one of these metrics can have a part in the answer.
    pub fn reads_one_of(&self, metrics: &BTreeSet<String>) -> bool {
        self.expr.reads_one_of(metrics).is_some()
    }

    /// Evaluates the query at one time (milliseconds since the Unix epoch) of its times. A scalar
    /// is one sample without labels.
    ///
    /// # Errors
    /// If the query has no answer over the samples, as when labels match more than once.
    pub fn evaluate(
        &self,
        window: &Window,
        at_ms: i64,
        times: QueryTimes,
    ) -> Result<Vec<(Labels, f64)>, QueryError> {
        let QueryTimes {
            start_ms,
            end_ms,
            late_names,
        } = times;
        let query = eval::Query {
            start_ms,
            end_ms,
            late_names,
        };
        let vector = eval::evaluate_query(&self.expr, window, at_ms, query)
            .map_err(|error| QueryError::Evaluation(error.to_string()))?;
        let pairs = vector.into_iter();
        Ok(pairs
            .map(|element| (element.labels, element.value))
            .collect())
    }
}
