//! The selected files of a stream, kept compact: ordering by modification time needs the whole listing first, and a
//! listing can have millions of keys.
//!
//! Keys are front-coded against their neighbour in blocks of [`BLOCK`]; sizes are variable-length; an ordinary ETag is
//! 17 bytes. A million keys of 100 bytes that share most of their text take about 50 MB.

use tollgate_base::object::{ObjectFacts, StorageClass, Timestamp};

/// Entries per block: a key is found by decoding at most this many.
const BLOCK: usize = 16;

/// A segment takes no further block beyond this size.
const SEGMENT_BYTES: usize = 1 << 20;

/// A list of files, filled in key order.
#[derive(Debug, Default)]
pub struct FileList {
    /// Whole blocks, in pieces of about [`SEGMENT_BYTES`]: one growing buffer would need its double while it moves.
    segments: Vec<Vec<u8>>,
    /// Segment and first byte of each block.
    blocks: Vec<(u32, u32)>,
    modified_at: Vec<Timestamp>,
    last_key: Vec<u8>,
    total_bytes: u64,
}

impl FileList {
    /// The number of files.
    #[must_use]
    pub fn len(&self) -> usize {
        self.modified_at.len()
    }

    /// Whether there is no file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.modified_at.is_empty()
    }

    /// The sum of the files' sizes in bytes.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// The memory the list holds, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.segments.iter().map(Vec::capacity).sum::<usize>()
            + self.blocks.capacity() * size_of::<(u32, u32)>()
            + self.modified_at.capacity() * size_of::<Timestamp>()
    }

    /// Appends a file. Keys come in byte order, as listings give them.
    pub fn push(&mut self, object: &ObjectFacts) {
        let key = object.key.as_bytes();
        let shared = if self.len().is_multiple_of(BLOCK) {
            self.begin_block();
            0
        } else {
            self.last_key.iter().zip(key).take_while(|(a, b)| a == b).count()
        };
        let out = self.segments.last_mut().expect("a block was begun");
        put_number(out, shared as u64);
        put_text(out, &key[shared..]);
        put_number(out, object.size);
        let class = StorageClass::ALL.iter().position(|class| *class == object.storage_class).unwrap_or(0);
        put_number(out, class as u64);
        put_etag(out, &object.etag);
        self.last_key.truncate(shared);
        self.last_key.extend_from_slice(&key[shared..]);
        self.modified_at.push(object.modified_at);
        self.total_bytes = self.total_bytes.saturating_add(object.size);
    }

    fn begin_block(&mut self) {
        if self.segments.last().is_none_or(|segment| segment.len() >= SEGMENT_BYTES) {
            let capacity = if self.segments.is_empty() { 0 } else { SEGMENT_BYTES + SEGMENT_BYTES / 16 };
            self.segments.push(Vec::with_capacity(capacity));
        }
        let segment = self.segments.len() - 1;
        let offset = self.segments[segment].len();
        self.blocks.push((
            u32::try_from(segment).expect("fewer than 2^32 segments fit into memory"),
            u32::try_from(offset).expect("a segment is about a mebibyte long"),
        ));
    }

    /// The file with this index, if there is one.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<ObjectFacts> {
        let modified_at = *self.modified_at.get(index)?;
        let (segment, offset) = self.blocks[index / BLOCK];
        let mut entry = Reader { bytes: &self.segments[segment as usize], at: offset as usize };
        let mut key = Vec::with_capacity(128);
        for _ in 0..index % BLOCK {
            entry.key(&mut key);
            entry.skip_facts();
        }
        entry.key(&mut key);
        let size = entry.number();
        let storage_class = StorageClass::ALL[entry.number() as usize];
        let etag = entry.etag();
        let key = String::from_utf8(key).expect("keys were pushed as text");
        Some(ObjectFacts { key: key.into(), size, modified_at, etag: etag.into(), storage_class })
    }

    /// The indices in the order in which incremental reading commits: (modification time, key).
    #[must_use]
    pub fn by_modification(&self) -> Vec<u32> {
        let count = u32::try_from(self.len()).expect("a listing has fewer than 2^32 selected keys");
        let mut order: Vec<u32> = (0..count).collect();
        order.sort_unstable_by_key(|&index| (self.modified_at[index as usize], index));
        order
    }
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number as u8) | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put_number(out, text.len() as u64);
    out.extend_from_slice(text);
}

