//! The objects: buckets in memory, in UTF-8 byte order of their keys.

use std::borrow::{Borrow, Cow};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use bytes::Bytes;
use md5::{Digest as _, Md5};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::checksums::{Algorithm, Known};
use crate::content::Content;
use crate::multipart::Upload;
use crate::virtual_bucket::VirtualBucket;

/// A storage class as S3 writes it. Any text is taken, so that a class that appears one day can be tested too.
pub type StorageClass = Cow<'static, str>;

/// What holds for a bucket as a whole.
#[derive(Clone, Debug, Default)]
pub struct BucketOptions {
    /// The region in which the bucket lives; the server's own when absent.
    pub region: Option<String>,
    /// Anyone may list and read it without a signature.
    pub anonymous: bool,
    /// Requests without `x-amz-request-payer: requester` are refused with 403 AccessDenied.
    pub requester_pays: bool,
    /// The order in which ListObjectsV2 gives names.
    pub list_order: ListOrder,
    /// Names on one page of ListObjectsV2 at most; 1,000 when absent.
    pub page_keys: Option<usize>,
}

/// The order in which a bucket lists names: S3's, or one of a server that clients should not trust.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListOrder {
    /// In their byte order, as S3 does.
    #[default]
    Keys,
    /// In an order of its own, as directory buckets may. `StartAfter` is not looked at.
    Hash,
    /// In byte order, but so many of the first ones come last. `StartAfter` is not looked at.
    FirstOnesLast(usize),
    /// As [`ListOrder::FirstOnesLast`], without the keys up to `StartAfter`.
    FirstOnesLastAfterStart(usize),
    /// In byte order, each name twice.
    Twice,
    /// In byte order, and after the last name comes the first again.
    Circle,
}

/// What may be set of a stored object beside its bytes.
#[derive(Clone, Debug, Default)]
pub struct ObjectOptions {
    /// LastModified, cut to whole seconds; the store's clock when absent.
    pub modified_at: Option<SystemTime>,
    /// The storage class; `STANDARD` when absent. `GLACIER` and `DEEP_ARCHIVE` refuse GET unless restored.
    pub storage_class: Option<StorageClass>,
    /// The ETag without quotes; the MD5 of the bytes when absent.
    pub etag: Option<String>,
    /// An archived object of which a readable copy exists for now.
    pub restored: bool,
    /// `Content-Type`; `binary/octet-stream` when absent, as S3 answers.
    pub content_type: Option<String>,
    /// `Content-Encoding`, none when absent.
    pub content_encoding: Option<String>,
    /// User metadata: names without `x-amz-meta-`.
    pub metadata: BTreeMap<String, String>,
    /// The checksum that is kept beside the bytes; none when absent.
    pub checksum: Option<Algorithm>,
}

impl ObjectOptions {
    /// Only LastModified is set.
    #[must_use]
    pub fn modified_at(time: SystemTime) -> Self {
        Self { modified_at: Some(time), ..Self::default() }
    }

    /// Only the storage class is set.
    #[must_use]
    pub fn storage_class(name: impl Into<StorageClass>) -> Self {
        Self { storage_class: Some(name.into()), ..Self::default() }
    }
}

/// An object as a test sees it.
#[derive(Clone, Debug)]
pub struct ObjectView {
    /// Its bytes.
    pub content: Content,
    /// The ETag without quotes.
    pub etag: String,
    /// LastModified in whole seconds.
    pub modified_at: SystemTime,
    /// The storage class.
    pub storage_class: StorageClass,
    /// `Content-Type` as it was given.
    pub content_type: Option<String>,
    /// `Content-Encoding` as it was given.
    pub content_encoding: Option<String>,
    /// User metadata: names without `x-amz-meta-`.
    pub metadata: BTreeMap<String, String>,
}

/// Reads an RFC 3339 time, for example `2024-02-29T00:00:00Z`.
///
/// # Errors
/// When the text is not such a time.
pub fn parse_time(text: &str) -> anyhow::Result<SystemTime> {
    let time = OffsetDateTime::parse(text, &Rfc3339).with_context(|| format!("`{text}` is not an RFC 3339 time"))?;
    Ok(time.into())
}

pub(crate) fn unix_seconds(time: SystemTime) -> i64 {
    OffsetDateTime::from(time).unix_timestamp()
}

pub(crate) fn from_unix_seconds(seconds: i64) -> SystemTime {
    match u64::try_from(seconds) {
        Ok(seconds) => SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
        Err(_) => SystemTime::UNIX_EPOCH - Duration::from_secs(seconds.unsigned_abs()),
    }
}

