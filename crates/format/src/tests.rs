//! Properties of the text decoders: the same rows however the bytes arrive, however batches are cut, and wherever
//! reading goes on; and the rows of CSV are those of a plain copy of the rules of Python's `csv` module.

pub(super) mod driver;
mod encodings;
pub(super) mod fixtures;
mod rejects;

use bytes::Bytes;

use self::driver::drive;
use super::compression::tests::{MANY, compressed};
use super::{Access, DecodeLimits, InputEnd, OpenOptions, Step};
use tollgate_base::batch::{Batch, Place, Position, Reject};
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::object::ObjectFacts;
use tollgate_base::options::{Compression, CsvHeader, CsvOptions, FormatOptions, OnBadRow};

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }

    fn text(&mut self, parts: &[&str], most: usize) -> String {
        let count = self.below(most + 1);
        (0..count).map(|_| parts[self.below(parts.len())]).collect()
    }
}

/// A row as text: for CSV its fields, `None` for an absent one; for JSON its members.
type Row = Vec<Option<String>>;

/// What a run gave: rows with the position behind the batch that had them, and the error at the end.
#[derive(Debug, Default)]
struct Run {
    batches: Vec<(Vec<Row>, Position)>,
    /// With the number of the batch that brought them.
    rejects: Vec<(usize, Reject)>,
    error: Option<Error>,
}

impl Run {
    fn rows(&self) -> Vec<Row> {
        self.batches.iter().flat_map(|(rows, _)| rows.clone()).collect()
    }

    /// Message and place of the error.
    fn fault(&self) -> Option<String> {
        self.error.as_ref().map(ToString::to_string)
    }
}

fn object() -> ObjectFacts {
    fixtures::object("file", 0)
}

fn rows_of(batch: &Batch) -> Vec<Row> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("decoders hand over UTF-8");
    match batch {
        Batch::Text(rows) => (0..rows.rows)
            .map(|row| {
                let field = |span: &tollgate_base::batch::Span| (!span.absent()).then(|| text(span.of(&rows.data)));
                rows.row(row).iter().map(field).collect()
            })
            .collect(),
        Batch::Json(rows) => (0..rows.row_ends.len())
            .map(|row| {
                let member = |field: &tollgate_base::batch::JsonField| {
                    let value = text(field.value.of(&rows.data));
                    assert!(!value.contains(['\n', '\r']), "{value:?}");
                    Some(format!("{}={value}", text(field.key.of(&rows.data))))
                };
                rows.row(row).iter().map(member).collect()
            })
            .collect(),
        Batch::Arrow(_) => unreachable!("text formats give text"),
    }
}

/// How a file is read.
struct Reading<'a> {
    options: &'a FormatOptions,
    compression: Compression,
    stored: &'a [u8],
    limits: DecodeLimits,
    resume: Option<Position>,
}

impl Reading<'_> {
    /// Reads with pieces of the sizes that `piece` gives.
    fn run(&self, mut piece: impl FnMut() -> usize) -> Run {
        let mut run = Run::default();
        match self.try_run(&mut piece, &mut run) {
            Ok(()) => {}
            Err(error) => run.error = Some(error),
        }
        run
    }

    fn try_run(&self, piece: &mut dyn FnMut() -> usize, run: &mut Run) -> Result<()> {
        let (compression, resume, limits) = (self.compression, self.resume.as_ref(), self.limits);
        let mut decoder =
            OpenOptions { compression, resume, limits, ..OpenOptions::new(self.options) }.open(&object())?;
        let driven = drive(&mut *decoder, self.stored, piece, |decoded| {
            assert!(decoded.batch.rows() <= self.limits.batch_rows);
            assert!(decoded.batch.rows() > 0 || !decoded.rejects.is_empty());
            run.rejects.extend(decoded.rejects.into_iter().map(|reject| (run.batches.len(), reject)));
            run.batches.push((rows_of(&decoded.batch), decoded.after));
            Ok(())
        });
        assert!(driven.ranges.is_empty(), "text needs no ranges");
        driven.end
    }
}

fn limits(batch_rows: usize, batch_bytes: usize) -> DecodeLimits {
    DecodeLimits { batch_rows, batch_bytes, ..DecodeLimits::default() }
}

