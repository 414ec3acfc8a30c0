//! An S3 Inventory in place of most of a listing.
//!
//! ```text
//!   newest complete manifest ─▶ time T ─▶ keys of partitions before T less the margin ─┐
//!   LIST of the partitions from there on, and of keys without a date ──────────────────┴─ merged by key ─▶ the listing
//! ```
//! The two sides are told apart by one condition on the date of a key's partition, so that no key falls between them. What
//! the inventory says of an object may be old news: see [`crate::deliver::current_version`].

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use md5::{Digest as _, Md5};

use crate::files::byte_source::{ByteSource as Bytes, in_one_piece};
use crate::files::file_reader::{Extent, FileReader, ReadResources};
use crate::files::stop::Stop;
use crate::select::inventory_listing::InventoryListing;
use crate::select::partition::Prepared;
use tollgate_base::error::{Error, Result};
use tollgate_base::object::{ObjectFacts, StorageClass, Timestamp};
use tollgate_base::options::inventory::{InventorySource, OnGap};
use tollgate_base::options::{Compression, FormatOptions, Projection};
use tollgate_config::job::Stream;
use tollgate_format::{Access, OpenOptions};
use tollgate_plan::inventory::{Inventory, Manifest, ManifestFile, objects};
use tollgate_plan::order::Trail;
use tollgate_plan::partition::filter::PartitionVerdict;
use tollgate_plan::select::{self, Selection};
use tollgate_runtime::memory::Budget;
use tollgate_s3::{ListRequest, Store};

/// What is on its way from S3 while an inventory is read.
const BUDGET_BYTES: usize = 64 << 20;

/// A columnar file of an inventory up to this size is fetched in one request.
const WHOLE_BYTES: u64 = 16 << 20;

/// The columns of a Parquet inventory that are read.
const COLUMNS: [&str; 7] =
    ["key", "size", "last_modified_date", "e_tag", "storage_class", "is_latest", "is_delete_marker"];

/// The manifest of a stream's inventory.
///
/// # Errors
/// Config where it is of another bucket, or cannot be topped up; and as all requests.
pub(crate) async fn manifest(store: &Store, source: &InventorySource) -> Result<(ObjectFacts, Manifest)> {
    let place = store.for_bucket(&source.bucket);
    let named = |error: Error| error.with("inventory", source.location());
    let object = Box::pin(find(&place, &source.key)).await.map_err(named)?;
    let text = in_one_piece(&place, &object, 0..object.size).await.map_err(named)?;
    let manifest = Manifest::parse(&text).map_err(|error| named(error).with("key", &object.key))?;
    if manifest.source_bucket != store.bucket() {
        let message = format!(
            "the inventory is for bucket '{}', but the stream reads bucket '{}'",
            manifest.source_bucket,
            store.bucket()
        );
        return Err(named(Error::config(message).hint("use an inventory of the bucket that the stream reads")));
    }
    Ok((object, manifest))
}

/// The facts of a manifest: of the one that is named, or of the newest complete one below a folder.
async fn find(place: &Store, key: &str) -> Result<ObjectFacts> {
    if !(key.is_empty() || key.ends_with('/')) {
        return place.head(key).await;
    }
    let mut folders = Vec::new();
    let mut request = ListRequest { prefix: key.to_owned(), delimiter: Some("/".to_owned()), ..ListRequest::default() };
    let mut trail = Trail::default();
    loop {
        let page = Box::pin(place.list(&request)).await?;
        if let Some(next) = &page.next {
            trail.page(next, &page.objects, &page.common_prefixes)?;
        }
        if let Some(manifest) = complete(page.objects) {
            return Ok(manifest);
        }
        // Folders are named by the time of their inventory; beside them are `data/` and `hive/`.
        folders.extend(page.common_prefixes.into_iter().filter(|folder| folder.ends_with("Z/")));
        match page.next {
            Some(next) => request.continuation = Some(next),
            None => break,
        }
    }
    folders.sort_unstable();
    for folder in folders.iter().rev() {
        let request = ListRequest { prefix: folder.clone(), ..ListRequest::default() };
        if let Some(manifest) = complete(Box::pin(place.list(&request)).await?.objects) {
            return Ok(manifest);
        }
    }
    Err(Error::config("there is no complete inventory in the folder")
        .with("folders", folders.len())
        .hint("use the folder of the inventory's configuration, and wait for the first inventory"))
}

