//! What a message holds, as far as its sender must be told: whether it is framed as the reader of the log needs it, how many
//! spans there are, and which of them that reader is going to refuse.
//!
//! Walks over the fields, and lets the reader of the log judge each span, a thousand of which are in memory at once: a message costs
//! hardly more memory than its bytes.

use std::collections::BTreeMap;

use crate::source::mapper::Mapper;
use crate::source::otlp_wire::Walker;
use crate::source::proto::{LIBRARY_SPANS, SCOPE_SPANS};
use crate::source::view::{Attributes, Rows, SpanView};
use crate::source::wire::{self, Broken, Field};
use crate::spans::ResourceId;
use crate::spans::semconv::Slot;

/// Rows that are made before they are thrown away.
const ROWS: usize = 1_000;

/// What a message was found to hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Checked {
    /// Spans, good or not.
    pub(super) spans: u64,
    /// Those that will be refused, by code.
    pub(super) refused: BTreeMap<String, u64>,
    /// Whether it begins with what no file of traces begins with.
    pub(super) odd: bool,
}

/// Looks through an `ExportTraceServiceRequest`.
///
/// # Errors
/// [`Broken`] when it is none down to where spans are.
pub(super) fn message(bytes: &[u8]) -> Result<Checked, Broken> {
    let mut checked = Checked::default();
    for (at, field) in wire::fields(bytes).enumerate() {
        let Field { number: 1, bytes: Some(resource) } = field? else {
            checked.odd |= at == 0;
            continue;
        };
        let mut scopes = Scopes::default();
        for (inner, field) in wire::fields(resource).enumerate() {
            let field = field?;
            checked.odd |= (at, inner) == (0, 0) && !known(field);
            match field {
                Field { number: SCOPE_SPANS, .. } => scopes.now = true,
                Field { number: LIBRARY_SPANS, .. } => scopes.once = true,
                // Who sends what has no resource sends something else.
                Field { number: 1, bytes: Some(resource) } => wire::fields(resource).try_for_each(|f| f.map(|_| ()))?,
                _ => {}
            }
        }
        let spans = if scopes.once && !scopes.now { LIBRARY_SPANS } else { SCOPE_SPANS };
        for field in wire::fields(resource) {
            let field = field?;
            let Some(scope) = field.bytes.filter(|_| field.number == spans) else { continue };
            for field in wire::fields(scope) {
                if let Field { number: 2, bytes: Some(_) } = field? {
                    checked.spans = checked.spans.saturating_add(1);
                }
            }
        }
    }
    let mut judge = Judge::default();
    Walker::new(Vec::new()).message(bytes, &mut judge)?;
    checked.refused = judge.verdict();
    Ok(checked)
}

/// Tells what the reader of the log is going to refuse, by being that reader; what it makes of spans is thrown away.
#[derive(Default)]
struct Judge {
    mapper: Mapper,
    refused: BTreeMap<String, u64>,
}

impl Judge {
    /// Keeps the counts and forgets the rest, which would grow with the message.
    fn forget(&mut self) {
        for (code, n) in std::mem::take(&mut self.mapper).rejected {
            let count = self.refused.entry(code).or_default();
            *count = count.saturating_add(n);
        }
    }

    fn verdict(mut self) -> BTreeMap<String, u64> {
        self.forget();
        self.refused
    }
}

impl Rows for Judge {
    fn resource(&mut self, _: &Attributes<'_>) -> ResourceId {
        ResourceId::default()
    }

    fn known_resource(&mut self, _: &[u8]) -> Option<ResourceId> {
        // No span is refused for its resource, and one may be as large as the message.
        Some(ResourceId::default())
    }

    fn span(&mut self, resource: ResourceId, span: &SpanView<'_>) -> bool {
        self.mapper.span(resource, span);
        if self.mapper.batch.rows.len() >= ROWS {
            self.forget();
        }
        true
    }

    fn reject(&mut self, code: &'static str, why: &str) {
        self.mapper.reject(code, why);
    }

    fn classify_raw(&self, key: &[u8]) -> Option<(Slot, u8)> {
        self.mapper.classify_raw(key)
    }
}

