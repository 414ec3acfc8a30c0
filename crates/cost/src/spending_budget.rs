//! The spending budget: what a run may still spend.
//!
//! ```text
//!   a file begins ─ reserve ─▶ reservation: what it is planned to cost is set aside
//!   an attempt    ─ gate ─▶ taken from its reservation, what goes beyond from the rest ─▶ permit
//!   it is over    ────────▶ what it did cost is spent; what it did not is given back
//! ```
//! The sum of spent, in-flight and reserved amounts never exceeds a limit. So a limit does not stop the reading of a
//! file in the middle, unless the file costs more than was planned.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::bill::Usage;
use super::gate::{AttemptPermit, Gate, PlannedAttempt, TicketUse};
use super::prices::Prices;
use super::reservation::ReservationId;
use super::usage::{Operation, Row};
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::spending::{GB, Limits, Money, Network};

/// Reserved for the response to a listing, whose size is not known in advance. It is more than a page of long keys has.
const PAGE_BYTES: u64 = 2 << 20;

/// Amounts of everything that has a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    /// Dollars.
    pub cost: Money,
    /// HTTP attempts.
    pub requests: u64,
    /// Bytes of objects, as stored.
    pub bytes: u64,
    /// The number of started files.
    pub files: u64,
}

/// What amounts are added up from: dollars that do not depend on each other, and the bytes of transfer, whose price
/// falls with their sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sums {
    /// Dollars besides transfer.
    fees: Money,
    /// Bytes that leave S3, those of listings included.
    transferred: u64,
    requests: u64,
    bytes: u64,
    files: u64,
}

impl Sums {
    fn plus(self, other: Self) -> Self {
        Self {
            fees: self.fees + other.fees,
            transferred: self.transferred.saturating_add(other.transferred),
            requests: self.requests.saturating_add(other.requests),
            bytes: self.bytes.saturating_add(other.bytes),
            files: self.files.saturating_add(other.files),
        }
    }

    /// The rest after `other` is subtracted. No value goes below zero.
    fn less(self, other: Self) -> Self {
        Self {
            fees: self.fees.less(other.fees),
            transferred: self.transferred.saturating_sub(other.transferred),
            requests: self.requests.saturating_sub(other.requests),
            bytes: self.bytes.saturating_sub(other.bytes),
            files: self.files.saturating_sub(other.files),
        }
    }
}

impl Spent {
    /// The limits that this exceeds.
    fn beyond(&self, limits: &Limits) -> Option<LimitsExceeded> {
        let passed = |amount: u64, limit: Option<u64>| limit.filter(|limit| amount > *limit);
        let Self { cost, requests, bytes, files } = *self;
        let cost = limits.cost.filter(|limit| cost > *limit).map(|limit| LimitExceeded::Cost { cost, limit });
        let files = passed(files, limits.files).map(|limit| LimitExceeded::Files { files, limit });
        let bytes = passed(bytes, limits.bytes).map(|limit| LimitExceeded::Bytes { bytes, limit });
        let requests = passed(requests, limits.requests).map(|limit| LimitExceeded::Requests { requests, limit });
        let mut list = None;
        for shortage in [cost, files, bytes, requests].into_iter().flatten() {
            list.get_or_insert_with(Vec::new).push(shortage);
        }
        list.map(LimitsExceeded)
    }
}

/// The name of the context of a limit error that says to which value to raise the limit.
pub const AT_LEAST: &str = "at_least";

/// A limit that would be exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitExceeded {
    /// `cost_limit_usd`
    Cost {
        /// The cost that would be reached.
        cost: Money,
        /// The limit.
        limit: Money,
    },
    /// `max_files_per_run`
    Files {
        /// How many it would be.
        files: u64,
        /// The limit.
        limit: u64,
    },
    /// `max_data_size_gb`
    Bytes {
        /// How many it would be.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// `max_requests`
    Requests {
        /// How many it would be.
        requests: u64,
        /// The limit.
        limit: u64,
    },
}

