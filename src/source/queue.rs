//! A bounded queue of records between the thread that reads and those that help it decode.
//!
//! Bounded in records and in bytes, and counting a record until it is decoded, so that memory does not follow the number
//! of threads. Whoever finds it full decodes a record himself. Rooms of records go back through it.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::record::Record;

#[derive(Default)]
struct State {
    waiting: VecDeque<Record>,
    /// Bytes waiting and in work.
    bytes: usize,
    closed: bool,
    /// Records that are done with.
    spare: Vec<Record>,
}

/// The queue.
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    /// Records that may wait.
    records: usize,
    budget: usize,
}

/// What became of a record offered.
#[derive(Debug)]
pub(super) enum Offer {
    /// It waits.
    Taken,
    /// There is no room for it.
    Full(Record),
    /// No more records are wanted.
    Closed,
}

impl Queue {
    /// A queue in which some records of at most `budget` bytes in all wait, or one record if that is larger.
    pub(super) fn new(records: usize, budget: usize) -> Self {
        Self { state: Mutex::default(), filled: Condvar::new(), records, budget }
    }

    /// Appends a record if there is room.
    pub(super) fn offer(&self, record: Record) -> Offer {
        let mut state = self.lock();
        if state.closed {
            return Offer::Closed;
        }
        let bytes = state.bytes.saturating_add(record.len());
        if state.waiting.len() >= self.records || (state.bytes > 0 && bytes > self.budget) {
            return Offer::Full(record);
        }
        state.bytes = bytes;
        state.waiting.push_back(record);
        drop(state);
        self.filled.notify_one();
        Offer::Taken
    }

    /// The next record; `None` once the queue is closed and empty. Give it [back](Queue::done) afterwards.
    pub(super) fn pop(&self) -> Option<Record> {
        let state = self.filled.wait_while(self.lock(), |state| state.waiting.is_empty() && !state.closed);
        state.unwrap_or_else(PoisonError::into_inner).waiting.pop_front()
    }

    /// A record was decoded.
    pub(super) fn done(&self, record: Record) {
        let mut state = self.lock();
        state.bytes = state.bytes.saturating_sub(record.len());
        self.keep(&mut state, record);
    }

    /// A record whose room can be used again, or a new one.
    pub(super) fn spare(&self) -> Record {
        self.lock().spare.pop().unwrap_or_default()
    }

    /// A record that never waited is done with.
    pub(super) fn give_back(&self, record: Record) {
        self.keep(&mut self.lock(), record);
    }

    /// Large rooms are let go: together they could hold far more than the budget.
    fn keep(&self, state: &mut State, record: Record) {
        if state.spare.len() <= self.records && record.room() <= self.budget / 16 {
            state.spare.push(record);
        }
    }

    /// Takes no more records; those waiting are still handed out.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_in_order_and_never_more_than_the_budget() {
        let queue = Queue::new(3, 1_600);
        let mut by_hand = Vec::new();
        let mut by_help = Vec::new();
        std::thread::scope(|scope| {
            let helper = scope.spawn(|| {
                let mut seen = Vec::new();
                while let Some(record) = queue.pop() {
                    let state = queue.lock();
                    assert!(state.bytes <= 1_600 && state.waiting.len() <= 3 && state.spare.len() <= 4);
                    drop(state);
                    seen.push(record.number);
                    queue.done(record);
                }
                seen
            });
            for number in 0..1_000u64 {
                let mut record = queue.spare();
                record.number = number;
                record.fill_with((number % 7) as usize * 100);
                match queue.offer(record) {
                    Offer::Taken => {}
                    Offer::Full(record) => {
                        by_hand.push(record.number);
                        queue.give_back(record);
                    }
                    Offer::Closed => panic!("it is open"),
                }
            }
            queue.close();
            by_help = helper.join().unwrap();
        });
        assert!(by_help.is_sorted());
        by_help.extend(by_hand);
        by_help.sort_unstable();
        assert!(by_help.into_iter().eq(0..1_000));
        assert!(matches!(queue.offer(Record::default()), Offer::Closed));
    }
}
