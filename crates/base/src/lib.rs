//! Values that all crates share: objects, batches and positions, options, predicates, errors.
//!
//! Plain values: no tokio, no S3 client, no clock, no environment.

pub mod batch;
pub mod bytes_text;
pub mod calendar;
pub mod choice;
pub mod connection;
pub mod error;
pub mod json_string;
pub mod object;
pub mod options;
pub mod predicate;
pub mod python_number;
pub mod schema;
pub mod simd;
pub mod spending;
