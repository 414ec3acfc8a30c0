//! Sixteen bytes at a time: comparisons that give one bit per byte. With SSE2, which every x86-64 has; elsewhere
//! with plain loops.

/// Bytes in a [`Chunk`].
pub const LANES: usize = 16;

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "SSE2 is part of the x86-64 baseline; these intrinsics touch registers only, no memory")]
mod lanes {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
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

        /// A bit for each byte that a JSON string cannot hold as it is: quote, backslash, control characters.
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

        /// A bit for each byte that a JSON string cannot hold as it is: quote, backslash, control characters.
        #[inline(always)]
        #[must_use]
        pub fn needs_escape(self) -> u32 {
            self.mask(|b| b == b'"' || b == b'\\' || b < 0x20)
        }
    }
}

pub use lanes::Chunk;

impl Chunk {
    /// The chunk that begins at `at`, where sixteen bytes are left there.
    #[inline(always)]
    #[must_use]
    pub fn load(bytes: &[u8], at: usize) -> Option<Self> {
        bytes.get(at..)?.first_chunk().map(Self::from_array)
    }
}
