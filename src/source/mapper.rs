//! The one OTLP → span mapper: gRPC, protobuf, JSON and search answers all end here.
//!
//! A decoder describes a resource once and then each of its spans as a borrowed [`SpanView`]; the mapper checks ids,
//! derives peer, error class, weight and operation name from the attributes, and appends a row. One bad span is counted
//! under its code and never drops its neighbours.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::FixedState;

use super::raw_map::RawMap;
use super::view::{Attributes, Rows, SpanView, Value};
use super::{outcome, peer, sampling};
use crate::diag::{Diagnostic, Location};
use crate::spans::semconv::{self, Slot};
use crate::spans::{
    ErrorClass, ErrorId, Link, Peer, PeerId, Resource, ResourceId, SpanBatch, SpanFlags, SpanId, SpanKind, SpanRow,
    Sym, Weight, normalize,
};

/// Longest kept attribute value, in bytes.
pub(super) const MAX_VALUE: usize = 256;
/// Most links kept of one span; the rest is counted as `links-over-limit`.
const MAX_LINKS: usize = 1_024;
/// Most examples kept for each code.
pub(super) const MAX_EXAMPLES: usize = 3;
/// Dictionaries larger than this are dropped between records.
const MAX_DICTIONARY: usize = 65_536;

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
    /// Where the rate attribute is one of the conventions: its value is there and not in [`Slot::Rate`].
    rate_slot: Option<Slot>,
    rates: HashMap<ResourceId, Weight, FixedState>,
    seen: Seen,
    peer: Peer,
}

/// What was met before in the same dictionaries, as it came.
#[derive(Debug, Default)]
struct Seen {
    resources: RawMap<(ResourceId, Option<Weight>)>,
    names: RawMap<Sym>,
    /// By [`peer::key`].
    peers: RawMap<PeerId>,
    /// By [`outcome::key`].
    errors: RawMap<ErrorId>,
    /// Where keys are put together.
    key: Vec<u8>,
}

/// A text that is looked at is not UTF-8.
struct NoText;

impl Mapper {
    pub(super) fn new(rate_attribute: Option<String>) -> Self {
        let rate_attribute = rate_attribute.filter(|key| !semconv::NEVER_READ.contains(&key.as_str()));
        let rate_slot = rate_attribute.as_deref().and_then(semconv::slot).map(|(slot, _)| slot);
        Self { rate_attribute, rate_slot, ..Self::default() }
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
        self.set_rate(id, rate);
        id
    }

    /// Always overwritten: the reduced resource may be the same although its rate is not.
    fn set_rate(&mut self, id: ResourceId, rate: Option<Weight>) {
        if self.rate_attribute.is_some() {
            match rate {
                Some(rate) => self.rates.insert(id, rate),
                None => self.rates.remove(&id),
            };
        }
    }

