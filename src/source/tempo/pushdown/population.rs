//! The sets of spans that are counted, each as TraceQL says it.

use super::query::{Query, selector_if};
use crate::spans::aggregate::AggregateService;

const COUNT: &str = "count_over_time()";

/// Keys of a service.
const NAMESPACE: &str = "resource.service.namespace";
const SERVICE: &str = "resource.service.name";
const NAME: &str = "name";
/// Spans that handle what others ask for.
const HANDLED: &str = "(kind = server || kind = consumer)";

/// What spans of a population are counted as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Operations of services.
    Operation,
    /// All spans that lead up to a root, to know how many do not.
    Connected,
    /// Requests from outside: roots that handle a request.
    Entry,
    /// What a service's CLIENT spans reach.
    Call(AggregateService),
    /// CLIENT spans under which no service answered: their attributes name the other end.
    Leaf,
    /// Messages sent to a topic.
    Publish,
    /// Messages taken from a topic.
    Consume,
    /// Failed spans, to know how they fail.
    Failure,
}

impl Meaning {
    /// Whether it becomes something in the snapshot.
    pub(super) fn lasts(&self) -> bool {
        !matches!(self, Self::Connected | Self::Failure)
    }
}

/// Spans that are counted alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Population {
    /// TraceQL that selects them.
    pub(super) selector: String,
    /// What they are told apart by: at most four keys, as many as a histogram allows.
    pub(super) keys: Vec<&'static str>,
    pub(super) meaning: Meaning,
    /// Whether all of them count as failed, whatever their own status: their callers saw a failure.
    pub(super) failed: bool,
    /// TraceQL for them and those that belong to another population together: one question for how long both took.
    pub(super) together: Option<String>,
}

impl Population {
    fn new(selector: impl Into<String>, keys: &[&'static str], meaning: Meaning) -> Self {
        Self { selector: selector.into(), keys: keys.to_vec(), meaning, failed: false, together: None }
    }

    /// How many there are, and how many of them failed.
    pub(super) fn count(&self) -> Query {
        Query::new(&self.selector, COUNT, self.keys.iter().copied().chain(["status"]).collect())
    }

    /// Those of which it is to be known when there were how many: what services and what has no spans of its own handled,
    /// and messages sent and taken. What services call of each other is handled in time by the one that is called.
    pub(super) fn in_time(&self) -> Option<Self> {
        match self.meaning {
            Meaning::Operation => Some(self.clone().only(Some(HANDLED))),
            Meaning::Leaf | Meaning::Publish | Meaning::Consume => Some(self.clone()),
            Meaning::Connected | Meaning::Entry | Meaning::Call(_) | Meaning::Failure => None,
        }
    }

    /// The same of what was counted with these values of its keys.
    pub(super) fn is_in_time(&self, values: &[String]) -> bool {
        match self.meaning {
            Meaning::Operation => values.get(3).is_some_and(|kind| kind == "server" || kind == "consumer"),
            _ => self.in_time().is_some(),
        }
    }

    /// How many of them a further condition holds for, by keys.
    pub(super) fn count_if(&self, condition: &str, by: Option<&'static str>) -> Query {
        let keys = self.keys.iter().copied().chain(by).collect();
        Query::new(selector_if(&self.selector, condition), COUNT, keys)
    }

    /// Only those for which a further condition holds.
    pub(super) fn only(self, condition: Option<&str>) -> Self {
        let Some(condition) = condition else { return self };
        let together = self.together.as_deref().map(|selector| selector_if(selector, condition));
        Self { selector: selector_if(&self.selector, condition), together, ..self }
    }

    /// How long they took, in buckets whose bounds are powers of two. `None` where another population's question says it.
    pub(super) fn durations(&self) -> Option<Query> {
        let selector = if self.failed { None } else { self.together.as_ref().or(Some(&self.selector)) };
        selector.map(|selector| Query::new(selector, "histogram_over_time(duration)", self.keys.clone()))
    }
}

/// What can be asked for without knowing anything. Operations come first.
///
/// TraceQL groups by five keys at most, so the spellings of an attribute that are counted are the current one and the most
/// common older one, each where the better one is absent. Structural operators do not see spans that are cut off from their
/// root, so that these would all seem to have nobody below: they are left out by the nested set number they lack, but for
/// calls to databases, below which there is nobody as a rule.
pub(super) fn known() -> Vec<Population> {
    const CONNECTED: &str = "nestedSetLeft > 0";
    const NEW: &str = "span.db.system.name != nil";
    const OLD: &str = "span.db.system.name = nil && span.db.system != nil";
    const NO_DATABASE: &str = "span.db.system.name = nil && span.db.system = nil";
    const NO_NAME: &str = "span.service.peer.name = nil && span.peer.service = nil";
    let leaf = |condition: &str, keys: [&'static str; 2]| {
        let selector = format!("{{ kind = server }} !< {{ kind = client && {condition} }}");
        Population::new(selector, &[NAMESPACE, SERVICE, keys[0], keys[1]], Meaning::Leaf)
    };
    let (address, old_address) = ("span.server.address", "span.net.peer.name");
    let mut all = vec![
        Population::new("{ }", &[NAMESPACE, SERVICE, NAME, "kind"], Meaning::Operation),
        Population::new("{ nestedSetLeft > 0 }", &[NAMESPACE, SERVICE], Meaning::Connected),
        Population::new("{ nestedSetParent < 0 && kind = server }", &[NAMESPACE, SERVICE, NAME], Meaning::Entry),
        leaf(
            &format!("{CONNECTED} && {NO_DATABASE} && (span.service.peer.name != nil || span.peer.service != nil)"),
            ["span.service.peer.name", "span.peer.service"],
        ),
        leaf(&format!("{CONNECTED} && {NO_DATABASE} && {NO_NAME}"), [address, old_address]),
    ];
    for (system, which, name) in
        [("span.db.system.name", NEW, "span.db.namespace"), ("span.db.system", OLD, "span.db.name")]
    {
        // A database without a name goes by its address.
        all.push(leaf(&format!("{which} && {name} != nil"), [system, name]));
        all.push(leaf(&format!("{which} && {name} = nil && {address} != nil"), [system, address]));
        all.push(leaf(&format!("{which} && {name} = nil && {address} = nil"), [system, old_address]));
    }
    let (broker, topic) = ("span.messaging.system", "span.messaging.destination.name");
    for (kind, meaning) in [("producer", Meaning::Publish), ("consumer", Meaning::Consume)] {
        let of = |condition: &str, key| {
            let selector = format!("{{ kind = {kind} && {topic} {condition} }}");
            Population::new(selector, &[NAMESPACE, SERVICE, broker, key], meaning.clone())
        };
        all.push(of("!= nil", topic));
        // The older convention has the topic in the span's name.
        all.push(of("= nil", NAME));
    }
    all
}

/// What the CLIENT spans of a service reach: those that did not fail themselves, and behind them those that did. Tempo counts
/// the called spans, so the caller's side has to be asked for by its status. `alone` says that no other caller has its name: then
/// it need not be said that it has no namespace, which Tempo up to 3.0 does not find of a resource that has nothing but a name.
pub(super) fn calls(source: &AggregateService, alone: bool) -> [Population; 2] {
    let mut caller = format!("{SERVICE} = {}", quoted(&source.name));
    if !(alone && source.namespace.is_empty()) {
        caller.push_str(&format!(" && {NAMESPACE} {}", equals(&source.namespace)));
    }
    let called = |condition: &str| format!("{{ {caller} && kind = client{condition} }} > {{ kind = server }}");
    let of = |condition: &str, failed| Population {
        failed,
        together: Some(called("")),
        ..Population::new(called(condition), &[NAMESPACE, SERVICE, NAME], Meaning::Call(source.clone()))
    };
    [of(" && status != error", false), of(" && status = error", true)]
}

/// A comparison with a text, or with nothing where it is empty.
pub(super) fn equals(text: &str) -> String {
    if text.is_empty() { "= nil".to_owned() } else { format!("= {}", quoted(text)) }
}

/// A TraceQL string.
pub(super) fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_query_has_more_keys_than_tempo_takes() {
        let source = AggregateService { namespace: String::new(), name: "a".to_owned() };
        for population in known().into_iter().chain(calls(&source, false)) {
            assert!(population.keys.len() <= 4, "{population:?}");
            assert!(population.count().to_string().ends_with(", status)"));
            let some = population.count_if("span.x = 1", None).to_string();
            assert_eq!(some.matches('{').count(), population.selector.matches('{').count());
            let and = if population.selector == "{ }" { "{" } else { "&&" };
            assert!(some.contains(&format!("{and} span.x = 1 }} | count_over_time() by (")), "{some}");
        }
    }

