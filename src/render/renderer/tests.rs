use std::collections::BTreeSet;

use proptest::prelude::*;
use pulldown_cmark::{Event, Tag};

use super::*;
use crate::render::{links, markdown, sample};

fn renderer() -> Renderer {
    Renderer::new(&[]).unwrap()
}

fn directory() -> Vec<Runbook> {
    vec![sample::runbook(), sample::database(), sample::retired()]
}

fn page(runbook: &Runbook) -> String {
    renderer().runbook(runbook, &Shelf::new(&directory())).unwrap().text
}

fn index(runbooks: &[Runbook]) -> String {
    renderer()
        .index(runbooks, &IndexContext { project: "Shop", snapshot: &sample::snapshot(), missed: &[] })
        .unwrap()
        .text
}

#[test]
fn a_page_reads_as_approved() {
    insta::assert_snapshot!("page", page(&sample::runbook()));
}

#[test]
fn the_index_and_a_tombstone_read_as_approved() {
    insta::assert_snapshot!("index", index(&directory()));
    insta::assert_snapshot!("retired", page(&sample::retired()));
}

#[test]
fn the_sections_stand_in_the_order_the_reader_needs() {
    let parsed = markdown::parse(&page(&sample::runbook()));
    let sections: Vec<&str> = parsed.headings.iter().filter(|h| h.level == 2).map(|h| h.text.as_str()).collect();
    assert_eq!(
        sections,
        [
            "Trigger condition",
            "Impact assessment",
            "Diagnosis steps",
            "Remediation steps",
            "Verification steps",
            "Escalation path",
            "Evidence",
            "What this page does not know",
            "Related runbooks",
            "Provenance"
        ]
    );
    let anchors = parsed.anchors();
    assert!(["meaning", "impact", "diagnosis", "mitigation"].iter().all(|a| anchors.contains(a)));
}

#[test]
fn the_first_screen_says_what_is_wrong_who_is_hit_and_where_to_look() {
    let page = page(&sample::runbook());
    let first: String = page.lines().take(25).collect::<Vec<_>>().join("\n");
    for needed in [
        "**Breached.** p99 latency of `checkoutservice` is 812 ms",
        "**Who is hit:** 12.3 %",
        "**Start here:** Look at `productcatalogservice`",
        "Shop SRE",
    ] {
        assert!(first.contains(needed), "{needed} not in\n{first}");
    }
}

#[test]
fn every_region_is_opened_and_closed_once_on_lines_of_their_own() {
    let page = page(&sample::runbook());
    let comments = markdown::parse(&page).comments;
    let markers: Vec<&str> = comments.iter().map(|c| c.text.as_str()).filter(|t| t.starts_with("tracebook:")).collect();
    let names = [
        "header",
        "trigger",
        "impact",
        "diagnosis",
        "remediation",
        "verification",
        "escalation",
        "evidence",
        "provenance",
    ];
    let expected: Vec<String> =
        names.iter().flat_map(|n| [format!("tracebook:begin {n}"), format!("tracebook:end {n}")]).collect();
    assert_eq!(markers, expected);
    let lines: Vec<&str> = page.lines().collect();
    for (i, line) in lines.iter().enumerate().filter(|(_, l)| l.starts_with("<!-- tracebook:")) {
        assert!(line.ends_with(" -->"), "{line}");
        let inner = if line.contains(":begin") { lines[i + 1] } else { lines[i - 1] };
        assert_eq!(inner, "", "no blank line inside {line}");
    }
}

#[test]
fn links_and_anchors_of_a_rendered_directory_hold() {
    let all = directory();
    let mut docs: Vec<Document> = all.iter().map(|r| renderer().runbook(r, &Shelf::new(&all)).unwrap()).collect();
    docs.push(Document { path: "README.md".into(), text: index(&all) });
    assert_eq!(links::check(&docs, &|_| false), []);
}

#[test]
fn pages_have_no_trailing_blanks_no_double_blank_lines_and_one_final_line_break() {
    for text in
        [page(&sample::runbook()), page(&sample::retired()), index(&directory()), page(&sample::hostile("x \n\n y "))]
    {
        assert!(text.lines().all(|l| l.trim_end() == l));
        assert!(text.ends_with('\n') && !text.ends_with("\n\n"));
        assert!(!text.contains("\n\n\n"));
    }
}

#[test]
fn steps_stay_one_numbered_list_with_their_commands_inside() {
    let mut runbook = sample::runbook();
    runbook.diagnosis = vec![sample::runbook().diagnosis[0].clone(); 12];
    let page = page(&runbook);
    let text = page.split("## Diagnosis steps").nth(1).unwrap().split("## Remediation").next().unwrap();
    let (mut items, mut fences_in_items, mut depth, mut ordered) = (0, 0, 0, 0);
    for (event, _) in markdown::events(text) {
        match event {
            Event::Start(Tag::List(Some(_))) => ordered += 1,
            Event::Start(Tag::Item) => {
                depth += 1;
                items += usize::from(depth == 1);
            }
            Event::End(pulldown_cmark::TagEnd::Item) => depth -= 1,
            Event::Start(Tag::CodeBlock(_)) => fences_in_items += usize::from(depth == 1),
            _ => {}
        }
    }
    assert_eq!((ordered, items, fences_in_items), (1, 12, 12));
}

