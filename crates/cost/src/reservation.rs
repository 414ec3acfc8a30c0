//! The names by which attempts refer to their reservations.

/// The name of a [`super::CostReservation`], unique in its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReservationId(pub(super) u32);
