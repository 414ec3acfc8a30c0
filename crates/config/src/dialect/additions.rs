//! Parameters of our own that every dialect takes at its root.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Dialect;
use super::policies::{self, Policies};
use super::pushdown::{self, Filters};
use crate::defaults;
use crate::job::Job;
use crate::notes::Notes;
use crate::read::{Decimal, Object, Whole, part_of, wrong};
use tollgate_base::error::Result;
use tollgate_base::options::Caps;
use tollgate_base::spending::{GB, Limits, Money, Network, OnArchived, OnLimit, Spending};

/// What every dialect takes at its root.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Additions {
    /// Whether you, the requester, pay for requests and transfer, as buckets with "requester pays" demand. Without it
    /// such buckets refuse access.
    #[serde(default = "requester_pays")]
    #[schemars(title = "Requester Pays", extend("group" = "advanced"))]
    pub(super) requester_pays: bool,
    /// How many files are read at the same time. When absent the connector chooses by itself; in the flat form it
    /// is 4. All files together share one memory budget, whatever their number.
    #[schemars(title = "Parallel Workers", extend("minimum" = 1, "maximum" = 1024, "group" = "advanced"))]
    pub(super) parallel_workers: Option<Whole>,
    /// Rows per batch at most. A smaller number saves memory where rows are very wide. When absent the reader of the
    /// format chooses; in the flat form it is 10,000.
    #[schemars(title = "Batch Size", extend("minimum" = 1, "maximum" = 1000000, "group" = "advanced"))]
    pub(super) batch_size: Option<Whole>,
    /// How many days after its modification time an object may still appear in the bucket, as multipart uploads and
    /// replicas do. Inside this window no file is ever missed, however many files the state has to remember; beyond it,
    /// when more changed than the state can tell apart, files count as read and their number is reported.
    #[serde(default = "late_window_days")]
    #[schemars(title = "Late Window In Days", extend("minimum" = 0, "maximum" = 3650, "group" = "advanced"))]
    pub(super) late_window_days: Whole,
    /// Certificates of authorities that are trusted besides those of the system: a file with them, or their text (PEM).
    /// When absent it is the file that the variable `AWS_CA_BUNDLE` names, if it names one.
    #[schemars(title = "CA Bundle", extend("multiline" = true, "group" = "advanced"))]
    pub(super) ca_bundle: Option<String>,
    /// Where the bucket stands in the URL: `path` for the path, `virtual` for the host name. When absent, or `auto`, it is
    /// the path for a server that is not AWS.
    #[serde(default)]
    #[schemars(title = "Address Style", extend("group" = "advanced"))]
    pub(super) address_style: AddressStyle,
    /// Parquet: the columns to read, of those that the catalog selects. Columns that are not read are not transferred.
    /// When absent all selected columns are read.
    #[schemars(title = "Parquet Columns", extend("group" = "advanced", "airbyte_hidden" = true))]
    pub(super) parquet_columns: Option<Vec<String>>,
    /// Only rows that pass are read: a list of conditions that must all hold, such as
    /// `[["year", ">=", 2024], ["kind", "in", ["a", "b"]]]`, or a list of such lists, one of which must. Operators are
    /// `=`, `!=`, `<`, `<=`, `>`, `>=`, `in`, `not in`, `is null` and `is not null`. It holds for all formats; of Parquet
    /// files, parts without a matching row are not even transferred, and so are files whose partition columns rule all
    /// rows out. When absent all rows are read.
    #[schemars(title = "Row Filters", extend("group" = "advanced", "airbyte_hidden" = true))]
    pub(super) parquet_filters: Option<Filters>,
    /// Incremental syncs leave rows out whose value in this column lies below the greatest one of the syncs before. Files
    /// are chosen by their modification time all the same. When absent no row is left out, unless the catalog names a
    /// column.
    #[schemars(title = "Cursor Field", extend("group" = "advanced", "airbyte_hidden" = true))]
    pub(super) cursor_field: Option<String>,
    /// How far below the greatest value rows still count as new: a duration such as `3d`, `12h`, `90m` or `30s`, or a
    /// number, as the values of the column are. When absent it is nothing.
    #[schemars(title = "Cursor Lookback", extend("group" = "advanced", "airbyte_hidden" = true))]
    pub(super) cursor_lookback: Option<String>,
    /// How many gigabytes of text one compressed file may become; a file that becomes more is an error. When absent it
    /// is 4096.
    #[schemars(title = "Decompressed Size Limit", extend("minimum" = 1, "maximum" = 1048576, "group" = "advanced"))]
    pub(super) max_decompressed_gb: Option<Whole>,
    /// How many bytes of text each byte of a compressed file may become, beyond the first megabyte; a file that expands
    /// more is an error. When absent it is 2000.
    #[schemars(title = "Decompression Ratio Limit", extend("minimum" = 1, "maximum" = 1000000000, "group" = "advanced"))]
    pub(super) max_decompression_ratio: Option<Whole>,
    /// What a run may cost in US dollars, for example `5.0`. A run that would cost more is refused before it reads
    /// anything, or reads what the sum allows (`on_limit`); the limit is also held before each request. When absent
    /// there is none; in the flat form it is 100. A server that is not AWS costs nothing, unless `price_table` says so.
    #[schemars(title = "Cost Limit (USD)", extend("exclusiveMinimum" = 0, "group" = "cost"))]
    pub(super) cost_limit_usd: Option<Decimal>,
    /// How many files a run may read. When absent there is no limit; in the flat form it is 10,000.
    #[schemars(title = "Max Files Per Run", extend("minimum" = 1, "group" = "cost"))]
    pub(super) max_files_per_run: Option<Whole>,
    /// How many GB (2^30 bytes, as stored) a run may read. When absent there is no limit; in the flat form it is 1,000.
    #[schemars(title = "Max Data Size (GB)", extend("exclusiveMinimum" = 0, "group" = "cost"))]
    pub(super) max_data_size_gb: Option<Decimal>,
    /// How many requests a run may send to S3, listings and repeated ones included. When absent there is no limit.
    #[schemars(title = "Max Requests", extend("minimum" = 1, "group" = "cost"))]
    pub(super) max_requests: Option<Whole>,
    /// What happens at a limit: `fail` refuses a run that would pass it and fails one that reaches it on the way;
    /// `partial` reads what the limit allows and ends well, and the next run goes on from there. When absent it is
    /// `fail`.
    #[serde(default)]
    #[schemars(title = "On Limit", extend("group" = "cost"))]
    pub(super) on_limit: OnLimitWritten,
    /// Where the connector runs, which decides the price of the bytes: `same_region` as the bucket, `cross_region` for
    /// another region of AWS, `internet`, or `unknown`. When absent it is `unknown`: estimates show both ends, and a
    /// limit holds for the dearer one.
    #[serde(default)]
    #[schemars(title = "Network", extend("group" = "cost"))]
    pub(super) network: NetworkWritten,
    /// The prices: `aws` for the public list prices that the connector carries, `none`, the path of a file, or its JSON
    /// text, which is laid over those prices. When absent it is `aws`, and `none` for a server that is not AWS.
    #[schemars(title = "Price Table", extend("group" = "cost"))]
    pub(super) price_table: Option<String>,
    /// The discount on the prices in percent, for example `12.5`. When absent there is none.
    #[schemars(title = "Price Discount (%)", extend("minimum" = 0, "maximum" = 100, "group" = "cost"))]
    pub(super) price_discount_percent: Option<Decimal>,
    /// Whether the objects are encrypted with SSE-KMS without bucket keys, so that each GET is a request to KMS too.
    #[serde(default = "kms_requests")]
    #[schemars(title = "KMS Requests", extend("group" = "cost"))]
    pub(super) kms_requests: bool,
    /// What happens to objects that are archived (Glacier, Deep Archive, archive tiers) and not restored: `skip` leaves
    /// them out, counts and reports them; `fail` fails the stream when everything else is read. When absent it is
    /// `skip`.
    #[serde(default)]
    #[schemars(title = "On Archived", extend("group" = "cost"))]
    pub(super) on_archived: OnArchivedWritten,
    /// For development: the part of the stream that is read at most, for example `0.1`. Whole files, chosen by their
    /// keys, with at most that part of all bytes and less than that part of all files, since the listing costs as much as
    /// before: the same ones each time, and one at least. Where whole files do not fit, of one more file only a part is
    /// read: some row groups of a Parquet file, one at least, or the first rows of plain CSV or JSONL in UTF-8. When
    /// absent all is read.
    #[schemars(title = "Development Sampling", extend("exclusiveMinimum" = 0, "maximum" = 1, "group" = "cost"))]
    pub(super) dev_sampling: Option<Decimal>,
    /// For development: how many files of each stream are read at most. When absent all are read.
    #[schemars(title = "Development Max Files", extend("minimum" = 1, "group" = "cost"))]
    pub(super) dev_max_files: Option<Whole>,
    /// What is written at the root for all streams.
    #[serde(skip)]
    #[schemars(skip)]
    pub(super) policies: Policies,
}

