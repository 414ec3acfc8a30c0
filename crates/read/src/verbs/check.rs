//! Whether the streams of a configuration can be read: one listed and one opened file each.

use crate::deliver::dead_letters::DeadLetterStore;
use crate::select::inventory;
use crate::select::listing::Listing;
use crate::select::partition;
use crate::skipped::SkipReason;
use crate::verbs::probe;
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::object::ObjectFacts;
use tollgate_base::options::Caps;
use tollgate_config::job::{BadRowAction, Delivery, Job, Stream};
use tollgate_runtime::clock::Clock;
use tollgate_s3::Store;

/// Lists until the first file of each stream, and decodes and encodes its first rows. Gives what a user should know about
/// what was not looked at.
///
/// # Errors
/// The first stream's failure.
pub async fn check(job: &Job, store: &Store, clock: Clock) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    for stream in &job.streams {
        let checked = check_stream(stream, job.caps, store, clock).await;
        notes.extend(checked.map_err(|error| error.with("stream", &stream.name))?);
    }
    Ok(notes)
}

async fn check_stream(stream: &Stream, caps: Caps, store: &Store, clock: Clock) -> Result<Option<String>> {
    if let Some(dead_letters) = DeadLetterStore::of(&stream.bad_rows.action, store) {
        Box::pin(dead_letters.try_out()).await?;
    }
    let prepared = partition::prepare(store, stream, clock.now(), None).await?;
    if let Some(source) = &stream.inventory {
        Box::pin(inventory::manifest(store, source)).await?;
    }
    let mut listing = Listing::page_by_page(store, stream, prepared);
    let prefixes: Vec<String> = listing.prefixes().map(|prefix| format!("'{prefix}'")).collect();
    let Some(object) = first_file(&mut listing).await? else {
        let counts = &listing.counts;
        let mut error = Error::new(ErrorKind::Config, "no files were identified in the stream")
            .with("patterns", stream.patterns())
            .with("prefixes", prefixes.join(" "))
            .with("listed", counts.objects);
        for (what, reason) in [
            ("other_partitions", SkipReason::OtherPartition),
            ("without_partition", SkipReason::WithoutPartition),
            ("skipped_prefixes", SkipReason::Prefix),
            ("archived", SkipReason::Archived),
        ] {
            let count = counts.skipped.get(reason);
            if count > 0 {
                error = error.with(what, count);
            }
        }
        return Err(error.hint("check the bucket, the globs and the path prefix, and that such files exist"));
    };
    // As a first row that would fail the read.
    if let Some(reason) =
        listing.keys().partition_error(&object.key).filter(|_| stream.bad_rows.action == BadRowAction::Fail)
    {
        return Err(Error::data(format!("Partition error: {reason}")).with("key", &object.key));
    }
    if stream.delivery != Delivery::Records {
        return Ok(None);
    }
    let probed = Box::pin(probe::first_rows(store, stream, &object, caps)).await;
    probed.map_err(|error| error.with("key", &object.key))
}

async fn first_file(listing: &mut Listing) -> Result<Option<ObjectFacts>> {
    while let Some(page) = listing.next_page().await? {
        if let Some(object) = page.into_iter().next() {
            return Ok(Some(object));
        }
    }
    Ok(None)
}
