//! Two aggregates of one window as one: operations as a Tempo counts them, edges from whichever source knows more of them.
//!
//! Input: what a Tempo counted, and what service-graph metrics hold. Output: one [`Aggregate`], and how many edges came from
//! the metrics. Must not: count a call twice. Nothing is ever added up across the sources: for each pair of services, and
//! for what leaves or enters a service, one of them is taken whole and the other left.
//!
//! Metrics are made while spans pass, so they know calls among spans that TraceQL cannot follow; names of databases and of
//! what nobody instrumented differ between the two, so there a service's callees are all taken from one.

use std::collections::{BTreeMap, BTreeSet};

use crate::spans::Weight;
use crate::spans::aggregate::{Aggregate, AggregateCall, AggregateEdge, AggregateService, Party};

/// Metrics are scraped, and their counters rise when a call has ended: at the ends of a window they may hold a little more
/// than started in it. Only what is above Tempo's count by more than the calls of so many seconds is known better.
const SLACK_NANOS: u64 = 60_000_000_000;

/// What is decided at once: whose word is taken for all edges of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Matter {
    /// Calls from one service to another.
    Pair(AggregateService, AggregateService),
    /// Messages from one service to another, by whatever topic.
    Messages(AggregateService, AggregateService),
    /// What a service calls that sends no spans: databases, or anything else.
    Leaves(AggregateService, bool),
    /// Requests from outside into a service.
    Enters(AggregateService),
}

/// Joins the edges of `graph` to `counted`. Also says how many of the edges are those of `graph`.
#[must_use]
pub fn join(mut counted: Aggregate, graph: Aggregate) -> (Aggregate, usize) {
    let names = Names::of(&counted);
    let graph: Vec<AggregateEdge> = graph.edges.into_iter().map(|edge| names.edge(edge)).collect();
    let mut ours: BTreeMap<Matter, Weight> = BTreeMap::new();
    let mut theirs: BTreeMap<Matter, Weight> = BTreeMap::new();
    for (edges, sums) in [(&counted.edges, &mut ours), (&graph, &mut theirs)] {
        for edge in edges {
            if let Some(matter) = matter(edge) {
                *sums.entry(matter).or_default() += edge.totals.calls;
            }
        }
    }
    let topics = Topics::of(&counted);
    let operates: BTreeSet<_> = counted.operations.iter().map(|operation| operation.service.clone()).collect();
    let length = counted.window.1.since(counted.window.0);
    let better: BTreeSet<Matter> = theirs
        .into_iter()
        .filter(|(matter, calls)| match (matter, ours.get(matter)) {
            (Matter::Messages(source, target), _) => !topics.join(source, target),
            // To the metrics whatever has no caller comes from outside, messages and spans cut off among it.
            (Matter::Enters(target), None) => !operates.contains(target),
            (Matter::Pair(..), Some(mine)) => exceeds(*calls, *mine, length),
            (_, Some(_)) => false,
            (_, None) => true,
        })
        .map(|(matter, _)| matter)
        .collect();
    let is_better = |edge: &AggregateEdge| matter(edge).is_some_and(|matter| better.contains(&matter));
    counted.edges.retain(|edge| !is_better(edge));
    let before = counted.edges.len();
    counted.edges.extend(graph.into_iter().filter(is_better));
    let taken = counted.edges.len().saturating_sub(before);
    (counted, taken)
}

/// Whether one count is more than another by more than what two clocks explain, in a window of so many nanoseconds.
fn exceeds(theirs: Weight, mine: Weight, length: u64) -> bool {
    let slack = u128::from(mine.micro()) * u128::from(SLACK_NANOS) / u128::from(length.max(SLACK_NANOS));
    u128::from(theirs.micro()) > u128::from(mine.micro()).saturating_add(slack)
}

