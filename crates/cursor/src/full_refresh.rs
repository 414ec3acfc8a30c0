//! The cursor of full refresh: how far the keys were read.
//!
//! Files are begun in key order. Every selected key up to `through`, the last one begun, was read, but for the pending
//! ones. So the document stays small however many files there are, and an interrupted run of the same generation can
//! go on; any other state means to start over.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::Decision;
use super::document::{self, Mode, Part, Pending, StreamState};
use tollgate_base::batch::{Place, Position};
use tollgate_base::object::ObjectFacts;

/// See the module's text.
#[derive(Debug, Clone)]
pub struct FullRefresh {
    generation: Option<i64>,
    through: Option<Arc<str>>,
    pub(super) pending: BTreeMap<Arc<str>, Pending>,
    list_after: Option<Arc<str>>,
    sorted: bool,
}

impl FullRefresh {
    /// Goes on from an incomplete full refresh of the same generation, else starts over.
    #[must_use]
    pub fn new(state: StreamState, generation: Option<i64>) -> Self {
        let resumable =
            state.part.filter(|part| part.mode == Mode::FullRefresh && !part.complete && part.generation == generation);
        let resumed = resumable.map(|part| (part.through, part.pending, part.sorted));
        let (through, pending, sorted) = resumed.unwrap_or_default();
        // A pending key must be listed again, so listing can begin only after the keys before the first of them; which
        // key that is, nobody knows, so nothing is saved then.
        let list_after = through.clone().filter(|_| pending.is_empty());
        Self { generation, through, pending, list_after, sorted }
    }

    /// The cursor for a server that does not list keys in their order, so that the run sorts them. How far an earlier run
    /// came says nothing, unless that one sorted them too: keys below may not have been listed by then.
    #[must_use]
    pub fn for_sorted_keys(self) -> Self {
        if self.sorted {
            return self;
        }
        let (through, list_after, pending) = (None, None, BTreeMap::new());
        Self { generation: self.generation, through, pending, list_after, sorted: true }
    }

    /// Whether the run before this one sorted the keys.
    #[must_use]
    pub fn sorted(&self) -> bool {
        self.sorted
    }

    pub(super) fn list_after(&self) -> Option<&str> {
        self.list_after.as_deref()
    }

    /// What is to be done with a listed object.
    #[must_use]
    pub fn decide(&self, object: &ObjectFacts) -> Decision {
        if let Some(pending) = self.pending.get(&*object.key) {
            return resume(pending, object);
        }
        let read = self.through.as_deref().is_some_and(|through| &*object.key <= through);
        if read { Decision::AlreadyRead } else { Decision::Read }
    }

    pub(super) fn decide_member(&self, member: &ObjectFacts) -> Decision {
        self.pending.get(&*member.key).map_or(Decision::Read, |pending| resume(pending, member))
    }

    /// Members are not in the order of keys: they say nothing about what was read.
    pub(super) fn begin_member(&mut self, member: &ObjectFacts, position: Position) {
        let pending = Pending { etag: Arc::clone(&member.etag), modified_at: member.modified_at, position };
        self.pending.insert(Arc::clone(&member.key), pending);
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
        document::write_part(&Part {
            mode: Mode::FullRefresh,
            complete: false,
            through: self.through.clone(),
            sorted: self.sorted,
            pending: self.pending.clone(),
            ..Part::new(self.generation)
        })
    }
}

/// Whether a pending file can go on: only the same object can. Without an ETag nothing proves that it is the same.
pub(super) fn resume(pending: &Pending, object: &ObjectFacts) -> Decision {
    let same = pending.etag == object.etag && pending.modified_at == object.modified_at && !object.etag.is_empty();
    match (&pending.position.place, same) {
        (Place::Start, _) => Decision::Read,
        (_, true) => Decision::Resume(pending.position.clone()),
        (_, false) => Decision::Changed,
    }
}
