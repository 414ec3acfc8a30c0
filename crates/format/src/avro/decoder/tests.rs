//! Files that fastavro wrote (see `fixtures/avro/make.py`), in every way in which they can be handed over; and damaged ones.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use super::*;
use crate::tests::driver::drive;
use crate::tests::fixtures;
use tollgate_base::batch::{InferredType, Reject};
use tollgate_base::options::{FormatOptions, InferenceDepth};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../integration_tests/fixtures/avro");

/// What a run gave: the records' members, the positions with the rows before each, and the error at the end.
#[derive(Debug, Default)]
struct Run {
    lines: Vec<String>,
    positions: Vec<Position>,
    /// What was gone over.
    rejects: Vec<Reject>,
    error: Option<Error>,
    /// Where the stream began, and the ranges that were asked for before it.
    from: u64,
    ranges: Vec<std::ops::Range<u64>>,
}

#[derive(Clone)]
struct Reading<'a> {
    stored: &'a [u8],
    compression: Compression,
    options: AvroOptions,
    limits: DecodeLimits,
    resume: Option<Position>,
}

impl<'a> Reading<'a> {
    fn new(stored: &'a [u8]) -> Self {
        let (options, limits) = (AvroOptions::default(), DecodeLimits::default());
        Self { stored, compression: Compression::None, options, limits, resume: None }
    }

    fn object(&self) -> ObjectFacts {
        fixtures::object("file.avro", self.stored.len())
    }

    fn decoder(&self) -> AvroDecoder {
        let (object, all) = (self.object(), &Projection::All);
        AvroDecoder::new(&self.options, self.compression, all, &object, self.resume.as_ref(), &self.limits).unwrap()
    }

    fn run(&self, mut piece: impl FnMut() -> usize) -> Run {
        let mut run = Run::default();
        if let Err(error) = self.try_run(&mut piece, &mut run) {
            run.error = Some(error);
        }
        run
    }

    fn try_run(&self, piece: &mut dyn FnMut() -> usize, run: &mut Run) -> Result<()> {
        let (object, all) = (self.object(), &Projection::All);
        let (resume, limits) = (self.resume.as_ref(), &self.limits);
        let mut decoder = AvroDecoder::new(&self.options, self.compression, all, &object, resume, limits)?;
        let mut encoder = fixtures::encoder(&FormatOptions::Avro(self.options.clone()), &object);
        let driven = drive(&mut decoder, self.stored, piece, |decoded| {
            // Bytes behind the last row are not counted as one.
            let rows = decoded.batch.rows() + decoded.rejects.len();
            assert!((1..=self.limits.batch_rows + 1).contains(&rows));
            run.lines.extend(fixtures::rows(&mut encoder, &decoded.batch)?);
            run.rejects.extend(decoded.rejects);
            let all = run.lines.len() as u64 + run.rejects.iter().map(rows_of).sum::<u64>();
            assert_eq!(decoded.after.rows, all + resume.map_or(0, |position| position.rows));
            run.positions.push(decoded.after);
            Ok(())
        });
        (run.from, run.ranges) = (driven.from, driven.ranges);
        driven.end
    }
}

fn files() -> Vec<(PathBuf, Vec<u8>)> {
    fixtures::files(FOLDER, "avro", 14)
}

fn fixture(name: &str) -> Vec<u8> {
    fs::read(PathBuf::from(FOLDER).join(format!("{name}.avro"))).unwrap()
}

