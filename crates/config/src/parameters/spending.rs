//! What a run may spend, and what decides its price.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dialect::{Dialect, PerDialect};
use crate::input::{Decimal, Whole, default_unless, wrong};
use crate::provenance::ProvenanceLog;
use tollgate_base::error::Result;
use tollgate_base::spending::{GB, Limits, Money, Network, OnLimit, Spending};

const COST_LIMIT_USD: PerDialect<Option<u64>> = PerDialect::same(None).flat(Some(100));
const MAX_FILES_PER_RUN: PerDialect<Option<u64>> = PerDialect::same(None).flat(Some(10_000));
const MAX_DATA_SIZE_GB: PerDialect<Option<u64>> = PerDialect::same(None).flat(Some(1000));

/// Ten-thousandths in a percent.
const PERCENT_E4: f64 = 10_000.0;

/// The parameters as written.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct SpendingInput {
    /// The maximum cost of a run in US dollars, for example `5.0`. A run with a higher estimate is refused before it
    /// reads anything, or reads only what the limit allows (`on_limit`). The limit is also checked before each
    /// request. When absent, there is no limit; in the flat form it is 100. Servers other than AWS cost nothing
    /// unless `price_table` says otherwise.
    #[schemars(title = "Cost Limit (USD)", extend("exclusiveMinimum" = 0, "group" = "cost"))]
    cost_limit_usd: Option<Decimal>,
    /// The maximum number of files that a run reads. When absent, there is no limit; in the flat form it is 10,000.
    #[schemars(title = "Max Files Per Run", extend("minimum" = 1, "group" = "cost"))]
    max_files_per_run: Option<Whole>,
    /// The maximum amount of data that a run reads, in GB (2^30 bytes) as stored. When absent, there is no limit; in
    /// the flat form it is 1,000.
    #[schemars(title = "Max Data Size (GB)", extend("exclusiveMinimum" = 0, "group" = "cost"))]
    max_data_size_gb: Option<Decimal>,
    /// The maximum number of requests that a run sends to S3, including listings and retries. When absent, there is
    /// no limit.
    #[schemars(title = "Max Requests", extend("minimum" = 1, "group" = "cost"))]
    max_requests: Option<Whole>,
    /// What happens at a limit. `fail` refuses a run that would exceed it, and fails a run that reaches it. `partial`
    /// reads what the limit allows and succeeds; the next run continues from there. When absent, it is `fail`.
    #[serde(default)]
    #[schemars(title = "On Limit", extend("group" = "cost"))]
    on_limit: OnLimit,
    /// Where the connector runs, which determines the price of data transfer: in the `same_region` as the bucket, in
    /// another AWS region (`cross_region`), elsewhere on the `internet`, or `unknown`. When absent, it is `unknown`:
    /// estimates show the lowest and the highest price, and limits apply to the highest.
    #[serde(default)]
    #[schemars(title = "Network", extend("group" = "cost"))]
    network: Network,
    /// The price list: `aws` for the public AWS prices that the connector includes, `none`, the path of a file, or
    /// its JSON text. A file or text replaces individual AWS prices. When absent, it is `aws`, or `none` for servers
    /// other than AWS.
    #[schemars(title = "Price Table", extend("group" = "cost"))]
    price_table: Option<String>,
    /// The discount on list prices in percent, for example `12.5`. When absent, there is no discount.
    #[schemars(title = "Price Discount (%)", extend("minimum" = 0, "maximum" = 100, "group" = "cost"))]
    price_discount_percent: Option<Decimal>,
    /// Whether the objects are encrypted with SSE-KMS without bucket keys, so that each GET is also a billed request
    /// to KMS.
    #[serde(default)]
    #[schemars(title = "KMS Requests", extend("group" = "cost"))]
    kms_requests: bool,
}

impl SpendingInput {
    /// What it means in a dialect.
    ///
    /// # Errors
    /// Config, when a number is out of its bounds.
    pub(crate) fn parse(&self, dialect: Dialect, log: &mut ProvenanceLog) -> Result<Spending> {
        let table = self.price_table.as_deref().map(str::trim).filter(|text| !text.is_empty());
        Ok(Spending {
            limits: self.limits(dialect, log)?,
            on_limit: self.on_limit,
            network: self.network,
            price_table: table.map(str::to_owned),
            discount_percent_e4: self.price_discount_percent.as_ref().map_or(Ok(0), discount)?,
            kms_requests: self.kms_requests,
        })
    }

    fn limits(&self, dialect: Dialect, log: &mut ProvenanceLog) -> Result<Limits> {
        let mut default =
            |name, written, default: PerDialect<Option<u64>>| default_unless(written, default.of(dialect), name, log);
        let default_cost = default("cost_limit_usd", self.cost_limit_usd.is_some(), COST_LIMIT_USD);
        let default_files = default("max_files_per_run", self.max_files_per_run.is_some(), MAX_FILES_PER_RUN);
        let default_gb = default("max_data_size_gb", self.max_data_size_gb.is_some(), MAX_DATA_SIZE_GB);
        let at_least_one = |number: Whole, name: &str| number.between(1, u64::MAX, name);
        let dollars = |text: String| Money::parse(&text).filter(|limit| *limit > Money::ZERO);
        Ok(Limits {
            cost: match &self.cost_limit_usd {
                None => default_cost.and_then(|limit| dollars(limit.to_string())),
                Some(limit) => {
                    let expected = "a number of dollars greater than 0";
                    Some(dollars(limit.0.to_string()).ok_or_else(|| wrong("cost_limit_usd", &limit.0, expected))?)
                }
            },
            files: match self.max_files_per_run {
                None => default_files,
                Some(files) => Some(at_least_one(files, "max_files_per_run")?),
            },
            bytes: match &self.max_data_size_gb {
                None => default_gb.map(|limit| limit * GB),
                Some(limit) => Some((limit.above(0.0, 1e9, "max_data_size_gb")? * GB as f64) as u64),
            },
            requests: self.max_requests.map(|requests| at_least_one(requests, "max_requests")).transpose()?,
        })
    }
}

/// In ten-thousandths of a percent.
fn discount(percent: &Decimal) -> Result<u64> {
    match percent.0.as_f64() {
        Some(number) if (0.0..=100.0).contains(&number) => Ok((number * PERCENT_E4).round() as u64),
        _ => Err(wrong("price_discount_percent", &percent.0, "a number from 0 to 100")),
    }
}

impl From<&Spending> for SpendingInput {
    fn from(spending: &Spending) -> Self {
        let Spending { limits, on_limit, network, price_table, discount_percent_e4, kms_requests } = spending;
        let discount = Some(*discount_percent_e4).filter(|discount| *discount > 0);
        Self {
            cost_limit_usd: limits.cost.map(|limit| limit.as_f64().into()),
            max_files_per_run: limits.files.map(Whole::from),
            max_data_size_gb: limits.bytes.map(|bytes| (bytes as f64 / GB as f64).into()),
            max_requests: limits.requests.map(Whole::from),
            on_limit: *on_limit,
            network: *network,
            price_table: price_table.clone(),
            price_discount_percent: discount.map(|discount| (discount as f64 / PERCENT_E4).into()),
            kms_requests: *kms_requests,
        }
    }
}
