//! The ledger of a run: the actual requests and received bytes, by usage row.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::usage::{Attempt, Operation, Row, Totals};
use tollgate_base::object::StorageClass;

/// Counts requests and bytes by usage row. Clones share the counts. It has no prices and makes no decisions.
///
/// There are few rows, and all of them are known, so they are an array of counters without a lock.
#[derive(Clone, Default)]
pub struct Ledger {
    cells: Arc<Cells>,
}

#[derive(Default)]
struct Cells([[Cell; StorageClass::ALL.len()]; Operation::ALL.len()]);

#[derive(Default)]
struct Cell {
    requests: AtomicU64,
    billed_requests: AtomicU64,
    retries: AtomicU64,
    bytes_received: AtomicU64,
}

impl Ledger {
    /// An empty ledger.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts one HTTP attempt.
    pub fn record(&self, row: Row, attempt: Attempt) {
        let cell = self.cell(row);
        cell.requests.fetch_add(1, Ordering::Relaxed);
        if attempt.billed {
            cell.billed_requests.fetch_add(1, Ordering::Relaxed);
        }
        if attempt.retry {
            cell.retries.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts bytes of a body that arrived.
    pub fn add_bytes(&self, row: Row, bytes: u64) {
        self.cell(row).bytes_received.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The rows that have any request, in order.
    #[must_use]
    pub fn snapshot(&self) -> Vec<(Row, Totals)> {
        let rows = Operation::ALL.into_iter().flat_map(|operation| {
            StorageClass::ALL.into_iter().map(move |storage_class| Row { operation, storage_class })
        });
        rows.map(|row| (row, self.cell(row).totals())).filter(|(_, totals)| totals.requests > 0).collect()
    }

    /// All rows together.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut sum = Totals::default();
        for (_, totals) in self.snapshot() {
            sum += totals;
        }
        sum
    }

    fn cell(&self, row: Row) -> &Cell {
        &self.cells.0[row.operation as usize][column(row.storage_class)]
    }
}

impl Cell {
    fn totals(&self) -> Totals {
        Totals {
            requests: self.requests.load(Ordering::Relaxed),
            billed_requests: self.billed_requests.load(Ordering::Relaxed),
            retries: self.retries.load(Ordering::Relaxed),
            bytes_received: self.bytes_received.load(Ordering::Relaxed),
        }
    }
}

fn column(class: StorageClass) -> usize {
    class as usize
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.snapshot()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_cell_of_its_own() {
        let ledger = Ledger::new();
        let mut expected = Vec::new();
        for operation in Operation::ALL {
            for storage_class in StorageClass::ALL {
                let row = Row { operation, storage_class };
                let bytes = expected.len() as u64;
                ledger.record(row, Attempt { retry: false, billed: true });
                ledger.add_bytes(row, bytes);
                expected.push((row, Totals { requests: 1, billed_requests: 1, retries: 0, bytes_received: bytes }));
            }
        }
        assert_eq!(ledger.snapshot(), expected);
        assert_eq!(ledger.totals().bytes_received, (0..55).sum::<u64>());
    }

    #[test]
    fn attempts_are_counted_by_what_they_were() {
        let ledger = Ledger::new();
        ledger.clone().record(Row::LIST, Attempt::answered(false, 503, Some("SlowDown")));
        ledger.record(Row::LIST, Attempt::unanswered(true));
        ledger.record(Row::LIST, Attempt::answered(true, 200, None));
        let totals = Totals { requests: 3, billed_requests: 1, retries: 2, bytes_received: 0 };
        assert_eq!(ledger.snapshot(), [(Row::LIST, totals)]);
    }
}
