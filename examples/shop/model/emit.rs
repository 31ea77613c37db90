//! Records as OTLP: JSON lines and protobuf, as the Collector's file exporter writes them.
//!
//! JSON: hexadecimal ids, 64-bit integers as strings, enums as numbers, nothing that has its default value. Protobuf:
//! requests one after another are themselves one large request (repeated fields concatenate), so that form streams too.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1 as wire_resource;
use opentelemetry_proto::tonic::trace::v1 as wire;
use prost::Message;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use super::span::{Attributes, Span, Value};
use super::stream::Record;
use super::world::World;

const SCOPE_VERSION: &str = "1.39.0";
/// OTLP span flags: sampled, random trace id, and that the bit for "parent is remote" is meant.
const FLAGS: u32 = 0x103;

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// One `ExportTraceServiceRequest` as JSON per line, like the Collector's file exporter
    Jsonl,
    /// One protobuf `TracesData`
    Proto,
    /// Protobuf requests, each after its length in 4 bytes, big-endian, like the Collector's file exporter
    Delimited,
    /// Protobuf requests, each after its length as a varint, like protobuf's own delimited streams
    Varint,
}

/// Writes records.
#[derive(Debug)]
pub(crate) struct Writer<W> {
    world: Rc<World>,
    format: Format,
    out: W,
    buffer: Vec<u8>,
    bytes: u64,
}

impl<W: io::Write> Writer<W> {
    pub(super) fn new(world: Rc<World>, format: Format, out: W) -> Self {
        Self { world, format, out, buffer: Vec::new(), bytes: 0 }
    }

    /// Bytes written so far, before any compression.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives the output back.
    pub(crate) fn into_inner(self) -> W {
        self.out
    }

    /// Writes one record.
    pub(crate) fn write(&mut self, record: &Record) -> io::Result<()> {
        self.buffer.clear();
        let groups = group(&record.spans);
        match self.format {
            Format::Jsonl => {
                serde_json::to_writer(&mut self.buffer, &Request { world: &self.world, groups: &groups })?;
                self.buffer.push(b'\n');
            }
            Format::Proto => request(&self.world, &groups).encode(&mut self.buffer)?,
            Format::Varint => request(&self.world, &groups).encode_length_delimited(&mut self.buffer)?,
            Format::Delimited => {
                let request = request(&self.world, &groups);
                let length = u32::try_from(request.encoded_len()).map_err(io::Error::other)?;
                self.buffer.extend(length.to_be_bytes());
                request.encode(&mut self.buffer)?;
            }
        }
        self.bytes += self.buffer.len() as u64;
        self.out.write_all(&self.buffer)
    }
}

/// Spans by copy of the system and process, then scope.
type Groups<'a> = BTreeMap<(u32, u32), BTreeMap<&'static str, Vec<&'a Span>>>;

fn group(spans: &[Span]) -> Groups<'_> {
    let mut groups = Groups::new();
    for span in spans {
        groups.entry((span.cell, span.process)).or_default().entry(span.scope).or_default().push(span);
    }
    groups
}

/// What a process says of itself: each copy of the system has services of its own.
fn resource(world: &World, (cell, process): (u32, u32)) -> Cow<'_, Attributes> {
    let attributes = &world.processes[process as usize].attributes;
    if cell == 0 {
        return Cow::Borrowed(attributes);
    }
    let mut attributes = attributes.clone();
    for (key, value) in &mut attributes {
        if let ("service.name", Value::Static(name)) = (*key, &*value) {
            *value = Value::Text(format!("{name}-{cell}"));
        }
    }
    Cow::Owned(attributes)
}

/// A variant is told by a word that no reader takes for an id: syllables, at least four.
fn name(span: &Span) -> Cow<'static, str> {
    if span.variant == 0 {
        return Cow::Borrowed(span.name);
    }
    let (mut name, mut left) = (format!("{} ", span.name), span.variant - 1);
    let mut syllables = 0;
    while syllables < 4 || left > 0 {
        let [consonant, vowel] = [left % 14, left / 14 % 5].map(|n| usize::try_from(n).unwrap_or(0));
        name.push(char::from(b"bdfgklmnprstvz"[consonant]));
        name.push(char::from(b"aeiou"[vowel]));
        left /= 70;
        syllables += 1;
    }
    Cow::Owned(name)
}

// JSON.

struct Request<'a> {
    world: &'a World,
    groups: &'a Groups<'a>,
}

impl Serialize for Request<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(
            "resourceSpans",
            &List(|| self.groups.iter().map(|(p, s)| JsonResource(self.world, *p, s))),
        )?;
        map.end()
    }
}

/// A sequence from an iterator that can be started anew.
struct List<F>(F);

impl<T: Serialize, I: Iterator<Item = T>, F: Fn() -> I> Serialize for List<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for item in (self.0)() {
            list.serialize_element(&item)?;
        }
        list.end()
    }
}

struct JsonResource<'a>(&'a World, (u32, u32), &'a BTreeMap<&'static str, Vec<&'a Span>>);

impl Serialize for JsonResource<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Resource<'a> {
            #[serde(serialize_with = "attributes")]
            attributes: &'a Attributes,
        }
        #[derive(Serialize)]
        struct Scope {
            name: &'static str,
            version: &'static str,
        }
        #[derive(Serialize)]
        struct ScopeSpans<L> {
            scope: Scope,
            spans: L,
        }
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("resource", &Resource { attributes: &resource(self.0, self.1) })?;
        let scopes = || {
            self.2.iter().map(|(name, spans)| ScopeSpans {
                scope: Scope { name, version: SCOPE_VERSION },
                spans: List(|| spans.iter().copied().map(json_span)),
            })
        };
        map.serialize_entry("scopeSpans", &List(scopes))?;
        map.end()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonSpan<'a> {
    trace_id: String,
    span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_state: Option<&'a str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    parent_span_id: String,
    flags: u32,
    name: Cow<'static, str>,
    kind: u8,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    #[serde(serialize_with = "attributes", skip_serializing_if = "no_attributes")]
    attributes: &'a Attributes,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<JsonEvent>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<JsonLink>,
    status: JsonStatus,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonEvent {
    time_unix_nano: String,
    name: &'static str,
    #[serde(serialize_with = "owned_attributes")]
    attributes: Attributes,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonLink {
    trace_id: String,
    span_id: String,
}

#[derive(Serialize)]
struct JsonStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u8>,
}

