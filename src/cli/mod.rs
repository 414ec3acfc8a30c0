//! The arguments of the program, in the form that Airbyte platforms use.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Read objects in S3 as an Airbyte source.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, about, disable_help_subcommand = true)]
pub struct Cli {
    /// Also log how each parameter was understood, and each request to S3.
    #[arg(long, global = true)]
    pub debug: bool,
    /// The command.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Print the specification of the configuration.
    Spec,
    /// Check whether the streams of a configuration can be read.
    Check(ConfigFile),
    /// Print the catalog: the streams and their columns.
    Discover(ConfigFile),
    /// Read the streams of a configured catalog.
    Read(ReadFiles),
    /// Estimate the cost of a read. Only the listing and a few footers of Parquet files are read.
    Estimate(EstimateFiles),
    /// Show how each parameter of a configuration is understood, and print an equivalent configuration in the newest form.
    Translate(TranslateFiles),
    /// Show which prefixes a read would list and skip, and which files it would read. No object is read.
    Plan(PlanFiles),
}

/// The file of `check` and `discover`.
#[derive(Debug, Args)]
pub struct ConfigFile {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

/// The files of `estimate`.
#[derive(Debug, Args)]
pub struct EstimateFiles {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// The configured catalog. Without it, all columns of all streams are estimated: incrementally if the state has the
    /// stream, and otherwise in full.
    #[arg(long, value_name = "FILE")]
    pub catalog: Option<PathBuf>,
    /// The state of the last run.
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// The output format.
    #[command(flatten)]
    pub shown: Shown,
}

/// The output format of commands for people.
#[derive(Debug, Args)]
pub struct Shown {
    /// The output format.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    format: OutputFormat,
    /// Short for `--format json`.
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

impl Shown {
    /// The requested output format.
    #[must_use]
    pub fn format(&self) -> OutputFormat {
        if self.json { OutputFormat::Json } else { self.format }
    }
}

/// The output formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// A table for people.
    Table,
    /// JSON for programs.
    Json,
}

/// The file of `translate`.
#[derive(Debug, Args)]
pub struct TranslateFiles {
    /// The configuration file, in any dialect.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// The output format.
    #[command(flatten)]
    pub shown: Shown,
}

/// The files of `read`.
#[derive(Debug, Args)]
pub struct ReadFiles {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// The configured catalog.
    #[arg(long, value_name = "FILE")]
    pub catalog: PathBuf,
    /// The state of the last run.
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Write the bill to this file at the end of the run, as JSON: the actual and the estimated cost by usage type.
    #[arg(long, value_name = "FILE")]
    pub bill: Option<PathBuf>,
    /// Write a STATE after at most this many bytes of records.
    #[arg(long, value_name = "BYTES", default_value_t = 256 << 20, hide = true)]
    pub state_bytes: u64,
    /// How long to retry a failing request. Tests of servers that never recover use a shorter time.
    #[arg(long, value_name = "SECONDS", default_value_t = 180, hide = true, value_parser = clap::value_parser!(u64).range(..=86_400))]
    pub retry_seconds: u64,
}

/// The files of `plan`.
#[derive(Debug, Args)]
pub struct PlanFiles {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// The configured catalog. Without it, all streams are planned as a full refresh.
    #[arg(long, value_name = "FILE")]
    pub catalog: Option<PathBuf>,
    /// The state of the last run.
    #[arg(long, value_name = "FILE", requires = "catalog")]
    pub state: Option<PathBuf>,
    /// The output format.
    #[command(flatten)]
    pub shown: Shown,
}
