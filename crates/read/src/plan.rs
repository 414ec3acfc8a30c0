//! What reading a stream will ask for: the listing's files through the pure plan, and the footers of some of them.

use super::dispatch::Files;
use super::keys::Keys;
use super::sample::{self, ColumnarLook};
use super::wanted::{self, Wanted};
use tokio::task::JoinSet;
use tollgate_base::batch::Position;
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::object::{ObjectFacts, StorageClass};
use tollgate_base::options::{Compression, FormatOptions, Projection};
use tollgate_config::job::{Delivery, Pushdown, Stream};
use tollgate_cost::Allowance;
use tollgate_cost::usage::Row;
use tollgate_format::{Access, DecodeLimits};
use tollgate_plan::estimate::{self, Estimated, FilePlan, StreamPlan, by_ranges, in_order};
use tollgate_plan::ranges;
use tollgate_s3::Store;

const _: () =
    assert!(tollgate_format::parquet::TAIL_BYTES == estimate::TAIL_BYTES, "the plan knows what is fetched first");

/// Footers that are asked for side by side.
const LOOKS_AT_ONCE: usize = 12;

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
            Access::Stream { from } => in_order(&self.sampled(object), from, alone),
            Access::Ranges => by_ranges(object, self.stream.pushdown != Pushdown::default()),
        }
    }

    /// The object as far as it is read, where it is read in order.
    fn sampled(&self, object: &ObjectFacts) -> ObjectFacts {
        let size = self.keys.sampled_bytes(&object.key).unwrap_or(object.size).min(object.size);
        ObjectFacts { size, ..object.clone() }
    }

    /// Where a file that is read in order begins and ends, where a sample has only a part of it.
    pub(super) fn sample_ends(&mut self, object: &ObjectFacts, from: &Position) -> Option<(u64, u64)> {
        let until = self.keys.sampled_bytes(&object.key)?;
        match self.access(object, from) {
            Access::Stream { from } => Some((from, until)),
            Access::Ranges => None,
        }
    }

    /// Whether a part of a file can be read.
    pub(super) fn in_parts(&mut self, object: &ObjectFacts) -> bool {
        let whole = self.stream.delivery != Delivery::Records;
        match self.access(object, &Position::default()) {
            Access::Ranges => !whole,
            Access::Stream { .. } => self.divisible(object, &Position::default()).is_some(),
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
    let (mut plan, mut approach) = (begun(stream), Approach::new(stream, files.keys()));
    let count = files.ready();
    for (index, (place, object, from)) in files.placed()?.enumerate() {
        let alone = ranges::alone(count - index - 1, index.min(parallel - 1));
        add(&mut plan, &mut approach, (place, &object, &from), alone);
    }
    Some(plan)
}

/// The plan of no files yet.
pub(super) fn begun(stream: &Stream) -> StreamPlan {
    StreamPlan::indexed(stream.pushdown != Pushdown::default())
}

/// Adds a file to a plan, with its place among the others.
pub(super) fn add(
    plan: &mut StreamPlan,
    approach: &mut Approach<'_>,
    (place, object, from): (u32, &ObjectFacts, &Position),
    alone: bool,
) {
    if approach.leaves_out(object) {
        return;
    }
    match approach.access(object, from) {
        Access::Stream { from } => _ = plan.add_in_order(&approach.sampled(object), from, alone),
        Access::Ranges => {
            let part = *from != Position::default() || approach.keys.sample_of(object).is_some();
            plan.add_columnar(object, place, part);
        }
    }
}

/// The footers that are looked at for a limit in any case.
const LEAST_LOOKS: usize = 5;

/// Looks at footers until the bounds of all plans together lie on one side of the limits, or more footers would cost too much
/// beside these: one part in `one_in` of a limit. `rest` is what the run takes besides.
pub(super) async fn decide(
    (allowance, one_in): (&Allowance, u64),
    rest: &Estimated,
    streams: &mut [(Looking<'_>, &mut StreamPlan)],
) -> Result<()> {
    loop {
        let (mut sum, mut files, mut footers) = (rest.clone(), 0, 0);
        for (_, plan) in streams.iter() {
            sum.add(&plan.estimated());
            (files, footers) = (files + plan.files, footers + plan.footers());
        }
        let refused_for_certain = allowance.would_pass(&sum.low, files).is_some();
        if refused_for_certain || allowance.would_pass(&sum.high, files).is_none() {
            return Ok(());
        }
        let affordable = |looks: usize| {
            let requests = (footers + looks) as u64 * one_in;
            let row = Row::get(StorageClass::Standard);
            allowance.too_dear_alone(row, requests, requests * estimate::TAIL_BYTES).is_none()
        };
        let looks = match affordable(LOOKS_AT_ONCE) {
            true => LOOKS_AT_ONCE,
            false if footers == 0 => LEAST_LOOKS,
            false => return Ok(()),
        };
        let mut looked = 0;
        for (looking, plan) in streams.iter_mut() {
            looked += looking.look_at(plan, looks).await?;
        }
        if looked == 0 {
            return Ok(());
        }
    }
}

/// Whose footers are looked at.
#[derive(Clone, Copy)]
pub(super) struct Looking<'a> {
    pub(super) store: &'a Store,
    pub(super) stream: &'a Stream,
    pub(super) files: &'a Files,
    pub(super) wanted: &'a Wanted,
}

impl Looking<'_> {
    /// Looks at footers until the bounds of the plan are near each other, or more would cost too much beside the files.
    pub(super) async fn look(self, plan: &mut StreamPlan) -> Result<()> {
        while !plan.narrow() || plan.footers() == 0 {
            if self.look_at(plan, plan.footers_left()).await? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Looks at the footers of some columnar files, of `most` at most, so that the plan need not take them to be read whole.
    /// Returns at how many.
    pub(super) async fn look_at(self, plan: &mut StreamPlan, most: usize) -> Result<usize> {
        let Self { store, stream, files, wanted } = self;
        if !matches!(stream.format, FormatOptions::Parquet(_)) {
            return Ok(0);
        }
        plan.wanted(&wanted.predicates, wanted.everything());
        let places = plan.worth_a_look(most.min(LOOKS_AT_ONCE));
        let (count, mut running) = (places.len(), JoinSet::new());
        for place in places {
            let Some((object, from)) = files.at_place(place) else { continue };
            let predicates = wanted::given(&wanted.predicates, &files.keys().constants(&object.key));
            let sample = files.keys().sample_of(&object);
            let look = ColumnarLook { object, from, projection: wanted.projection.clone(), predicates, sample };
            let store = store.clone();
            running.spawn(async move { (place, sample::columnar_file(&store, &look).await, look.object.key) });
        }
        while let Some(looked) = running.join_next().await {
            let (place, file, key) =
                looked.map_err(|error| Error::internal("the look at a footer ended unexpectedly").caused_by(error))?;
            match file {
                Ok(file) => plan.add_footer(place, Some(file)),
                // Reading the file will say what is wrong with it.
                Err(error) if matches!(error.kind(), ErrorKind::Data | ErrorKind::Unsupported | ErrorKind::Changed) => {
                    plan.add_footer(place, None);
                }
                Err(error) => return Err(error.with("stream", &stream.name).with("key", &key)),
            }
        }
        Ok(count)
    }
}
