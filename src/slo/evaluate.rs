//! Objective × snapshot → state.

use std::collections::BTreeMap;

use serde::Serialize;

use super::burn::{self, BurnRate};
use super::measure::{Ends, Measure, Requests, keeps, messaging_lag};
use super::names::{fits, nearest};
use super::question;
use super::units::{clip, say_seconds, tidy};
use super::{Comparison, Objective, Sli};
use crate::spans::Weight;
use crate::topology::{Edge, EdgeKind, Node, NodeId, NodeKind, Operation, Snapshot, SnapshotKind, Stats};

/// What an objective's state can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectiveState {
    /// The value keeps the target.
    Met,
    /// The value misses the target.
    Breached,
    /// Nothing was observed, or traces cannot answer this.
    NoData,
}

impl ObjectiveState {
    /// Lower-case name, as in machine-readable answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Breached => "breached",
            Self::NoData => "no_data",
        }
    }
}

/// One objective on one service (and operation). A wildcard objective yields one of these per service.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectiveStatus {
    /// `<objective id>` or, from a wildcard, `<objective id>:<service>`. Unique and stable.
    pub id: String,
    /// The objective.
    pub objective: Objective,
    /// The service it was applied to.
    pub service: NodeId,
    /// The operation, when the objective names one.
    pub operation: Option<String>,
    /// State.
    pub state: ObjectiveState,
    /// Observed value in the unit of the objective (seconds, ratio, calls per second); `None` without data.
    pub value: Option<f64>,
    /// 95 % interval of the value. An end the sample cannot bound is the smallest or largest value seen.
    pub interval: Option<(f64, f64)>,
    /// Spans behind the value.
    pub n: u64,
    /// Whether the whole interval lies on one side of the target. Never, on a side the sample cannot bound: the 99th
    /// percentile of 100 requests may be anything above.
    pub certain: bool,
    /// Share of the error budget left over the snapshot's window, at most 1, negative when overspent; `None` where there
    /// is no budget (throughput, external) or no data.
    pub budget_remaining: Option<f64>,
    /// Why there is no data, in a sentence; empty otherwise.
    pub reason: String,
    /// What limits the value, in a sentence (a window shorter than the objective's, unknown sampling); often empty.
    pub note: String,
    /// Burn rates of an error-rate objective, for the windows the snapshot covers.
    pub burn: Vec<BurnRate>,
}

/// Holds every objective against the snapshot. Sorted by id. An objective whose service is not in the snapshot yields one
/// status `NoData` with the reason, for that service name.
///
/// `*` in `service` stands for every instrumented service that fits; for a messaging lag or an operation only for those
/// that receive messages or have such an operation, so that a wildcard does not drown the answer in "no data".
#[must_use]
pub fn evaluate(objectives: &[Objective], snapshot: &Snapshot) -> Vec<ObjectiveStatus> {
    let context =
        Context { snapshot, table: burn::table(), into: edges_by_target(snapshot), operations: by_service(snapshot) };
    let mut statuses: Vec<ObjectiveStatus> = objectives.iter().flat_map(|o| context.statuses(o)).collect();
    statuses.sort_by(|a, b| a.id.cmp(&b.id));
    statuses
}

/// What to ask a Prometheus about the snapshot: every query of external objectives, with the ids of the statuses it answers.
#[must_use]
pub fn queries(objectives: &[Objective], snapshot: &Snapshot) -> BTreeMap<String, Vec<String>> {
    let asking: Vec<Objective> = objectives.iter().filter(|o| o.query.is_some()).cloned().collect();
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    // A pattern that fits nobody asks about nobody.
    let about = |s: &ObjectiveStatus| !(s.objective.service.contains('*') && s.service.0 == s.objective.service);
    for status in evaluate(&asking, snapshot).into_iter().filter(about) {
        let Some(query) = status.objective.query else { continue };
        all.entry(query).or_default().push(status.id);
    }
    all
}

struct Context<'a> {
    snapshot: &'a Snapshot,
    table: burn::Table,
    into: BTreeMap<&'a NodeId, Vec<&'a Edge>>,
    operations: BTreeMap<&'a NodeId, Vec<&'a Operation>>,
}

