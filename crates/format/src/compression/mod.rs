//! The only place that decompresses.
//!
//! ```text
//!   stored bytes ─ feed ─▶ queue of pieces ─ read(out, up to a block) ─▶ decoded bytes appended to `out`
//!                                              └ member by member: gzip members, zstd and lz4 frames, bzip2 and xz streams
//! ```
//!
//! Whatever comes in, one call of [`Source::read`] adds no more than the caller's target, so a small input that
//! decodes to gigabytes is never in memory. A stream that ends early or is damaged is an error that names the byte.

mod codec;
mod did;
mod lz4;
mod member;
mod snappy;
mod units;
mod window;
mod zip_member;

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

use self::member::Member;
pub(crate) use self::snappy::RawSnappy;
use tollgate_base::batch::Frame;
use tollgate_base::error::{Error, ErrorKind, Result, Subject};
pub use tollgate_base::options::Caps;
use tollgate_base::options::Compression;

/// A window below this is not counted, nor one of a member of which fewer bytes were decoded: it is not filled yet.
const UNCOUNTED_BYTES: u64 = 1 << 20;

/// What most xz streams need, whose default is a window of 8 MiB.
const XZ_BYTES: u64 = 9 << 20;

/// Objects of xz below this are not expected to fill it.
const XZ_FILLS_BYTES: u64 = 256 << 10;

/// Decoded bytes below which no ratio is too high.
const RATIO_FREE_BYTES: u64 = 1 << 20;

/// What [`Source::read`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filled {
    /// The target is reached.
    Full,
    /// More stored bytes are needed.
    NeedBytes,
    /// All bytes were handed over.
    End,
}

/// Stored bytes on their way to decoded ones.
pub(crate) struct Source {
    pieces: VecDeque<Bytes>,
    /// The offset of the next stored byte that is expected from outside.
    next_stored: u64,
    /// Stored bytes used so far, counted from the object's first byte.
    used: u64,
    /// Decoded bytes handed over so far, counted from the text's first byte.
    decoded: u64,
    /// Where this source began.
    start: Frame,
    finished: bool,
    compression: Compression,
    /// The first bytes tell the compression: a position must say that there is one.
    by_first_bytes: bool,
    /// The member being read; `None` between members.
    member: Option<Member>,
    /// Decoded bytes before it.
    member_start: u64,
    /// Starts of members at or before the places that a caller may still ask for, oldest first.
    starts: VecDeque<Frame>,
    caps: Caps,
}

impl Source {
    /// A source that begins at `start`. Where the compression is `Auto` the bytes there tell what it is; where it is `Zip`,
    /// the bytes are those of one member from its local header on.
    pub(crate) fn new(compression: Compression, start: Frame, caps: Caps) -> Result<Self> {
        Ok(Self {
            pieces: VecDeque::new(),
            next_stored: start.stored,
            used: start.stored,
            decoded: start.decoded,
            start,
            finished: false,
            compression,
            by_first_bytes: compression == Compression::Auto,
            member: None,
            member_start: start.decoded,
            starts: VecDeque::new(),
            caps,
        })
    }

    /// The offset of the first stored byte that is wanted.
    pub(crate) fn from(&self) -> u64 {
        self.start.stored
    }

    /// Whether bytes are handed over as they are stored. Before the first were read it may not be known yet.
    pub(crate) fn plain(&self) -> bool {
        self.compression == Compression::None
    }

    /// Memory in bytes that the decompressor needs, besides what it was fed and hands over. It may grow with the text.
    pub(crate) fn window_bytes(&self) -> u64 {
        let filled = self.decoded - self.member_start >= UNCOUNTED_BYTES;
        let window = self.member.as_ref().filter(|_| filled).map_or(0, Member::window_bytes);
        if window > UNCOUNTED_BYTES { window } else { 0 }
    }

    /// Takes stored bytes, which must follow those before.
    pub(crate) fn feed(&mut self, offset: u64, bytes: Bytes) -> Result<()> {
        if offset != self.next_stored {
            return Err(Error::internal("the bytes of an object arrived out of order")
                .with("expected", self.next_stored)
                .with("offset", offset));
        }
        self.next_stored += bytes.len() as u64;
        if !bytes.is_empty() {
            self.pieces.push_back(bytes);
        }
        Ok(())
    }

