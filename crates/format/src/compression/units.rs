//! Units of bounded size on their way to a library that only reads from a `Read`: one unit is gathered from pieces, then
//! given to it whole, so that it never meets an end inside a unit.

use std::io::{self, Read};

/// The unit that a library reads from.
#[derive(Default)]
pub(super) struct Unit {
    bytes: Vec<u8>,
    read: usize,
}

impl Unit {
    /// Takes input until the unit has `wanted` bytes: how many were taken.
    pub(super) fn gather(&mut self, input: &[u8], wanted: usize) -> usize {
        let take = wanted.saturating_sub(self.bytes.len()).min(input.len());
        self.bytes.extend_from_slice(&input[..take]);
        take
    }

    /// What is gathered.
    pub(super) fn gathered(&self) -> &[u8] {
        &self.bytes
    }

    /// Makes room for the next unit.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.read = 0;
    }
}

impl Read for Unit {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = (&self.bytes[self.read..]).read(out)?;
        self.read += count;
        Ok(count)
    }
}
