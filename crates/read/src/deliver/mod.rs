//! What becomes of batches: RECORD lines, dead letters, transferred files, and the cursor that follows them.

pub(crate) mod archive_members;
pub(crate) mod bad_rows;
pub(crate) mod context;
pub(crate) mod current_version;
pub(crate) mod dead_letters;
pub(crate) mod emit;
pub(crate) mod progress;
pub(crate) mod records;
pub(crate) mod report;
pub(crate) mod transfer;
pub(crate) mod transfer_file;
