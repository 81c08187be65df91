//! Expressions that were checked at load: what is written here can be evaluated.
//!
//! A scalar and a vector are two types, so that no operator can meet an operand it has no meaning
//! for, and what is not supported has no variant.

use regex::Regex;

use crate::labels::{Labels, METRIC_NAME};
use crate::pattern::Replacement;

mod parts;
mod reach;
mod reads;

pub(crate) use reach::Reach;

/// The expression of a rule.
#[derive(Debug, Clone)]
pub(crate) enum Expr {
    Scalar(ScalarExpr),
    Vector(VectorExpr),
}

#[derive(Debug, Clone)]
pub(crate) enum ScalarExpr {
    Number(f64),
    /// `time()`: the evaluation time in seconds.
    Time,
    Negate(Box<ScalarExpr>),
    /// Two scalars; a comparison gives 0 or 1, as PromQL demands `bool` there.
    Binary(Operator, Box<ScalarExpr>, Box<ScalarExpr>),
    /// `scalar(v)`: the value of the one sample, else NaN.
    Only(Box<VectorExpr>),
}

#[derive(Debug, Clone)]
pub(crate) enum VectorExpr {
    Select(Selector),
    /// `timestamp(selector)`: the time of each sample, in seconds.
    TimeOf(Selector),
    /// `vector(s)`
    Constant(Box<ScalarExpr>),
    Negate(Box<VectorExpr>),
    WithScalar(Box<WithScalar>),
    Matched(Box<Matched>),
    Set(SetOperator, Key, Box<VectorExpr>, Box<VectorExpr>),
    Aggregate(Box<Aggregation>, Grouping, Box<VectorExpr>),
    OverRange(Box<RangeFunction>, Box<Range>),
    /// `absent(v)`, with the labels of the sample it gives.
    Absent(Labels, Box<VectorExpr>),
    /// `absent_over_time(r)`, with the labels of the sample it gives.
    AbsentOverRange(Labels, Box<Range>),
    Each(Box<EachFunction>, Box<VectorExpr>),
    /// `label_replace` and `label_join`
    Relabel(Box<Relabel>, Box<VectorExpr>),
    Sort(Order, Box<VectorExpr>),
    /// `histogram_quantile(q, v)` over classic buckets.
    HistogramQuantile(Box<ScalarExpr>, Box<VectorExpr>),
}

/// An operator between one value and another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Compare(Comparison),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SetOperator {
    And,
    Or,
    Unless,
}

/// What is done with the answer of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The samples for which it holds are kept.
    Filter,
    /// `bool`: 1 where it holds, else 0.
    Bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// An operator between a vector and a scalar.
#[derive(Debug, Clone)]
pub(crate) struct WithScalar {
    pub(crate) operator: Operator,
    pub(crate) answer: Answer,
    pub(crate) vector: VectorExpr,
    pub(crate) scalar: ScalarExpr,
    pub(crate) scalar_side: Side,
}

/// An operator between two vectors.
#[derive(Debug, Clone)]
pub(crate) struct Matched {
    pub(crate) operator: Operator,
    pub(crate) answer: Answer,
    pub(crate) key: Key,
    pub(crate) cardinality: Cardinality,
    pub(crate) left: VectorExpr,
    pub(crate) right: VectorExpr,
}

/// The labels by which samples of two vectors find each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    On(Vec<String>),
    /// Every label but these and the metric's name; without a modifier, the list is empty.
    Ignoring(Vec<String>),
}

