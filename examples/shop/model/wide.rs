//! Spans as wide as those of a well instrumented system: exactly eight attributes each, and eight on each resource.
//!
//! What instrumentations write stays; the rest is filled up with attributes that agents, runtimes and applications add,
//! none of which says anything about the topology. Nothing is drawn for it, so a wide system behaves as the narrow one does.

use super::span::{Attributes, Kind, Value};

use Value::{Int, Static, Text};

/// Attributes of a span, and of a resource.
pub(super) const WIDTH: usize = 8;

/// Resource attributes in order of preference.
const RESOURCE: [&str; WIDTH + 1] = [
    "service.name",
    "service.namespace",
    "service.version",
    "service.instance.id",
    "deployment.environment.name",
    "cloud.region",
    "k8s.cluster.name",
    "k8s.pod.name",
    // Where there is no namespace.
    "telemetry.sdk.language",
];

const FUNCTIONS: [&str; 4] =
    ["shop.api.Handler.serve", "shop.client.Pool.acquire", "shop.core.Pipeline.run", "shop.io.Codec.decode"];
const FILES: [&str; 4] =
    ["src/api/handler.ts", "src/client/connection_pool.ts", "src/core/pipeline.ts", "src/io/codec.ts"];

/// Fills the attributes of a span up to eight. `id` stands for whatever differs from span to span.
pub(super) fn span(attributes: &mut Attributes, kind: Kind, id: u64) {
    let pick = usize::try_from(id >> 16 & 3).unwrap_or(0);
    let [thread, line] = [id & 31, id >> 24 & 511].map(|n| i64::try_from(n).unwrap_or(0) + 1);
    let uuid = || format!("{:08x}-{:04x}-4{:03x}-9f21-0242ac{:06x}", id >> 32, id & 0xffff, id >> 4 & 0xfff, id >> 40);
    let filling: [&dyn Fn() -> (&'static str, Value); WIDTH] = [
        &|| ("session.id", Text(uuid())),
        &|| ("code.function.name", Static(FUNCTIONS[pick])),
        &|| ("thread.name", Text(format!("worker-pool-{thread}"))),
        &|| ("code.file.path", Static(FILES[pick])),
        &|| ("thread.id", Int(thread)),
        &|| ("code.line.number", Int(line)),
        &|| ("app.request.priority", Static(if id & 1 == 0 { "normal" } else { "interactive" })),
        &|| ("app.tenant.tier", Static(if kind == Kind::Internal { "standard" } else { "enterprise" })),
    ];
    attributes.truncate(WIDTH);
    let missing = WIDTH - attributes.len();
    attributes.extend(filling.iter().take(missing).map(|attribute| attribute()));
}

/// Leaves eight attributes of a resource.
pub(super) fn resource(attributes: &mut Attributes) {
    attributes.retain(|(key, _)| RESOURCE.contains(key));
    attributes.truncate(WIDTH);
}
