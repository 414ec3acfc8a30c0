//! Nothing that passes a filter is lost, whatever statistics a file has; and what they prove is not asked for.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Field, Int64Type, Schema, TimeUnit};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::data_type::{Int96, Int96Type};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::{Value as Json, json};

use super::plan::{SLICE_ABOVE_BYTES, SLICE_BYTES};
use super::tests::{Random, Read, facts, only, rows};
use super::{ParquetDecoder, ParquetLimits};
use crate::decode::Decode;
use tollgate_base::batch::{Place, Position};
use tollgate_base::options::Projection;
use tollgate_base::predicate::{DAY_NANOS, Predicate, Truth, Value};

const WORDS: &[&str] = &["", "a", "aa", "ab", "b", "ba", "zz", "é", "日本"];

/// A value that is `number` in each type, and its column.
struct Made {
    name: &'static str,
    array: ArrayRef,
    /// The values as a filter sees them.
    value: fn(i64) -> Value<'static>,
    /// The literals that say them.
    literal: fn(i64) -> Json,
}

fn text_of(number: i64) -> &'static str {
    WORDS[number.rem_euclid(WORDS.len() as i64) as usize]
}

/// The same prefix for all, longer than what statistics keep.
fn long(number: i64) -> String {
    format!("{}{:05}", "x".repeat(100), number + 1000)
}

fn double(number: i64) -> f64 {
    match number.rem_euclid(7) {
        0 => f64::NAN,
        1 => -0.0,
        2 => 0.0,
        _ => number as f64 / 8.0,
    }
}

fn primitive<T: ArrowPrimitiveType>(numbers: &[Option<i64>], native: impl Fn(i64) -> T::Native) -> ArrayRef {
    Arc::new(numbers.iter().map(|number| number.map(&native)).collect::<PrimitiveArray<T>>())
}

