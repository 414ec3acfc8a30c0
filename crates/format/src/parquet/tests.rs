//! Tests of the decoder with files made in memory. Files of other tools are in `integration_tests/fixtures/parquet`.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, ListArray, RecordBatch, RecordBatchOptions, StringArray, StructArray};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, GzipLevel};
use parquet::file::metadata::ParquetMetaDataReader;
use parquet::file::properties::{WriterProperties, WriterVersion};

use super::pages::{Pages, check_pages};
use super::{ParquetDecoder, ParquetLimits, TAIL_BYTES};
use crate::decode::{Access, Decode, Step};
use tollgate_base::batch::{Batch, Decoded, Place, Position};
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::object::{ObjectFacts, StorageClass, Timestamp};
use tollgate_base::options::Projection;

/// Numbers that look random and are the same in every run.
pub(in crate::parquet) struct Random(u64);

impl Random {
    pub(in crate::parquet) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(in crate::parquet) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn table(rows: i64) -> RecordBatch {
    let mut random = Random::new(7);
    let texts = (0..rows).map(|row| (row % 7 != 0).then(|| format!("text {row} {:x}", random.below(u64::MAX))));
    let texts: StringArray = texts.collect();
    let lists = (0..rows).map(|row| (row % 5 != 0).then(|| (0..row % 4).map(Some).collect::<Vec<_>>()));
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(lists);
    let inner: ArrayRef = Arc::new((0..rows).map(|row| row * 3).collect::<Int64Array>());
    let structs = StructArray::from(vec![(Arc::new(Field::new("inner", DataType::Int64, true)), inner)]);
    RecordBatch::try_from_iter([
        ("id", Arc::new((0..rows).collect::<Int64Array>()) as ArrayRef),
        ("text", Arc::new(texts)),
        ("list", Arc::new(lists)),
        ("nested", Arc::new(structs)),
    ])
    .expect("columns of one length")
}

fn file(table: &RecordBatch, group_rows: usize, version: WriterVersion) -> Bytes {
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_writer_version(version)
        .set_max_row_group_row_count(Some(group_rows))
        .set_data_page_row_count_limit(100)
        .set_write_batch_size(50)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), table.schema(), Some(properties)).expect("a writer");
    writer.write(table).expect("a written table");
    writer.into_inner().expect("a closed file").into()
}

pub(in crate::parquet) fn facts(size: usize) -> ObjectFacts {
    ObjectFacts {
        key: "a/b.parquet".into(),
        size: size as u64,
        modified_at: Timestamp::default(),
        etag: "".into(),
        storage_class: StorageClass::Standard,
    }
}

fn limits(batch_rows: usize) -> ParquetLimits {
    ParquetLimits { batch_rows, ..ParquetLimits::default() }
}

/// What came out of a decoder, and what it asked for.
pub(super) struct Read {
    pub(super) batches: Vec<Decoded>,
    pub(super) asked: Vec<Vec<Range<u64>>>,
}

/// Runs a decoder to its end. `pieces` cuts the answer to one question into what is fed.
fn run(
    file: &Bytes,
    mut decoder: ParquetDecoder,
    mut pieces: impl FnMut(&[Range<u64>]) -> Vec<Range<u64>>,
) -> Result<Read> {
    assert_eq!(decoder.access(), Access::Ranges);
    let mut read = Read { batches: Vec::new(), asked: Vec::new() };
    loop {
        match decoder.step()? {
            Step::NeedRanges(ranges) => {
                for piece in pieces(&ranges) {
                    decoder.feed(piece.start, file.slice(piece.start as usize..piece.end as usize))?;
                }
                read.asked.push(ranges);
            }
            Step::Batch(batch) => read.batches.push(batch),
            Step::Done => return Ok(read),
            Step::NeedRoom | Step::Planned(_) => {}
            Step::NeedBytes => panic!("a decoder of ranges asks for a stream"),
        }
    }
}

pub(super) fn read_whole(file: &Bytes, projection: &Projection, batch_rows: usize) -> Result<Vec<Decoded>> {
    let decoder = ParquetDecoder::new(&facts(file.len()), projection, None, limits(batch_rows))?;
    run(file, decoder, <[_]>::to_vec).map(|read| read.batches)
}

