//! The job of a run: the one typed form of all configuration dialects. No other code sees a configuration as it was
//! written.

use crate::dialect::Dialect;
use crate::parameters::partitions::columns_by_default;
use crate::parameters::{history, selection};
use tollgate_base::connection::Connection;
use tollgate_base::error::{Error, Result};
use tollgate_base::object::Timestamp;
use tollgate_base::options::inventory::InventorySource;
use tollgate_base::options::key_pattern::KeyPattern;
use tollgate_base::options::partition::Partitions;
use tollgate_base::options::{Caps, Compression, FormatOptions};
use tollgate_base::spending::{OnArchived, Spending};

pub use crate::parameters::bad_rows::{BadRowAction, BadRows, DeadLetterPlace};
pub use crate::parameters::delivery::Delivery;
pub use crate::parameters::development::Development;
pub use crate::parameters::formats::FormatByKey;
pub use crate::parameters::history::History;
pub use crate::parameters::pushdown::Pushdown;
pub use crate::parameters::schema::SchemaPolicy;
pub use crate::parameters::validation::ValidationPolicy;
pub use crate::provenance::{Outcome, Provenance};

/// A whole configuration in its typed form.
#[derive(Debug, Clone)]
pub struct Job {
    /// How to reach the bucket.
    pub connection: Connection,
    /// The streams, in the order of the configuration.
    pub streams: Vec<Stream>,
    /// How each parameter was understood, for logs and for `translate`.
    pub provenance: Vec<Provenance>,
    /// Files read at the same time; `None` lets the program choose.
    pub parallel_files: Option<usize>,
    /// The limits on cost, and the settings that determine prices.
    pub spending: Spending,
    /// The limits on decompressing one object.
    pub caps: Caps,
}

/// One stream: a set of objects read with the same options.
#[derive(Debug, Clone)]
pub struct Stream {
    /// The stream's name in catalog, records and state.
    pub name: String,
    /// Glob patterns on the whole key; an object belongs to the stream when one matches.
    pub globs: Vec<String>,
    /// If set, the only prefix that is listed (Airbyte's `legacy_prefix`, the flat form's `path_prefix`). The globs
    /// still apply to the whole key.
    pub list_prefix: Option<String>,
    /// A regular expression in place of the globs.
    pub key_pattern: Option<KeyPattern>,
    /// A regular expression for the names of files inside zip archives; all others are skipped.
    pub archive_pattern: Option<KeyPattern>,
    /// Format and its options.
    pub format: FormatOptions,
    /// The format for each extension of a key, if the configuration detects the format from the keys. `format` is then
    /// one of these, and is chosen before anything is read. Otherwise empty.
    pub formats: Vec<FormatByKey>,
    /// Compression of the objects.
    pub compression: Compression,
    /// Only objects last modified at or after this time.
    pub start_at: Option<Timestamp>,
    /// Whether marker files of other tools are skipped: `_SUCCESS`, `_temporary/`, `.crc`, `_$folder$`,
    /// zero bytes.
    pub skip_markers: bool,
    /// Whether a record has one column `data` with the raw row, instead of a column for each field.
    pub schemaless: bool,
    /// Types given by the user, in place of inference: column name and Airbyte type name.
    pub input_schema: Option<Vec<(String, String)>>,
    /// How records are handled that do not conform to the catalog's schema.
    pub validation_policy: ValidationPolicy,
    /// The primary key to put into the catalog.
    pub primary_key: Option<Vec<String>>,
    /// If the history is full, unknown files are read if they were modified in this number of days.
    pub days_to_sync_if_history_is_full: u32,
    /// How the state remembers what was read.
    pub history: History,
    /// The maximum number of files used for inference; `None` is the default of discovery.
    pub schema_sample_files: Option<usize>,
    /// Whether inference uses the first file of the listing and stops listing, instead of using the newest files.
    pub schema_of_first_file: bool,
    /// How rows that cannot be parsed are handled.
    pub bad_rows: BadRows,
    /// How columns are inferred, and how fields are handled that differ from the catalog.
    pub schema: SchemaPolicy,
    /// The maximum number of parts in the names of columns that nested objects become; `None` does not flatten them.
    pub flatten: Option<usize>,
    /// The maximum number of rows in a batch; `None` leaves it to the decoders.
    pub batch_rows: Option<usize>,
    /// How archived objects are handled.
    pub on_archived: OnArchived,
    /// Whether records or files are delivered.
    pub delivery: Delivery,
    /// For development: how much of the files is read.
    pub development: Development,
    /// Which rows and columns are selected.
    pub pushdown: Pushdown,
    /// The partitions: where they are, which are read, and which become columns.
    pub partitions: Partitions,
    /// The S3 Inventory that replaces most of the listing.
    pub inventory: Option<InventorySource>,
}

