//! Reads a page of a listing from its XML.
//!
//! A bucket of a million objects has a thousand pages, and often a sync reads nothing else. Most of that time would be
//! spent in the SDK's parser. A page is simple XML: nested elements, no relevant attributes, texts with entities. This
//! parser reads it once and allocates only the two strings of each object. It is strict: a page that is truncated, or
//! contains something unknown, is an error and never a shorter page.

use std::borrow::Cow;
use std::sync::Arc;

use memchr::{memchr, memmem};
use percent_encoding::percent_decode_str;

use super::listing::{ListPage, ListRequest};
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::object::{ObjectFacts, StorageClass, Timestamp};

/// The element that a page is.
const ROOT: &str = "ListBucketResult";

/// No object is larger: S3's largest are 50 TB. Sizes up to this can be added up for thousands of objects.
const OBJECT_BYTES: u64 = 1 << 50;

/// Whether a body looks like a page at all, and not like an error or a web page.
pub(super) fn is_page(body: &[u8]) -> bool {
    let head = &body[..body.len().min(512)];
    memmem::find(head, b"ListBucketResult").is_some()
}

/// Reads a page.
///
/// # Errors
/// [`ErrorKind::Unsupported`] if the body is not a valid listing: truncated XML, a name that cannot be decoded, an
/// object without key, size or time, or a page that does not say whether it is the last one or how to continue.
pub(super) fn read_page(request: &ListRequest, body: &[u8]) -> Result<ListPage> {
    let text = simdutf8::basic::from_utf8(body).map_err(|_| malformed("the listing is not UTF-8"))?;
    let mut reader = Reader { rest: text, encoded: url_encoded(text) };
    let mut page = ListPage::default();
    let mut ending = Ending::default();
    reader.open_root()?;
    while let Some(name) = reader.open_in(ROOT)? {
        match name {
            "Contents" => page.objects.push(reader.object()?),
            "CommonPrefixes" => reader.common_prefix(&mut page.common_prefixes)?,
            "IsTruncated" => ending.truncated = Some(reader.boolean(name)?),
            "MaxKeys" => ending.max_keys = reader.text(name)?.trim().parse().ok(),
            "NextMarker" => ending.marker = !reader.text(name)?.trim().is_empty(),
            "NextContinuationToken" => ending.token = Some(reader.text(name)?.into_owned()),
            other => reader.skip(other)?,
        }
    }
    page.next = ending.next(request, page.objects.len() + page.common_prefixes.len())?;
    Ok(page)
}

/// Whether the keys of a page are encoded, which stands anywhere on it. A server that does not know the encoding does not
/// repeat it, and its keys are as they stand. A raw `<` cannot be part of a text, so this is the element.
fn url_encoded(page: &str) -> bool {
    let Some((_, element)) = page.split_once("<EncodingType") else { return false };
    let text = element.split_once('>').and_then(|(_, text)| text.split_once('<'));
    text.is_some_and(|(text, _)| text.trim().eq_ignore_ascii_case("url"))
}

/// What a page says about the page after it.
#[derive(Debug, Default)]
struct Ending {
    truncated: Option<bool>,
    token: Option<String>,
    /// Whether it names the next page in the way of the older version of the API, which was not asked for.
    marker: bool,
    max_keys: Option<usize>,
}

