//! Whether the streams of a configuration can be read: one listed and one opened file each.

use super::inventory;
use super::letters::LetterBox;
use super::listing::Listing;
use super::partition;
use super::sample::{self, SampleLimits};
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::object::ObjectFacts;
use tollgate_config::job::{BadRowAction, Delivery, Job, Stream};
use tollgate_runtime::clock::Clock;
use tollgate_s3::Store;

/// Enough for the header and some rows; one request of this size costs the same as one of one byte.
const SAMPLE_BYTES: u64 = 256 << 10;

/// Lists until the first file of each stream and decodes its first rows.
///
/// # Errors
/// The first stream's failure.
pub async fn check(job: &Job, store: &Store, clock: Clock) -> Result<()> {
    for stream in &job.streams {
        check_stream(stream, store, clock).await.map_err(|error| error.with("stream", &stream.name))?;
    }
    Ok(())
}

async fn check_stream(stream: &Stream, store: &Store, clock: Clock) -> Result<()> {
    if let Some(letters) = LetterBox::of(&stream.bad_rows.action, store) {
        Box::pin(letters.try_out()).await?;
    }
    let prepared = partition::prepare(store, stream, clock.now(), None).await?;
    if let Some(source) = &stream.inventory {
        Box::pin(inventory::manifest(store, source)).await?;
    }
    let mut listing = Listing::page_by_page(store, stream, prepared);
    let prefixes: Vec<String> = listing.prefixes().map(|prefix| format!("'{prefix}'")).collect();
    let Some(object) = first_file(&mut listing).await? else {
        let counts = listing.counts;
        let mut error = Error::new(ErrorKind::Config, "no files were identified in the stream")
            .with("globs", stream.globs.join(" "))
            .with("prefixes", prefixes.join(" "))
            .with("listed", counts.objects);
        for (what, count) in [
            ("other_partitions", counts.unwanted),
            ("without_partition", counts.without_partition),
            ("skipped_prefixes", counts.skipped_prefixes),
        ] {
            if count > 0 {
                error = error.with(what, count);
            }
        }
        if counts.archived > 0 {
            error = error.with("archived", counts.archived);
        }
        return Err(error.hint("check the bucket, the globs and the path prefix, and that such files exist"));
    };
    // As a first row that would fail the read.
    if let Some(reason) = listing.keys().misfit(&object.key).filter(|_| stream.bad_rows.action == BadRowAction::Fail) {
        return Err(Error::data(format!("Partition error: {reason}")).with("key", &object.key));
    }
    if stream.delivery != Delivery::Records {
        return Ok(());
    }
    let mut gets = usize::MAX;
    // A first row that would fail the read fails the check.
    let first_row = SampleLimits { bytes: SAMPLE_BYTES, rows: 1, on_bad_row: stream.bad_rows.on_bad_row() };
    let sampled = sample::columns(store, stream, &object, first_row, &mut gets).await?;
    sampled.map(sample::Sampled::usable).transpose().map(drop).map_err(|error| error.with("key", &object.key))?;
    Ok(())
}

async fn first_file(listing: &mut Listing) -> Result<Option<ObjectFacts>> {
    while let Some(page) = listing.next_page().await? {
        if let Some(object) = page.into_iter().next() {
            return Ok(Some(object));
        }
    }
    Ok(None)
}
