//! Columnar files: what reading them costs, based on the footers of some.
//!
//! ```text
//!   listed ─▶ small: known by its size
//!          ├▶ looked at: known by its footer
//!          └▶ the others: at least its last bytes, at most all of it; expected is what files near it in key and size take
//! ```
//! Files that are neighbours in key order are similar: partitions, growing schemas, clustered tables. So the next
//! footers to read are in the largest gaps between known files that differ, or between which there may be matching
//! rows.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::estimated::{Estimated, add, scaled};
use super::file::{ColumnarFile, Standing, TAIL_BYTES, by_ranges_of};
use tollgate_base::object::StorageClass;
use tollgate_base::predicate::{Condition, Operator, Predicate, Test};
use tollgate_cost::usage::Row;

/// Footers that tell of a stream what there is to tell, where each two neighbours are alike.
const FIRST_LOOKS: usize = 12;

/// Footers at most without a limit that is near: they are few requests beside those of so many files.
const MOST_LOOKS: usize = 256;

/// The part of a stream's bytes that its footers may have.
const LOOKS_ONE_IN: u64 = 10;

/// Bounds are narrow when they are no further apart than this part of what is expected.
const NARROW_ONE_IN: u64 = 10;

/// A request weighs as much as so many bytes: what they cost over the internet, in round numbers.
const REQUEST_WEIGHS_BYTES: u64 = 8 << 10;

/// Where everything is wanted of files: how much leaner one may be than the leanest that was looked at.
const LEANER: f64 = 0.9;

/// How much two neighbours that are alike count beside two that are as different as can be.
const ALIKE: f64 = 0.05;

/// A file that is listed.
#[derive(Debug, Clone, Copy)]
struct Listed {
    /// Where it stands in key order among the files of the listing.
    place: u32,
    storage_class: StorageClass,
    size: u64,
    /// Whether only a part of it is read, which tells nothing of others and others tell nothing of.
    part: bool,
}

/// The columnar files of a stream.
#[derive(Debug, Default)]
pub(super) struct Columnar {
    /// In key order, once something was asked for.
    files: Vec<Listed>,
    sorted: bool,
    /// What footers told, by the places of their files.
    looked_at: BTreeMap<u32, ColumnarFile>,
    /// Files whose footers cannot be read.
    unreadable: BTreeSet<u32>,
    /// The filters whose literals standings are about.
    predicates: Arc<[Predicate]>,
    /// Whether filters may ask for indexes.
    indexed: bool,
    /// Whether all columns and rows are wanted.
    everything: bool,
    stored_bytes: u64,
}

/// A file that was looked at, as far as others are like it.
#[derive(Debug, Clone, Copy)]
struct Example<'a> {
    /// Its index in key order.
    index: usize,
    size: u64,
    /// The bytes that are fetched besides the tail, as a part of those there are.
    part: f64,
    /// Requests besides the first.
    requests: u64,
    standing: &'a Standing,
}

/// What files between two that were looked at are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Between {
    /// There is no matching row between them.
    Nothing,
    /// Like the two files.
    Neighbours,
    /// Like all files whose footers were read, mainly those that are near in key and size.
    All,
}

impl Listed {
    /// Whether its size alone leaves it open what is fetched of it.
    fn open(&self) -> bool {
        self.size > TAIL_BYTES
    }

    fn body(&self) -> u64 {
        self.size.saturating_sub(TAIL_BYTES)
    }

    /// What a footer would tell, in bytes.
    fn weight(&self) -> u64 {
        let requests = if self.open() { 2 + self.size / (1 << 20) } else { 0 };
        self.body() + requests * REQUEST_WEIGHS_BYTES
    }
}

impl Columnar {
    pub(super) fn push(&mut self, place: u32, storage_class: StorageClass, size: u64, part: bool) {
        self.sorted = self.files.last().is_none_or(|last| self.sorted && last.place < place);
        self.files.push(Listed { place, storage_class, size, part });
        self.stored_bytes += size;
    }

    pub(super) fn indexed(&mut self, indexed: bool) {
        self.indexed = indexed;
    }

