//! The bad rows of a stream: how many there may be, and what is said of them at its end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tollgate_base::batch::Reject;
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_config::job::{BadRowAction, BadRows, DeadLetterPlace};

/// Rows from which on a percentage says something.
const JUDGED_FROM_ROWS: u64 = 1000;

/// Reasons that are told one by one; what comes later is counted together.
const TOLD_REASONS: usize = 10;

/// Reasons that are counted one by one: a reason may name a field, and fields may be data.
const COUNTED_REASONS: usize = 1000;

/// Files that are told one by one.
const TOLD_FILES: usize = 10;

/// Characters of a bad row that are shown.
const EXAMPLE_CHARS: usize = 80;

/// Counts good and bad rows, and knows when there are too many bad ones. Tasks of files share it.
#[derive(Debug, Default)]
pub(super) struct Tolerance {
    /// No bad row is left out.
    none: bool,
    max_rows: Option<u64>,
    max_percent: Option<f64>,
    good: AtomicU64,
    bad: AtomicU64,
    /// Bad rows of the runs before.
    carried: AtomicU64,
    exceeded: AtomicBool,
}

impl Tolerance {
    pub(super) fn new(bad_rows: &BadRows) -> Self {
        let none = bad_rows.action == BadRowAction::Fail;
        Self { none, max_rows: bad_rows.max_rows, max_percent: bad_rows.max_percent, ..Self::default() }
    }

    /// Takes over the rows of runs before this one, which did not end well.
    pub(super) fn carry(&self, good: u64, bad: u64) {
        self.carried.store(bad, Ordering::Relaxed);
        // What an earlier run left out is not tolerated by one that leaves out nothing.
        if self.none && bad > 0 {
            self.exceeded.store(true, Ordering::Relaxed);
        }
        self.add(good, bad);
    }

    /// Counts the rows of a batch. Whether the stream goes on.
    pub(super) fn add(&self, good: u64, bad: u64) -> bool {
        let good = self.good.fetch_add(good, Ordering::Relaxed) + good;
        let bad = self.bad.fetch_add(bad, Ordering::Relaxed) + bad;
        let too_many = self.max_rows.is_some_and(|most| bad > most);
        if too_many || (good + bad >= JUDGED_FROM_ROWS && self.too_large_a_part(good, bad)) {
            self.exceeded.store(true, Ordering::Relaxed);
        }
        !self.exceeded()
    }

    /// Whether the stream has too many.
    pub(super) fn exceeded(&self) -> bool {
        self.exceeded.load(Ordering::Relaxed)
    }

    /// The stream's failure, when all of its rows were counted or it was ended.
    pub(super) fn verdict(&self) -> Result<()> {
        let (good, bad) = (self.good.load(Ordering::Relaxed), self.bad.load(Ordering::Relaxed));
        if !self.exceeded() && !self.too_large_a_part(good, bad) {
            return Ok(());
        }
        let mut error = Error::new(ErrorKind::Data, "the stream has more bad rows than allowed")
            .with("bad_rows", bad)
            .with("rows", good + bad);
        let carried = self.carried.load(Ordering::Relaxed);
        if carried > 0 {
            error = error.with("bad_rows_of_earlier_runs", carried);
        }
        if let Some(most) = self.max_rows {
            error = error.with("max_bad_rows", most);
        }
        if let Some(most) = self.max_percent {
            error = error.with("max_bad_percent", most);
        }
        Err(error.hint("correct the files, or allow more bad rows"))
    }

    fn too_large_a_part(&self, good: u64, bad: u64) -> bool {
        self.max_percent.is_some_and(|most| bad > 0 && bad as f64 * 100.0 > most * (good + bad) as f64)
    }
}

/// What was seen of bad rows.
#[derive(Debug, Default)]
pub(super) struct BadRowCounts {
    rows: u64,
    reasons: BTreeMap<String, Reason>,
    files: BTreeMap<Arc<str>, u64>,
    /// Whether some could not be written down.
    pub(super) unwritten: bool,
}

#[derive(Debug)]
struct Reason {
    count: u64,
    example: String,
}

impl BadRowCounts {
    /// Counts the bad rows of a file.
    pub(super) fn add(&mut self, key: &Arc<str>, rejects: &[Reject]) {
        if rejects.is_empty() {
            return;
        }
        let rows: u64 = rejects.iter().map(Reject::rows).sum();
        self.rows += rows;
        *self.files.entry(Arc::clone(key)).or_default() += rows;
        for reject in rejects {
            let known = self.reasons.len() < COUNTED_REASONS || self.reasons.contains_key(&*reject.reason);
            let name = if known { &*reject.reason } else { "other reasons" };
            match self.reasons.get_mut(name) {
                Some(reason) => reason.count += reject.rows(),
                None => {
                    let reason = Reason { count: reject.rows(), example: example(key, reject) };
                    self.reasons.insert(name.to_owned(), reason);
                }
            }
        }
    }

