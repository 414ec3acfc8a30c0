//! Money, and what a run may spend, as plain values.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, Sub};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The bytes of a GB on a bill: on S3's price page, a GB is 2^30 bytes.
pub const GB: u64 = 1 << 30;

/// The smallest unit that is counted: 10^-12 of a dollar. The cheapest request there is costs 30,000 of them.
const UNITS_PER_DOLLAR: i128 = 1_000_000_000_000;

/// Decimal digits of [`UNITS_PER_DOLLAR`].
const DIGITS: usize = 12;

/// An amount of US dollars, exact to 10^-12.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Money(i128);

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Whole dollars.
    #[must_use]
    pub const fn dollars(dollars: u32) -> Self {
        Self(dollars as i128 * UNITS_PER_DOLLAR)
    }

    /// Reads a decimal number of dollars as JSON writes it: `0.0004`, `5`, `1e-5`. Digits beyond the twelfth are cut.
    /// `None` for anything else, for negative amounts, and for more than a billion.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || digits.len() > 30 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let shift = DIGITS as i32 + exponent.checked_sub(fraction.len() as i32)?;
        let number: i128 = digits.parse().ok()?;
        let factor = 10i128.checked_pow(shift.unsigned_abs())?;
        let units = if shift < 0 { number / factor } else { number.checked_mul(factor)? };
        Some(Self(units)).filter(|money| *money <= Self::dollars(1_000_000_000))
    }

    /// The price of `quantity` if this is the price of `unit`, rounded to the nearest 10^-12.
    #[must_use]
    pub fn times(self, quantity: u64, unit: u64) -> Self {
        let unit = i128::from(unit.max(1));
        Self((self.0 * i128::from(quantity) + unit / 2) / unit)
    }

    /// This less a percentage, given in ten-thousandths of a percent.
    #[must_use]
    pub fn discounted(self, percent_e4: u64) -> Self {
        let kept = 1_000_000u64.saturating_sub(percent_e4);
        self.times(kept, 1_000_000)
    }

    /// How many times `price` fits into this amount. The greatest number if the price is zero.
    #[must_use]
    pub fn fits(self, price: Self) -> u64 {
        if price.0 <= 0 {
            return u64::MAX;
        }
        u64::try_from((self.0 / price.0).max(0)).unwrap_or(u64::MAX)
    }

    /// The rest after `other` is subtracted, and at least zero.
    #[must_use]
    pub fn less(self, other: Self) -> Self {
        Self((self.0 - other.0).max(0))
    }

    /// The amount with all digits, for amounts that would otherwise look the same.
    #[must_use]
    pub fn exact(self) -> String {
        let units = self.0.unsigned_abs();
        let dollar = UNITS_PER_DOLLAR.unsigned_abs();
        let fraction = format!("{:0DIGITS$}", units % dollar);
        let fraction = fraction.trim_end_matches('0');
        format!("{}${}.{fraction:0<2}", if self.0 < 0 { "-" } else { "" }, units / dollar)
    }

    /// The amount as a floating-point number of dollars: for display and for JSON.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / UNITS_PER_DOLLAR as f64
    }
}

impl fmt::Display for Money {
    /// Dollars and cents. Amounts below a dollar have four significant digits, so that the price of a few requests is
    /// not shown as zero.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let units = self.0.unsigned_abs();
        let dollar = UNITS_PER_DOLLAR.unsigned_abs();
        let leading_zeros = match units {
            0 => 0,
            _ => DIGITS.saturating_sub(units.ilog10() as usize + 1),
        };
        let places = if units == 0 || units >= dollar { 2 } else { (leading_zeros + 4).min(DIGITS) };
        let step = 10u128.pow((DIGITS - places) as u32);
        let rounded = (units + step / 2) / step;
        let scale = 10u128.pow(places as u32);
        let mut fraction = format!("{:0places$}", rounded % scale);
        while fraction.len() > 2 && fraction.ends_with('0') {
            fraction.pop();
        }
        write!(f, "${}.{fraction}", rounded / scale)
    }
}

impl Add for Money {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for Money {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl AddAssign for Money {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl Mul<u64> for Money {
    type Output = Self;

