//! A validating scanner for one JSON object: its members as spans, nothing built.
//!
//! It accepts what RFC 8259 accepts: strings with their escapes (surrogates in pairs), numbers by the grammar, no
//! trailing commas, no NaN. That the text is UTF-8 was checked before.

use crate::batch::{JsonField, JsonKind, Span};
use crate::simd::{Chunk, LANES};

/// Containers inside one another, the object itself included.
pub(crate) const MAX_DEPTH: usize = 1024;

/// What a scan came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Scanned {
    /// The object ends before this byte.
    Object {
        /// One past the closing brace.
        end: usize,
        /// Whether there are line ends between its tokens.
        line_ends: bool,
    },
    /// The text ends inside the object.
    Incomplete,
    /// It is not a JSON object.
    Fault {
        /// The byte that does not fit.
        at: usize,
        /// Why.
        reason: &'static str,
    },
}

/// Scans the object that begins at `start` and appends its members to `fields`; they are taken back unless all is
/// well.
pub(crate) fn scan_object(text: &[u8], start: usize, fields: &mut Vec<JsonField>) -> Scanned {
    let first = fields.len();
    let mut scanner = Scanner { text, line_ends: false, fault: None };
    let Some(end) = scanner.members(start, fields) else {
        fields.truncate(first);
        return scanner.fault.map_or(Scanned::Incomplete, |(at, reason)| Scanned::Fault { at, reason });
    };
    Scanned::Object { end, line_ends: scanner.line_ends }
}

/// Its functions take the index where something begins and return the index behind it; `None` means that the text
/// ends there, or that `fault` is set.
struct Scanner<'a> {
    text: &'a [u8],
    line_ends: bool,
    fault: Option<(usize, &'static str)>,
}

