//! Templates as they were checked at load.

use super::function::Function;
use super::value::Value;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Text(String),
    Print(Expr),
    /// `{{ $name := … }}`
    Declare(String, Expr),
    /// `{{ $name = … }}`
    Assign(String, Expr),
    If(Branch),
    With(Branch),
    Range(Range),
}

/// `if` and `with`: what follows `else if` is a branch within `otherwise`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Branch {
    /// The variable that holds the condition, where one is declared.
    pub(super) variable: Option<String>,
    pub(super) condition: Expr,
    pub(super) then: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Range {
    /// The variables of name and value, or of the value alone.
    pub(super) variables: Vec<String>,
    pub(super) over: Expr,
    pub(super) each: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expr {
    Literal(Value),
    /// `.`
    Dot,
    /// `$name`; `$` has the empty name.
    Variable(String),
    Field(Box<Expr>, String),
    Call(Function, Vec<Expr>),
}
