//! Text in other encodings than UTF-8 on its way into a block.
//!
//! ```text
//!   Source ─▶ raw bytes ─ decoder ─▶ UTF-8 appended to the block
//!                └ line ends, now and then, are remembered as places to begin at
//! ```
//!
//! Positions count bytes of the UTF-8 form. To begin at one, the file's bytes must be found again: that is what frames
//! are for, and a line end at which conversion can begin is one.

use std::collections::VecDeque;

use encoding_rs::{Decoder, DecoderResult, Encoding, ISO_2022_JP, UTF_16BE, UTF_16LE};

use super::compression::{Filled, Source};
use super::encoding::TextEncoding;
use tollgate_base::batch::Frame;
use tollgate_base::error::Result;

/// Raw bytes that are converted at once.
const CHUNK_BYTES: usize = 64 << 10;
/// What a decoder wants to have free before it writes a character.
const SLACK_BYTES: usize = 16;

enum Converter {
    /// Every byte is the character of its number.
    Latin1,
    /// UTF-16 of which the first bytes tell the order of the two.
    UnknownUtf16,
    Standard(Box<Decoder>),
}

/// See the module's text.
pub(super) struct Transcoder {
    encoding: TextEncoding,
    converter: Converter,
    /// Bytes that are not converted.
    raw: Vec<u8>,
    /// Bytes of the file before them.
    raw_offset: u64,
    /// Bytes of UTF-8 made of what is before them.
    made: u64,
    /// Where this began.
    start: Frame,
    /// Places to begin at, at or before those that a caller may still ask for, oldest first.
    starts: VecDeque<Frame>,
    /// Whether what is no text becomes a question mark; otherwise it is an error.
    patching: bool,
    /// Places of question marks in what was made, that nobody asked for yet.
    patched: Vec<u64>,
    ended: bool,
    failure: Option<tollgate_base::error::Error>,
}

impl Transcoder {
    /// Begins where a source begins that gives the file's bytes from `start` on.
    pub(super) fn new(encoding: TextEncoding, start: Frame, patching: bool) -> Self {
        let converter = match encoding {
            TextEncoding::Utf16 => Converter::UnknownUtf16,
            TextEncoding::Standard(standard) => converter(standard),
            TextEncoding::Utf8 | TextEncoding::Ascii | TextEncoding::Latin1 => Converter::Latin1,
        };
        Self {
            encoding,
            converter,
            raw: Vec::new(),
            raw_offset: start.stored,
            made: start.decoded,
            start,
            starts: VecDeque::from([start]),
            patching,
            patched: Vec::new(),
            ended: false,
            failure: None,
        }
    }

    /// Appends text to `out` until it holds `target` bytes, about.
    pub(super) fn read(&mut self, source: &mut Source, out: &mut Vec<u8>, target: usize) -> Result<Filled> {
        while out.len() < target {
            if !self.raw.is_empty() || self.ended {
                match self.convert(out, target)? {
                    Filled::NeedBytes => {}
                    filled => return Ok(filled),
                }
            }
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            if self.fetch(source) == Filled::NeedBytes {
                return Ok(Filled::NeedBytes);
            }
        }
        Ok(Filled::Full)
    }