fn columns(numbers: &[Option<i64>]) -> Vec<Made> {
    use arrow::datatypes::*;
    let micros = |number: i64| 1_700_000_000_000_000 + number * 3_600_000_000;
    let time = |number: i64| (number.rem_euclid(86_400)) as i32 * 1000;
    let days = |number: i64| number as i32;
    let unsigned = |number: i64| u64::MAX - number.unsigned_abs();
    let optional = |f: &dyn Fn(i64) -> String| -> ArrayRef {
        Arc::new(numbers.iter().map(|number| number.map(f)).collect::<StringArray>())
    };
    let dictionary: DictionaryArray<Int32Type> = numbers.iter().map(|number| number.map(text_of)).collect();
    let booleans: BooleanArray = numbers.iter().map(|number| number.map(|number| number % 3 == 0)).collect();
    let small = Decimal64Array::from_iter(numbers.iter().copied()).with_precision_and_scale(12, 3).unwrap();
    let large = Decimal128Array::from_iter(numbers.iter().map(|number| number.map(i128::from)))
        .with_precision_and_scale(30, 2)
        .unwrap();
    vec![
        Made {
            name: "int64",
            array: primitive::<Int64Type>(numbers, |number| number),
            value: |number| Value::Integer(number.into()),
            literal: |number| json!(number),
        },
        Made {
            name: "int8",
            array: primitive::<Int8Type>(numbers, |number| number as i8),
            value: |number| Value::Integer((number as i8).into()),
            literal: |number| json!(number as i8),
        },
        Made {
            name: "uint64",
            array: primitive::<UInt64Type>(numbers, unsigned),
            value: |number| Value::Integer((u64::MAX - number.unsigned_abs()).into()),
            literal: |number| json!(u64::MAX - number.unsigned_abs()),
        },
        Made {
            name: "uint32",
            array: primitive::<UInt32Type>(numbers, |number| number as u32),
            value: |number| Value::Integer((number as u32).into()),
            literal: |number| json!(number as u32),
        },
        Made {
            name: "double",
            array: primitive::<Float64Type>(numbers, double),
            value: |number| Value::Double(double(number)),
            literal: |number| json!(number as f64 / 8.0),
        },
        Made {
            name: "single",
            array: primitive::<Float32Type>(numbers, |number| double(number) as f32 / 10.0),
            value: |number| Value::Single(double(number) as f32 / 10.0),
            literal: |number| json!(number as f64 / 80.0),
        },
        Made {
            name: "boolean",
            array: Arc::new(booleans),
            value: |number| Value::Boolean(number % 3 == 0),
            literal: |number| json!(number % 3 == 0),
        },
        Made {
            name: "text",
            array: optional(&|number| text_of(number).to_owned()),
            value: |number| Value::Text(text_of(number).as_bytes()),
            literal: |number| json!(text_of(number)),
        },
        Made {
            name: "long",
            array: optional(&long),
            value: |number| Value::Text(Box::leak(long(number).into_bytes().into_boxed_slice())),
            literal: |number| json!(long(number)),
        },
        Made {
            name: "digits",
            array: optional(&|number| number.to_string()),
            value: |number| Value::Text(Box::leak(number.to_string().into_bytes().into_boxed_slice())),
            literal: |number| json!(number),
        },
        Made {
            name: "dictionary",
            array: Arc::new(dictionary),
            value: |number| Value::Text(text_of(number).as_bytes()),
            literal: |number| json!(text_of(number)),
        },
        Made {
            name: "date",
            array: primitive::<Date32Type>(numbers, days),
            value: |number| Value::Instant(i128::from(number) * DAY_NANOS),
            literal: |number| {
                let day =
                    chrono::NaiveDate::default() + chrono::Days::new(500) - chrono::Days::new((500 - number) as u64);
                json!(day.to_string())
            },
        },
        Made {
            name: "timestamp",
            array: primitive::<TimestampMicrosecondType>(numbers, micros),
            value: |number| Value::Instant((1_700_000_000_000_000 + i128::from(number) * 3_600_000_000) * 1000),
            literal: |number| {
                let time = chrono::DateTime::from_timestamp_micros(1_700_000_000_000_000 + number * 3_600_000_000);
                json!(time.unwrap().to_rfc3339())
            },
        },
        Made {
            name: "time",
            array: primitive::<Time32MillisecondType>(numbers, time),
            value: |number| Value::Time(number.rem_euclid(86_400) * 1_000_000_000),
            literal: |number| json!(format!("00:{:02}:{:02}", number.rem_euclid(3600) / 60, number.rem_euclid(60))),
        },
        Made {
            name: "decimal64",
            array: Arc::new(small),
            value: |number| Value::Decimal(i256::from_i128(number.into()), 3),
            literal: |number| json!(format!("{number}e-3")),
        },
        Made {
            name: "decimal128",
            array: Arc::new(large),
            value: |number| Value::Decimal(i256::from_i128(number.into()), 2),
            literal: |number| json!(number as f64 / 100.0),
        },
    ]
}

fn pick<'a, T>(random: &mut Random, items: &'a [T]) -> &'a T {
    &items[random.below(items.len() as u64) as usize]
}

fn number(random: &mut Random, spread: u64) -> i64 {
    random.below(spread) as i64 - spread as i64 / 2
}

fn properties(random: &mut Random) -> WriterProperties {
    let statistics = *pick(
        random,
        &[EnabledStatistics::None, EnabledStatistics::Chunk, EnabledStatistics::Page, EnabledStatistics::Page],
    );
    let version = *pick(random, &[WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0]);
    WriterProperties::builder()
        .set_compression(*pick(random, &[Compression::UNCOMPRESSED, Compression::SNAPPY]))
        .set_writer_version(version)
        .set_statistics_enabled(statistics)
        .set_bloom_filter_enabled(random.below(2) == 0)
        .set_dictionary_enabled(random.below(2) == 0)
        .set_statistics_truncate_length(*pick(random, &[None, Some(2), Some(64)]))
        .set_column_index_truncate_length(*pick(random, &[None, Some(1), Some(64)]))
        .set_max_row_group_row_count(Some(10 + random.below(60) as usize))
        .set_data_page_row_count_limit(1 + random.below(20) as usize)
        .set_write_batch_size(1 + random.below(10) as usize)
        .build()
}