/// As one or several members, some of them empty.
fn in_members(compression: Compression, text: &[u8], random: &mut Random) -> Vec<u8> {
    let mut stored = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let end = (at + random.below(100)).min(text.len());
        stored.extend(compressed(compression, &text[at..end]));
        at = end;
    }
    if stored.is_empty() { compressed(compression, b"") } else { stored }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    compressed(Compression::Gzip, text)
}

fn csv(options: CsvOptions) -> FormatOptions {
    FormatOptions::Csv(options)
}

fn read(options: &FormatOptions, text: &[u8]) -> Run {
    read_on(options, text, OnBadRow::Stop)
}

fn read_on(options: &FormatOptions, text: &[u8], on_bad_row: OnBadRow) -> Run {
    let whole = Reading {
        options,
        compression: Compression::None,
        stored: text,
        limits: DecodeLimits { on_bad_row, ..DecodeLimits::default() },
        resume: None,
    };
    whole.run(|| usize::MAX >> 1)
}

/// Reads in every way there is and compares: pieces, batches, compression, going on at every position.
fn check_all_ways(options: &FormatOptions, text: &[u8], random: &mut Random) -> Run {
    check_all_ways_on(options, text, random, OnBadRow::Stop)
}

fn check_all_ways_on(options: &FormatOptions, text: &[u8], random: &mut Random, on_bad_row: OnBadRow) -> Run {
    let whole = read_on(options, text, on_bad_row);
    let rejects = |run: &Run| run.rejects.iter().map(|(_, reject)| reject.clone()).collect::<Vec<_>>();
    let compression = MANY[random.below(MANY.len())];
    let stored = in_members(compression, text, random);
    let ways = [
        (Compression::None, text),
        (Compression::Auto, text),
        (compression, &stored[..]),
        (Compression::Auto, &stored[..]),
    ];
    for (compression, stored) in ways {
        for (batch_rows, batch_bytes) in [(8192, 256 << 10), (1, 64), (3, 1), (8192, 40)] {
            let limits = DecodeLimits { on_bad_row, ..limits(batch_rows, batch_bytes) };
            let reading = Reading { options, compression, stored, limits, resume: None };
            let style = random.below(3);
            let run = reading.run(|| match style {
                0 => 1,
                1 => 1 + random.below(90),
                _ => stored.len(),
            });
            let context = || format!("{compression:?} {batch_rows} {batch_bytes} {:?}", String::from_utf8_lossy(text));
            assert_eq!(run.rows(), whole.rows(), "{}", context());
            assert_eq!(run.fault(), whole.fault(), "{}", context());
            assert_eq!(rejects(&run), rejects(&whole), "{}", context());
            let (mut before, rows) = (0, whole.rows());
            for (number, (batch, position)) in run.batches.into_iter().enumerate() {
                before += batch.len();
                assert_eq!(position.rows, before as u64, "{}", context());
                let resumed = Reading { resume: Some(position.clone()), ..reading };
                let rest = resumed.run(|| 1 + random.below(200));
                assert_eq!(rest.rows(), rows[before..], "from {position:?}: {}", context());
                assert_eq!(rest.fault(), whole.fault(), "from {position:?}: {}", context());
                let passed = run.rejects.iter().filter(|(of, _)| *of <= number).count();
                assert_eq!(rejects(&rest), rejects(&whole)[passed..], "from {position:?}: {}", context());
            }
        }
    }
    whole
}

impl Clone for Reading<'_> {
    fn clone(&self) -> Self {
        Self { resume: self.resume.clone(), ..*self }
    }
}

/// What the model says of a text.
struct Expected {
    rows: Vec<Vec<String>>,
    /// The line in which the first fault is: a row of another width, or a quote that is never closed.
    fault_line: Option<usize>,
}

