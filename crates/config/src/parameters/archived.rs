//! Objects in archive storage classes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use tollgate_base::spending::OnArchived;

/// The parameter as written.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct ArchivedInput {
    /// How to handle archived objects (Glacier, Deep Archive, archive tiers) that are not restored. `skip` skips,
    /// counts and reports them. `fail` fails the stream after everything else is read. When absent, it is `skip`.
    #[serde(default)]
    #[schemars(title = "On Archived", extend("group" = "cost"))]
    pub(crate) on_archived: OnArchived,
}