fn edges_by_target(snapshot: &Snapshot) -> BTreeMap<&NodeId, Vec<&Edge>> {
    let mut into: BTreeMap<&NodeId, Vec<&Edge>> = BTreeMap::new();
    for edge in &snapshot.edges {
        into.entry(&edge.target).or_default().push(edge);
    }
    into
}

/// The operations in which services handle something, per service.
fn by_service(snapshot: &Snapshot) -> BTreeMap<&NodeId, Vec<&Operation>> {
    let mut of: BTreeMap<&NodeId, Vec<&Operation>> = BTreeMap::new();
    for operation in snapshot.operations.iter().filter(|o| matches!(o.kind.name(), "server" | "consumer")) {
        of.entry(&operation.service).or_default().push(operation);
    }
    of
}

impl<'a> Context<'a> {
    fn statuses(&self, objective: &Objective) -> Vec<ObjectiveStatus> {
        let wildcard = objective.service.contains('*');
        let nodes = if wildcard { self.fitting(objective) } else { self.named(&objective.service) };
        if nodes.is_empty() && objective.sli == Sli::External && !wildcard {
            // Traces need not know who is measured elsewhere.
            return vec![self.status(objective, objective.id.clone(), &elsewhere(&objective.service))];
        }
        if nodes.is_empty() {
            let reason = if wildcard {
                format!("no service in the snapshot fits `{}`", clip(&objective.service))
            } else {
                self.unknown_service(&objective.service)
            };
            let status = self.no_data(objective, objective.id.clone(), NodeId(objective.service.clone()), reason);
            return vec![status];
        }
        let suffix = wildcard || nodes.len() > 1;
        nodes
            .into_iter()
            .map(|node| {
                let id = if suffix { format!("{}:{}", objective.id, node.id) } else { objective.id.clone() };
                self.status(objective, id, node)
            })
            .collect()
    }

