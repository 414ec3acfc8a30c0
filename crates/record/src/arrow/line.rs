//! Lines in the making.
//!
//! Values are short: a call of `memcpy` and a check of a vector's capacity for each would cost as much as making
//! their texts. So lines are made in a block that is longer than what it holds, where a short text is copied as one
//! or two machine words that may be longer than the text, and blocks are moved out as a whole.

use crate::encoded::MOST_LINE_BYTES;
use tollgate_base::json_string::write_key;
use tollgate_base::simd::{Chunk, LANES};

/// A block is moved out when it holds this much: far below the size of the second cache.
const BLOCK_BYTES: usize = 32 * 1024;
/// A block that grew beyond this by a long value is not kept.
const KEPT_BYTES: usize = 1024 * 1024;
/// Texts up to this length are copied without a loop.
const SHORT: usize = 32;

/// A block of lines.
#[derive(Debug)]
pub(super) struct Line {
    /// What lies behind `length` has no meaning.
    bytes: Vec<u8>,
    length: usize,
    /// Where the line in the making begins.
    start: usize,
    /// Whether that is longer than any may be. What was written of it is lost then.
    too_long: bool,
    /// For texts that are made elsewhere.
    scratch: Vec<u8>,
    /// Numbers that were written as null, since JSON has no text for them.
    pub(super) not_finite: u64,
}

/// `"name":`
#[derive(Debug)]
pub(super) struct Key {
    text: Box<[u8]>,
    /// The text again where it is short, with zeros behind it.
    short: [u8; SHORT],
}

impl Key {
    pub(super) fn new(name: &str) -> Self {
        let mut text = Vec::new();
        write_key(name, &mut text);
        let mut short = [0; SHORT];
        if text.len() <= SHORT {
            short[..text.len()].copy_from_slice(&text);
        }
        Self { text: text.into(), short }
    }
}

impl Line {
    pub(super) fn new() -> Self {
        let bytes = vec![0; BLOCK_BYTES + BLOCK_BYTES / 2];
        Self { bytes, length: 0, start: 0, too_long: false, scratch: Vec::new(), not_finite: 0 }
    }

