//! Files that are small as stored and large in memory, sixteen at a time: the program stays below 300 MB with its default
//! settings, and reads them or names what is too large.

#![expect(clippy::unwrap_used, reason = "a test panics with what it met")]

use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray, StringViewBuilder};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use serde_json::{Value, json};

use super::support::{Bench, Measured, Output, catalog, finish_counted, finish_measured, read_some};

mod handmade;

use handmade::{Column, Page};

/// The bar, with every file of the corpus.
const MOST_BYTES: u64 = 300 << 20;

const FILES: usize = 16;

/// A bucket with so many copies of a file, and the command that reads them.
fn bench_of(content: &[u8], name: &str, format: Value) -> (Bench, Value) {
    let bench = Bench::new();
    for number in 0..FILES {
        bench.put(&format!("{number:02}/{name}"), content, number as u64);
    }
    let config = bench.config(json!([{"name": "s", "globs": ["**"], "format": format}]));
    (bench, config)
}

/// Reads copies of a file until there is enough to see that memory does not grow.
fn counted_in_part(content: &[u8], name: &str, format: Value) -> Measured {
    let (bench, config) = bench_of(content, name, format);
    let mut command = bench.read_command(&config, &catalog("s", "full_refresh"), None);
    let measured = read_some(&mut command, 100 << 20);
    assert!(measured.peak_bytes > 1 << 20 && measured.peak_bytes < MOST_BYTES, "{name}: {measured:?}");
    assert!(measured.bytes >= 100 << 20, "{name}: {measured:?}");
    measured
}

/// Reads copies of a file to their end, which have so many rows each.
fn counted(content: &[u8], name: &str, format: Value, rows: u64) -> Measured {
    let (bench, config) = bench_of(content, name, format);
    counted_of(&bench, &config, name, rows * FILES as u64)
}

/// Reads a bucket to its end, which has so many rows.
fn counted_of(bench: &Bench, config: &Value, name: &str, rows: u64) -> Measured {
    let whole = finish_counted(bench.read_command(config, &catalog("s", "full_refresh"), None));
    assert!(whole.peak_bytes > 1 << 20 && whole.peak_bytes < MOST_BYTES, "{name}: {whole:?}");
    assert_eq!((whole.code, whole.records), (Some(0), rows), "{name}: {whole:?}");
    whole
}

/// Reads copies of a file that end in an error.
fn refused(content: &[u8], name: &str, format: Value) -> Output {
    let (bench, config) = bench_of(content, name, format);
    let (output, peak_bytes) = finish_measured(bench.read_command(&config, &catalog("s", "full_refresh"), None));
    assert!(peak_bytes > 1 << 20 && peak_bytes < MOST_BYTES, "{name}: {peak_bytes} bytes at the peak");
    assert_eq!(output.code, Some(1), "{output:#?}");
    output
}

fn parquet() -> Value {
    json!({"filetype": "parquet"})
}

fn written(columns: Vec<(String, ArrayRef)>, properties: WriterProperties) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut file = Vec::new();
    // Without Arrow's schema, texts are texts for a reader whatever they were here.
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(&mut file, batch.schema(), options).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    file
}

fn zstd() -> WriterProperties {
    WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap())).build()
}

/// Five columns of long texts that repeat: in the file each is there once.
#[test]
fn texts_of_a_dictionary_are_not_in_memory_for_each_row() {
    let text = |number: usize| format!("{number:08}").repeat(250);
    let rows = 6000;
    let column = |column: usize| {
        let texts: StringArray = (0..rows).map(|row| Some(text(row % 28 + column))).collect();
        (format!("c{column}"), Arc::new(texts) as ArrayRef)
    };
    let properties = WriterProperties::builder().set_compression(Compression::UNCOMPRESSED).build();
    let file = written((0..5).map(column).collect(), properties);
    assert!(file.len() < 400_000, "{}", file.len());
    let read = counted_in_part(&file, "dictionary.parquet", parquet());
    assert!(read.records > 8_000, "{read:?}");
}

/// A text of a megabyte in a hundred rows: a kilobyte of file is a hundred megabytes of lines.
#[test]
fn a_long_text_in_many_rows_is_written_row_by_row() {
    let text: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(1 << 20)]));
    let texts = DictionaryArray::new(Int32Array::from(vec![0; 100]), text);
    let file = written(vec![("text".to_owned(), Arc::new(texts) as ArrayRef)], zstd());
    assert!(file.len() < 4096, "{}", file.len());
    let read = counted_in_part(&file, "long.parquet", parquet());
    assert!(read.records > 90, "{read:?}");
}

