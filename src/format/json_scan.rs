//! Finds the members of a JSON object and validates every byte of it (RFC 8259). Values are not converted: they go
//! out with the text that came in.

use super::simd;
use crate::batch::{JsonField, JsonKind, Span};

/// Nesting beyond which a value is refused, as in `serde_json`.
const DEPTH: u32 = 127;

/// Why an object could not be scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The text ends inside of it.
    Incomplete,
    /// It is not JSON at this byte.
    Bad { at: usize, what: &'static str },
}

type Scan<T> = Result<T, Stop>;

/// The first byte at or behind `at` that is no white space.
#[inline]
pub(super) fn skip_space(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\t' | b'\r') = text.get(at) {
        at += 1;
    }
    at
}

/// Scans the object that begins at `at`, appends its members to `fields`, and gives the place behind it.
pub(super) fn object(text: &[u8], at: usize, fields: &mut Vec<JsonField>) -> Scan<usize> {
    expect(text, at, b'{', "an object must begin here")?;
    let mut at = skip_space(text, at + 1);
    if text.get(at) == Some(&b'}') {
        return Ok(at + 1);
    }
    loop {
        expect(text, at, b'"', "a key in quotes must begin here")?;
        let key_end = string(text, at + 1)?;
        let colon = skip_space(text, key_end);
        expect(text, colon, b':', "a colon must follow the key")?;
        let start = skip_space(text, colon + 1);
        let (end, kind) = value(text, start, 1)?;
        fields.push(JsonField { key: span(at + 1, key_end - 1), value: span(start, end), kind });
        at = skip_space(text, end);
        match text.get(at) {
            Some(b',') => at = skip_space(text, at + 1),
            Some(b'}') => return Ok(at + 1),
            Some(_) => return Err(Stop::Bad { at, what: "a comma or the object's end must follow" }),
            None => return Err(Stop::Incomplete),
        }
    }
}

#[inline]
fn span(start: usize, end: usize) -> Span {
    // A buffer is shorter than the limit of a row, which is below 4 GiB.
    Span { start: start as u32, end: end as u32 }
}

#[inline]
fn expect(text: &[u8], at: usize, byte: u8, what: &'static str) -> Scan<()> {
    match text.get(at) {
        Some(&found) if found == byte => Ok(()),
        Some(_) => Err(Stop::Bad { at, what }),
        None => Err(Stop::Incomplete),
    }
}

/// Scans a value; gives the place behind it and its type.
#[inline]
fn value(text: &[u8], at: usize, depth: u32) -> Scan<(usize, JsonKind)> {
    match text.get(at) {
        Some(b'"') => Ok((string(text, at + 1)?, JsonKind::String)),
        Some(b'-' | b'0'..=b'9') => number(text, at),
        Some(b't') => Ok((word(text, at, b"true")?, JsonKind::Boolean)),
        Some(b'f') => Ok((word(text, at, b"false")?, JsonKind::Boolean)),
        Some(b'n') => Ok((word(text, at, b"null")?, JsonKind::Null)),
        Some(b'{' | b'[') if depth > DEPTH => Err(Stop::Bad { at, what: "the nesting is too deep" }),
        Some(b'{') => Ok((nested_object(text, at, depth)?, JsonKind::Object)),
        Some(b'[') => Ok((array(text, at, depth)?, JsonKind::Array)),
        Some(_) => Err(Stop::Bad { at, what: "a value must begin here" }),
        None => Err(Stop::Incomplete),
    }
}

fn nested_object(text: &[u8], at: usize, depth: u32) -> Scan<usize> {
    let mut at = skip_space(text, at + 1);
    if text.get(at) == Some(&b'}') {
        return Ok(at + 1);
    }
    loop {
        expect(text, at, b'"', "a key in quotes must begin here")?;
        let colon = skip_space(text, string(text, at + 1)?);
        expect(text, colon, b':', "a colon must follow the key")?;
        let (end, _) = value(text, skip_space(text, colon + 1), depth + 1)?;
        at = skip_space(text, end);
        match text.get(at) {
            Some(b',') => at = skip_space(text, at + 1),
            Some(b'}') => return Ok(at + 1),
            Some(_) => return Err(Stop::Bad { at, what: "a comma or the object's end must follow" }),
            None => return Err(Stop::Incomplete),
        }
    }
}

