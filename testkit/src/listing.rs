//! One page of a listing: prefix, delimiter and position over stored and computed keys, in UTF-8 byte order.

use std::collections::btree_map;
use std::iter::Peekable;
use std::ops::Bound;
use std::sync::Arc;

use crate::store::{Bucket, Key, ListOrder, Object};
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

/// Lists one page in another order than that of the keys. It goes on behind the name that is `after`.
pub(crate) fn list_in(order: ListOrder, bucket: &Bucket, query: Query<'_>, continued: bool) -> Page {
    if order == ListOrder::Keys {
        return list(bucket, query);
    }
    let mut names = list(bucket, Query { after: "", limit: usize::MAX, ..query }).entries;
    match order {
        ListOrder::Hash => names.sort_by_cached_key(|entry| spread(entry.name())),
        ListOrder::FirstOnesLast(first) | ListOrder::FirstOnesLastAfterStart(first) => {
            let first = first.min(names.len());
            names.rotate_left(first);
        }
        ListOrder::Twice => names = names.iter().flat_map(|entry| [entry.clone(), entry.clone()]).collect(),
        ListOrder::Keys | ListOrder::Circle => {}
    }
    if matches!(order, ListOrder::FirstOnesLastAfterStart(_)) && !continued {
        names.retain(|entry| entry.name() > query.after);
    }
    // The last of two, so that a page may end between them.
    let behind = names.iter().rposition(|entry| entry.name() == query.after).filter(|_| continued);
    let from = behind.map_or(0, |at| at + 1);
    let circle = order == ListOrder::Circle;
    let from = if circle && from == names.len() { 0 } else { from };
    let mut entries: Vec<Listed> = names.drain(from..).collect();
    let truncated = entries.len() > query.limit || circle;
    entries.truncate(query.limit);
    Page { entries, truncated }
}

