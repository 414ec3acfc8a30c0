//! A line being written: a buffer that is written in steps of sixteen bytes and may be overshot, so that the short
//! pieces a line is made of (keys, numbers, words) cost a load and a store each instead of a call to copy them.

use super::encoded::MOST_LINE_BYTES;
use tollgate_base::simd::{Chunk, LANES};

/// Room behind the end that an overshooting copy may touch.
const SLACK: usize = 2 * LANES;

/// A buffer that grew beyond this by a long row is not kept.
const KEPT_BYTES: usize = 1 << 20;

/// See the module's text.
#[derive(Debug)]
pub(super) struct Line {
    buffer: Vec<u8>,
    /// Bytes of the buffer that are the line.
    length: usize,
    /// Bytes at the start that every line has.
    prefix: usize,
    /// Whether the line is longer than any may be. What was written of it is lost then.
    too_long: bool,
}

/// A short text with bytes behind it that an overshooting copy may read.
#[derive(Debug)]
pub(super) struct Piece {
    /// Its first bytes, once more: an array needs no check.
    head: [u8; SLACK],
    padded: Box<[u8]>,
    length: usize,
}

impl Piece {
    pub(super) fn new(text: &[u8]) -> Self {
        let mut padded = text.to_vec();
        padded.resize(text.len() + SLACK, 0);
        let head = *padded.first_chunk().expect("a piece is padded");
        Self { head, padded: padded.into(), length: text.len() }
    }

    /// The text.
    pub(super) fn text(&self) -> &[u8] {
        &self.padded[..self.length]
    }

    /// Whether this is the text at `start..end` of `data`.
    #[inline(always)]
    pub(super) fn equals(&self, data: &[u8], start: usize, end: usize) -> bool {
        if end - start != self.length {
            return false;
        }
        match Chunk::load(data, start) {
            Some(chunk) if self.length <= LANES => {
                let wanted = (1_u32 << self.length) - 1;
                let head = self.head.first_chunk().expect("a head is longer than a chunk");
                chunk.same(Chunk::from_array(head)) & wanted == wanted
            }
            _ => data[start..end] == self.padded[..self.length],
        }
    }
}

impl Line {
    /// Lines that begin with `prefix`.
    pub(super) fn new(prefix: &[u8]) -> Self {
        let mut buffer = prefix.to_vec();
        buffer.resize((prefix.len() + SLACK).next_power_of_two().max(1024), 0);
        Self { buffer, length: prefix.len(), prefix: prefix.len(), too_long: false }
    }

    /// Drops what was written behind the prefix.
    #[inline(always)]
    pub(super) fn restart(&mut self) {
        self.length = self.prefix;
        self.too_long = false;
    }

    /// Whether the line is longer than any may be.
    #[inline(always)]
    pub(super) fn too_long(&self) -> bool {
        self.too_long
    }

    /// Gives memory back that a long row took.
    pub(super) fn shrink(&mut self) {
        if self.buffer.len() > KEPT_BYTES {
            self.length = self.prefix;
            self.buffer.truncate(KEPT_BYTES);
            self.buffer.shrink_to_fit();
        }
    }

    /// The length so far, for [`Line::cut_to`].
    #[inline(always)]
    pub(super) fn mark(&self) -> usize {
        self.length
    }

    /// Drops what was written behind a mark.
    pub(super) fn cut_to(&mut self, mark: usize) {
        self.length = self.length.min(mark);
    }

    /// Takes the last byte away where it is this one.
    pub(super) fn trim(&mut self, byte: u8) {
        if self.length > self.prefix && self.buffer[self.length - 1] == byte {
            self.length -= 1;
        }
    }

    /// The line so far.
    #[inline(always)]
    pub(super) fn text(&self) -> &[u8] {
        &self.buffer[..self.length]
    }

    #[inline(always)]
    fn room(&mut self, bytes: usize) {
        if self.length + bytes + SLACK > self.buffer.len() {
            self.grow(bytes);
        }
    }

    #[cold]
    fn grow(&mut self, bytes: usize) {
        if self.length + bytes > MOST_LINE_BYTES {
            self.too_long = true;
            self.length = self.prefix;
        }
        let wanted = self.length + bytes + SLACK;
        // Long lines have no room to spare: what a row takes is bounded.
        let spacious = if wanted > KEPT_BYTES { wanted + wanted / 8 } else { wanted.next_power_of_two() };
        if wanted > self.buffer.len() {
            self.buffer.reserve_exact(spacious - self.buffer.len());
            self.buffer.resize(spacious, 0);
        }
    }

