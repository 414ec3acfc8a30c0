//! What reading a stream will ask for: the listing's files through the pure plan, and the footers of a few of them.

use super::dispatch::Files;
use super::keys::Keys;
use super::sample;
use super::wanted::Wanted;
use tollgate_base::batch::Position;
use tollgate_base::error::Result;
use tollgate_base::object::ObjectFacts;
use tollgate_base::options::{Compression, FormatOptions, Projection};
use tollgate_config::job::{Delivery, Pushdown, Stream};
use tollgate_format::{Access, DecodeLimits};
use tollgate_plan::estimate::{self, FilePlan, StreamPlan, by_ranges, in_order};
use tollgate_plan::ranges;
use tollgate_s3::Store;

const _: () =
    assert!(tollgate_format::parquet::TAIL_BYTES == estimate::TAIL_BYTES, "the plan knows what is fetched first");

/// Names of files that are rarely anything but plain text.
const PLAIN_EXTENSIONS: &[&str] = &[".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json"];

/// Tells how the files of one stream are read. Where a file is read from its start, one answer holds for all.
pub(super) struct Approach<'a> {
    stream: &'a Stream,
    from_start: Option<Access>,
    keys: Keys,
}

impl<'a> Approach<'a> {
    pub(super) fn new(stream: &'a Stream, keys: &Keys) -> Self {
        Self { stream, from_start: None, keys: keys.clone() }
    }

    /// Whether nothing is asked for a file, since its key does not fit the partitions.
    pub(super) fn leaves_out(&self, object: &ObjectFacts) -> bool {
        self.keys.misfit(&object.key).is_some()
    }

    /// How a file is read from a position on. A decoder that cannot be made fails when the file is read, with its reason.
    pub(super) fn access(&mut self, object: &ObjectFacts, from: &Position) -> Access {
        if self.stream.delivery != Delivery::Records {
            return Access::Stream { from: 0 };
        }
        let resume = (*from != Position::default()).then_some(from);
        if let (None, Some(access)) = (resume, self.from_start) {
            return access;
        }
        let compression = self.stream.compression.resolve(&object.key);
        let limits = DecodeLimits::default();
        let decoder =
            tollgate_format::open(&self.stream.format, compression, &Projection::All, object, resume, &limits);
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
    pub(super) fn file(&mut self, object: &ObjectFacts, from: &Position, alone: bool) -> FilePlan {
        match self.access(object, from) {
            _ if self.leaves_out(object) => FilePlan { requests: 0, bytes: 0, ..in_order(object, 0, alone) },
            Access::Stream { from } => in_order(object, from, alone),
            Access::Ranges => by_ranges(object, self.stream.pushdown != Pushdown::default()),
        }
    }

    /// The byte from which a file is read in order, where it could be left in the middle and gone on with later: plain
    /// text whose positions are bytes of the object.
    pub(super) fn divisible(&mut self, object: &ObjectFacts, from: &Position) -> Option<u64> {
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

/// The plan of all files that were not handed out; `None` while they are still listed.
pub(super) fn of_files(files: &Files, stream: &Stream, parallel: usize) -> Option<StreamPlan> {
    let (mut plan, mut approach) = (StreamPlan::default(), Approach::new(stream, files.keys()));
    let count = files.ready();
    for (index, (object, from)) in files.remaining()?.enumerate() {
        add(&mut plan, &mut approach, &object, &from, ranges::alone(count - index - 1, index.min(parallel - 1)));
    }
    Some(plan)
}

/// Adds a file to a plan.
pub(super) fn add(
    plan: &mut StreamPlan,
    approach: &mut Approach<'_>,
    object: &ObjectFacts,
    from: &Position,
    alone: bool,
) {
    if approach.leaves_out(object) {
        return;
    }
    match approach.access(object, from) {
        Access::Stream { from } => _ = plan.add_in_order(object, from, alone),
        Access::Ranges => plan.add_columnar(object),
    }
}

/// Looks at the footers of a few columnar files, so that the plan need not take them to be read whole.
pub(super) async fn look(
    plan: &mut StreamPlan,
    (stream, keys): (&Stream, &Keys),
    store: &Store,
    wanted: &Wanted,
) -> Result<()> {
    if !matches!(stream.format, FormatOptions::Parquet(_)) {
        return Ok(());
    }
    for object in plan.worth_a_look() {
        match sample::columnar_file(store, &object, wanted, &keys.constants(&object.key), stream.sample_of(&object))
            .await
        {
            Ok(file) => plan.add_footer(file),
            // Reading the file will say what is wrong with it.
            Err(error) if error.kind() == tollgate_base::error::ErrorKind::Data => {}
            Err(error) => return Err(error.with("stream", &stream.name).with("key", &object.key)),
        }
    }
    Ok(())
}