/// A batch with texts of their own in the place of views.
fn copied(batch: &RecordBatch) -> RecordBatch {
    let columns = batch.schema_ref().fields().iter().zip(batch.columns()).map(|(field, column)| {
        let column = match field.data_type() {
            DataType::Utf8View => cast(column, &DataType::Utf8).expect("texts"),
            _ => Arc::clone(column),
        };
        (Arc::new(Field::clone(field).with_data_type(column.data_type().clone())), column)
    });
    let (fields, columns): (Vec<_>, Vec<_>) = columns.unzip();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options).expect("columns of one length")
}

pub(super) fn rows(batches: &[Decoded]) -> RecordBatch {
    let batches: Vec<_> = batches
        .iter()
        .map(|decoded| match &decoded.batch {
            Batch::Arrow(batch) => copied(batch),
            other => panic!("not columns: {other:?}"),
        })
        .collect();
    concat_batches(&batches[0].schema(), &batches).expect("batches of one schema")
}

fn read(file: &Bytes, projection: &Projection, resume: Option<&Position>, batch_rows: usize) -> Read {
    let decoder = ParquetDecoder::new(&facts(file.len()), projection, resume, limits(batch_rows)).expect("a decoder");
    run(file, decoder, <[_]>::to_vec).expect("rows")
}

