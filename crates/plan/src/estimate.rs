//! What a run will ask of S3, before it asks: requests and bytes by bill row, with their bounds.
//!
//! Text is read in order, so its requests and bytes follow from listing and cursor alone. Of columnar files only the wanted
//! column chunks are fetched, which their footers tell: those of a few files are looked at, and the others are taken to be
//! like them.

use std::collections::BTreeMap;
use std::ops::Range;

use super::ranges;
use tollgate_base::object::{ObjectFacts, StorageClass};
use tollgate_cost::Usage;
use tollgate_cost::usage::Row;

/// One request in so many is allowed for being sent again.
const RETRY_ONE_IN: u64 = 50;

/// Columnar files whose footers are looked at.
pub const SAMPLED_FILES: usize = 5;

/// What reading one file asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilePlan {
    /// The bill row of its GETs.
    pub row: Row,
    /// GETs.
    pub requests: u64,
    /// Bytes of their answers.
    pub bytes: u64,
    /// Whether that is what it will be. Otherwise it is the most.
    pub exact: bool,
}

/// The end of a file that is read by ranges, which is fetched first.
pub const TAIL_BYTES: u64 = 64 << 10;

/// Bytes of page indexes that are fetched of a file at most, as far as they do not lie near each other.
const INDEX_BYTES: u64 = 16 << 20;

/// The most that a file takes which is read by ranges: what its size allows. `indexed`: whether filters may ask for page
/// indexes and bloom filters, between which there may be data that is fetched twice.
#[must_use]
pub fn by_ranges(object: &ObjectFacts, indexed: bool) -> FilePlan {
    let (row, size) = (Row::get(object.storage_class), object.size);
    let requests = ranges::most_requests(size, TAIL_BYTES);
    if size <= TAIL_BYTES {
        return FilePlan { row, requests, bytes: size, exact: true };
    }
    // A chunk that reaches into the tail is fetched as a whole, and large row groups ask for the places of their pages.
    let again = if indexed { size } else { TAIL_BYTES + (size / 8).min(INDEX_BYTES) };
    FilePlan { row, requests, bytes: size + again, exact: false }
}

/// The plan of a file that is read in order from byte `from` on.
#[must_use]
pub fn in_order(object: &ObjectFacts, from: u64, alone: bool) -> FilePlan {
    let bytes = object.size.saturating_sub(from);
    // Nothing is sent where there is nothing to read.
    let requests = if bytes == 0 { 0 } else { ranges::parts(object.size, from, alone).len() as u64 };
    FilePlan { row: Row::get(object.storage_class), requests, bytes, exact: true }
}

/// A file that is read by ranges, as its footer tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnarFile {
    /// Its class.
    pub storage_class: StorageClass,
    /// Its size in bytes.
    pub size: u64,
    /// GETs for it.
    pub requests: u64,
    /// Bytes of their answers.
    pub bytes: u64,
    /// Its rows.
    pub rows: u64,
}

impl ColumnarFile {
    /// From the length of the tail that is read first, where the metadata begins, the parts of indexes that are asked for,
    /// and the ranges that are wanted in each step.
    #[must_use]
    pub fn new(
        object: &ObjectFacts,
        tail_bytes: u64,
        metadata_start: u64,
        index: &[Range<u64>],
        steps: &[Vec<Range<u64>>],
        rows: u64,
    ) -> Self {
        let tail_start = object.size.saturating_sub(tail_bytes);
        let mut requests = u64::from(object.size > 0);
        let mut bytes = object.size - tail_start;
        if metadata_start < tail_start {
            requests += 1;
            bytes += tail_start - metadata_start;
        }
        let index = ranges::merged(index.to_vec(), ranges::MERGE_GAP_BYTES);
        for fetch in std::iter::once(index).chain(ranges::fetches(steps, tail_start)) {
            requests += fetch.len() as u64;
            bytes += ranges::length_of(&fetch);
        }
        Self { storage_class: object.storage_class, size: object.size, requests, bytes, rows }
    }
}

/// Usage with its bounds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Estimated {
    /// The least that is to be expected.
    pub low: Vec<Usage>,
    /// What is expected.
    pub expected: Vec<Usage>,
    /// The most: with requests that are sent again, and files unlike those that were looked at.
    pub high: Vec<Usage>,
}

impl Estimated {
    /// Adds another part of the same run.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in
            [(&mut self.low, &other.low), (&mut self.expected, &other.expected), (&mut self.high, &other.high)]
        {
            theirs.iter().for_each(|usage| add(mine, usage.row, usage.requests, usage.bytes));
        }
    }

    /// Adds requests that are known exactly.
    pub fn add_exact(&mut self, row: Row, requests: u64, bytes: u64) {
        for usage in [&mut self.low, &mut self.expected, &mut self.high] {
            add(usage, row, requests, bytes);
        }
    }
}

fn add(usage: &mut Vec<Usage>, row: Row, requests: u64, bytes: u64) {
    match usage.iter_mut().find(|usage| usage.row == row) {
        Some(usage) => {
            usage.requests += requests;
            usage.bytes += bytes;
        }
        None => usage.push(Usage { row, requests, bytes }),
    }
}

