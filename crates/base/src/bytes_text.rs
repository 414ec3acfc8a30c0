//! JSON strings for bytes that are not text.

const HEX: &[u8; 16] = b"0123456789abcdef";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Appends a string such as `"00ff"`. If `uuid` is true, it has the dashes of a UUID.
pub fn write_hex(bytes: &[u8], uuid: bool, out: &mut Vec<u8>) {
    out.reserve(2 * bytes.len() + 6);
    out.push(b'"');
    for (index, byte) in bytes.iter().enumerate() {
        if uuid && matches!(index, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.extend([byte >> 4, byte & 15].map(|digit| HEX[usize::from(digit)]));
    }
    out.push(b'"');
}

/// Appends Base64 of RFC 4648, with padding, between quotes.
pub fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len().div_ceil(3) * 4 + 2);
    out.push(b'"');
    for group in bytes.chunks(3) {
        let at = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        let digit = |place: u32| BASE64[(bits >> (18 - 6 * place) & 63) as usize];
        let padded = |place: u32| if place as usize <= group.len() { digit(place) } else { b'=' };
        out.extend([digit(0), digit(1), padded(2), padded(3)]);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (bytes, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(text(|out| write_base64(bytes.as_bytes(), out)), format!("\"{expected}\""));
        }
        assert_eq!(text(|out| write_base64(&[0xfb, 0xff, 0xfe], out)), "\"+//+\"");
    }

    #[test]
    fn hexadecimal_digits_and_uuids() {
        assert_eq!(text(|out| write_hex(&[0, 0xff, 0x1a], false, out)), "\"00ff1a\"");
        let bytes: [u8; 16] = std::array::from_fn(|at| at as u8 * 17);
        assert_eq!(text(|out| write_hex(&bytes, true, out)), "\"00112233-4455-6677-8899-aabbccddeeff\"");
    }
}
