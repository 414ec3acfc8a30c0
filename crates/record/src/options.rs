//! How batches become records.

use super::conform::{Fit, MismatchPolicy, Validation};
use tollgate_base::options::{CsvOptions, FormatOptions, OnBadRow, ParquetOptions, Projection, SchemaEvolution};
use tollgate_base::schema::Columns;

/// How rows become records, besides the catalog's columns.
#[derive(Debug, Clone, Default)]
pub struct EncodeOptions {
    /// The row goes into one column `data` as it is: no column is left out, nothing is cast.
    pub schemaless: bool,
    /// What texts mean.
    pub csv: CsvOptions,
    /// The texts of Arrow values.
    pub parquet: ParquetOptions,
    /// What happens to records that are not what the catalog says.
    pub validation: Validation,
    /// What happens to fields that the catalog does not have as they are.
    pub evolution: SchemaEvolution,
    /// What happens to a row that is refused, or that has a value without a text.
    pub on_bad_row: OnBadRow,
    /// What happens to fields that the catalog does not have where neither validation nor evolution look at them.
    pub unlisted: Unlisted,
}

/// What becomes of fields that the catalog does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unlisted {
    /// They are left out.
    #[default]
    LeaveOut,
    /// They are left out, and that is said once.
    Tell,
    /// They go out as they are.
    Write,
}

impl EncodeOptions {
    /// The options of a format.
    #[must_use]
    pub fn new(format: &FormatOptions, schemaless: bool, validation: Validation) -> Self {
        let (csv, parquet) = match format {
            FormatOptions::Csv(csv) => (csv.clone(), ParquetOptions::default()),
            FormatOptions::Parquet(parquet) => (CsvOptions::default(), *parquet),
            _ => Default::default(),
        };
        // A row as it is has no columns that a catalog could know.
        let validation = if schemaless { Validation::Emit } else { validation };
        Self { schemaless, csv, parquet, validation, ..Self::default() }
    }

    /// With these policies for fields and rows.
    #[must_use]
    pub fn with_policies(self, evolution: SchemaEvolution, on_bad_row: OnBadRow) -> Self {
        let evolution = if self.schemaless { SchemaEvolution::Evolve } else { evolution };
        Self { evolution, on_bad_row, ..self }
    }

    pub(super) fn unfit(&self) -> MismatchPolicy {
        MismatchPolicy::new(self.validation, self.evolution, self.on_bad_row)
    }

    pub(super) fn fit(&self) -> Fit {
        Fit::of(self.evolution)
    }
}

/// The columns that a decoder must give, where nested members are columns of their own or are not.
#[must_use]
pub fn columns_wanted(columns: &Columns, flattened: bool) -> Projection {
    match columns {
        Columns::All => Projection::All,
        Columns::Listed(columns) => {
            let names = columns.iter().map(|column| column.name.clone()).collect();
            if flattened { Projection::Flattened(names) } else { Projection::Columns(names) }
        }
    }
}
