//! The captures that are made into pages: real traces, and those of two simulated systems with faults and defects.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

use super::check::{self, Match, is_fixed};
use super::claim::Claim;
use super::config::Config;
use super::facts::Facts;
use super::page::{Page, Place};
use super::pattern::Found;
use super::{spans, staged};
use crate::harness::Case;
use crate::schemas::model;

pub struct Capture {
    pub name: &'static str,
    pub facts: Facts,
    pub pages: Vec<Page>,
    /// By page and place: the patterns that fit there.
    found: Vec<Vec<Vec<Match>>>,
    names: BTreeSet<String>,
    /// Of spans.
    ids: BTreeSet<String>,
    /// Sentences of the configuration that pages repeat.
    texts: Vec<String>,
}

/// What the team of the simulated shop promises: every kind of objective, some missed.
const SHOP: &str = r##"
project: Shop
objectives:
  - { service: "*", sli: error_rate, target: "< 1 %", severity: ticket }
  - { id: checkout-errors, service: checkout, sli: error_rate, target: "< 0.5 %", window: 30d, severity: page }
  - { service: "*", sli: latency_p99, target: "< 500ms" }
  - { id: frontend-p50, service: frontend, sli: latency_p50, target: "<= 40ms", window: 7d, severity: page }
  - { id: frontend-mean, service: frontend, sli: latency_mean, target: "< 80ms" }
  - { id: frontend-p95, service: frontend, sli: latency_p95, target: "< 50ms" }
  - { id: place-order, service: checkout, operation: "shop.CheckoutService/*", sli: latency_p95, target: "< 400ms", severity: page }
  - { id: frontend-flow, service: frontend, sli: throughput, target: "> 2/min" }
  - { service: accounting, sli: latency_p99, target: "< 2ms" }
  - { id: accounting-lag, service: accounting, sli: messaging_lag_p99, target: "< 2s", window: 30d, severity: page }
  - { id: fraud-lag, service: fraud-detection, sli: messaging_lag_p50, target: "< 30s" }
services:
  frontend: { owner: Storefront, contact: "#storefront", criticality: critical }
escalation:
  - { who: On-call engineer, contact: pager }
  - { after: 15m, who: Owning team's lead }
scenarios:
  - { name: failover, kind: region-failover, title: A region is down, trigger: Region health check fails 3 times, nodes: [frontend, checkout] }
"##;

impl Capture {
    /// All of them, made once.
    pub fn all() -> &'static [Self] {
        static ALL: OnceLock<Vec<Capture>> = OnceLock::new();
        ALL.get_or_init(|| {
            let fault = |name: &str, from| model::Incident { name: name.into(), from, until: u64::MAX };
            let options = model::Options { gap: 27_000_000_000, ..model::Options::default() };
            let defective = model::Options {
                seed: 5,
                traces: 400,
                skew: 3_000_000,
                orphans: 0.05,
                rootless: 0.03,
                duplicates: 0.02,
                fault: Some(fault("provider-down", options.start + 7_200_000_000_000)),
                ..options.clone()
            };
            let sampled = model::Options {
                seed: 7,
                traces: 1_500,
                gap: 7_200_000_000,
                sample: Some(0.25),
                fault: Some(fault("orders-lag", options.start + 3_600_000_000_000)),
                ..options
            };
            let make: [fn(model::Options, model::Options) -> Self; 5] = [
                |defective, _| Self::shop("a shop whose payment provider is down, some spans lost", defective),
                |_, sampled| Self::shop("a sampled shop whose messages wait", sampled),
                |_, _| Self::of("a staged system", staged::CONFIG, staged::lines().as_bytes()),
                |_, _| Self::example("onlineboutique", "after.otlp.jsonl.zst"),
                |_, _| Self::example("aisoc", "traces.otlp.jsonl.zst"),
            ];
            std::thread::scope(|scope| {
                let made = make.map(|one| {
                    let (defective, sampled) = (defective.clone(), sampled.clone());
                    scope.spawn(move || one(defective, sampled))
                });
                made.into_iter().map(|one| one.join().unwrap()).collect()
            })
        })
    }

    fn shop(name: &'static str, options: model::Options) -> Self {
        let mut generator = model::Generator::new(model::system("shop").unwrap(), options).unwrap();
        let mut writer = generator.writer(model::Format::Jsonl, Vec::new());
        for record in generator.by_ref() {
            writer.write(&record).unwrap();
        }
        Self::of(name, SHOP, &writer.into_inner())
    }

    fn of(name: &'static str, config: &str, lines: &[u8]) -> Self {
        let case = Case::empty().file("spans.jsonl", lines).file("tracebook.yaml", config);
        Self::made(name, case.run("generate --from spans.jsonl --output out"), config, lines)
    }

    fn example(name: &'static str, spans: &str) -> Self {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
        let config = std::fs::read_to_string(directory.join("tracebook.yaml")).unwrap();
        let lines = zstd::decode_all(std::fs::File::open(directory.join(spans)).unwrap()).unwrap();
        let line = format!("generate --from {spans} --output out");
        Self::made(name, Case::copy_of(&directory).run(&line), &config, &lines)
    }

    fn made(name: &'static str, case: Case, config: &str, lines: &[u8]) -> Self {
        let files = case.expect_exit(0).tree();
        let config = Config::read(config);
        let texts = config.texts().into_iter().filter(|t| t.contains(' ')).collect();
        let facts = Facts::new(spans::read(std::str::from_utf8(lines).unwrap()), config);
        let markdown = files.iter().filter(|(file, _)| file.starts_with("out/") && file.ends_with(".md"));
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let pages: Vec<Page> =
            markdown.map(|(file, bytes)| Page::new(file.trim_start_matches("out/"), text(bytes))).collect();
        let found = pages.iter().map(|page| page.places.iter().map(check::matches).collect()).collect();
        let ids = facts.spans.iter().map(|s| s.id.clone()).collect();
        Self { name, names: facts.names(), ids, pages, found, texts, facts }
    }

    pub fn claim<'a>(&'a self, page: &'a Page, place: &'a Place, found: &'a Found) -> Claim<'a> {
        let Found { from, to, holes } = found;
        Claim { facts: &self.facts, pages: &self.pages, page, place, holes, from: *from, to: *to }
    }

    /// Places with numbers of every page, and the patterns that fit there.
    pub fn places(&self) -> impl Iterator<Item = (&Page, &Place, &[Match])> {
        self.pages.iter().zip(&self.found).flat_map(|(page, found)| {
            page.places.iter().zip(found).map(move |(place, found)| (page, place, found.as_slice()))
        })
    }

    /// Whether a number that no pattern claims is none: a name, a text of the configuration, a fixed word of ours.
    pub fn is_known(&self, page: &Page, text: &str, from: usize, to: usize) -> bool {
        let code = text[..from].matches('`').count() % 2 == 1;
        let shown = &text[from..to];
        let hex = |n: usize| shown.len() == n && shown.bytes().all(|b| b.is_ascii_hexdigit());
        let listed =
            |words: &String| text.match_indices(words.as_str()).any(|(at, _)| at <= from && to <= at + words.len());
        let digest = text.starts_with("Digest of the spans: ") && hex(32);
        let trace = |id: &str| !self.facts.trace(id).is_empty() || self.ids.contains(id);
        (code && (self.names.contains(shown) || digest || ((hex(32) || hex(16)) && trace(shown))))
            || (code && page.key == shown)
            || self.texts.iter().any(listed)
            || is_fixed(text, from, to)
    }
}
