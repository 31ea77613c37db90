//! The sets of spans that are counted, each as TraceQL says it.

use crate::spans::aggregate::AggregateService;

/// Keys of a service.
const NAMESPACE: &str = "resource.service.namespace";
const SERVICE: &str = "resource.service.name";
const NAME: &str = "name";

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
}

impl Population {
    fn new(selector: impl Into<String>, keys: &[&'static str], meaning: Meaning) -> Self {
        Self { selector: selector.into(), keys: keys.to_vec(), meaning, failed: false }
    }

    /// How many there are, and how many of them failed.
    pub(super) fn count(&self) -> String {
        format!("{} | count_over_time() by ({}, status)", self.selector, self.keys.join(", "))
    }

    /// How many of them a further condition holds for, by keys.
    pub(super) fn count_if(&self, condition: &str, by: Option<&'static str>) -> String {
        let keys: Vec<&str> = self.keys.iter().copied().chain(by).collect();
        let by = if keys.is_empty() { String::new() } else { format!(" by ({})", keys.join(", ")) };
        format!("{} | count_over_time(){by}", self.selector_if(condition))
    }

    /// Only those for which a further condition holds.
    pub(super) fn only(self, condition: Option<&str>) -> Self {
        let selector = condition.map_or_else(|| self.selector.clone(), |condition| self.selector_if(condition));
        Self { selector, ..self }
    }

    /// The last braces hold the spans that are counted.
    fn selector_if(&self, condition: &str) -> String {
        let selector = self.selector.trim_end().trim_end_matches('}').trim_end();
        let and = if selector.ends_with('{') { "" } else { " &&" };
        format!("{selector}{and} {condition} }}")
    }

    /// How long they took, in buckets whose bounds are powers of two.
    pub(super) fn durations(&self) -> String {
        format!("{} | histogram_over_time(duration) by ({})", self.selector, self.keys.join(", "))
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

/// What the CLIENT spans of a service reach: those that failed themselves, and the others. Tempo counts the called spans,
/// so the caller's side has to be asked for by its status.
pub(super) fn calls(source: &AggregateService) -> [Population; 2] {
    let caller = format!("{SERVICE} = {} && {NAMESPACE} {}", quoted(&source.name), equals(&source.namespace));
    let of = |condition: &str, failed| {
        let selector = format!("{{ {caller} && kind = client && status {condition} error }} > {{ kind = server }}");
        Population { failed, ..Population::new(selector, &[NAMESPACE, SERVICE, NAME], Meaning::Call(source.clone())) }
    };
    [of("!=", false), of("=", true)]
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
        for population in known().into_iter().chain(calls(&source)) {
            assert!(population.keys.len() <= 4, "{population:?}");
            assert!(population.count().ends_with(", status)"));
            let some = population.count_if("span.x = 1", None);
            assert_eq!(some.matches('{').count(), population.selector.matches('{').count());
            let and = if population.selector == "{ }" { "{" } else { "&&" };
            assert!(some.contains(&format!("{and} span.x = 1 }} | count_over_time() by (")), "{some}");
        }
    }

    #[test]
    fn a_name_cannot_break_out_of_its_query() {
        let source = AggregateService { namespace: "x".to_owned(), name: "a\" || true || \"\\".to_owned() };
        let [ok, _] = calls(&source);
        assert!(ok.selector.contains(r#"resource.service.name = "a\" || true || \"\\" &&"#), "{}", ok.selector);
    }
}