    /// Says that there are no more stored bytes.
    pub(crate) fn finish(&mut self) {
        self.finished = true;
    }

    /// Appends decoded bytes to `out` until it holds `target` bytes.
    pub(crate) fn read(&mut self, out: &mut Vec<u8>, target: usize) -> Result<Filled> {
        out.reserve(target.saturating_sub(out.len()));
        if self.compression == Compression::Auto {
            let Some(first) = self.first_bytes(Compression::MAGIC_BYTES) else { return Ok(Filled::NeedBytes) };
            self.compression = self.by_magic(&first)?;
        }
        if self.compression == Compression::None {
            return Ok(self.read_plain(out, target));
        }
        self.read_members(out, target)
    }

    /// Where reading can begin to get at the text from a decoded offset on: the start of the compressed member in which
    /// it lies, where that is not the object's start anyway. Offsets must not go down from call to call.
    pub(crate) fn frame_of(&mut self, offset: u64) -> Option<Frame> {
        while self.starts.get(1).is_some_and(|next| next.decoded <= offset) {
            self.starts.pop_front();
        }
        self.starts.front().copied().filter(|frame| frame.stored != 0 || self.by_first_bytes)
    }

    /// The next stored bytes, without using them; fewer than `count` only at the end. `None` until they are here.
    fn first_bytes(&self, count: usize) -> Option<Vec<u8>> {
        let first: Vec<u8> = self.pieces.iter().flatten().copied().take(count).collect();
        (first.len() == count || self.finished).then_some(first)
    }

