//! A Parquet file's last bytes: where its metadata is, and whether what it promises can be true.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::{LogicalType, TimeUnit as ParquetTimeUnit, Type as PhysicalType};
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, ParquetMetaData, ParquetMetaDataBuilder, ParquetMetaDataOptions,
    ParquetMetaDataReader, ParquetStatisticsPolicy, RowGroupMetaData,
};
use parquet::schema::types::TypePtr;

use super::guard::guarded;
use super::prune::Pruner;
use super::shape;
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::options::Projection;
use tollgate_base::predicate::Predicate;

/// The metadata's length and the magic bytes: the last bytes of every Parquet file.
const ENDING_BYTES: u64 = 8;
/// The magic bytes at the start.
const START_BYTES: u64 = 4;
/// The header of a dictionary page has no more bytes.
const PAGE_HEADER_BYTES: u64 = 100;

const ENCRYPTED: &str = "the Parquet file is encrypted";

/// What a file's footer tells, for discovery and estimates: known after the first one or two ranges, before any
/// row group is asked for.
#[derive(Debug, Clone)]
pub struct Footer {
    /// All columns of the file, whatever the projection.
    pub schema: SchemaRef,
    /// Rows of the file.
    pub rows: u64,
    /// Row groups of the file.
    pub row_groups: usize,
    /// Bytes of the column chunks that the projection needs, in all row groups.
    pub wanted_bytes: u64,
}

/// A footer with what decoding needs of it.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) reader: ArrowReaderMetadata,
    pub(super) mask: ProjectionMask,
    /// The filters, where there are any.
    pub(super) pruner: Option<Pruner>,
    pub(super) footer: Footer,
    /// The schema of batches where it tells more than they do themselves.
    pub(super) marked: Option<SchemaRef>,
}

/// Where a file of `size` bytes has its metadata, from its last bytes.
pub(super) fn metadata_range(tail: &[u8], size: u64, limit_bytes: u64) -> Result<Range<u64>> {
    let ending = tail.last_chunk::<{ ENDING_BYTES as usize }>();
    let Some([l0, l1, l2, l3, magic @ ..]) = ending.filter(|_| size >= ENDING_BYTES + START_BYTES) else {
        return Err(Error::data("the file is too short for Parquet").with("bytes", size));
    };
    match magic {
        b"PAR1" => {}
        b"PARE" => return Err(Error::new(ErrorKind::Unsupported, ENCRYPTED)),
        _ => {
            return Err(Error::data("the file does not end like a Parquet file")
                .hint("check the stream's format, or exclude such files with its patterns"));
        }
    }
    let length = u64::from(u32::from_le_bytes([*l0, *l1, *l2, *l3]));
    let end = size - ENDING_BYTES;
    if length > end - START_BYTES {
        return Err(Error::data("the Parquet footer is longer than the file").with("footer_bytes", length));
    }
    if length > limit_bytes {
        return Err(Error::data("the Parquet footer is longer than the limit")
            .with("footer_bytes", length)
            .with("limit_bytes", limit_bytes));
    }
    Ok(end - length..end)
}