#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnLimitWritten {
    Fail,
    Partial,
}

#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnArchivedWritten {
    Skip,
    Fail,
}

#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NetworkWritten {
    SameRegion,
    CrossRegion,
    Internet,
    Unknown,
}

impl Default for OnLimitWritten {
    fn default() -> Self {
        match defaults::ON_LIMIT.airbyte {
            OnLimit::Fail => Self::Fail,
            OnLimit::Partial => Self::Partial,
        }
    }
}

impl Default for OnArchivedWritten {
    fn default() -> Self {
        match defaults::ON_ARCHIVED.airbyte {
            OnArchived::Skip => Self::Skip,
            OnArchived::Fail => Self::Fail,
        }
    }
}

impl Default for NetworkWritten {
    fn default() -> Self {
        match defaults::NETWORK.airbyte {
            Network::SameRegion => Self::SameRegion,
            Network::CrossRegion => Self::CrossRegion,
            Network::Internet => Self::Internet,
            Network::Unknown => Self::Unknown,
        }
    }
}

fn kms_requests() -> bool {
    defaults::KMS_REQUESTS.airbyte
}

/// Where the bucket stands in the URL.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum AddressStyle {
    #[default]
    Auto,
    Path,
    Virtual,
}

fn late_window_days() -> Whole {
    Whole(i64::from(defaults::LATE_WINDOW_DAYS.airbyte))
}

