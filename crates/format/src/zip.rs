//! Zip archives: their directory, from the end of the archive's bytes.
//!
//! ```text
//!   [member: local header, data] … [directory] [zip64 end] [zip64 locator] [end of directory]
//!                                                                           └ tail read: where the directory is
//! ```
//!
//! [`Directory`] is handed bytes and says which it needs next: the tail, and the directory where the tail does not hold
//! it. Data of members is decompressed in `compression`, from their local headers on.

use std::hash::Hasher as _;
use std::ops::Range;

use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::object::Timestamp;
use twox_hash::XxHash64;

/// An archive up to this size is read whole, with one request.
pub const SMALL_BYTES: u64 = 1 << 20;
/// What is read of a larger one first: the directory of about a thousand members, and any comment.
const TAIL_BYTES: u64 = 128 << 10;
/// A directory that is longer is refused: it is held in memory.
const DIRECTORY_BYTES_AT_MOST: u64 = 64 << 20;

/// The first time that DOS can write, 1980-01-01, in seconds since 1970.
const FIRST_TIME: i64 = 315_532_800;

const END: &[u8; 4] = b"PK\x05\x06";
const END_BYTES: usize = 22;
const LOCATOR: &[u8; 4] = b"PK\x06\x07";
const LOCATOR_BYTES: usize = 20;
const END_64: &[u8; 4] = b"PK\x06\x06";
const END_64_BYTES: usize = 56;
const ENTRY: &[u8; 4] = b"PK\x01\x02";
const ENTRY_BYTES: usize = 46;

/// A member of an archive, as its directory tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name, with `/` between folders.
    pub name: String,
    /// When it was last changed: the local time of who made the archive, taken as UTC, in steps of two seconds.
    pub modified_at: Timestamp,
    /// Where it lies in the archive: its local header, its data, and perhaps bytes behind.
    pub range: Range<u64>,
    /// Bytes of its data as stored.
    pub stored_bytes: u64,
    /// Bytes of its text.
    pub bytes: u64,
    /// The checksum of its text.
    crc: u32,
    method: u16,
    flags: u16,
}

impl Member {
    /// A number that stands for what the member is: its name, time, checksum and size. Part of saved states.
    #[must_use]
    pub fn number(&self) -> u64 {
        let mut hasher = XxHash64::with_seed(0);
        hasher.write(self.name.as_bytes());
        hasher.write(&self.modified_at.micros().to_le_bytes());
        hasher.write(&self.crc.to_le_bytes());
        hasher.write(&self.bytes.to_le_bytes());
        hasher.finish()
    }

    /// Whether its archive says when it was last changed: many programs that make archives write the first time that the
    /// format has.
    #[must_use]
    pub fn dated(&self) -> bool {
        self.modified_at != Timestamp::from_seconds(FIRST_TIME, 0)
    }

    /// Whether it stands for a folder.
    #[must_use]
    pub fn folder(&self) -> bool {
        self.name.ends_with('/')
    }

    /// Whether it can be read.
    ///
    /// # Errors
    /// `Unsupported` when it is encrypted, or stored in a way that is not known here.
    pub fn readable(&self) -> Result<()> {
        if self.flags & 1 != 0 || self.method == 99 {
            return Err(Error::new(ErrorKind::Unsupported, "a member of the zip archive is encrypted")
                .with("member", &self.name)
                .hint("write the archive without a password"));
        }
        if matches!(self.method, 0 | 8 | 12 | 20 | 93 | 95) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unsupported, "a member of the zip archive is compressed with an unsupported method")
            .with("member", &self.name)
            .with("method", self.method)
            .hint("write the archive with deflate, bzip2, zstd or xz"))
    }
}

/// What a directory wants next, or is.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// These bytes of the archive.
    Need(Range<u64>),
    /// The members, in the order of the directory.
    Members(Vec<Member>),
}

/// Looks for the directory of an archive.
#[derive(Debug)]
pub struct Directory {
    size: u64,
    /// Bytes of the archive from `start` to its end, or to the end of what was asked for.
    bytes: Vec<u8>,
    start: u64,
}

impl Directory {
    /// For an archive of `size` bytes.
    #[must_use]
    pub fn new(size: u64) -> Self {
        Self { size, bytes: Vec::new(), start: size }
    }

    /// The first bytes that are needed: the archive's end, or all of it.
    #[must_use]
    pub fn first(&self) -> Range<u64> {
        if self.size <= SMALL_BYTES { 0..self.size } else { self.size - TAIL_BYTES..self.size }
    }

