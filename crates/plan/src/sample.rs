//! Selects the files of a sample for development, with at most a given fraction of the bytes and requests of the whole.
//!
//! Files are taken in the order of their places ([`sample_place`]), which depend only on their keys. So the sample is
//! the same each time, and one more or less file changes it only a little.

use tollgate_base::object::sample_place;

/// What a request of a listing costs beside a GET.
const LIST_WEIGHS_GETS: f64 = 12.5;

/// Bytes of a listing's answer for each object, about.
const LISTED_BYTES: f64 = 300.0;

/// The listing takes its share of the sample, but not more than this part of it: for a bucket of a few small files it costs
/// more than all else.
const LISTING_AT_MOST: f64 = 0.5;

/// Files to choose from. They come in the order of their keys.
#[derive(Debug, Default)]
pub struct Sampler {
    files: Vec<Candidate>,
    bytes: u64,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    place: f64,
    size: u64,
    divisible: bool,
}

/// The files of a sample.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sample {
    /// Their indices, ascending.
    pub files: Vec<u32>,
    /// The file that is read only in part, and the number of bytes to read.
    pub cut: Option<(u32, u64)>,
    /// The approximate number of bytes to read.
    pub bytes: u64,
    /// Bytes of all files.
    pub of_bytes: u64,
}

/// The size of the listing that found the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListingSize {
    /// Requests.
    pub pages: u64,
    /// Objects, of the stream or not.
    pub objects: u64,
}

impl Sampler {
    /// A file. `divisible`: whether a part of it can be read.
    pub fn push(&mut self, key: &str, size: u64, divisible: bool) {
        self.files.push(Candidate { place: sample_place(key), size, divisible });
        self.bytes = self.bytes.saturating_add(size);
    }

    /// Chooses at most the fraction `part` of the whole. Whole files are added while they fit. If they have less than
    /// half of the bytes, one more file is read in part. A sample has at least one file, if there is any.
    #[must_use]
    pub fn choose(&self, part: f64, listing: ListingSize) -> Sample {
        let reduced = |whole: f64, listed: f64| {
            let most = whole * part;
            (most - (1.0 - part) * listed).max(most * LISTING_AT_MOST)
        };
        let bytes = reduced(self.bytes as f64, listing.objects as f64 * LISTED_BYTES) as u64;
        let files = reduced(self.files.len() as f64, listing.pages as f64 * LIST_WEIGHS_GETS);
        let files = (files as usize).max(1);
        let mut order: Vec<u32> = (0..self.files.len() as u32).collect();
        let file = |index: u32| self.files[index as usize];
        order.sort_by(|&a, &b| file(a).place.total_cmp(&file(b).place).then(a.cmp(&b)));
        let mut sample = Sample { of_bytes: self.bytes, ..Sample::default() };
        for &index in &order {
            if sample.files.len() == files {
                break;
            }
            if sample.bytes + file(index).size <= bytes {
                sample.files.push(index);
                sample.bytes += file(index).size;
            }
        }
        let rest = bytes - sample.bytes;
        let unfit = |index: &&u32| file(**index).divisible && file(**index).size > rest;
        if rest > bytes / 2
            && let Some(&index) = order.iter().find(unfit)
        {
            sample.files.push(index);
            sample.cut = Some((index, rest));
            sample.bytes = bytes;
        }
        if sample.files.is_empty()
            && let Some(&index) = order.iter().min_by_key(|index| file(**index).size)
        {
            sample.files.push(index);
            sample.bytes = file(index).size;
        }
        sample.files.sort_unstable();
        sample
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn choose(sizes: &[u64], divisible: bool, part: f64) -> Sample {
        let mut sampler = Sampler::default();
        for (index, size) in sizes.iter().enumerate() {
            sampler.push(&format!("data/part-{index:05}.csv"), *size, divisible);
        }
        let objects = sizes.len() as u64;
        sampler.choose(part, ListingSize { pages: objects.div_ceil(1000), objects })
    }

    /// What the sample costs in GETs, beside the whole.
    fn requests(sample: &Sample, files: usize) -> f64 {
        let listing = files.div_ceil(1000) as f64 * LIST_WEIGHS_GETS;
        (sample.files.len() as f64 + listing) / (files as f64 + listing)
    }

    /// B19: a tenth saved 88 %, of 20 files 72 %, of one file nothing.
    #[test]
    fn a_tenth_saves_nine_tenths() {
        let sample = choose(&vec![MIB; 2000], false, 0.1);
        assert!(sample.bytes * 10 <= sample.of_bytes && sample.bytes * 12 > sample.of_bytes, "{}", sample.bytes);
        assert!(requests(&sample, 2000) <= 0.1, "{}", requests(&sample, 2000));
        let sample = choose(&[2 * MIB; 20], false, 0.1);
        assert!(sample.bytes * 10 <= sample.of_bytes && !sample.files.is_empty(), "{sample:?}");
        let one = choose(&[45 * MIB], true, 0.1);
        assert_eq!(one.files, [0]);
        let (index, bytes) = one.cut.unwrap();
        assert!(index == 0 && bytes * 10 <= 45 * MIB && bytes * 11 > 45 * MIB, "{bytes}");
        // It cannot be read in part: better all of it than nothing.
        assert_eq!(
            choose(&[45 * MIB], false, 0.1),
            Sample { files: vec![0], bytes: 45 * MIB, of_bytes: 45 * MIB, cut: None }
        );
        assert_eq!(choose(&[], true, 0.1), Sample::default());
    }

    /// Sizes of all orders of magnitude: whatever they are, a sample does not have more than its part.
    #[test]
    fn large_files_do_not_make_a_sample_dear() {
        let mut random = 7_u64;
        for round in 0..200 {
            let sizes: Vec<u64> = (0..1 + round % 70)
                .map(|_| {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    1 + (1_u64 << (10 + (random >> 33) % 20)) * ((random >> 55) + 100) / 400
                })
                .collect();
            let total: u64 = sizes.iter().sum();
            let sample = choose(&sizes, true, 0.1);
            assert!(!sample.files.is_empty() && sample.bytes <= total / 10 + 1, "{sizes:?} {sample:?}");
            assert!(sample.bytes > total / 50, "{sizes:?} {sample:?}");
            // Without parts the least file is the least sample.
            let least = sizes.iter().copied().min().unwrap_or_default();
            assert!(choose(&sizes, false, 0.1).bytes <= (total / 10).max(least), "{sizes:?}");
        }
    }

    #[test]
    fn a_sample_is_the_same_each_time_and_a_new_file_changes_little_of_it() {
        let sizes = vec![MIB; 3000];
        let before = choose(&sizes[..2990], true, 0.1);
        assert_eq!(before, choose(&sizes[..2990], true, 0.1));
        let after = choose(&sizes, true, 0.1);
        let lost = before.files.iter().filter(|index| !after.files.contains(index)).count();
        assert!(lost <= 3, "{lost} of {}", before.files.len());
        assert_eq!(choose(&sizes, true, 1.0).files.len(), 3000);
        // Of a key of its own each: a change of the hash changes what everybody's development runs read.
        assert_eq!(
            format!("{:.12} {:.12}", sample_place(""), sample_place("data/part-00001.csv")),
            "0.957673425242 0.990121311602"
        );
    }
}