/// Texts of 256 kilobytes, each the whole text before it: a page of a kilobyte is a hundred megabytes.
#[test]
fn texts_that_repeat_those_before_them_are_not_all_in_memory() {
    let rows = 400;
    let mut texts = StringViewBuilder::new();
    let block = texts.append_block("x".repeat(256 << 10).into_bytes().into());
    (0..rows).for_each(|_| texts.try_append_view(block, 0, 256 << 10).unwrap());
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::DELTA_BYTE_ARRAY)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap()))
        .build();
    let file = written(vec![("text".to_owned(), Arc::new(texts.finish()) as ArrayRef)], properties);
    assert!(file.len() < 8192, "{}", file.len());
    let read = counted_in_part(&file, "delta.parquet", parquet());
    assert!(read.records > 300, "{read:?}");
}

/// A page whose texts are said to have more lengths than it has values: the library makes room for so many.
#[test]
fn more_lengths_than_values_are_named() {
    for encoding in [handmade::DELTA_LENGTH_BYTE_ARRAY, handmade::DELTA_BYTE_ARRAY] {
        // Blocks of 2^30 numbers in one group, 2^30 numbers, all of them 0.
        let lengths = [&[128, 128, 128, 128, 4, 1, 128, 128, 128, 128, 4, 0][..], &[0, 0]].concat();
        let page = Page::new(2, encoding, lengths);
        let file = handmade::file(&[Column::texts("text", vec![page])], 2);
        let output = refused(&file, "lengths.parquet", parquet());
        let error = output.errors()[0]["internal_message"].as_str().unwrap().to_owned();
        assert!(error.contains("a list has 1073741824 numbers for 2 values"), "{error}");
        assert!(error.contains("column 'text'") && error.contains("page '0'"), "{error}");
    }
}

/// A row of a hundred million numbers between two short ones, in a file of a kilobyte.
#[test]
fn a_row_with_a_hundred_million_values_is_named() {
    let first = handmade::list_page(&[(0, 1), (0, 1), (1, 25_000_000)]);
    let more = || handmade::list_page(&[(1, 25_000_000)]);
    let last = handmade::list_page(&[(1, 25_000_000), (0, 1)]);
    let pages = vec![handmade::dictionary_of_one_number(), first, more(), more(), last];
    let file = handmade::file(&[Column::list("numbers", pages)], 3);
    assert!(file.len() < 2048, "{}", file.len());
    let output = refused(&file, "list.parquet", parquet());
    let error = output.errors()[0]["internal_message"].as_str().unwrap().to_owned();
    assert!(error.contains("a row is longer than the limit allows"), "{error}");
    for part in ["key '", "row_group '0'", "row '1'", "column 'numbers'", "limit_bytes '33554432'", "row_values '10000"]
    {
        assert!(error.contains(part), "{part} in {error}");
    }
    assert!(output.column("numbers").iter().all(|numbers| numbers == "[7]"), "{:?}", output.column("numbers"));
}

/// Rows of one number each, and one of a million between them, which is as long as a row may be about.
#[test]
fn lists_of_uneven_length_are_read() {
    let even = handmade::list_page(&[(0, 10_000)]);
    let long = handmade::list_page(&[(0, 1), (1, 1_000_000)]);
    let pages = vec![handmade::dictionary_of_one_number(), even.clone(), long, even];
    let file = handmade::file(&[Column::list("numbers", pages)], 20_001);
    counted(&file, "uneven.parquet", parquet(), 20_001);
}

/// Columns that have one page of sixty megabytes each: they are not all decoded at once.
#[test]
fn large_pages_of_many_columns_take_turns() {
    let column = |name| Column::texts(name, vec![Page::gzipped_texts(&["one", "two"], 60 << 20)]).gzipped();
    let file = handmade::file(&["a", "b", "c", "d"].map(column), 2);
    assert!(file.len() < 4 << 20, "{}", file.len());
    counted(&file, "pages.parquet", parquet(), 2);
}

/// A text of control characters, which are six characters each in JSON.
#[test]
fn a_record_that_is_much_longer_than_its_row_is_named() {
    let controls = "\u{1}".repeat(9 << 20);
    let text = format!("id,text\n1,short\n2,{controls}\n3,short\n");
    let output = refused(text.as_bytes(), "controls.csv", json!({"filetype": "csv"}));
    let error = output.errors()[0]["internal_message"].as_str().unwrap().to_owned();
    assert!(error.contains("the record of a row is longer than the limit allows"), "{error}");
    for part in ["key '", "line '3'", "byte '16'", "row '2'", "limit_bytes '50331648'"] {
        assert!(error.contains(part), "{part} in {error}");
    }
    assert!(output.column("id").iter().all(|id| id == "1"), "{:?}", output.column("id"));
}