/// The manifest among objects of one inventory, where its checksum, which comes last, is there too.
fn complete(objects: Vec<ObjectFacts>) -> Option<ObjectFacts> {
    let checked = objects.iter().any(|object| object.key.ends_with("/manifest.checksum"));
    objects.into_iter().find(|object| checked && object.key.ends_with("/manifest.json"))
}

/// Reads the inventory of a stream, where it has one, and leaves only the rest to the listing. Keys up to `after` are
/// left out.
///
/// # Errors
/// As [`manifest`].
pub(crate) async fn inventory_listing(
    store: &Store,
    stream: &Stream,
    prepared: &mut Prepared,
    after: Option<&str>,
) -> Result<()> {
    let Some(source) = &stream.inventory else { return Ok(()) };
    let (object, manifest) = manifest(store, source).await?;
    let from = manifest.created_at.plus_seconds(-source.margin_seconds);
    let layout = prepared.layout.clone().unwrap_or_default();
    let condition = prepared.filter.since(&layout, from, "covered by the inventory");
    if condition.is_none() && source.on_gap == OnGap::Fail {
        return Err(without_dates(source, manifest.created_at));
    }
    let selection = Selection::new(&stream.globs, stream.start_at, stream.skip_markers)
        .by_expression(stream.key_pattern.as_ref())
        .with_archives(matches!(stream.compression, Compression::Auto | Compression::Zip));
    let mut inventory = Inventory::default();
    let mut listed = 0_u64;
    let place = store.for_bucket(&source.bucket);
    for ManifestFile { key, size, md5 } in &manifest.files {
        let file = ObjectFacts {
            key: key.as_str().into(),
            size: *size,
            // The manifest does not say.
            modified_at: Timestamp::default(),
            etag: "".into(),
            storage_class: StorageClass::Standard,
        };
        let take = |object: ObjectFacts| {
            listed += 1;
            // Hidden ones are taken too, to be counted where the listing is.
            let named = selection.verdict(&object) != select::ObjectVerdict::OtherKey;
            let verdict = prepared.filter.of_key(&layout.values(&object.key));
            let ours = match condition {
                Some(condition) => verdict == PartitionVerdict::Unwanted(condition),
                None => true,
            };
            if named && ours && after.is_none_or(|after| *object.key > *after) {
                inventory.push(object);
            }
        };
        let checked = Checked { file: &file, md5: md5.as_deref().filter(|md5| !md5.is_empty()) };
        let read = read_file(&place, checked, &manifest.format, take).await;
        read.map_err(|error| error.with("inventory", source.location()).with("key", &file.key))?;
    }
    inventory.settle();
    let note = proof(&object.key, &manifest, source, condition.map(|_| from), (listed, inventory.len()));
    prepared.inventory_listing = Some(InventoryListing { inventory: Arc::new(inventory), condition, note });
    Ok(())
}

fn without_dates(source: &InventorySource, created_at: Timestamp) -> Error {
    Error::config(
        "the partitions of the stream have no dates, so only a full listing shows files that are newer than the \
         inventory",
    )
    .with("inventory", source.location())
    .with("inventory_time", created_at)
    .hint(
        "name the dates in `partition_keys` or `partition_template`, remove `inventory`, or set `on_inventory_gap` to \
         'warn' to read only the files in the inventory",
    )
}

