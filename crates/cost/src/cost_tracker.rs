//! The cost tracker: what a run used, what it cost, and what it may still spend.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::bill::{self, Bill, Usage, usage_of};
use super::gate::Gate;
use super::ledger::Ledger;
use super::prices::{Prices, Pricing};
use super::spending_budget::{CostReservation, LimitsExceeded, SpendingBudget};
use super::usage::{Operation, Row};
use tollgate_base::spending::{Limits, Money, Network};

/// What a run costs: usage, prices and limits. Clones share them.
#[derive(Debug, Clone)]
pub struct CostTracker {
    ledger: Ledger,
    pricing: Pricing,
    allowance: Option<SpendingBudget>,
    expected: Arc<Mutex<Expected>>,
}

/// GETs that were expected before they were made.
#[derive(Debug, Default)]
struct Expected {
    usage: Vec<Usage>,
    /// Whether a part of the run began without being estimated.
    incomplete: bool,
}

impl CostTracker {
    /// The tracker of a new run. `region` is the region of the bucket, if known.
    #[must_use]
    pub fn new(pricing: Pricing, limits: Limits, region: &str) -> Self {
        let prices = pricing.prices(region);
        let allowance = limits.any().then(|| SpendingBudget::new(limits, prices, pricing.network()));
        Self { ledger: Ledger::new(), pricing, allowance, expected: Arc::default() }
    }

    /// The gate that enforces the limits before each HTTP attempt.
    #[must_use]
    pub fn gate(&self) -> Gate {
        self.allowance.as_ref().map(SpendingBudget::gate).unwrap_or_default()
    }

    /// The usage of S3 so far.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The spending budget. `None` if there is no limit.
    #[must_use]
    pub fn allowance(&self) -> Option<&SpendingBudget> {
        self.allowance.as_ref()
    }

    /// Sets the region of the bucket, which a response may have corrected. Must be called while no request is in
    /// flight.
    pub fn set_region(&self, region: &str) {
        if let Some(allowance) = &self.allowance {
            allowance.set_prices(self.pricing.prices(region), &usage_of(&self.ledger));
        }
    }

    /// Reserves the planned cost of a file. Without limits, nothing is reserved.
    ///
    /// # Errors
    /// The limits that it would exceed.
    pub fn reserve(&self, row: Row, requests: u64, bytes: u64) -> Result<CostReservation, LimitsExceeded> {
        match &self.allowance {
            Some(allowance) => allowance.reserve(row, requests, bytes),
            None => Ok(CostReservation::default()),
        }
    }

    /// The prices of a bucket in `region`.
    #[must_use]
    pub fn prices(&self, region: &str) -> Prices {
        self.pricing.prices(region)
    }

    /// Where the program runs.
    #[must_use]
    pub fn network(&self) -> Network {
        self.pricing.network()
    }

    /// The cost so far. If the network is unknown, the higher price applies.
    #[must_use]
    pub fn spent(&self, region: &str) -> Money {
        self.bill(region).total()
    }

    /// The bill so far.
    #[must_use]
    pub fn bill(&self, region: &str) -> Bill {
        Bill::of(&usage_of(&self.ledger), &self.pricing.prices(region), self.pricing.network())
    }

    /// Records the GETs that a part of the run is expected to send, before it starts.
    pub fn expect<'a>(&self, usage: impl IntoIterator<Item = &'a Usage>) {
        let mut expected = self.expected();
        for new in usage {
            match expected.usage.iter_mut().find(|known| known.row == new.row) {
                Some(known) => {
                    known.requests += new.requests;
                    known.bytes += new.bytes;
                }
                None => expected.usage.push(*new),
            }
        }
    }

    /// Records that a part of the run starts without an estimate.
    pub fn expect_unknown(&self) {
        self.expected().incomplete = true;
    }

    /// The bill that was expected when reading started. `None` if a part was not estimated. Listings before that time
    /// are included with their actual usage.
    #[must_use]
    pub fn expected_bill(&self, region: &str) -> Option<Bill> {
        let expected = self.expected();
        if expected.incomplete {
            return None;
        }
        let listed = usage_of(&self.ledger).into_iter().filter(|usage| usage.row.operation != Operation::GetObject);
        let usage: Vec<Usage> = listed.chain(expected.usage.iter().copied()).collect();
        Some(Bill::of(&usage, &self.pricing.prices(region), self.pricing.network()))
    }

    fn expected(&self) -> MutexGuard<'_, Expected> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bill next to the estimate, as a sentence and as JSON.
    #[must_use]
    pub fn report(&self, region: &str) -> (String, Value) {
        let estimated = self.expected_bill(region);
        let estimated = estimated.as_ref();
        let (bill, prices, network) = (self.bill(region), self.pricing.prices(region), self.pricing.network());
        let sentence = bill::sentence(&bill, estimated, &prices, network);
        (sentence, bill::comparison(&bill, estimated, &prices, network))
    }
}
