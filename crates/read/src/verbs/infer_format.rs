//! The format of streams whose configuration leaves it to the keys: the first key that determines one decides for all.
//! Files with another extension are errors when they are read.

use crate::files::archive::{self, Archive};
use crate::select::listing::Listing;
use crate::select::partition;
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::object::ObjectFacts;
use tollgate_config::job::{Delivery, FormatByKey, Job, Stream};
use tollgate_runtime::clock::Clock;
use tollgate_runtime::memory::Budget;
use tollgate_s3::Store;

/// Lists such streams up to the first key that determines a format, and gives a sentence for each. Other streams cost no
/// request.
///
/// # Errors
/// Config, where a stream has files and none of their keys determines a format.
pub async fn infer_formats(job: &mut Job, store: &Store, clock: Clock) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    for stream in &mut job.streams {
        if stream.formats.is_empty() || stream.delivery != Delivery::Records {
            continue;
        }
        let found = Box::pin(first_format(stream, store, clock)).await;
        if let Some((key, by_key)) = found.map_err(|error| error.with("stream", &stream.name))? {
            notes.push(format!(
                "stream {}: the format is {}, detected from the key '{key}'",
                stream.name,
                by_key.format.name()
            ));
            stream.choose_format(&by_key);
        }
    }
    Ok(notes)
}

async fn first_format(stream: &Stream, store: &Store, clock: Clock) -> Result<Option<(String, FormatByKey)>> {
    let prepared = partition::prepare(store, stream, clock.now(), None).await?;
    let mut listing = Listing::page_by_page(store, stream, prepared);
    let mut first = None;
    while let Some(page) = listing.next_page().await? {
        for object in page {
            if let Some((key, by_key)) = format_of(stream, store, &object).await? {
                return Ok(Some((key, by_key.clone())));
            }
            first.get_or_insert(object.key);
        }
    }
    // Where there is nothing, there is nothing to be wrong about.
    let Some(key) = first else { return Ok(None) };
    Err(Error::new(ErrorKind::Config, "no key has an extension that determines the format")
        .with("key", key)
        .hint("set the file type: csv, tsv, jsonl, json, parquet or avro"))
}

/// What the key of a file determines, or of an archive the name of a member.
async fn format_of<'a>(
    stream: &'a Stream,
    store: &Store,
    object: &ObjectFacts,
) -> Result<Option<(String, &'a FormatByKey)>> {
    if let Some(by_key) = stream.format_by_key(&object.key) {
        return Ok(Some((object.key.to_string(), by_key)));
    }
    if !archive::is_archive(stream, object) {
        return Ok(None);
    }
    let archive = Archive::open(store, object, &Budget::new(crate::options::DEFAULT_MEMORY_BYTES)).await?;
    let members = archive.members_of(stream).members;
    let told = |(facts, _): (ObjectFacts, _)| Some((facts.key.to_string(), stream.format_by_key(&facts.key)?));
    Ok(members.into_iter().find_map(told))
}
