//! Nested objects → columns of their own: `{"a":{"b":1}}` → `a_b`.
//!
//! Arrays stay as they are, with the objects in them. Names have so many parts at most; an object below that is a column with
//! its JSON text. An object without members has no column. Two columns of one name are both kept: a name that is taken gets
//! `_2`, `_3` and so on, and that is counted.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StringArray, StructArray};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use memchr::memchr2;

use super::arrow::json_texts;
use tollgate_base::batch::{Batch, JsonField, JsonKind, JsonRows, Span};
use tollgate_base::error::{Error, Result};
use tollgate_base::options::ParquetOptions;

/// What stands between the parts of a name.
const SEPARATOR: char = '_';

/// Flattens the batches of one file.
#[derive(Debug)]
pub struct Flattener {
    max_depth: usize,
    options: ParquetOptions,
    /// The schema of the last batch with columns, and what it became.
    schema: Option<(SchemaRef, SchemaRef)>,
    renamed: BTreeMap<String, u64>,
}

impl Flattener {
    /// Names of columns have `max_depth` parts at most, which is at least 1.
    #[must_use]
    pub fn new(max_depth: usize, options: ParquetOptions) -> Self {
        Self { max_depth: max_depth.max(1), options, schema: None, renamed: BTreeMap::new() }
    }

    /// The names that were taken already, with how often that was.
    #[must_use]
    pub fn renamed(&self) -> &BTreeMap<String, u64> {
        &self.renamed
    }

    /// The batch with a column for each member of a nested object.
    ///
    /// # Errors
    /// As the encoding of such a batch: a value below the last depth without a JSON text.
    pub fn flatten(&mut self, batch: Batch) -> Result<Batch> {
        match batch {
            Batch::Text(rows) => Ok(Batch::Text(rows)),
            Batch::Json(rows) => Ok(Batch::Json(self.flatten_json(rows))),
            Batch::Arrow(batch) => self.flatten_arrow(batch).map(Batch::Arrow),
        }
    }

    fn flatten_json(&mut self, rows: JsonRows) -> JsonRows {
        if rows.fields.iter().all(|field| field.kind != JsonKind::Object) {
            return rows;
        }
        let row_ends = Vec::with_capacity(rows.row_ends.len());
        let JsonRows { data, fields, row_ends: ends, starts, origin } = rows;
        let fields_out = Vec::with_capacity(fields.len() * 2);
        let given = data.len();
        let mut flat = FlatRows { data, fields: fields_out, names: HashMap::new(), given, max_depth: self.max_depth };
        let (mut start, mut flat_ends) = (0, row_ends);
        for end in ends {
            let row = &fields[start..end as usize];
            let first = flat.fields.len();
            let nested = row.iter().any(|field| field.kind == JsonKind::Object);
            for field in row {
                flat.add(*field, 1);
            }
            if nested {
                flat.tell_apart(first, row, &mut self.renamed);
            }
            flat_ends.push(flat.fields.len() as u32);
            start = end as usize;
        }
        JsonRows { data: flat.data, fields: flat.fields, row_ends: flat_ends, starts, origin }
    }

    fn flatten_arrow(&mut self, batch: RecordBatch) -> Result<RecordBatch> {
        let nested = |field: &Arc<Field>| matches!(field.data_type(), DataType::Struct(_));
        if !batch.schema_ref().fields().iter().any(nested) {
            return Ok(batch);
        }
        let known = self.schema.take().filter(|(from, _)| from == batch.schema_ref());
        let (from, to) = match known {
            Some(known) => known,
            None => {
                let flat = schema(batch.schema_ref(), self.max_depth);
                for name in &flat.renamed {
                    *self.renamed.entry(name.clone()).or_default() += 1;
                }
                (Arc::clone(batch.schema_ref()), Arc::new(flat.schema))
            }
        };
        let mut columns = Vec::with_capacity(to.fields().len());
        for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            self.add_column(field, column, 1, &mut columns)?;
        }
        self.schema = Some((from, Arc::clone(&to)));
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(to, columns, &options)
            .map_err(|error| Error::internal("flattened columns do not fit their schema").caused_by(error))
    }

    fn add_column(&self, field: &Field, column: &ArrayRef, depth: usize, columns: &mut Vec<ArrayRef>) -> Result<()> {
        let Some(object) = column.as_any().downcast_ref::<StructArray>() else {
            columns.push(Arc::clone(column));
            return Ok(());
        };
        if depth == self.max_depth {
            let texts: StringArray = json_texts(field, column, self.options)?;
            columns.push(Arc::new(texts));
            return Ok(());
        }
        let DataType::Struct(fields) = field.data_type() else {
            return Err(Error::internal("a field of a struct has a different type"));
        };
        for (field, member) in fields.iter().zip(object.columns()) {
            self.add_column(field, &with_nulls_of(object, member)?, depth + 1, columns)?;
        }
        Ok(())
    }
}