fn array(text: &[u8], at: usize, depth: u32) -> Scan<usize> {
    let mut at = skip_space(text, at + 1);
    if text.get(at) == Some(&b']') {
        return Ok(at + 1);
    }
    loop {
        let (end, _) = value(text, at, depth + 1)?;
        at = skip_space(text, end);
        match text.get(at) {
            Some(b',') => at = skip_space(text, at + 1),
            Some(b']') => return Ok(at + 1),
            Some(_) => return Err(Stop::Bad { at, what: "a comma or the array's end must follow" }),
            None => return Err(Stop::Incomplete),
        }
    }
}

/// Scans the rest of a string behind its opening quote; gives the place behind the closing one.
#[inline]
fn string(text: &[u8], mut at: usize) -> Scan<usize> {
    loop {
        at += plain_length(&text[at..]);
        match text.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => at = escape(text, at)?,
            Some(_) => return Err(Stop::Bad { at, what: "a control character must be escaped" }),
            None => return Err(Stop::Incomplete),
        }
    }
}

fn escape(text: &[u8], at: usize) -> Scan<usize> {
    match text.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => {
            for place in at + 2..at + 6 {
                match text.get(place) {
                    Some(byte) if byte.is_ascii_hexdigit() => {}
                    Some(_) => return Err(Stop::Bad { at: place, what: "\\u needs four hexadecimal digits" }),
                    None => return Err(Stop::Incomplete),
                }
            }
            Ok(at + 6)
        }
        Some(_) => Err(Stop::Bad { at, what: "this escape does not exist" }),
        None => Err(Stop::Incomplete),
    }
}

#[inline]
fn digits(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}

#[inline]
fn number(text: &[u8], start: usize) -> Scan<(usize, JsonKind)> {
    let whole = start + usize::from(text[start] == b'-');
    let mut at = digits(text, whole);
    match at - whole {
        0 => return Err(missing_digits(text, at)),
        1 => {}
        _ if text[whole] == b'0' => return Err(Stop::Bad { at: whole, what: "a number must not begin with zeros" }),
        _ => {}
    }
    let mut kind = JsonKind::Integer;
    if text.get(at) == Some(&b'.') {
        let fraction = at + 1;
        at = digits(text, fraction);
        if at == fraction {
            return Err(missing_digits(text, at));
        }
        kind = JsonKind::Number;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        let exponent = at + 1 + usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        at = digits(text, exponent);
        if at == exponent {
            return Err(missing_digits(text, at));
        }
        kind = JsonKind::Number;
    }
    // More digits may follow in the next piece.
    if at == text.len() { Err(Stop::Incomplete) } else { Ok((at, kind)) }
}

fn missing_digits(text: &[u8], at: usize) -> Stop {
    if at >= text.len() { Stop::Incomplete } else { Stop::Bad { at, what: "a digit must follow" } }
}

fn word(text: &[u8], at: usize, word: &[u8]) -> Scan<usize> {
    for (index, expected) in word.iter().enumerate() {
        match text.get(at + index) {
            Some(found) if found == expected => {}
            Some(_) => return Err(Stop::Bad { at, what: "a value must begin here" }),
            None => return Err(Stop::Incomplete),
        }
    }
    Ok(at + word.len())
}

/// The number of bytes before the first quote, backslash or control character.
#[inline]
fn plain_length(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(chunk) = text[at..].first_chunk::<16>() {
        let mask = simd::ends_json_text(chunk);
        if mask != 0 {
            return at + mask.trailing_zeros() as usize;
        }
        at += 16;
    }
    at + plain_length_bytewise(&text[at..])
}

