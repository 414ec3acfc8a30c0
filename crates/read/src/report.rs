//! What a stream's reading left out or could not convert: counted while it runs, said once at its end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::bad_rows::BadRowCounts;
use super::emit::Outgoing;
use super::listing::ListingCounts;
use super::queue::DecisionCounts;
use tollgate_base::batch::Reject;
use tollgate_base::error::{Error, ErrorKind, Subject};
use tollgate_config::job::Stream;
use tollgate_cursor::Decision;
use tollgate_format::Pruned;
use tollgate_protocol::message::{self, Level};
use tollgate_record::FileReport;
use tollgate_record::row_filter::LeftOut;

/// Members that are not read, by reason.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct MembersLeftOut {
    /// No pattern matches.
    pub(super) unmatched: u64,
    /// A part of the name begins with a dot, `..` among them: no wildcard matches it.
    pub(super) hidden: u64,
    /// Marks of other tools.
    pub(super) markers: u64,
    /// Older than the start date.
    pub(super) too_old: u64,
}

/// The part of the bytes that a sample reads.
fn sample_in_words(sample: Option<(u64, u64)>) -> String {
    let (bytes, of_bytes) = sample.unwrap_or_default();
    format!("it reads {:.1} % of the bytes", bytes as f64 * 100.0 / of_bytes.max(1) as f64)
}

/// What the connector that we replace says behind a listing: the number of files, and of different ones among them.
pub(super) fn listed_line(files: u64) -> String {
    format!("Finished listing objects from S3. Found {files} objects total ({files} unique objects).")
}

/// Columns that give way to partitions that are told one by one.
const SHADOWED: usize = 10;

/// Counts of one stream. Tasks of files add to it.
#[derive(Debug, Default)]
pub(super) struct Report {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    files: FileReport,
    listing: ListingCounts,
    decisions: DecisionCounts,
    vanished: usize,
    gone: u64,
    overwritten: u64,
    archived_when_read: u64,
    members: DecisionCounts,
    members_left_out: MembersLeftOut,
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
}

impl Report {
    pub(super) fn add_file(&self, report: &FileReport) {
        self.change(|counts| counts.files.merge(report));
    }

    pub(super) fn add_left_out(&self, left_out: &LeftOut) {
        self.change(|counts| counts.left_out.merge(left_out));
    }

    /// Rows below the record cursor, and rows that were not decoded, of a file that was not read before.
    pub(super) fn add_below(&self, rows: u64, pruned: u64) {
        self.change(|counts| {
            counts.below.rows += rows;
            counts.below.pruned += pruned;
            counts.below.files += u64::from(rows + pruned > 0);
        });
    }

    pub(super) fn add_pruned(&self, pruned: Pruned) {
        self.change(|counts| counts.pruned.add(pruned));
    }

    pub(super) fn add_listing(&self, listing: ListingCounts, decisions: DecisionCounts) {
        self.change(|counts| (counts.listing, counts.decisions) = (listing, decisions));
    }

    /// A member of an archive.
    pub(super) fn add_member(&self, decision: &Decision) {
        self.change(|counts| *counts.members.of(decision) += 1);
    }

    /// Members of an archive that do not belong to the stream.
    pub(super) fn add_members_left_out(&self, left_out: MembersLeftOut) {
        self.change(|counts| {
            let sum = &mut counts.members_left_out;
            sum.unmatched += left_out.unmatched;
            sum.hidden += left_out.hidden;
            sum.markers += left_out.markers;
            sum.too_old += left_out.too_old;
        });
    }

    /// A file does not have the position that the state has of it.
    pub(super) fn add_refused_position(&self, key: &Arc<str>) {
        self.change(|counts| {
            counts.refused_positions += 1;
            counts.first_refused.get_or_insert_with(|| Arc::clone(key));
        });
    }

    pub(super) fn add_vanished(&self, vanished: usize) {
        self.change(|counts| counts.vanished += vanished);
    }

    /// A file of the inventory is not there any more.
    pub(super) fn add_gone(&self) {
        self.change(|counts| counts.gone += 1);
    }

    /// A file of the inventory is another object by now.
    pub(super) fn add_overwritten(&self) {
        self.change(|counts| counts.overwritten += 1);
    }

    /// An object turned out to be archived when it was to be read, as objects in the archive tiers of Intelligent-Tiering do.
    pub(super) fn add_archived(&self) {
        self.change(|counts| counts.archived_when_read += 1);
    }

    /// Archived objects that were left out: those of the listing, and those that turned out to be.
    pub(super) fn archived(&self) -> u64 {
        let counts = self.counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        counts.listing.archived + counts.archived_when_read
    }

    pub(super) fn add_bad_rows(&self, key: &Arc<str>, rejects: &[Reject]) {
        self.change(|counts| counts.bad_rows.add(key, rejects));
    }

