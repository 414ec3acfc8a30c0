//! The expected usage of a run: requests and bytes by usage row, with bounds.
//!
//! Text files are read in order, so the listing and the cursor determine their requests and bytes. Of columnar files,
//! only the selected column chunks are fetched, and only the footer shows which. The footers of some files are read,
//! and the other files are expected to be like their neighbours. The bounds do not rely on that: they allow for nothing
//! or all of each file.

mod columnar;
mod estimated;
mod file;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::columnar::Columnar;
pub use self::estimated::Estimated;
use self::estimated::scaled;
pub use self::file::{ColumnarFile, FilePlan, Standing, TAIL_BYTES, by_ranges, in_order};
use tollgate_base::object::{ObjectFacts, StorageClass};
use tollgate_base::predicate::Predicate;
use tollgate_cost::usage::Row;

/// The bounds allow for one retry in this many requests.
const RETRY_ONE_IN: u64 = 50;

/// The sums of a stream's files, added as it is decided that they are read.
#[derive(Debug, Default)]
pub struct StreamPlan {
    in_order: BTreeMap<StorageClass, (u64, u64)>,
    columnar: Columnar,
    /// Files to read.
    pub files: u64,
    /// Their stored bytes, from the positions where reading starts.
    pub stored_bytes: u64,
}

impl StreamPlan {
    /// A file that is read in order.
    pub fn add_in_order(&mut self, object: &ObjectFacts, from: u64, may_split: bool) -> FilePlan {
        let plan = in_order(object, from, may_split);
        let class = self.in_order.entry(object.storage_class).or_default();
        *class = (class.0 + plan.requests, class.1 + plan.bytes);
        self.files += 1;
        self.stored_bytes += plan.bytes;
        plan
    }

    /// A plan of files. `indexed`: whether filters may use page indexes and bloom filters.
    #[must_use]
    pub fn indexed(indexed: bool) -> Self {
        let mut plan = Self::default();
        plan.columnar.indexed(indexed);
        plan
    }

    /// Sets what is read from columnar files. `everything`: all columns and rows.
    pub fn wanted(&mut self, predicates: &Arc<[Predicate]>, everything: bool) {
        self.columnar.wanted(predicates, everything);
    }

    /// Adds a file that is read by ranges, with its place in key order. `part`: whether part of it is known to be
    /// skipped, unlike in other files.
    pub fn add_columnar(&mut self, object: &ObjectFacts, place: u32, part: bool) {
        self.columnar.push(place, object.storage_class, object.size, part);
        self.files += 1;
        self.stored_bytes += object.size;
    }

    /// The places of up to `count` columnar files whose footers would reduce the uncertainty most.
    #[must_use]
    pub fn worth_a_look(&mut self, count: usize) -> Vec<u32> {
        self.columnar.worth_a_look(count)
    }

    /// Adds the footer of one of them. `None` if it cannot be read.
    pub fn add_footer(&mut self, place: u32, file: Option<ColumnarFile>) {
        self.columnar.add_footer(place, file);
    }

    /// How many footers were read.
    #[must_use]
    pub fn footers(&self) -> usize {
        self.columnar.looks()
    }

    /// How many more footers are worth their price if no limit is near: together less than a tenth of the stream's
    /// bytes.
    #[must_use]
    pub fn footers_left(&self) -> usize {
        self.columnar.looks_left()
    }

    /// Whether the bounds are so close that more footers would add little.
    #[must_use]
    pub fn narrow(&self) -> bool {
        self.columnar.narrow()
    }

    /// The number of files of which anything between nothing and everything may be read.
    #[must_use]
    pub fn unknown_files(&self) -> u64 {
        self.columnar.unknown_files()
    }