    #[inline(always)]
    fn put_chunk(&mut self, at: usize, chunk: [u8; LANES]) {
        self.buffer[at..at + LANES].copy_from_slice(&chunk);
    }

    #[inline(always)]
    pub(super) fn piece(&mut self, piece: &Piece) {
        self.copy(&piece.padded, 0, piece.length);
    }

    /// Room for a short key, a short value and what stands behind it, all of them overshooting.
    #[inline(always)]
    fn short_room(&mut self) -> &mut [u8; 3 * SLACK] {
        if self.length + 3 * SLACK > self.buffer.len() {
            self.grow(2 * SLACK);
        }
        self.buffer[self.length..].first_chunk_mut().expect("the buffer has grown")
    }

    /// Appends a key, `start..end` of `data` as it is, and a comma.
    #[inline(always)]
    pub(super) fn member(&mut self, key: &Piece, data: &[u8], start: usize, end: usize) {
        let length = end - start;
        if let Some(value) = data.get(start..).and_then(<[u8]>::first_chunk::<SLACK>)
            && length <= SLACK
            && key.length <= SLACK
        {
            let room = self.short_room();
            room[..SLACK].copy_from_slice(&key.head);
            room[key.length..key.length + SLACK].copy_from_slice(value);
            room[key.length + length] = b',';
            self.length += key.length + length + 1;
            return;
        }
        self.piece(key);
        self.copy(data, start, end);
        self.bytes([b',']);
    }

    /// Appends a key that ends with a quote, `start..end` of `data` as the content of a string, a quote and a comma.
    #[inline(always)]
    pub(super) fn text_member(&mut self, key: &Piece, data: &[u8], start: usize, end: usize) {
        let length = end - start;
        if let Some(value) = data.get(start..).and_then(<[u8]>::first_chunk::<SLACK>)
            && length <= SLACK
            && key.length <= SLACK
        {
            let ([one, other], _) = value.as_chunks::<LANES>() else { unreachable!("two chunks are the slack") };
            let found = u64::from(Chunk::from_array(one).needs_escape())
                | u64::from(Chunk::from_array(other).needs_escape()) << LANES;
            if found & ((1 << length) - 1) == 0 {
                let room = self.short_room();
                room[..SLACK].copy_from_slice(&key.head);
                room[key.length..key.length + SLACK].copy_from_slice(value);
                room[key.length + length..key.length + length + 2].copy_from_slice(b"\",");
                self.length += key.length + length + 2;
                return;
            }
        }
        self.piece(key);
        self.escaped(data, start, end);
        self.bytes(*b"\",");
    }

    /// Appends `start..end` of `data`. It is fastest where sixteen bytes more are there.
    #[inline(always)]
    pub(super) fn copy(&mut self, data: &[u8], start: usize, end: usize) {
        let length = end - start;
        self.room(length);
        match data.get(start..start + SLACK) {
            Some(head) if length <= SLACK => {
                let at = self.length;
                self.buffer[at..at + SLACK].copy_from_slice(head);
            }
            _ => self.buffer[self.length..self.length + length].copy_from_slice(&data[start..end]),
        }
        self.length += length;
    }

    /// Appends bytes as they are.
    #[inline(always)]
    pub(super) fn bytes<const N: usize>(&mut self, bytes: [u8; N]) {
        self.room(N);
        self.buffer[self.length..self.length + N].copy_from_slice(&bytes);
        self.length += N;
    }

    /// Appends `start..end` of `data`, which must be UTF-8, as the content of a JSON string without its quotes.
    #[inline(always)]
    pub(super) fn escaped(&mut self, data: &[u8], start: usize, end: usize) {
        let mut at = start;
        while at < end {
            let Some(bytes) = data.get(at..).and_then(<[u8]>::first_chunk::<LANES>) else {
                return self.escaped_tail(&data[at..end]);
            };
            self.room(LANES);
            let left = end - at;
            let mut found = Chunk::from_array(bytes).needs_escape();
            if left < LANES {
                found &= (1 << left) - 1;
            }
            self.put_chunk(self.length, *bytes);
            if found == 0 {
                let taken = left.min(LANES);
                self.length += taken;
                at += taken;
                continue;
            }
            let clean = found.trailing_zeros() as usize;
            self.length += clean;
            self.escape(bytes[clean]);
            at += clean + 1;
        }
    }

