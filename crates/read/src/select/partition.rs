//! Partitions of a stream while it is read: where they are, which are listed, and the columns that files get from their
//! keys.

use std::collections::HashMap;
use std::sync::Arc;

use crate::select::dead_letter_keys;
use crate::select::inventory_listing::InventoryListing;
use crate::select::prefixes::prefixes_of;
use tollgate_base::batch::{InferredColumn, InferredType};
use tollgate_base::error::{Error, Result};
use tollgate_base::object::Timestamp;
use tollgate_base::options::partition::{PartitionColumns, PartitionType, Period};
use tollgate_config::job::Stream;
use tollgate_cursor::Cursor;
use tollgate_plan::listing::common_folder;
use tollgate_plan::partition::columns::{self, PartitionConstant};
use tollgate_plan::partition::detect::{Sampled, detect, folders_of};
use tollgate_plan::partition::filter::{BoundFilter, PartitionVerdict, date_of, dated};
use tollgate_plan::partition::layout::Layout;
use tollgate_plan::select::Selection;
use tollgate_record::ConstantColumn;
use tollgate_s3::{ListPage, ListRequest, Store};

/// Branches of the tree that are looked into while its layout is not known.
const BRANCHES: usize = 3;

/// Folders below each other that are looked into at most.
const DEPTH: usize = 10;

/// Prefixes of a stream that are looked into at most: the first, the last, and one between them.
const ROOTS: usize = 3;

/// What is known of a stream's partitions before it is listed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Prepared {
    /// Where the partitions are; `None` where nobody asks.
    pub(crate) layout: Option<Arc<Layout>>,
    /// Which are wanted.
    pub(crate) filter: BoundFilter,
    /// The folders that were looked into.
    pub(crate) sampled: Vec<Sampled>,
    /// Their listings, so that none is asked for twice.
    pub(crate) known: HashMap<String, ListPage>,
    /// Requests that were made.
    pub(crate) pages: u64,
    /// Whether older partitions are not listed again.
    pub(crate) looks_back: bool,
    /// The time before which partitions end that are left out for that.
    pub(crate) listed_from: Option<Timestamp>,
    /// The inventory that takes the place of a part of the listing.
    pub(crate) inventory_listing: Option<InventoryListing>,
}

/// Finds out where the partitions of a stream are, if anything depends on it.
///
/// # Errors
/// Config where a filter, a list of partitions or a lookback does not fit to what is there, and as all listings.
pub(crate) async fn prepare(
    store: &Store,
    stream: &Stream,
    now: Timestamp,
    cursor: Option<&Cursor>,
) -> Result<Prepared> {
    let partitions = &stream.partitions;
    let asked = partitions.filter.is_some()
        || partitions.columns == PartitionColumns::All
        || stream.inventory.is_some()
        || partitions.lookback_seconds.is_some()
        || matches!(cursor, Some(Cursor::Incremental(cursor)) if cursor.partitions().is_some());
    if !asked {
        return Ok(Prepared::default());
    }
    let selection =
        Selection::new(&stream.globs, stream.start_at, stream.skip_markers).by_expression(stream.key_pattern.as_ref());
    let prefixes = prefixes_of(store, &selection, stream);
    let base = common_folder(&prefixes);
    let mut prepared = Prepared::default();
    let dead_letter_folders = dead_letter_keys::folders_in(store, stream, &base);
    let layout = match &partitions.template {
        Some(template) => {
            let mut layout = Layout::of_template(template, &base, partitions);
            // Where neither types nor names tell which folders are dates, their values do.
            if partitions.lookback_seconds.is_some() && !dated(&layout) {
                sample(store, &prefixes, &dead_letter_folders, 1, &mut prepared).await?;
                layout.learn(folders_of(&prepared.sampled));
            }
            Some(layout)
        }
        None => {
            let branches = if partitions.keys.is_empty() { BRANCHES } else { 1 };
            sample(store, &prefixes, &dead_letter_folders, branches, &mut prepared).await?;
            // Where there is nothing, there is nothing to be wrong about.
            if prepared.saw_something() { detect(&base, &prepared.sampled, partitions)? } else { None }
        }
    };
    match (&partitions.filter, &layout) {
        (Some(filter), Some(layout)) => prepared.filter = BoundFilter::bind(filter, layout, now)?,
        (Some(_), None) if prepared.saw_something() => return Err(without_layout(&base)),
        _ => {}
    }
    prepared.layout = layout.map(Arc::new);
    if let Some(seconds) = partitions.lookback_seconds {
        match cursor {
            // A check must find what the first incremental sync would.
            None => prepared.has_dates(&base)?,
            Some(Cursor::Incremental(incremental)) => {
                prepared.has_dates(&base)?;
                let start = incremental.partitions().and_then(|partitions| partitions.start(seconds));
                let pending = cursor.into_iter().flat_map(|cursor| cursor.pending().keys());
                prepared.look_back(start, pending.map(|key| &**key));
            }
            Some(Cursor::FullRefresh(_)) => {}
        }
    }
    Ok(prepared)
}

fn without_layout(base: &str) -> Error {
    Error::config(format!("Partition error: no partitions were found in the folders below '{base}'"))
        .hint("name them in `partition_keys`, or describe the folders in `partition_template`")
}

