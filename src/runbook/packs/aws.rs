//! Amazon ECS and RDS, by `aws`. Facts: `aws.ecs.cluster.arn` with `aws.ecs.service`; `aws.rds.instance`,
//! `aws.rds.replica`.

use super::Page::{Custom, Dependency, Errors, Failover, Latency, Oom, Pipeline, ReplicaLag};
use super::{Facts, Pack, Page, Recipe, Relevance, Slot};
use crate::topology::NodeKind;

/// ECS for services, RDS for databases: which recipes apply is decided by the facts they need, so that a service does
/// not ask for an RDS instance.
pub(super) static PACK: Pack = Pack { name: "aws", relevance, recipes: RECIPES };

fn relevance(facts: &Facts<'_>, page: Page) -> Relevance {
    match facts.kind() {
        NodeKind::Service if matches!(page, Page::Certificate | Page::ReplicaLag | Page::Failover) => Relevance::No,
        NodeKind::Service if facts.has_prefix("aws.ecs.") => Relevance::Yes,
        NodeKind::Database if !matches!(page, Page::ReplicaLag | Page::Failover) => Relevance::No,
        NodeKind::Database if facts.has_prefix("aws.rds.") => Relevance::Yes,
        _ => Relevance::No,
    }
}

const RECIPES: &[Recipe] = &[
    Recipe {
        on: &[Latency, Errors, Dependency, Pipeline, Oom, Custom],
        slot: Slot::Changed,
        title: "See deployments and running tasks",
        command: "aws ecs describe-services --cluster {{aws.ecs.cluster.arn}} --services {{aws.ecs.service}} --query 'services[0].{status:status,desired:desiredCount,running:runningCount,deployments:deployments[].{task:taskDefinition,state:rolloutState,created:createdAt}}'",
        expect: "One deployment, older than the trouble, and as many tasks running as desired.",
        otherwise: "A deployment of that time is the first suspect. Fewer tasks than desired: see the events.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Latency, Errors, Dependency, Pipeline, Oom, Custom],
        title: "Read the events of the service",
        command: "aws ecs describe-services --cluster {{aws.ecs.cluster.arn}} --services {{aws.ecs.service}} --query 'services[0].events[:10].[createdAt,message]' --output text",
        expect: "Steady state.",
        otherwise: "Failed health checks, tasks stopped or capacity missing name the cause.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Latency, Errors, Dependency, Pipeline, Oom],
        slot: Slot::Fix,
        title: "Replace its tasks by new ones",
        command: "aws ecs update-service --cluster {{aws.ecs.cluster.arn}} --service {{aws.ecs.service}} --force-new-deployment",
        expect: "A new deployment that completes, and the figures of Verification recover.",
        precondition: "The cause lies in the state of the tasks, not in what they call. A task definition with a moving image tag may start another version.",
        undo: "None needed while the image is the same; otherwise deploy the task definition shown before.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[ReplicaLag, Failover],
        title: "See the state of the database instance",
        command: "aws rds describe-db-instances --db-instance-identifier {{aws.rds.instance}} --query 'DBInstances[0].[DBInstanceStatus,AvailabilityZone,MultiAZ,ReadReplicaDBInstanceIdentifiers]'",
        expect: "available, with the replicas you know of.",
        otherwise: "Any other state: read its events with aws rds describe-events before doing anything.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Failover],
        slot: Slot::Fix,
        title: "Promote the read replica",
        command: "aws rds promote-read-replica --db-instance-identifier {{aws.rds.replica}}\naws rds wait db-instance-available --db-instance-identifier {{aws.rds.replica}}",
        expect: "The replica becomes available as a writer.",
        precondition: "The loss of the writer's region is confirmed and declared by the incident lead. What the replica had not received is lost: note its lag first.",
        undo: "Cannot be undone: the old writer must be rebuilt as a replica of the new one.",
        ..Recipe::BLANK
    },
];
