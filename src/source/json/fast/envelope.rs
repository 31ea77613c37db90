//! What is around the spans, down to the list of spans.

use std::mem;

use serde::de::DeserializeSeed;

use super::Halt;
use super::attributes;
use super::scan::{Scanner, Sure, Unsure};
use super::span;
use crate::source::json::envelope::{Kinds, MAX_DEPTH, Marks, Resource, Target};
use crate::source::json::shape::Hoping;
use crate::source::json::span::{JsonSpan, Pairs, SpanShape, views};
use crate::source::view::{SpanView, Value};
use crate::spans::ResourceId;

/// Reads one text.
struct Reader<'t, 'a, 'r> {
    scanner: Scanner<'t>,
    target: &'a mut Target<'r>,
    /// The last resource as it was written. The same text again is the same resource.
    last: Option<(&'t str, ResourceId)>,
    /// Reused from resource to resource.
    pairs: Vec<(&'t str, Value<'t>)>,
    /// Reused from span to span.
    span: SpanView<'t>,
}

pub(super) fn documents<'t>(scanner: Scanner<'t>, target: &mut Target<'_>) -> Result<Vec<Kinds>, Halt> {
    let mut reader = Reader { scanner, target, last: None, pairs: Vec::new(), span: SpanView::default() };
    let mut all = Vec::new();
    loop {
        all.push(reader.envelope(0)?);
        if reader.scanner.is_done() {
            return Ok(all);
        }
    }
}

impl<'t> Reader<'t, '_, '_> {
    /// A document, or what a wrapper holds. Wrappers are followed no deeper than the reference does.
    fn envelope(&mut self, depth: u8) -> Result<Kinds, Halt> {
        match self.scanner.peek() {
            b'{' => self.object(depth),
            b'[' if depth < MAX_DEPTH => {
                let (mut kinds, mut first) = (Kinds::default(), true);
                self.scanner.expect(b'[')?;
                while self.scanner.item(&mut first, b']')? {
                    if !self.scanner.null() {
                        kinds = kinds.and(self.envelope(depth + 1)?);
                    }
                }
                Ok(kinds)
            }
            _ => Err(Halt::Unsure),
        }
    }

    fn object(&mut self, depth: u8) -> Result<Kinds, Halt> {
        let (mut kinds, mut marks, mut first) = (Kinds::default(), Marks::default(), true);
        self.scanner.expect(b'{')?;
        while let Some(key) = self.scanner.key(&mut first)? {
            match key {
                "resourceSpans" | "resource_spans" | "batches" => {
                    self.list(Self::resource_spans)?;
                    kinds = kinds.and(Kinds::TRACES);
                    continue;
                }
                "resourceLogs" | "resource_logs" => kinds = kinds.and(Kinds::LOGS),
                "resourceMetrics" | "resource_metrics" => kinds = kinds.and(Kinds::METRICS),
                "resourceProfiles" | "resource_profiles" => kinds = kinds.and(Kinds::PROFILES),
                "result" | "trace" | "data" | "traces" if depth < MAX_DEPTH => {
                    if !self.scanner.null() {
                        kinds = kinds.and(self.envelope(depth + 1)?);
                    }
                    continue;
                }
                key => marks.see(key),
            }
            self.scanner.skip_value()?;
        }
        Ok(kinds.and(marks.kinds(kinds)))
    }

    /// A list of objects, or `null`; `null` among them is nothing.
    fn list(&mut self, mut object: impl FnMut(&mut Self) -> Result<(), Halt>) -> Result<(), Halt> {
        if self.scanner.null() {
            return Ok(());
        }
        let mut first = true;
        self.scanner.expect(b'[')?;
        while self.scanner.item(&mut first, b']')? {
            if !self.scanner.null() {
                object(self)?;
            }
        }
        Ok(())
    }

