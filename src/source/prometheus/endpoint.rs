//! Which address a URL means.
//!
//! | URL | HTTP |
//! |---|---|
//! | `prometheus://host` | `http://host:9090` |
//! | `prometheus://host:PORT/prefix` | `http://host:PORT/prefix` (Mimir: `/prometheus`) |
//! | `prometheus+https://host[:PORT][/prefix]` | `https://`, 443 or PORT |
//!
//! A user and password in the URL become Basic authentication and are never shown.

use crate::source::backend::place::Manner;

/// A Prometheus, or what speaks its API.
pub(super) const MANNER: Manner = Manner {
    scheme: "prometheus",
    port: 9090,
    tls: false,
    user: true,
    parameters: &[],
    help: "write prometheus://host:9090, or prometheus+https://host/prefix; Mimir's prefix is /prometheus",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_url_form_gives_its_address() {
        for (from, http, shown) in [
            ("prometheus://p", "http://p:9090/", "prometheus://p:9090"),
            ("prometheus://p:80/prometheus", "http://p/prometheus", "prometheus://p:80"),
            ("prometheus+https://m/prometheus/", "https://m/prometheus/", "prometheus+https://m:443"),
            ("PROMETHEUS+HTTP://[::1]:1", "http://[::1]:1/", "prometheus+http://[::1]:1"),
        ] {
            let endpoint = MANNER.parse(from).unwrap();
            assert!(MANNER.claims(from));
            assert_eq!((endpoint.http.as_str(), endpoint.shown.as_str()), (http, shown), "{from}");
        }
        assert!(!MANNER.claims("tempo://p") && !MANNER.claims("prometheus") && !MANNER.claims("-"));
    }

    #[test]
    fn credentials_are_used_and_never_shown_and_nonsense_is_refused() {
        let endpoint = MANNER.parse("prometheus+https://us%40er:p+w@p/x").unwrap();
        assert_eq!(endpoint.basic, Some(("us@er".to_owned(), "p+w".to_owned())));
        assert!(!endpoint.http.as_str().contains("p+w") && !endpoint.shown.contains("p+w"));
        for from in ["prometheus://", "prometheus://h:x", "prometheus://h?x=1"] {
            assert_eq!(MANNER.parse(from).err().unwrap().code, "source-url", "{from}");
        }
    }
}
