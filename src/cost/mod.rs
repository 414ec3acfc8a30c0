//! What requests cost: bill rows, the ledger of a run, and the gate that every attempt passes. Prices, budget and
//! report join them later.

mod gate;
mod ledger;
pub mod usage;

pub use gate::{Gate, Planned, Ticket};
pub use ledger::Ledger;
