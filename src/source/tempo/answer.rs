//! Search answers: merging a stream, judging whether a trace came whole, and its spans as [`SpanView`]s.
//!
//! Input: `SearchResponse`s. Output: traces by padded id; views for the mapper. Must not: talk to anyone.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;

use super::select::is_resource_key;
use super::wire::any_value::Value as Any;
use super::wire::{SearchResponse, Span, TraceSearchMetadata};
use crate::source::mapper::Mapper;
use crate::source::view::{Known, SpanView, Value};
use crate::spans::{SpanId, TraceId};

/// The traces of one search so far.
pub(super) type Found = BTreeMap<TraceId, TraceSearchMetadata>;

/// What the census knows of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Brief {
    /// Start of the first span, Unix nanoseconds.
    pub(super) start: u64,
    /// No span of it starts later, Unix nanoseconds; of a trace in pieces, none of one piece.
    pub(super) end: u64,
    /// Spans; of a trace split over blocks, at most this many are really there.
    pub(super) spans: u32,
    /// Whether any span failed.
    pub(super) failed: bool,
}

/// Adds one message of a stream: every trace in it replaces what was known. `false` for an id that is none.
#[must_use]
pub(super) fn merge(found: &mut Found, response: SearchResponse) -> bool {
    for trace in response.traces {
        match trace_id(&trace.trace_id) {
            Some(id) => {
                found.insert(id, trace);
            }
            None => return false,
        }
    }
    true
}

/// The traces of a search as one message, and back; `None` where it is none.
pub(super) fn to_bytes(found: &Found) -> Vec<u8> {
    SearchResponse { traces: found.values().cloned().collect() }.encode_to_vec()
}

pub(super) fn of_bytes(bytes: &[u8]) -> Option<Found> {
    let mut found = Found::new();
    merge(&mut found, SearchResponse::decode(bytes).ok()?).then_some(found)
}

