//! S3 Inventory: what its manifest says, its rows as objects, and its keys in order.
//!
//! ```text
//!   manifest.json ─▶ files ─ decoded elsewhere ─▶ batches ─▶ objects ─ those that are wanted ─▶ sorted runs ─▶ merged
//! ```
//! Nothing promises that the rows of an inventory are in order, so they are sorted in pieces of [`CHUNK`] objects. Pieces
//! that follow one another, as those of a sorted inventory do, are one run.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use percent_encoding::percent_decode;
use serde::Deserialize;

use super::files::FileList;
use tollgate_base::batch::{Batch, TextRows};
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::object::{ObjectFacts, StorageClass, Timestamp};
use tollgate_base::options::{CsvHeader, CsvOptions, FormatOptions, ParquetOptions};

/// Objects that are sorted at a time.
const CHUNK: usize = 16_384;

/// Columns that an inventory must have, as its configuration names them.
const NEEDED: [(&str, &str); 4] =
    [("key", "Key"), ("size", "Size"), ("lastmodifieddate", "LastModifiedDate"), ("etag", "ETag")];

/// What a manifest says.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The bucket that was listed.
    pub source_bucket: String,
    /// When S3 began to gather it.
    pub created_at: Timestamp,
    /// How its files are read.
    pub format: FormatOptions,
    /// Its files.
    pub files: Vec<ManifestFile>,
}

/// A file of an inventory.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ManifestFile {
    /// The key in the bucket of the manifest.
    pub key: String,
    /// Its bytes.
    pub size: u64,
    /// The MD5 of its bytes in hexadecimal digits; S3 writes it, other tools may not.
    #[serde(default, rename = "MD5checksum")]
    pub md5: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    source_bucket: String,
    creation_timestamp: serde_json::Value,
    file_format: String,
    file_schema: String,
    files: Vec<ManifestFile>,
}

impl Manifest {
    /// Reads `manifest.json`.
    ///
    /// # Errors
    /// `Data` where it is no manifest, `Config` where the inventory lacks what a listing needs, `Unsupported` for ORC.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let written: Written = serde_json::from_slice(text)
            .map_err(|error| Error::data("the manifest of the inventory has another form").caused_by(error))?;
        let millis = match &written.creation_timestamp {
            serde_json::Value::String(text) => text.parse::<i64>().ok(),
            other => other.as_i64(),
        };
        let millis = millis.ok_or_else(|| Error::data("the manifest of the inventory has no `creationTimestamp`"))?;
        let columns: Vec<String> = written.file_schema.split(',').map(|column| column.trim().to_owned()).collect();
        let format = match written.file_format.to_ascii_lowercase().as_str() {
            "csv" => {
                has_needed(columns.iter().map(String::as_str))?;
                FormatOptions::Csv(CsvOptions { header: CsvHeader::UserProvided(columns), ..CsvOptions::default() })
            }
            "parquet" => FormatOptions::Parquet(ParquetOptions::default()),
            other => {
                return Err(Error::new(ErrorKind::Unsupported, format!("inventories of {other} are not supported"))
                    .hint("let the inventory be written as CSV or Parquet"));
            }
        };
        Ok(Self {
            source_bucket: written.source_bucket.rsplit(':').next().unwrap_or_default().to_owned(),
            created_at: Timestamp::from_micros(millis.saturating_mul(1000)),
            format,
            files: written.files,
        })
    }
}

/// A column's name as CSV (`LastModifiedDate`) and Parquet (`last_modified_date`) have it in common.
fn plain_name(name: &str) -> String {
    name.chars().filter(|letter| *letter != '_').map(|letter| letter.to_ascii_lowercase()).collect()
}

fn has_needed<'a>(columns: impl Iterator<Item = &'a str>) -> Result<()> {
    let columns: Vec<String> = columns.map(plain_name).collect();
    let missing: Vec<&str> = NEEDED
        .iter()
        .filter(|(name, _)| !columns.iter().any(|column| column == name))
        .map(|(_, shown)| *shown)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::config(format!("the inventory does not have {}", missing.join(", ")))
        .hint("add the fields size, last modified date and ETag to the inventory's configuration"))
}

/// A row before it is looked at.
#[derive(Default)]
struct Fields<'a> {
    key: &'a [u8],
    size: Option<u64>,
    modified_at: Option<Timestamp>,
    etag: &'a str,
    storage_class: &'a str,
    /// Whether it is an older version, or the mark of a deletion.
    past: bool,
}