impl LimitExceeded {
    /// The parameter that sets the limit.
    #[must_use]
    pub fn parameter(&self) -> &'static str {
        match self {
            Self::Cost { .. } => "cost_limit_usd",
            Self::Files { .. } => "max_files_per_run",
            Self::Bytes { .. } => "max_data_size_gb",
            Self::Requests { .. } => "max_requests",
        }
    }

    /// The parameter with the lowest sufficient value, as in a configuration.
    fn at_least(&self) -> String {
        let value = match self {
            Self::Cost { cost, .. } => cost.exact().trim_start_matches('$').to_owned(),
            Self::Files { files, .. } => files.to_string(),
            // Half a byte more, so that no rounding takes the last byte away.
            Self::Bytes { bytes, .. } => format!("{:.12}", (*bytes as f64 + 0.5) / GB as f64),
            Self::Requests { requests, .. } => requests.to_string(),
        };
        format!("`{}` to {value}", self.parameter())
    }
}

/// Limits that would be exceeded, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitsExceeded(Vec<LimitExceeded>);

impl LimitsExceeded {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &LimitExceeded> {
        self.0.iter()
    }

    /// The parameters that set the limits, in backquotes.
    #[must_use]
    pub fn parameters(&self) -> String {
        self.0.iter().map(|shortage| format!("`{}`", shortage.parameter())).collect::<Vec<_>>().join(" and ")
    }

    /// The error for them. It names the limits (`limit`) and the lowest sufficient values (`at_least`).
    #[must_use]
    pub fn error(&self) -> Error {
        let join = |text: fn(&LimitExceeded) -> String, by: &str| self.0.iter().map(text).collect::<Vec<_>>().join(by);
        Error::new(ErrorKind::Limit, self.to_string())
            .with("limit", join(|shortage| shortage.parameter().to_owned(), ", "))
            .with(AT_LEAST, join(LimitExceeded::at_least, " and "))
    }
}

impl fmt::Display for LimitsExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, shortage) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{shortage}")?;
        }
        Ok(())
    }
}

impl fmt::Display for LimitExceeded {
    /// The forms of the connector's specification, which alerts look for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cost { cost, limit } => {
                let (shown, shown_limit) = (cost.to_string(), limit.to_string());
                if shown == shown_limit {
                    return write!(f, "Operation cost {} exceeds limit {}", cost.exact(), limit.exact());
                }
                write!(f, "Operation cost {shown} exceeds limit {shown_limit}")
            }
            Self::Files { files, limit } => write!(f, "Operation of {files} files exceeds limit of {limit} files"),
            Self::Bytes { bytes, limit } => {
                let gigabytes = |bytes: u64| bytes as f64 / GB as f64;
                let places = if bytes - limit < GB / 100 { 9 } else { 2 };
                let (bytes, limit) = (gigabytes(*bytes), gigabytes(*limit));
                write!(f, "Operation size {bytes:.places$} GB exceeds limit {limit:.places$} GB")
            }
            Self::Requests { requests, limit } => {
                write!(f, "Operation of {requests} requests exceeds limit of {limit} requests")
            }
        }
    }
}

/// What a run may still spend. Clones share it.
#[derive(Clone)]
pub struct SpendingBudget {
    state: Arc<Mutex<State>>,
}

struct State {
    limits: Limits,
    prices: Prices,
    network: Network,
    spent: Sums,
    in_flight: Sums,
    set_aside: Sums,
    /// What is left of each reservation.
    reservations: HashMap<ReservationId, Sums>,
    reservations_made: u32,
}

impl State {
    fn committed(&self) -> Sums {
        self.spent.plus(self.in_flight).plus(self.set_aside)
    }

    fn priced(&self, sums: Sums) -> Spent {
        let Sums { fees, transferred, requests, bytes, files } = sums;
        Spent { cost: fees + self.prices.transfer_cost(transferred, self.network), requests, bytes, files }
    }

    /// The limits that these sums would exceed.
    fn beyond(&self, sums: Sums) -> Option<LimitsExceeded> {
        self.priced(sums).beyond(&self.limits)
    }

    fn amount(&self, row: Row, attempts: u64, billed: u64, bytes: u64) -> Sums {
        let object_bytes = if row.operation == Operation::GetObject { bytes } else { 0 };
        let fees = self.prices.fees(row, billed, bytes);
        Sums { fees, transferred: bytes, requests: attempts, bytes: object_bytes, files: 0 }
    }

