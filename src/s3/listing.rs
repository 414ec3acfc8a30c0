//! A page of a listing. Keys are asked for URL-encoded, since XML cannot carry every key, and decoded here.

use std::borrow::Cow;
use std::sync::Arc;

use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::{EncodingType, Object};
use percent_encoding::percent_decode_str;

use crate::error::{Error, ErrorKind, Result};
use crate::object::{ObjectFacts, StorageClass, Timestamp};

/// What to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListRequest {
    /// Only keys that begin with this; empty for all.
    pub prefix: String,
    /// Keys that hold this behind the prefix are rolled up into [`ListPage::common_prefixes`].
    pub delimiter: Option<String>,
    /// Only keys behind this one in byte order. Without meaning on a following page.
    pub start_after: Option<String>,
    /// The [`ListPage::next`] of the page before.
    pub continuation: Option<String>,
    /// Keys and common prefixes per page at most; S3 gives 1,000 where it is absent or larger.
    pub max_keys: Option<u32>,
}

/// A page of a listing, in the server's order: for AWS the order of the keys' UTF-8 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListPage {
    /// The objects.
    pub objects: Vec<ObjectFacts>,
    /// Prefixes up to and including the delimiter.
    pub common_prefixes: Vec<String>,
    /// What the next page is asked with; `None` on the last page.
    pub next: Option<String>,
}

/// Reads an answer.
///
/// # Errors
/// [`ErrorKind::Unsupported`] where the answer is not what a listing must be: a name that cannot be decoded, an object
/// without a key, a truncated page that does not say how to go on (the rest would be lost in silence).
pub(super) fn read_page(request: &ListRequest, output: ListObjectsV2Output) -> Result<ListPage> {
    // A server that does not know the encoding does not repeat it, and its keys are as they stand.
    let encoded = output.encoding_type() == Some(&EncodingType::Url);
    let truncated = output.is_truncated() == Some(true);
    let next = output.next_continuation_token.filter(|token| truncated && !token.is_empty());
    if truncated && (next.is_none() || next == request.continuation) {
        return Err(malformed("a page of the listing is truncated and does not say how to go on"));
    }
    let objects = output.contents.unwrap_or_default();
    let common_prefixes = output.common_prefixes.unwrap_or_default();
    Ok(ListPage {
        objects: objects.into_iter().map(|object| read_object(object, encoded)).collect::<Result<_>>()?,
        common_prefixes: common_prefixes
            .into_iter()
            .filter_map(|common| common.prefix)
            .map(|prefix| Ok(decode(&prefix, encoded)?.into_owned()))
            .collect::<Result<_>>()?,
        next,
    })
}

fn read_object(object: Object, encoded: bool) -> Result<ObjectFacts> {
    let key = object.key.ok_or_else(|| malformed("the listing has an object without a key"))?;
    let key: Arc<str> = match decode(&key, encoded)? {
        Cow::Borrowed(same) => same.into(),
        Cow::Owned(decoded) => decoded.into(),
    };
    Ok(ObjectFacts {
        size: size(object.size)
            .ok_or_else(|| malformed("the listing has an object without a size").with("key", &key))?,
        modified_at: object.last_modified.map(|time| timestamp(&time)).unwrap_or_default(),
        etag: object.e_tag.unwrap_or_default().into(),
        storage_class: StorageClass::from_name(object.storage_class.as_ref().map_or("", |class| class.as_str())),
        key,
    })
}

pub(super) fn size(size: Option<i64>) -> Option<u64> {
    size.and_then(|size| u64::try_from(size).ok())
}

pub(super) fn timestamp(time: &aws_sdk_s3::primitives::DateTime) -> Timestamp {
    Timestamp::from_seconds(time.secs(), time.subsec_nanos())
}

/// Undoes `encoding-type=url`: percent signs, and `+` for a space.
fn decode(text: &str, encoded: bool) -> Result<Cow<'_, str>> {
    if !encoded || !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Ok(Cow::Borrowed(text));
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    let decoded = decoded.map_err(|_| malformed("a key is not valid UTF-8").with("key", text))?;
    Ok(Cow::Owned(decoded.into_owned()))
}

fn malformed(message: &str) -> Error {
    Error::new(ErrorKind::Unsupported, message).hint("the server does not speak S3 as this program needs it")
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::types::CommonPrefix;

    use super::*;

    #[test]
    fn names_are_decoded_where_the_server_encoded_them() {
        for (text, expected) in [
            ("plain/key.csv", "plain/key.csv"),
            ("a+b", "a b"),
            ("a%2Bb", "a+b"),
            ("%E6%97%A5%0A%01", "日\n\u{1}"),
            ("100%25%2F", "100%/"),
            ("odd%zz", "odd%zz"),
        ] {
            assert_eq!(decode(text, true).unwrap(), expected, "{text}");
            assert_eq!(decode(text, false).unwrap(), text);
        }
        assert_eq!(decode("%FF", true).unwrap_err().kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn a_page_is_read_whole() {
        let output = ListObjectsV2Output::builder()
            .encoding_type(EncodingType::Url)
            .is_truncated(true)
            .next_continuation_token("a+b%20c")
            .contents(
                Object::builder()
                    .key("x%2Fy+z")
                    .size(7)
                    .e_tag("\"abc\"")
                    .last_modified(aws_sdk_s3::primitives::DateTime::from_secs_and_nanos(10, 5_000_000))
                    .storage_class("GLACIER_IR".into())
                    .build(),
            )
            .common_prefixes(CommonPrefix::builder().prefix("p%2F").build())
            .build();
        let page = read_page(&ListRequest::default(), output).unwrap();
        let facts = ObjectFacts {
            key: "x/y z".into(),
            size: 7,
            modified_at: Timestamp::from_micros(10_005_000),
            etag: "\"abc\"".into(),
            storage_class: StorageClass::GlacierIr,
        };
        let expected = ListPage {
            objects: vec![facts],
            common_prefixes: vec!["p/".to_owned()],
            next: Some("a+b%20c".to_owned()), // a token is not a name: it goes back as it came
        };
        assert_eq!(page, expected);
    }

    #[test]
    fn a_page_that_would_lose_keys_is_refused() {
        let page = || ListObjectsV2Output::builder().is_truncated(true);
        assert!(read_page(&ListRequest::default(), page().build()).is_err());
        let same = ListRequest { continuation: Some("t".to_owned()), ..ListRequest::default() };
        assert!(read_page(&same, page().next_continuation_token("t").build()).is_err());
        assert!(read_page(&same, page().next_continuation_token("u").build()).is_ok());
        let nameless = ListObjectsV2Output::builder().contents(Object::builder().size(1).build()).build();
        assert!(read_page(&ListRequest::default(), nameless).is_err());
    }
}