/// Python's reader (`Modules/_csv.c`, not strict) over text with universal line ends, character by character, with
/// the physical line of every row. Written apart from the decoder, to be compared with it.
fn python_rows(text: &str, options: &CsvOptions) -> Expected {
    #[derive(PartialEq)]
    enum State {
        StartRecord,
        StartField,
        Escaped,
        AfterEscapedLineEnd,
        InField,
        InQuoted,
        EscapeInQuoted,
        QuoteInQuoted,
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n").replace('\r', "\n");
    let quote = options.quote.map(char::from);
    let escape = options.escape.map(char::from);
    let delimiter = char::from(options.delimiter);
    let (mut rows, mut row, mut field) = (Vec::new(), Vec::new(), String::new());
    let mut state = State::StartRecord;
    let (mut row_line, mut quote_line) = (1, 1);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if state == State::StartRecord {
            row_line = number + 1;
        }
        // `None` is what the module calls the end of a line; it comes behind the line's own line feed.
        for c in line.chars().map(Some).chain([None]) {
            let ends = c.is_none() || c == Some('\n');
            match state {
                State::StartRecord if ends => {}
                State::StartRecord | State::StartField => {
                    if ends {
                        row.push(std::mem::take(&mut field));
                    } else if c == quote {
                        (state, quote_line) = (State::InQuoted, number + 1);
                        continue;
                    } else if c == escape {
                        state = State::Escaped;
                        continue;
                    } else if c == Some(delimiter) {
                        row.push(std::mem::take(&mut field));
                        state = State::StartField;
                        continue;
                    } else {
                        field.extend(c);
                        state = State::InField;
                        continue;
                    }
                }
                State::Escaped => {
                    field.push(c.unwrap_or('\n'));
                    state = if c == Some('\n') { State::AfterEscapedLineEnd } else { State::InField };
                    continue;
                }
                State::AfterEscapedLineEnd if c.is_none() => continue,
                State::AfterEscapedLineEnd | State::InField | State::QuoteInQuoted => {
                    if ends {
                        row.push(std::mem::take(&mut field));
                    } else {
                        if state == State::QuoteInQuoted && c == quote {
                            field.extend(c);
                            state = State::InQuoted;
                        } else if state != State::QuoteInQuoted && c == escape {
                            state = State::Escaped;
                        } else if c == Some(delimiter) {
                            row.push(std::mem::take(&mut field));
                            state = State::StartField;
                        } else {
                            field.extend(c);
                            state = State::InField;
                        }
                        continue;
                    }
                }
                State::InQuoted => {
                    if c.is_some() && c == escape {
                        state = State::EscapeInQuoted;
                    } else if c.is_some() && c == quote {
                        state = if options.double_quote { State::QuoteInQuoted } else { State::InField };
                    } else {
                        field.extend(c);
                    }
                    continue;
                }
                State::EscapeInQuoted => {
                    field.push(c.unwrap_or('\n'));
                    state = State::InQuoted;
                    continue;
                }
            }
            if !row.is_empty() {
                rows.push((row_line, std::mem::take(&mut row)));
            }
            state = State::StartRecord;
            // What follows a line feed is only the end of the line.
            break;
        }
    }
    let open = matches!(state, State::InQuoted | State::EscapeInQuoted);
    if !open && state != State::StartRecord {
        row.push(field);
        rows.push((row_line, row));
    }
    let width = rows.first().map_or(0, |(_, row)| row.len());
    let odd = rows.iter().position(|(_, row)| row.len() != width);
    let fault_line = odd.map(|at| rows[at].0).or(open.then_some(quote_line));
    let good = odd.unwrap_or(rows.len());
    Expected { rows: rows.into_iter().take(good).map(|(_, row)| row).collect(), fault_line }
}

#[test]
fn csv_rows_are_pythons_in_whatever_pieces_they_come() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let base = CsvOptions { header: CsvHeader::Autogenerated, ..CsvOptions::default() };
    let dialects = [
        base.clone(),
        base.clone(),
        CsvOptions { escape: Some(b'\\'), ..base.clone() },
        CsvOptions { double_quote: false, ..base.clone() },
        CsvOptions { double_quote: false, escape: Some(b'\\'), ..base.clone() },
        CsvOptions { quote: None, ..base.clone() },
        CsvOptions { delimiter: b'\t', quote: Some(b'\''), ..base.clone() },
    ];
    let wild = ["a", "bc", ",", ",", "\t", "\"", "'", "\n", "\r", "\r\n", " ", "\\", "é", "\0", "漢字", "\"\""];
    let tame = [
        "a,b\n",
        "c,\"d\"\r\n",
        "\"e,f\",g\n",
        "\"h\"\"i\",\"j\nk\"\n",
        "l,\r",
        "\n",
        "ñ,\"\"\n",
        "\"m\r\no\",p\n",
        "a very long field that fills more than one block of sixty-four bytes,x\n",
    ];
    let odd = ["a,b\n", "c\"d,e\n", "\"f\"g,h\n", "i,\"j\"\"k\"\n", "l,\"m\" n\n", "\"o\np\"q,r\r\n", "\"s\n"];
    let mut faults = 0;
    for round in 0..600 {
        let text = match round % 3 {
            0 => random.text(&wild, 40),
            1 => random.text(&tame, 30),
            _ => random.text(&odd, 20),
        };
        let options = &dialects[random.below(dialects.len())];
        let run = check_all_ways(&csv(options.clone()), text.as_bytes(), &mut random);
        let expected = python_rows(&text, options);
        let rows: Vec<Vec<String>> = run.rows().into_iter().map(|row| row.into_iter().flatten().collect()).collect();
        assert_eq!(rows, expected.rows, "{text:?} {options:?}");
        let line = run.error.as_ref().and_then(|error| error.get("line")).map(|line| line.parse().unwrap());
        assert_eq!(line, expected.fault_line, "{text:?} {options:?}: {:?}", run.error);
        faults += usize::from(line.is_some());
    }
    assert!((100..500).contains(&faults), "{faults} of 600 texts had a fault");
}

