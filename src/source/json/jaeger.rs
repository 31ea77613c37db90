//! Jaeger's own JSON: what its query API and its UI's download give, `{"traceID", "spans", "processes"}`.
//!
//! Written from the names in [jaeger-ui's types](https://github.com/jaegertracing/jaeger-ui) and the fixtures of both projects.
//! The parent is the one Jaeger draws: the first `CHILD_OF` of the span's own trace, else the first `FOLLOWS_FROM` of it;
//! every other reference is a link.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::foreign::{
    Fields, Raw, Ready, Stop, attribute, kind, optional_list, says, scalar, span_id, status, tag, text, times, trace_id,
};
use super::shape::Scalar;
use super::span::{Attribute, Pairs, views};
use crate::source::view::{Rows, SpanView};
use crate::spans::{ResourceId, SpanId, TraceId};

const MALFORMED: &str = "span-malformed";

/// A trace with its processes.
///
/// # Errors
/// [`Stop`].
pub(super) fn trace(fields: &Fields<'_>, rows: &mut dyn Rows) -> Result<(), Stop> {
    let mut processes = BTreeMap::new();
    if let Some(raw) = fields.get("processes") {
        let named: Fields<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
        for (name, raw) in named {
            if let Some(resource) = process(raw, rows) {
                processes.insert(name, resource);
            }
        }
    }
    let own = trace_id(&scalar(fields, "traceID"));
    let Some(spans) = optional_list(fields, "spans") else {
        rows.reject(MALFORMED, "the spans of a trace were left out: they are not a list");
        return Ok(());
    };
    for raw in spans {
        match serde_json::from_str(raw.get()) {
            Ok(fields) => span(&fields, own, &processes, rows)?,
            Err(_) => rows.reject(MALFORMED, "a span was left out: it is not a JSON object"),
        }
    }
    Ok(())
}

/// A span by itself, with its process in it, as Jaeger stores them in Elasticsearch.
///
/// # Errors
/// [`Stop`].
pub(super) fn bare_span(fields: &Fields<'_>, rows: &mut dyn Rows) -> Result<(), Stop> {
    span(fields, TraceId(0), &BTreeMap::new(), rows)
}

/// Registers who emitted spans; `None` where that cannot be read.
fn process(raw: Raw<'_>, rows: &mut dyn Rows) -> Option<ResourceId> {
    let fields: Fields<'_> = serde_json::from_str(raw.get()).ok()?;
    let mut pairs = vec![(Cow::Borrowed("service.name"), attribute(scalar(&fields, "serviceName"), "string"))];
    pairs.extend(tags(&fields, "tags")?);
    Some(rows.resource(&views(&pairs)))
}

fn span(
    fields: &Fields<'_>,
    own: TraceId,
    processes: &BTreeMap<String, ResourceId>,
    rows: &mut dyn Rows,
) -> Result<(), Stop> {
    let (mut view, process_id) = (SpanView::default(), scalar(fields, "processID"));
    view.span_id = span_id(&scalar(fields, "spanID"));
    // The API writes the id of the trace into each span as well.
    let said = scalar(fields, "traceID");
    view.trace_id = if said == Scalar::Null { own } else { trace_id(&said) };
    let (trace, id) = (view.trace_id, view.span_id);
    let refuse = |rows: &mut dyn Rows, code, why| {
        rows.reject(code, &format!("a span (trace {trace}, span {id}) was left out: {why}"));
        Ok(())
    };
    let resource = match (text(&process_id), fields.get("process")) {
        (Some(name), _) if processes.contains_key(name) => processes.get(name).copied(),
        (_, Some(raw)) => process(raw, rows),
        // Nobody says who emitted it.
        (None, None) if process_id == Scalar::Null => Some(rows.resource(&[])),
        _ => None,
    };
    let Some(resource) = resource else {
        return refuse(rows, MALFORMED, "its process is not among those of the trace");
    };
    let name = match scalar(fields, "operationName") {
        Scalar::Null => Cow::Borrowed(""),
        Scalar::Text(name) => name,
        _ => return refuse(rows, MALFORMED, "its operation name is not a string"),
    };
    let Some((start, end)) = times(&scalar(fields, "startTime"), &scalar(fields, "duration")) else {
        return refuse(rows, "span-time-invalid", "its start or duration is not a whole number of microseconds");
    };
    let Some(tags) = tags(fields, "tags") else {
        return refuse(rows, MALFORMED, "its tags are not a list");
    };
    let Some(logs) = optional_list(fields, "logs") else {
        return refuse(rows, MALFORMED, "its logs are not a list");
    };
    let Some(references) = optional_list(fields, "references") else {
        return refuse(rows, MALFORMED, "its references are not a list");
    };
    let Some((parent, links)) = family(&references, fields, trace) else {
        return refuse(rows, "parent-id-invalid", "its parent span id is not hex");
    };
    (view.parent_id, view.links, view.name, view.start, view.end) = (parent, links, &name, start, end);
    view.kind = if let Some(Attribute::Text(name)) = tag(&tags, "span.kind") { kind(name.trim()) } else { 0 };
    view.status_code = status(&tags, says(&tags, "error", "true"));
    if let Some(Attribute::Text(state)) = tag(&tags, "w3c.tracestate") {
        view.trace_state = state;
    }
    let exception = logs.into_iter().find_map(exception);
    Ready { view, tags: &tags, exception: exception.as_deref() }.emit(resource, rows)
}

