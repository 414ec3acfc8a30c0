//! From an object to batches: the bytes, the memory and the decoder of one file. Nothing here knows what becomes of the rows.

pub(crate) mod archive;
pub(crate) mod budgets;
pub(crate) mod byte_source;
pub(crate) mod file_reader;
pub(crate) mod range_source;
pub(crate) mod room;
pub(crate) mod stop;
