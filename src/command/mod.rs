//! One file per verb: wiring only.

mod check;
mod discover;
mod ending;
mod estimate;
mod output;
mod plan;
mod read;
mod setup;
mod spec;
mod translate;

pub use ending::{Ending, defect};

use crate::cli::{Cli, Verb};

/// Carries out what the arguments say.
#[must_use]
pub fn run(cli: &Cli) -> Ending {
    setup::set_debug(cli.debug);
    match &cli.verb {
        Verb::Spec => spec::run(),
        Verb::Check(files) => check::run(files),
        Verb::Discover(files) => discover::run(files),
        Verb::Read(files) => read::run(files),
        Verb::Estimate(files) => estimate::run(files),
        Verb::Translate(files) => translate::run(files),
        Verb::Plan(files) => plan::run(files),
    }
}