impl Scanner<'_> {
    #[cold]
    #[inline(never)]
    fn refuse<T>(&mut self, at: usize, reason: &'static str) -> Option<T> {
        self.fault = Some((at, reason));
        None
    }

    /// Goes over white space. Most tokens have none or one blank before them.
    #[inline(always)]
    fn space(&mut self, at: usize) -> usize {
        match self.text.get(at) {
            Some(byte) if *byte > b' ' => at,
            Some(b' ') if self.text.get(at + 1).is_some_and(|&byte| byte > b' ') => at + 1,
            _ => self.long_space(at),
        }
    }

    fn long_space(&mut self, mut at: usize) -> usize {
        while let Some(byte @ (b' ' | b'\t' | b'\n' | b'\r')) = self.text.get(at) {
            self.line_ends |= matches!(byte, b'\n' | b'\r');
            at += 1;
        }
        at
    }

    /// The members of the top object, recorded.
    fn members(&mut self, at: usize, fields: &mut Vec<JsonField>) -> Option<usize> {
        if *self.text.get(at)? != b'{' {
            return self.refuse(at, "expected an object");
        }
        let mut at = self.space(at + 1);
        if *self.text.get(at)? == b'}' {
            return Some(at + 1);
        }
        loop {
            let key_end = self.key(at)?;
            let start = self.colon(key_end)?;
            let (end, kind) = self.value(start, 1)?;
            fields.push(JsonField { key: span(at + 1, key_end - 1), value: span(start, end), kind });
            match self.next(end, b'}', "expected ',' or '}' after a member")? {
                Next::Item(next) => at = next,
                Next::End(end) => return Some(end),
            }
        }
    }

    #[inline(always)]
    fn key(&mut self, at: usize) -> Option<usize> {
        if *self.text.get(at)? != b'"' {
            return self.refuse(at, "expected a key in double quotes");
        }
        self.string(at + 1)
    }

    /// Goes over the colon to the value behind it.
    #[inline(always)]
    fn colon(&mut self, at: usize) -> Option<usize> {
        let at = self.space(at);
        if *self.text.get(at)? != b':' {
            return self.refuse(at, "expected ':' after a key");
        }
        Some(self.space(at + 1))
    }

    /// What follows an item of a container that `close` closes.
    #[inline(always)]
    fn next(&mut self, at: usize, close: u8, expected: &'static str) -> Option<Next> {
        let at = self.space(at);
        match *self.text.get(at)? {
            b',' => Some(Next::Item(self.space(at + 1))),
            byte if byte == close => Some(Next::End(at + 1)),
            _ => self.refuse(at, expected),
        }
    }

    #[inline(always)]
    fn value(&mut self, at: usize, depth: usize) -> Option<(usize, JsonKind)> {
        match *self.text.get(at)? {
            b'"' => Some((self.string(at + 1)?, JsonKind::String)),
            b'-' | b'0'..=b'9' => self.number(at),
            b't' => Some((self.word(at, b"true")?, JsonKind::Boolean)),
            b'f' => Some((self.word(at, b"false")?, JsonKind::Boolean)),
            b'n' => Some((self.word(at, b"null")?, JsonKind::Null)),
            b'{' => Some((self.object(at, depth + 1)?, JsonKind::Object)),
            b'[' => Some((self.array(at, depth + 1)?, JsonKind::Array)),
            _ => self.refuse(at, "expected a value"),
        }
    }

    fn object(&mut self, at: usize, depth: usize) -> Option<usize> {
        if depth > MAX_DEPTH {
            return self.refuse(at, "nested too deeply");
        }
        let mut at = self.space(at + 1);
        if *self.text.get(at)? == b'}' {
            return Some(at + 1);
        }
        loop {
            let key_end = self.key(at)?;
            let start = self.colon(key_end)?;
            let (end, _) = self.value(start, depth)?;
            match self.next(end, b'}', "expected ',' or '}' after a member")? {
                Next::Item(next) => at = next,
                Next::End(end) => return Some(end),
            }
        }
    }

    fn array(&mut self, at: usize, depth: usize) -> Option<usize> {
        if depth > MAX_DEPTH {
            return self.refuse(at, "nested too deeply");
        }
        let mut at = self.space(at + 1);
        if *self.text.get(at)? == b']' {
            return Some(at + 1);
        }
        loop {
            let (end, _) = self.value(at, depth)?;
            match self.next(end, b']', "expected ',' or ']' after an item")? {
                Next::Item(next) => at = next,
                Next::End(end) => return Some(end),
            }
        }
    }

    /// From behind the opening quote to behind the closing one.
    #[inline(always)]
    fn string(&mut self, mut at: usize) -> Option<usize> {
        loop {
            while let Some(chunk) = Chunk::load(self.text, at) {
                let found = chunk.needs_escape();
                if found != 0 {
                    at += found.trailing_zeros() as usize;
                    break;
                }
                at += LANES;
            }
            match *self.text.get(at)? {
                b'"' => return Some(at + 1),
                b'\\' => at = self.escape(at)?,
                0..0x20 => return self.refuse(at, "a control character in a string"),
                // Fewer than sixteen bytes are left.
                _ => at += 1,
            }
        }
    }

    #[cold]
    fn escape(&mut self, at: usize) -> Option<usize> {
        match *self.text.get(at + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 2),
            b'u' => {
                let unit = self.hex(at + 2)?;
                match unit {
                    0xd800..0xdc00 => self.low_surrogate(at + 6),
                    0xdc00..0xe000 => self.refuse(at, "half of a surrogate pair"),
                    _ => Some(at + 6),
                }
            }
            _ => self.refuse(at, "an unknown escape in a string"),
        }
    }

    fn low_surrogate(&mut self, at: usize) -> Option<usize> {
        if *self.text.get(at)? != b'\\' || *self.text.get(at + 1)? != b'u' {
            return self.refuse(at, "half of a surrogate pair");
        }
        match self.hex(at + 2)? {
            0xdc00..0xe000 => Some(at + 6),
            _ => self.refuse(at, "half of a surrogate pair"),
        }
    }

    /// Four hexadecimal digits.
    fn hex(&mut self, at: usize) -> Option<u32> {
        let mut unit = 0;
        for place in at..at + 4 {
            let byte = *self.text.get(place)?;
            let Some(digit) = char::from(byte).to_digit(16) else {
                return self.refuse(place, "expected four hexadecimal digits after \\u");
            };
            unit = unit * 16 + digit;
        }
        Some(unit)
    }

    #[inline(always)]
    fn number(&mut self, at: usize) -> Option<(usize, JsonKind)> {
        let first = at + usize::from(self.text[at] == b'-');
        let mut end = match *self.text.get(first)? {
            b'0' => first + 1,
            b'1'..=b'9' => self.digits(first + 1),
            _ => return self.refuse(first, "expected a digit"),
        };
        let mut kind = JsonKind::Integer;
        let mut byte = *self.text.get(end)?;
        if byte == b'.' {
            kind = JsonKind::Number;
            end = self.some_digits(end + 1)?;
            byte = *self.text.get(end)?;
        }
        if byte | 0x20 == b'e' {
            kind = JsonKind::Number;
            let signed = usize::from(matches!(*self.text.get(end + 1)?, b'+' | b'-'));
            end = self.some_digits(end + 1 + signed)?;
        }
        Some((end, kind))
    }

    #[inline(always)]
    fn digits(&self, mut at: usize) -> usize {
        while self.text.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    }

    #[inline(always)]
    fn some_digits(&mut self, at: usize) -> Option<usize> {
        if !self.text.get(at)?.is_ascii_digit() {
            return self.refuse(at, "expected a digit");
        }
        Some(self.digits(at + 1))
    }

    #[inline(always)]
    fn word(&mut self, at: usize, word: &'static [u8]) -> Option<usize> {
        let rest = &self.text[at..];
        if rest.starts_with(word) {
            return Some(at + word.len());
        }
        if word.starts_with(rest) {
            return None;
        }
        self.refuse(at, "expected a value")
    }
}

