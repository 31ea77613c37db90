use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData};
use proptest::prelude::*;
use prost::Message as _;
use prost::encoding::{encode_varint, encoded_len_varint};

use super::*;
use crate::source::mapper::Mapper;
use crate::spans::semconv::SPAN_ATTRIBUTES;

/// Small random numbers from a seed that proptest can shrink.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn once_in(&mut self, n: u64) -> bool {
        self.roll(n) == 0
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len() as u64) as usize].clone()
    }

    fn some<T>(&mut self, most: u64, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.roll(most + 1)).map(|_| make(self)).collect()
    }
}

const TEXTS: [&str; 22] = [
    "",
    " ",
    "kafka",
    "PostgreSQL",
    "mssql",
    "orders",
    "orders publish",
    "send orders",
    "GET /users/5",
    "GET",
    "14",
    "503",
    "2.5",
    "true",
    "api.example.com:443",
    "http://bob@API.example.com:80/x?y",
    "[::1]:80",
    "é→",
    "OK",
    "Unavailable",
    "java.net.ConnectException",
    "cart",
];

fn text(dice: &mut Dice) -> String {
    dice.one(&TEXTS).to_owned()
}

fn value(dice: &mut Dice) -> Any {
    match dice.roll(12) {
        0 => Any::BoolValue(dice.once_in(2)),
        1 | 2 => Any::IntValue(dice.one(&[0, 1, 2, 10, 14, 200, 404, 503, -1, i64::MAX])),
        3 => Any::DoubleValue(dice.one(&[0.25, 4.0, 500.0, f64::NAN, -0.0])),
        4 => Any::ArrayValue(ArrayValue { values: vec![AnyValue { value: Some(Any::StringValue(text(dice))) }] }),
        5 => Any::KvlistValue(KeyValueList { values: vec![] }),
        6 => Any::BytesValue(vec![1, 2]),
        _ => Any::StringValue(text(dice)),
    }
}

fn pair(dice: &mut Dice) -> KeyValue {
    let key = match dice.roll(10) {
        0 => dice.one(&["http.route", "", "SampleRate", "é", "db"]).to_owned(),
        1 => dice.one(&["service.name", "service.namespace", "service.version", "SampleRate"]).to_owned(),
        _ => {
            let (_, keys) = dice.one(SPAN_ATTRIBUTES);
            dice.one(keys).to_owned()
        }
    };
    let value = (!dice.once_in(20)).then(|| AnyValue { value: (!dice.once_in(20)).then(|| value(dice)) });
    KeyValue { key, value, key_strindex: i32::from(dice.once_in(50)) }
}

fn id(dice: &mut Dice, length: usize) -> Vec<u8> {
    match dice.roll(12) {
        0 => vec![],
        1 => vec![0; length],
        2 => vec![7; dice.roll(20) as usize],
        _ => vec![1 + dice.roll(3) as u8; length],
    }
}

fn span_of(dice: &mut Dice) -> Span {
    Span {
        trace_id: id(dice, 16),
        span_id: id(dice, 8),
        parent_span_id: if dice.once_in(2) { vec![] } else { id(dice, 8) },
        trace_state: dice.one(&["", "", "ot=th:8", "x=y"]).to_owned(),
        flags: dice.one(&[0, 1, 0x101]),
        name: text(dice),
        kind: dice.one(&[0, 1, 2, 3, 3, 4, 5, 77, -1]),
        start_time_unix_nano: dice.one(&[0, 5, 9, u64::MAX]),
        end_time_unix_nano: dice.one(&[0, 5, 9, 1 << 40]),
        attributes: dice.some(9, pair),
        dropped_attributes_count: dice.one(&[0, 3]),
        events: dice.some(2, |dice| Event {
            time_unix_nano: 7,
            name: dice.one(&["exception", "exception", "log", ""]).to_owned(),
            attributes: dice.some(3, pair),
            dropped_attributes_count: 0,
        }),
        dropped_events_count: dice.one(&[0, 300]),
        links: dice.some(2, |dice| Link {
            trace_id: id(dice, 16),
            span_id: id(dice, 8),
            trace_state: text(dice),
            attributes: dice.some(1, pair),
            dropped_attributes_count: 1,
            flags: 1,
        }),
        dropped_links_count: dice.one(&[0, 3]),
        status: (!dice.once_in(3)).then(|| Status { message: text(dice), code: dice.one(&[0, 1, 2, 9]) }),
    }
}

