use proptest::prelude::*;

use super::*;

fn region(name: &str, text: &str) -> String {
    format!("<!-- tracebook:begin {name} -->\n\n{text}\n\n<!-- tracebook:end {name} -->\n")
}

fn page(parts: &[(&str, &str)]) -> String {
    parts.iter().map(|(n, t)| region(n, t)).collect::<Vec<_>>().join("\n")
}

fn same(new: &str) -> String {
    merge(Some(&stamp(new)), new, false).text
}

#[test]
fn a_stamped_page_is_up_to_date_with_itself() {
    let new = page(&[("header", "# RB-001"), ("trigger", "p99 > 1s")]);
    let stamped = stamp(&new);
    assert!(stamped.contains(&format!("begin header sha256:{} -->", checksum("\n# RB-001\n\n"))), "{stamped}");
    assert_eq!(same(&new), stamped);
    assert_eq!(unstamp(&stamped), new);
    assert_eq!(merge(None, &new, false).text, stamped);
    assert_eq!(stamp(&stamped), stamped, "stamping twice changes nothing");
}

#[test]
fn a_text_without_markers_becomes_one_region() {
    let stamped = stamp("# Mine\n\ntext\n");
    assert!(stamped.starts_with("<!-- tracebook:begin page sha256:"), "{stamped}");
    assert!(stamped.contains("\n\n# Mine\n\ntext\n\n<!-- tracebook:end page -->\n"), "{stamped}");
    assert_eq!(same("# Mine\n\ntext\n"), stamped);
}

#[test]
fn an_unedited_region_is_replaced_and_reports_nothing() {
    let old = stamp(&page(&[("a", "one")]));
    let merged = merge(Some(&old), &page(&[("a", "two")]), false);
    assert_eq!(merged.text, stamp(&page(&[("a", "two")])));
    assert!(merged.edits.is_empty() && merged.adopted == 0);
}

#[test]
fn an_edited_region_stays_until_told_otherwise() {
    let old = stamp(&page(&[("a", "one"), ("b", "x")])).replace("one", "one, says Ann");
    let new = page(&[("a", "two"), ("b", "y")]);
    let merged = merge(Some(&old), &new, false);
    assert!(merged.text.contains("one, says Ann") && merged.text.contains("\ny\n") && !merged.text.contains("two"));
    assert_eq!(merged.edits.len(), 1);
    assert_eq!((merged.edits[0].region.as_str(), merged.edits[0].line), ("a", 1));
    assert!(merged.edits[0].diff.contains("-two\n+one, says Ann"), "{}", merged.edits[0].diff);
    // It is still seen as edited the next time.
    let again = merge(Some(&merged.text), &new, false);
    assert_eq!((again.text.as_str(), again.edits.len()), (merged.text.as_str(), 1));
    let over = merge(Some(&merged.text), &new, true);
    assert_eq!((over.text, over.edits.len()), (stamp(&new), 1));
}

#[test]
fn an_edit_that_says_what_would_be_generated_is_no_edit() {
    let old = stamp(&page(&[("a", "one")])).replace("one", "two");
    let merged = merge(Some(&old), &page(&[("a", "two")]), false);
    assert!(merged.edits.is_empty());
    assert_eq!(merged.text, stamp(&page(&[("a", "two")])));
}

#[test]
fn a_region_without_checksum_counts_as_edited() {
    let merged = merge(Some(&page(&[("a", "one")])), &page(&[("a", "two")]), false);
    assert_eq!(merged.edits.len(), 1);
    assert!(merged.text.contains("one"));
}

#[test]
fn loose_text_is_adopted_where_it_stands() {
    let new = page(&[("a", "one"), ("b", "x")]);
    let old = stamp(&new).replace("<!-- tracebook:begin b", "Call Ann first.\n\nShe knows.\n\n<!-- tracebook:begin b");
    let merged = merge(Some(&old), &new, false);
    assert_eq!(merged.adopted, 1);
    let want = "<!-- tracebook:end a -->\n\n<!-- tracebook:keep -->\n\nCall Ann first.\n\nShe knows.\n\n<!-- tracebook:end keep -->\n\n<!-- tracebook:begin b";
    assert!(merged.text.contains(want), "{}", merged.text);
    let again = merge(Some(&merged.text), &new, false);
    assert_eq!((again.text, again.adopted), (merged.text, 0));
}

#[test]
fn text_above_the_first_region_and_front_matter_stay_on_top() {
    let new = page(&[("a", "one")]);
    let old = format!("---\ntitle: x\n---\n\nRead me.\n\n{}", stamp(&new));
    let merged = merge(Some(&old), &new, false);
    assert!(merged.text.starts_with("---\ntitle: x\n---\n\n<!-- tracebook:keep -->\n\nRead me.\n"), "{}", merged.text);
    assert_eq!(merge(Some(&merged.text), &new, false).text, merged.text);
}