    /// What is wanted of the files.
    pub(super) fn wanted(&mut self, predicates: &Arc<[Predicate]>, everything: bool) {
        self.predicates = Arc::clone(predicates);
        self.everything = everything;
    }

    pub(super) fn looked_at(&self) -> impl Iterator<Item = &ColumnarFile> {
        self.looked_at.values()
    }

    pub(super) fn looks(&self) -> usize {
        self.looked_at.len()
    }

    /// Files whose bounds are all or nothing.
    pub(super) fn unknown_files(&self) -> u64 {
        self.files.iter().filter(|file| file.open() && !self.looked_at.contains_key(&file.place)).count() as u64
    }

    /// Whether bounds are wide only because no footer was looked at.
    pub(super) fn needs_a_look(&self) -> bool {
        self.looked_at.is_empty() && self.files.iter().any(Listed::open)
    }

    pub(super) fn add_footer(&mut self, place: u32, file: Option<ColumnarFile>) {
        match file {
            Some(file) => _ = self.looked_at.insert(place, file),
            None => _ = self.unreadable.insert(place),
        }
    }

    /// How many more footers are worth their price, as long as bounds are wide.
    pub(super) fn looks_left(&self) -> usize {
        let affordable = usize::try_from(self.stored_bytes / LOOKS_ONE_IN / TAIL_BYTES).unwrap_or(usize::MAX);
        affordable.clamp(FIRST_LOOKS, MOST_LOOKS).saturating_sub(self.looked_at.len() + self.unreadable.len())
    }

    /// Whether the bounds are near each other.
    pub(super) fn narrow(&self) -> bool {
        let mut sum = Estimated::default();
        self.estimate(&mut sum);
        let total = |usage: &[tollgate_cost::Usage]| {
            usage.iter().fold((0, 0), |sum, usage| (sum.0 + usage.requests, sum.1 + usage.bytes))
        };
        let (low, expected, high) = (total(&sum.low), total(&sum.expected), total(&sum.high));
        high.0 - low.0 <= expected.0 / NARROW_ONE_IN && high.1 - low.1 <= expected.1 / NARROW_ONE_IN
    }

    /// The places of up to `count` files whose footers tell most.
    pub(super) fn worth_a_look(&mut self, count: usize) -> Vec<u32> {
        self.sort();
        if self.looked_at.is_empty() && self.unreadable.is_empty() {
            return self.first_looks(count);
        }
        let examples = self.examples();
        let clustered = self.clustered(&examples);
        let mut gaps: Vec<(f64, u32)> = Vec::new();
        let mut start = 0;
        for next in 0..=examples.len() {
            let end = examples.get(next).map_or(self.files.len(), |example| example.index);
            let ends = (next.checked_sub(1).and_then(|index| examples.get(index)), examples.get(next));
            self.split(start..end, self.difference(ends, clustered), &mut gaps);
            start = end + 1;
        }
        gaps.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        gaps.into_iter().take(count).map(|(_, place)| place).collect()
    }

    /// The files that stand for all, before anything is known: the first and the last key, and between them some after
    /// each so many bytes and some after each so many files.
    fn first_looks(&self, count: usize) -> Vec<u32> {
        if self.files.len() <= count {
            return self.files.iter().map(|file| file.place).collect();
        }
        let mut places: BTreeSet<u32> =
            self.files.iter().filter(|file| file.part).map(|file| file.place).take(count / 2).collect();
        let by_count = (count / 3).max(2);
        for step in 0..by_count {
            places.insert(self.files[step * (self.files.len() - 1) / (by_count - 1)].place);
        }
        let total: u64 = self.files.iter().map(Listed::weight).sum();
        let by_weight = count.saturating_sub(places.len());
        let (mut sum, mut step) = (0, 0);
        for file in &self.files {
            sum += file.weight();
            // The middle of each part.
            while step < by_weight && sum > scaled(total, 2 * step as u64 + 1, 2 * by_weight as u64) {
                places.insert(file.place);
                step += 1;
            }
        }
        places.into_iter().collect()
    }