/// The files of a stream, summed up as they are decided.
#[derive(Debug, Default)]
pub struct StreamPlan {
    in_order: BTreeMap<StorageClass, (u64, u64)>,
    /// The sizes of columnar files: what is fetched of them is no fixed part of it.
    columnar: BTreeMap<StorageClass, Vec<u64>>,
    looked_at: Vec<ColumnarFile>,
    candidates: Candidates,
    /// Files to read.
    pub files: u64,
    /// Their bytes as stored, from where they are to be read on.
    pub stored_bytes: u64,
}

impl StreamPlan {
    /// A file that is read in order.
    pub fn add_in_order(&mut self, object: &ObjectFacts, from: u64, alone: bool) -> FilePlan {
        let plan = in_order(object, from, alone);
        let class = self.in_order.entry(object.storage_class).or_default();
        *class = (class.0 + plan.requests, class.1 + plan.bytes);
        self.files += 1;
        self.stored_bytes += plan.bytes;
        plan
    }

    /// A file that is read by ranges.
    pub fn add_columnar(&mut self, object: &ObjectFacts) {
        self.columnar.entry(object.storage_class).or_default().push(object.size);
        self.files += 1;
        self.stored_bytes += object.size;
        self.candidates.add(object);
    }

    /// The columnar files whose footers tell most: all, where there are few, else some of all sizes.
    #[must_use]
    pub fn worth_a_look(&self) -> Vec<ObjectFacts> {
        self.candidates.chosen()
    }

    /// What the footer of one of them told.
    pub fn add_footer(&mut self, file: ColumnarFile) {
        self.looked_at.push(file);
    }

    /// How many footers were looked at.
    #[must_use]
    pub fn footers(&self) -> usize {
        self.looked_at.len()
    }

    /// Rows of the columnar files, as far as footers tell.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        let (rows, bytes) = self.looked_at.iter().fold((0, 0), |sum, file| (sum.0 + file.rows, sum.1 + file.size));
        (self.in_order.is_empty() && bytes > 0).then(|| scaled(self.stored_bytes, rows, bytes))
    }

    /// Whether bounds are wide only because no footer was looked at.
    #[must_use]
    pub fn needs_a_look(&self) -> bool {
        self.looked_at.is_empty() && !self.columnar.is_empty()
    }

    /// Requests and bytes of all its files.
    #[must_use]
    pub fn estimated(&self) -> Estimated {
        let mut sum = Estimated::default();
        for (&class, &(requests, bytes)) in &self.in_order {
            sum.add_exact(Row::get(class), requests, bytes);
        }
        for (&class, sizes) in &self.columnar {
            self.add_columnar_class(class, sizes, &mut sum);
        }
        for usage in &mut sum.high {
            usage.requests += usage.requests.div_ceil(RETRY_ONE_IN);
            usage.bytes += usage.bytes / (2 * RETRY_ONE_IN);
        }
        sum
    }

    fn add_columnar_class(&self, class: StorageClass, sizes: &[u64], sum: &mut Estimated) {
        let row = Row::get(class);
        let (mut files, mut stored_bytes) = (sizes.len() as u64, sizes.iter().sum::<u64>());
        if self.looked_at.is_empty() {
            let most = 2 * files + stored_bytes / ranges::MERGE_GAP_BYTES;
            add(&mut sum.low, row, files, 0);
            add(&mut sum.expected, row, most, stored_bytes);
            add(&mut sum.high, row, most, stored_bytes);
            return;
        }
        let points = self.points();
        let alike = |sizes: &mut dyn Iterator<Item = u64>| {
            sizes.map(|size| at(&points, size)).fold((0, 0), |sum, (requests, bytes)| (sum.0 + requests, sum.1 + bytes))
        };
        let (mut requests, mut bytes) = alike(&mut sizes.iter().copied());
        for file in self.looked_at.iter().filter(|file| file.storage_class == class) {
            sum.add_exact(row, file.requests, file.bytes);
            let (of_requests, of_bytes) = at(&points, file.size);
            (requests, bytes) = (requests.saturating_sub(of_requests), bytes.saturating_sub(of_bytes));
            (files, stored_bytes) = (files.saturating_sub(1), stored_bytes.saturating_sub(file.size));
        }
        if files == 0 {
            return;
        }
        add(&mut sum.expected, row, requests, bytes);
        let of_each = |choose: fn(u64, u64) -> u64| {
            self.looked_at.iter().filter(|file| file.size > 0).fold((requests, bytes), |sum, file| {
                let requests = files + scaled(stored_bytes, file.requests.saturating_sub(1), file.size);
                (choose(sum.0, requests), choose(sum.1, scaled(stored_bytes, file.bytes, file.size)))
            })
        };
        let ((low_requests, low_bytes), (high_requests, high_bytes)) = (of_each(u64::min), of_each(u64::max));
        add(&mut sum.low, row, low_requests, low_bytes);
        add(&mut sum.high, row, high_requests, high_bytes);
    }

    /// Size, requests and bytes of the files that were looked at, by size, each size once.
    fn points(&self) -> Vec<(u64, u64, u64)> {
        let mut by_size: BTreeMap<u64, (u64, u64, u64)> = BTreeMap::new();
        for file in &self.looked_at {
            let sum = by_size.entry(file.size).or_default();
            *sum = (sum.0 + 1, sum.1 + file.requests, sum.2 + file.bytes);
        }
        let mean = |(size, (files, requests, bytes))| (size, scaled(requests, 1, files), scaled(bytes, 1, files));
        by_size.into_iter().map(mean).collect()
    }
}

