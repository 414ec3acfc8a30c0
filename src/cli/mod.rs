//! Arguments of the program, as Airbyte platforms give them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Reads objects in S3 as an Airbyte source.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, about, disable_help_subcommand = true)]
pub struct Cli {
    /// Also write debug messages: how each parameter was understood, and each request to S3.
    #[arg(long, global = true)]
    pub debug: bool,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Print the specification of the configuration.
    Spec,
    /// Find out whether the streams of a configuration can be read.
    Check(ConfigFile),
    /// Print the catalog: the streams and their columns.
    Discover(ConfigFile),
    /// Read the streams of a configured catalog.
    Read(ReadFiles),
    /// Tell what a read would cost, without reading: objects are listed, and a few footers of Parquet files are read.
    Estimate(EstimateFiles),
    /// Show how a configuration is understood, parameter by parameter, and the native form that means the same.
    Translate(TranslateFiles),
    /// Show which prefixes would be listed and skipped, and what would be read. Reads no object.
    Plan(PlanFiles),
}

/// The configuration.
#[derive(Debug, Args)]
pub struct ConfigFile {
    /// The file with the configuration.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

/// The files of an estimate.
#[derive(Debug, Args)]
pub struct EstimateFiles {
    /// The file with the configuration.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// The file with the configured catalog. Without it: all streams with all columns, in full, or incrementally where
    /// the state has them.
    #[arg(long, value_name = "FILE")]
    pub catalog: Option<PathBuf>,
    /// The file with the state of the last run.
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// How the result is shown.
    #[command(flatten)]
    pub shown: Shown,
}

/// How a verb for people shows its result.
#[derive(Debug, Args)]
pub struct Shown {
    /// A table for a person, or JSON for a program.
    #[arg(long, value_enum, default_value_t = Layout::Table)]
    format: Layout,
    /// The same as `--format json`.
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

impl Shown {
    /// The form that was asked for.
    #[must_use]
    pub fn layout(&self) -> Layout {
        if self.json { Layout::Json } else { self.format }
    }
}

/// The forms of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// For a person.
    Table,
    /// For a program.
    Json,
}

/// What to translate, and how to show it.
#[derive(Debug, Args)]
pub struct TranslateFiles {
    /// The file with the configuration, of any dialect.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// How the result is shown.
    #[command(flatten)]
    pub shown: Shown,
}

/// The files of a read.
#[derive(Debug, Args)]
pub struct ReadFiles {
    /// The file with the configuration.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// The file with the configured catalog.
    #[arg(long, value_name = "FILE")]
    pub catalog: PathBuf,
    /// The file with the state of the last run.
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Also write the bill into this file when the run is over: what was spent and estimated, by usage type, as JSON.
    #[arg(long, value_name = "FILE")]
    pub bill: Option<PathBuf>,
    /// Write a STATE at least every so many bytes of records. A platform that stores states quickly loses less when a
    /// run is cut; the default suits all.
    #[arg(long, value_name = "BYTES", default_value_t = 256 << 20, hide = true)]
    pub state_bytes: u64,
    /// How long a failing request is tried again. The default suits all; tests of servers that stay broken are shorter.
    #[arg(long, value_name = "SECONDS", default_value_t = 180, hide = true, value_parser = clap::value_parser!(u64).range(..=86_400))]
    pub retry_seconds: u64,
}

/// The files of a plan.
#[derive(Debug, Args)]
pub struct PlanFiles {
    /// The file with the configuration.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// The file with the configured catalog. Without it all streams are planned as a full refresh.
    #[arg(long, value_name = "FILE")]
    pub catalog: Option<PathBuf>,
    /// The file with the state of the last run.
    #[arg(long, value_name = "FILE", requires = "catalog")]
    pub state: Option<PathBuf>,
    /// How the result is shown.
    #[command(flatten)]
    pub shown: Shown,
}
