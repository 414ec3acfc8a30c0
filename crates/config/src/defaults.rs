//! The defaults of every dialect in one table: a row per parameter, a column per dialect.
//!
//! A default never changes once it is released: a saved configuration that leaves a parameter out relies on it.
//! The columns of the Airbyte dialects are what `airbyte/source-s3` 4.16 does (for version 3: what its migration
//! writes); the column of the flat form is its specification; the Fivetran column follows Fivetran's documentation.

use super::dialect::Dialect;
use super::job::ValidationPolicy;
use tollgate_base::options::partition::{PartitionColumns as Hive, Partitions};
use tollgate_base::options::{
    BinaryEncoding, Compression, CsvHeader, CsvInference, CsvOptions, FormatOptions, InferenceDepth, SchemaEvolution,
};
use tollgate_base::spending::{Network, OnArchived, OnLimit};

/// One row of the table.
pub(super) struct Row<T> {
    pub(super) airbyte: T,
    pub(super) airbyte_v3: T,
    pub(super) flat: T,
    pub(super) fivetran: T,
}

impl<T: Copy> Row<T> {
    /// The value in a dialect's column.
    pub(super) const fn of(&self, dialect: Dialect) -> T {
        match dialect {
            Dialect::Airbyte => self.airbyte,
            Dialect::AirbyteV3 => self.airbyte_v3,
            Dialect::Flat => self.flat,
            Dialect::Fivetran => self.fivetran,
        }
    }

    /// The same in all dialects.
    const fn all(value: T) -> Self {
        Self { airbyte: value, airbyte_v3: value, flat: value, fivetran: value }
    }
}

type Words = &'static [&'static str];

/// What the migration of version 3 writes where `null_values` was not given.
const V3_NULLS: Words = &[
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "N/A", "NA", "NULL",
    "NaN", "n/a", "nan", "null",
];
const V4_TRUE: Words = &["y", "yes", "t", "true", "on", "1"];
const V4_FALSE: Words = &["n", "no", "f", "false", "off", "0"];
const V3_TRUE: Words = &["1", "True", "TRUE", "true"];
const V3_FALSE: Words = &["0", "False", "FALSE", "false"];
const STRINGS: CsvInference = CsvInference::None;
const OFF: Hive = Hive::None;
const ON: Hive = Hive::Hive;
const PARTS: Hive = Hive::HiveParts;
const TYPED: CsvInference = CsvInference::PrimitiveTypesOnly;

