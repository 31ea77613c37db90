//! Zipkin v2 JSON: spans in lists.
//!
//! Written from the field names of the [Zipkin v2 API](https://zipkin.io/zipkin-api/). A span knows its service from
//! `localEndpoint`. There are no resources: what OpenTelemetry keeps of one lies among the tags, and is taken from there.
//! `shared` needs no care here: the called span has the id of the calling one, and the topology takes them for a pair.

use std::borrow::Cow;

use super::envelope::Kinds;
use super::foreign::{
    Fields, Raw, Ready, Stop, attribute, kind, optional_list, says, scalar, span_id, status, tag, text, times, trace_id,
};
use super::shape::Scalar;
use super::span::{Attribute, Pairs, views};
use crate::source::view::{Rows, SpanView};
use crate::spans::{SpanId, TraceId};

const MALFORMED: &str = "span-malformed";
/// As many links as a Collector reads of a span.
const MOST_LINKS: usize = 128;

/// One span; `found` learns when it is one of Zipkin v1.
///
/// # Errors
/// [`Stop`].
pub(super) fn span(fields: &Fields<'_>, found: &mut Kinds, rows: &mut dyn Rows) -> Result<(), Stop> {
    if fields.contains_key("binaryAnnotations") {
        // Its service, kind and tags are elsewhere: read as v2 it would be a span of nobody.
        *found = found.and(Kinds::ZIPKIN_V1);
        return Ok(());
    }
    let mut view = SpanView { trace_id: trace_id(&scalar(fields, "traceId")), ..SpanView::default() };
    view.span_id = span_id(&scalar(fields, "id"));
    let (trace, id) = (view.trace_id, view.span_id);
    let refuse = |rows: &mut dyn Rows, code, why| {
        rows.reject(code, &format!("a span (trace {trace}, span {id}) was left out: {why}"));
        Ok(())
    };
    view.parent_id = match scalar(fields, "parentId") {
        Scalar::Null => SpanId::NONE,
        Scalar::Text(text) if text.bytes().all(|byte| byte == b'0') => SpanId::NONE,
        said => match span_id(&said) {
            SpanId::NONE => return refuse(rows, "parent-id-invalid", "its parent span id is not hex"),
            id => id,
        },
    };
    let name = match scalar(fields, "name") {
        Scalar::Null => Cow::Borrowed(""),
        Scalar::Text(name) => name,
        _ => return refuse(rows, MALFORMED, "its name is not a string"),
    };
    let said = scalar(fields, "kind");
    view.kind = match &said {
        // "Local" spans, inside a service.
        Scalar::Null => kind("INTERNAL"),
        Scalar::Text(name) => kind(name.trim()),
        _ => return refuse(rows, MALFORMED, "its kind is not a string"),
    };
    let Some((start, end)) = times(&scalar(fields, "timestamp"), &scalar(fields, "duration")) else {
        return refuse(rows, "span-time-invalid", "its timestamp or duration is not a whole number of microseconds");
    };
    let Some(mut pairs) = object(fields, "tags").map(tags) else {
        return refuse(rows, MALFORMED, "its tags are not an object");
    };
    let (Some(local), Some(remote)) = (object(fields, "localEndpoint"), object(fields, "remoteEndpoint")) else {
        return refuse(rows, MALFORMED, "an endpoint of it is not an object");
    };
    let Some(annotations) = optional_list(fields, "annotations") else {
        return refuse(rows, MALFORMED, "its annotations are not a list");
    };
    let failed = tag(&pairs, "error").is_some() && !says(&pairs, "error", "false");
    view.status_code = status(&pairs, failed);
    (view.name, view.start, view.end, view.links) = (&name, start, end, links(&pairs));
    let state =
        if let Some(Attribute::Text(state)) = tag(&pairs, "w3c.tracestate") { state.clone() } else { "".into() };
    view.trace_state = &state;
    let exception = annotations.into_iter().find_map(exception);
    let mut who = vec![(Cow::Borrowed("service.name"), attribute(scalar(&local, "serviceName"), ""))];
    who.extend(pairs.iter().cloned());
    let resource = rows.resource(&views(&who));
    // Tags say more than the endpoint: they come first. For whom sends or receives messages the other end is the broker.
    let sends_or_receives = [kind("PRODUCER"), kind("CONSUMER")].contains(&view.kind);
    let named = if sends_or_receives { "messaging.system" } else { "peer.service" };
    for (field, key) in [("serviceName", named), ("ipv4", "network.peer.address"), ("ipv6", "network.peer.address")] {
        let value = scalar(&remote, field);
        if text(&value).is_some_and(|text| !text.is_empty()) {
            pairs.push((Cow::Borrowed(key), attribute(value, "")));
        }
    }
    Ready { view, tags: &pairs, exception: exception.as_deref() }.emit(resource, rows)
}

/// The links that a Collector's Zipkin exporter writes as tags `otlp.link.0`, `otlp.link.1` …: trace id, span id, trace state,
/// attributes and a count between `|`.
fn links(tags: &Pairs<'_>) -> Vec<(TraceId, SpanId)> {
    let id = |part: Option<&str>| Scalar::Text(Cow::Owned(part.unwrap_or_default().trim_matches('"').to_owned()));
    (0..MOST_LINKS)
        .map_while(|i| tag(tags, &format!("otlp.link.{i}")))
        .map(|value| {
            let Attribute::Text(link) = value else { return (TraceId(0), SpanId::NONE) };
            let mut parts = link.split('|');
            (trace_id(&id(parts.next())), span_id(&id(parts.next())))
        })
        .collect()
}

/// The attributes of an annotation that is an exception, as a Collector's Zipkin exporter writes events: the name, attributes as
/// JSON and a count between `|`.
fn exception(annotation: Raw<'_>) -> Option<Pairs<'static>> {
    let fields: Fields<'_> = serde_json::from_str(annotation.get()).ok()?;
    let value = scalar(&fields, "value");
    let attributes = text(&value)?.strip_prefix("exception|")?.rsplit_once('|')?.0;
    let named: Fields<'_> = serde_json::from_str(attributes).ok()?;
    let kind = scalar(&named, "exception.type");
    Some(vec![(Cow::Borrowed("exception.type"), Attribute::Text(Cow::Owned(text(&kind)?.to_owned())))])
}

/// The fields of an object that may be missing or `null`; `None` where it is something else.
fn object<'de>(fields: &Fields<'de>, key: &str) -> Option<Fields<'de>> {
    match fields.get(key) {
        Some(raw) if raw.get() != "null" => serde_json::from_str(raw.get()).ok(),
        _ => Some(Fields::new()),
    }
}

fn tags(fields: Fields<'_>) -> Pairs<'_> {
    fields.keys().map(|key| (Cow::Owned(key.clone()), attribute(scalar(&fields, key), ""))).collect()
}
