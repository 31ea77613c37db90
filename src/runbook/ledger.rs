//! The ledger `runbooks.lock.yaml`: a number once given is never given to anything else.
//!
//! Input: the ledger of the last run and the keys wanted now. Output: the next ledger.
//! Must not: know what a runbook says, or drop an entry.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::RunbookKind;
use crate::diag::{Diagnostic, Location};

/// Format version this build reads and writes.
pub const VERSION: u32 = 1;

/// Active or retired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryState {
    /// Generated.
    Active,
    /// No longer generated; its page is a tombstone that points on.
    Retired,
}

/// One number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// `RB-001`.
    pub id: String,
    /// What it was given to. `moved:RB-007:latency:api` for a number left behind when `latency:api` was pinned to another.
    pub key: String,
    /// File name part.
    pub slug: String,
    /// State.
    pub state: EntryState,
    /// Slugs it had before, oldest first: each leaves a page that points on, so that links in alerts stay true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<String>,
}

impl Entry {
    /// Gives it another slug and remembers the old one.
    fn rename(&mut self, slug: &str) {
        if self.slug != slug {
            let old = std::mem::replace(&mut self.slug, slug.to_owned());
            self.former.retain(|s| *s != slug && *s != old);
            self.former.push(old);
        }
    }
}

/// All numbers ever given, sorted by number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// Format version, 1.
    pub version: u32,
    /// Sorted by number.
    pub runbooks: Vec<Entry>,
}

/// Why a ledger cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// Two entries share an id.
    #[error("{0} is given twice")]
    DuplicateId(String),
    /// Two entries share a key.
    #[error("the key `{0}` has two ids")]
    DuplicateKey(String),
    /// Not `RB-` and at least three digits.
    #[error("`{0}` is not an id of the form RB-001")]
    BadId(String),
    /// A slug that is no file name part.
    #[error("the slug `{0}` is not lower-case letters, digits and hyphens")]
    BadSlug(String),
    /// Written by a later version of tracebook.
    #[error("format version {0} is not known to this build, which knows version 1")]
    Version(u32),
}

impl LedgerError {
    /// The same as a coded diagnostic about the ledger file.
    #[must_use]
    pub fn diagnostic(&self) -> Diagnostic {
        let (code, help) = match self {
            Self::DuplicateId(_) => ("ledger-duplicate-id", "restore the ledger from version control"),
            Self::DuplicateKey(_) => ("ledger-duplicate-key", "keep the entry whose page is linked from alerts"),
            Self::BadId(_) => {
                ("ledger-bad-id", "an id is `RB-` and the number with at least three digits, from RB-001")
            }
            Self::BadSlug(_) => ("ledger-bad-slug", "use lower-case letters, digits and single hyphens"),
            Self::Version(_) => ("ledger-version", "use the version of tracebook that wrote it, or a later one"),
        };
        Diagnostic::error(code, self.to_string()).at(Location::file("runbooks.lock.yaml")).help(help)
    }
}

impl Ledger {
    /// Checks that every number and key is there once and well-formed. An empty ledger of version 0 is a new one.
    ///
    /// # Errors
    /// Every fault found.
    pub fn validate(&self) -> Result<(), Vec<LedgerError>> {
        let mut faults = Vec::new();
        let new = self.version == 0 && self.runbooks.is_empty();
        if self.version != VERSION && !new {
            faults.push(LedgerError::Version(self.version));
        }
        let (mut ids, mut keys) = (BTreeSet::new(), BTreeSet::new());
        for entry in &self.runbooks {
            if number(&entry.id).is_none() {
                faults.push(LedgerError::BadId(entry.id.clone()));
            } else if !ids.insert(&entry.id) {
                faults.push(LedgerError::DuplicateId(entry.id.clone()));
            }
            if !keys.insert(&entry.key) {
                faults.push(LedgerError::DuplicateKey(entry.key.clone()));
            }
            // Each becomes a file name.
            let slugs = std::iter::once(&entry.slug).chain(&entry.former);
            faults.extend(slugs.filter(|s| !is_slug(s)).map(|s| LedgerError::BadSlug(s.clone())));
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// The entry of a key.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.runbooks.iter().find(|e| e.key == key)
    }
}

/// A runbook that should have a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Its stable key.
    pub(super) key: String,
    /// Decides the order in which new numbers are given.
    pub(super) kind: RunbookKind,
    /// The number people decided on.
    pub(super) id: Option<String>,
    /// The slug people decided on.
    pub(super) slug: Option<String>,
    /// The slug otherwise, when it is new. Later ones do not replace it: links outlive naming rules.
    pub(super) fallback_slug: String,
    /// Where the configuration says so, for diagnostics.
    pub(super) place: String,
}

