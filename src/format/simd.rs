//! Sixteen bytes looked at together: a bit for each that has a meaning.

/// A bit for each byte that is one of `wanted`.
#[inline]
pub(super) fn any_of(chunk: &[u8; 16], wanted: [u8; 4]) -> u64 {
    imp::any_of(chunk, wanted)
}

/// A bit for each byte that cannot stand in a JSON string as it is: quote, backslash, control characters.
#[inline]
pub(super) fn ends_json_text(chunk: &[u8; 16]) -> u64 {
    imp::ends_json_text(chunk)
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "SSE2 is part of every x86_64 processor; the calls have no other condition")]
mod imp {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
    };

    #[inline]
    pub(super) fn any_of(chunk: &[u8; 16], wanted: [u8; 4]) -> u64 {
        // SAFETY: SSE2 is part of every x86_64 processor.
        unsafe { any_of_sse2(chunk, wanted) }
    }

    #[inline]
    pub(super) fn ends_json_text(chunk: &[u8; 16]) -> u64 {
        // SAFETY: SSE2 is part of every x86_64 processor.
        unsafe { ends_json_text_sse2(chunk) }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn load(chunk: &[u8; 16]) -> __m128i {
        let number = u128::from_le_bytes(*chunk);
        _mm_set_epi64x((number >> 64) as i64, number as i64)
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn equal(bytes: __m128i, byte: u8) -> __m128i {
        _mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte.cast_signed()))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn any_of_sse2(chunk: &[u8; 16], [a, b, c, d]: [u8; 4]) -> u64 {
        let bytes = load(chunk);
        let found = _mm_or_si128(
            _mm_or_si128(equal(bytes, a), equal(bytes, b)),
            _mm_or_si128(equal(bytes, c), equal(bytes, d)),
        );
        u64::from(_mm_movemask_epi8(found).cast_unsigned())
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn ends_json_text_sse2(chunk: &[u8; 16]) -> u64 {
        let bytes = load(chunk);
        let control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
        let found = _mm_or_si128(_mm_or_si128(equal(bytes, b'"'), equal(bytes, b'\\')), control);
        u64::from(_mm_movemask_epi8(found).cast_unsigned())
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod imp {
    #[inline]
    fn mask(chunk: &[u8; 16], found: impl Fn(u8) -> bool) -> u64 {
        chunk.iter().enumerate().fold(0, |mask, (index, &byte)| mask | (u64::from(found(byte)) << index))
    }

    #[inline]
    pub(super) fn any_of(chunk: &[u8; 16], wanted: [u8; 4]) -> u64 {
        mask(chunk, |byte| wanted.contains(&byte))
    }

    #[inline]
    pub(super) fn ends_json_text(chunk: &[u8; 16]) -> u64 {
        mask(chunk, |byte| byte == b'"' || byte == b'\\' || byte < 0x20)
    }
}
