//! Tollgate moves data between S3 and ELT platforms and knows what every request costs.
//!
//! The rooms, and who may use whom, are listed in `integration_tests/edges.rs`.

// The futures of the SDK are nested deeply, and ours lie around them.
#![recursion_limit = "256"]

pub mod batch;
mod calendar;
pub mod cli;
pub mod clock;
pub mod command;
pub mod config;
pub mod cost;
pub mod cursor;
pub mod error;
pub mod format;
mod json_string;
pub mod memory;
pub mod object;
pub mod options;
pub mod plan;
pub mod predicate;
pub mod protocol;
pub mod python_number;
pub mod read;
pub mod record;
pub mod s3;
pub mod simd;
pub mod spending;
