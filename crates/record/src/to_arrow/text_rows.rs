//! Text rows → columns.

use std::collections::HashMap;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, SchemaRef};

use super::cell::{Cell, CellKind, Texts};
use super::column::{Context, as_it_is, column};
use super::misfit::Misfit;
use crate::cast::nullable;
use tollgate_base::batch::TextRows;
use tollgate_base::error::Result;
use tollgate_base::options::CsvOptions;

pub(super) fn columns(
    rows: &TextRows,
    schema: &SchemaRef,
    csv: &CsvOptions,
    misfits: &mut Vec<Misfit>,
) -> Result<Vec<ArrayRef>> {
    // Of columns with one name the last one counts.
    let places: HashMap<&str, usize> = rows.columns.iter().map(|name| &**name).zip(0..).collect();
    let texts = Texts::new(&rows.data);
    let mut cells = Vec::with_capacity(rows.rows);
    let mut arrays = Vec::with_capacity(schema.fields().len());
    for (index, field) in (0..).zip(schema.fields()) {
        cells.clear();
        match places.get(&**field.name()) {
            Some(place) => add_cells(rows, *place, texts, field, csv, &mut cells)?,
            None => cells.extend((0..rows.rows).map(|row| Cell::null(row as u32))),
        }
        arrays.push(column(&cells, field, &mut Context { column: index, csv, misfits })?);
    }
    Ok(arrays)
}

/// Adds the cells of the file's column at `place`.
fn add_cells<'a>(
    rows: &TextRows,
    place: usize,
    texts: Texts<'a>,
    field: &Field,
    csv: &CsvOptions,
    cells: &mut Vec<Cell<'a>>,
) -> Result<()> {
    // Texts that are not cast are looked up before anything else. A column of nulls takes the empty text too.
    let looks_up = as_it_is(field.data_type()) && nullable(true, csv);
    let only_nulls = *field.data_type() == DataType::Null;
    for row in 0..rows.rows {
        let (span, row) = (rows.fields[row * rows.columns.len() + place], row as u32);
        if span.absent() {
            cells.push(Cell::null(row));
            continue;
        }
        let text = texts.get(span)?;
        let null = (looks_up && csv.null_values.iter().any(|null| null == text)) || (only_nulls && text.is_empty());
        cells.push(if null { Cell::null(row) } else { Cell { text, row, kind: CellKind::Text } });
    }
    Ok(())
}