impl Ending {
    /// What the next page is asked with; `None` on the last page. A page that leaves this open is never the last one.
    fn next(self, request: &ListRequest, names: usize) -> Result<Option<String>> {
        let token = self.token.filter(|token| !token.is_empty());
        let full = self.max_keys.is_some_and(|most| most > 0 && names >= most);
        let truncated = match self.truncated {
            Some(truncated) => truncated,
            None if token.is_some() => true,
            None if full || self.marker => {
                return Err(malformed("a page of the listing does not say whether it is the last one"));
            }
            None => false,
        };
        match token {
            _ if !truncated => Ok(None),
            Some(token) if request.continuation.as_ref() != Some(&token) => Ok(Some(token)),
            _ => Err(malformed("a page of the listing is truncated and does not say how to continue")),
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
    encoded: bool,
}

enum Token<'a> {
    Open(&'a str),
    /// An element without content.
    Empty,
    Close(&'a str),
    Text(&'a str),
    /// A text without entities.
    Raw(&'a str),
}

impl<'a> Reader<'a> {
    /// The next token; declarations and comments are passed over.
    fn token(&mut self) -> Result<Token<'a>> {
        loop {
            let Some(tag) = self.rest.strip_prefix('<') else {
                let end = memchr(b'<', self.rest.as_bytes()).ok_or_else(ended_early)?;
                return Ok(Token::Text(self.take(end)));
            };
            if tag.starts_with('?') {
                self.through("?>")?;
            } else if tag.starts_with("!--") {
                self.through("-->")?;
            } else if tag.starts_with("![CDATA[") {
                return Ok(Token::Raw(&self.through("]]>")?["<![CDATA[".len()..]));
            } else if tag.starts_with('!') {
                return Err(malformed("the listing has an unexpected declaration"));
            } else {
                return Ok(read_tag(&self.through(">")?[1..]));
            }
        }
    }

    /// Goes behind the next `end`; answers with what stands before it.
    fn through(&mut self, end: &str) -> Result<&'a str> {
        let at = memmem::find(self.rest.as_bytes(), end.as_bytes()).ok_or_else(ended_early)?;
        let before = self.take(at);
        self.take(end.len());
        Ok(before)
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    fn open_root(&mut self) -> Result<()> {
        loop {
            match self.token()? {
                Token::Open(ROOT) => return Ok(()),
                Token::Text(text) if text.trim().is_empty() => {}
                _ => return Err(malformed("the response is not a listing")),
            }
        }
    }

    /// The name of the next element in `parent`; `None` at the parent's end.
    fn open_in(&mut self, parent: &str) -> Result<Option<&'a str>> {
        loop {
            match self.token()? {
                Token::Open(name) => return Ok(Some(name)),
                Token::Close(name) if name == parent => return Ok(None),
                Token::Close(_) => return Err(malformed("the elements of the listing are not closed in order")),
                Token::Empty | Token::Text(_) | Token::Raw(_) => {}
            }
        }
    }

    /// The text of the element that was just opened.
    fn text(&mut self, name: &str) -> Result<Cow<'a, str>> {
        let mut whole = Cow::Borrowed("");
        loop {
            let part = match self.token()? {
                Token::Text(text) => unescape(text)?,
                Token::Raw(text) => Cow::Borrowed(text),
                Token::Close(closed) if closed == name => return Ok(whole),
                _ => return Err(malformed("the listing has an element in place of a text").with("element", name)),
            };
            if whole.is_empty() {
                whole = part;
            } else {
                whole.to_mut().push_str(&part);
            }
        }
    }

    /// Passes over the element that was just opened.
    fn skip(&mut self, name: &str) -> Result<()> {
        let mut open = vec![name];
        while let Some(innermost) = open.last() {
            match self.token()? {
                Token::Open(name) => open.push(name),
                Token::Close(name) if name == *innermost => _ = open.pop(),
                Token::Close(_) => return Err(malformed("the elements of the listing are not closed in order")),
                Token::Empty | Token::Text(_) | Token::Raw(_) => {}
            }
        }
        Ok(())
    }

    /// A boolean, in every spelling that XML and its writers have.
    fn boolean(&mut self, name: &str) -> Result<bool> {
        let text = self.text(name)?;
        match text.trim() {
            "1" => Ok(true),
            "0" => Ok(false),
            text if text.eq_ignore_ascii_case("true") => Ok(true),
            text if text.eq_ignore_ascii_case("false") => Ok(false),
            text => Err(malformed("the listing has a text in place of a boolean")
                .with("element", name)
                .with("text", text.chars().take(20).collect::<String>())),
        }
    }

    fn object(&mut self) -> Result<ObjectFacts> {
        let (mut key, mut size, mut modified_at) = (None, None, None);
        let mut etag: Arc<str> = Arc::default();
        let mut storage_class = StorageClass::Standard;
        let mut restored = false;
        while let Some(name) = self.open_in("Contents")? {
            match name {
                "Key" => key = Some(self.name(name)?),
                "Size" => size = self.text(name)?.trim().parse().ok(),
                "ETag" => etag = self.text(name)?.into(),
                "LastModified" => modified_at = Timestamp::parse(&self.text(name)?),
                "StorageClass" => storage_class = StorageClass::from_name(self.text(name)?.trim()),
                "RestoreStatus" => restored = self.restored()?,
                other => self.skip(other)?,
            }
        }
        if restored && storage_class.archived() {
            storage_class = StorageClass::Restored;
        }
        let key: Arc<str> = key.ok_or_else(|| malformed("the listing has an object without a key"))?.into();
        let size = size.ok_or_else(|| malformed("the listing has an object without a size").with("key", &key))?;
        if size > OBJECT_BYTES {
            let error = malformed("the listing has an object with an impossible size");
            return Err(error.with("key", &key).with("size", size));
        }
        // A time of our own would make changes of the object invisible.
        let undated = || malformed("the listing has an object without a modification time").with("key", &key);
        let modified_at = modified_at.ok_or_else(undated)?;
        Ok(ObjectFacts { key, size, modified_at, etag, storage_class })
    }

    /// Whether a restore is at its end and its copy still there, which has a time at which it goes.
    fn restored(&mut self) -> Result<bool> {
        let (mut in_progress, mut expires) = (false, false);
        while let Some(name) = self.open_in("RestoreStatus")? {
            match name {
                "IsRestoreInProgress" => in_progress = self.boolean(name)?,
                "RestoreExpiryDate" => expires = !self.text(name)?.trim().is_empty(),
                other => self.skip(other)?,
            }
        }
        Ok(expires && !in_progress)
    }

    fn common_prefix(&mut self, prefixes: &mut Vec<String>) -> Result<()> {
        while let Some(name) = self.open_in("CommonPrefixes")? {
            match name {
                "Prefix" => prefixes.push(self.name(name)?.into_owned()),
                other => self.skip(other)?,
            }
        }
        Ok(())
    }

    /// A key or prefix, decoded where the server encoded it.
    fn name(&mut self, element: &str) -> Result<Cow<'a, str>> {
        let text = self.text(element)?;
        if !self.encoded || !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
            return Ok(text);
        }
        let spaced = text.replace('+', " ");
        let decoded = percent_decode_str(&spaced).decode_utf8();
        let decoded = decoded.map_err(|_| malformed("a key is not valid UTF-8").with("key", &text))?;
        Ok(Cow::Owned(decoded.into_owned()))
    }
}

