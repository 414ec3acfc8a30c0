//! Keys that do not fit the partitions of their stream.

use super::columns::constants;
use super::filter::BoundFilter;
use super::layout::{Known, Layout};
use tollgate_base::options::partition::{PartitionColumns, Partitions};

/// Why a key does not fit the partitions, in words that are the same for all keys of one kind; `None` if it does.
#[must_use]
pub fn partition_error(
    key: &str,
    partitions: &Partitions,
    layout: Option<&Layout>,
    filter: &BoundFilter,
) -> Option<String> {
    if let Some(layout) = layout {
        let values = layout.values(key);
        let missing = |name: &str| !matches!(values.get(name), Known::Value(_));
        let wanted = layout.fields.iter().filter(|_| partitions.columns == PartitionColumns::All);
        if let Some(field) = wanted.into_iter().find(|field| missing(&field.name)) {
            return Some(format!("the key has no value for partition '{}'", field.name));
        }
        if let Some(condition) = filter.undecided(&values) {
            return Some(format!("the key has no value for the partition filter: {}", filter.text(condition)));
        }
    }
    if partitions.types.is_empty() {
        return None;
    }
    let odd = constants(key, partitions, layout).into_iter().find(|constant| constant.misfit)?;
    Some(format!("the value of the key for partition '{}' is not of type {}", odd.name, odd.kind.name()))
}
