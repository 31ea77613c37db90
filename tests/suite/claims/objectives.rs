//! Objectives held against the spans (docs/slo.md), and the claims that speak of them.

use super::claim::{Claim, count, said};
use super::config::{Objective, Sli};
use super::facts::{Facts, Sums};
use super::numbers::{Kind, Value};
use super::times::{self, Times, Z};

/// One objective for one service.
pub struct Status<'a> {
    facts: &'a Facts,
    pub objective: &'a Objective,
    pub node: &'a str,
}

impl<'a> Status<'a> {
    /// Every objective for every service it is about.
    pub fn all(facts: &'a Facts) -> Vec<Self> {
        let services = || facts.nodes.iter().filter(|(_, n)| n.instrumented).map(|(id, _)| id.as_str());
        let of = |objective: &'a Objective| {
            services().filter(|id| objective.is_about(id)).map(move |node| Status { facts, objective, node })
        };
        facts.config.objectives.iter().flat_map(of).collect()
    }

    /// Those of some services that measure one of these things, the one a page is named after first: those that page,
    /// then specific before wildcard, then the whole service.
    pub fn ranked(facts: &'a Facts, nodes: &[&str], wanted: fn(&Sli) -> bool) -> Vec<Self> {
        let mut all = Self::all(facts);
        all.retain(|s| wanted(&s.objective.sli) && nodes.contains(&s.node));
        all.sort_by_key(|s| {
            let o = s.objective;
            (!o.pages, o.service.contains('*'), !o.operation.is_empty(), o.id.clone())
        });
        all
    }

    fn requests(&self) -> Sums {
        let node = &self.facts.nodes[self.node];
        if self.objective.operation.is_empty() {
            return node.handled.clone();
        }
        let mut sums = Sums::default();
        let handles =
            |kind: super::spans::Kind| matches!(kind, super::spans::Kind::Server | super::spans::Kind::Consumer);
        let operations =
            node.operations.iter().filter(|((kind, name), _)| handles(*kind) && self.objective.covers(name));
        operations.for_each(|(_, o)| sums.merge(o));
        sums
    }

    /// The durations it is about; of messages how long they wait.
    fn times(&self) -> Times {
        let mut times = Times::default();
        if let Sli::Lag(_) = self.objective.sli {
            let into = self.facts.into(self.node);
            into.iter().filter(|(_, e)| e.kind == "messaging").for_each(|(_, e)| times.extend(&e.dwell));
        } else {
            times.extend(&self.requests().times);
        }
        times.sorted();
        times
    }

    pub fn n(&self) -> u64 {
        match self.objective.sli {
            Sli::ErrorRate | Sli::Throughput => self.requests().n,
            _ => self.times().n(),
        }
    }

    /// The exact value.
    fn exact(&self) -> Option<f64> {
        let requests = || Some(self.requests()).filter(|r| r.calls > 0.0);
        match &self.objective.sli {
            Sli::Latency(p) | Sli::Lag(p) => self.times().exact(p),
            Sli::Mean => Some(self.times().mean()),
            Sli::ErrorRate => requests().map(|r| r.error_ratio()),
            Sli::Throughput => requests().map(|r| self.facts.rate(r.calls)),
            Sli::External => None,
        }
    }

    pub fn value(&self) -> Option<Value> {
        let exact = self.exact()?;
        Some(if self.percentile().is_some() { Value::near(exact) } else { Value::Exactly(exact) })
    }

    fn percentile(&self) -> Option<f64> {
        match &self.objective.sli {
            Sli::Latency(p) | Sli::Lag(p) => Some(p.parse::<f64>().unwrap() / 100.0),
            _ => None,
        }
    }

    /// Whether it is missed; `None` where the value is too near to the target for a quantile to tell.
    pub fn is_missed(&self) -> Option<bool> {
        let value = self.exact()?;
        let near = self.percentile().is_some() && (value / self.objective.value - 1.0).abs() <= super::numbers::NEAR;
        (!near).then(|| !self.objective.is_kept_by(value))
    }

    fn interval(&self) -> [Value; 2] {
        let requests = self.requests();
        let exactly = |ends: [f64; 2]| ends.map(Value::Exactly);
        match self.objective.sli {
            Sli::ErrorRate => exactly(times::wilson(requests.error_ratio(), requests.n as f64, Z)),
            Sli::Throughput => {
                let a_span = requests.calls / requests.n as f64;
                exactly(times::poisson(requests.n as f64).map(|n| self.facts.rate(n * a_span)))
            }
            Sli::Mean => self.times().mean_interval(),
            _ => self.times().interval(self.percentile().unwrap()),
        }
    }

    /// How much of what may fail or be slow did: a quantile's share is as exact as its bins.
    fn used(&self) -> (f64, f64) {
        match self.percentile() {
            Some(q) => {
                let (least, most) = self.times().slower(self.objective.value);
                let allowed = (1e9 - (q * 1e9).round()) / 1e9;
                (least / allowed, most / allowed)
            }
            None => [self.requests().error_ratio() / self.objective.value; 2].into(),
        }
    }

    /// Errors against what is allowed in the last seconds of the window, in buckets of five minutes.
    fn burn(&self, seconds: f64) -> f64 {
        let from = (self.facts.window.1 / 1_000_000_000 - seconds as u64) / 300;
        let (calls, errors) =
            self.requests().series.range(from..).fold((0.0, 0.0), |(c, e), (_, b)| (c + b.0, e + b.1));
        if calls > 0.0 { errors / calls / self.objective.value } else { 0.0 }
    }

    /// `p99 latency of checkout, operation …`, as a text says it.
    fn is_meant_by(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        let label = self.facts.label(self.node).to_lowercase();
        let subject = format!("{} of `{label}`", self.objective.words());
        let operation = match self.objective.operation.as_str() {
            "" => !text.contains(", operation `"),
            name => text.contains(&format!(", operation `{name}`").to_lowercase()),
        };
        text.contains(&subject) && operation
    }
}

