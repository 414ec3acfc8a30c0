//! From a stream of the catalog to its files, in the order in which they are read.

use crate::files::stop::Stop;
use crate::select::basis;
use crate::select::inventory;
use crate::select::listing::{Listing, REQUESTS_AHEAD};
use crate::select::partition;
use crate::select::queue::FileQueue;
use crate::select::row_selection;
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::object::Timestamp;
use tollgate_config::job::{BadRowAction, BadRows, Job, Stream};
use tollgate_cursor::{Cursor, FullRefresh, Incremental, StreamState, Window};
use tollgate_plan::walk::WalkOptions;
use tollgate_protocol::catalog::{ConfiguredStream, SyncMode};
use tollgate_protocol::state_file::StateFile;
use tollgate_s3::{KeyOrder, Store};

/// The stream of the configuration with this name.
///
/// # Errors
/// `Config`, naming the streams there are.
pub(crate) fn stream_named<'job>(streams: &'job [Stream], name: &str) -> Result<&'job Stream> {
    streams.iter().find(|stream| stream.name == name).ok_or_else(|| {
        let known: Vec<_> = streams.iter().map(|stream| format!("'{}'", stream.name)).collect();
        Error::new(ErrorKind::Config, format!("the catalog has a stream '{name}' that is not in the configuration"))
            .with("stream", name)
            .hint(format!("refresh the connection's schema; the configuration has {}", known.join(", ")))
    })
}

/// The files of a stream in the order in which they are read. With `whole` the listing is at its end when this comes back;
/// without, only where the order needs that. `None` when the run is asked to stop meanwhile.
pub(crate) async fn list(
    store: &Store,
    stream: &Stream,
    cursor: Cursor,
    now: Timestamp,
    whole: bool,
    stop: &Stop,
) -> Result<Option<FileQueue>> {
    list_with((WalkOptions::default(), REQUESTS_AHEAD), store, stream, cursor, now, whole, stop).await
}

/// As [`list`], walked in this way, with so many requests made before their pages are asked for.
pub(crate) async fn list_with(
    (options, ahead): (WalkOptions, usize),
    store: &Store,
    stream: &Stream,
    cursor: Cursor,
    now: Timestamp,
    whole: bool,
    stop: &Stop,
) -> Result<Option<FileQueue>> {
    let sampled = stream.development.sampling.is_some_and(|part| part < 1.0);
    // A sample is chosen among all files.
    let whole = whole || sampled;
    // A server that only seems to list in order is listed from the start, so that its order is seen once more before keys
    // up to the last one read are taken for read. Not where each page must be afforded: then no run would come further.
    let skips_read_keys = store.key_order() == KeyOrder::Promised || ahead == 0;
    let after = cursor.list_after().filter(|_| skips_read_keys && !sampled);
    let prepared = async {
        let mut prepared = partition::prepare(store, stream, now, Some(&cursor)).await?;
        // Boxed: the futures of requests are large, and few streams have an inventory.
        Box::pin(inventory::inventory_listing(store, stream, &mut prepared, after)).await?;
        Ok(prepared)
    };
    let Some(prepared) = stop.unless(prepared).await else { return Ok(None) };
    let listing = Listing::with(store, stream, prepared?, after, options, ahead);
    let mut listing = listing.with_rules(row_selection::KeyFilter::of(stream, &cursor)?).sampled(stream);
    let known = matches!(&cursor, Cursor::FullRefresh(cursor) if cursor.sorted());
    let order = async {
        match known {
            true => Box::pin(listing.hold()).await.map(|()| false),
            false => Box::pin(listing.prove_order()).await,
        }
    };
    let Some(in_order) = stop.unless(order).await else { return Ok(None) };
    let in_order = in_order?;
    let cursor = match cursor {
        Cursor::FullRefresh(cursor) if !in_order => Cursor::FullRefresh(cursor.for_sorted_keys()),
        cursor => cursor,
    };
    let files = match cursor {
        Cursor::FullRefresh(cursor) if whole => FileQueue::by_key(listing, cursor, stop).await?,
        Cursor::FullRefresh(cursor) => Some(FileQueue::streaming(listing, cursor)),
        Cursor::Incremental(cursor) => {
            let window = Window {
                listed_at: now,
                late_days: stream.history.late_window_days,
                full_history_days: stream.days_to_sync_if_history_is_full,
            };
            FileQueue::ordered(listing, cursor, window, stop).await?
        }
    };
    Ok(files.map(|files| files.at_most(stream.development.max_files)))
}

/// Where a stream stands, by its state.
///
/// # Errors
/// `Config` for a state that is not understood.
pub(crate) fn cursor(job: &Job, configured: &ConfiguredStream, stream: &Stream, states: &StateFile) -> Result<Cursor> {
    let state = states.stream(&configured.name).map_or_else(|| Ok(StreamState::default()), StreamState::read)?;
    let basis = basis::of(job, stream);
    let mut cursor = match configured.sync_mode {
        SyncMode::Incremental => {
            let mut cursor = Incremental::new(state, configured.generation).based_on(basis);
            cursor.follow(stream.pushdown.cursor_field.as_deref());
            Cursor::Incremental(cursor)
        }
        SyncMode::FullRefresh => {
            let cursor = FullRefresh::new(state, configured.generation).based_on(basis);
            Cursor::FullRefresh(cursor.in_sync(configured.sync))
        }
    };
    let BadRows { action, max_rows, max_percent } = &stream.bad_rows;
    let none = *action == BadRowAction::Fail;
    cursor.count_bad_rows(!none && (max_rows.is_some() || max_percent.is_some()), none);
    Ok(cursor)
}