/// Gives every wanted key its number. Pinned numbers win, known keys keep theirs, new keys take the next number never
/// used before, in order of (kind, key); keys no longer wanted are retired.
///
/// # Errors
/// A damaged ledger, and every pin that would make a number ambiguous.
pub(super) fn allocate(ledger: &Ledger, wanted: &[Wanted]) -> Result<Ledger, Vec<Diagnostic>> {
    if let Err(faults) = ledger.validate() {
        return Err(faults.iter().map(LedgerError::diagnostic).collect());
    }
    let mut problems = check_pins(wanted);
    let mut by_number: BTreeMap<u64, Entry> =
        ledger.runbooks.iter().filter_map(|e| Some((number(&e.id)?, e.clone()))).collect();
    let mut number_of: BTreeMap<String, u64> = by_number.iter().map(|(n, e)| (e.key.clone(), *n)).collect();
    for entry in by_number.values_mut() {
        entry.state = EntryState::Retired;
    }

    let pinned: Vec<(&Wanted, u64)> = wanted.iter().filter_map(|w| Some((w, number(w.id.as_deref()?)?))).collect();
    for (want, n) in &pinned {
        match by_number.get(n) {
            Some(entry) if entry.key == want.key => continue,
            Some(entry) if moved_key(&entry.key) != Some(want.key.as_str()) => {
                if !ledger.runbooks.iter().any(|e| e.id == entry.id) {
                    continue; // Pinned twice, said already.
                }
                problems.push(
                    Diagnostic::error(
                        "pin-id-taken",
                        format!("{} is pinned to `{}`, but was given to `{}` for ever", id(*n), want.key, entry.key),
                    )
                    .at(Location::default().at_key(&want.place))
                    .help(format!(
                        "pin a number that was never used; if `{}` was only renamed, change its `key` in runbooks.lock.yaml",
                        entry.key
                    )),
                );
                continue;
            }
            _ => {}
        }
        // The number the key had stays behind as a signpost, under a key of its own.
        if let Some(old) = number_of.remove(&want.key)
            && let Some(entry) = by_number.get_mut(&old)
        {
            entry.key = format!("moved:{}:{}", entry.id, want.key);
        }
        let (slug, former) = by_number
            .get(n)
            .map_or_else(|| (want.fallback_slug.clone(), Vec::new()), |e| (e.slug.clone(), e.former.clone()));
        by_number.insert(*n, Entry { id: id(*n), key: want.key.clone(), slug, state: EntryState::Retired, former });
        number_of.insert(want.key.clone(), *n);
    }
    if !problems.is_empty() {
        return Err(problems);
    }

    let mut next = by_number.keys().next_back().copied().unwrap_or(0);
    let mut in_order: Vec<&Wanted> = wanted.iter().collect();
    in_order.sort_by(|a, b| (a.kind, &a.key).cmp(&(b.kind, &b.key)));
    // Without a gap below the pins, a first run numbers around them: RB-002 is free when only RB-001 and RB-003 are pinned.
    let first_run = ledger.runbooks.is_empty();
    let mut free = (1..).filter(|n| !pinned.iter().any(|(_, p)| p == n));
    for want in in_order {
        let n = match number_of.get(&want.key) {
            Some(n) => *n,
            None if first_run => free.next().unwrap_or(next.saturating_add(1)),
            None => next.saturating_add(1),
        };
        next = next.max(n);
        number_of.insert(want.key.clone(), n);
        let entry = by_number.entry(n).or_insert_with(|| Entry {
            id: id(n),
            key: want.key.clone(),
            slug: want.fallback_slug.clone(),
            state: EntryState::Active,
            former: Vec::new(),
        });
        entry.state = EntryState::Active;
        // A number just given has no page yet that a link could lead to.
        match &want.slug {
            Some(slug) if ledger.runbooks.iter().any(|e| e.id == entry.id) => entry.rename(slug),
            Some(slug) => entry.slug.clone_from(slug),
            None => {}
        }
    }
    Ok(Ledger { version: VERSION, runbooks: by_number.into_values().collect() })
}

