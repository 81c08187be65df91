//! From words to a tree, or a refusal by name (text/template/parse/parse.go, Go 1.24).

use super::function::{self, Function};
use super::lexer::{self, Piece, Word};
use super::tree::{Branch, Expr, Node, Range};
use super::value::Value;

/// The fields of `.` at the top of a template.
const DATA: [&str; 4] = ["Labels", "Value", "ExternalLabels", "ExternalURL"];
/// Nothing that is written by hand is nested deeper, and no file may exhaust the stack.
const DEEPEST: usize = 50;

pub(super) fn parse(text: &str) -> Result<Vec<Node>, String> {
    let mut parser = Parser {
        pieces: lexer::pieces(text)?.into_iter(),
        variables: ["", "labels", "externalLabels", "externalURL", "value"]
            .map(str::to_owned)
            .into(),
        top: true,
        depth: 0,
    };
    match parser.list()? {
        (nodes, End::Text) => Ok(nodes),
        (_, End::Else(_)) => Err("{{ else }} has no {{ if }}".to_owned()),
        (_, End::Closed) => Err("{{ end }} has nothing to end".to_owned()),
    }
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
    /// The variables in scope.
    variables: Vec<String>,
    /// Whether `.` is what it is at the top.
    top: bool,
    depth: usize,
}

/// What ended a list of nodes.
enum End {
    Text,
    Closed,
    /// `{{ else }}`, with the words that follow.
    Else(Vec<Word>),
}

impl Parser {
    fn list(&mut self) -> Result<(Vec<Node>, End), String> {
        let mut nodes = Vec::new();
        loop {
            let (words, shown) = match self.pieces.next() {
                None => return Ok((nodes, End::Text)),
                Some(Piece::Text(text)) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Some(Piece::Action(words, shown)) => (words, shown),
            };
            let named = |reason| format!("{reason}, in {shown}");
            let keyword = match words.first() {
                Some(Word::Name(name)) => name.as_str(),
                _ => "",
            };
            match keyword {
                "end" if words.len() == 1 => return Ok((nodes, End::Closed)),
                "else" => return Ok((nodes, End::Else(words[1..].to_vec()))),
                "end" => return Err(named("nothing may follow `end`".to_owned())),
                "if" | "with" | "range" => {
                    let keyword = keyword.to_owned();
                    nodes.push(self.block(&keyword, &words[1..]).map_err(named)?);
                }
                _ => nodes.push(self.action(&words).map_err(named)?),
            }
        }
    }