fn traces(dice: &mut Dice) -> TracesData {
    let scope = |dice: &mut Dice| ScopeSpans {
        scope: dice.once_in(2).then(|| InstrumentationScope { name: text(dice), ..InstrumentationScope::default() }),
        spans: dice.some(4, span_of),
        schema_url: text(dice),
    };
    let resource_spans = dice.some(3, |dice| ResourceSpans {
        resource: (!dice.once_in(8)).then(|| Resource { attributes: dice.some(4, pair), ..Resource::default() }),
        scope_spans: dice.some(3, scope),
        schema_url: text(dice),
    });
    TracesData { resource_spans }
}

/// What a message is, so that the messages in its fields are known.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Traces,
    ResourceSpans,
    Resource,
    Scope,
    Span,
    Pair,
    Event,
    Link,
    Status,
    Value,
}

impl Kind {
    fn inside(self, field: u64) -> Option<Self> {
        Some(match (self, field) {
            (Self::Traces, 1) => Self::ResourceSpans,
            (Self::ResourceSpans, 1) => Self::Resource,
            (Self::ResourceSpans, 2) => Self::Scope,
            (Self::Scope, 2) => Self::Span,
            (Self::Resource, 1) | (Self::Span, 9) | (Self::Event, 3) | (Self::Link, 4) => Self::Pair,
            (Self::Span, 11) => Self::Event,
            (Self::Span, 13) => Self::Link,
            (Self::Span, 15) => Self::Status,
            (Self::Pair, 2) => Self::Value,
            _ => return None,
        })
    }
}

fn varint(n: u64, padding: usize, out: &mut Vec<u8>) {
    let length = encoded_len_varint(n);
    encode_varint(n, out);
    let padding = padding.min(10 - length);
    if padding > 0 {
        *out.last_mut().unwrap() |= 0x80;
        out.extend(std::iter::repeat_n(0x80, padding - 1));
        out.push(0);
    }
}

/// The same message as another writer might have put it, or as a bad one would: fields in another order, twice, unknown,
/// of another type, lengths in more bytes than they take, bytes changed or missing. The higher `calm`, the less of it.
fn written_otherwise(message: &[u8], kind: Kind, dice: &mut Dice, calm: u64) -> Vec<u8> {
    let mut fields = Vec::new();
    for field in wire::fields(message) {
        let field = field.unwrap();
        let mut out = Vec::new();
        let padding = if dice.once_in(8 * calm) { 1 + dice.roll(9) as usize } else { 0 };
        if let Some(bytes) = field.bytes {
            let inner = match kind.inside(field.number) {
                Some(kind) => written_otherwise(bytes, kind, dice, calm),
                None => bytes.to_vec(),
            };
            let number = if kind == Kind::ResourceSpans && field.number == 2 && dice.once_in(calm) {
                LIBRARY_SPANS
            } else {
                field.number
            };
            varint(number << 3 | 2, padding, &mut out);
            varint(inner.len() as u64, padding, &mut out);
            out.extend(inner);
        } else {
            out = whole(message, &field);
        }
        if dice.once_in(40 * calm) {
            // Another type, or a group.
            out.clear();
            varint(field.number << 3 | dice.one(&[0, 1, 2, 3, 5]), 0, &mut out);
            out.extend([8, 1, 8, 1, 8, 1, 8, 1][..dice.one(&[1, 4, 8])].iter());
        }
        fields.push(out);
    }
    let parts: Vec<_> = wire::fields(message).map(Result::unwrap).collect();
    if dice.once_in(2 * calm) && !parts.is_empty() {
        // Once more, a message without some of its fields.
        let field = dice.one(&parts);
        fields.push(match (field.bytes, kind.inside(field.number)) {
            (Some(bytes), Some(_)) => {
                let inner: Vec<Vec<u8>> = wire::fields(bytes).map(|f| whole(bytes, &f.unwrap())).collect();
                let inner: Vec<u8> = inner.into_iter().filter(|_| dice.once_in(2)).flatten().collect();
                let mut out = Vec::new();
                varint(field.number << 3 | 2, 0, &mut out);
                varint(inner.len() as u64, 0, &mut out);
                out.extend(inner);
                out
            }
            _ => dice.one(&fields),
        });
    }
    if kind == Kind::Value && dice.once_in(2 * calm) {
        fields.push(AnyValue { value: Some(value(dice)) }.encode_to_vec());
    }
    if dice.once_in(4 * calm) {
        let mut out = Vec::new();
        let number = dice.one(&[17, 30, 2_000, (1 << 29) - 1]);
        match dice.roll(5) {
            0 => {
                varint(number << 3, 0, &mut out);
                varint(u64::MAX, 0, &mut out);
            }
            1 => {
                varint(number << 3 | 2, 0, &mut out);
                out.extend([3, 1, 2, 0xff]);
            }
            2 => {
                varint(number << 3 | 1, 0, &mut out);
                out.extend([8; 8]);
            }
            3 => {
                varint(number << 3 | 5, 0, &mut out);
                out.extend([8; 4]);
            }
            _ => {
                varint(number << 3 | 3, 0, &mut out);
                varint(number << 3 | 4, 0, &mut out);
            }
        }
        fields.push(out);
    }
    if dice.once_in(2 * calm) {
        for i in (1..fields.len()).rev() {
            fields.swap(i, dice.roll(i as u64 + 1) as usize);
        }
    }
    let mut out = fields.concat();
    if dice.once_in(60 * calm) {
        out.pop();
    }
    if dice.once_in(30 * calm) && !out.is_empty() {
        let at = dice.roll(out.len() as u64) as usize;
        out[at] = dice.roll(256) as u8;
    }
    out
}