pub(super) fn only(names: &[&str]) -> Projection {
    Projection::Columns(names.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn a_small_file_needs_one_range() {
    let table = table(1000);
    for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
        let file = file(&table, 300, version);
        let read = read(&file, &Projection::All, None, 128);
        assert_eq!(read.asked, [vec![0..file.len() as u64]]);
        assert_eq!(rows(&read.batches), table);
    }
}

#[test]
fn a_large_file_needs_the_tail_and_then_all_wanted_chunks_of_a_row_group_at_once() {
    let table = table(40_000);
    let file = file(&table, 10_000, WriterVersion::PARQUET_1_0);
    let size = file.len() as u64;
    let whole = read(&file, &Projection::All, None, 8192);
    assert_eq!(whole.asked[0], [size - TAIL_BYTES..size]);
    assert_eq!(whole.asked.len(), 5, "{:?}", whole.asked);
    assert_eq!(rows(&whole.batches), table);
    let some = read(&file, &only(&["id", "nested", "elsewhere"]), None, 8192);
    assert_eq!(rows(&some.batches), table.project(&[0, 3]).expect("two columns"));
    for ranges in &some.asked[1..] {
        assert_eq!(ranges.len(), 2, "{:?}", some.asked);
    }
}

#[test]
fn a_footer_beyond_the_tail_needs_only_its_other_part() {
    let names: Vec<String> = (0..3000).map(|column| format!("a column with a long name {column}")).collect();
    let column: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let table = RecordBatch::try_from_iter(names.iter().map(|name| (name, Arc::clone(&column)))).expect("columns");
    let file = file(&table, 300, WriterVersion::PARQUET_1_0);
    let size = file.len() as u64;
    let read = read(&file, &only(&[&names[7]]), None, 8192);
    assert_eq!(read.asked[0], [size - TAIL_BYTES..size]);
    assert_eq!(read.asked[1].len(), 1);
    assert_eq!(read.asked[1][0].end, size - TAIL_BYTES);
    assert_eq!(rows(&read.batches).num_rows(), 3);
}

#[test]
fn reading_goes_on_behind_every_batch() {
    let table = table(1000);
    let file = file(&table, 300, WriterVersion::PARQUET_2_0);
    let whole = read(&file, &Projection::All, None, 70);
    for (index, decoded) in whole.batches.iter().enumerate() {
        let done = decoded.after.rows as usize;
        let Place::RowGroup { group, row } = decoded.after.place else { panic!("{:?}", decoded.after) };
        assert_eq!(done as u64, (group * 300 + row).min(1000), "batch {index}");
        let rest = read(&file, &Projection::All, Some(&decoded.after), 70);
        if done == 1000 {
            assert!(rest.batches.is_empty());
            continue;
        }
        assert_eq!(rows(&rest.batches), table.slice(done, 1000 - done), "behind batch {index}");
        assert_eq!(rest.batches.last().map(|last| &last.after), whole.batches.last().map(|last| &last.after));
    }
}

#[test]
fn reading_goes_on_before_any_row_of_a_batch() {
    let table = table(1000);
    let file = file(&table, 300, WriterVersion::PARQUET_2_0);
    let whole = read(&file, &Projection::All, None, 70);
    let mut from = Position::default();
    for decoded in &whole.batches {
        for row in [0, 1, decoded.batch.rows() - 1] {
            let before = decoded.before(row, &from, &[]).expect("a position before the row");
            let done = from.rows as usize + row;
            assert_eq!(before.rows as usize, done);
            let rest = read(&file, &Projection::All, Some(&before), 70);
            assert_eq!(rows(&rest.batches), table.slice(done, 1000 - done), "before row {row} behind {from:?}");
        }
        from = decoded.after.clone();
    }
}

#[test]
fn any_pieces_give_the_same_rows() {
    let table = table(20_000);
    let file = file(&table, 7000, WriterVersion::PARQUET_1_0);
    let size = file.len() as u64;
    for seed in 1..20 {
        let mut random = Random::new(seed);
        let largest = 1 + random.below(60_000);
        let decoder = ParquetDecoder::new(&facts(file.len()), &Projection::All, None, limits(1000)).expect("a decoder");
        let read = run(&file, decoder, |ranges| {
            let mut pieces = Vec::new();
            for range in ranges {
                // Each range begins and ends anywhere around what was asked, as merged requests do.
                let mut at = range.start.saturating_sub(random.below(300));
                let end = (range.end + random.below(300)).min(size);
                while at < end {
                    let next = (at + 1 + random.below(largest)).min(end);
                    pieces.push(at..next);
                    at = next;
                }
            }
            pieces
        });
        assert_eq!(rows(&read.expect("rows").batches), table, "seed {seed}");
    }
}

#[test]
fn ranges_that_did_not_all_come_are_asked_for_again() {
    let table = table(1000);
    let file = file(&table, 300, WriterVersion::PARQUET_1_0);
    let decoder = ParquetDecoder::new(&facts(file.len()), &Projection::All, None, limits(1000)).expect("a decoder");
    let half = |ranges: &[Range<u64>]| {
        ranges.iter().map(|range| range.start..range.start + (range.end - range.start).div_ceil(2)).collect()
    };
    assert_eq!(rows(&run(&file, decoder, half).expect("rows").batches), table);
}

#[test]
fn no_wanted_column_gives_rows_all_the_same() {
    let file = file(&table(1000), 300, WriterVersion::PARQUET_1_0);
    let read = read(&file, &only(&[]), None, 128);
    assert_eq!(read.batches.iter().map(|decoded| decoded.batch.rows()).sum::<usize>(), 1000);
    assert_eq!(read.asked.len(), 1);
}

#[test]
fn an_empty_table_has_a_schema_and_no_rows() {
    let file = file(&table(0), 300, WriterVersion::PARQUET_1_0);
    let mut decoder = ParquetDecoder::new(&facts(file.len()), &Projection::All, None, limits(10)).expect("a decoder");
    assert!(matches!(decoder.step(), Ok(Step::NeedRanges(_))));
    decoder.feed(0, file).expect("bytes are taken");
    assert!(matches!(decoder.step(), Ok(Step::Planned(_))));
    assert!(matches!(decoder.step(), Ok(Step::Done)));
    assert_eq!(decoder.footer().map(|footer| footer.schema.fields().len()), Some(4));
}

#[test]
fn the_footer_is_known_before_a_row_group_is_asked_for() {
    let table = table(40_000);
    let file = file(&table, 10_000, WriterVersion::PARQUET_1_0);
    let mut decoder =
        ParquetDecoder::new(&facts(file.len()), &only(&["id"]), None, ParquetLimits::default()).expect("a decoder");
    assert!(decoder.footer().is_none());
    let Ok(Step::NeedRanges(tail)) = decoder.step() else { panic!("the tail is asked for") };
    decoder.feed(tail[0].start, file.slice(tail[0].start as usize..)).expect("bytes are taken");
    assert!(matches!(decoder.step(), Ok(Step::Planned(_))));
    let Ok(Step::NeedRanges(chunks)) = decoder.step() else { panic!("a row group is asked for") };
    let footer = decoder.footer().expect("a footer");
    assert_eq!((footer.rows, footer.row_groups), (40_000, 4));
    let kinds: Vec<_> = footer.schema.fields().iter().map(|field| (field.name().as_str(), field.data_type())).collect();
    assert_eq!(kinds[..2], [("id", &DataType::Int64), ("text", &DataType::Utf8View)]);
    assert_eq!(kinds.len(), table.num_columns());
    assert!(footer.wanted_bytes > chunks[0].end - chunks[0].start && footer.wanted_bytes < file.len() as u64 / 2);
}

#[test]
fn wide_rows_make_small_batches() {
    let text: ArrayRef = Arc::new((0..1000).map(|row| Some(format!("{row:010000}"))).collect::<StringArray>());
    let table = RecordBatch::try_from_iter([("text", text)]).expect("a column");
    let file = file(&table, 1000, WriterVersion::PARQUET_1_0);
    let limits = ParquetLimits { batch_bytes: 100_000, ..ParquetLimits::default() };
    let decoder = ParquetDecoder::new(&facts(file.len()), &Projection::All, None, limits).expect("a decoder");
    let read = run(&file, decoder, <[_]>::to_vec).expect("rows");
    assert!(read.batches.iter().all(|decoded| decoded.batch.rows() <= 10), "{}", read.batches[0].batch.rows());
    assert_eq!(rows(&read.batches), table);
}

fn failure(bytes: &[u8], resume: Option<&Position>, limits: ParquetLimits) -> Error {
    let file = Bytes::copy_from_slice(bytes);
    ParquetDecoder::new(&facts(file.len()), &Projection::All, resume, limits)
        .and_then(|decoder| run(&file, decoder, <[_]>::to_vec))
        .map(|read| read.batches.len())
        .expect_err("an error")
}

#[test]
fn what_is_no_parquet_is_told_with_the_key() {
    let file = file(&table(100), 300, WriterVersion::PARQUET_1_0);
    let mut encrypted = file.to_vec();
    let end = encrypted.len();
    encrypted[end - 1] = b'E';
    let mut long = file.to_vec();
    long[end - 8..end - 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut short = file.to_vec();
    short[end - 8..end - 4].copy_from_slice(&3u32.to_le_bytes());
    for (bytes, kind, message) in [
        (&b""[..], ErrorKind::Data, "too short"),
        (b"PAR1PAR1", ErrorKind::Data, "too short"),
        (b"id,name\n1,Ann\n2,Bob\n", ErrorKind::Data, "does not end like a Parquet"),
        (&file[..end - 1], ErrorKind::Data, "does not end like a Parquet"),
        (&encrypted, ErrorKind::Unsupported, "encrypted"),
        (&long, ErrorKind::Data, "longer than the file"),
        (&short, ErrorKind::Data, "not valid Parquet"),
    ] {
        let error = failure(bytes, None, ParquetLimits::default());
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(error.message().contains(message), "{error:?}");
        assert_eq!(error.get("key"), Some("a/b.parquet"));
    }
    let error = failure(&file, None, ParquetLimits { footer_bytes: 100, ..ParquetLimits::default() });
    assert!(error.message().contains("longer than the limit"), "{error:?}");
}

#[test]
fn a_position_that_the_file_does_not_have_is_an_error() {
    let file = file(&table(1000), 300, WriterVersion::PARQUET_1_0);
    let at = |place| Position::new(1, place);
    for (place, kind) in [
        (Place::RowGroup { group: 4, row: 1 }, ErrorKind::Changed),
        (Place::RowGroup { group: 9, row: 0 }, ErrorKind::Changed),
        (Place::RowGroup { group: 0, row: 301 }, ErrorKind::Changed),
        (Place::Block { offset: 1, row: 1 }, ErrorKind::Config),
    ] {
        let error = failure(&file, Some(&at(place.clone())), ParquetLimits::default());
        assert_eq!(error.kind(), kind, "{place:?}: {error:?}");
        assert_eq!(error.get("key"), Some("a/b.parquet"));
    }
}

/// Every outcome is fine but a panic, and a success that hands over fewer rows than the file had.
#[test]
fn flipped_bytes_end_in_rows_or_in_an_error() {
    let table = table(60);
    for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
        let file = file(&table, 25, version);
        let mut random = Random::new(11);
        for round in 0..700 {
            let mut bytes = file.to_vec();
            for _ in 0..=random.below(3) {
                let at = random.below(bytes.len() as u64) as usize;
                bytes[at] = random.below(256) as u8;
            }
            let result = read_whole(&bytes.into(), &Projection::All, 16);
            if let Err(error) = result {
                let expected = matches!(error.kind(), ErrorKind::Data | ErrorKind::Unsupported);
                assert!(expected && error.get("key").is_some(), "round {round}: {error:?}");
            }
        }
    }
}

/// Lists of many values, and texts that repeat parts of those before them: their pages are looked into, whatever their codec
/// and version, and the rows are the same as ever.
#[test]
fn pages_that_are_measured_give_their_rows() {
    let mut random = Random::new(5);
    let count = 60_000;
    let lists = (0..count).map(|row| {
        let length = if row == 30_000 { 200_000 } else { random.below(8) as i64 };
        (row % 5 != 0).then(|| (0..length).map(|item| (item % 3 != 0).then_some(item)).collect::<Vec<_>>())
    });
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(lists);
    let texts: StringArray = (0..count).map(|row| (row % 7 != 0).then(|| format!("{:0>90}{row}", row / 50))).collect();
    let columns = [("list", Arc::new(lists) as ArrayRef), ("text", Arc::new(texts))];
    let table = RecordBatch::try_from_iter(columns).expect("columns of one length");
    let gzip = Compression::GZIP(GzipLevel::default());
    for codec in [Compression::UNCOMPRESSED, Compression::SNAPPY, gzip, Compression::LZ4_RAW] {
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            let properties = WriterProperties::builder()
                .set_compression(codec)
                .set_writer_version(version)
                .set_dictionary_enabled(false)
                .set_column_encoding("text".into(), Encoding::DELTA_BYTE_ARRAY)
                .set_data_page_row_count_limit(7000)
                .build();
            let mut writer = ArrowWriter::try_new(Vec::new(), table.schema(), Some(properties)).expect("a writer");
            writer.write(&table).expect("a written table");
            let file = writer.into_inner().expect("a closed file").into();
            let read = read_whole(&file, &Projection::All, 8192).expect("readable rows");
            assert!(rows(&read) == table, "{codec} {version:?}");
        }
    }
}

