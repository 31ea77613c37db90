//! What measuring needs: generated input in memory, a clock that counts this process's work, rounds, and a table.
//!
//! The clock is the kernel's count of CPU time, of all threads: on a busy machine the wall says more about the neighbours.
//! Every round runs every case, so that whatever disturbs one disturbs all, and ratios are taken within a round.

#[path = "../../examples/shop/model/mod.rs"]
#[allow(dead_code, reason = "the example uses the rest")]
mod model;

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{Format, Generator, Options};

pub(crate) type Failure = Box<dyn std::error::Error>;

/// Generated spans in one format.
pub(crate) struct Input {
    pub(crate) bytes: Arc<[u8]>,
    /// With duplicates.
    pub(crate) spans: u64,
}

/// About `spans` wide spans of the shop, as JSON lines or as length-delimited protobuf. Both hold the same spans.
pub(crate) fn input(json: bool, spans: u64) -> Result<Input, Failure> {
    let system = model::system("shop").ok_or("the shop is closed")?;
    // Defects too: a pipeline that is fast on clean data only is of no use.
    let options =
        Options { traces: u64::MAX, spans, wide: true, duplicates: 0.005, orphans: 0.005, ..Options::default() };
    let mut generator = Generator::new(system, options)?;
    let mut writer = generator.writer(if json { Format::Jsonl } else { Format::Delimited }, Vec::new());
    for record in generator.by_ref() {
        writer.write(&record)?;
    }
    let bytes = writer.into_inner().into();
    let truth = generator.truth();
    Ok(Input { bytes, spans: truth.spans + truth.duplicates })
}

/// Something to measure.
pub(crate) struct Case<'a> {
    pub(crate) name: &'static str,
    /// Threads that work; with more than one the wall is what counts.
    pub(crate) threads: usize,
    /// Does it all once. Whatever must not be measured is done before.
    pub(crate) run: Box<dyn FnMut() -> Result<(), Failure> + 'a>,
}

/// Seconds of one run of each case, by round.
pub(crate) type Times = Vec<Vec<f64>>;

/// CPU time of this process so far, in hundredths of a second, or the wall where the kernel does not tell.
fn cpu(start: Instant) -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name, which ends in the last parenthesis: fields 14 and 15 of the line.
    let fields = text.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect::<Vec<_>>());
    let ticks = |at: usize| fields.as_ref().and_then(|f| f.get(at)).and_then(|t| t.parse::<u64>().ok());
    match (ticks(11), ticks(12)) {
        (Some(user), Some(system)) => Duration::from_millis((user + system) * 10),
        _ => start.elapsed(),
    }
}

/// Runs every case in every round, each at least `least` long.
pub(crate) fn measure(cases: &mut [Case<'_>], rounds: usize, least: Duration) -> Result<Times, Failure> {
    let start = Instant::now();
    let mut repeats = Vec::new();
    for case in cases.iter_mut() {
        let begin = Instant::now();
        (case.run)()?;
        let once = begin.elapsed().max(Duration::from_micros(10));
        repeats.push((least.as_secs_f64() / once.as_secs_f64()).ceil().max(1.0));
    }
    let mut times = vec![Vec::new(); cases.len()];
    for _ in 0..rounds {
        for ((case, repeats), times) in cases.iter_mut().zip(&repeats).zip(&mut times) {
            let (begin, cpu_begin) = (Instant::now(), cpu(start));
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small whole number")]
            for _ in 0..*repeats as u64 {
                (case.run)()?;
            }
            let spent = if case.threads > 1 { begin.elapsed() } else { cpu(start) - cpu_begin };
            times.push((spent.as_secs_f64() / repeats).max(1e-9));
        }
    }
    Ok(times)
}

/// The value in the middle.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Median over the rounds of how many times longer `what` takes than `than`.
pub(crate) fn ratio(what: &[f64], than: &[f64]) -> f64 {
    median(what.iter().zip(than).map(|(a, b)| a / b))
}

/// One line of the answer.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
