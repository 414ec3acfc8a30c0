//! Fetches what a decoder of ranges asks for, step by step.
//!
//! ```text
//!   wanted ─▶ here already? ─▶ fed
//!          └▶ the fetch of the plan that has it, which may serve the next small steps too ─▶ kept for them ─▶ fed
//! ```
//! Before a request is sent, the limits are asked whether all requests of the step have room: a part of them would be paid
//! for in vain.

use std::ops::Range;

use bytes::Bytes;

use crate::files::byte_source::Prefetch;
use crate::files::stop::Stop;
use tollgate_base::error::Result;
use tollgate_base::object::ObjectFacts;
use tollgate_cost::usage::Row;
use tollgate_cost::{LimitsExceeded, SpendingBudget};
use tollgate_format::Decode;
use tollgate_plan::ranges;
use tollgate_runtime::memory::{Budget, Reservation};
use tollgate_s3::Store;

/// The fetches of one file.
pub(crate) struct RangeSource {
    store: Store,
    object: ObjectFacts,
    budget: Budget,
    spending: Option<SpendingBudget>,
    /// Requests that may still be made, where they are counted.
    requests_left: Option<usize>,
    /// Whether all that was fetched is kept, for another decoder of the same file.
    keeps_all: bool,
    /// The fetches of the plan, once the decoder knows it.
    fetches: Vec<Vec<Range<u64>>>,
    here: Here,
    ahead: Option<Prefetch>,
}

/// What was fetched last: it may serve several steps.
#[derive(Default)]
struct Here {
    pieces: Vec<(u64, Bytes)>,
    /// Held until the pieces are used.
    reservations: Vec<Reservation>,
}

impl Here {
    fn has(&self, wanted: &[Range<u64>]) -> bool {
        let within = |range: &Range<u64>, (start, piece): &(u64, Bytes)| {
            *start <= range.start && range.end <= start + piece.len() as u64
        };
        wanted.iter().all(|range| self.pieces.iter().any(|piece| within(range, piece)))
    }
}

/// How feeding a decoder ended, when it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fed {
    /// The decoder has what it asked for.
    All,
    /// The run was asked to stop.
    Stopped,
    /// No more requests may be made.
    OutOfRequests,
}

impl RangeSource {
    pub(crate) fn new(store: &Store, object: &ObjectFacts, budget: &Budget, spending: Option<&SpendingBudget>) -> Self {
        Self {
            store: store.clone(),
            object: object.clone(),
            budget: budget.clone(),
            spending: spending.cloned(),
            requests_left: None,
            keeps_all: false,
            fetches: Vec::new(),
            here: Here::default(),
            ahead: None,
        }
    }

    /// The same source, which makes so many requests at most.
    pub(crate) fn with_requests(self, requests: usize) -> Self {
        Self { requests_left: Some(requests), ..self }
    }

    /// The same source, which keeps all that it fetched.
    pub(crate) fn keeping_all(self) -> Self {
        Self { keeps_all: true, ..self }
    }

    /// The same source, which has all bytes of the object already.
    pub(crate) fn with_bytes(mut self, bytes: Bytes) -> Self {
        self.here.pieces.push((0, bytes));
        self.keeping_all()
    }

    /// The requests that may still be made, where they are counted.
    pub(crate) fn requests_left(&self) -> Option<usize> {
        self.requests_left
    }

    /// Takes the decoder's plan.
    pub(crate) fn plan(&mut self, fetches: Vec<Vec<Range<u64>>>) {
        self.fetches = fetches;
    }

    /// Brings what the decoder wants.
    ///
    /// # Errors
    /// A limit that the step would pass, and what fetching fails with.
    pub(crate) async fn feed<D: Decode + ?Sized>(
        &mut self,
        wanted: Vec<Range<u64>>,
        decoder: &mut D,
        stop: &Stop,
    ) -> Result<Fed> {
        if !self.here.has(&wanted) {
            // What was fed before is used up: it is given back before more is asked for, or two tasks wait for each other.
            if !self.keeps_all {
                self.here = Here::default();
            }
            let fetch = match self.ahead.take() {
                Some(ahead) => ahead,
                None => {
                    let merged = self.affordable(wanted).map_err(|shortages| shortages.error())?;
                    if let Some(left) = &mut self.requests_left {
                        let Some(rest) = left.checked_sub(merged.len()) else { return Ok(Fed::OutOfRequests) };
                        *left = rest;
                    }
                    match Prefetch::wait(&self.store, &self.object, merged, &self.budget, stop).await {
                        Some(fetch) => fetch,
                        None => return Ok(Fed::Stopped),
                    }
                }
            };
            let Some((pieces, reservation)) = fetch.take(stop).await? else { return Ok(Fed::Stopped) };
            self.here.pieces.extend(pieces);
            // What is kept for good would keep others waiting for ever.
            self.here.reservations.extend(reservation.filter(|_| !self.keeps_all));
        }
        for (offset, piece) in &self.here.pieces {
            decoder.feed(*offset, piece.clone())?;
        }
        Ok(Fed::All)
    }

    /// Begins to fetch what comes after the present batches, where there is room for it.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(crate) fn fetch_ahead<D: Decode + ?Sized>(&mut self, decoder: &mut D) -> Result<()> {
        if self.ahead.is_some() || self.requests_left.is_some() {
            return Ok(());
        }
        let wanted = decoder.next_ranges()?;
        if wanted.is_empty() || self.here.has(&wanted) {
            return Ok(());
        }
        let merged = self.fetch_of(wanted);
        if self.room_for(&merged).is_ok() {
            self.ahead = Prefetch::begin(&self.store, &self.object, merged, &self.budget);
        }
        Ok(())
    }

    /// The requests of the fetch that has all of these ranges.
    fn fetch_of(&self, wanted: Vec<Range<u64>>) -> Vec<Range<u64>> {
        let within = |range: &Range<u64>, fetch: &[Range<u64>]| {
            fetch.iter().any(|request| request.start <= range.start && range.end <= request.end)
        };
        match self.fetches.iter().find(|fetch| wanted.iter().all(|range| within(range, fetch))) {
            Some(fetch) => fetch.clone(),
            None => ranges::merged(wanted, ranges::MERGE_GAP_BYTES),
        }
    }

    /// What to fetch now: as much as belongs together, or near the end of a limit this step alone.
    fn affordable(&self, wanted: Vec<Range<u64>>) -> Result<Vec<Range<u64>>, LimitsExceeded> {
        let alone = ranges::merged(wanted.clone(), ranges::MERGE_GAP_BYTES);
        let together = self.fetch_of(wanted);
        if self.room_for(&together).is_ok() {
            return Ok(together);
        }
        self.room_for(&alone).map(|()| alone)
    }

    fn room_for(&self, merged: &[Range<u64>]) -> Result<(), LimitsExceeded> {
        let Some(spending) = &self.spending else { return Ok(()) };
        let row = Row::get(self.object.storage_class);
        spending.has_room(self.store.reservation(), row, merged.len() as u64, ranges::length_of(merged))
    }
}