/// The objective a text is about, by what it measures of which service, and by its target where that is written.
fn meant<'a>(c: &Claim<'a>, text: &str) -> Option<Status<'a>> {
    let mut found = Status::all(c.facts);
    found.retain(|s| s.is_meant_by(text));
    if found.len() > 1 {
        found.retain(|s| text.contains(&format!("`{}`", s.objective.target)));
    }
    found.into_iter().next()
}

/// The objective of the nearest list item that names one: this one, or one above.
fn of_item<'a>(c: &Claim<'a>) -> Option<Status<'a>> {
    let items = std::iter::once(c.place.text.as_str()).chain(c.place.before.iter().map(String::as_str));
    items.into_iter().find(|t| t.starts_with("Objective `")).and_then(|text| meant(c, text))
}

/// What a page of this kind is held against, the main one first.
pub fn of_page<'a>(c: &Claim<'a>) -> Vec<Status<'a>> {
    let Some(focus) = c.focus() else { return Vec::new() };
    let timed = |sli: &Sli| matches!(sli, Sli::Latency(_) | Sli::Mean);
    let counted = |sli: &Sli| matches!(sli, Sli::ErrorRate | Sli::Throughput);
    match c.page.key.split(':').next().unwrap_or_default() {
        "latency" => Status::ranked(c.facts, &[focus], timed),
        "errors" => Status::ranked(c.facts, &[focus], counted),
        "pipeline" => {
            let consumers: Vec<&str> = c.facts.out_of(focus).iter().map(|(id, _)| *id).collect();
            Status::ranked(c.facts, &consumers, |sli| matches!(sli, Sli::Lag(_)))
        }
        _ => Vec::new(),
    }
}

/// The smallest error rate a direct caller of the page's node is allowed, and all to whom that applies.
pub fn strictest<'a>(c: &Claim<'a>) -> Option<(f64, Vec<&'a str>)> {
    let callers: Vec<&str> = c.facts.into(c.focus()?).iter().map(|(id, _)| *id).collect();
    let all = Status::ranked(c.facts, &callers, |sli| *sli == Sli::ErrorRate);
    let least = all.iter().map(|s| s.objective.value).min_by(f64::total_cmp)?;
    Some((least, all.iter().filter(|s| s.objective.value == least).map(|s| s.node).collect()))
}

/// `p99`: the percentile of an objective, where the text has one.
fn percentile(c: &Claim<'_>, status: &Status<'_>) -> Vec<Value> {
    let shown = c.holes.iter().any(|h| h.kind == Kind::Digits);
    let p = match &status.objective.sli {
        Sli::Latency(p) | Sli::Lag(p) => Some(said(p)),
        _ => None,
    };
    p.into_iter().filter(|_| shown).collect()
}

/// `812 ms (n 4210, 95 % interval 760 ms to 900 ms)`, or of few requests `909 ms (only few requests were seen, n 6)`.
fn observed(c: &Claim<'_>, status: &Status<'_>, missed: bool) -> Option<Vec<Value>> {
    let few = c.text().contains("only few ");
    if few != (status.n() < 20) || status.is_missed().is_some_and(|m| m != missed) {
        return None;
    }
    let mut out = vec![status.value()?, count(status.n())];
    out.extend(status.interval().into_iter().filter(|_| !few));
    Some(out)
}

/// `p99 latency of checkout misses its target: …, target < 500ms`.
pub fn headline(c: &Claim<'_>) -> Option<Vec<Value>> {
    let status = meant(c, c.text()).filter(|s| format!("`{}`", s.objective.target) == c.holes.last().unwrap().text)?;
    let mut out = percentile(c, &status);
    out.extend(observed(c, &status, c.text().contains("misses"))?);
    Some(out)
}

