//! Fills a template in (text/template/exec.go and funcs.go, Go 1.24).

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::function::Function;
use super::tree::{Branch, Expr, Node, Range};
use super::value::Value;
use super::{Context, format, number, text, time};
use crate::labels::Labels;
use crate::pattern;

/// No text of an alert is longer: what repeats itself must not take all memory.
const LONGEST: usize = 1 << 20;

type Filled<T> = Result<T, String>;

pub(super) fn render(
    nodes: &[Node],
    labels: &Labels,
    value: f64,
    context: Context<'_>,
) -> Filled<String> {
    let labels: BTreeMap<String, String> = labels
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut renderer = Renderer {
        data: [
            ("Labels", Value::Labels(labels)),
            (
                "ExternalLabels",
                Value::Labels(context.external_labels.clone()),
            ),
            ("ExternalURL", Value::Text(context.external_url.to_owned())),
            ("Value", Value::Number(value)),
        ],
        variables: Vec::new(),
        dot: Value::Data,
        out: String::new(),
    };
    renderer.variables = vec![(String::new(), Value::Data)];
    for (variable, field) in [
        ("labels", "Labels"),
        ("externalLabels", "ExternalLabels"),
        ("externalURL", "ExternalURL"),
        ("value", "Value"),
    ] {
        let value = renderer.field(&Value::Data, field)?;
        renderer.variables.push((variable.to_owned(), value));
    }
    renderer.list(nodes)?;
    Ok(renderer.out)
}

