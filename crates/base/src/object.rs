//! An object as a listing describes it: plain values, no I/O.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time in microseconds since 1970, UTC.
///
/// Its text is the one Airbyte's file-based connectors write in records and in state:
/// `%Y-%m-%dT%H:%M:%S.%6fZ`, always six fraction digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since 1970.
    #[must_use]
    pub fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From whole seconds since 1970 and nanoseconds of that second.
    #[must_use]
    pub fn from_seconds(seconds: i64, nanos: u32) -> Self {
        Self(seconds.saturating_mul(1_000_000).saturating_add(i64::from(nanos / 1000)))
    }

    /// Microseconds since 1970.
    #[must_use]
    pub fn micros(self) -> i64 {
        self.0
    }

    /// Milliseconds since 1970, as in the protocol's `emitted_at`.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This time moved by a number of seconds.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }

    /// Reads a date (`2024-01-31`), or a date and time with or without fraction, `Z` or offset. A time without
    /// an offset is UTC. Offsets are applied.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(with_offset) = DateTime::parse_from_rfc3339(text) {
            return Some(Self(with_offset.timestamp_micros()));
        }
        let naive = NaiveDateTime::parse_from_str(text.trim_end_matches('Z'), "%Y-%m-%dT%H:%M:%S%.f")
            .ok()
            .or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0))?;
        Some(Self(naive.and_utc().timestamp_micros()))
    }

    /// The calendar form, if the time is within chrono's range.
    #[must_use]
    pub fn to_utc(self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_micros(self.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_utc() {
            Some(utc) => write!(f, "{}", utc.format("%Y-%m-%dT%H:%M:%S%.6fZ")),
            None => write!(f, "{} µs since 1970", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("'{text}' is not a date-time")))
    }
}

/// The storage class of an object, which decides what reading it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum StorageClass {
    /// `STANDARD`, also for listings without a class.
    #[default]
    Standard,
    /// `REDUCED_REDUNDANCY`.
    ReducedRedundancy,
    /// `INTELLIGENT_TIERING`.
    IntelligentTiering,
    /// `STANDARD_IA`.
    StandardIa,
    /// `ONEZONE_IA`.
    OnezoneIa,
    /// `GLACIER_IR`: instant retrieval, readable without a restore.
    GlacierIr,
    /// `GLACIER` (Flexible Retrieval): must be restored before it can be read.
    Glacier,
    /// `DEEP_ARCHIVE`: must be restored before it can be read.
    DeepArchive,
    /// An archived object with a temporary copy that can be read like `STANDARD`.
    Restored,
    /// `EXPRESS_ONEZONE`.
    ExpressOnezone,
    /// An unknown class. It is priced as `STANDARD`.
    Other,
}

impl StorageClass {
    /// Every class. Tables have a column for each, in this order.
    pub const ALL: [Self; 11] = [
        Self::Standard,
        Self::ReducedRedundancy,
        Self::IntelligentTiering,
        Self::StandardIa,
        Self::OnezoneIa,
        Self::GlacierIr,
        Self::Glacier,
        Self::DeepArchive,
        Self::Restored,
        Self::ExpressOnezone,
        Self::Other,
    ];

    /// The class with this name in listings.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name {
            "" | "STANDARD" => Self::Standard,
            "REDUCED_REDUNDANCY" => Self::ReducedRedundancy,
            "INTELLIGENT_TIERING" => Self::IntelligentTiering,
            "STANDARD_IA" => Self::StandardIa,
            "ONEZONE_IA" => Self::OnezoneIa,
            "GLACIER_IR" => Self::GlacierIr,
            "GLACIER" => Self::Glacier,
            "DEEP_ARCHIVE" => Self::DeepArchive,
            "EXPRESS_ONEZONE" => Self::ExpressOnezone,
            _ => Self::Other,
        }
    }

    /// The name in listings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "STANDARD",
            Self::ReducedRedundancy => "REDUCED_REDUNDANCY",
            Self::IntelligentTiering => "INTELLIGENT_TIERING",
            Self::StandardIa => "STANDARD_IA",
            Self::OnezoneIa => "ONEZONE_IA",
            Self::GlacierIr => "GLACIER_IR",
            Self::Glacier => "GLACIER",
            Self::DeepArchive => "DEEP_ARCHIVE",
            Self::Restored => "RESTORED",
            Self::ExpressOnezone => "EXPRESS_ONEZONE",
            Self::Other => "OTHER",
        }
    }

    /// Whether a GET fails with `InvalidObjectState` until the object is restored.
    #[must_use]
    pub fn archived(self) -> bool {
        matches!(self, Self::Glacier | Self::DeepArchive)
    }
}

/// The facts about one object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectFacts {
    /// The key, decoded.
    pub key: Arc<str>,
    /// Bytes as stored.
    pub size: u64,
    /// S3's `LastModified`. For a multipart upload that is when the upload *began*.
    pub modified_at: Timestamp,
    /// The ETag as in the listing, including quotes. Empty if the server has none.
    pub etag: Arc<str>,
    /// The storage class.
    pub storage_class: StorageClass,
}

/// A number between 0 and 1 for a key, evenly distributed. A sample of a given fraction is all keys below that
/// fraction, so a larger sample contains every smaller one. The number of a key never changes, because samples would
/// change too.
#[must_use]
pub fn sample_place(key: &str) -> f64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in key.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    // Keys that differ in their last letters only are still near each other.
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^= hash >> 31;
    (hash >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_read_every_form_that_configs_and_states_have() {
        let noon = Timestamp::from_seconds(1_705_320_000, 0);
        for text in [
            "2024-01-15T12:00:00Z",
            "2024-01-15T12:00:00",
            "2024-01-15T12:00:00.000000Z",
            "2024-01-15T14:00:00+02:00",
            "2024-01-15T12:00:00.000",
        ] {
            assert_eq!(Timestamp::parse(text), Some(noon), "{text}");
        }
        assert_eq!(Timestamp::parse("2024-01-15"), Some(noon.plus_seconds(-12 * 3600)));
        assert_eq!(Timestamp::parse("2021-13-01"), None);
        assert_eq!(noon.to_string(), "2024-01-15T12:00:00.000000Z");
    }
}
