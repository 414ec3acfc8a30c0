//! The one byte budget of a run.
//!
//! Data whose size depends on the user (bodies in flight, decoded batches, encoded lines) needs a [`Reservation`]. A
//! task that cannot get one waits. In this way, a slow reader of stdout slows down the downloads.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes per permit of the semaphore: its counter is 32 bits wide on some platforms.
const UNIT_BYTES: usize = 4096;

/// The budget. Clones share it.
#[derive(Debug, Clone)]
pub struct Budget {
    units: Arc<Semaphore>,
    total_units: u32,
    /// See [`Budget::overdraw`].
    overdraft: Arc<Semaphore>,
}

/// Part of the budget. Dropping it releases the bytes.
#[derive(Debug)]
pub struct Reservation {
    permit: OwnedSemaphorePermit,
}

/// The permission to exceed the budget, for one task at a time. Dropping it releases the permission.
#[derive(Debug)]
pub struct Overdraft {
    _permit: OwnedSemaphorePermit,
}

impl Budget {
    /// A budget of `bytes`.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let units = u32::try_from(bytes / UNIT_BYTES).unwrap_or(u32::MAX >> 4).max(1);
        let overdraft = Arc::new(Semaphore::new(1));
        Self { units: Arc::new(Semaphore::new(units as usize)), total_units: units, overdraft }
    }

    /// The whole budget in bytes.
    #[must_use]
    pub fn total_bytes(&self) -> usize {
        self.total_units as usize * UNIT_BYTES
    }

    /// Waits until `bytes` are free. A request for more than the whole budget gets the whole budget, so that a row that
    /// is larger than the budget does not wait forever.
    pub async fn reserve(&self, bytes: usize) -> Reservation {
        let permit = Arc::clone(&self.units)
            .acquire_many_owned(self.units_for(bytes))
            .await
            .expect("the semaphore of a budget is never closed");
        Reservation { permit }
    }

    /// Allows one task at a time to use more than the budget, while its reservation is in use. Waits until no other
    /// task does. The task must release the excess without waiting for the budget.
    pub async fn overdraw(&self) -> Overdraft {
        let permit = Arc::clone(&self.overdraft).acquire_owned().await;
        Overdraft { _permit: permit.expect("the semaphore of a budget is never closed") }
    }

    /// Like [`Budget::reserve`], without waiting.
    #[must_use]
    pub fn try_reserve(&self, bytes: usize) -> Option<Reservation> {
        let permit = Arc::clone(&self.units).try_acquire_many_owned(self.units_for(bytes)).ok()?;
        Some(Reservation { permit })
    }

    fn units_for(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX).min(self.total_units)
    }
}

impl Reservation {
    /// Releases everything beyond `bytes`.
    pub fn shrink(&mut self, bytes: usize) {
        let units = bytes.div_ceil(UNIT_BYTES);
        drop(self.permit.split(self.permit.num_permits().saturating_sub(units)));
    }

    /// Joins another reservation of the same budget to this one.
    pub fn merge(&mut self, other: Self) {
        self.permit.merge(other.permit);
    }
}
