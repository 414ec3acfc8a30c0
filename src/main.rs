//! Tollgate moves data between S3 and ELT platforms and knows what every request costs.
//!
//! This is the binary: arguments, then one verb. The crates below `crates/` do the work.

// The futures of the SDK are nested deeply, and ours lie around them.
#![recursion_limit = "256"]

mod cli;
mod command;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;
use crate::command::{Ending, defect, run};

fn main() -> ExitCode {
    let cli = Cli::parse();
    // A defect must reach the platform as a message: it does not read stderr for reasons.
    let ending: Ending = catch_unwind(AssertUnwindSafe(|| run(&cli))).unwrap_or_else(|panic| defect(&*panic));
    ending.finish()
}
