//! JSON as text: strings with their escapes, keys, numbers. Every encoder of this room writes through here, so that
//! all formats give the same bytes for the same value.
//!
//! Non-ASCII text is written as it is; only the quote, the backslash and control characters are escaped, the short
//! way where JSON has one.

use crate::simd::{Chunk, LANES};

/// The escapes of the bytes below 0x20, the quote and the backslash. `u` stands for `\u00XX`, 0 for none.
const ESCAPES: [u8; 256] = escapes();

const fn escapes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = b'u';
        byte += 1;
    }
    table[0x08] = b'b';
    table[0x09] = b't';
    table[0x0a] = b'n';
    table[0x0c] = b'f';
    table[0x0d] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
}

/// Appends `text`, which must be UTF-8, as a JSON string with its quotes.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &[u8]) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text;
    loop {
        let clean = clean_prefix(rest);
        out.extend_from_slice(&rest[..clean]);
        let Some(&byte) = rest.get(clean) else { break };
        write_escape(out, byte);
        rest = &rest[clean + 1..];
    }
    out.push(b'"');
}

/// Appends `"name":`.
pub(crate) fn write_key(out: &mut Vec<u8>, name: &str) {
    write_string(out, name.as_bytes());
    out.push(b':');
}

/// Appends a signed integer.
pub(crate) fn write_integer(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends an unsigned integer.
pub(crate) fn write_unsigned(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a float in the shortest form that reads back as the same value: `1.0`, `-0.0`, `1e-10`, `1e+22`. JSON has
/// no NaN and no infinities: they become `null`.
pub(crate) fn write_float(out: &mut Vec<u8>, value: f64) {
    write_shortest(out, value.is_finite(), ryu::Buffer::new().format(value));
}

/// As [`write_float`], for values that were stored in 32 bits and are wanted with their own shortest digits.
pub(crate) fn write_float32(out: &mut Vec<u8>, value: f32) {
    write_shortest(out, value.is_finite(), ryu::Buffer::new().format(value));
}

fn write_shortest(out: &mut Vec<u8>, finite: bool, text: &str) {
    if !finite {
        return out.extend_from_slice(b"null");
    }
    match text.split_once('e') {
        // The connector we replace writes the plus sign.
        Some((digits, exponent)) if !exponent.starts_with('-') => {
            out.extend_from_slice(digits.as_bytes());
            out.extend_from_slice(b"e+");
            out.extend_from_slice(exponent.as_bytes());
        }
        _ => out.extend_from_slice(text.as_bytes()),
    }
}

/// The length of the longest prefix that a JSON string holds as it is.
pub(crate) fn clean_prefix(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(chunk) = Chunk::load(text, at) {
        let found = chunk.needs_escape();
        if found != 0 {
            return at + found.trailing_zeros() as usize;
        }
        at += LANES;
    }
    let tail = &text[at..];
    at + tail.iter().position(|&byte| ESCAPES[byte as usize] != 0).unwrap_or(tail.len())
}

/// Appends the escape of one byte that needs it.
pub(crate) fn write_escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match ESCAPES[byte as usize] {
        b'u' => {
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]])
        }
        short => out.extend_from_slice(&[b'\\', short]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(text: &str) -> String {
        let mut out = Vec::new();
        write_string(&mut out, text.as_bytes());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn strings_are_what_serde_json_writes_at_every_length_and_place() {
        let specials = ['"', '\\', '\u{0}', '\u{1f}', '\n', '\r', '\t', '\u{8}', '\u{c}', '\u{7f}', 'é', '漢', '😀'];
        for length in 0..70 {
            for at in 0..=length {
                for special in specials {
                    let text = format!("{}{special}{}", "a".repeat(at), "b".repeat(length - at));
                    assert_eq!(string(&text), serde_json::to_string(&text).unwrap());
                }
            }
        }
        let all: String = (0..0x2000).filter_map(char::from_u32).collect();
        assert_eq!(string(&all), serde_json::to_string(&all).unwrap());
    }

    #[test]
    fn floats_are_shortest_with_the_signs_of_the_old_connector() {
        for (value, text) in [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (1e22, "1e+22"),
            (1e-10, "1e-10"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::NAN, "null"),
            (f64::NEG_INFINITY, "null"),
        ] {
            let mut out = Vec::new();
            write_float(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
