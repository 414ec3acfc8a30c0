//! The body of an object, which resumes after network errors.
//!
//! The SDK retries only until a response starts. Here, a body that is reset, ends early or stalls is continued with a
//! ranged GET from the next byte, pinned to the same ETag. It fails when too many attempts in a row, or all attempts
//! within the time limit, brought no byte or were too slow. The checksum that the server stores for the whole object is
//! computed over all of these responses.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, ByteStreamError};
use bytes::Bytes;
use tokio::time::Instant;

use super::checksum::Checksum;
use super::error;
use super::retry::backoff;
use super::service_error;
use super::span::Span;
use super::store::Store;
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::object::{ObjectFacts, Timestamp};

impl Store {
    /// The body of an object as it was listed: the whole object, or a range that is cut to its size. An object that
    /// changed since is not read.
    ///
    /// # Errors
    /// See [`tollgate_base::error::ErrorKind`].
    pub async fn get(&self, object: &ObjectFacts, range: Option<Range<u64>>) -> Result<Body> {
        let span = match range {
            None => Span::whole(object.size),
            Some(range) => Span::part(range, object.size),
        };
        Body::open(self.clone(), object.clone(), span).await
    }
}

/// The bytes of an object or of a part of it, in order.
pub struct Body {
    store: Store,
    object: ObjectFacts,
    span: Span,
    stream: Stream,
    /// Attempts in a row that brought no byte, or were too slow.
    fruitless: u32,
    /// Since when.
    fruitless_since: Option<Instant>,
    /// Whether this attempt brought a byte.
    fruitful: bool,
    /// Of the whole object, where all of it is read and the server keeps one.
    checksum: Option<Checksum>,
    /// Of the first answer, which all others must have.
    version: Option<Version>,
}

/// What an answer says of the version of its object. Servers without ETags tell the time at least.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    etag: Option<String>,
    /// In whole seconds.
    modified_at: Option<i64>,
}

impl Version {
    fn of(output: &GetObjectOutput) -> Self {
        let etag = output.e_tag().filter(|etag| !etag.is_empty()).map(str::to_owned);
        Self { etag, modified_at: output.last_modified().map(aws_sdk_s3::primitives::DateTime::secs) }
    }

    /// Whether the object was listed with another time. A fraction of a second is cut off by some and rounded by others.
    fn differs_from(&self, listed: Timestamp) -> bool {
        let seconds = listed.micros().div_euclid(1_000_000);
        listed != Timestamp::default() && self.modified_at.is_some_and(|at| !(seconds..=seconds + 1).contains(&at))
    }
}

enum Stream {
    Open(ByteStream),
    /// The stream broke, and the next call opens a new one. This is a separate state, so that a cancelled call loses
    /// nothing.
    Broken,
    Done,
}

impl Body {
    /// Asks for a part of an object. Nothing is sent where there is nothing to read.
    pub(super) async fn open(store: Store, object: ObjectFacts, span: Span) -> Result<Self> {
        let (stream, fruitless, checksum) = (Stream::Done, 0, None);
        let (fruitless_since, fruitful, version) = (None, false, None);
        let mut body = Self { store, object, span, stream, fruitless, fruitless_since, fruitful, checksum, version };
        if body.span.len() > 0 {
            let answer = body.request().await?;
            if !body.span.ranged {
                body.checksum = Checksum::promised(&answer, body.object.size);
            }
            body.stream = Stream::Open(answer.body);
        }
        Ok(body)
    }