    fn by_magic(&self, first: &[u8]) -> Result<Compression> {
        let found = Compression::of_magic(first);
        if found == Compression::Zip {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "the object is a zip archive, but neither its key nor the \
                                                           configuration says so",
            )
            .hint("set `compression` to `zip`, or rename the object so that its key ends with `.zip`"));
        }
        Ok(found)
    }

    fn read_plain(&mut self, out: &mut Vec<u8>, target: usize) -> Filled {
        while out.len() < target {
            let Some(piece) = self.pieces.front_mut() else {
                return if self.finished { Filled::End } else { Filled::NeedBytes };
            };
            let take = piece.len().min(target - out.len());
            out.extend_from_slice(&piece[..take]);
            self.advance(take);
            self.decoded += take as u64;
        }
        Filled::Full
    }

    /// Drops `count` bytes of the first piece.
    fn advance(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        let piece = self.pieces.front_mut().expect("a piece was looked at before it is advanced");
        piece.advance(count);
        if piece.is_empty() {
            self.pieces.pop_front();
        }
        self.used += count as u64;
    }

    fn read_members(&mut self, out: &mut Vec<u8>, target: usize) -> Result<Filled> {
        while out.len() < target {
            let between = self.member.is_none();
            let filled = if between { self.begin_member()? } else { self.decode(out, target)? };
            if let Some(filled) = filled {
                return Ok(filled);
            }
        }
        Ok(Filled::Full)
    }

    /// Goes over padding, or opens the next member. `Some` where it cannot go on.
    fn begin_member(&mut self) -> Result<Option<Filled>> {
        let looked_at = if self.compression == Compression::Snappy { snappy::IDENTIFIER.len() } else { 1 };
        let Some(first) = self.first_bytes(looked_at) else { return Ok(Some(Filled::NeedBytes)) };
        let Some(&byte) = first.first() else { return Ok(Some(Filled::End)) };
        let first_member = self.used == self.start.stored;
        if self.compression == Compression::Zip && !first_member {
            // What is between members is of no use.
            self.used = self.next_stored;
            self.pieces.clear();
            return Ok(None);
        }
        if begins_member(self.compression, byte, first_member) {
            self.member = Some(Member::open(self.compression, &first)?);
            self.member_start = self.decoded;
            self.remember_start();
            return Ok(None);
        }
        if first_member {
            return Err(Error::data(format!("the object is not {} data", self.compression.name()))
                .with("byte", self.used)
                .hint("set the compression to none, or correct the object's extension"));
        }
        if byte == 0 && matches!(self.compression, Compression::Gzip | Compression::Xz) {
            let zeros = self.pieces.front().map_or(0, |piece| piece.iter().take_while(|&&byte| byte == 0).count());
            self.advance(zeros);
            return Ok(None);
        }
        let message =
            format!("the bytes after the {} data are neither zeros nor more {0} data", self.compression.name());
        Err(Error::data(message).with("byte", self.used))
    }

    /// Remembers that a member begins here, where reading can begin with it.
    fn remember_start(&mut self) {
        // These begin once; a position needs to know it only where nothing else says that there is compression.
        if matches!(self.compression, Compression::Brotli | Compression::Snappy | Compression::Zip)
            && !self.by_first_bytes
        {
            return;
        }
        let start = Frame { stored: self.used, decoded: self.decoded };
        // A member without text is no better place to start than the one behind it.
        if self.starts.back().is_some_and(|last| last.decoded == start.decoded) {
            self.starts.pop_back();
        }
        self.starts.push_back(start);
    }

    /// Lets the open member use bytes and make text. `Some` where it cannot go on.
    fn decode(&mut self, out: &mut Vec<u8>, target: usize) -> Result<Option<Filled>> {
        let input = self.pieces.front().map_or(&[][..], |piece| piece);
        let without_input = input.is_empty();
        let member = self.member.as_mut().expect("read_members saw a member");
        let length = out.len();
        let did = member.decode(input, out, target);
        let produced = (out.len() - length) as u64;
        let stuck = did.used == 0 && produced == 0 && !did.ended && did.fault.is_none();
        let may_end = stuck && member.may_end();
        self.advance(did.used);
        self.decoded += produced;
        if did.ended {
            self.member = None;
        }
        match did.fault {
            Some(reason) => return Err(self.damaged(&reason)),
            None if stuck && !without_input => return Err(self.damaged("no progress")),
            None if stuck && !self.finished => return Ok(Some(Filled::NeedBytes)),
            None if stuck && may_end => return Ok(Some(Filled::End)),
            None if stuck => return Err(self.truncated()),
            None => {}
        }
        self.check_limits().map(|()| None)
    }

    fn check_limits(&self) -> Result<()> {
        let stored = self.used - self.start.stored;
        let decoded = self.decoded - self.start.decoded;
        let too_dense = decoded > RATIO_FREE_BYTES && decoded / stored.max(1) > self.caps.ratio;
        if !too_dense && self.decoded <= self.caps.decoded_bytes {
            return Ok(());
        }
        let (message, parameter) = if too_dense {
            ("compressed data expands more than the limit allows", "max_decompression_ratio")
        } else {
            ("decompressed data is larger than the limit allows", "max_decompressed_gb")
        };
        Err(Error::new(ErrorKind::TooLarge, message)
            .with("stored_bytes", stored)
            .with("decoded_bytes", decoded)
            .hint(format!("if the object is correct, raise `{parameter}`")))
    }

    fn truncated(&self) -> Error {
        let message = format!("the {} data is truncated", self.compression.name());
        Error::data(message).with("byte", self.used)
    }

    fn damaged(&self, reason: &str) -> Error {
        let message = format!("the {} data is damaged", self.compression.name());
        Error::data(message).with("byte", self.used).with("reason", reason).about(Subject::EarlierRows)
    }
}

/// The memory in bytes that an object's decompressor is expected to need, before anything is known of it.
pub(crate) fn expected_window_bytes(compression: Compression, stored_bytes: u64) -> u64 {
    if compression == Compression::Xz && stored_bytes >= XZ_FILLS_BYTES { XZ_BYTES } else { 0 }
}

/// Whether a member may begin with this byte. Codecs without a magic number begin with any, once.
fn begins_member(compression: Compression, byte: u8, first: bool) -> bool {
    // The magic numbers of frames without text, of zstd and of lz4.
    let skippable = byte & 0xf0 == 0x50;
    match compression {
        Compression::Gzip => byte == 0x1f,
        Compression::Bzip2 => byte == b'B',
        Compression::Zstd => byte == 0x28 || skippable,
        Compression::Xz => byte == 0xfd,
        Compression::Lz4 => byte == 0x04 || skippable,
        Compression::Snappy | Compression::Brotli | Compression::Zip => first,
        Compression::Auto | Compression::None => false,
    }
}

#[cfg(test)]
pub(super) mod tests;
