//! Rows and index entries: a header of types, then the values.

use super::{Odd, Result, odd};

/// One value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::store) enum Value<'a> {
    /// NULL, or a column that was added after the row.
    Null,
    Integer(i64),
    Text(&'a str),
    /// A float or a blob: in no column that is read here.
    Other,
}

impl<'a> Value<'a> {
    pub(in crate::store) fn integer(self) -> Result<Option<i64>> {
        match self {
            Value::Integer(integer) => Ok(Some(integer)),
            Value::Null => Ok(None),
            Value::Text(_) | Value::Other => odd("no integer where one belongs"),
        }
    }

    pub(in crate::store) fn text(self) -> Result<Option<&'a str>> {
        match self {
            Value::Text(text) => Ok(Some(text)),
            Value::Null => Ok(None),
            Value::Integer(_) | Value::Other => odd("no text where one belongs"),
        }
    }
}

/// The columns of `wanted`, which ascend, of a record.
pub(in crate::store) fn columns<'a, const N: usize>(
    record: &'a [u8],
    wanted: [usize; N],
) -> Result<[Value<'a>; N]> {
    let mut values = [Value::Null; N];
    let (header, mut types) = varint(record)?;
    let header = usize::try_from(header).map_err(|_| Odd("a negative header".to_owned()))?;
    let Some(mut body) = record.get(header..) else {
        return odd("a record that ends in its header");
    };
    let end = body.len();
    let mut next = 0;
    let mut column = 0;
    // What is left of the header is what lies beyond the body's length.
    while types.len() > end {
        let kind;
        (kind, types) = varint(types)?;
        let length = length_of(kind)?;
        let Some(value) = body.get(..length) else {
            return odd("a value outside of its record");
        };
        body = &body[length..];
        if wanted[next] == column {
            values[next] = decode(kind, value)?;
            next += 1;
            if next == N {
                break;
            }
        }
        column += 1;
    }
    Ok(values)
}

/// The first two columns of a record, both integers: of the entries of `Refs`, of which there are
/// about nine for each path.
#[inline]
pub(in crate::store) fn two_integers(record: &[u8]) -> Result<(i64, i64)> {
    // One byte for each type, as always where there is no text.
    if let [header @ 3..=9, first @ 1..=4, second @ 1..=4, ..] = *record
        && let Some(body) = record.get(usize::from(header)..)
        && let Some((first, body)) = body.split_at_checked(usize::from(first))
        && let Some(second) = body.get(..usize::from(second))
    {
        return Ok((number(first), number(second)));
    }
    let [first, second] = columns(record, [0, 1])?;
    match (first.integer()?, second.integer()?) {
        (Some(first), Some(second)) => Ok((first, second)),
        _ => odd("NULL where a number belongs"),
    }
}

/// A number of one to eight bytes, signed and big-endian.
#[inline]
fn number(bytes: &[u8]) -> i64 {
    let sign = if bytes[0] & 0x80 == 0 { 0 } else { -1 };
    bytes.iter().fold(sign, |n, byte| n << 8 | i64::from(*byte))
}

#[inline]
fn length_of(kind: i64) -> Result<usize> {
    Ok(match kind {
        0 | 8 | 9 => 0,
        1 => 1,
        2 => 2,
        3 => 3,
        4 => 4,
        5 => 6,
        6 | 7 => 8,
        12.. => match usize::try_from((kind - 12) / 2) {
            Ok(length) => length,
            Err(_) => return odd("a value of no length"),
        },
        _ => return odd("a value of a reserved type"),
    })
}

#[inline]
fn decode(kind: i64, bytes: &[u8]) -> Result<Value<'_>> {
    Ok(match kind {
        0 => Value::Null,
        1..=6 => Value::Integer(number(bytes)),
        8 => Value::Integer(0),
        9 => Value::Integer(1),
        13.. if kind & 1 == 1 => match std::str::from_utf8(bytes) {
            Ok(text) => Value::Text(text),
            Err(_) => return odd("text that is not UTF-8"),
        },
        _ => Value::Other,
    })
}

/// A number of one to nine bytes, and what follows it.
#[inline]
pub(super) fn varint(bytes: &[u8]) -> Result<(i64, &[u8])> {
    match bytes {
        [first, rest @ ..] if *first < 0x80 => Ok((i64::from(*first), rest)),
        [first, second, rest @ ..] if *second < 0x80 => {
            Ok((i64::from(first & 0x7f) << 7 | i64::from(*second), rest))
        }
        _ => long_varint(bytes),
    }
}

fn long_varint(bytes: &[u8]) -> Result<(i64, &[u8])> {
    let mut number = 0;
    for (at, byte) in bytes.iter().take(9).enumerate() {
        if at == 8 {
            return Ok((number << 8 | i64::from(*byte), &bytes[9..]));
        }
        number = number << 7 | i64::from(byte & 0x7f);
        if *byte < 0x80 {
            return Ok((number, &bytes[at + 1..]));
        }
    }
    odd("a number that ends too early")
}
