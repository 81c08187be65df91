//! How large an expression may be.
//!
//! The parser, the checks and the evaluation go down an expression by calling themselves: what
//! has no bound in depth ends the process with a full stack, at a reload too.

use super::Unsupported;

/// How deep brackets may stand within each other.
pub(super) const MOST_DEPTH: usize = 25;

/// How many operators and modifiers, signs among them, there may be in all.
pub(super) const MOST_OPERATORS: usize = 80;

/// Counts over the tokens of one expression, strings and comments left out.
#[derive(Default)]
pub(super) struct Size {
    open: Vec<char>,
    operators: usize,
    /// The token before, if it was an operator that may have a `=` behind it.
    halved: bool,
}

impl Size {
    /// Takes the next token in.
    pub(super) fn add(&mut self, token: &str) -> Result<(), Unsupported> {
        let halved = std::mem::take(&mut self.halved);
        // Matchers stand beside each other, and not within.
        let within_braces = self.open.last() == Some(&'{');
        match token {
            "(" | "{" => self.open.extend(token.chars()),
            "[" => {
                self.open.push('[');
                self.operators += 1;
            }
            ")" | "]" | "}" => {
                self.open.pop();
            }
            "=" if halved => {}
            "+" | "-" | "*" | "/" | "%" | "^" | "@" | "=" | "!" | "<" | ">" if !within_braces => {
                self.operators += 1;
                self.halved = matches!(token, "=" | "!" | "<" | ">");
            }
            _ if is_operator(token) => self.operators += 1,
            _ => {}
        }
        if self.open.len() > MOST_DEPTH {
            return Err(Unsupported(format!(
                "brackets deeper within each other than {MOST_DEPTH} are not supported; record a \
                 part of the expression with a rule of its own"
            )));
        }
        if self.operators > MOST_OPERATORS {
            return Err(Unsupported(format!(
                "more than {MOST_OPERATORS} operators are not supported; record a part of the \
                 expression with a rule of its own"
            )));
        }
        Ok(())
    }
}

fn is_operator(word: &str) -> bool {
    ["and", "or", "unless", "atan2", "offset"]
        .iter()
        .any(|operator| operator.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::{Query, QueryTimes, Window};

    /// What Rust gives a thread that asks for nothing.
    const STACK: usize = 2 << 20;

    /// Parses, checks, evaluates and drops on a small stack.
    fn survive(text: String) -> Result<(), String> {
        let within = move || {
            let query = Query::parse(&text).map_err(|error| error.to_string())?;
            let window = Window::new(std::time::Duration::from_secs(3600));
            let _ = query.clone().evaluate(&window, 0, QueryTimes::at(0));
            let rule = format!("groups: [{{name: g, rules: [{{record: r, expr: '{text}'}}]}}]");
            let rules = crate::RuleSet::parse("f", &rule).map_err(|error| error.to_string())?;
            let mut window = Window::new(rules.needed_window());
            crate::Engine::new(rules).evaluate(&mut window, 0);
            Ok(())
        };
        let thread = thread::Builder::new().stack_size(STACK).spawn(within);
        thread.unwrap().join().unwrap()
    }

    fn nested(open: &str, inner: &str, close: &str, depth: usize) -> String {
        format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
    }

    fn at_the_limit(more: usize) -> Vec<String> {
        let (depth, operators) = (MOST_DEPTH + more, MOST_OPERATORS + more);
        let apart = |operator: &str| format!("up{}", format!(" {operator} up").repeat(operators));
        let steps = depth - 1;
        vec![
            apart("+"),
            apart("^"),
            apart("or"),
            apart("== bool"),
            apart("* on (job) group_left ()"),
            format!("1{}", " - 1".repeat(operators)),
            format!("{}up", "-".repeat(operators)),
            nested("(", "up", ")", depth),
            nested("abs(", "up", ")", depth),
            nested("sum by (job) (", "up", ")", depth),
            nested(
                "label_replace(",
                "up",
                ", \"a\", \"b\", \"c\", \"d\")",
                depth,
            ),
            nested("scalar(vector(", "1", "))", depth / 2 + more),
            nested("max_over_time((", "up", ")[1m:1m])", depth / 2 + more),
            // Both at once: what is deepest of all.
            format!(
                "{}{}",
                nested("-abs(", "up", ")", steps),
                " + up".repeat(operators - steps)
            ),
        ]
    }

    #[test]
    fn the_largest_expressions_are_read_and_evaluated_on_a_small_stack() {
        for text in at_the_limit(0) {
            match survive(text.clone()) {
                Ok(()) => {}
                Err(reason) => assert!(
                    reason.contains("steps is not supported"),
                    "{text}: {reason}"
                ),
            }
        }
    }

    #[test]
    fn a_larger_expression_is_refused_by_name_whatever_its_size() {
        for more in [1, 10_000] {
            for text in at_the_limit(more) {
                let refusal = survive(text).unwrap_err();
                let named = ["brackets deeper", "operators are not supported"];
                assert!(named.iter().any(|name| refusal.contains(name)), "{refusal}");
            }
        }
        for open in ["(", "[", "{", "((a[", "a @ ", "a offset "] {
            assert!(survive(open.repeat(10_000)).is_err());
        }
    }

    #[test]
    fn a_refused_size_names_the_file_the_group_and_the_rule() {
        let expr = nested("(", "up", ")", 10_000);
        let text = format!("groups: [{{name: g, rules: [{{alert: A, expr: '{expr}'}}]}}]");
        let error = crate::RuleSet::parse("f.rules.yaml", &text).unwrap_err();
        let said = error.to_string();
        assert!(said.starts_with("f.rules.yaml:1:"), "{said}");
        assert!(
            said.contains("group \"g\": rule \"A\": `expr`: brackets deeper"),
            "{said}"
        );
    }

    #[test]
    fn strings_comments_and_matchers_are_not_counted() {
        let brackets = "([{+-".repeat(1000);
        let matchers = "b=\"1\",c!=\"2\",".repeat(1000);
        let text = format!("a{{{matchers}d=\"{brackets}\"}} # {brackets}");
        assert!(Query::parse(&text).is_ok());
        let compared = format!("up{}", " <= up".repeat(MOST_OPERATORS));
        assert!(Query::parse(&compared).is_ok());
    }
}
