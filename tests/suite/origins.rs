//! Where errors begin: 54 small incidents with one planted origin each (`examples/incidents/world/origins.rs`): a leaf that
//! fails, a retry that succeeds, a fallback, a caller that times out, a swallowed error, one that only the child marks; at
//! three depths, in three ways of naming.

#[path = "../../examples/incidents/world/mod.rs"]
#[allow(dead_code, unused_imports, unreachable_pub, reason = "the example uses the rest")]
mod world;

use tracebook::spans::Weight;
use tracebook::topology::{Origin, OriginKind, OriginStep, Snapshot, codec};
use world::origins::{Planted, Plot};

use crate::harness::Case;

fn id(service: &str) -> String {
    format!("demo/{service}")
}

fn services(steps: &[OriginStep]) -> Vec<&str> {
    let mut all: Vec<&str> = steps.iter().map(|step| step.service.0.as_str()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn check(planted: &Planted) {
    let name = &planted.name;
    let case = Case::empty()
        .file("base.jsonl", &planted.base)
        .file("head.jsonl", &planted.head)
        .run("capture --from head.jsonl --output head.snapshot.json")
        .expect_exit(0);
    let snapshot: Snapshot = codec::decode(case.text("head.snapshot.json").as_bytes()).unwrap();
    let [origin]: &[Origin] = &snapshot.origins else { panic!("{name}: {:?}", snapshot.origins) };
    // A time-out begins where the work was still going on; who stopped waiting is told with it.
    let at = planted.slow.unwrap_or(planted.service);
    assert_eq!(origin.service.0, id(at), "{name}");
    assert_eq!(origin.calls, Weight::whole(planted.failed), "{name}");
    if planted.plot == Plot::CallerTimeout {
        assert_eq!(origin.kind, OriginKind::TimedOut, "{name}");
        assert_eq!(services(&origin.gave_up), [id(planted.service)], "{name}");
    } else {
        assert_eq!((origin.kind, origin.operation.as_str()), (OriginKind::Failed, planted.span), "{name}");
    }
    let reached = if planted.reaches_user { planted.failed } else { 0 };
    assert_eq!(origin.reached_entry, Weight::whole(reached), "{name}");
    // Services above the origin that failed with it.
    let climbed = services(&origin.climbed);
    let above: Vec<&str> = climbed.into_iter().filter(|service| *service != id(at)).collect();
    let mut chain: Vec<String> =
        planted.services.iter().rev().skip_while(|s| **s != at).skip(1).map(|s| id(s)).collect();
    chain.truncate(planted.climbed + usize::from(planted.plot == Plot::CallerTimeout));
    chain.sort_unstable();
    // The caller whose call failed is in the list although its own operation may have coped.
    let own: Vec<&str> = above.iter().copied().filter(|s| chain.iter().any(|c| c == s)).collect();
    assert_eq!(own, chain, "{name}");
    assert_eq!(origin.coped.is_empty(), planted.reaches_user, "{name}: {:?}", origin.coped);
    assert_eq!(origin.exemplars.len(), 3.min(planted.failed as usize), "{name}");

    let answer = case.run("diff base.jsonl head.jsonl --format json --fail-on never").expect_exit(0).stdout();
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let first = &answer["culprits"][0];
    assert_eq!(first["service"], id(at), "{name}: {}", answer["culprits"]);
    assert_eq!((&first["rank"], &first["reported"]), (&1.into(), &true.into()), "{name}");
}

#[test]
fn every_planted_origin_is_named_and_its_way_up_is_told() {
    let mut n = 0;
    for planted in world::origins::planted(7) {
        check(&planted.unwrap());
        n += 1;
    }
    assert_eq!(n, 54);
}
