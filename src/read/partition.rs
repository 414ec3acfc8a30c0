//! Partitions of a stream while it is read: where they are, which are listed, and the columns that files get from their
//! keys.

use std::collections::HashMap;
use std::sync::Arc;

use super::inventory::TopUp;
use crate::batch::{InferredColumn, InferredType};
use crate::config::job::Stream;
use crate::error::{Error, Result};
use crate::object::Timestamp;
use crate::options::partition::{PartitionColumns, PartitionType};
use crate::plan::listing::{common_folder, prefixes};
use crate::plan::partition::columns;
use crate::plan::partition::detect::{Sampled, detect};
use crate::plan::partition::filter::{Filter, Verdict};
use crate::plan::partition::layout::Layout;
use crate::plan::select::Selection;
use crate::record::Constant;
use crate::record::schema_of::column_type;
use crate::s3::{ListPage, ListRequest, Store};

/// Branches of the tree that are looked into while its layout is not known.
const BRANCHES: usize = 3;

/// Folders below each other that are looked into at most.
const DEPTH: usize = 10;

/// Prefixes of a stream that are looked into at most: the first, the last, and one between them.
const ROOTS: usize = 3;

/// What is known of a stream's partitions before it is listed.
#[derive(Debug, Clone, Default)]
pub(super) struct Prepared {
    /// Where the partitions are; `None` where nobody asks.
    pub(super) layout: Option<Arc<Layout>>,
    /// Which are wanted.
    pub(super) filter: Filter,
    /// The folders that were looked into.
    pub(super) sampled: Vec<Sampled>,
    /// Their listings, so that none is asked for twice.
    pub(super) known: HashMap<String, ListPage>,
    /// Requests that were made.
    pub(super) pages: u64,
    /// The inventory that takes the place of a part of the listing.
    pub(super) top_up: Option<TopUp>,
}

/// Finds out where the partitions of a stream are, if anything depends on it.
///
/// # Errors
/// Config where a filter or a list of partitions does not fit to what is there, and as all listings.
pub(super) async fn prepare(store: &Store, stream: &Stream, now: Timestamp) -> Result<Prepared> {
    let partitions = &stream.partitions;
    let asked = partitions.filter.is_some()
        || partitions.columns == PartitionColumns::All
        || stream.inventory.is_some()
        || partitions.lookback_seconds.is_some();
    if !asked {
        return Ok(Prepared::default());
    }
    let selection = Selection::new(&stream.globs, stream.start_at, stream.skip_markers);
    let prefixes = prefixes(selection.patterns(), stream.list_prefix.as_deref());
    let base = common_folder(&prefixes);
    let mut prepared = Prepared::default();
    let layout = match &partitions.template {
        Some(template) => Some(Layout::of_template(template, &base, partitions)),
        None => {
            let branches = if partitions.keys.is_empty() { BRANCHES } else { 1 };
            sample(store, &prefixes, branches, &mut prepared).await?;
            // Where there is nothing, there is nothing to be wrong about.
            let something = prepared.sampled.iter().any(|folder| folder.objects > 0 || !folder.folders.is_empty());
            if something { detect(&base, &prepared.sampled, partitions)? } else { None }
        }
    };
    let something = prepared.sampled.iter().any(|folder| folder.objects > 0 || !folder.folders.is_empty());
    match (&partitions.filter, &layout) {
        (Some(filter), Some(layout)) => prepared.filter = Filter::bind(filter, layout, now)?,
        (Some(_), None) if something => return Err(without_layout(&base)),
        _ => {}
    }
    prepared.layout = layout.map(Arc::new);
    Ok(prepared)
}

fn without_layout(base: &str) -> Error {
    Error::config(format!("Partition error: no partitions were found in the folders below '{base}'"))
        .hint("name them in `partition_keys`, or write the folders out in `partition_template`")
}

/// Lists some folders of the tree, level by level.
async fn sample(store: &Store, prefixes: &[String], branches: usize, prepared: &mut Prepared) -> Result<()> {
    let roots = Sampled { folders: prefixes.to_vec(), ..Sampled::default() };
    let roots: Vec<String> = match prefixes {
        [only] => vec![only.clone()],
        _ => roots.branches(ROOTS).into_iter().map(str::to_owned).collect(),
    };
    for root in roots {
        let first = look_into(store, &root, prepared).await?;
        for branch in first.branches(branches) {
            let mut folder = branch.to_owned();
            for _ in 0..DEPTH {
                let seen = look_into(store, &folder, prepared).await?;
                match seen.branches(1).first() {
                    Some(next) => folder = (*next).to_owned(),
                    None => break,
                }
            }
        }
    }
    Ok(())
}

async fn look_into(store: &Store, prefix: &str, prepared: &mut Prepared) -> Result<Sampled> {
    let delimiter = Some("/".to_owned());
    let request = ListRequest { prefix: prefix.to_owned(), delimiter, ..ListRequest::default() };
    let page = Box::pin(store.list(&request)).await?;
    prepared.pages += 1;
    let seen = Sampled {
        prefix: prefix.to_owned(),
        folders: page.common_prefixes.clone(),
        objects: page.objects.len() as u64,
        whole: page.next.is_none(),
    };
    prepared.sampled.push(seen.clone());
    prepared.known.insert(prefix.to_owned(), page);
    Ok(seen)
}

impl Prepared {
    /// Whether a condition leaves keys to the inventory, and not out.
    pub(super) fn of_inventory(&self, condition: usize) -> bool {
        self.top_up.as_ref().is_some_and(|top_up| top_up.condition == Some(condition))
    }

    /// Whether a key's partition is wanted.
    pub(super) fn wanted(&self, key: &str) -> Verdict {
        match &self.layout {
            Some(layout) => self.filter.of_key(&layout.values(key)),
            None => Verdict::Wanted,
        }
    }
}

/// The columns that a file's records all have.
pub(super) fn constants(key: &str, stream: &Stream, layout: Option<&Layout>) -> Vec<Constant> {
    let constants = columns::constants(key, &stream.partitions, layout);
    let of = |constant: columns::Constant| Constant {
        name: constant.name,
        value: constant.value.unwrap_or_default(),
        misfit: constant.misfit.then(|| column_type(inferred_type(constant.kind))),
    };
    constants.into_iter().map(of).collect()
}

/// The columns of a file with those of its key, which take the place of its own ones.
pub(super) fn with_constants(
    mut found: Vec<InferredColumn>,
    key: &str,
    stream: &Stream,
    layout: Option<&Layout>,
) -> Vec<InferredColumn> {
    for constant in columns::constants(key, &stream.partitions, layout) {
        let kind = if constant.misfit { InferredType::String } else { inferred_type(constant.kind) };
        let of_key = InferredColumn::new(constant.name, kind);
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
