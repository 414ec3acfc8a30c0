//! What `check`, `discover`, `estimate` and `plan` do besides reading.

pub(crate) mod check;
pub(crate) mod discover;
pub(crate) mod estimate;
pub(crate) mod infer_format;
pub(crate) mod plan;
pub(crate) mod preflight;
pub(crate) mod preview;
pub(crate) mod probe;
pub(crate) mod sample;
