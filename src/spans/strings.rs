//! A string table: every distinct string once, a 4-byte symbol for each use.

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

use super::epoch::Generation;

/// A symbol: the position of a string in its [`Strings`]. Symbols of different tables must not be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sym(pub u32);

impl Sym {
    /// The empty string, in every table.
    pub const EMPTY: Self = Self(0);
}

/// Distinct strings in the order they were first seen. Symbol 0 is always the empty string.
///
/// The numbering depends on arrival order, so symbols never leave a run: everything written is resolved and sorted.
#[derive(Debug, Clone)]
pub struct Strings {
    text: String,
    ends: Vec<u32>,
    index: HashTable<u32>,
    hasher: FixedState,
    generation: Generation,
}

impl Default for Strings {
    fn default() -> Self {
        let mut strings = Self {
            text: String::new(),
            ends: Vec::new(),
            index: HashTable::new(),
            hasher: FixedState::with_seed(0x7b),
            generation: Generation::default(),
        };
        strings.intern("");
        strings
    }
}

impl Strings {
    /// The symbol of `text`, added if new. Past 4 GiB of text or 2^32 strings everything new becomes the empty string.
    pub fn intern(&mut self, text: &str) -> Sym {
        let hash = self.hasher.hash_one(text);
        let (ends, all) = (&self.ends, &self.text);
        if let Some(found) = self.index.find(hash, |&i| Self::slice(all, ends, i) == text) {
            return Sym(*found);
        }
        let (Ok(symbol), Ok(end)) = (u32::try_from(self.ends.len()), u32::try_from(self.text.len() + text.len()))
        else {
            return Sym::EMPTY;
        };
        self.generation.grow();
        self.text.push_str(text);
        self.ends.push(end);
        let (ends, all, hasher) = (&self.ends, &self.text, &self.hasher);
        self.index.insert_unique(hash, symbol, |&i| hasher.hash_one(Self::slice(all, ends, i)));
        Sym(symbol)
    }

    /// The string of a symbol; empty for a symbol of another table.
    #[must_use]
    pub fn get(&self, symbol: Sym) -> &str {
        if (symbol.0 as usize) < self.ends.len() { Self::slice(&self.text, &self.ends, symbol.0) } else { "" }
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.number()
    }

    /// How many distinct strings there are, the empty one included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether only the empty string is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.len() <= 1
    }

    fn slice<'a>(text: &'a str, ends: &[u32], index: u32) -> &'a str {
        let i = index as usize;
        let start = if i == 0 { 0 } else { ends[i - 1] as usize };
        &text[start..ends[i] as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_gets_the_same_symbol_and_empty_is_zero() {
        let mut strings = Strings::default();
        let a = strings.intern("GET /cart");
        let b = strings.intern("é");
        assert_eq!(strings.intern("GET /cart"), a);
        assert_eq!(strings.intern(""), Sym::EMPTY);
        assert_eq!((strings.get(a), strings.get(b), strings.len()), ("GET /cart", "é", 3));
    }
}
