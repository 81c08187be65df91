//! Function calls.

use promql_parser::parser as ast;

use super::{Checked, Unsupported, scalar, selector, unwrap_parens, vector};
use crate::expr::{EachFunction, Expr, RangeFunction, ScalarExpr, VectorExpr};
use crate::labels::Labels;

pub(super) fn check(call: &ast::Call) -> Checked<Expr> {
    let name = call.func.name;
    let arguments = Arguments {
        function: name,
        given: call.args.args.iter().map(AsRef::as_ref).collect(),
    };
    match name {
        "time" => {
            let [] = arguments.exactly()?;
            Ok(Expr::Scalar(ScalarExpr::Time))
        }
        "scalar" => {
            let [of] = arguments.exactly()?;
            Ok(Expr::Scalar(ScalarExpr::Only(Box::new(vector(of)?))))
        }
        "vector" => {
            let [of] = arguments.exactly()?;
            Ok(Expr::Vector(VectorExpr::Constant(Box::new(scalar(of)?))))
        }
        "absent" => {
            let [of] = arguments.exactly()?;
            let labels = match unwrap_parens(of) {
                ast::Expr::VectorSelector(plain) => selector::labels_if_absent(plain)?,
                _ => Labels::default(),
            };
            let of = Box::new(vector(of)?);
            Ok(Expr::Vector(VectorExpr::Absent(labels, of)))
        }
        "abs" => {
            let [of] = arguments.exactly()?;
            each(EachFunction::Abs, of)
        }
        "clamp_min" => {
            let [of, bound] = arguments.exactly()?;
            each(EachFunction::ClampMin(Box::new(scalar(bound)?)), of)
        }
        "clamp_max" => {
            let [of, bound] = arguments.exactly()?;
            each(EachFunction::ClampMax(Box::new(scalar(bound)?)), of)
        }
        "predict_linear" => {
            let [of, ahead] = arguments.exactly()?;
            let function = RangeFunction::PredictLinear(Box::new(scalar(ahead)?));
            over_range(name, function, of)
        }
        _ => match range_function(name) {
            Some(function) => {
                let [of] = arguments.exactly()?;
                over_range(name, function, of)
            }
            None => Err(Unsupported(format!(
                "the function `{name}` is not supported"
            ))),
        },
    }
}

fn range_function(name: &str) -> Option<RangeFunction> {
    Some(match name {
        "rate" => RangeFunction::Rate,
        "increase" => RangeFunction::Increase,
        "delta" => RangeFunction::Delta,
        "deriv" => RangeFunction::Deriv,
        "avg_over_time" => RangeFunction::Avg,
        "min_over_time" => RangeFunction::Min,
        "max_over_time" => RangeFunction::Max,
        "sum_over_time" => RangeFunction::Sum,
        "count_over_time" => RangeFunction::Count,
        "last_over_time" => RangeFunction::Last,
        "present_over_time" => RangeFunction::Present,
        "changes" => RangeFunction::Changes,
        "resets" => RangeFunction::Resets,
        _ => return None,
    })
}

fn each(function: EachFunction, of: &ast::Expr) -> Checked<Expr> {
    let of = Box::new(vector(of)?);
    Ok(Expr::Vector(VectorExpr::Each(function, of)))
}

fn over_range(name: &str, function: RangeFunction, of: &ast::Expr) -> Checked<Expr> {
    match unwrap_parens(of) {
        ast::Expr::MatrixSelector(matrix) => {
            let range = selector::range(matrix)?;
            Ok(Expr::Vector(VectorExpr::OverRange(function, range)))
        }
        ast::Expr::Subquery(_) => Err(Unsupported::new("subqueries are not supported")),
        other => Err(Unsupported(format!(
            "{name}() needs a selector with a range, not `{other}`"
        ))),
    }
}

struct Arguments<'a> {
    function: &'static str,
    given: Vec<&'a ast::Expr>,
}

impl<'a> Arguments<'a> {
    fn exactly<const N: usize>(self) -> Checked<[&'a ast::Expr; N]> {
        let (function, count) = (self.function, self.given.len());
        self.given.try_into().map_err(|_| {
            Unsupported(format!(
                "{function}() takes {N} argument(s), {count} are given"
            ))
        })
    }
}