    /// Takes the bytes that were asked for, which end where those before begin.
    ///
    /// # Errors
    /// `Data` where they are no zip archive, `Limit` where the directory is too long, `Unsupported` for archives in
    /// several parts.
    pub fn take(&mut self, start: u64, bytes: &[u8]) -> Result<Found> {
        if start + bytes.len() as u64 != self.start {
            return Err(Error::internal("the bytes of an archive do not follow the previous ones"));
        }
        self.bytes.splice(..0, bytes.iter().copied());
        self.start = start;
        let end = self.end()?;
        let Some(place) = self.place(end)? else {
            let records = (self.start + end as u64).saturating_sub((LOCATOR_BYTES + END_64_BYTES) as u64);
            return Ok(Found::Need(records.min(self.start.saturating_sub(TAIL_BYTES))..self.start));
        };
        if place.range.start < self.start {
            return Ok(Found::Need(place.range.start..self.start));
        }
        self.members(&place).map(Found::Members)
    }

    /// The index of the end record: the last one whose comment reaches the archive's end, or else the last one.
    fn end(&self) -> Result<usize> {
        let found: Vec<usize> =
            memchr::memmem::rfind_iter(&self.bytes, END).filter(|at| at + END_BYTES <= self.bytes.len()).collect();
        let exact =
            found.iter().find(|&&at| at + END_BYTES + usize::from(u16_at(&self.bytes, at + 20)) == self.bytes.len());
        exact.or(found.first()).copied().ok_or_else(|| {
            Error::data("the object is not a zip archive, or its end is missing")
                .with("byte", self.size)
                .hint("check that the upload was complete, or correct the extension of the object")
        })
    }

    /// Where the directory is; `None` where the bytes that tell it are not here.
    fn place(&self, end: usize) -> Result<Option<Place>> {
        let bytes = &self.bytes;
        let small = Place::new(
            self.start + end as u64,
            u64::from(u16_at(bytes, end + 10)),
            u64::from(u32_at(bytes, end + 12)),
            u64::from(u32_at(bytes, end + 16)),
        );
        let parts = u16_at(bytes, end + 4);
        let large = small.entries == 0xffff || small.bytes == 0xffff_ffff || small.offset == 0xffff_ffff;
        if parts != 0 && parts != 0xffff {
            return Err(Error::new(ErrorKind::Unsupported, "the zip archive is split into several files"));
        }
        if !large {
            return small.checked(self.size).map(Some);
        }
        let Some(locator) = end.checked_sub(LOCATOR_BYTES) else {
            return if self.start == 0 { small.checked(self.size).map(Some) } else { Ok(None) };
        };
        if bytes[locator..locator + 4] != *LOCATOR {
            return small.checked(self.size).map(Some);
        }
        // The record is before its locator; what stands in the locator does not hold behind a prefix.
        let Some(record) = locator.checked_sub(END_64_BYTES) else {
            return if self.start == 0 { Err(self.damaged(locator)) } else { Ok(None) };
        };
        if bytes[record..record + 4] != *END_64 {
            return Err(self.damaged(record));
        }
        let field = |at: usize| u64_at(bytes, record + at);
        Place::new(self.start + record as u64, field(32), field(40), field(48)).checked(self.size).map(Some)
    }

    fn damaged(&self, at: usize) -> Error {
        Error::data("the directory of the zip archive is damaged").with("byte", self.start + at as u64)
    }

    fn members(&self, place: &Place) -> Result<Vec<Member>> {
        let mut members = Vec::new();
        let mut at = (place.range.start - self.start) as usize;
        let end = (place.range.end - self.start) as usize;
        while at < end {
            let (member, next) = self.member(at, end, place)?;
            members.push(member);
            at = next;
        }
        if members.len() as u64 & 0xffff != place.entries & 0xffff {
            return Err(Error::data("the number of members in the directory of the zip archive is wrong")
                .with("members", members.len())
                .with("said", place.entries));
        }
        let mut starts: Vec<u64> = members.iter().map(|member| member.range.start).collect();
        starts.push(place.range.start);
        starts.sort_unstable();
        for member in &mut members {
            let behind = starts.partition_point(|start| *start <= member.range.start);
            member.range.end = starts.get(behind).copied().unwrap_or(place.range.start);
            if member.range.end.saturating_sub(member.range.start) < member.stored_bytes {
                return Err(Error::data("a member of the zip archive extends into the next one")
                    .with("member", &member.name)
                    .with("byte", member.range.start));
            }
        }
        // Each byte belongs to one member. Entries that share theirs make any number of rows out of a small archive.
        let stored = members.iter().fold(0u64, |sum, member| sum.saturating_add(member.stored_bytes));
        if stored > place.range.start {
            return Err(Error::data("members of the zip archive overlap")
                .with("member_bytes", stored)
                .with("archive_bytes", place.range.start)
                .hint("create the archive again; common tools do not create such archives"));
        }
        Ok(members)
    }

