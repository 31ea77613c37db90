//! The messages of a trace request as data: which key is which field, and how its value is written.
//!
//! Source: <https://github.com/open-telemetry/opentelemetry-proto>, `trace/v1`, `common/v1`, `resource/v1` of v1.8.0.

use super::super::span::{KINDS, STATUSES};

/// How a value is written.
#[derive(Debug)]
pub(super) enum Kind {
    Text,
    /// In base64.
    Bytes,
    TraceId,
    SpanId,
    /// Unsigned, 64 bits, fixed.
    Fixed64,
    /// Unsigned, 32 bits, fixed.
    Fixed32,
    /// Unsigned, 32 bits.
    Uint32,
    /// With the prefix and the names of its values.
    Enum(&'static str, &'static [&'static str]),
    Bool,
    Int,
    Double,
    /// Another message.
    Message(&'static Schema),
}

/// One field: its key in lowerCamelCase and as protobuf spells it.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) keys: [&'static str; 2],
    pub(super) number: u32,
    pub(super) kind: Kind,
    pub(super) list: bool,
}

/// What is special about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    Request,
    /// Of the containers above spans: what is no such thing fails the document.
    Container,
    /// What cannot be written is counted and left out.
    Span,
    /// May be its bare code.
    Status,
    /// A choice: written even if it is its field's default. May be a bare scalar.
    Value,
    /// The same in a list, where a bare scalar would be shorter than what stands for it.
    Element,
    /// Written even if it is no object: a link that leads nowhere is counted where spans are read.
    Link,
    Plain,
}

/// A message.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) nature: Nature,
    pub(super) fields: &'static [Field],
}

const fn one(camel: &'static str, snake: &'static str, number: u32, kind: Kind) -> Field {
    Field { keys: [camel, snake], number, kind, list: false }
}

const fn list(camel: &'static str, snake: &'static str, number: u32, kind: Kind) -> Field {
    Field { keys: [camel, snake], number, kind, list: true }
}

const fn dropped(camel: &'static str, snake: &'static str, number: u32) -> Field {
    one(camel, snake, number, Kind::Uint32)
}

const fn attributes(number: u32) -> Field {
    list("attributes", "attributes", number, Kind::Message(&KEY_VALUE))
}

const fn schema_url() -> Field {
    one("schemaUrl", "schema_url", 3, Kind::Text)
}

pub(super) static REQUEST: Schema = Schema {
    nature: Nature::Request,
    fields: &[list("resourceSpans", "resource_spans", 1, Kind::Message(&RESOURCE_SPANS))],
};

static RESOURCE_SPANS: Schema = Schema {
    nature: Nature::Container,
    fields: &[
        one("resource", "resource", 1, Kind::Message(&RESOURCE)),
        list("scopeSpans", "scope_spans", 2, Kind::Message(&SCOPE_SPANS)),
        // As exporters wrote it until 2022; the same message.
        list("instrumentationLibrarySpans", "instrumentation_library_spans", 2, Kind::Message(&SCOPE_SPANS)),
        schema_url(),
    ],
};

static RESOURCE: Schema = Schema {
    nature: Nature::Plain,
    fields: &[
        attributes(1),
        dropped("droppedAttributesCount", "dropped_attributes_count", 2),
        list("entityRefs", "entity_refs", 3, Kind::Message(&ENTITY_REF)),
    ],
};

static ENTITY_REF: Schema = Schema {
    nature: Nature::Plain,
    fields: &[
        one("schemaUrl", "schema_url", 1, Kind::Text),
        one("type", "type", 2, Kind::Text),
        list("idKeys", "id_keys", 3, Kind::Text),
        list("descriptionKeys", "description_keys", 4, Kind::Text),
    ],
};

static SCOPE_SPANS: Schema = Schema {
    nature: Nature::Container,
    fields: &[
        one("scope", "scope", 1, Kind::Message(&SCOPE)),
        one("instrumentationLibrary", "instrumentation_library", 1, Kind::Message(&SCOPE)),
        list("spans", "spans", 2, Kind::Message(&SPAN)),
        schema_url(),
    ],
};