    /// Forgets what was seen before, so that everything is decided anew.
    #[cfg(test)]
    pub(super) fn forget(&mut self) {
        self.seen = Seen::default();
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
        let kind = SpanKind::from_otlp(span.kind);
        let parent_id = if span.parent_id == span.span_id { SpanId::NONE } else { span.parent_id };
        let name = self.name(span);
        let (Ok(name), Ok(error), Ok(peer)) = (name, self.error(span, &mut flags), self.peer(span, kind)) else {
            return self.reject("span-malformed", "a span was left out: a text in it is not UTF-8");
        };
        let weight = self.weight(resource, span, &mut flags);
        if parent_id != span.parent_id {
            self.repair("self-parent", 1);
        }
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

    /// What a span or event attribute is good for, and the rank of its spelling.
    pub(super) fn classify(&self, key: &str) -> Option<(Slot, u8)> {
        self.classify_raw(key.as_bytes())
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
        self.seen = Seen::default();
        self.rates = HashMap::default();
        if batch.rows.is_empty() { Ok(()) } else { push(&batch) }
    }

    fn refuse(&mut self, span: &SpanView<'_>, code: &'static str, why: &str) {
        let name = normalize::operation(span.name_text().unwrap_or_default());
        self.reject(
            code,
            &format!("span `{name}` (trace {}, span {}) was left out: {why}", span.trace_id, span.span_id),
        );
    }

    fn repair(&mut self, code: &'static str, n: u64) {
        let count = self.repaired.entry(code).or_default();
        *count = count.saturating_add(n);
    }

    fn error(&mut self, span: &SpanView<'_>, flags: &mut SpanFlags) -> Result<ErrorId, NoText> {
        let known = &span.known;
        let (http, grpc) = outcome::codes(known);
        if !semconv::is_failure(span.status_code, http, grpc) {
            return Ok(ErrorId(0));
        }
        flags.set(SpanFlags::ERROR);
        let exception = span.exception_type.or_else(|| known.get(Slot::ExceptionType));
        let kind = known.get(Slot::ErrorType);
        outcome::key(&mut self.seen.key, (http, grpc), kind, exception);
        if let Some(id) = self.seen.errors.get(&self.seen.key) {
            return Ok(id);
        }
        if ![kind, exception].into_iter().flatten().all(Value::is_sound) {
            return Err(NoText);
        }
        let word = |value: Option<Value<'_>>| {
            let text = value.and_then(Value::text);
            text.map(|t| normalize::operation(&t).into_owned()).unwrap_or_default()
        };
        let id = self.batch.error_id(&ErrorClass {
            http_status: http,
            grpc_status: grpc.to_owned(),
            error_type: word(kind),
            exception_type: word(exception),
        });
        self.seen.errors.insert(&self.seen.key, id);
        Ok(id)
    }

    fn weight(&self, resource: ResourceId, span: &SpanView<'_>, flags: &mut SpanFlags) -> Weight {
        let known = &span.known;
        let configured = || {
            self.rate_attribute.as_ref()?;
            let own = known.get(self.rate_slot.unwrap_or(Slot::Rate)).and_then(sampling::from_rate);
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

    fn peer(&mut self, span: &SpanView<'_>, kind: SpanKind) -> Result<PeerId, NoText> {
        let Some(slots) = peer::key(&mut self.seen.key, span.name_bytes(), kind, &span.known) else {
            return Ok(PeerId(0));
        };
        if let Some(id) = self.seen.peers.get(&self.seen.key) {
            return Ok(id);
        }
        // Of what is in the key only: whether a span is refused must not depend on what was met before.
        let sound = span.known.each(slots).all(|(_, value)| value.is_sound());
        let name = span.name_text().filter(|_| sound).ok_or(NoText)?;
        let found = peer::derive(name, kind, &span.known, &mut self.peer);
        let id = if found { self.batch.peer_id(&self.peer) } else { PeerId(0) };
        self.seen.peers.insert(&self.seen.key, id);
        Ok(id)
    }

    fn name(&mut self, span: &SpanView<'_>) -> Result<Sym, NoText> {
        if let Some(symbol) = self.seen.names.get(span.name_bytes()) {
            return Ok(symbol);
        }
        let symbol = self.batch.strings.intern(&normalize::operation(span.name_text().ok_or(NoText)?));
        self.seen.names.insert(span.name_bytes(), symbol);
        Ok(symbol)
    }

    fn links(&mut self, span: &SpanView<'_>, flags: &mut SpanFlags) {
        if span.links.is_empty() {
            return;
        }
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

    #[inline]
    fn classify_raw(&self, key: &[u8]) -> Option<(Slot, u8)> {
        let configured = |rate: &String| (rate.as_bytes() == key).then_some((Slot::Rate, 0));
        semconv::slot_of(key).or_else(|| self.rate_attribute.as_ref().and_then(configured))
    }

    fn known_resource(&mut self, raw: &[u8]) -> Option<ResourceId> {
        let (id, rate) = self.seen.resources.get_again(raw)?;
        self.set_rate(id, rate);
        Some(id)
    }

    fn learn_resource(&mut self, raw: &[u8], id: ResourceId) {
        self.seen.resources.insert(raw, (id, self.rates.get(&id).copied()));
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
