//! The values of templates.

use std::collections::BTreeMap;
use std::fmt;

use super::number;

/// A value, with the type that it has in Go.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// `float64`
    Number(f64),
    /// `int`: literals without a point, and `len`.
    Int(i64),
    Text(String),
    Bool(bool),
    /// `map[string]string`
    Labels(BTreeMap<String, String>),
    /// `map[string]any`: what `args` makes.
    Args(Vec<Value>),
    /// A time, or what `safeHtml` gives, as it is shown: no other function takes it.
    Opaque(String),
    /// What `.` holds at the top: `.Labels`, `.Value` and so on.
    Data,
    /// A name that `args` has not.
    Nothing,
}

impl Value {
    /// What `if` asks.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Number(number) => *number != 0.0,
            Self::Int(number) => *number != 0,
            Self::Text(text) => !text.is_empty(),
            Self::Bool(flag) => *flag,
            Self::Labels(labels) => !labels.is_empty(),
            Self::Args(args) => !args.is_empty(),
            Self::Opaque(_) | Self::Data => true,
            Self::Nothing => false,
        }
    }

    /// The type as Go names it.
    pub(super) fn go_type(&self) -> &'static str {
        match self {
            Self::Number(_) => "float64",
            Self::Int(_) => "int",
            Self::Text(_) => "string",
            Self::Bool(_) => "bool",
            Self::Labels(_) => "map[string]string",
            Self::Args(_) => "map[string]interface {}",
            Self::Opaque(_) => "*time.Time",
            Self::Data => "struct",
            Self::Nothing => "<nil>",
        }
    }

    /// As a number, where functions take one (`ConvertToFloat`, prometheus/common).
    pub(super) fn number(&self) -> Result<f64, String> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Int(number) => Ok(*number as f64),
            Self::Text(text) => number::parse(text),
            _ => Err(format!("can't convert {} to float", self.go_type())),
        }
    }

    pub(super) fn text(&self) -> Result<&str, String> {
        match self {
            Self::Text(text) => Ok(text),
            _ => Err(format!("wrong type: want string, have {}", self.go_type())),
        }
    }
}

/// As Go's `%v` writes it.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => f.write_str(&number::general(*number, None)),
            Self::Int(number) => write!(f, "{number}"),
            Self::Text(text) | Self::Opaque(text) => f.write_str(text),
            Self::Bool(flag) => write!(f, "{flag}"),
            Self::Labels(labels) => {
                let pairs = labels.iter().map(|(name, value)| format!("{name}:{value}"));
                write!(f, "map[{}]", pairs.collect::<Vec<_>>().join(" "))
            }
            Self::Args(args) => {
                let mut pairs = args
                    .iter()
                    .enumerate()
                    .map(|(index, value)| (format!("arg{index}"), value))
                    .collect::<Vec<_>>();
                pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
                let pairs = pairs.iter().map(|(name, value)| format!("{name}:{value}"));
                write!(f, "map[{}]", pairs.collect::<Vec<_>>().join(" "))
            }
            Self::Data => f.write_str("."),
            Self::Nothing => f.write_str("<no value>"),
        }
    }
}
