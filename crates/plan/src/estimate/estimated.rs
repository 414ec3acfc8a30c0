//! Sums of requests and bytes, between bounds.

use tollgate_cost::Usage;
use tollgate_cost::usage::Row;

/// Usage with its bounds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Estimated {
    /// The lower bound.
    pub low: Vec<Usage>,
    /// The expected usage.
    pub expected: Vec<Usage>,
    /// The upper bound: with retries, and with the whole of each file whose footer was not read.
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

pub(super) fn add(usage: &mut Vec<Usage>, row: Row, requests: u64, bytes: u64) {
    match usage.iter_mut().find(|usage| usage.row == row) {
        Some(usage) => {
            usage.requests += requests;
            usage.bytes += bytes;
        }
        None => usage.push(Usage { row, requests, bytes }),
    }
}

/// `quantity × part / whole`, rounded to the nearest.
pub(super) fn scaled(quantity: u64, part: u64, whole: u64) -> u64 {
    let (quantity, part, whole) = (u128::from(quantity), u128::from(part), u128::from(whole.max(1)));
    u64::try_from((quantity * part + whole / 2) / whole).unwrap_or(u64::MAX)
}