    #[test]
    fn calls_that_failed_and_those_that_did_not_share_one_question_for_durations() {
        let [ok, failed] = calls(&AggregateService { namespace: String::new(), name: "a".to_owned() }, true);
        let [ok, failed] = [ok, failed].map(|population| population.only(Some("span.x = 1")));
        let durations = ok.durations().unwrap().to_string();
        assert!(durations.contains(" kind = client } > { kind = server && span.x = 1 } | histogram"), "{durations}");
        let count = ok.count().to_string();
        assert!(count.contains("status != error } > { kind = server && span.x = 1 } |"), "{count}");
        assert!(failed.durations().is_none() && failed.in_time().is_none());
    }

    #[test]
    fn of_operations_those_that_handle_something_are_told_in_time() {
        let operations = known().remove(0);
        assert!(operations.in_time().unwrap().selector.contains("kind = server || kind = consumer"));
        let of = |kind: &str| operations.is_in_time(&["", "a", "get", kind].map(str::to_owned));
        assert_eq!(["server", "consumer", "client", "internal"].map(of), [true, true, false, false]);
    }

    #[test]
    fn a_name_cannot_break_out_of_its_query() {
        let source = AggregateService { namespace: "x".to_owned(), name: "a\" || true || \"\\".to_owned() };
        let [ok, _] = calls(&source, true);
        assert!(ok.selector.contains(r#"resource.service.name = "a\" || true || \"\\" &&"#), "{}", ok.selector);
    }

    #[test]
    fn that_a_caller_has_no_namespace_is_said_only_where_another_has_one() {
        let of = |namespace: &str, alone| {
            let source = AggregateService { namespace: namespace.to_owned(), name: "a".to_owned() };
            calls(&source, alone)[0].selector.clone()
        };
        assert!(of("", true).starts_with(r#"{ resource.service.name = "a" && kind = client && "#), "{}", of("", true));
        assert!(of("", false).contains(r#""a" && resource.service.namespace = nil && kind = client"#));
        assert!(of("x", true).contains(r#""a" && resource.service.namespace = "x" && kind = client"#));
    }
}