    fn admit(&mut self, planned: PlannedAttempt) -> Result<Sums, LimitsExceeded> {
        let unknown = if planned.row.operation == Operation::ListObjects { PAGE_BYTES } else { 0 };
        let need = self.amount(planned.row, 1, 1, planned.body_bytes.unwrap_or(unknown));
        let taken = self.taken_from(planned.reservation, need);
        if let Some(shortages) = self.beyond(self.committed().less(taken).plus(need)) {
            return Err(shortages);
        }
        if let Some(left) = self.left_of(planned.reservation) {
            *left = left.less(taken);
        }
        self.set_aside = self.set_aside.less(taken);
        self.in_flight = self.in_flight.plus(need);
        Ok(need)
    }

    fn over(&mut self, planned: PlannedAttempt, need: Sums, used: TicketUse) {
        let cost = self.amount(planned.row, 1, u64::from(used.billed), used.bytes);
        self.in_flight = self.in_flight.less(need);
        self.spent = self.spent.plus(cost);
        // What a broken answer did not bring is still wanted by the same file.
        if let Some(left) = self.left_of(planned.reservation) {
            let back = need.less(cost);
            *left = left.plus(back);
            self.set_aside = self.set_aside.plus(back);
        }
    }

    fn left_of(&mut self, reservation: Option<ReservationId>) -> Option<&mut Sums> {
        self.reservations.get_mut(&reservation?)
    }

    /// What of `need` a reservation has; nothing where there is none.
    fn taken_from(&self, reservation: Option<ReservationId>, need: Sums) -> Sums {
        let left = reservation.and_then(|id| self.reservations.get(&id)).copied().unwrap_or_default();
        left.less(left.less(need))
    }
}

