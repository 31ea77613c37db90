//! The published JSON Schemas hold for real answers and real configurations, and refuse what the program refuses.

use std::fs;
use std::path::Path;

use jsonschema::Validator;
use serde_json::{Map, Value, json};
use tracebook::config;
use tracebook::diag::Diagnostic;

use crate::harness::Case;
use crate::shop;

#[path = "../../examples/shop/model/mod.rs"]
#[allow(dead_code, reason = "the example uses the rest")]
pub mod model;

const NAMES: [&str; 9] = ["check", "config", "diff", "doctor", "generate", "graph", "ledger", "slo", "snapshot"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn schema(name: &str) -> Value {
    let text = fs::read_to_string(root().join(format!("docs/schemas/{name}.schema.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn validator(name: &str) -> Validator {
    jsonschema::options().should_validate_formats(true).build(&schema(name)).unwrap()
}

fn problems(validator: &Validator, answer: &Value) -> Vec<String> {
    validator.iter_errors(answer).map(|e| format!("{}: {e}", e.instance_path())).collect()
}

#[track_caller]
fn assert_valid(name: &str, answer: &Value) {
    let found = problems(&validator(name), answer);
    assert!(found.is_empty(), "{name}: {:#?}", &found[..found.len().min(10)]);
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

impl Case {
    /// Runs a command and holds its standard output against a schema.
    #[track_caller]
    pub fn run_valid(self, code: u8, line: &str, name: &str) -> Self {
        let case = self.run(line).expect_exit(code);
        assert_valid(name, &serde_json::from_str(&case.stdout()).unwrap());
        case
    }

    /// What the last run answered.
    pub fn answer(&self) -> Value {
        serde_json::from_str(&self.stdout()).unwrap()
    }
}

/// The traces of one of the simulated systems, with every defect there is and a fault in the second half.
pub fn traces(name: &str, options: model::Options) -> Vec<u8> {
    let mut generator = model::Generator::new(model::system(name).unwrap(), options).unwrap();
    let mut writer = generator.writer(model::Format::Jsonl, Vec::new());
    for record in generator.by_ref() {
        writer.write(&record).unwrap();
    }
    writer.into_inner()
}

fn options() -> model::Options {
    model::Options { seed: 5, traces: 300, gap: 30_000_000_000, ..model::Options::default() }
}

fn defective() -> model::Options {
    model::Options { sample: Some(0.3), skew: 3_000_000, orphans: 0.1, rootless: 0.05, duplicates: 0.02, ..options() }
}

/// Every command, over traces in `base` and `head`.
fn every_command(case: Case, base: &str, head: &str) -> Case {
    let case = case
        .run(&format!("capture --from {base} --output base.snapshot.json"))
        .expect_exit(0)
        .run(&format!("capture --from {head} --output head.snapshot.json"))
        .expect_exit(0)
        .run_valid(0, &format!("generate --from {base} --output out --format json"), "generate")
        .run_valid(0, "generate --output out --format json", "generate")
        .run_valid(0, "check out --format json", "check")
        .run_valid(1, "check out --from head.snapshot.json --format json", "check")
        .run_valid(0, "slo --from base.snapshot.json --fail-on never --format json", "slo")
        .run_valid(0, "graph --from base.snapshot.json --format json", "graph")
        .run_valid(0, "graph --from head.snapshot.json --format json", "graph")
        .run_valid(0, "diff base.snapshot.json base.snapshot.json --format json", "diff")
        .run_valid(0, "diff base.snapshot.json head.snapshot.json --fail-on never --format json", "diff")
        .run_valid(0, "diff head.snapshot.json base.snapshot.json --fail-on never --format json", "diff");
    let case = case.run(&format!("capture --from {base} --shard 1/3 --output part.snapshot.json")).expect_exit(0);
    for name in ["base.snapshot.json", "head.snapshot.json", "part.snapshot.json", "out/topology.snapshot.json"] {
        assert_valid("snapshot", &serde_json::from_str(&case.text(name)).unwrap());
    }
    assert_valid("ledger", &yaml(&case.text("out/runbooks.lock.yaml")));
    let case = case.run("init --from head.snapshot.json").expect_exit(0);
    assert_valid("config", &yaml(&case.stdout()));
    case
}

fn sample(case: Case, name: &str, as_name: &str) -> Case {
    case.file(as_name, fs::read(root().join("examples").join(name)).unwrap())
}

#[test]
fn every_schema_is_one_and_says_what_each_part_is() {
    for name in NAMES {
        let schema = schema(name);
        assert!(jsonschema::meta::is_valid(&schema), "{name}");
        assert_eq!(schema["$id"], format!("urn:tracebook:schema:{name}"));
        let mut todo = vec![&schema];
        while let Some(part) = todo.pop() {
            match part {
                Value::Object(map) => {
                    let closed = !map.contains_key("properties")
                        || map.contains_key("additionalProperties")
                        // Inside a condition.
                        || !map.contains_key("type");
                    assert!(closed, "{name}: open object {part}");
                    todo.extend(map.values());
                }
                Value::Array(items) => todo.extend(items),
                _ => {}
            }
        }
    }
    let files = fs::read_dir(root().join("docs/schemas")).unwrap().count();
    assert_eq!(files, NAMES.len(), "a schema without a test");
}

#[test]
fn answers_about_the_online_boutique_are_as_published() {
    let case = sample(Case::empty(), "onlineboutique/before.otlp.jsonl.zst", "before.jsonl.zst");
    let case = sample(case, "onlineboutique/after.otlp.jsonl.zst", "after.jsonl.zst");
    let case = every_command(case, "before.jsonl.zst", "after.jsonl.zst")
        .run("diff base.snapshot.json head.snapshot.json --format json");
    assert!(!case.answer()["culprits"].as_array().unwrap().is_empty());
    let config = fs::read_to_string(root().join("examples/onlineboutique/tracebook.yaml")).unwrap();
    assert_valid("config", &yaml(&config));
    let case = case.file("tracebook.yaml", config).run_valid(
        0,
        "slo --from head.snapshot.json --fail-on never --format json",
        "slo",
    );
    let states: Vec<Value> =
        case.answer()["objectives"].as_array().unwrap().iter().map(|o| o["state"].clone()).collect();
    for state in ["met", "breached", "no_data"] {
        assert!(states.contains(&json!(state)), "{states:?}");
    }
}

#[test]
fn answers_about_aisoc_are_as_published() {
    let case = sample(Case::empty(), "aisoc/traces.otlp.jsonl.zst", "t.jsonl.zst");
    let config = fs::read_to_string(root().join("examples/aisoc/tracebook.yaml")).unwrap();
    assert_valid("config", &yaml(&config));
    let head = traces("aisoc", defective());
    let case = every_command(case.file("head.jsonl", head), "t.jsonl.zst", "head.jsonl");
    let text = case.text("head.snapshot.json");
    for key in ["\"dwell\"", "\"link\"", "\"operations\"", "\"weight\"", "\"entry_traces\"", "\"skewed\": "] {
        assert!(text.contains(key), "no {key}: this test sees too little");
    }
    case.file(
        "tracebook.yaml",
        config.replace("toc:\n", "").replace("  - { file: docs/operations/multi-region.md }", ""),
    )
    .run_valid(0, "slo --from base.snapshot.json --fail-on never --format json", "slo")
    .run_valid(0, "generate --from base.snapshot.json --output pages --format json", "generate");
}

#[test]
fn answers_about_a_failing_shop_are_as_published() {
    let faults = model::system("shop").unwrap().faults;
    let fault = faults.iter().find(|f| f.name.contains("error") || f.name.contains("down")).unwrap_or(&faults[0]);
    let bad = model::Options {
        fault: Some(model::Incident { name: fault.name.to_owned(), from: 0, until: u64::MAX }),
        ..defective()
    };
    let case = Case::empty().file("base.jsonl", traces("shop", options())).file("head.jsonl", traces("shop", bad));
    let case = every_command(case, "base.jsonl", "head.jsonl");
    let text = case.text("head.snapshot.json");
    for key in ["\"error_classes\"", "\"exception_type\"", "\"failed\"", "\"gap\""] {
        assert!(text.contains(key), "no {key}: this test sees too little");
    }
}

#[test]
fn a_check_that_cannot_tell_answers_as_published_too() {
    Case::empty()
        .run_valid(2, "check nowhere --format json", "check")
        .file("tracebook.yaml", "porject: x\nlookback: soon\n")
        .run_valid(2, "check --format json", "check");
}

/// Adds a key to every object of an answer, one at a time, where the schema is closed.
fn with_an_extra_key_somewhere(answer: &Value) -> Vec<(String, Value)> {
    let mut out = Vec::new();
    let mut todo = vec![String::new()];
    while let Some(at) = todo.pop() {
        let part = answer.pointer(&at).unwrap();
        let below = |key: &str| format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
        match part {
            Value::Object(map) => {
                let mut changed = answer.clone();
                let place = changed.pointer_mut(&at).unwrap().as_object_mut().unwrap();
                place.insert("zzz".into(), json!({ "nobody": "knows" }));
                out.push((at.clone(), changed));
                todo.extend(map.keys().map(|k| below(k)));
            }
            // The first two are as good as all.
            Value::Array(items) => todo.extend((0..items.len().min(2)).map(|i| below(&i.to_string()))),
            _ => {}
        }
    }
    out
}

#[test]
fn an_unknown_key_anywhere_and_a_missing_one_are_refused() {
    let case = Case::empty()
        .file("s.snapshot.json", shop::snapshot_bytes(true))
        .file("h.snapshot.json", shop::snapshot_bytes(false));
    let case = case.run("generate --from s.snapshot.json --output out --format json");
    let mut answers = vec![("generate", case.answer())];
    answers.push(("ledger", yaml(&case.text("out/runbooks.lock.yaml"))));
    answers.push(("snapshot", serde_json::from_str(&case.text("s.snapshot.json")).unwrap()));
    let mut case = case;
    for (name, line) in [
        ("check", "check out --from h.snapshot.json --format json"),
        ("diff", "diff s.snapshot.json h.snapshot.json --format json"),
        ("graph", "graph --from s.snapshot.json --format json"),
        ("slo", "slo --from s.snapshot.json --format json"),
    ] {
        case = case.run(line);
        answers.push((name, case.answer()));
    }
    for (name, answer) in answers {
        assert_valid(name, &answer);
        let validator = validator(name);
        for (at, changed) in with_an_extra_key_somewhere(&answer) {
            assert!(!validator.is_valid(&changed), "{name}: an unknown key at `{at}` passes");
        }
        for key in answer.as_object().unwrap().keys() {
            let mut changed = answer.clone();
            changed.as_object_mut().unwrap().remove(key);
            assert!(!validator.is_valid(&changed), "{name}: passes without `{key}`");
        }
    }
}

#[test]
fn what_a_snapshot_cannot_hold_is_refused() {
    let good: Value = serde_json::from_slice(&shop::snapshot_bytes(true)).unwrap();
    assert_valid("snapshot", &good);
    let validator = validator("snapshot");
    for (at, wrong) in [
        ("/schema", json!("tracebook.snapshot/2")),
        ("/window/start", json!("2026-01-01 00:00:00")),
        ("/window/start", json!("2026-13-01T00:00:00Z")),
        ("/provenance/spans_digest", json!("xyz")),
        ("/coverage/spans", json!(-1)),
        ("/coverage/overflow", json!({ "colours": 1 })),
        ("/nodes/0/kind", json!("cloud")),
        ("/edges/0/known_by", json!({})),
        ("/edges/0/calls", json!("1.50")),
        ("/edges/0/client/bins", json!("1:2,3:4")),
        ("/edges/0/series", json!("1:2")),
    ] {
        let mut changed = good.clone();
        *changed.pointer_mut(at).unwrap_or_else(|| panic!("{at}")) = wrong;
        assert!(!validator.is_valid(&changed), "{at}");
    }
}

// --- the configuration: schema and program must agree, key by key ---

/// A schema with its references followed.
fn resolved<'s>(root: &'s Value, part: &'s Value) -> &'s Value {
    match part["$ref"].as_str() {
        Some(at) => root.pointer(at.strip_prefix('#').unwrap()).unwrap(),
        None => part,
    }
}

/// A value with every key there is, from the examples in the schema.
fn example(root: &Value, part: &Value) -> Value {
    let part = resolved(root, part);
    if let Some(first) = part["examples"].get(0) {
        return first.clone();
    }
    if let Some(properties) = part["properties"].as_object() {
        return properties.iter().map(|(k, p)| (k.clone(), example(root, p))).collect::<Map<_, _>>().into();
    }
    if part["items"].is_object() {
        return json!([example(root, &part["items"])]);
    }
    assert!(part["additionalProperties"].is_object(), "no example for {part}");
    json!({ "api": example(root, &part["additionalProperties"]) })
}

/// JSON pointers of every value in a configuration, outermost first.
fn pointers(value: &Value) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut next = 0;
    while let Some(at) = all.get(next).cloned() {
        next += 1;
        match value.pointer(&at).unwrap() {
            Value::Object(map) => all.extend(map.keys().map(|k| format!("{at}/{k}"))),
            Value::Array(items) => all.extend((0..items.len()).map(|i| format!("{at}/{i}"))),
            _ => {}
        }
    }
    all
}

/// Reads JSON as a configuration: JSON is YAML. The repository has a directory `templates`.
fn read(config: &Value) -> Result<config::Config, Vec<Diagnostic>> {
    config::parse(&serde_json::to_string_pretty(config).unwrap(), "tracebook.yaml", root())
}

/// Every key there is; `query` and `operation` do not go together with every SLI.
fn whole_config() -> Value {
    let schema = schema("config");
    let mut config = example(&schema, &schema);
    config["objectives"][0].as_object_mut().unwrap().remove("query");
    config
}

#[test]
fn a_configuration_with_every_key_of_the_schema_is_read() {
    let whole = whole_config();
    assert_valid("config", &whole);
    let config = read(&whole).unwrap_or_else(|e| panic!("{e:#?}"));
    use tracebook::topology::cfg::{
        Alias, Caller, DatabaseBy, DatabaseIdentity, Dimension, Gateway, Preset, TopologyConfig, Treat,
    };
    let caller =
        Caller { service: Some("mobile-bff".into()), operation: Some("POST /hooks/*".into()), name: "mobile".into() };
    assert_eq!(
        config.topology,
        TopologyConfig {
            ignore: vec![Preset::HealthChecks],
            ignore_services: vec!["loadgenerator".into()],
            ignore_operations: vec!["GET /healthz*".into()],
            aliases: vec![Alias { pattern: "cart-*".into(), name: "cart".into() }],
            gateways: vec![Gateway { pattern: "istio-ingress*".into(), treat: Treat::Merged }],
            callers: vec![caller],
            database_identity: vec![DatabaseIdentity { system: "postgresql".into(), by: DatabaseBy::Both }],
            identity_dimensions: vec![Dimension::Environment],
            ..Default::default()
        }
    );
    assert_eq!(config.settings.runbooks.critical_share, 0.05, "the defaults in the schema");
    let external = json!({ "objectives": [ { "service": "*", "sli": "external", "target": "up", "query": "up{job='{service}'}" } ] });
    assert_valid("config", &external);
    read(&external).unwrap();
}

#[test]
fn the_schema_has_exactly_the_keys_the_program_knows() {
    let schema = schema("config");
    let whole = whole_config();
    let validator = validator("config");
    let mut compared = 0;
    for at in pointers(&whole) {
        let part = schema_at(&schema, &at);
        let Some(properties) = part["properties"].as_object() else { continue };
        // The help of a key that resembles none lists those there are.
        let mut changed = whole.clone();
        changed.pointer_mut(&at).unwrap().as_object_mut().unwrap().insert("z".repeat(60), json!(1));
        assert!(!validator.is_valid(&changed), "{at}: an unknown key passes");
        let problems = read(&changed).unwrap_err();
        let problem = problems.iter().find(|p| p.code == "config-unknown-key").unwrap();
        let mut known: Vec<&str> = problem.help.strip_prefix("known here: ").unwrap().split(", ").collect();
        let mut published: Vec<&str> = properties.keys().map(String::as_str).collect();
        known.sort_unstable();
        published.sort_unstable();
        assert_eq!(published, known, "at `{at}`");
        compared += 1;
    }
    assert!(compared > 15, "{compared}");
}

/// The part of the schema that is about a place of a configuration.
fn schema_at<'s>(schema: &'s Value, at: &str) -> &'s Value {
    at.split('/').skip(1).fold(schema, |part, step| {
        let part = resolved(schema, part);
        let next = if step.parse::<usize>().is_ok() { &part["items"] } else { &part["properties"][step] };
        resolved(schema, if next.is_null() { &part["additionalProperties"] } else { next })
    })
}

#[test]
fn schema_and_program_agree_on_values_of_every_type_at_every_key() {
    let whole = whole_config();
    let validator = validator("config");
    let mut differences = Vec::new();
    for at in pointers(&whole) {
        for value in
            [json!(null), json!(true), json!(7), json!(0.5), json!("x y"), json!([]), json!({}), json!({"a": 1})]
        {
            let mut changed = whole.clone();
            *changed.pointer_mut(&at).unwrap() = value.clone();
            let found = problems(&validator, &changed);
            let read = read(&changed);
            // What only the plan refuses, and what needs the file system.
            let later = ["/id", "/slug", "/key", "/kind"].iter().any(|end| at.ends_with(end));
            let agree = found.is_empty() == read.is_ok() || (later && read.is_ok()) || at == "/templates";
            if !agree {
                differences.push(format!("`{at}` = {value}: schema {found:?}, program {:?}", read.err()));
            }
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
}

#[test]
fn schema_and_program_agree_on_what_is_well_formed() {
    let validator = validator("config");
    let objective = |sli: &str, more: Value| {
        let target = match sli {
            "throughput" => "> 1/s",
            "error_rate" => "< 1 %",
            _ => "< 1s",
        };
        let mut one = json!({ "service": "api", "sli": sli, "target": target });
        one.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "objectives": [one] })
    };
    let alias =
        |pattern: &str, name: &str| json!({ "topology": { "aliases": [ { "match": pattern, "name": name } ] } });
    let cases = [
        (json!(null), true),
        (alias("cart-*", "shop/cart"), true),
        (alias("external:10.*", "external:office"), true),
        (alias("external:10.*", "payments"), true),
        (alias("external:10.*", "messaging:kafka:x"), false),
        (alias("database:mysql:*", "mysql"), true),
        (alias("database:mysql:*", "external:mysql"), false),
        (alias("messaging:kafka:a*", "messaging:kafka:a"), true),
        (alias("messaging:kafka:a*", "a"), false),
        (alias("cart-*", "database:mysql:cart"), false),
        (alias("entry:user", "mobile"), false),
        (alias(" ", "x"), false),
        (json!({ "topology": { "aliases": [ { "match": 7, "name": true } ] } }), true),
        (json!({ "topology": { "gateways": [ { "match": "gw" } ] } }), false),
        (json!({ "topology": { "gateways": [ { "match": "external:gw", "as": "merged" } ] } }), false),
        (json!({ "topology": { "callers": [ { "name": "mobile" } ] } }), false),
        (json!({ "topology": { "callers": [ { "name": "mobile", "service": null } ] } }), false),
        (json!({ "topology": { "callers": [ { "name": "mobile", "operation": "GET *" } ] } }), true),
        (json!({ "topology": { "database_identity": [ { "system": "", "by": "both" } ] } }), false),
        (json!({ "topology": { "identity_dimensions": ["service.version"] } }), false),
        (json!({ "topology": { "ignore": ["health_checks", "metrics_scrapes"] } }), true),
        (json!({ "lookback": "1d12h" }), true),
        (json!({ "lookback": "0d" }), false),
        (json!({ "lookback": "7" }), false),
        (json!({ "lookback": "1.5h" }), false),
        (json!({ "from": " " }), false),
        (json!({ "runbooks": { "critical_share": 1.1 } }), false),
        (json!({ "topology": { "max_services": -1 } }), false),
        (json!({ "topology": { "max_services": 1.5 } }), false),
        (json!({ "links": { "grafana": "javascript:x" } }), false),
        (json!({ "links": { "grafana": "" } }), true),
        (json!({ "services": { "a": { "dashboard": "ftp://x" } } }), false),
        (json!({ "services": { "a": null } }), true),
        (json!({ "services": { "a": { "facts": { "version": 1.1, "on": true } } } }), true),
        (json!({ "scenarios": [ { "name": "x" } ] }), false),
        (json!({ "toc": [ {} ] }), false),
        (objective("latency_p99.9", json!({})), true),
        (objective("latency_p100", json!({})), false),
        (objective("latency_p0", json!({})), false),
        (objective("latency_p0.0", json!({})), false),
        (objective("latency_p", json!({})), false),
        (objective("latency", json!({})), false),
        (objective("uptime", json!({})), false),
        (objective("throughput", json!({})), true),
        (objective("error_rate", json!({ "target": 0.01 })), true),
        (objective("error_rate", json!({ "target": 5 })), false),
        (objective("error_rate", json!({ "target": "<=.5%" })), true),
        (objective("error_rate", json!({ "target": "> 1 %" })), false),
        (objective("error_rate", json!({ "target": "< 0,5 %" })), false),
        (objective("latency_p99", json!({ "target": "≤ 1m30s" })), true),
        (objective("latency_p99", json!({ "target": "500ms" })), true),
        (objective("latency_p99", json!({ "target": "< 500" })), false),
        (objective("latency_p99", json!({ "target": "> 500ms" })), false),
        (objective("latency_mean", json!({ "target": "soon" })), false),
        (objective("throughput", json!({ "target": "5 / min" })), true),
        (objective("throughput", json!({ "target": "> 10" })), false),
        (objective("external", json!({ "target": true })), true),
        (objective("external", json!({ "target": " " })), false),
        (objective("external", json!({ "service": "shop/*", "query": "avg(up)" })), false),
        (objective("external", json!({ "service": "shop/*", "query": "up{job='{service}'}" })), true),
        (objective("external", json!({ "service": "shop/*", "query": null })), true),
        (objective("error_rate", json!({ "query": "up" })), false),
        (objective("external", json!({ "query": "up", "operation": "x" })), true),
        (objective("messaging_lag_p99", json!({ "operation": "x" })), false),
        (objective("error_rate", json!({ "operation": "" })), false),
        (objective("error_rate", json!({ "severity": "loud" })), false),
        (objective("error_rate", json!({ "window": "1h 30 min" })), true),
        (objective("error_rate", json!({ "window": "soon" })), false),
        (objective("error_rate", json!({ "id": "a b" })), false),
        (objective("error_rate", json!({ "id": "a".repeat(101) })), false),
    ];
    for (config, good) in cases {
        assert_eq!(validator.is_valid(&config), good, "schema: {config}");
        assert_eq!(read(&config).is_ok(), good, "program: {config}");
    }
}

#[test]
fn schema_and_plan_agree_on_ids_slugs_keys_and_kinds() {
    let validator = validator("config");
    let pin = |key: &str, more: Value| {
        let mut one = json!({ "key": key });
        one.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "runbooks": { "pinned": [one] } })
    };
    let scenario = |kind: &str| json!({ "scenarios": [ { "name": "a", "title": "A", "trigger": "a", "kind": kind } ] });
    let mut cases = vec![
        (pin("latency:cart", json!({})), true),
        (pin("latency:", json!({})), false),
        (pin("scenario:x", json!({})), false),
        (pin("cart", json!({})), false),
        (scenario("unknown"), false),
    ];
    let kinds = tracebook::runbook::kinds_of_scenarios();
    cases.extend(kinds.iter().map(|kind| (scenario(kind), true)));
    for (id, good) in [
        ("RB-001", true),
        ("RB-1000", true),
        ("RB-000", false),
        ("RB-1", false),
        ("RB-0001", false),
        ("rb-001", false),
        ("RB-1000000000", false),
    ] {
        cases.push((pin("latency:cart", json!({ "id": id })), good));
    }
    for (slug, good) in [("a-b2", true), ("a--b", false), ("-a", false), ("A", false), ("", false), ("ä", false)] {
        cases.push((pin("latency:cart", json!({ "slug": slug })), good));
    }
    cases.push((pin("latency:cart", json!({ "slug": "a".repeat(60) })), true));
    cases.push((pin("latency:cart", json!({ "slug": "a".repeat(61) })), false));
    let mut case = Case::empty().file("s.snapshot.json", shop::snapshot_bytes(true));
    for (config, good) in cases {
        assert_eq!(validator.is_valid(&config), good, "schema: {config}");
        case = case
            .file("tracebook.yaml", config.to_string())
            .run("generate --from s.snapshot.json --output out --dry-run")
            .expect_exit(if good { 0 } else { 2 });
    }
}

#[test]
fn what_doctor_says_of_an_address_is_as_published() {
    let case = Case::empty().run_valid(1, "doctor no-such-host.invalid --format json", "doctor");
    assert_eq!(case.answer()["findings"][0]["code"], "doctor-name");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let text = b"HTTP/1.1 404 Not Found\r\nserver: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = std::io::Read::read(&mut socket, &mut [0u8; 1024]);
            let _ = std::io::Write::write_all(&mut socket, text);
        }
    });
    // Whatever else listens on this machine may be a source: the exit code says nothing here.
    let case = case.run(&format!("doctor {address} --format json"));
    let answer = case.answer();
    assert_valid("doctor", &answer);
    assert_eq!(answer["doors"][0]["answers"][0]["service"], "http");
    assert_eq!(answer["findings"][0]["code"], "doctor-unknown");
}
