//! The configuration file, the ledger's text, and lengths of time: the only module that knows YAML.
//!
//! Purpose: find `tracebook.yaml`, read it strictly (unknown keys are errors with line, column and suggestion), hand every
//! stage its own part. Input: a directory or a path. Output: a [`Config`], or every problem at once.
//! Must not: read the environment or flags (the commands layer those on top), print, or write.

pub mod duration;
pub mod ledger;
mod tree;

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::diag::{Diagnostic, Location, Severity};
use crate::runbook::cfg::{LinksConfig, RunbooksConfig, ScenarioConfig, ServiceConfig, Settings};
use crate::slo::cfg::{Comparison, Objective, ObjectiveConfig, Sli, validate_all};
use crate::topology::cfg::TopologyConfig;

use tree::Document;

/// Names looked for, in the working directory only.
pub const FILES: [&str; 2] = ["tracebook.yaml", "tracebook.yml"];

/// Keys of the root.
const KEYS: &[&str] = &[
    "project",
    "from",
    "output",
    "lookback",
    "topology",
    "objectives",
    "runbooks",
    "scenarios",
    "services",
    "escalation",
    "links",
    "packs",
    "templates",
    "toc",
];

/// No configuration and no template is larger.
const MAX_BYTES: u64 = 4 << 20;

/// Everything a configuration says, valid. `Default` is what holds without a file, except for the objectives:
/// use [`load`], which fills in [`default_objectives`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    /// The file it was read from, as shown to people.
    pub file: Option<String>,
    /// The directory of that file: relative paths in it start here.
    pub base: PathBuf,
    /// Default source.
    pub from: Option<String>,
    /// Runbook directory.
    pub output: Option<PathBuf>,
    /// Default lookback in seconds.
    pub lookback_seconds: Option<u64>,
    /// For the topology stage.
    pub topology: TopologyConfig,
    /// For the SLO stage.
    pub objectives: Vec<Objective>,
    /// Whether the objectives are tracebook's own because none are configured.
    pub default_objectives: bool,
    /// For the runbook stage.
    pub settings: Settings,
    /// The user's templates: name and text, sorted by name.
    pub templates: Vec<(String, String)>,
    /// Their directory as the configuration names it, for messages.
    pub templates_root: String,
    /// Markdown files refreshed by `--update-toc`, relative to `base`.
    pub toc: Vec<String>,
    /// The text it was read from, to find places in.
    pub text: String,
}

impl Config {
    /// Gives diagnostics that know only a key path (`runbooks.pinned[0].id`) their file, line and column.
    pub fn place(&self, diagnostics: &mut [Diagnostic]) {
        let Some(file) = &self.file else { return };
        let placeless = |d: &&mut Diagnostic| d.location.file.is_none() && d.location.key.is_some();
        let mut placeless = diagnostics.iter_mut().filter(placeless).peekable();
        if placeless.peek().is_none() {
            return;
        }
        // It was parsed before, so it parses again.
        let Ok(document) = Document::parse(file, &self.text) else { return };
        for diagnostic in placeless {
            diagnostic.location = document.locate(diagnostic.location.key.as_deref().unwrap_or_default());
        }
    }
}

/// One file with regions of ours.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct TocFile {
    file: String,
}

/// What holds when no `objectives:` are configured: a starting point, said so wherever it is shown.
#[must_use]
pub fn default_objectives() -> Vec<Objective> {
    let objective = |id: &str, sli, sli_name: &str, target, target_text: &str| Objective {
        id: id.into(),
        service: "*".into(),
        operation: None,
        sli,
        sli_name: sli_name.into(),
        comparison: Comparison::Below,
        target,
        target_text: target_text.into(),
        window_seconds: None,
        severity: "ticket".into(),
        query: None,
        description: "default objective of tracebook: no objectives are configured".into(),
    };
    vec![
        objective("default-error-rate", Sli::ErrorRate, "error_rate", 0.01, "< 1 %"),
        objective("default-latency-p99", Sli::Latency { percentile: 99.0 }, "latency_p99", 1.0, "< 1s"),
    ]
}

/// Reads the configuration: the file named explicitly (relative to `dir`), else `tracebook.yaml` or `tracebook.yml` in
/// `dir` (parent directories are not searched), else the defaults.
///
/// # Errors
/// Every problem found, each with file, line, column and key path.
pub fn load(explicit: Option<&Path>, dir: &Path) -> Result<Config, Vec<Diagnostic>> {
    let Some(path) = find(explicit, dir).map_err(|e| vec![e])? else {
        return Ok(Config {
            base: dir.to_owned(),
            objectives: default_objectives(),
            default_objectives: true,
            ..Config::default()
        });
    };
    let shown = path.strip_prefix(dir).unwrap_or(&path).display().to_string();
    let text = read_bounded(&path, &shown, "config-unreadable").map_err(|e| vec![e])?;
    let base = path.parent().unwrap_or(dir).to_owned();
    parse(&text, &shown, &base)
}