#[test]
fn json_rows_are_the_same_in_whatever_pieces_they_come() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let parts = [
        "{\"a\":1}",
        "{\"a\": 1.50, \"b\": \"x\\ny\"}\n",
        "{}\r\n",
        "{\"é\":[1,\n {\"c\" : null}\r\n],\r\"d\":{}}",
        "\n",
        "\r",
        " ",
        "{\"long\":\"a string that is longer than sixteen bytes and has \\\"quotes\\\" in it, and 漢字\"}\n",
    ];
    let faults = ["", "", "{\"a\":}", "{\"a\":1", "[1]", "x", "{\"a\":NaN}", "{\"a\":\"\u{1}\"}", ","];
    for _ in 0..200 {
        let text =
            format!("{}{}{}", random.text(&parts, 12), faults[random.below(faults.len())], random.text(&parts, 2));
        let run = check_all_ways(&FormatOptions::Jsonl, text.as_bytes(), &mut random);
        let mut values = serde_json::Deserializer::from_str(&text).into_iter::<serde_json::Map<_, _>>();
        let mut expected = 0;
        let clean = loop {
            match values.next() {
                Some(Ok(_)) => expected += 1,
                Some(Err(_)) => break false,
                None => break true,
            }
        };
        assert_eq!(run.rows().len(), expected, "{text:?}");
        assert_eq!(run.error.is_none(), clean, "{text:?}");
    }
}

/// One-line tables: options, text, rows as `a|b`, error as its message's beginning with line.
/// Options, text, the rows as shown, and the error's message and place if there is one.
type Case<'a> = (CsvOptions, &'a str, &'a [&'a str], Option<(&'a str, &'a str)>);

