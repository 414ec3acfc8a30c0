//! The gate before every HTTP attempt, where a limit can refuse the attempt before anything is sent.

use std::fmt;
use std::sync::Arc;

use super::reservation::ReservationId;
use super::usage::Row;
use tollgate_base::error::Result;

/// An attempt that is about to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedAttempt {
    /// Its bill row.
    pub row: Row,
    /// The size of the requested body in bytes. `None` if only the response shows it.
    pub body_bytes: Option<u64>,
    /// The reservation that it is charged to, if something was set aside for it.
    pub reservation: Option<ReservationId>,
}

/// Decides whether an attempt may be sent.
#[derive(Clone, Default)]
pub enum Gate {
    /// Everything may pass.
    #[default]
    Open,
    /// A rule decides about each attempt before it is sent. An error of the rule ends the operation without a retry.
    /// For limits, its kind is [`tollgate_base::error::ErrorKind::Limit`]. The permit is dropped when the attempt is
    /// over.
    Rule(Arc<dyn Fn(PlannedAttempt) -> Result<AttemptPermit> + Send + Sync>),
}

impl Gate {
    /// A gate with this rule.
    pub fn rule(rule: impl Fn(PlannedAttempt) -> Result<AttemptPermit> + Send + Sync + 'static) -> Self {
        Self::Rule(Arc::new(rule))
    }

    /// Requests the permission to send an attempt.
    ///
    /// # Errors
    /// The error of the rule.
    pub fn admit(&self, planned: PlannedAttempt) -> Result<AttemptPermit> {
        match self {
            Self::Open => Ok(AttemptPermit::default()),
            Self::Rule(rule) => rule(planned),
        }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "Gate::Open",
            Self::Rule(_) => "Gate::Rule",
        })
    }
}

/// The usage of a permitted attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TicketUse {
    /// Bytes of the body that arrived.
    pub bytes: u64,
    /// Whether S3 charges for the request.
    pub billed: bool,
}

/// The permission for one attempt. It lives until the attempt failed or its body was read or dropped. It then reports
/// the actual usage to the rule, which releases the rest of the reservation.
#[derive(Default)]
pub struct AttemptPermit {
    used: TicketUse,
    when_over: Option<Box<dyn FnOnce(TicketUse) + Send + Sync>>,
}

impl AttemptPermit {
    /// A permit that calls `when_over` with the usage.
    pub fn new(when_over: impl FnOnce(TicketUse) + Send + Sync + 'static) -> Self {
        Self { used: TicketUse::default(), when_over: Some(Box::new(when_over)) }
    }

    /// Records bytes of the body that arrived.
    pub fn add_bytes(&mut self, bytes: u64) {
        self.used.bytes += bytes;
    }

    /// Records whether the request is billed.
    pub fn set_billed(&mut self, billed: bool) {
        self.used.billed = billed;
    }
}

impl Drop for AttemptPermit {
    fn drop(&mut self) {
        if let Some(when_over) = self.when_over.take() {
            when_over(self.used);
        }
    }
}

impl fmt::Debug for AttemptPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttemptPermit").field("used", &self.used).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use tollgate_base::error::{Error, ErrorKind};

    #[test]
    fn a_ticket_tells_once_what_arrived() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&told);
        let gate = Gate::rule(move |_| {
            let seen = Arc::clone(&seen);
            Ok(AttemptPermit::new(move |used| seen.lock().unwrap().push(used)))
        });
        let mut ticket = gate.admit(PlannedAttempt { row: Row::LIST, body_bytes: None, reservation: None }).unwrap();
        ticket.set_billed(true);
        ticket.add_bytes(5);
        ticket.add_bytes(6);
        assert!(told.lock().unwrap().is_empty());
        drop(ticket);
        assert_eq!(*told.lock().unwrap(), [TicketUse { bytes: 11, billed: true }]);
    }

    #[test]
    fn a_rule_can_refuse() {
        let gate = Gate::rule(|planned| match planned.body_bytes {
            Some(bytes) if bytes > 10 => Err(Error::new(ErrorKind::Limit, "too much")),
            _ => Ok(AttemptPermit::default()),
        });
        let planned = PlannedAttempt { row: Row::LIST, body_bytes: Some(11), reservation: None };
        assert_eq!(gate.admit(planned).unwrap_err().kind(), ErrorKind::Limit);
        assert!(gate.admit(PlannedAttempt { body_bytes: Some(10), ..planned }).is_ok());
        assert!(Gate::Open.admit(planned).is_ok());
    }
}
