//! The parts that an expression is made of, for whatever walks over all of it.

use super::{
    Aggregation, EachFunction, Expr, Range, RangeFunction, RangeOf, ScalarExpr, Selector,
    VectorExpr,
};

/// What an expression reads from, or is calculated from.
#[derive(Clone, Copy)]
pub(super) enum Part<'a> {
    Scalar(&'a ScalarExpr),
    Vector(&'a VectorExpr),
    Selector(&'a Selector),
    Range(&'a Range),
}

impl Part<'_> {
    /// Visits the parts of this one, one level deep.
    pub(super) fn each<'a>(self, visit: &mut dyn FnMut(Part<'a>))
    where
        Self: 'a,
    {
        match self {
            Part::Scalar(scalar) => scalar.each_part(visit),
            Part::Vector(vector) => vector.each_part(visit),
            Part::Selector(_) => {}
            Part::Range(range) => match &range.of {
                RangeOf::Samples(selector) => visit(Part::Selector(selector)),
                RangeOf::Subquery { of, .. } => visit(Part::Vector(of)),
            },
        }
    }
}

impl Expr {
    pub(super) fn part(&self) -> Part<'_> {
        match self {
            Self::Scalar(scalar) => Part::Scalar(scalar),
            Self::Vector(vector) => Part::Vector(vector),
        }
    }
}

impl ScalarExpr {
    fn each_part<'a>(&'a self, visit: &mut dyn FnMut(Part<'a>)) {
        match self {
            Self::Number(_) | Self::Time => {}
            Self::Negate(of) => visit(Part::Scalar(of)),
            Self::Binary(_, left, right) => {
                visit(Part::Scalar(left));
                visit(Part::Scalar(right));
            }
            Self::Only(of) => visit(Part::Vector(of)),
        }
    }
}

impl VectorExpr {
    fn each_part<'a>(&'a self, visit: &mut dyn FnMut(Part<'a>)) {
        match self {
            Self::Select(selector) | Self::TimeOf(selector) => visit(Part::Selector(selector)),
            Self::Constant(scalar) => visit(Part::Scalar(scalar)),
            Self::Negate(of) | Self::Absent(_, of) | Self::Relabel(_, of) | Self::Sort(_, of) => {
                visit(Part::Vector(of))
            }
            Self::WithScalar(operation) => {
                visit(Part::Vector(&operation.vector));
                visit(Part::Scalar(&operation.scalar));
            }
            Self::Matched(operation) => {
                visit(Part::Vector(&operation.left));
                visit(Part::Vector(&operation.right));
            }
            Self::Set(_, _, left, right) => {
                visit(Part::Vector(left));
                visit(Part::Vector(right));
            }
            Self::Aggregate(aggregation, _, of) => {
                visit(Part::Vector(of));
                match &**aggregation {
                    Aggregation::Quantile(scalar) | Aggregation::First(_, scalar) => {
                        visit(Part::Scalar(scalar));
                    }
                    Aggregation::Sum
                    | Aggregation::Min
                    | Aggregation::Max
                    | Aggregation::Avg
                    | Aggregation::Count
                    | Aggregation::Group
                    | Aggregation::Stddev
                    | Aggregation::Stdvar
                    | Aggregation::CountValues(_) => {}
                }
            }
            Self::OverRange(function, range) => {
                visit(Part::Range(range));
                if let RangeFunction::PredictLinear(scalar) | RangeFunction::Quantile(scalar) =
                    &**function
                {
                    visit(Part::Scalar(scalar));
                }
            }
            Self::AbsentOverRange(_, range) => visit(Part::Range(range)),
            Self::Each(function, of) => {
                visit(Part::Vector(of));
                match &**function {
                    EachFunction::Clamp { min, max } => {
                        visit(Part::Scalar(min));
                        visit(Part::Scalar(max));
                    }
                    EachFunction::Round(to) => visit(Part::Scalar(to)),
                    EachFunction::Of(_) | EachFunction::Date(_) | EachFunction::Timestamp => {}
                }
            }
            Self::HistogramQuantile(share, of) => {
                visit(Part::Scalar(share));
                visit(Part::Vector(of));
            }
        }
    }
}