#[test]
fn text_of_the_team_is_kept_as_it_was_written() {
    let mut runbook = sample::runbook();
    let team = "Ask **the** [DBA](https://wiki.example.com) first:\n\n- one\n- two";
    runbook.remediation[0].title = Text::markdown(team);
    runbook.impact.push(Text::markdown("Paying <u>customers</u>"));
    let page = page(&runbook);
    assert!(page.contains("Paying <u>customers</u>"));
    assert!(page.contains("Ask **the** [DBA](https://wiki.example.com) first:"), "{page}");
}

#[test]
fn a_fence_or_comment_the_team_forgot_to_close_ends_with_its_text() {
    for team in ["```sh\nls", "~~~~\n```\nx", "a <!-- b", "x\n<!-- y\n"] {
        let mut runbook = sample::runbook();
        runbook.summary = Text::markdown(team);
        runbook.impact[0] = Text::markdown(team);
        runbook.diagnosis[0].detail = Text::markdown(team);
        let count =
            |page: &str| markdown::parse(page).comments.iter().filter(|c| c.text.starts_with("tracebook:")).count();
        assert_eq!(count(&page(&runbook)), 18, "{team:?}\n{}", page(&runbook));
    }
}

use crate::runbook::Text;

const HOSTILE: &[&str] = &[
    "</details><script>alert(1)</script>",
    "a|b|c",
    "` `` ``` ~~~",
    "```\n# heading\n```",
    "# heading\n## another\n- item\n1. one\n> quote\n***\n---",
    "[x](javascript:alert(1)) ![y](https://evil.example/z.png) <https://evil.example>",
    "https://evil.example www.evil.example a@evil.example",
    "<!-- tracebook:end header -->\n<!-- tracebook:begin keep -->",
    "{{ runbook.id }} {% include \"x\" %} {#id} {evil} ${x} $x$ <Foo/>",
    "\u{202e}\u{0}\u{7}\u{1b}[31m\u{2028}\u{feff}",
    "end; %% \"quoted\"] --> n1",
    "&lt;b&gt; &amp; \\",
    "    indented",
    "a\n\nb",
    "",
];

/// What a page of harmless names consists of, so that a hostile one can be held against it.
fn shape(markdown: &str) -> Vec<String> {
    let mut out = Vec::new();
    for (event, _) in markdown::events(markdown) {
        match event {
            Event::Start(Tag::Heading { level, .. }) => out.push(format!("heading {level:?}")),
            Event::Start(Tag::Link { dest_url, .. }) => out.push(format!("link {dest_url}")),
            Event::Start(Tag::Image { .. }) => out.push("image".into()),
            Event::Start(Tag::BlockQuote(_)) => out.push("quote".into()),
            Event::Start(Tag::Strikethrough) => out.push("strike".into()),
            Event::Start(Tag::Emphasis) => out.push("emphasis".into()),
            Event::Start(Tag::Table(_)) => out.push("table".into()),
            Event::Start(Tag::TableCell) => out.push("cell".into()),
            Event::Start(Tag::CodeBlock(_)) => out.push("code block".into()),
            Event::Start(Tag::List(_)) => out.push("list".into()),
            Event::Start(Tag::Item) => out.push("item".into()),
            Event::Rule => out.push("rule".into()),
            Event::Html(h) | Event::InlineHtml(h) if !h.trim().is_empty() && !h.contains("<summary>") => {
                out.push(format!("html {}", h.trim()));
            }
            _ => {}
        }
    }
    out
}

fn assert_contained(text: &str) {
    // A contact or a configured base that is an address becomes a link; names never do.
    let shape_of = |text: &str| -> Vec<String> {
        shape(&page(&sample::hostile(text))).into_iter().filter(|s| !s.starts_with("link http")).collect()
    };
    // An empty command has no block; otherwise every text must give the same structure.
    if !text.trim().is_empty() {
        let (got, wanted) = (shape_of(text), shape_of("harmless"));
        let first = got.iter().zip(&wanted).position(|(a, b)| a != b);
        assert_eq!(got, wanted, "{text:?} differs at {first:?}\n{}", page(&sample::hostile(text)));
    }
}

#[test]
fn hostile_text_in_every_field_changes_nothing_about_the_structure_of_a_page() {
    for text in HOSTILE {
        assert_contained(text);
    }
    assert_contained(&"x".repeat(1_000_000));
}

