//! Zipkin v2 JSON: spans in lists.
//!
//! Written from the field names of the [Zipkin v2 API](https://zipkin.io/zipkin-api/). A span knows its service from
//! `localEndpoint`. There are no resources: what OpenTelemetry keeps of one lies among the tags, and is taken from there.
//! `shared` needs no care here: the called span has the id of the calling one, and the topology takes them for a pair.

use std::borrow::Cow;

use super::envelope::Kinds;
use super::foreign::{Fields, Ready, Stop, attribute, kind, says, scalar, span_id, status, tag, text, times, trace_id};
use super::shape::Scalar;
use super::span::{Pairs, views};
use crate::source::view::{Rows, SpanView};
use crate::spans::SpanId;

const MALFORMED: &str = "span-malformed";

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
    let failed = tag(&pairs, "error").is_some() && !says(&pairs, "error", "false");
    view.status_code = status(&pairs, failed);
    (view.name, view.start, view.end) = (&name, start, end);
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
    Ready { view, tags: &pairs, exception: None }.emit(resource, rows)
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
