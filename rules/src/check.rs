//! From the parser's syntax tree to an [`Expr`]: whatever cannot be evaluated is refused here.

use promql_parser::parser::token::{self, TokenType};
use promql_parser::parser::{self as ast, LabelModifier, VectorMatchCardinality};

use crate::expr::{
    Aggregation, Answer, Cardinality, Comparison, Expr, Grouping, Key, Matched, Operator,
    ScalarExpr, SetOperator, Side, VectorExpr, WithScalar,
};

mod call;
mod selector;

/// An expression that cannot be evaluated: why not, in words for the author of the rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unsupported(pub(crate) String);

impl Unsupported {
    fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

type Checked<T> = Result<T, Unsupported>;

/// What is supported, for messages.
pub(crate) const SUPPORTED: &str = "supported are selectors with range and offset, arithmetic, \
     comparisons, and, or, unless, on, ignoring, group_left, group_right, sum, min, max, avg, \
     count, rate, increase, delta, deriv, predict_linear, avg_, min_, max_, sum_, count_, last_ \
     and present_over_time, changes, resets, absent, time, abs, scalar, vector, clamp_min and \
     clamp_max";

/// Parses an expression and checks that all of it is supported.
pub(crate) fn parse(text: &str) -> Checked<Expr> {
    if let Some(word) = long_duration(text) {
        return Err(Unsupported(format!("`{word}` is too long a duration")));
    }
    let tree = ast::parse(text).map_err(|reason| Unsupported(format!("not PromQL: {reason}")))?;
    expr(&tree)
}

/// The parser (promql-parser 0.11, util/duration.rs) counts a unit whose number is beyond 32 bits
/// as nothing, which would make another rule of it.
fn long_duration(text: &str) -> Option<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let mut durations = words.filter(|word| {
        word.starts_with(|c: char| c.is_ascii_digit()) && !word.chars().all(|c| c.is_ascii_digit())
    });
    durations.find(|word| {
        let mut numbers = word.split(|c: char| !c.is_ascii_digit());
        numbers.any(|number| !number.is_empty() && number.parse::<u32>().is_err())
    })
}

fn expr(tree: &ast::Expr) -> Checked<Expr> {
    match tree {
        ast::Expr::Paren(paren) => expr(&paren.expr),
        ast::Expr::NumberLiteral(number) => Ok(Expr::Scalar(ScalarExpr::Number(number.val))),
        ast::Expr::Unary(unary) => Ok(match expr(&unary.expr)? {
            Expr::Scalar(of) => Expr::Scalar(ScalarExpr::Negate(Box::new(of))),
            Expr::Vector(of) => Expr::Vector(VectorExpr::Negate(Box::new(of))),
        }),
        ast::Expr::VectorSelector(plain) => {
            Ok(Expr::Vector(VectorExpr::Select(selector::check(plain)?)))
        }
        ast::Expr::Binary(operation) => binary(operation),
        ast::Expr::Aggregate(aggregate) => aggregation(aggregate),
        ast::Expr::Call(called) => call::check(called),
        ast::Expr::StringLiteral(_) => Err(Unsupported::new("a string is not a value for a rule")),
        ast::Expr::MatrixSelector(_) => Err(Unsupported::new(
            "a range needs a function around it, such as rate()",
        )),
        ast::Expr::Subquery(_) => Err(Unsupported::new("subqueries are not supported")),
        ast::Expr::Extension(_) => Err(Unsupported::new("extensions are not supported")),
    }
}

fn scalar(tree: &ast::Expr) -> Checked<ScalarExpr> {
    match expr(tree)? {
        Expr::Scalar(scalar) => Ok(scalar),
        Expr::Vector(_) => Err(Unsupported(format!("`{tree}` must be a scalar"))),
    }
}

fn vector(tree: &ast::Expr) -> Checked<VectorExpr> {
    match expr(tree)? {
        Expr::Vector(vector) => Ok(vector),
        Expr::Scalar(_) => Err(Unsupported(format!("`{tree}` must be an instant vector"))),
    }
}

fn unwrap_parens(tree: &ast::Expr) -> &ast::Expr {
    match tree {
        ast::Expr::Paren(paren) => unwrap_parens(&paren.expr),
        other => other,
    }
}

enum AnyOperator {
    Value(Operator),
    Set(SetOperator),
}

fn operator(op: TokenType) -> Checked<AnyOperator> {
    use AnyOperator::{Set, Value};
    Ok(match op.id() {
        token::T_ADD => Value(Operator::Add),
        token::T_SUB => Value(Operator::Sub),
        token::T_MUL => Value(Operator::Mul),
        token::T_DIV => Value(Operator::Div),
        token::T_MOD => Value(Operator::Mod),
        token::T_POW => Value(Operator::Pow),
        token::T_EQLC => Value(Operator::Compare(Comparison::Equal)),
        token::T_NEQ => Value(Operator::Compare(Comparison::NotEqual)),
        token::T_GTR => Value(Operator::Compare(Comparison::Greater)),
        token::T_LSS => Value(Operator::Compare(Comparison::Less)),
        token::T_GTE => Value(Operator::Compare(Comparison::GreaterOrEqual)),
        token::T_LTE => Value(Operator::Compare(Comparison::LessOrEqual)),
        token::T_LAND => Set(SetOperator::And),
        token::T_LOR => Set(SetOperator::Or),
        token::T_LUNLESS => Set(SetOperator::Unless),
        _ => return Err(Unsupported(format!("the operator `{op}` is not supported"))),
    })
}

