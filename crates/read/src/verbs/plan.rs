//! What reading a stream will ask for: the listing's files through the pure plan, and the footers of some of them.

use crate::select::approach::Approach;
use crate::select::queue::FileQueue;
use crate::select::row_selection::{self, RowSelection};
use crate::verbs::sample::{self, ColumnarLook};
use tokio::task::JoinSet;
use tollgate_base::batch::Position;
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::object::{ObjectFacts, StorageClass};
use tollgate_base::options::FormatOptions;
use tollgate_config::job::{Pushdown, Stream};
use tollgate_cost::SpendingBudget;
use tollgate_cost::usage::Row;
use tollgate_format::Access;
use tollgate_plan::estimate::{self, Estimated, StreamPlan};
use tollgate_plan::ranges;
use tollgate_s3::Store;

const _: () =
    assert!(tollgate_format::parquet::TAIL_BYTES == estimate::TAIL_BYTES, "the plan knows what is fetched first");

/// Footers that are asked for side by side.
const LOOKS_AT_ONCE: usize = 12;

/// The plan of all files that were not handed out; `None` while they are still listed.
pub(crate) fn of_files(files: &FileQueue, stream: &Stream, parallel: usize) -> Option<StreamPlan> {
    let (mut plan, mut approach) = (begun(stream), Approach::new(stream, files.keys()));
    let count = files.ready();
    for (index, (place, object, from)) in files.placed()?.enumerate() {
        let may_split = ranges::may_split(count - index - 1, index.min(parallel - 1));
        add(&mut plan, &mut approach, (place, &object, &from), may_split);
    }
    Some(plan)
}

/// The plan of no files yet.
pub(crate) fn begun(stream: &Stream) -> StreamPlan {
    StreamPlan::indexed(stream.pushdown != Pushdown::default())
}

/// Adds a file to a plan, with its place among the others.
pub(crate) fn add(
    plan: &mut StreamPlan,
    approach: &mut Approach<'_>,
    (place, object, from): (u32, &ObjectFacts, &Position),
    may_split: bool,
) {
    if approach.leaves_out(object) {
        return;
    }
    match approach.access(object, from) {
        Access::Stream { from } => _ = plan.add_in_order(&approach.sampled(object), from, may_split),
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
pub(crate) async fn decide(
    (allowance, one_in): (&SpendingBudget, u64),
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
pub(crate) struct Looking<'a> {
    pub(crate) store: &'a Store,
    pub(crate) stream: &'a Stream,
    pub(crate) files: &'a FileQueue,
    pub(crate) wanted: &'a RowSelection,
}

impl Looking<'_> {
    /// Looks at footers until the bounds of the plan are near each other, or more would cost too much beside the files.
    pub(crate) async fn look(self, plan: &mut StreamPlan) -> Result<()> {
        while !plan.narrow() || plan.footers() == 0 {
            if self.look_at(plan, plan.footers_left()).await? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Looks at the footers of some columnar files, of `most` at most, so that the plan need not take them to be read whole.
    /// Returns at how many.
    pub(crate) async fn look_at(self, plan: &mut StreamPlan, most: usize) -> Result<usize> {
        let Self { store, stream, files, wanted } = self;
        if !matches!(stream.format, FormatOptions::Parquet(_)) {
            return Ok(0);
        }
        plan.wanted(&wanted.predicates, wanted.everything());
        let places = plan.worth_a_look(most.min(LOOKS_AT_ONCE));
        let (count, mut running) = (places.len(), JoinSet::new());
        for place in places {
            let Some((object, from)) = files.at_place(place) else { continue };
            let predicates = row_selection::given(&wanted.predicates, &files.keys().constants(&object.key));
            let sample = files.keys().sample_of(&object);
            let look = ColumnarLook { object, from, projection: wanted.projection.clone(), predicates, sample };
            let store = store.clone();
            running.spawn(async move { (place, sample::columnar_file(&store, &look).await, look.object.key) });
        }
        while let Some(looked) = running.join_next().await {
            let (place, file, key) =
                looked.map_err(|error| Error::internal("reading a footer ended unexpectedly").caused_by(error))?;
            match file {
                Ok(file) => plan.add_footer(place, Some(file)),
                Err(error) if said_by_reading(error.kind()) => plan.add_footer(place, None),
                Err(error) => return Err(error.about_file().with("stream", &stream.name).with("key", &key)),
            }
        }
        Ok(count)
    }
}

/// Whether a footer cannot be read for a reason that reading the file will name: an estimate goes on without it.
fn said_by_reading(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Data | ErrorKind::Archived | ErrorKind::Unsupported | ErrorKind::Changed)
}