/// Requests and bytes of a file of this size, between those of the sizes that were looked at; beyond them in proportion.
fn at(points: &[(u64, u64, u64)], size: u64) -> (u64, u64) {
    let behind = points.partition_point(|point| point.0 < size);
    match (behind.checked_sub(1).and_then(|index| points.get(index)), points.get(behind)) {
        (Some(below), Some(above)) => {
            let between = |low: u64, high: u64| {
                let share = scaled(high.abs_diff(low), size - below.0, above.0 - below.0);
                if high >= low { low + share } else { low - share }
            };
            (between(below.1, above.1), between(below.2, above.2))
        }
        (None, Some(nearest)) | (Some(nearest), None) => {
            (scaled(nearest.1, size, nearest.0).max(1), scaled(nearest.2, size, nearest.0))
        }
        (None, None) => (0, 0),
    }
}

/// `quantity × part / whole`, rounded to the nearest.
fn scaled(quantity: u64, part: u64, whole: u64) -> u64 {
    let (quantity, part, whole) = (u128::from(quantity), u128::from(part), u128::from(whole.max(1)));
    u64::try_from((quantity * part + whole / 2) / whole).unwrap_or(u64::MAX)
}

/// Every k-th file of any number, in constant memory.
#[derive(Debug, Default)]
struct Candidates {
    kept: Vec<ObjectFacts>,
    seen: u64,
    thinned: u32,
}

impl Candidates {
    const AT_MOST: usize = 8 * SAMPLED_FILES;

    fn add(&mut self, object: &ObjectFacts) {
        if self.seen.is_multiple_of(1 << self.thinned) {
            self.kept.push(object.clone());
            if self.kept.len() > Self::AT_MOST {
                let mut index = 0;
                self.kept.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
                self.thinned += 1;
            }
        }
        self.seen += 1;
    }

    fn chosen(&self) -> Vec<ObjectFacts> {
        if self.kept.len() <= SAMPLED_FILES {
            return self.kept.clone();
        }
        let mut by_size: Vec<&ObjectFacts> = self.kept.iter().collect();
        by_size.sort_by_key(|object| object.size);
        let last = by_size.len() - 1;
        (0..SAMPLED_FILES).map(|index| by_size[index * last / (SAMPLED_FILES - 1)].clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_base::object::Timestamp;

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

    #[test]
    fn files_that_were_not_looked_at_are_like_those_that_were() {
        let mut plan = StreamPlan::default();
        for index in 0..1000 {
            plan.add_columnar(&object(index, 100, StorageClass::Standard));
        }
        assert!(plan.needs_a_look());
        let unknown = plan.estimated();
        assert_eq!((only(&unknown.low), only(&unknown.expected)), ((1000, 0), (2000, 100_000)));
        let looked_at = plan.worth_a_look();
        assert_eq!(looked_at.len(), SAMPLED_FILES);
        for (index, file) in looked_at.iter().enumerate() {
            let (storage_class, size, bytes) = (file.storage_class, file.size, 20 + index as u64);
            plan.add_footer(ColumnarFile { storage_class, size, requests: 3, bytes, rows: 10 });
        }
        let estimated = plan.estimated();
        assert_eq!(only(&estimated.expected), (3000, 22_000));
        assert_eq!(only(&estimated.low).1, 110 + 995 * 20);
        assert!(only(&estimated.high).1 >= 110 + 995 * 24);
        assert_eq!(plan.rows(), Some(10_000));
    }

    #[test]
    fn a_size_between_two_that_were_looked_at_costs_what_lies_between() {
        let points = [(100, 3, 50), (200, 5, 60), (400, 4, 10)];
        for (size, expected) in
            [(100, (3, 50)), (150, (4, 55)), (200, (5, 60)), (300, (4, 35)), (50, (2, 25)), (800, (8, 20)), (0, (1, 0))]
        {
            assert_eq!(at(&points, size), expected, "{size}");
        }
    }

    #[test]
    fn few_columnar_files_are_known_exactly_by_class() {
        let mut plan = StreamPlan::default();
        let classes = [StorageClass::Standard, StorageClass::GlacierIr];
        for (index, class) in classes.into_iter().enumerate() {
            plan.add_columnar(&object(index as u64, 1000, class));
        }
        for file in plan.worth_a_look() {
            let (storage_class, size) = (file.storage_class, file.size);
            plan.add_footer(ColumnarFile { storage_class, size, requests: 2, bytes: 300, rows: 1 });
        }
        let expected = plan.estimated().expected;
        assert_eq!(expected, classes.map(|class| Usage { row: Row::get(class), requests: 2, bytes: 300 }));
    }
}
