//! The text of a page without its compression, as far as it is looked at: what a page's header does not tell stands at the
//! beginning of its text.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use brotli_decompressor::Decompressor as Brotli;
use flate2::read::MultiGzDecoder;
use parquet::basic::Compression;

use crate::compression::RawSnappy;

/// Text that is made at once.
const PIECE_BYTES: usize = 16 << 10;

/// The text of `stored`, which is `decoded` bytes long. Codecs that are no streams make all of it.
///
/// # Errors
/// Where the codec is one that nobody reads, or the bytes are damaged; the latter may also turn up in reading.
pub(super) fn body<'a>(codec: Compression, stored: &'a [u8], decoded: usize) -> io::Result<Box<dyn BufRead + 'a>> {
    let buffered = |text: Box<dyn Read + 'a>| -> Box<dyn BufRead + 'a> {
        Box::new(BufReader::with_capacity(PIECE_BYTES.min(decoded.max(64)), text))
    };
    Ok(match codec {
        Compression::UNCOMPRESSED => Box::new(stored),
        Compression::SNAPPY => {
            buffered(Box::new(Snappy { text: Text::Piecewise(RawSnappy::new(stored)), stored, read: 0 }))
        }
        Compression::GZIP(_) => buffered(Box::new(MultiGzDecoder::new(stored))),
        Compression::ZSTD(_) => buffered(Box::new(zstd::Decoder::with_buffer(stored)?)),
        Compression::BROTLI(_) => buffered(Box::new(Brotli::new(stored, PIECE_BYTES))),
        Compression::LZ4_RAW => Box::new(Cursor::new(lz4_block(stored, decoded)?)),
        Compression::LZ4 => Box::new(Cursor::new(lz4(stored, decoded)?)),
        Compression::LZO => return Err(io::Error::new(io::ErrorKind::Unsupported, "pages of LZO are not read")),
    })
}

/// The text of a block of Snappy. All compressors refer back only a little; where one does not, the whole text is made.
struct Snappy<'a> {
    text: Text<'a>,
    stored: &'a [u8],
    read: usize,
}

enum Text<'a> {
    Piecewise(RawSnappy<'a>),
    Whole(Cursor<Vec<u8>>),
}

impl Read for Snappy<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.text {
            Text::Whole(text) => return text.read(out),
            Text::Piecewise(text) => text.read(out),
        };
        if let Ok(count) = count {
            self.read += count;
            return Ok(count);
        }
        let whole = snap::raw::Decoder::new().decompress_vec(self.stored).map_err(invalid)?;
        let mut whole = Cursor::new(whole);
        whole.set_position(self.read as u64);
        let count = whole.read(out);
        self.text = Text::Whole(whole);
        count
    }
}

fn lz4_block(stored: &[u8], decoded: usize) -> io::Result<Vec<u8>> {
    lz4_flex::block::decompress(stored, decoded).map_err(invalid)
}

/// What goes by the name of LZ4 without more is Hadoop's framing, or by mistake of old writers one frame or one block.
fn lz4(stored: &[u8], decoded: usize) -> io::Result<Vec<u8>> {
    if let Some(text) = lz4_of_hadoop(stored, decoded) {
        return Ok(text);
    }
    let mut text = Vec::new();
    let frame = lz4_flex::frame::FrameDecoder::new(stored).take(decoded as u64).read_to_end(&mut text);
    if frame.is_ok_and(|bytes| bytes == decoded) { Ok(text) } else { lz4_block(stored, decoded) }
}

fn lz4_of_hadoop(mut stored: &[u8], decoded: usize) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    while let Some((lengths, rest)) = stored.split_first_chunk::<8>() {
        let [long @ .., s0, s1, s2, s3] = lengths;
        let long = u32::from_be_bytes(*long.first_chunk()?) as usize;
        let (block, rest) = rest.split_at_checked(u32::from_be_bytes([*s0, *s1, *s2, *s3]) as usize)?;
        if text.len().checked_add(long)? > decoded {
            return None;
        }
        text.extend(lz4_block(block, long).ok().filter(|text| text.len() == long)?);
        stored = rest;
    }
    (stored.is_empty() && text.len() == decoded).then_some(text)
}

pub(super) fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use parquet::basic::{BrotliLevel, GzipLevel, ZstdLevel};

    fn text() -> Vec<u8> {
        (0..300_000u32).flat_map(|number| (number % 1000 * number % 77).to_le_bytes()).collect()
    }

    fn read(codec: Compression, stored: &[u8], decoded: usize) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        body(codec, stored, decoded)?.read_to_end(&mut text)?;
        Ok(text)
    }

    #[test]
    fn every_codec_gives_its_text() {
        let text = text();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&text).unwrap();
        let mut brotli = Vec::new();
        ::brotli::CompressorWriter::new(&mut brotli, 4096, 1, 22).write_all(&text).unwrap();
        let half = text.len() / 2;
        let hadoop = [&text[..half], &text[half..]].map(|text| {
            let block = lz4_flex::block::compress(text);
            [&(text.len() as u32).to_be_bytes()[..], &(block.len() as u32).to_be_bytes(), &block].concat()
        });
        let mut frame = lz4_flex::frame::FrameEncoder::new(Vec::new());
        frame.write_all(&text).unwrap();
        let stored = [
            (Compression::UNCOMPRESSED, text.clone()),
            (Compression::SNAPPY, snap::raw::Encoder::new().compress_vec(&text).unwrap()),
            (Compression::GZIP(GzipLevel::default()), gzip.finish().unwrap()),
            (Compression::ZSTD(ZstdLevel::default()), zstd::encode_all(&text[..], 1).unwrap()),
            (Compression::BROTLI(BrotliLevel::default()), brotli),
            (Compression::LZ4_RAW, lz4_flex::block::compress(&text)),
            (Compression::LZ4, hadoop.concat()),
            (Compression::LZ4, lz4_flex::block::compress(&text)),
            (Compression::LZ4, frame.finish().unwrap()),
        ];
        for (codec, stored) in stored {
            assert!(read(codec, &stored, text.len()).unwrap() == text, "{codec}");
            assert!(
                codec == Compression::UNCOMPRESSED || read(codec, &stored[..stored.len() / 2], text.len()).is_err()
            );
        }
    }

    /// A copy from further back than the piecewise reader keeps: the whole text is made instead.
    #[test]
    fn snappy_that_refers_far_back_is_read() {
        let noise: Vec<u8> = (0..4_000_000u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
        let length = noise.len() + 60;
        let mut stored =
            vec![(length & 127 | 128) as u8, (length >> 7 & 127 | 128) as u8, (length >> 14 & 127 | 128) as u8];
        stored.push((length >> 21) as u8);
        stored.push(63 << 2);
        stored.extend((noise.len() as u32 - 1).to_le_bytes());
        stored.extend(&noise);
        // A copy of 60 bytes from 3,999,000 bytes back.
        stored.push(59 << 2 | 3);
        stored.extend(3_999_000_u32.to_le_bytes());
        let text = read(Compression::SNAPPY, &stored, length).unwrap();
        assert!(text[..noise.len()] == noise && text[noise.len()..] == noise[1000..1060]);
    }
}
