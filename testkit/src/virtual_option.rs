//! `--virtual keys=1000000:match=1000`: a computed bucket on the command line.

use std::str::FromStr;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use time::macros::date;
use tollgate_testkit::{Content, VirtualBucket, VirtualObject};

/// The width of a row in bytes, the line feed included.
const ROW_BYTES: usize = 64;
/// The head of each CSV object.
const CSV_HEADER: &str = "id,name,amount\n";

/// A bucket of objects named `PREFIXdt=YYYY-MM-DD/part-NNNNNNNN.EXT`, the same number on each day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualOption {
    /// The bucket's name.
    pub bucket: String,
    keys: u64,
    /// Keys per day, so that a filter on one day matches so many.
    per_day: u64,
    prefix: String,
    rows: u64,
    format: Format,
    storage_class: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Csv,
    Jsonl,
}

impl FromStr for VirtualOption {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let mut option = Self {
            bucket: "virtual".to_owned(),
            keys: 1000,
            per_day: 1000,
            prefix: "data/".to_owned(),
            rows: 16,
            format: Format::Csv,
            storage_class: "STANDARD".to_owned(),
        };
        for setting in text.split(':') {
            let (name, value) = setting.split_once('=').with_context(|| format!("`{setting}` is not NAME=VALUE"))?;
            let number = || value.parse().with_context(|| format!("`{value}` is not a number for `{name}`"));
            match name {
                "bucket" => value.clone_into(&mut option.bucket),
                "keys" => option.keys = number()?,
                "match" => option.per_day = number()?.max(1),
                "prefix" => value.clone_into(&mut option.prefix),
                "rows" => option.rows = number()?,
                "size" => option.rows = number()? / ROW_BYTES as u64,
                "format" if value == "csv" => option.format = Format::Csv,
                "format" if value == "jsonl" => option.format = Format::Jsonl,
                "format" => bail!("`{value}` is not a format: csv, jsonl"),
                "class" => value.clone_into(&mut option.storage_class),
                _ => bail!("`{name}` is not a setting: bucket, keys, match, prefix, rows, size, format, class"),
            }
        }
        Ok(option)
    }
}

impl VirtualOption {
    /// The computed bucket.
    pub fn make(&self) -> VirtualBucket {
        let option = self.clone();
        VirtualBucket::new(self.keys, move |index| option.object(index))
    }

    fn object(&self, index: u64) -> VirtualObject {
        let day = i64::try_from(index / self.per_day).unwrap_or(0);
        let date = date!(2020 - 01 - 01).checked_add(time::Duration::days(day)).unwrap_or(time::Date::MAX);
        let (extension, content) = match self.format {
            Format::Csv => ("csv", Content::fixed_rows(CSV_HEADER, ROW_BYTES, self.rows, csv_row)),
            Format::Jsonl => ("jsonl", Content::fixed_rows("", ROW_BYTES, self.rows, jsonl_row)),
        };
        let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
        let key =
            format!("{}dt={year:04}-{month:02}-{day:02}/part-{:08}.{extension}", self.prefix, index % self.per_day);
        let midnight = u64::try_from(date.midnight().assume_utc().unix_timestamp()).unwrap_or(0);
        let mut object = VirtualObject::new(key, content);
        object.modified_at = SystemTime::UNIX_EPOCH + Duration::from_secs(midnight + 86_400);
        object.storage_class = self.storage_class.clone().into();
        object
    }
}

fn csv_row(row: u64, bytes: &mut [u8]) {
    let amount = row % 100_000;
    fill(bytes, &format!("{row:012},name-{row:027},{amount:014}.25\n"));
}

fn jsonl_row(row: u64, bytes: &mut [u8]) {
    let amount = row % 100_000;
    fill(bytes, &format!("{{\"id\":1{row:011},\"name\":\"n{row:011}\",\"amount\":1{amount:05}.25}}"));
    // Space before the line feed, which JSON does not mind.
    if let Some(last) = bytes.last_mut() {
        *last = b'\n';
    }
}

fn fill(bytes: &mut [u8], text: &str) {
    bytes.fill(b' ');
    let count = text.len().min(bytes.len());
    bytes[..count].copy_from_slice(&text.as_bytes()[..count]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_ascend_and_one_day_has_the_asked_number() {
        let option: VirtualOption = "keys=5000:match=100:bucket=b".parse().expect("settings");
        let keys: Vec<String> = (0..5000).map(|index| option.object(index).key).collect();
        assert!(keys.is_sorted_by(|left, right| left < right));
        assert_eq!(keys.iter().filter(|key| key.contains("dt=2020-02-10/")).count(), 100);
    }

    #[test]
    fn rows_are_whole_in_both_formats() {
        for format in ["csv", "jsonl"] {
            let option: VirtualOption = format!("rows=3:format={format}").parse().expect("settings");
            let bytes = option.object(7).content.to_bytes();
            let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
            assert!(text.ends_with('\n'), "{text}");
            for line in text.lines().filter(|line| *line != CSV_HEADER.trim_end()) {
                assert_eq!(line.len(), ROW_BYTES - 1, "{line}");
                let whole = match format {
                    "csv" => line.split(',').count() == 3,
                    _ => serde_json::from_str::<serde_json::Value>(line).is_ok_and(|row| row["amount"].is_number()),
                };
                assert!(whole, "{line}");
            }
        }
    }

    #[test]
    fn wrong_settings_are_named() {
        for (text, part) in [("kyes=1", "kyes"), ("keys=x", "`x`"), ("format=xml", "xml"), ("keys", "NAME=VALUE")] {
            let error = text.parse::<VirtualOption>().expect_err(text);
            assert!(format!("{error:#}").contains(part), "{error:#}");
        }
    }
}
