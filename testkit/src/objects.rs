//! Objects over the wire: conditions, ranges, bodies in and out.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use http::header::{ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue, StatusCode};
use s3s::dto::{ETag, ETagCondition, Range as HttpRange, StreamingBlob, Timestamp, TimestampFormat};
use s3s::stream::{ByteStream, RemainingLength};
use s3s::{S3Error, S3ErrorCode, S3Result, StdError};
use time::OffsetDateTime;

use crate::content::Content;
use crate::failure::with_detail;
use crate::store::{Object, StorageClass, from_unix_seconds};

/// Generated bodies leave in pieces of at most this size.
const PIECE_BYTES: usize = 1 << 20;

/// Rides with an answer: what the log tells about the object.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) size_bytes: u64,
    pub(crate) storage_class: StorageClass,
}

impl Facts {
    pub(crate) fn of(object: &Object) -> Self {
        Self { size_bytes: object.content.size_bytes(), storage_class: object.storage_class.clone() }
    }
}

pub(crate) fn timestamp(seconds: i64) -> Timestamp {
    from_unix_seconds(seconds).into()
}

/// The conditions of a GET, HEAD or of the source of a copy.
#[derive(Default)]
pub(crate) struct Conditions {
    pub(crate) if_match: Option<ETagCondition>,
    pub(crate) if_none_match: Option<ETagCondition>,
    pub(crate) if_modified_since: Option<Timestamp>,
    pub(crate) if_unmodified_since: Option<Timestamp>,
}

impl Conditions {
    /// Refuses with 412 or 304 as RFC 9110 and S3 do: `If-Match` overrides `If-Unmodified-Since`, `If-None-Match`
    /// overrides `If-Modified-Since`.
    pub(crate) fn check(self, object: &Object) -> S3Result<()> {
        let seconds = |time: Timestamp| OffsetDateTime::from(time).unix_timestamp();
        let failed = match (self.if_match, self.if_unmodified_since) {
            (Some(condition), _) => !matches_etag(&condition, &object.etag),
            (None, Some(time)) => object.modified_s > seconds(time),
            (None, None) => false,
        };
        if failed {
            return Err(S3ErrorCode::PreconditionFailed.into());
        }
        let unchanged = match (self.if_none_match, self.if_modified_since) {
            (Some(condition), _) => matches_etag(&condition, &object.etag),
            (None, Some(time)) => object.modified_s <= seconds(time),
            (None, None) => false,
        };
        if unchanged { Err(not_modified(object)) } else { Ok(()) }
    }
}

pub(crate) fn matches_etag(condition: &ETagCondition, etag: &str) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(wanted) => wanted.value() == etag,
    }
}

/// 304 repeats ETag and Last-Modified.
fn not_modified(object: &Object) -> S3Error {
    let mut headers = HeaderMap::new();
    if let Ok(etag) = ETag::Strong(object.etag.clone()).to_http_header() {
        headers.insert(ETAG, etag);
    }
    let mut modified = Vec::new();
    let formatted = timestamp(object.modified_s).format(TimestampFormat::HttpDate, &mut modified);
    if let (Ok(()), Ok(modified)) = (formatted, HeaderValue::from_bytes(&modified)) {
        headers.insert(LAST_MODIFIED, modified);
    }
    let mut error = S3Error::new(S3ErrorCode::NotModified);
    error.set_status_code(StatusCode::NOT_MODIFIED);
    error.set_headers(headers);
    error
}