    /// Adds the file that divides the weight of a gap, with what is uncertain there.
    fn split(&self, gap: std::ops::Range<usize>, difference: f64, gaps: &mut Vec<(f64, u32)>) {
        let candidates = || self.files[gap.clone()].iter().filter(|file| !self.unreadable.contains(&file.place));
        let total: u64 = candidates().map(Listed::weight).sum();
        let mut sum = 0;
        let middle = candidates().filter(|file| file.open()).find(|file| {
            sum += file.weight();
            2 * sum >= total
        });
        gaps.extend(middle.map(|file| (total as f64 * difference, file.place)));
    }

    /// How different two neighbours are, between nearly 0 and 1.
    fn difference(&self, ends: (Option<&Example<'_>>, Option<&Example<'_>>), clustered: bool) -> f64 {
        let (Some(before), Some(after)) = ends else { return 4.0 * ALIKE };
        match self.between(before, after, clustered) {
            Between::Nothing => ALIKE / 10.0,
            // What is wanted may lie between two that have nothing of it.
            Between::Neighbours if before.part + after.part < ALIKE => 1.0,
            _ => (before.part - after.part).abs().clamp(ALIKE, 1.0),
        }
    }

    fn between(&self, before: &Example<'_>, after: &Example<'_>, clustered: bool) -> Between {
        match clustered {
            false => Between::All,
            true if possible_between(&self.predicates, before.standing, after.standing) => Between::Neighbours,
            true => Between::Nothing,
        }
    }

    /// Whether the filters' columns rise or fall with the key.
    fn clustered(&self, examples: &[Example<'_>]) -> bool {
        let literals = literals(&self.predicates).count();
        (0..literals).any(|literal| {
            let standings = examples.iter().filter_map(|example| *example.standing.get(literal)?);
            let levels: Vec<i32> = standings.map(|(least, greatest)| least as i32 + greatest as i32).collect();
            let steps = |order: Ordering| levels.windows(2).filter(|pair| pair[1].cmp(&pair[0]) == order).count();
            let (up, down) = (steps(Ordering::Greater), steps(Ordering::Less));
            up + down > 0 && up.min(down) <= levels.len() / 10
        })
    }

    fn sort(&mut self) {
        if !self.sorted {
            self.files.sort_unstable_by_key(|file| file.place);
            self.sorted = true;
        }
    }

    /// The files that were looked at and tell of others, in key order.
    fn examples(&self) -> Vec<Example<'_>> {
        let example = |(&place, file): (&u32, &'_ ColumnarFile)| {
            let index = self.files.binary_search_by_key(&place, |file| file.place).ok()?;
            if self.files[index].part {
                return None;
            }
            let body = file.size.checked_sub(TAIL_BYTES).filter(|body| *body > 0)?;
            Some((index, body, place))
        };
        let found = self.looked_at.iter().filter_map(example);
        found
            .map(|(index, body, place)| {
                let file = &self.looked_at[&place];
                Example {
                    index,
                    size: file.size,
                    part: file.bytes.saturating_sub(TAIL_BYTES) as f64 / body as f64,
                    requests: file.requests.saturating_sub(1),
                    standing: &file.standing,
                }
            })
            .collect()
    }

    /// Adds what all files take. Files are in key order where some were looked at.
    pub(super) fn estimate(&self, sum: &mut Estimated) {
        let examples = self.examples();
        let clustered = self.clustered(&examples);
        // Padding aside, where everything is wanted.
        let least = examples.iter().map(|example| LEANER * example.part).reduce(f64::min);
        let least = least.filter(|_| self.everything).unwrap_or_default();
        let mut next = 0;
        for (index, file) in self.files.iter().enumerate() {
            while examples.get(next).is_some_and(|example| example.index < index) {
                next += 1;
            }
            let row = Row::get(file.storage_class);
            if let Some(looked_at) = self.looked_at.get(&file.place) {
                sum.add_exact(row, looked_at.requests, looked_at.bytes);
                continue;
            }
            let most = by_ranges_of(file.storage_class, file.size, self.indexed);
            if most.exact {
                sum.add_exact(row, most.requests, most.bytes);
                continue;
            }
            let (requests, bytes) = match examples.is_empty() {
                true => (most.requests.min(2 + file.size / crate::ranges::MERGE_GAP_BYTES), file.size),
                false => self.alike(index, file, &examples, next, clustered),
            };
            add(&mut sum.low, row, 1, TAIL_BYTES + (least * file.body() as f64) as u64);
            add(&mut sum.expected, row, requests.min(most.requests), bytes.min(most.bytes));
            add(&mut sum.high, row, most.requests, most.bytes);
        }
    }