#[inline]
fn plain_length_bytewise(text: &[u8]) -> usize {
    text.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use serde::de::IgnoredAny;

    use super::*;

    fn accepts(text: &[u8]) -> bool {
        let mut fields = Vec::new();
        // The end of a text ends a number, which the scanner leaves open.
        let closed = [text, b" "].concat();
        let at = skip_space(&closed, 0);
        matches!(object(&closed, at, &mut fields), Ok(end) if skip_space(&closed, end) == closed.len())
    }

    fn peer_accepts(text: &[u8]) -> bool {
        let starts_object = text.get(skip_space(text, 0)) == Some(&b'{');
        starts_object && std::str::from_utf8(text).is_ok() && serde_json::from_slice::<IgnoredAny>(text).is_ok()
    }

    #[test]
    fn accepts_what_serde_json_accepts() {
        let documents: [&[u8]; 7] = [
            br#"{"a":1,"b":[true,false,null,{"c":"d\n\u00e9"}],"e":-0.5e+10}"#,
            br#"{ }"#,
            br#" {"long key with no escape at all":"a value that is longer than sixteen bytes, \"quoted\""} "#,
            b"{\n  \"pretty\": [\n 1,\n 2.50\n ],\r\n \"x\":{}\n}",
            br#"{"a":0,"b":-0,"c":1E5,"d":12345678901234567890123}"#,
            "{\"ü\":\"日本🎉\"}".as_bytes(),
            br#"{"e":"\ud83d\ude00","n":[[],[[]],{}]}"#,
        ];
        let mut seed = 88_172_645_463_325_252u64;
        let mut random = move |n: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed % n as u64) as usize
        };
        let bytes = b"{}[]\",:0123456789-+.eE \n\\utrfalsn\x00\x1f\x7f/";
        let mut accepted = 0;
        for round in 0..300_000 {
            let mut text = documents[round % documents.len()].to_vec();
            for _ in 0..random(3) {
                let at = random(text.len());
                match random(3) {
                    0 => text[at] = bytes[random(bytes.len())],
                    1 => _ = text.remove(at),
                    _ => text.insert(at, bytes[random(bytes.len())]),
                }
            }
            if std::str::from_utf8(&text).is_err() {
                continue;
            }
            let expected = peer_accepts(&text);
            accepted += usize::from(expected);
            assert_eq!(accepts(&text), expected, "{}", String::from_utf8_lossy(&text));
        }
        assert!(accepted > 50_000, "only {accepted} were valid");
    }

    #[test]
    fn members_keep_their_text_and_have_their_type() {
        let text = br#"{"a" : 1.50, "b\"": "x\ny", "c": [1, {"d": 2}] } "#;
        let mut fields = Vec::new();
        assert_eq!(object(text, 0, &mut fields), Ok(text.len() - 1));
        let shown: Vec<_> = fields
            .iter()
            .map(|f| {
                let text = |span: Span| std::str::from_utf8(span.of(text)).unwrap().to_owned();
                (text(f.key), text(f.value), f.kind)
            })
            .collect();
        let expected = [
            ("a", "1.50", JsonKind::Number),
            (r#"b\""#, r#""x\ny""#, JsonKind::String),
            ("c", r#"[1, {"d": 2}]"#, JsonKind::Array),
        ];
        assert_eq!(shown, expected.map(|(key, value, kind)| (key.to_owned(), value.to_owned(), kind)));
    }

    #[test]
    fn every_prefix_of_an_object_is_incomplete() {
        let text = br#"{"a":[1,-2.5e3,true,null,"x\u00e9\\"],"b":{"c":false}}"#;
        for length in 0..text.len() {
            assert_eq!(object(&text[..length], 0, &mut Vec::new()), Err(Stop::Incomplete), "{length}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_and_does_not_overflow() {
        let text = [b"{\"a\":".as_slice(), &[b'['; 100_000]].concat();
        assert!(matches!(object(&text, 0, &mut Vec::new()), Err(Stop::Bad { .. })));
    }
}
