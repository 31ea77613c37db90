//! The Tempo source against servers that speak the real wire: one that replays a recorded exchange, one that plays a
//! Tempo with limits and faults, and, where it is given, a live one.

#[path = "tempo/live.rs"]
mod live;
#[path = "tempo/support.rs"]
mod support;
