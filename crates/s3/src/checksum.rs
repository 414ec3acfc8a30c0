//! The checksum of an object, computed while it is downloaded.
//!
//! A server has only the checksum of a whole object. So the checksum is computed over all bytes, even if they come from
//! several requests or several runs: see [`Proof`]. If the server has none, our own checksum still shows whether a
//! later run gets the same bytes as an earlier one.

use std::collections::VecDeque;
use std::sync::Arc;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_smithy_checksums::ChecksumAlgorithm;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use crc_fast::{CrcAlgorithm, Digest};

use tollgate_base::batch::{Proof, ProofAlgorithm};
use tollgate_base::error::{Error, ErrorKind, Result, Subject};

/// Places that are kept for proofs at most. Where there are more, those that remain lie twice as far apart.
const MOST_PLACES: usize = 4096;

/// See the module documentation.
pub struct Checksum {
    sum: Sum,
    /// Bytes of the object that were seen.
    at: u64,
    /// The object's size.
    size: u64,
    expected: Option<Arc<str>>,
    /// Offsets and the states before them, ascending: a later run may begin at each.
    places: VecDeque<(u64, u64)>,
    /// Bytes between two of them at least.
    spacing: u64,
    /// What an earlier run saw: at this offset, this state.
    earlier: Option<(u64, u64)>,
    /// The offset and the state before the bytes that were taken last.
    before_last: Option<(u64, u64)>,
}

#[expect(clippy::large_enum_variant, reason = "there is one for each body, and it is updated in place")]
enum Sum {
    Crc(ProofAlgorithm, Digest),
    /// Its state cannot be saved.
    Sha(Box<dyn aws_smithy_checksums::http::HttpChecksum>),
    Done,
}

impl Checksum {
    /// The checksum that an answer with a whole object of `size` bytes promises.
    pub(super) fn promised(answer: &GetObjectOutput, size: u64) -> Option<Self> {
        let crc = |algorithm| Sum::Crc(algorithm, Digest::new(crc_of(algorithm)));
        let sha = |algorithm: ChecksumAlgorithm| Sum::Sha(algorithm.into_impl());
        let (sum, expected) = if let Some(text) = answer.checksum_crc64_nvme() {
            (crc(ProofAlgorithm::Crc64nvme), text)
        } else if let Some(text) = answer.checksum_crc32_c() {
            (crc(ProofAlgorithm::Crc32c), text)
        } else if let Some(text) = answer.checksum_crc32() {
            (crc(ProofAlgorithm::Crc32), text)
        } else if let Some(text) = answer.checksum_sha1() {
            (sha(ChecksumAlgorithm::Sha1), text)
        } else {
            (sha(ChecksumAlgorithm::Sha256), answer.checksum_sha256()?)
        };
        // That of an object in parts is made of those of its parts, and says nothing of its bytes as a whole.
        let whole = BASE64.decode(expected).is_ok();
        whole.then(|| Self::new(sum, size, Some(expected.into())))
    }

    /// Our own checksum of an object, or of a part of it, for which the server has none.
    #[must_use]
    pub fn own(size: u64) -> Self {
        let algorithm = ProofAlgorithm::Crc64nvme;
        Self::new(Sum::Crc(algorithm, Digest::new(crc_of(algorithm))), size, None)
    }

    /// Resumes the checksum of an earlier run, at the byte from which it continues.
    #[must_use]
    pub fn resumed(proof: &Proof, size: u64) -> Self {
        let digest = Digest::new_with_init_state(crc_of(proof.algorithm), proof.from_state);
        let checksum = Self::new(Sum::Crc(proof.algorithm, digest), size, proof.expected.clone());
        let places = VecDeque::from([(proof.from, proof.from_state)]);
        Self { at: proof.from, places, earlier: Some((proof.until, proof.until_state)), ..checksum }
    }

    fn new(sum: Sum, size: u64, expected: Option<Arc<str>>) -> Self {
        let places = sum.state().map(|state| (0, state)).into_iter().collect();
        Self { sum, at: 0, size, expected, places, spacing: 0, earlier: None, before_last: None }
    }

    /// Whether the server has a checksum of the object.
    #[must_use]
    pub fn promised_by_server(&self) -> bool {
        self.expected.is_some()
    }

    /// Whether the bytes that an earlier run was given are still to be compared with these.
    #[must_use]
    pub fn awaits_comparison(&self) -> bool {
        self.earlier.is_some()
    }

