//! How attempts name what was set aside for them.

/// The name of a [`super::CostReservation`], unique in its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReservationId(pub(super) u32);
