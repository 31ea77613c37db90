//! Layers of one call: CLIENT spans nested in each other within one service, of which only one should count.
//!
//! An SDK's span around an HTTP client's span, a retry loop around its attempts, a database driver above its socket: all
//! are CLIENT spans, one network call apart. The layer that says most about the other end tells the call.

use super::identity::Fate;
use super::snapshot::KnownBy;
use super::trace::{Parent, Span};
use crate::spans::PeerKind;

/// What became of a span.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Role {
    /// Somebody answers it: a child across the network.
    pub(super) answered: bool,
    /// How much the calls it makes within its own service, other layers of the same call, say about the other end.
    pub(super) inner: Option<Says>,
    /// How a publish is known, and a topic some receiver named.
    pub(super) publish: Option<(KnownBy, u32)>,
}

/// How much a calling span says about the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Says {
    Nothing,
    Address,
    Name,
    Answer,
}

fn says(span: &Span<'_>, role: &Role) -> Says {
    match span.peer.map_or(PeerKind::None, |p| p.kind) {
        _ if role.answered => Says::Answer,
        PeerKind::None => Says::Nothing,
        PeerKind::External => Says::Address,
        PeerKind::Database | PeerKind::Messaging | PeerKind::Service => Says::Name,
    }
}

/// Notes for each calling span of this fate how much the calls right below it in its own service say.
#[inline(never)]
pub(super) fn note_layers(spans: &[Span<'_>], roles: &mut [Role], fate: Fate) {
    for (at, span) in spans.iter().enumerate() {
        if span.fate != fate || !span.row.kind.calls_out() {
            continue;
        }
        let Parent::At(above) = span.parent else { continue };
        let outer = spans.get(above).filter(|p| p.row.kind.calls_out() && p.node == span.node && p.fate == fate);
        let (Some(_), Some(role)) = (outer, roles.get(at)) else { continue };
        let inner = says(span, role);
        if let Some(role) = roles.get_mut(above) {
            role.inner = role.inner.max(Some(inner));
        }
    }
}

/// Whether this unanswered span is one layer of a call that another layer tells better: a wrapper around calls that say
/// at least as much, or the transport below a call that says more. Two layers that both name a database or topic count
/// one call each, as given.
pub(super) fn another_layer_counts(spans: &[Span<'_>], roles: &[Role], span: &Span<'_>, role: &Role) -> bool {
    let own = says(span, role);
    let is_service = span.peer.is_some_and(|peer| peer.kind == PeerKind::Service);
    if role.inner.is_some_and(|inner| (own <= Says::Address && inner >= own) || (is_service && inner == Says::Answer)) {
        return true;
    }
    let Parent::At(above) = span.parent else { return false };
    let outer = spans.get(above).zip(roles.get(above));
    outer.is_some_and(|(outer, role)| {
        let same = outer.fate == span.fate && outer.row.kind.calls_out() && outer.node == span.node;
        same && own <= Says::Address && says(outer, role) > own
    })
}
