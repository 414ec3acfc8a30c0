//! How the files of a stream are read: in order or by ranges, whole or in parts.

use crate::select::keys::Keys;
use tollgate_base::batch::Position;
use tollgate_base::object::ObjectFacts;
use tollgate_base::options::{Compression, FormatOptions};
use tollgate_config::job::{Delivery, Pushdown, Stream};
use tollgate_format::{Access, OpenOptions};
use tollgate_plan::estimate::{FilePlan, by_ranges, in_order};

/// Names of files that are rarely anything but plain text.
const PLAIN_EXTENSIONS: &[&str] = &[".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json"];

/// Tells how the files of one stream are read. Where a file is read from its start, one answer holds for all.
pub(crate) struct Approach<'a> {
    stream: &'a Stream,
    from_start: Option<Access>,
    pub(crate) keys: Keys,
}

impl<'a> Approach<'a> {
    pub(crate) fn new(stream: &'a Stream, keys: &Keys) -> Self {
        Self { stream, from_start: None, keys: keys.clone() }
    }

    /// Whether nothing is asked for a file, since its key does not fit the partitions.
    pub(crate) fn leaves_out(&self, object: &ObjectFacts) -> bool {
        self.keys.partition_error(&object.key).is_some()
    }

    /// How a file is read from a position on. A decoder that cannot be made fails when the file is read, with its reason.
    pub(crate) fn access(&mut self, object: &ObjectFacts, from: &Position) -> Access {
        if self.stream.delivery != Delivery::Records {
            return Access::Stream { from: 0 };
        }
        let resume = (*from != Position::default()).then_some(from);
        if let (None, Some(access)) = (resume, self.from_start) {
            return access;
        }
        let compression = self.stream.compression.resolve(&object.key);
        let decoder = OpenOptions { compression, resume, ..OpenOptions::new(&self.stream.format) }.open(object);
        let access = match decoder.map_or(Access::Stream { from: 0 }, |decoder| decoder.access()) {
            Access::Stream { from: decoded_from } => Access::Stream { from: from.fetched_from(decoded_from) },
            Access::Ranges => Access::Ranges,
        };
        if resume.is_none() {
            self.from_start = Some(access);
        }
        access
    }

    /// The plan of one file. Of a file that is read by ranges it is the most that it can take: how much it is only its footer
    /// tells.
    pub(crate) fn file(&mut self, object: &ObjectFacts, from: &Position, may_split: bool) -> FilePlan {
        match self.access(object, from) {
            _ if self.leaves_out(object) => FilePlan { requests: 0, bytes: 0, ..in_order(object, 0, may_split) },
            Access::Stream { from } => in_order(&self.sampled(object), from, may_split),
            Access::Ranges => by_ranges(object, self.stream.pushdown != Pushdown::default()),
        }
    }

    /// The object as far as it is read, where it is read in order.
    pub(crate) fn sampled(&self, object: &ObjectFacts) -> ObjectFacts {
        let size = self.keys.sampled_bytes(&object.key).unwrap_or(object.size).min(object.size);
        ObjectFacts { size, ..object.clone() }
    }

    /// Where a file that is read in order begins and ends, where a sample has only a part of it.
    pub(crate) fn sample_ends(&mut self, object: &ObjectFacts, from: &Position) -> Option<(u64, u64)> {
        let until = self.keys.sampled_bytes(&object.key)?;
        match self.access(object, from) {
            Access::Stream { from } => Some((from, until)),
            Access::Ranges => None,
        }
    }

    /// Whether a part of a file can be read.
    pub(crate) fn in_parts(&mut self, object: &ObjectFacts) -> bool {
        let whole = self.stream.delivery != Delivery::Records;
        match self.access(object, &Position::default()) {
            Access::Ranges => !whole,
            Access::Stream { .. } => self.divisible(object, &Position::default()).is_some(),
        }
    }

    /// The byte from which a file is read in order, where it could be left in the middle and gone on with later: plain
    /// text whose positions are bytes of the object.
    pub(crate) fn divisible(&mut self, object: &ObjectFacts, from: &Position) -> Option<u64> {
        // A part of a file is no file.
        if self.stream.delivery != Delivery::Records {
            return None;
        }
        let plain = match self.stream.compression.resolve(&object.key) {
            Compression::None => true,
            // The first bytes will tell. A compressed file under such a name would only be begun anew in the next run.
            Compression::Auto => PLAIN_EXTENSIONS.iter().any(|extension| object.key.ends_with(extension)),
            _ => false,
        };
        let bytes_are_text = match &self.stream.format {
            FormatOptions::Jsonl => true,
            FormatOptions::Csv(options) => matches!(options.encoding.as_str(), "utf8" | "utf-8" | "UTF-8"),
            _ => false,
        };
        match self.access(object, from) {
            Access::Stream { from } if plain && bytes_are_text => Some(from),
            _ => None,
        }
    }
}