    /// What follows `if`, `with` or `range`, until its `end`.
    fn block(&mut self, keyword: &str, words: &[Word]) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("it is nested too deeply".to_owned());
        }
        let (variables, top) = (self.variables.len(), self.top);
        let (declared, condition) = self.condition(keyword, words)?;
        if keyword != "if" {
            self.top = false;
        }
        let inner = self.variables.len();
        let (then, end) = self.list()?;
        self.variables.truncate(inner);
        self.top = top;
        let otherwise = match end {
            End::Text => return Err(format!("`{keyword}` has no {{{{ end }}}}")),
            End::Closed => Vec::new(),
            End::Else(words) => self.otherwise(keyword, &words)?,
        };
        self.variables.truncate(variables);
        self.depth -= 1;
        Ok(if keyword == "range" {
            Node::Range(Range {
                variables: declared,
                over: condition,
                each: then,
                otherwise,
            })
        } else {
            let branch = Branch {
                variable: declared.into_iter().next(),
                condition,
                then,
                otherwise,
            };
            match keyword {
                "with" => Node::With(branch),
                _ => Node::If(branch),
            }
        })
    }

    fn otherwise(&mut self, keyword: &str, words: &[Word]) -> Result<Vec<Node>, String> {
        match words {
            [] => match self.list()? {
                (nodes, End::Closed) => Ok(nodes),
                (_, End::Else(_)) => Err("a second {{ else }}".to_owned()),
                (_, End::Text) => Err(format!("`{keyword}` has no {{{{ end }}}}")),
            },
            // The `end` of the inner one is that of the outer one, too.
            [Word::Name(again), rest @ ..] if again == keyword && keyword != "range" => {
                Ok(vec![self.block(keyword, rest)?])
            }
            _ => Err(format!("nothing may follow `else` but `{keyword}`")),
        }
    }

    /// The pipeline after a keyword, with the variables that it declares.
    fn condition(&mut self, keyword: &str, words: &[Word]) -> Result<(Vec<String>, Expr), String> {
        let (names, rest) = match words {
            [Word::Variable(name), Word::Declare, rest @ ..] => (vec![name.clone()], rest),
            [
                Word::Variable(key),
                Word::Comma,
                Word::Variable(value),
                Word::Declare,
                rest @ ..,
            ] if keyword == "range" => (vec![key.clone(), value.clone()], rest),
            _ => (Vec::new(), words),
        };
        let condition = self.pipeline(rest)?;
        self.variables.extend(names.iter().cloned());
        Ok((names, condition))
    }

    fn action(&mut self, words: &[Word]) -> Result<Node, String> {
        match words {
            [Word::Variable(name), Word::Declare, rest @ ..] => {
                let value = self.pipeline(rest)?;
                self.variables.push(name.clone());
                Ok(Node::Declare(name.clone(), value))
            }
            [Word::Variable(name), Word::Assign, rest @ ..] => {
                self.known(name)?;
                Ok(Node::Assign(name.clone(), self.pipeline(rest)?))
            }
            _ => {
                let value = self.pipeline(words)?;
                if self.is_data(&value) {
                    return Err("`.` is no text".to_owned());
                }
                Ok(Node::Print(value))
            }
        }
    }

    fn pipeline(&self, words: &[Word]) -> Result<Expr, String> {
        let mut reader = Reader {
            parser: self,
            words,
            depth: self.depth,
        };
        let value = reader.pipeline()?;
        match reader.words.first() {
            None => Ok(value),
            Some(_) => Err("a ) is there without a (".to_owned()),
        }
    }

    fn known(&self, name: &str) -> Result<(), String> {
        let known = self.variables.iter().any(|known| known == name);
        known
            .then_some(())
            .ok_or_else(|| format!("the variable ${name} is not known"))
    }

    /// Whether an expression is the data of the alert itself.
    fn is_data(&self, value: &Expr) -> bool {
        match value {
            Expr::Dot => self.top,
            Expr::Variable(name) => name.is_empty(),
            _ => false,
        }
    }
}

/// Reads the words of one pipeline.
struct Reader<'a> {
    parser: &'a Parser,
    words: &'a [Word],
    depth: usize,
}