fn condition(random: &mut Random, column: &Made, spread: u64) -> Json {
    let mut literal = || (column.literal)(number(random, spread));
    let literals = [literal(), literal(), literal()];
    let operator = *pick(random, &["=", "=", "!=", "<", "<=", ">", ">=", "in", "not in", "is null", "is not null"]);
    match operator {
        "in" | "not in" => json!([column.name, operator, literals]),
        "is null" | "is not null" => json!([column.name, operator]),
        _ => json!([column.name, operator, literals[0]]),
    }
}

fn ids(read: &Read) -> BTreeSet<i64> {
    if read.batches.is_empty() {
        return BTreeSet::new();
    }
    let rows = rows(&read.batches);
    rows.column_by_name("id").unwrap().as_primitive::<Int64Type>().values().iter().copied().collect()
}

fn read(
    file: &Bytes,
    projection: &Projection,
    filter: &Predicate,
    resume: Option<&Position>,
) -> (Read, ParquetDecoder) {
    let limits = ParquetLimits { batch_rows: 16, ..ParquetLimits::default() };
    let decoder = ParquetDecoder::new(&facts(file.len()), projection, resume, limits).unwrap();
    run_keeping(file, decoder.filtered(&Arc::from([filter.clone()])))
}

/// As `run`, and gives the decoder back.
fn run_keeping(file: &Bytes, mut decoder: ParquetDecoder) -> (Read, ParquetDecoder) {
    use crate::decode::Step;
    let mut read = Read { batches: Vec::new(), asked: Vec::new() };
    loop {
        match decoder.step().unwrap() {
            Step::NeedRoom | Step::Planned(_) => {}
            Step::NeedRanges(ranges) => {
                for range in &ranges {
                    decoder.feed(range.start, file.slice(range.start as usize..range.end as usize)).unwrap();
                }
                read.asked.push(ranges);
            }
            Step::Batch(batch) => {
                let next = decoder.next_ranges().unwrap();
                assert_eq!(next, decoder.next_ranges().unwrap());
                read.batches.push(batch);
            }
            Step::Done => return (read, decoder),
            Step::NeedBytes => panic!("a decoder of ranges asks for a stream"),
        }
    }
}

#[test]
fn no_passing_row_is_lost_whatever_statistics_a_file_has() {
    let (mut pruned, mut whole_groups, mut all) = (0, 0, 0);
    for seed in 1..300 {
        let mut random = Random::new(seed * 7919);
        let count = 1 + random.below(200) as usize;
        let spread = *pick(&mut random, &[4, 30, 250]);
        let nulls = random.below(3) == 0;
        let mut numbers: Vec<Option<i64>> =
            (0..count).map(|_| Some(number(&mut random, spread)).filter(|_| !nulls || random.below(4) > 0)).collect();
        if random.below(2) == 0 {
            numbers.sort_unstable();
        }
        let mut made = columns(&numbers);
        let keep = BTreeSet::from([random.below(made.len() as u64), random.below(made.len() as u64)]);
        let mut index = 0;
        made.retain(|_| {
            index += 1;
            keep.contains(&(index - 1))
        });
        let id: ArrayRef = Arc::new((0..count as i64).collect::<Int64Array>());
        let arrays = made.iter().map(|made| (made.name, Arc::clone(&made.array))).chain([("id", id)]);
        let table = RecordBatch::try_from_iter_with_nullable(arrays.map(|(name, array)| (name, array, true))).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), table.schema(), Some(properties(&mut random))).unwrap();
        writer.write(&table).unwrap();
        let file: Bytes = writer.into_inner().unwrap().into();
        for _ in 0..6 {
            let mut conditions = |most| {
                (0..=random.below(most))
                    .map(|_| {
                        let column = pick(&mut random, &made);
                        condition(&mut random, column, spread + 2)
                    })
                    .collect::<Vec<_>>()
            };
            let json = json!([conditions(2), conditions(2)]);
            let filter = Predicate::parse(&json, "f").unwrap().unwrap();
            let value = |row: usize, name: &str| {
                let column = made.iter().find(|made| made.name == name).unwrap();
                numbers[row].map_or(Value::Null, column.value)
            };
            let passing: BTreeSet<i64> = (0..count)
                .filter(|row| filter.truth(|name| value(*row, name)) == Truth::True)
                .map(|row| row as i64)
                .collect();
            let (read, decoder) = read(&file, &Projection::All, &filter, None);
            let found = ids(&read);
            let lost: Vec<_> = passing.difference(&found).collect();
            assert!(lost.is_empty(), "seed {seed}: {json} lost rows {lost:?} of {numbers:?}");
            let counts = decoder.pruned;
            assert_eq!(found.len() as u64 + counts.rows, count as u64, "seed {seed}: {json}");
            pruned += counts.rows;
            whole_groups += counts.row_groups;
            all += count as u64;
            // Going on behind any batch gives the rest.
            if let Some(middle) = read.batches.get(read.batches.len() / 2) {
                let (rest, _) = self::read(&file, &Projection::All, &filter, Some(&middle.after));
                let before = read.batches.len() / 2 + 1;
                let first = Read { batches: read.batches[..before].to_vec(), asked: Vec::new() };
                let together: BTreeSet<i64> = ids(&first).into_iter().chain(ids(&rest)).collect();
                assert!(passing.is_subset(&together), "seed {seed}: {json} behind {:?}", middle.after);
                assert_eq!(ids(&first).intersection(&ids(&rest)).count(), 0, "seed {seed}: {json}");
            }
        }
    }
    assert!(pruned * 10 > all && whole_groups > 500, "{pruned} of {all} rows, {whole_groups} row groups");
}