    /// A sentence per fact, with what became of the rows.
    pub(super) fn lines(&self, action: &BadRowAction) -> Vec<String> {
        if self.rows == 0 {
            return Vec::new();
        }
        let written = if self.unwritten { "could not all be written to" } else { "were written to" };
        let fate = match action {
            BadRowAction::DeadLetter(DeadLetterPlace::Bucket { bucket, prefix }) => {
                format!("{written} s3://{bucket}/{prefix}")
            }
            BadRowAction::DeadLetter(DeadLetterPlace::Folder(folder)) => {
                format!("{written} {}", folder.display())
            }
            BadRowAction::Fail | BadRowAction::Skip => "were skipped".to_owned(),
        };
        let mut lines = vec![format!("{} bad rows in {} files {fate}", self.rows, self.files.len())];
        let mut reasons: Vec<_> = self.reasons.iter().collect();
        // Sorted by name before, and stable: equal counts keep that order.
        reasons.sort_by_key(|(_, reason)| std::cmp::Reverse(reason.count));
        for (name, reason) in reasons.iter().take(TOLD_REASONS) {
            lines.push(format!("{} bad rows: {name}; the first is {}", reason.count, reason.example));
        }
        if reasons.len() > TOLD_REASONS {
            let rows: u64 = reasons[TOLD_REASONS..].iter().map(|(_, reason)| reason.count).sum();
            lines.push(format!("{rows} bad rows for {} other reasons", reasons.len() - TOLD_REASONS));
        }
        let mut files: Vec<_> = self.files.iter().collect();
        files.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let told: Vec<String> = files.iter().take(TOLD_FILES).map(|(key, count)| format!("'{key}' {count}")).collect();
        let more = match files.len().saturating_sub(TOLD_FILES) {
            0 => String::new(),
            more => format!(", and {more} more files"),
        };
        lines.push(format!("bad rows by file: {}{more}", told.join(", ")));
        lines
    }
}

fn example(key: &str, reject: &Reject) -> String {
    let raw = String::from_utf8_lossy(&reject.raw[..reject.raw.len().min(4 * EXAMPLE_CHARS)]).into_owned();
    let shown: String = raw.trim_end().chars().take(EXAMPLE_CHARS).collect();
    let mut place = format!("in '{key}'");
    for (name, number) in [("line", reject.line), ("byte", reject.offset), ("row", reject.row)] {
        if let Some(number) = number {
            place.push_str(&format!(", {name} {number}"));
            if let Some(unit) = reject.offset_unit.filter(|_| name == "byte") {
                place.push_str(&format!(" ({unit})"));
            }
        }
    }
    format!("{place}: {shown:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tolerance(max_rows: Option<u64>, max_percent: Option<f64>) -> Tolerance {
        Tolerance::new(&BadRows { action: BadRowAction::Skip, max_rows, max_percent })
    }

    #[test]
    fn limits_are_what_may_be_reached_and_not_passed() {
        let rows = tolerance(Some(2), None);
        assert!(rows.add(10, 2) && rows.verdict().is_ok());
        assert!(!rows.add(10, 1) && rows.exceeded() && rows.verdict().is_err());
        let none = tolerance(Some(0), None);
        assert!(none.add(1, 0) && !none.add(0, 1));
        let percent = tolerance(None, Some(10.0));
        assert!(percent.add(1, 9), "few rows are judged at the end");
        assert!(percent.verdict().is_err());
        assert!(percent.add(89, 1) && percent.verdict().is_ok(), "10 of 100");
        assert!(percent.add(890, 9) && percent.add(1, 0), "19 of 1,000");
        assert!(!percent.add(0, 100));
        let zero = tolerance(None, Some(0.0));
        assert!(zero.add(5000, 0) && !zero.add(0, 1));
        assert!(tolerance(None, None).add(0, 1_000_000));
    }

    #[test]
    fn what_is_said_does_not_grow_with_the_rows() {
        let mut counts = BadRowCounts::default();
        for file in 0..50 {
            let key: Arc<str> = format!("f{file:02}").into();
            let reject = |index: usize| Reject {
                line: Some(index as u64),
                reason: format!("column 'c{index}' is not in the catalog").into(),
                raw: b"x\xff\n".repeat(1000),
                ..Reject::default()
            };
            counts.add(&key, &(0..2000).map(reject).collect::<Vec<_>>());
        }
        let lines = counts.lines(&BadRowAction::Skip);
        assert_eq!(lines[0], "100000 bad rows in 50 files were skipped");
        assert!(lines.len() == TOLD_REASONS + 3 && lines.iter().all(|line| line.len() < 600), "{lines:#?}");
        assert!(lines[1].starts_with("50000 bad rows: other reasons"), "{lines:#?}");
        assert!(lines.last().is_some_and(|line| line.contains("'f00' 2000") && line.ends_with("and 40 more files")));
    }
}
