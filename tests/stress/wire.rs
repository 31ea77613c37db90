//! OTLP protobuf, written field by field: export requests after their length as a varint.

use std::io::Write;

/// Spans of one request.
const RECORD: usize = 2_000;
const SECOND: u64 = 1_000_000_000;
/// 2026-01-01.
const START: u64 = 1_767_225_600 * SECOND;

/// OTLP `SpanKind`.
pub const INTERNAL: u64 = 1;
pub const SERVER: u64 = 2;
pub const CLIENT: u64 = 3;
pub const PRODUCER: u64 = 4;
pub const CONSUMER: u64 = 5;

/// A span to be; starts at `at` nanoseconds into 2026 and takes 1 ms.
#[derive(Debug, Clone, Default)]
pub struct Span<'a> {
    pub trace: u128,
    pub id: u64,
    pub parent: u64,
    pub kind: u64,
    pub name: &'a str,
    pub at: u64,
    pub attributes: &'a [(&'a str, &'a str)],
    pub links: &'a [(u128, u64)],
    pub failed: bool,
}

/// Writes spans, grouped into resources as they come.
pub struct Feed<W: Write> {
    out: W,
    record: Vec<u8>,
    spans: Vec<u8>,
    resource: Vec<u8>,
    count: usize,
    scratch: Vec<u8>,
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn fixed(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

fn attribute(out: &mut Vec<u8>, field: u64, key: &str, value: &str) {
    let mut any = Vec::with_capacity(value.len() + 4);
    bytes(&mut any, 1, value.as_bytes());
    let mut pair = Vec::with_capacity(key.len() + any.len() + 8);
    bytes(&mut pair, 1, key.as_bytes());
    bytes(&mut pair, 2, &any);
    bytes(out, field, &pair);
}

impl<W: Write> Feed<W> {
    pub fn new(out: W) -> Self {
        Self { out, record: Vec::new(), spans: Vec::new(), resource: Vec::new(), count: 0, scratch: Vec::new() }
    }

    /// A span of a service, with further resource attributes.
    pub fn span_of(&mut self, service: &str, attributes: &[(&str, &str)], span: &Span<'_>) {
        let mut resource = Vec::new();
        attribute(&mut resource, 1, "service.name", service);
        attributes.iter().for_each(|(key, value)| attribute(&mut resource, 1, key, value));
        if resource != self.resource {
            self.end_resource();
            self.resource = resource;
        }
        self.put(span);
        self.count += 1;
        if self.count == RECORD {
            self.end_record();
        }
    }

    /// A span of a service.
    pub fn span(&mut self, service: &str, span: &Span<'_>) {
        self.span_of(service, &[], span);
    }

    fn put(&mut self, span: &Span<'_>) {
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        bytes(&mut out, 1, &span.trace.to_be_bytes());
        bytes(&mut out, 2, &span.id.to_be_bytes());
        if span.parent != 0 {
            bytes(&mut out, 4, &span.parent.to_be_bytes());
        }
        bytes(&mut out, 5, span.name.as_bytes());
        varint(&mut out, 6 << 3);
        varint(&mut out, span.kind);
        fixed(&mut out, 7, START + span.at);
        fixed(&mut out, 8, START + span.at + 1_000_000);
        span.attributes.iter().for_each(|(key, value)| attribute(&mut out, 9, key, value));
        for (trace, id) in span.links {
            let mut link = Vec::new();
            bytes(&mut link, 1, &trace.to_be_bytes());
            bytes(&mut link, 2, &id.to_be_bytes());
            bytes(&mut out, 13, &link);
        }
        if span.failed {
            bytes(&mut out, 15, &[3 << 3, 2]);
        }
        bytes(&mut self.spans, 2, &out);
        self.scratch = out;
    }

    fn end_resource(&mut self) {
        if self.spans.is_empty() {
            return;
        }
        let mut all = Vec::with_capacity(self.spans.len() + self.resource.len() + 16);
        bytes(&mut all, 1, &self.resource);
        bytes(&mut all, 2, &self.spans);
        bytes(&mut self.record, 1, &all);
        self.spans.clear();
    }

    fn end_record(&mut self) {
        self.end_resource();
        if self.record.is_empty() {
            return;
        }
        let mut length = Vec::new();
        varint(&mut length, self.record.len() as u64);
        // A program that gave up says why itself.
        let _ = self.out.write_all(&length).and_then(|()| self.out.write_all(&self.record));
        self.record.clear();
        self.count = 0;
    }

    /// Writes what is left.
    pub fn end(mut self) {
        self.end_record();
        let _ = self.out.flush();
    }
}

/// Letters for a number: a name that no rule about ids in names shortens.
pub fn word(mut number: u64) -> String {
    let mut word = String::from("w");
    loop {
        // Without a to f: nothing looks like hexadecimal.
        word.push(char::from(b'g' + u8::try_from(number % 20).unwrap()));
        number /= 20;
        if number == 0 {
            return word;
        }
    }
}