/// The MD5 of some bytes as 32 hexadecimal digits, S3's ETag of an object that was sent in one piece.
pub(crate) fn md5_hex(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A key in a map: ordered by its bytes, so that a map can also be entered between two keys at any byte string.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(pub(crate) Box<str>);

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// A stored or computed object without its key.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) content: Content,
    pub(crate) etag: String,
    pub(crate) modified_s: i64,
    pub(crate) storage_class: StorageClass,
    pub(crate) restored: bool,
    pub(crate) content_type: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    /// Sizes of the parts of a multipart upload, for `partNumber`; empty when it was sent in one piece.
    pub(crate) part_sizes: Vec<u64>,
    /// The checksum that the writer gave.
    pub(crate) checksum: Option<Known>,
}

impl Object {
    pub(crate) fn new(content: Content, etag: String, modified_s: i64) -> Self {
        Self {
            content,
            etag,
            modified_s,
            storage_class: Cow::Borrowed("STANDARD"),
            restored: false,
            content_type: None,
            content_encoding: None,
            metadata: BTreeMap::new(),
            part_sizes: Vec::new(),
            checksum: None,
        }
    }

    /// Whether its bytes cannot be read before a restore.
    pub(crate) fn archived(&self) -> bool {
        matches!(&*self.storage_class, "GLACIER" | "DEEP_ARCHIVE") && !self.restored
    }

    fn view(&self) -> ObjectView {
        ObjectView {
            content: self.content.clone(),
            etag: self.etag.clone(),
            modified_at: from_unix_seconds(self.modified_s),
            storage_class: self.storage_class.clone(),
            content_type: self.content_type.clone(),
            content_encoding: self.content_encoding.clone(),
            metadata: self.metadata.clone(),
        }
    }
}

/// One bucket. In a virtual bucket `objects` lies over the computed ones, and `None` hides one of them.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    options: RwLock<BucketOptions>,
    objects: RwLock<BTreeMap<Key, Option<Arc<Object>>>>,
    computed: Option<VirtualBucket>,
    uploads: Mutex<BTreeMap<String, Upload>>,
}

impl Bucket {
    pub(crate) fn options(&self) -> BucketOptions {
        read(&self.options).clone()
    }

    pub(crate) fn objects(&self) -> RwLockReadGuard<'_, BTreeMap<Key, Option<Arc<Object>>>> {
        read(&self.objects)
    }

    pub(crate) fn computed(&self) -> Option<&VirtualBucket> {
        self.computed.as_ref()
    }

    pub(crate) fn uploads(&self) -> MutexGuard<'_, BTreeMap<String, Upload>> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, key: &str) -> Option<Arc<Object>> {
        if let Some(stored) = self.objects().get(key.as_bytes()) {
            return stored.clone();
        }
        self.computed.as_ref()?.find(key).map(|object| Arc::new(object.into_object().1))
    }

    pub(crate) fn insert(&self, key: &str, object: Object) {
        write(&self.objects).insert(Key(key.into()), Some(Arc::new(object)));
    }

    /// Puts an object when `allowed` agrees with what is there now, in one step.
    pub(crate) fn insert_if<E>(
        &self,
        key: &str,
        object: Object,
        allowed: impl FnOnce(Option<&Object>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut objects = write(&self.objects);
        let computed = || self.computed.as_ref()?.find(key).map(|found| Arc::new(found.into_object().1));
        let current = objects.get(key.as_bytes()).map_or_else(computed, Clone::clone);
        allowed(current.as_deref())?;
        objects.insert(Key(key.into()), Some(Arc::new(object)));
        Ok(())
    }

    pub(crate) fn remove(&self, key: &str) -> bool {
        let existed = self.get(key).is_some();
        let mut objects = write(&self.objects);
        if self.computed.as_ref().is_some_and(|computed| computed.find(key).is_some()) {
            objects.insert(Key(key.into()), None);
        } else {
            objects.remove(key.as_bytes());
        }
        existed
    }
}

#[derive(Debug, Default)]
struct Shared {
    buckets: RwLock<BTreeMap<String, Arc<Bucket>>>,
    clock: RwLock<Option<SystemTime>>,
    last_upload: AtomicU64,
}

/// All buckets of a server. A clone is another handle on the same buckets.
#[derive(Clone, Debug, Default)]
pub struct Store {
    shared: Arc<Shared>,
}

impl Store {
    /// Makes a bucket, or changes the options of one that exists; its objects stay.
    pub fn create_bucket(&self, name: &str, options: BucketOptions) {
        let bucket = self.bucket_or_new(name);
        *write(&bucket.options) = options;
    }

    /// Makes a bucket whose objects are computed. Objects that are put into it lie over the computed ones. A bucket
    /// of that name is replaced; its options stay.
    pub fn virtual_bucket(&self, name: &str, computed: VirtualBucket) {
        let options = self.bucket(name).map(|bucket| bucket.options()).unwrap_or_default();
        let bucket = Bucket { options: RwLock::new(options), computed: Some(computed), ..Bucket::default() };
        write(&self.shared.buckets).insert(name.to_owned(), Arc::new(bucket));
    }