/// A field with its tag and length, as it stands in what prost wrote.
fn whole(message: &[u8], field: &wire::Field<'_>) -> Vec<u8> {
    let mut rest = Bytes(message);
    loop {
        let before = rest;
        let (number, payload) = rest.field().unwrap();
        let same = match (payload, field.bytes) {
            (Payload::Bytes(one), Some(other)) => std::ptr::eq(one, other),
            (Payload::Bytes(_), None) | (_, Some(_)) => false,
            _ => true,
        };
        if number == field.number && same {
            return before.0[..before.0.len() - rest.0.len()].to_vec();
        }
    }
}

/// Puts every call of a decoder into words.
struct Calls {
    mapper: Mapper,
    /// Whether the mapper may use what it has seen.
    remembers: bool,
    calls: Vec<String>,
}

impl Calls {
    fn new(remembers: bool) -> Self {
        Self { mapper: Mapper::new(Some("SampleRate".into())), remembers, calls: Vec::new() }
    }

    fn note(&mut self) {
        let batch = &mut self.mapper.batch;
        let row = batch.rows.pop().map(|row| {
            let peer = &batch.peers()[row.peer.0 as usize];
            let (resource, error) =
                (&batch.resources()[row.resource.0 as usize], &batch.errors()[row.error.0 as usize]);
            let ids = (row.trace_id, row.span_id, row.parent_id, row.start, row.end, row.weight);
            let name = batch.strings.get(row.name);
            format!("{ids:?} {name} {:?} {:?} {resource:?} {peer:?} {error:?} {:?}", row.kind, row.flags, batch.links)
        });
        batch.links.clear();
        let rejected = std::mem::take(&mut self.mapper.rejected);
        let repaired = std::mem::take(&mut self.mapper.repaired);
        self.calls.push(row.unwrap_or_else(|| format!("{rejected:?}")) + &format!(" {repaired:?}"));
    }
}

impl Rows for Calls {
    fn resource(&mut self, attributes: &Attributes<'_>) -> ResourceId {
        self.mapper.resource(attributes)
    }

    fn span(&mut self, resource: ResourceId, span: &SpanView<'_>) -> bool {
        if !self.remembers {
            self.mapper.forget();
        }
        self.mapper.span(resource, span);
        self.note();
        true
    }

    fn reject(&mut self, code: &'static str, why: &str) {
        self.mapper.reject(code, why);
        self.note();
    }

    fn classify_raw(&self, key: &[u8]) -> Option<(Slot, u8)> {
        self.mapper.classify_raw(key)
    }

    fn known_resource(&mut self, raw: &[u8]) -> Option<ResourceId> {
        self.mapper.known_resource(raw)
    }

    fn learn_resource(&mut self, raw: &[u8], id: ResourceId) {
        self.mapper.learn_resource(raw, id);
    }
}

const MALFORMED: &str = r#"{"span-malformed": 1} {}"#;

