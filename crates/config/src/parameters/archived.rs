//! Objects in archive storage classes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use tollgate_base::spending::OnArchived;

/// The parameter as written.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct ArchivedInput {
    /// What happens to objects that are archived (Glacier, Deep Archive, archive tiers) and not restored: `skip` leaves
    /// them out, counts and reports them; `fail` fails the stream when everything else is read. When absent it is
    /// `skip`.
    #[serde(default)]
    #[schemars(title = "On Archived", extend("group" = "cost"))]
    pub(crate) on_archived: OnArchived,
}
