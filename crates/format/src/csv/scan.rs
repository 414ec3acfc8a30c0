//! The fast way: 64 bytes at a time as bit masks, one step per field instead of one per byte.
//!
//! Quotes toggle between inside and outside (a running exclusive or of their bits), and the delimiters and line ends
//! outside are where fields end. That is right as long as a quote opens only at a field's start and closes only at
//! its end. The masks show where it is not, and that row is walked byte by byte.

use super::splitter::CsvSplitter;
use crate::split::{Origin, Split, Stop};
use tollgate_base::batch::Span;
use tollgate_base::error::Error;
use tollgate_base::simd::{Chunk, LANES};

/// Bytes in a block.
const BLOCK: usize = 64;

/// A bit for each byte of a block.
struct Masks {
    quote: u64,
    delimiter: u64,
    newline: u64,
}

impl Masks {
    #[inline(always)]
    fn of(block: &[u8; BLOCK], quote: u8, delimiter: u8) -> Self {
        let mut masks = Self { quote: 0, delimiter: 0, newline: 0 };
        for (index, lanes) in block.as_chunks::<LANES>().0.iter().enumerate() {
            let chunk = Chunk::from_array(lanes);
            let shift = index * LANES;
            masks.quote |= u64::from(chunk.equal(quote)) << shift;
            masks.delimiter |= u64::from(chunk.equal(delimiter)) << shift;
            masks.newline |= u64::from(chunk.equal_either(b'\n', b'\r')) << shift;
        }
        masks
    }

    /// The masks of the last bytes of a text, fewer than a block.
    #[cold]
    fn of_tail(tail: &[u8], quote: u8, delimiter: u8) -> Self {
        let mut block = [0; BLOCK];
        block[..tail.len()].copy_from_slice(tail);
        let there = (1 << tail.len()) - 1;
        let masks = Self::of(&block, quote, delimiter);
        Self { quote: masks.quote & there, delimiter: masks.delimiter & there, newline: masks.newline & there }
    }
}

/// What is known of quotes at a block's first byte.
struct Quotes {
    /// All ones inside quotes, else zero.
    inside: u64,
    /// 1 where the byte before allows a quote to open: a field's or row's end, or a closing quote.
    may_open: u64,
    /// 1 where the byte before closed a quote.
    closed: u64,
}

/// A block with its quotes understood.
struct Block {
    /// Ends of fields and rows.
    ends: u64,
    /// Ends of rows among them.
    newline: u64,
    /// Bytes that must be changed when the field is taken: the second quote of a pair, line ends inside quotes.
    special: u64,
    /// Quotes, or bytes behind them, that the masks cannot understand.
    odd: u64,
}

impl Quotes {
    const OUTSIDE: Self = Self { inside: 0, may_open: 1, closed: 0 };

    #[inline(always)]
    fn apply(&mut self, masks: &Masks) -> Block {
        let separators = masks.delimiter | masks.newline;
        if masks.quote == 0 && self.inside == 0 {
            let odd = self.closed & !separators & 1;
            (self.may_open, self.closed) = (separators >> 63, 0);
            return Block { ends: separators, newline: masks.newline, special: 0, odd };
        }
        let inside = running_xor(masks.quote) ^ self.inside;
        let ends = separators & !inside;
        let (open, close) = (masks.quote & inside, masks.quote & !inside);
        let may_open = ((ends | close) << 1) | self.may_open;
        let behind_close = (close << 1) | self.closed;
        let odd = (open & !may_open) | (behind_close & !(ends | masks.quote));
        let special = (open & behind_close) | (masks.newline & inside);
        self.inside = 0_u64.wrapping_sub(inside >> 63);
        self.may_open = (ends | close) >> 63;
        self.closed = close >> 63;
        Block { ends, newline: masks.newline & !inside, special, odd }
    }
}

