//! Comparisons of sixteen bytes at a time, which return one bit per byte. They use SSE2, which every x86-64 processor
//! has, and plain loops elsewhere.

/// Bytes in a [`Chunk`].
pub const LANES: usize = 16;

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "SSE2 is part of the x86-64 baseline; these intrinsics touch registers only, no memory")]
mod lanes {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
        _mm_sub_epi8,
    };

    use super::LANES;

    /// Sixteen bytes.
    #[derive(Clone, Copy)]
    pub struct Chunk(__m128i);

    impl Chunk {
        /// From an array. Compiles to one load.
        #[inline(always)]
        #[must_use]
        pub fn from_array(bytes: &[u8; LANES]) -> Self {
            let whole = u128::from_le_bytes(*bytes);
            // SAFETY: SSE2 is always there on x86-64.
            Self(unsafe { _mm_set_epi64x((whole >> 64) as i64, whole as i64) })
        }

        /// A bit for each byte that equals `byte`; the first byte is the lowest bit.
        #[inline(always)]
        #[must_use]
        pub fn equal(self, byte: u8) -> u32 {
            // SAFETY: as above.
            unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(self.0, _mm_set1_epi8(byte as i8))) as u32 }
        }

        /// A bit for each byte that equals one of two.
        #[inline(always)]
        #[must_use]
        pub fn equal_either(self, one: u8, other: u8) -> u32 {
            // SAFETY: as above.
            unsafe {
                let one = _mm_cmpeq_epi8(self.0, _mm_set1_epi8(one as i8));
                let other = _mm_cmpeq_epi8(self.0, _mm_set1_epi8(other as i8));
                _mm_movemask_epi8(_mm_or_si128(one, other)) as u32
            }
        }

        /// A bit for each byte that is the same in both.
        #[inline(always)]
        #[must_use]
        pub fn same(self, other: Self) -> u32 {
            // SAFETY: as above.
            unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(self.0, other.0)) as u32 }
        }

        /// A bit for each ASCII digit.
        #[inline(always)]
        #[must_use]
        pub fn digits(self) -> u32 {
            // SAFETY: as above.
            unsafe {
                let value = _mm_sub_epi8(self.0, _mm_set1_epi8(b'0' as i8));
                _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(value, _mm_set1_epi8(9)), value)) as u32
            }
        }

        /// A bit for each byte that must be escaped in a JSON string: quote, backslash, control characters.
        #[inline(always)]
        #[must_use]
        pub fn needs_escape(self) -> u32 {
            // SAFETY: as above.
            unsafe {
                let quote = _mm_cmpeq_epi8(self.0, _mm_set1_epi8(b'"' as i8));
                let backslash = _mm_cmpeq_epi8(self.0, _mm_set1_epi8(b'\\' as i8));
                let control = _mm_cmpeq_epi8(_mm_min_epu8(self.0, _mm_set1_epi8(0x1f)), self.0);
                _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), control)) as u32
            }
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod lanes {
    use super::LANES;

    /// Sixteen bytes.
    #[derive(Clone, Copy)]
    pub struct Chunk([u8; LANES]);

    impl Chunk {
        /// From an array.
        #[inline(always)]
        #[must_use]
        pub fn from_array(bytes: &[u8; LANES]) -> Self {
            Self(*bytes)
        }

        #[inline(always)]
        fn mask(self, test: impl Fn(u8) -> bool) -> u32 {
            self.0.iter().enumerate().fold(0, |mask, (lane, &byte)| mask | (u32::from(test(byte)) << lane))
        }

        /// A bit for each byte that equals `byte`; the first byte is the lowest bit.
        #[inline(always)]
        #[must_use]
        pub fn equal(self, byte: u8) -> u32 {
            self.mask(|b| b == byte)
        }

        /// A bit for each byte that equals one of two.
        #[inline(always)]
        #[must_use]
        pub fn equal_either(self, one: u8, other: u8) -> u32 {
            self.mask(|b| b == one || b == other)
        }

        /// A bit for each byte that is the same in both.
        #[inline(always)]
        #[must_use]
        pub fn same(self, other: Self) -> u32 {
            (0..LANES).fold(0, |mask, lane| mask | (u32::from(self.0[lane] == other.0[lane]) << lane))
        }

        /// A bit for each ASCII digit.
        #[inline(always)]
        #[must_use]
        pub fn digits(self) -> u32 {
            self.mask(|b| b.is_ascii_digit())
        }

        /// A bit for each byte that must be escaped in a JSON string: quote, backslash, control characters.
        #[inline(always)]
        #[must_use]
        pub fn needs_escape(self) -> u32 {
            self.mask(|b| b == b'"' || b == b'\\' || b < 0x20)
        }
    }
}

pub use lanes::Chunk;

impl Chunk {
    /// The chunk that starts at `at`, if sixteen bytes are left.
    #[inline(always)]
    #[must_use]
    pub fn load(bytes: &[u8], at: usize) -> Option<Self> {
        bytes.get(at..)?.first_chunk().map(Self::from_array)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_have_a_bit_for_each_byte() {
        for byte in 0..=255_u8 {
            for lane in 0..LANES {
                let mut bytes = [b'x'; LANES];
                bytes[lane] = byte;
                let chunk = Chunk::from_array(&bytes);
                let expect = |test: bool| if test { 1_u32 << lane } else { 0 };
                let special = byte < 0x20 || byte == b'"' || byte == b'\\';
                assert_eq!(chunk.needs_escape(), expect(special), "{byte} {lane}");
                assert_eq!(chunk.digits(), expect(byte.is_ascii_digit()), "{byte} {lane}");
                assert_eq!(chunk.equal_either(b',', b'\r'), expect(byte == b',' || byte == b'\r'), "{byte} {lane}");
                assert_eq!(chunk.equal(b','), expect(byte == b','), "{byte} {lane}");
                assert_eq!(
                    chunk.same(Chunk::from_array(&[b'x'; LANES])),
                    0xffff ^ expect(byte != b'x'),
                    "{byte} {lane}"
                );
            }
        }
        assert!(Chunk::load(&[0; 20], 5).is_none() && Chunk::load(&[0; 20], 4).is_some());
    }
}
