//! What queries come to over a window, for objectives that traces cannot answer: replica lag, certificates, pods.
//!
//! Input: queries of the configuration, a window. Output: an [`Answer`] for each, or why there is none. Must not: take a value
//! that is no number for one, or ask for more than [`STEPS`] points of a series.

use std::collections::{BTreeMap, BTreeSet};

use super::answer::Series;
use super::{connect, endpoint};
use crate::diag::{Diagnostic, Location};
use crate::source::SourceOptions;
use crate::source::backend::run;

/// Points of a series at most, but for the first.
const STEPS: u64 = 300;
/// Prometheus is rarely asked to look more often: milliseconds.
const SHORTEST: u64 = 15_000;
/// So many queries that run into their deadline, and the rest are not asked.
const LATE: usize = 3;

/// The values of a query at steps across a window. Of several series the least and the greatest at each step count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    /// Steps that were asked for.
    pub steps: u64,
    /// Steps at which every series with a value had a finite one.
    pub n: u64,
    /// Least value of all.
    pub min: f64,
    /// Mean over the steps of the least value.
    pub low: f64,
    /// Mean over the steps of the greatest value.
    pub high: f64,
    /// Greatest value of all.
    pub max: f64,
}

/// What a Prometheus said to queries.
#[derive(Debug)]
pub struct Answers {
    /// Whom: scheme, host and port, nothing else.
    pub from: String,
    /// An answer for each query, in their order, or why there is none.
    pub each: Vec<Result<Answer, Diagnostic>>,
}

/// Asks a Prometheus for each query over the window of the options. Queries that it refuses or that have no value are told
/// one by one; they cost no other. A server that cannot be asked at all is not asked again for each.
///
/// # Errors
/// `source-url`, `window-missing`, what keeps from connecting at all, and what kept the server from answering any of them.
pub fn answers(from: &str, options: &SourceOptions, queries: &[String]) -> Result<Answers, Diagnostic> {
    let endpoint = endpoint::MANNER.parse(from)?;
    let (start, end) = run::window(options, &endpoint.shown)?;
    let (start, end) = (start.0 / 1_000_000, end.0 / 1_000_000);
    // Whole seconds, so that the same window has the same steps.
    let step = (end.saturating_sub(start) / STEPS).max(SHORTEST).div_ceil(1_000).saturating_mul(1_000);
    let each = run::run(1, async {
        let api = connect(&endpoint, options).await?;
        let mut all = Vec::with_capacity(queries.len());
        let (mut late, mut lost) = (0, None);
        for query in queries {
            if let Some(why) = &lost {
                all.push(Err(Diagnostic::clone(why)));
                continue;
            }
            let answered = api.range(query, (start, end, step)).await;
            let steps = end.saturating_sub(start) / step + 1;
            if let Err(why) = &answered {
                late += usize::from(why.code == "prometheus-deadline");
                lost = (late >= LATE || of_the_server(why.code)).then(|| why.clone());
            }
            all.push(answered.map_err(advised).and_then(|series| {
                summed(&series, steps).map_err(|what| {
                    Diagnostic::error("external-unanswered", what)
                        .at(Location::file(endpoint.shown.as_str()))
                        .help("try it in Prometheus over the same window; a query must not end in a range such as [5m]")
                })
            }));
        }
        // Nothing of what was asked for: that is no answer with gaps.
        match lost {
            Some(why) if all.iter().all(Result::is_err) => Err(why),
            _ => Ok(all),
        }
    })?;
    Ok(Answers { from: endpoint.shown, each })
}

/// A refusal of a query of ours would be one of `--query`, of which there is none here.
fn advised(why: Diagnostic) -> Diagnostic {
    match why.code {
        "prometheus-query-refused" => why.help("try the objective's `query` in Prometheus, and correct it in tracebook.yaml"),
        "prometheus-deadline" | "prometheus-too-much" => {
            why.help("make the objective's `query` cheaper, shorten the window, raise --timeout, or raise the backend's query limits")
        }
        _ => why,
    }
}

/// Whether a failure is that of the server, whatever the query: the next one would fail alike, after as long a wait.
fn of_the_server(code: &str) -> bool {
    matches!(
        code,
        "prometheus-unreachable"
            | "prometheus-tls"
            | "prometheus-unauthenticated"
            | "prometheus-tenant-missing"
            | "prometheus-unavailable"
            | "prometheus-overloaded"
            | "prometheus-answer-malformed"
    )
}

