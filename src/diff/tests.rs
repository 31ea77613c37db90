use super::testing::{edge, millis, node, operation, snapshot, stats, window};
use super::*;
use crate::topology::Snapshot;

/// entry → web → api → database:pg:shop, 1,000 requests; api and the gap before it take as long as told.
fn shop(n: u64, api_ms: f64, gap_ms: f64, db_errors: u64) -> Snapshot {
    let db_ms = 2.0;
    let (api, client) = (api_ms + db_ms, api_ms + db_ms + gap_ms);
    let web = 5.0 + client;
    snapshot(
        vec![
            node("entry:user", stats(0, 0, 0.0)),
            node("web", stats(n, db_errors, web)),
            node("api", stats(n, db_errors, api)),
            node("database:pg:shop", stats(n, db_errors, db_ms)),
        ],
        vec![operation("web", "GET /", stats(n, db_errors, web)), operation("api", "Get", stats(n, db_errors, api))],
        vec![
            edge("entry:user", "web", n, db_errors, 0.0, web),
            edge("web", "api", n, db_errors, client, api),
            edge("api", "database:pg:shop", n, db_errors, db_ms, 0.0),
        ],
    )
}

fn codes(diff: &Diff) -> Vec<(&'static str, String)> {
    let name = |s: &Subject| match s {
        Subject::Node { node } => node.0.clone(),
        Subject::Operation { service, operation, .. } => format!("{service} {operation}"),
        Subject::Edge { source, target } => format!("{source} → {target}"),
        Subject::Nodes { nodes } => format!("{} nodes", nodes.len()),
    };
    diff.changes.iter().map(|c| (c.code, name(&c.subject))).collect()
}

#[test]
fn a_snapshot_against_itself_shows_nothing() {
    let same = shop(1_000, 10.0, 1.0, 30);
    let diff = diff(&same, &same);
    assert!(diff.changes.is_empty() && diff.culprits.is_empty(), "{diff:?}");
}

#[test]
fn where_failures_were_not_counted_none_are_compared_and_none_are_shown() {
    let of = |errors| {
        let mut of = shop(1_000, 10.0, 1.0, errors);
        of.provenance.calls_only = true;
        of
    };
    let mut counted = [shop(1_000, 10.0, 1.0, 0), shop(1_000, 10.0, 1.0, 400)];
    assert!(codes(&diff(&counted[0], &counted[1])).iter().any(|(code, _)| *code == "failing-more"));
    // A merge of one that counted failures with one that did not still knows some.
    assert_eq!(codes(&diff(&of(0), &of(400))), []);
    counted[1].edges.retain(|edge| edge.target.0 != "database:pg:shop");
    let mut head = counted[1].clone();
    head.provenance.calls_only = true;
    let found = diff(&of(0), &head);
    let sides = found.changes.iter().flat_map(|change| [&change.before, &change.after]).flatten();
    assert!(sides.clone().count() > 0 && sides.clone().all(|side| side.error_ratio.is_none()), "{found:?}");
    assert!(found.culprits.iter().all(|culprit| !culprit.reason.contains("fail")), "{found:?}");
}

#[test]
fn twice_the_load_over_another_window_changes_only_the_entry() {
    let base = shop(1_000, 10.0, 1.0, 0);
    let mut head = shop(2_000, 10.0, 1.0, 0);
    assert_eq!(codes(&diff(&base, &head)), [("calls-more", "entry:user".into())]);
    head.window = window(0, 1_200);
    assert_eq!(codes(&diff(&base, &head)), []);
}

#[test]
fn a_delay_in_the_network_is_charged_to_the_callee_and_its_edge_comes_first() {
    let found = diff(&shop(1_000, 10.0, 1.0, 0), &shop(900, 10.0, 40.0, 0));
    let first = &found.changes[0];
    assert_eq!((first.code, first.severity), ("slower", Severity::Error));
    assert_eq!(codes(&found)[0].1, "web → api");
    // The callee itself is no slower, and what lies behind it is untouched.
    assert!(codes(&found).iter().all(|(_, subject)| subject != "api" && !subject.contains("database")), "{found:?}");
    let culprit = &found.culprits[0];
    assert_eq!((culprit.rank, culprit.service.0.as_str(), culprit.reason), (1, "api", "network-gap"));
    assert_eq!(culprit.edge.as_ref().map(|(s, t)| (s.0.as_str(), t.0.as_str())), Some(("web", "api")));
    assert_eq!(found.culprits.iter().filter(|c| c.reported).count(), 1);
}

#[test]
fn a_slow_service_is_named_and_not_its_callers() {
    let found = diff(&shop(1_000, 10.0, 1.0, 0), &shop(1_000, 30.0, 1.0, 0));
    let culprits: Vec<_> = found.culprits.iter().map(|c| (c.service.0.as_str(), c.reason)).collect();
    assert_eq!(culprits, [("api", "self-time")]);
    assert_eq!(found.culprits[0].operation.as_deref(), Some("Get"));
    let back = diff(&shop(1_000, 30.0, 1.0, 0), &shop(1_000, 10.0, 1.0, 0));
    assert!(back.culprits.is_empty());
    assert!(back.changes.iter().all(|c| c.code == "faster" && c.severity == Severity::Info));
}