#[test]
fn timestamps_of_96_bits_are_read_whatever_is_asked() {
    let schema = Arc::new(parse_message_type("message m { optional int96 at; required int64 id; }").unwrap());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(WriterProperties::default())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let times: Vec<Int96> = (0..10).map(|day| Int96::from(vec![0, 0, 2_440_588 + day])).collect();
    column.typed::<Int96Type>().write_batch(&times, Some(&[1; 10]), None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<parquet::data_type::Int64Type>().write_batch(&(0..10).collect::<Vec<_>>(), None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    let file: Bytes = writer.into_inner().unwrap().into();
    let filter = Predicate::parse(&json!([["at", ">=", "1970-01-09"]]), "f").unwrap().unwrap();
    let (read, _) = read(&file, &Projection::All, &filter, None);
    assert!(ids(&read).is_superset(&BTreeSet::from([8, 9])));
}

/// Ascending numbers, with pages of a hundred rows and a second column that is long.
fn large(groups: i64, group_rows: i64, text: usize, page_index: bool) -> Bytes {
    let mut properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group_rows as usize))
        .set_data_page_row_count_limit(100)
        .set_write_batch_size(100)
        .set_dictionary_enabled(false)
        .set_column_bloom_filter_enabled("id".into(), true)
        .set_column_bloom_filter_max_ndv("id".into(), group_rows as u64)
        .set_offset_index_disabled(!page_index);
    if !page_index {
        properties = properties.set_statistics_enabled(EnabledStatistics::Chunk);
    }
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("at", DataType::Timestamp(TimeUnit::Millisecond, None), false),
        Field::new("text", DataType::Utf8, false),
    ]));
    let mut writer = ArrowWriter::try_new(Vec::new(), Arc::clone(&schema), Some(properties.build())).unwrap();
    let (mut random, pad) = (Random::new(5), "x".repeat(text));
    for group in 0..groups {
        let ids = (0..group_rows).map(|row| (group * group_rows + row) * 2);
        let texts = (0..group_rows).map(|_| Some(format!("{pad}{:016x}", random.below(u64::MAX))));
        let texts = texts.collect::<StringArray>();
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(ids.clone().collect::<Int64Array>()),
            Arc::new(ids.map(|id| Some(id * 1000)).collect::<TimestampMillisecondArray>()),
            Arc::new(texts),
        ];
        writer.write(&RecordBatch::try_new(Arc::clone(&schema), arrays).unwrap()).unwrap();
    }
    writer.into_inner().unwrap().into()
}

