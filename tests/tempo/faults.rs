//! Whatever happens to a connection: the same spans as without it, or a coded error, and an end in either case.

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::time::Duration;

use tonic::Status;
use tracebook::diag::Diagnostic;
use tracebook::source::{Keep, Sample, SourceOptions, SourceReport};

use crate::play::{Fault, START, Script, Server, spans, traces};
use crate::proxy::{Proxy, Spoil};
use crate::support::{Collected, hasty, pull};

const TRACES: u64 = 400;

fn script() -> Script {
    Script { traces: traces(TRACES), ..Script::default() }
}

fn options() -> SourceOptions {
    let mut options = hasty((START, START + TRACES / 4 + 1));
    options.transport.tenant = Some("team-a".to_owned());
    options
}

/// A pull that must end; how soon is not measured.
fn ends(url: String, options: SourceOptions) -> Result<(Collected, SourceReport), Diagnostic> {
    let (say, hear) = mpsc::channel();
    std::thread::spawn(move || say.send(pull(&url, &options)));
    hear.recv_timeout(Duration::from_secs(120)).expect("the pull hangs")
}

/// Everything, or an error that says what to do.
fn whole_or_error(name: &str, script: &Script, outcome: Result<(Collected, SourceReport), Diagnostic>) -> bool {
    match outcome {
        Ok((got, report)) => {
            let ids: Vec<u128> = got.traces().iter().map(|id| id.0).collect();
            assert!(ids.iter().eq(script.traces.keys()), "{name}: {got:?}");
            assert_eq!((got.spans(), got.duplicates()), (spans(&script.traces), 0), "{name}");
            assert_eq!(report.partial_traces, 0, "{name}: {report:?}");
            true
        }
        Err(failed) => {
            assert!(failed.code.starts_with("tempo-") && !failed.help.is_empty(), "{name}: {failed}");
            false
        }
    }
}

const SPOILS: &[Spoil] = &[
    Spoil::Cut(0),
    Spoil::Cut(200),
    Spoil::Cut(3_000),
    Spoil::Reset(200),
    Spoil::Reset(3_000),
    Spoil::Stall(200),
    Spoil::Stall(3_000),
    Spoil::Trickle(64),
    Spoil::Corrupt(300),
    Spoil::Corrupt(3_000),
    Spoil::Refuse,
];

#[test]
fn a_spoilt_grpc_connection_gives_everything_or_an_error() {
    let script = script();
    let server = Server::start(script.clone());
    let mut whole = 0;
    for spoil in SPOILS {
        let proxy = Proxy::start(server.grpc(), *spoil, 1);
        let outcome = ends(format!("tempo://{}?http={}", proxy.address, server.http()), options());
        whole += u32::from(whole_or_error(&format!("grpc {spoil:?}"), &script, outcome));
    }
    assert!(whole >= 5, "only {whole} of them were mended by repeating");
    let proxy = Proxy::start(server.grpc(), Spoil::Cut(3_000), usize::MAX);
    let outcome = ends(format!("tempo://{}?http={}", proxy.address, server.http()), options());
    assert!(!whole_or_error("always cut", &script, outcome));
    assert!(proxy.connections() > 1);
}

#[test]
fn spoilt_http_connections_give_everything_or_an_error() {
    let script = Script { no_select: true, traces: traces(40), ..Script::default() };
    let server = Server::start(script.clone());
    for spoil in SPOILS {
        // The first one decides whether there is an HTTP side at all; so a later one is spoilt, too.
        for bad in [1, usize::MAX] {
            let proxy = Proxy::start(server.http(), *spoil, bad);
            // Flips that keep the form and all ids cannot be seen without TLS or gzip; the played server uses neither.
            let outcome = ends(format!("tempo://{}?http={}", server.grpc(), proxy.address), options());
            whole_or_error(&format!("http {spoil:?} {bad}"), &script, outcome);
        }
    }
}

#[test]
fn every_passing_status_is_repeated_and_nothing_is_lost() {
    for status in [
        Status::resource_exhausted("job queue full"),
        Status::unavailable("no healthy upstream"),
        Status::deadline_exceeded("context deadline exceeded"),
        Status::internal("stream terminated by RST_STREAM"),
        Status::aborted("shutting down"),
        Status::cancelled("context canceled"),
        Status::unknown("EOF"),
        Status::internal("error finding partition ring replicas: empty ring"),
    ] {
        for fault in [Fault::Status(status.clone()), Fault::MidStream(status.clone())] {
            let script = Script { faults: (1..4).map(|n| (n, fault.clone())).collect(), ..script() };
            let server = Server::start(script.clone());
            let outcome = ends(server.url(), options());
            assert!(whole_or_error(&format!("{fault:?}"), &script, outcome), "{status:?}");
        }
    }
}

#[test]
fn every_http_status_is_repeated_or_told() {
    for (status, repeated) in [(429, true), (500, true), (502, true), (503, true), (504, true), (418, false)] {
        let faults = vec![200, status, status, 200, status];
        let script = Script { traces: traces(40), no_select: true, http_faults: faults, ..Script::default() };
        let server = Server::start(script.clone());
        assert_eq!(whole_or_error(&status.to_string(), &script, ends(server.url(), options())), repeated, "{status}");
    }
}

#[test]
fn a_sample_holds_whole_traces_the_same_in_every_run_and_says_what_it_left_out() {
    let script = script();
    let server = Server::start(script.clone());
    let sampled = |most, keep| {
        let options = SourceOptions { sample: Some(Sample { most, keep }), ..options() };
        pull(&server.url(), &options).unwrap()
    };
    let (few, report) = sampled(50, Keep::Hash);
    assert_eq!((few.traces().len(), report.left_out_traces), (50, TRACES - 50));
    assert_eq!(report.diagnostics[0].code, "traces-sampled");
    assert!(report.diagnostics[0].message.contains("50 of the 400 traces"), "{report:?}");
    for id in few.traces() {
        assert_eq!(few.spans_of(id).len(), script.traces[&id.0].len());
    }
    assert_eq!(few.traces(), sampled(50, Keep::Hash).0.traces());
    assert!(few.traces().is_subset(&sampled(200, Keep::Hash).0.traces()));
    let (newest, report) = sampled(40, Keep::MostRecent);
    let last: BTreeSet<u128> = newest.traces().iter().map(|id| id.0 & 0xffff).collect();
    assert!(last.into_iter().eq(u128::from(TRACES - 39)..=u128::from(TRACES)));
    let begin = (START * 4 + TRACES - 40) * 250_000_000;
    assert_eq!(report.window.unwrap().0.0, begin, "the window of the newest has nothing left out");
    let (all, report) = sampled(TRACES, Keep::Hash);
    assert_eq!((all.traces().len() as u64, report.left_out_traces, report.diagnostics.len()), (TRACES, 0, 0));
}
