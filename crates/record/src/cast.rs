//! Texts as values of the catalog's types. What counts as a number is what Python takes for one
//! ([`tollgate_base::python_number`]); digits that are JSON already go out as they came in.

use super::number_text::write_double;
use tollgate_base::json_string::write_string;
use tollgate_base::options::CsvOptions;
use tollgate_base::python_number;
use tollgate_base::schema::ColumnType;

/// How the texts of one column become values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cast {
    /// As it is.
    String,
    Integer,
    Number,
    Boolean,
    /// JSON text of an array.
    Array,
    /// Any JSON text.
    Object,
}

/// What became of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was written as a value of the type.
    Written,
    /// It is no value of the type, and was written as a string.
    TypeMismatch,
    /// It is a number that JSON has no text for, and was written as null.
    NotFinite,
}

impl Cast {
    pub(super) fn to(kind: ColumnType) -> Self {
        match kind {
            ColumnType::Integer => Self::Integer,
            ColumnType::Number => Self::Number,
            ColumnType::Boolean => Self::Boolean,
            ColumnType::Array => Self::Array,
            ColumnType::Object => Self::Object,
            ColumnType::Null
            | ColumnType::String
            | ColumnType::Date
            | ColumnType::Timestamp
            | ColumnType::Time
            | ColumnType::AnyScalar
            | ColumnType::Any => Self::String,
        }
    }

    /// Appends the text as a value.
    #[inline]
    pub(super) fn write(self, text: &str, options: &CsvOptions, out: &mut Vec<u8>) -> Outcome {
        let written = match self {
            Self::String => {
                write_string(text, out);
                return Outcome::Written;
            }
            Self::Integer => integer(text, out),
            Self::Number => return number(text, out),
            Self::Boolean => boolean(text, options, out),
            Self::Array => text.trim_start().starts_with('[') && json(text, out),
            Self::Object => json(text, out),
        };
        if written { Outcome::Written } else { misfit(text, out) }
    }
}

fn misfit(text: &str, out: &mut Vec<u8>) -> Outcome {
    write_string(text, out);
    Outcome::TypeMismatch
}

fn integer(text: &str, out: &mut Vec<u8>) -> bool {
    if plain_integer(text.as_bytes()) {
        out.extend_from_slice(text.as_bytes());
        return true;
    }
    if !python_number::integer(text) {
        return false;
    }
    let plain = python_number::plain(text);
    let (sign, digits) = plain.strip_prefix('-').map_or(("", &*plain), |digits| ("-", digits));
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        out.push(b'0');
    } else {
        out.extend_from_slice(sign.as_bytes());
        out.extend_from_slice(digits.as_bytes());
    }
    true
}

