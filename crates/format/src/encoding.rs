//! Text encodings: which labels are read, and the check of each block of text.

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};

use tollgate_base::error::{Error, ErrorKind, Result};

/// An encoding that text is read in. Text leaves this room as UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextEncoding {
    /// UTF-8, with or without a byte order mark.
    Utf8,
    /// ASCII: a byte above 0x7f is an error.
    Ascii,
    /// ISO 8859-1 as it is written: every byte is the character of its number. (The encoding standard takes this name for
    /// windows-1252; Python does not.)
    Latin1,
    /// UTF-16 whose byte order the file tells.
    Utf16,
    /// Any other of the encoding standard.
    Standard(&'static Encoding),
}

/// Names that Python has and the encoding standard has not, without `-` and `_`, and the standard's label for each.
const PYTHON: &[(&str, &[&str])] = &[
    ("big5", &["big5tw", "big5hkscs", "hkscs", "cp950", "950", "ms950"]),
    ("euc-jp", &["ujis"]),
    ("euc-kr", &["ksx1001", "cp949", "949", "ms949", "uhc"]),
    ("gb18030", &["gb180302000"]),
    ("gbk", &["euccn", "eucgb2312cn", "gb23121980", "936", "cp936", "ms936"]),
    ("ibm866", &["csibm866", "866"]),
    ("iso-2022-jp", &["iso2022jp"]),
    ("iso-8859-2", &["l2", "latin2"]),
    ("iso-8859-3", &["l3", "latin3"]),
    ("iso-8859-4", &["l4", "latin4"]),
    ("windows-1254", &["l5", "latin5", "iso88599"]),
    ("iso-8859-10", &["l6", "latin6"]),
    ("iso-8859-13", &["l7", "latin7"]),
    ("iso-8859-14", &["l8", "latin8", "iso-celtic"]),
    ("iso-8859-15", &["l9", "latin9"]),
    ("iso-8859-16", &["l10", "latin10"]),
    ("macintosh", &["macroman"]),
    ("shift_jis", &["932", "cp932", "ms932", "mskanji"]),
    ("windows-874", &["cp874", "874", "thai", "tis620", "tis6200", "tis62025290", "iso885911"]),
    ("x-mac-cyrillic", &["maccyrillic"]),
];

impl TextEncoding {
    /// The encoding of a label: a name of the encoding standard or of a Python codec, in any case, with `-` and `_`
    /// alike.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for any other label.
    pub fn of_label(label: &str) -> Result<Self> {
        let plain: String =
            label.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).map(|c| c.to_ascii_lowercase()).collect();
        let known = match plain.as_str() {
            "utf8" | "utf8sig" | "u8" | "utf" | "cp65001" | "unicode11utf8" => Some(Self::Utf8),
            "ascii" | "usascii" | "646" | "ansix3.41968" | "ansix3.41986" | "iso646.irv:1991" | "iso646us" => {
                Some(Self::Ascii)
            }
            "latin1" | "latin" | "l1" | "iso88591" | "iso88591:1987" | "88591" | "8859" | "cp819" | "iso8859"
            | "isoir100" | "csisolatin1" | "ibm819" => Some(Self::Latin1),
            "utf16" | "u16" => Some(Self::Utf16),
            "utf16le" | "unicodelittleunmarked" => Some(Self::Standard(UTF_16LE)),
            "utf16be" | "unicodebigunmarked" => Some(Self::Standard(UTF_16BE)),
            plain => standard(label, plain).map(Self::Standard),
        };
        known.ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "the text encoding is not supported")
                .with("encoding", label)
                .hint("convert the files to UTF-8 and set the stream's text encoding to `utf8`")
        })
    }

    /// Whether its bytes are UTF-8 as they stand.
    #[must_use]
    pub fn is_utf8(self) -> bool {
        matches!(self, Self::Utf8 | Self::Ascii)
    }

    /// The number of leading bytes that are text of this encoding: all of them, or the place of the first fault. For
    /// text that is UTF-8 as it stands.
    #[must_use]
    pub fn valid_prefix(self, bytes: &[u8]) -> usize {
        match self {
            Self::Ascii if bytes.is_ascii() => bytes.len(),
            Self::Ascii => bytes.iter().position(|byte| !byte.is_ascii()).unwrap_or(bytes.len()),
            _ if simdutf8::basic::from_utf8(bytes).is_ok() => bytes.len(),
            _ => match simdutf8::compat::from_utf8(bytes) {
                Ok(_) => bytes.len(),
                Err(fault) => fault.valid_up_to(),
            },
        }
    }

    /// Puts a question mark in the place of each byte that is no text, so that all is text; these bytes, with their
    /// places. For text that is UTF-8 as it stands.
    pub fn patch(self, bytes: &mut [u8]) -> Vec<(usize, u8)> {
        let mut faults = Vec::new();
        match self {
            Self::Ascii => faults.extend(bytes.iter().copied().enumerate().filter(|(_, byte)| !byte.is_ascii())),
            _ => {
                let mut at = 0;
                for chunk in bytes.utf8_chunks() {
                    at += chunk.valid().len();
                    faults.extend(chunk.invalid().iter().enumerate().map(|(index, byte)| (at + index, *byte)));
                    at += chunk.invalid().len();
                }
            }
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
            Self::Latin1 => "ISO-8859-1",
            Self::Utf16 => "UTF-16",
            Self::Standard(encoding) => encoding.name(),
        }
    }

    /// The error for bytes that are not of this encoding. `beginning` is that of the file, where it is at hand; `chosen`,
    /// whether the configuration has a parameter for the encoding, as it has for CSV alone.
    #[must_use]
    pub fn fault(self, beginning: Option<&[u8]>, chosen: bool) -> Error {
        // Each form of configuration has its own name for the parameter, so the hints name none.
        let hint = match beginning.unwrap_or_default() {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] if chosen => {
                "the file starts like UTF-16: set the stream's text encoding to `utf_16`"
            }
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "the file starts like UTF-16: convert it to UTF-8",
            [b'P', b'A', b'R', b'1', ..] => "the file starts like Parquet: check the stream's format",
            [b'O', b'b', b'j', 1, ..] => "the file starts like Avro: check the stream's format",
            [b'P', b'K', 3, 4, ..] => {
                "the file starts like a zip archive or a workbook: check the stream's format and compression"
            }
            _ if chosen => "set the stream's text encoding to that of the file, or check the stream's format",
            _ => "JSON is read as UTF-8: convert the file, or check the stream's format",
        };
        Error::data(format!("a byte is not {} text", self.name())).hint(hint)
    }
}

