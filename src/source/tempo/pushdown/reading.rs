//! From what was counted to operations and edges.

use super::counted::{Counted, service};
use super::population::{Meaning, Population};
use super::sums::Sums;
use crate::source::peer;
use crate::source::view::{Known, Value};
use crate::spans::aggregate::{Aggregate, AggregateCall, AggregateEdge, AggregateOperation, AggregateService, Party};
use crate::spans::{Peer, PeerKind, SpanKind, semconv};

impl Counted {
    /// Everything as operations and edges.
    pub(super) fn aggregate(self, populations: &[Population], into: &mut Aggregate) {
        let mut entries = Vec::new();
        for ((at, values), sums) in self.0 {
            let Some(population) = populations.get(at) else { continue };
            let own = service(&values);
            let name = values.get(2).cloned().unwrap_or_default();
            match &population.meaning {
                Meaning::Operation => into.operations.push(AggregateOperation {
                    service: own,
                    kind: kind(values.get(3).map_or("", String::as_str)),
                    name,
                    entry: false,
                    totals: sums.totals(),
                    durations: sums.durations(),
                }),
                Meaning::Connected | Meaning::Failure => {}
                Meaning::Entry => {
                    entries.push((own.clone(), name.clone()));
                    into.edges.push(edge(
                        Party::Entry("user".to_owned()),
                        Party::Service(own),
                        AggregateCall::Entry,
                        &sums,
                        Side::Server,
                        name,
                    ));
                }
                Meaning::Call(source) => {
                    let source = Party::Service(source.clone());
                    into.edges.push(edge(source, Party::Service(own), AggregateCall::Call, &sums, Side::Server, name));
                }
                Meaning::Leaf | Meaning::Publish | Meaning::Consume => {
                    into.edges.extend(named(population, &values, own, &sums));
                }
            }
        }
        let is_entry = |o: &AggregateOperation| {
            o.kind == SpanKind::Server && entries.iter().any(|(s, name)| *s == o.service && *name == o.name)
        };
        for operation in &mut into.operations {
            operation.entry = is_entry(operation);
        }
    }
}

/// An edge to or from something its attributes name; `None` when they name nothing.
fn named(population: &Population, values: &[String], own: AggregateService, sums: &Sums) -> Option<AggregateEdge> {
    let kind = match population.meaning {
        Meaning::Publish => SpanKind::Producer,
        Meaning::Consume => SpanKind::Consumer,
        _ => SpanKind::Client,
    };
    let mut known = Known::default();
    let mut name = "";
    for (key, value) in population.keys.iter().zip(values) {
        if *key == "name" {
            name = value;
        }
        if let Some((slot, rank)) = key.strip_prefix("span.").and_then(semconv::slot)
            && !value.is_empty()
        {
            known.put(slot, rank, Value::Str(value));
        }
    }
    let mut other = Peer::default();
    if !peer::derive(name, kind, &known, &mut other) {
        return None;
    }
    let call = match other.kind {
        PeerKind::Database => AggregateCall::Database,
        PeerKind::Messaging => AggregateCall::Messaging,
        PeerKind::Service => AggregateCall::Call,
        PeerKind::External | PeerKind::None => AggregateCall::External,
    };
    let (own, other) = (Party::Service(own), Party::Peer(other));
    Some(if population.meaning == Meaning::Consume {
        edge(other, own, call, sums, Side::Server, String::new())
    } else {
        edge(own, other, call, sums, Side::Client, String::new())
    })
}

/// Who measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

fn edge(
    source: Party,
    target: Party,
    call: AggregateCall,
    sums: &Sums,
    side: Side,
    operation: String,
) -> AggregateEdge {
    let on = |this| if side == this { sums.durations() } else { None };
    AggregateEdge {
        source,
        target,
        call,
        source_operation: String::new(),
        target_operation: operation,
        totals: sums.totals(),
        client: on(Side::Client),
        server: on(Side::Server),
    }
}