    /// Adds the next bytes, before they are used.
    ///
    /// # Errors
    /// [`ErrorKind::Transient`] if these are not the bytes that an earlier run received, or, after the last byte of the
    /// object, if the checksum does not match. Rows from earlier bytes are then suspect.
    pub fn update(&mut self, bytes: &[u8]) -> Result<()> {
        self.before_last = self.sum.state().map(|state| (self.at, state));
        if let Some((until, state)) = self.earlier
            && let Some(length) = until.checked_sub(self.at).filter(|length| *length <= bytes.len() as u64)
        {
            let (before, after) = bytes.split_at(length as usize);
            self.add(before);
            self.earlier = None;
            if self.sum.state() != Some(state) {
                let message = "the server sent different bytes than in an earlier run, with the same ETag";
                return Err(self.wrong(message));
            }
            self.add(after);
        } else {
            self.add(bytes);
        }
        match self.at >= self.size {
            true => self.complete(),
            false => Ok(()),
        }
    }

    /// Makes byte `at` one of the places at which a later run may begin, where it is among the bytes that were taken last:
    /// `last`. Without this a later run begins where these begin.
    pub fn mark(&mut self, at: u64, last: &[u8]) {
        let (Some((start, state)), Sum::Crc(algorithm, _)) = (self.before_last, &self.sum) else { return };
        let Some(before) = at.checked_sub(start).and_then(|length| last.get(..usize::try_from(length).ok()?)) else {
            return;
        };
        let next = self.places.partition_point(|(place, _)| *place < at);
        if self.places.get(next).is_none_or(|(place, _)| *place != at) {
            let mut digest = Digest::new_with_init_state(crc_of(*algorithm), state);
            digest.update(before);
            self.places.insert(next, (at, digest.get_state()));
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        match &mut self.sum {
            Sum::Crc(_, digest) => digest.update(bytes),
            Sum::Sha(sum) => sum.update(bytes),
            Sum::Done => {}
        }
        self.at += bytes.len() as u64;
        let Some(state) = self.sum.state() else { return };
        if self.places.len() >= MOST_PLACES {
            let total = self.places.back().map_or(0, |(last, _)| last - self.places[0].0);
            self.spacing = 2 * total / MOST_PLACES as u64;
            let (spacing, mut kept) = (self.spacing, None);
            self.places.retain(|(place, _)| {
                let keep = kept.is_none_or(|kept| place - kept >= spacing);
                kept = if keep { Some(*place) } else { kept };
                keep
            });
        }
        if self.places.back().is_none_or(|(last, _)| self.at - last >= self.spacing) {
            self.places.push_back((self.at, state));
        }
    }

    fn complete(&mut self) -> Result<()> {
        // Where there is nothing to compare with now, a later run may still compare: the rows may turn out to be unreadable.
        let Some(expected) = self.expected.clone() else { return Ok(()) };
        let found = match std::mem::replace(&mut self.sum, Sum::Done) {
            Sum::Crc(ProofAlgorithm::Crc64nvme, digest) => digest.finalize().to_be_bytes().to_vec(),
            Sum::Crc(_, digest) => (digest.finalize() as u32).to_be_bytes().to_vec(),
            Sum::Sha(sum) => sum.finalize().to_vec(),
            Sum::Done => return Ok(()),
        };
        if BASE64.decode(&*expected).is_ok_and(|expected| expected == found) {
            return Ok(());
        }
        let error = self.wrong("the downloaded bytes do not match the checksum that the server stores");
        Err(error.with("checksum", BASE64.encode(found)).with("expected_checksum", expected))
    }

    fn wrong(&self, message: &str) -> Error {
        let error = Error::new(ErrorKind::Transient, message).with("byte", self.at);
        error.about(Subject::EarlierRows).hint("run the sync again; if the error remains, the object is damaged")
    }

    /// The proof for a position from which decoding resumes at byte `from`. `from` must not decrease from call to call.
    pub fn proof(&mut self, from: u64) -> Option<Box<Proof>> {
        while self.places.get(1).is_some_and(|(place, _)| *place <= from) {
            self.places.pop_front();
        }
        let &(place, from_state) = self.places.front().filter(|(place, _)| *place <= from)?;
        let Sum::Crc(algorithm, digest) = &self.sum else { return None };
        // What an earlier run saw behind these bytes still holds.
        let (until, until_state) = self.earlier.unwrap_or((self.at, digest.get_state()));
        let expected = self.expected.clone();
        Some(Box::new(Proof { algorithm: *algorithm, expected, from: place, from_state, until, until_state }))
    }
}

impl Sum {
    fn state(&self) -> Option<u64> {
        match self {
            Self::Crc(_, digest) => Some(digest.get_state()),
            Self::Sha(_) | Self::Done => None,
        }
    }
}

fn crc_of(algorithm: ProofAlgorithm) -> CrcAlgorithm {
    match algorithm {
        ProofAlgorithm::Crc32 => CrcAlgorithm::Crc32IsoHdlc,
        ProofAlgorithm::Crc32c => CrcAlgorithm::Crc32Iscsi,
        ProofAlgorithm::Crc64nvme => CrcAlgorithm::Crc64Nvme,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As [`Checksum::promised`], of an object with this content.
    fn promised(algorithm: ProofAlgorithm, content: &[u8]) -> Checksum {
        let mut digest = Digest::new(crc_of(algorithm));
        digest.update(content);
        let expected = match algorithm {
            ProofAlgorithm::Crc64nvme => BASE64.encode(digest.finalize().to_be_bytes()),
            _ => BASE64.encode((digest.finalize() as u32).to_be_bytes()),
        };
        let sum = Sum::Crc(algorithm, Digest::new(crc_of(algorithm)));
        Checksum::new(sum, content.len() as u64, Some(expected.into()))
    }

    const ALGORITHMS: [ProofAlgorithm; 3] = [ProofAlgorithm::Crc32, ProofAlgorithm::Crc32c, ProofAlgorithm::Crc64nvme];

    #[test]
    fn a_checksum_is_continued_from_each_place_by_a_later_run() {
        let content: Vec<u8> = (0..10_000u32).map(|number| (number * 31 % 251) as u8).collect();
        for (algorithm, from) in ALGORITHMS.into_iter().zip([0usize, 1, 4321].into_iter().cycle()) {
            let mut first = promised(algorithm, &content);
            content[..6000].chunks(700).for_each(|piece| first.update(piece).unwrap());
            let proof = first.proof(from as u64).unwrap();
            assert!(proof.from <= from as u64 && proof.from + 700 > from as u64 && proof.until == 6000, "{proof:?}");
            let saved = serde_json::to_string(&proof).unwrap();
            let proof: Proof = serde_json::from_str(&saved).unwrap();
            let rest = |wrong: Option<usize>| {
                let mut second = Checksum::resumed(&proof, content.len() as u64);
                let mut rest = content[proof.from as usize..].to_vec();
                if let Some(at) = wrong {
                    rest[at - proof.from as usize] ^= 1;
                }
                rest.chunks(999).try_for_each(|piece| second.update(piece))
            };
            rest(None).unwrap();
            let of_earlier_run = rest(Some(from + 5)).unwrap_err();
            assert!(
                of_earlier_run.subject() == Subject::EarlierRows
                    && of_earlier_run.to_string().contains("different bytes"),
                "{saved}"
            );
            let of_this_run = rest(Some(9_999)).unwrap_err();
            assert!(
                of_this_run.subject() == Subject::EarlierRows
                    && of_this_run.to_string().contains("do not match the checksum")
            );
        }
    }

    #[test]
    fn a_wrong_byte_of_an_earlier_run_is_found_at_the_end() {
        let content = vec![7u8; 5000];
        let mut first = promised(ProofAlgorithm::Crc32c, &content);
        let mut wrong = content[..3000].to_vec();
        wrong[10] = 8;
        first.update(&wrong).unwrap();
        let mut second = Checksum::resumed(&first.proof(3000).unwrap(), 5000);
        assert!(second.update(&content[3000..]).is_err());
    }

    /// The object was seen to its end, and yet nothing said whether its bytes were right.
    #[test]
    fn a_checksum_of_our_own_that_saw_all_bytes_still_proves_them_to_a_later_run() {
        let content: Vec<u8> = (0..5000u32).map(|number| (number % 251) as u8).collect();
        let mut wrong = content.clone();
        wrong[4000] ^= 1;
        let mut first = Checksum::own(5000);
        first.update(&wrong).unwrap();
        first.mark(3000, &wrong);
        let proof = first.proof(3000).unwrap();
        assert_eq!((proof.from, proof.until), (3000, 5000));
        let mut second = Checksum::resumed(&proof, 5000);
        assert!(second.awaits_comparison());
        assert!(second.update(&content[3000..]).unwrap_err().subject() == Subject::EarlierRows);
        let mut same = Checksum::resumed(&proof, 5000);
        same.update(&wrong[3000..]).unwrap();
        assert!(!same.awaits_comparison());
    }

    #[test]
    fn places_stay_few_and_a_position_before_all_of_them_has_no_proof() {
        let mut checksum = Checksum::own(1 << 30);
        for _ in 0..100_000 {
            checksum.update(&[1; 10]).unwrap();
        }
        assert!(checksum.places.len() <= MOST_PLACES);
        let proof = checksum.proof(500_000).unwrap();
        assert!(proof.from <= 500_000 && proof.from > 490_000, "{proof:?}");
        assert_eq!(checksum.proof(400_000), None, "it is before the last one that was asked for");
    }
}
