//! Files of writers that get something wrong, or that say more than the library reads. Each is made by changing the
//! metadata of a good file.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, ListArray, RecordBatch, StringArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields, Schema};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::data_type::{FixedLenByteArray, FixedLenByteArrayType};
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, ParquetMetaData, ParquetMetaDataBuilder, ParquetMetaDataReader,
    ParquetMetaDataWriter,
};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::tests::{only, read_whole, rows};
use tollgate_base::error::ErrorKind;
use tollgate_base::options::Projection;

fn table() -> RecordBatch {
    let numbers: ArrayRef = Arc::new((0..100).map(|row| row % 7).collect::<Int64Array>());
    let texts: ArrayRef = Arc::new((0..100).map(|row| Some(format!("text {}", row % 5))).collect::<StringArray>());
    RecordBatch::try_from_iter([("number", numbers), ("text", texts)]).unwrap()
}

fn written(table: &RecordBatch, properties: WriterProperties) -> Bytes {
    let mut writer = ArrowWriter::try_new(Vec::new(), table.schema(), Some(properties)).unwrap();
    writer.write(table).unwrap();
    writer.into_inner().unwrap().into()
}

/// Old writers write no indexes.
fn old_properties(created_by: &str) -> WriterProperties {
    WriterProperties::builder()
        .set_created_by(created_by.to_owned())
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .build()
}

/// The file with other metadata.
fn changed(file: &Bytes, change: impl FnOnce(ParquetMetaData) -> ParquetMetaData) -> Bytes {
    let metadata = ParquetMetaDataReader::new().parse_and_finish(file).unwrap();
    let length = u32::from_le_bytes(file[file.len() - 8..file.len() - 4].try_into().unwrap()) as usize;
    let mut out = file[..file.len() - 8 - length].to_vec();
    ParquetMetaDataWriter::new(&mut out, &change(metadata)).finish().unwrap();
    out.into()
}

fn with_chunks(
    metadata: &ParquetMetaData,
    change: impl Fn(&ColumnChunkMetaData) -> ColumnChunkMetaData,
) -> ParquetMetaData {
    let groups = metadata.row_groups().iter().map(|group| {
        let columns = group.columns().iter().map(&change).collect();
        group.clone().into_builder().set_column_metadata(columns).build().unwrap()
    });
    metadata.clone().into_builder().set_row_groups(groups.collect()).build()
}

#[test]
fn a_dictionary_page_at_offset_zero_stands_for_none() {
    let file = written(&table(), WriterProperties::builder().set_dictionary_enabled(false).build());
    let file = changed(&file, |metadata| {
        with_chunks(&metadata, |chunk| {
            chunk.clone().into_builder().set_dictionary_page_offset(Some(0)).build().unwrap()
        })
    });
    assert_eq!(rows(&read_whole(&file, &Projection::All, 30).unwrap()), table());
}

#[test]
fn chunks_that_leave_out_the_header_of_their_dictionary_go_on_to_the_next_one() {
    for (created_by, good) in [
        ("parquet-mr", true),
        ("parquet-mr version 1.2.8 (build abc)", true),
        ("parquet-mr version 1.2.9", false),
        ("parquet-rs version 1.0.0", false),
    ] {
        let file = written(&table(), old_properties(created_by));
        let file = changed(&file, |metadata| {
            with_chunks(&metadata, |chunk| {
                let (start, length) = (chunk.dictionary_page_offset().unwrap(), chunk.compressed_size());
                let chunk = chunk.clone().into_builder().set_dictionary_page_offset(None);
                chunk.set_data_page_offset(start).set_total_compressed_size(length - 14).build().unwrap()
            })
        });
        match read_whole(&file, &Projection::All, 30) {
            Ok(batches) => assert!(good && rows(&batches) == table(), "{created_by}"),
            Err(error) => assert!(!good, "{created_by}: {error:?}"),
        }
    }
}

#[test]
fn a_file_has_the_rows_of_its_row_groups_whatever_it_says() {
    let file = changed(&written(&table(), WriterProperties::default()), |metadata| {
        let file = metadata.file_metadata();
        let keys = file.key_value_metadata().cloned();
        let file = FileMetaData::new(file.version(), 0, None, keys, file.schema_descr_ptr(), None);
        ParquetMetaDataBuilder::new(file).set_row_groups(metadata.row_groups().to_vec()).build()
    });
    assert_eq!(rows(&read_whole(&file, &Projection::All, 30).unwrap()), table());
}

#[test]
fn two_columns_of_one_name_are_refused_by_name() {
    let number = |name: &str| Arc::new(Field::new(name, DataType::Int64, true));
    let values: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let twice: Fields = vec![number("x"), number("x")].into();
    let twice: ArrayRef = Arc::new(StructArray::new(twice, vec![Arc::clone(&values), Arc::clone(&values)], None));
    let item = Arc::new(Field::new("item", twice.data_type().clone(), true));
    let listed = ListArray::new(item, OffsetBuffer::from_lengths([1, 1]), Arc::clone(&twice), None);
    let columns: [(&str, Vec<ArrayRef>); 3] = [
        ("a", vec![Arc::clone(&values), Arc::clone(&values), Arc::clone(&values)]),
        ("a.x", vec![Arc::clone(&twice), Arc::clone(&values)]),
        ("a.x", vec![Arc::new(listed), Arc::clone(&values)]),
    ];
    for (name, columns) in columns {
        let fields: Vec<Field> = columns
            .iter()
            .enumerate()
            .map(|(at, values)| {
                let last = at + 1 == columns.len();
                Field::new(if last { "b" } else { "a" }, values.data_type().clone(), true)
            })
            .collect();
        let table = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
        let file = written(&table, WriterProperties::default());
        let error = read_whole(&file, &Projection::All, 10).unwrap_err();
        assert_eq!((error.kind(), error.get("column")), (ErrorKind::Unsupported, Some(name)), "{error:?}");
        let others = rows(&read_whole(&file, &only(&["b"]), 10).unwrap());
        assert_eq!((others.num_columns(), others.num_rows()), (1, 2), "columns that nobody asked for may be so called");
    }
}

#[test]
fn uuids_are_marked_whoever_wrote_them() {
    let text = "message m { required fixed_len_byte_array(16) u (UUID); required fixed_len_byte_array(16) v; }";
    let schema = Arc::new(parse_message_type(text).unwrap());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    while let Some(mut column) = group.next_column().unwrap() {
        let values = [FixedLenByteArray::from(vec![7; 16])];
        column.typed::<FixedLenByteArrayType>().write_batch(&values, None, None).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    let file: Bytes = writer.into_inner().unwrap().into();
    for (projection, uuids) in
        [(Projection::All, &[true, false][..]), (only(&["u"]), &[true]), (only(&["v"]), &[false])]
    {
        let schema = rows(&read_whole(&file, &projection, 10).unwrap()).schema();
        let name =
            |field: &Arc<Field>| field.metadata().get("ARROW:extension:name").is_some_and(|name| name == "arrow.uuid");
        assert_eq!(schema.fields().iter().map(name).collect::<Vec<_>>(), uuids, "{schema:?}");
    }
}
