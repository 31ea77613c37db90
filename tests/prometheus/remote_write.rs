//! Remote write 1.0, as far as it is needed to fill a Prometheus: field numbers after `prompb/types.proto` and
//! `prompb/remote.proto` of <https://github.com/prometheus/prometheus>.

use prost::Message;

/// One series with one sample.
pub(crate) type Sample = TimeSeries;

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Float>,
    #[prost(message, repeated, tag = "4")]
    histograms: Vec<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Float {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Histogram {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(double, tag = "3")]
    sum: f64,
    #[prost(sint32, tag = "4")]
    schema: i32,
    #[prost(double, tag = "5")]
    zero_threshold: f64,
    #[prost(uint64, tag = "6")]
    zero_count: u64,
    #[prost(message, repeated, tag = "11")]
    positive_spans: Vec<Span>,
    #[prost(sint64, repeated, tag = "12")]
    positive_deltas: Vec<i64>,
    #[prost(int64, tag = "15")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint32, tag = "2")]
    length: u32,
}

fn labels(mut pairs: Vec<(String, String)>) -> Vec<Label> {
    pairs.sort();
    pairs.into_iter().map(|(name, value)| Label { name, value }).collect()
}

/// A counter's value at a time in milliseconds.
pub(crate) fn series(pairs: Vec<(String, String)>, timestamp: i64, value: f64) -> Sample {
    TimeSeries { labels: labels(pairs), samples: vec![Float { value, timestamp }], histograms: Vec::new() }
}

/// A native histogram of schema 3 (eight buckets for each power of two) at a time in milliseconds.
pub(crate) fn native(pairs: Vec<(String, String)>, timestamp: i64, durations: &[f64]) -> Sample {
    let mut counts = std::collections::BTreeMap::<i32, i64>::new();
    for duration in durations {
        #[allow(clippy::cast_possible_truncation, reason = "small numbers")]
        let index = (duration.log2() * 8.0).ceil() as i32;
        *counts.entry(index).or_default() += 1;
    }
    let (mut spans, mut deltas, mut next, mut before) = (Vec::new(), Vec::new(), 0, 0);
    for (index, n) in counts {
        spans.push(Span { offset: index - next, length: 1 });
        deltas.push(n - before);
        (next, before) = (index + 1, n);
    }
    let histogram = Histogram {
        count: durations.len() as u64,
        sum: durations.iter().sum(),
        schema: 3,
        zero_threshold: 1e-128,
        zero_count: 0,
        positive_spans: spans,
        positive_deltas: deltas,
        timestamp,
    };
    TimeSeries { labels: labels(pairs), samples: Vec::new(), histograms: vec![histogram] }
}

/// The body of a request: snappy's block format, of which a literal without compression is a valid form.
pub(crate) fn body(samples: &[Sample]) -> Vec<u8> {
    let message = WriteRequest { timeseries: samples.to_vec() }.encode_to_vec();
    let mut out = Vec::new();
    prost::encoding::encode_varint(message.len() as u64, &mut out);
    for piece in message.chunks(1 << 16) {
        // A literal whose length less one takes two bytes.
        out.push(61 << 2);
        out.extend_from_slice(&u16::try_from(piece.len() - 1).unwrap().to_le_bytes());
        out.extend_from_slice(piece);
    }
    out
}