fn find(explicit: Option<&Path>, dir: &Path) -> Result<Option<PathBuf>, Diagnostic> {
    if let Some(path) = explicit {
        let path = dir.join(path);
        return if path.is_file() {
            Ok(Some(path))
        } else {
            Err(Diagnostic::error("config-not-found", "there is no such configuration file")
                .at(Location::file(path.display().to_string()))
                .help(
                    "check --config, or leave it out to use `tracebook.yaml` of the working directory if there is one",
                ))
        };
    }
    let mut found = FILES.iter().map(|name| dir.join(name)).filter(|path| path.exists());
    match (found.next(), found.next()) {
        (Some(_), Some(second)) => {
            Err(Diagnostic::error("config-ambiguous", "there are both `tracebook.yaml` and `tracebook.yml`")
                .at(Location::file(second.display().to_string()))
                .help("remove one of them, or name one with --config"))
        }
        (found, _) => Ok(found),
    }
}

fn read_bounded(path: &Path, shown: &str, code: &'static str) -> Result<String, Diagnostic> {
    let failed = |message: String| {
        Diagnostic::error(code, message).at(Location::file(shown)).help("make it a readable text file in UTF-8")
    };
    let size = fs::metadata(path).map_err(|e| failed(format!("cannot read it: {e}")))?.len();
    if size > MAX_BYTES {
        return Err(failed(format!("it has {size} bytes; more than {MAX_BYTES} cannot be right")));
    }
    fs::read_to_string(path).map_err(|e| match e.kind() {
        ErrorKind::InvalidData => failed("it is not UTF-8 text".to_owned()),
        _ => failed(format!("cannot read it: {e}")),
    })
}

/// Reads a configuration from its text. Relative paths in it start at `base`.
///
/// # Errors
/// Every problem found, each with file, line, column and key path.
pub fn parse(text: &str, file: &str, base: &Path) -> Result<Config, Vec<Diagnostic>> {
    let document = Document::parse(file, text).map_err(|e| {
        vec![e.help("YAML needs consistent indentation with blanks; quote texts that hold `: ` or start with a special character")]
    })?;
    document.only(KEYS);
    let raw: Vec<(usize, ObjectiveConfig)> = document.list("objectives");
    let explicit = document.take::<serde::de::IgnoredAny>("objectives").is_some();
    let objectives = if explicit { objectives(&document, &raw) } else { default_objectives() };
    let services: BTreeMap<String, ServiceConfig> = document.take("services").unwrap_or_default();
    let runbooks: RunbooksConfig = document.take("runbooks").unwrap_or_default();
    let links: LinksConfig = document.take("links").unwrap_or_default();
    check_share(&document, "runbooks.critical_share", runbooks.critical_share);
    check_share(&document, "runbooks.critical_service_share", runbooks.critical_service_share);
    check_links(&document, &links, &services);
    let topology: TopologyConfig = document.take("topology").unwrap_or_default();
    topology.problems().into_iter().for_each(|problem| document.report(problem));
    let lookback_seconds = document.take::<String>("lookback").and_then(|text| {
        let seconds = duration::seconds(&text);
        if seconds.is_none() {
            let message = format!("`{text}` is not a length of time");
            document.report(problem("config-value", "lookback", message).help("write it like 7d, 36h or 90m"));
        }
        seconds
    });
    let config = Config {
        file: Some(file.to_owned()),
        base: base.to_owned(),
        from: not_empty(&document, "from"),
        output: not_empty(&document, "output").map(PathBuf::from),
        lookback_seconds,
        topology,
        objectives,
        default_objectives: !explicit,
        settings: Settings {
            project: document.take("project").unwrap_or_default(),
            runbooks,
            scenarios: document.list::<ScenarioConfig>("scenarios").into_iter().map(|(_, s)| s).collect(),
            services,
            escalation: document.list("escalation").into_iter().map(|(_, e)| e).collect(),
            links,
            packs: document.list("packs").into_iter().map(|(_, p)| p).collect(),
        },
        templates: templates(&document, base),
        templates_root: document.take("templates").unwrap_or_default(),
        text: text.to_owned(),
        toc: document.list::<TocFile>("toc").into_iter().map(|(_, t)| t.file).collect(),
    };
    let problems = document.into_problems();
    if problems.iter().any(|p| p.severity == Severity::Error) { Err(problems) } else { Ok(config) }
}

fn problem(code: &'static str, key: impl Into<String>, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(code, message).at(Location::default().at_key(key))
}

fn not_empty(document: &Document<'_>, key: &str) -> Option<String> {
    let text: String = document.take(key)?;
    if text.trim().is_empty() {
        document
            .report(problem("config-value", key, format!("`{key}` is empty")).help("give it a value, or take it out"));
    }
    Some(text)
}