    /// What a file is expected to take. `next` is the first example after it.
    fn alike(&self, index: usize, file: &Listed, examples: &[Example<'_>], next: usize, clustered: bool) -> (u64, u64) {
        let ends = (next.checked_sub(1).and_then(|before| examples.get(before)), examples.get(next));
        let between = match ends {
            (Some(before), Some(after)) => self.between(before, after, clustered),
            // Behind the last one in key order all are as it is.
            _ if clustered => Between::Neighbours,
            _ => Between::All,
        };
        let chosen = match between {
            Between::Nothing => return (1, TAIL_BYTES),
            Between::Neighbours => &examples[next.saturating_sub(1)..(next + 1).min(examples.len())],
            Between::All => examples,
        };
        let (mut weights, mut part, mut requests) = (0.0, 0.0, 0.0);
        for example in chosen {
            let keys = index.abs_diff(example.index) as f64 / self.files.len() as f64;
            let sizes = (file.size as f64 / example.size as f64).log2();
            let weight = (4.0 * keys).mul_add(4.0 * keys, sizes * sizes + 0.01).powi(-2);
            weights += weight;
            part += weight * example.part;
            requests += weight * example.requests as f64 * (file.size as f64 / example.size as f64).min(1.0);
        }
        let bytes = part / weights * file.body() as f64;
        (1 + (requests / weights).round() as u64, TAIL_BYTES + bytes.round() as u64)
    }
}

/// The conditions of filters with the literals that a standing is about, in its order.
fn literals(predicates: &[Predicate]) -> impl Iterator<Item = &Condition> {
    let conditions = predicates.iter().flat_map(Predicate::conditions);
    conditions.flat_map(|condition| condition.test.operands().iter().map(move |_| condition))
}

/// Whether a file may have wanted rows whose values lie between those of two others.
fn possible_between(predicates: &[Predicate], one: &Standing, other: &Standing) -> bool {
    let expected = literals(predicates).count();
    if one.len() != expected || other.len() != expected {
        return true;
    }
    let mut literal = 0;
    let joined: Vec<Option<(Ordering, Ordering)>> = one
        .iter()
        .zip(other)
        .map(|(one, other)| {
            let (one, other) = ((*one)?, (*other)?);
            Some((one.0.min(other.0), one.1.max(other.1)))
        })
        .collect();
    predicates.iter().all(|predicate| {
        // In the order of the literals, whatever the answers before.
        let alternatives = predicate.alternatives().iter().map(|alternative| {
            let conditions = alternative.iter().map(|condition| {
                let operands = condition.test.operands().len();
                literal += operands;
                possible(&condition.test, &joined[literal - operands..literal])
            });
            conditions.fold(true, |all, possible| all & possible)
        });
        alternatives.fold(false, |any, possible| any | possible)
    })
}

fn possible(test: &Test, standing: &[Option<(Ordering, Ordering)>]) -> bool {
    let of = |operator: Operator, standing: &Option<(Ordering, Ordering)>| {
        let Some((least, greatest)) = standing else { return true };
        match operator {
            Operator::Equal => least.is_le() && greatest.is_ge(),
            Operator::NotEqual => least.is_ne() || greatest.is_ne(),
            Operator::Less => least.is_lt(),
            Operator::LessOrEqual => least.is_le(),
            Operator::Greater => greatest.is_gt(),
            Operator::GreaterOrEqual | Operator::NotLess => greatest.is_ge(),
        }
    };
    match test {
        Test::Compare(operator, _) => standing.iter().all(|standing| of(*operator, standing)),
        Test::In(_) => standing.iter().any(|standing| of(Operator::Equal, standing)),
        Test::NotIn(_) => standing.iter().all(|standing| of(Operator::NotEqual, standing)),
        Test::Null | Test::NotNull => true,
    }
}