    /// Places in the text made where a question mark stands for what is no text, since the last call.
    pub(super) fn take_patched(&mut self) -> std::vec::Drain<'_, u64> {
        self.patched.drain(..)
    }

    /// Where reading can begin to get at the text from a decoded offset on. Offsets must not go down from call to call.
    /// Inside compressed data only the object's start is known.
    pub(super) fn frame_of(&mut self, offset: u64, compressed: bool) -> Frame {
        while self.starts.get(1).is_some_and(|next| next.decoded <= offset) {
            self.starts.pop_front();
        }
        let first = Frame { stored: 0, decoded: 0 };
        if compressed { first } else { self.starts.front().copied().unwrap_or(first) }
    }

    /// Fetches raw bytes, or the failure behind them. `NeedBytes` where there are none.
    fn fetch(&mut self, source: &mut Source) -> Filled {
        let before = self.raw.len();
        match source.read(&mut self.raw, before + CHUNK_BYTES) {
            Ok(Filled::NeedBytes) if self.raw.len() == before => return Filled::NeedBytes,
            Ok(filled) => self.ended = filled == Filled::End,
            Err(failure) => self.failure = Some(failure),
        }
        if matches!(self.converter, Converter::UnknownUtf16) {
            self.look_at_order();
        }
        Filled::Full
    }

    /// UTF-16 without a fixed order: the byte order mark at the file's start tells it, and elsewhere the line end that
    /// every place to begin at has. Without a mark the lower byte is first, as in Python on today's machines.
    fn look_at_order(&mut self) {
        let first = self.raw.first_chunk::<2>();
        if first.is_none() && !self.ended {
            return;
        }
        let big = matches!(first, Some([0xfe, 0xff] | [0, b'\n']));
        let encoding = if big { UTF_16BE } else { UTF_16LE };
        self.converter = converter(encoding);
        self.encoding = TextEncoding::Standard(encoding);
    }

    /// Converts what there is: `NeedBytes` when all of it is converted.
    fn convert(&mut self, out: &mut Vec<u8>, target: usize) -> Result<Filled> {
        if matches!(self.converter, Converter::UnknownUtf16) {
            return Ok(Filled::NeedBytes);
        }
        // What is converted first ends where a line does: reading can begin there again.
        let line_end = self.last_line_end().filter(|&at| at > 0);
        if let Some(line_end) = line_end {
            match self.convert_some(line_end, false, out, target)? {
                Filled::NeedBytes => {}
                filled => return Ok(filled),
            }
        }
        let (here, length) = (Frame { stored: self.raw_offset, decoded: self.made }, out.len());
        let filled = self.convert_some(self.raw.len(), self.ended, out, target);
        // Anything else means that the bytes before were no whole character.
        if line_end.is_some() && out.get(length) == Some(&b'\n') {
            self.starts.push_back(here);
        }
        filled
    }

    /// Converts the first `count` bytes.
    fn convert_some(&mut self, count: usize, last: bool, out: &mut Vec<u8>, target: usize) -> Result<Filled> {
        let mut done = 0;
        loop {
            let length = out.len();
            // No encoding here makes more than three bytes of one.
            let most = length + 3 * (count - done);
            out.resize(most.min(length.max(target)) + SLACK_BYTES, 0);
            let (result, read, written) = self.decode(&mut out[length..], done, count, last);
            out.truncate(length + written);
            done += read;
            self.made += written as u64;
            match result {
                DecoderResult::Malformed(..) if self.patching => {
                    out.push(b'?');
                    self.patched.push(self.made);
                    self.made += 1;
                }
                DecoderResult::Malformed(length, behind) => {
                    let at = (self.raw_offset + done as u64) - u64::from(length) - u64::from(behind);
                    return Err(self.encoding.fault(None, true).with("byte", at));
                }
                DecoderResult::OutputFull if out.len() < target => {}
                result => {
                    self.raw.drain(..done);
                    self.raw_offset += done as u64;
                    return Ok(match result {
                        DecoderResult::OutputFull => Filled::Full,
                        _ if last => Filled::End,
                        _ => Filled::NeedBytes,
                    });
                }
            }
        }
    }

    fn decode(&mut self, out: &mut [u8], from: usize, to: usize, last: bool) -> (DecoderResult, usize, usize) {
        let input = &self.raw[from..to];
        match &mut self.converter {
            Converter::Standard(decoder) => decoder.decode_to_utf8_without_replacement(input, out, last),
            Converter::Latin1 | Converter::UnknownUtf16 => {
                let (read, written) = encoding_rs::mem::convert_latin1_to_utf8_partial(input, out);
                let result = if read < input.len() { DecoderResult::OutputFull } else { DecoderResult::InputEmpty };
                (result, read, written)
            }
        }
    }

    /// The index of the last LF in the raw bytes, where conversion can begin at any. Beginning at the line end rather than
    /// behind it shows the order of bytes of UTF-16.
    fn last_line_end(&self) -> Option<usize> {
        let wide = |low: u8, high: u8| {
            // Units are counted from where this began.
            let odd = !(self.raw_offset - self.start.stored).is_multiple_of(2);
            let units = self.raw.get(usize::from(odd)..)?.as_chunks::<2>().0;
            units.iter().rposition(|unit| *unit == [low, high]).map(|index| 2 * index + usize::from(odd))
        };
        match self.encoding {
            TextEncoding::Standard(encoding) if encoding == UTF_16LE => wide(b'\n', 0),
            TextEncoding::Standard(encoding) if encoding == UTF_16BE => wide(0, b'\n'),
            // Its bytes mean something else behind an escape sequence.
            TextEncoding::Standard(encoding) if encoding == ISO_2022_JP => None,
            _ => memchr::memrchr(b'\n', &self.raw),
        }
    }
}

fn converter(encoding: &'static Encoding) -> Converter {
    Converter::Standard(Box::new(encoding.new_decoder_without_bom_handling()))
}
