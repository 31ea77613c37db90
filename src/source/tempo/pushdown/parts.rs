//! Into which disjoint parts a question falls whose answer was cut off.
//!
//! Input: the keys it tells spans apart by, and the labels of the series that did come. Output: conditions, of which exactly
//! one holds for each span. Must not: take what came for all there is: the parts hold whatever did not come too.

use std::collections::BTreeMap;

use super::counted::label;
use super::population::quoted;
use crate::source::tempo::wire::KeyValue;

/// Keys that every span has: TraceQL refuses to ask whether some of them are absent.
const NEVER_ABSENT: [&str; 2] = ["resource.service.name", "name"];
/// Keys that may hold numbers, which no comparison with a text finds.
const NUMBERS: [&str; 4] = [
    "span.http.response.status_code",
    "span.http.status_code",
    "span.rpc.grpc.status_code",
    "span.rpc.response.status_code",
];
const KIND: &str = "kind";
const KINDS: [&str; 6] = ["unspecified", "internal", "server", "client", "producer", "consumer"];

/// Parts by the key that halves best what came; `None` where that is all alike, so that nothing tells how to go on.
pub(super) fn parts<'a>(
    keys: &[&'static str],
    series: impl Iterator<Item = &'a [KeyValue]> + Clone,
) -> Option<Vec<String>> {
    let texts = keys.iter().filter(|key| **key != KIND && !NUMBERS.contains(key));
    let halved = texts.filter_map(|key| halves(key, &values(key, series.clone())));
    // The first of those that are as good as each other: services before names.
    let best = halved.reduce(|best, next| if next.0 < best.0 { next } else { best });
    best.map(|(_, parts)| parts).or_else(|| {
        let kinds = keys.contains(&KIND) && values(KIND, series).len() > 1;
        kinds.then(|| KINDS.iter().map(|kind| format!("{KIND} = {kind}")).collect())
    })
}

/// How many series there are of each value; no text where it is absent.
fn values<'a>(key: &str, series: impl Iterator<Item = &'a [KeyValue]>) -> BTreeMap<String, usize> {
    let mut values: BTreeMap<String, usize> = BTreeMap::new();
    for labels in series {
        *values.entry(label(labels, key)).or_default() += 1;
    }
    values
}

/// The size of the larger part of what came, and the parts.
fn halves(key: &str, values: &BTreeMap<String, usize>) -> Option<(usize, Vec<String>)> {
    let always = NEVER_ABSENT.contains(&key);
    let absent = values.get("").copied().filter(|_| !always).unwrap_or(0);
    let present: Vec<(&String, usize)> =
        values.iter().filter(|(value, _)| always || !value.is_empty()).map(|(value, n)| (value, *n)).collect();
    let all: usize = present.iter().map(|(_, n)| n).sum();
    if present.len() < 2 {
        let parts = || vec![format!("{key} = nil"), format!("{key} != nil")];
        return (absent > 0 && all > 0).then(|| (absent.max(all), parts()));
    }
    let mut below = 0;
    let mut best: Option<(usize, &String)> = None;
    for pair in present.windows(2) {
        let [(_, n), (pivot, _)] = pair else { continue };
        below += n;
        let larger = below.max(all - below).max(absent);
        if best.is_none_or(|(least, _)| larger < least) {
            best = Some((larger, pivot));
        }
    }
    let (larger, pivot) = best?;
    let pivot = quoted(pivot);
    let absent = (!always).then(|| format!("{key} = nil"));
    Some((larger, [format!("{key} < {pivot}"), format!("{key} >= {pivot}")].into_iter().chain(absent).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::tempo::wire::AnyValue;
    use crate::source::tempo::wire::any_value::Value as Any;

    const KEYS: [&str; 4] = ["resource.service.namespace", "resource.service.name", "name", "kind"];

    fn labels(values: [&str; 4]) -> Vec<KeyValue> {
        let text = |text: &str| AnyValue { value: Some(Any::StringValue(text.to_owned())) };
        KEYS.iter()
            .zip(values)
            .map(|(key, value)| KeyValue { key: (*key).to_owned(), value: Some(text(value)) })
            .collect()
    }

    fn of(series: &[[&str; 4]]) -> Option<Vec<String>> {
        let series: Vec<_> = series.iter().map(|values| labels(*values)).collect();
        parts(&KEYS, series.iter().map(Vec::as_slice))
    }

    #[test]
    fn what_halves_best_is_halved_and_what_is_absent_is_a_part_of_its_own() {
        let by_service = of(&[["nil", "a", "x", "server"], ["nil", "b", "x", "server"], ["nil", "b", "x", "client"]]);
        assert_eq!(by_service.unwrap(), ["resource.service.name < \"b\"", "resource.service.name >= \"b\""]);
        let by_name = of(&[["nil", "a", "x", "server"], ["nil", "a", "y", "server"], ["nil", "a", "z\"", "server"]]);
        assert_eq!(by_name.unwrap(), ["name < \"y\"", "name >= \"y\""]);
        let by_namespace = of(&[["m", "a", "x", "server"], ["n", "a", "x", "server"]]).unwrap();
        let key = "resource.service.namespace";
        assert_eq!(by_namespace, [format!("{key} < \"n\""), format!("{key} >= \"n\""), format!("{key} = nil")]);
        let absent = of(&[["nil", "a", "x", "server"], ["n", "a", "x", "server"]]).unwrap();
        assert_eq!(absent, [format!("{key} = nil"), format!("{key} != nil")]);
    }

    #[test]
    fn kinds_are_the_last_resort_and_what_is_all_alike_cannot_be_told_apart() {
        let kinds = of(&[["nil", "a", "x", "server"], ["nil", "a", "x", "client"]]).unwrap();
        assert_eq!((kinds.len(), kinds[2].as_str()), (6, "kind = server"));
        assert_eq!(of(&[["nil", "a", "x", "server"], ["nil", "a", "x", "server"]]), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn no_text_is_compared_with_what_may_be_a_number() {
        let key = "span.http.status_code";
        let of = |value: i64| {
            vec![KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(Any::IntValue(value)) }) }]
        };
        let series = [of(500), of(503)];
        assert_eq!(parts(&["span.http.status_code"], series.iter().map(Vec::as_slice)), None);
    }
}
