//! A pull scanner over JSON text.
//!
//! Input: text, expected as exporters write it. Output: what was asked for, or [`Unsure`]. It accepts nothing that is not
//! JSON, skipped values included, and never says what is wrong: that is the reference's affair. Both forms of a doubt,
//! "this is no JSON" and "this is JSON I do not care to read", are the same to the caller.
//! Must not: recurse, allocate, or look at any byte more than a bounded number of times.

use std::borrow::Cow;

use super::digits;
use crate::source::json::shape::Scalar;

/// The reference has to look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unsure;

/// What is read for certain.
pub(super) type Sure<T> = Result<T, Unsure>;

/// Deepest nesting of a skipped value; the reference knows no limit there.
const MAX_DEPTH: u32 = 64;

/// A position in a text.
#[derive(Debug, Clone)]
pub(super) struct Scanner<'t> {
    text: &'t str,
    rest: &'t [u8],
}

impl<'t> Scanner<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, rest: text.as_bytes() }
    }

    /// How many bytes lie behind.
    #[inline(always)]
    pub(super) fn at(&self) -> usize {
        self.text.len() - self.rest.len()
    }

    /// Goes to a position that [`Scanner::at`] gave.
    #[inline]
    pub(super) fn go(&mut self, at: usize) {
        self.rest = self.text.as_bytes().get(at..).unwrap_or_default();
    }

    /// The text from a position that [`Scanner::at`] gave to here.
    pub(super) fn since(&self, from: usize) -> Sure<&'t str> {
        self.text.get(from..self.at()).ok_or(Unsure)
    }

    #[inline(always)]
    fn step(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    /// Steps over these bytes if they come next.
    #[inline(always)]
    pub(super) fn eat<const N: usize>(&mut self, literal: &[u8; N]) -> bool {
        match self.rest.split_first_chunk::<N>() {
            Some((found, rest)) if found == literal => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Steps over this text if it comes next.
    pub(super) fn eat_text(&mut self, text: &str) -> bool {
        let after = self.rest.strip_prefix(text.as_bytes());
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    /// The next byte that is not white space, without stepping over it; 0 at the end.
    #[inline(always)]
    pub(super) fn peek(&mut self) -> u8 {
        match self.rest.first() {
            Some(byte) if *byte > b' ' => *byte,
            Some(_) => self.peek_slowly(),
            None => 0,
        }
    }

    #[inline(never)]
    fn peek_slowly(&mut self) -> u8 {
        let space = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\t' | b'\r');
        while let Some((_, rest)) = self.rest.split_first().filter(|(byte, _)| space(byte)) {
            self.rest = rest;
        }
        self.rest.first().copied().unwrap_or(0)
    }

    /// Whether only white space is left.
    pub(super) fn is_done(&mut self) -> bool {
        self.peek();
        self.rest.is_empty()
    }

    /// Steps over a byte that must come next, after white space.
    #[inline(always)]
    pub(super) fn expect(&mut self, byte: u8) -> Sure<()> {
        if self.peek() != byte {
            return Err(Unsure);
        }
        self.step(1);
        Ok(())
    }

    /// Steps over `null` if it comes next, after white space.
    #[inline(always)]
    pub(super) fn null(&mut self) -> bool {
        self.peek() == b'n' && self.eat(b"null")
    }

    /// The next key of an object that was opened, and its colon; `None` past the closing brace. `first` is true before the
    /// first key.
    #[inline(always)]
    pub(super) fn key(&mut self, first: &mut bool) -> Sure<Option<&'t str>> {
        if !self.item(first, b'}')? {
            return Ok(None);
        }
        self.expect(b'"')?;
        let key = self.plain()?;
        self.expect(b':')?;
        Ok(Some(key))
    }

    /// Whether another item follows in a list or object that was opened; steps over the comma, or over the closing byte.
    #[inline(always)]
    pub(super) fn item(&mut self, first: &mut bool, close: u8) -> Sure<bool> {
        let next = self.peek();
        if next == close {
            self.step(1);
            return Ok(false);
        }
        if std::mem::take(first) {
            return Ok(true);
        }
        if next != b',' {
            return Err(Unsure);
        }
        self.step(1);
        // `[1,]` is no JSON.
        if self.peek() == close { Err(Unsure) } else { Ok(true) }
    }

    /// What is left of a string without escapes, after its opening quote.
    #[inline(always)]
    pub(super) fn plain(&mut self) -> Sure<&'t str> {
        let from = self.at();
        let (stop, after) = stop(self.rest).ok_or(Unsure)?;
        if stop != b'"' {
            return Err(Unsure);
        }
        self.rest = after;
        self.text.get(from..self.at().wrapping_sub(1)).ok_or(Unsure)
    }

    /// Steps over what is left of any string, after its opening quote.
    #[inline(always)]
    pub(super) fn skip_string(&mut self) -> Sure<()> {
        let (stop, after) = stop(self.rest).ok_or(Unsure)?;
        self.rest = after;
        if stop == b'"' { Ok(()) } else { self.skip_after(stop) }
    }

    /// Steps over what is left of a string, after a byte that was in the way.
    #[inline(never)]
    fn skip_after(&mut self, mut byte: u8) -> Sure<()> {
        loop {
            match byte {
                b'"' => return Ok(()),
                b'\\' => self.skip_escape()?,
                _ => return Err(Unsure),
            }
            (byte, self.rest) = stop(self.rest).ok_or(Unsure)?;
        }
    }

    /// Steps over an escape, after its backslash.
    fn skip_escape(&mut self) -> Sure<()> {
        let length = match self.rest {
            [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 1,
            [b'u', a, b, c, d, ..] if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) => 5,
            _ => return Err(Unsure),
        };
        self.step(length);
        Ok(())
    }

    /// A string without escapes, a whole number from 0 up, a Boolean or `null`.
    pub(super) fn scalar(&mut self) -> Sure<Scalar<'t>> {
        match self.peek() {
            b'"' => {
                self.step(1);
                Ok(Scalar::Text(Cow::Borrowed(self.plain()?)))
            }
            b'0'..=b'9' => self.whole().map(Scalar::Unsigned),
            b'n' if self.eat(b"null") => Ok(Scalar::Null),
            b't' if self.eat(b"true") => Ok(Scalar::Bool(true)),
            b'f' if self.eat(b"false") => Ok(Scalar::Bool(false)),
            _ => Err(Unsure),
        }
    }

    /// A bare whole number from 0 up.
    fn whole(&mut self) -> Sure<u64> {
        let (number, length) = digits::whole(self.rest).ok_or(Unsure)?;
        self.step(length);
        match self.rest.first() {
            Some(b'.' | b'e' | b'E') => Err(Unsure),
            _ => Ok(number),
        }
    }

    /// Steps over any value.
    pub(super) fn skip_value(&mut self) -> Sure<()> {
        // One bit for each container that is open, the innermost lowest: 1 for an object.
        let (mut open, mut depth) = (0u64, 0u32);
        loop {
            match self.peek() {
                b'"' => {
                    self.step(1);
                    self.skip_string()?;
                }
                bracket @ (b'{' | b'[') => {
                    self.step(1);
                    let is_object = bracket == b'{';
                    // `]` and `}` stand two places after their opening brackets.
                    if self.peek() == bracket + 2 {
                        self.step(1);
                    } else {
                        if depth == MAX_DEPTH {
                            return Err(Unsure);
                        }
                        depth += 1;
                        open = open << 1 | u64::from(is_object);
                        if is_object {
                            self.skip_key()?;
                        }
                        continue;
                    }
                }
                b'-' | b'0'..=b'9' => self.skip_number()?,
                b'n' if self.eat(b"null") => {}
                b't' if self.eat(b"true") => {}
                b'f' if self.eat(b"false") => {}
                _ => return Err(Unsure),
            }
            loop {
                if depth == 0 {
                    return Ok(());
                }
                let is_object = open & 1 == 1;
                match self.peek() {
                    b',' => {
                        self.step(1);
                        if is_object {
                            self.skip_key()?;
                        }
                        break;
                    }
                    b'}' if is_object => {}
                    b']' if !is_object => {}
                    _ => return Err(Unsure),
                }
                self.step(1);
                depth -= 1;
                open >>= 1;
            }
        }
    }

    fn skip_key(&mut self) -> Sure<()> {
        self.expect(b'"')?;
        self.skip_string()?;
        self.expect(b':')
    }

    fn skip_number(&mut self) -> Sure<()> {
        self.eat(b"-");
        if !self.eat(b"0") {
            self.skip_digits()?;
        } else if matches!(self.rest.first(), Some(b'0'..=b'9')) {
            return Err(Unsure);
        }
        if self.eat(b".") {
            self.skip_digits()?;
        }
        if self.eat(b"e") || self.eat(b"E") {
            let _ = self.eat(b"+") || self.eat(b"-");
            self.skip_digits()?;
        }
        Ok(())
    }

    fn skip_digits(&mut self) -> Sure<()> {
        let rest = self.rest;
        let length = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        self.step(length);
        if length == 0 { Err(Unsure) } else { Ok(()) }
    }

    /// A string of `N` hex digits, both quotes included.
    #[inline(always)]
    pub(super) fn hex<const N: usize>(&mut self) -> Option<u128> {
        let (quote, rest) = self.rest.split_first()?;
        let (chunk, rest) = rest.split_first_chunk::<N>()?;
        if (*quote, rest.first()?) != (b'"', &b'"') {
            return None;
        }
        let number = digits::hex(chunk)?;
        self.step(N + 2);
        Some(number)
    }

    /// A string of 1 to 19 digits, both quotes included.
    #[inline(always)]
    pub(super) fn quoted_whole(&mut self) -> Option<u64> {
        let (quote, rest) = self.rest.split_first()?;
        let (number, length) = digits::whole(rest)?;
        if (*quote, rest.get(length)?) != (b'"', &b'"') {
            return None;
        }
        self.step(length + 2);
        Some(number)
    }
}