    /// The last bytes of `data`, behind which there are no sixteen.
    #[cold]
    fn escaped_tail(&mut self, tail: &[u8]) {
        for &byte in tail {
            if byte < 0x20 || byte == b'"' || byte == b'\\' {
                self.escape(byte);
            } else {
                self.bytes([byte]);
            }
        }
    }

    fn escape(&mut self, byte: u8) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        match byte {
            b'"' | b'\\' => self.bytes([b'\\', byte]),
            b'\n' => self.bytes(*b"\\n"),
            b'\r' => self.bytes(*b"\\r"),
            b'\t' => self.bytes(*b"\\t"),
            0x08 => self.bytes(*b"\\b"),
            0x0c => self.bytes(*b"\\f"),
            _ => {
                self.bytes(*b"\\u00");
                self.bytes([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
    }
}

/// Ends an object, whose members all have a comma behind them.
pub(super) fn close(object: &mut Vec<u8>) {
    if object.last() == Some(&b',') {
        object.pop();
    }
    object.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_what_serde_json_writes_at_every_length_and_place() {
        let specials = ['"', '\\', '\u{0}', '\u{1f}', '\n', '\r', '\t', '\u{8}', '\u{c}', '\u{7f}', 'é', '漢', '😀'];
        let mut line = Line::new(b"prefix");
        for length in 0..40 {
            for at in 0..=length {
                for special in specials {
                    let text = format!("{}{special}{}", "a".repeat(at), "b".repeat(length - at));
                    for behind in ["", "\"", "\n behind the text there may be anything \" \\"] {
                        let data = format!("x{text}{behind}");
                        line.restart();
                        line.bytes([b'"']);
                        line.escaped(data.as_bytes(), 1, 1 + text.len());
                        line.bytes([b'"']);
                        let expected = format!("prefix{}", serde_json::to_string(&text).unwrap());
                        assert_eq!(String::from_utf8_lossy(line.text()), expected);
                        for key in ["\"", "\"a key that is longer than thirty-two bytes\":\""] {
                            line.restart();
                            line.text_member(&Piece::new(key.as_bytes()), data.as_bytes(), 1, 1 + text.len());
                            let expected = format!("prefix{key}{},", &serde_json::to_string(&text).unwrap()[1..]);
                            assert_eq!(String::from_utf8_lossy(line.text()), expected);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_line_beyond_the_limit_is_noticed_and_takes_no_more_memory() {
        let mut line = Line::new(b"prefix");
        let controls = vec![1; 1 << 20];
        for row in [60, 7, 60] {
            line.restart();
            (0..row).for_each(|_| line.escaped(&controls, 0, controls.len()));
            assert_eq!(line.too_long(), row > 8);
            assert!(line.buffer.capacity() < MOST_LINE_BYTES + MOST_LINE_BYTES / 4);
        }
        line.shrink();
        assert!(line.buffer.capacity() <= KEPT_BYTES);
        line.restart();
        line.bytes(*b"!");
        assert_eq!(line.text(), b"prefix!");
    }

    #[test]
    fn pieces_are_copied_and_compared_at_every_length() {
        let mut line = Line::new(b"");
        let text: Vec<u8> = (0..3000).map(|i| (i % 251) as u8).collect();
        for length in [0, 1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 2000] {
            for behind in [0, 1, 16, 40] {
                let data = &text[..3 + length + behind];
                line.restart();
                line.copy(data, 3, 3 + length);
                assert_eq!(line.text(), &text[3..3 + length], "{length} {behind}");
                let piece = Piece::new(&text[3..3 + length]);
                assert!(piece.equals(data, 3, 3 + length), "{length} {behind}");
                assert!(!piece.equals(data, 2, 2 + length) || length == 0, "{length} {behind}");
                assert!(!piece.equals(data, 2, 3 + length), "{length} {behind}");
                line.restart();
                line.piece(&piece);
                assert_eq!(line.text(), &text[3..3 + length]);
                line.restart();
                line.member(&piece, data, 1, 1 + length);
                assert_eq!(line.text(), [&text[3..3 + length], &text[1..1 + length], b","].concat());
            }
        }
    }
}
