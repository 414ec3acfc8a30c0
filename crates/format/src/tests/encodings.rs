//! Text in other encodings gives the rows of its UTF-8 form, in whatever pieces it comes and wherever reading goes on.

use super::*;

fn options(encoding: &str) -> FormatOptions {
    csv(CsvOptions { encoding: encoding.to_owned(), ..CsvOptions::default() })
}

/// The bytes of a text, made without the decoder's own tables where that is easy.
fn encoded(encoding: &str, text: &str) -> Vec<u8> {
    let units = || text.encode_utf16();
    match encoding {
        "latin-1" => text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect(),
        "utf_16_le" | "utf_16" => units().flat_map(u16::to_le_bytes).collect(),
        "utf_16_be" => units().flat_map(u16::to_be_bytes).collect(),
        "utf_16 with a mark" => [&[0xfe, 0xff][..], &units().flat_map(u16::to_be_bytes).collect::<Vec<u8>>()].concat(),
        other => encoding_rs::Encoding::for_label(other.as_bytes()).unwrap().encode(text).0.into_owned(),
    }
}

#[test]
fn rows_are_those_of_the_same_text_in_utf_8() {
    let mut random = Random(0x51ed_270b_9f1c_3a55);
    let western = ["a", "é,", "ü\n", "\"ÿ\r\n\",", "\n", "x,y\r\n", "¿\r", ","];
    let wide = ["a", "é,", "漢字\n", "\"😀\r\n\",", "\n", "x,\u{a0d}\r\n", "\u{d0a}\r", ","];
    let russian = ["a", "ж,", "Я\n", "\"ё\r\n\",", "\n", "x,y\r\n", "щ\r", ","];
    let japanese = ["a", "ソ,", "表\n", "\"能\r\n\",", "\n", "x,ア\r\n", "あ\r", ","];
    let tables: [(&str, &[&str]); 11] = [
        ("latin-1", &western),
        ("windows-1252", &western),
        ("utf_16_le", &wide),
        ("utf_16_be", &wide),
        ("utf_16", &wide),
        ("utf_16 with a mark", &wide),
        ("koi8-r", &russian),
        ("windows-1251", &russian),
        ("shift_jis", &japanese),
        ("euc-jp", &japanese),
        ("iso-2022-jp", &japanese),
    ];
    for (encoding, parts) in tables {
        for _ in 0..6 {
            let text = format!("a,b\n{}", random.text(parts, 40));
            let expected = read(&csv(CsvOptions::default()), text.as_bytes());
            let given = options(encoding.trim_end_matches(" with a mark"));
            for on_bad_row in [OnBadRow::Stop, OnBadRow::Collect] {
                let run = check_all_ways_on(&given, &encoded(encoding, &text), &mut random, on_bad_row);
                if on_bad_row == OnBadRow::Stop {
                    assert_eq!(run.rows(), expected.rows(), "{encoding} {text:?}");
                    assert_eq!(run.error.is_some(), expected.error.is_some(), "{encoding} {text:?}");
                }
            }
        }
    }
}

#[test]
fn what_is_no_text_of_the_encoding_is_an_error_with_its_place() {
    for (encoding, text, byte) in [
        ("utf_16_le", &b"a\0\n\0b\0\0\xd8c\0\n\0"[..], "6"),
        ("utf_16_be", b"\0a\0\n\0b\0", "6"),
        ("shift_jis", b"a\nb\x81\n", "3"),
        ("euc_kr", b"a\nbc\xff\n", "4"),
    ] {
        let mut random = Random(77);
        let run = check_all_ways(&options(encoding), text, &mut random);
        let error = run.error.unwrap();
        assert_eq!((error.get("line"), error.get("byte")), (Some("2"), Some(byte)), "{encoding}: {error}");
    }
    let mut random = Random(99);
    let text = b"a\nb\n\x81 \nc\nd\xff\n\ne\n";
    let run = check_all_ways_on(&options("shift_jis"), text, &mut random, OnBadRow::Collect);
    assert_eq!(run.rows().concat().into_iter().flatten().collect::<Vec<_>>(), ["b", "c", "e"]);
    assert_eq!(run.rejects.len(), 2);
}

#[test]
fn utf_16_that_nobody_announced_is_told() {
    let error = read(&options("utf8"), b"\xff\xfea\0\n\0").error.unwrap();
    assert!(error.to_string().contains("utf_16"), "{error}");
}

/// Forms of configuration have names of their own for the encoding, or none, and JSON has no encoding at all.
#[test]
fn hints_about_bytes_that_are_no_text_name_no_parameter_that_may_not_exist() {
    let hint = |format: &FormatOptions, text: &[u8]| {
        let error = read(format, text).error.unwrap();
        error.hint_text().unwrap_or_default().to_owned()
    };
    let csv = options("utf8");
    let table = [
        (&csv, &b"a\n\xff\n"[..], "set the stream's text encoding to that of the file"),
        (&csv, b"PAR1\x15\x04\x15\xff\n", "the file starts like Parquet: check the stream's format"),
        (&csv, b"Obj\x01\xff\n", "the file starts like Avro"),
        (&csv, b"PK\x03\x04\xff\n", "the file starts like a zip archive"),
        (&FormatOptions::Jsonl, b"{\"a\": \"\xff\"}\n", "JSON is read as UTF-8: convert the file"),
        (&FormatOptions::Jsonl, b"\xff\xfe{\0}\0", "the file starts like UTF-16: convert it to UTF-8"),
        (&FormatOptions::Json, b"[{\"a\": \"\xff\"}]", "JSON is read as UTF-8"),
    ];
    for (format, text, expected) in table {
        let hint = hint(format, text);
        assert!(hint.contains(expected) && !hint.contains("`encoding`"), "{}: {hint}", format.name());
    }
}