/// A row that is longer than any may be.
#[test]
fn a_row_beyond_the_limit_is_named() {
    let text = "x".repeat(20 << 20);
    let texts = || Arc::new(StringArray::from(vec!["short", &text])) as ArrayRef;
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let columns = vec![("id".to_owned(), numbers), ("one".to_owned(), texts()), ("two".to_owned(), texts())];
    let output = refused(&written(columns, zstd()), "row.parquet", parquet());
    let error = output.errors()[0]["internal_message"].as_str().unwrap().to_owned();
    assert!(error.contains("a row is longer than the limit allows"), "{error}");
    for part in ["key '", "row_group '0'", "row '1'", "column 'two'", "limit_bytes '33554432'"] {
        assert!(error.contains(part), "{part} in {error}");
    }
    assert!(output.column("id").iter().all(|id| id == "1"), "{:?}", output.column("id"));
}

/// Lines of thirty megabytes, one in each file.
#[test]
fn long_lines_of_csv_take_turns() {
    let mut text = "id,text\n1,".to_owned();
    text.push_str(&"x".repeat(30 << 20));
    text.push_str("\n2,y\n");
    counted_in_part(text.as_bytes(), "long.csv", json!({"filetype": "csv"}));
}

/// A cell in row four billion of a workbook of a kilobyte.
#[test]
fn a_row_that_no_sheet_has_is_named() {
    let cells = r#"<row r="1"><c r="A1" t="inlineStr"><is><t>a</t></is></c></row><row r="4000000000"><c r="A4000000000"><v>1</v></c></row>"#;
    let output = refused(&workbook(cells, ""), "row.xlsx", json!({"filetype": "excel"}));
    let error = output.errors()[0]["internal_message"].as_str().unwrap().to_owned();
    assert!(error.contains("row beyond the last one") && error.contains("limit_rows '1048576'"), "{error}");
}

