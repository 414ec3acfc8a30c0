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
use tollgate_protocol::sink;

/// Runs before Rust's own start does, which would hide a standard output that is closed.
#[cfg(target_os = "linux")]
#[used]
#[expect(unsafe_code, reason = "a function to run before `main` has no other place")]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = {
    extern "C" fn before_main() {
        sink::note_closed_stdout();
    }
    before_main
};

fn main() -> ExitCode {
    if sink::closed_at_start() {
        return Ending::Failure.finish();
    }
    let cli = Cli::parse();
    // A defect must reach the platform as a message: it does not read stderr for reasons.
    let ending: Ending = catch_unwind(AssertUnwindSafe(|| run(&cli))).unwrap_or_else(|panic| defect(&*panic));
    ending.finish()
}
