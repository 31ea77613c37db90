//! Ready-made ignore rules: which operation names are probes and scrapes.
//!
//! Tables of paths and one function each, so that what is meant can be read. Names that a business might use for itself
//! (`/status`, `/ready`, `/ping`) are not in them: `topology.ignore_operations` takes those.

use super::cfg::Preset;

/// Last parts of a path that nothing but a probe is called.
const PROBE_ENDS: [&str; 6] = ["healthz", "livez", "readyz", "startupz", "healthcheck", "health-check"];

/// Whole paths that are probes: Kubernetes and .NET habits, Spring Boot, Quarkus and `MicroProfile`, Prometheus, Envoy.
const PROBE_PATHS: [&str; 22] = [
    "/health",
    "/health/live",
    "/health/liveness",
    "/health/ready",
    "/health/readiness",
    "/health/started",
    "/health/startup",
    "/health_check",
    "/alive",
    "/liveness",
    "/readiness",
    "/actuator/health",
    "/actuator/health/liveness",
    "/actuator/health/readiness",
    "/q/health",
    "/q/health/live",
    "/q/health/ready",
    "/q/health/started",
    "/q/health/well",
    "/-/healthy",
    "/-/ready",
    "/_health",
];

/// gRPC's health checking protocol, as `Health/Check` and `Health/Watch` are spelled.
const HEALTH_SERVICE: &str = "grpc.health.v1.Health";

/// Paths that Prometheus scrapes.
const SCRAPE_PATHS: [&str; 5] = ["/metrics", "/-/metrics", "/actuator/prometheus", "/q/metrics", "/federate"];

/// Whether a preset leaves this operation out.
pub(super) fn ignores(preset: Preset, operation: &str) -> bool {
    match preset {
        Preset::HealthChecks => is_health_check(operation),
        Preset::MetricsScrapes => SCRAPE_PATHS.contains(&path(operation)),
    }
}

fn is_health_check(operation: &str) -> bool {
    let path = path(operation);
    let in_service = |rest: &str| rest.starts_with(['/', '.']);
    let grpc = path.trim_start_matches('/').strip_prefix(HEALTH_SERVICE).is_some_and(in_service);
    let ends = path.rsplit('/').next().is_some_and(|end| PROBE_ENDS.contains(&end)) && path.contains('/');
    grpc || ends || PROBE_PATHS.contains(&path) || operation.starts_with("kube-probe")
}

/// `/healthz` of `GET /healthz`, `HTTP GET /healthz/?verbose`: the last word, without query and closing slashes.
fn path(operation: &str) -> &str {
    let last = operation.trim().rsplit(' ').next().unwrap_or("");
    last.split(['?', '#']).next().unwrap_or("").trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_told_from_business_by_their_paths() {
        for probe in [
            "GET /healthz",
            "/healthz",
            "HTTP GET /readyz?verbose",
            "GET /api/v1/livez/",
            "GET /health",
            "GET /actuator/health/liveness",
            "grpc.health.v1.Health/Check",
            "/grpc.health.v1.Health/Watch",
            "grpc.health.v1.Health.Check",
            "GET /-/ready",
            "kube-probe/1.31",
        ] {
            assert!(ignores(Preset::HealthChecks, probe), "{probe}");
            assert!(!ignores(Preset::MetricsScrapes, probe), "{probe}");
        }
        for business in [
            "GET /patients/{id}/health",
            "GET /healthcare",
            "healthz",
            "GET /health/records",
            "shop.HealthInsurance/Check",
            "grpc.health.v1.HealthRecords/Get",
            "GET /status",
            "GET",
            "",
            "/",
        ] {
            assert!(!ignores(Preset::HealthChecks, business), "{business}");
        }
        assert!(
            ignores(Preset::MetricsScrapes, "GET /metrics") && ignores(Preset::MetricsScrapes, "/actuator/prometheus")
        );
        assert!(!ignores(Preset::MetricsScrapes, "GET /metrics/{id}"));
    }
}
