//! Batches → RECORD lines: one encoder per column, chosen once per batch; casts; counts of what did not fit.

pub(crate) mod json_text;