impl Fields<'_> {
    /// The object; `None` for one that is not there any more.
    fn object(&self, encoded: bool) -> Result<Option<ObjectFacts>> {
        if self.past {
            return Ok(None);
        }
        let key = if encoded { url_decoded(self.key) } else { String::from_utf8(self.key.to_vec()).ok() };
        let named = |what: &str| {
            let key = String::from_utf8_lossy(self.key).into_owned();
            Error::data(format!("a row of the inventory has no {what}")).with("key", key)
        };
        Ok(Some(ObjectFacts {
            key: key.filter(|key| !key.is_empty()).ok_or_else(|| named("key"))?.into(),
            size: self.size.ok_or_else(|| named("size"))?,
            modified_at: self.modified_at.ok_or_else(|| named("date"))?,
            // Listings have quotes around it.
            etag: if self.etag.is_empty() { "".into() } else { format!("\"{}\"", self.etag.trim_matches('"')).into() },
            storage_class: StorageClass::from_name(self.storage_class),
        }))
    }
}

/// A plus sign that belongs to the key is `%2B`, however spaces are written.
fn url_decoded(text: &[u8]) -> Option<String> {
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_decode(&spaced).decode_utf8().ok().map(|text| text.into_owned())
}

/// Hands over the objects of a batch that were there when the inventory was made.
///
/// # Errors
/// `Data` where a row is not what an inventory has, and what `each` says.
pub fn objects(batch: &Batch, mut each: impl FnMut(ObjectFacts)) -> Result<()> {
    match batch {
        Batch::Text(rows) => of_text(rows, &mut each),
        Batch::Arrow(rows) => of_columns(rows, &mut each),
        Batch::Json(_) => Err(Error::internal("an inventory was read as JSON")),
    }
}

fn of_text(rows: &TextRows, each: &mut impl FnMut(ObjectFacts)) -> Result<()> {
    let names: Vec<String> = rows.columns.iter().map(|name| plain_name(name)).collect();
    let place = |name: &str| names.iter().position(|known| known == name);
    let [key, size, modified_at, etag] = NEEDED.map(|(name, _)| place(name));
    let [class, latest, marker] = ["storageclass", "islatest", "isdeletemarker"].map(place);
    for row in 0..rows.rows {
        let spans = rows.row(row);
        let bytes = |place: Option<usize>| place.map_or(&b""[..], |place| spans[place].of(&rows.data));
        let text = |place| std::str::from_utf8(bytes(place)).unwrap_or_default();
        let fields = Fields {
            key: bytes(key),
            size: text(size).parse().ok(),
            modified_at: Timestamp::parse(text(modified_at)),
            etag: text(etag),
            storage_class: text(class),
            past: text(latest).eq_ignore_ascii_case("false") || text(marker).eq_ignore_ascii_case("true"),
        };
        if let Some(object) = fields.object(true)? {
            each(object);
        }
    }
    Ok(())
}

fn of_columns(rows: &RecordBatch, each: &mut impl FnMut(ObjectFacts)) -> Result<()> {
    let schema = rows.schema();
    has_needed(schema.fields().iter().map(|field| field.name().as_str()))?;
    let column = |name: &str, kind: DataType| -> Result<Option<ArrayRef>> {
        let Some(index) = schema.fields().iter().position(|field| plain_name(field.name()) == name) else {
            return Ok(None);
        };
        let wrong = |error| Error::data(format!("column '{name}' of the inventory has another type")).caused_by(error);
        // Dates without their logical type are milliseconds, as those with it.
        let array = match (rows.column(index).data_type(), &kind) {
            (DataType::Int64, DataType::Timestamp(..)) => {
                cast(rows.column(index), &DataType::Timestamp(TimeUnit::Millisecond, None)).map_err(wrong)?
            }
            _ => Arc::clone(rows.column(index)),
        };
        cast(&array, &kind).map(Some).map_err(wrong)
    };
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    let texts = |name| column(name, DataType::Utf8);
    let (key, etag, class) = (texts("key")?, texts("etag")?, texts("storageclass")?);
    let (size, modified_at) = (column("size", DataType::Int64)?, column("lastmodifieddate", micros)?);
    let modified_at = modified_at.map(|times| cast(&times, &DataType::Int64)).transpose();
    let modified_at = modified_at.map_err(|error| Error::internal("times are no numbers").caused_by(error))?;
    let (latest, marker) = (column("islatest", DataType::Boolean)?, column("isdeletemarker", DataType::Boolean)?);
    for row in 0..rows.num_rows() {
        let fields = Fields {
            key: text_of(&key, row).as_bytes(),
            size: number_of(&size, row).and_then(|size| u64::try_from(size).ok()),
            modified_at: number_of(&modified_at, row).map(Timestamp::from_micros),
            etag: text_of(&etag, row),
            storage_class: text_of(&class, row),
            past: truth_of(&latest, row) == Some(false) || truth_of(&marker, row) == Some(true),
        };
        if let Some(object) = fields.object(false)? {
            each(object);
        }
    }
    Ok(())
}