/// A member of a struct, null where the struct is.
fn with_nulls_of(object: &StructArray, member: &ArrayRef) -> Result<ArrayRef> {
    let Some(nulls) = object.nulls().filter(|nulls| nulls.null_count() > 0) else { return Ok(Arc::clone(member)) };
    let null = arrow::array::BooleanArray::new(!nulls.inner(), None);
    arrow::compute::nullif(member, &null)
        .map_err(|error| Error::internal("the nulls of a struct cannot be applied to its members").caused_by(error))
}

/// A schema with nested members as columns of their own.
#[derive(Debug)]
pub struct FlatSchema {
    /// The schema.
    pub schema: Schema,
    /// Names that were taken already.
    pub renamed: Vec<String>,
}

/// The schema of flattened batches.
#[must_use]
pub fn schema(schema: &Schema, max_depth: usize) -> FlatSchema {
    let mut flat = Vec::with_capacity(schema.fields().len());
    add_fields(schema.fields(), "", 1, max_depth.max(1), &mut flat);
    // Columns that are not nested keep their names, whatever comes before them.
    let mut taken: HashSet<String> =
        schema.fields().iter().filter(|field| !nested(field)).map(|field| field.name().clone()).collect();
    let mut renamed = Vec::new();
    let fields = flat.into_iter().map(|(field, deep)| {
        if !deep || taken.insert(field.name().clone()) {
            return field;
        }
        renamed.push(field.name().clone());
        let name = free_name(field.name(), |name| taken.contains(name));
        taken.insert(name.clone());
        Arc::new(Field::clone(&field).with_name(name))
    });
    let fields: Fields = fields.collect::<Vec<_>>().into();
    FlatSchema { schema: Schema::new(fields), renamed }
}

fn nested(field: &Field) -> bool {
    matches!(field.data_type(), DataType::Struct(_))
}

/// Appends the flat fields, each with whether it comes from inside of another or was made anew.
fn add_fields(fields: &Fields, prefix: &str, depth: usize, max_depth: usize, flat: &mut Vec<(Arc<Field>, bool)>) {
    for field in fields {
        let name = format!("{prefix}{}", field.name());
        match field.data_type() {
            DataType::Struct(members) if depth < max_depth => {
                add_fields(members, &format!("{name}{SEPARATOR}"), depth + 1, max_depth, flat);
            }
            DataType::Struct(_) => flat.push((Arc::new(Field::new(name, DataType::Utf8, true)), true)),
            kind => {
                let plain = Field::new(name, kind.clone(), true).with_metadata(field.metadata().clone());
                flat.push((Arc::new(plain), !prefix.is_empty()));
            }
        }
    }
}

/// The first name of `name_2`, `name_3`, … that is not taken.
fn free_name(name: &str, taken: impl Fn(&str) -> bool) -> String {
    (2u64..).map(|number| format!("{name}{SEPARATOR}{number}")).find(|name| !taken(name)).unwrap_or_default()
}

/// JSON rows in the making. New names and texts are appended to the data.
struct FlatRows {
    data: Vec<u8>,
    fields: Vec<JsonField>,
    /// The names that were made, so that each is in the data once.
    names: HashMap<Box<[u8]>, Span>,
    /// Bytes of the data that came in: what lies behind was made.
    given: usize,
    max_depth: usize,
}

