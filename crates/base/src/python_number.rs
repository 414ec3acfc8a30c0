//! Which texts Python's `int()` and `float()` accept as numbers, by which `airbyte/source-s3` infers the types of
//! columns. Both accept surrounding white space, a sign, digits of any script, and single underscores between digits.
//! Also writes decimals as Python does, as in the records of that connector.

/// Digits beyond which Python's `int()` refuses a text.
const INT_DIGITS: usize = 4300;

/// Whether `int()` accepts the text.
#[must_use]
pub fn integer(text: &str) -> bool {
    let (digits, rest) = digits(unsigned(strip(text)));
    rest.is_empty() && (1..=INT_DIGITS).contains(&digits)
}

/// Whether `float()` accepts the text, also `nan`, `inf`, `infinity`, `.5`, `5.` and exponents beyond a double's.
#[must_use]
pub fn number(text: &str) -> bool {
    let text = unsigned(strip(text));
    if ["nan", "inf", "infinity"].iter().any(|word| text.eq_ignore_ascii_case(word)) {
        return true;
    }
    let (whole, rest) = digits(text);
    let (fraction, rest) = rest.strip_prefix('.').map_or((0, rest), digits);
    if whole + fraction == 0 {
        return false;
    }
    match rest.strip_prefix(['e', 'E']) {
        None => rest.is_empty(),
        Some(exponent) => {
            let (count, rest) = digits(unsigned(exponent));
            count > 0 && rest.is_empty()
        }
    }
}

/// The text with plain digits, without the other things that Python allows: surrounding white space, underscores,
/// digits of other scripts, and a plus sign. Rust and JSON parsers accept the result.
#[must_use]
pub fn plain(text: &str) -> String {
    let text = strip(text);
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    unsigned.chars().filter(|c| *c != '_').map(ascii_digit).collect()
}

/// Appends the text of Python's `str(Decimal)`: all digits of the scale, with an exponent if the scale is negative or
/// more than six digits after the point are zero (`1E-10`). `digits` are decimal digits without a sign, at least one.
pub fn write_decimal(negative: bool, digits: &[u8], scale: i64, out: &mut Vec<u8>) {
    let exponent = digits.len() as i64 - 1 - scale;
    if negative {
        out.push(b'-');
    }
    if scale < 0 || exponent < -6 {
        out.push(digits[0]);
        if digits.len() > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.push(b'E');
        out.push(if exponent < 0 { b'-' } else { b'+' });
        return out.extend_from_slice(itoa::Buffer::new().format(exponent.unsigned_abs()).as_bytes());
    }
    if scale == 0 {
        return out.extend_from_slice(digits);
    }
    let point = digits.len() as i64 - scale;
    if point > 0 {
        out.extend_from_slice(&digits[..point as usize]);
        out.push(b'.');
        out.extend_from_slice(&digits[point as usize..]);
    } else {
        out.extend_from_slice(b"0.");
        // At most six, by the exponent.
        out.extend(std::iter::repeat_n(b'0', point.unsigned_abs() as usize));
        out.extend_from_slice(digits);
    }
}

fn ascii_digit(c: char) -> char {
    if c.is_ascii() || !digit(c) {
        return c;
    }
    let code = c as u32;
    let zero = ZEROS[ZEROS.partition_point(|zero| *zero <= code) - 1];
    char::from_digit(code - zero, 10).unwrap_or(c)
}

/// Python's white space has the four separators `0x1C` to `0x1F` more than Unicode's property.
fn strip(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix(['+', '-']).unwrap_or(text)
}

/// The number of digits at the start, and what follows them.
fn digits(text: &str) -> (usize, &str) {
    let (mut count, mut end) = (0, 0);
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let between = c == '_' && end == at && count > 0 && chars.peek().is_some_and(|(_, next)| digit(*next));
        if digit(c) {
            count += 1;
        } else if !between {
            break;
        }
        end = at + c.len_utf8();
    }
    (count, &text[end..])
}

fn digit(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_digit();
    }
    let c = c as u32;
    let after = ZEROS.partition_point(|zero| *zero <= c);
    after > 0 && c - ZEROS[after - 1] < 10
}

/// The zeros of all scripts (Unicode's category Nd, version 14 as in Python 3.11); the other nine digits follow each.
const ZEROS: [u32; 65] = [
    0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66, 0x0DE6, 0x0E50,
    0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0, 0x1C40, 0x1C50,
    0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10, 0x104A0, 0x10D30, 0x11066, 0x110F0, 0x11136,
    0x111D0, 0x112F0, 0x11450, 0x114D0, 0x11650, 0x116C0, 0x11730, 0x118E0, 0x11950, 0x11C50, 0x11D50, 0x11DA0,
    0x16A60, 0x16AC0, 0x16B50, 0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6, 0x1E140, 0x1E2F0, 0x1E950, 0x1FBF0,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_numbers_where_python_says_so() {
        // Columns: text, int() takes it, float() takes it.
        for (text, as_integer, as_number) in [
            ("7", true, true),
            (" 7 ", true, true),
            ("\u{a0}7\u{2003}\u{1c}", true, true),
            ("+5", true, true),
            ("-0", true, true),
            ("007", true, true),
            ("1_000", true, true),
            ("٣", true, true),
            ("𝟘𝟙", true, true),
            ("12345678901234567890123", true, true),
            ("1__0", false, false),
            ("_1", false, false),
            ("1_", false, false),
            ("+ 5", false, false),
            ("--5", false, false),
            ("", false, false),
            (" ", false, false),
            ("+", false, false),
            ("²", false, false),
            ("1.0", false, true),
            ("1e3", false, true),
            ("1E+3", false, true),
            ("1_0.5_0e-1_0", false, true),
            (".5", false, true),
            ("5.", false, true),
            (".", false, false),
            (".e1", false, false),
            ("1e", false, false),
            ("1_.5", false, false),
            ("1._5", false, false),
            ("NaN", false, true),
            ("-inf", false, true),
            ("+Infinity", false, true),
            ("infinit", false, false),
            ("1e400", false, true),
            ("0x1f", false, false),
            ("1,5", false, false),
            ("1 2", false, false),
        ] {
            assert_eq!((integer(text), number(text)), (as_integer, as_number), "{text:?}");
        }
        assert!(integer(&"1".repeat(4300)));
        assert!(!integer(&"1".repeat(4301)) && number(&"1".repeat(4301)));
    }
}