fn expected(path: &std::path::Path) -> Vec<String> {
    let stem = path.file_stem().unwrap().to_string_lossy();
    let name = stem.split("--").next().unwrap();
    let text = fs::read_to_string(PathBuf::from(FOLDER).join(format!("{name}.jsonl"))).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn random(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn files_of_fastavro_have_the_rows_that_they_should() {
    for (path, file) in files() {
        let run = Reading::new(&file).run(|| usize::MAX >> 1);
        assert!(run.error.is_none(), "{}: {:?}", path.display(), run.error);
        let expected = expected(&path);
        for (line, expected) in run.lines.iter().zip(&expected) {
            assert_eq!(line, expected, "{}", path.display());
        }
        assert_eq!(run.lines.len(), expected.len(), "{}", path.display());
    }
}

#[test]
fn rows_are_the_same_in_whatever_pieces_they_come_and_wherever_reading_goes_on() {
    let mut random = random(0x2545_f491_4f6c_dd1d);
    for (path, file) in files() {
        let expected = expected(&path);
        let compressed = gzip(&file);
        for (compression, stored) in
            [(Compression::None, &file), (Compression::Gzip, &compressed), (Compression::Auto, &file)]
        {
            for (batch_rows, batch_bytes, most) in
                [(8192, 256 << 10, 1), (7, 1 << 20, 5000), (1, 1, 70), (50, 900, 300)]
            {
                let limits = DecodeLimits { batch_rows, batch_bytes, ..DecodeLimits::default() };
                let reading = Reading { compression, limits, ..Reading::new(stored) };
                let run = reading.run(|| 1 + random(most));
                assert!(run.error.is_none() && run.lines == expected, "{} {most} {:?}", path.display(), run.error);
                let some = 1 + run.positions.len() / 12;
                for position in run.positions.into_iter().step_by(some) {
                    let resumed =
                        Reading { resume: Some(position.clone()), ..reading.clone() }.run(|| 1 + random(5000));
                    assert!(resumed.error.is_none(), "{} {position:?} {:?}", path.display(), resumed.error);
                    assert_eq!(resumed.lines, expected[position.rows as usize..], "{} {position:?}", path.display());
                    if let Place::Block { offset, .. } = position.place {
                        assert_eq!((resumed.from, resumed.ranges.len()), (offset - 16, 1), "the header, then the rest");
                    }
                }
            }
        }
    }
}

#[test]
fn a_header_longer_than_the_first_range_is_fetched_as_a_whole() {
    let doc = "x".repeat(200_000);
    let schema = format!(r#"{{"type":"record","name":"r","doc":"{doc}","fields":[{{"name":"a","type":"int"}}]}}"#);
    let file = container(&schema, &[(2, &[2, 4]), (1, &[6])]);
    let limits = DecodeLimits { batch_rows: 1, ..DecodeLimits::default() };
    let reading = Reading { limits, ..Reading::new(&file) };
    let run = reading.run(|| 1000);
    assert_eq!(run.lines, [r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":3}"#], "{:?}", run.error);
    let resumed = Reading { resume: Some(run.positions[0].clone()), ..reading }.run(|| 4096);
    assert_eq!(resumed.lines, run.lines[1..], "{:?}", resumed.error);
    assert_eq!(resumed.ranges, [0..64 << 10, 64 << 10..file.len() as u64]);
}

/// A container of blocks that are given as their number of rows and their bytes.
fn container(schema: &str, blocks: &[(i64, &[u8])]) -> Vec<u8> {
    fn long(value: i64, out: &mut Vec<u8>) {
        let mut rest = (value << 1 ^ value >> 63) as u64;
        while rest > 127 {
            out.push(rest as u8 | 128);
            rest >>= 7;
        }
        out.push(rest as u8);
    }
    fn bytes(value: &[u8], out: &mut Vec<u8>) {
        long(value.len() as i64, out);
        out.extend_from_slice(value);
    }
    let mut file = MAGIC.to_vec();
    long(1, &mut file);
    bytes(b"avro.schema", &mut file);
    bytes(schema.as_bytes(), &mut file);
    long(0, &mut file);
    file.extend_from_slice(&[7; MARKER_BYTES]);
    for (rows, data) in blocks {
        long(*rows, &mut file);
        bytes(data, &mut file);
        file.extend_from_slice(&[7; MARKER_BYTES]);
    }
    file
}

fn one_field(kind: &str, blocks: &[(i64, &[u8])]) -> Vec<u8> {
    container(&format!(r#"{{"type":"record","name":"r","fields":[{{"name":"a","type":{kind}}}]}}"#), blocks)
}

#[test]
fn faults_of_values_name_block_row_and_column() {
    for (kind, data, reason) in [
        ("\"boolean\"", &[2][..], "neither 0 nor 1"),
        ("\"int\"", &[0xff, 0xff, 0xff, 0xff, 0x7f], "longer than 32 bits"),
        ("\"long\"", &[0xff; 10], "longer than 64 bits"),
        ("\"string\"", &[4, b'a'], "ends inside a value"),
        ("\"string\"", &[2, 0xff], "not UTF-8"),
        ("\"string\"", &[1], "negative"),
        ("\"bytes\"", &[2, 0xff], "a binary value is not UTF-8"),
        ("[\"null\"]", &[2], "no branch"),
        ("[\"null\"]", &[1], "no branch"),
        (r#"{"type":"enum","name":"e","symbols":["A"]}"#, &[2], "no symbol"),
        (r#"{"type":"int","logicalType":"time-millis"}"#, &[1], "out of range"),
        (
            r#"{"type":"array","items":"null"}"#,
            &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
            "longer than the limit",
        ),
        (r#""r""#, &[], "nested too deeply"),
        (r#"["r","null"]"#, &[0; 5000], "nested too deeply"),
    ] {
        let first: &[u8] = if kind.contains("r\"") { &[2] } else { &[] };
        let blocks = if first.is_empty() || kind == r#""r""# {
            vec![(0, first), (1, data)]
        } else {
            vec![(1, first), (1, data)]
        };
        let blocks = if kind == r#""r""# { vec![(1, data)] } else { blocks };
        let run = Reading::new(&one_field(kind, &blocks)).run(|| 100);
        let error = run.error.unwrap_or_else(|| panic!("{kind}: {:?}", run.lines));
        assert_eq!(error.kind(), ErrorKind::Data, "{error}");
        assert!(error.get("reason").unwrap_or_default().contains(reason), "{kind}: {error}");
        assert!(error.get("column") == Some("a") && error.get("block_byte").is_some(), "{kind}: {error}");
    }
}

#[test]
fn blocks_that_are_not_as_they_announce_are_errors() {
    for (blocks, message) in [
        (&[(1, &[2, 4][..])][..], "after its last row"),
        (&[(2, &[2])], "cannot be read"),
        (&[(1 << 40, &[2])], "more rows than it has bytes"),
        (&[(-1, &[2])], "damaged at the start of a block"),
    ] {
        let run = Reading::new(&one_field("\"int\"", blocks)).run(|| 100);
        let error = run.error.unwrap_or_else(|| panic!("{blocks:?}"));
        assert!(error.to_string().contains(message) && error.get("block_byte").is_some(), "{error}");
    }
    let file = container(r#"{"type":"record","name":"r","fields":[]}"#, &[(3, &[])]);
    assert_eq!(Reading::new(&file).run(|| 100).lines, ["{}"; 3], "rows may have no bytes");
}

#[test]
fn rows_before_a_fault_are_handed_over_and_their_position_finds_it_again() {
    let file = one_field("\"boolean\"", &[(2, &[0, 1]), (4, &[1, 0, 1, 9])]);
    let run = Reading::new(&file).run(|| 100);
    assert_eq!(run.lines.len(), 5);
    let error = run.error.unwrap();
    assert_eq!((error.get("row"), error.get("block_row")), (Some("6"), Some("4")), "{error}");
    let resumed = Reading { resume: run.positions.last().cloned(), ..Reading::new(&file) }.run(|| 100);
    assert_eq!((resumed.lines.len(), resumed.error.unwrap().to_string()), (0, error.to_string()));
}

#[test]
fn a_file_that_is_cut_off_is_an_error_but_between_blocks() {
    for name in ["small--deflate", "primitives", "small--snappy"] {
        let file = fixture(name);
        let whole = Reading::new(&file).run(|| 10_000);
        let starts: Vec<u64> = whole.positions.iter().map(|position| place_of(position).0).collect();
        for cut in 0..file.len() {
            let run = Reading::new(&file[..cut]).run(|| 10_000);
            assert_eq!(run.lines, whole.lines[..run.lines.len()], "{name} {cut}");
            match run.error {
                Some(error) => assert_eq!(error.kind(), ErrorKind::Data, "{error}"),
                None => {
                    assert!(starts.contains(&(cut as u64)) || run.lines.is_empty(), "{name} {cut} {}", run.lines.len())
                }
            }
        }
    }
}

/// The rows of the file that are lost. Bytes behind a block's last row are none of them.
fn rows_of(lost: &Reject) -> u64 {
    if lost.reason.contains("after its last row") { 0 } else { lost.rows() }
}

/// What is gone over, as row, number of rows, a part of the reason, and whether it has its place.
fn lost(run: &Run) -> Vec<(u64, u64, &str)> {
    run.rejects.iter().map(|reject| (reject.row.unwrap(), reject.rows(), &*reject.reason)).collect()
}

/// Reads a file going over bad rows, in several ways, and goes on from each position: nothing comes twice, and nothing is
/// left out.
#[track_caller]
fn gone_over(file: &[u8]) -> Run {
    let limits = DecodeLimits { on_bad_row: OnBadRow::Collect, ..DecodeLimits::default() };
    let whole = Reading { limits, ..Reading::new(file) }.run(|| usize::MAX >> 1);
    assert!(whole.error.is_none(), "{:?}", whole.error);
    let compressed = gzip(file);
    for (compression, stored) in [(Compression::None, file), (Compression::Gzip, &compressed)] {
        for (batch_rows, piece) in [(1, 1), (3, 50), (8192, 7)] {
            let limits = DecodeLimits { batch_rows, ..limits };
            let reading = Reading { compression, limits, ..Reading::new(stored) };
            let run = reading.run(|| piece);
            assert_eq!((&run.lines, lost(&run)), (&whole.lines, lost(&whole)), "{:?}", run.error);
            assert!(run.rejects.iter().all(|reject| reject.offset.is_some() == (compression == Compression::None)));
            for position in &run.positions {
                let resumed = Reading { resume: Some(position.clone()), ..reading.clone() }.run(|| 1000);
                assert!(resumed.error.is_none(), "{position:?}: {:?} {:?}", resumed.error, whole.rejects);
                let before = whole.rejects.iter().filter(|reject| reject.row.unwrap() <= position.rows);
                let (count, before) = before.fold((0, 0), |(count, rows), lost| (count + 1, rows + rows_of(lost)));
                assert_eq!(resumed.rejects.len(), whole.rejects.len() - count, "{position:?}");
                assert_eq!(resumed.lines, whole.lines[(position.rows - before) as usize..], "{position:?}");
            }
        }
    }
    whole
}

#[test]
fn a_row_that_cannot_be_written_is_gone_over_alone() {
    let texts = one_field("\"string\"", &[(4, b"\x02a\x02\xff\x02b\x04\xfe\xfd"), (1, b"\x02c")]);
    let run = gone_over(&texts);
    assert_eq!(run.lines, [r#"{"a":"a"}"#, r#"{"a":"b"}"#, r#"{"a":"c"}"#]);
    let reason = "a row of the Avro file cannot be read: a string is not UTF-8 text (column 'a')";
    assert_eq!(lost(&run), [(2, 1, reason), (4, 1, reason)]);
    assert_eq!((&run.rejects[1].raw[..], run.rejects[1].offset), (&b"\x04\xfe\xfd"[..], run.rejects[0].offset));
}

#[test]
fn the_rest_of_a_block_is_lost_where_nobody_knows_where_rows_begin() {
    for (kind, block, reason) in [
        ("\"string\"", &b"\x02a\x01\x02b\x02c"[..], "a length is negative"),
        ("\"boolean\"", b"\x01\x02\x01", "neither 0 nor 1"),
        ("[\"null\",\"int\"]", b"\x00\x08\x00\x00", "no branch with that index"),
    ] {
        let run = gone_over(&one_field(kind, &[(1, &block[..1 + usize::from(block[0] == 2)]), (4, block), (0, b"")]));
        assert_eq!(run.lines.len(), 2, "{kind}: {:?}", run.lines);
        let [(row, rows, said)] = lost(&run)[..] else { panic!("{kind}: {:?}", run.rejects) };
        assert!((row, rows) == (3, 3) && said.contains(reason) && said.starts_with("the rest of"), "{kind}: {said}");
    }
    let run = gone_over(&one_field("\"int\"", &[(1, &[2, 4]), (1, &[6])]));
    assert_eq!((run.lines.len(), lost(&run)), (2, vec![(1, 1, "an Avro block has bytes after its last row")]));
}

#[test]
fn damaged_blocks_are_counted_and_the_next_ones_are_read() {
    let good = fixture("small--deflate");
    let rows = Reading::new(&good).run(|| 10_000);
    let starts: Vec<usize> = rows.positions.iter().map(|position| place_of(position).0 as usize).collect();
    let counts: Vec<u64> = rows.positions.iter().map(|position| place_of(position).1).collect();
    assert!(starts.len() >= 4, "{starts:?}");
    let end_of = |block: usize| starts.get(block + 1).copied().unwrap_or(good.len());
    let last = starts.len() - 1;
    for (what, block, at, byte, reason) in [
        ("the codec", 1, starts[1] + 30, 0xff, "the compressed data of an Avro block is damaged"),
        ("the marker", 1, end_of(1) - 5, 0x55, "does not end with the sync marker"),
        ("the last marker", last, end_of(last) - 5, 0x55, "does not end with the sync marker"),
        ("the length", 1, starts[1] + 2, 0x7f, "before the next sync marker"),
        ("a shorter length", 2, starts[2] + 2, 0x02, "before the next sync marker"),
    ] {
        let mut damaged = good.clone();
        assert_ne!(damaged[at], byte, "{what}");
        damaged[at] = byte;
        let run = gone_over(&damaged);
        let before: u64 = counts[..block].iter().sum();
        let [(row, lost, said)] = lost(&run)[..] else { panic!("{what}: {:?}", run.rejects) };
        assert_eq!((row, lost), (before + 1, counts[block]), "{what}: {said}");
        assert!(said.contains(reason) && run.rejects[0].offset == Some(starts[block] as u64), "{what}: {said}");
        let mut expected = rows.lines.clone();
        expected.drain(before as usize..(before + counts[block]) as usize);
        assert_eq!(run.lines, expected, "{what}");
    }
    let run = gone_over(&good[..good.len() - 20]);
    assert_eq!((run.lines.len() as u64, lost(&run)[0].1), (counts[..last].iter().sum(), counts[last]), "cut off");
}

fn place_of(position: &Position) -> (u64, u64) {
    let Place::Block { offset, row } = position.place else { panic!("{position:?}") };
    (offset, row)
}

/// Whatever is done to a file: rows or an error that says where, and never a panic.
#[test]
fn damaged_files_end_in_rows_or_in_an_error() {
    let mut random = random(0x9e37_79b9_7f4a_7c15);
    let mut faults = 0;
    for (path, file) in files() {
        for round in 0..150 {
            let mut damaged = file.clone();
            for _ in 0..=random(3) {
                let at = random(damaged.len());
                match random(3) {
                    0 => damaged[at] ^= 1 << random(8),
                    1 => damaged[at] = [0, 0xff, 0x7f, 0x80][random(4)],
                    _ => _ = damaged.splice(at..(at + random(9)).min(file.len()).min(damaged.len()), [1, 0xfe]),
                }
            }
            let on_bad_row = if round % 2 == 0 { OnBadRow::Stop } else { OnBadRow::Collect };
            let limits = DecodeLimits { row_bytes: 1 << 20, on_bad_row, ..DecodeLimits::default() };
            let run = Reading { limits, ..Reading::new(&damaged) }.run(|| 1 + random(3000));
            faults += usize::from(!run.rejects.is_empty());
            let Some(error) = run.error else { continue };
            faults += 1;
            let named = error.get("key").is_some();
            assert!(named && error.kind() != ErrorKind::Internal, "{} {round}: {error:?}", path.display());
        }
    }
    assert!(faults > 500, "{faults} faults");
}

#[test]
fn a_position_of_another_file_is_noticed() {
    let file = fixture("small--deflate");
    let whole = Reading { limits: DecodeLimits { batch_rows: 5, ..DecodeLimits::default() }, ..Reading::new(&file) };
    let positions = whole.run(|| 10_000).positions;
    let resumed = |place: Place| {
        let resume = Some(Position::new(3, place));
        Reading { resume, ..Reading::new(&file) }.run(|| 10_000).error.expect("an error").kind()
    };
    let (offset, row) = place_of(&positions[1]);
    for (offset, row) in
        [(offset + 1, row), (offset, 10_000), (file.len() as u64 + 1, 0), (5, 0), (file.len() as u64, 1)]
    {
        assert_eq!(resumed(Place::Block { offset, row }), ErrorKind::Changed, "{offset} {row}");
    }
    assert_eq!(resumed(Place::RowGroup { group: 0, row: 301 }), ErrorKind::Changed);
    let line = Place::Byte { offset: 7, line: 0, columns: None, frame: None };
    assert_eq!(resumed(line), ErrorKind::Config);
}

#[test]
fn columns_have_the_types_of_the_connector_that_we_replace() {
    let types = |name: &str, double_as_string: bool| {
        let file = fixture(name);
        let reading = Reading::new(&file);
        let (none, all) = (Compression::None, &Projection::All);
        let options = AvroOptions { double_as_string, ..AvroOptions::default() };
        let mut decoder =
            AvroDecoder::new(&options, none, all, &reading.object(), None, &DecodeLimits::default()).unwrap();
        decoder.feed(0, file.into()).unwrap();
        decoder.end_input(InputEnd::Complete);
        decoder.step().unwrap();
        decoder.columns().unwrap().into_iter().map(|column| (column.name, column.kind)).collect::<Vec<_>>()
    };
    let shown = |name: &str, double_as_string| {
        types(name, double_as_string)
            .iter()
            .map(|(name, kind)| format!("{name}={kind:?}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        shown("primitives", false),
        "nothing=Null boolean=Boolean int=Integer long=Integer float=Number double=Number bytes=String string=String \
         empty=String"
    );
    assert!(types("primitives", true).contains(&("double".to_owned(), InferredType::String)));
    let logical = "date=Date time_ms=Integer time_us=Integer ts_ms=Timestamp ts_us=String local_ms=Timestamp \
                   local_us=String uuid=String decimal=String whole=String tiny=String";
    assert_eq!(shown("logical", false), format!("{logical} fixed_decimal=String wide_decimal=String plain=String"));
    assert_eq!(shown("nullable", false), format!("{logical} last=Integer double=Number"));
    assert_eq!(shown("union", false), "any=String pet=Object named=String");
    assert_eq!(shown("nested", false), "inner=Object list=Array map=Object lists=Array bytes=Object floats=Array");
}

#[test]
fn rich_columns_have_times_of_all_units() {
    let shown = |inference| {
        let file = fixture("logical");
        let limits = DecodeLimits { inference, ..DecodeLimits::default() };
        let mut decoder = Reading { limits, ..Reading::new(&file) }.decoder();
        decoder.feed(0, file.clone().into()).unwrap();
        decoder.end_input(InputEnd::Complete);
        decoder.step().unwrap();
        let columns = decoder.columns().unwrap();
        let kind = |name: &str| columns.iter().find(|column| column.name == name).unwrap().kind;
        ["time_us", "ts_us", "ts_ms", "uuid"].map(kind)
    };
    use InferredType::{Integer, String, Time, Timestamp};
    assert_eq!(shown(InferenceDepth::Compatible), [Integer, String, Timestamp, String]);
    assert_eq!(shown(InferenceDepth::Rich), [Time, Timestamp, Timestamp, String]);
}

#[test]
fn doubles_may_be_strings() {
    let (file, options) = (fixture("primitives"), AvroOptions { double_as_string: true, ..AvroOptions::default() });
    let run = Reading { options, ..Reading::new(&file) }.run(|| 10_000);
    let doubles: Vec<String> = run
        .lines
        .iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["double"].as_str().unwrap().to_owned())
        .collect();
    let expected =
        ["0.0", "-0.0", "0.1", "1e+16", "1e+22", "1e-10", "5e-324", "1.7976931348623157e+308", "nan", "inf", "-inf"];
    assert_eq!(doubles, expected);
}

#[test]
fn other_objects_are_no_avro_files() {
    for bytes in [&b""[..], b"O", b"Obj\x02", b"PAR1 and more", b"Obj\x01"] {
        let error = Reading::new(bytes).run(|| 1).error.unwrap();
        assert_eq!(error.kind(), ErrorKind::Data, "{error}");
    }
    let codec = [MAGIC, b"\x02\x14avro.codec\x06lzo\x00", &[7; 16]].concat();
    let error = Reading::new(&codec).run(|| 1).error.unwrap();
    assert!(error.to_string().contains("no schema"), "{error}");
}

/// A part that a limit had cut off was taken for the whole file, and what came after it counted as read.
#[test]
fn a_part_of_a_file_is_no_end_of_it() {
    let file = fixture("nested");
    let limits = DecodeLimits { on_bad_row: OnBadRow::Collect, ..DecodeLimits::default() };
    let reading = Reading { limits, ..Reading::new(&file) };
    for cut in 1..file.len() {
        let mut decoder = reading.decoder();
        decoder.feed(0, Bytes::copy_from_slice(&file[..cut])).unwrap();
        decoder.end_input(InputEnd::Cut);
        loop {
            match decoder.step().unwrap() {
                Step::NeedBytes => break,
                Step::NeedRoom => {}
                Step::Batch(decoded) => assert!(decoded.rejects.is_empty(), "cut at {cut}"),
                step => panic!("cut at {cut}: {step:?}"),
            }
        }
    }
}
