//! Buckets whose objects are computed from their number, never stored.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::content::Content;
use crate::store::{Object, StorageClass, unix_seconds};

/// One computed object.
#[derive(Clone, Debug)]
pub struct VirtualObject {
    /// The key.
    pub key: String,
    /// Its bytes.
    pub content: Content,
    /// LastModified, cut to whole seconds.
    pub modified_at: SystemTime,
    /// The storage class as S3 writes it, for example `STANDARD`.
    pub storage_class: StorageClass,
    /// The ETag without quotes; when absent it is derived from key, size and time.
    pub etag: Option<String>,
}

impl VirtualObject {
    /// An object of class STANDARD, last modified on 2024-01-01.
    #[must_use]
    pub fn new(key: impl Into<String>, content: impl Into<Content>) -> Self {
        let modified_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_704_067_200);
        let storage_class = StorageClass::from("STANDARD");
        Self { key: key.into(), content: content.into(), modified_at, storage_class, etag: None }
    }

    pub(crate) fn into_object(self) -> (String, Object) {
        let modified_s = unix_seconds(self.modified_at);
        let etag = self.etag.unwrap_or_else(|| derived_etag(&self.key, self.content.size_bytes(), modified_s));
        let mut object = Object::new(self.content, etag, modified_s);
        object.storage_class = self.storage_class;
        (self.key, object)
    }
}

/// A bucket of `count` objects, each computed from its number.
///
/// Keys must ascend strictly in UTF-8 byte order with their number; pages of a listing are found by bisection.
#[derive(Clone)]
pub struct VirtualBucket {
    count: u64,
    object: Arc<dyn Fn(u64) -> VirtualObject + Send + Sync>,
}

impl VirtualBucket {
    /// A bucket of `count` objects; `object` makes the one with the given number.
    #[must_use]
    pub fn new(count: u64, object: impl Fn(u64) -> VirtualObject + Send + Sync + 'static) -> Self {
        Self { count, object: Arc::new(object) }
    }

    /// How many objects there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn at(&self, index: u64) -> Option<VirtualObject> {
        (index < self.count).then(|| (self.object)(index))
    }

    /// The number of the first object whose key is not below the bound (or, with `after`, is above it).
    pub(crate) fn first_from(&self, bound: &[u8], after: bool) -> u64 {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            let key = (self.object)(middle).key;
            let below = if after { key.as_bytes() <= bound } else { key.as_bytes() < bound };
            if below { low = middle + 1 } else { high = middle }
        }
        low
    }

    pub(crate) fn find(&self, key: &str) -> Option<VirtualObject> {
        self.at(self.first_from(key.as_bytes(), false)).filter(|object| object.key == key)
    }
}

impl fmt::Debug for VirtualBucket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "virtual bucket of {} objects", self.count)
    }
}

/// 32 hexadecimal digits that look like an MD5 and change with key, size and time.
fn derived_etag(key: &str, size_bytes: u64, modified_s: i64) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let facts = size_bytes.to_le_bytes().into_iter().chain(modified_s.to_le_bytes());
    for byte in key.bytes().chain(facts) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    let other = hash.rotate_left(29).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ size_bytes;
    format!("{hash:016x}{other:016x}")
}