    fn mul(self, times: u64) -> Self {
        Self(self.0 * i128::from(times))
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// Where the program runs, which determines the price of transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(transform = crate::choice::words_only)]
pub enum Network {
    /// In the bucket's region: transfer costs nothing.
    SameRegion,
    /// In another region of AWS.
    CrossRegion,
    /// Anywhere else.
    Internet,
    /// Unknown: both prices are shown, and limits apply to the higher one.
    #[default]
    Unknown,
}

impl Network {
    /// All positions.
    pub const ALL: [Self; 4] = [Self::SameRegion, Self::CrossRegion, Self::Internet, Self::Unknown];

    /// The name that configurations use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SameRegion => "same_region",
            Self::CrossRegion => "cross_region",
            Self::Internet => "internet",
            Self::Unknown => "unknown",
        }
    }

    /// The position to which limits apply.
    #[must_use]
    pub fn dearest(self) -> Self {
        if self == Self::Unknown { Self::Internet } else { self }
    }
}

/// What happens at a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(transform = crate::choice::words_only)]
pub enum OnLimit {
    /// A run that would exceed a limit is refused before it reads anything. A run that reaches a limit fails.
    #[default]
    Fail,
    /// As much as the limit allows is read, in the order of the cursor, and the run succeeds. The next run continues.
    Partial,
}

/// How to handle archived objects that are not restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(transform = crate::choice::words_only)]
pub enum OnArchived {
    /// They are skipped, counted and reported.
    #[default]
    Skip,
    /// The stream fails when everything else is read.
    Fail,
}

/// The limits of a run. `None` means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Dollars.
    pub cost: Option<Money>,
    /// Files.
    pub files: Option<u64>,
    /// Bytes of objects, as stored.
    pub bytes: Option<u64>,
    /// HTTP requests, including retries.
    pub requests: Option<u64>,
}

impl Limits {
    /// Whether there is any.
    #[must_use]
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

/// The configured limits and prices.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spending {
    /// The limits of a run.
    pub limits: Limits,
    /// What happens at a limit.
    pub on_limit: OnLimit,
    /// Where the program runs.
    pub network: Network,
    /// The price table: `aws`, `none`, a path, or JSON. If `None`, it depends on the endpoint.
    pub price_table: Option<String>,
    /// The discount on list prices, in ten-thousandths of a percent.
    pub discount_percent_e4: u64,
    /// Whether each GET is also a billed request to KMS.
    pub kms_requests: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_numbers_are_read_exactly() {
        for (text, units) in [
            ("0.0004", 400_000_000),
            ("5", 5_000_000_000_000),
            ("5.0", 5_000_000_000_000),
            ("1e-5", 10_000_000),
            ("3E-05", 30_000_000),
            ("2.5e1", 25_000_000_000_000),
            ("0.0000000000019", 1),
        ] {
            assert_eq!(Money::parse(text), Some(Money(units)), "{text}");
        }
        for text in ["", "-1", "x", "1.2.3", "1e", "1e99", "2000000000", ".", "+1"] {
            assert_eq!(Money::parse(text), None, "{text}");
        }
    }

    #[test]
    fn amounts_show_cents_or_four_digits_that_matter() {
        for (text, shown) in [
            ("0", "$0.00"),
            ("120.5", "$120.50"),
            ("87.9051", "$87.91"),
            ("9.775625", "$9.78"),
            ("0.00405", "$0.00405"),
            ("0.000050001", "$0.00005"),
            ("0.25", "$0.25"),
            ("0.99999", "$1.00"),
            ("0.000000000001", "$0.000000000001"),
            ("1.005", "$1.01"),
        ] {
            assert_eq!(Money::parse(text).unwrap().to_string(), shown, "{text}");
        }
        assert_eq!((Money::ZERO - Money::dollars(2)).to_string(), "-$2.00");
    }

    #[test]
    fn prices_by_the_gigabyte_are_exact_to_the_last_unit() {
        let internet = Money::parse("0.09").unwrap();
        assert_eq!(internet.times(GB, GB), internet);
        assert_eq!(internet.times(10_000 * (100 << 20), GB), Money::parse("87.890625").unwrap());
        assert_eq!(internet.times(1, GB), Money(84), "0.09 / 2^30 is 83.8 of 10^-12");
        assert_eq!(Money::parse("0.005").unwrap().times(13, 1000), Money::parse("0.000065").unwrap());
        assert_eq!(internet.discounted(125_000), Money::parse("0.07875").unwrap(), "12.5 percent");
        assert_eq!(Money::dollars(1).fits(internet), 11);
        assert_eq!(Money::dollars(1).fits(Money::ZERO), u64::MAX);
    }
}