    /// Removes a bucket and all in it; false when there was none.
    pub fn remove_bucket(&self, name: &str) -> bool {
        write(&self.shared.buckets).remove(name).is_some()
    }

    /// Puts an object and returns its ETag without quotes. A bucket that is missing is made.
    pub fn put(&self, bucket: &str, key: &str, content: impl Into<Content>, options: ObjectOptions) -> String {
        let content = content.into();
        let etag = options.etag.unwrap_or_else(|| match &content {
            Content::Stored(bytes) => md5_hex(bytes),
            Content::Generated { size_bytes, .. } => md5_hex(format!("{key} {size_bytes}").as_bytes()),
        });
        let modified_s = unix_seconds(options.modified_at.unwrap_or_else(|| self.now()));
        let checksum = options.checksum.map(|algorithm| Known::of(algorithm, &content.to_bytes()));
        let mut object = Object::new(content, etag.clone(), modified_s);
        object.checksum = checksum;
        if let Some(class) = options.storage_class {
            object.storage_class = class;
        }
        object.restored = options.restored;
        object.content_type = options.content_type;
        object.content_encoding = options.content_encoding;
        object.metadata = options.metadata;
        self.bucket_or_new(bucket).insert(key, object);
        etag
    }

    /// Removes an object; false when there was none.
    pub fn remove(&self, bucket: &str, key: &str) -> bool {
        self.bucket(bucket).is_some_and(|bucket| bucket.remove(key))
    }

    /// Changes LastModified and nothing else; false when there is no such object.
    pub fn touch(&self, bucket: &str, key: &str, modified_at: SystemTime) -> bool {
        let Some(bucket) = self.bucket(bucket) else { return false };
        let Some(object) = bucket.get(key) else { return false };
        bucket.insert(key, Object { modified_s: unix_seconds(modified_at), ..Object::clone(&object) });
        true
    }

    /// The object as it is now.
    #[must_use]
    pub fn get(&self, bucket: &str, key: &str) -> Option<ObjectView> {
        self.bucket(bucket)?.get(key).map(|object| object.view())
    }

    /// The keys that are stored in a bucket, in order; computed ones are not among them.
    #[must_use]
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        let Some(bucket) = self.bucket(bucket) else { return Vec::new() };
        let objects = bucket.objects();
        objects.iter().filter(|(_, object)| object.is_some()).map(|(key, _)| key.0.to_string()).collect()
    }

    /// How many multipart uploads were begun and neither completed nor aborted.
    #[must_use]
    pub fn open_uploads(&self, bucket: &str) -> usize {
        self.bucket(bucket).map_or(0, |bucket| bucket.uploads().len())
    }

    /// Puts all files below a folder: keys are their paths below it, LastModified their modification time.
    /// Returns how many there were.
    ///
    /// # Errors
    /// When a file or folder cannot be read, or a path is not UTF-8.
    pub fn load_dir(&self, bucket: &str, path: &Path) -> anyhow::Result<usize> {
        self.bucket_or_new(bucket);
        let mut folders = vec![path.to_owned()];
        let mut count = 0;
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
                let file = entry?.path();
                if file.is_dir() {
                    folders.push(file);
                    continue;
                }
                self.load_file(bucket, path, &file).with_context(|| format!("cannot load {}", file.display()))?;
                count += 1;
            }
        }
        Ok(count)
    }

    fn load_file(&self, bucket: &str, root: &Path, file: &Path) -> anyhow::Result<()> {
        let key = file.strip_prefix(root)?.to_str().context("its path is not UTF-8")?;
        let modified_at = fs::metadata(file)?.modified()?;
        self.put(bucket, key, Bytes::from(fs::read(file)?), ObjectOptions::modified_at(modified_at));
        Ok(())
    }

    /// Fixes the time that PUT requests get as LastModified; `None` follows the system's clock again.
    pub fn set_clock(&self, now: Option<SystemTime>) {
        *write(&self.shared.clock) = now;
    }

    pub(crate) fn now(&self) -> SystemTime {
        read(&self.shared.clock).unwrap_or_else(SystemTime::now)
    }

    /// An upload id as opaque as those of S3, and the same in every run.
    pub(crate) fn next_upload_id(&self) -> String {
        let number = self.shared.last_upload.fetch_add(1, Ordering::Relaxed) + 1;
        md5_hex(format!("upload {number}").as_bytes())
    }

    pub(crate) fn bucket(&self, name: &str) -> Option<Arc<Bucket>> {
        read(&self.shared.buckets).get(name).cloned()
    }

    pub(crate) fn bucket_names(&self) -> Vec<String> {
        read(&self.shared.buckets).keys().cloned().collect()
    }

    fn bucket_or_new(&self, name: &str) -> Arc<Bucket> {
        Arc::clone(write(&self.shared.buckets).entry(name.to_owned()).or_default())
    }
}

/// A lock that a panicking test thread left behind is still good: every change is a single assignment.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
