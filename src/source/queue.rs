//! A bounded queue of records between the thread that reads and those that decode.
//!
//! Bounded in bytes, and counting a record until it is decoded, so that memory does not follow the number of threads.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::record::Record;

#[derive(Default)]
struct State {
    waiting: VecDeque<Record>,
    /// Bytes waiting and in work.
    bytes: usize,
    closed: bool,
}

/// The queue.
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    drained: Condvar,
    budget: usize,
}

impl Queue {
    /// A queue that holds at most `budget` bytes, or one record if that is larger.
    pub(super) fn new(budget: usize) -> Self {
        Self { state: Mutex::default(), filled: Condvar::new(), drained: Condvar::new(), budget }
    }

    /// Appends a record as soon as there is room; `false` when the queue is closed.
    pub(super) fn push(&self, record: Record) -> bool {
        let length = record.bytes.len();
        let full =
            |state: &mut State| !state.closed && state.bytes > 0 && state.bytes.saturating_add(length) > self.budget;
        let state = self.drained.wait_while(self.lock(), full);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return false;
        }
        state.bytes = state.bytes.saturating_add(length);
        state.waiting.push_back(record);
        self.filled.notify_one();
        true
    }

    /// The next record; `None` once the queue is closed and empty. Call [`Queue::done`] with its size afterwards.
    pub(super) fn pop(&self) -> Option<Record> {
        let state = self.filled.wait_while(self.lock(), |state| state.waiting.is_empty() && !state.closed);
        state.unwrap_or_else(PoisonError::into_inner).waiting.pop_front()
    }

    /// A record of that size was decoded and dropped.
    pub(super) fn done(&self, length: usize) {
        let mut state = self.lock();
        state.bytes = state.bytes.saturating_sub(length);
        self.drained.notify_all();
    }

    /// Takes no more records; those waiting are still handed out.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
        self.drained.notify_all();
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
        let queue = Queue::new(100);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..1_000u64 {
                    let length = (number % 7) as usize * 20;
                    assert!(queue.push(Record { number, bytes: vec![0; length], ..Record::default() }));
                }
                queue.close();
            });
            let mut expected = 0;
            while let Some(record) = queue.pop() {
                assert_eq!(record.number, expected);
                let held = queue.lock().bytes;
                assert!(held <= 100 || held == record.bytes.len(), "{held}");
                queue.done(record.bytes.len());
                expected += 1;
            }
            assert_eq!(expected, 1_000);
        });
        assert!(!queue.push(Record::default()));
    }
}
