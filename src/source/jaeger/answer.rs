//! One answer of `FindTraces`: its traces, wherever in the stream their spans came, and who calls whom in them.
//!
//! The bytes are read twice by the same decoder as files: once to learn which traces there are and when they start, and
//! once more to map the spans of those that are taken. So nothing is built that is then thrown away.
//! Must not: talk to anyone, or decide what is taken.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::window::Window;
use crate::source::mapper::Mapper;
use crate::source::otlp_wire::Walker;
use crate::source::view::{Attributes, Rows, SpanView};
use crate::source::wire::Broken;
use crate::spans::semconv::Slot;
use crate::spans::{ResourceId, SpanId, TraceId};

/// Caller and callee, by the names of their services.
pub(super) type Pairs = BTreeSet<(String, String)>;

/// The traces of one answer so far.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// `ResourceSpans` messages as they came.
    parts: Vec<Vec<u8>>,
    traces: HashMap<TraceId, Trace>,
    services: Vec<String>,
    /// Bytes kept.
    pub(super) bytes: usize,
    /// Spans of the service that was asked for that start in the window.
    pub(super) matching: usize,
}

#[derive(Debug, Default)]
struct Trace {
    /// Start of the first span that has a time, Unix nanoseconds.
    start: Option<u64>,
    /// Span, parent, service.
    spans: Vec<(SpanId, SpanId, u32)>,
}

impl Answer {
    /// Adds one `ResourceSpans` message.
    ///
    /// # Errors
    /// [`Broken`] when it is none.
    pub(super) fn add(&mut self, part: Vec<u8>, service: &str, window: Window) -> Result<(), Broken> {
        let mut scan = Scan { answer: self, service, window };
        Walker::new(Vec::new()).resource_spans(&part, &mut scan)?;
        self.bytes = self.bytes.saturating_add(part.len());
        self.parts.push(part);
        Ok(())
    }

    /// What came, to be kept: each part after its length; and the same again.
    ///
    /// # Errors
    /// [`Broken`] when it is none.
    pub(super) fn of_bytes(bytes: &[u8], service: &str, window: Window) -> Result<Self, Broken> {
        let (mut answer, mut rest) = (Self::default(), bytes);
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let (part, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or(Broken)?;
            answer.add(part.to_vec(), service, window)?;
            rest = after;
        }
        if rest.is_empty() { Ok(answer) } else { Err(Broken) }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let length = |part: &Vec<u8>| u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes();
        self.parts.iter().flat_map(|part| [&length(part)[..], part].concat()).collect()
    }

    /// Number of traces.
    pub(super) fn len(&self) -> usize {
        self.traces.len()
    }

    /// Each trace with the start of its first span, Unix nanoseconds.
    pub(super) fn starts(&self) -> impl Iterator<Item = (TraceId, u64)> {
        self.traces.iter().map(|(id, trace)| (*id, trace.start.unwrap_or(0)))
    }

    /// Which service calls which other one, by parent and child.
    pub(super) fn pairs(&self) -> Pairs {
        let mut pairs = HashSet::new();
        for trace in self.traces.values() {
            let service_of: HashMap<SpanId, u32> = trace.spans.iter().map(|(id, _, service)| (*id, *service)).collect();
            let calls = trace.spans.iter().filter_map(|(_, parent, child)| Some((*service_of.get(parent)?, *child)));
            pairs.extend(calls.filter(|(parent, child)| parent != child));
        }
        let name = |index: u32| self.services.get(index as usize).cloned().unwrap_or_default();
        pairs.into_iter().map(|(parent, child)| (name(parent), name(child))).collect()
    }

    /// Appends the spans of some of the traces.
    ///
    /// # Errors
    /// [`Broken`] as [`Answer::add`]; what was added once is not.
    pub(super) fn map(&self, mine: &HashSet<TraceId>, mapper: &mut Mapper) -> Result<(), Broken> {
        let mut only = Only { mapper, mine };
        let mut walker = Walker::new(Vec::new());
        for part in &self.parts {
            walker.resource_spans(part, &mut only)?;
        }
        Ok(())
    }
}

/// Notes traces; keeps no span.
struct Scan<'a> {
    answer: &'a mut Answer,
    service: &'a str,
    window: Window,
}

impl Rows for Scan<'_> {
    fn resource(&mut self, attributes: &Attributes<'_>) -> ResourceId {
        let named = attributes.iter().find(|(key, _)| *key == "service.name");
        let name = named.and_then(|(_, value)| value.text()).unwrap_or_default();
        let services = &mut self.answer.services;
        let index = services.iter().position(|known| *known == name).unwrap_or_else(|| {
            services.push(name.into_owned());
            services.len() - 1
        });
        ResourceId(u32::try_from(index).unwrap_or(u32::MAX))
    }

    fn span(&mut self, resource: ResourceId, span: &SpanView<'_>) -> bool {
        // As in the mapper: one of the two instants stands for both.
        let start = Some(if span.start == 0 { span.end } else { span.start }).filter(|start| *start > 0);
        let trace = self.answer.traces.entry(span.trace_id).or_default();
        trace.spans.push((span.span_id, span.parent_id, resource.0));
        trace.start = match (trace.start, start) {
            (Some(known), Some(new)) => Some(known.min(new)),
            (known, new) => known.or(new),
        };
        let service = self.answer.services.get(resource.0 as usize);
        if service.is_some_and(|s| s == self.service) && start.is_some_and(|start| self.window.holds(start)) {
            self.answer.matching = self.answer.matching.saturating_add(1);
        }
        true
    }

    fn reject(&mut self, _code: &'static str, _why: &str) {}

    fn classify_raw(&self, _key: &[u8]) -> Option<(Slot, u8)> {
        None
    }
}

/// Lets the spans of some traces through.
struct Only<'a> {
    mapper: &'a mut Mapper,
    mine: &'a HashSet<TraceId>,
}

impl Rows for Only<'_> {
    fn resource(&mut self, attributes: &Attributes<'_>) -> ResourceId {
        self.mapper.resource(attributes)
    }

    fn span(&mut self, resource: ResourceId, span: &SpanView<'_>) -> bool {
        if self.mine.contains(&span.trace_id) {
            self.mapper.span(resource, span);
        }
        true
    }

    fn reject(&mut self, code: &'static str, why: &str) {
        self.mapper.reject(code, why);
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
