//! Whole windows from a played Tempo: everything once, or an error, whatever goes wrong.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tonic::Status;
use tracebook::source::{Answers, SourceOptions};

use crate::doors::{NOT_FOUND, says};
use crate::play::{Fault, Piece, START, Script, Server, Traces, spans, traces};
use crate::support::{Collected, hasty, pull};

const TRACES: u64 = 1_600;

fn script() -> Script {
    Script { traces: traces(TRACES), ..Script::default() }
}

fn options() -> SourceOptions {
    let mut options = hasty((START, START + TRACES / 4 + 1));
    options.transport.tenant = Some("team-a".to_owned());
    options
}

fn check(script: &Script, got: &Collected) {
    assert_eq!(
        got.traces().iter().map(|id| id.0).collect::<Vec<_>>(),
        script.traces.keys().copied().collect::<Vec<_>>()
    );
    assert_eq!((got.spans(), got.duplicates()), (spans(&script.traces), 0));
}

fn everything(script: Script) -> (Server, tracebook::source::SourceReport) {
    let server = Server::start(script.clone());
    let (got, report) = pull(&server.url(), &options()).unwrap();
    check(&script, &got);
    (server, report)
}

#[test]
fn all_traces_arrive_once_though_the_stream_repeats_its_state_and_ids_lose_their_zeros() {
    let (server, report) = everything(script());
    assert!(report.diagnostics.is_empty() && report.partial_traces == 0, "{report:?}");
    // One look for sampling information, nothing else by id.
    assert_eq!(server.fetches(), 1);
}

#[test]
fn more_traces_than_a_search_gives_are_all_found() {
    everything(Script { most: 100, ..script() });
    // More in one second than the limit: even then, one second has only 4.
    everything(Script { most: 7, ..script() });
}

#[test]
fn whatever_a_tempo_allows_is_enough() {
    // More than one search is under way when the first is refused.
    for (most, most_spans) in [(0, 50), (0, 3), (30, 3)] {
        let (server, _) = everything(Script { most, most_spans, largest: 200, ..script() });
        assert!(most_spans >= 5 || server.fetches() > 1);
    }
}

#[test]
fn an_answer_that_is_too_large_is_asked_for_in_halves() {
    let (server, _) = everything(Script { largest: 500, ..script() });
    assert!(server.searches() > 10);
}

#[test]
fn a_tempo_that_cannot_count_or_select_gives_all_the_same() {
    let (server, report) = everything(Script { no_metrics: true, ..script() });
    // One look for sampling information, and 64 for pieces.
    assert_eq!(server.fetches(), 65);
    assert_eq!(report.diagnostics.iter().map(|d| d.code).collect::<Vec<_>>(), ["tempo-uncounted"]);
    let few = Script { traces: traces(200), no_select: true, ..Script::default() };
    let (server, _) = everything(few);
    assert_eq!(server.fetches(), 201);
}

#[test]
fn what_fails_in_the_middle_is_repeated_whole() {
    let cut = Fault::MidStream(Status::internal("stream cut"));
    let busy = Fault::Status(Status::resource_exhausted("job queue full"));
    let away = Fault::Status(Status::unavailable("restarting"));
    let faults = [(1, cut.clone()), (2, busy), (4, away), (5, cut), (7, Fault::Hang)].into();
    let (_, report) = everything(Script { faults, ..script() });
    assert!(report.diagnostics.is_empty());
}

