//! Service-graph metrics as edges.
//!
//! `connection_type` says what an edge is: nothing for a call whose both spans were seen, `messaging_system`, `database`, or
//! `virtual_node` where only one side sent a span. The metrics name no topic and no database system, so neither is known.

use std::collections::{BTreeMap, BTreeSet};

use super::gather::{self, Labels, Sum};
use super::metrics::{FAILED, Present, REQUESTS};
use super::reader::{Metric, Reader};
use crate::diag::Diagnostic;
use crate::spans::aggregate::{AggregateCall, AggregateEdge, AggregateService, Durations, Party};
use crate::spans::{Peer, PeerKind};

/// Who is meant where no caller is known.
const USER: &str = "user";

/// What tells edges apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    client: AggregateService,
    server: AggregateService,
    connection: String,
    /// Which side is virtual, where the backend says so.
    side: String,
    system: String,
}

fn key(labels: &Labels) -> Option<Key> {
    let text = |names: &[&str]| names.iter().find_map(|name| labels.get(*name)).cloned().unwrap_or_default();
    let service = |name: &str, namespace: &str| {
        let name = labels.get(name).filter(|name| !name.is_empty())?.clone();
        Some(AggregateService { namespace: text(&[namespace]), name })
    };
    Some(Key {
        client: service("client", "client_service_namespace")?,
        server: service("server", "server_service_namespace")?,
        connection: text(&["connection_type"]),
        side: text(&["virtual_node"]),
        system: text(&["client_db_system_name", "client_db_system", "db_system_name", "db_system"]),
    })
}

/// The edges, and what is to be said about them. `services` are those known by spans of their own.
pub(super) async fn edges(
    reader: &Reader<'_>,
    present: &Present,
    services: &BTreeSet<AggregateService>,
) -> Result<(Vec<AggregateEdge>, Metric), Diagnostic> {
    let mut requests = reader.read(REQUESTS, "", 1e9).await?;
    let failed = if present.failed { reader.read(FAILED, "", 1e9).await? } else { Metric::default() };
    let client = gather::durations(reader, present.client, "", key).await?;
    let server = gather::durations(reader, present.server, "", key).await?;
    let mut sums: BTreeMap<Key, (Sum, Sum)> = BTreeMap::new();
    for counted in &requests.series {
        if let Some(key) = key(&counted.labels) {
            sums.entry(key).or_default().0.add(counted);
        }
    }
    for counted in &failed.series {
        if let Some(key) = key(&counted.labels) {
            sums.entry(key).or_default().1.add(counted);
        }
    }
    requests.step = requests.step.max(failed.step);
    let series = super::timely(&requests);
    let mut known = services.clone();
    for key in sums.keys().filter(|key| key.connection.is_empty()) {
        known.extend([key.client.clone(), key.server.clone()]);
    }
    // Whoever calls something that is no service is one, unless it is nobody.
    known.extend(sums.keys().filter(|key| key.client.name != USER).map(|key| key.client.clone()));
    let edges = sums.into_iter().map(|(key, (calls, errors))| {
        let totals = gather::totals(&calls, &errors, BTreeMap::new(), series);
        edge(&key, &known, totals, client.get(&key), server.get(&key))
    });
    Ok((edges.collect(), requests))
}