    /// The entry at an index, and the index behind it. The member's range has no end yet.
    fn member(&self, at: usize, end: usize, place: &Place) -> Result<(Member, usize)> {
        let bytes = &self.bytes[..end];
        if bytes.len() < at + ENTRY_BYTES || bytes[at..at + 4] != *ENTRY {
            return Err(self.damaged(at));
        }
        let half = |offset: usize| u16_at(bytes, at + offset);
        let word = |offset: usize| u64::from(u32_at(bytes, at + offset));
        let name_end = at + ENTRY_BYTES + usize::from(half(28));
        let extra_end = name_end + usize::from(half(30));
        let next = extra_end + usize::from(half(32));
        let (Some(name), Some(extra)) = (bytes.get(at + ENTRY_BYTES..name_end), bytes.get(name_end..extra_end)) else {
            return Err(self.damaged(at));
        };
        let mut sizes = [word(24), word(20), word(42)];
        large_sizes(extra, &mut sizes);
        let [length, stored, header] = sizes;
        let flags = half(8);
        // Members come before the directory.
        let start = header.checked_add(place.shift).filter(|start| *start < place.range.start);
        let start = start.ok_or_else(|| self.damaged(at))?;
        let member = Member {
            name: name_of(name, flags),
            modified_at: dos_time(half(14), half(12)),
            range: start..start,
            stored_bytes: stored,
            bytes: length,
            crc: u32_at(bytes, at + 16),
            method: half(10),
            flags,
        };
        Ok((member, next))
    }
}

/// Where a directory is.
struct Place {
    entries: u64,
    bytes: u64,
    offset: u64,
    range: Range<u64>,
    /// Bytes before the archive that its offsets do not count.
    shift: u64,
}

impl Place {
    fn new(end: u64, entries: u64, bytes: u64, offset: u64) -> Self {
        let start = end.saturating_sub(bytes);
        Self { entries, bytes, offset, range: start..end, shift: start.saturating_sub(offset) }
    }

    fn checked(self, size: u64) -> Result<Self> {
        if self.bytes > DIRECTORY_BYTES_AT_MOST {
            return Err(Error::new(ErrorKind::TooLarge, "the directory of the zip archive is longer than the limit")
                .with("bytes", self.bytes)
                .with("limit_bytes", DIRECTORY_BYTES_AT_MOST));
        }
        if self.range.end - self.range.start < self.bytes || self.range.start < self.offset || self.range.end > size {
            return Err(Error::data("the zip archive is shorter than its directory declares").with("byte", size));
        }
        Ok(self)
    }
}

/// Replaces the sizes that do not fit into 32 bits by those of the zip64 field: length, stored length, header offset.
pub(super) fn large_sizes(extra: &[u8], sizes: &mut [u64]) {
    let mut rest = extra;
    while rest.len() >= 4 {
        let (kind, length) = (u16_at(rest, 0), usize::from(u16_at(rest, 2)));
        let Some(field) = rest.get(4..4 + length) else { return };
        rest = &rest[4 + length..];
        if kind != 1 {
            continue;
        }
        let mut numbers = field.as_chunks::<8>().0.iter();
        for size in sizes.iter_mut().filter(|size| **size == 0xffff_ffff) {
            if let Some(number) = numbers.next() {
                *size = u64::from_le_bytes(*number);
            }
        }
    }
}

/// The upper half of IBM's code page 437, in which names are that are not marked as UTF-8.
const CODE_PAGE_437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

fn name_of(name: &[u8], flags: u16) -> String {
    const UTF_8: u16 = 0x800;
    if flags & UTF_8 != 0
        && let Ok(name) = std::str::from_utf8(name)
    {
        return name.to_owned();
    }
    let upper: Vec<char> = CODE_PAGE_437.chars().collect();
    name.iter()
        .map(|&byte| match byte {
            0..=0x7f => char::from(byte),
            _ => upper.get(usize::from(byte) - 0x80).copied().unwrap_or(char::REPLACEMENT_CHARACTER),
        })
        .collect()
}

/// A time as DOS counts it. What is no time is the first there is.
fn dos_time(date: u16, time: u16) -> Timestamp {
    let (year, month, day) = (1980 + (date >> 9), date >> 5 & 15, date & 31);
    let (hour, minute, second) = (time >> 11, time >> 5 & 63, (time & 31) * 2);
    let written = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    Timestamp::parse(&written).unwrap_or(Timestamp::from_seconds(FIRST_TIME, 0))
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u16::from_le_bytes(*bytes))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
