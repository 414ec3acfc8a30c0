//! Sums over the pages of a column.

/// Pieces of a column, one after the other: their values, or rows, and what they come to.
#[derive(Debug, Clone, Default)]
pub(super) struct Sizes(pub(super) Vec<(u64, u64)>);

impl Sizes {
    pub(super) fn add(&mut self, values: u64, bytes: u64) {
        self.0.push((values, bytes));
    }

    /// The longest piece.
    pub(super) fn longest(&self) -> u64 {
        self.0.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0)
    }

    /// All pieces.
    pub(super) fn total(&self) -> u64 {
        self.0.iter().map(|(_, bytes)| *bytes).fold(0, u64::saturating_add)
    }

    /// The most that pieces come to all of whose values are among `values` that follow one another.
    pub(super) fn most_within(&self, values: u64) -> u64 {
        let (mut first, mut held, mut bytes, mut most) = (0, 0_u64, 0_u64, 0);
        for (at, (piece_values, piece_bytes)) in self.0.iter().enumerate() {
            held = held.saturating_add(*piece_values);
            bytes = bytes.saturating_add(*piece_bytes);
            while held > values && first <= at {
                held -= self.0[first].0.min(held);
                bytes -= self.0[first].1.min(bytes);
                first += 1;
            }
            most = most.max(bytes);
        }
        most
    }
}
