//! Parquet.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dialect::{Dialect, PerDialect};
use tollgate_base::options::{BinaryEncoding, ParquetOptions};

const DECIMAL_AS_FLOAT: PerDialect<bool> = PerDialect::same(false).airbyte_v3(true);

/// Apache Parquet.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct ParquetInput {
    /// Whether decimals become JSON numbers. Numbers with many digits can lose precision, so decimals are strings by
    /// default.
    #[serde(default = "decimal_as_float")]
    #[schemars(title = "Convert Decimal Fields to Floats")]
    decimal_as_float: bool,
    /// How binary values become strings. `utf8` decodes them as text and fails if a value is not valid UTF-8.
    /// `base64` and `hex` encode the bytes; UUIDs then have their usual form
    /// (`00112233-4455-6677-8899-aabbccddeeff`).
    #[serde(default)]
    #[schemars(title = "Binary Encoding")]
    binary_encoding: BinaryEncoding,
}

fn decimal_as_float() -> bool {
    DECIMAL_AS_FLOAT.of(Dialect::Airbyte)
}

/// The options where nothing is written.
pub(crate) fn defaults(dialect: Dialect) -> ParquetOptions {
    ParquetOptions { decimal_as_float: DECIMAL_AS_FLOAT.of(dialect), ..ParquetOptions::default() }
}

impl From<ParquetInput> for ParquetOptions {
    fn from(input: ParquetInput) -> Self {
        let ParquetInput { decimal_as_float, binary_encoding } = input;
        Self { decimal_as_float, binary_encoding }
    }
}

impl From<&ParquetOptions> for ParquetInput {
    fn from(options: &ParquetOptions) -> Self {
        let ParquetOptions { decimal_as_float, binary_encoding } = *options;
        Self { decimal_as_float, binary_encoding }
    }
}