impl Key {
    pub(crate) fn of(&self, labels: &Labels) -> Labels {
        match self {
            Self::On(names) => labels.only(names),
            Self::Ignoring(names) => labels.without(names),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cardinality {
    OneToOne,
    /// `group_left` or `group_right`: the side with many samples of one key, and the labels that
    /// are taken over from the other side.
    Grouped {
        many: Side,
        include: Vec<String>,
    },
}

#[derive(Debug, Clone)]
pub(crate) enum Aggregation {
    Sum,
    Min,
    Max,
    Avg,
    Count,
    Group,
    Stddev,
    Stdvar,
    /// The share, from 0 to 1.
    Quantile(ScalarExpr),
    /// The first so many of each group in an order.
    First(Order, ScalarExpr),
    /// The label that takes the value.
    CountValues(String),
}

/// An order of samples by value; NaN is always last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Ascending,
    Descending,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Grouping {
    /// Without a modifier, the list is empty.
    By(Vec<String>),
    Without(Vec<String>),
}

/// A function of the samples of a range.
#[derive(Debug, Clone)]
pub(crate) enum RangeFunction {
    Rate,
    Increase,
    Delta,
    /// `irate`
    LastRate,
    /// `idelta`
    LastDelta,
    Deriv,
    /// With the seconds to look ahead from the time of evaluation.
    PredictLinear(ScalarExpr),
    Avg,
    Min,
    Max,
    Sum,
    Count,
    Last,
    Present,
    Stddev,
    Stdvar,
    /// With the share, from 0 to 1.
    Quantile(ScalarExpr),
    Changes,
    Resets,
}

/// A function of each sample of a vector.
#[derive(Debug, Clone)]
pub(crate) enum EachFunction {
    Of(Curve),
    Clamp {
        min: ScalarExpr,
        max: ScalarExpr,
    },
    /// To a multiple of this.
    Round(ScalarExpr),
    /// A part of the date in UTC, of a value that is a time in seconds.
    Date(DatePart),
    /// `timestamp(v)` of anything but a selector: the time of evaluation, in seconds.
    Timestamp,
}

/// A function from one number to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Curve {
    Abs,
    Ceil,
    Floor,
    Sgn,
    Sqrt,
    Exp,
    Ln,
    Log2,
    Log10,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Tanh,
    Asinh,
    Acosh,
    Atanh,
    Deg,
    Rad,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DatePart {
    Year,
    Month,
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    DaysInMonth,
    Hour,
    Minute,
}

/// A label of each sample that is set anew.
#[derive(Debug, Clone)]
pub(crate) enum Relabel {
    /// Where `pattern` matches the label `from`, the label `to` becomes `replacement`.
    Replace {
        to: String,
        replacement: Replacement,
        from: String,
        pattern: Regex,
    },
    /// The label `to` becomes the labels `from` with `separator` between them.
    Join {
        to: String,
        separator: String,
        from: Vec<String>,
    },
}

/// Samples of some time, for each series.
#[derive(Debug, Clone)]
pub(crate) struct Range {
    pub(crate) of: RangeOf,
    pub(crate) range_ms: i64,
}

#[derive(Debug, Clone)]
pub(crate) enum RangeOf {
    /// `selector[range]`
    Samples(Selector),
    /// `expr[range:step]`: what an expression gives at each multiple of the step.
    Subquery {
        of: VectorExpr,
        step_ms: i64,
        when: When,
    },
}

impl Range {
    pub(crate) fn when(&self) -> When {
        match &self.of {
            RangeOf::Samples(selector) => selector.when,
            RangeOf::Subquery { when, .. } => *when,
        }
    }
}

/// Which time a selector or a subquery reads: `@` and `offset`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct When {
    pub(crate) at: At,
    /// How far back from that time; negative looks ahead.
    pub(crate) offset_ms: i64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum At {
    /// Without `@`: the time of evaluation, of each step within a subquery.
    #[default]
    Now,
    /// `@ start()`: the first time of evaluation of the whole query, even within a subquery.
    Start,
    /// `@ end()`: the last one. For a rule both are the time at which it is evaluated.
    End,
    /// `@ 1234.5`: milliseconds since the Unix epoch. No rule has it.
    Fixed(i64),
}

#[derive(Debug, Clone)]
pub(crate) struct Selector {
    pub(crate) matchers: Vec<Matcher>,
    pub(crate) when: When,
}

impl Selector {
    /// The metric's name, where the selector asks for exactly one.
    pub(crate) fn metric(&self) -> Option<&str> {
        self.matchers
            .iter()
            .find_map(|matcher| match &matcher.test {
                Test::Equal(value) if matcher.label == METRIC_NAME => Some(value.as_str()),
                _ => None,
            })
    }

    pub(crate) fn matches(&self, labels: &Labels) -> bool {
        self.matchers
            .iter()
            .all(|matcher| matcher.test.holds(labels.get(&matcher.label)))
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Matcher {
    pub(crate) label: String,
    pub(crate) test: Test,
}

/// What a label's value must be; a missing label has the empty value.
#[derive(Debug, Clone)]
pub(crate) enum Test {
    Equal(String),
    NotEqual(String),
    Match(Regex),
    NoMatch(Regex),
}

impl Test {
    fn holds(&self, value: &str) -> bool {
        match self {
            Self::Equal(wanted) => value == wanted,
            Self::NotEqual(unwanted) => value != unwanted,
            Self::Match(regex) => regex.is_match(value),
            Self::NoMatch(regex) => !regex.is_match(value),
        }
    }
}
