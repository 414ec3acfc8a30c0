//! The cursor of full refresh: how far the keys were read.
//!
//! Files are started in key order. Every selected key up to `through`, the last one started, was read, except the
//! pending ones. So the document stays small however many files there are. An interrupted run can continue in the same
//! generation with the same selection. With any other state, it starts over.
//!
//! A finished full refresh is read again by the next sync, which passes the same state. If the number of the sync
//! (`sync_id`) is the same, it is a retry because another stream failed, and nothing is left to read. The number 1
//! counts as none, because runners that do not number their syncs write it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::basis::Basis;
use super::decision::Decision;
use super::document::{self, Mode, Pending, StreamState, TollgateState};
use super::tally::Tally;
use tollgate_base::batch::Position;
use tollgate_base::object::ObjectFacts;
use tollgate_base::options::fingerprint::Fingerprint;

/// See the module documentation.
#[derive(Debug, Clone)]
pub struct FullRefresh {
    generation: Option<i64>,
    through: Option<Arc<str>>,
    pub(super) pending: BTreeMap<Arc<str>, Pending>,
    list_after: Option<Arc<str>>,
    pub(super) basis: Basis,
    /// The selection of the run that the state is of.
    selection: Option<Fingerprint>,
    sync: Option<i64>,
    /// The sync in which everything was read.
    finished_in: Option<i64>,
    started_over: bool,
    pub(super) tally: Option<Tally>,
    sorted: bool,
}

impl FullRefresh {
    /// Continues an incomplete full refresh of the same generation, or starts over.
    #[must_use]
    pub fn new(state: StreamState, generation: Option<i64>) -> Self {
        let part = state.part.filter(|part| part.mode == Mode::FullRefresh && part.generation == generation);
        let finished_in = part.as_ref().filter(|part| part.complete).and_then(|part| part.sync);
        let selection = part.as_ref().and_then(|part| part.selection.clone());
        let (through, pending, tally, sorted) = part
            .filter(|part| !part.complete)
            .map(|part| (part.through, part.pending, part.bad_rows, part.sorted))
            .unwrap_or_default();
        // A pending key must be listed again, so listing can begin only after the keys before the first of them; which
        // key that is, nobody knows, so nothing is saved then.
        let list_after = through.clone().filter(|_| pending.is_empty());
        Self {
            generation,
            through,
            pending,
            list_after,
            basis: Basis::default(),
            selection,
            sync: None,
            finished_in: finished_in.filter(|_| generation.is_some()),
            started_over: false,
            tally,
            sorted,
        }
    }

    /// Sets the options of the run. If the selection differs from that in the state, the full refresh starts over.
    #[must_use]
    pub fn based_on(mut self, basis: Basis) -> Self {
        if self.selection != basis.selection {
            self.started_over = self.through.is_some() || !self.pending.is_empty();
            self.finished_in = None;
            self.start_over();
        }
        Self { basis, ..self }
    }

    /// Names the sync.
    #[must_use]
    pub fn in_sync(self, sync: Option<i64>) -> Self {
        Self { sync: sync.filter(|sync| *sync != 1), ..self }
    }

    /// Whether an earlier attempt of the same sync read everything.
    #[must_use]
    pub fn finished(&self) -> bool {
        self.finished_in.is_some() && self.finished_in == self.sync
    }

    /// Whether an interrupted full refresh starts over instead of continuing.
    #[must_use]
    pub fn started_over(&self) -> bool {
        self.started_over
    }

    /// Counts everything as not read.
    pub(super) fn start_over(&mut self) {
        (self.through, self.list_after, self.tally) = (None, None, None);
        self.pending.clear();
    }

    /// The cursor for a server that does not list keys in order, so that the run sorts them. The progress of an earlier
    /// run is ignored unless that run also sorted them, because it may not have seen all lower keys.
    #[must_use]
    pub fn for_sorted_keys(mut self) -> Self {
        if !self.sorted {
            self.start_over();
        }
        Self { sorted: true, ..self }
    }

    /// Whether the previous run sorted the keys.
    #[must_use]
    pub fn sorted(&self) -> bool {
        self.sorted
    }

    pub(super) fn list_after(&self) -> Option<&str> {
        self.list_after.as_deref()
    }

    /// How to handle a listed object.
    #[must_use]
    pub fn decide(&self, object: &ObjectFacts) -> Decision {
        if self.finished() {
            return Decision::AlreadyRead;
        }
        if let Some(pending) = self.pending.get(&*object.key) {
            return pending.decide(object, &self.basis);
        }
        let read = self.through.as_deref().is_some_and(|through| &*object.key <= through);
        if read { Decision::AlreadyRead } else { Decision::Read }
    }

    pub(super) fn decide_member(&self, member: &ObjectFacts) -> Decision {
        self.pending.get(&*member.key).map_or(Decision::Read, |pending| pending.decide(member, &self.basis))
    }

    /// Members are not in the order of keys: they say nothing about what was read.
    pub(super) fn begin_member(&mut self, member: &ObjectFacts, position: Position) {
        self.pending.insert(Arc::clone(&member.key), Pending::new(member, position, &self.basis));
    }

    pub(super) fn begin(&mut self, object: &ObjectFacts, position: Position) {
        self.begin_member(object, position);
        if self.through.as_deref().is_none_or(|through| through < &*object.key) {
            self.through = Some(Arc::clone(&object.key));
        }
    }

    pub(super) fn end(&mut self, key: &str) {
        self.pending.remove(key);
    }

    /// The document that covers exactly the events so far.
    #[must_use]
    pub fn document(&self) -> Value {
        document::write_part(&TollgateState {
            mode: Mode::FullRefresh,
            complete: false,
            selection: self.basis.selection.clone(),
            through: self.through.clone(),
            bad_rows: self.tally.clone().filter(|tally| !tally.is_empty()),
            sorted: self.sorted,
            pending: self.pending.clone(),
            ..TollgateState::new(self.generation)
        })
    }

    /// The document of a run that read everything.
    #[must_use]
    pub fn complete_document(&self) -> Value {
        let finished = self.sync.filter(|_| self.generation.is_some()).map(|sync| TollgateState {
            mode: Mode::FullRefresh,
            sync: Some(sync),
            selection: self.basis.selection.clone(),
            ..TollgateState::new(self.generation)
        });
        document::no_cursor_sentinel(finished.as_ref())
    }
}