/// Lists some folders of the tree, level by level.
async fn sample(
    store: &Store,
    prefixes: &[String],
    dead_letter_folders: &[String],
    branches: usize,
    prepared: &mut Prepared,
) -> Result<()> {
    let roots = Sampled { folders: prefixes.to_vec(), ..Sampled::default() };
    let roots: Vec<String> = match prefixes {
        [only] => vec![only.clone()],
        _ => roots.branches(ROOTS).into_iter().map(str::to_owned).collect(),
    };
    for root in roots {
        let first = look_into(store, &root, dead_letter_folders, prepared).await?;
        for branch in first.branches(branches) {
            let mut folder = branch.to_owned();
            for _ in 0..DEPTH {
                let seen = look_into(store, &folder, dead_letter_folders, prepared).await?;
                match seen.branches(1).first() {
                    Some(next) => folder = (*next).to_owned(),
                    None => break,
                }
            }
        }
    }
    Ok(())
}

async fn look_into(
    store: &Store,
    prefix: &str,
    dead_letter_folders: &[String],
    prepared: &mut Prepared,
) -> Result<Sampled> {
    let delimiter = Some("/".to_owned());
    let request = ListRequest { prefix: prefix.to_owned(), delimiter, ..ListRequest::default() };
    let page = Box::pin(store.list(&request)).await?;
    prepared.pages += 1;
    // Bad rows that an earlier run wrote say nothing about the layout.
    let data = |folder: &&String| !dead_letter_folders.iter().any(|other| folder.starts_with(other.as_str()));
    let seen = Sampled {
        prefix: prefix.to_owned(),
        folders: page.common_prefixes.iter().filter(data).cloned().collect(),
        objects: page.objects.len() as u64,
        whole: page.next.is_none(),
    };
    prepared.sampled.push(seen.clone());
    prepared.known.insert(prefix.to_owned(), page);
    Ok(seen)
}

impl Prepared {
    fn saw_something(&self) -> bool {
        self.sampled.iter().any(|folder| folder.objects > 0 || !folder.folders.is_empty())
    }

    /// Checks that there are dates to look back from.
    fn has_dates(&self, base: &str) -> Result<()> {
        let found = match &self.layout {
            Some(layout) if dated(layout) => return Ok(()),
            None if !self.saw_something() => return Ok(()),
            Some(layout) => {
                let names: Vec<String> = layout.fields.iter().map(|field| format!("'{}'", field.name)).collect();
                format!("the stream has {}", names.join(", "))
            }
            None => format!("no partitions were found in the folders below '{base}'"),
        };
        Err(Error::config(format!("Partition error: `partition_lookback` requires partitions with dates; {found}"))
            .hint(
                "describe the folders in `partition_template` and set the types of dates in `partition_types`, for \
             example {\"day\": \"date\"}; or remove `partition_lookback`",
            ))
    }

    /// Leaves partitions out that end before a time, but none of a file that an earlier run left unfinished.
    fn look_back<'k>(&mut self, start: Option<Timestamp>, pending: impl Iterator<Item = &'k str>) {
        let Some(layout) = self.layout.clone() else { return };
        let pending = pending.filter_map(|key| self.date_of(key)).map(|date| date.start).min();
        self.listed_from = start.map(|start| pending.map_or(start, |pending| pending.min(start)));
        if let Some(from) = self.listed_from {
            self.filter.since(&layout, from, "the newest partition of the last sync less `partition_lookback`");
        }
        self.looks_back = true;
    }

    /// The date of a key's partition, where it has one.
    pub(crate) fn date_of(&self, key: &str) -> Option<Period> {
        let layout = self.layout.as_deref()?;
        date_of(layout, &layout.values(key))
    }

    /// Whether a condition leaves keys to the inventory, and not out.
    pub(crate) fn of_inventory(&self, condition: usize) -> bool {
        self.inventory_listing.as_ref().is_some_and(|inventory_listing| inventory_listing.condition == Some(condition))
    }

    /// Whether a key lies in a folder of another tool.
    pub(crate) fn of_another_tool(&self, key: &str) -> bool {
        self.layout.as_ref().is_some_and(|layout| layout.of_another_tool(key))
    }

    /// Whether nobody can tell if a key's partition is wanted.
    pub(crate) fn undecided(&self, key: &str) -> bool {
        self.layout.as_ref().is_some_and(|layout| self.filter.undecided(&layout.values(key)).is_some())
    }

    /// Whether a key's partition is wanted.
    pub(crate) fn wanted(&self, key: &str) -> PartitionVerdict {
        match &self.layout {
            Some(layout) => self.filter.of_key(&layout.values(key)),
            None => PartitionVerdict::Wanted,
        }
    }
}

/// The columns that a file's records all have.
pub(crate) fn constants(of_key: &[PartitionConstant]) -> Vec<ConstantColumn> {
    let of = |constant: &PartitionConstant| ConstantColumn {
        name: constant.name.clone(),
        value: constant.value.clone().unwrap_or_default(),
    };
    of_key.iter().map(of).collect()
}

/// The columns of a file with those of its key, which take the place of its own ones.
pub(crate) fn with_constants(
    mut found: Vec<InferredColumn>,
    key: &str,
    stream: &Stream,
    layout: Option<&Layout>,
) -> Vec<InferredColumn> {
    for constant in columns::constants(key, &stream.partitions, layout) {
        let of_key = InferredColumn::new(constant.name, inferred_type(constant.kind));
        match found.iter_mut().find(|column| column.name == of_key.name) {
            Some(column) => *column = of_key,
            None => found.push(of_key),
        }
    }
    found
}

fn inferred_type(kind: PartitionType) -> InferredType {
    match kind {
        PartitionType::String => InferredType::String,
        PartitionType::Integer => InferredType::Integer,
        PartitionType::Number => InferredType::Number,
        PartitionType::Boolean => InferredType::Boolean,
        PartitionType::Date => InferredType::Date,
        PartitionType::Timestamp => InferredType::Timestamp,
    }
}
