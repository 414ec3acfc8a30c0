//! Prices: the dated table that the program includes, tables that replace its prices, and the price of a usage row.
//!
//! The table is `spec/prices.json`. A cell is `[dollars, mark]`, or only a number in a table that a user provides. The
//! mark is the confidence of the price: `A` is from a capture of the AWS price list, `B` from one bill or citation, and
//! `C` was entered by hand.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::Value;

use super::usage::{Operation, Row};
use tollgate_base::error::{Error, Result};
use tollgate_base::object::StorageClass;
use tollgate_base::spending::{GB, Money, Network, Spending};

/// The confidence of a price, from high to low.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Confidence {
    /// There is nothing to pay.
    #[default]
    Free,
    /// A capture of the AWS price list.
    A,
    /// One bill, or one citation of the price list.
    B,
    /// The user's own.
    Given,
    /// Entered by hand, or an assumption.
    C,
}

impl Confidence {
    /// The name that users see.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Free => "-",
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
            Self::Given => "given",
        }
    }
}

/// One price and its mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Price {
    /// Dollars for one unit.
    pub dollars: Money,
    /// The confidence of the price.
    pub mark: Confidence,
}

/// The table as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceTable {
    schema: u32,
    price_table_date: String,
    currency: String,
    gb_bytes: u64,
    #[serde(default)]
    #[expect(dead_code, reason = "for readers of the file")]
    source: String,
    fallback: RegionCells,
    regions: BTreeMap<String, RegionCells>,
    classes: BTreeMap<String, ClassCells>,
    kms_per_10k: Cell,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RegionCells {
    #[serde(default)]
    #[expect(dead_code, reason = "for readers of the file")]
    title: String,
    #[serde(default)]
    bill_prefix: String,
    tier1_per_1k: Cell,
    tier2_per_1k: Cell,
    egress_internet_per_gb: Option<Steps>,
    egress_region_per_gb: Option<Cell>,
    #[serde(default)]
    #[expect(dead_code, reason = "the other region is not told yet; the general price is the dearer one")]
    egress_to: BTreeMap<String, Cell>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClassCells {
    #[expect(
        dead_code,
        reason = "for writers: a reader's only request of this tier is LIST, at the price of STANDARD"
    )]
    tier1_per_1k: Cell,
    tier2_per_1k: Cell,
    retrieval_per_gb: Cell,
}

/// Prices that fall with the volume of a month: the GB that each step holds (`null` for the rest) and its price.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Steps {
    steps: Vec<(Option<u64>, Dollars)>,
    #[serde(default)]
    mark: Option<String>,
}

#[derive(Debug, Clone, Copy)]
struct Dollars(Money);

impl<'de> Deserialize<'de> for Dollars {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?.to_string();
        let wrong = || D::Error::custom(format!("{number} is not a price in dollars"));
        Money::parse(&number).map(Self).ok_or_else(wrong)
    }
}

#[derive(Debug, Clone, Copy)]
struct Cell(Price);

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Marked(Dollars, String),
            Plain(Dollars),
        }
        let expected = "a price is a number of dollars, or [dollars, \"A\"]";
        Ok(Self(match Written::deserialize(deserializer).map_err(|_| D::Error::custom(expected))? {
            Written::Marked(dollars, mark) => Price { dollars: dollars.0, mark: mark_of(Some(&mark)) },
            Written::Plain(dollars) => Price { dollars: dollars.0, mark: Confidence::Given },
        }))
    }
}

fn mark_of(text: Option<&str>) -> Confidence {
    match text {
        Some("A") => Confidence::A,
        Some("B") => Confidence::B,
        Some("C") => Confidence::C,
        _ => Confidence::Given,
    }
}

const EMBEDDED: &str = include_str!("../../../spec/prices.json");

impl PriceTable {
    /// The table that the program includes.
    #[must_use]
    pub fn embedded() -> Self {
        serde_json::from_str(EMBEDDED).expect("a committed file that a test reads")
    }