/// An id as Tempo writes it: hexadecimal, leading zeros left out.
pub(super) fn trace_id(text: &str) -> Option<TraceId> {
    let plain = (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    let id = plain.then(|| u128::from_str_radix(text, 16).ok()).flatten()?;
    (id != 0).then_some(TraceId(id))
}

fn span_id(text: &str) -> Option<SpanId> {
    let plain = (1..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    plain.then(|| u64::from_str_radix(text, 16).ok()).flatten().map(SpanId)
}

/// The census entry of a trace.
pub(super) fn brief(trace: &TraceSearchMetadata) -> Brief {
    let spans = trace.service_stats.values().fold(0u32, |sum, s| sum.saturating_add(s.span_count));
    let start = trace.start_time_unix_nano;
    // Milliseconds are cut off.
    let end = start.saturating_add(u64::from(trace.duration_ms).saturating_add(1).saturating_mul(1_000_000));
    Brief { start, end, spans, failed: trace.service_stats.values().any(|s| s.error_count > 0) }
}

/// Spans of an answer that start in `[start, end)` ns, and how many were cut off and may lie there too.
pub(super) fn spans_within(found: &Found, start: u64, end: u64) -> (u64, u64) {
    let (mut within, mut cut) = (0u64, 0u64);
    for set in found.values().flat_map(|trace| &trace.span_sets) {
        let here = set.spans.iter().filter(|s| s.start_time_unix_nano >= start && s.start_time_unix_nano < end).count();
        within = within.saturating_add(here as u64);
        cut = cut.saturating_add(u64::from(set.matched).saturating_sub(set.spans.len() as u64));
    }
    (within, cut)
}

/// Whether the bulk answer holds all of a trace that the mapper wants: every span, no error (its exception is an
/// event), no link (only the first one comes), no parent that is absent (it may lie in another block).
pub(super) fn is_whole(trace: &TraceSearchMetadata, known: Brief) -> bool {
    let [set] = trace.span_sets.as_slice() else { return false };
    let now = brief(trace);
    let complete = set.matched as usize == set.spans.len() && now.spans == set.matched && known.spans == set.matched;
    if !complete || now.failed || known.failed || now.start != known.start {
        return false;
    }
    let mut ids = BTreeSet::new();
    let mut parents = Vec::with_capacity(set.spans.len());
    let tree = Tree::of(set.spans.iter());
    for span in &set.spans {
        let Some(facts) = Facts::of(span) else { return false };
        let (Some(id), Some(parent)) = (span_id(&span.span_id), tree.parent(&facts)) else { return false };
        if facts.linked || facts.status == 2 || blames_server(span) || !ids.insert(id) {
            return false;
        }
        parents.push(parent);
    }
    parents.iter().any(|p| p.is_none()) && parents.iter().all(|p| p.is_none() || ids.contains(p))
}

/// A span that may count as failed though its status is unset: HTTP 5xx or a gRPC status other than OK.
fn blames_server(span: &Span) -> bool {
    values(span).any(|(key, value)| {
        let number = match value {
            Value::Int(n) => n,
            Value::Str(text) => text.parse().unwrap_or(i64::from(text.eq_ignore_ascii_case("ok")) - 1),
            _ => 0,
        };
        match key {
            "http.response.status_code" | "http.status_code" => number >= 500,
            "rpc.grpc.status_code" | "rpc.response.status_code" => number != 0,
            _ => false,
        }
    })
}

/// Appends the spans of a trace that [`is_whole`].
pub(super) fn map(mapper: &mut Mapper, id: TraceId, trace: &TraceSearchMetadata) -> u64 {
    let mut mapped = 0u64;
    let tree = Tree::of(trace.span_sets.iter().flat_map(|set| &set.spans));
    for span in trace.span_sets.iter().flat_map(|set| &set.spans) {
        let Some(facts) = Facts::of(span) else { continue };
        let mut resource = Vec::new();
        let mut attributes = Vec::new();
        for (key, value) in values(span) {
            if is_resource_key(key) {
                resource.push((key, value));
            } else if !INTRINSICS.contains(&key) {
                attributes.push((key, value));
            }
        }
        // Answers list attributes in no order; the mapper takes the first of equal keys.
        resource.sort_by_key(|(key, _)| *key);
        attributes.sort_by_key(|(key, _)| *key);
        let mut known = Known::default();
        for (key, value) in attributes {
            if let Some((slot, rank)) = mapper.classify(key) {
                known.put(slot, rank, value);
            }
        }
        let resource = mapper.resource(&resource);
        let view = SpanView {
            trace_id: id,
            span_id: span_id(&span.span_id).unwrap_or(SpanId::NONE),
            parent_id: tree.parent(&facts).unwrap_or(SpanId::NONE),
            name: &span.name,
            kind: facts.kind,
            start: span.start_time_unix_nano,
            end: span.start_time_unix_nano.saturating_add(span.duration_nanos),
            status_code: facts.status,
            known,
            ..SpanView::default()
        };
        mapper.span(resource, &view);
        mapped = mapped.saturating_add(1);
    }
    mapped
}

const INTRINSICS: &[&str] = &[
    "span:parentID",
    "nestedSetParent",
    "nestedSetLeft",
    "kind",
    "status",
    "link:traceID",
    "link:spanID",
    "name",
    "statusMessage",
    "duration",
    "traceDuration",
];

/// What is selected beside the attributes.
struct Facts {
    parent: Option<SpanId>,
    /// Number of the parent, and of the span itself, as Tempo counts a tree's spans.
    numbers: (Option<i64>, Option<i64>),
    kind: i32,
    status: i32,
    linked: bool,
}

impl Facts {
    /// `None` when an intrinsic comes twice or is not understood: then a filter's attribute of the same name is among them.
    fn of(span: &Span) -> Option<Self> {
        let mut facts = Self { parent: None, numbers: (None, None), kind: -1, status: -1, linked: false };
        for (key, value) in values(span) {
            let number = match key {
                "nestedSetParent" => Some(&mut facts.numbers.0),
                "nestedSetLeft" => Some(&mut facts.numbers.1),
                _ => None,
            };
            if let Some(number) = number {
                let Value::Int(n) = value else { return None };
                if number.replace(n).is_some() {
                    return None;
                }
                continue;
            }
            let Value::Str(text) = value else {
                if INTRINSICS.contains(&key) {
                    return None;
                }
                continue;
            };
            match key {
                "span:parentID" => facts.parent = Some(span_id(text)?),
                "kind" if facts.kind < 0 => facts.kind = kind(text)?,
                "status" if facts.status < 0 => facts.status = status(text)?,
                "kind" | "status" => return None,
                "link:traceID" => facts.linked = true,
                _ => {}
            }
        }
        (facts.kind >= 0 && facts.status >= 0).then_some(facts)
    }
}

/// Which span has which number in the tree of a trace: what Tempo before 2.8 says instead of parents' ids.
#[derive(Default)]
struct Tree(BTreeMap<i64, SpanId>);

impl Tree {
    fn of<'a>(spans: impl Iterator<Item = &'a Span>) -> Self {
        let numbered = |span: &Span| Some((Facts::of(span)?.numbers.1?, span_id(&span.span_id)?));
        Self(spans.filter_map(numbered).collect())
    }

    /// The parent of a span; `None` when Tempo does not say. A root's parent is number -1; 0 is that of no tree.
    fn parent(&self, facts: &Facts) -> Option<SpanId> {
        facts.parent.or_else(|| match facts.numbers.0? {
            -1 => Some(SpanId::NONE),
            n => self.0.get(&n).copied(),
        })
    }
}

fn kind(text: &str) -> Option<i32> {
    ["unspecified", "internal", "server", "client", "producer", "consumer"]
        .iter()
        .position(|name| *name == text)
        .and_then(|i| i32::try_from(i).ok())
}

fn status(text: &str) -> Option<i32> {
    ["unset", "ok", "error"].iter().position(|name| *name == text).and_then(|i| i32::try_from(i).ok())
}

/// The attributes that are there: `"nil"` and the empty string stand for absent ones.
fn values(span: &Span) -> impl Iterator<Item = (&str, Value<'_>)> {
    span.attributes.iter().filter_map(|attribute| {
        let value = match attribute.value.as_ref()?.value.as_ref()? {
            Any::StringValue(text) if text == "nil" || text.is_empty() => return None,
            Any::StringValue(text) => Value::Str(text),
            Any::BoolValue(b) => Value::Bool(*b),
            Any::IntValue(i) => Value::Int(*i),
            Any::DoubleValue(d) => Value::Double(*d),
        };
        Some((attribute.key.as_str(), value))
    })
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    fn recorded(name: &str) -> Vec<SearchResponse> {
        let path = format!("{}/tests/data/tempo/{name}.binpb", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(path).unwrap();
        let mut rest = bytes.as_slice();
        let mut messages = Vec::new();
        while let Some((length, tail)) = rest.split_first_chunk::<4>() {
            let (message, tail) = tail.split_at(u32::from_be_bytes(*length) as usize);
            messages.push(SearchResponse::decode(message).unwrap());
            rest = tail;
        }
        messages
    }

    fn found(name: &str) -> Found {
        let mut found = Found::new();
        for message in recorded(name) {
            assert!(merge(&mut found, message));
        }
        found
    }

    fn whole(trace: &TraceSearchMetadata) -> bool {
        is_whole(trace, brief(trace))
    }

    #[test]
    fn a_stream_that_repeats_its_state_counts_each_trace_once() {
        let messages = recorded("search_stream_diff_then_final");
        let last = messages.last().unwrap().traces.len();
        assert!(messages.len() > 1 && messages.iter().map(|m| m.traces.len()).sum::<usize>() > last);
        assert_eq!(found("search_stream_diff_then_final").len(), last);
    }

    #[test]
    fn ids_without_leading_zeros_are_padded() {
        let found = found("search_select_topology_3min");
        let written: Vec<String> = recorded("search_select_topology_3min")
            .iter()
            .flat_map(|m| &m.traces)
            .map(|t| format!("{:0>32}", t.trace_id))
            .collect();
        assert!(written.iter().any(|id| id.starts_with('0')));
        assert!(found.keys().map(ToString::to_string).all(|id| written.contains(&id)));
        for bad in ["", "0", "xyz", "123456789012345678901234567890123", "+1", "é"] {
            assert_eq!(trace_id(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_bulk_answer_is_used_only_for_traces_that_are_whole_in_it() {
        let all = found("search_select_topology_3min");
        let fit = all.values().filter(|t| whole(t)).count();
        assert!(fit > all.len() / 2 && fit < all.len(), "{fit} of {}", all.len());
        for trace in all.values().filter(|t| whole(t)) {
            let known = brief(trace);
            assert!(!known.failed && known.spans as usize == trace.span_sets[0].spans.len());
            assert!(!is_whole(trace, Brief { spans: known.spans + 1, ..known }), "another part elsewhere");
            assert!(!is_whole(trace, Brief { start: known.start - 1, ..known }), "an earlier part elsewhere");
            let mut cut = trace.clone();
            cut.span_sets[0].spans.pop();
            assert!(!is_whole(&cut, known), "cut off");
        }
        for name in ["search_big_trace_truncated_spss100", "search_rootless", "search_links"] {
            assert!(found(name).values().all(|t| !whole(t)), "{name}");
        }
    }

    #[test]
    fn values_that_stand_for_nothing_are_left_out_and_the_others_keep_their_type() {
        let all = found("search_select_topology_3min");
        let spans = || all.values().flat_map(|t| &t.span_sets).flat_map(|s| &s.spans);
        let raw = spans().flat_map(|s| &s.attributes).filter(
            |a| matches!(a.value.as_ref().and_then(|v| v.value.as_ref()), Some(Any::StringValue(t)) if t == "nil"),
        );
        assert!(raw.count() > 0);
        assert!(spans().flat_map(values).all(|(_, value)| !matches!(value, Value::Str("nil" | ""))));
        assert!(spans().all(|s| Facts::of(s).is_some_and(|f| f.parent.is_some() && (0..=5).contains(&f.kind))));
    }

    /// The same answer as Tempo before 2.8 gives it: numbers of the spans of a tree instead of their parents' ids.
    fn numbered(trace: &TraceSearchMetadata) -> TraceSearchMetadata {
        let mut trace = trace.clone();
        let spans = &mut trace.span_sets[0].spans;
        let numbers: BTreeMap<String, i64> = spans.iter().zip(1..).map(|(span, n)| (span.span_id.clone(), n)).collect();
        for span in spans {
            let parent = Facts::of(span).unwrap().parent.unwrap();
            let parent = if parent.is_none() { -1 } else { numbers.get(&parent.to_string()).copied().unwrap_or(0) };
            let own = numbers[&span.span_id];
            let attribute = span.attributes.iter_mut().find(|a| a.key == "span:parentID").unwrap();
            let number = |key: &str, n| {
                let value = super::super::wire::AnyValue { value: Some(Any::IntValue(n)) };
                super::super::wire::KeyValue { key: key.to_owned(), value: Some(value) }
            };
            *attribute = number("nestedSetParent", parent);
            span.attributes.push(number("nestedSetLeft", own));
        }
        trace
    }

    #[test]
    fn numbers_of_a_tree_say_the_same_as_the_ids_of_parents() {
        let rows = |id: TraceId, trace: &TraceSearchMetadata| {
            let mut mapper = Mapper::default();
            map(&mut mapper, id, trace);
            mapper.batch.rows
        };
        for (id, trace) in found("search_select_topology_3min").iter().filter(|(_, trace)| whole(trace)) {
            let mut other = numbered(trace);
            assert!(whole(&other));
            assert_eq!(rows(*id, &other), rows(*id, trace));
            // A span of no tree, or of one that is not there.
            for n in [0, 99_999] {
                let last = other.span_sets[0].spans.last_mut().unwrap();
                let parent = last.attributes.iter_mut().find(|a| a.key == "nestedSetParent").unwrap();
                parent.value = Some(super::super::wire::AnyValue { value: Some(Any::IntValue(n)) });
                assert!(!whole(&other));
            }
        }
    }

    #[test]
    fn an_attribute_named_like_an_intrinsic_makes_the_answer_unusable() {
        let mut trace = found("search_select_topology_3min").into_values().find(whole).unwrap();
        let kind = trace.span_sets[0].spans[0].attributes.iter().find(|a| a.key == "kind").unwrap().clone();
        trace.span_sets[0].spans[0].attributes.push(kind);
        assert!(!whole(&trace));
    }
}