#[test]
fn front_matter_of_a_template_is_not_taken_for_human_text() {
    let new = format!("---\nid: RB-001\n---\n\n{}", page(&[("a", "one")]));
    assert_eq!(same(&new), stamp(&new));
    let newer = new.replace("one", "two");
    let merged = merge(Some(&stamp(&new)), &newer, false);
    assert_eq!((merged.text, merged.adopted), (stamp(&newer), 0));
}

#[test]
fn a_block_whose_region_is_gone_moves_to_the_end() {
    let old = merge(
        Some(&format!("{}\nnote on b\n", stamp(&page(&[("a", "1"), ("b", "2")])))),
        &page(&[("a", "1"), ("b", "2")]),
        false,
    );
    let merged = merge(Some(&old.text), &page(&[("a", "1"), ("c", "3")]), false);
    assert_eq!(merged.moved, 1);
    let (c, note) = (merged.text.find("end c").unwrap(), merged.text.find("note on b").unwrap());
    assert!(note > c);
    assert_eq!(merge(Some(&merged.text), &page(&[("a", "1"), ("c", "3")]), false).text, merged.text);
}

#[test]
fn an_edited_region_that_is_no_longer_generated_becomes_human_text() {
    let old = stamp(&page(&[("a", "1"), ("b", "2")])).replace("\n2\n", "\n2 and a half\n");
    let merged = merge(Some(&old), &page(&[("a", "1")]), false);
    assert!(
        merged.text.contains("<!-- tracebook:keep -->\n\n2 and a half\n\n<!-- tracebook:end keep -->"),
        "{}",
        merged.text
    );
    assert!(!merged.text.contains("begin b"));
}

#[test]
fn a_keep_block_inside_a_region_is_no_edit_and_survives() {
    let keep = "<!-- tracebook:keep -->\nmine\n<!-- tracebook:end keep -->\n";
    let new = page(&[("a", "one\ntwo")]);
    for (put, edited) in
        [(format!("one\n{keep}two"), false), (format!("one\n\n{keep}two"), false), (format!("one!\n{keep}two"), true)]
    {
        let old = stamp(&new).replace("one\ntwo", &put);
        let newer = page(&[("a", "three")]);
        let merged = merge(Some(&old), &newer, false);
        assert!(merged.text.contains("mine"));
        assert_eq!(!merged.edits.is_empty(), edited, "{put}");
        let over = merge(Some(&old), &newer, true);
        assert!(over.text.contains("mine") && over.text.contains("three"));
    }
}

#[test]
fn a_keep_block_of_a_template_is_a_suggestion_made_once() {
    let new = format!(
        "{}\n<!-- tracebook:keep -->\n\nNotes.\n\n<!-- tracebook:end keep -->\n\n{}",
        region("a", "1"),
        region("b", "2")
    );
    let first = stamp(&new);
    assert_eq!(merge(Some(&first), &new, false).text, first);
    let mine = first.replace("Notes.", "Ann has the key.");
    assert_eq!(merge(Some(&mine), &new, false).text, mine);
    let removed = stamp(&page(&[("a", "1"), ("b", "2")]));
    assert_eq!(merge(Some(&removed), &new, false).text, removed);
}

#[test]
fn markers_that_do_not_match_are_damage_and_nothing_is_merged() {
    let new = page(&[("a", "1"), ("b", "2")]);
    let good = stamp(&new);
    for (from, to, line) in [
        ("<!-- tracebook:end a -->\n", "", 1),
        ("<!-- tracebook:end b -->\n", "", 7),
        ("<!-- tracebook:end a -->", "<!-- tracebook:end b -->", 1),
        ("<!-- tracebook:end a -->", "<!-- tracebook:end a -->\n<!-- tracebook:end a -->", 6),
        ("<!-- tracebook:end a -->", "<!-- tracebook:end a -->\n<!-- tracebook:keep -->\nx", 6),
        ("<!-- tracebook:end a -->", "<!-- tracebook:end a -->\n<!-- tracebook:end keep -->\nx", 6),
    ] {
        let old = good.replacen(from, to, 1);
        let merged = merge(Some(&old), &new, true);
        assert_eq!(merged.text, old);
        assert_eq!(
            merged.damage.as_ref().map(|d| (d.line, d.generated)),
            Some((line, false)),
            "{from} {to}: {merged:?}"
        );
    }
    let twice = format!("{good}\n{good}");
    assert!(merge(Some(&twice), &new, false).damage.is_some());
    let template = merge(Some(&good), "<!-- tracebook:begin a -->\n", false);
    assert!(template.damage.is_some_and(|d| d.generated) && template.text == good);
}

