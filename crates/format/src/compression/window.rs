//! How much memory a decompressor needs: what the headers of its data say.

/// The memory that an xz stream may have, step by step: what the presets need, and at last what is twice as much as the
/// highest.
pub(super) const XZ_MEMORY_STEPS: [u64; 9] =
    [1 << 20, 2 << 20, 3 << 20, 5 << 20, 9 << 20, 17 << 20, 33 << 20, 65 << 20, 128 << 20];

/// The first bytes of a zstd frame, as far as they were seen.
#[derive(Debug, Default)]
pub(super) struct ZstdHeader {
    bytes: Vec<u8>,
}

impl ZstdHeader {
    /// The longest one: magic number, descriptor, window, dictionary and length.
    const MOST_BYTES: usize = 4 + 1 + 1 + 4 + 8;

    /// Looks at the frame's next bytes.
    pub(super) fn see(&mut self, input: &[u8]) {
        let missing = Self::MOST_BYTES - self.bytes.len();
        self.bytes.extend_from_slice(&input[..input.len().min(missing)]);
    }

    /// The window's length; 0 where it was not seen yet.
    pub(super) fn window_bytes(&self) -> u64 {
        self.window().unwrap_or(0)
    }

    /// See RFC 8878, 3.1.1.1.
    fn window(&self) -> Option<u64> {
        let descriptor = *self.bytes.get(4)?;
        let one_segment = descriptor & 0x20 != 0;
        if !one_segment {
            let window = u64::from(*self.bytes.get(5)?);
            let base = 1_u64 << (10 + (window >> 3));
            return Some(base + base / 8 * (window & 7));
        }
        // The window is the whole text, the length of which stands behind the number of the dictionary.
        let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
        let length = self.bytes.get(5 + dictionary..)?;
        let (bytes, more) = [(1, 0), (2, 256), (4, 0), (8, 0)][usize::from(descriptor >> 6)];
        let length = length.get(..bytes)?.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
        Some(length.saturating_add(more))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn window(stored: &[u8], piece: usize) -> u64 {
        let mut header = ZstdHeader::default();
        stored.chunks(piece).for_each(|piece| header.see(piece));
        header.window_bytes()
    }

    #[test]
    fn windows_of_zstd_are_those_of_its_encoder() {
        for bits in [10, 17, 20, 27] {
            let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
            encoder.set_parameter(zstd::stream::raw::CParameter::WindowLog(bits)).unwrap();
            encoder.write_all(&[7; 100_000]).unwrap();
            encoder.flush().unwrap();
            encoder.write_all(&[7; 100_000]).unwrap();
            let stored = encoder.finish().unwrap();
            assert_eq!(window(&stored, 1), 1 << bits);
        }
        for length in [0, 5, 255, 256, 70_000] {
            let stored = zstd::bulk::compress(&vec![7; length], 1).unwrap();
            assert_eq!(window(&stored, 3), length as u64, "of one segment");
        }
        assert_eq!(window(b"\x28\xb5\x2f\xfd", 1), 0, "not seen yet");
    }
}
