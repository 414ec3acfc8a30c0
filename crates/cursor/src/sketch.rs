//! Sets of files that were read, without their keys: each file is a number of 64 bits.
//!
//! A small set is kept as its numbers. A large one is kept as an *invertible Bloom lookup table*: a file toggles four
//! cells, one in each quarter of the table, chosen by its number. The table of the read files, toggled with all files
//! of a listing, is the table of the *difference* of the two sets. As long as the difference is small compared with the
//! table, some cells hold only one number. Removing this number reveals others, until the table is empty and every
//! number of the difference is known. The size of the table bounds the size of the difference that can be recovered
//! (about 70% of the cells), whatever the size of the sets.
//!
//! What can go wrong by chance: two of a million files have the same number (once in 37 million buckets); two files of
//! a difference have the same four cells, so that the difference cannot be recovered (once in a million listings; with
//! three cells, once in a few thousand); a table that holds too many numbers seems to be recovered (below 2⁻⁴⁰).

use std::collections::{BTreeSet, HashSet};
use std::hash::Hasher;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use twox_hash::XxHash64;

use tollgate_base::object::Timestamp;

/// Cells that a number toggles.
const WAYS: usize = 4;

/// Bytes of a cell in the state: the numbers in it, and a check of each.
const CELL_BYTES: usize = 10;

/// Bytes of a number in the state.
const NUMBER_BYTES: usize = 8;

/// The number of a file: of its key and modification time together, so that a changed file is another one. It is a
/// part of saved states and never changes.
pub(super) fn number(key: &str, modified_at: Timestamp) -> u64 {
    let mut hasher = XxHash64::with_seed(0);
    hasher.write(key.as_bytes());
    hasher.write(&modified_at.micros().to_le_bytes());
    // Zero would leave no trace in a table.
    hasher.finish().max(1)
}

/// An invertible Bloom lookup table. Toggling a number twice takes it out again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    numbers: Vec<u64>,
    checks: Vec<u16>,
}

impl Table {
    /// An empty table of a multiple of four cells, at least four.
    pub(super) fn new(cells: usize) -> Self {
        let cells = (cells / WAYS).max(1) * WAYS;
        Self { numbers: vec![0; cells], checks: vec![0; cells] }
    }

    /// The cells of a number, one in each part.
    fn places(&self, number: u64) -> [usize; WAYS] {
        let part = self.numbers.len() / WAYS;
        std::array::from_fn(|way| {
            let mixed = mix(number ^ SEEDS[way]);
            way * part + ((u128::from(mixed) * part as u128) >> 64) as usize
        })
    }

    /// Puts a number in, or takes it out.
    pub(super) fn toggle(&mut self, number: u64) {
        let check = check(number);
        for place in self.places(number) {
            self.numbers[place] ^= number;
            self.checks[place] ^= check;
        }
    }

    /// The numbers in it, or `None` when they are too many.
    pub(super) fn recover(mut self) -> Option<HashSet<u64>> {
        let mut found = HashSet::new();
        let mut waiting: Vec<usize> = (0..self.numbers.len()).collect();
        // A cell that seems to hold one number by chance could be taken out and put back for ever.
        let mut left = self.numbers.len() * 2;
        while let Some(cell) = waiting.pop() {
            let number = self.numbers[cell];
            let alone = number != 0 && self.checks[cell] == check(number) && self.places(number).contains(&cell);
            if !alone {
                continue;
            }
            left = left.checked_sub(1)?;
            self.toggle(number);
            waiting.extend(self.places(number));
            if !found.insert(number) {
                found.remove(&number);
            }
        }
        let empty = self.numbers.iter().all(|&number| number == 0) && self.checks.iter().all(|&check| check == 0);
        empty.then_some(found)
    }
}

const SEEDS: [u64; WAYS] = [0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03, 0x8cb9_2ba7_2f3d_8dd7, 0xaaaa_5555_c3c3_3c3c];
const CHECK_SEED: u64 = 0x2545_f491_4f6c_dd1d;

/// The finaliser of MurmurHash3: every bit of the number moves every bit of the result.
fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    number = (number ^ (number >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    number ^ (number >> 33)
}

fn check(number: u64) -> u16 {
    (mix(number ^ CHECK_SEED) >> 48) as u16
}

/// A set of numbers within a fixed size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Set {
    /// The numbers themselves.
    Numbers(BTreeSet<u64>),
    /// A table: the set was too large.
    Table(Table),
}

impl Set {
    pub(super) fn empty() -> Self {
        Self::Numbers(BTreeSet::new())
    }

    /// How many numbers fit into the space of so many cells.
    fn numbers_in(cells: usize) -> usize {
        cells * CELL_BYTES / NUMBER_BYTES
    }

    /// The cells whose space is enough for so many numbers.
    pub(super) fn cells_for(numbers: usize) -> usize {
        (numbers * NUMBER_BYTES).div_ceil(CELL_BYTES)
    }