/// Answers that the tests can look at.
#[derive(Debug, Default)]
struct Kept {
    earlier: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
    now: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl Answers for Kept {
    fn get(&self, question: &[u8]) -> Option<Vec<u8>> {
        self.earlier.lock().unwrap().remove(question)
    }

    fn put(&self, question: &[u8], answer: &[u8]) {
        self.now.lock().unwrap().insert(question.to_vec(), answer.to_vec());
    }
}

#[test]
fn a_pull_that_failed_goes_on_where_it_was() {
    let mut traces = traces(400);
    // Fetched whole, by id.
    traces.values_mut().take(40).for_each(|pieces| pieces[0].link = true);
    let script = Script { traces, largest: 100, ..Script::default() };
    let whole = Server::start(script.clone());
    pull(&whole.url(), &options()).unwrap();
    let first = Arc::new(Kept::default());
    let last = Status::permission_denied("no more");
    let broken = Script { broken_from: Some((whole.searches() - 3, last)), ..script.clone() };
    let server = Server::start(broken);
    let at = server.url();
    let keeping = |kept: &Arc<Kept>| SourceOptions { kept: Some(kept.clone()), ..options() };
    pull(&at, &keeping(&first)).unwrap_err();
    let known = first.now.lock().unwrap().clone();
    // Questions name the server; another one is at another port.
    let again = Server::start(script.clone());
    let renamed = |question: &[u8]| {
        let text = |at: &Server| at.url().split('?').next().unwrap().to_owned();
        let (old, new) = (text(&server), text(&again));
        let begin = question.windows(old.len()).position(|w| w == old.as_bytes()).unwrap();
        [&question[..begin], new.as_bytes(), &question[begin + old.len()..]].concat()
    };
    let earlier = known.iter().map(|(question, answer)| (renamed(question), answer.clone())).collect();
    let second = Arc::new(Kept { earlier: Mutex::new(earlier), ..Kept::default() });
    let (got, report) = pull(&again.url(), &keeping(&second)).unwrap();
    check(&script, &got);
    assert!(report.diagnostics.is_empty() && report.partial_traces == 0, "{report:?}");
    assert!(second.earlier.lock().unwrap().is_empty(), "all that was known was used");
    let kept = known.keys().filter(|question| question.starts_with(b"tempo search")).count();
    assert!(kept > 15 && again.searches() <= whole.searches() - kept, "{} of {}", again.searches(), whole.searches());
    assert!(again.fetches() + known.len() - kept <= whole.fetches());
}

#[test]
fn a_server_that_dies_half_way_is_an_error_and_no_shorter_answer() {
    for at in [1, 2, 5] {
        let server = Server::start(Script { faults: [(at, Fault::Die)].into(), largest: 900, ..script() });
        let failed = pull(&server.url(), &options()).unwrap_err();
        assert!(
            ["tempo-unreachable", "tempo-connection-lost", "tempo-unavailable", "tempo-stream-cut"]
                .contains(&failed.code),
            "{failed}"
        );
        assert!(failed.message.contains("attempts") && failed.help.contains(' '), "{failed}");
    }
}

#[test]
fn a_server_that_stays_overloaded_or_lets_wait_is_an_error() {
    let broken_from = Some((2, Status::resource_exhausted("job queue full")));
    let server = Server::start(Script { broken_from, ..script() });
    assert_eq!(pull(&server.url(), &options()).unwrap_err().code, "tempo-overloaded");
    let server =
        Server::start(Script { faults: (1..200).map(|n| (n, Fault::Hang)).collect(), traces: traces(3), ..script() });
    assert_eq!(pull(&server.url(), &options()).unwrap_err().code, "tempo-deadline");
}

#[test]
fn traces_in_pieces_large_ones_and_linked_ones_come_whole_by_id() {
    let mut script = script();
    let piece = |id, parent, start, block| Piece { id, parent, start, block, link: false };
    let nanos = |second: u64| (START + second) * 1_000_000_000;
    // A later piece with the same service: every search shows the trace as if it were whole.
    script.traces.insert(
        0xfeed_0001,
        vec![piece(71, 0, nanos(5), 0), piece(72, 71, nanos(5) + 9, 0), piece(73, 71, nanos(333), 1)],
    );
    script.traces.insert(
        0xfeed_0002,
        (0..250).map(|i| piece(80_000 + i, if i == 0 { 0 } else { 80_000 }, nanos(9) + i, 0)).collect(),
    );
    let mut linked = piece(74, 0, nanos(300), 0);
    linked.link = true;
    script.traces.insert(0xfeed_0003, vec![linked]);
    // Its parent is nowhere.
    script.traces.insert(0xfeed_0004, vec![piece(75, 9_999, nanos(350), 0)]);
    let (_, report) = everything(script);
    assert_eq!(report.partial_traces, 0);
}

/// Traces of which some have a late span that lies in a block of its own.
fn pieces(of: u64, each: usize) -> Traces {
    let mut traces = traces(of);
    for (at, pieces) in traces.values_mut().step_by(each).enumerate() {
        let (root, start) = (pieces[0].id, pieces[0].start);
        pieces.push(Piece {
            id: 900_000 + at as u64,
            parent: root,
            start: start + 2_000_000_000,
            block: 1,
            link: false,
        });
    }
    traces
}

#[test]
fn traces_in_pieces_are_whole_where_nobody_counts_and_behind_a_filter_too() {
    let filtered = SourceOptions { query: Some("{ name = \"work\" }".to_owned()), ..options() };
    let whole = |script: &Script, options: &SourceOptions| {
        let server = Server::start(script.clone());
        let (got, report) = pull(&server.url(), options).unwrap();
        check(script, &got);
        assert!(report.diagnostics.is_empty(), "{report:?}");
        server.fetches()
    };
    // A few are all read whole: who counts spans that match, or none, tells nothing of the rest of their traces.
    let few = Script { traces: pieces(150, 50), ..Script::default() };
    assert_eq!(whole(&few, &filtered), 152);
    let uncounted = Script { no_metrics: true, ..few };
    assert_eq!(whole(&uncounted, &options()), 152);
    assert_eq!(whole(&uncounted, &filtered), 152);
    // Of many those that a count of all spans makes doubtful, with a filter as without.
    let many = Script { traces: pieces(1_000, 300), ..Script::default() };
    assert!(whole(&many, &options()) > 4 && whole(&many, &filtered) > 4);
    // One of those that are looked at is in pieces: then all are read whole.
    let uncounted = Script { traces: pieces(1_000, 10), no_metrics: true, ..Script::default() };
    assert_eq!(whole(&uncounted, &options()), 1_000 + 64 + 1);
}

#[test]
fn traces_that_reach_beyond_the_window_are_no_doubt_about_its_count() {
    // Of every trace the last spans lie behind the end: fewer spans are counted in the window than its traces have.
    let mut script = script();
    for pieces in script.traces.values_mut().rev().take(40).filter(|pieces| pieces.len() > 1) {
        pieces.last_mut().unwrap().start = (START + TRACES / 4 + 5) * 1_000_000_000;
    }
    let (server, report) = everything(script);
    assert!(report.diagnostics.is_empty(), "{report:?}");
    assert_eq!(server.fetches(), 1);
}

#[test]
fn a_count_of_nothing_is_no_count() {
    let script = Script { traces: pieces(150, 50), counts_nothing: true, ..Script::default() };
    let (server, report) = everything(script);
    assert!(report.diagnostics.is_empty() && server.fetches() == 152, "{report:?}");
    let many = Script { traces: traces(1_600), counts_nothing: true, ..Script::default() };
    let (_, report) = everything(many);
    assert_eq!(report.diagnostics.iter().map(|d| d.code).collect::<Vec<_>>(), ["tempo-uncounted"]);
}

#[test]
fn one_trace_that_is_gone_by_id_is_told_and_ends_nothing() {
    let mut script = Script { traces: traces(300), ..Script::default() };
    let links: Vec<u128> = script.traces.keys().copied().take(3).collect();
    // The one that is looked at for sampling too, and one that is the only one to come by id.
    for (linked, gone) in [(&links[..], links[0]), (&links[1..2], links[1])] {
        for (id, pieces) in &mut script.traces {
            pieces[0].link = linked.contains(id);
        }
        let server = Server::start(Script { gone: Some(gone), ..script.clone() });
        let (got, report) = pull(&server.url(), &options()).unwrap();
        assert_eq!((got.traces().len(), report.partial_traces), (299, 1));
        let codes: Vec<_> =
            report.diagnostics.iter().map(|d| d.code).filter(|code| *code != "tempo-sampling-unknown").collect();
        assert_eq!(codes, ["tempo-traces-vanished"], "{report:?}");
    }
}

#[test]
fn where_all_comes_by_id_nothing_is_in_doubt_and_without_an_http_side_the_doubt_is_told() {
    for most in [100, 300] {
        let script = Script { traces: traces(most), no_metrics: true, ..Script::default() };
        let server = Server::start(script.clone());
        let (got, report) = pull(&format!("{}&traces=by-id", server.url()), &options()).unwrap();
        check(&script, &got);
        assert!(report.diagnostics.is_empty(), "{report:?}");
        let (got, report) = pull(&server.url_without_http(), &options()).unwrap();
        check(&script, &got);
        let codes: Vec<_> = report.diagnostics.iter().map(|d| d.code).collect();
        assert_eq!(codes, ["tempo-sampling-unknown", "tempo-uncounted"], "{report:?}");
    }
}

#[test]
fn what_cannot_be_counted_beside_a_filter_is_no_error() {
    // A second that holds more traces than one search gives, none of which the filter lets through.
    let mut script = Script { traces: traces(400), filtered: true, ..Script::default() };
    for n in 0..300u64 {
        let piece =
            Piece { id: 700_000 + n, parent: 0, start: (START + 30) * 1_000_000_000 + n, block: 0, link: false };
        script.traces.insert(0xffff_0000_0000_0000_0000 + u128::from(n), vec![piece]);
    }
    let server = Server::start(script);
    let filtered = SourceOptions { query: Some("{ name = \"work\" }".to_owned()), ..options() };
    let (got, _) = pull(&format!("{}&limit=100", server.url()), &filtered).unwrap();
    assert_eq!(got.traces().len(), 400);
}

#[test]
fn a_trace_that_a_server_does_not_know_now_is_asked_for_again() {
    // As where one of several servers behind the address does not know them.
    let http_faults = [vec![200, 200], vec![404; 30]].concat();
    let mut script = Script { traces: traces(60), http_faults, ..Script::default() };
    script.traces.values_mut().for_each(|pieces| pieces[0].link = true);
    everything(script);
}

#[test]
fn a_trace_belongs_to_the_window_in_which_it_starts() {
    let mut script = script();
    let nanos = |second: u64| (START + second) * 1_000_000_000;
    let long = |id: u64, from, to| {
        vec![
            Piece { id, parent: 0, start: from, block: 0, link: false },
            Piece { id: id + 1, parent: id, start: to, block: 0, link: false },
        ]
    };
    // From before the window into it, and from the first half into the second.
    script.traces.insert(0xfeed_0001, long(91, nanos(0) - 5_000_000_000, nanos(3)));
    script.traces.insert(0xfeed_0002, long(95, nanos(190), nanos(210)));
    let server = Server::start(script.clone());
    let half = |from: u64, to: u64| {
        let mut options = options();
        options.window = hasty((START + from, START + to)).window;
        pull(&server.url(), &options).unwrap().0
    };
    let (first, second) = (half(0, 200), half(200, 401));
    assert!(first.traces().is_disjoint(&second.traces()));
    assert_eq!(first.traces().len() + second.traces().len(), script.traces.len() - 1);
    assert_eq!(first.spans() + second.spans(), spans(&script.traces) - 2);
}

#[test]
fn without_the_http_side_only_what_needs_it_is_an_error() {
    let server = Server::start(script());
    let (got, report) = pull(&server.url_without_http(), &options()).unwrap();
    assert_eq!(got.traces().len(), TRACES as usize);
    assert_eq!(report.diagnostics[0].code, "tempo-sampling-unknown");
    let mut script = script();
    script.traces.insert(
        0xfeed_0004,
        vec![Piece { id: 75, parent: 9_999, start: START * 1_000_000_000, block: 0, link: false }],
    );
    let server = Server::start(script);
    let failed = pull(&server.url_without_http(), &options()).unwrap_err();
    assert_eq!(failed.code, "tempo-http-unreachable");
    assert!(failed.help.contains("?http=") && failed.help.contains("tempo+http://"));
    let grpc = pull(&format!("tempo://{0}?http={0}", server.grpc()), &options()).unwrap_err();
    assert_eq!(grpc.code, "tempo-http-unreachable");
    assert!(grpc.message.contains("gRPC is spoken there, and no HTTP/1.1"), "{grpc}");
}

#[test]
fn a_port_that_is_no_tempos_is_an_error_and_loses_no_trace() {
    // By id must come: one trace, three, and all of a Tempo that cannot select.
    let links = |n: usize| {
        let mut script = Script { traces: traces(20), ..Script::default() };
        script.traces.values_mut().take(n).for_each(|pieces| pieces[0].link = true);
        script
    };
    for script in [links(1), links(3), Script { traces: traces(20), no_select: true, ..Script::default() }] {
        for text in NOT_FOUND {
            let server = Server::start(script.clone());
            let at = says(text.as_bytes());
            let why = pull(&format!("tempo://{}?http={at}", server.grpc()), &options()).unwrap_err();
            assert_eq!(why.code, "tempo-http-refused", "{text}: {why}");
            assert!(why.help.contains("?http="), "{why}");
            let words = text.rsplit("\r\n\r\n").next().unwrap().trim();
            assert!(why.message.contains(words), "{why}");
        }
    }
}

#[test]
fn whether_spans_are_sampled_is_not_known_by_a_port_that_is_no_tempos() {
    for text in NOT_FOUND {
        let server = Server::start(script());
        let at = says(text.as_bytes());
        let (_, report) = pull(&format!("tempo://{}?http={at}", server.grpc()), &options()).unwrap();
        let codes: Vec<_> = report.diagnostics.iter().map(|d| d.code).collect();
        assert_eq!(codes, ["tempo-sampling-unknown"], "{text}");
    }
}

#[test]
fn the_http_side_is_retried_too() {
    let script =
        Script { traces: traces(50), no_select: true, http_faults: vec![200, 429, 503, 502], ..Script::default() };
    everything(script);
    let script = Script { traces: traces(5), no_select: true, http_faults: vec![200, 403], ..Script::default() };
    let server = Server::start(script);
    assert_eq!(pull(&server.url(), &options()).unwrap_err().code, "tempo-forbidden");
}

#[test]
fn spans_sampled_by_trace_state_are_read_by_id_since_no_search_shows_it() {
    let (server, _) =
        everything(Script { traces: traces(100), trace_state: "ot=th:8".to_owned(), ..Script::default() });
    // All, and one to learn that they are sampled.
    assert_eq!(server.fetches(), 101);
}

#[test]
fn an_empty_window_is_an_error_that_names_likely_causes() {
    let server = Server::start(Script::default());
    let failed = pull(&server.url(), &options()).unwrap_err();
    assert_eq!(failed.code, "no-traces-in-window");
    assert!(failed.help.contains("tenant") && failed.help.contains("30 s"));
}
