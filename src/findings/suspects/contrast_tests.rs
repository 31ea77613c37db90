//! What stands apart, by literal instances.

use super::*;
use crate::diff::testing::{node, snapshot, stats};

fn instance(attributes: &[(&str, &str)], calls: u64, failed: u64, slow: u64) -> Instance {
    let mut durations = Spread::default();
    (0..calls).for_each(|i| durations.add(if i < slow { 900_000_000 } else { 10_000_000 }, Weight::ONE));
    Instance {
        service: NodeId("api".into()),
        attributes: attributes.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        n: calls,
        calls: Weight::whole(calls),
        errors: Weight::whole(failed),
        durations,
    }
}

fn with(mut instances: Vec<Instance>) -> Snapshot {
    instances.sort_by(|a, b| a.attributes.cmp(&b.attributes));
    let mut all = snapshot(vec![node("api", stats(1_000, 0, 10.0))], vec![], vec![]);
    all.instances = instances;
    all
}

fn told(snapshot: &Snapshot) -> Vec<(Respect, &'static str, String)> {
    all(snapshot).iter().map(|c| (c.respect, c.key, c.value.to_owned())).collect()
}

const POD: &str = "k8s.pod.name";
const REGION: &str = "cloud.region";

#[test]
fn the_pod_that_fails_is_told_once_whatever_else_names_the_same_calls() {
    let pods = |host: &'static str, pod: &'static str, failed: u64| {
        instance(&[("host.name", host), (POD, pod), ("service.version", "1.0")], 100, failed, 0)
    };
    let shop = with(vec![pods("a", "api-1", 0), pods("b", "api-2", 30), pods("c", "api-3", 1)]);
    let found = all(&shop);
    assert_eq!(told(&shop), [(Respect::Failing, POD, "api-2".to_owned())]);
    assert_eq!(found[0].also, [("host.name", "b")]);
    assert_eq!((found[0].this, found[0].rest), (Share { n: 100, share: 0.3 }, Share { n: 200, share: 0.005 }));
    assert!(found[0].p_value < 1e-9);
}

#[test]
fn what_a_larger_place_explains_is_not_told_again_and_what_it_does_not_is() {
    let pod = |region: &str, pod: &str, slow: u64| instance(&[(REGION, region), (POD, pod)], 100, 0, slow);
    let mut pods = vec![pod("us", "us-1", 12), pod("us", "us-2", 13), pod("us", "us-3", 14)];
    pods.extend((0..6).map(|i| pod("eu", &format!("eu-{i}"), 0)));
    let region = (Respect::Slow, REGION, "us".to_owned());
    assert_eq!(told(&with(pods.clone())), [region], "39 of 900 are slow, all of them there");
    let fail = |region: &str, pod: &str, failed: u64| instance(&[(REGION, region), (POD, pod)], 100, failed, 0);
    let mut pods: Vec<Instance> =
        (0..4).map(|i| fail("us", &format!("us-{i}"), if i == 0 { 60 } else { 10 })).collect();
    pods.extend((0..4).map(|i| fail("eu", &format!("eu-{i}"), 0)));
    let mut both: Vec<String> = told(&with(pods)).into_iter().map(|(.., value)| value).collect();
    both.sort();
    assert_eq!(both, ["us", "us-0"], "the region fails, and one pod of it far more");
}

#[test]
fn chance_few_calls_small_differences_and_many_values_are_not_told() {
    let pods = |counts: &[(u64, u64)]| {
        let pod = |(i, (calls, failed)): (usize, &(u64, u64))| instance(&[(POD, &format!("p{i}"))], *calls, *failed, 0);
        with(counts.iter().enumerate().map(pod).collect())
    };
    for quiet in [
        pods(&[(100, 3), (100, 5), (100, 4)]),
        pods(&[(19, 19), (1_000, 0)]),
        pods(&[(100_000, 900), (100_000, 10)]),
        pods(&[(10_000, 1_900), (10_000, 1_000)]),
        pods(&(0..21).map(|i| (100, if i == 0 { 90 } else { 0 })).collect::<Vec<_>>()),
        with(vec![
            instance(&[("service.owner.name", "Ann")], 100, 90, 90),
            instance(&[("service.owner.name", "Bo")], 100, 0, 0),
        ]),
        with(vec![]),
    ] {
        assert_eq!(told(&quiet), []);
    }
    assert_eq!(told(&pods(&[(100, 40), (1_000, 0)])).len(), 1);
}
