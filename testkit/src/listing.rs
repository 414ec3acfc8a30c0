//! One page of a listing: prefix, delimiter and position over stored and computed keys, in UTF-8 byte order.

use std::collections::btree_map;
use std::iter::Peekable;
use std::ops::Bound;
use std::sync::Arc;

use crate::store::{Bucket, Key, Object};
use crate::virtual_bucket::VirtualBucket;

/// What is asked of a listing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query<'a> {
    pub(crate) prefix: &'a str,
    /// Empty: nothing is rolled up.
    pub(crate) delimiter: &'a str,
    /// Only entries (keys or common prefixes) above this one are returned; empty: from the start.
    pub(crate) after: &'a str,
    pub(crate) limit: usize,
}

/// An entry: an object, or a common prefix of which all keys are rolled up.
#[derive(Clone, Debug)]
pub(crate) enum Listed {
    Object(String, Arc<Object>),
    Prefix(String),
}

impl Listed {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Object(name, _) | Self::Prefix(name) => name,
        }
    }
}

/// One page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    pub(crate) entries: Vec<Listed>,
    pub(crate) truncated: bool,
}

/// Lists one page. A common prefix is one entry at the place of its own name, so one that is not above `after` is not
/// returned, even when keys below it are.
pub(crate) fn list(bucket: &Bucket, query: Query<'_>) -> Page {
    let mut page = Page::default();
    if query.limit == 0 {
        return page;
    }
    let objects = bucket.objects();
    let mut keys = if query.after.as_bytes() < query.prefix.as_bytes() {
        Keys::new(&objects, bucket.computed(), query.prefix.as_bytes(), false)
    } else {
        Keys::new(&objects, bucket.computed(), query.after.as_bytes(), true)
    };
    while let Some((key, object)) = keys.next() {
        if !key.starts_with(query.prefix) {
            break;
        }
        let rolled_up = common_prefix(&key, query);
        let entry = match rolled_up {
            Some(common) => {
                keys = Keys::new(&objects, bucket.computed(), &successor(common), false);
                if common <= query.after {
                    continue;
                }
                Listed::Prefix(common.to_owned())
            }
            None => Listed::Object(key, object),
        };
        if page.entries.len() == query.limit {
            page.truncated = true;
            break;
        }
        page.entries.push(entry);
    }
    page
}

fn common_prefix<'a>(key: &'a str, query: Query<'_>) -> Option<&'a str> {
    if query.delimiter.is_empty() {
        return None;
    }
    let end = key.get(query.prefix.len()..)?.find(query.delimiter)?;
    key.get(..query.prefix.len() + end + query.delimiter.len())
}

/// The smallest byte string above every string that begins with the prefix. A UTF-8 text never ends in 0xFF.
fn successor(prefix: &str) -> Vec<u8> {
    let mut bytes = prefix.as_bytes().to_vec();
    if let Some(last) = bytes.last_mut() {
        *last += 1;
    }
    bytes
}

/// Stored and computed keys merged from a bound on; a stored entry lies over the computed one of the same key.
struct Keys<'a> {
    stored: Peekable<btree_map::Range<'a, Key, Option<Arc<Object>>>>,
    computed: Option<&'a VirtualBucket>,
    index: u64,
    /// The computed object at `index` as soon as it was looked at.
    waiting: Option<(String, Object)>,
}

impl<'a> Keys<'a> {
    fn new(
        objects: &'a std::collections::BTreeMap<Key, Option<Arc<Object>>>,
        computed: Option<&'a VirtualBucket>,
        bound: &[u8],
        after: bool,
    ) -> Self {
        let start = if after { Bound::Excluded(bound) } else { Bound::Included(bound) };
        let stored = objects.range::<[u8], _>((start, Bound::Unbounded)).peekable();
        let index = computed.map_or(0, |computed| computed.first_from(bound, after));
        Self { stored, computed, index, waiting: None }
    }

    fn next(&mut self) -> Option<(String, Arc<Object>)> {
        loop {
            self.look();
            let computed_first = match (self.stored.peek(), &self.waiting) {
                (None, None) => return None,
                (Some((key, _)), Some((computed, _))) => {
                    if *key.0 == **computed {
                        self.waiting = None;
                    }
                    self.waiting.as_ref().is_some_and(|(computed, _)| **computed < *key.0)
                }
                (stored, _) => stored.is_none(),
            };
            if computed_first {
                return self.waiting.take().map(|(key, object)| (key, Arc::new(object)));
            }
            if let Some((key, Some(object))) = self.stored.next() {
                return Some((key.0.to_string(), Arc::clone(object)));
            }
        }
    }

    fn look(&mut self) {
        let Some(computed) = self.computed else { return };
        if self.waiting.is_none() {
            self.waiting = computed.at(self.index).map(crate::virtual_bucket::VirtualObject::into_object);
            self.index += u64::from(self.waiting.is_some());
        }
    }
}