/// Valid objectives; their problems are placed and reported.
fn objectives(document: &Document<'_>, raw: &[(usize, ObjectiveConfig)]) -> Vec<Objective> {
    validate_all(raw).unwrap_or_else(|problems| {
        problems.into_iter().for_each(|p| document.report(p));
        Vec::new()
    })
}

fn check_share(document: &Document<'_>, key: &str, share: f64) {
    if !(0.0..=1.0).contains(&share) {
        document.report(
            problem("config-value", key, format!("{share} is not a share"))
                .help("write a number from 0 to 1, e.g. 0.05 for 5 %"),
        );
    }
}

fn check_links(document: &Document<'_>, links: &LinksConfig, services: &BTreeMap<String, ServiceConfig>) {
    let bases =
        [("links.grafana".to_owned(), links.grafana.as_ref()), ("links.jaeger".to_owned(), links.jaeger.as_ref())];
    let boards = services.iter().map(|(name, s)| (format!("services.{name}.dashboard"), Some(&s.dashboard)));
    for (key, url) in bases.into_iter().chain(boards) {
        if url.is_some_and(|u| !u.is_empty() && !u.starts_with("https://") && !u.starts_with("http://")) {
            document.report(
                problem("config-value", key, "this is not a web address").help("start it with https:// or http://"),
            );
        }
    }
}

/// The files of the user's template directory, named by their path in it (`runbook/page.md`), sorted by name.
fn templates(document: &Document<'_>, base: &Path) -> Vec<(String, String)> {
    let Some(root) = not_empty(document, "templates") else { return Vec::new() };
    let mut found = Vec::new();
    // Two levels are all there are: `runbook/page.md`.
    let mut todo = vec![(base.join(&root), String::new())];
    while let Some((dir, prefix)) = todo.pop() {
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(e) => {
                let message = format!("cannot read the template directory `{root}/{prefix}`: {e}");
                document.report(
                    problem("config-templates", "templates", message)
                        .help("name a directory, relative to the configuration file"),
                );
                continue;
            }
        };
        for entry in entries.filter_map(Result::ok) {
            // Editors leave `.swp` and `~` files; nothing hidden is a template.
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|n| !n.starts_with('.') && !n.ends_with('~')) else { continue };
            let path = entry.path();
            if path.is_dir() && prefix.is_empty() {
                todo.push((path, format!("{name}/")));
            } else if path.is_file() {
                match read_bounded(&path, &format!("{root}/{prefix}{name}"), "config-templates") {
                    Ok(text) => found.push((format!("{prefix}{name}"), text)),
                    Err(e) => document.report(e.help("take it out of the directory, or make it readable")),
                }
            }
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<Diagnostic> {
        parse(text, "tracebook.yaml", Path::new(".")).unwrap_err()
    }

    fn place(d: &Diagnostic) -> (&str, u64, u64, &str) {
        (d.code, d.location.line.unwrap_or(0), d.location.column.unwrap_or(0), d.location.key.as_deref().unwrap_or(""))
    }

    #[test]
    fn an_empty_file_and_no_file_are_the_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let none = load(None, dir.path()).unwrap();
        assert!(none.default_objectives && none.objectives.len() == 2 && none.file.is_none());
        fs::write(dir.path().join("tracebook.yml"), "").unwrap();
        let empty = load(None, dir.path()).unwrap();
        assert_eq!(empty.file.as_deref(), Some("tracebook.yml"));
        assert_eq!((empty.objectives, empty.settings), (none.objectives, none.settings));
        fs::write(dir.path().join("tracebook.yaml"), "objectives: []\n").unwrap();
        assert_eq!(load(None, dir.path()).unwrap_err()[0].code, "config-ambiguous");
        let explicit = load(Some(Path::new("tracebook.yaml")), dir.path()).unwrap();
        assert!(explicit.objectives.is_empty() && !explicit.default_objectives);
        assert_eq!(load(Some(Path::new("other.yaml")), dir.path()).unwrap_err()[0].code, "config-not-found");
    }

    #[test]
    fn every_section_reaches_its_stage() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("t/runbook")).unwrap();
        fs::write(dir.path().join("t/runbook/page.md"), "x").unwrap();
        fs::write(dir.path().join("t/.runbook.md.swp"), "y").unwrap();
        let text = r##"
project: AiSOC
from: tempo://tempo:9095
output: docs/operations/runbooks
lookback: 7d
topology: { ignore_operations: ["GET /healthz*"], max_services: 10 }
runbooks:
  latency: false
  pinned: [ { id: RB-001, key: "latency:api", slug: api-high-latency, steps: { remediation: [ { title: Scale, command: "kubectl", changes_state: true } ] } } ]