/// A shared text of 900,000 bytes in 300 cells is there once.
#[test]
fn a_shared_text_in_many_cells_is_not_in_memory_for_each() {
    let cells: String =
        (2..302).map(|row| format!(r#"<row r="{row}"><c r="A{row}" t="s"><v>1</v></c></row>"#)).collect();
    let header = r#"<row r="1"><c r="A1" t="s"><v>0</v></c></row>"#;
    let texts = format!("<si><t>a</t></si><si><t>{}</t></si>", "x".repeat(900_000));
    let read =
        counted_in_part(&workbook(&format!("{header}{cells}"), &texts), "texts.xlsx", json!({"filetype": "excel"}));
    assert!(read.records > 90, "{read:?}");
}

/// Millions of short shared texts.
#[test]
fn more_shared_texts_than_there_is_room_for_are_named() {
    let texts = "<si><t>a</t></si>".repeat(2_500_000);
    let output = refused(&workbook("", &texts), "texts.xlsx", json!({"filetype": "excel"}));
    let error = output.errors()[0]["internal_message"].as_str().unwrap().to_owned();
    assert!(error.contains("shared_text_bytes ") && error.contains("limit_bytes '100663296'"), "{error}");
}

/// A shared text of ninety megabytes, in runs of less than one.
#[test]
fn a_shared_text_of_many_runs_is_named() {
    let texts = format!("<si>{}</si>", format!("<r><t>{}</t></r>", "x".repeat(900_000)).repeat(100));
    let output = refused(&workbook("", &texts), "runs.xlsx", json!({"filetype": "excel"}));
    let error = output.errors()[0]["internal_message"].as_str().unwrap().to_owned();
    assert!(error.contains("text_bytes '10") && error.contains("limit_bytes '1048576'"), "{error}");
}

/// A text of a cell, in as many runs.
#[test]
fn a_cell_of_many_runs_is_named() {
    let runs = format!("<r><t>{}</t></r>", "x".repeat(900_000)).repeat(100);
    let cells = format!(r#"<row r="1"><c r="A1" t="inlineStr"><is>{runs}</is></c></row>"#);
    let output = refused(&workbook(&cells, ""), "runs.xlsx", json!({"filetype": "excel"}));
    let error = output.errors()[0]["internal_message"].as_str().unwrap().to_owned();
    assert!(error.contains("cell_bytes '8") && error.contains("limit_bytes '8388608'"), "{error}");
}

/// A record of xlsb that says that it has 268,435,455 bytes, in a file of some hundred.
#[test]
fn a_record_of_xlsb_that_is_too_long_is_named() {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive.start_file("xl/sharedStrings.bin", zip::write::SimpleFileOptions::default()).unwrap();
    archive.write_all(&[0x9f, 1, 0xff, 0xff, 0xff, 0x7f]).unwrap();
    let file = archive.finish().unwrap().into_inner();
    let output = refused(&file, "long.xlsb", json!({"filetype": "excel"}));
    let error = output.errors()[0]["internal_message"].as_str().unwrap().to_owned();
    assert!(error.contains("record_bytes '268435455'") && error.contains("limit_bytes '2097152'"), "{error}");
}

/// A workbook with these cells in its one sheet, and these shared texts.
fn workbook(cells: &str, texts: &str) -> Vec<u8> {
    const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    const RELATIONS: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006/relationships";
    let parts = [
        (
            "_rels/.rels",
            format!(
                r#"<Relationships xmlns="{PACKAGE}"><Relationship Id="r1" Type="{RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>"#
            ),
        ),
        (
            "xl/workbook.xml",
            format!(
                r#"<workbook xmlns="{MAIN}" xmlns:r="{RELATIONS}"><sheets><sheet name="S" sheetId="1" r:id="r1"/></sheets></workbook>"#
            ),
        ),
        (
            "xl/_rels/workbook.xml.rels",
            format!(
                r#"<Relationships xmlns="{PACKAGE}"><Relationship Id="r1" Type="{RELATIONS}/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="r2" Type="{RELATIONS}/sharedStrings" Target="sharedStrings.xml"/></Relationships>"#
            ),
        ),
        ("xl/sharedStrings.xml", format!(r#"<sst xmlns="{MAIN}">{texts}</sst>"#)),
        (
            "xl/worksheets/sheet1.xml",
            format!(r#"<worksheet xmlns="{MAIN}"><sheetData>{cells}</sheetData></worksheet>"#),
        ),
    ];
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in parts {
        archive.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(content.as_bytes()).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// One block of 80 million bytes in each file, a megabyte as stored; and one that is larger than any may be.
#[test]
fn large_blocks_of_avro_take_turns() {
    let read = counted_in_part(&avro_of(80), "block.avro", json!({"filetype": "avro"}));
    assert!(read.records > 90, "{read:?}");
    let output = refused(&avro_of(101), "block.avro", json!({"filetype": "avro"}));
    let error = output.errors()[0]["internal_message"].as_str().unwrap().to_owned();
    assert!(
        error.contains("expands to more than the limit allows") && error.contains("limit_bytes '100663296'"),
        "{error}"
    );
}

/// A container with one block of so many rows of a million bytes.
fn avro_of(rows: i64) -> Vec<u8> {
    let number = |number: i64| {
        let (mut rest, mut bytes) = ((number << 1) as u64, Vec::new());
        while rest >= 128 {
            bytes.push(rest as u8 | 128);
            rest >>= 7;
        }
        bytes.push(rest as u8);
        bytes
    };
    let text = |text: &[u8]| [number(text.len() as i64), text.to_vec()].concat();
    let schema = r#"{"type":"record","name":"r","fields":[{"name":"text","type":"string"}]}"#;
    let mut file = b"Obj\x01".to_vec();
    let metadata = [number(2), text(b"avro.schema"), text(schema.as_bytes()), text(b"avro.codec"), text(b"deflate")];
    file.extend(metadata.concat());
    file.push(0);
    file.extend([7; 16]);
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    for _ in 0..rows {
        encoder.write_all(&text(&vec![b'x'; 1_000_000])).unwrap();
    }
    let block = encoder.finish().unwrap();
    file.extend([number(rows), number(block.len() as i64), block].concat());
    file.extend([7; 16]);
    file
}

/// A header of seventy thousand columns.
#[test]
fn more_columns_than_a_file_may_have_are_named() {
    let text = format!("{}\n{}\n", "a,".repeat(70_000), "1,".repeat(70_000));
    let output = refused(text.as_bytes(), "wide.csv", json!({"filetype": "csv"}));
    let error = output.errors()[0]["internal_message"].as_str().unwrap().to_owned();
    assert!(error.contains("limit_fields '65536'"), "{error}");
}
