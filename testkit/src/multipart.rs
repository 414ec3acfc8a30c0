//! Multipart uploads that are under way.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use md5::{Digest as _, Md5};
use s3s::dto::CompletedPart;
use s3s::{S3ErrorCode, S3Result};

use crate::content::Content;
use crate::store::{Object, md5_hex};

/// Every part but the last has at least this size.
const MIN_PART_BYTES: usize = 5 << 20;

/// One upload from its begin to its completion.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) key: String,
    /// The object to be: everything but its bytes. Its time is when the upload began, as on S3.
    pub(crate) object: Object,
    pub(crate) parts: BTreeMap<i32, UploadedPart>,
}

/// One part that has arrived.
#[derive(Clone, Debug)]
pub(crate) struct UploadedPart {
    pub(crate) bytes: Bytes,
    pub(crate) etag: String,
    pub(crate) modified_s: i64,
}

impl UploadedPart {
    pub(crate) fn new(bytes: Bytes, modified_s: i64) -> Self {
        let etag = md5_hex(&bytes);
        Self { bytes, etag, modified_s }
    }
}

impl Upload {
    /// The finished object: its ETag is the MD5 of the parts' MD5s and ends in `-N`.
    pub(crate) fn complete(&self, named: &[CompletedPart]) -> S3Result<Object> {
        let parts = self.chosen(named)?;
        let mut all = BytesMut::with_capacity(parts.iter().map(|part| part.bytes.len()).sum());
        let mut digest = Md5::new();
        for part in &parts {
            all.extend_from_slice(&part.bytes);
            digest.update(Md5::digest(&part.bytes));
        }
        let digest: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let mut object = self.object.clone();
        object.content = Content::Stored(all.freeze());
        object.etag = format!("{digest}-{}", parts.len());
        object.part_sizes = parts.iter().map(|part| part.bytes.len() as u64).collect();
        Ok(object)
    }

    /// The parts that the completion names: in ascending order, each as it was uploaded, none too small but the last.
    fn chosen(&self, named: &[CompletedPart]) -> S3Result<Vec<&UploadedPart>> {
        if named.is_empty() {
            return Err(S3ErrorCode::MalformedXML.into());
        }
        let mut last = 0;
        let mut chosen = Vec::with_capacity(named.len());
        for part in named {
            let number = part.part_number.unwrap_or(0);
            if number <= last {
                return Err(S3ErrorCode::InvalidPartOrder.into());
            }
            last = number;
            let uploaded = self.parts.get(&number).ok_or(S3ErrorCode::InvalidPart)?;
            if part.e_tag.as_ref().is_none_or(|etag| etag.value() != uploaded.etag) {
                return Err(S3ErrorCode::InvalidPart.into());
            }
            chosen.push(uploaded);
        }
        let too_small = chosen.iter().rev().skip(1).any(|part| part.bytes.len() < MIN_PART_BYTES);
        if too_small { Err(S3ErrorCode::EntityTooSmall.into()) } else { Ok(chosen) }
    }
}