fn there(array: &Option<ArrayRef>, row: usize) -> Option<&ArrayRef> {
    array.as_ref().filter(|array| array.is_valid(row))
}

fn text_of(array: &Option<ArrayRef>, row: usize) -> &str {
    there(array, row).map_or("", |array| array.as_string::<i32>().value(row))
}

fn number_of(array: &Option<ArrayRef>, row: usize) -> Option<i64> {
    Some(there(array, row)?.as_primitive::<Int64Type>().value(row))
}

fn truth_of(array: &Option<ArrayRef>, row: usize) -> Option<bool> {
    Some(there(array, row)?.as_boolean().value(row))
}

/// The objects of an inventory that a stream may want.
#[derive(Debug, Default)]
pub struct Inventory {
    runs: Vec<FileList>,
    /// The last key of the last run.
    last: Option<Arc<str>>,
    chunk: Vec<ObjectFacts>,
}

impl Inventory {
    /// Takes an object in, in any order.
    pub fn push(&mut self, object: ObjectFacts) {
        self.chunk.push(object);
        if self.chunk.len() >= CHUNK {
            self.settle();
        }
    }

    /// Puts what was taken in into its order. To be called after the last object.
    pub fn settle(&mut self) {
        let mut chunk = std::mem::take(&mut self.chunk);
        chunk.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        let (Some(first), Some(last)) = (chunk.first(), chunk.last()) else { return };
        if self.last.as_ref().is_none_or(|last| *last >= first.key) {
            self.runs.push(FileList::default());
        }
        self.last = Some(Arc::clone(&last.key));
        if let Some(run) = self.runs.last_mut() {
            chunk.iter().for_each(|object| run.push(object));
        }
        chunk.clear();
        self.chunk = chunk;
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.runs.iter().map(FileList::len).sum::<usize>() + self.chunk.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is an object whose key begins with this.
    #[must_use]
    pub fn has_prefix(&self, prefix: &str) -> bool {
        self.runs.iter().any(|run| {
            let (mut first, mut end) = (0, run.len());
            while first < end {
                let middle = usize::midpoint(first, end);
                match run.get(middle) {
                    Some(object) if *object.key < *prefix => first = middle + 1,
                    _ => end = middle,
                }
            }
            run.get(first).is_some_and(|object| object.key.starts_with(prefix))
        })
    }

    /// The objects in the order of their keys, each key once.
    #[must_use]
    pub fn in_order(self: Arc<Self>) -> InOrder {
        let mut heads = BinaryHeap::with_capacity(self.runs.len());
        for (run, list) in self.runs.iter().enumerate() {
            heads.extend(list.get(0).map(|object| Reverse(Head { object, run, index: 0 })));
        }
        InOrder { inventory: self, heads, last: None }
    }
}

/// The objects of an inventory in the order of their keys.
#[derive(Debug)]
pub struct InOrder {
    inventory: Arc<Inventory>,
    heads: BinaryHeap<Reverse<Head>>,
    last: Option<Arc<str>>,
}

/// The next object of a run.
#[derive(Debug)]
struct Head {
    object: ObjectFacts,
    run: usize,
    index: usize,
}

impl Head {
    /// Of rows with one key the newest comes first.
    fn place(&self) -> (&str, Reverse<Timestamp>, usize) {
        (&self.object.key, Reverse(self.object.modified_at), self.run)
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Head {}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place().cmp(&other.place())
    }
}

impl Iterator for InOrder {
    type Item = ObjectFacts;

