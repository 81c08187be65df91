//! Function calls.

use promql_parser::parser as ast;

use super::{Checked, Checker, Unsupported, selector, string, unwrap_parens};
use crate::expr::{
    At, Curve, DatePart, EachFunction, Expr, Order, Range, RangeFunction, Relabel, ScalarExpr,
    VectorExpr,
};
use crate::labels::Labels;
use crate::pattern::{self, Replacement};

impl Checker {
    pub(super) fn call(self, call: &ast::Call) -> Checked<Expr> {
        let name = call.func.name;
        let arguments = Arguments {
            function: name,
            given: call.args.args.iter().map(AsRef::as_ref).collect(),
        };
        if let Some(function) = curve(name) {
            let [of] = arguments.exactly()?;
            return self.each(EachFunction::Of(function), of);
        }
        if let Some(part) = date_part(name) {
            return match arguments.given.as_slice() {
                [] => {
                    let now = Box::new(VectorExpr::Constant(Box::new(ScalarExpr::Time)));
                    let date = VectorExpr::Each(Box::new(EachFunction::Date(part)), now);
                    Ok(Expr::Vector(date))
                }
                _ => {
                    let [of] = arguments.exactly()?;
                    self.each(EachFunction::Date(part), of)
                }
            };
        }
        if let Some(function) = range_function(name) {
            let [of] = arguments.exactly()?;
            return self.over_range(name, function, of);
        }
        self.special(name, arguments)
    }

    /// Functions with more than one argument, or of a kind of their own.
    fn special(self, name: &str, arguments: Arguments<'_>) -> Checked<Expr> {
        Ok(match name {
            "time" => {
                let [] = arguments.exactly()?;
                Expr::Scalar(ScalarExpr::Time)
            }
            "pi" => {
                let [] = arguments.exactly()?;
                Expr::Scalar(ScalarExpr::Number(std::f64::consts::PI))
            }
            "scalar" => {
                let [of] = arguments.exactly()?;
                Expr::Scalar(ScalarExpr::Only(Box::new(self.vector(of)?)))
            }
            "vector" => {
                let [of] = arguments.exactly()?;
                Expr::Vector(VectorExpr::Constant(Box::new(self.scalar(of)?)))
            }
            "absent" => {
                let [of] = arguments.exactly()?;
                let labels = match unwrap_parens(of) {
                    ast::Expr::VectorSelector(plain) => selector::labels_if_absent(plain)?,
                    _ => Labels::default(),
                };
                Expr::Vector(VectorExpr::Absent(labels, Box::new(self.vector(of)?)))
            }
            "absent_over_time" => {
                let [of] = arguments.exactly()?;
                let labels = match unwrap_parens(of) {
                    ast::Expr::MatrixSelector(matrix) => selector::labels_if_absent(&matrix.vs)?,
                    _ => Labels::default(),
                };
                let range = Box::new(self.range(name, of)?);
                Expr::Vector(VectorExpr::AbsentOverRange(labels, range))
            }
            "timestamp" => {
                let [of] = arguments.exactly()?;
                match unwrap_parens(of) {
                    ast::Expr::VectorSelector(plain) => {
                        let of = self.selector(plain)?;
                        // It looks at the time of `@`, in what was read for the offset
                        // (`rangeEvalTimestampFunctionOverVectorSelector`, promql/engine.go, 3.5).
                        if of.when.at != At::Now && of.when.offset_ms != 0 {
                            return Err(Unsupported::new(
                                "timestamp() of a selector with both `@` and `offset` is not \
                                 supported: Prometheus mixes the two up",
                            ));
                        }
                        Expr::Vector(VectorExpr::TimeOf(of))
                    }
                    _ => self.each(EachFunction::Timestamp, of)?,
                }
            }
            "clamp" => {
                let [of, min, max] = arguments.exactly()?;
                let (min, max) = (self.scalar(min)?, self.scalar(max)?);
                self.each(EachFunction::Clamp { min, max }, of)?
            }
            "clamp_min" => {
                let [of, min] = arguments.exactly()?;
                let (min, max) = (self.scalar(min)?, ScalarExpr::Number(f64::INFINITY));
                self.each(EachFunction::Clamp { min, max }, of)?
            }
            "clamp_max" => {
                let [of, max] = arguments.exactly()?;
                let (min, max) = (ScalarExpr::Number(f64::NEG_INFINITY), self.scalar(max)?);
                self.each(EachFunction::Clamp { min, max }, of)?
            }
            "round" => match arguments.given.as_slice() {
                [of, to] => self.each(EachFunction::Round(self.scalar(to)?), of)?,
                _ => {
                    let [of] = arguments.exactly()?;
                    self.each(EachFunction::Round(ScalarExpr::Number(1.0)), of)?
                }
            },
            "predict_linear" => {
                let [of, ahead] = arguments.exactly()?;
                self.over_range(name, RangeFunction::PredictLinear(self.scalar(ahead)?), of)?
            }
            "quantile_over_time" => {
                let [share, of] = arguments.exactly()?;
                self.over_range(name, RangeFunction::Quantile(self.scalar(share)?), of)?
            }
            "histogram_quantile" => {
                let [share, of] = arguments.exactly()?;
                let share = Box::new(self.scalar(share)?);
                Expr::Vector(VectorExpr::HistogramQuantile(
                    share,
                    Box::new(self.vector(of)?),
                ))
            }
            "sort" | "sort_desc" => {
                let [of] = arguments.exactly()?;
                let order = match name {
                    "sort" => Order::Ascending,
                    _ => Order::Descending,
                };
                Expr::Vector(VectorExpr::Sort(order, Box::new(self.vector(of)?)))
            }
            "label_replace" => {
                let [of, to, replacement, from, pattern] = arguments.exactly()?;
                let relabel = Relabel::Replace {
                    to: label(name, to)?,
                    replacement: Replacement::read(&string(replacement)?).map_err(Unsupported)?,
                    from: string(from)?,
                    pattern: pattern::whole_in_place(&string(pattern)?).map_err(Unsupported)?,
                };
                self.relabel(relabel, of)?
            }
            "label_join" => {
                let [of, to, separator, from @ ..] = arguments.given.as_slice() else {
                    return Err(arguments.wrong_number("at least 3"));
                };
                let from = from.iter().map(|from| label(name, from));
                let relabel = Relabel::Join {
                    to: label(name, to)?,
                    separator: string(separator)?,
                    from: from.collect::<Checked<_>>()?,
                };
                self.relabel(relabel, of)?
            }
            _ => return Err(unsupported(name)),
        })
    }