impl Reader<'_> {
    fn pipeline(&mut self) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("it is nested too deeply".to_owned());
        }
        let mut value = self.command(None)?;
        while let Some(Word::Pipe) = self.words.first() {
            self.words = &self.words[1..];
            value = self.command(Some(value))?;
        }
        self.depth -= 1;
        Ok(value)
    }

    /// A function with its arguments, or one value; `last` is what is piped into it.
    fn command(&mut self, last: Option<Expr>) -> Result<Expr, String> {
        let function = match self.words.first() {
            Some(Word::Name(name)) if !matches!(name.as_str(), "true" | "false" | "nil") => {
                Some(function_named(name)?)
            }
            _ => None,
        };
        if function.is_some() {
            self.words = &self.words[1..];
        }
        let mut operands = Vec::new();
        while let Some(word) = self.words.first() {
            if matches!(word, Word::Pipe | Word::Close) {
                break;
            }
            operands.push(self.operand()?);
        }
        match (function, last) {
            (Some(function), last) => {
                operands.extend(last);
                call(function, operands)
            }
            (None, Some(_)) => Err("only a function can take what is piped into it".to_owned()),
            (None, None) => match <[Expr; 1]>::try_from(operands) {
                Ok([value]) => Ok(value),
                Err(operands) if operands.is_empty() => Err("an action is empty".to_owned()),
                Err(_) => Err("only a function takes arguments".to_owned()),
            },
        }
    }

    fn operand(&mut self) -> Result<Expr, String> {
        let Some((word, rest)) = self.words.split_first() else {
            return Err("a value is missing".to_owned());
        };
        self.words = rest;
        let mut value = match word {
            Word::Text(text) => Expr::Literal(Value::Text(text.clone())),
            Word::Int(number) => Expr::Literal(Value::Int(*number)),
            Word::Number(number) => Expr::Literal(Value::Number(*number)),
            Word::Dot => Expr::Dot,
            Word::Field(name, _) => self.field(Expr::Dot, name)?,
            Word::Variable(name) => {
                self.parser.known(name)?;
                Expr::Variable(name.clone())
            }
            Word::Name(name) => match name.as_str() {
                "true" => Expr::Literal(Value::Bool(true)),
                "false" => Expr::Literal(Value::Bool(false)),
                "nil" => return Err("`nil` is not supported".to_owned()),
                name => call(function_named(name)?, Vec::new())?,
            },
            Word::Open => {
                let inner = self.pipeline()?;
                match self.words.split_first() {
                    Some((Word::Close, rest)) => self.words = rest,
                    _ => return Err("a ( is not closed".to_owned()),
                }
                inner
            }
            Word::Close | Word::Pipe => return Err("a value is missing".to_owned()),
            Word::Declare | Word::Assign | Word::Comma => {
                return Err("a variable can be set only at the head of an action".to_owned());
            }
        };
        while let Some((Word::Field(name, true), rest)) = self.words.split_first() {
            self.words = rest;
            value = self.field(value, name)?;
        }
        Ok(value)
    }

    fn field(&self, of: Expr, name: &str) -> Result<Expr, String> {
        if self.parser.is_data(&of) && !DATA.contains(&name) {
            return Err(format!("`.{name}` is not there"));
        }
        let no_field = match &of {
            Expr::Variable(variable) => variable == "value" || variable == "externalURL",
            Expr::Field(inner, field) => {
                !self.parser.is_data(inner) || matches!(field.as_str(), "Value" | "ExternalURL")
            }
            Expr::Literal(_) => true,
            _ => false,
        };
        if no_field {
            return Err(format!("a number or a text has no field `.{name}`"));
        }
        Ok(Expr::Field(Box::new(of), name.to_owned()))
    }
}

fn function_named(name: &str) -> Result<Function, String> {
    Function::named(name)
        .ok_or_else(|| format!("`{name}` cannot be used: {}", function::why_not(name)))
}

fn call(function: Function, arguments: Vec<Expr>) -> Result<Expr, String> {
    if !function.takes(arguments.len()) {
        let (name, count) = (function.name(), arguments.len());
        return Err(format!("`{name}` does not take {count} arguments"));
    }
    let literal = match arguments.first() {
        Some(Expr::Literal(Value::Text(text))) => Some(text),
        _ => None,
    };
    match (function, literal) {
        (Function::Printf, Some(format)) => super::format::check(format)?,
        (Function::Printf, None) => {
            return Err("the first argument of `printf` must be a text in quotes".to_owned());
        }
        _ => {}
    }
    if let (Function::Match | Function::ReReplaceAll, Some(pattern)) = (function, literal) {
        crate::pattern::anywhere(pattern)?;
    }
    compare_alike(function, &arguments)?;
    Ok(Expr::Call(function, arguments))
}

/// The value of an alert is a `float64`: Go refuses to compare it with `10`, but not with `10.0`,
/// and only when the alert is there.
fn compare_alike(function: Function, arguments: &[Expr]) -> Result<(), String> {
    use Function::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    if !matches!(
        function,
        Equal | NotEqual | Less | LessOrEqual | Greater | GreaterOrEqual
    ) {
        return Ok(());
    }
    let value = |argument: &Expr| match argument {
        Expr::Variable(name) => name == "value",
        Expr::Field(_, name) => name == "Value",
        _ => false,
    };
    let int = arguments.iter().find_map(|argument| match argument {
        Expr::Literal(Value::Int(number)) => Some(*number),
        _ => None,
    });
    match int.filter(|_| arguments.iter().any(value)) {
        Some(number) => Err(format!(
            "`{}` cannot compare the value with {number}: write {number}.0",
            function.name()
        )),
        None => Ok(()),
    }
}