/// Pins that contradict each other or are malformed.
fn check_pins(wanted: &[Wanted]) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let mut seen: BTreeMap<&str, &Wanted> = BTreeMap::new();
    let mut keys: BTreeMap<&str, &Wanted> = BTreeMap::new();
    for want in wanted {
        let place = || Location::default().at_key(&want.place);
        if let Some(first) = keys.insert(&want.key, want) {
            problems.push(
                Diagnostic::error(
                    "key-twice",
                    format!("`{}` is named by {} and {}", want.key, first.place, want.place),
                )
                .at(place())
                .help("name each runbook once"),
            );
        }
        if let Some(slug) = want.slug.as_deref().filter(|s| !is_slug(s)) {
            problems.push(
                Diagnostic::error("slug-malformed", format!("`{slug}` is not a slug"))
                    .at(place())
                    .help(format!("write `{}`", slugify(&[slug]))),
            );
        }
        let Some(pin) = want.id.as_deref() else { continue };
        if number(pin).is_none() {
            problems.push(
                Diagnostic::error("pin-id-malformed", format!("`{pin}` is not an id of the form RB-001"))
                    .at(place())
                    .help("an id is `RB-` and the number with at least three digits, from RB-001"),
            );
        } else if let Some(first) = seen.insert(pin, want) {
            problems.push(
                Diagnostic::error(
                    "pin-id-twice",
                    format!("{pin} is pinned to both `{}` and `{}`", first.key, want.key),
                )
                .at(place())
                .help("give one of them another number"),
            );
        }
    }
    problems
}

/// The key a left-behind number pointed to: `latency:api` of `moved:RB-007:latency:api`.
pub(super) fn moved_key(key: &str) -> Option<&str> {
    key.strip_prefix("moved:")?.split_once(':').map(|(_, rest)| rest)
}

/// 7 → `RB-007`.
fn id(n: u64) -> String {
    format!("RB-{n:03}")
}

/// `RB-007` → 7; `None` for anything not spelt exactly as [`id`] spells it.
pub(super) fn number(text: &str) -> Option<u64> {
    let n: u64 = text.strip_prefix("RB-")?.parse().ok()?;
    // Far above any real count; keeps `next` from overflowing.
    (n > 0 && n < 1_000_000_000 && id(n) == text).then_some(n)
}

/// Longest slug in bytes.
const SLUG_MAX: usize = 60;

/// Lower-case ASCII letters, digits and single hyphens, at most 60; what is left of the parts, joined. May be empty.
pub(super) fn slugify(parts: &[&str]) -> String {
    let mut slug = String::new();
    for part in parts {
        if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        for c in part.chars() {
            if slug.len() >= SLUG_MAX {
                break;
            }
            if c.is_ascii_alphanumeric() {
                slug.push(c.to_ascii_lowercase());
            } else if !slug.is_empty() && !slug.ends_with('-') {
                slug.push('-');
            }
        }
    }
    slug.truncate(SLUG_MAX);
    slug.trim_matches('-').to_owned()
}

/// The name cut so that the ending always fits: `checkoutservice`, `high-latency` → `checkoutservice-high-latency`.
pub(super) fn slug_with_ending(name: &[&str], ending: &str) -> String {
    let mut start = slugify(name);
    start.truncate(SLUG_MAX.saturating_sub(ending.len() + 1));
    slugify(&[&start, ending])
}