fn requester_pays() -> bool {
    defaults::REQUESTER_PAYS.airbyte
}

/// Reads them.
///
/// # Errors
/// Config, as all reading.
pub(super) fn read(object: &Object, notes: &mut Notes) -> Result<Additions> {
    let policies = policies::read(object, "", notes)?;
    Ok(Additions { policies, ..part_of(object, "", notes)? })
}

/// Notes each parameter of a list that is written.
pub(super) fn refuse(object: &Object, path: &str, list: &[(&str, &str)], notes: &mut Notes) {
    for (key, way_out) in list {
        if object.get(*key).is_some_and(|value| !value.is_null()) {
            notes.refused(crate::notes::join(path, key), *way_out);
        }
    }
}

/// The names of all of them: known, though a dialect's own struct does not have them.
pub(super) fn names() -> Vec<&'static str> {
    let read = crate::read::fields_of::<Additions>();
    read.iter().chain(policies::names()).copied().collect()
}

impl Additions {
    /// Puts them into the job, with the dialect's defaults where nothing is written. `own` is what each stream says itself,
    /// with its path, where the dialect has a place for that.
    ///
    /// # Errors
    /// Config, when a number is out of its bounds.
    pub(super) fn applied(
        &self,
        dialect: Dialect,
        mut job: Job,
        own: &[(Policies, String)],
        notes: &mut Notes,
    ) -> Result<Job> {
        let mut number = |name: &str, written: Option<Whole>, default: Option<u64>, most| {
            if let Some(default) = default.filter(|_| written.is_none()) {
                notes.defaulted(name.to_owned(), &default.into());
            }
            written.map_or(Ok(default), |number| number.between(1, most, name).map(Some))
        };
        let parallel = number("parallel_workers", self.parallel_workers, defaults::PARALLEL_FILES.of(dialect), 1024)?;
        let rows = number("batch_size", self.batch_size, defaults::BATCH_ROWS.of(dialect), 1_000_000)?;
        let caps = Caps::default();
        let decoded_gb = Some(caps.decoded_bytes >> 30);
        let decoded_gb = number("max_decompressed_gb", self.max_decompressed_gb, decoded_gb, 1 << 20)?;
        let ratio = number("max_decompression_ratio", self.max_decompression_ratio, Some(caps.ratio), 1_000_000_000)?;
        job.caps = Caps {
            decoded_bytes: decoded_gb.map_or(caps.decoded_bytes, |gigabytes| gigabytes << 30),
            ratio: ratio.unwrap_or(caps.ratio),
        };
        let fits = |number: u64| usize::try_from(number).expect("at most a million");
        job.parallel_files = parallel.map(fits);
        job.spending = self.spending(dialect, notes)?;
        let dev_sampling = self.dev_sampling.as_ref();
        let dev_sampling = dev_sampling.map(|rate| rate.above(0.0, 1.0, "dev_sampling")).transpose()?;
        let dev_max_files = self.dev_max_files.map(|files| files.between(1, u64::MAX, "dev_max_files")).transpose()?;
        let late = self.late_window_days.between(0, 3650, "late_window_days")?;
        for stream in &mut job.streams {
            stream.batch_rows = rows.map(fits);
            stream.late_window_days = u32::try_from(late).expect("at most 3650");
            stream.on_archived = match self.on_archived {
                OnArchivedWritten::Skip => OnArchived::Skip,
                OnArchivedWritten::Fail => OnArchived::Fail,
            };
            stream.dev_sampling = dev_sampling;
            stream.dev_max_files = dev_max_files;
        }
        let only = job.streams.len() == 1;
        for (index, stream) in job.streams.iter_mut().enumerate() {
            let own = own.get(index).map(|(own, path)| (own, path.as_str()));
            self.policies.apply(own, only, dialect, stream, notes)?;
        }
        self.policies.note_defaults(dialect, notes);
        job.connection.requester_pays = self.requester_pays;
        job.connection.ca_bundle = self.ca_bundle.clone().filter(|bundle| !bundle.trim().is_empty());
        job.connection.path_style = match self.address_style {
            AddressStyle::Auto => None,
            AddressStyle::Path => Some(true),
            AddressStyle::Virtual => Some(false),
        };
        let written = pushdown::Written {
            columns: &self.parquet_columns,
            filters: &self.parquet_filters,
            cursor_field: &self.cursor_field,
            cursor_lookback: &self.cursor_lookback,
        };
        let root = written.understood("")?;
        pushdown::without_effect(&root, &job.streams, notes);
        for (index, stream) in job.streams.iter_mut().enumerate() {
            pushdown::apply(&root, stream, &format!("streams[{index}]"), notes);
        }
        Ok(job)
    }

