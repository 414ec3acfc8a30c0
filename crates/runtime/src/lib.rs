//! The shared resources of a run: the clock, which is the only source of time, and the byte budget.

pub mod clock;
pub mod memory;
