//! The digits of a page that anybody can see, found without reading the page as [`super::page`] does: what that leaves out
//! by mistake shows.

/// Positions of the digits of each line that are not in a comment, a tag, a URL, an entity, or a fence but a diagram's.
pub fn visible(source: &str) -> Vec<Vec<usize>> {
    let (mut comment, mut fence) = (false, None::<(&str, bool)>);
    let mut all = Vec::new();
    for line in source.lines() {
        let text = line.trim();
        let mut hidden = comment || text.starts_with("<!--") || text.starts_with("<a ") || text.starts_with("<details");
        comment = (comment || text.starts_with("<!--")) && !text.contains("-->");
        if let Some(language) = text.strip_prefix("```") {
            fence = if fence.is_some() { None } else { Some((language, line.starts_with(' '))) };
            hidden = true;
        }
        let diagram = fence.is_some_and(|(language, _)| language == "mermaid");
        // A trace that is drawn; what belongs to a step is a command.
        let drawn = fence.is_some_and(|(language, indented)| language == "text" && !indented);
        hidden |= fence.is_some() && !diagram && !drawn;
        all.push(if hidden { Vec::new() } else { of_line(line, diagram) });
    }
    all
}

fn of_line(line: &str, diagram: bool) -> Vec<usize> {
    // Of a diagram only the labels of edges are claims.
    let (from, to) = match (diagram, line.find("|\""), line.rfind("\"|")) {
        (false, _, _) => (0, line.len()),
        (true, Some(from), Some(to)) => (from, to),
        _ => return Vec::new(),
    };
    let digits = line.char_indices().filter(|(at, c)| c.is_ascii_digit() && (from..to).contains(at));
    digits.map(|(at, _)| at).filter(|at| !in_url(line, *at) && !in_entity(line, *at)).collect()
}

/// Between `](` and the next `)`, outside of code.
fn in_url(line: &str, at: usize) -> bool {
    let before = &line[..at];
    before
        .rfind("](")
        .is_some_and(|url| !before[url..].contains([')', '`']) && before[..url].matches('`').count().is_multiple_of(2))
}

/// `#37;`
fn in_entity(line: &str, at: usize) -> bool {
    let digits = |c: char| c.is_ascii_digit();
    line[..at].trim_end_matches(digits).ends_with('#') && line[at..].trim_start_matches(digits).starts_with(';')
}

/// The page with another digit there.
pub fn alter(source: &str, line: usize, at: usize) -> String {
    let altered = |text: &str| {
        let digit = text.as_bytes()[at] - b'0';
        let other = char::from(b'0' + (digit + 5) % 10);
        format!("{}{other}{}", &text[..at], &text[at + 1..])
    };
    let lines = source.lines().enumerate().map(|(i, text)| if i + 1 == line { altered(text) } else { text.to_owned() });
    lines.collect::<Vec<_>>().join("\n")
}
