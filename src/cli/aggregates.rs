//! From a backend that counts to a snapshot: one source, or a Tempo and a service graph, and some traces to look at.

use super::input::{Request, Sink, given, no_source, options, refuse_idle, threads};
use super::io::{Io, Stop};
use super::progress::Bar;
use super::record::Recorder;
use crate::diag::{Diagnostic, Location};
use crate::source::{self, AggregateSource, SourceOptions};
use crate::spans::aggregate::Aggregate;
use crate::topology::{self, Builder, Intake, Snapshot};

/// Has a backend count, and makes a snapshot of that.
pub(super) fn counted(
    froms: &[String],
    request: &Request<'_>,
    recorder: Option<&Recorder>,
    io: &mut Io<'_>,
) -> Result<Snapshot, Stop> {
    let (from, graph) = match froms {
        [from] => (from, None),
        // Operations of the one, edges of whichever knows more.
        [a, b] if source::exemplifies(a) && joins(b) => (a, Some(b)),
        [a, b] if source::exemplifies(b) && joins(a) => (b, Some(a)),
        _ => {
            return Err(Diagnostic::error(
                "from-mixed",
                "what a backend counted cannot be read together with another source, but for one Tempo that counts and one Prometheus",
            )
            .help("give it alone; captures of windows that follow each other merge: tracebook capture --merge")
            .into());
        }
    };
    if graph.is_some() {
        refuse_idle(&given([(request.connection.query.is_some(), "--query")]), "a Tempo and a Prometheus at once")?;
    }
    if recorder.is_some() {
        return Err(Diagnostic::error("spans-from-snapshot", "a backend that counts by itself gives no spans to keep")
            .help("leave --spans out, or give --from the traces themselves")
            .into());
    }
    let mut options = options(from, request, threads(request.global))?;
    if let Some((from, until)) = request.split {
        options.window = options.window.map(|(start, end)| (start.max(from), end.min(until)));
        if options.window.is_some_and(|(start, end)| start >= end) {
            return Err(Diagnostic::error("window-empty", "the time to split at does not lie within the window")
                .help("check --at, --lookback, --start and --end")
                .into());
        }
    }
    let Some(source) = source::open_aggregate(from, &options) else { return Err(no_source().into()) };
    let mut source = source?;
    let (aggregate, report) = {
        let bar = Bar::new(io.progress);
        source.read(&bar)?
    };
    io.diagnostics(&report.diagnostics);
    let mut sources = vec![source.describe()];
    let aggregate = match graph {
        None => aggregate,
        Some(graph) => {
            // The same window for both, though the one could answer for later times.
            let (aggregate, described) = with_graph(aggregate, graph, &options, io)?;
            sources.push(described);
            aggregate
        }
    };
    sources.sort();
    let snapshot = topology::from_aggregate(aggregate, &sources, &request.config.topology)?;
    Ok(exemplified(snapshot, source.as_mut(), request, io))
}

/// Whether a source of aggregates is one whose edges can be joined to those that a Tempo counts.
fn joins(from: &str) -> bool {
    source::counts(from) && !source::exemplifies(from)
}

/// Joins the edges of a service graph to what a Tempo counted. Also what to call the source.
fn with_graph(
    counted: Aggregate,
    from: &str,
    options: &SourceOptions,
    io: &mut Io<'_>,
) -> Result<(Aggregate, String), Stop> {
    let Some(source) = source::open_aggregate(from, options) else { return Err(no_source().into()) };
    let mut source = source?;
    let (graph, report) = {
        let bar = Bar::new(io.progress);
        source.read(&bar)?
    };
    if graph.calls_only {
        return Err(Diagnostic::error(
            "from-mixed",
            "a source that knows calls alone cannot be joined to what a Tempo counts",
        )
        .help("its edges would seem to hold no failures: give it alone")
        .into());
    }
    // Operations are not asked of it.
    let mut told = report.diagnostics;
    told.retain(|diagnostic| diagnostic.code != "prometheus-no-operations");
    io.diagnostics(&told);
    let (joined, taken) = source::join(counted, graph);
    let message = format!(
        "{taken} of {} edge(s) by operation are those of the metrics, which know more of them",
        joined.edges.len()
    );
    let described = source.describe();
    let told = Diagnostic::info("aggregates-joined", message).at(Location::file(described.as_str()));
    io.diagnostics(&[told.help("docs/sources.md says which source is taken for what")]);
    Ok((joined, described))
}

/// Adds some whole traces to look at. The counts are good without them, so what keeps them away is only told.
fn exemplified(
    snapshot: Snapshot,
    source: &mut dyn AggregateSource,
    request: &Request<'_>,
    io: &mut Io<'_>,
) -> Snapshot {
    let builder = Builder::new(request.config.topology.clone());
    let read = {
        let bar = Bar::new(io.progress);
        source.examples(request.connection.max_traces, &Sink { builder: &builder, recorder: None }, &bar)
    };
    let examples = read.and_then(|report| {
        io.diagnostics(&report.diagnostics);
        let intake = Intake { window: report.window, ..Intake::default() };
        // None were wanted, or nothing was found.
        report.window.map(|_| builder.finish(intake, threads(request.global))).transpose()
    });
    match examples {
        Ok(Some(examples)) => topology::with_examples(snapshot, examples),
        Err(why) => {
            let (message, help) = if why.code == "no-spans" {
                ("searches found none of those that were counted".to_owned(), "ask again a minute after spans came in")
            } else {
                (format!("{} ({})", why.message, why.code), why.help.as_str())
            };
            let message = format!("no traces could be read as examples: {message}");
            let told =
                Diagnostic { location: why.location.clone(), ..Diagnostic::warning("examples-missing", message) };
            io.diagnostics(&[told.help(format!("{help}; --max-traces 0 does without"))]);
            snapshot
        }
        Ok(None) => snapshot,
    }
}