/// Reads the metadata, and checks what later steps rely on: lengths are not negative, and column chunks lie
/// inside the file.
pub(super) fn open(bytes: &[u8], size: u64, projection: &Projection, predicates: &Arc<[Predicate]>) -> Result<Opened> {
    let shape = shape::check(bytes)?;
    let bytes = &*shape.readable(bytes);
    let metadata = Arc::new(decode(bytes, &[], size)?);
    let reader = reader_of(&metadata)?;
    let roots = reader.parquet_schema().root_schema().get_fields();
    let wanted = roots.iter().enumerate().filter(|(_, field)| projection.wants(field.name())).map(|(root, _)| root);
    let mask = ProjectionMask::roots(reader.parquet_schema(), wanted);
    if let Some(leaf) = shape.encrypted.iter().copied().find(|leaf| mask.leaf_included(*leaf)) {
        let column = reader.parquet_schema().columns().get(leaf).map(|column| column.path().string());
        return Err(Error::new(ErrorKind::Unsupported, ENCRYPTED).with("column", column.unwrap_or_default()));
    }
    let wanted = || reader.schema().fields().iter().filter(|field| projection.wants(field.name()));
    check_names(wanted(), "")?;
    let marked = with_uuids(&reader);
    let schema = Arc::clone(marked.as_ref().unwrap_or(reader.schema()));
    let marked = marked.map(|schema| {
        let fields = schema.fields().iter().filter(|field| projection.wants(field.name())).cloned();
        Arc::new(Schema::new_with_metadata(fields.collect::<Fields>(), schema.metadata().clone()))
    });
    let mut footer = Footer { schema, rows: 0, row_groups: metadata.num_row_groups(), wanted_bytes: 0 };
    for (group, facts) in metadata.row_groups().iter().enumerate() {
        let (rows, bytes) = check_row_group(facts, &mask, size).map_err(|error| error.with("row_group", group))?;
        footer.rows = footer.rows.saturating_add(rows);
        footer.wanted_bytes = footer.wanted_bytes.saturating_add(bytes);
    }
    let Some(pruner) = Pruner::new(predicates, reader.schema(), metadata.file_metadata()) else {
        return Ok(Opened { reader, mask, pruner: None, footer, marked });
    };
    // Which columns the filters ask for is known only now; reading a footer twice costs less than all statistics.
    let leaves: Vec<usize> = pruner.leaves().map(|(_, leaf)| leaf).collect();
    let metadata = Arc::new(decode(bytes, &leaves, size)?);
    Ok(Opened { reader: reader_of(&metadata)?, mask, pruner: Some(pruner), footer, marked })
}

/// Refuses two columns, or two members of a struct, that have one name: a record has room for one of them.
fn check_names<'a>(fields: impl Iterator<Item = &'a FieldRef>, parent: &str) -> Result<()> {
    let mut names = HashSet::new();
    for field in fields {
        let path = format!("{parent}{}", field.name());
        if !names.insert(field.name()) {
            return Err(Error::new(ErrorKind::Unsupported, "two columns of the Parquet file have the same name")
                .with("column", path)
                .hint("write the file with unique names, or remove the column from the stream's catalog"));
        }
        check_inside(field.data_type(), &path)?;
    }
    Ok(())
}

fn check_inside(kind: &DataType, path: &str) -> Result<()> {
    match kind {
        DataType::Struct(members) => check_names(members.iter(), &format!("{path}.")),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::ListView(item)
        | DataType::LargeListView(item) => check_inside(item.data_type(), path),
        // The names of its two parts have no meaning.
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(parts) => parts.iter().try_for_each(|part| check_inside(part.data_type(), path)),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// The schema with the columns of UUIDs marked as Arrow does it, if there are any that are not. Of what lies inside of other
/// columns only the arrays could tell.
fn with_uuids(reader: &ArrowReaderMetadata) -> Option<SchemaRef> {
    let roots = reader.parquet_schema().root_schema().get_fields();
    let uuid = |root: &TypePtr| matches!(root.get_basic_info().logical_type_ref(), Some(LogicalType::Uuid));
    if !roots.iter().any(uuid) {
        return None;
    }
    let fields = reader.schema().fields().iter().zip(roots).map(|(field, root)| {
        if !uuid(root) || !matches!(field.data_type(), DataType::FixedSizeBinary(16)) {
            return Arc::clone(field);
        }
        let mut metadata = field.metadata().clone();
        metadata.insert("ARROW:extension:name".to_owned(), "arrow.uuid".to_owned());
        Arc::new(Field::clone(field).with_metadata(metadata))
    });
    Some(Arc::new(Schema::new_with_metadata(fields.collect::<Fields>(), reader.schema().metadata().clone())))
}

/// A footer with the Arrow types of its columns. The Arrow schema that a writer may have put into the footer is a hint
/// (time zones, dictionaries). Where it cannot be read, the Parquet schema alone still tells all values.
pub(super) fn reader_of(metadata: &Arc<ParquetMetaData>) -> Result<ArrowReaderMetadata> {
    let open = |options| guarded(|| ArrowReaderMetadata::try_new(Arc::clone(metadata), options));
    let reader =
        open(ArrowReaderOptions::new()).or_else(|_| open(ArrowReaderOptions::new().with_skip_arrow_metadata(true)))?;
    let micros = int96_of_spark(metadata.file_metadata());
    let fields = with_types(reader.schema().fields(), &|kind| read_as(kind, micros));
    if fields == *reader.schema().fields() {
        return Ok(reader);
    }
    let schema = Schema::new_with_metadata(fields, reader.schema().metadata().clone());
    open(ArrowReaderOptions::new().with_schema(Arc::new(schema))).or(Ok(reader))
}

/// The type that values of a type are read as. Texts are views of the pages that they stand in: a dictionary's text that many
/// rows have is in memory once. `micros`: times are whole microseconds.
fn read_as(kind: &DataType, micros: bool) -> Option<DataType> {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 => Some(DataType::Utf8View),
        DataType::Binary | DataType::LargeBinary => Some(DataType::BinaryView),
        DataType::Timestamp(TimeUnit::Nanosecond, zone) if micros => {
            Some(DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))
        }
        _ => None,
    }
}

