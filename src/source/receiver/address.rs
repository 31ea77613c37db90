//! Where to listen: `otlp://HOST:PORT`.

use crate::diag::{Diagnostic, Location};

/// The port that exporters send OTLP over gRPC to.
const USUAL_PORT: u16 = 4317;

/// Whether a source is one to listen for.
#[must_use]
pub fn claims(from: &str) -> bool {
    from.split_once("://").is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("otlp"))
}

/// The address as messages and provenance show it: no user, password, path or query.
#[must_use]
pub fn shown(from: &str) -> String {
    parse(from).map_or_else(|_| "otlp://".to_owned(), |(host, port)| format!("otlp://{}:{port}", bracketed(&host)))
}

/// Host and port.
///
/// # Errors
/// `source-url` when there is anything else in it, or no host.
pub(super) fn parse(from: &str) -> Result<(String, u16), Diagnostic> {
    // Nothing of the address is repeated: it may hold a password.
    let refused = |why: &str| {
        Diagnostic::error("source-url", format!("an address to listen at is written otlp://HOST:PORT: {why}"))
            .at(Location::file("otlp://"))
            .help("e.g. otlp://127.0.0.1:4317, or otlp://0.0.0.0:4317 to be reached from elsewhere")
    };
    let url = url::Url::parse(from).map_err(|e| refused(&e.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("it takes no user or password"));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(refused("nothing may follow the port"));
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| refused("the host is missing"))?;
    Ok((host.trim_matches(['[', ']']).to_owned(), url.port().unwrap_or(USUAL_PORT)))
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for (from, want) in [
            ("otlp://127.0.0.1:4317", ("127.0.0.1", 4317)),
            ("otlp://localhost", ("localhost", 4317)),
            ("OTLP://[::1]:9/", ("::1", 9)),
            ("otlp://0.0.0.0:0", ("0.0.0.0", 0)),
        ] {
            assert!(claims(from), "{from}");
            assert_eq!(parse(from).unwrap(), (want.0.to_owned(), want.1), "{from}");
        }
        assert_eq!(shown("otlp://[::1]:9/"), "otlp://[::1]:9");
        assert!(!claims("tempo://a:4317") && !claims("otlp"));
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        for from in ["otlp://ann:s3cret@h:1", "otlp://h:1/s3cret", "otlp://h?s3cret", "otlp://:4317", "otlp://h:99999"]
        {
            let refused = parse(from).unwrap_err();
            assert_eq!(refused.code, "source-url", "{from}");
            assert!(!refused.to_string().contains("s3cret"), "{refused}");
            assert!(!shown(from).contains("s3cret"));
        }
    }
}
