//! How many bytes requests under way may hold, all together.
//!
//! Room is handed out in few sizes, counts with all of its bytes, and is used again: an allocator that is asked for other sizes
//! by other threads all the time holds a multiple of what is in use.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tonic::Status;

use super::retry;

/// Four times the largest request: a packed body, what it unpacks to and what becomes of that fit in at once.
pub(super) const REQUESTS: usize = 4;
/// Bytes of the length that is ahead of a message in the log.
pub(super) const PREFIX: usize = 4;
/// The least room.
const LEAST: usize = 4 << 10;
/// Room of at least so many bytes is used again.
const KEPT: usize = 64 << 10;

/// The bytes there are.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    pool: Arc<Mutex<Pool>>,
    /// Largest message in bytes.
    most: usize,
}

#[derive(Debug)]
struct Pool {
    /// Bytes that are in no room.
    free: usize,
    /// Rooms that nobody uses.
    kept: Vec<Vec<u8>>,
}

impl Pool {
    /// Takes bytes, if need be those of rooms that nobody uses.
    fn take(&mut self, bytes: usize) -> Result<(), Status> {
        while self.free < bytes {
            let Some(unused) = self.kept.pop() else { return Err(full()) };
            self.free = self.free.saturating_add(unused.capacity());
        }
        self.free -= bytes;
        Ok(())
    }

    fn give(&mut self, bytes: usize) {
        self.free = self.free.saturating_add(bytes);
    }

    /// Bytes that can be had.
    #[cfg(test)]
    fn left(&self) -> usize {
        self.kept.iter().fold(self.free, |sum, unused| sum.saturating_add(unused.capacity()))
    }
}

impl Budget {
    /// Room for [`REQUESTS`] of the largest messages.
    pub(super) fn new(most: usize) -> Self {
        let free = most.saturating_add(PREFIX).saturating_mul(REQUESTS);
        Self { pool: Arc::new(Mutex::new(Pool { free, kept: Vec::new() })), most }
    }

    /// Largest message in bytes.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Nothing yet, of the largest size that a message with its length may have.
    pub(super) fn buffer(&self) -> Buffer {
        Buffer { bytes: Vec::new(), room: 0, budget: self.clone() }
    }

    /// Lets go of rooms that nobody uses.
    pub(super) fn trim(&self) {
        let mut pool = self.pool();
        let unused = std::mem::take(&mut pool.kept);
        pool.give(unused.iter().map(Vec::capacity).sum());
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of what size a room for so many bytes is.
    fn room(&self, bytes: usize) -> usize {
        let most = self.most.saturating_add(PREFIX);
        if bytes > most {
            bytes
        } else {
            bytes.max(LEAST).checked_next_power_of_two().map_or(most, |room| room.min(most))
        }
    }
}

/// Bytes that count against the budget with all the room they take.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    /// What is taken of the budget.
    room: usize,
    budget: Budget,
}

impl Buffer {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Largest size.
    pub(super) fn most(&self) -> usize {
        self.budget.most.saturating_add(PREFIX)
    }

    /// What comes after the length.
    pub(super) fn message(&self) -> &[u8] {
        self.bytes.get(PREFIX..).unwrap_or_default()
    }

    /// Writes the length ahead of the message, which it makes a record of the log.
    pub(super) fn set_length(&mut self) {
        let length = u32::try_from(self.message().len()).unwrap_or(u32::MAX);
        if let Some(place) = self.bytes.first_chunk_mut::<PREFIX>() {
            *place = length.to_be_bytes();
        }
    }