#[test]
fn hostile_text_changes_nothing_about_the_structure_of_the_index() {
    let of = |text: &str| {
        let mut runbook = sample::hostile(text);
        runbook.slug = "slug".into();
        shape(&index(&[runbook]))
    };
    for text in HOSTILE.iter().filter(|t| !t.trim().is_empty()) {
        assert_eq!(of(text), of("harmless"), "{text:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_text_whatever_changes_the_structure_of_a_page(
        text in prop_oneof![any::<String>(), "[-#>+*=_`~|<!\\[\\](){}&;:/.@a0 \n\\\\]{1,30}"]
    ) {
        assert_contained(&text);
    }
}

#[test]
fn a_user_template_shadows_the_embedded_one_of_its_name() {
    let user = [
        ("runbook/impact.md".to_owned(), "## Who suffers\n\n{{ runbook.impact | length }}".to_owned()),
        ("runbook/own.md".to_owned(), "own".to_owned()),
    ];
    let renderer = Renderer::new(&user).unwrap();
    assert_eq!(
        (renderer.shadowed(), renderer.added()),
        (&["runbook/impact.md".to_owned()][..], &["runbook/own.md".to_owned()][..])
    );
    let page = renderer.runbook(&sample::runbook(), &Shelf::new(&[])).unwrap().text;
    assert!(page.contains("## Who suffers\n\n2\n"));
}

#[test]
fn every_broken_user_template_is_reported_with_its_place() {
    let user = [
        ("runbook/impact.md".to_owned(), "ok\n{{ runbook.impact | nosuchfilter }}".to_owned()),
        ("runbook/trigger.md".to_owned(), "{% for x in %}".to_owned()),
        ("runbook/header.md".to_owned(), "fine".to_owned()),
    ];
    let found = Renderer::new(&user).unwrap_err();
    let places: BTreeSet<_> =
        found.iter().map(|d| (d.code, d.location.file.as_deref().unwrap(), d.location.line)).collect();
    assert_eq!(
        places,
        BTreeSet::from([
            ("template-syntax", "templates/runbook/impact.md", Some(2)),
            ("template-syntax", "templates/runbook/trigger.md", Some(1))
        ])
    );
}

#[test]
fn a_template_that_asks_for_what_is_not_there_learns_what_is() {
    let user = [("runbook/impact.md".to_owned(), "line\n  {{ runbook.impct.first }}".to_owned())];
    let found = Renderer::new(&user).unwrap().runbook(&sample::runbook(), &Shelf::new(&[])).unwrap_err();
    assert_eq!((found.code, found.location.file.as_deref()), ("template-render", Some("templates/runbook/impact.md")));
    assert_eq!((found.location.line, found.location.column.is_some()), (Some(2), true));
    assert!(found.help.contains("runbook.{id, slug") && found.help.contains("trigger_detail"), "{}", found.help);
}

/// Every name of the view model, dotted; lists of rows and steps are told in prose.
fn names(prefix: &str, value: &serde_json::Value, out: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                names(&path, value, out);
            }
        }
        _ => {
            out.insert(prefix.to_owned());
        }
    }
}

#[test]
fn the_guide_for_authors_knows_every_name_and_every_filter() {
    let guide = include_str!("../../../docs/template-authoring.md");
    let view = serde_json::to_value(PageView::new(&sample::runbook(), &Shelf::new(&directory()))).unwrap();
    let mut all = BTreeSet::new();
    names("", &view, &mut all);
    assert!(all.len() > 40, "{all:?}");
    for name in all {
        assert!(guide.contains(&format!("`{name}`")), "{name} is not in docs/template-authoring.md");
    }
    for list in ["diagnosis", "escalation", "related"] {
        for key in view["runbook"][list][0].as_object().unwrap().keys() {
            assert!(guide.contains(&format!("`{key}`")), "`{key}` of {list} is not in docs/template-authoring.md");
        }
    }
    let filters = include_str!("../filters.rs");
    for name in filters.split("register_filter(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(guide.contains(&format!("| `{name}` |")), "the filter {name} is not in docs/template-authoring.md");
    }
    for (name, _) in EMBEDDED {
        assert!(guide.contains(&format!("`{name}`")), "{name} is not in docs/template-authoring.md");
    }
}

#[test]
fn what_no_filter_has_touched_is_escaped_all_the_same() {
    let user = [("runbook/impact.md".to_owned(), "{{ runbook.owner }}".to_owned())];
    let page = Renderer::new(&user).unwrap().runbook(&sample::hostile("<script>|*x*"), &Shelf::new(&[])).unwrap().text;
    assert!(page.contains("&lt;script>\\|\\*x\\*"), "{page}");
}

#[test]
fn the_index_lists_missed_objectives_that_no_runbook_is_about() {
    let missed = [crate::runbook::Missed {
        id: "lag|ging".into(),
        service: crate::topology::NodeId("shop/checkout".into()),
        observed: crate::runbook::Text::default().count(42.0),
        target: "< 5".into(),
        urgency: "page".into(),
    }];
    let snapshot = sample::snapshot();
    let context = IndexContext { project: "Shop", snapshot: &snapshot, missed: &missed };
    let text = renderer().index(&[sample::retired()], &context).unwrap().text;
    assert!(
        text.contains("0 breached, 0 OK, 0 unknown, 1 retired; 1 missed without a runbook of its own, over"),
        "{text}"
    );
    assert!(text.contains("| `lag\\|ging` | `shop/checkout` | 42 | `< 5` | **Breached** | page |\n"), "{text}");
    assert!(!index(&[sample::retired()]).contains("issed"));
}