#[test]
fn failures_are_charged_to_the_deepest_node_that_has_them() {
    let found = diff(&shop(1_000, 10.0, 1.0, 0), &shop(1_000, 10.0, 1.0, 80));
    assert!(found.changes.iter().all(|c| (c.code, c.severity) == ("failing-more", Severity::Error)));
    let culprits: Vec<_> = found.culprits.iter().map(|c| (c.service.0.as_str(), c.reason)).collect();
    assert_eq!(culprits, [("database:pg:shop", "own-failures")]);
}

#[test]
fn a_frequent_edge_that_vanished_is_removed_and_a_rare_one_only_not_seen() {
    let with = |extra: u64| {
        let mut base = shop(1_000, 10.0, 1.0, 0);
        base.nodes.push(node("zone", stats(extra, 0, 1.0)));
        base.edges.push(edge("web", "zone", extra, 0, 2.0, 1.0));
        base
    };
    let without = || {
        let mut head = shop(500, 10.0, 1.0, 0);
        head.window = window(0, 300);
        head.nodes.push(node("zone", stats(0, 0, 1.0)));
        head
    };
    let often = diff(&with(100), &without());
    assert_eq!(codes(&often)[0], ("edge-removed", "web → zone".into()));
    assert_eq!(often.changes[0].severity, Severity::Warning);
    assert!(often.changes[0].p_value.is_some_and(|p| p < 0.01));
    let rare = diff(&with(4), &without());
    assert_eq!((codes(&rare)[0].0, rare.changes[0].severity), ("edge-not-seen", Severity::Info));
    let back = diff(&without(), &with(100));
    assert_eq!((codes(&back)[0].0, back.changes[0].severity), ("edge-added", Severity::Warning));
    assert!(back.changes[0].before.is_none());
}

#[test]
fn a_new_service_is_told_once_with_its_edges_as_notes() {
    let mut head = shop(1_000, 10.0, 1.0, 0);
    head.nodes.push(node("zone", stats(1_000, 0, 1.0)));
    head.operations.push(operation("zone", "Tell", stats(1_000, 0, 1.0)));
    head.edges.push(edge("web", "zone", 1_000, 0, 2.0, 1.0));
    let found = diff(&shop(1_000, 10.0, 1.0, 0), &head);
    assert_eq!(codes(&found), [("node-added", "zone".into()), ("edge-added", "web → zone".into())]);
    assert_eq!(found.changes.iter().map(|c| c.severity).collect::<Vec<_>>(), [Severity::Warning, Severity::Info]);
}

#[test]
fn calls_are_counted_per_call_of_the_caller() {
    let mut head = shop(1_000, 10.0, 1.0, 0);
    head.edges.retain(|e| e.source.0 != "web");
    head.edges.push(edge("web", "api", 3_000, 0, 13.0, 12.0));
    let found = diff(&shop(1_000, 10.0, 1.0, 0), &head);
    let edge_change = found.changes.iter().find(|c| matches!(c.subject, Subject::Edge { .. })).unwrap();
    assert_eq!((edge_change.code, edge_change.severity), ("calls-more", Severity::Warning));
}

#[test]
fn a_tail_that_got_fat_counts_although_the_median_stands() {
    let with = |tail: usize| {
        let mut snapshot = shop(1_000, 10.0, 1.0, 0);
        let api = snapshot.nodes.iter_mut().find(|n| n.id.0 == "api").unwrap();
        api.handled.durations = millis((0..1_000).map(|i| if i < tail { 400.0 } else { 10.0 }));
        snapshot
    };
    let found = diff(&with(0), &with(120));
    assert_eq!(codes(&found), [("slower", "api".into())]);
}

#[test]
fn two_noisy_halves_of_the_same_traffic_differ_in_nothing() {
    // A fixed pseudo-random sequence with a heavy tail, split in two, for 40 operations.
    let mut state = 7u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut half = || {
        let mut made = shop(1_000, 10.0, 1.0, 10);
        for i in 0..40 {
            let n = 180 + (random() * 40.0) as u64;
            let mut seen = stats(n, (random() * 6.0) as u64, 1.0);
            seen.durations = millis((0..n).map(|_| 5.0 / (1.0 - random()).max(1e-4).sqrt()));
            made.operations.push(operation("api", &format!("op{i:02}"), seen));
        }
        made
    };
    let (base, head) = (half(), half());
    assert_eq!(codes(&diff(&base, &head)), []);
}

#[test]
fn losing_the_client_spans_of_a_call_makes_it_no_faster() {
    let mut head = shop(1_000, 10.0, 30.0, 0);
    for edge in head.edges.iter_mut().filter(|e| e.source.0 == "web") {
        edge.client = Default::default();
        edge.gap = Default::default();
    }
    assert_eq!(codes(&diff(&shop(1_000, 10.0, 30.0, 0), &head)), []);
}

#[test]
fn empty_and_broken_snapshots_are_compared_without_a_panic() {
    let empty = snapshot(Vec::new(), Vec::new(), Vec::new());
    let mut full = shop(1_000, 10.0, 1.0, 0);
    full.window = window(9, 3);
    for (a, b) in [(&empty, &full), (&full, &empty), (&empty, &empty)] {
        let json = serde_json::to_string(&diff(a, b)).unwrap();
        assert!(!json.contains("null,null") && !json.contains("NaN"));
    }
    let removed = diff(&full, &empty);
    assert!(removed.changes.iter().all(|c| c.severity == Severity::Info), "nothing was seen, so nothing is gone");
}
