//! Text encodings: which labels are read, and the check of each block of text.

use crate::error::{Error, ErrorKind, Result};

/// An encoding that text is read in. Text leaves this room as UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextEncoding {
    /// UTF-8, with or without a byte order mark.
    Utf8,
    /// ASCII: a byte above 0x7f is an error.
    Ascii,
}

impl TextEncoding {
    /// The encoding of a label: a name of the encoding standard or of a Python codec, in any case, with `-` and `_`
    /// alike.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for any other label.
    pub fn of_label(label: &str) -> Result<Self> {
        let plain: String =
            label.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).map(|c| c.to_ascii_lowercase()).collect();
        match plain.as_str() {
            "utf8" | "utf8sig" | "u8" | "utf" | "cp65001" | "unicode11utf8" => Ok(Self::Utf8),
            "ascii" | "usascii" | "646" | "ansix3.41968" | "iso646us" => Ok(Self::Ascii),
            _ => Err(Error::new(ErrorKind::Unsupported, "the text encoding is not supported")
                .with("encoding", label)
                .hint("convert the files to UTF-8 and set `encoding` to `utf8`")),
        }
    }

    /// The number of leading bytes that are text of this encoding: all of them, or the place of the first fault.
    #[must_use]
    pub fn valid_prefix(self, bytes: &[u8]) -> usize {
        match self {
            Self::Utf8 if simdutf8::basic::from_utf8(bytes).is_ok() => bytes.len(),
            Self::Utf8 => match simdutf8::compat::from_utf8(bytes) {
                Ok(_) => bytes.len(),
                Err(fault) => fault.valid_up_to(),
            },
            Self::Ascii if bytes.is_ascii() => bytes.len(),
            Self::Ascii => bytes.iter().position(|byte| !byte.is_ascii()).unwrap_or(bytes.len()),
        }
    }

    /// Puts a question mark in the place of each byte that is no text, so that all is text; these bytes, with their
    /// places.
    pub fn patch(self, bytes: &mut [u8]) -> Vec<(usize, u8)> {
        let mut faults = Vec::new();
        match self {
            Self::Utf8 => {
                let mut at = 0;
                for chunk in bytes.utf8_chunks() {
                    at += chunk.valid().len();
                    faults.extend(chunk.invalid().iter().enumerate().map(|(index, byte)| (at + index, *byte)));
                    at += chunk.invalid().len();
                }
            }
            Self::Ascii => faults.extend(bytes.iter().copied().enumerate().filter(|(_, byte)| !byte.is_ascii())),
        }
        for (at, _) in &faults {
            bytes[*at] = b'?';
        }
        faults
    }

    /// The name for messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::Ascii => "ASCII",
        }
    }
}

/// The bytes at the end of `text` that begin a UTF-8 sequence and do not complete it: 0 to 3.
#[must_use]
pub fn unfinished_tail(text: &[u8]) -> usize {
    for back in 1..=text.len().min(3) {
        let byte = text[text.len() - back];
        let length = match byte {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        return if length > back { back } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_python_and_of_the_web_are_read() {
        for label in ["utf8", "UTF-8", "utf_8", "utf_8_sig", "utf-8-sig"] {
            assert_eq!(TextEncoding::of_label(label).unwrap(), TextEncoding::Utf8, "{label}");
        }
        for label in ["ascii", "US-ASCII", "646"] {
            assert_eq!(TextEncoding::of_label(label).unwrap(), TextEncoding::Ascii, "{label}");
        }
        assert_eq!(TextEncoding::of_label("latin1").unwrap_err().kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn an_unfinished_character_at_the_end_is_not_a_fault_yet() {
        for text in ["a", "aé", "漢", "x😀"] {
            let bytes = text.as_bytes();
            for cut in 0..=bytes.len() {
                let tail = unfinished_tail(&bytes[..cut]);
                assert!(std::str::from_utf8(&bytes[..cut - tail]).is_ok(), "{text} cut at {cut}: {tail}");
            }
        }
        assert_eq!(unfinished_tail(b"ab\xff"), 0);
        assert_eq!(unfinished_tail(b"\x80\x80\x80"), 0);
    }
}