    /// A table that a user provides. Prices that it does not have are those of the included table.
    ///
    /// # Errors
    /// Config if it is not JSON, or has unknown names or wrong values.
    pub fn given(bytes: &[u8]) -> Result<Self> {
        let hint = "use the structure of spec/prices.json; prices that are absent keep their values from there";
        let fail = |reason: String| Error::config(format!("the price table cannot be read: {reason}")).hint(hint);
        let given: Value = serde_json::from_slice(bytes).map_err(|error| fail(error.to_string()))?;
        let mut whole: Value = serde_json::from_str(EMBEDDED).expect("a committed file that a test reads");
        lay_over(&mut whole, given);
        let table: Self = serde_json::from_value(whole).map_err(|error| fail(error.to_string()))?;
        if table.schema != 1 || table.currency != "USD" || table.gb_bytes != GB {
            return Err(fail("`schema` must be 1, `currency` USD and `gb_bytes` 1073741824".to_owned()));
        }
        Ok(table)
    }

    /// The prices of a bucket in `region`.
    #[must_use]
    pub fn of_region(&self, region: &str, spending: &Spending) -> Prices {
        let known = self.regions.get(region);
        let cells = known.unwrap_or(&self.fallback);
        let discounted = |price: Price| Price {
            dollars: price.dollars.discounted(spending.discount_percent_e4),
            mark: if known.is_some() { price.mark } else { Confidence::C },
        };
        let internet = cells.egress_internet_per_gb.as_ref().or(self.fallback.egress_internet_per_gb.as_ref());
        let own_internet = cells.egress_internet_per_gb.is_some();
        let internet_mark = internet.map(|steps| match own_internet {
            true => mark_of(steps.mark.as_deref()),
            false => Confidence::C,
        });
        let internet_per_gb = internet.iter().flat_map(|steps| &steps.steps).map(|(gigabytes, dollars)| {
            let price = Price { dollars: dollars.0, mark: internet_mark.unwrap_or_default() };
            TransferStep { bytes: gigabytes.map(|gigabytes| gigabytes.saturating_mul(GB)), price: discounted(price) }
        });
        let to_region = cells.egress_region_per_gb.or(self.fallback.egress_region_per_gb).map(|cell| match cells {
            RegionCells { egress_region_per_gb: Some(_), .. } => cell.0,
            _ => Price { mark: Confidence::C, ..cell.0 },
        });
        let classes = StorageClass::ALL.map(|class| {
            let own = self.classes.get(class.name());
            ClassPrices {
                tier2_per_1k: discounted(own.map_or(cells.tier2_per_1k, |own| own.tier2_per_1k).0),
                retrieval_per_gb: own.map(|own| own.retrieval_per_gb.0).map(discounted).unwrap_or_default(),
            }
        });
        Prices {
            date: Some(self.price_table_date.clone()),
            region: region.to_owned(),
            known_region: known.is_some(),
            bill_prefix: cells.bill_prefix.clone(),
            tier1_per_1k: discounted(cells.tier1_per_1k.0),
            classes,
            internet_per_gb: internet_per_gb.collect(),
            region_per_gb: to_region.map(discounted).unwrap_or_default(),
            kms_per_10k: spending.kms_requests.then(|| discounted(self.kms_per_10k.0)),
            discount_percent_e4: spending.discount_percent_e4,
        }
    }
}

/// How the run of a job is priced: a price table, if any, and the settings of the configuration.
#[derive(Debug, Clone)]
pub struct Pricing {
    table: Option<PriceTable>,
    spending: Spending,
}

impl Pricing {
    /// Prices from a table. Without a table, everything is free.
    #[must_use]
    pub fn new(table: Option<PriceTable>, spending: Spending) -> Self {
        Self { table, spending }
    }

    /// The prices of a bucket in `region`.
    #[must_use]
    pub fn prices(&self, region: &str) -> Prices {
        match &self.table {
            Some(table) => table.of_region(region, &self.spending),
            None => Prices::none(region),
        }
    }

    /// Where the program runs.
    #[must_use]
    pub fn network(&self) -> Network {
        self.spending.network
    }
}