/// Columns whose pages are too large to be decoded at once: they are given smaller ones, and the values are the same.
#[test]
fn columns_with_large_pages_give_their_rows() {
    let count = 1000;
    let text =
        |row: usize, column: usize| (!row.is_multiple_of(7)).then(|| format!("{row:4} {column:3} ").repeat(1500));
    let mut columns: Vec<(String, ArrayRef)> = (0..14)
        .map(|column| {
            let texts: StringArray = (0..count).map(|row| text(row, column)).collect();
            (format!("text{column}"), Arc::new(texts) as ArrayRef)
        })
        .collect();
    columns.extend(
        table(count as i64).columns().iter().enumerate().map(|(at, column)| (format!("{at}"), Arc::clone(column))),
    );
    let table = RecordBatch::try_from_iter(columns).expect("columns of one length");
    let properties = WriterProperties::builder()
        .set_compression(Compression::GZIP(GzipLevel::try_new(1).expect("a level")))
        .set_dictionary_enabled(false)
        .set_data_page_size_limit(usize::MAX)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), table.schema(), Some(properties)).expect("a writer");
    writer.write(&table).expect("a written table");
    let file = writer.into_inner().expect("a closed file").into();
    let read = read_whole(&file, &Projection::All, 8192).expect("readable rows");
    assert!(rows(&read).columns() == table.columns());
    assert_eq!(read.last().map(|decoded| decoded.after.rows), Some(count as u64));
}

/// A page that announces two gibibytes is refused before anybody reserves them.
#[test]
fn pages_that_announce_too_much_are_refused() {
    let file = file(&table(1000), 1000, WriterVersion::PARQUET_1_0);
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&file).expect("metadata");
    let chunk = metadata.row_group(0).column(0);
    let (start, length) = chunk.byte_range();
    let pages = file.slice(start as usize..(start + length) as usize);
    check_pages(&pages, chunk, None, &mut Pages::default()).expect("honest pages");
    // The page's header begins with its type and its length without compression, two numbers of Thrift.
    let mut lying = vec![0x15, pages[1], 0x15, 0xfe, 0xff, 0xff, 0xff, 0x0f];
    let length_ends = 3 + pages[3..].iter().position(|byte| byte & 128 == 0).expect("a number's end") + 1;
    lying.extend_from_slice(&pages[length_ends..]);
    let error = check_pages(&lying.into(), chunk, None, &mut Pages::default()).expect_err("a refusal");
    assert!(error.message().contains("more than it can hold"), "{error:?}");
    assert_eq!(error.get("page_bytes"), Some("2147483647"));
    assert!(check_pages(&pages.slice(..pages.len() - 1), chunk, None, &mut Pages::default()).is_err());
}