/// The encoding of the standard that a label means there or in Python.
fn standard(label: &str, plain: &str) -> Option<&'static Encoding> {
    let python = PYTHON.iter().find(|(_, names)| names.contains(&plain)).map(|(name, _)| (*name).to_owned());
    let digits = |prefix: &str| {
        plain.strip_prefix(prefix).filter(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_digit()))
    };
    // Python writes `cp1252`, `1252`, `iso8859_2` and `iso-8859-2`.
    let windows = ["cp", "windows", ""].iter().find_map(|prefix| digits(prefix)).filter(|rest| rest.starts_with("125"));
    let iso = digits("iso8859");
    let named = python
        .or_else(|| windows.map(|number| format!("windows-{number}")))
        .or_else(|| iso.map(|number| format!("iso-8859-{number}")));
    let dashes = label.trim().replace('_', "-");
    let found = match named {
        Some(name) => Encoding::for_label(name.as_bytes()),
        None => [label, &dashes, plain].iter().find_map(|label| Encoding::for_label(label.as_bytes())),
    };
    // The standard's own stand-ins: text in them cannot be told from damage.
    found.filter(|encoding| *encoding != encoding_rs::REPLACEMENT && *encoding != encoding_rs::X_USER_DEFINED)
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
        for label in ["latin1", "latin-1", "latin_1", "L1", "iso-8859-1", "ISO8859-1", "iso_8859_1", "cp819"] {
            assert_eq!(TextEncoding::of_label(label).unwrap(), TextEncoding::Latin1, "{label}");
        }
        for (label, name) in [
            ("cp1252", "windows-1252"),
            ("windows-1252", "windows-1252"),
            ("windows_1251", "windows-1251"),
            ("1250", "windows-1250"),
            ("utf_16", "UTF-16"),
            ("UTF-16LE", "UTF-16LE"),
            ("utf_16_be", "UTF-16BE"),
            ("iso8859_15", "ISO-8859-15"),
            ("latin9", "ISO-8859-15"),
            ("iso8859_9", "windows-1254"),
            ("koi8_r", "KOI8-R"),
            ("KOI8-U", "KOI8-U"),
            ("cp866", "IBM866"),
            ("shift_jis", "Shift_JIS"),
            ("sjis", "Shift_JIS"),
            ("cp932", "Shift_JIS"),
            ("euc_jp", "EUC-JP"),
            ("iso2022_jp", "ISO-2022-JP"),
            ("gb2312", "GBK"),
            ("gbk", "GBK"),
            ("gb18030", "gb18030"),
            ("big5", "Big5"),
            ("euc_kr", "EUC-KR"),
            ("cp949", "EUC-KR"),
            ("mac_roman", "macintosh"),
            ("tis_620", "windows-874"),
        ] {
            let found = TextEncoding::of_label(label).unwrap_or_else(|error| panic!("{label}: {error}"));
            assert_eq!(found.name(), name, "{label}");
        }
        for label in ["utf_32", "cp437", "hz", "iso2022_kr", "rot13", "x-user-defined"] {
            assert_eq!(TextEncoding::of_label(label).unwrap_err().kind(), ErrorKind::Unsupported, "{label}");
        }
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
