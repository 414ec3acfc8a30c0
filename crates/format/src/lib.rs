//! Bytes ↔ batches. Decoders are state machines that are handed bytes: they ask, they never fetch.
//!
//! ```text
//!   bytes of the object ─ feed ─▶ decompress ─▶ split into rows ─▶ Step::Batch (rows + position after them)
//!                         ◀── Step::NeedBytes / Step::NeedRanges
//! ```

mod avro;
pub mod compression;
mod csv;
mod decode;
pub mod encoding;
mod excel;
pub mod infer;
mod json_document;
mod json_rows;
mod json_scan;
mod jsonl;
mod open;
pub mod parquet;
mod quiet;
mod resume;
mod split;
#[cfg(test)]
mod tests;
mod text;
mod transcode;
pub mod zip;

pub use self::decode::{Access, Decode, DecodeLimits, FileFacts, InputEnd, Pruned, RangePlan, Step};
pub use self::open::{OpenOptions, reads_from};
pub use self::resume::beyond_the_end;
