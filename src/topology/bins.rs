//! The bins of a sketch: a short sorted list while there are few, all bins from the first to the last when there are many.
//!
//! Most edges and operations of a large system see a handful of durations, a few see millions: the first must be small,
//! the second fast. Which form is used never shows: bins compare and iterate by number.

use crate::spans::Weight;

/// The other form grows by whole blocks of bins: one power of two of durations.
const BLOCK: usize = 64;
/// Bins in the list form.
const FEW: usize = 16;

/// Weights by bin number; bins without weight are absent.
#[derive(Debug, Clone)]
pub(super) enum Bins {
    Few(Vec<(u16, Weight)>),
    Many {
        /// Number of the first bin.
        first: usize,
        bins: Vec<Weight>,
    },
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
    #[inline]
    pub(super) fn add(&mut self, index: u16, weight: Weight) {
        if let Self::Many { first, bins } = self
            && let Some(mine) = bins.get_mut(usize::from(index).wrapping_sub(*first))
        {
            *mine += weight;
        } else if !weight.is_zero() {
            self.add_new(index, weight);
        }
    }

    #[inline(never)]
    fn add_new(&mut self, index: u16, weight: Weight) {
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
                    *self = Self::Many { first: usize::from(index) / BLOCK * BLOCK, bins: vec![Weight::ZERO; BLOCK] };
                    list.into_iter().for_each(|(i, w)| self.add(i, w));
                    self.add(index, weight);
                }
            },
            Self::Many { first, bins } => {
                let block = usize::from(index) / BLOCK * BLOCK;
                if block < *first {
                    bins.splice(..0, std::iter::repeat_n(Weight::ZERO, *first - block));
                    *first = block;
                } else {
                    bins.resize(bins.len().max(block + BLOCK - *first), Weight::ZERO);
                }
                if let Some(mine) = bins.get_mut(usize::from(index).wrapping_sub(*first)) {
                    *mine += weight;
                }
            }
        }
    }

    /// Bins with weight, by ascending number.
    #[allow(clippy::cast_possible_truncation, reason = "numbers came in as u16")]
    pub(super) fn iter(&self) -> impl Iterator<Item = (u16, Weight)> {
        let (few, first, many): (&[(u16, Weight)], usize, &[Weight]) = match self {
            Self::Few(list) => (list, 0, &[]),
            Self::Many { first, bins } => (&[], *first, bins),
        };
        let many = many.iter().enumerate().map(move |(at, weight)| ((first + at) as u16, *weight));
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
        assert!(matches!(forward, Bins::Many { .. }) && forward == backward);
        let mut sorted = numbers;
        sorted.sort_unstable();
        assert_eq!(forward.iter().map(|(n, _)| n).collect::<Vec<_>>(), sorted);
        let mut few = Bins::default();
        few.add(5, Weight::ZERO);
        assert_eq!(few, Bins::default());
    }
}
