//! The bytes of an object that a request fetches.

use std::ops::Range;

/// The part of an object that is still to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) next: u64,
    pub(super) end: u64,
    /// Whether the request says which bytes it wants. The whole object is asked for without, so that the server may send the
    /// object's checksum.
    pub(super) ranged: bool,
}

impl Span {
    /// All of an object.
    pub(super) fn whole(size: u64) -> Self {
        Self { next: 0, end: size, ranged: false }
    }

    /// A range, cut to the object's size.
    pub(super) fn part(range: Range<u64>, size: u64) -> Self {
        let end = range.end.min(size);
        Self { next: range.start.min(end), end, ranged: true }
    }

    /// Bytes to come.
    pub(super) fn len(&self) -> u64 {
        self.end - self.next
    }

    /// The `Range` header, if there is one.
    pub(super) fn header(&self) -> Option<String> {
        self.ranged.then(|| format!("bytes={}-{}", self.next, self.end.saturating_sub(1)))
    }

    pub(super) fn advance(&mut self, bytes: u64) {
        self.next += bytes;
        self.ranged = true;
    }
}