/// What tells that no key falls between the inventory and the listing, and what is not seen.
fn proof(
    key: &str,
    manifest: &Manifest,
    source: &InventorySource,
    from: Option<Timestamp>,
    (listed, kept): (u64, usize),
) -> String {
    let at = manifest.created_at;
    let inventory = format!("inventory s3://{}/{key} of {at} lists {listed} objects", source.bucket);
    match from {
        Some(from) => format!(
            "{inventory}; {kept} of them are files of the stream in partitions before {from}; partitions from {from} \
             on, keys without a date, and older folders that are not in the inventory are listed; files that appear \
             in older partitions after {at} are read with the next inventory"
        ),
        None => format!(
            "{inventory}; {kept} of them are files of the stream; nothing is listed, because the partitions have no \
             dates: files that appear after {at} are read with the next inventory"
        ),
    }
}

/// A file of an inventory, with the checksum that the manifest has of it.
#[derive(Clone, Copy)]
struct Checked<'a> {
    file: &'a ObjectFacts,
    md5: Option<&'a str>,
}

impl Checked<'_> {
    fn verify(&self, hash: Md5) -> Result<()> {
        let Some(expected) = self.md5 else { return Ok(()) };
        let mut found = String::new();
        for byte in hash.finalize() {
            // Writing into a String cannot fail.
            _ = write!(found, "{byte:02x}");
        }
        if found.eq_ignore_ascii_case(expected) {
            return Ok(());
        }
        Err(Error::data("the MD5 of an inventory file does not match its manifest")
            .with("md5", found)
            .with("expected_md5", expected)
            .hint("the files of the inventory were changed: use a later inventory, or remove `inventory`"))
    }

    /// Verifies a file that is read by ranges, for which all of it is fetched once more.
    async fn verify_whole(&self, place: &Store, budget: &Budget) -> Result<()> {
        if self.md5.is_none() {
            return Ok(());
        }
        let (mut hash, mut bytes) = (Md5::new(), Bytes::new(place, self.file, 0, None, false, budget));
        while let Some((_, piece)) = bytes.next().await? {
            hash.update(&piece);
        }
        self.verify(hash)
    }
}

/// Decodes a file of an inventory and hands over its objects. Half an inventory would be half the files of the stream, so
/// that the checksum must hold.
async fn read_file(
    place: &Store,
    checked: Checked<'_>,
    format: &FormatOptions,
    mut take: impl FnMut(ObjectFacts) + Send,
) -> Result<()> {
    let file = checked.file;
    let projection = Projection::Columns(COLUMNS.map(str::to_owned).to_vec());
    let options = OpenOptions { compression: Compression::Auto, projection: &projection, ..OpenOptions::new(format) };
    let resources = ReadResources::new(place.clone(), BUDGET_BYTES, Stop::default());
    let decoder = options.open(file)?;
    let by_ranges = decoder.access() == Access::Ranges;
    let mut reader = FileReader::with_decoder(&resources, file, decoder, &options, Extent::default())?;
    let hash = Arc::new(Mutex::new(Md5::new()));
    if by_ranges && file.size <= WHOLE_BYTES {
        let bytes = in_one_piece(place, file, 0..file.size).await?;
        checked.verify(Md5::new().chain_update(&bytes))?;
        if (bytes.len() as u64) < file.size {
            return Err(Error::data("a file of the inventory is shorter than its manifest says"));
        }
        reader = reader.fetching(|source| source.with_bytes(bytes));
    } else if by_ranges {
        checked.verify_whole(place, &resources.budgets.fetched).await?;
    } else {
        let hash = Arc::clone(&hash);
        reader.observe(Box::new(move |bytes| locked(&hash).update(bytes)));
    }
    while let Some(decoded) = reader.next_batch().await? {
        objects(&decoded.batch, &mut take)?;
    }
    if by_ranges {
        return Ok(());
    }
    reader.read_rest().await?;
    let hash = locked(&hash).clone();
    checked.verify(hash)
}

fn locked(hash: &Mutex<Md5>) -> MutexGuard<'_, Md5> {
    hash.lock().unwrap_or_else(PoisonError::into_inner)
}