    /// The next bytes, or `None` at the end. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Changed`] and [`ErrorKind::NotFound`] if the object changed after it was listed,
    /// [`ErrorKind::Transient`] if no attempt brings another byte or the checksum of the object does not match,
    /// [`ErrorKind::Limit`] if the gate refuses to continue.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            match &mut self.stream {
                Stream::Done => return Ok(None),
                Stream::Open(stream) => match stream.next().await {
                    Some(Ok(bytes)) if bytes.is_empty() => {}
                    Some(Ok(bytes)) => return self.accept(bytes).map(Some),
                    end => self.close(end.and_then(std::result::Result::err))?,
                },
                Stream::Broken => self.resume().await?,
            }
        }
    }

    /// Returns the checksum of the whole object, for a caller that reads the object with more than this body.
    pub fn take_checksum(&mut self) -> Option<Checksum> {
        self.checksum.take()
    }

    /// The offset in the object of the next byte.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.span.next
    }

    fn accept(&mut self, bytes: Bytes) -> Result<Bytes> {
        if bytes.len() as u64 > self.span.len() {
            self.stream = Stream::Done;
            return Err(self.place(Error::new(ErrorKind::Unsupported, "the server sent more bytes than requested")));
        }
        self.span.advance(bytes.len() as u64);
        self.fruitful = true;
        // With the last bytes, before anybody uses them.
        if let Some(checksum) = &mut self.checksum
            && let Err(error) = checksum.update(&bytes)
        {
            self.stream = Stream::Done;
            return Err(self.place(error));
        }
        Ok(bytes)
    }

    /// The stream ended, well or not.
    fn close(&mut self, error: Option<ByteStreamError>) -> Result<()> {
        self.stream = Stream::Done;
        if self.span.len() == 0 {
            return Ok(()); // every byte is here, so a break behind them does not matter
        }
        let slow = error.as_ref().is_some_and(|error| error::too_slow(error));
        if std::mem::take(&mut self.fruitful) && !slow {
            (self.fruitless, self.fruitless_since) = (0, None);
        }
        self.fruitless += 1;
        let since = *self.fruitless_since.get_or_insert_with(Instant::now);
        let options = self.store.options();
        if self.fruitless >= options.max_attempts || since.elapsed() >= options.retry_timeout {
            let cause = error.map_or_else(|| "the response ended too early".to_owned(), |error| error::chain(&error));
            let broken = Error::new(ErrorKind::Transient, "the download of an object was interrupted too often");
            return Err(self.place(broken.caused_by(cause).with("attempts", self.fruitless)));
        }
        self.stream = Stream::Broken;
        Ok(())
    }

    async fn resume(&mut self) -> Result<()> {
        tokio::time::sleep(self.pause()).await;
        self.span.ranged = true;
        let opened = self.request().await;
        match opened {
            Ok(answer) => {
                self.stream = Stream::Open(answer.body);
                Ok(())
            }
            Err(error) => {
                self.stream = Stream::Done;
                Err(error)
            }
        }
    }

    /// None after a break that followed on new bytes: the server is there. Then growing, like the SDK's own.
    fn pause(&self) -> Duration {
        match self.fruitless {
            0 | 1 => Duration::ZERO,
            more => backoff(self.store.options(), more - 1),
        }
    }

    async fn request(&mut self) -> Result<GetObjectOutput> {
        let output = Box::pin(self.store.open(&self.object, &self.span)).await;
        let output = output.map_err(|error| self.place(error))?;
        let version = Version::of(&output);
        self.check(&output, &version).map_err(|error| self.place(error))?;
        self.version.get_or_insert(version);
        Ok(output)
    }

    /// Not every server heeds `If-Match` and `Range`. Reading on regardless would mix two objects.
    fn check(&self, output: &GetObjectOutput, version: &Version) -> Result<()> {
        let changed = |what: &str| Err(service_error::changed(&self.object.key).with("difference", what));
        if self.version.as_ref().is_some_and(|first| first != version) {
            return changed("version");
        }
        if self.object.etag.is_empty() && version.differs_from(self.object.modified_at) {
            return changed("last_modified");
        }
        let etag = output.e_tag().unwrap_or_default().trim_matches('"');
        let listed = self.object.etag.trim_matches('"');
        if !etag.is_empty() && !listed.is_empty() && etag != listed {
            return changed("etag");
        }
        let length = output.content_length().and_then(|length| u64::try_from(length).ok());
        match output.content_range().and_then(parse_content_range) {
            Some((_, Some(total))) if total != self.object.size => changed("size"),
            Some((start, _)) if start != self.span.next => Err(ranges_ignored()),
            None if self.span.ranged && (self.span.next > 0 || self.span.end < self.object.size) => {
                Err(ranges_ignored())
            }
            _ if length.is_some_and(|length| length != self.span.len()) => changed("size"),
            _ => Ok(()),
        }
    }

    fn place(&self, error: Error) -> Error {
        let error = error.with("bucket", self.store.bucket()).with("key", &self.object.key);
        error.with("byte", self.span.next)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("key", &self.object.key).field("span", &self.span).finish_non_exhaustive()
    }
}

fn ranges_ignored() -> Error {
    let error = Error::new(ErrorKind::Unsupported, "the server did not return the requested range");
    error.hint("use a server that supports the `Range` header")
}

/// First byte and total size of `bytes 0-9/100`; the total may be `*`.
fn parse_content_range(header: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = header.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.parse().ok()?, total.parse().ok()))
}