    /// Instrumented services a wildcard stands for.
    fn fitting(&self, objective: &Objective) -> Vec<&'a Node> {
        let fits_service = |n: &&Node| fits(&objective.service, &n.id.0) || fits(&objective.service, &n.name);
        let relevant = |n: &&Node| match (&objective.sli, &objective.operation) {
            (Sli::External, _) => true,
            (Sli::MessagingLag { .. }, _) => self.edges_into(&n.id).any(|e| e.kind == EdgeKind::Messaging),
            (_, Some(pattern)) => self.handled_by(&n.id).any(|o| fits(pattern, &o.name)),
            _ => true,
        };
        self.snapshot.services().filter(|n| n.instrumented).filter(fits_service).filter(relevant).collect()
    }

    /// The service with this id, else every service of this name in whatever namespace.
    fn named(&self, name: &str) -> Vec<&'a Node> {
        let exact = self.snapshot.services().find(|n| n.id.0 == name);
        exact.map_or_else(|| self.snapshot.services().filter(|n| n.name == name).collect(), |node| vec![node])
    }

    fn edges_into(&self, id: &NodeId) -> impl Iterator<Item = &'a Edge> {
        self.into.get(id).into_iter().flatten().copied()
    }

    fn handled_by(&self, id: &NodeId) -> impl Iterator<Item = &'a Operation> {
        self.operations.get(id).into_iter().flatten().copied()
    }

    fn status(&self, objective: &Objective, id: String, node: &Node) -> ObjectiveStatus {
        let query = objective.query.as_ref().map(|query| question::fill(query, &node.name, &node.namespace));
        let objective = &Objective { query, ..objective.clone() };
        match self.measure(objective, node) {
            Err(reason) => self.no_data(objective, id, node.id.clone(), reason),
            Ok((measure, burn)) => {
                let good = keeps(objective, measure.value);
                ObjectiveStatus {
                    id,
                    objective: objective.clone(),
                    service: node.id.clone(),
                    operation: objective.operation.clone(),
                    state: if good { ObjectiveState::Met } else { ObjectiveState::Breached },
                    value: Some(measure.value),
                    interval: Some((tidy(measure.interval.0), tidy(measure.interval.1))),
                    n: measure.n,
                    certain: measure.certain(objective),
                    budget_remaining: measure.budget_remaining.map(tidy),
                    reason: String::new(),
                    note: self.note(objective, node),
                    burn,
                }
            }
        }
    }

    fn measure(&self, objective: &Objective, node: &Node) -> Result<(Measure, Vec<BurnRate>), String> {
        let said = |why: &str| format!("`{}` {why}", clip(&node.id.0));
        if let Sli::MessagingLag { percentile } = objective.sli {
            let lag = messaging_lag(self.edges_into(&node.id), percentile, objective);
            return lag.map(|m| (m, Vec::new())).map_err(said);
        }
        if objective.sli == Sli::External {
            return self.external(objective).map(|measure| (measure, Vec::new()));
        }
        let mut requests = Requests::default();
        match &objective.operation {
            None => requests.add(&node.handled),
            Some(pattern) => {
                let mut found = false;
                for operation in self.handled_by(&node.id).filter(|o| fits(pattern, &o.name)) {
                    found = true;
                    requests.add(&operation.stats);
                }
                if !found {
                    return Err(said(&self.unknown_operation(node, pattern)));
                }
            }
        }
        let measure = requests.measure(objective, self.snapshot).map_err(said)?;
        let burn = if objective.sli == Sli::ErrorRate {
            let (window, target) = (self.snapshot.window, objective.target);
            burn::rates(&self.table, &requests.series, window, target, objective.window_seconds)
        } else {
            Vec::new()
        };
        Ok((measure, burn))
    }

    /// What a Prometheus said of the objective's query when the snapshot was made. Of several series the worst counts; the
    /// interval is that of all values, so a value is certain when each of them lies on its side of the target.
    fn external(&self, objective: &Objective) -> Result<Measure, String> {
        let Some(query) = &objective.query else {
            return Err("traces cannot answer this; give the objective a Prometheus `query`".to_owned());
        };
        let all = &self.snapshot.external;
        let Some(answer) = all.binary_search_by(|answer| answer.query.cmp(query)).ok().and_then(|at| all.get(at))
        else {
            return Err(format!("traces cannot answer this, and no Prometheus did; query: {query}"));
        };
        if objective.target_number().is_none() {
            return Err(format!(
                "the target `{}` is no number; Prometheus query: {query}",
                clip(&objective.target_text)
            ));
        }
        if answer.n.saturating_mul(2) < answer.steps {
            let (n, steps) = (answer.n, answer.steps);
            return Err(format!("only {n} of {steps} steps of the window have a value; Prometheus query: {query}"));
        }
        // Where a value is missing it may have been anything.
        let ends = if answer.n < answer.steps { Ends::NONE } else { Ends::BOTH };
        let upper = matches!(objective.comparison, Comparison::Below | Comparison::AtMost);
        let value = if upper { answer.high } else { answer.low };
        let interval = (answer.min, answer.max);
        Ok(Measure { value, interval, ends, n: answer.n, budget_remaining: None })
    }

    fn no_data(&self, objective: &Objective, id: String, service: NodeId, reason: String) -> ObjectiveStatus {
        ObjectiveStatus {
            id,
            objective: objective.clone(),
            service,
            operation: objective.operation.clone(),
            state: ObjectiveState::NoData,
            value: None,
            interval: None,
            n: 0,
            certain: false,
            budget_remaining: None,
            reason,
            note: String::new(),
            burn: Vec::new(),
        }
    }

    fn unknown_service(&self, name: &str) -> String {
        let known = self.snapshot.services().flat_map(|n| [n.id.0.as_str(), n.name.as_str()]);
        let meant = nearest(name, known).map(|n| format!("; did you mean `{}`?", clip(n))).unwrap_or_default();
        format!("`{}` is not in the snapshot{meant}", clip(name))
    }

    fn unknown_operation(&self, node: &Node, pattern: &str) -> String {
        let known = self.handled_by(&node.id).map(|o| o.name.as_str());
        let meant = nearest(pattern, known).map(|n| format!("; did you mean `{}`?", clip(n))).unwrap_or_default();
        format!("handles no operation `{}`{meant}", clip(pattern))
    }

    /// What limits the value.
    #[allow(clippy::cast_precision_loss, reason = "window lengths")]
    fn note(&self, objective: &Objective, node: &Node) -> String {
        let covered = self.snapshot.window.seconds();
        let mut notes = Vec::new();
        if let Some(window) = objective.window_seconds.map(|w| w as f64).filter(|w| *w > covered) {
            let (covered, window) = (say_seconds(covered), say_seconds(window));
            notes.push(format!("the snapshot covers {covered} of the objective's {window}"));
        }
        if !node.instrumented {
            notes.push("it sends no spans of its own: measured by its callers".to_owned());
        }
        if objective.sli == Sli::Throughput
            && self.snapshot.provenance.kind == SnapshotKind::Spans
            && !self.snapshot.coverage.adjustable()
        {
            let why = if self.snapshot.coverage.left_out_traces > 0 {
                "only a sample of the traces was read"
            } else {
                "the spans carry no sampling information"
            };
            notes.push(format!("{why}: the rate is that of the spans seen"));
        }
        notes.join("; ")
    }
}