    /// Adds a number that is not in it. Beyond the space of so many cells, the set becomes a table of them.
    pub(super) fn add(&mut self, number: u64, cells: usize) {
        match self {
            Self::Table(table) => table.toggle(number),
            Self::Numbers(numbers) => {
                numbers.insert(number);
                if numbers.len() > Self::numbers_in(cells) {
                    let mut table = Table::new(cells);
                    numbers.iter().for_each(|&number| table.toggle(number));
                    *self = Self::Table(table);
                }
            }
        }
    }

    /// Bytes of the text that [`Self::text`] gives.
    pub(super) fn text_bytes(&self) -> usize {
        let bytes = match self {
            Self::Numbers(numbers) => numbers.len() * NUMBER_BYTES,
            Self::Table(table) => table.numbers.len() * CELL_BYTES,
        };
        (bytes * 4).div_ceil(3)
    }

    /// The set as a text for the state: little-endian numbers, in a table each with its check, in base64.
    pub(super) fn text(&self) -> String {
        let mut bytes = Vec::with_capacity(self.text_bytes());
        match self {
            Self::Numbers(numbers) => bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes())),
            Self::Table(table) => {
                for (number, check) in table.numbers.iter().zip(&table.checks) {
                    bytes.extend_from_slice(&number.to_le_bytes());
                    bytes.extend_from_slice(&check.to_le_bytes());
                }
            }
        }
        BASE64.encode(bytes)
    }

    /// The set of a text; `None` when it is not one.
    pub(super) fn read(text: &str, table: bool) -> Option<Self> {
        let bytes = BASE64.decode(text).ok()?;
        let eight = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_le_bytes);
        if !table {
            let numbers = bytes.chunks(NUMBER_BYTES).map(eight).collect::<Option<_>>()?;
            return Some(Self::Numbers(numbers));
        }
        let whole = bytes.len().is_multiple_of(CELL_BYTES * WAYS) && !bytes.is_empty();
        let cells = whole.then(|| bytes.chunks_exact(CELL_BYTES))?;
        let (mut numbers, mut checks) = (Vec::new(), Vec::new());
        for cell in cells {
            numbers.push(eight(&cell[..NUMBER_BYTES])?);
            checks.push(u16::from_le_bytes([cell[NUMBER_BYTES], cell[NUMBER_BYTES + 1]]));
        }
        Some(Self::Table(Table { numbers, checks }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(from: usize, count: usize) -> impl Iterator<Item = u64> {
        (from..from + count).map(|i| number(&format!("data/{i}"), Timestamp::from_seconds(1_700_000_000, 0)))
    }

    #[test]
    fn a_table_recovers_the_difference_of_two_large_sets() {
        let (cells, common, gone, fresh) = (12_000, 100_000, 4_000, 5_000);
        let mut table = Table::new(cells);
        numbers(0, common + gone).for_each(|number| table.toggle(number));
        numbers(gone, common + fresh).for_each(|number| table.toggle(number));
        let expected: HashSet<u64> = numbers(0, gone).chain(numbers(common + gone, fresh)).collect();
        assert_eq!(table.recover(), Some(expected));
    }

    #[test]
    fn a_table_that_holds_too_much_says_so() {
        for count in [1_100, 2_000, 100_000] {
            let mut table = Table::new(1_200);
            numbers(0, count).for_each(|number| table.toggle(number));
            assert_eq!(table.recover(), None, "{count}");
        }
    }

    #[test]
    fn most_of_a_table_can_be_recovered() {
        for cells in [120, 1_200, 30_000] {
            let failed = (0..40)
                .filter(|run| {
                    let mut table = Table::new(cells);
                    numbers(run * 1_000_000, cells / 2).for_each(|number| table.toggle(number));
                    table.recover().is_none()
                })
                .count();
            assert_eq!(failed, 0, "{failed} of 40 failed with {cells} cells, half full");
        }
        let mut table = Table::new(33_000);
        numbers(0, 24_000).for_each(|number| table.toggle(number));
        assert_eq!(table.recover().map(|found| found.len()), Some(24_000));
    }

    #[test]
    fn sets_are_written_and_read_and_become_tables_when_they_are_full() {
        let mut set = Set::empty();
        for (count, number) in numbers(0, 200).enumerate() {
            assert_eq!(matches!(set, Set::Numbers(_)), count <= 115, "{count}");
            let table = matches!(set, Set::Table(_));
            assert_eq!(Set::read(&set.text(), table), Some(set.clone()));
            assert!(set.text().len().abs_diff(set.text_bytes()) <= 1);
            set.add(number, 92);
        }
        assert_eq!(Set::read("AAA", false), None);
        assert_eq!(Set::read("AAAA", true), None);
        assert_eq!(Set::read("*", false), None);
    }

    #[test]
    fn the_number_of_a_file_never_changes() {
        let at = Timestamp::parse("2024-01-15T12:00:00Z").unwrap();
        assert_eq!(number("data/é.csv", at), NUMBER_OF_A_FILE);
        assert_ne!(number("data/é.csv", at.plus_seconds(1)), NUMBER_OF_A_FILE);
    }

    /// What the first released version wrote.
    const NUMBER_OF_A_FILE: u64 = 8_434_070_673_515_463_915;
}