    /// Bytes so far.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Everything so far.
    #[cfg(test)]
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap()
    }

    /// The byte at `at`.
    pub(super) fn byte_at(&self, at: usize) -> Option<u8> {
        self.bytes[..self.length].get(at).copied()
    }

    /// Drops what lies behind `length`.
    pub(super) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// Begins a line.
    #[inline]
    pub(super) fn begin_line(&mut self) {
        (self.start, self.too_long) = (self.length, false);
    }

    /// Whether the line in the making is longer than any may be.
    #[inline]
    pub(super) fn too_long(&self) -> bool {
        self.too_long
    }

    /// Moves whole lines to `out` if there are enough of them.
    #[inline]
    pub(super) fn end_line(&mut self, out: &mut Vec<u8>) {
        if self.length >= BLOCK_BYTES {
            self.move_to(out);
        }
    }

    /// Moves everything to `out`.
    pub(super) fn move_to(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes[..self.length]);
        (self.length, self.start) = (0, 0);
        if self.bytes.len() > KEPT_BYTES {
            *self = Self { not_finite: self.not_finite, ..Self::new() };
        }
    }

    /// At least `count` bytes that may be written.
    #[inline(always)]
    fn room(&mut self, count: usize) -> &mut [u8] {
        if self.bytes.len() - self.length < count {
            self.grow(count);
        }
        &mut self.bytes[self.length..]
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, count: usize) {
        if self.length - self.start + count > MOST_LINE_BYTES {
            (self.length, self.too_long) = (self.start, true);
        }
        let wanted = self.length + count;
        // Long lines have no room to spare: what a row takes is bounded.
        let spacious = if wanted > KEPT_BYTES { wanted + wanted / 8 } else { wanted.max(self.bytes.len() * 2) };
        if wanted > self.bytes.len() {
            self.bytes.reserve_exact(spacious - self.bytes.len());
            self.bytes.resize(spacious, 0);
        }
    }

    #[inline(always)]
    pub(super) fn byte(&mut self, byte: u8) {
        self.array([byte]);
    }

    /// Bytes whose number is known when this is compiled.
    #[inline(always)]
    pub(super) fn array<const N: usize>(&mut self, bytes: [u8; N]) {
        self.room(N)[..N].copy_from_slice(&bytes);
        self.length += N;
    }

    /// The first `length` of these bytes.
    #[inline(always)]
    pub(super) fn prefix<const N: usize>(&mut self, bytes: &[u8; N], length: usize) {
        self.room(N)[..N].copy_from_slice(bytes);
        self.length += length;
    }

    #[inline(always)]
    pub(super) fn key(&mut self, key: &Key) {
        if key.text.len() <= SHORT {
            self.prefix(&key.short, key.text.len());
        } else {
            self.put(&key.text);
        }
    }

    /// A text of any length.
    #[inline]
    pub(super) fn put(&mut self, text: &[u8]) {
        let length = text.len();
        if length <= SHORT {
            copy_short(text, self.room(SHORT));
        } else {
            self.room(length)[..length].copy_from_slice(text);
        }
        self.length += length;
    }

    /// A text that `write` appends to a vector.
    pub(super) fn with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        write(&mut scratch);
        self.put(&scratch);
        self.scratch = scratch;
    }

    /// `"text"`, escaped.
    #[inline]
    pub(super) fn string(&mut self, text: &str) {
        self.byte(b'"');
        let mut rest = text.as_bytes();
        while let Some(chunk) = rest.first_chunk::<LANES>() {
            let taken = self.chunk(chunk, LANES);
            rest = &rest[taken..];
        }
        while !rest.is_empty() {
            // The filler is a byte that is never escaped.
            let mut chunk = [b' '; SHORT];
            copy_short(rest, &mut chunk);
            let mut lanes = [b' '; LANES];
            lanes.copy_from_slice(&chunk[..LANES]);
            let taken = self.chunk(&lanes, rest.len());
            rest = &rest[taken..];
        }
        self.byte(b'"');
    }

    /// Writes the first `length` bytes of a chunk up to the first that needs an escape, and that. Returns how many
    /// bytes of the chunk are done.
    #[inline(always)]
    fn chunk(&mut self, chunk: &[u8; LANES], length: usize) -> usize {
        self.room(LANES)[..LANES].copy_from_slice(chunk);
        let special = Chunk::from_array(chunk).needs_escape();
        if special == 0 {
            self.length += length;
            return length;
        }
        let clean = special.trailing_zeros() as usize;
        self.length += clean;
        self.escape(chunk[clean]);
        clean + 1
    }

    #[inline(never)]
    fn escape(&mut self, byte: u8) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        match byte {
            b'"' | b'\\' => self.array([b'\\', byte]),
            b'\n' => self.array(*b"\\n"),
            b'\r' => self.array(*b"\\r"),
            b'\t' => self.array(*b"\\t"),
            0x08 => self.array(*b"\\b"),
            0x0c => self.array(*b"\\f"),
            _ => {
                self.array(*b"\\u00");
                self.array([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
    }

    /// Puts quotes around everything from `start` on.
    pub(super) fn quote_from(&mut self, start: usize) {
        self.array(*b"\"\"");
        // What was there before is lost where the line is too long.
        if start + 2 <= self.length {
            self.bytes.copy_within(start..self.length - 2, start + 1);
            self.bytes[start] = b'"';
        }
    }
}

/// Copies at most [`SHORT`] bytes by two copies of one size that may overlap.
#[inline(always)]
fn copy_short(text: &[u8], room: &mut [u8]) {
    let length = text.len();
    macro_rules! twice {
        ($size:literal) => {
            if let (Some(head), Some(tail)) = (text.first_chunk::<$size>(), text.last_chunk::<$size>()) {
                room[..$size].copy_from_slice(head);
                room[length - $size..length].copy_from_slice(tail);
                return;
            }
        };
    }
    twice!(16);
    twice!(8);
    twice!(4);
    if let [first, .., last] = text {
        room[1] = text[1];
        room[0] = *first;
        room[length - 1] = *last;
    } else if let [only] = text {
        room[0] = *only;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_all_lengths_are_copied() {
        let text: Vec<u8> = (0..200).map(|byte| b'a' + byte % 26).collect();
        let mut line = Line::new();
        let mut expected = Vec::new();
        for length in (0..200).chain([7, 0, 3]) {
            line.put(&text[..length]);
            expected.extend_from_slice(&text[..length]);
            assert_eq!(line.text().as_bytes(), expected, "{length}");
        }
    }

    #[test]
    fn strings_are_escaped_wherever_a_special_byte_stands() {
        for length in 0..70usize {
            for at in 0..=length {
                for special in
                    ["\"", "\\", "\n", "\u{1}", "\u{1f}", "\u{8}", "\u{c}", "\r", "\t", "\u{7f}", "ü", "\u{2028}", ""]
                {
                    let text = format!("{}{special}{}", "x".repeat(at), "y".repeat(length - at));
                    let mut line = Line::new();
                    line.string(&text);
                    assert_eq!(line.text(), serde_json::to_string(&text).unwrap(), "{length} {at}");
                }
            }
        }
        let mut line = Line::new();
        let controls: String = (0..0x20).map(|byte| char::from(byte as u8)).cycle().take(100).collect();
        line.string(&controls);
        assert_eq!(line.text(), serde_json::to_string(&controls).unwrap());
    }

    #[test]
    fn blocks_are_moved_out_whole() {
        let (mut line, mut out, mut expected) = (Line::new(), Vec::new(), String::new());
        for row in 0..10_000 {
            let text = format!("row {row};").repeat(1 + row % 7 * (row % 1000 / 999) * 10_000);
            line.put(text.as_bytes());
            line.end_line(&mut out);
            expected.push_str(&text);
            assert!(line.bytes.len() <= KEPT_BYTES.max(2 * text.len() + 2 * BLOCK_BYTES));
        }
        line.move_to(&mut out);
        assert!(out == expected.as_bytes());
        assert_eq!(line.len(), 0);
    }

    #[test]
    fn a_line_beyond_the_limit_is_noticed_and_takes_no_more_memory() {
        let mut line = Line::new();
        line.put(b"the line before");
        let controls = "\u{1}".repeat(1 << 20);
        for row in [60, 7, 60] {
            line.begin_line();
            let start = line.len();
            (0..row).for_each(|_| line.string(&controls));
            assert_eq!(line.too_long(), row > 8);
            assert!(line.bytes.capacity() < MOST_LINE_BYTES + MOST_LINE_BYTES / 4);
            line.truncate(start);
            assert_eq!(line.text(), "the line before");
        }
    }

    #[test]
    fn keys_may_be_long() {
        let mut line = Line::new();
        let long = "k\"".repeat(40);
        for name in ["", "a", "b\n", &long] {
            line.truncate(0);
            line.key(&Key::new(name));
            assert_eq!(line.text(), format!("{}:", serde_json::to_string(name).unwrap()));
        }
    }

    #[test]
    fn quotes_are_put_around_a_number() {
        let mut line = Line::new();
        line.put(b"{");
        line.put(b"-12.5");
        line.quote_from(1);
        assert_eq!(line.text(), "{\"-12.5\"");
    }
}
