//! Where a part of a text stands in the YAML that it was read from.

/// How far into `source`, what a scalar is written as, that part of its `value` begins which
/// begins `offset` bytes into the value. `None` where that cannot be said for certain.
pub(super) fn find(source: &str, value: &str, offset: usize) -> Option<usize> {
    let quote = source.chars().next().filter(|c| matches!(c, '"' | '\''));
    // A block may begin with a quote too: what is written tells them apart.
    let quoted = quote.and_then(|quote| align(&source[1..], value, offset, Some(quote)));
    quoted
        .map(|at| at + 1)
        .or_else(|| align(source, value, offset, None))
}

/// Goes over both sign by sign. Spaces and newlines are what YAML folds, and so are left out.
fn align(source: &str, value: &str, offset: usize, quote: Option<char>) -> Option<usize> {
    let mut found = None;
    let mut source = source.char_indices().peekable();
    for (at, c) in value.char_indices().filter(|(_, c)| !c.is_whitespace()) {
        while source.next_if(|(_, c)| c.is_whitespace()).is_some() {}
        let (place, mut written) = source.next()?;
        match quote {
            Some('"') if written == '\\' => {
                (_, written) = source.next()?;
                // Any other escape stands for something else than for what follows.
                if !matches!(written, '"' | '\\') {
                    return None;
                }
            }
            Some('\'') if written == '\'' => {
                (_, written) = source.next()?;
            }
            _ => {}
        }
        if written != c {
            return None;
        }
        if at >= offset {
            found.get_or_insert(place);
        }
    }
    let rest = source.map(|(_, c)| c).filter(|c| !c.is_whitespace());
    rest.eq(quote).then_some(found)?
}