/// Whether a file's times are INT96 numbers that Spark wrote. They are whole microseconds, of years that 64 bits of
/// nanoseconds do not reach: 9999 is what many people write for "never".
fn int96_of_spark(file: &FileMetaData) -> bool {
    let keys = file.key_value_metadata().into_iter().flatten();
    let of_spark = keys.map(|pair| pair.key.as_str()).any(|key| key.starts_with("org.apache.spark."));
    let leaves = || file.schema_descr().columns().iter();
    let nanos = |kind: &LogicalType| matches!(kind, LogicalType::Timestamp(of) if of.unit == ParquetTimeUnit::NANOS);
    of_spark
        && leaves().any(|leaf| leaf.physical_type() == PhysicalType::INT96)
        && !leaves().any(|leaf| leaf.logical_type_ref().is_some_and(nanos))
}

/// Fields whose values, or what lies inside of them, are read as other types.
fn with_types(fields: &Fields, read_as: &dyn Fn(&DataType) -> Option<DataType>) -> Fields {
    let item = |field: &FieldRef| with_types(&std::iter::once(Arc::clone(field)).collect(), read_as)[0].clone();
    let field = |field: &FieldRef| {
        let kind = match field.data_type() {
            DataType::List(inner) => DataType::List(item(inner)),
            DataType::LargeList(inner) => DataType::LargeList(item(inner)),
            DataType::FixedSizeList(inner, size) => DataType::FixedSizeList(item(inner), *size),
            DataType::Map(entries, sorted) => DataType::Map(item(entries), *sorted),
            DataType::Struct(members) => DataType::Struct(with_types(members, read_as)),
            other => read_as(other).unwrap_or_else(|| other.clone()),
        };
        Arc::new(Field::clone(field).with_data_type(kind))
    };
    fields.iter().map(field).collect()
}

/// Decodes a footer with the statistics of some leaves. Those of all can be most of a footer, and nobody uses them.
fn decode(bytes: &[u8], leaves: &[usize], size: u64) -> Result<ParquetMetaData> {
    let options = ParquetMetaDataOptions::new()
        .with_column_stats_policy(ParquetStatisticsPolicy::skip_except(leaves))
        .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .with_encoding_stats_policy(ParquetStatisticsPolicy::SkipAll);
    let metadata = guarded(|| ParquetMetaDataReader::decode_metadata_with_options(bytes, Some(&options)))?;
    repaired(metadata, size.saturating_sub(ENDING_BYTES + bytes.len() as u64))
}

