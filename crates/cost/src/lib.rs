//! What requests cost: bill rows, prices, the ledger of a run, the gate that every attempt passes, what a run may still
//! spend, and the bill at its end.

mod allowance;
mod bill;
mod gate;
mod ledger;
mod prices;
mod quote;
mod till;
pub mod usage;

pub use allowance::{AT_LEAST, Account, Allowance, Shortage, Shortages, Spent};
pub use bill::{Bill, BillLine, Unit, Usage, usage_of, usage_since};
pub use gate::{Gate, Planned, Ticket, TicketUse};
pub use ledger::Ledger;
pub use prices::{Mark, Price, PriceTable, Prices, Pricing, endpoint_of_aws};
pub use quote::Quote;
pub use till::Till;
