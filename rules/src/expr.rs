//! Expressions that were checked at load: what is written here can be evaluated.
//!
//! A scalar and a vector are two types, so that no operator can meet an operand it has no meaning
//! for, and what is not supported has no variant.

use regex::Regex;

use crate::labels::{Labels, METRIC_NAME};
use crate::window::LOOKBACK_MS;

mod reads;

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
    /// `vector(s)`
    Constant(Box<ScalarExpr>),
    Negate(Box<VectorExpr>),
    WithScalar(Box<WithScalar>),
    Matched(Box<Matched>),
    Set(SetOperator, Key, Box<VectorExpr>, Box<VectorExpr>),
    Aggregate(Aggregation, Grouping, Box<VectorExpr>),
    OverRange(RangeFunction, Range),
    /// `absent(v)`, with the labels of the sample it gives.
    Absent(Labels, Box<VectorExpr>),
    Each(EachFunction, Box<VectorExpr>),
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aggregation {
    Sum,
    Min,
    Max,
    Avg,
    Count,
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
    Deriv,
    /// With the seconds to look ahead from the time of evaluation.
    PredictLinear(Box<ScalarExpr>),
    Avg,
    Min,
    Max,
    Sum,
    Count,
    Last,
    Present,
    Changes,
    Resets,
}

/// A function of each sample of a vector.
#[derive(Debug, Clone)]
pub(crate) enum EachFunction {
    Abs,
    ClampMin(Box<ScalarExpr>),
    ClampMax(Box<ScalarExpr>),
}

/// A selector with its range.
#[derive(Debug, Clone)]
pub(crate) struct Range {
    pub(crate) selector: Selector,
    pub(crate) range_ms: i64,
}

#[derive(Debug, Clone)]
pub(crate) struct Selector {
    pub(crate) matchers: Vec<Matcher>,
    /// How far back from the evaluation time; negative looks ahead.
    pub(crate) offset_ms: i64,
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

/// How much of the past an expression reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    /// What must have been collected for the answer to be whole: the longest range and offset.
    pub(crate) needed_ms: i64,
    /// What can have a part in the answer: the lookback of instant selectors too.
    pub(crate) read_ms: i64,
}

impl Reach {
    fn or(self, other: Self) -> Self {
        Self {
            needed_ms: self.needed_ms.max(other.needed_ms),
            read_ms: self.read_ms.max(other.read_ms),
        }
    }
}

impl Expr {
    pub(crate) fn reach(&self) -> Reach {
        match self {
            Self::Scalar(scalar) => scalar.reach(),
            Self::Vector(vector) => vector.reach(),
        }
    }
}

impl ScalarExpr {
    fn reach(&self) -> Reach {
        match self {
            Self::Number(_) | Self::Time => Reach::default(),
            Self::Negate(of) => of.reach(),
            Self::Binary(_, left, right) => left.reach().or(right.reach()),
            Self::Only(of) => of.reach(),
        }
    }
}

impl VectorExpr {
    fn reach(&self) -> Reach {
        match self {
            Self::Select(selector) => Reach {
                needed_ms: selector.offset_ms.max(0),
                read_ms: selector.offset_ms.max(0).saturating_add(LOOKBACK_MS),
            },
            Self::Constant(scalar) => scalar.reach(),
            Self::Negate(of) | Self::Aggregate(_, _, of) | Self::Absent(_, of) => of.reach(),
            Self::WithScalar(operation) => operation.vector.reach().or(operation.scalar.reach()),
            Self::Matched(operation) => operation.left.reach().or(operation.right.reach()),
            Self::Set(_, _, left, right) => left.reach().or(right.reach()),
            Self::OverRange(function, range) => {
                let span = range
                    .selector
                    .offset_ms
                    .saturating_add(range.range_ms)
                    .max(0);
                let own = Reach {
                    needed_ms: span,
                    read_ms: span,
                };
                match function {
                    RangeFunction::PredictLinear(ahead) => own.or(ahead.reach()),
                    _ => own,
                }
            }
            Self::Each(function, of) => match function {
                EachFunction::Abs => of.reach(),
                EachFunction::ClampMin(bound) | EachFunction::ClampMax(bound) => {
                    of.reach().or(bound.reach())
                }
            },
        }
    }
}