/// What an edge belongs to; `None` for what only a Tempo can say: which topic.
fn matter(edge: &AggregateEdge) -> Option<Matter> {
    match (&edge.source, &edge.target, edge.call) {
        (Party::Service(source), Party::Service(target), AggregateCall::Messaging) => {
            Some(Matter::Messages(source.clone(), target.clone()))
        }
        (Party::Service(source), Party::Service(target), _) => Some(Matter::Pair(source.clone(), target.clone())),
        (_, _, AggregateCall::Messaging) => None,
        // The metrics do not know a service without spans from any other address.
        (Party::Service(source), Party::Peer(_), call) => {
            Some(Matter::Leaves(source.clone(), call == AggregateCall::Database))
        }
        (Party::Entry(_), Party::Service(target), _) => Some(Matter::Enters(target.clone())),
        _ => None,
    }
}

/// Who sends to topics, and who takes from them: then Tempo knows the way, and the metrics only its ends.
struct Topics(BTreeSet<AggregateService>, BTreeSet<AggregateService>);

impl Topics {
    fn of(counted: &Aggregate) -> Self {
        let (mut senders, mut receivers) = (BTreeSet::new(), BTreeSet::new());
        for edge in counted.edges.iter().filter(|edge| edge.call == AggregateCall::Messaging) {
            match (&edge.source, &edge.target) {
                (Party::Service(source), Party::Peer(_)) => _ = senders.insert(source.clone()),
                (Party::Peer(_), Party::Service(target)) => _ = receivers.insert(target.clone()),
                _ => {}
            }
        }
        Self(senders, receivers)
    }

    fn join(&self, source: &AggregateService, target: &AggregateService) -> bool {
        self.0.contains(source) && self.1.contains(target)
    }
}

/// Namespaces by name of a service: metrics often have none.
struct Names(BTreeMap<String, Option<AggregateService>>);

impl Names {
    fn of(counted: &Aggregate) -> Self {
        let mut names: BTreeMap<String, Option<AggregateService>> = BTreeMap::new();
        for service in counted.operations.iter().map(|operation| &operation.service) {
            // Two services of one name cannot be told apart by it.
            let known = names.entry(service.name.clone()).or_insert_with(|| Some(service.clone()));
            if known.as_ref().is_some_and(|known| known != service) {
                *known = None;
            }
        }
        Self(names)
    }

    fn party(&self, party: Party) -> Party {
        match party {
            Party::Service(service) if service.namespace.is_empty() => {
                let known = self.0.get(&service.name).cloned().flatten();
                Party::Service(known.unwrap_or(service))
            }
            other => other,
        }
    }