#[test]
fn windows_line_ends_are_kept_and_are_no_edit() {
    let new = page(&[("a", "one"), ("b", "x")]);
    let crlf = stamp(&new).replace('\n', "\r\n");
    let merged = merge(Some(&crlf), &new, false);
    assert_eq!((merged.text.as_str(), merged.edits.len()), (crlf.as_str(), 0));
    let newer = page(&[("a", "two"), ("b", "x")]);
    assert_eq!(merge(Some(&crlf), &newer, false).text, stamp(&newer).replace('\n', "\r\n"));
    let bom = format!("\u{feff}{}", stamp(&new));
    assert_eq!(merge(Some(&bom), &new, false).text, bom);
}

#[test]
fn markers_quoted_in_a_fenced_keep_block_or_indented_are_text() {
    let new = page(&[("a", "1")]);
    let old = format!(
        "{}\n<!-- tracebook:keep -->\n```\n<!-- tracebook:begin q -->\n```\n<!-- tracebook:end keep -->\n",
        stamp(&new)
    );
    assert_eq!(merge(Some(&old), &new, false).text, old);
    let indented = format!("{}\n    <!-- tracebook:begin q -->\n", stamp(&new));
    assert!(merge(Some(&indented), &new, false).damage.is_none());
}

#[test]
fn edited_names_the_regions_that_no_longer_match() {
    let text =
        format!("# Ops\n\n{}", stamp(&page(&[("runbooks", "| a |"), ("sections", "- x")])).replace("- x", "- y"));
    assert_eq!(edited(&text).unwrap(), vec![("sections".to_owned(), 9)]);
    assert!(edited("<!-- tracebook:begin a -->\n").is_err());
}

/// Names and texts of the regions of one generation.
fn generation() -> impl Strategy<Value = Vec<(usize, u8)>> {
    prop::collection::vec((0usize..6, any::<u8>()), 1..6).prop_map(|mut v| {
        let mut seen = Vec::new();
        v.retain(|(n, _)| {
            if seen.contains(n) {
                false
            } else {
                seen.push(*n);
                true
            }
        });
        v
    })
}

fn rendered(parts: &[(usize, u8)]) -> String {
    parts
        .iter()
        .map(|(n, t)| region(&format!("r{n}"), &format!("text {t}\n\n- item {n}")))
        .collect::<Vec<_>>()
        .join("\n")
}

proptest! {
    /// People write lines anywhere (inside regions too), the page is regenerated with other regions in other orders, again
    /// and again: each of their lines is still there, a second merge changes nothing, and markers stay sound.
    #[test]
    fn every_human_line_survives_any_sequence_of_regenerations(
        steps in prop::collection::vec((generation(), prop::collection::vec(any::<prop::sample::Index>(), 0..4), any::<bool>()), 1..8)
    ) {
        let mut disk: Option<String> = None;
        let mut written: Vec<String> = Vec::new();
        for (i, (parts, places, crlf)) in steps.iter().enumerate() {
            let new = rendered(parts);
            let merged = merge(disk.as_deref(), &new, false);
            prop_assert!(merged.damage.is_none(), "{:?}", merged.damage);
            let again = merge(Some(&merged.text), &new, false);
            prop_assert_eq!(&again.text, &merged.text, "not stable");
            let mut lines: Vec<String> = merged.text.split_inclusive('\n').map(str::to_owned).collect();
            for line in &written {
                prop_assert!(lines.iter().any(|l| l.trim_end() == line), "lost {} in\n{}", line, merged.text);
            }
            for (j, place) in places.iter().enumerate() {
                let line = format!("human {i}.{j}  é <b>");
                let at = place.index(lines.len() + 1);
                lines.insert(at, format!("{line}{}", if *crlf { "\r\n" } else { "\n" }));
                written.push(line);
            }
            disk = Some(lines.concat());
        }
    }

    /// Nothing a page may hold makes merging panic, and a page it cannot understand is left alone.
    #[test]
    fn merging_any_text_never_panics(
        lines in prop::collection::vec(prop_oneof![
            Just("<!-- tracebook:begin a -->"), Just("<!-- tracebook:begin a sha256:0 -->"), Just("<!-- tracebook:end a -->"),
            Just("<!-- tracebook:keep -->"), Just("<!-- tracebook:end keep -->"), Just("text"), Just(""), Just("---"), Just("```"), Just("é\r")
        ], 0..14),
        overwrite in any::<bool>(),
    ) {
        let text = lines.join("\n");
        let new = page(&[("a", "1")]);
        let merged = merge(Some(&text), &new, overwrite);
        if merged.damage.is_some() { prop_assert_eq!(&merged.text, &text); } else {
            prop_assert_eq!(&merge(Some(&merged.text), &new, overwrite).text, &merged.text);
        }
        let _ = merge(Some(&text), &text, overwrite);
        let _ = stamp(&text);
    }
}
