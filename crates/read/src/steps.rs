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

use super::fetch::Prefetch;
use super::stop::Stop;
use tollgate_base::error::Result;
use tollgate_base::object::ObjectFacts;
use tollgate_cost::usage::Row;
use tollgate_cost::{LimitsExceeded, SpendingBudget};
use tollgate_format::Decode;
use tollgate_plan::ranges;
use tollgate_runtime::memory::{Budget, Reservation};
use tollgate_s3::Store;

/// The fetches of one file.
pub(super) struct Steps<'a> {
    store: &'a Store,
    object: &'a ObjectFacts,
    budget: &'a Budget,
    allowance: Option<&'a SpendingBudget>,
    /// The fetches of the plan, once the decoder knows it.
    fetches: Option<Vec<Vec<Range<u64>>>>,
    here: Here,
    ahead: Option<Prefetch>,
}

/// What was fetched last: it may serve several steps.
#[derive(Default)]
struct Here {
    pieces: Vec<(u64, Bytes)>,
    #[expect(dead_code, reason = "held until the pieces are used")]
    reservation: Option<Reservation>,
}

impl Here {
    fn has(&self, wanted: &[Range<u64>]) -> bool {
        let within = |range: &Range<u64>, (start, piece): &(u64, Bytes)| {
            *start <= range.start && range.end <= start + piece.len() as u64
        };
        wanted.iter().all(|range| self.pieces.iter().any(|piece| within(range, piece)))
    }
}

impl<'a> Steps<'a> {
    pub(super) fn new(
        store: &'a Store,
        object: &'a ObjectFacts,
        budget: &'a Budget,
        allowance: Option<&'a SpendingBudget>,
    ) -> Self {
        Self { store, object, budget, allowance, fetches: None, here: Here::default(), ahead: None }
    }

    /// Whether the plan is known.
    pub(super) fn planned(&self) -> bool {
        self.fetches.is_some()
    }

    /// Takes the decoder's plan.
    pub(super) fn plan(&mut self, fetches: Vec<Vec<Range<u64>>>) {
        self.fetches = Some(fetches);
    }

    /// Brings what the decoder wants. `false` when the run is asked to stop meanwhile.
    ///
    /// # Errors
    /// A limit that the step would pass, and what fetching fails with.
    pub(super) async fn feed(
        &mut self,
        wanted: Vec<Range<u64>>,
        decoder: &mut dyn Decode,
        stop: &Stop,
    ) -> Result<bool> {
        if !self.here.has(&wanted) {
            // What was fed before is used up: it is given back before more is asked for, or two tasks wait for each other.
            self.here = Here::default();
            let fetch = match self.ahead.take() {
                Some(ahead) => ahead,
                None => {
                    let merged = self.affordable(wanted).map_err(|shortages| shortages.error())?;
                    match Prefetch::wait(self.store, self.object, merged, self.budget, stop).await {
                        Some(fetch) => fetch,
                        None => return Ok(false),
                    }
                }
            };
            let Some((pieces, reservation)) = fetch.take(stop).await? else { return Ok(false) };
            self.here = Here { pieces, reservation };
        }
        for (offset, piece) in &self.here.pieces {
            decoder.feed(*offset, piece.clone())?;
        }
        Ok(true)
    }

    /// Begins to fetch what comes after the present batches, where there is room for it.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(super) fn fetch_ahead(&mut self, decoder: &mut dyn Decode) -> Result<()> {
        if self.ahead.is_some() {
            return Ok(());
        }
        let wanted = decoder.ahead()?;
        if wanted.is_empty() || self.here.has(&wanted) {
            return Ok(());
        }
        let merged = self.fetch_of(wanted);
        if self.room_for(&merged).is_ok() {
            self.ahead = Prefetch::begin(self.store, self.object, merged, self.budget);
        }
        Ok(())
    }

    /// The requests of the fetch that has all of these ranges.
    fn fetch_of(&self, wanted: Vec<Range<u64>>) -> Vec<Range<u64>> {
        let within = |range: &Range<u64>, fetch: &[Range<u64>]| {
            fetch.iter().any(|request| request.start <= range.start && range.end <= request.end)
        };
        let mut fetches = self.fetches.iter().flatten();
        match fetches.find(|fetch| wanted.iter().all(|range| within(range, fetch))) {
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
        let Some(allowance) = self.allowance else { return Ok(()) };
        let row = Row::get(self.object.storage_class);
        allowance.has_room(self.store.reservation(), row, merged.len() as u64, ranges::length_of(merged))
    }
}