fn json_span(span: &Span) -> JsonSpan<'_> {
    JsonSpan {
        trace_id: format!("{:032x}", span.trace_id),
        span_id: format!("{:016x}", span.span_id),
        trace_state: span.trace_state.as_deref(),
        parent_span_id: if span.parent_id == 0 { String::new() } else { format!("{:016x}", span.parent_id) },
        flags: FLAGS,
        name: name(span),
        kind: span.kind as u8,
        start_time_unix_nano: span.start.to_string(),
        end_time_unix_nano: span.end.to_string(),
        attributes: &span.attributes,
        events: span
            .exception
            .iter()
            .map(|e| JsonEvent {
                time_unix_nano: e.time.to_string(),
                name: "exception",
                attributes: exception_attributes(e.class, e.message),
            })
            .collect(),
        links: span
            .links
            .iter()
            .map(|(t, s)| JsonLink { trace_id: format!("{t:032x}"), span_id: format!("{s:016x}") })
            .collect(),
        status: JsonStatus { message: span.error, code: span.error.map(|_| 2) },
    }
}

fn exception_attributes(class: &'static str, message: &'static str) -> Attributes {
    vec![("exception.type", Value::Static(class)), ("exception.message", Value::Static(message))]
}

#[allow(clippy::ptr_arg, reason = "serde's signature")]
fn no_attributes(attributes: &&Attributes) -> bool {
    attributes.is_empty()
}

fn owned_attributes<S: Serializer>(attributes: &Attributes, serializer: S) -> Result<S::Ok, S::Error> {
    self::attributes(&attributes, serializer)
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn attributes<S: Serializer>(attributes: &&Attributes, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Pair<'a> {
        key: &'static str,
        value: JsonValue<'a>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    enum JsonValue<'a> {
        StringValue(&'a str),
        IntValue(String),
    }
    let mut list = serializer.serialize_seq(Some(attributes.len()))?;
    for (key, value) in *attributes {
        let value = match value {
            Value::Static(text) => JsonValue::StringValue(text),
            Value::Text(text) => JsonValue::StringValue(text),
            Value::Int(number) => JsonValue::IntValue(number.to_string()),
        };
        list.serialize_element(&Pair { key, value })?;
    }
    list.end()
}

// Protobuf.

fn request(world: &World, groups: &Groups<'_>) -> ExportTraceServiceRequest {
    let scopes = |scopes: &BTreeMap<&'static str, Vec<&Span>>| {
        scopes
            .iter()
            .map(|(name, spans)| wire::ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: (*name).to_owned(),
                    version: SCOPE_VERSION.to_owned(),
                    ..InstrumentationScope::default()
                }),
                spans: spans.iter().map(|span| wire_span(span)).collect(),
                schema_url: String::new(),
            })
            .collect()
    };
    let resource_spans = groups
        .iter()
        .map(|(process, by_scope)| wire::ResourceSpans {
            resource: Some(wire_resource::Resource {
                attributes: wire_attributes(&resource(world, *process)),
                ..wire_resource::Resource::default()
            }),
            scope_spans: scopes(by_scope),
            schema_url: String::new(),
        })
        .collect();
    ExportTraceServiceRequest { resource_spans }
}

fn wire_span(span: &Span) -> wire::Span {
    let parent = span.parent_id.to_be_bytes();
    let event = |e: &super::span::Exception| wire::span::Event {
        time_unix_nano: e.time,
        name: "exception".to_owned(),
        attributes: wire_attributes(&exception_attributes(e.class, e.message)),
        dropped_attributes_count: 0,
    };
    let link = |(trace, id): &(u128, u64)| wire::span::Link {
        trace_id: trace.to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        ..wire::span::Link::default()
    };
    wire::Span {
        trace_id: span.trace_id.to_be_bytes().to_vec(),
        span_id: span.span_id.to_be_bytes().to_vec(),
        trace_state: span.trace_state.as_deref().unwrap_or_default().to_owned(),
        parent_span_id: if span.parent_id == 0 { Vec::new() } else { parent.to_vec() },
        flags: FLAGS,
        name: name(span).into_owned(),
        kind: span.kind as i32,
        start_time_unix_nano: span.start,
        end_time_unix_nano: span.end,
        attributes: wire_attributes(&span.attributes),
        events: span.exception.iter().map(event).collect(),
        links: span.links.iter().map(link).collect(),
        status: Some(wire::Status {
            message: span.error.unwrap_or_default().to_owned(),
            code: if span.error.is_some() { 2 } else { 0 },
        }),
        ..wire::Span::default()
    }
}

fn wire_attributes(attributes: &Attributes) -> Vec<KeyValue> {
    attributes
        .iter()
        .map(|(key, value)| KeyValue {
            key: (*key).to_owned(),
            value: Some(AnyValue {
                value: Some(match value {
                    Value::Static(text) => any_value::Value::StringValue((*text).to_owned()),
                    Value::Text(text) => any_value::Value::StringValue(text.clone()),
                    Value::Int(number) => any_value::Value::IntValue(*number),
                }),
            }),
            ..KeyValue::default()
        })
        .collect()
}
