//! A validating scanner for one JSON object: its members as spans, nothing built.
//!
//! It accepts what RFC 8259 accepts: strings with their escapes (surrogates in pairs), numbers by the grammar, no
//! trailing commas, no NaN. That the text is UTF-8 was checked before.

use tollgate_base::batch::{JsonField, JsonKind, Span};
use tollgate_base::simd::{Chunk, LANES};

/// Containers inside one another, the object itself included.
pub(crate) const MAX_DEPTH: usize = 1024;

/// What a scan came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Scanned {
    /// The object, or array, ends before this byte.
    Object {
        /// One past the closing brace or bracket.
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
/// well. `like` is the index in `fields` of the first member of an object before it in this text, if there is one to
/// compare with: where a key is written as there, it is known to be one.
pub(crate) fn scan_object(text: &[u8], start: usize, fields: &mut Vec<JsonField>, like: Option<usize>) -> Scanned {
    let first = fields.len();
    let mut scanner = Scanner { text, line_ends: false, fault: None };
    let Some(end) = scanner.members(start, fields, like) else {
        fields.truncate(first);
        return scanner.fault.map_or(Scanned::Incomplete, |(at, reason)| Scanned::Fault { at, reason });
    };
    Scanned::Object { end, line_ends: scanner.line_ends }
}

/// Scans the array that begins at `start`: one field without a key.
pub(crate) fn scan_array(text: &[u8], start: usize, fields: &mut Vec<JsonField>) -> Scanned {
    let mut scanner = Scanner { text, line_ends: false, fault: None };
    let Some(end) = scanner.container(start) else {
        return scanner.fault.map_or(Scanned::Incomplete, |(at, reason)| Scanned::Fault { at, reason });
    };
    fields.push(JsonField { key: Span::ABSENT, value: span(start, end), kind: JsonKind::Array });
    Scanned::Object { end, line_ends: scanner.line_ends }
}

/// Members of an object at most.
const MOST_MEMBERS: usize = 1 << 20;
const TOO_MANY_MEMBERS: &str = "an object has more than 1,048,576 members";

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

    /// The length of a known member's key with quotes, colon and white space, where the text at `at` repeats it.
    #[inline(always)]
    fn repeated(&self, at: usize, known: &JsonField) -> Option<(usize, usize)> {
        let from = known.key.start as usize - 1;
        let length = known.value.start as usize - from;
        let same = match (Chunk::load(self.text, at), Chunk::load(self.text, from)) {
            (Some(here), Some(there)) if length <= LANES => {
                let wanted = (1_u32 << length) - 1;
                here.same(there) & wanted == wanted
            }
            _ => self.text[at..].starts_with(&self.text[from..from + length]),
        };
        same.then_some(((known.key.end - known.key.start) as usize + 2, length))
    }

    /// The members of the top object, recorded.
    fn members(&mut self, at: usize, fields: &mut Vec<JsonField>, like: Option<usize>) -> Option<usize> {
        let first = fields.len();
        // One past the fields of earlier objects, no member is found.
        let mut like = like.unwrap_or(first);
        if *self.text.get(at)? != b'{' {
            return self.refuse(at, "expected an object");
        }
        let mut at = self.space(at + 1);
        if *self.text.get(at)? == b'}' {
            return Some(at + 1);
        }
        loop {
            let known = fields[..first].get(like).and_then(|known| self.repeated(at, known));
            like += 1;
            let (key_end, start) = match known {
                Some((key, all)) => (at + key, self.space(at + all)),
                None => {
                    let key_end = self.key(at)?;
                    (key_end, self.colon(key_end)?)
                }
            };
            let (end, kind) = self.value(start)?;
            fields.push(JsonField { key: span(at + 1, key_end - 1), value: span(start, end), kind });
            match self.next(end, b'}', "expected ',' or '}' after a member")? {
                Next::Item(next) if fields.len() - first < MOST_MEMBERS => at = next,
                Next::Item(next) => return self.refuse(next, TOO_MANY_MEMBERS),
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
        // What writers of JSON put between items: a comma, or a comma and a blank.
        match self.text.get(at..at + 3) {
            Some([b',', b' ', byte]) if *byte > b' ' => return Some(Next::Item(at + 2)),
            Some([b',', byte, _]) if *byte > b' ' => return Some(Next::Item(at + 1)),
            Some([byte, _, _]) if *byte == close => return Some(Next::End(at + 1)),
            _ => {}
        }
        self.next_slowly(at, close, expected)
    }

    fn next_slowly(&mut self, at: usize, close: u8, expected: &'static str) -> Option<Next> {
        let at = self.space(at);
        match *self.text.get(at)? {
            b',' => Some(Next::Item(self.space(at + 1))),
            byte if byte == close => Some(Next::End(at + 1)),
            _ => self.refuse(at, expected),
        }
    }

    #[inline(always)]
    fn value(&mut self, at: usize) -> Option<(usize, JsonKind)> {
        match *self.text.get(at)? {
            b'"' => Some((self.string(at + 1)?, JsonKind::String)),
            b'-' | b'0'..=b'9' => self.number(at),
            b't' => Some((self.word(at, b"true")?, JsonKind::Boolean)),
            b'f' => Some((self.word(at, b"false")?, JsonKind::Boolean)),
            b'n' => Some((self.word(at, b"null")?, JsonKind::Null)),
            b'{' => Some((self.container(at)?, JsonKind::Object)),
            b'[' => Some((self.container(at)?, JsonKind::Array)),
            _ => self.refuse(at, "expected a value"),
        }
    }

    /// An array or object inside the top object, with all that is in it. A loop, since a text may nest deeper than a
    /// thread's stack is.
    fn container(&mut self, start: usize) -> Option<usize> {
        let (mut open, mut at) = (Open::default(), start);
        loop {
            if open.object() {
                let key_end = self.key(at)?;
                at = self.colon(key_end)?;
            }
            let byte = *self.text.get(at)?;
            let mut end = if byte == b'{' || byte == b'[' {
                if !open.push(byte == b'{') {
                    return self.refuse(at, "nested too deeply");
                }
                at = self.space(at + 1);
                if *self.text.get(at)? != open.close() {
                    continue;
                }
                open.pop();
                at + 1
            } else {
                self.value(at)?.0
            };
            loop {
                if open.depth == 0 {
                    return Some(end);
                }
                match self.next(end, open.close(), "expected ',' or the end of an array or object")? {
                    Next::Item(next) => {
                        at = next;
                        break;
                    }
                    Next::End(next) => {
                        open.pop();
                        end = next;
                    }
                }
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
                    if chunk.equal(b'"') & found & found.wrapping_neg() != 0 {
                        return Some(at + 1);
                    }
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
        if let Some(chunk) = Chunk::load(self.text, at) {
            let count = chunk.digits().trailing_ones() as usize;
            if count < LANES {
                return at + count;
            }
        }
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

/// The containers that are open inside the top object: a bit for each, set for objects.
struct Open {
    objects: [u64; MAX_DEPTH / 64],
    depth: usize,
}

impl Default for Open {
    fn default() -> Self {
        Self { objects: [0; MAX_DEPTH / 64], depth: 0 }
    }
}

impl Open {
    /// Whether there is room for one more.
    fn push(&mut self, object: bool) -> bool {
        if self.depth + 1 == MAX_DEPTH {
            return false;
        }
        let (word, bit) = (&mut self.objects[self.depth / 64], 1 << (self.depth % 64));
        *word = if object { *word | bit } else { *word & !bit };
        self.depth += 1;
        true
    }

    fn pop(&mut self) {
        self.depth -= 1;
    }

    /// Whether the innermost one is an object.
    fn object(&self) -> bool {
        self.depth > 0 && self.objects[(self.depth - 1) / 64] >> ((self.depth - 1) % 64) & 1 == 1
    }

    /// What closes the innermost one.
    fn close(&self) -> u8 {
        if self.object() { b'}' } else { b']' }
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
        let scanned = scan_object(text.as_bytes(), 0, &mut Vec::new(), Some(0));
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
        assert_eq!(
            scan_object(text, 0, &mut fields, Some(0)),
            Scanned::Object { end: text.len() - 1, line_ends: false }
        );
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
    fn an_object_like_the_one_before_it_gives_the_same_as_alone() {
        let objects = [
            r#"{"a":1,"b c":"x","a key that is longer than sixteen bytes" : [1]}"#,
            r#"{"a":1,"b c": "x","a key that is longer than sixteen bytes" : [1]}"#,
            r#"{"b c":2,"a":1}"#,
            r#"{"a":1,"b":3,"c":4,"d":5}"#,
            r#"{"a":}"#,
            r#"{"a":1,"b c"}"#,
            r#"{"a":1,"b c":"#,
            "{}",
        ];
        for one in objects {
            for other in objects {
                let mut fields = Vec::new();
                let text = format!("{one}{other}");
                let Scanned::Object { end, .. } = scan_object(text.as_bytes(), 0, &mut fields, Some(0)) else {
                    continue;
                };
                let first = fields.len();
                let scanned = scan_object(text.as_bytes(), end, &mut fields, Some(0));
                let mut alone = Vec::new();
                assert_eq!(scanned, scan_object(text.as_bytes(), end, &mut alone, Some(0)), "{text}");
                let shown = |fields: &[JsonField]| format!("{fields:?}");
                assert_eq!(shown(&fields[first..]), shown(&alone), "{text}");
            }
        }
    }

    #[test]
    fn every_prefix_of_an_object_is_incomplete() {
        let text = br#"{"a":[1,-2.5e3,true,null,"x\u00e9\\"],"b":{"c":false}}"#;
        for length in 0..text.len() {
            assert_eq!(scan_object(&text[..length], 0, &mut Vec::new(), Some(0)), Scanned::Incomplete, "{length}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_and_does_not_overflow() {
        let text = [b"{\"a\":".as_slice(), &[b'['; 100_000]].concat();
        assert!(matches!(scan_object(&text, 0, &mut Vec::new(), Some(0)), Scanned::Fault { at: 1028, .. }));
        for (depth, fits) in [(64, true), (1022, true), (1023, true), (1024, false)] {
            let text = format!(
                "{{\"a\":{}{}}}",
                "[{\"b\":".repeat(depth / 2) + &"[".repeat(depth % 2),
                "]".repeat(depth % 2) + &"}]".repeat(depth / 2)
            );
            let text = text.replace("\"b\":}", "\"b\":0}");
            let scanned = scan_object(text.as_bytes(), 0, &mut Vec::new(), Some(0));
            assert_eq!(scanned == Scanned::Object { end: text.len(), line_ends: false }, fits, "{depth} {scanned:?}");
        }
    }
}
