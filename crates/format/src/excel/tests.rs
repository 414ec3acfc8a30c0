//! Workbooks of other tools (see `fixtures/excel/make.py`), and damaged ones.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::tests::driver::drive;
use crate::tests::fixtures;
use tollgate_base::options::FormatOptions;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../integration_tests/fixtures/excel");

struct Run {
    lines: Vec<String>,
    positions: Vec<Position>,
    columns: Option<Vec<InferredColumn>>,
    error: Option<Error>,
}

fn run(stored: &[u8], resume: Option<&Position>, limits: &DecodeLimits, piece: usize) -> Run {
    let mut run = Run { lines: Vec::new(), positions: Vec::new(), columns: None, error: None };
    let object = object(stored.len());
    let mut encoder = fixtures::encoder(&FormatOptions::Excel, &object);
    let opened = ExcelDecoder::new(Compression::Auto, &Projection::All, &object, resume, limits);
    let mut decoder = match opened {
        Ok(decoder) => decoder,
        Err(error) => return Run { error: Some(error), ..run },
    };
    let driven = drive(&mut decoder, stored, &mut || piece, |decoded| {
        assert!((1..=limits.batch_rows).contains(&decoded.batch.rows()));
        run.lines.extend(fixtures::rows(&mut encoder, &decoded.batch)?);
        run.positions.push(decoded.after);
        Ok(())
    });
    assert!(driven.ranges.is_empty(), "a workbook is a stream");
    match driven.end {
        Ok(()) => run.columns = decoder.columns(),
        Err(error) => run.error = Some(error),
    }
    run
}

fn object(size: usize) -> ObjectFacts {
    fixtures::object("file.xlsx", size)
}

fn files() -> Vec<(PathBuf, Vec<u8>)> {
    [fixtures::files(FOLDER, "xlsx", 6), fixtures::files(FOLDER, "xlsb", 1)].concat()
}

fn expected(path: &Path) -> Vec<String> {
    fs::read_to_string(path.with_extension("jsonl")).unwrap().lines().map(str::to_owned).collect()
}

fn limits(batch_rows: usize, batch_bytes: usize) -> DecodeLimits {
    DecodeLimits { batch_rows, batch_bytes, ..DecodeLimits::default() }
}

#[test]
fn workbooks_have_the_rows_that_pandas_reads() {
    for (path, file) in files() {
        let expected = expected(&path);
        for (limits, piece) in [(limits(8192, 256 << 10), file.len()), (limits(1, 1), 1), (limits(7, 500), 999)] {
            let whole = run(&file, None, &limits, piece);
            assert!(whole.error.is_none(), "{}: {:?}", path.display(), whole.error);
            for (line, expected) in whole.lines.iter().zip(&expected) {
                assert_eq!(line, expected, "{}", path.display());
            }
            assert_eq!(whole.lines.len(), expected.len(), "{}", path.display());
            for position in whole.positions.iter().step_by(1 + whole.positions.len() / 5) {
                let rest = run(&file, Some(position), &limits, 4096);
                assert!(rest.error.is_none(), "{} {position:?}: {:?}", path.display(), rest.error);
                assert_eq!(rest.lines, expected[position.rows as usize..], "{} {position:?}", path.display());
                assert!(rest.positions.iter().all(|after| after.rows > position.rows));
            }
        }
    }
}

#[test]
fn columns_have_types_by_their_values() {
    let file = fs::read(Path::new(FOLDER).join("types.xlsx")).unwrap();
    let columns = run(&file, None, &DecodeLimits::default(), 4096).columns.unwrap();
    let shown: Vec<String> = columns.iter().map(|column| format!("{}={:?}", column.name, column.kind)).collect();
    assert_eq!(
        shown.join(","),
        "id=Number, name =String,when=Timestamp,day=Timestamp,time=String,duration=String,flag=Boolean,number=Number,\
         mixed=String,null=String,error=Null,digits=String,a=Number,a.1=Number,Unnamed: 14=String,a.2=Number,7=Number,\
         True=Null,Unnamed: 18=String"
    );
}

#[test]
fn what_is_no_workbook_is_an_error() {
    let rubbish = |bytes: &[u8]| run(bytes, None, &DecodeLimits::default(), 100).error.expect("an error");
    for bytes in [&b""[..], b"a,b\n1,2\n", b"PK\x03\x04", &[0xff; 1000]] {
        assert_eq!(rubbish(bytes).kind(), ErrorKind::Data);
    }
    let old = rubbish(&[&[0xd0, 0xcf, 0x11, 0xe0][..], &[0; 600]].concat());
    assert_eq!(old.kind(), ErrorKind::Unsupported, "{old}");
    assert!(old.to_string().contains("the old format xls"), "{old}");
    let place = Place::Block { offset: 1, row: 1 };
    let foreign = run(b"", Some(&Position::new(1, place)), &DecodeLimits::default(), 1).error.unwrap();
    assert_eq!(foreign.kind(), ErrorKind::Config);
    let file = fs::read(Path::new(FOLDER).join("many.xlsx")).unwrap();
    let beyond = Position::new(701, Place::RowGroup { group: 0, row: 701 });
    assert_eq!(run(&file, Some(&beyond), &DecodeLimits::default(), 999).error.unwrap().kind(), ErrorKind::Changed);
    for cut in (0..file.len()).step_by(97) {
        assert!(run(&file[..cut], None, &DecodeLimits::default(), 4096).error.is_some(), "cut at {cut}");
    }
}

#[test]
fn a_workbook_beyond_the_limit_is_refused_before_it_is_read() {
    let object = object(MOST_BYTES + 1);
    let opened = ExcelDecoder::new(Compression::Auto, &Projection::All, &object, None, &DecodeLimits::default());
    let error = opened.err().expect("an error");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.get("limit_bytes").is_some(), "{error}");
}

/// Damage in the archive is found by its checksums, so files inside of it are damaged and packed anew.
#[test]
fn damaged_workbooks_end_in_rows_or_in_an_error() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % limit.max(1) as u64) as usize
    };
    let files = ["types.xlsx", "binary.xlsb"].map(|name| fs::read(Path::new(FOLDER).join(name)).unwrap());
    let mut faults = 0;
    for round in 0..240 {
        let file = &files[round / 120];
        let damaged = if round % 4 == 0 {
            let mut damaged = file.clone();
            let at = random(damaged.len());
            damaged[at] ^= 1 << random(8);
            damaged
        } else {
            repacked(file, |name, content| {
                let interesting = name.contains("sheet1") || name.contains("shared") || name.contains("workbook");
                for _ in 0..if interesting { 1 + random(3) } else { 0 } {
                    let at = random(content.len());
                    content[at] = b"<>/\"=0129A& \xff"[random(13)];
                }
            })
        };
        let run = run(&damaged, None, &DecodeLimits::default(), 4096);
        let Some(error) = run.error else { continue };
        faults += 1;
        assert!(error.get("key").is_some() && error.kind() != ErrorKind::Internal, "{error:?} in round {round}");
    }
    assert!(faults > 20, "{faults} faults");
}

fn repacked(file: &[u8], mut change: impl FnMut(&str, &mut Vec<u8>)) -> Vec<u8> {
    use std::io::Write as _;
    let mut archive = zip::ZipArchive::new(Cursor::new(file)).unwrap();
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let name = entry.name().to_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        change(&name, &mut content);
        writer.start_file(name, options).unwrap();
        writer.write_all(&content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}
