//! Checksums that a writer sends: compared with the bytes, kept, and told again to readers who ask.

use base64_simd::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use md5::{Digest as _, Md5};
use s3s::crypto::{Checksum, Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
use s3s::dto::CompleteMultipartUploadOutput;
use s3s::{S3ErrorCode, S3Request, S3Result, s3_error};

/// One of S3's checksum algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// CRC-32 as in gzip.
    Crc32,
    /// CRC-32C.
    Crc32c,
    /// CRC-64/NVME.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

const ALL: [Algorithm; 5] =
    [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme, Algorithm::Sha1, Algorithm::Sha256];

impl Algorithm {
    fn header(self) -> HeaderName {
        HeaderName::from_static(match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        })
    }

    fn of(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Crc32 => Crc32::checksum(bytes).to_vec(),
            Self::Crc32c => Crc32c::checksum(bytes).to_vec(),
            Self::Crc64Nvme => Crc64Nvme::checksum(bytes).to_vec(),
            Self::Sha1 => Sha1::checksum(bytes).as_ref().to_vec(),
            Self::Sha256 => Sha256::checksum(bytes).as_ref().to_vec(),
        }
    }
}

/// The checksum of an object or a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    algorithm: Algorithm,
    /// Base64; of an object in parts followed by `-N`.
    text: String,
}

impl Known {
    /// The checksum that a writer who gives it would give.
    pub(crate) fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        Self { algorithm, text: STANDARD.encode_to_string(algorithm.of(bytes)) }
    }

    /// The header that tells it.
    pub(crate) fn insert_into(&self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_str(&self.text) {
            headers.insert(self.algorithm.header(), value);
        }
        let kind = if self.text.contains('-') { "COMPOSITE" } else { "FULL_OBJECT" };
        headers.insert("x-amz-checksum-type", HeaderValue::from_static(kind));
    }

    /// The element that tells it when an upload is completed.
    pub(crate) fn fill(&self, output: &mut CompleteMultipartUploadOutput) {
        let text = Some(self.text.clone());
        match self.algorithm {
            Algorithm::Crc32 => output.checksum_crc32 = text,
            Algorithm::Crc32c => output.checksum_crc32c = text,
            Algorithm::Crc64Nvme => output.checksum_crc64nvme = text,
            Algorithm::Sha1 => output.checksum_sha1 = text,
            Algorithm::Sha256 => output.checksum_sha256 = text,
        }
    }

    /// The checksum of a whole whose parts have these: over all bytes, or of the parts' checksums one after another.
    pub(crate) fn of_parts(parts: &[Option<&Self>], whole: &[u8], full_object: bool) -> Option<Self> {
        let algorithm = parts.first().copied().flatten()?.algorithm;
        let same = |part: &Option<&Self>| part.filter(|part| part.algorithm == algorithm).map(|part| part.text.clone());
        let texts: Vec<String> = parts.iter().map(same).collect::<Option<_>>()?;
        if full_object || algorithm == Algorithm::Crc64Nvme {
            return Some(Self { algorithm, text: STANDARD.encode_to_string(algorithm.of(whole)) });
        }
        let raw: Option<Vec<Vec<u8>>> = texts.iter().map(|text| STANDARD.decode_to_vec(text).ok()).collect();
        let sum = STANDARD.encode_to_string(algorithm.of(&raw?.concat()));
        Some(Self { algorithm, text: format!("{sum}-{}", parts.len()) })
    }
}

/// Compares the bytes of a request with the checksum and the MD5 that it names in headers or in trailers. Returns the
/// checksum that it names.
pub(crate) fn verify<T>(request: &S3Request<T>, bytes: &[u8]) -> S3Result<Option<Known>> {
    if let Some(expected) = request.headers.get("content-md5") {
        let expected = STANDARD.decode_to_vec(expected.as_bytes()).map_err(|_| S3ErrorCode::InvalidDigest)?;
        if expected != Md5::digest(bytes).as_slice() {
            return Err(s3_error!(BadDigest, "The Content-MD5 you specified did not match what we received."));
        }
    }
    let in_trailers = request.trailing_headers.as_ref().and_then(|trailers| trailers.read(find)).flatten();
    let Some((algorithm, expected)) = find(&request.headers).or(in_trailers) else { return Ok(None) };
    let actual = algorithm.of(bytes);
    match STANDARD.decode_to_vec(&expected) {
        Ok(raw) if raw == actual => Ok(Some(Known { algorithm, text: expected })),
        Ok(raw) if raw.len() == actual.len() => {
            Err(s3_error!(BadDigest, "The {algorithm:?} you specified did not match the calculated checksum."))
        }
        _ => Err(s3_error!(InvalidRequest, "Value for {} header is invalid.", algorithm.header())),
    }
}

fn find(headers: &HeaderMap) -> Option<(Algorithm, String)> {
    ALL.into_iter().find_map(|algorithm| {
        let value = headers.get(algorithm.header())?.to_str().ok()?;
        Some((algorithm, value.to_owned()))
    })
}
