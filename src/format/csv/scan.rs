//! Finding the bytes that have a meaning.

use crate::format::simd;

/// Bytes looked at together.
const CHUNK: usize = 64;

/// The bytes that end a field or open a quoted one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Special {
    pub(super) delimiter: u8,
    pub(super) quote: u8,
}

/// Walks over the special bytes of a text. The text before the place it has reached may be changed meanwhile.
pub(super) struct Scanner {
    special: Special,
    /// The first byte of the present chunk.
    base: usize,
    /// A bit for each special byte of the chunk that was not handed out.
    mask: u64,
}

impl Scanner {
    pub(super) fn new(special: Special, text: &[u8]) -> Self {
        Self { special, base: 0, mask: mask_at(text, 0, special) }
    }

    /// The next special byte's place.
    #[inline]
    pub(super) fn next(&mut self, text: &[u8]) -> Option<usize> {
        while self.mask == 0 {
            self.base += CHUNK;
            if self.base >= text.len() {
                return None;
            }
            self.mask = mask_at(text, self.base, self.special);
        }
        let place = self.base + self.mask.trailing_zeros() as usize;
        self.mask &= self.mask - 1;
        Some(place)
    }

    /// Goes on at `place`, which is not before what was handed out.
    #[inline]
    pub(super) fn seek(&mut self, text: &[u8], place: usize) {
        if place >= self.base + CHUNK {
            self.base = place;
            self.mask = if place < text.len() { mask_at(text, place, self.special) } else { 0 };
        } else {
            self.mask &= u64::MAX << (place - self.base);
        }
    }
}

#[inline]
fn mask_at(text: &[u8], base: usize, special: Special) -> u64 {
    let rest = &text[base..];
    if let Some(chunk) = rest.first_chunk::<CHUNK>() {
        return mask(chunk, special);
    }
    let mut padded = [0; CHUNK];
    padded[..rest.len()].copy_from_slice(rest);
    mask(&padded, special) & !(u64::MAX << rest.len())
}

#[inline]
fn mask(chunk: &[u8; CHUNK], special: Special) -> u64 {
    let wanted = [special.delimiter, special.quote, b'\n', b'\r'];
    let (parts, _) = chunk.as_chunks::<16>();
    parts.iter().enumerate().fold(0, |mask, (index, part)| mask | (simd::any_of(part, wanted) << (index * 16)))
}

/// The length of the first physical line, its end included. `None` where it has no end yet.
pub(super) fn line_length(text: &[u8], end: bool) -> Option<usize> {
    let at = memchr::memchr2(b'\n', b'\r', text)?;
    match (text[at], text.get(at + 1)) {
        (b'\r', Some(b'\n')) => Some(at + 2),
        // A line feed may follow that belongs to this end.
        (b'\r', None) if !end => None,
        _ => Some(at + 1),
    }
}

/// The number of physical line ends.
pub(super) fn line_ends(text: &[u8]) -> u64 {
    let mut ends = 0;
    let mut after_carriage = false;
    for &byte in text {
        ends += u64::from(byte == b'\r' || (byte == b'\n' && !after_carriage));
        after_carriage = byte == b'\r';
    }
    ends
}
