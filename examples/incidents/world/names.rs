//! The words of made-up systems.
//!
//! Purpose: names that look like those of real services, operations, tables and hosts. Input: word lists and a generator.
//! Output: strings that live as long as the program, each kept once. Must not: decide anything about behaviour.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use super::wire::rng::Rng;

/// What services are about.
pub(crate) const NOUNS: &[&str] = &[
    "order",
    "cart",
    "catalog",
    "price",
    "stock",
    "invoice",
    "shipment",
    "profile",
    "session",
    "coupon",
    "review",
    "search",
    "media",
    "address",
    "ledger",
    "quota",
    "tariff",
    "booking",
    "seat",
    "route",
    "fare",
    "driver",
    "vehicle",
    "meter",
    "device",
    "alert",
    "report",
    "contract",
    "claim",
    "policy",
    "account",
    "transfer",
    "card",
    "wallet",
    "risk",
    "consent",
    "document",
    "template",
    "message",
    "audience",
    "campaign",
    "offer",
    "feed",
    "comment",
    "asset",
    "license",
    "tenant",
    "warehouse",
    "supplier",
    "return",
    "refund",
    "gift",
    "loyalty",
    "schedule",
    "room",
    "guest",
    "menu",
    "recipe",
    "ticket",
    "station",
];

/// What systems are called, and their namespaces.
pub(crate) const SYSTEMS: &[&str] = &[
    "harbor", "meadow", "granite", "lantern", "orchard", "juniper", "basalt", "tundra", "willow", "cobalt", "saffron",
    "ember", "pelican", "quartz", "heron", "larch",
];

/// Front doors.
pub(crate) const DOORS: &[&str] = &["gateway", "frontend", "web-bff", "edge-api", "storefront", "mobile-bff"];

/// Things one can do with a noun: verb, HTTP method, whether it concerns one of them, suffix of the route.
pub(crate) const VERBS: &[(&str, &str, bool, &str)] = &[
    ("Get", "GET", true, ""),
    ("List", "GET", false, ""),
    ("Create", "POST", false, ""),
    ("Update", "PUT", true, ""),
    ("Delete", "DELETE", true, ""),
    ("Search", "GET", false, "/search"),
    ("Validate", "POST", false, "/validate"),
    ("Reserve", "POST", true, "/reserve"),
    ("Quote", "POST", false, "/quote"),
    ("Confirm", "POST", true, "/confirm"),
    ("Recommend", "GET", false, "/recommended"),
    ("Summarize", "GET", true, "/summary"),
];

/// What goes on inside, as INTERNAL spans.
pub(crate) const INNER: &[&str] =
    &["validate", "enrich", "render", "authorize", "transform", "aggregate", "rank", "serialize", "convert", "lookup"];

/// Others' services that send no spans.
pub(crate) const OUTSIDE: &[(&str, &str, &str)] = &[
    ("api.stripe.example", "POST", "/v1/charges"),
    ("maps.geo.example", "GET", "/v2/geocode"),
    ("sms.relay.example", "POST", "/messages"),
    ("rates.bank.example", "GET", "/latest"),
    ("idp.login.example", "POST", "/oauth/introspect"),
    ("vat.tax.example", "GET", "/check"),
];

/// Keeps a string for good, each only once: names are few, and spans hold them by reference.
pub(crate) fn keep(text: String) -> &'static str {
    static KEPT: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = kept.get(text.as_str()) {
        return known;
    }
    let text: &'static str = Box::leak(text.into_boxed_str());
    kept.insert(text);
    text
}

/// `order` → `Order`.
pub(crate) fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The list in random order.
pub(crate) fn shuffled<T: Copy>(list: &[T], rng: &mut Rng) -> Vec<T> {
    let mut list = list.to_vec();
    for last in (1..list.len()).rev() {
        let other = usize::try_from(rng.between(0, last as u64)).unwrap_or(0);
        list.swap(last, other);
    }
    list
}

/// One of the list, which must not be empty.
pub(crate) fn one<T: Copy>(list: &[T], rng: &mut Rng) -> T {
    list[below(list.len(), rng)]
}

/// A position in a list of this length.
pub(crate) fn below(length: usize, rng: &mut Rng) -> usize {
    usize::try_from(rng.between(0, (length as u64).saturating_sub(1))).unwrap_or(0)
}
