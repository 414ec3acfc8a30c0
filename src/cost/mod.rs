//! What requests cost: bill rows and the ledger of a run. Prices, budget and report join them later.

pub mod usage;