/// Whether the text is a JSON integer, `-0` aside, which Python makes 0.
#[inline]
fn plain_integer(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    match digits {
        [b'0'] => digits.len() == text.len(),
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

fn number(text: &str, out: &mut Vec<u8>) -> Outcome {
    if plain_number(text.as_bytes()) {
        out.extend_from_slice(text.as_bytes());
        return Outcome::Written;
    }
    if !python_number::number(text) {
        return misfit(text, out);
    }
    // Infinity, NaN and what is beyond a double become null: JSON has no word for them.
    let value = python_number::plain(text).parse().unwrap_or(f64::NAN);
    write_double(value, out);
    if value.is_finite() { Outcome::Written } else { Outcome::NotFinite }
}

/// Whether the text is a JSON number without an exponent, which any reader can hold.
#[inline]
fn plain_number(text: &[u8]) -> bool {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let whole = unsigned.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let leading_zero = whole > 1 && unsigned[0] == b'0';
    let fraction = match unsigned.get(whole) {
        None => return whole > 0 && !leading_zero && text != b"-0",
        Some(b'.') => &unsigned[whole + 1..],
        Some(_) => return false,
    };
    whole > 0 && !leading_zero && !fraction.is_empty() && fraction.iter().all(u8::is_ascii_digit)
}

fn boolean(text: &str, options: &CsvOptions, out: &mut Vec<u8>) -> bool {
    let word: &[u8] = match truth(text, options) {
        Some(true) => b"true",
        Some(false) => b"false",
        None => return false,
    };
    out.extend_from_slice(word);
    true
}

/// The truth value that a text means; `None` where it means none.
pub(super) fn truth(text: &str, options: &CsvOptions) -> Option<bool> {
    let means = |words: &[String]| words.iter().any(|word| word == text);
    if means(&options.true_values) { Some(true) } else { means(&options.false_values).then_some(false) }
}

/// Whether texts of a column can mean null. `string`: its values are emitted as they are, and not cast.
pub(super) fn nullable(string: bool, options: &CsvOptions) -> bool {
    !options.null_values.is_empty() && (!string || options.strings_can_be_null)
}

/// JSON text, with line breaks between its tokens as spaces.
fn json(text: &str, out: &mut Vec<u8>) -> bool {
    if serde_json::from_str::<&serde_json::value::RawValue>(text).is_err() || has_half_surrogate(text.as_bytes()) {
        return false;
    }
    out.extend(text.trim().bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
    true
}

/// Whether a string of this JSON has half of a surrogate pair, which is no character. A raw value's escapes are not
/// decoded.
fn has_half_surrogate(json: &[u8]) -> bool {
    let unit = |at: usize| {
        let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let mut at = 0;
    while let Some(length) = memchr::memchr(b'\\', &json[at..]) {
        at += length;
        at += match unit(at) {
            None => 2,
            Some(0xd800..=0xdbff) if matches!(unit(at + 6), Some(0xdc00..=0xdfff)) => 12,
            Some(0xd800..=0xdfff) => return true,
            Some(_) => 6,
        };
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cast(kind: ColumnType, text: &str) -> (String, Outcome) {
        let mut out = Vec::new();
        let outcome = Cast::to(kind).write(text, &CsvOptions::default(), &mut out);
        (String::from_utf8(out).unwrap(), outcome)
    }

    #[test]
    fn texts_become_values_as_in_the_connector_we_replace() {
        use ColumnType::{Array, Boolean, Integer, Number, Object, String};
        for (kind, text, expected) in [
            (Integer, "7", "7"),
            (Integer, " 7 ", "7"),
            (Integer, "+5", "5"),
            (Integer, "1_0", "10"),
            (Integer, "٣", "3"),
            (Integer, "-0", "0"),
            (Integer, "007", "7"),
            (Integer, "12345678901234567890123", "12345678901234567890123"),
            (Number, "1.50", "1.50"),
            (Number, "1e3", "1000.0"),
            (Number, " 7 ", "7.0"),
            (Number, "+5", "5.0"),
            (Number, "-0", "-0.0"),
            (Number, ".5", "0.5"),
            (Boolean, "yes", "true"),
            (Boolean, "0", "false"),
            (Object, "{\"a\":\n1}", "{\"a\": 1}"),
            (Object, "[1]", "[1]"),
            (Array, " [1, 2]", "[1, 2]"),
            (Object, r#"{"\u00e9": 1e400}"#, r#"{"\u00e9": 1e400}"#),
            (Object, r#"["\\ud800", "\\"]"#, r#"["\\ud800", "\\"]"#),
            (Object, r#"{"a": "\ud83d\ude00"}"#, r#"{"a": "\ud83d\ude00"}"#),
            (String, "a\"b", "\"a\\\"b\""),
        ] {
            assert_eq!(cast(kind, text), (expected.to_owned(), Outcome::Written), "{kind:?} '{text}'");
        }
        for text in ["NaN", "inf", "-Infinity", "1e400"] {
            assert_eq!(cast(Number, text), ("null".to_owned(), Outcome::NotFinite), "'{text}'");
        }
        for (kind, text) in [
            (Integer, "1.0"),
            (Integer, "1e3"),
            (Integer, ""),
            (Number, "x"),
            (Boolean, "True"),
            (Array, "{}"),
            (Array, r#"["\ud800"]"#),
            (Array, r#"["\ud800\ud800"]"#),
            (Array, r#"["\ud800\\udc00"]"#),
            (Object, r#"{"a": "\udc00x"}"#),
            (Object, "{"),
        ] {
            assert_eq!(cast(kind, text), (format!("{text:?}"), Outcome::TypeMismatch), "{kind:?} '{text}'");
        }
    }
}
