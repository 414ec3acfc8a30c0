//! Scripted misbehaviour: which requests are hit, and what happens to them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What happens to a request. Byte numbers count in the body of the answer, from 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Answers with a status and S3's error XML instead of doing anything.
    Status {
        /// The HTTP status.
        status: u16,
        /// S3's error code; the usual one of the status when absent (`SlowDown` for 503).
        #[serde(default)]
        code: Option<String>,
        /// The `Retry-After` header in seconds, none when absent.
        #[serde(default)]
        retry_after_s: Option<u32>,
    },
    /// Resets the connection (RST) before anything is answered.
    Reset,
    /// Sends so many bytes of the body, then resets the connection. A shorter body passes whole.
    ResetAfter(u64),
    /// Sends so many bytes of the body under the full `Content-Length`, then closes (FIN).
    ShortBody(u64),
    /// Sends so many bytes of the body, waits, then goes on.
    StallAfter {
        /// Body bytes before the pause.
        bytes: u64,
        /// The length of the pause.
        ms: u64,
    },
    /// Sends the body at this rate.
    SlowBody {
        /// Bytes per second.
        bytes_per_second: u64,
    },
    /// Waits so many milliseconds before the request is looked at. Later faults still apply.
    Delay(u64),
    /// Replaces the object's bytes (and so its ETag) just before the request is answered; its time becomes now.
    /// Later faults still apply.
    ChangeObjectBefore(Vec<u8>),
    /// Removes the object just before the request is answered. Later faults still apply.
    DeleteBefore,
    /// Inverts the lowest bit of one byte of the body.
    FlipByte(u64),
}

impl Action {
    /// 503 SlowDown, the answer of S3 to a client that asks too often.
    #[must_use]
    pub fn slow_down() -> Self {
        Self::status(503)
    }

    /// A status with its usual error code.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Status { status, code: None, retry_after_s: None }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Reset => "reset",
            Self::ResetAfter(_) => "reset_after",
            Self::ShortBody(_) => "short_body",
            Self::StallAfter { .. } => "stall_after",
            Self::SlowBody { .. } => "slow_body",
            Self::Delay(_) => "delay",
            Self::ChangeObjectBefore(_) => "change_object_before",
            Self::DeleteBefore => "delete_before",
            Self::FlipByte(_) => "flip_byte",
        }
    }

    /// Whether later faults may act on the same request too.
    fn passes_on(&self) -> bool {
        matches!(self, Self::Delay(_) | Self::ChangeObjectBefore(_) | Self::DeleteBefore)
    }
}

/// Which requests a fault hits: all conditions that are given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct When {
    /// The method, for example `GET`.
    pub method: Option<String>,
    /// The operation in the log's words, for example `REST.GET.OBJECT`.
    pub operation: Option<String>,
    /// The bucket's name.
    pub bucket: Option<String>,
    /// A part of the decoded key.
    pub key_contains: Option<String>,
    /// A part of the query as sent.
    pub query_contains: Option<String>,
    /// Whether there is a `Range` header.
    pub range: Option<bool>,
}

impl When {
    /// Requests that read objects (GET) whose keys contain a text.
    #[must_use]
    pub fn get(key_contains: &str) -> Self {
        Self { key_contains: Some(key_contains.to_owned()), ..Self::operation("REST.GET.OBJECT") }
    }

    /// Requests that list a bucket.
    #[must_use]
    pub fn list() -> Self {
        Self::operation("REST.GET.BUCKET")
    }

    /// Requests of one operation.
    #[must_use]
    pub fn operation(name: &str) -> Self {
        Self { operation: Some(name.to_owned()), ..Self::default() }
    }

    fn holds(&self, subject: &Subject<'_>) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        let has = |part: &Option<String>, found: &str| part.as_ref().is_none_or(|part| found.contains(part.as_str()));
        is(&self.method, subject.method)
            && is(&self.operation, subject.operation)
            && is(&self.bucket, subject.bucket)
            && has(&self.key_contains, subject.key)
            && has(&self.query_contains, subject.query)
            && self.range.is_none_or(|range| range == subject.range)
    }
}