/// Each bit is the exclusive or of all bits up to it.
#[inline(always)]
fn running_xor(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// Why a scan stopped. The index is the first byte of a row.
enum Scan {
    /// No complete row is left.
    End(usize),
    /// The batch has its rows.
    Full(usize),
    /// The row needs the exact rules.
    Odd(usize),
    /// The row is refused.
    Fault(usize, Error),
}

impl CsvSplitter {
    /// As `split`, for dialects without escapes.
    pub(super) fn scan_rows(
        &mut self,
        text: &mut [u8],
        start: usize,
        ended: bool,
        origin: Origin,
        max_rows: usize,
    ) -> Split {
        // A CR at the end of what is there may be half of a CRLF.
        let hidden = usize::from(!ended && text.last() == Some(&b'\r') && text.len() > start);
        let length = text.len() - hidden;
        let text = &mut text[..length];
        let mut at = start;
        loop {
            at = match self.scan(text, at, origin, max_rows) {
                Scan::Full(next) => return Split { consumed: next, stop: Stop::Full },
                Scan::Fault(row, error) => return Split { consumed: row, stop: Stop::Fault(error) },
                Scan::End(row) if !ended || row == text.len() => return Split { consumed: row, stop: Stop::More },
                Scan::End(row) | Scan::Odd(row) => row,
            };
            match self.walk_row(text, at, ended, origin) {
                Ok(Some(next)) => at = next,
                Ok(None) => return Split { consumed: at, stop: Stop::More },
                Err(error) => return Split { consumed: at, stop: Stop::Fault(error) },
            }
            if self.rows + self.rejects.len() >= max_rows {
                return Split { consumed: at, stop: Stop::Full };
            }
        }
    }

    fn scan(&mut self, text: &mut [u8], start: usize, origin: Origin, max_rows: usize) -> Scan {
        let (quote, quoting) = (self.dialect.quote.unwrap_or(0), self.dialect.quote.is_some());
        let delimiter = self.dialect.delimiter;
        let width = self.names.columns.len();
        let (mut row_start, mut field_start) = (start, start);
        let mut row_first = self.fields.len();
        // One past the last byte that must be changed.
        let mut special_end = 0;
        let mut quotes = Quotes::OUTSIDE;
        self.odd_fields.clear();
        let mut block_start = start;
        while block_start < text.len() {
            let mut masks = match text[block_start..].first_chunk() {
                Some(block) => Masks::of(block, quote, delimiter),
                None => Masks::of_tail(&text[block_start..], quote, delimiter),
            };
            if !quoting {
                masks.quote = 0;
            }
            let Block { mut ends, newline, special, odd } = quotes.apply(&masks);
            if special != 0 {
                special_end = block_start + BLOCK - special.leading_zeros() as usize;
            }
            if odd != 0 {
                ends &= (1 << odd.trailing_zeros()) - 1;
            }
            while ends != 0 {
                let bit = ends.trailing_zeros();
                ends &= ends - 1;
                let at = block_start + bit as usize;
                let quoted = usize::from(quoting && text[field_start] == quote);
                self.fields.push(Span { start: (field_start + quoted) as u32, end: (at - quoted) as u32 });
                if special_end > field_start && quoted == 1 {
                    self.odd_fields.push(self.fields.len() - 1);
                }
                field_start = at + 1;
                if newline >> bit & 1 == 0 {
                    continue;
                }
                if at == row_start {
                    self.fields.pop();
                    self.line += u64::from(text[at] == b'\r' || at == start || text[at - 1] != b'\r');
                    row_start = at + 1;
                    continue;
                }
                let fits = self.fields.len() - row_first == width;
                if !fits && self.rejects.collect() && !self.lenient && self.misfit(text, row_first).is_some() {
                    // The exact way keeps the row as it was.
                    self.fields.truncate(row_first);
                    return Scan::Odd(row_start);
                }
                let lines = if self.odd_fields.is_empty() {
                    1
                } else {
                    self.keep_original(row_start, &text[row_start..at]);
                    1 + self.clean_fields(text)
                };
                if !fits && let Err(error) = self.fit_row(text, row_first, row_start, origin) {
                    return Scan::Fault(row_start, error);
                }
                self.add_row(row_start);
                self.line += lines;
                row_start = at + 1;
                row_first = self.fields.len();
                if self.rows == max_rows {
                    let both = text[at] == b'\r' && text.get(at + 1) == Some(&b'\n');
                    return Scan::Full(at + 1 + usize::from(both));
                }
            }
            if odd != 0 {
                self.fields.truncate(row_first);
                return Scan::Odd(row_start);
            }
            block_start += BLOCK;
        }
        self.fields.truncate(row_first);
        Scan::End(row_start)
    }

    /// Takes pairs of quotes and foreign line ends out of the fields of a row that may hold them. Says how many line
    /// ends they held.
    #[cold]
    fn clean_fields(&mut self, text: &mut [u8]) -> u64 {
        let quote = self.dialect.quote.unwrap_or(0);
        let mut total = 0;
        for index in self.odd_fields.drain(..) {
            let span = &mut self.fields[index];
            let (length, lines) = clean(&mut text[span.range()], quote);
            span.end = span.start + length as u32;
            total += lines;
        }
        total
    }
}

/// Makes one quote of each pair and LF of each CRLF and CR, in place: the new length, and the line ends seen.
fn clean(field: &mut [u8], quote: u8) -> (usize, u64) {
    let (mut at, mut to, mut lines) = (0, 0, 0);
    while at < field.len() {
        let byte = field[at];
        let pair = match byte {
            b'\r' => field.get(at + 1) == Some(&b'\n'),
            _ => byte == quote,
        };
        let line_end = matches!(byte, b'\n' | b'\r');
        field[to] = if line_end { b'\n' } else { byte };
        lines += u64::from(line_end);
        to += 1;
        at += 1 + usize::from(pair);
    }
    (to, lines)
}
