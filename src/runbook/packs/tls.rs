//! Certificates, by `openssl` and cert-manager. Facts: `tls.host`; `cert-manager.certificate` with `k8s.namespace.name`.

use super::Page::Certificate;
use super::{Facts, Pack, Page, Recipe, Relevance, Slot};

pub(super) static PACK: Pack = Pack { name: "tls", relevance, recipes: RECIPES };

fn relevance(_: &Facts<'_>, page: Page) -> Relevance {
    if page == Page::Certificate { Relevance::Yes } else { Relevance::No }
}

const RECIPES: &[Recipe] = &[
    Recipe {
        on: &[Certificate],
        title: "Read the certificate that is really served",
        command: "echo | openssl s_client -connect {{tls.host}}:443 -servername {{tls.host}} 2>&1 | openssl x509 -noout -subject -issuer -startdate -enddate -ext subjectAltName",
        expect: "The name you called among the alternative names, and an end date beyond the limit of the trigger.",
        otherwise: "Near or past its end: renew it. A newer one exists but the old is served: whatever terminates TLS has not loaded it.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Certificate],
        title: "See what cert-manager says about it",
        command: "kubectl -n {{k8s.namespace.name}} get certificates.cert-manager.io {{cert-manager.certificate}} -o wide\nkubectl -n {{k8s.namespace.name}} describe certificates.cert-manager.io {{cert-manager.certificate}}\nkubectl -n {{k8s.namespace.name}} get certificaterequests.cert-manager.io,orders.acme.cert-manager.io,challenges.acme.cert-manager.io",
        expect: "READY True, a renewal time in the future, no pending order or challenge.",
        otherwise: "A challenge that stays pending names what the issuer could not reach: DNS, ingress or rate limit.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Certificate],
        slot: Slot::Fix,
        title: "Have cert-manager renew it now",
        command: "cmctl renew -n {{k8s.namespace.name}} {{cert-manager.certificate}}\ncmctl status certificate -n {{k8s.namespace.name}} {{cert-manager.certificate}}",
        expect: "A new certificate request that becomes ready; the served certificate has a new end date.",
        precondition: "The issuer is ready and the challenge can pass; repeated failures run into the authority's rate limits, so do not retry in a loop.",
        undo: "None needed: the old certificate stays valid until its end.",
        ..Recipe::BLANK
    },
];