    fn each(self, function: EachFunction, of: &ast::Expr) -> Checked<Expr> {
        let of = Box::new(self.vector(of)?);
        Ok(Expr::Vector(VectorExpr::Each(Box::new(function), of)))
    }

    fn relabel(self, relabel: Relabel, of: &ast::Expr) -> Checked<Expr> {
        let of = Box::new(self.vector(of)?);
        Ok(Expr::Vector(VectorExpr::Relabel(Box::new(relabel), of)))
    }

    fn over_range(self, name: &str, function: RangeFunction, of: &ast::Expr) -> Checked<Expr> {
        let range = Box::new(self.range(name, of)?);
        Ok(Expr::Vector(VectorExpr::OverRange(
            Box::new(function),
            range,
        )))
    }

    fn range(self, name: &str, of: &ast::Expr) -> Checked<Range> {
        match unwrap_parens(of) {
            ast::Expr::MatrixSelector(matrix) => self.matrix(matrix),
            ast::Expr::Subquery(subquery) => self.subquery(subquery),
            other => Err(Unsupported(format!(
                "{name}() needs a selector with a range, or a subquery, not `{other}`"
            ))),
        }
    }
}

fn range_function(name: &str) -> Option<RangeFunction> {
    Some(match name {
        "rate" => RangeFunction::Rate,
        "increase" => RangeFunction::Increase,
        "delta" => RangeFunction::Delta,
        "irate" => RangeFunction::LastRate,
        "idelta" => RangeFunction::LastDelta,
        "deriv" => RangeFunction::Deriv,
        "avg_over_time" => RangeFunction::Avg,
        "min_over_time" => RangeFunction::Min,
        "max_over_time" => RangeFunction::Max,
        "sum_over_time" => RangeFunction::Sum,
        "count_over_time" => RangeFunction::Count,
        "last_over_time" => RangeFunction::Last,
        "present_over_time" => RangeFunction::Present,
        "stddev_over_time" => RangeFunction::Stddev,
        "stdvar_over_time" => RangeFunction::Stdvar,
        "changes" => RangeFunction::Changes,
        "resets" => RangeFunction::Resets,
        _ => return None,
    })
}

fn curve(name: &str) -> Option<Curve> {
    Some(match name {
        "abs" => Curve::Abs,
        "ceil" => Curve::Ceil,
        "floor" => Curve::Floor,
        "sgn" => Curve::Sgn,
        "sqrt" => Curve::Sqrt,
        "exp" => Curve::Exp,
        "ln" => Curve::Ln,
        "log2" => Curve::Log2,
        "log10" => Curve::Log10,
        "sin" => Curve::Sin,
        "cos" => Curve::Cos,
        "tan" => Curve::Tan,
        "asin" => Curve::Asin,
        "acos" => Curve::Acos,
        "atan" => Curve::Atan,
        "sinh" => Curve::Sinh,
        "cosh" => Curve::Cosh,
        "tanh" => Curve::Tanh,
        "asinh" => Curve::Asinh,
        "acosh" => Curve::Acosh,
        "atanh" => Curve::Atanh,
        "deg" => Curve::Deg,
        "rad" => Curve::Rad,
        _ => return None,
    })
}

fn date_part(name: &str) -> Option<DatePart> {
    Some(match name {
        "year" => DatePart::Year,
        "month" => DatePart::Month,
        "day_of_month" => DatePart::DayOfMonth,
        "day_of_week" => DatePart::DayOfWeek,
        "day_of_year" => DatePart::DayOfYear,
        "days_in_month" => DatePart::DaysInMonth,
        "hour" => DatePart::Hour,
        "minute" => DatePart::Minute,
        _ => return None,
    })
}

/// Why a function that the parser knows is none of ours (promql/parser/functions.go,
/// Prometheus 3.5).
fn unsupported(name: &str) -> Unsupported {
    let why = if name.starts_with("histogram_") {
        "it is for native histograms, which are not supported"
    } else {
        "in Prometheus it is experimental, or newer than 3.5"
    };
    Unsupported(format!("the function `{name}` is not supported: {why}"))
}

/// A label's name, written as a string.
fn label(function: &str, tree: &ast::Expr) -> Checked<String> {
    match string(tree)? {
        name if name.is_empty() => Err(Unsupported(format!(
            "{function}() needs names of labels, which are not empty"
        ))),
        name => Ok(name),
    }
}

struct Arguments<'a> {
    function: &'static str,
    given: Vec<&'a ast::Expr>,
}

impl<'a> Arguments<'a> {
    fn exactly<const N: usize>(self) -> Checked<[&'a ast::Expr; N]> {
        let refusal = self.wrong_number(&N.to_string());
        self.given.try_into().map_err(|_| refusal)
    }

    fn wrong_number(&self, wanted: &str) -> Unsupported {
        let (function, count) = (self.function, self.given.len());
        Unsupported(format!(
            "{function}() takes {wanted} argument(s), {count} are given"
        ))
    }
}