    /// The rows of the columnar files, if their footers are known.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        let sum = |sum: (u64, u64), file: &ColumnarFile| (sum.0 + file.rows, sum.1 + file.size);
        let (rows, bytes) = self.columnar.looked_at().fold((0, 0), sum);
        (self.in_order.is_empty() && bytes > 0).then(|| scaled(self.stored_bytes, rows, bytes))
    }

    /// Whether the bounds are wide only because no footer was read.
    #[must_use]
    pub fn needs_a_look(&self) -> bool {
        self.columnar.needs_a_look()
    }

    /// Requests and bytes of all its files.
    #[must_use]
    pub fn estimated(&self) -> Estimated {
        let mut sum = Estimated::default();
        for (&class, &(requests, bytes)) in &self.in_order {
            sum.add_exact(Row::get(class), requests, bytes);
        }
        self.columnar.estimate(&mut sum);
        for usage in &mut sum.high {
            usage.requests += usage.requests.div_ceil(RETRY_ONE_IN);
            usage.bytes += usage.bytes / (2 * RETRY_ONE_IN);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_base::object::Timestamp;
    use tollgate_cost::Usage;

    const MIB: u64 = 1 << 20;

    fn object(index: u64, size: u64, storage_class: StorageClass) -> ObjectFacts {
        let modified_at = Timestamp::from_seconds(0, 0);
        ObjectFacts { key: format!("k{index:06}").into(), size, modified_at, etag: "\"e\"".into(), storage_class }
    }

    fn only(usage: &[Usage]) -> (u64, u64) {
        let [usage] = usage else { panic!("one row: {usage:?}") };
        (usage.requests, usage.bytes)
    }

    #[test]
    fn text_is_known_exactly() {
        let mut plan = StreamPlan::default();
        plan.add_in_order(&object(0, 100, StorageClass::Standard), 0, false);
        plan.add_in_order(&object(1, 100, StorageClass::Standard), 40, false);
        plan.add_in_order(&object(2, 0, StorageClass::Standard), 0, true);
        plan.add_in_order(&object(3, 512 * MIB, StorageClass::StandardIa), 0, true);
        let estimated = plan.estimated();
        assert_eq!(estimated.low, estimated.expected);
        let rows: Vec<_> = estimated.expected.iter().map(|u| (u.row.storage_class, u.requests, u.bytes)).collect();
        assert_eq!(
            rows,
            [(StorageClass::Standard, 2, 160), (StorageClass::StandardIa, 64, 512 * MIB)],
            "an empty file needs no request, and a large one that is alone is read in parts"
        );
        assert_eq!((plan.files, plan.stored_bytes), (4, 160 + 512 * MIB));
        assert!(estimated.high[0].requests > 2);
    }

    #[test]
    fn a_footer_tells_the_requests_of_its_file() {
        let file = object(0, 100 * MIB, StorageClass::Standard);
        let tail = 64 << 10;
        let groups = [
            // Near each other: one request. Far apart: two.
            vec![4..MIB, MIB + 10..2 * MIB],
            vec![40 * MIB..41 * MIB, 50 * MIB..51 * MIB],
            // Comes with the tail.
            std::iter::once(100 * MIB - 1000..100 * MIB - 900).collect(),
        ];
        let planned = ColumnarFile::new(&file, tail, 100 * MIB - 500, &[], &groups, 7);
        assert_eq!((planned.requests, planned.bytes), (4, tail + 2 * MIB - 4 + 2 * MIB));
        let long_footer = ColumnarFile::new(&file, tail, 99 * MIB, &[], &[], 7);
        assert_eq!((long_footer.requests, long_footer.bytes), (2, MIB));
    }

    /// A plan of files of these sizes, in key order.
    fn columnar(sizes: impl IntoIterator<Item = u64>, indexed: bool) -> StreamPlan {
        let mut plan = StreamPlan::indexed(indexed);
        for (index, size) in sizes.into_iter().enumerate() {
            plan.add_columnar(&object(index as u64, size, StorageClass::Standard), index as u32, false);
        }
        plan
    }

    /// Looks at footers as a reader would, each of which tells what `file` says: bytes, and a standing.
    fn look(plan: &mut StreamPlan, sizes: &[u64], file: impl Fn(usize) -> (u64, Standing)) {
        while !plan.narrow() {
            let places = plan.worth_a_look(plan.footers_left().min(12));
            if places.is_empty() {
                break;
            }
            for place in places {
                let (bytes, standing) = file(place as usize);
                let size = sizes[place as usize];
                let file = ColumnarFile {
                    storage_class: StorageClass::Standard,
                    size,
                    requests: 3,
                    bytes,
                    rows: size / 10,
                    standing,
                };
                plan.add_footer(place, Some(file));
            }
        }
    }

    fn near(value: u64, expected: u64, percent: u64) -> bool {
        value.abs_diff(expected) * 100 <= expected * percent
    }

    #[test]
    fn files_that_were_not_looked_at_are_expected_to_be_like_those_that_were_and_may_be_anything() {
        let sizes = vec![MIB; 1000];
        let mut plan = columnar(sizes.iter().copied(), false);
        assert!(plan.needs_a_look());
        let unknown = plan.estimated();
        assert_eq!(only(&unknown.low), (1000, 1000 * TAIL_BYTES));
        assert_eq!(only(&unknown.expected), (3000, 1000 * MIB));
        look(&mut plan, &sizes, |_| (MIB / 4, Standing::new()));
        assert!(!plan.needs_a_look() && plan.footers() > 12 && plan.footers() <= 256, "{}", plan.footers());
        let estimated = plan.estimated();
        assert_eq!(only(&estimated.expected), (3000, 250 * MIB));
        let unread = 1000 - plan.footers() as u64;
        assert_eq!(plan.unknown_files(), unread);
        assert!(only(&estimated.low).1 == (1000 - unread) * MIB / 4 + unread * TAIL_BYTES);
        assert!(only(&estimated.high).1 >= unread * MIB);
        assert!(plan.rows().is_some_and(|rows| near(rows, 100 * MIB, 1)));
    }

    /// 95 tiny and 5 large files: what is not known of the large ones is more than all the tiny ones have.
    #[test]
    fn large_files_among_tiny_ones_have_their_own_footers() {
        let sizes: Vec<u64> = (0..100).map(|index| if index % 20 == 7 { 40 * MIB } else { 20_000 }).collect();
        let actual: u64 = sizes.iter().map(|size| if *size > MIB { size / 10 } else { *size }).sum();
        let mut plan = columnar(sizes.iter().copied(), false);
        look(&mut plan, &sizes, |place| (if sizes[place] > MIB { sizes[place] / 10 } else { 20_000 }, Standing::new()));
        let estimated = plan.estimated();
        assert_eq!((only(&estimated.expected).1, only(&estimated.low).1), (actual, actual));
        assert!(near(only(&estimated.high).1, actual, 2) && plan.footers() <= 24, "{}", plan.footers());
    }

    /// A filter whose column rises with the key: the footers that were looked at first say nothing of it.
    #[test]
    fn a_clustered_filter_is_searched_for_between_files_that_have_nothing_of_it() {
        use std::cmp::Ordering::{Equal, Greater, Less};
        use tollgate_base::predicate::{Condition, Operand, Operator, Test};
        let condition =
            Condition { column: "day".into(), test: Test::Compare(Operator::Equal, Operand::of_number("7").unwrap()) };
        let predicates: Arc<[Predicate]> = Arc::from([Predicate::new(vec![vec![condition]])]);
        let sizes = vec![4 * MIB; 400];
        for wanted in [3..30, 150..161, 233..300, 395..400] {
            let mut plan = columnar(sizes.iter().copied(), true);
            plan.wanted(&predicates, false);
            look(&mut plan, &sizes, |place| match place {
                _ if wanted.contains(&place) => (4 * MIB, vec![Some((Equal, Equal))]),
                _ if place < wanted.start => (TAIL_BYTES, vec![Some((Less, Less))]),
                _ => (TAIL_BYTES, vec![Some((Greater, Greater))]),
            });
            let actual = wanted.len() as u64 * 4 * MIB + (400 - wanted.len() as u64) * TAIL_BYTES;
            let estimated = plan.estimated();
            assert!(near(only(&estimated.expected).1, actual, 5), "{wanted:?}: {estimated:?} for {actual}");
            assert!(only(&estimated.low).1 <= actual && actual <= only(&estimated.high).1);
        }
    }

    /// A table that got more columns with time: of each file a smaller part is wanted.
    #[test]
    fn a_growing_schema_is_followed_along_the_keys() {
        let sizes = vec![8 * MIB; 3000];
        let bytes = |place: usize| TAIL_BYTES + 7 * MIB * 100 / (100 + place as u64);
        let mut plan = columnar(sizes.iter().copied(), false);
        look(&mut plan, &sizes, |place| (bytes(place), Standing::new()));
        let actual = (0..3000).map(bytes).sum();
        let expected = only(&plan.estimated().expected).1;
        assert!(near(expected, actual, 3), "{expected} for {actual}");
    }

    #[test]
    fn few_columnar_files_are_known_exactly_by_class() {
        let mut plan = StreamPlan::default();
        let classes = [StorageClass::Standard, StorageClass::GlacierIr];
        for (index, class) in classes.into_iter().enumerate() {
            plan.add_columnar(&object(index as u64, MIB, class), index as u32, false);
        }
        assert_eq!(plan.worth_a_look(12), [0, 1]);
        for (place, storage_class) in classes.into_iter().enumerate() {
            let standing = Standing::new();
            let file = ColumnarFile { storage_class, size: MIB, requests: 2, bytes: 300, rows: 1, standing };
            plan.add_footer(place as u32, Some(file));
        }
        let expected = plan.estimated().expected;
        assert_eq!(expected, classes.map(|class| Usage { row: Row::get(class), requests: 2, bytes: 300 }));
    }
}