fn kind(text: &str) -> SpanKind {
    match text {
        "internal" => SpanKind::Internal,
        "server" => SpanKind::Server,
        "client" => SpanKind::Client,
        "producer" => SpanKind::Producer,
        "consumer" => SpanKind::Consumer,
        _ => SpanKind::Unspecified,
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::super::question::Of;
    use super::*;
    use crate::source::tempo::wire::InstantSeries;
    use crate::source::tempo::wire::QueryInstantResponse;
    use crate::spans::Weight;
    use crate::spans::aggregate::Totals;

    /// What a real Tempo answered about 30,835 spans.
    fn recorded(name: &str) -> Vec<InstantSeries> {
        let path = format!("{}/tests/data/tempo/metrics_instant_{name}.binpb", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(path).unwrap();
        QueryInstantResponse::decode(bytes.get(4..).unwrap()).unwrap().series
    }

    fn population(keys: &[&'static str], meaning: Meaning) -> Population {
        Population { selector: String::new(), keys: keys.to_vec(), meaning, failed: false, together: None }
    }

    const NAMESPACE: &str = "resource.service.namespace";
    const SERVICE: &str = "resource.service.name";

    fn read(populations: &[Population], counts: &[(usize, &str)], durations: &[(usize, &str)]) -> Aggregate {
        let mut counted = Counted::default();
        for (at, name) in counts {
            counted.count(*at, &populations[*at], Of::All, &recorded(name));
        }
        for (at, name) in durations {
            counted.durations(*at, &populations[*at], &recorded(name));
        }
        let mut aggregate = Aggregate::default();
        counted.aggregate(populations, &mut aggregate);
        aggregate
    }

    #[test]
    fn every_span_and_error_is_counted_once() {
        let populations = [population(&[NAMESPACE, SERVICE, "name", "kind"], Meaning::Operation)];
        let got = read(&populations, &[(0, "count_by_service_name_kind_status")], &[]);
        let sum = |of: fn(&Totals) -> Weight| got.operations.iter().map(|o| of(&o.totals).micro()).sum::<u64>();
        assert_eq!((sum(|t| t.calls), sum(|t| t.errors)), (30_835_000_000, 134_000_000));
        let ad = got.operations.iter().find(|o| o.service.name == "ad" && o.kind == SpanKind::Server).unwrap();
        assert_eq!((ad.name.as_str(), ad.totals.calls), ("oteldemo.AdService/GetAds", Weight::whole(931)));
    }

    #[test]
    fn called_spans_are_edges_and_a_failed_caller_makes_all_of_its_calls_failures() {
        let source = AggregateService { namespace: String::new(), name: "frontend".to_owned() };
        let mut calls = population(&[NAMESPACE, SERVICE, "name"], Meaning::Call(source));
        for (failed, errors) in [(false, 1), (true, 261)] {
            calls.failed = failed;
            let got = read(std::slice::from_ref(&calls), &[(0, "edges_from_frontend")], &[]);
            let edge = got.edges.iter().find(|e| e.target_operation == "oteldemo.CartService/AddItem").unwrap();
            assert_eq!(edge.totals.calls, Weight::whole(261));
            assert_eq!(edge.totals.errors, Weight::whole(errors));
            assert!(edge.client.is_none(), "nobody measured how long the caller waited");
        }
    }

    #[test]
    fn buckets_are_bounded_by_powers_of_two_nanoseconds() {
        let populations = [population(&[NAMESPACE, SERVICE], Meaning::Operation)];
        let got = read(&populations, &[], &[(0, "histogram_by_service")]);
        let ad = got.operations.iter().find(|o| o.service.name == "ad").unwrap();
        let buckets = &ad.durations.as_ref().unwrap().buckets;
        assert_eq!(buckets.iter().map(|b| b.calls.micro()).sum::<u64>(), 931_000_000);
        for bucket in buckets {
            let upper = bucket.upper.unwrap();
            assert!(upper.is_power_of_two() && bucket.lower == upper / 2, "{bucket:?}");
        }
    }

    #[test]
    fn attributes_name_the_other_end_as_they_do_for_spans() {
        let keys = [NAMESPACE, SERVICE, "span.db.system", "span.server.address"];
        let leaf = population(&keys, Meaning::Leaf);
        let own = AggregateService { namespace: String::new(), name: "cart".to_owned() };
        let values = ["", "cart", "Redis", "redis-cart:6379"].map(str::to_owned);
        let edge = named(&leaf, &values, own.clone(), &Sums::default()).unwrap();
        let Party::Peer(peer) = edge.target else { panic!("{edge:?}") };
        assert_eq!(
            (peer.kind, peer.system.as_str(), peer.address.as_str()),
            (PeerKind::Database, "redis", "redis-cart")
        );
        assert!(named(&leaf, &["", "cart", "", ""].map(str::to_owned), own, &Sums::default()).is_none());
    }
}
