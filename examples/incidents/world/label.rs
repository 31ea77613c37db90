//! The truth about an incident, as the evaluation reads it.
//!
//! Purpose: who is to be named, and what happened. Input: a system, an incident, what was counted while writing it.
//! Output: one entry of `labels.json`. Must not: say more than the fault itself knows.

use serde::Serialize;

use super::capture::Counts;
use super::fault::{Fault, Kind, Place};
use super::load::callers;
use super::plan::Incident;
use super::pods::Fleet;
use super::run::Unrelated;
use super::system::{Step, System};

/// One entry of `labels.json`. Times are strings of Unix nanoseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Label {
    pub(crate) case: String,
    pub(crate) file: String,
    pub(crate) system: String,
    inject_unix_nano: String,
    fault_end_unix_nano: String,
    /// As tracebook names it.
    pub(crate) service: String,
    /// What else is right.
    accept: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) operation: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pods: Vec<String>,
    pub(crate) fault_type: &'static str,
    category: &'static str,
    detail: String,
    /// What else happened in this window, and has nothing to do with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unrelated: Vec<String>,
    spans_before_injection: u64,
    spans_during_fault: u64,
    /// Requests that began during the fault, and how many of all met it.
    requests_during_fault: u64,
    pub(crate) requests_met: u64,
    traits: Shown,
}

/// What the system is like.
#[derive(Debug, Serialize)]
struct Shown {
    services: usize,
    naming: &'static str,
    catch_all: bool,
    marks_errors: bool,
    empty_stops_callers: bool,
    consumers_linked: bool,
    limited_workers: bool,
    shared_stores: bool,
    without_client_spans: Vec<String>,
}

/// A window without a fault, an entry of `quiet.json`.
#[derive(Debug, Serialize)]
pub(crate) struct Quiet {
    pub(crate) case: String,
    pub(crate) file: String,
    pub(crate) system: String,
    pub(crate) start_unix_nano: String,
    pub(crate) end_unix_nano: String,
    pub(crate) spans: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unrelated: Vec<String>,
}

/// The label of an incident.
pub(crate) fn label(system: &System, incident: &Incident, fleet: &Fleet, case: String, counts: Counts) -> Label {
    let fault = &incident.fault;
    let ids = |services: Vec<usize>| -> Vec<String> { services.into_iter().map(|s| system.id(s)).collect() };
    let (service, users) = match fault.place {
        Place::Service(service) => (system.id(service), Vec::new()),
        Place::Database(database) => {
            let uses = |s: &Step| matches!(s, Step::Query(q) if q.database == database);
            (system.databases[database].id(), ids(callers(system, uses)))
        }
        Place::External(external) => {
            let uses = |s: &Step| matches!(s, Step::Outside { external: e, .. } if *e == external);
            (format!("external:{}", system.externals[external].host), ids(callers(system, uses)))
        }
    };
    let gaps = system.services.iter().filter(|s| !s.client_spans).map(|s| s.name.to_owned()).collect();
    Label {
        file: format!("{case}.otlp.jsonl.zst"),
        case,
        system: system.name.clone(),
        inject_unix_nano: fault.from.to_string(),
        fault_end_unix_nano: fault.until.to_string(),
        service,
        // What only one service uses cannot be told from that service's use of it.
        accept: if users.len() == 1 { users } else { Vec::new() },
        operation: fault.operation.map(|o| system.operations[o].name.to_owned()),
        pods: pods(fault, fleet),
        fault_type: fault.kind.name(),
        category: fault.kind.category(),
        detail: detail(fault),
        unrelated: unrelated(system, &incident.unrelated),
        spans_before_injection: counts.before,
        spans_during_fault: counts.during,
        requests_during_fault: counts.requests,
        requests_met: counts.met,
        traits: Shown {
            services: system.services.len(),
            naming: system.traits.naming,
            catch_all: system.traits.catch_all,
            marks_errors: system.traits.marks_errors,
            empty_stops_callers: system.traits.empty_stops,
            consumers_linked: system.traits.linked,
            limited_workers: system.traits.pooled,
            shared_stores: system.traits.shared_stores,
            without_client_spans: gaps,
        },
    }
}

fn pods(fault: &Fault, fleet: &Fleet) -> Vec<String> {
    fleet.pods.iter().filter(|pod| fault.hits(pod, fault.from)).map(|pod| pod.name.clone()).collect()
}

/// In words.
pub(crate) fn unrelated(system: &System, unrelated: &Unrelated) -> Vec<String> {
    let release = unrelated.release.map(|r| format!("a good release of {}", system.id(r.service)));
    let surge = unrelated.surge.map(|surge| {
        let entry = surge.entry.map_or("any entry", |e| system.operations[system.entries[e].operation].name);
        format!("{:.1} times as many requests to {entry}", surge.factor)
    });
    release.into_iter().chain(surge).collect()
}

fn detail(fault: &Fault) -> String {
    let (factor, ms, share) = (fault.factor, fault.add / 1e6, fault.share * 100.0);
    match fault.kind {
        Kind::CpuContention => format!("work takes {factor:.1} times as long"),
        Kind::CpuConsumed => format!("{ms:.0} ms burnt before step {}", fault.position),
        Kind::NetworkDelay if fault.both_ways => format!("{:.0} ms in and {:.0} ms out", ms / 2.0, ms / 2.0),
        Kind::NetworkDelay => format!("{ms:.0} ms out"),
        Kind::Return => format!("returns before step {} in {share:.0} %", fault.position),
        Kind::Exception => format!("throws before step {} in {share:.0} %", fault.position),
        Kind::SlowDatabase => format!("statements take {factor:.1} times as long and {ms:.0} ms more"),
        Kind::BadVersion => {
            let what = if fault.share > 0.0 {
                format!("throws before step {} in {share:.0} %", fault.position)
            } else {
                format!("work takes {factor:.1} times as long and {ms:.0} ms more")
            };
            let when = if fault.rollout { "rolled out with the fault" } else { "there before" };
            format!("{} pods of a new version, {when}: {what}", fault.fresh_pods)
        }
        Kind::Pod => format!("work takes {factor:.1} times as long in one pod"),
        Kind::RetryStorm => format!("throws before step {} in {share:.0} %, callers try up to 4 times", fault.position),
        Kind::DependencyDown => "connections are refused".to_owned(),
    }
}