/// Objects are merged key by key; everything else is replaced.
fn lay_over(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                lay_over(under.entry(key).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}

/// Whether an endpoint is AWS. `None` means AWS.
#[must_use]
pub fn endpoint_of_aws(endpoint: Option<&str>) -> bool {
    let Some(endpoint) = endpoint else { return true };
    let host = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let host = host.split(['/', ':']).next().unwrap_or(host).trim_end_matches('.').to_ascii_lowercase();
    [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"].iter().any(|suffix| host.ends_with(suffix))
}

/// The prices of one bucket: what each request and each byte costs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prices {
    /// The date of the table. `None` if there is no price list.
    pub date: Option<String>,
    /// The bucket's region.
    pub region: String,
    /// Whether the table has the region. If not, the highest prices are used.
    pub known_region: bool,
    bill_prefix: String,
    tier1_per_1k: Price,
    classes: [ClassPrices; StorageClass::ALL.len()],
    internet_per_gb: Vec<TransferStep>,
    region_per_gb: Price,
    kms_per_10k: Option<Price>,
    /// The discount that is included in the prices, in ten-thousandths of a percent.
    pub discount_percent_e4: u64,
}

/// A part of the bytes that leave for the internet, and its price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TransferStep {
    /// How many bytes have this price; `None` is all that follow.
    bytes: Option<u64>,
    price: Price,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct ClassPrices {
    tier2_per_1k: Price,
    retrieval_per_gb: Price,
}

impl Prices {
    /// Prices of zero, for servers other than AWS.
    #[must_use]
    pub fn none(region: &str) -> Self {
        Self { region: region.to_owned(), known_region: true, ..Self::default() }
    }

    /// The price of a thousand requests of a row.
    #[must_use]
    pub fn requests_per_1k(&self, row: Row) -> Price {
        match row.operation {
            Operation::ListObjects | Operation::PutObject => self.tier1_per_1k,
            Operation::GetObject | Operation::HeadObject => self.class(row).tier2_per_1k,
            Operation::HeadBucket => self.classes[StorageClass::Standard as usize].tier2_per_1k,
        }
    }

    /// The retrieval price of a GB of a row's class, without transfer.
    #[must_use]
    pub fn retrieval_per_gb(&self, row: Row) -> Price {
        if row.retrieval_usage_type().is_some() { self.class(row).retrieval_per_gb } else { Price::default() }
    }

    /// The price of the first GB that leaves S3.
    #[must_use]
    pub fn transfer_per_gb(&self, network: Network) -> Price {
        match network {
            Network::SameRegion => Price::default(),
            Network::CrossRegion => self.region_per_gb,
            Network::Internet | Network::Unknown => {
                self.internet_per_gb.first().map(|step| step.price).unwrap_or_default()
            }
        }
    }

    /// The price of ten thousand requests to KMS, if GETs need them.
    #[must_use]
    pub fn kms_per_10k(&self) -> Option<Price> {
        self.kms_per_10k
    }

    /// The price of transferring all bytes of a run out of S3. Over the internet, the price falls with each tier. Other
    /// transfers of the account in the month are unknown, so the first byte has the price of the first tier.
    #[must_use]
    pub fn transfer_cost(&self, bytes: u64, network: Network) -> Money {
        if !matches!(network, Network::Internet | Network::Unknown) {
            return self.transfer_per_gb(network).dollars.times(bytes, GB);
        }
        let (mut rest, mut cost) = (bytes, Money::ZERO);
        for step in &self.internet_per_gb {
            let within = step.bytes.map_or(rest, |held| held.min(rest));
            cost += step.price.dollars.times(within, GB);
            rest -= within;
        }
        // A table whose last step has an end: its price holds for what follows.
        cost + self.internet_per_gb.last().map_or(Money::ZERO, |last| last.price.dollars.times(rest, GB))
    }

    /// The cost of requests and bytes of a row, without transfer.
    #[must_use]
    pub fn fees(&self, row: Row, requests: u64, bytes: u64) -> Money {
        let kms = self.kms_per_10k.filter(|_| row.operation == Operation::GetObject).unwrap_or_default();
        self.requests_per_1k(row).dollars.times(requests, 1000)
            + kms.dollars.times(requests, 10_000)
            + self.retrieval_per_gb(row).dollars.times(bytes, GB)
    }

    /// A usage type with the prefix of the region, as on an AWS bill. us-east-1 has no prefix.
    #[must_use]
    pub fn usage_type(&self, plain: &str) -> String {
        if self.bill_prefix.is_empty() { plain.to_owned() } else { format!("{}-{plain}", self.bill_prefix) }
    }

    /// The usage type of transferring bytes out of S3.
    #[must_use]
    pub fn transfer_usage_type(&self, network: Network) -> String {
        match network {
            Network::SameRegion => self.usage_type("C3DataTransfer-Out-Bytes"),
            Network::Internet | Network::Unknown => self.usage_type("DataTransfer-Out-Bytes"),
            // The bill names the other region too, which is not told; us-east-1 has a prefix here.
            Network::CrossRegion if self.bill_prefix.is_empty() => "USE1-*-AWS-Out-Bytes".to_owned(),
            Network::CrossRegion => self.usage_type("*-AWS-Out-Bytes"),
        }
    }

    fn class(&self, row: Row) -> ClassPrices {
        self.classes[row.storage_class as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(text: &str) -> Money {
        Money::parse(text).unwrap()
    }

    fn prices(region: &str) -> Prices {
        PriceTable::embedded().of_region(region, &Spending::default())
    }

    #[test]
    fn the_table_has_what_was_looked_up() {
        let table = PriceTable::embedded();
        assert_eq!(table.price_table_date, "2026-09-28");
        assert_eq!(table.regions.len(), 32);
        for (region, class, tier1, tier2, retrieval, internet, other) in [
            ("us-east-1", StorageClass::Standard, "0.005", "0.0004", "0", "0.09", "0.02"),
            ("us-east-1", StorageClass::StandardIa, "0.005", "0.001", "0.01", "0.09", "0.02"),
            ("us-east-1", StorageClass::OnezoneIa, "0.005", "0.001", "0.01", "0.09", "0.02"),
            ("us-east-1", StorageClass::GlacierIr, "0.005", "0.01", "0.03", "0.09", "0.02"),
            ("us-east-1", StorageClass::ExpressOnezone, "0.005", "0.00003", "0.0006", "0.09", "0.02"),
            ("us-east-1", StorageClass::IntelligentTiering, "0.005", "0.0004", "0", "0.09", "0.02"),
            ("eu-central-1", StorageClass::Standard, "0.0054", "0.00043", "0", "0.09", "0.02"),
            ("eu-central-1", StorageClass::Glacier, "0.0054", "0.00043", "0", "0.09", "0.02"),
            ("sa-east-1", StorageClass::Standard, "0.007", "0.00056", "0", "0.15", "0.138"),
            ("ap-northeast-1", StorageClass::Standard, "0.0047", "0.00037", "0", "0.114", "0.09"),
            // Not in the table: its dearest prices.
            ("xx-moon-1", StorageClass::Standard, "0.007", "0.00056", "0", "0.154", "0.138"),
        ] {
            let prices = prices(region);
            let row = Row::get(class);
            let found = [
                prices.requests_per_1k(Row::LIST),
                prices.requests_per_1k(row),
                prices.retrieval_per_gb(row),
                prices.transfer_per_gb(Network::Internet),
                prices.transfer_per_gb(Network::CrossRegion),
            ];
            let expected = [tier1, tier2, retrieval, internet, other].map(money);
            assert_eq!(found.map(|price| price.dollars), expected, "{region} {class:?}");
            assert_eq!(prices.transfer_per_gb(Network::SameRegion), Price::default());
            assert_eq!(prices.known_region, region != "xx-moon-1");
        }
        assert_eq!(prices("us-east-1").requests_per_1k(Row::LIST).mark, Confidence::A);
        assert_eq!(prices("xx-moon-1").requests_per_1k(Row::LIST).mark, Confidence::C);
    }

    /// Where both tiers have a source, the first is 12.5 times the second: a slip of the pen in the table shows here.
    #[test]
    fn tiers_are_in_proportion_in_every_region() {
        for (name, cells) in &PriceTable::embedded().regions {
            let ratio = cells.tier1_per_1k.0.dollars.as_f64() / cells.tier2_per_1k.0.dollars.as_f64();
            assert!((12.2..13.1).contains(&ratio), "{name}: {ratio}");
        }
    }

    #[test]
    fn the_worked_examples_of_the_price_reference() {
        let prices = prices("us-east-1");
        let bytes = 10_000 * (100 << 20);
        let total = |class, network| {
            let fees = prices.fees(Row::LIST, 10, 0) + prices.fees(Row::get(class), 10_000, bytes);
            fees + prices.transfer_cost(bytes, network)
        };
        assert_eq!(total(StorageClass::Standard, Network::SameRegion), money("0.00405"));
        assert_eq!(total(StorageClass::Standard, Network::Internet), money("87.894675"));
        assert_eq!(total(StorageClass::StandardIa, Network::SameRegion), money("9.775675"));
        assert_eq!(total(StorageClass::Standard, Network::Unknown), total(StorageClass::Standard, Network::Internet));
    }

    #[test]
    fn bytes_of_a_large_run_have_the_prices_of_their_steps() {
        let prices = prices("us-east-1");
        for (gigabytes, expected) in [
            (1, "0.09"),
            (10_240, "921.6"),
            (10_241, "921.685"),
            (51_200, "4403.2"),
            (97_656, "7655.12"),
            (153_600, "11571.2"),
            (200_000, "13891.2"),
        ] {
            assert_eq!(prices.transfer_cost(gigabytes * GB, Network::Internet), money(expected), "{gigabytes} GB");
        }
        assert_eq!(prices.transfer_cost(100_000 * GB, Network::CrossRegion), money("2000"));
        assert_eq!(prices.transfer_cost(100_000 * GB, Network::SameRegion), Money::ZERO);
        let cut = br#"{"regions": {"us-east-1": {"egress_internet_per_gb": {"steps": [[10, 0.2], [10, 0.1]]}}}}"#;
        let cut = PriceTable::given(cut).unwrap().of_region("us-east-1", &Spending::default());
        assert_eq!(cut.transfer_cost(30 * GB, Network::Internet), money("4"), "the last step has no end");
    }

    #[test]
    fn usage_types_have_the_prefix_of_the_region() {
        for (region, list, internet, other) in [
            ("us-east-1", "Requests-Tier1", "DataTransfer-Out-Bytes", "USE1-*-AWS-Out-Bytes"),
            ("eu-central-1", "EUC1-Requests-Tier1", "EUC1-DataTransfer-Out-Bytes", "EUC1-*-AWS-Out-Bytes"),
            ("eu-west-1", "EU-Requests-Tier1", "EU-DataTransfer-Out-Bytes", "EU-*-AWS-Out-Bytes"),
        ] {
            let prices = prices(region);
            assert_eq!(prices.usage_type(Row::LIST.request_usage_type()), list);
            assert_eq!(prices.transfer_usage_type(Network::Internet), internet);
            assert_eq!(prices.transfer_usage_type(Network::CrossRegion), other);
        }
    }

    #[test]
    fn a_table_of_the_users_own_lies_over_it_and_a_discount_over_both() {
        let own = br#"{"price_table_date": "2027-01-01", "regions": {"us-east-1": {"tier2_per_1k": 0.0002}},
            "classes": {"STANDARD_IA": {"retrieval_per_gb": [0.02, "B"]}}}"#;
        let spending = Spending { discount_percent_e4: 100_000, kms_requests: true, ..Spending::default() };
        let prices = PriceTable::given(own).unwrap().of_region("us-east-1", &spending);
        assert_eq!(prices.date.as_deref(), Some("2027-01-01"));
        let standard = Row::get(StorageClass::Standard);
        let get = Price { dollars: money("0.00018"), mark: Confidence::Given };
        assert_eq!(prices.requests_per_1k(standard), get, "10 percent off 0.0002");
        assert_eq!(prices.requests_per_1k(Row::LIST).dollars, money("0.0045"));
        assert_eq!(prices.retrieval_per_gb(Row::get(StorageClass::StandardIa)).dollars, money("0.018"));
        assert_eq!(prices.kms_per_10k().unwrap().dollars, money("0.027"));
        let with_kms = prices.fees(standard, 10_000, 0);
        assert_eq!(with_kms, money("0.0018") + money("0.027"));
        for wrong in
            ["", "[]", r#"{"regions": 1}"#, r#"{"region": {}}"#, r#"{"currency": "EUR"}"#, r#"{"kms_per_10k": -1}"#]
        {
            assert_eq!(
                PriceTable::given(wrong.as_bytes()).unwrap_err().kind(),
                tollgate_base::error::ErrorKind::Config,
                "{wrong}"
            );
        }
    }

    #[test]
    fn endpoints_of_aws_are_known_by_their_names() {
        for endpoint in [
            None,
            Some("https://s3.eu-west-1.amazonaws.com"),
            Some("https://bucket.vpce-1a2b.s3.us-east-1.vpce.amazonaws.com:443"),
            Some("https://s3.cn-north-1.amazonaws.com.cn/"),
            Some("https://s3.dualstack.us-west-2.api.aws"),
        ] {
            assert!(endpoint_of_aws(endpoint), "{endpoint:?}");
        }
        for endpoint in
            ["http://127.0.0.1:9000", "https://x.r2.cloudflarestorage.com", "https://amazonaws.com.example.org"]
        {
            assert!(!endpoint_of_aws(Some(endpoint)), "{endpoint}");
        }
    }
}
