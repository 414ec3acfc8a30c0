//! What of a stream's files is wanted: columns, rows, and how decoders may be told.

use std::sync::Arc;

use tollgate_base::error::Result;
use tollgate_base::options::partition::PartitionType;
use tollgate_base::options::{CsvOptions, FormatOptions, Projection};
use tollgate_base::predicate::{Condition, Kind, Predicate, Rest, Truth, Value};
use tollgate_base::schema::{Column, ColumnType, Columns, MODIFIED_COLUMN};
use tollgate_config::job::Stream;
use tollgate_cursor::Cursor;
use tollgate_plan::partition::columns::PartitionConstant;
use tollgate_protocol::catalog::ConfiguredStream;
use tollgate_record::row_filter::{CursorColumn, RowFilter};
use tollgate_record::{Unlisted, columns_wanted};

/// What decoders are asked for, and which rows are left out of what they give.
pub(crate) struct RowSelection {
    pub(crate) projection: Projection,
    pub(crate) predicates: Arc<[Predicate]>,
    pub(crate) row_filter: Option<RowFilter>,
}

/// The columns of a stream's records: of those that the catalog selects, the ones that the configuration names.
pub(crate) fn columns(stream: &Stream, catalog: &Columns) -> Columns {
    let Some(names) = &stream.pushdown.columns else { return catalog.clone() };
    let of_name = |name: &String| Column { name: name.clone(), kind: ColumnType::Any };
    Columns::Listed(match catalog {
        Columns::All => names.iter().map(of_name).collect(),
        Columns::Listed(listed) => listed.iter().filter(|column| names.contains(&column.name)).cloned().collect(),
    })
}

/// Says that the catalog's cursor field changes nothing, where it names another column than the one that is followed. The
/// stream's cursor is the source's own: a platform lets people choose a column all the same, and rows below its greatest
/// value, which come in late and corrected files, must not get lost for that.
pub(crate) fn idle_cursor_field(configured: &ConfiguredStream, stream: &Stream) -> Option<String> {
    let chosen = configured.cursor_field.join(".");
    let known = [Some(""), Some(MODIFIED_COLUMN), stream.pushdown.cursor_field.as_deref()];
    (!known.contains(&Some(chosen.as_str()))).then(|| {
        format!(
            "stream {}: the catalog's cursor field '{chosen}' has no effect: all rows of new and changed files are \
             read; to skip rows below the greatest value of a column, set `cursor_field` in the configuration",
            stream.name
        )
    })
}

impl RowSelection {
    /// What a run of a stream wants, with the cursor that it begins with.
    pub(crate) fn of(configured: &ConfiguredStream, stream: &Stream, cursor: &Cursor) -> Result<Self> {
        Self::new(stream, &configured.columns, &columns(stream, &configured.columns), cursor)
    }

    /// Whether all columns and rows are wanted.
    pub(crate) fn everything(&self) -> bool {
        self.projection == Projection::All && self.predicates.is_empty()
    }

    /// `catalog` is what the catalog says, `columns` what records have.
    pub(crate) fn new(stream: &Stream, catalog: &Columns, columns: &Columns, cursor: &Cursor) -> Result<Self> {
        let named = stream.pushdown.columns.is_some();
        let mut projection = match named {
            true => columns_wanted(columns, stream.flatten.is_some()),
            false => crate::select::columns::projection(stream, columns),
        };
        let followed = followed(stream, cursor)?;
        let filter = stream.pushdown.filter.clone();
        let below = followed.as_ref().and_then(|column| column.bound.predicate(&column.name));
        let predicates = filter.iter().cloned().chain(below).collect();
        let plain = CsvOptions::default();
        let csv = match &stream.format {
            FormatOptions::Csv(csv) => csv,
            _ => &plain,
        };
        let unlisted = crate::select::columns::unlisted(stream);
        let everything = (stream.schemaless && !named) || unlisted == Unlisted::Write;
        let written = if everything { &Columns::All } else { columns };
        let row_filter = RowFilter::new(filter, followed, catalog, written, csv);
        if let (Projection::Columns(names) | Projection::Flattened(names), Some(row_filter)) =
            (&mut projection, &row_filter)
        {
            let more: Vec<_> = row_filter
                .columns()
                .filter(|name| !names.iter().any(|known| known == name))
                .map(str::to_owned)
                .collect();
            names.extend(more);
        }
        Ok(Self { projection, predicates, row_filter })
    }
}

