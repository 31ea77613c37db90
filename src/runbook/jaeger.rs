//! The same question put to a Jaeger: what to fill into the form of its search, since it knows no TraceQL.
//!
//! Input: a TraceQL query as [`super::queries`] writes it. Output: the fields of the form, one a line.
//! Must not: be more than a help to find such traces: what the form cannot say (metrics, groups, alternatives) is left out.

/// The fields of Jaeger's search that find the spans of a query's first selector; `None` when no service is named there.
pub(super) fn search(query: &str) -> Option<String> {
    let mut selectors = selectors(query).into_iter();
    let mut form = Form::default();
    split(&selectors.next()?, "&&").iter().for_each(|condition| form.condition(condition));
    let mut lines = vec![("Service", form.service?)];
    lines.extend(form.operation.map(|operation| ("Operation", operation)));
    if !form.tags.is_empty() {
        lines.push(("Tags", form.tags.join(" ")));
    }
    lines.extend(form.least.map(|least| ("Min Duration", least)));
    // Of two selectors the second is below the first.
    let mut below = Form::default();
    split(&selectors.next().unwrap_or_default(), "&&").iter().for_each(|condition| below.condition(condition));
    lines.extend(below.service.map(|service| ("Look for", format!("spans of {service} in them"))));
    let lines: Vec<String> = lines.iter().map(|(field, value)| format!("{field:<14}{value}")).collect();
    Some(format!("Jaeger search\n{}", lines.join("\n")))
}

#[derive(Default)]
struct Form {
    service: Option<String>,
    operation: Option<String>,
    /// `key=value`, as the form reads them.
    tags: Vec<String>,
    least: Option<String>,
}

impl Form {
    fn condition(&mut self, condition: &str) {
        let inner = condition.strip_prefix('(').and_then(|c| c.strip_suffix(')'));
        // Of several spellings the first; of several kinds any.
        let first = inner.map(|inner| split(inner, "||").into_iter().next().unwrap_or_default());
        let condition = first.as_deref().unwrap_or(condition);
        if first.is_some() && condition.starts_with("kind") {
            return;
        }
        let words: Vec<&str> = condition.splitn(3, ' ').collect();
        let [left, operator, value] = words[..] else { return };
        let text = serde_json::from_str::<String>(value).unwrap_or_else(|_| value.to_owned());
        match (left, operator) {
            ("resource.service.name", "=") => self.service = Some(text),
            ("name", "=") => self.operation = Some(text),
            ("status", "=") if value == "error" => self.tags.push("error=true".to_owned()),
            ("kind", "=") => self.tags.push(format!("span.kind={value}")),
            ("duration", ">" | ">=") => self.least = Some(text),
            (key, "=") => {
                if let Some(key) = key.strip_prefix("span.").or_else(|| key.strip_prefix("resource.")) {
                    let plain = !text.is_empty() && !text.contains([' ', '"', '=', '\\']);
                    self.tags.push(format!("{key}={}", if plain { text } else { value.to_owned() }));
                }
            }
            _ => {}
        }
    }
}

/// What stands between braces outside of texts.
fn selectors(query: &str) -> Vec<String> {
    let (mut all, mut current) = (Vec::new(), None::<String>);
    for (c, quoted) in chars(query) {
        match (c, quoted, &mut current) {
            ('{', false, _) => current = Some(String::new()),
            ('}', false, _) => all.extend(current.take()),
            (c, _, Some(current)) => current.push(c),
            _ => {}
        }
    }
    all
}

/// Parts between an operator that stands outside of texts and parentheses.
fn split(text: &str, operator: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0usize);
    for (c, quoted) in chars(text) {
        let Some(last) = parts.last_mut() else { continue };
        last.push(c);
        match c {
            '(' if !quoted => depth = depth.saturating_add(1),
            ')' if !quoted => depth = depth.saturating_sub(1),
            _ if !quoted && depth == 0 && last.ends_with(operator) => {
                last.truncate(last.len().saturating_sub(operator.len()));
                parts.push(String::new());
            }
            _ => {}
        }
    }
    parts.iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// Characters, and whether they are part of a text.
fn chars(text: &str) -> impl Iterator<Item = (char, bool)> {
    let (mut quoted, mut escaped) = (false, false);
    text.chars().map(move |c| {
        let within = quoted;
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        (c, within || quoted)
    })
}

#[cfg(test)]
mod tests {
    use super::super::cfg::Settings;
    use super::super::context::Context;
    use super::super::document::Text;
    use super::super::steps;
    use super::super::testing::shop;
    use super::*;

    #[test]
    fn steps_search_in_jaeger_where_all_traces_came_from_there() {
        let settings = Settings::default();
        let mut snapshot = shop();
        let language = |sources: &[&str], snapshot: &mut crate::topology::Snapshot| {
            snapshot.provenance.sources = sources.iter().map(|s| (*s).to_owned()).collect();
            let context = Context::new(snapshot, &[], &[], &settings);
            let query = "{ resource.service.name = \"a\" }".to_owned();
            steps::traceql(&context, Text::words("Look"), query).language
        };
        assert_eq!(language(&["jaeger://j:16685"], &mut snapshot), "text");
        assert_eq!(language(&["jaeger://j:16685", "tempo://t:9095"], &mut snapshot), "traceql");
        assert_eq!(language(&[], &mut snapshot), "traceql");
    }

    #[test]
    fn conditions_become_fields_of_the_form() {
        let query = r#"{ resource.service.name = "check out" && resource.service.namespace = "shop" && kind = server && status = error && duration >= 1.5s } | rate() by (name)"#;
        let want = "Jaeger search\nService       check out\nTags          service.namespace=shop span.kind=server error=true\nMin Duration  1.5s";
        assert_eq!(search(query).unwrap(), want);
        let edge = r#"{ resource.service.name = "a" && kind = client && (span.db.system.name = "x y" || span.db.system = "x y") } > { resource.service.name = "b" && kind = server } | rate()"#;
        let want = "Jaeger search\nService       a\nTags          span.kind=client db.system.name=\"x y\"\nLook for      spans of b in them";
        assert_eq!(search(edge).unwrap(), want);
    }

    #[test]
    fn a_name_cannot_add_a_condition_and_without_a_service_there_is_no_form() {
        let query = r#"{ resource.service.name = "a\" && name = \"x } | (" && name = "GET && {" && (kind = server || kind = consumer) }"#;
        let want = "Jaeger search\nService       a\" && name = \"x } | (\nOperation     GET && {";
        assert_eq!(search(query).unwrap(), want);
        assert_eq!(search("{ status = error } | rate()"), None);
        assert_eq!(search("{ resource.service.name =~ \"a.*\" }"), None);
    }
}