fn table(cases: &[Case<'_>]) {
    for (options, text, rows, error) in cases {
        let run = read(&csv(options.clone()), text.as_bytes());
        let shown: Vec<String> = run
            .rows()
            .into_iter()
            .map(|row| row.into_iter().map(|field| field.unwrap_or("-".into())).collect::<Vec<_>>().join("|"))
            .collect();
        assert_eq!(shown, *rows, "{text:?}");
        let found = run.error.as_ref().map(|error| (error.message(), error.get("line").unwrap_or("")));
        assert_eq!(found.map(|f| f.1), error.map(|e| e.1), "{text:?}: {found:?}");
        if let (Some(found), Some(expected)) = (found, error) {
            assert!(found.0.contains(expected.0), "{text:?}: {found:?}");
            assert_eq!(run.error.unwrap().kind(), ErrorKind::Data, "{text:?}");
        }
    }
}

#[test]
fn headers_and_bad_rows() {
    let plain = CsvOptions::default;
    let provided = |names: &[&str]| CsvHeader::UserProvided(names.iter().map(|&name| name.to_owned()).collect());
    table(&[
        (plain(), "", &[], None),
        (plain(), "a,b\n", &[], None),
        (plain(), "a,b", &[], None),
        (plain(), "\u{feff}a,b\n1,2\n", &["1|2"], None),
        (plain(), "a,b,,\n1,2,, \n3,4\n5,6,,x\n", &["1|2", "3|4"], Some(("no name in the header", "4"))),
        (plain(), "a,,b\n1,2,3\n", &[], Some(("empty column name between", "1"))),
        (plain(), ",,\n1,2,3\n", &[], Some(("only empty column names", "1"))),
        (plain(), "\na\n", &[], Some(("only empty column names", "1"))),
        (plain(), "\"a\nb\",c\n1,2\n3\n", &["1|2"], Some(("fewer fields", "4"))),
        (plain(), "a,b\n1,2\n\n3,4,5\n6,7\n", &["1|2"], Some(("more fields", "4"))),
        (plain(), "a,b\n1,\"2\n3,4\n", &[], Some(("never closed", "2"))),
        (plain(), "a,b\n1,\"x\ny\",\"2\n3,4\n", &[], Some(("never closed", "3"))),
        (CsvOptions { header: provided(&["x", "y"]), ..plain() }, "1,2\n", &["1|2"], None),
        (CsvOptions { header: provided(&["x", "y", "", ""]), ..plain() }, "1,2,,\n", &["1|2"], None),
        (CsvOptions { header: CsvHeader::Autogenerated, ..plain() }, "\n1,2\n", &["1|2"], None),
        (
            CsvOptions {
                header: CsvHeader::Autogenerated,
                skip_rows_before_header: 1,
                skip_rows_after_header: 2,
                ..plain()
            },
            "note\na,b,c\nunits\n1,2\n",
            &["1|2"],
            None,
        ),
        (
            CsvOptions { skip_rows_before_header: 2, skip_rows_after_header: 1, ..plain() },
            "note \"\r\n\ra,b\nunits,,,\n1,2\n3",
            &["1|2"],
            Some(("fewer fields", "6")),
        ),
        (CsvOptions { skip_rows_before_header: 9, ..plain() }, "a\n1\n", &[], None),
        (
            CsvOptions { ignore_errors_on_fields_mismatch: true, ..plain() },
            "a,b\n1\n1,2,3\n,\n",
            &["1|-", "1|2", "|"],
            None,
        ),
        (CsvOptions { header: CsvHeader::Autogenerated, ..plain() }, ",x\n", &["|x"], None),
    ]);
}

#[test]
fn names_lose_their_blanks_and_may_hold_line_ends() {
    let options = csv(CsvOptions::default());
    let mut decoder = OpenOptions::new(&options).open(&object()).unwrap();
    decoder.feed(0, Bytes::from_static(b"\xef\xbb\xbf a , b\t,\"c\r\nd\",a,,\n1,2,3,4\n")).unwrap();
    decoder.end_input(InputEnd::Complete);
    let Step::Batch(decoded) = decoder.step().unwrap() else { panic!("there is a row") };
    let Batch::Text(rows) = decoded.batch else { panic!("CSV is text") };
    let names: Vec<&str> = rows.columns.iter().map(|name| &**name).collect();
    assert_eq!(names, ["a", "b", "c\nd", "a"]);
    let Place::Byte { offset, line, columns, .. } = decoded.after.place else { panic!("CSV has bytes") };
    assert_eq!((offset, line, columns.unwrap().len()), (30, 3, 6));
}

#[test]
fn rows_before_a_fault_of_the_bytes_are_handed_over() {
    let options = csv(CsvOptions::default());
    let good: String = std::iter::once("a,b\n".to_owned()).chain((0..5000).map(|i| format!("{i},é\n"))).collect();
    let not_text = [good.as_bytes(), b"x,\n\"y\nz\xff\",1\n"].concat();
    let run = read(&options, &not_text);
    assert_eq!(run.rows().len(), 5001);
    let error = run.error.unwrap();
    assert_eq!((error.get("line"), error.get("row")), (Some("5004"), Some("5002")), "{error}");
    assert_eq!(error.get("byte"), Some(&*(good.len() + 7).to_string()), "{error}");

    let stored = gzip(good.as_bytes());
    let cut = &stored[..stored.len() - 9];
    let compression = Compression::Gzip;
    let reading = Reading { options: &options, compression, stored: cut, limits: limits(100, 1000), resume: None };
    let run = reading.run(|| 100);
    assert!(run.rows().len() > 4000, "{} rows", run.rows().len());
    let error = run.error.unwrap();
    assert_eq!((error.kind(), error.get("byte")), (ErrorKind::Data, Some(&*cut.len().to_string())), "{error}");
}

#[test]
fn a_row_beyond_the_limit_is_an_error_that_tells_of_an_open_quote() {
    let options = csv(CsvOptions::default());
    let text = format!("a\n1\n\"{}", "x\n".repeat(1000));
    let limits = DecodeLimits { row_bytes: 500, ..limits(10, 100) };
    let stored = text.as_bytes();
    let run = Reading { options: &options, compression: Compression::None, stored, limits, resume: None }.run(|| 64);
    assert_eq!(run.rows().len(), 1);
    let error = run.error.unwrap();
    assert!(error.to_string().contains("quote"), "{error}");
    assert_eq!(error.get("line"), Some("3"), "{error}");
}

#[test]
fn a_position_of_many_members_names_the_last_one_before_it() {
    let options = FormatOptions::Jsonl;
    let members: Vec<Vec<u8>> = (0..50).map(|i| gzip(format!("{{\"a\":{i}}}\n").as_bytes())).collect();
    let stored = members.concat();
    let compression = Compression::Gzip;
    let reading = Reading { options: &options, compression, stored: &stored, limits: limits(10, 64), resume: None };
    let run = reading.run(|| 7);
    let (_, position) = &run.batches[3];
    let resumed = Reading { resume: Some(position.clone()), ..reading.clone() };
    let (resume, limits) = (Some(position), limits(10, 64));
    let mut decoder =
        OpenOptions { compression, resume, limits, ..OpenOptions::new(&options) }.open(&object()).unwrap();
    let Access::Stream { from } = decoder.access() else { panic!("text is a stream") };
    assert_eq!(from as usize, members[..position.rows as usize].concat().len(), "{position:?}");
    assert!(decoder.feed(from + 1, Bytes::from_static(b"x")).is_err(), "a gap is noticed");
    assert_eq!(resumed.run(|| 9).rows(), run.rows()[position.rows as usize..]);
}

#[test]
fn a_position_of_another_format_is_refused() {
    let place = Place::RowGroup { group: 0, row: 3 };
    let options = [csv(CsvOptions::default()), FormatOptions::Jsonl, FormatOptions::Json];
    for options in options {
        let position = Position::new(3, place.clone());
        let opened = OpenOptions { resume: Some(&position), ..OpenOptions::new(&options) }.open(&object());
        assert_eq!(opened.err().map(|error| error.kind()), Some(ErrorKind::Config));
    }
}

#[test]
fn faults_of_json_say_where_and_why() {
    for (text, line, byte, reason) in [
        ("{\"a\":1}\n{\"a\":}\n", "2", "13", "expected a value"),
        ("{\"a\":1}\r\n\r\n [1]\n", "3", "12", "expected an object"),
        ("{\"a\":\n1,}\n", "2", "8", "expected a key"),
        ("{\"a\":1\n", "2", "7", "the text ends"),
        ("{\"a\":\"\\ud800\"}\n", "1", "12", "surrogate"),
        ("{\"a\":01}\n", "1", "6", "expected ','"),
    ] {
        let run = read(&FormatOptions::Jsonl, text.as_bytes());
        let error = run.error.expect(text);
        assert_eq!((error.get("line"), error.get("byte")), (Some(line), Some(byte)), "{text:?} {error}");
        assert!(error.get("reason").unwrap().contains(reason), "{text:?} {error}");
    }
}

/// What `serde_json` makes of a file of documents: the objects, and whether all of it is right. An object of an array
/// counts where its comma or bracket follows, another one where they do not.
fn document_rows(text: &str) -> (Vec<String>, bool) {
    use serde::de::IgnoredAny;
    fn object(text: &str) -> Option<(String, usize)> {
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde_json::Map<String, _>>();
        let value: serde_json::Map<String, serde_json::Value> = values.next()?.ok()?;
        Some((serde_json::to_string(&value).unwrap(), values.byte_offset()))
    }
    let (mut rows, mut rest) = (Vec::new(), text.trim_start());
    while !rest.is_empty() {
        if let Some((row, length)) = object(rest) {
            rest = rest[length..].trim_start();
            if rest.starts_with([',', ']']) {
                return (rows, false);
            }
            rows.push(row);
            continue;
        }
        let mut whole = serde_json::Deserializer::from_str(rest).into_iter::<Vec<IgnoredAny>>();
        let right = whole.next().is_some_and(|array| array.is_ok());
        let length = whole.byte_offset();
        let Some(mut inside) = rest.strip_prefix('[').map(str::trim_start) else { return (rows, false) };
        while let Some((row, length)) = object(inside) {
            let behind = inside[length..].trim_start();
            match behind.chars().next() {
                Some(',') => inside = behind[1..].trim_start(),
                Some(']') => inside = behind,
                _ => return (rows, false),
            }
            rows.push(row);
        }
        if !right || !inside.starts_with(']') {
            return (rows, false);
        }
        rest = rest[length..].trim_start();
    }
    (rows, true)
}

#[test]
fn json_documents_are_the_same_in_whatever_pieces_they_come() {
    let mut random = Random(0x853c_49e6_748f_ea9b);
    let objects = [
        "{\"a\":1}",
        "{\r\n  \"a\": [\n    1,\n    {\"b\": null}\r\n  ],\n  \"é\": \"x\\ny\"\n}",
        "{}",
        "{\"long\":\"a string that is longer than sixteen bytes and has ] and , and \\\"quotes\\\" in it, 漢字\"}",
    ];
    let blanks = ["", " ", "\n", "\r\n", "\r", "\t \n\n"];
    let faults =
        ["", "", "", "{\"a\":}", "{\"a\":1", "[[1]]", "1", "[{},]", "[,{}]", "]", ",", "[{} {}]", "[{}", "[null]", "["];
    let (mut clean, mut arrays) = (0, 0);
    for _ in 0..400 {
        let mut text = String::new();
        for _ in 0..random.below(4) {
            text += blanks[random.below(blanks.len())];
            if random.below(3) == 0 {
                text += objects[random.below(objects.len())];
                continue;
            }
            arrays += 1;
            text += "[";
            for item in 0..random.below(6) {
                text += if item == 0 { "" } else { "," };
                text += blanks[random.below(blanks.len())];
                text += objects[random.below(objects.len())];
                text += blanks[random.below(blanks.len())];
            }
            text += "]";
        }
        text += faults[random.below(faults.len())];
        text += blanks[random.below(blanks.len())];
        if random.below(6) == 0 {
            let end = text.char_indices().map(|(at, _)| at).nth(random.below(text.chars().count() + 1));
            text.truncate(end.unwrap_or(text.len()));
        }
        let run = check_all_ways(&FormatOptions::Json, text.as_bytes(), &mut random);
        let (expected, right) = document_rows(&text);
        let rows: Vec<String> = run
            .rows()
            .iter()
            .map(|row| {
                let members = row.iter().flatten().map(|member| member.split_once('=').unwrap());
                let members: Vec<String> = members.map(|(key, value)| format!("\"{key}\":{value}")).collect();
                let value: serde_json::Value = serde_json::from_str(&format!("{{{}}}", members.join(","))).unwrap();
                value.to_string()
            })
            .collect();
        assert_eq!(rows, expected, "{text:?}");
        assert_eq!(run.error.is_none(), right, "{text:?}: {:?}", run.error);
        clean += usize::from(right);
    }
    assert!((60..360).contains(&clean) && arrays > 200, "{clean} of 400 were right, with {arrays} arrays");
}

#[test]
fn faults_of_json_documents_say_where_and_why() {
    for (text, rows, line, byte, reason) in [
        ("\u{feff}[\n {\"a\":1},\r\n {\"a\":}\n]", 1, "3", "22", "expected a value"),
        ("[{\"a\":1}\n", 0, "2", "9", "ends inside an array"),
        ("[{\"a\":1},\n{\"a\":2}", 1, "2", "17", "ends inside an array"),
        ("[{\"a\":1},\n]", 1, "2", "10", "expected an object"),
        ("[{\"a\":1}\n{}]", 0, "2", "9", "expected ',' or ']'"),
        ("{\"a\":1},{\"a\":2}", 0, "1", "7", "an object or an array"),
        ("[[{}]]", 0, "1", "1", "expected an object"),
        ("[1]", 0, "1", "1", "expected an object"),
        ("\"x\"", 0, "1", "0", "an object or an array"),
    ] {
        let run = read(&FormatOptions::Json, text.as_bytes());
        assert_eq!(run.rows().len(), rows, "{text:?}");
        let error = run.error.expect(text);
        assert_eq!((error.get("line"), error.get("byte")), (Some(line), Some(byte)), "{text:?} {error}");
        assert!(error.get("reason").unwrap().contains(reason), "{text:?} {error}");
    }
    let run = read(&FormatOptions::Jsonl, b"[{\"a\":1}]");
    assert!(run.error.unwrap().hint_text().unwrap().contains("`json`"));
}

#[test]
fn rows_inside_of_one_object_get_a_hint() {
    let text = format!("{{\"rows\":[{}{{}}]}}", "{\"a\":1},".repeat(1000));
    let limits = DecodeLimits { row_bytes: 500, ..limits(10, 100) };
    let (options, stored) = (&FormatOptions::Json, text.as_bytes());
    let run = Reading { options, compression: Compression::None, stored, limits, resume: None }.run(|| 64);
    assert!(run.error.unwrap().to_string().contains("a separate array"));
}

/// Decodes a part of a text from a position on and stops there, as a run does that a limit ends.
fn read_cut(options: &FormatOptions, part: &[u8], resume: Option<&Position>, limits: &DecodeLimits) -> Run {
    let mut run = Run::default();
    let resume = resume.filter(|position| **position != Position::default());
    let compression = if resume.is_some() { Compression::None } else { Compression::Auto };
    let limits = *limits;
    let mut decoder = OpenOptions { compression, resume, limits, ..OpenOptions::new(options) }.open(&object()).unwrap();
    let Access::Stream { from } = decoder.access() else { panic!("text is read in order") };
    decoder.feed(from, Bytes::copy_from_slice(&part[from as usize..])).unwrap();
    let mut cut = false;
    loop {
        match decoder.step() {
            Ok(Step::Batch(decoded)) => {
                let number = run.batches.len();
                run.rejects.extend(decoded.rejects.into_iter().map(|reject| (number, reject)));
                run.batches.push((rows_of(&decoded.batch), decoded.after));
            }
            Ok(Step::NeedBytes) if cut => return run,
            Ok(Step::NeedBytes) => {
                decoder.end_input(InputEnd::Cut);
                cut = true;
            }
            Ok(step) => panic!("{step:?}"),
            Err(error) => {
                run.error = Some(error);
                return run;
            }
        }
    }
}

/// A part that is shorter than a block was thrown away, and fetched again by the next run, for ever.
#[test]
fn complete_rows_of_a_short_part_are_handed_over() {
    let mut random = Random(77);
    for (options, on_bad_row) in [
        (csv(CsvOptions::default()), OnBadRow::Stop),
        (FormatOptions::Jsonl, OnBadRow::Stop),
        (csv(CsvOptions::default()), OnBadRow::Collect),
        (FormatOptions::Jsonl, OnBadRow::Collect),
    ] {
        let mut text = if options == FormatOptions::Jsonl { Vec::new() } else { b"x\n".to_vec() };
        for row in 0..200 {
            let value = random.text(&["é", "y", "zz"], 12);
            let line = match options == FormatOptions::Jsonl {
                true => format!("{{\"x\":\"{row}{value}\"}}\n"),
                false => format!("{row}{value}\n"),
            };
            text.extend_from_slice(line.as_bytes());
            if on_bad_row == OnBadRow::Collect && row % 7 == 0 {
                text.extend_from_slice(if random.below(2) == 0 { b"{\xff\xfe,,\n" } else { b"\"a\"b,,c\n" });
            }
        }
        let limits = DecodeLimits { on_bad_row, ..DecodeLimits::default() };
        let whole = read_on(&options, &text, on_bad_row);
        assert!(whole.error.is_none(), "{whole:?}");
        let (mut rows, mut rejects) = (Vec::new(), 0);
        let mut at = Position::default();
        let mut until = 0;
        while until < text.len() {
            until = (until + 30 + random.below(100)).min(text.len());
            let run = read_cut(&options, &text[..until], Some(&at), &limits);
            assert!(run.error.is_none(), "{run:?}");
            let line_ends = text[..until].iter().rposition(|&byte| byte == b'\n').unwrap_or(0);
            rows.extend(run.rows());
            rejects += run.rejects.len();
            if let Some((_, after)) = run.batches.last() {
                at = after.clone();
            }
            if let Place::Byte { offset, .. } = at.place {
                assert!(offset as usize > line_ends, "{offset} of {until}: a complete row was left behind");
            }
        }
        assert_eq!((rows, rejects), (whole.rows(), whole.rejects.len()));
    }
}
