//! Go's `fmt`: `print`, `println` and `printf` (fmt/print.go and fmt/format.go, Go 1.24).

use super::number;
use super::value::Value;

/// `fmt.Sprint`: a space between two operands if neither is a text.
pub(super) fn print(arguments: &[Value]) -> String {
    let mut out = String::new();
    let mut before: Option<&Value> = None;
    for argument in arguments {
        let text = |value: &Value| matches!(value, Value::Text(_));
        if before.is_some_and(|before| !text(before) && !text(argument)) {
            out.push(' ');
        }
        out.push_str(&operand(argument));
        before = Some(argument);
    }
    out
}

/// `fmt.Sprintln`: a space between operands, and a new line.
pub(super) fn println(arguments: &[Value]) -> String {
    let shown = arguments.iter().map(operand).collect::<Vec<_>>();
    shown.join(" ") + "\n"
}

/// What is nothing in a template is `<nil>` to `fmt`.
fn operand(value: &Value) -> String {
    match value {
        Value::Nothing => "<nil>".to_owned(),
        value => value.to_string(),
    }
}

/// The flags, width and precision of one verb.
#[derive(Default)]
struct Spec {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Nothing wider or more precise is of use; Go refuses beyond a million.
const WIDEST: usize = 1000;

/// The verbs whose every form is written as Go writes it, or refused.
const VERBS: &str = "vdsqtfFeEgG%";

/// That a format has no more than is written as Go writes it.
pub(super) fn check(format: &str) -> Result<(), String> {
    let mut rest = format;
    while let Some((_, after)) = rest.split_once('%') {
        let (spec, after) = spec(after);
        let verb = after.chars().next();
        if spec.sharp || verb.is_some_and(|verb| !VERBS.contains(verb)) {
            let sharp = if spec.sharp { "#" } else { "" };
            let verb = verb.map(String::from).unwrap_or_default();
            return Err(format!(
                "`printf` with `%{sharp}{verb}` is not supported; {VERBS:?} are, without `#`"
            ));
        }
        rest = &after[verb.map_or(0, char::len_utf8)..];
    }
    Ok(())
}

/// # Errors
/// If a verb and what it is to show do not go together.
pub(super) fn printf(format: &str, arguments: &[Value]) -> Result<String, String> {
    let mut out = String::new();
    let mut arguments = arguments.iter();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let (spec, after) = spec(after);
        let Some(verb) = after.chars().next() else {
            out.push_str("%!(NOVERB)");
            return Ok(finish(out, arguments.as_slice()));
        };
        rest = &after[verb.len_utf8()..];
        if verb == '%' {
            out.push('%');
            continue;
        }
        match arguments.next() {
            None => out.push_str(&format!("%!{verb}(MISSING)")),
            Some(argument) => {
                // `%+v` asks for names of fields, and not for a sign.
                let plus = spec.plus && verb != 'v';
                out.push_str(&Spec { plus, ..spec }.apply(verb, argument)?);
            }
        }
    }
    out.push_str(rest);
    Ok(finish(out, arguments.as_slice()))
}

/// Arguments that no verb took are told of.
fn finish(mut out: String, extra: &[Value]) -> String {
    if !extra.is_empty() {
        let extra = extra.iter().map(|value| match value {
            Value::Nothing => "<nil>".to_owned(),
            value => format!("{}={value}", value.go_type()),
        });
        out.push_str(&format!(
            "%!(EXTRA {})",
            extra.collect::<Vec<_>>().join(", ")
        ));
    }
    out
}

fn spec(text: &str) -> (Spec, &str) {
    let mut spec = Spec::default();
    let mut rest = text;
    while let Some(flag) = rest.chars().next() {
        match flag {
            '-' => {
                spec.minus = true;
                spec.zero = false;
            }
            '+' => spec.plus = true,
            '#' => spec.sharp = true,
            ' ' => spec.space = true,
            '0' => spec.zero = true,
            _ => break,
        }
        rest = &rest[1..];
    }
    (spec.width, rest) = digits(rest);
    if let Some(after) = rest.strip_prefix('.') {
        let (precision, after) = digits(after);
        spec.precision = Some(precision.unwrap_or(0));
        rest = after;
    }
    (spec, rest)
}

fn digits(text: &str) -> (Option<usize>, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let number = text[..end].parse::<usize>().ok();
    (number.map(|number| number.min(WIDEST)), &text[end..])
}