enum Next {
    Item(usize),
    End(usize),
}

fn span(start: usize, end: usize) -> Span {
    Span { start: start as u32, end: end as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(text: &str) -> bool {
        let text = text.trim_matches([' ', '\t', '\n', '\r']);
        let scanned = scan_object(text.as_bytes(), 0, &mut Vec::new());
        matches!(scanned, Scanned::Object { end, .. } if end == text.len())
    }

    /// A number beyond a double is none to `serde_json`; here its digits are kept.
    fn peer_accepts(text: &str) -> bool {
        match serde_json::from_str::<serde_json::Value>(text) {
            Ok(value) => value.is_object(),
            Err(error) => error.to_string().contains("number out of range") && accepts(text),
        }
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
        let bytes = b"{}[]\",:0123456789-+.eE \n\\utrfalsndD89cC\x00\x1f\x7f/";
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
            let Ok(text) = String::from_utf8(text) else { continue };
            let expected = peer_accepts(&text);
            accepted += usize::from(expected);
            assert_eq!(accepts(&text), expected, "{text}");
        }
        assert!(accepted > 50_000, "only {accepted} were valid");
    }

    #[test]
    fn members_keep_their_text_and_have_their_type() {
        let text = br#"{"a" : 1.50, "b\"": "x\ny", "c": [1, {"d": 2}] } "#;
        let mut fields = Vec::new();
        assert_eq!(scan_object(text, 0, &mut fields), Scanned::Object { end: text.len() - 1, line_ends: false });
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
            assert_eq!(scan_object(&text[..length], 0, &mut Vec::new()), Scanned::Incomplete, "{length}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_and_does_not_overflow() {
        let text = [b"{\"a\":".as_slice(), &[b'['; 100_000]].concat();
        assert!(matches!(scan_object(&text, 0, &mut Vec::new()), Scanned::Fault { .. }));
    }
}