/// One line of the script.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What happens.
    pub action: Action,
    /// How often it happens; without end when absent.
    #[serde(default)]
    pub times: Option<u32>,
    /// How many matching requests pass unharmed first.
    #[serde(default)]
    pub skip: u32,
    /// The chance of each matching request to be hit, from 0 to 1; certain when absent.
    #[serde(default)]
    pub probability: Option<f64>,
    /// The start of the random numbers behind `probability`: the same seed hits the same matching requests.
    #[serde(default)]
    pub seed: u64,
    /// Which requests it is about; all when empty.
    #[serde(default)]
    pub when: When,
}

impl Fault {
    /// A fault that hits every request without end.
    #[must_use]
    pub fn new(action: Action) -> Self {
        Self { action, times: None, skip: 0, probability: None, seed: 0, when: When::default() }
    }

    /// Happens so often, then no more.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    /// Lets so many matching requests pass first.
    #[must_use]
    pub fn skip(self, skip: u32) -> Self {
        Self { skip, ..self }
    }

    /// Hits each matching request with this chance.
    #[must_use]
    pub fn probability(self, probability: f64, seed: u64) -> Self {
        Self { probability: Some(probability), seed, ..self }
    }

    /// Hits only these requests.
    #[must_use]
    pub fn when(self, when: When) -> Self {
        Self { when, ..self }
    }
}

/// Names a fault that was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct FaultId(u64);

/// What conditions look at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Subject<'a> {
    pub(crate) method: &'a str,
    pub(crate) operation: &'a str,
    pub(crate) bucket: &'a str,
    pub(crate) key: &'a str,
    pub(crate) query: &'a str,
    pub(crate) range: bool,
}

/// What faults do to one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) delay_ms: u64,
    pub(crate) change: Option<Change>,
    /// The fault of the answer itself: a status, a reset, or one of the body.
    pub(crate) answer: Option<Action>,
    /// The name of the last fault that acted.
    pub(crate) name: Option<&'static str>,
}

/// What happens to the object before the request is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Replace(Bytes),
    Delete,
}

#[derive(Debug)]
struct Armed {
    id: FaultId,
    fault: Fault,
    random: u64,
    matched: u32,
    hits: u32,
}

impl Armed {
    /// Counts a request, and says whether it is hit.
    fn hits(&mut self, subject: &Subject<'_>) -> bool {
        let used_up = self.fault.times.is_some_and(|times| self.hits >= times);
        if used_up || !self.fault.when.holds(subject) {
            return false;
        }
        self.matched += 1;
        if self.matched <= self.fault.skip {
            return false;
        }
        if self.fault.probability.is_some_and(|chance| self.next_random() >= chance) {
            return false;
        }
        self.hits += 1;
        true
    }

    /// The next number from 0 to below 1 (xorshift64*).
    fn next_random(&mut self) -> f64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let bits = u32::try_from(self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32).unwrap_or(0);
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    }
}

#[derive(Debug, Default)]
struct Script {
    armed: Vec<Armed>,
    last_id: u64,
}

/// The script of faults, tried in the order in which they were added; the first that acts on the answer ends the
/// search. A clone is another handle on the same script.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    script: Arc<Mutex<Script>>,
}

impl Faults {
    /// Adds a fault at the end of the script.
    #[expect(clippy::must_use_candidate, reason = "most tests never ask about the fault again")]
    pub fn add(&self, fault: Fault) -> FaultId {
        let mut script = self.lock();
        script.last_id += 1;
        let id = FaultId(script.last_id);
        // Never zero, from which xorshift would not move; spread, so that neighbouring seeds differ at once.
        let random = (fault.seed ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9) | 1;
        script.armed.push(Armed { id, fault, random, matched: 0, hits: 0 });
        id
    }

    /// Removes all faults.
    pub fn clear(&self) {
        self.lock().armed.clear();
    }

    /// How often a fault has acted; 0 when it is gone.
    #[must_use]
    pub fn hits(&self, id: FaultId) -> u32 {
        self.lock().armed.iter().find(|armed| armed.id == id).map_or(0, |armed| armed.hits)
    }