/// Whether a text is a slug as [`slugify`] makes them.
pub(super) fn is_slug(text: &str) -> bool {
    !text.is_empty() && slugify(&[text]) == text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn want(key: &str) -> Wanted {
        let kind = match key.split(':').next().unwrap() {
            "latency" => RunbookKind::Latency,
            "errors" => RunbookKind::Errors,
            _ => RunbookKind::Scenario,
        };
        let fallback_slug = slugify(&[key]);
        Wanted { key: key.into(), kind, id: None, slug: None, fallback_slug, place: "runbooks".into() }
    }

    fn pinned(key: &str, id: &str) -> Wanted {
        Wanted { id: Some(id.into()), place: format!("runbooks.pinned[{key}]"), ..want(key) }
    }

    fn shape(ledger: &Ledger) -> Vec<String> {
        ledger.runbooks.iter().map(|e| format!("{} {} {:?}", e.id, e.key, e.state)).collect()
    }

    fn codes(result: Result<Ledger, Vec<Diagnostic>>) -> Vec<&'static str> {
        result.unwrap_err().iter().map(|d| d.code).collect()
    }

    #[test]
    fn new_keys_are_numbered_by_kind_then_key_around_the_pins() {
        let wanted = [want("errors:a"), want("latency:b"), pinned("scenario:x", "RB-002"), want("latency:a")];
        let ledger = allocate(&Ledger::default(), &wanted).unwrap();
        assert_eq!(
            shape(&ledger),
            [
                "RB-001 latency:a Active",
                "RB-002 scenario:x Active",
                "RB-003 latency:b Active",
                "RB-004 errors:a Active"
            ]
        );
    }

    #[test]
    fn a_key_that_is_gone_leaves_a_tombstone_and_gets_its_number_back_when_it_returns() {
        let first = allocate(&Ledger::default(), &[want("latency:a"), want("latency:b")]).unwrap();
        let second = allocate(&first, &[want("latency:b"), want("latency:c")]).unwrap();
        assert_eq!(shape(&second), ["RB-001 latency:a Retired", "RB-002 latency:b Active", "RB-003 latency:c Active"]);
        let third = allocate(&second, &[want("latency:a")]).unwrap();
        assert_eq!(third.entry("latency:a").unwrap().state, EntryState::Active);
        assert_eq!(third.runbooks.len(), 3);
    }

    #[test]
    fn a_gap_left_by_a_pin_is_never_filled_after_the_first_run() {
        let first = allocate(&Ledger::default(), &[pinned("scenario:x", "RB-009")]).unwrap();
        let second = allocate(&first, &[pinned("scenario:x", "RB-009"), want("latency:a")]).unwrap();
        assert_eq!(shape(&second), ["RB-009 scenario:x Active", "RB-010 latency:a Active"]);
    }

    #[test]
    fn pinning_a_numbered_key_to_a_free_number_leaves_a_signpost_and_can_be_undone() {
        let first = allocate(&Ledger::default(), &[want("latency:a")]).unwrap();
        let moved = allocate(&first, &[pinned("latency:a", "RB-100")]).unwrap();
        assert_eq!(shape(&moved), ["RB-001 moved:RB-001:latency:a Retired", "RB-100 latency:a Active"]);
        assert_eq!(moved_key(&moved.runbooks[0].key), Some("latency:a"));
        let kept = allocate(&moved, &[want("latency:a")]).unwrap();
        assert_eq!(kept, moved);
        let back = allocate(&moved, &[pinned("latency:a", "RB-001")]).unwrap();
        assert_eq!(shape(&back), ["RB-001 latency:a Active", "RB-100 moved:RB-100:latency:a Retired"]);
    }

    #[test]
    fn a_slug_once_given_stays_until_people_choose_another() {
        let first = allocate(&Ledger::default(), &[want("latency:a")]).unwrap();
        let renamed = Wanted { fallback_slug: "other".into(), ..want("latency:a") };
        assert_eq!(allocate(&first, &[renamed]).unwrap().runbooks[0].slug, "latency-a");
        let chosen = Wanted { slug: Some("api-high-latency".into()), ..want("latency:a") };
        let second = allocate(&first, &[chosen]).unwrap();
        assert_eq!((second.runbooks[0].id.as_str(), second.runbooks[0].slug.as_str()), ("RB-001", "api-high-latency"));
        assert_eq!(second.runbooks[0].former, ["latency-a"]);
        let run = |ledger: &Ledger, slug: &str| {
            let wanted = [Wanted { slug: Some(slug.into()), ..want("latency:a") }];
            allocate(ledger, &wanted).unwrap().runbooks.remove(0)
        };
        assert_eq!(run(&second, "api-high-latency"), second.runbooks[0]);
        let third = Ledger { runbooks: vec![run(&second, "slow-api")], ..second.clone() };
        assert_eq!(third.runbooks[0].former, ["latency-a", "api-high-latency"]);
        assert_eq!(
            run(&third, "latency-a").former,
            ["api-high-latency", "slow-api"],
            "it is back under its first name"
        );
        assert_eq!(run(&Ledger::default(), "slow-api").former, [""; 0]);
    }

    #[test]
    fn every_ambiguous_or_malformed_pin_is_reported_at_once() {
        let wanted = [
            pinned("latency:a", "RB-001"),
            pinned("latency:b", "RB-001"),
            pinned("latency:c", "RB-1"),
            Wanted { slug: Some("Not A Slug".into()), ..want("latency:d") },
            want("latency:d"),
        ];
        assert_eq!(
            codes(allocate(&Ledger::default(), &wanted)),
            ["pin-id-twice", "pin-id-malformed", "slug-malformed", "key-twice"]
        );
        let first = allocate(&Ledger::default(), &[want("latency:a")]).unwrap();
        assert_eq!(codes(allocate(&first, &[pinned("latency:b", "RB-001")])), ["pin-id-taken"]);
    }

    #[test]
    fn a_damaged_ledger_is_refused_with_every_fault() {
        let entry = |id: &str, key: &str, slug: &str| Entry {
            id: id.into(),
            key: key.into(),
            slug: slug.into(),
            state: EntryState::Active,
            former: Vec::new(),
        };
        let runbooks = vec![entry("RB-001", "a", "a"), entry("RB-001", "a", "../a"), entry("RB-0001", "b", "b")];
        assert_eq!(
            codes(allocate(&Ledger { version: 2, runbooks }, &[])),
            ["ledger-version", "ledger-duplicate-id", "ledger-duplicate-key", "ledger-bad-slug", "ledger-bad-id"]
        );
    }

    #[test]
    fn a_slug_is_short_ascii_whatever_the_name() {
        assert_eq!(slugify(&["Checkout Service", "high-latency"]), "checkout-service-high-latency");
        assert_eq!(slugify(&["../../etc/passwd\n"]), "etc-passwd");
        assert_eq!(slugify(&["日本"]), "");
        assert_eq!(slug_with_ending(&["日本"], "errors"), "errors");
        let long = slug_with_ending(&[&"x".repeat(900)], "high-latency");
        assert!(long.len() <= 60 && long.ends_with("-high-latency") && is_slug(&long), "{long}");
    }

    proptest! {
        #[test]
        fn no_sequence_of_key_sets_and_pins_ever_reuses_or_changes_an_id(
            runs in prop::collection::vec(
                (prop::collection::btree_set(0u8..12, 0..10), prop::option::of((0u8..12, 1u64..20))), 1..12)
        ) {
            let mut ledger = Ledger::default();
            let mut given: BTreeMap<String, String> = BTreeMap::new();
            for (keys, pin) in runs {
                let mut wanted: Vec<Wanted> = keys.iter().map(|k| want(&format!("latency:{k}"))).collect();
                if let Some((key, n)) = pin {
                    wanted.retain(|w| w.key != format!("latency:{key}"));
                    wanted.push(pinned(&format!("latency:{key}"), &id(n)));
                }
                let Ok(next) = allocate(&ledger, &wanted) else { continue };
                prop_assert!(next.validate().is_ok());
                for entry in &next.runbooks {
                    let key = moved_key(&entry.key).unwrap_or(&entry.key).to_owned();
                    // A number belongs to one key for ever.
                    let owner = given.entry(entry.id.clone()).or_insert_with(|| key.clone());
                    prop_assert_eq!(&*owner, &key);
                }
                for old in &ledger.runbooks {
                    prop_assert!(next.runbooks.iter().any(|e| e.id == old.id));
                    // Without a pin on it, a key keeps its number.
                    if pin.is_none_or(|(k, _)| old.key != format!("latency:{k}"))
                        && let Some(now) = next.entry(&old.key)
                    {
                        prop_assert_eq!(&now.id, &old.id);
                    }
                }
                for want in &wanted {
                    prop_assert_eq!(next.entry(&want.key).unwrap().state, EntryState::Active);
                }
                prop_assert_eq!(&allocate(&next, &wanted).unwrap(), &next);
                ledger = next;
            }
        }
    }
}