/// The first quote, backslash or control character, and what comes after it.
#[inline(always)]
fn stop(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let mut rest = bytes;
    while let Some((chunk, after)) = rest.split_first_chunk::<16>() {
        let (words, _) = chunk.as_chunks::<8>();
        let marks = words.iter().rev().fold(0u128, |marks, word| marks << 64 | u128::from(stops(*word)));
        if marks != 0 {
            let (byte, after) = rest.get((marks.trailing_zeros() / 8) as usize..)?.split_first()?;
            return Some((*byte, after));
        }
        rest = after;
    }
    let found = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..b' '))?;
    let (byte, after) = rest.get(found..)?.split_first()?;
    Some((*byte, after))
}

/// The high bit of the byte for the first quote, backslash or control character among 8, and perhaps of later ones.
///
/// Subtracting one from each byte sets the high bit of a zero; what it borrows can only spoil bytes after that one.
#[inline(always)]
fn stops(word: [u8; 8]) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let word = u64::from_le_bytes(word);
    let (quote, backslash) = (word ^ ONES * 0x22, word ^ ONES * 0x5c);
    let zeros = quote.wrapping_sub(ONES) | backslash.wrapping_sub(ONES) | word.wrapping_sub(ONES * 0x20);
    zeros & !word & ONES * 0x80
}
