//! What a stream's reading left out or could not convert: counted while it runs, said once at its end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::deliver::bad_rows::BadRowCounts;
use crate::deliver::emit::Outgoing;
use crate::select::decided::DecisionCounts;
use crate::select::listing::{ListingCounts, sample_in_words};
use crate::select::queue::FileQueue;
use crate::skipped::{SkipCounts, SkipReason, Unit};
use tollgate_base::batch::Reject;
use tollgate_base::error::{Error, ErrorKind, Subject};
use tollgate_config::job::Stream;
use tollgate_cursor::Decision;
use tollgate_format::Pruned;
use tollgate_protocol::message::{self, Level};
use tollgate_record::FileReport;
use tollgate_record::row_filter::LeftOut;

/// What the connector that we replace says behind a listing: the number of files, and of different ones among them.
pub(crate) fn listed_line(files: u64) -> String {
    format!("Finished listing objects from S3. Found {files} objects total ({files} unique objects).")
}

/// Columns that give way to partitions that are told one by one.
const SHADOWED: usize = 10;

/// Counts of one stream. Tasks of files add to it.
#[derive(Debug, Default)]
pub(crate) struct Report {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    files: FileReport,
    listing: ListingCounts,
    decisions: DecisionCounts,
    /// Objects that are not read, besides those of the listing and of the decisions.
    skipped: SkipCounts,
    members: DecisionCounts,
    overwritten: u64,
    refused_positions: u64,
    first_refused: Option<Arc<str>>,
    bad_rows: BadRowCounts,
    left_out: LeftOut,
    /// What lies below the record cursor in files that were not read before.
    below: Below,
    pruned: Pruned,
    /// Columns of files that gave way to a partition of their name: the number of files and the first of them.
    shadowed: BTreeMap<String, (u64, Arc<str>)>,
    /// Files that needed more at once than the budget has, and the most that one needed.
    large_files: u64,
    large_bytes: u64,
}

/// Rows that a record cursor left out, and the files that had such.
#[derive(Debug, Default, Clone, Copy)]
struct Below {
    rows: u64,
    /// Rows that were never decoded. Beside a filter nobody knows which of the two ruled them out.
    pruned: u64,
    files: u64,
    /// Files that lie below it as a whole.
    whole_files: u64,
}

impl Report {
    pub(crate) fn add_file(&self, report: &FileReport) {
        self.change(|counts| counts.files.merge(report));
    }

    pub(crate) fn add_left_out(&self, left_out: &LeftOut) {
        self.change(|counts| counts.left_out.merge(left_out));
    }

    /// Rows below the record cursor, and rows that were not decoded, of a file that was not read before.
    pub(crate) fn add_below(&self, rows: u64, pruned: u64) {
        self.change(|counts| {
            counts.below.rows += rows;
            counts.below.pruned += pruned;
            counts.below.files += u64::from(rows + pruned > 0);
        });
    }

    pub(crate) fn add_pruned(&self, pruned: Pruned) {
        self.change(|counts| counts.pruned.add(pruned));
    }

    /// What was listed, and what was decided about it.
    pub(crate) fn add_listing(&self, files: &FileQueue) {
        self.change(|counts| {
            (counts.listing, counts.decisions) = (files.counts().clone(), files.decisions.clone());
            counts.below.whole_files = files.new_below_cursor();
        });
    }

    /// Objects that are not read.
    pub(crate) fn add_skipped(&self, reason: SkipReason, count: u64) {
        self.change(|counts| counts.skipped.add_many(reason, count));
    }

    /// A member of an archive.
    pub(crate) fn add_member(&self, decision: &Decision) {
        self.change(|counts| counts.members.add(decision));
    }

    /// Members of an archive that do not belong to the stream.
    pub(crate) fn add_skipped_members(&self, skipped: &SkipCounts) {
        self.change(|counts| counts.members.skipped.merge(skipped));
    }