    fn spending(&self, dialect: Dialect, notes: &mut Notes) -> Result<Spending> {
        let table = self.price_table.as_deref().map(str::trim).filter(|text| !text.is_empty());
        Ok(Spending {
            limits: self.limits(dialect, notes)?,
            on_limit: match self.on_limit {
                OnLimitWritten::Fail => OnLimit::Fail,
                OnLimitWritten::Partial => OnLimit::Partial,
            },
            network: match self.network {
                NetworkWritten::SameRegion => Network::SameRegion,
                NetworkWritten::CrossRegion => Network::CrossRegion,
                NetworkWritten::Internet => Network::Internet,
                NetworkWritten::Unknown => Network::Unknown,
            },
            price_table: table.map(str::to_owned),
            discount_percent_e4: match &self.price_discount_percent {
                None => 0,
                Some(percent) => discount(percent)?,
            },
            kms_requests: self.kms_requests,
        })
    }

    fn limits(&self, dialect: Dialect, notes: &mut Notes) -> Result<Limits> {
        let mut or_default = |name: &str, written: bool, default: Option<u64>| {
            let default = default.filter(|_| !written);
            if let Some(default) = default {
                notes.defaulted(name.to_owned(), &default.into());
            }
            default
        };
        let default_cost = defaults::COST_LIMIT_USD.of(dialect);
        let default_cost = or_default("cost_limit_usd", self.cost_limit_usd.is_some(), default_cost);
        let default_files = defaults::MAX_FILES_PER_RUN.of(dialect);
        let default_files = or_default("max_files_per_run", self.max_files_per_run.is_some(), default_files);
        let default_gb = defaults::MAX_DATA_SIZE_GB.of(dialect);
        let default_gb = or_default("max_data_size_gb", self.max_data_size_gb.is_some(), default_gb);
        let at_least_one = |number: Whole, name: &str| number.between(1, u64::MAX, name);
        let dollars = |text: String| Money::parse(&text).filter(|limit| *limit > Money::ZERO);
        Ok(Limits {
            cost: match &self.cost_limit_usd {
                None => default_cost.and_then(|limit| dollars(limit.to_string())),
                Some(limit) => {
                    let expected = "a number of dollars above 0";
                    Some(dollars(limit.0.to_string()).ok_or_else(|| wrong("cost_limit_usd", &limit.0, expected))?)
                }
            },
            files: match self.max_files_per_run {
                None => default_files,
                Some(files) => Some(at_least_one(files, "max_files_per_run")?),
            },
            bytes: match &self.max_data_size_gb {
                None => default_gb.map(|limit| limit * GB),
                Some(limit) => Some((limit.above(0.0, 1e9, "max_data_size_gb")? * GB as f64) as u64),
            },
            requests: self.max_requests.map(|requests| at_least_one(requests, "max_requests")).transpose()?,
        })
    }
}

/// In ten-thousandths of a percent.
fn discount(percent: &Decimal) -> Result<u64> {
    match percent.0.as_f64() {
        Some(number) if (0.0..=100.0).contains(&number) => Ok((number * 10_000.0).round() as u64),
        _ => Err(wrong("price_discount_percent", &percent.0, "a number from 0 to 100")),
    }
}