    fn edge(&self, edge: AggregateEdge) -> AggregateEdge {
        AggregateEdge { source: self.party(edge.source), target: self.party(edge.target), ..edge }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spans::aggregate::{AggregateOperation, Totals};
    use crate::spans::{Peer, PeerKind, SpanKind, UnixNanos};

    fn service(name: &str, namespace: &str) -> Party {
        Party::Service(AggregateService { namespace: namespace.to_owned(), name: name.to_owned() })
    }

    fn peer(kind: PeerKind, name: &str) -> Party {
        Party::Peer(Peer { kind, name: name.to_owned(), ..Peer::default() })
    }

    fn edge(source: Party, target: Party, call: AggregateCall, calls: u64) -> AggregateEdge {
        AggregateEdge {
            source,
            target,
            call,
            source_operation: String::new(),
            target_operation: String::new(),
            totals: Totals { calls: Weight::whole(calls), ..Totals::default() },
            client: None,
            server: None,
        }
    }

    fn counted(edges: Vec<AggregateEdge>) -> Aggregate {
        let operation = |name: &str| AggregateOperation {
            service: AggregateService { namespace: "shop".to_owned(), name: name.to_owned() },
            kind: SpanKind::Server,
            name: "get".to_owned(),
            entry: false,
            totals: Totals::default(),
            durations: None,
        };
        let operations = ["web", "cart", "mail"].map(operation).to_vec();
        let window = (UnixNanos(0), UnixNanos(3_000_000_000_000));
        Aggregate { window, operations, edges, ..Aggregate::default() }
    }

    fn joined(ours: Vec<AggregateEdge>, theirs: Vec<AggregateEdge>) -> (Vec<u64>, usize) {
        let (all, taken) = join(counted(ours), Aggregate { edges: theirs, ..Aggregate::default() });
        assert_eq!(all.operations.len(), 3);
        (all.edges.iter().map(|edge| edge.totals.calls.micro() / 1_000_000).collect(), taken)
    }

    #[test]
    fn of_a_pair_of_services_the_source_that_knows_more_calls_is_taken_whole_and_nothing_added() {
        use AggregateCall::Call;
        let ours = || {
            vec![
                edge(service("web", "shop"), service("cart", "shop"), Call, 60),
                edge(service("web", "shop"), service("cart", "shop"), Call, 40),
            ]
        };
        let theirs = |calls| vec![edge(service("web", ""), service("cart", ""), Call, calls)];
        // Metrics without namespaces mean the service of that name. In 50 minutes two calls are a minute's.
        assert_eq!(joined(ours(), theirs(110)), (vec![110], 1));
        for fewer_or_as_many in [50, 100, 102] {
            assert_eq!(joined(ours(), theirs(fewer_or_as_many)), (vec![60, 40], 0), "{fewer_or_as_many}");
        }
        let other_way = vec![edge(service("cart", ""), service("web", ""), Call, 5)];
        assert_eq!(joined(ours(), other_way), (vec![60, 40, 5], 1));
    }

    #[test]
    fn a_topic_that_is_known_is_kept_and_a_message_counts_once() {
        use AggregateCall::Messaging;
        let topic = || peer(PeerKind::Messaging, "orders");
        let ours = vec![
            edge(service("web", "shop"), topic(), Messaging, 10),
            edge(topic(), service("mail", "shop"), Messaging, 10),
        ];
        let direct = |to: &str| vec![edge(service("web", ""), service(to, ""), Messaging, 12)];
        assert_eq!(joined(ours.clone(), direct("mail")), (vec![10, 10], 0));
        assert_eq!(joined(ours, direct("cart")), (vec![10, 10, 12], 1));
    }

    #[test]
    fn what_leaves_or_enters_a_service_comes_from_one_source_whatever_it_is_called() {
        use AggregateCall::{Database, Entry, External};
        let user = || Party::Entry("user".to_owned());
        let ours = vec![
            edge(service("cart", "shop"), peer(PeerKind::Database, "redis-cart"), Database, 10),
            edge(user(), service("web", "shop"), Entry, 20),
        ];
        let theirs = vec![
            edge(service("cart", ""), peer(PeerKind::Database, "redis"), Database, 11),
            edge(service("mail", ""), peer(PeerKind::External, "smtp"), External, 3),
            edge(user(), service("web", ""), Entry, 30),
            edge(service("web", ""), peer(PeerKind::External, "pay"), External, 9),
            edge(user(), service("mail", ""), Entry, 2),
            edge(user(), service("unheard-of", ""), Entry, 4),
        ];
        let pay = edge(service("web", "shop"), peer(PeerKind::Service, "pay"), AggregateCall::Call, 8);
        assert_eq!(joined([ours, vec![pay]].concat(), theirs), (vec![10, 20, 8, 3, 4], 2));
    }

    #[test]
    fn a_name_that_two_services_have_stays_as_the_metrics_have_it() {
        let mut both = counted(Vec::new());
        both.operations[1].service = AggregateService { namespace: "other".to_owned(), name: "web".to_owned() };
        let names = Names::of(&both);
        assert_eq!(names.party(service("web", "")), service("web", ""));
        assert_eq!(names.party(service("mail", "")), service("mail", "shop"));
    }
}