/// Names that differ little are far from each other (FNV, with its high bits spread).
fn spread(name: &str) -> u64 {
    let step = |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let sum = name.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    (sum ^ (sum >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{ObjectOptions, Store};
    use crate::virtual_bucket::VirtualObject;

    /// Pieces of keys that sort differently as text, as UTF-16 and as paths, or that trip up encoders.
    const PIECES: [&str; 24] = [
        "a",
        "b",
        "ab",
        "/",
        "//",
        "a/b",
        ".",
        "../",
        "-",
        "!",
        "0",
        "~",
        " ",
        "+",
        "%41",
        "=",
        "&",
        "\u{1}",
        "\n",
        "e\u{301}",
        "é",
        "\u{ffe5}",
        "😀",
        "\u{10ffff}",
    ];

    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 % limit as u64).expect("below a usize")
        }

        fn text(&mut self, most_pieces: usize) -> String {
            (0..self.below(most_pieces + 1)).map(|_| PIECES[self.below(PIECES.len())]).collect()
        }
    }

    /// A bucket with the keys: all stored (0), all computed (1), or mixed with one computed key that is hidden (2).
    fn bucket(keys: &[String], kind: usize, random: &mut Random) -> Arc<Bucket> {
        let (mut stored, mut computed) = (Vec::new(), Vec::new());
        for key in keys {
            let lot = if kind == 2 { random.below(3) } else { kind };
            if lot != 1 {
                stored.push(key.clone());
            }
            if lot != 0 {
                computed.push(key.clone());
            }
        }
        let hidden = format!("{}hidden", random.text(3));
        if kind == 2 && !keys.contains(&hidden) {
            computed.push(hidden.clone());
        }
        computed.sort();
        let store = Store::default();
        let count = computed.len() as u64;
        let object = move |index| VirtualObject::new(computed[usize::try_from(index).expect("small")].clone(), "");
        store.virtual_bucket("b", VirtualBucket::new(count, object));
        for key in stored {
            store.put("b", &key, "", ObjectOptions::default());
        }
        if kind == 2 && !keys.contains(&hidden) {
            store.remove("b", &hidden);
        }
        store.bucket("b").expect("just made")
    }

    /// What a listing is, said plainly: the sorted set of keys and common prefixes above a name.
    fn expected(keys: &[String], query: Query<'_>) -> Vec<String> {
        let mut names: Vec<String> = keys
            .iter()
            .filter(|key| key.starts_with(query.prefix))
            .map(|key| {
                let rest = &key[query.prefix.len()..];
                match rest.split_once(query.delimiter) {
                    Some((head, _)) if !query.delimiter.is_empty() => {
                        format!("{}{head}{}/prefix", query.prefix, query.delimiter)
                    }
                    _ => format!("{key}/object"),
                }
            })
            .filter(|name| name.rsplit_once('/').expect("a kind").0 > query.after)
            .collect();
        names.sort_by(|left, right| left.rsplit_once('/').cmp(&right.rsplit_once('/')));
        names.dedup();
        names
    }

    /// All pages one after the other, each begun where the last one ended.
    fn listed(bucket: &Bucket, query: Query<'_>) -> Vec<String> {
        let mut names = Vec::new();
        let mut after = query.after.to_owned();
        loop {
            let page = list(bucket, Query { after: &after, ..query });
            assert!(page.entries.len() <= query.limit);
            assert!(!page.truncated || page.entries.len() == query.limit, "a page that goes on is full");
            names.extend(page.entries.iter().map(|entry| match entry {
                Listed::Object(key, _) => format!("{key}/object"),
                Listed::Prefix(prefix) => format!("{prefix}/prefix"),
            }));
            match page.entries.last() {
                Some(last) if page.truncated => last.name().clone_into(&mut after),
                _ => return names,
            }
        }
    }

    #[test]
    fn pages_of_any_size_equal_the_plain_model() {
        let mut random = Random(0x5eed_0001);
        for round in 0..600 {
            let mut keys: Vec<String> = (0..random.below(40)).map(|_| random.text(4)).collect();
            keys.retain(|key| !key.is_empty());
            keys.sort();
            keys.dedup();
            let bucket = bucket(&keys, round % 3, &mut random);
            for _ in 0..20 {
                let prefix = random.text(2);
                let after = if random.below(2) == 0 { String::new() } else { random.text(3) };
                let delimiter = ["", "/", "a", "//", "é", "😀"][random.below(6)];
                let limit = 1 + random.below(7);
                let query = Query { prefix: &prefix, delimiter, after: &after, limit };
                assert_eq!(listed(&bucket, query), expected(&keys, query), "round {round}: {query:?} of {keys:?}");
            }
        }
    }

    #[test]
    fn no_keys_are_asked_for() {
        let bucket = bucket(&["a".to_owned()], 0, &mut Random(1));
        let page = list(&bucket, Query { prefix: "", delimiter: "", after: "", limit: 0 });
        assert!(page.entries.is_empty() && !page.truncated);
    }

    #[test]
    fn a_page_of_a_computed_bucket_looks_at_few_of_its_objects() {
        use std::sync::atomic::{AtomicU64, Ordering};
        let looks = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&looks);
        let computed = VirtualBucket::new(1_000_000_000, move |index| {
            counter.fetch_add(1, Ordering::Relaxed);
            VirtualObject::new(format!("{:04}/{:06}", index / 1_000_000, index % 1_000_000), "")
        });
        let store = Store::default();
        store.virtual_bucket("b", computed);
        let bucket = store.bucket("b").expect("just made");
        let page = list(&bucket, Query { prefix: "0500/", delimiter: "", after: "0500/000009", limit: 100 });
        assert_eq!(page.entries[0].name(), "0500/000010");
        assert!(page.truncated);
        assert!(looks.swap(0, Ordering::Relaxed) < 100 + 100, "bisection and one page");
        let page = list(&bucket, Query { prefix: "", delimiter: "/", after: "", limit: 1000 });
        assert_eq!((page.entries.len(), page.truncated), (1000, false));
        assert!(looks.load(Ordering::Relaxed) < 1000 * 40, "one bisection for each common prefix");
    }
}