/// A service that is not in the snapshot.
fn elsewhere(id: &str) -> Node {
    let (namespace, name) = id.rsplit_once('/').unwrap_or(("", id));
    Node {
        id: NodeId(id.to_owned()),
        kind: NodeKind::Service,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        system: String::new(),
        instrumented: true,
        attributes: BTreeMap::new(),
        handled: Stats::default(),
        entry_traces: Weight::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::super::target;
    use super::*;
    use crate::diff::testing::{Weight, edge, millis, node, operation, series, snapshot, stats, window};
    use crate::topology::{External, Sketch};

    fn objective(service: &str, sli: Sli, comparison: Comparison, target: f64) -> Objective {
        Objective {
            id: "o".into(),
            service: service.into(),
            operation: None,
            sli,
            sli_name: "sli".into(),
            comparison,
            target,
            target_text: "< x".into(),
            window_seconds: None,
            severity: "ticket".into(),
            query: None,
            description: String::new(),
        }
    }

    fn shop() -> Snapshot {
        let mut consume = edge("messaging:kafka:orders", "shop/ship", 100, 0, 0.0, 3.0);
        consume.dwell = millis((0..100).map(f64::from));
        let mut peer = node("legacy", stats(30, 0, 5.0));
        peer.instrumented = false;
        snapshot(
            vec![
                node("shop/api", stats(1_000, 20, 100.0)),
                node("shop/ship", stats(100, 0, 3.0)),
                node("test/ship", stats(50, 0, 3.0)),
                node("worker", stats(0, 0, 0.0)),
                node("database:mysql:ts", stats(10, 0, 1.0)),
                peer,
            ],
            vec![
                operation("shop/api", "GET /cart", stats(900, 0, 60.0)),
                operation("shop/api", "GET /cart/{id}", stats(50, 0, 60.0)),
                operation("shop/api", "POST /order", stats(50, 20, 900.0)),
            ],
            vec![consume],
        )
    }

    fn one(objective: &Objective) -> ObjectiveStatus {
        let mut found = evaluate(std::slice::from_ref(objective), &shop());
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    #[test]
    fn a_wildcard_gives_one_status_per_instrumented_service() {
        let found = evaluate(&[objective("*", Sli::ErrorRate, Comparison::Below, 0.01)], &shop());
        let got: Vec<_> = found.iter().map(|s| (s.id.as_str(), s.state)).collect();
        use ObjectiveState::{Breached, Met, NoData};
        let expected = [("o:shop/api", Breached), ("o:shop/ship", Met), ("o:test/ship", Met), ("o:worker", NoData)];
        assert_eq!(got, expected);
        assert!(found[3].reason.contains("no request"));
    }

    #[test]
    fn a_service_is_found_by_name_or_by_namespace_and_name() {
        assert_eq!(one(&objective("api", Sli::Throughput, Comparison::Above, 1.0)).service.0, "shop/api");
        assert_eq!(one(&objective("test/ship", Sli::Throughput, Comparison::Above, 1.0)).service.0, "test/ship");
        let both = evaluate(&[objective("ship", Sli::ErrorRate, Comparison::Below, 0.1)], &shop());
        assert_eq!(both.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(), ["o:shop/ship", "o:test/ship"]);
        let missing = one(&objective("apo", Sli::ErrorRate, Comparison::Below, 0.1));
        assert_eq!((missing.state, missing.service.0.as_str()), (ObjectiveState::NoData, "apo"));
        assert!(missing.reason.contains("did you mean `api`"), "{}", missing.reason);
    }

    #[test]
    fn error_rate_carries_interval_certainty_and_budget() {
        let status = one(&objective("api", Sli::ErrorRate, Comparison::Below, 0.01));
        assert_eq!((status.state, status.n, status.certain), (ObjectiveState::Breached, 1_000, true));
        assert_eq!(status.value, Some(0.02));
        assert!((status.budget_remaining.unwrap() + 1.0).abs() < 1e-12);
        let near = one(&objective("api", Sli::ErrorRate, Comparison::Below, 0.019));
        assert!(!near.certain);
    }

    #[test]
    fn latency_is_a_percentile_with_interval_and_budget() {
        let p50 = |target| one(&objective("api", Sli::Latency { percentile: 50.0 }, Comparison::AtMost, target));
        let met = p50(0.12);
        assert_eq!((met.state, met.certain), (ObjectiveState::Met, true));
        assert!((met.value.unwrap() - 0.1).abs() < 0.001);
        // 30 % are slower than 120 ms, 50 % may be.
        assert!((met.budget_remaining.unwrap() - 0.4).abs() < 0.02, "{met:?}");
        let breached = p50(0.09);
        assert_eq!((breached.state, breached.certain), (ObjectiveState::Breached, true));
        assert!(breached.budget_remaining.unwrap() <= 0.0);
        assert!(!p50(0.1).certain);
        let few = one(&objective("shop/ship", Sli::Latency { percentile: 99.0 }, Comparison::Below, 9.0));
        assert_eq!((few.state, few.certain), (ObjectiveState::Met, false), "100 requests cannot bound a p99");
        let mean = one(&objective("api", Sli::LatencyMean, Comparison::Below, 0.2));
        assert!((mean.value.unwrap() - 0.1).abs() < 1e-6);
        let (low, high) = mean.interval.unwrap();
        assert!(low < 0.1 && 0.1 < high && high - low < 0.01);
    }

    #[test]
    fn an_operation_pattern_sums_what_it_fits() {
        let carts = Objective {
            operation: Some("GET /cart*".into()),
            ..objective("api", Sli::ErrorRate, Comparison::Below, 0.01)
        };
        assert_eq!((one(&carts).n, one(&carts).value), (950, Some(0.0)));
        let none = Objective { operation: Some("GET /cat".into()), ..carts.clone() };
        assert!(one(&none).reason.contains("did you mean `GET /cart`"), "{}", one(&none).reason);
        let wild = Objective { service: "*".into(), ..carts };
        assert_eq!(one(&wild).id, "o:shop/api");
    }

    #[test]
    fn throughput_is_calls_per_second_of_the_window() {
        let status = one(&objective("api", Sli::Throughput, Comparison::Above, 1.0));
        assert_eq!(status.value, Some(1_000.0 / 600.0));
        assert!(status.note.contains("sampling"));
        let mut instant = shop();
        instant.window = window(5, 5);
        let none = &evaluate(&[objective("api", Sli::Throughput, Comparison::Above, 1.0)], &instant)[0];
        assert_eq!(none.state, ObjectiveState::NoData);
    }

    #[test]
    fn messaging_lag_is_the_waiting_time_of_messages_into_the_service() {
        let lag = |service| one(&objective(service, Sli::MessagingLag { percentile: 99.0 }, Comparison::Below, 0.2));
        assert_eq!((lag("shop/ship").state, lag("shop/ship").n), (ObjectiveState::Met, 100));
        assert_eq!(lag("*").id, "o:shop/ship");
        assert!(lag("api").reason.contains("receives no messages"));
        let mut unlinked = shop();
        unlinked.edges[0].dwell = Sketch::default();
        let found = evaluate(
            &[objective("shop/ship", Sli::MessagingLag { percentile: 99.0 }, Comparison::Below, 0.2)],
            &unlinked,
        );
        assert!(found[0].reason.contains("waiting time is unknown"));
    }

    #[test]
    fn what_traces_cannot_answer_says_so_with_the_query() {
        let external = Objective {
            query: Some("avg(kube_pod_status_ready)".into()),
            ..objective("api", Sli::External, Comparison::Above, 0.0)
        };
        assert_eq!(one(&external).state, ObjectiveState::NoData);
        assert!(one(&external).reason.ends_with("avg(kube_pod_status_ready)"));
        let elsewhere = Objective { service: "cert-manager".into(), ..external };
        assert!(one(&elsewhere).reason.contains("cannot answer"));
    }

    #[test]
    fn what_a_prometheus_answered_is_held_against_the_target_by_the_worst_series() {
        let mut answered = shop();
        let answer = |query: &str, low: f64, high: f64| External {
            query: query.into(),
            steps: 240,
            n: if query == "gone" {
                100
            } else if query == "gaps" {
                200
            } else {
                240
            },
            min: low - 0.5,
            low,
            high,
            max: high + 0.5,
        };
        answered.external = vec![
            answer("gaps", 4.0, 9.0),
            answer("gone", 4.0, 9.0),
            answer("lag", 4.0, 9.0),
            answer("ready", 0.9, 1.0),
        ];
        let state = |service: &str, query: &str, comparison, text: &str| {
            let target = target::external(text).map_or(0.0, |(value, _)| value);
            let objective = Objective {
                query: Some(query.into()),
                target_text: text.into(),
                ..objective(service, Sli::External, comparison, target)
            };
            let found = evaluate(&[objective], &answered);
            (found[0].state, found[0].value, found[0].certain)
        };
        use ObjectiveState::{Breached, Met, NoData};
        assert_eq!(state("api", "lag", Comparison::Below, "< 30s"), (Met, Some(9.0), true));
        // Where values are missing nothing is certain, and of too few nothing is said.
        assert_eq!(state("api", "gaps", Comparison::Below, "< 30s"), (Met, Some(9.0), false));
        assert_eq!(state("api", "gone", Comparison::Below, "< 30s").0, NoData);
        assert_eq!(state("api", "lag", Comparison::Below, "< 9.2 s"), (Met, Some(9.0), false));
        assert_eq!(state("nobody-traces-this", "lag", Comparison::Below, "< 5s"), (Breached, Some(9.0), false));
        assert_eq!(state("api", "ready", Comparison::Above, "> 99 %"), (Breached, Some(0.9), false));
        assert_eq!(state("api", "lag", Comparison::AtLeast, "3"), (Met, Some(4.0), true));
        assert_eq!(state("api", "lag", Comparison::Below, "< quickly").0, NoData);
        assert_eq!(state("api", "other", Comparison::Below, "< 5s").0, NoData);
    }

    #[test]
    fn each_service_a_pattern_fits_has_a_query_of_its_own() {
        let mut answered = shop();
        let up = |service: &str, value: f64| External {
            query: format!("up{{job=\"{service}\"}}"),
            steps: 2,
            n: 2,
            min: value,
            low: value,
            high: value,
            max: value,
        };
        answered.external = vec![up("shop/api", 1.0), up("shop/ship", 0.5)];
        let all = Objective {
            query: Some("up{job=\"{namespace}/{service}\"}".into()),
            target_text: "> 0.9".into(),
            ..objective("*", Sli::External, Comparison::Above, 0.9)
        };
        let found = evaluate(std::slice::from_ref(&all), &answered);
        let got: Vec<_> = found.iter().map(|s| (s.id.as_str(), s.state, s.value)).collect();
        use ObjectiveState::{Breached, Met, NoData};
        assert_eq!(
            got,
            [
                ("o:shop/api", Met, Some(1.0)),
                ("o:shop/ship", Breached, Some(0.5)),
                ("o:test/ship", NoData, None),
                ("o:worker", NoData, None)
            ]
        );
        assert_eq!(found[0].objective.query.as_deref(), Some("up{job=\"shop/api\"}"), "what a page says can be pasted");
        let elsewhere = Objective { id: "e".into(), service: "db/orders".into(), ..all.clone() };
        let nobody = Objective { id: "n".into(), service: "x*".into(), ..all.clone() };
        let queries = queries(&[all, elsewhere, nobody], &answered);
        let ids: Vec<(&str, &[String])> = queries.iter().map(|(q, ids)| (q.as_str(), ids.as_slice())).collect();
        assert_eq!(ids.len(), 5, "{ids:?}");
        assert_eq!(ids[1], ("up{job=\"db/orders\"}", &["e".to_owned()][..]));
        assert_eq!(ids[2], ("up{job=\"shop/api\"}", &["o:shop/api".to_owned()][..]));
    }

    #[test]
    fn a_short_snapshot_and_a_silent_service_are_noted() {
        let month = Objective {
            window_seconds: Some(2_592_000),
            ..objective("legacy", Sli::ErrorRate, Comparison::Below, 0.5)
        };
        let note = one(&month).note;
        assert!(note.contains("10 min of the objective's 30 d") && note.contains("by its callers"), "{note}");
    }

    #[test]
    fn an_aggregate_without_spans_or_durations_answers_what_it_can() {
        let mut aggregate = shop();
        aggregate.provenance.kind = SnapshotKind::Aggregate;
        aggregate.window = window(0, 7_200);
        let api = aggregate.nodes.iter_mut().find(|n| n.name == "api").unwrap();
        api.handled.n = 0;
        api.handled.durations = Sketch::default();
        api.handled.series = series((0..24).map(|i| (i, 40, 2)));
        let found = evaluate(
            &[
                objective("api", Sli::ErrorRate, Comparison::Below, 0.5),
                Objective {
                    id: "p".into(),
                    ..objective("api", Sli::Latency { percentile: 99.0 }, Comparison::Below, 1.0)
                },
            ],
            &aggregate,
        );
        let (low, high) = found[0].interval.unwrap();
        assert!(low > 0.01 && high < 0.04, "{low} {high}");
        assert_eq!(found[0].burn.len(), 1);
        assert!(found[1].reason.contains("no usable durations"));
        // Nobody counted failures: none of them is no success.
        aggregate.provenance.calls_only = true;
        let found = evaluate(&[objective("api", Sli::ErrorRate, Comparison::Below, 0.5)], &aggregate);
        assert_eq!((found[0].value, found[0].burn.len()), (None, 0));
        assert!(found[0].reason.contains("nobody counted"), "{}", found[0].reason);
        // Merged with one that measured: what is known of a part is not said of all.
        let api = aggregate.nodes.iter_mut().find(|n| n.name == "api").unwrap();
        api.handled.durations = shop().nodes.iter().find(|n| n.name == "api").unwrap().handled.durations.clone();
        let found = evaluate(&[objective("api", Sli::LatencyMean, Comparison::Below, 1.0)], &aggregate);
        assert!(found[0].value.is_none() && found[0].reason.contains("nobody measured"), "{}", found[0].reason);
    }

    #[test]
    fn nothing_in_an_answer_is_ever_nan() {
        let mut odd = shop();
        odd.window = window(9, 3);
        for n in &mut odd.nodes {
            n.handled.errors = Weight::whole(u64::MAX);
        }
        let slis = [Sli::ErrorRate, Sli::Throughput, Sli::LatencyMean, Sli::Latency { percentile: 99.9 }];
        for sli in slis {
            for status in evaluate(&[objective("*", sli, Comparison::Below, 0.0)], &odd) {
                let (low, high) = status.interval.unwrap_or_default();
                let numbers =
                    [status.value.unwrap_or_default(), low, high, status.budget_remaining.unwrap_or_default()];
                assert!(numbers.iter().all(|x| x.is_finite()), "{status:?}");
            }
        }
    }
}
