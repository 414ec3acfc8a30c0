//! What the keys of a stream's files tell: the values of their partitions, and what follows from these alone.

use std::sync::Arc;

use crate::select::partition::Prepared;
use crate::select::row_selection;
use tollgate_base::object::ObjectFacts;
use tollgate_base::options::partition::Partitions;
use tollgate_base::predicate::Predicate;
use tollgate_config::job::Stream;
use tollgate_plan::partition::columns::{self, PartitionConstant};
use tollgate_plan::partition::error::partition_error;
use tollgate_plan::partition::filter::{BoundFilter, PartitionVerdict};
use tollgate_plan::partition::layout::Layout;

/// How keys are read.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    partitions: Partitions,
    layout: Option<Arc<Layout>>,
    filter: BoundFilter,
    /// The conditions on rows, which may name partitions.
    rows: Option<Predicate>,
    inventory: Told,
    /// The file of which a sample for development has only so many bytes.
    cut: Option<(Arc<str>, u64)>,
}

/// Of which keys an inventory tells.
#[derive(Debug, Clone, Copy)]
enum Told {
    None,
    /// Those that do not meet this condition of the filter.
    Without(usize),
    All,
}

impl Keys {
    /// By what was found out before the listing.
    pub(crate) fn of(stream: &Stream, prepared: &Prepared) -> Self {
        let inventory = match &prepared.inventory_listing {
            None => Told::None,
            Some(inventory_listing) => inventory_listing.condition.map_or(Told::All, Told::Without),
        };
        let (layout, filter) = (prepared.layout.clone(), prepared.filter.clone());
        Self {
            partitions: stream.partitions.clone(),
            layout,
            filter,
            rows: stream.pushdown.filter.clone(),
            inventory,
            cut: None,
        }
    }

    /// Of one file only so many bytes are read.
    pub(crate) fn cut(&mut self, cut: Option<(Arc<str>, u64)>) {
        self.cut = cut;
    }

    /// The bytes of the file that are read, where these are not all.
    pub(crate) fn sampled_bytes(&self, key: &str) -> Option<u64> {
        self.cut.as_ref().filter(|(of, _)| **of == *key).map(|(_, bytes)| *bytes)
    }

    /// The part of the file that is read, where only a part is.
    pub(crate) fn sample_of(&self, object: &ObjectFacts) -> Option<f64> {
        self.sampled_bytes(&object.key).map(|bytes| bytes as f64 / object.size.max(1) as f64)
    }

    /// The columns that a file gets from its key.
    pub(crate) fn constants(&self, key: &str) -> Vec<PartitionConstant> {
        columns::constants(key, &self.partitions, self.layout.as_deref())
    }

    /// Why a key does not fit the partitions.
    pub(crate) fn partition_error(&self, key: &str) -> Option<String> {
        let partition_error = partition_error(key, &self.partitions, self.layout.as_deref(), &self.filter);
        partition_error.or_else(|| {
            let (rows, constants) = (self.rows.as_ref()?, self.constants(key));
            let odd = row_selection::incomparable(rows, &constants)?;
            Some(format!("the value of the key for partition '{}' cannot be compared with `parquet_filters`", odd.name))
        })
    }

    /// Whether an inventory told of a key.
    pub(crate) fn is_of_inventory(&self, key: &str) -> bool {
        match (self.inventory, &self.layout) {
            (Told::None, _) => false,
            (Told::Without(condition), Some(layout)) => {
                self.filter.of_key(&layout.values(key)) == PartitionVerdict::Unwanted(condition)
            }
            (Told::Without(_), None) | (Told::All, _) => true,
        }
    }
}
