//! Batches → RECORD lines: one encoder per column, chosen once per batch; casts; counts of what did not fit.

pub mod arrow;
pub mod schema_of;