/// Between `<` and `>`. Attributes say nothing that matters here.
fn read_tag(tag: &str) -> Token<'_> {
    if let Some(name) = tag.strip_prefix('/') {
        return Token::Close(name.trim_end());
    }
    if tag.ends_with('/') {
        return Token::Empty;
    }
    Token::Open(tag.split_ascii_whitespace().next().unwrap_or_default())
}

/// Undoes XML's entities.
fn unescape(text: &str) -> Result<Cow<'_, str>> {
    let Some(first) = memchr(b'&', text.as_bytes()) else { return Ok(Cow::Borrowed(text)) };
    let mut plain = String::with_capacity(text.len());
    let (before, mut rest) = text.split_at(first);
    plain.push_str(before);
    while let Some(entity) = rest.strip_prefix('&') {
        let (name, behind) = entity.split_once(';').ok_or_else(|| unknown_entity(entity))?;
        plain.push(character(name).ok_or_else(|| unknown_entity(name))?);
        let (before, next) = behind.split_at(memchr(b'&', behind.as_bytes()).unwrap_or(behind.len()));
        plain.push_str(before);
        rest = next;
    }
    Ok(Cow::Owned(plain))
}

fn character(entity: &str) -> Option<char> {
    match entity {
        "quot" => Some('"'),
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "apos" => Some('\''),
        _ => {
            let number = entity.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

fn unknown_entity(name: &str) -> Error {
    let name: String = name.chars().take(20).collect();
    malformed("the listing has an unknown XML entity").with("entity", name)
}

fn ended_early() -> Error {
    malformed("the listing is truncated")
}

fn malformed(message: &str) -> Error {
    Error::new(ErrorKind::Unsupported, message).hint("the server is not compatible with S3")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(xml: &str) -> Result<ListPage> {
        read_page(&ListRequest::default(), xml.as_bytes())
    }

    fn page(inner: &str) -> Result<ListPage> {
        read(&format!("<ListBucketResult>{inner}</ListBucketResult>"))
    }

    /// The key of a page with one object.
    fn key(encoding: &str, key: &str) -> Result<String> {
        let page = page(&format!("<Contents><Key>{key}</Key><Size>1</Size>{TIME}</Contents>{encoding}"))?;
        Ok(page.objects[0].key.to_string())
    }

    const TIME: &str = "<LastModified>2024-01-15T12:00:00Z</LastModified>";

    const AWS: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult \
        xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name><Prefix/><KeyCount>3</KeyCount>\
        <MaxKeys>2</MaxKeys><Delimiter>%2F</Delimiter><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>\
        <NextContinuationToken>1+a%20&amp;/=</NextContinuationToken>\
        <Contents><Key>a+%2B%E6%97%A5</Key><LastModified>2024-01-15T12:00:00.005Z</LastModified>\
        <ETag>&quot;e-1&quot;</ETag><ChecksumAlgorithm>CRC32</ChecksumAlgorithm><Size>0</Size>\
        <Owner><ID>x</ID><DisplayName/></Owner><StorageClass>GLACIER_IR</StorageClass>\
        <RestoreStatus><IsRestoreInProgress>false</IsRestoreInProgress></RestoreStatus></Contents>\
        <Contents><Size>7</Size><Key>b</Key><LastModified>1970-01-01T00:00:00Z</LastModified></Contents>\
        <CommonPrefixes><Prefix>p%2F</Prefix></CommonPrefixes></ListBucketResult>";

    #[test]
    fn a_page_is_read_whole() {
        let full = ObjectFacts {
            key: "a +日".into(),
            size: 0,
            modified_at: Timestamp::from_seconds(1_705_320_000, 5_000_000),
            etag: "\"e-1\"".into(),
            storage_class: StorageClass::GlacierIr,
        };
        let bare = ObjectFacts {
            key: "b".into(),
            size: 7,
            modified_at: Timestamp::default(),
            etag: "".into(),
            storage_class: StorageClass::Standard,
        };
        let expected = ListPage {
            objects: vec![full, bare],
            common_prefixes: vec!["p/".to_owned()],
            next: Some("1+a%20&/=".to_owned()), // a token is not a name: it goes back as it came
        };
        assert_eq!(read(AWS).unwrap(), expected);
        let spread = AWS.replace("><", ">\n  <").replace("<Name>", "<!-- by a proxy --><Name >");
        assert_eq!(read(&spread.replace("<Name >b</Name>", "<Name>b</Name >")).unwrap(), expected);
    }

    #[test]
    fn a_restored_object_can_be_read_and_one_that_is_being_restored_cannot() {
        let done = "<IsRestoreInProgress>false</IsRestoreInProgress>\
            <RestoreExpiryDate>2100-12-31T00:00:00Z</RestoreExpiryDate>";
        for (class, status, expected) in [
            ("GLACIER", done, StorageClass::Restored),
            ("DEEP_ARCHIVE", done, StorageClass::Restored),
            ("STANDARD", done, StorageClass::Standard),
            ("GLACIER", "<IsRestoreInProgress>true</IsRestoreInProgress>", StorageClass::Glacier),
            ("GLACIER", "<IsRestoreInProgress>false</IsRestoreInProgress>", StorageClass::Glacier),
            ("GLACIER", "", StorageClass::Glacier),
        ] {
            let status = format!("<RestoreStatus>{status}</RestoreStatus><StorageClass>{class}</StorageClass>");
            let page = page(&format!("<Contents><Key>k</Key><Size>1</Size>{TIME}{status}</Contents>")).unwrap();
            assert_eq!(page.objects[0].storage_class, expected, "{status}");
        }
    }

    #[test]
    fn a_page_that_was_cut_is_never_a_shorter_page() {
        for end in 0..AWS.len() {
            assert!(read_page(&ListRequest::default(), &AWS.as_bytes()[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn keys_are_decoded_where_the_server_encoded_them() {
        for (written, decoded, plain) in [
            ("plain/key.csv", "plain/key.csv", "plain/key.csv"),
            ("a+b", "a b", "a+b"),
            ("a%2Bb", "a+b", "a%2Bb"),
            ("%0A%01", "\n\u{1}", "%0A%01"),
            ("100%25%2F", "100%/", "100%25%2F"),
            ("odd%zz", "odd%zz", "odd%zz"),
            ("&lt;&gt;&amp;amp;&apos;", "<>&amp;'", "<>&amp;'"),
            ("&#34;&#x65E5;x", "\"日x", "\"日x"),
            ("<![CDATA[a&b]]>c&amp;d", "a&bc&d", "a&bc&d"),
            (" ", " ", " "),
            ("", "", ""),
        ] {
            assert_eq!(key("<EncodingType>url</EncodingType>", written).unwrap(), decoded, "{written}");
            assert_eq!(key("", written).unwrap(), plain, "{written}");
        }
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for inner in [
            "<Contents><Size>1</Size></Contents>",
            "<Contents><Key>k</Key></Contents>",
            "<Contents><Key>k</Key><Size>-1</Size></Contents>",
            "<Contents><Key>k<b/></Key><Size>1</Size></Contents>",
            "<Contents><Key>&nbsp;</Key><Size>1</Size></Contents>",
            "<Contents><Key>&amp</Key><Size>1</Size></Contents>",
            "<Contents><Key>&#xD800;</Key><Size>1</Size></Contents>",
            "<EncodingType>url</EncodingType><Contents><Key>%FF</Key><Size>1</Size></Contents>",
            "<Contents><Key>k</Key><Size>1</Size></ListBucketResult>",
            "<Owner><ID></Owner></ID>",
            "<!DOCTYPE x>",
            "<IsTruncated>true</IsTruncated>",
        ] {
            assert_eq!(page(inner).expect_err(inner).kind(), ErrorKind::Unsupported, "{inner}");
        }
        assert!(read("<Error><Code>x</Code></Error>").is_err());
        assert!(read_page(&ListRequest::default(), b"<ListBucketResult>\xff</ListBucketResult>").is_err());
    }

    #[test]
    fn a_page_that_has_a_next_one_in_any_spelling_is_not_the_last() {
        let token = "<NextContinuationToken>t</NextContinuationToken>";
        for truncated in ["true", "True", "TRUE", "1", " true\n"] {
            let page = page(&format!("<IsTruncated>{truncated}</IsTruncated>{token}")).unwrap();
            assert_eq!(page.next.as_deref(), Some("t"), "{truncated:?}");
        }
        assert_eq!(page(token).unwrap().next.as_deref(), Some("t"), "nothing but a token");
        for last in ["<IsTruncated>False</IsTruncated>", "<IsTruncated> 0 </IsTruncated>", ""] {
            assert_eq!(page(last).unwrap().next, None, "{last}");
        }
    }

    #[test]
    fn a_page_that_leaves_open_whether_it_is_the_last_is_an_error() {
        let object = format!("<Contents><Key>k</Key><Size>1</Size>{TIME}</Contents>");
        for inner in [
            "<IsTruncated></IsTruncated>".to_owned(),
            "<IsTruncated>yes</IsTruncated>".to_owned(),
            "<NextMarker>k</NextMarker>".to_owned(),
            format!("{object}<MaxKeys>1</MaxKeys>"),
        ] {
            assert_eq!(page(&inner).expect_err(&inner).kind(), ErrorKind::Unsupported, "{inner}");
        }
        assert_eq!(page(&format!("{object}<MaxKeys>2</MaxKeys>")).unwrap().next, None);
    }

    #[test]
    fn an_object_without_a_time_or_with_a_size_beyond_all_objects_is_an_error_that_names_it() {
        for (facts, told) in [
            ("<Size>1</Size>".to_owned(), "without a modification time"),
            ("<Size>1</Size><LastModified>yesterday</LastModified>".to_owned(), "without a modification time"),
            (format!("<Size>9223372036854775808</Size>{TIME}"), "an impossible size"),
            (format!("<Size>18446744073709551615</Size>{TIME}"), "an impossible size"),
        ] {
            let error = page(&format!("<Contents><Key>k</Key>{facts}</Contents>")).expect_err(&facts);
            assert!(error.message().contains(told) && error.get("key") == Some("k"), "{error}");
        }
    }

    #[test]
    fn an_encoding_with_spaces_around_it_is_the_encoding() {
        for encoding in ["<EncodingType> url\n</EncodingType>", "<EncodingType xmlns=\"\">URL</EncodingType>"] {
            assert_eq!(key(encoding, "a%2Bb").unwrap(), "a+b", "{encoding}");
        }
    }

    #[test]
    fn a_token_that_repeats_itself_is_an_error() {
        let asked = ListRequest { continuation: Some("t".to_owned()), ..ListRequest::default() };
        let page = |token: &str| {
            let xml = format!(
                "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>\
                 </ListBucketResult>"
            );
            read_page(&asked, xml.as_bytes())
        };
        assert!(page("t").is_err());
        assert_eq!(page("u").unwrap().next.as_deref(), Some("u"));
    }
}