    fn next(&mut self) -> Option<ObjectFacts> {
        loop {
            let Reverse(Head { object, run, index }) = self.heads.pop()?;
            let following = self.inventory.runs[run].get(index + 1);
            self.heads.extend(following.map(|object| Reverse(Head { object, run, index: index + 1 })));
            if self.last.as_ref() != Some(&object.key) {
                self.last = Some(Arc::clone(&object.key));
                return Some(object);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use tollgate_base::batch::Span;

    fn manifest(format: &str, schema: &str) -> Vec<u8> {
        let files = json!([{"key": "inv/data/a.csv.gz", "size": 12, "MD5checksum": "f1"}]);
        json!({
            "sourceBucket": "src", "destinationBucket": "arn:aws:s3:::inv", "version": "2016-11-30",
            "creationTimestamp": "1705284000000", "fileFormat": format, "fileSchema": schema, "files": files,
        })
        .to_string()
        .into_bytes()
    }

    #[test]
    fn a_manifest_tells_time_columns_and_files() {
        let schema = "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, StorageClass";
        let read = Manifest::parse(&manifest("CSV", schema)).unwrap();
        assert_eq!(read.source_bucket, "src");
        assert_eq!(read.created_at.to_string(), "2024-01-15T02:00:00.000000Z");
        let md5 = Some("f1".to_owned());
        assert_eq!(read.files, [ManifestFile { key: "inv/data/a.csv.gz".to_owned(), size: 12, md5 }]);
        let FormatOptions::Csv(CsvOptions { header: CsvHeader::UserProvided(columns), .. }) = read.format else {
            panic!("{read:?}")
        };
        assert_eq!((columns.len(), columns[6].as_str()), (9, "LastModifiedDate"));
        for (text, part) in [
            (manifest("ORC", "x"), "orc"),
            (manifest("CSV", "Bucket, Key, Size"), "does not have LastModifiedDate, ETag"),
            (b"{}".to_vec(), "another form"),
        ] {
            let error = Manifest::parse(&text).unwrap_err();
            assert!(error.message().contains(part), "{error}");
        }
    }

    fn text_rows(columns: &[&str], rows: &[&[&str]]) -> TextRows {
        let (mut data, mut fields) = (vec![b'"'], Vec::new());
        for text in rows.iter().copied().flatten() {
            let start = u32::try_from(data.len()).unwrap();
            data.extend_from_slice(text.as_bytes());
            fields.push(Span { start, end: u32::try_from(data.len()).unwrap() });
        }
        TextRows {
            columns: columns.iter().map(|name| Box::<str>::from(*name)).collect(),
            data,
            fields,
            rows: rows.len(),
            starts: Vec::new(),
            origin: Default::default(),
            adjusted: 0,
            originals: Default::default(),
        }
    }

    #[test]
    fn rows_of_csv_are_decoded_and_past_versions_left_out() {
        let columns =
            ["Bucket", "Key", "IsLatest", "IsDeleteMarker", "Size", "LastModifiedDate", "ETag", "StorageClass"];
        let date = "2024-01-15T12:00:00.000Z";
        let rows = text_rows(
            &columns,
            &[
                &["b", "a+b%2Bc%C3%BC", "true", "false", "7", date, "e1-2", "GLACIER"],
                &["b", "old", "false", "false", "7", date, "e2", "STANDARD"],
                &["b", "gone", "true", "true", "", date, "", ""],
            ],
        );
        let mut found = Vec::new();
        objects(&Batch::Text(rows), |object| found.push(object)).unwrap();
        let expected = ObjectFacts {
            key: "a b+cü".into(),
            size: 7,
            modified_at: Timestamp::parse(date).unwrap(),
            etag: "\"e1-2\"".into(),
            storage_class: StorageClass::Glacier,
        };
        assert_eq!(found, [expected]);
        let rows = text_rows(&columns, &[&["b", "x", "true", "false", "many", date, "e", ""]]);
        assert!(objects(&Batch::Text(rows), |_| ()).unwrap_err().message().contains("no size"));
    }

    fn object(key: &str, second: i64) -> ObjectFacts {
        ObjectFacts {
            key: key.into(),
            size: 1,
            modified_at: Timestamp::from_seconds(second, 0),
            etag: "".into(),
            storage_class: StorageClass::Standard,
        }
    }

    #[test]
    fn keys_come_in_order_whatever_their_order_was() {
        let mut inventory = Inventory::default();
        let count = 3 * CHUNK + 5;
        // A step that has no factor in common with the count meets each place once.
        (0..count).for_each(|at| inventory.push(object(&format!("k/{:06}", at * 7919 % count), 1)));
        inventory.push(object("k/000003", 2));
        inventory.settle();
        assert!(inventory.has_prefix("k/0000") && inventory.has_prefix(&format!("k/{:06}", count - 1)));
        assert!(!inventory.has_prefix("j/") && !inventory.has_prefix("l/") && !inventory.has_prefix("k/0000000"));
        let found: Vec<ObjectFacts> = Arc::new(inventory).in_order().collect();
        assert_eq!(found.len(), count);
        assert!(found.windows(2).all(|pair| pair[0].key < pair[1].key));
        assert_eq!(found[3].modified_at, Timestamp::from_seconds(2, 0), "the newer of two rows with one key");
    }

    #[test]
    fn an_inventory_in_order_is_one_run() {
        let mut inventory = Inventory::default();
        (0..2 * CHUNK + 1).for_each(|at| inventory.push(object(&format!("k/{at:06}"), 1)));
        inventory.settle();
        assert_eq!((inventory.runs.len(), inventory.len()), (1, 2 * CHUNK + 1));
    }
}
