//! Room in the memory budget for what a decoder holds.

use crate::files::budgets::Budgets;
use crate::files::byte_source::ByteSource;
use tollgate_runtime::memory::{Overdraft, Reservation};

/// Room that a file whose bytes are here already takes without asking: what most decompressors remember.
const SMALL_ROOM_BYTES: u64 = 1 << 20;

/// Room for what a decoder holds as long as it lives.
#[derive(Default)]
pub(crate) struct Room {
    pub(crate) bytes: u64,
    reservation: Option<Reservation>,
    overdraft: Option<Overdraft>,
}

impl Room {
    /// Gives back what is too much.
    pub(crate) fn shrink(&mut self, wanted: u64) {
        if wanted <= self.bytes {
            self.overdraft = None;
        }
        if wanted < self.bytes
            && let Some(reservation) = &mut self.reservation
        {
            reservation.shrink(size(wanted));
        }
        self.bytes = self.bytes.min(wanted);
    }

    /// Makes it enough for a decoder of ranges. Where that has some already, which is in use, and there is no more, one task
    /// at a time goes beyond the budget.
    pub(crate) async fn grow_for_ranges(&mut self, wanted: u64, budgets: &Budgets) {
        let budget = &budgets.decoded;
        self.shrink(wanted);
        if wanted <= self.bytes || self.overdraft.is_some() {
            return;
        }
        match &mut self.reservation {
            Some(reservation) if self.bytes > 0 => match budget.try_reserve(size(wanted - self.bytes)) {
                Some(more) => reservation.merge(more),
                None => self.overdraft = Some(budget.overdraw().await),
            },
            none => {
                *none = None;
                *none = Some(budget.reserve(size(wanted)).await);
            }
        }
        // What is beyond the budget is given back as a whole.
        if self.overdraft.is_none() {
            self.bytes = wanted;
        }
    }

    /// Makes it enough for a decoder of a stream. Where room must be waited for, what was fetched ahead is let go and asked
    /// for again: a task that waits for this must hold nothing, or two wait for each other. Members of small archives, which
    /// are held as a whole, go beyond the budget one at a time.
    pub(crate) async fn grow_for_stream(&mut self, wanted: u64, bytes: &mut ByteSource, budgets: &Budgets) {
        if wanted <= self.bytes || self.overdraft.is_some() {
            return;
        }
        let budget = &budgets.held;
        match (budget.try_reserve(size(wanted - self.bytes)), &mut self.reservation) {
            (Some(more), Some(reservation)) => reservation.merge(more),
            (Some(all), none) => *none = Some(all),
            (None, _) if bytes.at_hand() && wanted - self.bytes <= SMALL_ROOM_BYTES => {}
            (None, _) if bytes.at_hand() => {
                self.overdraft = Some(budget.overdraw().await);
                return;
            }
            (None, reservation) => {
                bytes.pause();
                *reservation = None;
                *reservation = Some(budget.reserve(size(wanted)).await);
            }
        }
        self.bytes = wanted;
    }
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