/// The parent, and the links: all references but the parent's. `None` when the parent's id cannot be read.
fn family(references: &[Raw<'_>], fields: &Fields<'_>, own: TraceId) -> Option<(SpanId, Vec<(TraceId, SpanId)>)> {
    let all: Vec<_> = references
        .iter()
        .filter(|raw| raw.get() != "null")
        .map(|raw| {
            // What is no object becomes an invalid link, which is counted.
            let fields: Fields<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
            let trace = scalar(&fields, "traceID");
            let trace = if trace == Scalar::Null && !fields.is_empty() { own } else { trace_id(&trace) };
            let kind = scalar(&fields, "refType");
            let of = |name: &str| text(&kind) == Some(name) && trace == own;
            (of("CHILD_OF"), of("FOLLOWS_FROM"), trace, span_id(&scalar(&fields, "spanID")))
        })
        .collect();
    let chosen = all.iter().position(|(child, ..)| *child).or_else(|| all.iter().position(|(_, follows, ..)| *follows));
    let parent = match chosen.and_then(|at| all.get(at)) {
        Some((.., id)) if id.is_none() => return None,
        Some((.., id)) => *id,
        None => match scalar(fields, "parentSpanID") {
            Scalar::Null => SpanId::NONE,
            Scalar::Text(text) if text.bytes().all(|byte| byte == b'0') => SpanId::NONE,
            said => Some(span_id(&said)).filter(|id| !id.is_none())?,
        },
    };
    let others = all.iter().enumerate().filter(|(at, _)| Some(*at) != chosen);
    Some((parent, others.map(|(_, &(_, _, trace, id))| (trace, id)).collect()))
}

/// A list of `{"key", "type", "value"}`, which may be missing; `None` where it is something else. What is no pair costs only
/// itself.
fn tags<'de>(fields: &Fields<'de>, key: &str) -> Option<Pairs<'de>> {
    let pair = |raw: Raw<'de>| {
        let fields: Fields<'de> = serde_json::from_str(raw.get()).ok()?;
        let (Scalar::Text(key), kind) = (scalar(&fields, "key"), scalar(&fields, "type")) else { return None };
        Some((key, attribute(scalar(&fields, "value"), text(&kind).unwrap_or_default())))
    };
    Some(optional_list(fields, key)?.into_iter().filter_map(pair).collect())
}

/// The fields of a log that is an exception.
fn exception(log: Raw<'_>) -> Option<Pairs<'_>> {
    let fields: Fields<'_> = serde_json::from_str(log.get()).ok()?;
    let pairs = tags(&fields, "fields")?;
    ["event", "message"].iter().any(|key| says(&pairs, key, "exception")).then_some(pairs)
}