    /// A file does not have the position that the state has of it.
    pub(crate) fn add_refused_position(&self, key: &Arc<str>) {
        self.change(|counts| {
            counts.refused_positions += 1;
            counts.first_refused.get_or_insert_with(|| Arc::clone(key));
        });
    }

    /// A file of the inventory is another object by now.
    pub(crate) fn add_overwritten(&self) {
        self.change(|counts| counts.overwritten += 1);
    }

    /// An object turned out to be archived when it was to be read, as objects in the archive tiers of Intelligent-Tiering do.
    pub(crate) fn add_archived(&self) {
        self.add_skipped(SkipReason::Archived, 1);
    }

    /// Archived objects that were left out: those of the listing, and those that turned out to be.
    pub(crate) fn archived(&self) -> u64 {
        let counts = self.counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        counts.objects_skipped().get(SkipReason::Archived)
    }

    pub(crate) fn add_bad_rows(&self, key: &Arc<str>, rejects: &[Reject]) {
        self.change(|counts| counts.bad_rows.add(key, rejects));
    }

    /// A file has a column that gives way to a partition of that name.
    pub(crate) fn add_shadowed(&self, column: &str, key: &Arc<str>) {
        self.change(|counts| match counts.shadowed.get_mut(column) {
            Some((files, _)) => *files += 1,
            None => _ = counts.shadowed.insert(column.to_owned(), (1, Arc::clone(key))),
        });
    }

    /// Bad rows could not be written down.
    pub(crate) fn add_unwritten(&self) {
        self.change(|counts| counts.bad_rows.unwritten = true);
    }