/// The metadata without what some writers are known to get wrong, as all readers of the format repair it.
///
/// - The rows of the file are those of its row groups, whatever it says: the library makes batches of no more.
/// - A dictionary page at offset 0, or behind the data, stands for none.
/// - Old releases of parquet-mr leave the header of the dictionary page out of the length of a column chunk
///   (PARQUET-816): the chunk goes on to the next one.
fn repaired(metadata: ParquetMetaData, footer_start: u64) -> Result<ParquetMetaData> {
    let no_dictionary = |chunk: &ColumnChunkMetaData| {
        let offset = chunk.dictionary_page_offset();
        offset.is_some_and(|offset| (0..START_BYTES as i64).contains(&offset) || offset >= chunk.data_page_offset())
    };
    let short = shortens_chunks(metadata.file_metadata().created_by());
    let chunks = || metadata.row_groups().iter().flat_map(RowGroupMetaData::columns);
    let rows = metadata.row_groups().iter().fold(0, |rows: i64, group| rows.saturating_add(group.num_rows()));
    if !short && !chunks().any(no_dictionary) && metadata.file_metadata().num_rows() == rows {
        return Ok(metadata);
    }
    let mut starts: Vec<u64> =
        if short { chunks().map(|chunk| chunk_start(chunk) as u64).collect() } else { Vec::new() };
    starts.sort_unstable();
    let file = metadata.file_metadata();
    let file = FileMetaData::new(
        file.version(),
        rows,
        file.created_by().map(str::to_owned),
        file.key_value_metadata().cloned(),
        file.schema_descr_ptr(),
        file.column_orders().cloned(),
    );
    let mut groups = Vec::new();
    for group in metadata.row_groups().iter().cloned() {
        let columns = group.columns().iter().map(|chunk| {
            let mut repaired = chunk.clone().into_builder();
            if no_dictionary(chunk) {
                repaired = repaired.set_dictionary_page_offset(None);
            }
            let end = chunk_start(chunk).saturating_add(chunk.compressed_size()) as u64;
            let next = starts.get(starts.partition_point(|start| *start < end)).copied().unwrap_or(footer_start);
            if short && next > end {
                let missing = (next - end).min(PAGE_HEADER_BYTES);
                repaired = repaired.set_total_compressed_size(chunk.compressed_size().saturating_add(missing as i64));
            }
            guarded(|| repaired.build())
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        groups.push(guarded(|| group.into_builder().set_column_metadata(columns).build())?);
    }
    Ok(ParquetMetaDataBuilder::new(file).set_row_groups(groups).build())
}

fn chunk_start(chunk: &ColumnChunkMetaData) -> i64 {
    chunk.dictionary_page_offset().unwrap_or_else(|| chunk.data_page_offset())
}

/// Whether a writer is one of those whose column chunks are longer than they say: parquet-mr before 1.2.9, which is also what
/// does not tell its version.
fn shortens_chunks(created_by: Option<&str>) -> bool {
    let Some(version) = created_by.and_then(|by| by.trim().strip_prefix("parquet-mr")) else { return false };
    let version = version.trim_start().strip_prefix("version").unwrap_or(version);
    let mut parts = version.trim_start().split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    let mut part = || parts.next().unwrap_or(0);
    [part(), part(), part()] < [1u32, 2, 9]
}

/// The rows of a row group, and the bytes wanted of it.
fn check_row_group(group: &RowGroupMetaData, mask: &ProjectionMask, size: u64) -> Result<(u64, u64)> {
    let rows = u64::try_from(group.num_rows())
        .map_err(|_| Error::data("a row group has a negative number of rows").with("rows", group.num_rows()))?;
    let mut bytes = 0u64;
    for (leaf, chunk) in group.columns().iter().enumerate().filter(|(leaf, _)| mask.leaf_included(*leaf)) {
        let range = chunk_range(chunk, size).map_err(|error| error.with("column", group.column(leaf).column_path()))?;
        bytes = bytes.saturating_add(range.end - range.start);
    }
    Ok((rows, bytes))
}

/// Where a column chunk lies.
pub(super) fn chunk_range(chunk: &ColumnChunkMetaData, size: u64) -> Result<Range<u64>> {
    if chunk.file_path().is_some() {
        return Err(Error::new(ErrorKind::Unsupported, "a column chunk is in another file"));
    }
    let start = chunk_start(chunk);
    let outside = || Error::data("a column chunk is outside of the file").with("offset", start);
    let start = u64::try_from(start).map_err(|_| outside())?;
    let length = u64::try_from(chunk.compressed_size()).map_err(|_| outside())?;
    let end = start.checked_add(length).filter(|end| *end <= size).ok_or_else(outside)?;
    Ok(start..end)
}
