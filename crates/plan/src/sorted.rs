//! Sorts objects by key: they are sorted in runs, stored compactly, and merged.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::files::FileList;
use tollgate_base::object::ObjectFacts;

/// Objects of a run.
const RUN: usize = 16 << 10;

/// Takes objects in.
#[derive(Debug, Default)]
pub struct Sorter {
    buffer: Vec<ObjectFacts>,
    runs: Vec<FileList>,
}

impl Sorter {
    /// Adds an object.
    pub fn push(&mut self, object: ObjectFacts) {
        self.buffer.push(object);
        if self.buffer.len() == RUN {
            self.close_run();
        }
    }

    fn close_run(&mut self) {
        let newer_first = |one: &ObjectFacts, other: &ObjectFacts| other.modified_at.cmp(&one.modified_at);
        self.buffer.sort_unstable_by(|one, other| one.key.cmp(&other.key).then(newer_first(one, other)));
        let mut run = FileList::default();
        self.buffer.drain(..).for_each(|object| run.push(&object));
        self.runs.push(run);
    }

    /// All objects in order. An object that was listed twice is included once, in its newest version.
    #[must_use]
    pub fn sorted(mut self) -> Sorted {
        self.close_run();
        let mut sorted = Sorted { runs: self.runs, heads: BinaryHeap::new(), last: None, twice: 0 };
        (0..sorted.runs.len()).for_each(|run| sorted.advance(run, 0));
        sorted
    }
}

/// The sorted objects: see [`Sorter`].
#[derive(Debug)]
pub struct Sorted {
    runs: Vec<FileList>,
    heads: BinaryHeap<Reverse<Head>>,
    last: Option<Arc<str>>,
    /// The number of duplicates so far.
    pub twice: u64,
}

/// The next object of a run.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    object: ObjectFacts,
    run: usize,
    index: usize,
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        let newer_first = other.object.modified_at.cmp(&self.object.modified_at);
        self.object.key.cmp(&other.object.key).then(newer_first).then(self.run.cmp(&other.run))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Sorted {
    fn advance(&mut self, run: usize, index: usize) {
        if let Some(object) = self.runs[run].get(index) {
            self.heads.push(Reverse(Head { object, run, index }));
        }
    }
}

impl Iterator for Sorted {
    type Item = ObjectFacts;

    fn next(&mut self) -> Option<ObjectFacts> {
        loop {
            let Reverse(Head { object, run, index }) = self.heads.pop()?;
            self.advance(run, index + 1);
            if self.last.as_ref() != Some(&object.key) {
                self.last = Some(Arc::clone(&object.key));
                return Some(object);
            }
            self.twice += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_base::object::{StorageClass, Timestamp};

    #[test]
    fn objects_in_any_order_come_back_sorted_and_once() {
        let object = |number: u64, second: i64| ObjectFacts {
            key: format!("k{number:06}").into(),
            size: number,
            modified_at: Timestamp::from_seconds(second, 0),
            etag: format!("\"{second}\"").into(),
            storage_class: StorageClass::Standard,
        };
        for count in [0, 1, 1000, 40_000_u64] {
            let mut sorter = Sorter::default();
            // Multiplying by an odd number that has no factor in common visits every number once.
            (0..count).for_each(|at| sorter.push(object(at * 7919 % count, 1)));
            (0..count).step_by(3).for_each(|at| sorter.push(object(at, at as i64 % 2 * 5)));
            let mut sorted = sorter.sorted();
            let newest = |at: u64| if at.is_multiple_of(3) && at % 2 == 1 { 5 } else { 1 };
            for at in 0..count {
                assert_eq!(sorted.next(), Some(object(at, newest(at))));
            }
            assert_eq!((sorted.next(), sorted.twice), (None, count.div_ceil(3)));
        }
    }
}
