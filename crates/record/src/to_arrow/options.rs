//! How batches become Arrow.

use tollgate_base::options::{CsvOptions, FormatOptions, OnBadRow, ParquetOptions};

/// How values become columns, besides the schema.
#[derive(Debug, Clone, Default)]
pub struct ArrowOptions {
    /// What texts mean: nulls and truth values.
    pub csv: CsvOptions,
    /// The texts of Arrow values in string fields.
    pub parquet: ParquetOptions,
    /// What happens at a row with a value that does not fit its field.
    pub on_bad_row: OnBadRow,
}

impl ArrowOptions {
    /// The options of a format. The first bad row ends the batch.
    #[must_use]
    pub fn new(format: &FormatOptions) -> Self {
        match format {
            FormatOptions::Csv(csv) => Self { csv: csv.clone(), ..Self::default() },
            FormatOptions::Parquet(parquet) => Self { parquet: *parquet, ..Self::default() },
            _ => Self::default(),
        }
    }

    /// With this policy for bad rows.
    #[must_use]
    pub fn with_on_bad_row(self, on_bad_row: OnBadRow) -> Self {
        Self { on_bad_row, ..self }
    }
}
