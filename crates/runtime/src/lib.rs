//! What a run draws on: the clock, which is the only source of time, and the byte budget.

pub mod clock;
pub mod memory;