fn binary(tree: &ast::BinaryExpr) -> Checked<Expr> {
    let modifier = tree.modifier.clone().unwrap_or_default();
    let fill = &modifier.fill_values;
    if fill.lhs.is_some() || fill.rhs.is_some() {
        return Err(Unsupported::new("fill modifiers are not supported"));
    }
    let answer = if modifier.return_bool {
        Answer::Bool
    } else {
        Answer::Filter
    };
    let sides = (expr(&tree.lhs)?, expr(&tree.rhs)?);
    let operator = match (operator(tree.op)?, sides) {
        (AnyOperator::Set(set), (Expr::Vector(left), Expr::Vector(right))) => {
            let key = key(modifier.matching.as_ref());
            let set = VectorExpr::Set(set, key, Box::new(left), Box::new(right));
            return Ok(Expr::Vector(set));
        }
        (AnyOperator::Set(_), _) => {
            return Err(Unsupported(format!("`{}` needs two vectors", tree.op)));
        }
        (AnyOperator::Value(operator), sides) => (operator, sides),
    };
    Ok(match operator {
        (Operator::Compare(_), (Expr::Scalar(_), Expr::Scalar(_))) if answer == Answer::Filter => {
            return Err(Unsupported::new("comparing two scalars needs `bool`"));
        }
        (operator, (Expr::Scalar(left), Expr::Scalar(right))) => Expr::Scalar(ScalarExpr::Binary(
            operator,
            Box::new(left),
            Box::new(right),
        )),
        (operator, (Expr::Vector(vector), Expr::Scalar(scalar))) => {
            with_scalar(operator, answer, vector, scalar, Side::Right)
        }
        (operator, (Expr::Scalar(scalar), Expr::Vector(vector))) => {
            with_scalar(operator, answer, vector, scalar, Side::Left)
        }
        (operator, (Expr::Vector(left), Expr::Vector(right))) => {
            let matched = Matched {
                operator,
                answer,
                key: key(modifier.matching.as_ref()),
                cardinality: cardinality(&modifier.card),
                left,
                right,
            };
            Expr::Vector(VectorExpr::Matched(Box::new(matched)))
        }
    })
}

fn with_scalar(
    operator: Operator,
    answer: Answer,
    vector: VectorExpr,
    scalar: ScalarExpr,
    scalar_side: Side,
) -> Expr {
    Expr::Vector(VectorExpr::WithScalar(Box::new(WithScalar {
        operator,
        answer,
        vector,
        scalar,
        scalar_side,
    })))
}

fn key(matching: Option<&LabelModifier>) -> Key {
    match matching {
        None => Key::Ignoring(Vec::new()),
        Some(LabelModifier::Include(labels)) => Key::On(labels.labels.clone()),
        Some(LabelModifier::Exclude(labels)) => Key::Ignoring(labels.labels.clone()),
    }
}

fn cardinality(card: &VectorMatchCardinality) -> Cardinality {
    let grouped = |many, include: &promql_parser::label::Labels| Cardinality::Grouped {
        many,
        include: include.labels.clone(),
    };
    match card {
        VectorMatchCardinality::OneToOne | VectorMatchCardinality::ManyToMany => {
            Cardinality::OneToOne
        }
        VectorMatchCardinality::ManyToOne(include) => grouped(Side::Left, include),
        VectorMatchCardinality::OneToMany(include) => grouped(Side::Right, include),
    }
}

fn aggregation(tree: &ast::AggregateExpr) -> Checked<Expr> {
    let aggregation = match tree.op.id() {
        token::T_SUM => Aggregation::Sum,
        token::T_MIN => Aggregation::Min,
        token::T_MAX => Aggregation::Max,
        token::T_AVG => Aggregation::Avg,
        token::T_COUNT => Aggregation::Count,
        _ => {
            return Err(Unsupported(format!(
                "the aggregation `{}` is not supported",
                tree.op
            )));
        }
    };
    let grouping = match &tree.modifier {
        None => Grouping::By(Vec::new()),
        Some(LabelModifier::Include(labels)) => Grouping::By(labels.labels.clone()),
        Some(LabelModifier::Exclude(labels)) => Grouping::Without(labels.labels.clone()),
    };
    let of = Box::new(vector(&tree.expr)?);
    Ok(Expr::Vector(VectorExpr::Aggregate(
        aggregation,
        grouping,
        of,
    )))
}

#[cfg(test)]
mod tests;
