//! A page of a listing on the wire: its parameters, its tokens and its rows as XML.
//!
//! The rows are written here and not by the S3 framework: a page of 1,000 costs it a millisecond, and whoever measures
//! a client's listing wants the server out of the way.

use std::fmt::Write as _;

use s3s::dto::EncodingType;
use s3s::{S3Result, s3_error};
use time::OffsetDateTime;

use crate::failure::escape;
use crate::listing::{Listed, Page};
use crate::store::Object;

/// A page has at most this many entries.
pub(crate) const MAX_KEYS: i32 = 1000;

/// Rides with an answer: rows that belong before the end of its XML.
#[derive(Clone, Debug)]
pub(crate) struct Rows(String);

impl Rows {
    /// The rows of a page; `encode` is applied to all names. With `restore_status` rows say whether there is a restored
    /// copy, as a client can ask for.
    pub(crate) fn of(page: &Page, encode: Encode, restore_status: bool) -> Self {
        let mut xml = String::with_capacity(page.entries.len() * 320);
        for entry in &page.entries {
            if let Listed::Object(key, object) = entry {
                push_object(&mut xml, &escape(&encode(key)), object, restore_status);
            }
        }
        for entry in &page.entries {
            if let Listed::Prefix(prefix) = entry {
                let prefix = encode(prefix);
                xml.extend(["<CommonPrefixes><Prefix>", &escape(&prefix), "</Prefix></CommonPrefixes>"]);
            }
        }
        Self(xml)
    }

    /// The XML of an answer with the rows in it.
    pub(crate) fn splice(&self, xml: &[u8]) -> Vec<u8> {
        const END: &[u8] = b"</ListBucketResult>";
        let at = xml.len().saturating_sub(END.len());
        [&xml[..at], self.0.as_bytes(), &xml[at..]].concat()
    }
}

fn push_object(xml: &mut String, key: &str, object: &Object, restore_status: bool) {
    xml.extend(["<Contents><Key>", key, "</Key><LastModified>"]);
    push_time(xml, object.modified_s);
    xml.extend(["</LastModified><ETag>&quot;", &object.etag, "&quot;</ETag><Size>"]);
    let _ = write!(xml, "{}", object.content.size_bytes());
    xml.extend(["</Size><StorageClass>", &object.storage_class, "</StorageClass>"]);
    if restore_status && object.restored {
        xml.push_str(
            "<RestoreStatus><IsRestoreInProgress>false</IsRestoreInProgress>\
             <RestoreExpiryDate>2100-12-31T00:00:00.000Z</RestoreExpiryDate></RestoreStatus>",
        );
    }
    xml.push_str("</Contents>");
}

/// `2024-02-29T12:34:56.000Z`: S3 writes milliseconds that are always zero.
fn push_time(xml: &mut String, seconds: i64) {
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
    let (hour, minute, second) = time.to_hms();
    let _ = write!(xml, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.000Z");
}

/// What is done to names before they are written.
pub(crate) type Encode = fn(&str) -> String;

/// Whether names are to be URL-encoded; refuses other encodings.
pub(crate) fn encoder(encoding: Option<&EncodingType>) -> S3Result<Encode> {
    match encoding.map(EncodingType::as_str) {
        None => Ok(str::to_owned),
        Some(EncodingType::URL) => Ok(url_encode),
        Some(_) => Err(s3_error!(InvalidArgument, "Invalid Encoding Method specified in Request")),
    }
}

/// The number of entries that a page may have.
pub(crate) fn limit(max_keys: Option<i32>) -> S3Result<i32> {
    match max_keys.unwrap_or(MAX_KEYS) {
        ..0 => Err(s3_error!(InvalidArgument, "max-keys must not be negative")),
        keys => Ok(keys.min(MAX_KEYS)),
    }
}

/// URL-encodes as S3 does for `encoding-type=url`: a space becomes a plus, slash and asterisk stay.
pub(crate) fn url_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/' | b'*' => {
                encoded.push(char::from(byte))
            }
            b' ' => encoded.push('+'),
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

/// Continuation tokens are opaque base64 with a check sum, so that one that was not made here is refused.
pub(crate) mod token {
    use base64_simd::STANDARD;

    /// The token that goes on after an entry.
    pub(crate) fn write(after: &str) -> String {
        let mut bytes = check_sum(after.as_bytes()).to_vec();
        bytes.extend(after.bytes().zip(mask()).map(|(byte, mask)| byte ^ mask));
        STANDARD.encode_to_string(bytes)
    }

    /// The entry after which a token goes on; none when the token was not made here.
    pub(crate) fn read(token: &str) -> Option<String> {
        let bytes = STANDARD.decode_to_vec(token).ok()?;
        let (sum, name) = bytes.split_at_checked(8)?;
        let name: Vec<u8> = name.iter().zip(mask()).map(|(byte, mask)| byte ^ mask).collect();
        if check_sum(&name) == *sum { String::from_utf8(name).ok() } else { None }
    }

    fn mask() -> impl Iterator<Item = u8> {
        (0_u8..=255).cycle().map(|index| index.wrapping_mul(151) ^ 0xa7)
    }

    fn check_sum(bytes: &[u8]) -> [u8; 8] {
        let step = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        bytes.iter().fold(0x9ae1_6a3b_2f90_404f, step).to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_and_others_do_not() {
        for name in ["", "a", "dir/é😀\n", &"x".repeat(1024)] {
            let written = token::write(name);
            assert_eq!(token::read(&written).as_deref(), Some(name));
            let mut broken = written.into_bytes();
            broken[3] = if broken[3] == b'A' { b'B' } else { b'A' };
            assert_eq!(token::read(&String::from_utf8_lossy(&broken)), None, "{name}");
        }
        for garbage in ["", "garbage", "!!!", "AAAA", "AAAAAAAAAAAAAAAA"] {
            assert_eq!(token::read(garbage), None, "{garbage}");
        }
    }

    #[test]
    fn names_are_url_encoded_as_s3_does() {
        assert_eq!(url_encode("a b/c+d%é*~()"), "a+b/c%2Bd%25%C3%A9*%7E%28%29");
    }
}