/// The conditions of a PUT or of the completion of an upload, against what is there now.
pub(crate) fn check_write(
    current: Option<&Object>,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<()> {
    match (if_match, current) {
        (Some(_), None) => return Err(S3ErrorCode::NoSuchKey.into()),
        (Some(condition), Some(object)) if !matches_etag(condition, &object.etag) => {
            return Err(S3ErrorCode::PreconditionFailed.into());
        }
        _ => (),
    }
    match (if_none_match, current) {
        (Some(condition), Some(object)) if matches_etag(condition, &object.etag) => {
            Err(S3ErrorCode::PreconditionFailed.into())
        }
        _ => Ok(()),
    }
}

/// The bytes of an object that a request asks for.
pub(crate) struct Selected {
    pub(crate) range: Range<u64>,
    /// `Content-Range` when it is a part: then the status is 206.
    pub(crate) content_range: Option<String>,
    pub(crate) parts_count: Option<i32>,
}

/// Selects by `Range` or by `partNumber`.
pub(crate) fn select(object: &Object, range: Option<HttpRange>, part_number: Option<i32>) -> S3Result<Selected> {
    let size = object.content.size_bytes();
    if range.is_some() && part_number.is_some() {
        return Err(S3ErrorCode::InvalidRequest.into());
    }
    if let Some(number) = part_number {
        return select_part(object, number);
    }
    let Some(range) = range else {
        return Ok(Selected { range: 0..size, content_range: None, parts_count: None });
    };
    match range.check(size) {
        Ok(range) => Ok(Selected { content_range: Some(content_range(&range, size)), range, parts_count: None }),
        Err(_) => {
            let asked = range.to_header_string();
            let detail = format!("<RangeRequested>{asked}</RangeRequested><ActualObjectSize>{size}</ActualObjectSize>");
            Err(with_detail(S3ErrorCode::InvalidRange, &detail))
        }
    }
}

fn select_part(object: &Object, number: i32) -> S3Result<Selected> {
    let size = object.content.size_bytes();
    let whole = [size];
    let sizes = if object.part_sizes.is_empty() { &whole[..] } else { &object.part_sizes };
    let index = usize::try_from(number - 1).ok().filter(|index| *index < sizes.len());
    let Some(index) = index else {
        let mut error = S3Error::new(S3ErrorCode::Custom("InvalidPartNumber".into()));
        error.set_status_code(StatusCode::RANGE_NOT_SATISFIABLE);
        return Err(error);
    };
    let start: u64 = sizes[..index].iter().sum();
    let range = start..start + sizes[index];
    let parts_count = (!object.part_sizes.is_empty()).then(|| i32::try_from(sizes.len()).unwrap_or(i32::MAX));
    let content_range = (size > 0).then(|| content_range(&range, size));
    Ok(Selected { range, content_range, parts_count })
}

fn content_range(range: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1))
}

/// A range of an object as the body of an answer: stored bytes leave as they are, without a copy.
pub(crate) fn body(object: &Arc<Object>, range: Range<u64>) -> StreamingBlob {
    let most = if matches!(object.content, Content::Stored(_)) { usize::MAX } else { PIECE_BYTES };
    StreamingBlob::new(Pieces { object: Arc::clone(object), range, most })
}

struct Pieces {
    object: Arc<Object>,
    range: Range<u64>,
    most: usize,
}

impl Stream for Pieces {
    type Item = Result<Bytes, StdError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = self.object.content.piece(&self.range, self.most);
        if piece.is_empty() {
            return Poll::Ready(None);
        }
        self.range.start += piece.len() as u64;
        Poll::Ready(Some(Ok(piece)))
    }
}

impl ByteStream for Pieces {
    fn remaining_length(&self) -> RemainingLength {
        RemainingLength::new_exact(usize::try_from(self.range.end - self.range.start).unwrap_or(usize::MAX))
    }
}

/// Reads the body of a request to its end.
pub(crate) async fn read_body(body: Option<StreamingBlob>) -> S3Result<Bytes> {
    let Some(mut body) = body else { return Ok(Bytes::new()) };
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(piece) = body.next().await {
        // Broken framing, a wrong chunk signature or a cut connection; the framework's message says which.
        let piece = piece.map_err(|error| match error.downcast::<S3Error>() {
            Ok(error) => *error,
            Err(error) => S3Error::with_source(S3ErrorCode::IncompleteBody, error),
        })?;
        if first.is_empty() && all.is_empty() {
            first = piece;
            continue;
        }
        if all.is_empty() {
            all.extend_from_slice(&first);
        }
        all.extend_from_slice(&piece);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}