fn asked_bytes(read: &Read) -> u64 {
    read.asked.iter().flatten().map(|range| range.end - range.start).sum()
}

#[test]
fn only_the_pages_that_may_pass_are_asked_for() {
    let file = large(4, 20_000, 200, true);
    let filter = |json: Json| Predicate::parse(&json, "f").unwrap().unwrap();
    let (whole, _) = read(&file, &Projection::All, &filter(json!([["id", ">=", 0]])), None);
    assert!(asked_bytes(&whole) > file.len() as u64 * 9 / 10);
    let (some, decoder) =
        read(&file, &Projection::All, &filter(json!([["id", ">=", 90_000], ["id", "<", 90_200]])), None);
    assert!(ids(&some).is_superset(&(45_000..45_100).map(|id| id * 2).collect()));
    assert!(ids(&some).len() <= 300, "{}", ids(&some).len());
    assert!(asked_bytes(&some) < 300_000, "{} of {}", asked_bytes(&some), file.len());
    assert_eq!((decoder.pruned.row_groups, decoder.pruned.rows), (3, 80_000 - ids(&some).len() as u64));
    let (none, decoder) = read(&file, &Projection::All, &filter(json!([["id", "<", 0]])), None);
    assert_eq!((none.batches.len(), none.asked.len(), decoder.pruned.rows), (0, 1, 80_000));
    // Odd numbers lie between the bounds of pages, and in none of them.
    let (odd, decoder) = read(&file, &Projection::All, &filter(json!([["id", "=", 90_001]])), None);
    assert_eq!((odd.batches.len(), decoder.pruned.rows), (0, 80_000), "the bloom filter says no");
    let (even, _) = read(&file, &Projection::All, &filter(json!([["id", "=", 90_002]])), None);
    assert!(ids(&even).contains(&90_002));
}

#[test]
fn without_a_page_index_row_groups_are_pruned_as_a_whole() {
    let file = large(4, 5000, 100, false);
    let filter =
        Predicate::parse(&json!([["at", ">=", "1970-01-01T05:30:00Z"], ["id", "!=", 0]]), "f").unwrap().unwrap();
    let (read, decoder) = read(&file, &only(&["id", "at"]), &filter, None);
    assert_eq!(decoder.pruned.row_groups, 1);
    assert_eq!(ids(&read).len(), 15_000);
}

/// A row group that is larger than a slice is held slice by slice, and read again in the same order.
#[test]
fn a_large_row_group_is_read_in_slices_of_its_pages() {
    const ROWS: i64 = 10_000;
    let file = large(2, ROWS, 4000, true);
    let group_bytes = file.len() as u64 / 2;
    assert!(group_bytes > SLICE_ABOVE_BYTES, "{group_bytes}");
    let all = Predicate::parse(&json!([["id", "is not null"]]), "f").unwrap().unwrap();
    let (whole, _) = read(&file, &Projection::All, &all, None);
    assert_eq!(ids(&whole), (0..2 * ROWS).map(|id| id * 2).collect());
    let longest =
        whole.asked.iter().map(|ranges| ranges.iter().map(|range| range.end - range.start).sum::<u64>()).max();
    assert!(longest.is_some_and(|bytes| bytes < SLICE_BYTES * 3 / 2), "{longest:?}");
    assert!(asked_bytes(&whole) < file.len() as u64 * 101 / 100, "nothing is asked for twice");
    let middle = &whole.batches[whole.batches.len() / 3];
    let Place::RowGroup { group: 0, row } = middle.after.place else { panic!("{:?}", middle.after) };
    let (rest, _) = read(&file, &Projection::All, &all, Some(&middle.after));
    assert_eq!(ids(&rest), (row as i64..2 * ROWS).map(|id| id * 2).collect());
    assert!(asked_bytes(&rest) < asked_bytes(&whole) * 7 / 10, "what is done is not asked for again");
    // In order of rows too.
    let rows = rows(&whole.batches);
    assert!(rows.column(0).as_primitive::<Int64Type>().values().is_sorted());
}
