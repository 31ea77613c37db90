//! What a request is expected to cause, worked out from the programs.
//!
//! Purpose: how large a system's traces are, and how often each part is used, before anything is simulated. Input: a
//! system. Output: [`Load`], per request from outside. Must not: simulate, or know of failures (they are rare).

use super::system::{Step, System, Via, walk};

/// Expected numbers per request. What a loop does again counts for the spans only: a loop that few requests reach is rare,
/// however long it is.
#[derive(Debug, Default)]
pub(crate) struct Load {
    pub(crate) spans: f64,
    /// By operation.
    pub(crate) calls: Vec<f64>,
    /// By database.
    pub(crate) queries: Vec<f64>,
    /// By external dependency.
    pub(crate) outside: Vec<f64>,
}

impl Load {
    pub(crate) fn of(system: &System) -> Self {
        let mut load = Self {
            spans: 0.0,
            calls: vec![0.0; system.operations.len()],
            queries: vec![0.0; system.databases.len()],
            outside: vec![0.0; system.externals.len()],
        };
        let total: f64 = system.entries.iter().map(|e| e.weight).sum();
        for entry in &system.entries {
            load.spans(system, entry.operation, entry.weight / total);
            load.uses(system, entry.operation, entry.weight / total);
        }
        load
    }

    /// Calls of all operations of a service.
    pub(crate) fn of_service(&self, system: &System, service: usize) -> f64 {
        system.operations_of(service).map(|o| self.calls[o]).sum()
    }

    fn spans(&mut self, system: &System, operation: usize, times: f64) {
        let it = &system.operations[operation];
        let client = f64::from(u8::from(system.services[it.service].client_spans));
        self.spans += times * (1.0 + f64::from(u8::from(it.controller.is_some())));
        walk(&it.program, times, true, &mut |step, times| match *step {
            Step::Query(_) | Step::Outside { .. } => self.spans += times * client,
            Step::Inner { .. } => self.spans += times,
            Step::Call(call) => {
                self.spans += times * client;
                self.spans(system, call.operation, times);
            }
            Step::Publish(topic) => {
                self.spans += times * client;
                for &consumer in &system.topics[topic].consumers {
                    self.spans(system, consumer, times);
                }
            }
            Step::Work(_) | Step::Parallel(_) | Step::Loop { .. } | Step::Branch { .. } => {}
        });
    }

    fn uses(&mut self, system: &System, operation: usize, times: f64) {
        self.calls[operation] += times;
        walk(&system.operations[operation].program, times, false, &mut |step, times| match *step {
            Step::Query(query) => self.queries[query.database] += times,
            Step::Outside { external, .. } => self.outside[external] += times,
            Step::Call(call) => self.uses(system, call.operation, times),
            Step::Publish(topic) => {
                for &consumer in &system.topics[topic].consumers {
                    self.uses(system, consumer, times);
                }
            }
            Step::Work(_) | Step::Inner { .. } | Step::Parallel(_) | Step::Loop { .. } | Step::Branch { .. } => {}
        });
    }
}

/// Services that reach an operation, or read its topic, or a database: who would be seen to suffer first.
pub(crate) fn callers(system: &System, uses: impl Fn(&Step) -> bool) -> Vec<usize> {
    let mut found = Vec::new();
    for operation in &system.operations {
        let mut here = false;
        walk(&operation.program, 1.0, false, &mut |step, _| here |= uses(step));
        if here && !found.contains(&operation.service) {
            found.push(operation.service);
        }
    }
    found.sort_unstable();
    found
}

/// Whether an operation handles messages.
pub(crate) fn is_consumer(system: &System, operation: usize) -> bool {
    matches!(system.operations[operation].via, Via::Message { .. })
}