fn edge(
    key: &Key,
    known: &BTreeSet<AggregateService>,
    totals: crate::spans::aggregate::Totals,
    client: Option<&Durations>,
    server: Option<&Durations>,
) -> AggregateEdge {
    let service = |service: &AggregateService| Party::Service(service.clone());
    let peer = |kind: PeerKind| {
        let mut peer = Peer { kind, system: key.system.to_lowercase(), ..Peer::default() };
        match kind {
            PeerKind::External => peer.address.clone_from(&key.server.name),
            _ => peer.name.clone_from(&key.server.name),
        }
        Party::Peer(peer)
    };
    // A service may be called `user` too.
    let from_outside = match key.side.as_str() {
        "client" => true,
        "server" => false,
        _ => key.client.name == USER && (known.contains(&key.server) || !known.contains(&key.client)),
    };
    let (source, target, call) = match key.connection.as_str() {
        "database" => (service(&key.client), peer(PeerKind::Database), AggregateCall::Database),
        "messaging_system" => (service(&key.client), service(&key.server), AggregateCall::Messaging),
        "virtual_node" if from_outside => {
            (Party::Entry(key.client.name.clone()), service(&key.server), AggregateCall::Entry)
        }
        "virtual_node" => (service(&key.client), peer(PeerKind::External), AggregateCall::External),
        _ => (service(&key.client), service(&key.server), AggregateCall::Call),
    };
    // The backend observes both histograms for every edge; the side that sent no span has no time of its own.
    let (has_client, has_server) = match call {
        AggregateCall::Entry => (false, true),
        AggregateCall::Database | AggregateCall::External => (true, false),
        AggregateCall::Call | AggregateCall::Messaging => (true, true),
    };
    AggregateEdge {
        source,
        target,
        call,
        source_operation: String::new(),
        target_operation: String::new(),
        totals,
        client: client.filter(|_| has_client).cloned(),
        server: server.filter(|_| has_server).cloned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer::{Found, read};
    use super::*;

    /// The edges of a recorded answer of a real Tempo's metrics.
    fn recorded(services: &[&str]) -> Vec<(Party, Party, AggregateCall)> {
        let text = include_bytes!("../../../tests/data/tempo/prometheus/service_graph_request_total.json");
        let found: Found = read(200, text, "p").unwrap();
        let known = services.iter().map(|name| AggregateService { name: (*name).to_owned(), ..Default::default() });
        let known: BTreeSet<_> = known.collect();
        let parties = |labels: &Labels| {
            let edge = edge(&key(labels).unwrap(), &known, Default::default(), None, None);
            (edge.source, edge.target, edge.call)
        };
        found.result.iter().map(|series| parties(&series.metric)).collect()
    }

    #[test]
    fn recorded_edges_of_a_real_tempo_become_what_they_are() {
        let edges = recorded(&["frontend", "payment"]);
        let count = |call: AggregateCall| edges.iter().filter(|(_, _, c)| *c == call).count();
        assert_eq!(count(AggregateCall::Entry), 3);
        assert_eq!(count(AggregateCall::Database), 4);
        assert_eq!(count(AggregateCall::External), 1);
        assert_eq!(count(AggregateCall::Messaging), 1);
        assert_eq!(count(AggregateCall::Call), 15);
        let paygate = edges.iter().find(|(_, _, call)| *call == AggregateCall::External).unwrap();
        let external = Peer { kind: PeerKind::External, address: "paygate".into(), ..Peer::default() };
        assert_eq!(paygate.1, Party::Peer(external));
        assert!(edges.iter().filter(|e| e.2 == AggregateCall::Entry).all(|e| e.0 == Party::Entry("user".into())));
    }

    #[test]
    fn a_service_called_user_is_no_way_in() {
        let labels = |server: &str, side: &str| {
            let all =
                [("client", "user"), ("server", server), ("connection_type", "virtual_node"), ("virtual_node", side)];
            all.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
        };
        let service = |name: &str| AggregateService { name: name.to_owned(), ..Default::default() };
        let known = BTreeSet::from([service("user"), service("web")]);
        let call =
            |server, side| edge(&key(&labels(server, side)).unwrap(), &known, Default::default(), None, None).call;
        assert_eq!(call("mail.example.com", ""), AggregateCall::External);
        assert_eq!(call("web", ""), AggregateCall::Entry);
        assert_eq!(call("mail.example.com", "client"), AggregateCall::Entry);
        assert_eq!(call("web", "server"), AggregateCall::External);
    }
}