scenarios: [ { name: region-failover, id: RB-003, kind: region-failover, title: Failover, trigger: Health check, nodes: [api] } ]
services: { api: { owner: Platform SRE, contact: "#aisoc-ops", dashboard: "https://g/d", facts: { version: 1.10, port: 080, on: true } } }
escalation: [ { who: On-call SRE, contact: PagerDuty }, { after: 15m, who: Lead } ]
links: { grafana: https://grafana.example.com, tempo_datasource: tempo }
packs: [kubernetes, postgresql]
templates: t
toc: [ { file: docs/operations/multi-region.md } ]
"##;
        let config = parse(text, "tracebook.yaml", dir.path()).unwrap();
        assert_eq!(config.from.as_deref(), Some("tempo://tempo:9095"));
        assert_eq!(config.output.as_deref(), Some(Path::new("docs/operations/runbooks")));
        assert_eq!((config.lookback_seconds, config.topology.max_services), (Some(604_800), 10));
        assert_eq!(config.topology.max_edges, TopologyConfig::default().max_edges);
        let settings = &config.settings;
        assert!(!settings.runbooks.latency && settings.runbooks.errors);
        assert!(settings.runbooks.pinned[0].steps.remediation[0].changes_state);
        assert_eq!(settings.scenarios[0].nodes, ["api"]);
        let facts: Vec<(&str, &str)> =
            settings.services["api"].facts.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(facts, [("on", "true"), ("port", "080"), ("version", "1.10")]);
        assert_eq!((settings.escalation[1].after.as_str(), settings.packs.len()), ("15m", 2));
        assert_eq!(config.templates, [("runbook/page.md".to_owned(), "x".to_owned())]);
        assert_eq!(config.toc, ["docs/operations/multi-region.md"]);
    }

    #[test]
    fn unknown_keys_are_all_named_with_place_and_suggestion() {
        let found = problems(
            "porject: x\ntopology:\n  max_service: 1\nservices:\n  api:\n    ownr: me\nzzzzzz: 1\nrunbooks: { pinned: [ { key: a, slugg: b } ] }\n",
        );
        let places: Vec<_> = found.iter().map(place).collect();
        assert_eq!(
            places,
            [
                ("config-unknown-key", 1, 1, "porject"),
                ("config-unknown-key", 3, 3, "topology.max_service"),
                ("config-unknown-key", 6, 5, "services.api.ownr"),
                ("config-unknown-key", 7, 1, "zzzzzz"),
                ("config-unknown-key", 8, 33, "runbooks.pinned[0].slugg"),
            ]
        );
        let help: Vec<&str> = found.iter().map(|d| d.help.as_str()).collect();
        assert_eq!(help[0], "did you mean `project`?");
        assert_eq!(help[1], "did you mean `max_services`?");
        assert!(help[3].starts_with("known here: project, from,"), "{}", help[3]);
    }

    #[test]
    fn wrong_values_are_all_named_with_what_was_expected() {
        let found = problems(
            "lookback: soon\noutput: ''\ntopology: { max_services: many, max_edges: -1 }\nrunbooks: { critical_share: 5, critical_service_share: -1 }\nscenarios: [ { name: x } ]\npacks: kubernetes\nlinks: { grafana: 'javascript:x' }\ntemplates: nowhere\n",
        );
        let got: Vec<(u64, &str, &str)> = found
            .iter()
            .map(|d| (d.location.line.unwrap(), d.location.key.as_deref().unwrap(), d.message.as_str()))
            .collect();
        assert_eq!(got.len(), 9, "{got:#?}");
        assert_eq!(got[0], (1, "lookback", "`soon` is not a length of time"));
        assert_eq!(got[2], (3, "topology.max_services", "expected a whole number in range, found a text"));
        assert_eq!(got[5], (5, "scenarios[0]", "the key `title` is missing"));
        assert_eq!(got[6], (6, "packs", "expected a list, found a text"));
        assert!(got[8].2.starts_with("cannot read the template directory `nowhere/`"));
    }

    #[test]
    fn what_is_no_yaml_says_where() {
        for text in
            ["a: [", "a: b: c", "project: [\n\tx", "- a\n- b\n", "project: x\nproject: y\n", "a: *b\n", "\"unclosed"]
        {
            let found = problems(text);
            assert!(["config-syntax", "config-value"].contains(&found[0].code), "{text}: {found:?}");
            assert!(found[0].location.line.is_some(), "{text}: {found:?}");
        }
        let deep = format!("project: {}{}", "[".repeat(5000), "]".repeat(5000));
        assert_eq!(problems(&deep)[0].code, "config-syntax");
        let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e]\ng: &g [*f,*f,*f,*f,*f,*f]\nh: [*g,*g,*g,*g,*g,*g,*g,*g]\n";
        assert!(!problems(bomb).is_empty());
    }
}