/// How many other objectives of the page are missed.
pub fn missed_besides(c: &Claim<'_>) -> Option<Vec<Value>> {
    let missed = of_page(c).iter().filter(|s| s.is_missed() == Some(true)).count();
    Some(vec![count(missed as u64 - 1)])
}

/// `p99 latency of checkout at or above 500 ms`: of a topic, an objective of a consumer.
pub fn trigger(c: &Claim<'_>) -> Option<Vec<Value>> {
    let meets = |s: &Status<'_>| c.text().contains(&format!(" {} ", s.objective.bad_side()));
    let node = c.node_id(0)?;
    let consumers = c.facts.out_of(node);
    let of_topic = || {
        let consumers: Vec<&str> = consumers.iter().map(|(id, _)| *id).collect();
        Status::ranked(c.facts, &consumers, |sli| matches!(sli, Sli::Lag(_))).into_iter().next()
    };
    let own = Status::ranked(c.facts, &[node], |_| true).into_iter().find(|s| s.is_meant_by(c.text()));
    let status = own.or_else(of_topic)?;
    let mut out = percentile(c, &status);
    out.push(Value::Exactly(status.objective.value));
    Some(out).filter(|_| meets(&status))
}

/// `Objective …: p99 latency of … < 500ms over 30d; a miss pages. Missed: …`.
pub fn detail(c: &Claim<'_>) -> Option<Vec<Value>> {
    let status = meant(c, c.text())?;
    let ids = [status.objective.id.clone(), format!("{}:{}", status.objective.id, status.node)];
    let says = |part: &str| c.text().contains(part);
    let target = says(&format!("` `{}` over ", status.objective.target));
    if !ids.iter().any(|id| id == c.x(0)) || !target || says("a miss pages") != status.objective.pages {
        return None;
    }
    let mut out = percentile(c, &status);
    out.extend(status.objective.window.map(Value::Exactly));
    match says("No data") {
        true => {}
        false => out.extend(observed(c, &status, says("Missed: "))?),
    }
    Some(out)
}

/// What is used of what may fail or be slow, told in one of three ways.
pub fn budget(c: &Claim<'_>) -> Option<Vec<Value>> {
    let status = of_item(c)?;
    let (least, most) = status.used();
    let missed = status.is_missed();
    let between = |low: f64, high: f64| Some(vec![Value::Between(low, high)]);
    if c.text().contains(" times as many ") {
        return between(least, most);
    }
    if c.text().contains(" more ") {
        return between(least - 1.0, most - 1.0);
    }
    // What is kept is not overspent, and the other way round.
    let clamp = |left: f64| if missed == Some(false) { left.max(0.0) } else { left };
    between(clamp(1.0 - most), clamp(1.0 - least))
}

/// `the snapshot covers 2 h 59 min of the objective's 30 d`.
pub fn short_window(c: &Claim<'_>) -> Option<Vec<Value>> {
    Some(vec![Value::Exactly(c.facts.seconds()), Value::Exactly(of_item(c)?.objective.window?)])
}

/// The multiwindow table of the Site Reliability Workbook: severity, budget in percent, long and short window in seconds.
const WINDOWS: [(&str, f64, f64, f64); 4] = [
    ("pages", 2.0, 3_600.0, 300.0),
    ("pages", 5.0, 21_600.0, 1_800.0),
    ("makes a ticket", 10.0, 86_400.0, 7_200.0),
    ("makes a ticket", 10.0, 259_200.0, 21_600.0),
];

/// `3.2 over 1h, 0 over 5m (pages when both are above 14.4)`.
pub fn burn(c: &Claim<'_>) -> Option<Vec<Value>> {
    let status = of_item(c)?;
    let shown = c.holes.iter().find(|h| h.kind == Kind::Length)?;
    let long = WINDOWS.iter().find(|w| super::numbers::say(Kind::Length, w.2) == shown.text)?;
    let (word, percent, long, short) = *long;
    let window = status.objective.window.unwrap_or(2_592_000.0);
    let factor = percent / 100.0 * window / long;
    let (fast, faster) = (status.burn(long), status.burn(short));
    let firing = fast > factor && faster > factor;
    let right = long <= c.facts.seconds() && c.text().contains("both above") == firing && c.text().contains(word);
    let factor = said((factor * 1e6).round() / 1e6);
    let exactly = Value::Exactly;
    right.then(|| vec![exactly(fast), exactly(long), exactly(faster), exactly(short), factor])
}

/// The limit of the objective an alert is for, and its percentile as a share.
pub fn alert(c: &Claim<'_>) -> Option<Vec<f64>> {
    of_item(c).map(|s| [s.objective.value].into_iter().chain(s.percentile()).collect())
}