macro_rules! table {
    ($($(#[$doc:meta])* $name:ident: $kind:ty = $airbyte:expr, $v3:expr, $flat:expr, $fivetran:expr;)*) => {
        $($(#[$doc])* pub(super) const $name: Row<$kind> =
            Row { airbyte: $airbyte, airbyte_v3: $v3, flat: $flat, fivetran: $fivetran };)*
    };
}

table! {
    // parameter                            Airbyte 4   Airbyte 3   flat form           Fivetran-style
    REGION: Option<&'static str>          = None,       None,       Some("us-east-1"),  None;
    FILE_TYPE: Option<&'static str>       = None,       Some("csv"), Some("csv"),       Some("infer");
    SKIP_MARKERS: bool                    = false,      false,      true,               true;
    BATCH_ROWS: Option<u64>               = None,       None,       Some(10_000),       None;
    PARALLEL_FILES: Option<u64>           = None,       None,       Some(4),            None;
    COST_LIMIT_USD: Option<u64>           = None,       None,       Some(100),          None;
    MAX_FILES_PER_RUN: Option<u64>        = None,       None,       Some(10_000),       None;
    MAX_DATA_SIZE_GB: Option<u64>         = None,       None,       Some(1000),         None;
    CSV_ENCODING: &'static str            = "utf8",     "utf8",     "utf-8",            "utf8";
    CSV_NULL_VALUES: Words                = &[],        V3_NULLS,   &[],                &[];
    CSV_STRINGS_CAN_BE_NULL: bool         = true,       false,      true,               true;
    CSV_TRUE_VALUES: Words                = V4_TRUE,    V3_TRUE,    V4_TRUE,            V4_TRUE;
    CSV_FALSE_VALUES: Words               = V4_FALSE,   V3_FALSE,   V4_FALSE,           V4_FALSE;
    CSV_INFERENCE: CsvInference           = STRINGS,    TYPED,      STRINGS,            TYPED;
    PARQUET_DECIMAL_AS_FLOAT: bool        = false,      true,       false,              false;
    PRESERVE_DIRECTORY_STRUCTURE: bool    = true,       true,       true,               true;
    AVRO_DOUBLE_AS_STRING: bool           = false,      false,      false,              false;
    PARTITION_COLUMNS: Hive               = OFF,        OFF,        ON,                 OFF;
    PARTITION_COLUMNS_OF_PARQUET: Hive    = PARTS,      PARTS,      ON,                 OFF;
    JSON_PACKED: bool                     = false,      false,      false,              true;
    JSON_FLATTEN: bool                    = false,      false,      true,               false;
}

pub(super) const GLOBS: Row<Words> = Row::all(&["**"]);
pub(super) const COMPRESSION: Row<Compression> = Row::all(Compression::Auto);
pub(super) const VALIDATION_POLICY: Row<ValidationPolicy> = Row::all(ValidationPolicy::EmitRecord);
/// In days. Zero means this as well.
pub(super) const DAYS_TO_SYNC_IF_HISTORY_IS_FULL: Row<u32> = Row::all(3);
pub(super) const ON_LIMIT: Row<OnLimit> = Row::all(OnLimit::Fail);
pub(super) const ON_ARCHIVED: Row<OnArchived> = Row::all(OnArchived::Skip);
pub(super) const NETWORK: Row<Network> = Row::all(Network::Unknown);
pub(super) const KMS_REQUESTS: Row<bool> = Row::all(false);
pub(super) const LATE_WINDOW_DAYS: Row<u32> = Row::all(7);
/// Parts of a column's name at most where nested objects are flattened.
pub(super) const JSON_MAX_DEPTH: Row<u64> = Row::all(10);
pub(super) const BINARY_ENCODING: Row<BinaryEncoding> = Row::all(BinaryEncoding::Utf8);
pub(super) const SCHEMA_EVOLUTION: Row<SchemaEvolution> = Row::all(SchemaEvolution::Evolve);
pub(super) const INFERENCE: Row<InferenceDepth> = Row::all(InferenceDepth::Compatible);
pub(super) const USE_SSL: Row<bool> = Row::all(true);
pub(super) const REQUESTER_PAYS: Row<bool> = Row::all(false);
pub(super) const CSV_DELIMITER: Row<&'static str> = Row::all(",");
pub(super) const CSV_QUOTE: Row<&'static str> = Row::all("\"");
pub(super) const CSV_DOUBLE_QUOTE: Row<bool> = Row::all(true);

/// The most files that the connector we replace ever infers from, whatever it is told.
pub(super) const SCHEMA_SAMPLE_FILES_AT_MOST: u64 = 10;

/// Words of the table as owned texts.
pub(super) fn words(list: Words) -> Vec<String> {
    list.iter().map(|&word| word.to_owned()).collect()
}

/// Which partitions become columns: all where they were given.
pub(super) fn partition_columns(dialect: Dialect, format: &FormatOptions, partitions: &Partitions) -> Hive {
    if !partitions.keys.is_empty() || partitions.template.is_some() {
        return Hive::All;
    }
    match format {
        FormatOptions::Parquet(_) => PARTITION_COLUMNS_OF_PARQUET.of(dialect),
        _ => PARTITION_COLUMNS.of(dialect),
    }
}

/// The options of CSV of a dialect where nothing is written.
pub(super) fn csv(dialect: Dialect) -> CsvOptions {
    CsvOptions {
        delimiter: CSV_DELIMITER.of(dialect).as_bytes()[0],
        delimiter_rest: Vec::new(),
        quote: CSV_QUOTE.of(dialect).bytes().next(),
        escape: None,
        double_quote: CSV_DOUBLE_QUOTE.of(dialect),
        encoding: CSV_ENCODING.of(dialect).to_owned(),
        header: CsvHeader::FromFile,
        skip_rows_before_header: 0,
        skip_rows_after_header: 0,
        null_values: words(CSV_NULL_VALUES.of(dialect)),
        strings_can_be_null: CSV_STRINGS_CAN_BE_NULL.of(dialect),
        true_values: words(CSV_TRUE_VALUES.of(dialect)),
        false_values: words(CSV_FALSE_VALUES.of(dialect)),
        inference: CSV_INFERENCE.of(dialect),
        ignore_errors_on_fields_mismatch: false,
    }
}