impl FlatRows {
    /// Adds a field whose name has `depth` parts, or its members.
    fn add(&mut self, field: JsonField, depth: usize) {
        if field.kind != JsonKind::Object {
            self.fields.push(field);
            return;
        }
        if depth >= self.max_depth {
            let value = self.quoted(field.value);
            self.fields.push(JsonField { key: field.key, value, kind: JsonKind::String });
            return;
        }
        let mut at = field.value.start as usize;
        while let Some((key, value, kind)) = next_member(&self.data, &mut at) {
            let key = self.name(field.key, &key);
            let value = Span { start: value.start as u32, end: value.end as u32 };
            self.add(JsonField { key, value, kind }, depth + 1);
        }
    }

    /// The name of a member, as written.
    fn name(&mut self, parent: Span, key: &Range<usize>) -> Span {
        let joined =
            [parent.of(&self.data), SEPARATOR.encode_utf8(&mut [0; 4]).as_bytes(), &self.data[key.clone()]].concat();
        self.named(joined)
    }

    fn named(&mut self, name: Vec<u8>) -> Span {
        if let Some(span) = self.names.get(&*name) {
            return *span;
        }
        let span = self.append(&name);
        self.names.insert(name.into(), span);
        span
    }

    fn append(&mut self, text: &[u8]) -> Span {
        let start = self.data.len() as u32;
        self.data.extend_from_slice(text);
        Span { start, end: self.data.len() as u32 }
    }

    /// A value's JSON text as a JSON string.
    fn quoted(&mut self, value: Span) -> Span {
        let mut text = Vec::with_capacity(value.range().len() + 16);
        tollgate_base::json_string::write_string(&String::from_utf8_lossy(value.of(&self.data)), &mut text);
        self.append(&text)
    }

    /// Gives the fields of a row, from `first` on, that have a name that is taken another one. Names that the row itself has
    /// twice stay: which of them counts is the encoder's affair.
    fn tell_apart(&mut self, first: usize, row: &[JsonField], renamed: &mut BTreeMap<String, u64>) {
        let own = row.iter().filter(|field| field.kind != JsonKind::Object);
        let mut taken: HashSet<Vec<u8>> = own.map(|field| field.key.of(&self.data).to_vec()).collect();
        let mut others = Vec::new();
        for (index, field) in self.fields.iter().enumerate().skip(first) {
            let made = field.key.start as usize >= self.given;
            if made && !taken.insert(field.key.of(&self.data).to_vec()) {
                others.push(index);
            }
        }
        for index in others {
            let name = String::from_utf8_lossy(self.fields[index].key.of(&self.data)).into_owned();
            *renamed.entry(name.clone()).or_default() += 1;
            let name = free_name(&name, |name| taken.contains(name.as_bytes()));
            taken.insert(name.clone().into_bytes());
            self.fields[index].key = self.named(name.into_bytes());
        }
    }
}

/// The next member of an object of valid JSON: its key without quotes, its value, and the value's type. `at` begins at the
/// brace and moves on.
fn next_member(text: &[u8], at: &mut usize) -> Option<(Range<usize>, Range<usize>, JsonKind)> {
    let key_start = skip(text, *at, b"{, \t\n\r");
    if text.get(key_start) != Some(&b'"') {
        return None;
    }
    let key_end = string_end(text, key_start + 1);
    let start = skip(text, key_end, b": \t\n\r");
    let (end, kind) = value_end(text, start);
    *at = end;
    Some((key_start + 1..key_end - 1, start..end, kind))
}

fn skip(text: &[u8], mut at: usize, bytes: &[u8]) -> usize {
    while text.get(at).is_some_and(|byte| bytes.contains(byte)) {
        at += 1;
    }
    at
}