    fn resource_spans(&mut self) -> Result<(), Halt> {
        let (mut resource, mut waiting, mut first) = (None, Vec::new(), true);
        self.scanner.expect(b'{')?;
        while let Some(key) = self.scanner.key(&mut first)? {
            match key {
                "resource" => resource = Some(self.resource()?),
                "scopeSpans" | "scope_spans" | "instrumentationLibrarySpans" | "instrumentation_library_spans" => {
                    if let Some(resource) = resource {
                        self.list(|reader| reader.scope(resource))?;
                    } else {
                        // The spans come before who emitted them: read them afterwards.
                        waiting.push(self.scanner.at());
                        self.scanner.skip_value()?;
                    }
                }
                _ => self.scanner.skip_value()?,
            }
        }
        let end = self.scanner.at();
        for start in waiting {
            let resource = *resource.get_or_insert_with(|| self.target.rows.resource(&[]));
            self.scanner.go(start);
            self.list(|reader| reader.scope(resource))?;
        }
        self.scanner.go(end);
        Ok(())
    }

    fn resource(&mut self) -> Result<ResourceId, Halt> {
        self.scanner.peek();
        if let Some((text, id)) = self.last
            && self.scanner.eat_text(text)
        {
            return Ok(id);
        }
        let start = self.scanner.at();
        let text = self.value_text()?;
        let id = match self.target.rows.known_resource(text.as_bytes()) {
            Some(id) => id,
            None => {
                let end = self.scanner.at();
                self.scanner.go(start);
                let mut pairs = mem::take(&mut self.pairs);
                pairs.clear();
                let read = attributes::resource(&mut self.scanner, &mut pairs);
                let id = match read {
                    Ok(()) => self.target.rows.resource(&pairs),
                    Err(Unsure) => self.resource_by_reference(text)?,
                };
                self.pairs = pairs;
                self.scanner.go(end);
                self.target.rows.learn_resource(text.as_bytes(), id);
                id
            }
        };
        // Only of an object is a text that starts like it the same: 1 is the start of 12.
        self.last = text.starts_with('{').then_some((text, id));
        Ok(id)
    }

    fn resource_by_reference(&mut self, text: &str) -> Sure<ResourceId> {
        let mut pairs = Pairs::new();
        let mut reader = serde_json::Deserializer::from_str(text);
        Hoping(Resource(&mut pairs)).deserialize(&mut reader).map_err(|_| Unsure)?;
        Ok(self.target.rows.resource(&views(&pairs)))
    }

    /// Steps over a value and gives its text.
    fn value_text(&mut self) -> Sure<&'t str> {
        self.scanner.peek();
        let start = self.scanner.at();
        self.scanner.skip_value()?;
        self.scanner.since(start)
    }

    fn scope(&mut self, resource: ResourceId) -> Result<(), Halt> {
        let mut first = true;
        self.scanner.expect(b'{')?;
        while let Some(key) = self.scanner.key(&mut first)? {
            if key == "spans" {
                self.list(|reader| reader.one_span(resource))?;
            } else {
                self.scanner.skip_value()?;
            }
        }
        Ok(())
    }

    fn one_span(&mut self, resource: ResourceId) -> Result<(), Halt> {
        let start = self.scanner.at();
        let go_on = match span::read(&mut self.scanner, &mut self.span, &*self.target.rows) {
            Ok(()) => {
                self.target.seen += 1;
                self.target.rows.span(resource, &self.span)
            }
            Err(Unsure) => {
                self.scanner.go(start);
                self.span_by_reference(resource)?
            }
        };
        if go_on { Ok(()) } else { Err(Halt::Stopped(self.scanner.at())) }
    }

    fn span_by_reference(&mut self, resource: ResourceId) -> Sure<bool> {
        let text = self.value_text()?;
        let mut span = JsonSpan::default();
        let rows = &*self.target.rows;
        let wants = |key: &str| rows.classify(key).is_some();
        let mut reader = serde_json::Deserializer::from_str(text);
        let shape = Hoping(SpanShape { span: &mut span, wants: &wants });
        let found = shape.deserialize(&mut reader).map_err(|_| Unsure)?;
        Ok(self.target.hand_over(&found, &span, resource))
    }
}