impl Spec {
    fn apply(&self, verb: char, argument: &Value) -> Result<String, String> {
        let shown = match (verb, argument) {
            // Go shows the rune of a number, and applies any other verb to each part of a map.
            ('q', Value::Int(_))
            | ('q' | 'd' | 't' | 'e'..='g' | 'E'..='G', Value::Labels(_) | Value::Args(_))
            | ('s', Value::Args(_)) => {
                let kind = argument.go_type();
                return Err(format!("`printf` cannot show {kind} by `%{verb}` here"));
            }
            (_, Value::Nothing) if verb == 'v' => Some(self.padded("<nil>".to_owned())),
            (_, Value::Nothing) => return Ok(format!("%!{verb}(<nil>)")),
            ('v', Value::Number(number)) => Some(self.float('g', *number)),
            ('e' | 'f' | 'F' | 'g', Value::Number(number)) => Some(self.float(verb, *number)),
            ('E' | 'G', Value::Number(number)) => {
                let lower = verb.to_ascii_lowercase();
                Some(self.float(lower, *number).replace('e', "E"))
            }
            ('v' | 'd', Value::Int(number)) => Some(self.int(*number)),
            ('s' | 'v', Value::Text(text)) => Some(self.padded(self.cut(text))),
            ('q', Value::Text(text)) => Some(self.padded(self.quoted(text))),
            ('t' | 'v', Value::Bool(flag)) => Some(self.padded(flag.to_string())),
            ('v' | 's', Value::Opaque(text)) => Some(self.padded(self.cut(text))),
            ('v', Value::Labels(_) | Value::Args(_)) => Some(argument.to_string()),
            ('s', Value::Labels(_)) => Some(argument.to_string()),
            _ => None,
        };
        // A wrong verb is told of with the value as `%v` would show it.
        match shown {
            Some(shown) => Ok(shown),
            None => {
                let (kind, value) = (argument.go_type(), self.apply('v', argument)?);
                Ok(format!("%!{verb}({kind}={value})"))
            }
        }
    }

    fn cut(&self, text: &str) -> String {
        match self.precision {
            Some(precision) => text.chars().take(precision).collect(),
            None => text.to_owned(),
        }
    }

    /// With `+`, of ASCII alone.
    fn quoted(&self, text: &str) -> String {
        let shown = format!("{:?}", self.cut(text));
        let ascii = |c: char| match u32::from(c) {
            0..=0x7f => c.to_string(),
            code @ 0x80..=0xffff => format!("\\u{code:04x}"),
            code => format!("\\U{code:08x}"),
        };
        if self.plus {
            shown.chars().map(ascii).collect()
        } else {
            shown
        }
    }

    fn float(&self, verb: char, value: f64) -> String {
        if !value.is_finite() {
            let shown = number::not_finite(value);
            let shown = match (self.plus, self.space, shown) {
                (true, _, "NaN") => "+NaN",
                (false, true, "NaN") => " NaN",
                (false, true, "+Inf") => " Inf",
                (_, _, shown) => shown,
            };
            return Self {
                zero: false,
                ..Self::same(self)
            }
            .padded(shown.to_owned());
        }
        let magnitude = value.abs();
        let shown = match (verb, self.precision) {
            ('f' | 'F', precision) => format!("{magnitude:.*}", precision.unwrap_or(6)),
            ('e', precision) => number::scientific(magnitude, precision.unwrap_or(6)),
            (_, precision) => number::general(magnitude, precision.map(|digits| digits.max(1))),
        };
        self.signed(value.is_sign_negative(), shown)
    }

    fn int(&self, value: i64) -> String {
        let shown = value.unsigned_abs().to_string();
        let zeros = self.precision.unwrap_or(0).saturating_sub(shown.len());
        self.signed(value < 0, "0".repeat(zeros) + &shown)
    }

    fn signed(&self, negative: bool, shown: String) -> String {
        let sign = match (negative, self.plus, self.space) {
            (true, ..) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            _ => "",
        };
        let missing = self
            .width
            .unwrap_or(0)
            .saturating_sub(sign.len() + shown.len());
        if self.zero && !self.minus {
            return format!("{sign}{}{shown}", "0".repeat(missing));
        }
        self.padded(format!("{sign}{shown}"))
    }

    fn padded(&self, shown: String) -> String {
        let missing = self
            .width
            .unwrap_or(0)
            .saturating_sub(shown.chars().count());
        if self.minus {
            shown + &" ".repeat(missing)
        } else {
            let with = if self.zero { "0" } else { " " };
            with.repeat(missing) + &shown
        }
    }

    fn same(other: &Self) -> Self {
        Self { ..*other }
    }
}
