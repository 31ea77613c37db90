use super::*;
use crate::render::sample;

fn runbooks() -> Vec<Runbook> {
    vec![sample::runbook(), sample::database(), sample::retired()]
}

fn updated(text: &str) -> String {
    update(text, "docs/guide.md", &runbooks(), "runbooks").unwrap()
}

const TABLE: &str = "| ID | Slug | Trigger | State | Owner |\n| --- | --- | --- | --- | --- |\n\
    | [RB-001](runbooks/RB-001-checkoutservice-high-latency.md) | `checkoutservice-high-latency` | p99 latency &lt; 500ms is missed | Breached | Shop SRE |\n\
    | [RB-002](runbooks/RB-002-mysql-ts-failure.md) | `mysql-ts-failure` | errors of calls to it > 1 % | OK | – |";

#[test]
fn marked_regions_are_filled_and_nothing_else_changes() {
    let text = "# Guide\n\n## Contents\n\n<!-- tracebook:begin sections -->\nold\n<!-- tracebook:end sections -->\n\n## First *part*\n\ntext  \n\n\
                ## Runbooks\n\n<!-- tracebook:begin runbooks -->\n<!-- tracebook:end runbooks -->\n\n## Last & least\n\ttail";
    let wanted = format!(
        "# Guide\n\n## Contents\n\n<!-- tracebook:begin sections -->\n\n- [First part](#first-part)\n- [Runbooks](#runbooks)\n\
         - [Last &amp; least](#last--least)\n\n<!-- tracebook:end sections -->\n\n## First *part*\n\ntext  \n\n\
         ## Runbooks\n\n<!-- tracebook:begin runbooks -->\n\n{TABLE}\n\n<!-- tracebook:end runbooks -->\n\n## Last & least\n\ttail"
    );
    assert_eq!(updated(text), wanted);
    assert_eq!(updated(&wanted), wanted, "a second run changes nothing");
}

#[test]
fn the_one_table_of_ids_and_the_one_list_of_anchors_are_adopted() {
    let text = "# Guide\n\n1. [One](#one)\n2. [Two](#two)\n\n## One\n\n| Service | Target |\n|---|---|\n| api | 1 s |\n\n## Two\n\n\
                | ID | Slug | Trigger |\n|---|---|---|\n| RB-001 | `a` | x |\n| RB-002 | `b` | y |\n\nafter\n";
    let out = updated(text);
    assert!(out.contains("<!-- tracebook:begin sections -->\n\n1. [One](#one)\n2. [Two](#two)\n\n<!-- tracebook:end sections -->\n\n## One"), "{out}");
    assert!(
        out.contains(&format!(
            "<!-- tracebook:begin runbooks -->\n\n{TABLE}\n\n<!-- tracebook:end runbooks -->\n\nafter\n"
        )),
        "{out}"
    );
    assert!(out.contains("| api | 1 s |"));
    assert_eq!(updated(&out), out);
}

#[test]
fn markers_in_code_do_not_count() {
    let text = "```md\n<!-- tracebook:begin runbooks -->\n<!-- tracebook:end runbooks -->\n```\n\n<!-- tracebook:begin runbooks -->\n<!-- tracebook:end runbooks -->\n";
    let out = updated(text);
    assert!(out.starts_with("```md\n<!-- tracebook:begin runbooks -->\n<!-- tracebook:end runbooks -->\n```\n"));
    assert_eq!(out.matches("| [RB-001]").count(), 1);
}

#[test]
fn windows_line_ends_stay() {
    let text = "# G\r\n\r\n## A\r\n\r\n<!-- tracebook:begin runbooks -->\r\nold\r\n<!-- tracebook:end runbooks -->\r\n\r\ntail\r\n";
    let out = updated(text);
    assert!(!out.replace("\r\n", "").contains('\n'));
    assert!(out.starts_with("# G\r\n\r\n## A\r\n\r\n<!-- tracebook:begin runbooks -->\r\n\r\n| ID"));
    assert!(out.ends_with("<!-- tracebook:end runbooks -->\r\n\r\ntail\r\n"));
}