impl Stream {
    /// A stream with the defaults of its dialect.
    pub(crate) fn new(dialect: Dialect, name: String, format: FormatOptions) -> Self {
        let mut partitions = Partitions::default();
        partitions.columns = columns_by_default(dialect, &format, &partitions);
        Self {
            partitions,
            name,
            globs: selection::globs(),
            list_prefix: None,
            key_pattern: None,
            archive_pattern: None,
            format,
            formats: Vec::new(),
            compression: Compression::default(),
            start_at: None,
            skip_markers: selection::SKIP_MARKERS.of(dialect),
            schemaless: false,
            input_schema: None,
            validation_policy: ValidationPolicy::default(),
            primary_key: None,
            days_to_sync_if_history_is_full: history::DAYS_TO_SYNC_IF_HISTORY_IS_FULL,
            history: History::default(),
            schema_sample_files: None,
            schema_of_first_file: false,
            bad_rows: BadRows::default(),
            schema: SchemaPolicy::default(),
            flatten: None,
            batch_rows: None,
            delivery: Delivery::default(),
            on_archived: OnArchived::default(),
            development: Development::default(),
            pushdown: Pushdown::default(),
            inventory: None,
        }
    }

    /// The format by the extension of a key, before that of a compression.
    #[must_use]
    pub fn format_by_key(&self, key: &str) -> Option<&FormatByKey> {
        let name = key.rsplit(['/', '#']).next().unwrap_or(key).to_ascii_lowercase();
        let (_, extension) = Compression::strip_extension(&name).rsplit_once('.')?;
        self.formats.iter().find(|format| format.extension == extension)
    }

    /// Whether its files may be Parquet files.
    #[must_use]
    pub fn may_be_parquet(&self) -> bool {
        let parquet = |format: &FormatOptions| matches!(format, FormatOptions::Parquet(_));
        parquet(&self.format) || self.formats.iter().any(|by_key| parquet(&by_key.format))
    }

    /// Sets the format of all files to the one that a key determines.
    pub fn choose_format(&mut self, by_key: &FormatByKey) {
        self.format = by_key.format.clone();
        self.schemaless = by_key.schemaless;
        if self.schemaless {
            self.flatten = None;
        }
        if !matches!(self.format, FormatOptions::Parquet(_)) {
            self.pushdown.columns = None;
        }
    }

    /// The patterns of its keys, for messages.
    #[must_use]
    pub fn patterns(&self) -> String {
        match &self.key_pattern {
            Some(pattern) => pattern.text().to_owned(),
            None => self.globs.join(" "),
        }
    }

    /// Checks that a file can be read in the stream's format.
    ///
    /// # Errors
    /// Data, if the extensions determine the format, and this extension means another format or none.
    pub fn told_by_key(&self, key: &str) -> Result<()> {
        let told = self.format_by_key(key);
        if self.formats.is_empty() || told.is_some_and(|told| told.format == self.format) {
            return Ok(());
        }
        let own = self.format.name();
        let message = match told {
            Some(other) => {
                format!(
                    "the format by the extension of the key is {}, but by that of the stream's first key it is {own}",
                    other.extension
                )
            }
            None => {
                format!("the key has no extension of a known format; the format by the stream's first key is {own}")
            }
        };
        Err(Error::data(message)
            .with("key", key)
            .hint("set the file type, or narrow the pattern to files of one format"))
    }
}
