//! How many values of a column inside of lists stand in how many rows.

use std::ops::Range;

use super::sizes::Sizes;

/// Values of a piece, about. A piece is smaller than a row, or has some rows.
pub(super) const PIECE_VALUES: u64 = 8192;

/// Counts, from the first page on.
#[derive(Debug, Clone, Default)]
pub(super) struct RowCounts {
    /// Rows that begin in a piece, and its values.
    pieces: Sizes,
    /// The piece in the making.
    open: (u64, u64),
    /// The row that begins next.
    next_row: u64,
    /// The row that the last pieces are in without a beginning of one: its values in them.
    within: Option<ManyValues>,
    /// Rows with so many values are kept.
    many: u64,
    rows: Vec<ManyValues>,
}

/// A row with many values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ManyValues {
    pub(super) row: u64,
    /// Its values in pieces that have nothing else; there may be some more before and behind them.
    pub(super) values: u64,
    pieces: Range<usize>,
}

impl RowCounts {
    /// Counts that tell of rows with `many` values.
    pub(super) fn new(many: u64) -> Self {
        Self { many, ..Self::default() }
    }

    /// Says that the next row to begin is this one: those before it were left out.
    pub(super) fn go_to(&mut self, row: u64) {
        self.close();
        self.next_row = row;
    }

    /// The row that begins next.
    pub(super) fn next_row(&self) -> u64 {
        self.next_row
    }

    /// Adds values of which so many begin a row: all, none, or a few that are mixed.
    pub(super) fn add(&mut self, values: u64, rows: u64) {
        if values <= PIECE_VALUES {
            self.open = (self.open.0 + rows, self.open.1 + values);
            self.next_row += rows;
            if self.open.1 >= PIECE_VALUES {
                self.close();
            }
            return;
        }
        self.close();
        if rows == 0 {
            return self.push(0, values);
        }
        let mut left = values;
        while left > 0 {
            let taken = left.min(PIECE_VALUES);
            self.next_row += taken.min(rows);
            self.push(taken.min(rows), taken);
            left -= taken;
        }
    }

    fn close(&mut self) {
        let (rows, values) = std::mem::take(&mut self.open);
        if values > 0 {
            self.push(rows, values);
        }
    }

    fn push(&mut self, rows: u64, values: u64) {
        let at = self.pieces.0.len();
        self.pieces.add(rows, values);
        if rows > 0 {
            return self.end_row();
        }
        let row = self.next_row.saturating_sub(1);
        let within = self.within.get_or_insert(ManyValues { row, values: 0, pieces: at..at });
        within.values = within.values.saturating_add(values);
        within.pieces.end = at + 1;
    }

    fn end_row(&mut self) {
        self.rows.extend(self.within.take().filter(|row| row.values >= self.many));
    }

    /// Says that there are no more values.
    pub(super) fn end(&mut self) {
        self.close();
        self.end_row();
    }

    /// The rows with many values.
    pub(super) fn many(&self) -> &[ManyValues] {
        &self.rows
    }

    /// Leaves the values of a row out that will not be read.
    pub(super) fn leave_out(&mut self, row: u64) {
        for many in self.rows.iter().filter(|many| many.row == row) {
            self.pieces.0[many.pieces.clone()].fill((0, 0));
        }
    }

    /// The most values of so many rows that follow one another.
    pub(super) fn most_within(&self, rows: u64) -> u64 {
        let with_rows = self.pieces.0.iter().filter(|(rows, _)| *rows > 0);
        let longest = with_rows.map(|(_, values)| *values).max().unwrap_or(0);
        self.pieces.most_within(rows).saturating_add(2 * longest).min(self.pieces.total())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_many_values_is_found_wherever_it_lies() {
        for before in [0, 1, 5, 8191, 8192, 100_000] {
            for values in [70_000, 100_000_000_u64] {
                let mut counts = RowCounts::new(65_536);
                counts.add(before, before);
                counts.add(1, 1);
                counts.add(values - 1, 0);
                counts.add(50_000, 50_000);
                counts.end();
                let [many] = counts.many() else { panic!("{before} {values}: {:?}", counts.many()) };
                assert_eq!(many.row, before);
                assert!(many.values <= values && many.values + 2 * PIECE_VALUES > values, "{many:?} of {values}");
                assert!((values..=values + 3 * PIECE_VALUES).contains(&counts.most_within(1)));
                counts.leave_out(before);
                assert!(counts.most_within(1) < 4 * PIECE_VALUES);
            }
        }
    }

    #[test]
    fn rows_of_few_values_are_none_of_many() {
        let mut counts = RowCounts::new(65_536);
        for _ in 0..10_000 {
            counts.add(1, 1);
            counts.add(99, 0);
        }
        counts.end();
        assert!(counts.many().is_empty());
        assert!((100_000..100_000 + 3 * PIECE_VALUES).contains(&counts.most_within(1000)));
        assert_eq!(counts.most_within(u64::MAX), 1_000_000);
        let mut packed = RowCounts::new(10_000);
        // Groups of eight, as they are stored.
        (0..20_000).for_each(|group| packed.add(8, u64::from(group == 5_000)));
        packed.go_to(40_000);
        packed.add(1, 1);
        packed.add(30_000, 0);
        packed.end();
        let rows: Vec<u64> = packed.many().iter().map(|many| many.row).collect();
        assert_eq!(rows, [0, 0, 40_000], "{:?}", packed.many());
    }
}
