//! The order of a listing, and its end. Code that lists in parts, or that starts or stops at a key, relies on keys in
//! byte order. S3 guarantees this order for all buckets except directory buckets, so each page is checked.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::object::ObjectFacts;

/// Pages in a row without a new key, after which a listing is given up.
const BARREN_PAGES: u32 = 1000;

/// Checks that objects are in order of their keys, after the last one of the previous page. Of an object that is listed
/// twice, only the newer version is kept. Returns the number of duplicates.
///
/// # Errors
/// [`ErrorKind::OutOfOrder`], with the two keys.
pub fn in_order(last: Option<&str>, objects: &mut Vec<ObjectFacts>) -> Result<u64> {
    let Some(first) = objects.first() else { return Ok(0) };
    let (mut twice, mut again) = (0, false);
    match last {
        Some(last) if *first.key < *last => return Err(disorder(last, &first.key)),
        // It is on its way already.
        Some(last) if *first.key == *last => again = true,
        _ => {}
    }
    let falling = |pair: &&[ObjectFacts]| pair[1].key <= pair[0].key;
    if let Some(pair) = objects.windows(2).find(falling) {
        if pair[1].key < pair[0].key {
            return Err(disorder(&pair[0].key, &pair[1].key));
        }
        twice += once(objects)?;
    }
    if again {
        objects.remove(0);
        twice += 1;
    }
    Ok(twice)
}

/// Leaves each key once.
fn once(objects: &mut Vec<ObjectFacts>) -> Result<u64> {
    let before = objects.len();
    let mut kept: Vec<ObjectFacts> = Vec::with_capacity(before);
    for object in objects.drain(..) {
        match kept.last_mut() {
            Some(last) if object.key < last.key => return Err(disorder(&last.key, &object.key)),
            Some(last) if object.key == last.key => {
                if object.modified_at > last.modified_at {
                    *last = object;
                }
            }
            _ => kept.push(object),
        }
    }
    *objects = kept;
    Ok((before - objects.len()) as u64)
}

/// Like [`in_order`], for the folders of a page.
///
/// # Errors
/// As [`in_order`].
pub fn folders_in_order(last: Option<&str>, folders: &mut Vec<String>) -> Result<()> {
    folders.dedup();
    if last.is_some() && folders.first().map(String::as_str) == last {
        folders.remove(0);
    }
    let pairs = folders.windows(2).map(|pair| (pair[0].as_str(), pair[1].as_str()));
    let first = last.zip(folders.first().map(String::as_str));
    match first.into_iter().chain(pairs).find(|(before, folder)| folder <= before) {
        Some((before, folder)) => Err(disorder(before, folder)),
        None => Ok(()),
    }
}

fn disorder(before: &str, key: &str) -> Error {
    Error::new(ErrorKind::OutOfOrder, "the listing of the bucket is not sorted by key")
        .with("key", key)
        .with("listed_after", before)
        .hint("run the sync again: the next run sorts the whole listing before it reads the stream")
}

/// Detects a listing that never ends, because its pages repeat or are empty, in constant memory (Brent's algorithm for
/// finding cycles).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trail {
    pages: u64,
    /// Hashes of the token and the content of an earlier page, and the number of the page that takes its place.
    mark: Option<(u64, u64)>,
    next_mark: u64,
    barren: u32,
}

impl Trail {
    /// A page came that has a next one. `content` stands for its keys; `None` if it has none that are new.
    ///
    /// # Errors
    /// Unsupported if the listing goes in a circle.
    pub fn step(&mut self, token: &str, content: Option<&[&str]>) -> Result<()> {
        self.pages += 1;
        self.barren = if content.is_some() { 0 } else { self.barren + 1 };
        let page = (hash(&token), hash(&content));
        let came_before =
            self.mark.is_some_and(|(token, keys)| page.0 == token || (content.is_some() && page.1 == keys));
        if came_before || self.barren > BARREN_PAGES {
            let error = Error::new(ErrorKind::Unsupported, "the listing of the bucket repeats itself");
            return Err(error.with("pages", self.pages).hint("the server is not compatible with S3"));
        }
        if self.pages >= self.next_mark {
            (self.mark, self.next_mark) = (Some(page), self.pages * 2);
        }
        Ok(())
    }

