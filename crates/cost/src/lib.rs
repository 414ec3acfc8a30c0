//! The cost of requests: usage rows, prices, the ledger of a run, the gate for every attempt, the spending budget, and
//! the bill.

mod bill;
mod cost_tracker;
mod gate;
mod ledger;
mod prices;
mod quote;
mod reservation;
mod spending_budget;
pub mod usage;

pub use bill::{Bill, BillLine, Usage, UsageUnit, usage_of, usage_since};
pub use cost_tracker::CostTracker;
pub use gate::{AttemptPermit, Gate, PlannedAttempt, TicketUse};
pub use ledger::Ledger;
pub use prices::{Confidence, Price, PriceTable, Prices, Pricing, endpoint_of_aws};
pub use quote::Quote;
pub use reservation::ReservationId;
pub use spending_budget::{AT_LEAST, CostReservation, LimitExceeded, LimitsExceeded, SpendingBudget, Spent};