    /// A file needs so many bytes at once, more than the budget has. Whether it is the first to need that.
    pub(crate) fn add_large(&self, bytes: u64) -> bool {
        self.change(|counts| {
            counts.large_files += 1;
            counts.large_bytes = counts.large_bytes.max(bytes);
            counts.large_files == 1
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut Counts) -> T) -> T {
        // A task that panicked while counting leaves counts that are still worth saying.
        change(&mut self.counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Says what there is to say, a line per fact and stream.
    pub(crate) async fn log(&self, outgoing: &Outgoing, stream: &Stream) {
        let lines = {
            let counts = self.counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            counts.lines(stream)
        };
        for (level, line) in lines {
            outgoing.log(level, line).await;
        }
    }
}

/// A failure for the log, behind the words by which people know such failures from the connector that we replace.
pub(crate) fn failure_line(error: &Error) -> String {
    let of_file = matches!(error.subject(), Subject::File | Subject::Position | Subject::EarlierRows);
    let words = match error.kind() {
        ErrorKind::SchemaMismatch => "Stopping sync in accordance with the configured validation policy. ",
        ErrorKind::Data if of_file => "Error parsing record. ",
        ErrorKind::Access | ErrorKind::NotFound | ErrorKind::Changed if of_file => {
            "The file appears to have become unreachable during sync. "
        }
        _ => "",
    };
    format!("{words}{}", message::chain(error))
}

impl Counts {
    /// All objects that are not read.
    fn objects_skipped(&self) -> SkipCounts {
        let mut skipped = self.listing.skipped.clone();
        skipped.merge(&self.decisions.skipped);
        skipped.merge(&self.skipped);
        skipped
    }

    /// What there is to say, in the order in which it is said.
    fn lines(&self, of: &Stream) -> Vec<(Level, String)> {
        let mut said = self.listing_lines();
        said.extend(self.objects_skipped().lines(Unit::Objects));
        said.extend(self.inventory_lines());
        said.extend(self.sample_lines());
        said.extend(self.reading_lines());
        said.extend(self.members.skipped.lines(Unit::Members));
        said.extend(self.column_lines());
        said.extend(self.row_lines(of));
        let named = said.into_iter().map(|(level, line)| (level, format!("stream {}: {line}", of.name)));
        std::iter::once((Level::Info, listed_line(self.listing.selected))).chain(named).collect()
    }

    fn listing_lines(&self) -> Vec<(Level, String)> {
        let Self { listing, decisions, .. } = self;
        let line = format!(
            "listed {} objects in {} pages, {} belong to the stream; {} to read, {} to resume, {} read before",
            listing.objects,
            listing.pages,
            listing.selected,
            decisions.read_from_start(),
            decisions.resumed,
            decisions.skipped.get(SkipReason::AlreadyRead),
        );
        vec![(Level::Info, line)]
    }

    fn inventory_lines(&self) -> Vec<(Level, String)> {
        let known = self.listing.from_inventory;
        let archived = self.listing.skipped.get(SkipReason::Archived);
        let unclear = "objects are from the inventory, which does not show which archived objects are restored: all \
                       of them count as archived";
        numbered([
            (Level::Warn, if archived > 0 { known } else { 0 }, unclear),
            (Level::Info, known, "objects are known from the inventory"),
            (
                Level::Warn,
                self.overwritten,
                "files were overwritten after the inventory was made; their current versions were read",
            ),
        ])
    }

    /// A sample of which every file has a part: where files are skipped for it, the reason says how much is read.
    fn sample_lines(&self) -> Vec<(Level, String)> {
        let Self { listing: ListingCounts { sample, selected, skipped, .. }, .. } = self;
        match sample {
            Some((bytes, of_bytes)) if bytes < of_bytes && skipped.get(SkipReason::NotSampled) == 0 => {
                let part = sample_in_words((*bytes, *of_bytes));
                let line = format!("files to read, but only in part (`dev_sampling`): {part}");
                numbered([(Level::Warn, *selected, line.as_str())])
            }
            _ => Vec::new(),
        }
    }

    /// How files and members of archives are read, where that is not as usual.
    fn reading_lines(&self) -> Vec<(Level, String)> {
        let Self { decisions, members, .. } = self;
        let refused = format!(
            "unfinished files are read again from their start: the state has positions that they do not have, as of '{}'",
            self.first_refused.as_deref().unwrap_or_default()
        );
        numbered([
            (
                Level::Warn,
                decisions.changed,
                "objects changed after the last run stopped inside them; they are read from the start",
            ),
            (
                Level::Warn,
                decisions.other_options + members.other_options,
                "unfinished files are read again from their start: their options changed since the last run \
                 (encoding, delimiter, quoting, header, compression, flattening, filter), or the state does not \
                 record them",
            ),
            (Level::Warn, self.refused_positions, &refused),
            (
                Level::Warn,
                decisions.read_again,
                "objects are read, although some of them may have been read before: too many objects changed since \
                 the last run to distinguish them",
            ),
            (
                Level::Info,
                members.new + members.resumed + members.changed + members.other_options,
                "members of zip archives to read",
            ),
            (
                Level::Warn,
                members.read_again,
                "members of changed zip archives are read, although some of them may have been read before: the state \
                 does not have their checksums",
            ),
        ])
    }

    /// Row groups that are large, and columns that give way to partitions.
    fn column_lines(&self) -> Vec<(Level, String)> {
        let mut lines = Vec::new();
        if self.large_files > 1 {
            let (files, bytes) = (self.large_files, self.large_bytes);
            lines.push(format!(
                "{files} files have row groups larger than the memory for fetched data; the largest needed {bytes} bytes \
                 at once"
            ));
        }
        for (column, (files, first)) in self.shadowed.iter().take(SHADOWED) {
            lines.push(format!(
                "column '{column}' of {files} files is not read, since their keys have a partition of that name, as of \
                 '{first}'; set `partition_columns` to 'none' to read the column"
            ));
        }
        lines.into_iter().map(|line| (Level::Warn, line)).collect()
    }

    /// What rows were left out, bad or not as the catalog has them.
    fn row_lines(&self, of: &Stream) -> Vec<(Level, String)> {
        let warn = |line: String| (Level::Warn, line);
        let mut lines: Vec<_> = self.below_lines(of).into_iter().map(warn).collect();
        lines.extend(self.bad_rows.lines(&of.bad_rows.action).into_iter().map(warn));
        if self.pruned.rows > 0 {
            lines.push((Level::Info, self.pruned.to_string()));
        }
        if let Pruned { unsampled_row_groups: groups @ 1.., unsampled_rows: rows, .. } = self.pruned {
            let text = format!("{groups} row groups with {rows} rows skipped: only a sample is read (`dev_sampling`)");
            lines.push((Level::Warn, text));
        }
        let level = |worrying| if worrying { Level::Warn } else { Level::Info };
        lines.extend(self.left_out.notes().into_iter().map(|(worrying, note)| (level(worrying), note)));
        lines.extend(self.files.notes().into_iter().map(|note| (Level::Warn, note)));
        lines
    }

    /// Says what of new files a record cursor left out: late rows are lost that way.
    fn below_lines(&self, stream: &Stream) -> Vec<String> {
        let Some(column) = &stream.pushdown.cursor_field else { return Vec::new() };
        let Below { rows, pruned, files, whole_files } = self.below;
        let rows = match (rows + pruned, &stream.pushdown.filter) {
            (0, _) => String::new(),
            (all, Some(_)) if pruned > 0 => format!("between {rows} and {all} rows of {files} new files"),
            (all, _) => format!("{all} rows of {files} new files"),
        };
        let whole = match whole_files {
            0 => String::new(),
            files => format!("{files} new files as a whole"),
        };
        let what: Vec<String> = [rows, whole].into_iter().filter(|what| !what.is_empty()).collect();
        if what.is_empty() {
            return Vec::new();
        }
        vec![format!(
            "{} were skipped: they are lower than the greatest value of column '{column}' in earlier syncs \
             (`cursor_field`); set `cursor_lookback` to read late rows",
            what.join(" and ")
        )]
    }
}

/// A line for each number that is not zero.
fn numbered<'s>(lines: impl IntoIterator<Item = (Level, u64, &'s str)>) -> Vec<(Level, String)> {
    let lines = lines.into_iter().filter(|(_, count, _)| *count > 0);
    lines.map(|(level, count, sentence)| (level, format!("{count} {sentence}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_files_begin_with_the_words_that_people_know() {
        let line = |kind, subject| failure_line(&Error::new(kind, "it failed").about(subject).with("key", "a.csv"));
        for (kind, subject, words) in [
            (ErrorKind::Data, Subject::File, "Error parsing record. it failed"),
            (ErrorKind::Data, Subject::EarlierRows, "Error parsing record. it failed"),
            (ErrorKind::Data, Subject::Run, "it failed"),
            (ErrorKind::Data, Subject::DeadLetters, "it failed"),
            (ErrorKind::SchemaMismatch, Subject::File, "Stopping sync in accordance with the configured validation"),
            (
                ErrorKind::Changed,
                Subject::Position,
                "The file appears to have become unreachable during sync. it failed",
            ),
            (ErrorKind::Access, Subject::File, "The file appears to have become unreachable during sync. it failed"),
            (ErrorKind::Access, Subject::DeadLetters, "it failed"),
            (ErrorKind::Archived, Subject::File, "it failed"),
            (ErrorKind::Limit, Subject::File, "it failed"),
        ] {
            let line = line(kind, subject);
            assert!(line.starts_with(words), "{kind:?} {subject:?}: {line}");
        }
    }

    #[test]
    fn skipped_objects_are_summed_over_listing_decisions_and_reading() {
        let mut counts = Counts::default();
        counts.listing.skipped.add_many(SkipReason::Archived, 2);
        counts.skipped.add(SkipReason::Archived);
        counts.decisions.add(&Decision::AlreadyRead);
        counts.decisions.add(&Decision::ReadAgain);
        let skipped = counts.objects_skipped();
        assert_eq!((skipped.get(SkipReason::Archived), skipped.get(SkipReason::AlreadyRead)), (3, 1));
        assert_eq!(skipped.sum(&SkipReason::ALL), 4);
        assert_eq!(counts.decisions.read_from_start(), 1);
    }
}