    /// A file has a column that gives way to a partition of that name.
    pub(super) fn add_shadowed(&self, column: &str, key: &Arc<str>) {
        self.change(|counts| match counts.shadowed.get_mut(column) {
            Some((files, _)) => *files += 1,
            None => _ = counts.shadowed.insert(column.to_owned(), (1, Arc::clone(key))),
        });
    }

    /// Bad rows could not be written down.
    pub(super) fn add_unwritten(&self) {
        self.change(|counts| counts.bad_rows.unwritten = true);
    }

    /// A file needs so many bytes at once, more than the budget has. Whether it is the first to need that.
    pub(super) fn add_large(&self, another_file: bool, bytes: u64) -> bool {
        self.change(|counts| {
            counts.large_files += u64::from(another_file);
            counts.large_bytes = counts.large_bytes.max(bytes);
            another_file && counts.large_files == 1
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut Counts) -> T) -> T {
        // A task that panicked while counting leaves counts that are still worth saying.
        change(&mut self.counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Says what there is to say, a line per fact and stream.
    pub(super) async fn log(&self, outgoing: &Outgoing, stream: &Stream) {
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
pub(super) fn failure_line(error: &Error) -> String {
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
    /// Says what of new files a record cursor left out: late rows are lost that way.
    fn below_lines(&self, stream: &Stream) -> Vec<String> {
        let Some(column) = &stream.pushdown.cursor_field else { return Vec::new() };
        let Below { rows, pruned, files } = self.below;
        let rows = match (rows + pruned, &stream.pushdown.filter) {
            (0, _) => String::new(),
            (all, Some(_)) if pruned > 0 => format!("between {rows} and {all} rows of {files} new files"),
            (all, _) => format!("{all} rows of {files} new files"),
        };
        let whole = match self.decisions.below_new {
            0 => String::new(),
            files => format!("{files} new files as a whole"),
        };
        let what: Vec<String> = [rows, whole].into_iter().filter(|what| !what.is_empty()).collect();
        if what.is_empty() {
            return Vec::new();
        }
        vec![format!(
            "{} were left out, since they lie below the greatest value of column '{column}' in the syncs before \
             (`cursor_field`); a `cursor_lookback` reads rows that come late",
            what.join(" and ")
        )]
    }

    fn lines(&self, of: &Stream) -> Vec<(Level, String)> {
        let (stream, action) = (&of.name, &of.bad_rows.action);
        let Self { listing, decisions, members, .. } = self;
        let mut lines = vec![
            (Level::Info, listed_line(listing.selected)),
            (
                Level::Info,
                format!(
                    "stream {stream}: listed {} objects in {} pages, {} belong to the stream; {} to read, {} to resume, {} read before",
                    listing.objects,
                    listing.pages,
                    listing.selected,
                    decisions.read + decisions.changed + decisions.other_options + decisions.read_again,
                    decisions.resumed,
                    decisions.already_read,
                ),
            ),
        ];
        let mut say = |level, count: u64, what: &str| {
            if count > 0 {
                lines.push((level, format!("stream {stream}: {count} {what}")));
            }
        };
        say(
            Level::Info,
            listing.markers,
            "objects left out as marks of other tools (_SUCCESS, _temporary/, .crc, _$folder$, no bytes)",
        );
        say(Level::Warn, listing.twice, "objects that the server listed more than once are read once");
        say(
            Level::Warn,
            listing.hidden,
            "objects skipped: a name or a folder in their key begins with '.', which patterns match only where they have the dot",
        );
        say(Level::Info, listing.letters, "objects left out as bad rows that this connector wrote");
        say(Level::Info, listing.skipped_prefixes, "prefixes not listed, since nothing in them can be wanted");
        say(Level::Info, listing.unwanted, "objects left out as of partitions that are not wanted");
        say(
            Level::Warn,
            listing.without_partition,
            "objects left out in folders of other tools, where keys have no value for the partition filter",
        );
        say(
            Level::Info,
            listing.filtered,
            "files left out without being read, since no row of their partition passes the filter",
        );
        say(
            Level::Info,
            listing.below_cursor,
            "files left out without being read, since their partition lies below the greatest value of the syncs before in \
             the cursor's column",
        );
        say(Level::Info, listing.too_old, "objects left out as older than the start date");
        say(
            Level::Warn,
            listing.archived + self.archived_when_read,
            "archived objects left out; they are read when they are restored",
        );
        if listing.archived > 0 && listing.from_inventory > 0 {
            let what = "objects of the inventory: it does not tell which archived objects are restored, and those count as archived";
            say(Level::Warn, listing.from_inventory, what);
        }
        let part = sample_in_words(listing.sample);
        say(
            Level::Warn,
            listing.not_sampled,
            &format!("objects left out, as only a sample is read (`dev_sampling`): {part}"),
        );
        let in_part = listing.sample.is_some_and(|(bytes, of_bytes)| bytes < of_bytes) && listing.not_sampled == 0;
        say(
            Level::Warn,
            if in_part { listing.selected } else { 0 },
            &format!("files to read, and of these only a sample (`dev_sampling`): {part}"),
        );
        say(
            Level::Warn,
            decisions.changed,
            "objects changed since the last run stopped inside them; they are read from the start",
        );
        say(
            Level::Warn,
            decisions.other_options + members.other_options,
            "unfinished files are read again from their start: their positions were made with other options (encoding, \
             delimiter, quoting, header, compression, flattening, filter), or the state does not say with which",
        );
        if let Some(key) = &self.first_refused {
            let refused = format!(
                "unfinished files are read again from their start: the state has positions that they do not have, as of \
                 '{key}'"
            );
            say(Level::Warn, self.refused_positions, &refused);
        }
        let members_to_read = members.read + members.resumed + members.changed + members.other_options;
        say(Level::Info, members_to_read, "members of zip archives to read");
        say(
            Level::Warn,
            members.read_again,
            "members of changed zip archives are read although some of them may have been read before: the state does not \
             have what they were",
        );
        say(Level::Info, members.already_read, "members of zip archives were read before");
        let MembersLeftOut { unmatched, hidden, markers, too_old } = self.members_left_out;
        say(Level::Info, unmatched, "members of zip archives skipped: they match no pattern");
        let what =
            "members of zip archives skipped: a part of their names begins with a dot, which no wildcard matches";
        say(Level::Warn, hidden, what);
        say(Level::Info, markers, "members of zip archives skipped: marker files of other tools");
        say(Level::Warn, too_old, "members of zip archives skipped: older than the start date");
        say(
            Level::Warn,
            members.older,
            "members of zip archives are older than when they were last read; they are left out",
        );
        if let Some(key) = &decisions.first_older {
            let older = format!(
                "objects are left out: the file's last modified date is older than the last time it was synced, as of \
                 '{key}'; they are read when they change again, or when the stream is reset"
            );
            say(Level::Warn, decisions.older, &older);
        }
        say(
            Level::Warn,
            decisions.beyond_history,
            "objects are older than what the state remembers, and count as read",
        );
        say(
            Level::Warn,
            decisions.read_again,
            "objects are read although some of them may have been read before: too much changed since the last run to \
             tell them apart",
        );
        say(
            Level::Warn,
            decisions.in_doubt,
            "objects count as read although some of them may be new: too many objects of their time vanished since \
             the last run to tell them apart; reset the stream to read all of them",
        );
        say(Level::Info, listing.from_inventory, "objects are known from the inventory");
        say(Level::Warn, self.gone, "files vanished since the inventory; they have nothing to read");
        say(
            Level::Warn,
            self.overwritten,
            "files were overwritten since the inventory; they were read as they are now",
        );
        say(Level::Warn, self.vanished as u64, "objects that the last run left unfinished are not there any more");
        if self.large_files > 1 {
            let (files, bytes) = (self.large_files, self.large_bytes);
            let line = format!(
                "stream {stream}: {files} files have row groups larger than the memory for fetched data; the largest \
                 needed {bytes} bytes at once"
            );
            lines.push((Level::Warn, line));
        }
        for (column, (files, first)) in self.shadowed.iter().take(SHADOWED) {
            let line = format!(
                "stream {stream}: column '{column}' of {files} files is not read, since their keys have a partition of that name, \
                 as of '{first}'; set `partition_columns` to 'none' to read the column"
            );
            lines.push((Level::Warn, line));
        }
        for line in self.below_lines(of) {
            lines.push((Level::Warn, format!("stream {stream}: {line}")));
        }
        for line in self.bad_rows.lines(action) {
            lines.push((Level::Warn, format!("stream {stream}: {line}")));
        }
        if self.pruned.rows > 0 {
            lines.push((Level::Info, format!("stream {stream}: {}", self.pruned)));
        }
        if let Pruned { unsampled_row_groups: groups @ 1.., unsampled_rows: rows, .. } = self.pruned {
            let text =
                format!("{groups} row groups with {rows} rows left out, as only a sample is read (`dev_sampling`)");
            lines.push((Level::Warn, format!("stream {stream}: {text}")));
        }
        for (worrying, note) in self.left_out.notes() {
            lines.push((if worrying { Level::Warn } else { Level::Info }, format!("stream {stream}: {note}")));
        }
        for note in self.files.notes() {
            lines.push((Level::Warn, format!("stream {stream}: {note}")));
        }
        lines
    }
}
