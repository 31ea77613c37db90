//! The one OTLP → span mapper: gRPC, protobuf, JSON and search answers all end here.
//!
//! A decoder describes a resource once and then each of its spans as a borrowed [`SpanView`]; the mapper checks ids,
//! derives peer, error class, weight and operation name from the attributes, and appends a row. One bad span is counted
//! under its code and never drops its neighbours.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use foldhash::fast::FixedState;

use super::{outcome, peer, sampling};
use crate::diag::{Diagnostic, Location};
use crate::spans::semconv::{self, Slot};
use crate::spans::{
    ErrorClass, ErrorId, Link, Peer, PeerId, Resource, ResourceId, SpanBatch, SpanFlags, SpanId, SpanKind, SpanRow,
    Sym, TraceId, Weight, normalize,
};

/// Longest kept attribute value, in bytes.
pub(super) const MAX_VALUE: usize = 256;
/// Most links kept of one span; the rest is counted as `links-over-limit`.
const MAX_LINKS: usize = 1_024;
/// Most examples kept for each code.
pub(super) const MAX_EXAMPLES: usize = 3;
/// Raw names whose normalised symbol is remembered, at most, and how long such a name may be.
const MAX_KNOWN_NAMES: usize = 16_384;
/// Dictionaries larger than this are dropped between records.
const MAX_DICTIONARY: usize = 65_536;

/// An attribute value, borrowed from the wire. Arrays and maps are of no use here and become [`Value::Other`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    Str(&'a str),
    Int(i64),
    Double(f64),
    Bool(bool),
    Other,
}

impl<'a> Value<'a> {
    /// The value as text; `None` for arrays and maps, and for nothing but white space.
    pub(super) fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Str(text) => Some(text.trim()).filter(|t| !t.is_empty()).map(Cow::Borrowed),
            Self::Int(n) => Some(Cow::Owned(n.to_string())),
            Self::Double(x) => Some(Cow::Owned(x.to_string())),
            Self::Bool(b) => Some(Cow::Borrowed(if b { "true" } else { "false" })),
            Self::Other => None,
        }
    }

    /// The value as a number, also where it was sent as a string.
    #[allow(clippy::cast_precision_loss, reason = "rates and status numbers are small")]
    pub(super) fn number(self) -> Option<f64> {
        match self {
            Self::Int(n) => Some(n as f64),
            Self::Double(x) => Some(x),
            Self::Str(text) => text.trim().parse().ok(),
            Self::Bool(_) | Self::Other => None,
        }
    }
}

/// Attributes as they come: repeated keys allowed, the first wins.
pub(super) type Attributes<'a> = [(&'a str, Value<'a>)];

/// A span's event, as far as it matters.
#[derive(Debug, Clone, Default)]
pub(super) struct EventView<'a> {
    pub(super) name: &'a str,
    pub(super) attributes: Vec<(&'a str, Value<'a>)>,
}

/// One span, borrowed from the wire, ids already decoded (`TraceId(0)` and `SpanId::NONE` stand for "invalid").
#[derive(Debug, Clone, Default)]
pub(super) struct SpanView<'a> {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) parent_id: SpanId,
    pub(super) name: &'a str,
    pub(super) kind: i32,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) status_code: i32,
    pub(super) trace_state: &'a str,
    pub(super) attributes: Vec<(&'a str, Value<'a>)>,
    pub(super) events: Vec<EventView<'a>>,
    pub(super) links: Vec<(TraceId, SpanId)>,
}

/// The attributes of one span by what they are good for: the value of the best spelling.
pub(super) struct Known<'a>([Option<(u8, Value<'a>)>; Slot::COUNT]);

impl<'a> Known<'a> {
    pub(super) fn of(attributes: &Attributes<'a>) -> Self {
        let mut known = Self([None; Slot::COUNT]);
        for &(key, value) in attributes {
            let Some((slot, rank)) = semconv::slot(key) else { continue };
            let useless = matches!(value, Value::Other) || matches!(value, Value::Str(t) if t.trim().is_empty());
            if let Some(place) = known.0.get_mut(slot as usize)
                && !useless
                && place.is_none_or(|(best, _)| rank < best)
            {
                *place = Some((rank, value));
            }
        }
        known
    }