static SCOPE: Schema = Schema {
    nature: Nature::Plain,
    fields: &[
        one("name", "name", 1, Kind::Text),
        one("version", "version", 2, Kind::Text),
        attributes(3),
        dropped("droppedAttributesCount", "dropped_attributes_count", 4),
    ],
};

static SPAN: Schema = Schema {
    nature: Nature::Span,
    fields: &[
        one("traceId", "trace_id", 1, Kind::TraceId),
        one("spanId", "span_id", 2, Kind::SpanId),
        one("traceState", "trace_state", 3, Kind::Text),
        one("parentSpanId", "parent_span_id", 4, Kind::SpanId),
        one("name", "name", 5, Kind::Text),
        one("kind", "kind", 6, Kind::Enum("SPAN_KIND_", &KINDS)),
        one("startTimeUnixNano", "start_time_unix_nano", 7, Kind::Fixed64),
        one("endTimeUnixNano", "end_time_unix_nano", 8, Kind::Fixed64),
        attributes(9),
        dropped("droppedAttributesCount", "dropped_attributes_count", 10),
        list("events", "events", 11, Kind::Message(&EVENT)),
        dropped("droppedEventsCount", "dropped_events_count", 12),
        list("links", "links", 13, Kind::Message(&LINK)),
        dropped("droppedLinksCount", "dropped_links_count", 14),
        one("status", "status", 15, Kind::Message(&STATUS)),
        one("flags", "flags", 16, Kind::Fixed32),
    ],
};

static EVENT: Schema = Schema {
    nature: Nature::Plain,
    fields: &[
        one("timeUnixNano", "time_unix_nano", 1, Kind::Fixed64),
        one("name", "name", 2, Kind::Text),
        attributes(3),
        dropped("droppedAttributesCount", "dropped_attributes_count", 4),
    ],
};

static LINK: Schema = Schema {
    nature: Nature::Link,
    fields: &[
        one("traceId", "trace_id", 1, Kind::TraceId),
        one("spanId", "span_id", 2, Kind::SpanId),
        one("traceState", "trace_state", 3, Kind::Text),
        attributes(4),
        dropped("droppedAttributesCount", "dropped_attributes_count", 5),
        one("flags", "flags", 6, Kind::Fixed32),
    ],
};

static STATUS: Schema = Schema {
    nature: Nature::Status,
    fields: &[one("message", "message", 2, Kind::Text), one("code", "code", 3, Kind::Enum("STATUS_CODE_", &STATUSES))],
};

static KEY_VALUE: Schema = Schema {
    nature: Nature::Plain,
    fields: &[one("key", "key", 1, Kind::Text), one("value", "value", 2, Kind::Message(&ANY_VALUE))],
};

static ANY_VALUE: Schema = Schema { nature: Nature::Value, fields: &CHOICES };

static ELEMENT: Schema = Schema { nature: Nature::Element, fields: &CHOICES };

static CHOICES: [Field; 7] = [
    one("stringValue", "string_value", 1, Kind::Text),
    one("boolValue", "bool_value", 2, Kind::Bool),
    one("intValue", "int_value", 3, Kind::Int),
    one("doubleValue", "double_value", 4, Kind::Double),
    one("arrayValue", "array_value", 5, Kind::Message(&ARRAY)),
    one("kvlistValue", "kvlist_value", 6, Kind::Message(&LIST)),
    one("bytesValue", "bytes_value", 7, Kind::Bytes),
];

static ARRAY: Schema =
    Schema { nature: Nature::Plain, fields: &[list("values", "values", 1, Kind::Message(&ELEMENT))] };

static LIST: Schema =
    Schema { nature: Nature::Plain, fields: &[list("values", "values", 1, Kind::Message(&KEY_VALUE))] };