/// The predicates that are left for a file whose key gives it these columns.
pub(crate) fn given(predicates: &Arc<[Predicate]>, constants: &[PartitionConstant]) -> Arc<[Predicate]> {
    if constants.is_empty() {
        return Arc::clone(predicates);
    }
    let rest = |predicate: &Predicate| match predicate.given(|name| known(constants, name)) {
        Rest::Everything => None,
        Rest::Nothing => Some(Predicate::never()),
        Rest::Some(rest) => Some(rest),
    };
    predicates.iter().filter_map(rest).collect()
}

/// The value that a key gives a column.
pub(crate) fn known<'c>(constants: &'c [PartitionConstant], name: &str) -> Option<Value<'c>> {
    constants.iter().find(|constant| constant.name == name).map(PartitionConstant::operand)
}

/// What is wanted of rows, as far as the key of a file answers it.
#[derive(Debug, Clone)]
pub(crate) struct KeyFilter {
    filter: Option<Predicate>,
    cursor: Option<CursorColumn>,
}

/// What a key says of the rows of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyVerdict {
    /// Some may be wanted.
    RowSelection,
    /// None passes the filter.
    Filtered,
    /// All lie below the cursor's bound.
    Below,
}

impl KeyFilter {
    /// Those of a stream; `None` where nothing is asked.
    ///
    /// # Errors
    /// As [`RowSelection::new`].
    pub(crate) fn of(stream: &Stream, cursor: &Cursor) -> Result<Option<Self>> {
        let (filter, cursor) = (stream.pushdown.filter.clone(), followed(stream, cursor)?);
        check_types(stream)?;
        Ok((filter.is_some() || cursor.is_some()).then_some(Self { filter, cursor }))
    }

    /// What the columns that a key gives say.
    pub(crate) fn of_key(&self, constants: &[PartitionConstant]) -> KeyVerdict {
        if let Some(filter) = &self.filter
            && filter.given(|name| known(constants, name)) == Rest::Nothing
        {
            return KeyVerdict::Filtered;
        }
        match &self.cursor {
            Some(cursor) if known(constants, &cursor.name).is_some_and(|value| cursor.bound.above(&value)) => {
                KeyVerdict::Below
            }
            _ => KeyVerdict::RowSelection,
        }
    }
}

/// The partition whose value cannot be compared with what a filter says, where nothing of the file can be wanted for that.
pub(crate) fn incomparable<'c>(
    filter: &Predicate,
    constants: &'c [PartitionConstant],
) -> Option<&'c PartitionConstant> {
    if filter.given(|name| known(constants, name)) != Rest::Nothing {
        return None;
    }
    constants.iter().find(|constant| {
        let (name, value) = (constant.name.as_str(), constant.operand());
        let unknown = |condition: &Condition| condition.test.truth(&value) == Truth::Unknown;
        value != Value::Null && filter.conditions().any(|condition| *condition.column == *name && unknown(condition))
    })
}

/// Checks that a filter can be asked of the partitions that have a type.
fn check_types(stream: &Stream) -> Result<()> {
    let Some(filter) = &stream.pushdown.filter else { return Ok(()) };
    for condition in filter.conditions() {
        if let Some(kind) = stream.partitions.type_of(&condition.column) {
            condition.check(match kind {
                PartitionType::String => Kind::Text,
                PartitionType::Integer | PartitionType::Number => Kind::Number,
                PartitionType::Boolean => Kind::Boolean,
                PartitionType::Date | PartitionType::Timestamp => Kind::Instant,
            })?;
        }
    }
    Ok(())
}

/// The record cursor with the bound of this run: what the runs before reached, less the lookback.
fn followed(stream: &Stream, cursor: &Cursor) -> Result<Option<CursorColumn>> {
    let Cursor::Incremental(cursor) = cursor else { return Ok(None) };
    let Some(record) = cursor.record() else { return Ok(None) };
    let bound = match &stream.pushdown.cursor_lookback {
        Some(lookback) => record.bound.lowered(lookback)?,
        None => record.bound.clone(),
    };
    Ok(Some(CursorColumn { name: record.field.clone(), bound }))
}