    pub(super) fn get(&self, slot: Slot) -> Option<Value<'a>> {
        self.0.get(slot as usize).copied().flatten().map(|(_, value)| value)
    }

    pub(super) fn text(&self, slot: Slot) -> Option<Cow<'a, str>> {
        self.get(slot).and_then(Value::text)
    }
}

/// Takes resources and their spans from a decoder.
pub(super) trait Rows {
    /// Registers a resource; pass the id to each of its spans.
    fn resource(&mut self, attributes: &Attributes<'_>) -> ResourceId;
    /// Takes one span; `false` asks the decoder to stop.
    fn span(&mut self, resource: ResourceId, span: &SpanView<'_>) -> bool;
    /// Counts a span that could not be read at all.
    fn reject(&mut self, code: &'static str, why: &str);
    /// Whether a span or event attribute can matter; decoders may leave the others out of the view.
    fn wants(&self, key: &str) -> bool;
}

/// Appends spans to a batch.
#[derive(Debug, Default)]
pub(super) struct Mapper {
    pub(super) batch: SpanBatch,
    /// Spans refused, by code.
    pub(super) rejected: BTreeMap<String, u64>,
    /// Things set right or left out without refusing a span, by code: `self-parent`, `link-invalid`, `outside-window`…
    pub(super) repaired: BTreeMap<&'static str, u64>,
    /// The first few refusals of each code.
    pub(super) examples: Vec<Diagnostic>,
    /// Where the spans come from, for the examples.
    pub(super) place: Location,
    window: Option<(u64, u64)>,
    rate_attribute: Option<String>,
    rates: HashMap<ResourceId, Weight, FixedState>,
    names: HashMap<Box<str>, Sym, FixedState>,
    peer: Peer,
}

impl Mapper {
    pub(super) fn new(rate_attribute: Option<String>) -> Self {
        let rate_attribute = rate_attribute.filter(|key| !semconv::NEVER_READ.contains(&key.as_str()));
        Self { rate_attribute, ..Self::default() }
    }

    /// Drops (and counts as `outside-window`) spans that start before the first or at or after the second instant.
    pub(super) fn within(mut self, window: Option<(u64, u64)>) -> Self {
        self.window = window;
        self
    }

    /// Registers a resource; pass the id to each of its spans.
    pub(super) fn resource(&mut self, attributes: &Attributes<'_>) -> ResourceId {
        let (mut name, mut namespace) = (None, None);
        let mut kept: BTreeMap<&'static str, (usize, String)> = BTreeMap::new();
        let mut rate = None;
        for &(key, value) in attributes {
            if self.rate_attribute.as_deref() == Some(key) {
                rate = rate.or_else(|| sampling::from_rate(value));
            }
            let Some(text) = value.text() else { continue };
            let place = match key {
                "service.name" => &mut name,
                "service.namespace" => &mut namespace,
                _ => {
                    if let Some((key, rank)) = semconv::resource_attribute(key)
                        && kept.get(key).is_none_or(|(best, _)| rank < *best)
                    {
                        kept.insert(key, (rank, normalize::attribute(&text, MAX_VALUE).into_owned()));
                    }
                    continue;
                }
            };
            place.get_or_insert_with(|| normalize::attribute(&text, MAX_VALUE).into_owned());
        }
        let resource = Resource {
            namespace: namespace.unwrap_or_default(),
            name: name.unwrap_or_default(),
            attributes: kept.into_iter().map(|(key, (_, text))| (key, text)).collect(),
        };
        let id = self.batch.resource_id(&resource);
        if self.rate_attribute.is_some() {
            // Always overwritten: the reduced resource may be the same although its rate is not.
            match rate {
                Some(rate) => self.rates.insert(id, rate),
                None => self.rates.remove(&id),
            };
        }
        id
    }

    /// Appends one span, or counts why not.
    pub(super) fn span(&mut self, resource: ResourceId, span: &SpanView<'_>) {
        if span.trace_id.0 == 0 {
            return self.refuse(span, "trace-id-invalid", "its trace id is missing, zero, or neither hex nor base64");
        }
        if span.span_id.is_none() {
            return self.refuse(span, "span-id-invalid", "its span id is missing, zero, or neither hex nor base64");
        }
        let mut flags = SpanFlags::default();
        let Some((start, end)) = times(span, &mut flags) else {
            return self.refuse(span, "span-without-time", "it has neither a start nor an end");
        };
        if self.window.is_some_and(|(from, to)| start < from || start >= to) {
            return self.repair("outside-window", 1);
        }
        let known = Known::of(&span.attributes);
        let kind = SpanKind::from_otlp(span.kind);
        let parent_id = if span.parent_id == span.span_id {
            self.repair("self-parent", 1);
            SpanId::NONE
        } else {
            span.parent_id
        };
        let error = self.error(span, &known, &mut flags);
        let weight = self.weight(resource, span, &known, &mut flags);
        let peer = self.peer(span.name, kind, &known);
        let name = self.name(span.name);
        self.links(span, &mut flags);
        self.batch.rows.push(SpanRow {
            trace_id: span.trace_id,
            span_id: span.span_id,
            parent_id,
            start,
            end,
            weight,
            name,
            resource,
            peer,
            error,
            kind,
            flags,
        });
    }

    /// Counts a span that could not be read at all.
    pub(super) fn reject(&mut self, code: &'static str, why: &str) {
        if let Some(n) = self.rejected.get_mut(code) {
            *n = n.saturating_add(1);
        } else {
            self.rejected.insert(code.to_owned(), 1);
        }
        if self.examples.iter().filter(|e| e.code == code).count() < MAX_EXAMPLES {
            let why = normalize::clean(why, MAX_VALUE).into_owned();
            self.examples.push(Diagnostic::warning(code, why).at(self.place.clone()));
        }
    }

    /// Whether a span or event attribute can matter.
    pub(super) fn wants(&self, key: &str) -> bool {
        semconv::slot(key).is_some() || self.rate_attribute.as_deref() == Some(key)
    }

    /// Drops dictionaries that have grown large, after pushing the rows that need them. Only between records: positions
    /// handed out before are void after.
    ///
    /// # Errors
    /// What `push` says.
    pub(super) fn trim(
        &mut self,
        push: &mut dyn FnMut(&SpanBatch) -> Result<(), Diagnostic>,
    ) -> Result<(), Diagnostic> {
        let batch = &self.batch;
        let largest = batch.strings.len().max(batch.peers().len()).max(batch.errors().len());
        if largest.max(batch.resources().len()) <= MAX_DICTIONARY {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.batch);
        self.names = HashMap::default();
        self.rates = HashMap::default();
        if batch.rows.is_empty() { Ok(()) } else { push(&batch) }
    }

    fn refuse(&mut self, span: &SpanView<'_>, code: &'static str, why: &str) {
        let name = normalize::operation(span.name);
        self.reject(
            code,
            &format!("span `{name}` (trace {}, span {}) was left out: {why}", span.trace_id, span.span_id),
        );
    }

    fn repair(&mut self, code: &'static str, n: u64) {
        let count = self.repaired.entry(code).or_default();
        *count = count.saturating_add(n);
    }

    fn error(&mut self, span: &SpanView<'_>, known: &Known<'_>, flags: &mut SpanFlags) -> ErrorId {
        let (http, grpc) = outcome::codes(known);
        if !semconv::is_failure(span.status_code, http, grpc) {
            return ErrorId(0);
        }
        flags.set(SpanFlags::ERROR);
        let exception = span.events.iter().find(|event| event.name == "exception");
        let exception = exception.and_then(|event| Known::of(&event.attributes).text(Slot::ExceptionType));
        let exception = exception.or_else(|| known.text(Slot::ExceptionType));
        let word = |text: Option<Cow<'_, str>>| text.map(|t| normalize::operation(&t).into_owned()).unwrap_or_default();
        self.batch.error_id(&ErrorClass {
            http_status: http,
            grpc_status: grpc.to_owned(),
            error_type: word(known.text(Slot::ErrorType)),
            exception_type: word(exception),
        })
    }

    fn weight(&self, resource: ResourceId, span: &SpanView<'_>, known: &Known<'_>, flags: &mut SpanFlags) -> Weight {
        let configured = || {
            let key = self.rate_attribute.as_deref()?;
            let own =
                span.attributes.iter().find(|(k, _)| *k == key).and_then(|(_, value)| sampling::from_rate(*value));
            own.or_else(|| self.rates.get(&resource).copied())
        };
        let weight = sampling::from_trace_state(span.trace_state)
            .or_else(|| known.get(Slot::SamplingProbability).and_then(Value::number).and_then(Weight::from_probability))
            .or_else(configured);
        if weight.is_some() {
            flags.set(SpanFlags::WEIGHTED);
        }
        weight.unwrap_or(Weight::ONE)
    }

    fn peer(&mut self, name: &str, kind: SpanKind, known: &Known<'_>) -> PeerId {
        if peer::derive(name, kind, known, &mut self.peer) { self.batch.peer_id(&self.peer) } else { PeerId(0) }
    }

    fn name(&mut self, raw: &str) -> Sym {
        if let Some(symbol) = self.names.get(raw) {
            return *symbol;
        }
        let symbol = self.batch.strings.intern(&normalize::operation(raw));
        if self.names.len() >= MAX_KNOWN_NAMES {
            self.names.clear();
        }
        if raw.len() <= MAX_VALUE {
            self.names.insert(raw.into(), symbol);
        }
        symbol
    }

    fn links(&mut self, span: &SpanView<'_>, flags: &mut SpanFlags) {
        let Ok(row) = u32::try_from(self.batch.rows.len()) else { return };
        let (mut kept, mut invalid, mut over) = (0, 0, 0);
        for &(trace_id, span_id) in &span.links {
            if trace_id.0 == 0 || span_id.is_none() {
                invalid += 1;
            } else if kept == MAX_LINKS {
                over += 1;
            } else {
                kept += 1;
                self.batch.links.push(Link { row, trace_id, span_id });
            }
        }
        if kept > 0 {
            flags.set(SpanFlags::LINKED);
        }
        for (code, n) in [("link-invalid", invalid), ("links-over-limit", over)] {
            if n > 0 {
                self.repair(code, n);
            }
        }
    }
}

impl Rows for Mapper {
    fn resource(&mut self, attributes: &Attributes<'_>) -> ResourceId {
        Mapper::resource(self, attributes)
    }

    fn span(&mut self, resource: ResourceId, span: &SpanView<'_>) -> bool {
        Mapper::span(self, resource, span);
        true
    }

    fn reject(&mut self, code: &'static str, why: &str) {
        Mapper::reject(self, code, why);
    }

    fn wants(&self, key: &str) -> bool {
        Mapper::wants(self, key)
    }
}

/// Start and end with `start <= end`, or `None` when neither is given. Flags say what could not be kept.
fn times(span: &SpanView<'_>, flags: &mut SpanFlags) -> Option<(u64, u64)> {
    match (span.start, span.end) {
        (0, 0) => None,
        (0, only) | (only, 0) => {
            flags.set(SpanFlags::NO_DURATION);
            Some((only, only))
        }
        (start, end) if end < start => {
            flags.set(SpanFlags::SKEWED);
            flags.set(SpanFlags::NO_DURATION);
            Some((start, start))
        }
        both => Some(both),
    }
}

#[cfg(test)]
#[path = "mapper_tests.rs"]
mod tests;