    /// Appends.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED`, with a delay where the budget is used up, without where the message is too large.
    pub(super) fn push(&mut self, data: &[u8]) -> Result<(), Status> {
        self.expect(self.bytes.len().saturating_add(data.len()))?;
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    /// Makes room for so many bytes in all before they come, so that they need not be moved.
    ///
    /// # Errors
    /// As [`Buffer::push`].
    pub(super) fn expect(&mut self, bytes: usize) -> Result<(), Status> {
        if bytes > self.most() {
            Err(large())
        } else if bytes > self.room {
            self.grow(bytes)
        } else {
            Ok(())
        }
    }

    /// Moves to a room for so many bytes.
    fn grow(&mut self, bytes: usize) -> Result<(), Status> {
        let mut larger = self.budget.buffer();
        larger.room = self.budget.room(bytes);
        let mut pool = self.budget.pool();
        match pool.kept.iter().position(|unused| unused.capacity() == larger.room) {
            Some(at) => larger.bytes = pool.kept.swap_remove(at),
            None => {
                if let Err(status) = pool.take(larger.room) {
                    larger.room = 0;
                    drop(pool);
                    return Err(status);
                }
            }
        }
        drop(pool);
        larger.bytes.reserve_exact(larger.room);
        larger.bytes.extend_from_slice(&self.bytes);
        *self = larger;
        Ok(())
    }

    /// Makes it text, in place: a byte that is none becomes a question mark, and costs nothing but itself.
    pub(super) fn text(&mut self) -> &str {
        let mut from = 0;
        while let Err(error) = std::str::from_utf8(self.bytes.get(from..).unwrap_or_default()) {
            from += error.valid_up_to();
            let end = error.error_len().map_or(self.bytes.len(), |length| from + length);
            self.bytes.get_mut(from..end).unwrap_or_default().fill(b'?');
            from = end;
        }
        std::str::from_utf8(&self.bytes).unwrap_or_default()
    }

    /// Lets `fill` append at most `most` bytes; what else it needs meanwhile it has to ask for.
    ///
    /// # Errors
    /// As [`Buffer::push`], and what `fill` says.
    pub(super) fn fill<T>(
        &mut self,
        most: usize,
        fill: impl FnOnce(&mut Vec<u8>, &mut dyn FnMut(usize) -> Result<(), Status>) -> Result<T, Status>,
    ) -> Result<T, Status> {
        self.grow(self.bytes.len().saturating_add(most))?;
        let budget = self.budget.clone();
        let mut asked = 0_usize;
        let filled = fill(&mut self.bytes, &mut |more| {
            budget.pool().take(more)?;
            asked = asked.saturating_add(more);
            Ok(())
        });
        budget.pool().give(asked);
        if self.bytes.len() > self.most() { Err(large()) } else { filled }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        let mut pool = self.budget.pool();
        // Sizes that nobody asks for again are not kept.
        if bytes.capacity() == self.room && self.room >= KEPT && self.room <= self.budget.most.saturating_add(PREFIX) {
            bytes.clear();
            pool.kept.push(bytes);
        } else {
            pool.give(self.room);
        }
    }
}

/// The answer to a request for which there is no room now.
fn full() -> Status {
    retry::later("requests under way hold too many bytes")
}

/// The answer to a request that would not get smaller.
fn large() -> Status {
    Status::resource_exhausted("the request is too large: send smaller batches")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(budget: &Budget) -> usize {
        budget.pool().free
    }

    #[test]
    fn bytes_are_taken_with_their_room_and_given_back() {
        let budget = Budget::new(100_000);
        let all = 4 * 100_004;
        let expect = |bytes: usize| budget.buffer().expect(bytes);
        assert!(expect(100_004).is_ok() && expect(100_005).unwrap_err().details().is_empty());
        budget.trim();
        let mut one = budget.buffer();
        one.push(&[1; 10]).unwrap();
        assert_eq!(free(&budget), all - LEAST);
        one.push(&[1; 8_190]).unwrap();
        assert_eq!((free(&budget), one.bytes.capacity()), (all - 16_384, 16_384));
        assert!(one.push(&[0; 100_000]).unwrap_err().details().is_empty(), "for good: it is too large");
        let mut others: Vec<Buffer> = (0..3).map(|_| budget.buffer()).collect();
        for other in &mut others {
            other.push(&[0; 100_004]).unwrap();
        }
        let mut last = budget.buffer();
        let refused = last.push(&[0; 100_000]).unwrap_err();
        assert!(!refused.details().is_empty(), "to come again: {refused}");
        assert!(!expect(100_000).unwrap_err().details().is_empty());
        others.pop();
        assert!(expect(100_000).is_ok());
        last.push(&[0; 100_000]).unwrap();
        drop((one, others, last));
        assert_eq!(budget.pool().left(), all);
    }

    #[test]
    fn rooms_are_used_again_or_make_way_for_others() {
        let budget = Budget::new(100_000);
        let rooms = |n: usize, bytes: usize| -> Result<Vec<Buffer>, Status> {
            let mut all: Vec<Buffer> = (0..n).map(|_| budget.buffer()).collect();
            all.iter_mut().try_for_each(|buffer| buffer.push(&vec![7; bytes]))?;
            Ok(all)
        };
        let state = || {
            let pool = budget.pool();
            (pool.kept.len(), pool.free)
        };
        drop(rooms(4, 100_000).unwrap());
        assert_eq!(state(), (4, 0));
        drop(rooms(4, 90_000).unwrap());
        assert_eq!(state(), (4, 0), "the same again");
        let others = rooms(6, 65_536).unwrap();
        assert_eq!(state(), (0, 4 * 100_004 - 6 * 65_536));
        assert!(rooms(1, 65_536).is_err());
        drop(others);
        budget.trim();
        assert_eq!(state(), (0, 4 * 100_004));
    }

    #[test]
    fn what_is_asked_for_while_filling_is_given_back() {
        let budget = Budget::new(1_000);
        let mut buffer = budget.buffer();
        let filled = buffer.fill(900, |out, more| {
            out.extend([0; 40]);
            more(2_000)?;
            assert!(more(2_000).is_err());
            Ok(7)
        });
        assert_eq!(filled.unwrap(), 7);
        buffer.set_length();
        assert_eq!(buffer.bytes()[..4], [0, 0, 0, 36]);
        assert!(buffer.fill(10, |_, more| more(9_000)).is_err());
        drop(buffer);
        assert_eq!(free(&budget), 4_016);
    }

    #[test]
    fn bytes_that_are_no_text_cost_only_themselves() {
        let mut buffer = Budget::new(1_000).buffer();
        buffer.push(b"a\xff\xc3(\xe2\x82z\xc3\xa9\xc3").unwrap();
        assert_eq!(buffer.text(), "a??(??z\u{e9}?");
    }
}