/// The error says why the values are no answer. An infinite one (a last bucket, a division by nothing) has no mean; left out, the
/// worst of all values would count for nothing.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "times in milliseconds, few steps")]
fn summed(series: &[Series], asked: u64) -> Result<Answer, &'static str> {
    const NONE: &str = "the query has no value in the window";
    const INFINITE: &str = "the query has infinite values in the window, of which no mean can be made";
    let mut steps: BTreeMap<i64, (f64, f64)> = BTreeMap::new();
    let mut odd = BTreeSet::new();
    for (time, text) in series.iter().flat_map(|one| &one.values) {
        let at = (time * 1e3).round() as i64;
        let Some(value) = text.parse::<f64>().ok().filter(|value| !value.is_nan()) else {
            odd.insert(at);
            continue;
        };
        if value.is_infinite() {
            return Err(INFINITE);
        }
        let step = steps.entry(at).or_insert((value, value));
        *step = (step.0.min(value), step.1.max(value));
    }
    steps.retain(|at, _| !odd.contains(at));
    let n = steps.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| steps.values().map(of).sum::<f64>() / n;
    let (low, high) = (mean(|step| step.0), mean(|step| step.1));
    let min = steps.values().map(|step| step.0).min_by(f64::total_cmp).ok_or(NONE)?;
    let max = steps.values().map(|step| step.1).max_by(f64::total_cmp).ok_or(NONE)?;
    if !low.is_finite() || !high.is_finite() {
        return Err(INFINITE);
    }
    let n = steps.len() as u64;
    // A sum of many may be off by the last digit.
    Ok(Answer { steps: asked.max(n), n, min, low: low.clamp(min, max), high: high.clamp(min, max), max })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;
    use crate::spans::UnixNanos;

    fn series(values: &[(f64, &str)]) -> Series {
        Series { values: values.iter().map(|(at, text)| (*at, (*text).to_owned())).collect(), ..Series::default() }
    }

    #[test]
    fn of_several_series_the_least_and_the_greatest_count_at_each_step() {
        let all = [series(&[(10.0, "1"), (25.0, "3"), (40.0, "NaN")]), series(&[(10.0, "5"), (25.0, "2")])];
        assert_eq!(summed(&all, 5), Ok(Answer { steps: 5, n: 2, min: 1.0, low: 1.5, high: 4.0, max: 5.0 }));
        for nothing in [&[series(&[(10.0, "NaN"), (40.0, "x")])][..], &[]] {
            assert!(summed(nothing, 5).unwrap_err().contains("no value"));
        }
    }

    #[test]
    fn an_infinite_value_is_not_left_out() {
        // Without it the others would keep a target of "< 10".
        for worst in ["+Inf", "-Inf"] {
            let all = [series(&[(10.0, "1"), (25.0, worst), (40.0, "1")])];
            assert!(summed(&all, 5).unwrap_err().contains("infinite"), "{worst}");
        }
        let vast = [series(&[(10.0, "1e308"), (25.0, "1e308")])];
        assert!(summed(&vast, 5).unwrap_err().contains("infinite"), "nor a sum that is none");
    }

    /// A server that answers every request alike; how many came.
    fn heard(status: u16, body: &'static str, queries: &[&str]) -> (Vec<&'static str>, usize) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let from = format!("prometheus://{}", listener.local_addr().unwrap());
        let (say, heard) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = [0; 4096];
                assert!(stream.read(&mut request).unwrap() > 0);
                say.send(()).unwrap();
                let length = body.len();
                write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
                    .unwrap();
            }
        });
        let options = SourceOptions {
            window: Some((UnixNanos(1_700_000_000_000_000_000), UnixNanos(1_700_003_600_000_000_000))),
            timeout: Duration::from_secs(5),
            ..SourceOptions::default()
        };
        let queries: Vec<String> = queries.iter().map(|query| (*query).to_owned()).collect();
        let codes = match answers(&from, &options, &queries) {
            Ok(all) => all.each.into_iter().map(|answer| answer.unwrap_err().code).collect(),
            Err(why) => vec![why.code],
        };
        (codes, heard.try_iter().count())
    }

    #[test]
    fn a_server_that_cannot_be_asked_is_asked_once_and_a_refused_query_costs_no_other() {
        let queries = ["a", "b", "c"];
        assert_eq!(heard(401, "", &queries), (vec!["prometheus-unauthenticated"], 1));
        let refused = r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#;
        assert_eq!(heard(400, refused, &queries), (vec!["prometheus-query-refused"; 3], 3));
    }
}