#[test]
fn a_file_without_a_place_for_the_table_is_told_what_to_paste() {
    let two = "| ID |\n|---|\n| RB-001 |\n\ntext\n\n| ID |\n|---|\n| RB-002 |\n";
    for text in ["# Nothing here\n", "", two] {
        let found = update(text, "x.md", &runbooks(), "").unwrap_err();
        assert_eq!(found.code, "toc-no-region");
        assert!(found.help.contains("\n<!-- tracebook:begin runbooks -->\n<!-- tracebook:end runbooks -->"));
    }
}

#[test]
fn a_marker_without_its_counterpart_stops_everything() {
    let cases = [
        ("<!-- tracebook:begin runbooks -->\n", 1),
        ("text\n\n<!-- tracebook:end sections -->\n", 3),
        (
            "<!-- tracebook:begin runbooks -->\n\n<!-- tracebook:begin runbooks -->\n\n<!-- tracebook:end runbooks -->\n",
            1,
        ),
        (
            "<!-- tracebook:begin runbooks -->\n\n<!-- tracebook:begin sections -->\n\n<!-- tracebook:end runbooks -->\n\n<!-- tracebook:end sections -->\n",
            3,
        ),
    ];
    for (text, line) in cases {
        let found = update(text, "x.md", &runbooks(), "").unwrap_err();
        assert_eq!((found.code, found.location.line), ("toc-region-damaged", Some(line)), "{text}");
    }
}

#[test]
fn a_region_in_a_list_or_quote_keeps_the_bytes_around_it() {
    let text = "- item\n\n  <!-- tracebook:begin runbooks -->\n  old\n  <!-- tracebook:end runbooks -->\n\n  more\n";
    let out = updated(text);
    assert!(out.starts_with("- item\n\n  <!-- tracebook:begin runbooks -->\n\n| ID"));
    assert!(out.ends_with("\n\n  <!-- tracebook:end runbooks -->\n\n  more\n"));
}

use proptest::prelude::*;

fn fragment() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "<!-- tracebook:begin runbooks -->",
        "<!-- tracebook:end runbooks -->",
        "<!-- tracebook:begin sections -->",
        "<!-- tracebook:end sections -->",
        "\n",
        "\n\n",
        "\r\n",
        "```\n",
        "> ",
        "- ",
        "    ",
        "## Heading\n",
        "ü漢🙂 `code` ",
        "| ID | x |\n|---|---|\n| RB-001 | y |\n",
        "- [a](#a)\n- [b](#b)\n",
        "<div>\n",
        "<!-- other -->",
        "<!--",
        "-->",
    ])
}

/// The text with everything between the markers of both regions taken out, as the parser sees them.
fn outside(text: &str) -> Option<String> {
    let parsed = markdown::parse(text);
    let mut found = regions(text, "x.md", &parsed, RUNBOOKS).ok()?;
    found.extend(regions(text, "x.md", &parsed, SECTIONS).ok()?);
    found.sort_by_key(|r| r.inner.start);
    let (mut out, mut at) = (String::new(), 0);
    for region in found {
        // Overlapping regions are refused by `update`.
        out.push_str(text.get(at..region.inner.start)?);
        at = region.inner.end;
    }
    Some(out + &text[at..])
}

proptest! {
    #[test]
    fn whatever_a_file_holds_the_bytes_outside_the_regions_stay(parts in prop::collection::vec(fragment(), 0..14)) {
        let text = parts.concat();
        let had_regions = outside(&text).is_some_and(|rest| rest != text);
        if let Ok(out) = update(&text, "x.md", &runbooks(), "") {
            prop_assert!(outside(&out).is_some(), "{:?}", text);
            // Adoption adds markers; otherwise all is as before.
            if had_regions && out.matches("<!-- tracebook").count() == text.matches("<!-- tracebook").count() {
                prop_assert_eq!(outside(&out), outside(&text), "{:?}", text);
            }
        }
    }
}