/// Behind the closing quote of a string whose content begins at `at`.
fn string_end(text: &[u8], mut at: usize) -> usize {
    while let Some(found) = memchr2(b'"', b'\\', &text[at..]) {
        at += found + 1;
        if text[at - 1] == b'"' {
            return at;
        }
        at += 1;
    }
    text.len()
}

/// Behind a value, and its type.
fn value_end(text: &[u8], start: usize) -> (usize, JsonKind) {
    match text.get(start) {
        Some(b'"') => (string_end(text, start + 1), JsonKind::String),
        Some(b'{') => (container_end(text, start), JsonKind::Object),
        Some(b'[') => (container_end(text, start), JsonKind::Array),
        _ => {
            let length = text[start..].iter().position(|byte| b",}] \t\n\r".contains(byte));
            let end = length.map_or(text.len(), |length| start + length);
            let kind = match text.get(start) {
                Some(b'n') => JsonKind::Null,
                Some(b't' | b'f') => JsonKind::Boolean,
                _ if text[start..end].iter().any(|byte| b".eE".contains(byte)) => JsonKind::Number,
                _ => JsonKind::Integer,
            };
            (end, kind)
        }
    }
}

fn container_end(text: &[u8], start: usize) -> usize {
    let (mut at, mut open) = (start, 0usize);
    while let Some(byte) = text.get(at) {
        at += 1;
        match byte {
            b'"' => at = string_end(text, at),
            b'{' | b'[' => open += 1,
            b'}' | b']' => {
                open -= 1;
                if open == 0 {
                    return at;
                }
            }
            _ => {}
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, ListArray};
    use arrow::datatypes::Int64Type;

    use super::*;

    /// A row as its members, by way of the decoder's own form.
    fn json(rows: &[&str]) -> JsonRows {
        let mut batch = JsonRows::default();
        for row in rows {
            let offset = batch.data.len();
            batch.data.extend_from_slice(row.as_bytes());
            let mut at = offset;
            while let Some((key, value, kind)) = next_member(&batch.data, &mut at) {
                let span = |range: Range<usize>| Span { start: range.start as u32, end: range.end as u32 };
                batch.fields.push(JsonField { key: span(key), value: span(value), kind });
            }
            batch.row_ends.push(batch.fields.len() as u32);
        }
        batch
    }

    fn flat(rows: &[&str], max_depth: usize) -> (Vec<String>, BTreeMap<String, u64>) {
        let mut flattener = Flattener::new(max_depth, ParquetOptions::default());
        let Batch::Json(flat) = flattener.flatten(Batch::Json(json(rows))).unwrap() else { panic!("JSON stays JSON") };
        let text = |span: Span| String::from_utf8(span.of(&flat.data).to_vec()).unwrap();
        let shown = (0..flat.row_ends.len()).map(|row| {
            let members = flat.row(row).iter().map(|field| {
                let (value, kind) = (text(field.value), field.kind);
                let parsed: serde_json::Value = serde_json::from_str(&value).unwrap();
                assert_eq!(parsed.is_string(), kind == JsonKind::String, "{value}");
                assert_eq!(parsed.is_i64() || parsed.is_u64(), kind == JsonKind::Integer, "{value}");
                format!("{}={value}", text(field.key))
            });
            members.collect::<Vec<_>>().join(" ")
        });
        (shown.collect(), flattener.renamed.clone())
    }

    #[test]
    fn members_of_objects_become_columns() {
        let (rows, renamed) = flat(
            &[
                r#"{"a": {"b" : 1, "c":{"d":"x\"}", "e":[{"f":1}, 2]}}, "g":-1.5}"#,
                r#"{"g":2,"a":{"b":null,"c":{}},"h\n":{"i":true},"j":[]}"#,
                r#"{"k":1}"#,
            ],
            10,
        );
        assert_eq!(
            rows,
            [r#"a_b=1 a_c_d="x\"}" a_c_e=[{"f":1}, 2] g=-1.5"#, r#"g=2 a_b=null h\n_i=true j=[]"#, r#"k=1"#,]
        );
        assert!(renamed.is_empty());
    }

    #[test]
    fn objects_below_the_last_depth_are_texts() {
        let row = r#"{"a":{"b":{"c":"\n"}},"d":[{"e":1}]}"#;
        assert_eq!(flat(&[row], 1).0, [r#"a="{\"b\":{\"c\":\"\\n\"}}" d=[{"e":1}]"#]);
        assert_eq!(flat(&[row], 2).0, [r#"a_b="{\"c\":\"\\n\"}" d=[{"e":1}]"#]);
        assert_eq!(flat(&[row], 3).0, [r#"a_b_c="\n" d=[{"e":1}]"#]);
    }

    #[test]
    fn names_that_are_taken_get_a_number_and_are_counted() {
        let (rows, renamed) = flat(
            &[
                r#"{"a":{"b":1},"a_b":2}"#,
                r#"{"a_b":2,"a":{"b":1}}"#,
                r#"{"a":{"b":{"c":1},"b_c":2},"a_b":{"c":3},"x":1,"x":2}"#,
            ],
            10,
        );
        // The row's own name stays, wherever it stands.
        assert_eq!(rows, ["a_b_2=1 a_b=2", "a_b=2 a_b_2=1", "a_b_c=1 a_b_c_2=2 a_b_c_3=3 x=1 x=2"]);
        assert_eq!(renamed.into_iter().collect::<Vec<_>>(), [("a_b".to_owned(), 2), ("a_b_c".to_owned(), 2)]);
    }

    #[test]
    fn deep_objects_need_no_deep_stack() {
        let deep = format!("{{\"a\":{}1{}}}", "{\"b\":".repeat(900), "}".repeat(900));
        let (rows, _) = flat(&[&deep], 100);
        assert!(rows[0].starts_with(&format!("a{}=\"{{", "_b".repeat(99))), "{}", &rows[0][..300]);
    }

    #[test]
    fn structs_become_columns_with_the_nulls_around_them() {
        let field = |name: &str, kind: DataType| Arc::new(Field::new(name, kind, true));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(2), None]));
        let inner_fields = Fields::from(vec![field("c", DataType::Int64)]);
        let inner =
            StructArray::new(inner_fields.clone(), vec![Arc::clone(&numbers)], Some(vec![true, false, true].into()));
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1)]), None, Some(vec![])]);
        let outer_fields =
            Fields::from(vec![field("b", DataType::Struct(inner_fields)), field("l", lists.data_type().clone())]);
        let outer = StructArray::new(
            outer_fields.clone(),
            vec![Arc::new(inner), Arc::new(lists)],
            Some(vec![false, true, true].into()),
        );
        let schema =
            Arc::new(Schema::new(vec![field("a", DataType::Struct(outer_fields)), field("a_l", DataType::Int64)]));
        let batch = RecordBatch::try_new(schema, vec![Arc::new(outer), numbers]).unwrap();
        let mut flattener = Flattener::new(10, ParquetOptions::default());
        let Batch::Arrow(flat) = flattener.flatten(Batch::Arrow(batch.clone())).unwrap() else {
            panic!("columns stay")
        };
        let names: Vec<&str> = flat.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["a_b_c", "a_l_2", "a_l"]);
        assert_eq!(flat.column(0).as_ref(), &Int64Array::from(vec![None::<i64>, None, None]) as &dyn Array);
        assert!(flat.column(1).is_null(0) && flat.column(1).is_null(1) && !flat.column(1).is_null(2));
        assert_eq!(flattener.renamed().iter().collect::<Vec<_>>(), [(&"a_l".to_owned(), &1)]);

        let mut flattener = Flattener::new(1, ParquetOptions::default());
        let Batch::Arrow(flat) = flattener.flatten(Batch::Arrow(batch)).unwrap() else { panic!("columns stay") };
        let texts = flat.column(0).as_any().downcast_ref::<StringArray>().unwrap();
        assert_eq!((texts.is_null(0), texts.value(1)), (true, r#"{"b":null,"l":null}"#));
        assert_eq!(texts.value(2), r#"{"b":{"c":null},"l":[]}"#);
    }
}
