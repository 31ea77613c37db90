//! Lists of `{"key": …, "value": …}`.

use super::scan::{Scanner, Sure, Unsure};
use crate::source::json::shape::Scalar;
use crate::source::json::span::{Attribute, quoted};
use crate::source::view::Value;

/// A resource: all of its attributes.
pub(super) fn resource<'t>(scanner: &mut Scanner<'t>, pairs: &mut Vec<(&'t str, Value<'t>)>) -> Sure<()> {
    let mut first = true;
    scanner.expect(b'{')?;
    while let Some(key) = scanner.key(&mut first)? {
        if key == "attributes" {
            list(scanner, Some, |key, value| pairs.push((key, value)))?;
        } else {
            scanner.skip_value()?;
        }
    }
    Ok(())
}

/// A list of attributes, or `null`. `wanted` says what a key is good for; the values of the others are skipped.
#[inline]
pub(super) fn list<'t, P: Copy>(
    scanner: &mut Scanner<'t>,
    wanted: impl Fn(&'t str) -> Option<P>,
    mut put: impl FnMut(P, Value<'t>),
) -> Sure<()> {
    if scanner.null() {
        return Ok(());
    }
    let mut first = true;
    scanner.expect(b'[')?;
    while scanner.item(&mut first, b']')? {
        let start = scanner.at();
        let found = match usual(scanner, &wanted) {
            Ok(found) => found,
            Err(Unsure) => {
                scanner.go(start);
                if scanner.null() {
                    continue;
                }
                any(scanner, &wanted)?
            }
        };
        if let Some((place, value)) = found {
            put(place, value);
        }
    }
    Ok(())
}

/// A pair in the layout of nearly all exporters.
#[inline(always)]
fn usual<'t, P: Copy>(
    scanner: &mut Scanner<'t>,
    wanted: &impl Fn(&'t str) -> Option<P>,
) -> Sure<Option<(P, Value<'t>)>> {
    if !scanner.eat(b"{\"key\":\"") {
        return Err(Unsure);
    }
    let key = scanner.plain()?;
    if !scanner.eat(b",\"value\":{\"") {
        return Err(Unsure);
    }
    let place = wanted(key);
    let value = if scanner.eat(b"stringValue\":\"") {
        if place.is_some() {
            Value::Str(scanner.plain()?)
        } else {
            scanner.skip_string()?;
            Value::Other
        }
    } else if scanner.eat(b"intValue\":\"") {
        let text = scanner.plain()?;
        if place.is_some() { number(text)? } else { Value::Other }
    } else {
        return Err(Unsure);
    };
    if !scanner.eat(b"}}") {
        return Err(Unsure);
    }
    Ok(place.map(|place| (place, value)))
}

/// Any pair: other order, white space, further fields, other types of values.
fn any<'t, P: Copy>(scanner: &mut Scanner<'t>, wanted: &impl Fn(&'t str) -> Option<P>) -> Sure<Option<(P, Value<'t>)>> {
    let (mut key, mut value, mut first) = (None, Value::Other, true);
    scanner.expect(b'{')?;
    while let Some(field) = scanner.key(&mut first)? {
        match field {
            "key" => {
                key = Some(if scanner.null() {
                    ""
                } else {
                    scanner.expect(b'"')?;
                    scanner.plain()?
                });
            }
            "value" if key.is_none_or(|key| wanted(key).is_some()) => value = any_value(scanner)?,
            _ => scanner.skip_value()?,
        }
    }
    Ok(key.and_then(wanted).map(|place| (place, value)))
}

fn any_value<'t>(scanner: &mut Scanner<'t>) -> Sure<Value<'t>> {
    if scanner.peek() != b'{' {
        return bare(scanner.scalar()?);
    }
    let (mut value, mut first) = (Value::Other, true);
    scanner.expect(b'{')?;
    while let Some(key) = scanner.key(&mut first)? {
        match key {
            "stringValue" | "string_value" => {
                value = match scanner.scalar()? {
                    Scalar::Text(std::borrow::Cow::Borrowed(text)) => Value::Str(text),
                    Scalar::Null => Value::Str(""),
                    _ => return Err(Unsure),
                };
            }
            "boolValue" | "bool_value" | "intValue" | "int_value" | "doubleValue" | "double_value" => {
                value = match scanner.scalar()? {
                    Scalar::Text(text) => number(&text)?,
                    scalar => bare(scalar)?,
                };
                // The reference reads no further.
                while scanner.key(&mut first)?.is_some() {
                    scanner.skip_value()?;
                }
                return Ok(value);
            }
            _ => scanner.skip_value()?,
        }
    }
    Ok(value)
}

fn bare(scalar: Scalar<'_>) -> Sure<Value<'_>> {
    Ok(match scalar {
        Scalar::Text(std::borrow::Cow::Borrowed(text)) => Value::Str(text),
        Scalar::Bool(b) => Value::Bool(b),
        Scalar::Unsigned(n) => i64::try_from(n).map_or(Value::Other, Value::Int),
        Scalar::Null => Value::Other,
        _ => return Err(Unsure),
    })
}

/// A number or Boolean in quotes.
fn number<'t>(text: &str) -> Sure<Value<'t>> {
    match quoted(text) {
        Attribute::Int(n) => Ok(Value::Int(n)),
        Attribute::Double(x) => Ok(Value::Double(x)),
        Attribute::Bool(b) => Ok(Value::Bool(b)),
        Attribute::Other => Ok(Value::Other),
        Attribute::Text(_) => Err(Unsure),
    }
}
