//! Batches → RECORD lines: one encoder per column, chosen once per file or schema; casts; counts of what did not fit.
//!
//! ```text
//!  {"type":"RECORD","record":{"stream":"s","data":{ | members, a comma behind each | added columns},"emitted_at":…}}
//!  └──────────────── once per stream ──────────────┘                               └──────── once per file ────────┘
//! ```

pub mod arrow;
mod cast;
mod conform;
mod encoded;
mod encoder;
pub mod flatten;
mod frame;
mod json;
mod line;
mod number_text;
mod options;
mod report;
mod rescued;
pub mod row_filter;
pub mod schema_of;
#[cfg(test)]
mod tests;
mod text;
mod to_arrow;

pub use self::conform::Validation;
pub use self::encoded::{Encoded, Refused};
pub use self::encoder::{ConstantColumn, FileEncoder, StreamEncoder};
pub use self::options::{EncodeOptions, Unlisted, columns_wanted};
pub use self::report::FileReport;
pub use self::to_arrow::{ArrowOptions, Converted, arrow_schema, to_arrow};