struct Renderer {
    data: [(&'static str, Value); 4],
    variables: Vec<(String, Value)>,
    dot: Value,
    out: String,
}

impl Renderer {
    fn list(&mut self, nodes: &[Node]) -> Filled<()> {
        for node in nodes {
            match node {
                Node::Text(text) => self.out.push_str(text),
                Node::Print(value) => {
                    let shown = match self.value(value)? {
                        Value::Data => return Err("`.` is no text".to_owned()),
                        value => value.to_string(),
                    };
                    self.out.push_str(&shown);
                }
                Node::Declare(name, value) => {
                    let value = self.value(value)?;
                    self.variables.push((name.clone(), value));
                }
                Node::Assign(name, value) => {
                    let value = self.value(value)?;
                    if let Some(variable) = self.variable(name) {
                        variable.1 = value;
                    }
                }
                Node::If(branch) => self.branch(branch, false)?,
                Node::With(branch) => self.branch(branch, true)?,
                Node::Range(range) => self.range(range)?,
            }
            if self.out.len() > LONGEST {
                return Err("the text is longer than 1 MiB".to_owned());
            }
        }
        Ok(())
    }

    fn branch(&mut self, branch: &Branch, sets_dot: bool) -> Filled<()> {
        let outer = self.variables.len();
        let condition = self.value(&branch.condition)?;
        if let Some(name) = &branch.variable {
            self.variables.push((name.clone(), condition.clone()));
        }
        let outcome = if !condition.is_true() {
            self.list(&branch.otherwise)
        } else if sets_dot {
            self.with_dot(condition, &branch.then)
        } else {
            self.list(&branch.then)
        };
        self.variables.truncate(outer);
        outcome
    }

    fn range(&mut self, range: &Range) -> Filled<()> {
        let outer = self.variables.len();
        let items: Vec<(String, Value)> = match self.value(&range.over)? {
            Value::Labels(labels) => labels
                .into_iter()
                .map(|(name, value)| (name, Value::Text(value)))
                .collect(),
            other => return Err(format!("range can't iterate over {other}")),
        };
        if items.is_empty() {
            self.list(&range.otherwise)?;
        }
        for (name, value) in items {
            match range.variables.as_slice() {
                [] => {}
                [of_value] => self.variables.push((of_value.clone(), value.clone())),
                [of_name, of_value, ..] => {
                    self.variables.push((of_name.clone(), Value::Text(name)));
                    self.variables.push((of_value.clone(), value.clone()));
                }
            }
            self.with_dot(value, &range.each)?;
            self.variables.truncate(outer);
        }
        self.variables.truncate(outer);
        Ok(())
    }

    fn with_dot(&mut self, dot: Value, nodes: &[Node]) -> Filled<()> {
        let outer = std::mem::replace(&mut self.dot, dot);
        let outcome = self.list(nodes);
        self.dot = outer;
        outcome
    }

    fn variable(&mut self, name: &str) -> Option<&mut (String, Value)> {
        self.variables
            .iter_mut()
            .rev()
            .find(|(known, _)| known == name)
    }

    fn field(&self, of: &Value, name: &str) -> Filled<Value> {
        Ok(match of {
            Value::Data => {
                let field = self.data.iter().find(|(known, _)| *known == name);
                let field = field.ok_or_else(|| format!("can't evaluate field {name}"))?;
                field.1.clone()
            }
            Value::Labels(labels) => Value::Text(labels.get(name).cloned().unwrap_or_default()),
            Value::Args(args) => argument(args, name).unwrap_or(Value::Nothing),
            other => {
                let of = other.go_type();
                return Err(format!("can't evaluate field {name} in type {of}"));
            }
        })
    }

    fn value(&mut self, expr: &Expr) -> Filled<Value> {
        Ok(match expr {
            Expr::Literal(value) => value.clone(),
            Expr::Dot => self.dot.clone(),
            Expr::Variable(name) => {
                let found = self.variable(name).map(|(_, value)| value.clone());
                found.ok_or_else(|| format!("undefined variable ${name}"))?
            }
            Expr::Field(of, name) => {
                let of = self.value(of)?;
                self.field(&of, name)?
            }
            Expr::Call(function @ (Function::And | Function::Or), arguments) => {
                let mut last = Value::Nothing;
                for argument in arguments {
                    last = self.value(argument)?;
                    if last.is_true() == (*function == Function::Or) {
                        break;
                    }
                }
                last
            }
            Expr::Call(function, arguments) => {
                let arguments = arguments
                    .iter()
                    .map(|argument| self.value(argument))
                    .collect::<Filled<Vec<_>>>()?;
                self.call(*function, &arguments)
                    .map_err(|reason| format!("error calling {}: {reason}", function.name()))?
            }
        })
    }

    fn call(&self, function: Function, arguments: &[Value]) -> Filled<Value> {
        use Function as F;
        let first = || arguments.first().ok_or("an argument is missing");
        let text_at = |index: usize| match arguments.get(index) {
            Some(argument) => argument.text(),
            None => Err("an argument is missing".to_owned()),
        };
        Ok(match function {
            F::And | F::Or | F::Not => Value::Bool(!first()?.is_true()),
            F::Equal | F::NotEqual => Value::Bool(equal(arguments)? == (function == F::Equal)),
            F::Less | F::LessOrEqual | F::Greater | F::GreaterOrEqual => {
                Value::Bool(ordered(function, arguments)?)
            }
            F::Len => Value::Int(length(first()?)?),
            F::Index => match arguments {
                [of @ (Value::Labels(_) | Value::Args(_)), name] => self.field(of, name.text()?)?,
                _ => return Err("can't index item".to_owned()),
            },
            F::Print => Value::Text(format::print(arguments)),
            F::Println => Value::Text(format::println(arguments)),
            F::Printf => Value::Text(format::printf(text_at(0)?, &arguments[1..])?),
            F::Args => Value::Args(arguments.to_vec()),
            F::Humanize | F::Humanize1024 | F::HumanizeDuration | F::HumanizePercentage => {
                let shown = number::humanized(function, first()?.number()?);
                Value::Text(shown.unwrap_or_default())
            }
            F::HumanizeTimestamp => {
                let seconds = first()?.number()?;
                Value::Text(if seconds.is_finite() {
                    time::timestamp(seconds)?
                } else {
                    number::not_finite(seconds).to_owned()
                })
            }
            F::ToTime => Value::Opaque(time::timestamp(first()?.number()?)?),
            F::ParseDuration => Value::Number(time::parse_duration(text_at(0)?)?),
            F::Title => Value::Text(text::title(text_at(0)?)),
            F::ToUpper => Value::Text(text::upper(text_at(0)?)),
            F::ToLower => Value::Text(text::lower(text_at(0)?)),
            F::Match => Value::Bool(pattern::anywhere(text_at(0)?)?.is_match(text_at(1)?)),
            F::ReReplaceAll => {
                Value::Text(text::replace_all(text_at(0)?, text_at(1)?, text_at(2)?)?)
            }
            F::SafeHtml => Value::Opaque(text_at(0)?.to_owned()),
            F::StripPort => Value::Text(text::strip_port(text_at(0)?).to_owned()),
            F::StripDomain => Value::Text(text::strip_domain(text_at(0)?)),
            F::GraphLink => Value::Text(text::link(text_at(0)?, 0)),
            F::TableLink => Value::Text(text::link(text_at(0)?, 1)),
        })
    }
}

fn argument(args: &[Value], name: &str) -> Option<Value> {
    let index = name.strip_prefix("arg")?.parse::<usize>().ok()?;
    let found = args.get(index)?;
    (format!("arg{index}") == name).then(|| found.clone())
}

fn length(of: &Value) -> Filled<i64> {
    let length = match of {
        Value::Text(text) => text.len(),
        Value::Labels(labels) => labels.len(),
        Value::Args(args) => args.len(),
        _ => return Err(format!("len of type {}", of.go_type())),
    };
    i64::try_from(length).map_err(|error| error.to_string())
}

const INCOMPATIBLE: &str = "incompatible types for comparison";

/// Whether the first one is one of the others.
fn equal(arguments: &[Value]) -> Filled<bool> {
    let Some((first, others)) = arguments.split_first() else {
        return Err("missing argument for comparison".to_owned());
    };
    for other in others {
        let same = match (first, other) {
            (Value::Number(a), Value::Number(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Text(a), Value::Text(b)) => a == b,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            _ => return Err(INCOMPATIBLE.to_owned()),
        };
        if same {
            return Ok(true);
        }
    }
    Ok(false)
}

fn ordered(function: Function, arguments: &[Value]) -> Filled<bool> {
    let order = match arguments {
        [Value::Number(a), Value::Number(b)] => a.partial_cmp(b),
        [Value::Int(a), Value::Int(b)] => Some(a.cmp(b)),
        [Value::Text(a), Value::Text(b)] => Some(a.cmp(b)),
        _ => return Err(INCOMPATIBLE.to_owned()),
    };
    // Go has `le` as less or equal, `gt` as not that, and `ge` as not less: NaN is greater.
    let less = order == Some(Ordering::Less);
    let less_or_equal = less || order == Some(Ordering::Equal);
    Ok(match function {
        Function::Less => less,
        Function::LessOrEqual => less_or_equal,
        Function::Greater => !less_or_equal,
        _ => !less,
    })
}