/// Which fields a `ResourceSpans` has its scopes in.
#[derive(Default)]
struct Scopes {
    now: bool,
    once: bool,
}

/// Whether a file may begin with a `ResourceSpans` that begins with this.
fn known(field: Field<'_>) -> bool {
    field.bytes.is_some() && matches!(field.number, 1 | SCOPE_SPANS | 3 | LIBRARY_SPANS)
}

/// The same message without what is odd about it: unknown fields around resources and scopes.
pub(super) fn plain(bytes: &[u8], out: &mut Vec<u8>) {
    let mut put = |number: u32, bytes: &Vec<u8>| prost::encoding::bytes::encode(number, bytes, out);
    for resource in wire::fields(bytes).flatten().filter(|field| field.number == 1).filter_map(|field| field.bytes) {
        let mut inner = Vec::with_capacity(resource.len());
        for field in wire::fields(resource).flatten().filter(|field| known(*field)) {
            if let (Ok(number), Some(bytes)) = (u32::try_from(field.number), field.bytes) {
                prost::encoding::bytes::encode(number, &bytes.to_vec(), &mut inner);
            }
        }
        put(1, &inner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    use prost::Message as _;

    fn request(spans: &[Span]) -> ExportTraceServiceRequest {
        let scope_spans = vec![ScopeSpans { spans: spans.to_vec(), ..ScopeSpans::default() }];
        let resource = Some(Resource::default());
        let resource_spans = vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }];
        ExportTraceServiceRequest { resource_spans }
    }

    fn good() -> Span {
        Span { trace_id: vec![1; 16], span_id: vec![2; 8], start_time_unix_nano: 5, ..Span::default() }
    }

    #[test]
    fn spans_are_counted_and_those_that_will_be_refused_are_told() {
        let spans = [
            good(),
            Span { parent_span_id: vec![3; 8], ..good() },
            Span { trace_id: vec![0; 16], ..good() },
            Span { span_id: Vec::new(), ..good() },
            Span { parent_span_id: vec![3; 5], ..good() },
            Span { trace_id: vec![1; 8], ..good() },
            Span { start_time_unix_nano: 0, ..good() },
        ];
        let checked = message(&request(&spans).encode_to_vec()).unwrap();
        assert_eq!((checked.spans, checked.odd), (7, false));
        // Like the reader, which pads a short trace id.
        let codes = ["parent-id-invalid", "span-id-invalid", "span-without-time", "trace-id-invalid"];
        assert_eq!(checked.refused, BTreeMap::from(codes.map(|code| (code.to_owned(), 1))));
        // So many that what is made of them is thrown away in between.
        let many: Vec<Span> = spans.iter().cycle().take(7 * ROWS).cloned().collect();
        let checked = message(&request(&many).encode_to_vec()).unwrap();
        assert_eq!(checked.refused, BTreeMap::from(codes.map(|code| (code.to_owned(), ROWS as u64))));
    }

    #[test]
    fn what_breaks_above_the_spans_is_broken_and_what_breaks_in_one_is_its_own() {
        let bytes = request(&[good(), good()]).encode_to_vec();
        for cut in 1..bytes.len() {
            assert_eq!(message(&bytes[..cut]), Err(Broken), "{cut}");
        }
        let mut inside = bytes.clone();
        // The tag of the last id becomes one of a wire type that is no more.
        let at = inside.len() - 19;
        assert_eq!(inside[at], 0x12);
        inside[at] = 0x13;
        assert_eq!(message(&inside).unwrap().refused, BTreeMap::from([("span-malformed".to_owned(), 1)]));
        assert_eq!(message(b""), Ok(Checked::default()));
    }

    #[test]
    fn an_odd_beginning_is_made_plain() {
        let plainly = request(&[good()]).encode_to_vec();
        // A field of the future before all others, at the top and within.
        let mut top = vec![0xf8, 0x07, 1];
        top.extend(&plainly);
        let mut within = vec![0x0a, plainly[1] + 3, 0xf8, 0x07, 1];
        within.extend(&plainly[2..]);
        for odd in [top, within] {
            assert!(message(&odd).unwrap().odd);
            let mut out = Vec::new();
            plain(&odd, &mut out);
            assert_eq!(out, plainly);
        }
    }
}