    pub(crate) fn plan(&self, subject: &Subject<'_>) -> Plan {
        let mut plan = Plan::default();
        for armed in &mut self.lock().armed {
            if !armed.hits(subject) {
                continue;
            }
            let action = &armed.fault.action;
            plan.name = Some(action.name());
            match action {
                Action::Delay(ms) => plan.delay_ms += ms,
                Action::ChangeObjectBefore(bytes) => plan.change = Some(Change::Replace(bytes.clone().into())),
                Action::DeleteBefore => plan.change = Some(Change::Delete),
                _ => plan.answer = Some(action.clone()),
            }
            if !action.passes_on() {
                break;
            }
        }
        plan
    }

    fn lock(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: Subject<'_> = Subject {
        method: "GET",
        operation: "REST.GET.OBJECT",
        bucket: "b",
        key: "dir/part-1",
        query: "x-id=GetObject",
        range: false,
    };

    fn answers(faults: &Faults, count: usize) -> Vec<bool> {
        (0..count).map(|_| faults.plan(&GET).answer.is_some()).collect()
    }

    #[test]
    fn skip_and_times_bound_a_fault() {
        let faults = Faults::default();
        let id = faults.add(Fault::new(Action::Reset).skip(1).times(2));
        assert_eq!(answers(&faults, 5), [false, true, true, false, false]);
        assert_eq!(faults.hits(id), 2);
    }

    #[test]
    fn every_condition_must_hold() {
        let with = |set: fn(&mut When)| {
            let mut when = When::get("part-1");
            set(&mut when);
            when.holds(&GET)
        };
        assert!(with(|_| ()));
        assert!(with(|when| when.range = Some(false)));
        assert!(!with(|when| when.range = Some(true)));
        assert!(!with(|when| when.method = Some("HEAD".into())));
        assert!(!with(|when| when.bucket = Some("c".into())));
        assert!(!with(|when| when.key_contains = Some("part-2".into())));
        assert!(!with(|when| when.query_contains = Some("list".into())));
        assert!(!with(|when| when.operation = Some("REST.GET.BUCKET".into())));
    }

    #[test]
    fn the_same_seed_hits_the_same_requests_at_the_asked_rate() {
        let hits = |seed| {
            let faults = Faults::default();
            faults.add(Fault::new(Action::slow_down()).probability(0.05, seed));
            answers(&faults, 10_000)
        };
        let first = hits(7);
        assert_eq!(first, hits(7));
        assert_ne!(first, hits(8));
        let count = first.iter().filter(|hit| **hit).count();
        assert!((400..600).contains(&count), "{count} of 10,000 at 5 %");
    }

    #[test]
    fn delays_and_changes_leave_room_for_the_fault_of_the_answer() {
        let faults = Faults::default();
        faults.add(Fault::new(Action::Delay(5)));
        faults.add(Fault::new(Action::DeleteBefore));
        faults.add(Fault::new(Action::ShortBody(3)));
        faults.add(Fault::new(Action::Reset));
        let plan = faults.plan(&GET);
        assert_eq!(plan.delay_ms, 5);
        assert_eq!(plan.change, Some(Change::Delete));
        assert_eq!(plan.answer, Some(Action::ShortBody(3)));
        assert_eq!(plan.name, Some("short_body"));
        faults.clear();
        assert_eq!(faults.plan(&GET), Plan::default());
    }

    #[test]
    fn a_fault_is_written_in_json_as_documented() {
        let text = r#"{"action":{"status":{"status":503,"retry_after_s":1}},"times":2,"when":{"method":"GET"}}"#;
        let fault: Fault = serde_json::from_str(text).expect("a fault");
        assert_eq!(fault.action, Action::Status { status: 503, code: None, retry_after_s: Some(1) });
        for text in [r#"{"action":"reset"}"#, r#"{"action":{"reset_after":10}}"#, r#"{"action":{"delay":10}}"#] {
            assert!(serde_json::from_str::<Fault>(text).is_ok(), "{text}");
        }
        assert!(serde_json::from_str::<Fault>(r#"{"action":"reset","wen":{}}"#).is_err());
    }
}
