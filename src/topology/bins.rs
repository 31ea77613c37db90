//! The bins of a sketch: a short sorted list while there are few, blocks of 64 found by their number when there are many.
//!
//! Most edges and operations of a large system see a handful of durations, a few see millions: the first must be small,
//! the second fast. Which form is used never shows: bins compare and iterate by number.

use crate::spans::Weight;

/// Bins in a block: one power of two of durations.
const BLOCK: usize = 64;
/// Bins in the list form.
const FEW: usize = 16;

/// Weights by bin number; bins without weight are absent.
#[derive(Debug, Clone)]
pub(super) enum Bins {
    Few(Vec<(u16, Weight)>),
    Many(Vec<Option<Box<[Weight; BLOCK]>>>),
}

impl Default for Bins {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl PartialEq for Bins {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Bins {}

impl Bins {
    /// Adds weight to a bin.
    pub(super) fn add(&mut self, index: u16, weight: Weight) {
        if weight.is_zero() {
            return;
        }
        match self {
            Self::Few(list) => match list.binary_search_by_key(&index, |(i, _)| *i) {
                Ok(at) => {
                    if let Some((_, mine)) = list.get_mut(at) {
                        *mine += weight;
                    }
                }
                Err(at) if list.len() < FEW => list.insert(at, (index, weight)),
                Err(_) => {
                    let list = std::mem::take(list);
                    *self = Self::Many(Vec::new());
                    list.into_iter().for_each(|(i, w)| self.add(i, w));
                    self.add(index, weight);
                }
            },
            Self::Many(blocks) => {
                let (block, offset) = (usize::from(index) / BLOCK, usize::from(index) % BLOCK);
                if block >= blocks.len() {
                    blocks.resize(block + 1, None);
                }
                let block = blocks.get_mut(block).map(|b| b.get_or_insert_with(|| Box::new([Weight::ZERO; BLOCK])));
                if let Some(mine) = block.and_then(|b| b.get_mut(offset)) {
                    *mine += weight;
                }
            }
        }
    }

    /// Bins with weight, by ascending number.
    #[allow(clippy::cast_possible_truncation, reason = "numbers came in as u16")]
    pub(super) fn iter(&self) -> impl Iterator<Item = (u16, Weight)> {
        let (few, many): (&[(u16, Weight)], &[Option<Box<_>>]) = match self {
            Self::Few(list) => (list, &[]),
            Self::Many(blocks) => (&[], blocks),
        };
        let many = many.iter().enumerate().flat_map(|(block, weights): (usize, &Option<Box<[Weight; BLOCK]>>)| {
            let weights = weights.iter().flat_map(|w| w.iter().enumerate());
            weights.map(move |(offset, weight)| ((block * BLOCK + offset) as u16, *weight))
        });
        few.iter().copied().chain(many.filter(|(_, weight)| !weight.is_zero()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_never_shows() {
        let numbers: Vec<u16> = (0..40).map(|i| i * 91 % 3_700).collect();
        let (mut forward, mut backward) = (Bins::default(), Bins::default());
        numbers.iter().for_each(|n| forward.add(*n, Weight::whole(u64::from(*n) + 1)));
        numbers.iter().rev().for_each(|n| backward.add(*n, Weight::whole(u64::from(*n) + 1)));
        assert!(matches!(forward, Bins::Many(_)) && forward == backward);
        let mut sorted = numbers;
        sorted.sort_unstable();
        assert_eq!(forward.iter().map(|(n, _)| n).collect::<Vec<_>>(), sorted);
        let mut few = Bins::default();
        few.add(5, Weight::ZERO);
        assert_eq!(few, Bins::default());
    }
}