/// An MD5 in quotes, with or without a number of parts, becomes 16 bytes and that number; other texts stay texts.
fn put_etag(out: &mut Vec<u8>, etag: &str) {
    match packed_etag(etag) {
        Some((digest, parts)) => {
            put_number(out, parts + 1);
            out.extend_from_slice(&digest);
        }
        None => {
            put_number(out, 0);
            put_text(out, etag.as_bytes());
        }
    }
}

fn packed_etag(etag: &str) -> Option<([u8; 16], u64)> {
    let inner = etag.strip_prefix('"')?.strip_suffix('"')?;
    let (hex, parts) = match inner.split_once('-') {
        // Only the form that unpacking writes: no plus sign, no leading zero.
        Some((hex, parts)) if !parts.starts_with(['0', '+']) => (hex, parts.parse().ok()?),
        Some(_) => return None,
        None => (inner, 0),
    };
    if hex.len() != 32 || !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let digest = u128::from_str_radix(hex, 16).ok()?;
    Some((digest.to_be_bytes(), parts))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn number(&mut self) -> u64 {
        let mut number = 0;
        let mut shift = 0;
        loop {
            let byte = self.bytes[self.at];
            self.at += 1;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return number;
            }
            shift += 7;
        }
    }

    fn text(&mut self) -> &'a [u8] {
        let length = self.number() as usize;
        self.take(length)
    }

    fn take(&mut self, length: usize) -> &'a [u8] {
        let text = &self.bytes[self.at..self.at + length];
        self.at += length;
        text
    }

    fn key(&mut self, key: &mut Vec<u8>) {
        let shared = self.number() as usize;
        key.truncate(shared);
        let rest = self.text();
        key.extend_from_slice(rest);
    }

    fn skip_facts(&mut self) {
        self.number();
        self.number();
        match self.number() {
            0 => _ = self.text(),
            _ => _ = self.take(16),
        }
    }

    fn etag(&mut self) -> String {
        match self.number() {
            0 => String::from_utf8_lossy(self.text()).into_owned(),
            tag => {
                let digest = u128::from_be_bytes(self.take(16).try_into().expect("16 bytes were taken"));
                match tag - 1 {
                    0 => format!("\"{digest:032x}\""),
                    parts => format!("\"{digest:032x}-{parts}\""),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(index: u64) -> ObjectFacts {
        let etag = match index % 4 {
            0 => format!("\"{:032x}\"", u128::from(index) * 7),
            1 => format!("\"{:032x}-{index}\"", u128::from(index) << 60),
            2 => format!("\"{index}-017\""),
            _ => String::new(),
        };
        ObjectFacts {
            key: format!("lake/table/year=2024/month={:02}/file-{index:09}-ä.csv.gz", index / 100_000).into(),
            size: index * 1_000_003,
            modified_at: Timestamp::from_seconds(1_700_000_000 + (index as i64 * 7919) % 1000, 0),
            etag: etag.into(),
            storage_class: StorageClass::ALL[index as usize % StorageClass::ALL.len()],
        }
    }

    #[test]
    fn what_went_in_comes_out() {
        let mut list = FileList::default();
        for index in 0..1000 {
            list.push(&object(index));
        }
        assert_eq!(list.len(), 1000);
        for index in [0, 1, 15, 16, 17, 500, 999] {
            assert_eq!(list.get(index), Some(object(index as u64)));
        }
        assert_eq!(list.get(1000), None);
        assert_eq!(list.total_bytes(), (0..1000).map(|i| i * 1_000_003).sum::<u64>());
    }

    #[test]
    fn order_is_by_time_then_key() {
        let mut list = FileList::default();
        for index in 0..3000 {
            list.push(&object(index));
        }
        let ordered: Vec<_> = list.by_modification().into_iter().map(|i| list.get(i as usize).unwrap()).collect();
        for pair in ordered.windows(2) {
            assert!((pair[0].modified_at, &pair[0].key) < (pair[1].modified_at, &pair[1].key));
        }
    }

    #[test]
    fn a_million_keys_of_a_hundred_bytes_take_less_than_64_megabytes() {
        let mut list = FileList::default();
        for index in 0..1_000_000u64 {
            let key = format!("{:0>60}/year=2024/month=01/day=05/part-{index:010}.parquet", index / 1000);
            assert!(key.len() >= 100);
            list.push(&ObjectFacts { key: key.into(), ..object(index - index % 4) });
        }
        assert!(list.memory_bytes() < 64 << 20, "{} bytes", list.memory_bytes());
    }
}
