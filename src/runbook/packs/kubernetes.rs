//! Kubernetes, by `kubectl`. Facts: `k8s.namespace.name` and the workload (`k8s.deployment.name`,
//! `k8s.statefulset.name`, `k8s.daemonset.name`, or derived from `k8s.pod.name`).

use super::Page::{Custom, Dependency, Errors, Failover, Latency, Oom, Pipeline};
use super::{Facts, Pack, Page, Recipe, Relevance, Slot};

pub(super) static PACK: Pack = Pack { name: "kubernetes", relevance, recipes: RECIPES };

fn relevance(facts: &Facts<'_>, page: Page) -> Relevance {
    Relevance::of_a_service(facts, page, facts.has_prefix("k8s."))
}

const RECIPES: &[Recipe] = &[
    Recipe {
        on: &[Latency, Errors, Dependency, Pipeline, Oom, Custom],
        slot: Slot::Changed,
        title: "See whether a release was rolled out",
        command: "kubectl -n {{k8s.namespace.name}} rollout history {{k8s.workload}}\nkubectl -n {{k8s.namespace.name}} rollout status {{k8s.workload}} --timeout=5s",
        expect: "No revision that appeared when the trouble began, and no rollout under way.",
        otherwise: "A revision of that time is the first suspect: compare versions in the traces, then see Remediation.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Latency, Errors, Dependency, Pipeline, Oom, Failover, Custom],
        title: "Look at its pods",
        command: "kubectl -n {{k8s.namespace.name}} get pods -o wide | grep -F -e {{k8s.workload.name}}",
        expect: "Every pod Running, all containers ready, no restart since the trouble began, pods spread over nodes.",
        otherwise: "Restarts or CrashLoopBackOff: read the logs of the previous container. Pending: read the events. All on one node: look at that node.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Oom],
        title: "See which containers were killed for memory",
        command: r#"kubectl -n {{k8s.namespace.name}} get pods -o jsonpath='{range .items[*]}{.metadata.name}{range .status.containerStatuses[*]}{"\t"}{.name}{" "}{.lastState.terminated.reason}{" restarts="}{.restartCount}{end}{"\n"}{end}' | grep -F -e {{k8s.workload.name}}"#,
        expect: "No line with OOMKilled.",
        otherwise: "OOMKilled: compare the limit with the use in the next steps. Error: it was not memory, read the logs of the previous container.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Oom],
        title: "Read the memory limits it runs with",
        command: r#"kubectl -n {{k8s.namespace.name}} get {{k8s.workload}} -o jsonpath='{range .spec.template.spec.containers[*]}{.name}{"\t"}{.resources}{"\n"}{end}'"#,
        expect: "A memory limit comfortably above the normal use.",
        otherwise: "Limit near normal use: raise it in the chart or manifest the team deploys from, not by hand. Limit far above: a leak or one huge request; the slowest traces show which.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Latency, Errors, Dependency, Oom, Pipeline],
        title: "Look at CPU and memory by container",
        command: "kubectl -n {{k8s.namespace.name}} top pods --containers | grep -F -e {{k8s.workload.name}}",
        expect: "CPU and memory well below their limits, and alike on all pods.",
        otherwise: "At the CPU limit: it is throttled, and that alone makes it slow. Memory near its limit: expect OOM kills. One pod apart from the others: it alone is ill, or traffic is not balanced.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Errors, Dependency, Oom, Failover, Custom],
        title: "Read the recent events of the namespace",
        command: "kubectl -n {{k8s.namespace.name}} get events --sort-by=.lastTimestamp | tail -n 30",
        expect: "Nothing but normal scheduling.",
        otherwise: "Failed probes, evictions, image pulls or node trouble name the cause and the object.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Errors, Dependency, Pipeline, Oom, Custom],
        title: "Read its log",
        command: "kubectl -n {{k8s.namespace.name}} logs {{k8s.workload}} --since=15m --tail=200",
        expect: "No errors that did not occur before.",
        otherwise: "Take the first new error, not the most frequent: the others often follow from it.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Latency, Errors, Dependency, Pipeline, Oom],
        slot: Slot::Fix,
        title: "Roll back the last release",
        command: "kubectl -n {{k8s.namespace.name}} rollout undo {{k8s.workload}}\nkubectl -n {{k8s.namespace.name}} rollout status {{k8s.workload}} --timeout=5m",
        expect: "The rollout finishes, and the figures of Verification recover within minutes.",
        precondition: "A release was rolled out shortly before the trouble, and the revision before it still fits the present schema and configuration. Where Helm or GitOps owns the workload, roll back there, or it will be set forward again.",
        undo: "The same command again returns to the revision it left.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Latency, Errors, Dependency, Pipeline, Oom],
        slot: Slot::Fix,
        title: "Restart it, pod by pod",
        command: "kubectl -n {{k8s.namespace.name}} rollout restart {{k8s.workload}}\nkubectl -n {{k8s.namespace.name}} rollout status {{k8s.workload}} --timeout=5m",
        expect: "New pods become ready one after the other; the figures of Verification recover.",
        precondition: "The cause lies in the state of the processes (leak, stuck connections), not in what they call. Keep the log of one ill pod first: it is gone afterwards. Stop if the first new pod does not become ready.",
        undo: "None needed: the same image and configuration start again.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Latency, Pipeline],
        slot: Slot::Fix,
        title: "Add one replica",
        command: "kubectl -n {{k8s.namespace.name}} get hpa\nkubectl -n {{k8s.namespace.name}} scale {{k8s.scalable}} --replicas=\"$(( $(kubectl -n {{k8s.namespace.name}} get {{k8s.scalable}} -o jsonpath='{.spec.replicas}') + 1 ))\"",
        expect: "One more ready pod, and CPU per pod falls.",
        precondition: "The time is spent in this service itself and its CPU is at its limit; no autoscaler in the first list owns it; what it calls can take more load.",
        undo: "The same command with - 1 instead of + 1.",
        ..Recipe::BLANK
    },
];
