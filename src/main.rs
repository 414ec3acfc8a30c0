//! The binary: arguments, then one verb.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser;
use tollgate::cli::Cli;
use tollgate::command::{Ending, defect, run};

fn main() -> ExitCode {
    let cli = Cli::parse();
    // A defect must reach the platform as a message: it does not read stderr for reasons.
    let ending: Ending = catch_unwind(AssertUnwindSafe(|| run(&cli))).unwrap_or_else(|panic| defect(&*panic));
    ending.finish()
}
