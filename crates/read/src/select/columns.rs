//! Which columns of a stream's files are read and written.

use tollgate_base::options::{FormatOptions, Projection, SchemaEvolution};
use tollgate_base::schema::Columns;
use tollgate_config::job::Stream;
use tollgate_record::{Unlisted, columns_wanted};

/// What becomes of fields that the catalog does not have. They are part of a row's text anyway, so they go out with it as in
/// the connector that we replace, which leaves them out of CSV alone. A column of Parquet is fetched and paid for by itself:
/// one that is not selected is not read.
pub(crate) fn unlisted(stream: &Stream) -> Unlisted {
    let chosen = stream.pushdown.columns.is_some();
    match &stream.format {
        _ if chosen || stream.schema.evolution != SchemaEvolution::Evolve => Unlisted::LeaveOut,
        FormatOptions::Csv(_) | FormatOptions::Parquet(_) => Unlisted::Tell,
        _ => Unlisted::Write,
    }
}

/// The columns that decoders must give: those of the catalog, unless others are looked at too.
pub(crate) fn projection(stream: &Stream, columns: &Columns) -> Projection {
    match stream.schema.evolution {
        _ if stream.schemaless => Projection::All,
        SchemaEvolution::Rescue | SchemaEvolution::Freeze => Projection::All,
        SchemaEvolution::Evolve if unlisted(stream) == Unlisted::Write => Projection::All,
        SchemaEvolution::Evolve => columns_wanted(columns, stream.flatten.is_some()),
    }
}