    /// Like [`Self::step`], with the keys of objects and folders.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn page(&mut self, token: &str, objects: &[ObjectFacts], folders: &[String]) -> Result<()> {
        let keys = |object: Option<&'_ ObjectFacts>| object.map(|object| Arc::clone(&object.key)).unwrap_or_default();
        let folder = |folder: Option<&String>| folder.cloned().unwrap_or_default();
        let (first, last) = (keys(objects.first()), keys(objects.last()));
        let (first_folder, last_folder) = (folder(folders.first()), folder(folders.last()));
        let content = [&*first, &*last, first_folder.as_str(), last_folder.as_str()];
        let anything = !objects.is_empty() || !folders.is_empty();
        self.step(token, anything.then_some(&content[..]))
    }
}

/// The standard library may change this hash with any version, which does no harm here: hashes are compared only with
/// others of the same listing, in the same process, and never written down. 64 bits make it unlikely enough that two
/// different pages look alike, which would end the listing with an error.
fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_base::object::{StorageClass, Timestamp};

    fn objects(keys: &[&str]) -> Vec<ObjectFacts> {
        let object = |(second, key): (usize, &&str)| ObjectFacts {
            key: (*key).into(),
            size: 1,
            modified_at: Timestamp::from_seconds(second as i64, 0),
            etag: "".into(),
            storage_class: StorageClass::Standard,
        };
        keys.iter().enumerate().map(object).collect()
    }

    fn checked(last: Option<&str>, keys: &[&str]) -> Option<(u64, Vec<String>)> {
        let mut objects = objects(keys);
        let twice = in_order(last, &mut objects);
        assert!(twice.as_ref().err().is_none_or(|error| error.kind() == ErrorKind::OutOfOrder));
        Some((twice.ok()?, objects.iter().map(|object| object.key.to_string()).collect()))
    }

    #[test]
    fn a_key_that_comes_twice_is_kept_once_and_disorder_is_noticed() {
        let kept = |twice, keys: &[&str]| Some((twice, keys.iter().map(|key| (*key).to_owned()).collect()));
        assert_eq!(checked(None, &[]), kept(0, &[]));
        assert_eq!(checked(Some("a"), &["b", "c"]), kept(0, &["b", "c"]));
        assert_eq!(checked(Some("b"), &["b", "c", "c", "c", "d"]), kept(3, &["c", "d"]));
        assert_eq!(checked(Some("b"), &["b", "b"]), kept(2, &[]));
        for (last, keys) in [(Some("b"), &["a"][..]), (None, &["b", "a"]), (None, &["a", "a", "c", "b"])] {
            assert_eq!(checked(last, keys), None, "{last:?} {keys:?}");
        }
        let mut newer = objects(&["a", "a"]);
        assert!(in_order(None, &mut newer).is_ok() && newer[0].modified_at == Timestamp::from_seconds(1, 0));
    }

    #[test]
    fn folders_that_come_twice_at_the_end_of_a_page_are_kept_once() {
        let mut folders = vec!["a/".to_owned(), "b/".to_owned(), "b/".to_owned()];
        folders_in_order(Some("a/"), &mut folders).unwrap();
        assert_eq!(folders, ["b/"]);
        assert!(folders_in_order(Some("c/"), &mut folders).is_err());
        assert!(folders_in_order(None, &mut vec!["b/".to_owned(), "a/".to_owned()]).is_err());
    }

    #[test]
    fn a_listing_in_a_circle_ends_and_a_long_one_does_not() {
        for length in [1, 2, 3, 7, 100] {
            let mut trail = Trail::default();
            let page = |at: usize| trail.step(&format!("t{}", at % length), Some(&["k"])).is_err();
            let circle = (0..10 * length + 10).position(page);
            assert!(circle.is_some_and(|pages| pages <= 4 * length), "tokens: {length} {circle:?}");

            let mut trail = Trail::default();
            let page = |at: usize| trail.step(&format!("t{at}"), Some(&[&format!("k{}", at % length)])).is_err();
            let circle = (0..10 * length + 10).position(page);
            assert!(circle.is_some_and(|pages| pages <= 4 * length), "keys: {length} {circle:?}");
        }
        let mut trail = Trail::default();
        let barren = |trail: &mut Trail, at: usize| trail.step(&format!("t{at}"), None);
        assert!((0..1000).all(|at| barren(&mut trail, at).is_ok()) && barren(&mut trail, 1000).is_err());
        let mut trail = Trail::default();
        assert!((0..100_000).all(|at| trail.step(&format!("t{at}"), Some(&[&format!("k{at}")])).is_ok()));
    }
}
