//! Avro.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use tollgate_base::options::{AvroOptions, BinaryEncoding};

/// Apache Avro, as object container files.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct AvroInput {
    /// Whether doubles become strings with all their digits. As numbers, they can lose precision.
    #[serde(default)]
    #[schemars(title = "Convert Double Fields to Strings")]
    double_as_string: bool,
    /// How `bytes` and `fixed` values become strings. `utf8` decodes them as text and fails if a value is not valid
    /// UTF-8. `base64` and `hex` encode the bytes.
    #[serde(default)]
    #[schemars(title = "Binary Encoding")]
    binary_encoding: BinaryEncoding,
}

impl From<AvroInput> for AvroOptions {
    fn from(input: AvroInput) -> Self {
        let AvroInput { double_as_string, binary_encoding } = input;
        Self { double_as_string, binary_encoding }
    }
}

impl From<&AvroOptions> for AvroInput {
    fn from(options: &AvroOptions) -> Self {
        let AvroOptions { double_as_string, binary_encoding } = *options;
        Self { double_as_string, binary_encoding }
    }
}