impl SpendingBudget {
    /// A new budget.
    #[must_use]
    pub fn new(limits: Limits, prices: Prices, network: Network) -> Self {
        let none = Sums::default();
        let state = State {
            limits,
            prices,
            network: network.dearest(),
            spent: none,
            in_flight: none,
            set_aside: none,
            reservations: HashMap::new(),
            reservations_made: 0,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// The gate that enforces the limits before each HTTP attempt.
    #[must_use]
    pub fn gate(&self) -> Gate {
        let this = self.clone();
        Gate::rule(move |planned| {
            let need = this.lock().admit(planned).map_err(|shortages| shortages.error())?;
            let this = this.clone();
            Ok(AttemptPermit::new(move |used| this.lock().over(planned, need, used)))
        })
    }

    /// Switches to the prices of the bucket's region, when it is known. `used` is the usage so far.
    pub fn set_prices(&self, prices: Prices, used: &[Usage]) {
        let mut state = self.lock();
        state.spent.fees = used.iter().map(|used| prices.fees(used.row, used.requests, used.bytes)).sum();
        state.spent.transferred = used.iter().map(|used| used.bytes).sum();
        state.prices = prices;
    }

    /// Reserves the planned cost of a file, and counts the file.
    ///
    /// # Errors
    /// The limits that it would exceed, given the current reservations. It may fit when they are released.
    pub fn reserve(&self, row: Row, requests: u64, bytes: u64) -> Result<CostReservation, LimitsExceeded> {
        let mut state = self.lock();
        let planned = Sums { files: 1, ..state.amount(row, requests, requests, bytes) };
        if let Some(shortages) = state.beyond(state.committed().plus(planned)) {
            return Err(shortages);
        }
        state.reservations_made += 1;
        let id = ReservationId(state.reservations_made);
        let set_aside = Sums { files: 0, ..planned };
        state.reservations.insert(id, set_aside);
        state.set_aside = state.set_aside.plus(set_aside);
        state.spent.files += 1;
        drop(state);
        Ok(CostReservation(Some((self.clone(), id))))
    }

    /// The maximum number of bytes of one GET that the limits allow now, up to `bytes`.
    #[must_use]
    pub fn affordable_bytes(&self, row: Row, bytes: u64) -> u64 {
        let state = self.lock();
        let committed = state.committed();
        let fits = |bytes| state.beyond(committed.plus(state.amount(row, 1, 1, bytes))).is_none();
        let (mut fitting, mut beyond) = (0, bytes.saturating_add(1));
        while beyond - fitting > 1 {
            let middle = fitting + (beyond - fitting) / 2;
            if fits(middle) { fitting = middle } else { beyond = middle }
        }
        fitting
    }

    /// The limits that this usage would exceed even if nothing else were spent.
    #[must_use]
    pub fn too_dear_alone(&self, row: Row, requests: u64, bytes: u64) -> Option<LimitsExceeded> {
        let state = self.lock();
        state.beyond(state.amount(row, requests, requests, bytes))
    }

    /// The limits that reading a file would exceed, given what is already spent and reserved.
    #[must_use]
    pub fn too_dear_now(&self, row: Row, requests: u64, bytes: u64) -> Option<LimitsExceeded> {
        let state = self.lock();
        let file = Sums { files: 1, ..state.amount(row, requests, requests, bytes) };
        state.beyond(state.committed().plus(file))
    }

    /// The limits that this usage and number of files would exceed, given what is already spent.
    #[must_use]
    pub fn would_pass(&self, usage: &[Usage], files: u64) -> Option<LimitsExceeded> {
        let state = self.lock();
        let start = Sums { files, ..Sums::default() }.plus(state.committed());
        let amount = |usage: &Usage| state.amount(usage.row, usage.requests, usage.requests, usage.bytes);
        state.beyond(usage.iter().map(amount).fold(start, Sums::plus))
    }

    /// The limits that a listing with this usage would exceed. For a page in flight, the maximum size of a page is
    /// reserved.
    #[must_use]
    pub fn listing_would_pass(&self, usage: &[Usage]) -> Option<LimitsExceeded> {
        let pages = usage.iter().filter(|usage| usage.row.operation == Operation::ListObjects);
        let (requests, bytes) = pages.fold((0, 0), |sum, usage| (sum.0 + usage.requests, sum.1 + usage.bytes));
        if requests == 0 {
            return None;
        }
        let before_the_last = bytes - bytes / requests;
        let state = self.lock();
        state.beyond(state.committed().plus(state.amount(Row::LIST, requests, requests, before_the_last + PAGE_BYTES)))
    }

    /// Whether the reservation, and what nothing is set aside for, still have room for so many requests.
    ///
    /// # Errors
    /// The limits that they would exceed.
    pub fn has_room(
        &self,
        reservation: Option<ReservationId>,
        row: Row,
        requests: u64,
        bytes: u64,
    ) -> Result<(), LimitsExceeded> {
        let state = self.lock();
        let need = state.amount(row, requests, requests, bytes);
        let taken = state.taken_from(reservation, need);
        state.beyond(state.committed().less(taken).plus(need)).map_or(Ok(()), Err)
    }

    /// The amount spent, without requests in flight.
    #[must_use]
    pub fn spent(&self) -> Spent {
        let state = self.lock();
        state.priced(state.spent)
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.lock().limits
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere does not make the sums wrong: each change is a few additions.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SpendingBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("SpendingBudget")
            .field("limits", &state.limits)
            .field("spent", &state.spent)
            .field("in_flight", &state.in_flight)
            .field("set_aside", &state.set_aside)
            .finish_non_exhaustive()
    }
}

/// What is set aside for one file; nothing where nothing is limited. What is left of it is free again when it is dropped.
#[derive(Debug, Default)]
pub struct CostReservation(Option<(SpendingBudget, ReservationId)>);

impl CostReservation {
    /// How attempts name it; `None` if nothing is limited.
    #[must_use]
    pub fn id(&self) -> Option<ReservationId> {
        self.0.as_ref().map(|(_, id)| *id)
    }
}

impl Drop for CostReservation {
    fn drop(&mut self) {
        if let Some((allowance, id)) = &self.0 {
            let mut state = allowance.lock();
            let left = state.reservations.remove(id).unwrap_or_default();
            state.set_aside = state.set_aside.less(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PriceTable;
    use tollgate_base::object::StorageClass;
    use tollgate_base::spending::Spending;

    const GET: Row = Row { operation: Operation::GetObject, storage_class: StorageClass::Standard };

    fn money(text: &str) -> Money {
        Money::parse(text).unwrap()
    }

    /// A GB costs 9 cents, a request nothing worth to speak of.
    fn allowance(limits: Limits) -> SpendingBudget {
        let prices = PriceTable::embedded().of_region("us-east-1", &Spending::default());
        SpendingBudget::new(limits, prices, Network::Unknown)
    }

    fn dollars(limit: &str) -> SpendingBudget {
        allowance(Limits { cost: Some(money(limit)), ..Limits::default() })
    }

    fn get(bytes: u64, reservation: &CostReservation) -> PlannedAttempt {
        PlannedAttempt { row: GET, body_bytes: Some(bytes), reservation: reservation.id() }
    }

    fn finish(mut ticket: AttemptPermit, bytes: u64) {
        ticket.add_bytes(bytes);
        ticket.set_billed(true);
    }

    #[test]
    fn what_is_in_flight_counts_and_what_was_not_used_comes_back() {
        let allowance = dollars("0.1");
        let gate = allowance.gate();
        let none = CostReservation::default();
        let first = gate.admit(get(GB, &none)).unwrap();
        let refused = gate.admit(get(GB, &none)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Limit);
        assert_eq!(refused.message(), "Operation cost $0.18 exceeds limit $0.10");
        finish(first, GB / 2);
        assert_eq!(allowance.spent().cost, money("0.0450004"));
        finish(gate.admit(get(GB / 2, &none)).unwrap(), GB / 2);
        assert_eq!(allowance.spent(), Spent { cost: money("0.0900008"), requests: 2, bytes: GB, files: 0 });
        // An answer that is not billed costs its bytes alone.
        drop(gate.admit(get(1000, &none)).unwrap());
        assert_eq!(allowance.spent().cost, money("0.0900008"));
    }

    #[test]
    fn an_account_keeps_its_money_from_others_until_it_is_dropped() {
        let allowance = dollars("0.2");
        let gate = allowance.gate();
        let first = allowance.reserve(GET, 1, GB).unwrap();
        let second = allowance.reserve(GET, 1, GB).unwrap();
        assert!(allowance.reserve(GET, 1, GB).is_err());
        assert!(gate.admit(get(GB, &CostReservation::default())).is_err());
        // The first is broken off in the middle and goes on from there: no more money than was set aside.
        finish(gate.admit(get(GB, &first)).unwrap(), GB / 4);
        finish(gate.admit(get(GB - GB / 4, &first)).unwrap(), GB - GB / 4);
        drop(first);
        assert!(allowance.reserve(GET, 1, GB).is_err());
        drop(second);
        let third = allowance.reserve(GET, 1, GB).unwrap();
        finish(gate.admit(get(GB, &third)).unwrap(), GB);
        assert_eq!(allowance.spent().cost, money("0.1800012"));
    }

    #[test]
    fn every_limit_is_held_and_named() {
        let bytes = allowance(Limits { bytes: Some(GB), ..Limits::default() });
        assert!(bytes.gate().admit(get(GB, &CostReservation::default())).is_ok());
        let refused = bytes.gate().admit(get(2 * GB, &CostReservation::default())).unwrap_err();
        assert_eq!(refused.message(), "Operation size 2.00 GB exceeds limit 1.00 GB");
        assert_eq!(refused.get("limit"), Some("max_data_size_gb"));

        let files = allowance(Limits { files: Some(1), ..Limits::default() });
        drop(files.reserve(GET, 1, 1).unwrap());
        let shortages = files.reserve(GET, 1, 1).unwrap_err();
        assert_eq!(shortages.to_string(), "Operation of 2 files exceeds limit of 1 files");

        let requests = allowance(Limits { requests: Some(1), ..Limits::default() });
        let list = PlannedAttempt { row: Row::LIST, body_bytes: None, reservation: None };
        finish(requests.gate().admit(list).unwrap(), 500);
        let refused = requests.gate().admit(list).unwrap_err();
        assert_eq!(refused.message(), "Operation of 2 requests exceeds limit of 1 requests");
        assert_eq!(requests.spent().bytes, 0, "a page of a listing is no object");
    }

    #[test]
    fn all_limits_that_are_broken_are_named_with_what_would_suffice() {
        let limits = Limits { cost: Some(money("0.01")), bytes: Some(GB / 2), requests: Some(3), files: Some(9) };
        let usage = Usage { row: GET, requests: 4, bytes: GB + 1 };
        let error = allowance(limits).would_pass(&[usage], 9).unwrap().error();
        assert_eq!(
            error.message(),
            "Operation cost $0.09 exceeds limit $0.01; Operation size 1.00 GB exceeds limit 0.50 GB; \
             Operation of 4 requests exceeds limit of 3 requests"
        );
        assert_eq!(error.get("limit"), Some("cost_limit_usd, max_data_size_gb, max_requests"));
        let advice =
            "`cost_limit_usd` to 0.090001600084 and `max_data_size_gb` to 1.000000001397 and `max_requests` to 4";
        assert_eq!(error.get(AT_LEAST), Some(advice));
        // What is advised suffices: in the way that configurations are read.
        for bytes in [1, 199_999, GB - 1, GB, GB + 1, 1000 * GB + 12_345, (1 << 49) - 1] {
            let advice = LimitExceeded::Bytes { bytes, limit: 0 }.at_least();
            let written: f64 = advice.rsplit(' ').next().unwrap().parse().unwrap();
            assert_eq!((written * GB as f64) as u64, bytes, "{advice}");
        }
    }

    /// 97.7 TB in one run: at the price of the first step alone they would be taken for a seventh dearer than they are.
    #[test]
    fn a_large_run_is_limited_by_the_prices_of_its_steps() {
        let allowance = dollars("7656");
        let usage = Usage { row: GET, requests: 10_000, bytes: 97_656 * GB };
        assert_eq!(allowance.would_pass(&[usage], 1), None);
        let gate = allowance.gate();
        for _ in 0..97_656 {
            finish(gate.admit(get(GB, &CostReservation::default())).unwrap(), GB);
        }
        assert_eq!(allowance.spent().cost, money("7655.1590624"));
        assert!(dollars("7655").would_pass(&[usage], 1).is_some());
    }

    #[test]
    fn amounts_that_look_alike_are_told_apart() {
        let refused = dollars("0.09").gate().admit(get(GB, &CostReservation::default())).unwrap_err();
        assert_eq!(refused.message(), "Operation cost $0.0900004 exceeds limit $0.09");
    }

    #[test]
    fn the_affordable_part_of_a_file_is_exact_to_the_byte() {
        let allowance = dollars("0.09");
        let bytes = allowance.affordable_bytes(GET, 100 * GB);
        assert!(allowance.gate().admit(get(bytes + 1, &CostReservation::default())).is_err());
        assert!(allowance.gate().admit(get(bytes, &CostReservation::default())).is_ok());
        assert!(bytes < GB && bytes > GB - GB / 1000, "{bytes}");
        assert_eq!(allowance.affordable_bytes(GET, 10), 10);
        assert_eq!(dollars("0").affordable_bytes(GET, 10), 0);
    }

    /// However attempts of many files interleave, break off and fail, the limit holds at each moment.
    #[test]
    fn no_order_of_events_passes_the_limit() {
        let limit = money("1");
        let mut random = 88_172_645_463_325_252u64;
        let mut next = move |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let allowance = dollars("1");
        let gate = allowance.gate();
        let (mut reservations, mut tickets): (Vec<CostReservation>, Vec<(AttemptPermit, u64)>) = Default::default();
        let mut refused = 0;
        for _ in 0..20_000 {
            match next(4) {
                0 => match allowance.reserve(GET, 1 + next(3), next(GB)) {
                    Ok(reservation) => reservations.push(reservation),
                    Err(_) => refused += 1,
                },
                1 => {
                    let bytes = next(GB);
                    let nobody = CostReservation::default();
                    let index = next(reservations.len() as u64 + 1) as usize;
                    match gate.admit(get(bytes, reservations.get(index).unwrap_or(&nobody))) {
                        Ok(ticket) => tickets.push((ticket, bytes)),
                        Err(_) => refused += 1,
                    }
                }
                2 if !tickets.is_empty() => {
                    let (mut ticket, bytes) = tickets.swap_remove(next(tickets.len() as u64) as usize);
                    ticket.set_billed(next(2) == 0);
                    ticket.add_bytes(if next(64) == 0 { next(bytes + 1) } else { 0 });
                }
                3 if !reservations.is_empty() => {
                    drop(reservations.swap_remove(next(reservations.len() as u64) as usize))
                }
                _ => {}
            }
            let state = allowance.lock();
            assert!(state.priced(state.committed()).cost <= limit, "{:?}", state.committed());
            let aside = state.reservations.values().fold(Sums::default(), |sum, left| sum.plus(*left));
            assert_eq!(Sums { files: 0, ..aside }, state.set_aside);
        }
        assert!(refused > 1000 && allowance.spent().cost > money("0.5"), "{refused} {:?}", allowance.spent());
        drop((reservations, tickets));
        let state = allowance.lock();
        assert_eq!((state.in_flight, state.set_aside), (Sums::default(), Sums::default()));
    }
}
