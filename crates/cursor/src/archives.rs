//! Which members of archives were read, identified by their content.
//!
//! The history has a member's key and its time in the archive, as in the connector we replace. That time is written by
//! the tool that made the archive, and is often missing, so it does not show whether a member changed. In addition, the
//! numbers of an archive's members are stored here. A number is a hash of name, time, checksum and size.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::sketch::Set;

/// Bytes of all archives in the state at most. Beyond it the archive with the most members is forgotten: when it is
/// replaced, members of it may be read again.
const BYTES_AT_MOST: usize = 100_000;

/// Bytes of an archive in the state besides its key and its numbers.
const ENTRY_BYTES: usize = 8;

/// What the text of the state is for [`Members::ByTime`].
const BY_TIME: &str = "by time";

/// See the module's text.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Archives {
    archives: BTreeMap<Arc<str>, Members>,
    bytes: usize,
    /// Those that were forgotten in this run: what is read of them from here on is not all that was read.
    forgotten: BTreeSet<Arc<str>>,
}

/// What is known of an archive's members.
#[derive(Debug, Clone, PartialEq)]
enum Members {
    /// The numbers of those that were read.
    Numbers(BTreeSet<u64>),
    /// Another connector read them: only their times in the history are known.
    ByTime,
}

/// How a member is told from those that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// It was read.
    Read,
    /// It was not read.
    NotRead,
    /// By its time in the history.
    ByTime,
    /// Not at all.
    Unknown,
}

impl Members {
    fn text_bytes(&self) -> usize {
        match self {
            Self::Numbers(numbers) => (numbers.len() * 32).div_ceil(3),
            Self::ByTime => BY_TIME.len(),
        }
    }
}

impl Archives {
    /// The archives of a history that another connector left.
    pub(super) fn of_history<'k>(keys: impl Iterator<Item = &'k Arc<str>>) -> Self {
        let mut archives = Self::default();
        let named = keys.filter_map(|key| Some(&key[..key.find(".zip#")? + ".zip".len()]));
        named.for_each(|archive| archives.set(archive.into(), Members::ByTime));
        archives
    }

    /// The archives of a state. Of one whose text is not understood nothing is known.
    pub(super) fn read(saved: BTreeMap<Arc<str>, String>) -> Self {
        let mut archives = Self::default();
        for (key, text) in saved {
            match Set::read(&text, false) {
                _ if text == BY_TIME => archives.set(key, Members::ByTime),
                Some(Set::Numbers(numbers)) => archives.set(key, Members::Numbers(numbers)),
                _ => {}
            }
        }
        archives
    }

    pub(super) fn save(&self) -> BTreeMap<Arc<str>, String> {
        let text = |members: &Members| match members {
            Members::Numbers(numbers) => Set::Numbers(numbers.clone()).text(),
            Members::ByTime => BY_TIME.to_owned(),
        };
        self.archives.iter().map(|(key, members)| (Arc::clone(key), text(members))).collect()
    }

    /// Bytes in the state.
    pub(super) fn text_bytes(&self) -> usize {
        self.bytes
    }

    /// Whether members of the archive were read.
    pub(super) fn knows(&self, archive: &str) -> bool {
        self.archives.contains_key(archive) || self.forgotten.contains(archive)
    }

    /// Whether a member was read.
    pub(super) fn tell(&self, archive: &str, member: u64) -> Told {
        match self.archives.get(archive) {
            Some(Members::Numbers(numbers)) if numbers.contains(&member) => Told::Read,
            Some(Members::Numbers(_)) => Told::NotRead,
            Some(Members::ByTime) => Told::ByTime,
            None => Told::Unknown,
        }
    }

    /// A member was read.
    pub(super) fn add(&mut self, archive: &Arc<str>, member: u64) {
        match self.archives.get_mut(archive) {
            Some(Members::ByTime) => {}
            Some(members) => {
                let before = members.text_bytes();
                if let Members::Numbers(numbers) = members {
                    numbers.insert(member);
                }
                self.bytes += members.text_bytes() - before;
                self.make_room();
            }
            None if self.forgotten.contains(archive) => {}
            None => self.set(Arc::clone(archive), Members::Numbers(BTreeSet::from([member]))),
        }
    }

    /// An archive was read whole: these are its members.
    pub(super) fn end(&mut self, archive: Arc<str>, members: impl IntoIterator<Item = u64>) {
        self.set(archive, Members::Numbers(members.into_iter().collect()));
    }

    fn set(&mut self, archive: Arc<str>, members: Members) {
        self.forget(&archive);
        self.bytes += archive.len() + ENTRY_BYTES + members.text_bytes();
        self.archives.insert(archive, members);
        self.make_room();
    }

    fn forget(&mut self, archive: &str) {
        if let Some(members) = self.archives.remove(archive) {
            self.bytes -= archive.len() + ENTRY_BYTES + members.text_bytes();
        }
    }

    fn make_room(&mut self) {
        while self.bytes > BYTES_AT_MOST {
            let largest = self.archives.iter().max_by_key(|(_, members)| members.text_bytes());
            let Some(largest) = largest.map(|(key, _)| Arc::clone(key)) else { return };
            self.forget(&largest);
            self.forgotten.insert(largest);
        }
    }
}
