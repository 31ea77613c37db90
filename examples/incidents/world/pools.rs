//! Workers of pods: a request waits until one is free.
//!
//! Purpose: who waits for a slow callee keeps a worker meanwhile, and other requests, to other places, wait with it. Input:
//! arrivals and ends, not quite in order of time: a request is simulated to its end before the next begins. Output: when
//! an arrival starts. Holds what is under way. Must not: serve somebody who came earlier in time later, because he was
//! simulated later: what is taken in the future does not block the present.

/// Who waits longer is let in all the same: where a queue is that long, others give up.
const LONGEST: u64 = 8_000_000_000;

/// Times at which workers are taken, by pod.
#[derive(Debug, Default)]
pub(crate) struct Pools(Vec<Vec<(u64, u64)>>);

impl Pools {
    pub(crate) fn new(pods: usize) -> Self {
        Self(vec![Vec::new(); pods])
    }

    /// When an arrival at a pod finds a worker. Nobody will ask for a time before `now`.
    pub(crate) fn start(&mut self, pod: usize, workers: usize, at: u64, now: u64) -> u64 {
        let taken = &mut self.0[pod];
        taken.retain(|(_, until)| *until > now);
        let mut busy = taken.iter().filter(|(from, until)| (*from..*until).contains(&at)).count();
        if busy < workers {
            return at;
        }
        // What happens from then on, ends before beginnings.
        let mut events: Vec<(u64, bool)> = Vec::with_capacity(taken.len());
        for &(from, until) in taken.iter() {
            events.extend((from > at).then_some((from, true)));
            events.extend((until > at).then_some((until, false)));
        }
        events.sort_unstable();
        for (position, (time, begins)) in events.iter().enumerate() {
            busy = if *begins { busy + 1 } else { busy - 1 };
            // Who was to follow at that very time goes first.
            let last = events.get(position + 1).is_none_or(|next| next.0 > *time);
            if last && busy < workers {
                return (*time).min(at + LONGEST);
            }
        }
        at
    }

    /// A worker is taken.
    pub(crate) fn take(&mut self, pod: usize, from: u64, until: u64) {
        self.0[pod].push((from, until));
    }
}