/// Both ways over some messages must agree, span for span; a span that the reference cannot decode may be kept where the
/// fast path did not look at what is wrong with it. Gives how many were kept.
fn agree(messages: &[Vec<u8>]) -> usize {
    let (mut fast, mut reference, mut forgetful) = (Calls::new(true), Calls::new(false), Calls::new(false));
    let mut walker = Walker::new(Vec::new());
    // Twice: what was seen before must change nothing.
    for message in messages.iter().chain(messages) {
        let walked = walker.message(message, &mut fast);
        let decoded = proto::decode(message, &mut reference);
        assert_eq!(walker.message(message, &mut forgetful), walked);
        assert_eq!(walked.map(drop), decoded);
    }
    assert_eq!(fast.calls, forgetful.calls);
    assert_eq!(fast.calls.len(), reference.calls.len());
    let kept = |(fast, reference): &(String, String)| {
        assert!(fast == reference || reference == MALFORMED, "fast:      {fast}\nreference: {reference}");
        fast != reference
    };
    fast.calls.into_iter().zip(reference.calls).filter(kept).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn plain_messages_give_the_same_rows(seed in any::<u64>()) {
        let mut dice = Dice(seed);
        let messages = dice.some(3, |dice| traces(dice).encode_to_vec());
        prop_assert_eq!(agree(&messages), 0);
    }

    #[test]
    fn messages_written_in_any_way_give_the_same_rows(seed in any::<u64>(), calm in 1u64..30) {
        let mut dice = Dice(seed);
        let messages = dice.some(3, |dice| {
            let message = traces(dice).encode_to_vec();
            written_otherwise(&message, Kind::Traces, dice, calm)
        });
        agree(&messages);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        agree(&[bytes]);
    }
}

/// A span with all that the fast path knows, and strings that nobody reads, which are not UTF-8.
fn with_unread_damage() -> Vec<u8> {
    let text = |key: &str, value: &str| KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(Any::StringValue(value.into())) }),
        ..KeyValue::default()
    };
    let span = Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        parent_span_id: vec![3; 8],
        trace_state: "ot=th:8".into(),
        flags: 0x101,
        name: "SELECT".into(),
        kind: 3,
        start_time_unix_nano: 5,
        end_time_unix_nano: 9,
        attributes: vec![text("db.system", "mysql"), text("db.statement", "MARK"), text("x.MARK", "y")],
        dropped_attributes_count: 300,
        events: vec![
            Event { name: "MARK".into(), ..Event::default() },
            Event {
                time_unix_nano: 5,
                name: "exception".into(),
                attributes: vec![text("exception.message", "MARK"), text("exception.type", "E")],
                ..Event::default()
            },
        ],
        dropped_events_count: 1,
        links: vec![Link {
            trace_id: vec![4; 16],
            span_id: vec![5; 8],
            trace_state: "MARK".into(),
            flags: 1,
            ..Link::default()
        }],
        dropped_links_count: 1,
        status: Some(Status { code: 2, message: "MARK".into() }),
    };
    let scope = InstrumentationScope { name: "MARK".into(), ..InstrumentationScope::default() };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans: vec![span], schema_url: "MARK".into() }];
    let resource = Some(Resource { attributes: vec![text("service.name", "cart")], ..Resource::default() });
    let resource_spans = vec![ResourceSpans { resource, scope_spans, schema_url: "MARK".into() }];
    let mut bytes = TracesData { resource_spans }.encode_to_vec();
    while let Some(at) = bytes.windows(4).position(|w| w == b"MARK") {
        bytes[at] = 0xff;
    }
    bytes
}

#[test]
fn a_string_that_nobody_reads_may_be_anything() {
    let bytes = with_unread_damage();
    assert_eq!(agree(std::slice::from_ref(&bytes)), 2);
    let mut mapper = Mapper::default();
    Walker::new(Vec::new()).message(&bytes, &mut mapper).unwrap();
    let batch = &mapper.batch;
    let row = batch.rows[0];
    assert_eq!(batch.errors()[row.error.0 as usize].exception_type, "E");
    assert_eq!((batch.peers()[row.peer.0 as usize].system.as_str(), batch.links.len()), ("mysql", 1));
}

#[test]
fn a_string_that_is_read_must_be_text() {
    for word in ["mysql", "SELECT", "ot=th", "cart"] {
        let mut bytes = with_unread_damage();
        let at = bytes.windows(word.len()).position(|w| w == word.as_bytes()).unwrap();
        bytes[at] = 0xff;
        let mut mapper = Mapper::default();
        Walker::new(Vec::new()).message(&bytes, &mut mapper).unwrap();
        let want = usize::from(word == "cart");
        assert_eq!((mapper.batch.rows.len(), mapper.rejected.len()), (want, 1 - want), "{word}");
    }
}

#[test]
fn spans_handed_on_before_the_damage_are_not_handed_on_again() {
    let whole = with_unread_damage();
    // A second scope ends too early.
    let bytes = wire::fields(&whole).next().unwrap().unwrap().bytes.unwrap();
    let inner = [bytes, &[0x12, 2, 0x12, 9]].concat();
    let mut message = vec![0x0a];
    encode_varint(inner.len() as u64, &mut message);
    message.extend(inner);
    let mut mapper = Mapper::default();
    assert_eq!(Walker::new(Vec::new()).message(&message, &mut mapper), Err(Broken));
    assert_eq!((mapper.batch.rows.len(), mapper.rejected.len()), (1, 0));
}
