//! What an inventory tells, beside what is listed.

use std::sync::Arc;

use tollgate_plan::inventory::Inventory;

/// An inventory, ready to be merged into a listing.
#[derive(Debug, Clone)]
pub(crate) struct InventoryListing {
    pub(crate) inventory: Arc<Inventory>,
    /// The condition of the filter that keys from the inventory do not meet; `None` where nothing is listed besides.
    pub(crate) condition: Option<usize>,
    /// What was read and what is listed, for the log.
    pub(crate) note: String,
}
