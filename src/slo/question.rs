//! Queries of external objectives: what is asked of a Prometheus about which service.
//!
//! In the value of a label matcher `{service}` and `{namespace}` stand for the service. Input: PromQL as configured, a name from
//! traces. Output: PromQL. Must not: let a name end its string, or mean anything but itself in a regular expression.

/// What stands for the service, and whether it is its name (else its namespace).
const PLACES: [(&str, bool); 2] = [("{service}", true), ("{namespace}", false)];

/// A query, taken apart.
enum Piece<'a> {
    Text(&'a str),
    /// In a string between such quotes; of a regular expression or not.
    Place {
        service: bool,
        quote: char,
        regex: bool,
    },
}

/// Where the scan is.
#[derive(Clone, Copy)]
enum At {
    Code,
    Comment,
    /// In a string; `None`: not one that names may be put into.
    String {
        quote: char,
        regex: Option<bool>,
    },
}

/// Checks a query for one service, or for each that fits a pattern. The error is (what is wrong, what to write instead).
pub(super) fn check(query: &str, pattern: bool) -> Result<(), (&'static str, &'static str)> {
    const QUOTED: &str = "write it as the value of a label in double quotes: up{job=\"{service}\"}";
    let pieces = pieces(query).ok_or(("{service} and {namespace} stand only for values of labels", QUOTED))?;
    let named = pieces.iter().any(|piece| matches!(piece, Piece::Place { service: true, .. }));
    if pattern && !named {
        return Err((
            "the query is the same for every service the pattern fits, so each would be given the value of all",
            "name the service in the query by {service}, as in up{job=\"{service}\"}, or write an objective for one service",
        ));
    }
    Ok(())
}

/// The query for one service.
pub(super) fn fill(query: &str, name: &str, namespace: &str) -> String {
    let Some(pieces) = pieces(query) else { return query.to_owned() };
    let mut out = String::with_capacity(query.len());
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Place { service, quote, regex } => {
                quoted(&mut out, if service { name } else { namespace }, quote, regex);
            }
        }
    }
    out
}

/// Appends a name as part of a string literal of PromQL, whose escapes are those of Go.
fn quoted(out: &mut String, name: &str, quote: char, regex: bool) {
    for c in name.chars() {
        if regex && "\\.+*?()|[]{}^$".contains(c) {
            out.push_str("\\\\");
        }
        match c {
            '\\' => out.push_str("\\\\"),
            _ if c == quote => out.extend(['\\', c]),
            _ if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => out.push(c),
        }
    }
}

/// `None` when something stands for a service where no name can be put.
fn pieces(query: &str) -> Option<Vec<Piece<'_>>> {
    let (mut pieces, mut at, mut text) = (Vec::new(), At::Code, 0);
    // The last sign of the code that is no blank: it tells what a string is the value of.
    let mut before = ' ';
    let mut i = 0;
    while let Some(rest) = query.get(i..)
        && let Some(c) = rest.chars().next()
    {
        let place = PLACES.iter().find(|(place, _)| rest.starts_with(place));
        if let (Some((place, service)), false) = (place, matches!(at, At::Comment)) {
            let At::String { quote, regex: Some(regex) } = at else { return None };
            pieces.extend([Piece::Text(query.get(text..i)?), Piece::Place { service: *service, quote, regex }]);
            i = i.saturating_add(place.len());
            text = i;
            continue;
        }
        let mut step = c.len_utf8();
        at = match (at, c) {
            (At::Code, '#') => At::Comment,
            (At::Code, '"' | '\'' | '`') => {
                let regex = (c != '`' && matches!(before, '=' | '~')).then_some(before == '~');
                At::String { quote: c, regex }
            }
            (At::Comment, '\n') => At::Code,
            (At::String { quote, .. }, _) if c == quote => At::Code,
            (At::String { quote, .. }, '\\') if quote != '`' => {
                step = step.saturating_add(rest.chars().nth(1).map_or(0, char::len_utf8));
                at
            }
            _ => at,
        };
        if matches!(at, At::Code) && !c.is_whitespace() {
            before = c;
        }
        i = i.saturating_add(step);
    }
    pieces.push(Piece::Text(query.get(text..)?));
    Some(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_put_where_a_label_has_its_value() {
        let query = "up{job=\"{namespace}/{service}\", pod =~ '{service}-.*', a!=\"x\\\"\"} # {service}";
        assert_eq!(check(query, true), Ok(()));
        assert_eq!(fill(query, "cart", "shop"), "up{job=\"shop/cart\", pod =~ 'cart-.*', a!=\"x\\\"\"} # {service}");
        assert_eq!(fill("up{namespace=\"{namespace}\"}", "cart", ""), "up{namespace=\"\"}");
        assert_eq!(fill("avg(up)", "cart", "shop"), "avg(up)");
    }

    #[test]
    fn a_name_means_itself_and_never_ends_its_string() {
        let odd = "a\"} or vector(0) # .*\\d'\n\u{7}";
        let plain = fill("up{job=\"{service}\"}", odd, "");
        assert_eq!(plain, "up{job=\"a\\\"} or vector(0) # .*\\\\d'\\u000a\\u0007\"}");
        let regex = fill("up{job=~'{service}-[0-9]+'}", odd, "");
        assert_eq!(regex, "up{job=~'a\"\\\\} or vector\\\\(0\\\\) # \\\\.\\\\*\\\\\\\\d\\'\\u000a\\u0007-[0-9]+'}");
    }

    #[test]
    fn a_place_that_takes_no_name_is_refused() {
        for query in [
            "up{service}",
            "up{job=`{service}`}",
            "label_replace(up, \"a\", \"{service}\", \"b\", \"c\")",
            "{service}_up",
            "up{job=\"a\"} > {namespace}",
            "# comment\n{service}",
        ] {
            assert!(check(query, false).is_err(), "{query}");
            assert_eq!(fill(query, "x", "y"), query);
        }
        assert!(check("sum(up)", false).is_ok());
        assert!(check("sum(up)", true).unwrap_err().0.contains("same for every service"));
        assert!(check("up{n=\"{namespace}\"}", true).is_err(), "a namespace has many services");
        // An open string, or nothing at all, is for Prometheus to refuse.
        for odd in ["up{job=\"{service}", "", "\\", "\"\\", "é{service"] {
            fill(odd, "x", "y");
        }
    }
}
