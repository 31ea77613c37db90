//! One span.

use super::attributes;
use super::scan::{Scanner, Sure, Unsure};
use crate::source::json::span as reference;
use crate::source::view::{Rows, SpanView};
use crate::spans::semconv::Slot;
use crate::spans::{IdError, SpanId, TraceId};

/// Reads the span that comes next into `span`.
pub(super) fn read<'t>(scanner: &mut Scanner<'t>, span: &mut SpanView<'t>, rows: &dyn Rows) -> Sure<()> {
    span.clear();
    let (mut first, mut exception) = (true, false);
    scanner.expect(b'{')?;
    while let Some(key) = scanner.key(&mut first)? {
        match key {
            "traceId" | "trace_id" => span.trace_id = trace_id(scanner)?,
            "spanId" | "span_id" => span.span_id = span_id(scanner)?.unwrap_or_default(),
            "parentSpanId" | "parent_span_id" => match span_id(scanner)? {
                Ok(id) => span.parent_id = id,
                Err(IdError::Empty) => span.parent_id = SpanId::NONE,
                Err(_) => return Err(Unsure),
            },
            "name" => span.name = text(scanner)?,
            "kind" => span.kind = kind(scanner)?,
            "startTimeUnixNano" | "start_time_unix_nano" => span.start = nanos(scanner)?,
            "endTimeUnixNano" | "end_time_unix_nano" => span.end = nanos(scanner)?,
            "attributes" => attributes::list(
                scanner,
                |key| rows.classify(key),
                |(slot, rank), value| {
                    span.known.put(slot, rank, value);
                },
            )?,
            "status" => {
                if let Some(code) = status(scanner)? {
                    span.status_code = code;
                }
            }
            "traceState" | "trace_state" => span.trace_state = text(scanner)?,
            "events" => events(scanner, span, &mut exception, rows)?,
            "links" => links(scanner, span)?,
            _ => scanner.skip_value()?,
        }
    }
    Ok(())
}

/// A string without escapes, or `null`.
fn text<'t>(scanner: &mut Scanner<'t>) -> Sure<&'t str> {
    if scanner.null() {
        return Ok("");
    }
    scanner.expect(b'"')?;
    scanner.plain()
}

fn trace_id(scanner: &mut Scanner<'_>) -> Sure<TraceId> {
    scanner.peek();
    if let Some(number) = scanner.hex::<32>() {
        return Ok(TraceId(number));
    }
    Ok(reference::trace_id(&scanner.scalar()?).unwrap_or_default())
}

fn span_id(scanner: &mut Scanner<'_>) -> Sure<Result<SpanId, IdError>> {
    scanner.peek();
    if let Some(number) = scanner.hex::<16>().and_then(|number| u64::try_from(number).ok()) {
        return Ok(if number == 0 { Err(IdError::Empty) } else { Ok(SpanId(number)) });
    }
    Ok(reference::span_id(&scanner.scalar()?))
}

fn kind(scanner: &mut Scanner<'_>) -> Sure<i32> {
    reference::number(&scanner.scalar()?, "SPAN_KIND_", &reference::KINDS).ok_or(Unsure)
}

fn code(scanner: &mut Scanner<'_>) -> Sure<i32> {
    reference::number(&scanner.scalar()?, "STATUS_CODE_", &reference::STATUSES).ok_or(Unsure)
}

fn nanos(scanner: &mut Scanner<'_>) -> Sure<u64> {
    scanner.peek();
    match scanner.quoted_whole() {
        Some(number) => Ok(number),
        None => reference::nanos(&scanner.scalar()?).ok_or(Unsure),
    }
}

/// `{"code": …}`, or the bare code; `None` for `null`.
fn status(scanner: &mut Scanner<'_>) -> Sure<Option<i32>> {
    if scanner.null() {
        return Ok(None);
    }
    if scanner.peek() != b'{' {
        return code(scanner).map(Some);
    }
    let (mut found, mut first) = (0, true);
    scanner.expect(b'{')?;
    while let Some(key) = scanner.key(&mut first)? {
        if key == "code" {
            found = code(scanner)?;
        } else {
            scanner.skip_value()?;
        }
    }
    Ok(Some(found))
}

/// Keeps the type of the first `exception` event; the other events do not matter. `exception` says whether there was one.
fn events<'t>(scanner: &mut Scanner<'t>, span: &mut SpanView<'t>, exception: &mut bool, rows: &dyn Rows) -> Sure<()> {
    each(scanner, |scanner| {
        let (mut is_exception, mut kind, mut first) = (false, None, true);
        while let Some(key) = scanner.key(&mut first)? {
            match key {
                "name" => is_exception = text(scanner)? == "exception",
                "attributes" => attributes::list(
                    scanner,
                    |key| rows.classify(key).filter(|(slot, _)| *slot == Slot::ExceptionType),
                    |_, value| kind = kind.or(Some(value).filter(|value| !value.is_useless())),
                )?,
                _ => scanner.skip_value()?,
            }
        }
        if is_exception && !std::mem::replace(exception, true) {
            span.exception_type = kind;
        }
        Ok(())
    })
}

fn links(scanner: &mut Scanner<'_>, span: &mut SpanView<'_>) -> Sure<()> {
    each(scanner, |scanner| {
        let (mut link, mut first) = ((TraceId(0), SpanId::NONE), true);
        while let Some(key) = scanner.key(&mut first)? {
            match key {
                "traceId" | "trace_id" => link.0 = trace_id(scanner)?,
                "spanId" | "span_id" => link.1 = span_id(scanner)?.unwrap_or_default(),
                _ => scanner.skip_value()?,
            }
        }
        span.links.push(link);
        Ok(())
    })
}

/// A list of objects, or `null`; `null` among them is nothing. Each is opened when `object` is called.
fn each<'t>(scanner: &mut Scanner<'t>, mut object: impl FnMut(&mut Scanner<'t>) -> Sure<()>) -> Sure<()> {
    if scanner.null() {
        return Ok(());
    }
    let mut first = true;
    scanner.expect(b'[')?;
    while scanner.item(&mut first, b']')? {
        if !scanner.null() {
            scanner.expect(b'{')?;
            object(scanner)?;
        }
    }
    Ok(())
}
