//! Which address a URL means: `honeycomb://api.honeycomb.io` and `honeycomb://api.eu1.honeycomb.io` are HTTPS, 443 by default;
//! `honeycomb+http://host:PORT` is for a proxy on this machine.

use url::Url;

use crate::source::backend::place::Manner;

/// Where Honeycomb's API is.
const HOSTS: [&str; 2] = ["api.honeycomb.io", "api.eu1.honeycomb.io"];

/// Honeycomb's API.
pub(in crate::source) const MANNER: Manner = Manner {
    scheme: "honeycomb",
    port: 80,
    tls: true,
    user: false,
    parameters: &[],
    help: "write honeycomb://api.honeycomb.io, or honeycomb://api.eu1.honeycomb.io for the EU; the key goes into HONEYCOMB_API_KEY",
};

/// The source that an address names: a Honeycomb's own form, or any other of a host that is known to be its API.
pub(in crate::source) fn meant(address: &str) -> Option<String> {
    let address = address.trim();
    if MANNER.claims(address) {
        return Some(address.to_owned());
    }
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let host = Url::parse(&format!("https://{rest}")).ok()?.host_str()?.to_owned();
    HOSTS.contains(&host.as_str()).then(|| format!("honeycomb://{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_url_form_gives_its_address_and_a_key_in_it_is_refused() {
        for (from, http, shown) in [
            ("honeycomb://api.honeycomb.io", "https://api.honeycomb.io/", "honeycomb://api.honeycomb.io:443"),
            ("HONEYCOMB+HTTP://[::1]:81", "http://[::1]:81/", "honeycomb+http://[::1]:81"),
        ] {
            let endpoint = MANNER.parse(from).unwrap();
            assert!(MANNER.claims(from));
            assert_eq!((endpoint.http.as_str(), endpoint.shown.as_str()), (http, shown), "{from}");
        }
        for from in [
            "honeycomb://",
            "honeycomb://:s3cret@h",
            "honeycomb://s3cret@h",
            "honeycomb://h?s3cret",
            "honeycomb://h#s3cret",
        ] {
            let refused = MANNER.parse(from).err().unwrap();
            assert!(refused.code == "source-url" && !refused.to_string().contains("s3cret"), "{from}");
        }
        assert!(!MANNER.claims("tempo://h") && !MANNER.claims("honeycomb"));
    }

    #[test]
    fn an_address_of_honeycomb_is_known_whatever_its_form() {
        for (address, from) in [
            ("honeycomb+http://h:1", Some("honeycomb+http://h:1")),
            ("https://api.honeycomb.io", Some("honeycomb://api.honeycomb.io")),
            ("https://API.eu1.honeycomb.io:443/1/events/x", Some("honeycomb://api.eu1.honeycomb.io")),
            ("api.honeycomb.io:443", Some("honeycomb://api.honeycomb.io")),
            ("https://api.honeycomb.io.example.com", None),
            ("https://example.com/api.honeycomb.io", None),
            ("tempo", None),
        ] {
            assert_eq!(meant(address).as_deref(), from, "{address}");
        }
    }
}
