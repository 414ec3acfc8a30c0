//! Rows that are gone over: which, with which text, and that nothing else is lost.

use super::*;
use tollgate_base::batch::Decoded;

/// A reject as `line@offset reason: raw`.
fn shown(run: &Run) -> Vec<String> {
    let reject = |(_, reject): &(usize, Reject)| {
        let (line, offset) = (reject.line.unwrap(), reject.offset.unwrap());
        let cut = if reject.cut { "…" } else { "" };
        format!("{line}@{offset} {}: {}{cut}", reject.reason, String::from_utf8_lossy(&reject.raw))
    };
    run.rejects.iter().map(reject).collect()
}

fn rows(run: &Run) -> Vec<String> {
    let text = |row: Row| row.into_iter().map(|field| field.unwrap_or("-".into())).collect::<Vec<_>>().join("|");
    run.rows().into_iter().map(text).collect()
}

/// Text, its rows as shown, and its rejects: line, offset, a part of the reason, and the raw text.
type Case<'a> = (&'a [u8], &'a [&'a str], &'a [(u64, u64, &'a str, &'a [u8])]);

fn table(options: &FormatOptions, cases: &[Case<'_>]) {
    let mut random = Random(0x1234_5678_9abc_def1);
    for (text, expected, rejects) in cases {
        let run = check_all_ways_on(options, text, &mut random, OnBadRow::Collect);
        let context = format!("{:?}: {:#?}", String::from_utf8_lossy(text), shown(&run));
        assert!(run.error.is_none(), "{:?} in {context}", run.error);
        assert_eq!(rows(&run), *expected, "{context}");
        assert_eq!(run.rejects.len(), rejects.len(), "{context}");
        for ((_, reject), (line, offset, reason, raw)) in run.rejects.iter().zip(*rejects) {
            assert_eq!((reject.line, reject.offset), (Some(*line), Some(*offset)), "{context}");
            assert!(reject.reason.contains(reason), "'{reason}' in {context}");
            assert_eq!(&reject.raw, raw, "{context}");
        }
    }
}

#[test]
fn bad_rows_of_csv_are_gone_over() {
    let (fewer, more, quote, text) = ("fewer fields", "more fields", "never closed", "not UTF-8");
    table(
        &csv(CsvOptions::default()),
        &[
            (b"a,b\n1,2\n3\n4,5\n", &["1|2", "4|5"], &[(3, 8, fewer, b"3\n")]),
            (b"a,b\r\n1,2,3\r\n\r\n4,5", &["4|5"], &[(2, 5, more, b"1,2,3\r\n")]),
            (b"a,b\n1\n2\n3", &[], &[(2, 4, fewer, b"1\n"), (3, 6, fewer, b"2\n"), (4, 8, fewer, b"3")]),
            (b"a,b\n1,\"x\"\"\ny\",z\n4,5\n", &["4|5"], &[(2, 4, more, b"1,\"x\"\"\ny\",z\n")]),
            (b"a,b\n1,\"2\n3,4\n5,6\n", &["3|4", "5|6"], &[(2, 4, quote, b"1,\"2\n")]),
            (b"a,b\n1,2\n3,\"4", &["1|2"], &[(3, 8, quote, b"3,\"4")]),
            (b"a,b\n1,2\n\xff,x\n3,4\n", &["1|2", "3|4"], &[(3, 8, text, b"\xff,x\n")]),
            (b"a,b\n1,\"p\nq\xc3(\"\n3,4\n", &["3|4"], &[(2, 4, text, b"1,\"p\nq\xc3(\"\n")]),
            (b"a,b\n1,2\r\xff,x\r3,4\r", &["1|2", "3|4"], &[(3, 8, text, b"\xff,x\r")]),
            (b"a,b\n1\xff,\xfe2\n\xfd,\n3,4", &["3|4"], &[(2, 4, text, b"1\xff,\xfe2\n"), (3, 10, text, b"\xfd,\n")]),
            (b"a,b\n1,2\n3,\xf0\x9f", &["1|2"], &[(3, 8, text, b"3,\xf0\x9f")]),
            (b"a,b\n3,\"\xff\n4,5\n", &["4|5"], &[(2, 4, text, b"3,\"\xff\n")]),
        ],
    );
}

#[test]
fn bad_rows_of_jsonl_are_gone_over() {
    let text = "not UTF-8";
    table(
        &FormatOptions::Jsonl,
        &[
            (b"{\"a\":1}\n{\"a\":}\n{\"a\":2}\n", &["a=1", "a=2"], &[(2, 8, "expected a value", b"{\"a\":}\n")]),
            (
                b"x\n\n[1]\r\n{}\n7",
                &[""],
                &[
                    (1, 0, "expected an object", b"x\n"),
                    (3, 3, "expected an object", b"[1]\r\n"),
                    (5, 11, "expected an object", b"7"),
                ],
            ),
            (b"{\"a\":1\n{\"a\":2}\n", &["a=2"], &[(1, 0, "expected ','", b"{\"a\":1\n")]),
            (b"{\"a\":\"x\n{\"a\":2}\n", &["a=2"], &[(1, 0, "control character", b"{\"a\":\"x\n")]),
            (b"{\"a\":[1,\n{\"a\":2}\n{\"a\":3}", &["a=2", "a=3"], &[(1, 0, "expected", b"{\"a\":[1,\n")]),
            (
                b"{\n \"a\": {\"b\":1},\n \"c\": x\n}\n{\"a\":2}\n",
                &["a=2"],
                &[(1, 0, "expected a value", b"{\n \"a\": {\"b\":1},\n \"c\": x\n}\n")],
            ),
            (b"{\"a\":1} x {\"a\":2}\n{\"a\":3}\n", &["a=1", "a=3"], &[(1, 8, "expected an object", b"x {\"a\":2}\n")]),
            (b"{\"a\":1}\r{\"a\":\"\xff\"}\r{\"a\":3}\r", &["a=1", "a=3"], &[(2, 8, text, b"{\"a\":\"\xff\"}\r")]),
            (
                b"{\"a\":\n{\"b\":\"\xff\"}\n{\"a\":3}",
                &["a=3"],
                &[(1, 0, "the text ends", b"{\"a\":\n"), (2, 6, text, b"{\"b\":\"\xff\"}\n")],
            ),
        ],
    );
}

#[test]
fn a_bad_header_is_an_error_also_where_bad_rows_are_gone_over() {
    for text in [&b"a,,b\n1,2,3\n"[..], b"a\xff,b\n1,2\n", b"a,\"b\n1,2\n"] {
        let run = read_on(&csv(CsvOptions::default()), text, OnBadRow::Collect);
        assert_eq!(run.error.map(|error| error.kind()), Some(ErrorKind::Data), "{text:?}");
    }
}

#[test]
fn too_many_open_quotes_end_a_file() {
    let text = format!("a,b,c\n{}", "1,b\"c,\"\n".repeat(40));
    let run = read_on(&csv(CsvOptions::default()), text.as_bytes(), OnBadRow::Collect);
    assert_eq!(run.rejects.len(), 16);
    assert!(run.error.unwrap().message().contains("never closed"));
}

/// A line of any length costs the memory of one row, and one line.
#[test]
fn a_line_beyond_the_limit_is_cut_and_gone_over() {
    for (options, head, good) in [(csv(CsvOptions::default()), "a\n", "1\n"), (FormatOptions::Jsonl, "", "{\"a\":1}\n")]
    {
        let long = "x".repeat(300_000);
        let text = format!("{head}{good}{long}\n{good}");
        let limits = DecodeLimits { row_bytes: 100_000, on_bad_row: OnBadRow::Collect, ..limits(10, 1000) };
        let stored = text.as_bytes();
        let run =
            Reading { options: &options, compression: Compression::None, stored, limits, resume: None }.run(|| 700);
        assert_eq!((run.rows().len(), run.rejects.len()), (2, 1), "{:?}", run.error);
        let reject = &run.rejects[0].1;
        assert!(reject.reason.contains("longer than the limit"), "{}", reject.reason);
        assert!(reject.cut && reject.raw.len() <= 64 << 10);
    }
}

#[test]
fn random_damage_costs_no_good_line() {
    let mut random = Random(0x0bad_cafe_dead_beef);
    for round in 0..300 {
        let jsonl = round % 2 == 0;
        let (mut text, mut good) = (if jsonl { Vec::new() } else { b"a,b\n".to_vec() }, 0);
        for line in 0..random.below(30) {
            let (row, bad): (Vec<u8>, &[&[u8]]) = if jsonl {
                (
                    format!("{{\"a\":{line},\"b\":\"é\"}}").into_bytes(),
                    &[b"{", b"{\"a\":\xff}", b"nope", b"{\"a\":\"", b"[]"],
                )
            } else {
                (format!("{line},\"é\"").into_bytes(), &[b"1", b"1,2,3", b"\xff,1", b"1,\xe9"])
            };
            let damaged = random.below(4) == 0;
            text.extend_from_slice(if damaged { bad[random.below(bad.len())] } else { &row });
            text.extend_from_slice([&b"\n"[..], b"\r\n", b"\r"][random.below(3)]);
            good += usize::from(!damaged);
        }
        let options = if jsonl { FormatOptions::Jsonl } else { csv(CsvOptions::default()) };
        let run = check_all_ways_on(&options, &text, &mut random, OnBadRow::Collect);
        let context = String::from_utf8_lossy(&text).into_owned();
        assert!(run.error.is_none(), "{:?}: {context:?}", run.error);
        assert_eq!(run.rows().len(), good, "{context:?}: {:#?}", shown(&run));
        for (_, reject) in &run.rejects {
            let offset = reject.offset.unwrap() as usize;
            assert_eq!(text[offset..offset + reject.raw.len()], reject.raw, "{context:?}");
            let lines = count_lines(&text[..offset]) + 1;
            assert_eq!(reject.line, Some(lines), "{context:?}: {:#?}", shown(&run));
        }
    }
}

fn count_lines(text: &[u8]) -> u64 {
    crate::split::count_lines(text)
}

/// The position before any row of a batch gives that row and those behind it.
#[test]
fn reading_goes_on_before_any_row_of_a_batch() {
    let table: [(FormatOptions, &[u8]); 2] = [
        (csv(CsvOptions::default()), b"a,b\n1,\"x\"\"\ny\"\n\n2,3\r\n4,\"5\"\n6,\n"),
        (FormatOptions::Jsonl, b"\n{\"a\":1} {\"a\":[2,\n3]}\n\n{}\n{\"b\":5}\n"),
    ];
    for (options, text) in &table {
        let mut decoder = OpenOptions::new(options).open(&object()).unwrap();
        decoder.feed(0, Bytes::copy_from_slice(text)).unwrap();
        decoder.end_input(InputEnd::Complete);
        let Step::Batch(decoded) = decoder.step().unwrap() else { panic!("there are rows") };
        let rows = rows_of(&decoded.batch);
        assert_eq!(rows.len(), 4);
        for row in 0..rows.len() {
            let position = decoded.before(row, &Position::default(), &[]).unwrap();
            assert_eq!(position.rows, row as u64);
            check_rest(options, text, position, &rows[row..], &decoded);
        }
    }
}

fn check_rest(options: &FormatOptions, text: &[u8], position: Position, rows: &[Row], decoded: &Decoded) {
    let limits = DecodeLimits::default();
    let resume = Some(position.clone());
    let rest = Reading { options, compression: Compression::None, stored: text, limits, resume }.run(|| 5);
    assert_eq!(rest.rows(), rows, "{position:?}");
    assert_eq!(rest.batches.last().unwrap().1, decoded.after, "{position:?}");
}
