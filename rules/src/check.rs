//! From the parser's syntax tree to an [`Expr`]: whatever cannot be evaluated is refused here.

use promql_parser::parser::token::{self, TokenType};
use promql_parser::parser::{self as ast, LabelModifier, VectorMatchCardinality};

use crate::expr::{
    Aggregation, Answer, Cardinality, Comparison, Expr, Grouping, Key, Matched, Operator, Order,
    ScalarExpr, SetOperator, Side, VectorExpr, WithScalar,
};

mod call;
mod dialect;
mod place;
mod selector;
mod size;

/// An expression that cannot be evaluated: why not, in words for the author of the rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unsupported(pub(crate) String);

impl Unsupported {
    fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

type Checked<T> = Result<T, Unsupported>;

impl Unsupported {
    /// What to do about it.
    pub(crate) fn cure(&self) -> &'static str {
        if self.0.starts_with("not PromQL") {
            return "write what Prometheus 3 reads";
        }
        "use what Prometheus 3 has for floats and not as an experiment, or leave the rule to \
         Prometheus"
    }
}

/// Parses the expression of a rule and checks that all of it is supported.
pub(crate) fn parse(text: &str) -> Checked<Expr> {
    Checker::new(true).parse(text)
}

/// How many bytes into the expression that begins for which it was refused, if that is certain.
pub(crate) fn place(text: &str, Unsupported(reason): &Unsupported) -> Option<usize> {
    place::find(text, reason)
}

/// Parses a query that is not a rule's: it may also name fixed times, and leave out the step of
/// a subquery.
pub(crate) fn parse_query(text: &str) -> Checked<Expr> {
    Checker::new(false).parse(text)
}

/// The same, where a subquery without a step takes `step_ms`.
pub(crate) fn parse_query_stepping(text: &str, step_ms: i64) -> Checked<Expr> {
    Checker {
        default_step_ms: step_ms,
        ..Checker::new(false)
    }
    .parse(text)
}

/// For what an expression is checked.
#[derive(Clone, Copy)]
struct Checker {
    /// For a rule, which is evaluated again and again over a bounded window.
    rule: bool,
    /// The step of a subquery that names none.
    default_step_ms: i64,
    /// How many times what is checked is evaluated, by the subqueries around it.
    steps: i64,
}

impl Checker {
    fn new(rule: bool) -> Self {
        Self {
            rule,
            default_step_ms: selector::DEFAULT_STEP_MS,
            steps: 1,
        }
    }

    fn parse(self, text: &str) -> Checked<Expr> {
        let text = dialect::normalized(text)?;
        let tree =
            ast::parse(&text).map_err(|reason| Unsupported(format!("not PromQL: {reason}")))?;
        self.expr(&tree)
    }

    fn expr(self, tree: &ast::Expr) -> Checked<Expr> {
        match tree {
            ast::Expr::Paren(paren) => self.expr(&paren.expr),
            ast::Expr::NumberLiteral(number) => Ok(Expr::Scalar(ScalarExpr::Number(number.val))),
            ast::Expr::Unary(unary) => Ok(match self.expr(&unary.expr)? {
                Expr::Scalar(of) => Expr::Scalar(ScalarExpr::Negate(Box::new(of))),
                Expr::Vector(of) => Expr::Vector(VectorExpr::Negate(Box::new(of))),
            }),
            ast::Expr::VectorSelector(plain) => {
                Ok(Expr::Vector(VectorExpr::Select(self.selector(plain)?)))
            }
            ast::Expr::Binary(operation) => self.binary(operation),
            ast::Expr::Aggregate(aggregate) => self.aggregation(aggregate),
            ast::Expr::Call(called) => self.call(called),
            ast::Expr::StringLiteral(_) => {
                Err(Unsupported::new("a string is not a value for a rule"))
            }
            ast::Expr::MatrixSelector(_) | ast::Expr::Subquery(_) => Err(Unsupported::new(
                "a range needs a function around it, such as rate()",
            )),
            ast::Expr::Extension(_) => Err(Unsupported::new("extensions are not supported")),
        }
    }

    fn scalar(self, tree: &ast::Expr) -> Checked<ScalarExpr> {
        match self.expr(tree)? {
            Expr::Scalar(scalar) => Ok(scalar),
            Expr::Vector(_) => Err(Unsupported(format!("`{tree}` must be a scalar"))),
        }
    }

    fn vector(self, tree: &ast::Expr) -> Checked<VectorExpr> {
        match self.expr(tree)? {
            Expr::Vector(vector) => Ok(vector),
            Expr::Scalar(_) => Err(Unsupported(format!("`{tree}` must be an instant vector"))),
        }
    }

    fn binary(self, tree: &ast::BinaryExpr) -> Checked<Expr> {
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
        let sides = (self.expr(&tree.lhs)?, self.expr(&tree.rhs)?);
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
            (Operator::Compare(_), (Expr::Scalar(_), Expr::Scalar(_)))
                if answer == Answer::Filter =>
            {
                return Err(Unsupported::new("comparing two scalars needs `bool`"));
            }
            (operator, (Expr::Scalar(left), Expr::Scalar(right))) => Expr::Scalar(
                ScalarExpr::Binary(operator, Box::new(left), Box::new(right)),
            ),
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

    fn aggregation(self, tree: &ast::AggregateExpr) -> Checked<Expr> {
        let parameter = || {
            let missing = || Unsupported(format!("{}() needs a parameter", tree.op));
            tree.param.as_deref().ok_or_else(missing)
        };
        let aggregation = match tree.op.id() {
            token::T_SUM => Aggregation::Sum,
            token::T_MIN => Aggregation::Min,
            token::T_MAX => Aggregation::Max,
            token::T_AVG => Aggregation::Avg,
            token::T_COUNT => Aggregation::Count,
            token::T_GROUP => Aggregation::Group,
            token::T_STDDEV => Aggregation::Stddev,
            token::T_STDVAR => Aggregation::Stdvar,
            token::T_QUANTILE => Aggregation::Quantile(self.scalar(parameter()?)?),
            token::T_TOPK => Aggregation::First(Order::Descending, self.scalar(parameter()?)?),
            token::T_BOTTOMK => Aggregation::First(Order::Ascending, self.scalar(parameter()?)?),
            token::T_COUNT_VALUES => match string(parameter()?)? {
                label if label.is_empty() => {
                    return Err(Unsupported::new(
                        "count_values() needs the name of a label, which is not empty",
                    ));
                }
                label => Aggregation::CountValues(label),
            },
            _ => {
                return Err(Unsupported(format!(
                    "the aggregation `{}` is not supported: in Prometheus it is experimental",
                    tree.op
                )));
            }
        };
        let grouping = match &tree.modifier {
            None => Grouping::By(Vec::new()),
            Some(LabelModifier::Include(labels)) => Grouping::By(labels.labels.clone()),
            Some(LabelModifier::Exclude(labels)) => Grouping::Without(labels.labels.clone()),
        };
        let of = Box::new(self.vector(&tree.expr)?);
        Ok(Expr::Vector(VectorExpr::Aggregate(
            Box::new(aggregation),
            grouping,
            of,
        )))
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
        token::T_ATAN2 => Value(Operator::Atan2),
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

fn string(tree: &ast::Expr) -> Checked<String> {
    match unwrap_parens(tree) {
        ast::Expr::StringLiteral(string) => Ok(string.val.clone()),
        other => Err(Unsupported(format!("`{other}` must be a string"))),
    }
}

#[cfg(test)]
mod tests;
