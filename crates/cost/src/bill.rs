//! A bill: requests and bytes by the usage types of AWS, with their cost.

use serde_json::{Value, json};

use super::ledger::Ledger;
use super::prices::{Confidence, Price, Prices};
use super::usage::{Operation, Row};
use tollgate_base::spending::{GB, Money, Network};

/// The usage of S3, past or expected, in one row of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// The row.
    pub row: Row,
    /// Requests that S3 charges for.
    pub requests: u64,
    /// Bytes of answers.
    pub bytes: u64,
}

/// What a line counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UsageUnit {
    /// Requests.
    Requests,
    /// Bytes.
    Bytes,
}

/// One line of a bill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BillLine {
    /// The usage type as on an AWS bill, with the prefix of the region.
    pub usage_type: String,
    /// The name of the operation in the API, or a dash for bytes of several operations.
    pub operation: &'static str,
    /// The unit of the quantity.
    pub unit: UsageUnit,
    /// How many.
    pub quantity: u64,
    /// The cost.
    pub cost: Money,
    /// The confidence of the price.
    pub mark: Confidence,
}

/// The lines of a run, each usage type and operation once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bill {
    /// In the order of requests, retrieval, transfer.
    pub lines: Vec<BillLine>,
}

impl Bill {
    /// What usage costs.
    #[must_use]
    pub fn of(usage: &[Usage], prices: &Prices, network: Network) -> Self {
        let mut bill = Self::default();
        let mut usage = usage.to_vec();
        usage.sort_by_key(|usage| usage.row);
        for Usage { row, requests, .. } in &usage {
            let (name, price) = (prices.usage_type(row.request_usage_type()), prices.requests_per_1k(*row));
            bill.add(name, row.operation.name(), UsageUnit::Requests, *requests, price, 1000);
        }
        if let Some(price) = prices.kms_per_10k() {
            let gets = usage.iter().filter(|usage| usage.row.operation == Operation::GetObject);
            let requests = gets.map(|usage| usage.requests).sum();
            bill.add(prices.usage_type("KMS-Requests"), "Decrypt", UsageUnit::Requests, requests, price, 10_000);
        }
        for Usage { row, bytes, .. } in &usage {
            if let Some(name) = row.retrieval_usage_type() {
                let price = prices.retrieval_per_gb(*row);
                bill.add(prices.usage_type(name), row.operation.name(), UsageUnit::Bytes, *bytes, price, GB);
            }
        }
        let bytes = usage.iter().map(|usage| usage.bytes).sum();
        if bytes > 0 {
            bill.lines.push(BillLine {
                usage_type: prices.transfer_usage_type(network),
                operation: "-",
                unit: UsageUnit::Bytes,
                quantity: bytes,
                cost: prices.transfer_cost(bytes, network),
                mark: prices.transfer_per_gb(network).mark,
            });
        }
        bill
    }

    /// The sum of the lines.
    #[must_use]
    pub fn total(&self) -> Money {
        self.lines.iter().map(|line| line.cost).sum()
    }

    /// The lowest confidence of the prices in the sum.
    #[must_use]
    pub fn mark(&self) -> Confidence {
        self.lines.iter().filter(|line| line.cost > Money::ZERO).map(|line| line.mark).max().unwrap_or_default()
    }

    /// The line of a usage type and operation.
    #[must_use]
    pub fn line(&self, usage_type: &str, operation: &str) -> Option<&BillLine> {
        self.lines.iter().find(|line| line.usage_type == usage_type && line.operation == operation)
    }

    fn add(
        &mut self,
        usage_type: String,
        operation: &'static str,
        unit: UsageUnit,
        quantity: u64,
        price: Price,
        per: u64,
    ) {
        if quantity == 0 {
            return;
        }
        let cost = price.dollars.times(quantity, per);
        let same = |line: &&mut BillLine| line.usage_type == usage_type && line.operation == operation;
        match self.lines.iter_mut().find(same) {
            Some(line) => {
                line.quantity += quantity;
                line.cost += cost;
            }
            None => self.lines.push(BillLine { usage_type, operation, unit, quantity, cost, mark: price.mark }),
        }
    }
}

/// The ledger's rows as usage.
#[must_use]
pub fn usage_of(ledger: &Ledger) -> Vec<Usage> {
    let rows = ledger.snapshot().into_iter();
    rows.map(|(row, totals)| Usage { row, requests: totals.billed_requests, bytes: totals.bytes_received }).collect()
}

/// The usage since an earlier snapshot of the same ledger.
#[must_use]
pub fn usage_since(now: &[Usage], before: &[Usage]) -> Vec<Usage> {
    let earlier = |usage: &Usage| before.iter().find(|earlier| earlier.row == usage.row);
    now.iter()
        .map(|usage| match earlier(usage) {
            Some(earlier) => {
                Usage { requests: usage.requests - earlier.requests, bytes: usage.bytes - earlier.bytes, ..*usage }
            }
            None => *usage,
        })
        .filter(|usage| usage.requests > 0 || usage.bytes > 0)
        .collect()
}

/// The bill next to the estimate, in one line for people.
#[must_use]
pub fn sentence(spent: &Bill, estimated: Option<&Bill>, prices: &Prices, network: Network) -> String {
    if prices.date.is_none() {
        return "no price list for this endpoint; costs are not calculated (set `price_table` to calculate them)"
            .to_owned();
    }
    let lines: Vec<String> = spent
        .lines
        .iter()
        .map(|line| {
            let quantity = match line.unit {
                UsageUnit::Requests => format!("{} requests", line.quantity),
                UsageUnit::Bytes => format!("{:.3} GB", line.quantity as f64 / GB as f64),
            };
            let expected =
                estimated.map(|bill| bill.line(&line.usage_type, line.operation).map_or(Money::ZERO, |l| l.cost));
            let expected = expected.map(|cost| format!(" (estimated {cost})")).unwrap_or_default();
            format!("{} {} {quantity} {}{expected}", line.usage_type, line.operation, line.cost)
        })
        .collect();
    let expected = estimated.map(|bill| format!(" (estimated {})", bill.total())).unwrap_or_default();
    let position = match network {
        Network::Unknown => " if the bytes went over the internet, because `network` is not set",
        _ => "",
    };
    format!(
        "spent {}{expected}{position}, at the prices of {} in {}: {}",
        spent.total(),
        prices.date.as_deref().unwrap_or_default(),
        prices.region,
        lines.join("; ")
    )
}

/// The bill next to the estimate, as one JSON object. Lines that only one of them has are included.
#[must_use]
pub fn comparison(spent: &Bill, estimated: Option<&Bill>, prices: &Prices, network: Network) -> Value {
    let empty = Bill::default();
    let expected = estimated.unwrap_or(&empty);
    let only_expected = expected.lines.iter().filter(|line| spent.line(&line.usage_type, line.operation).is_none());
    let lines = spent.lines.iter().chain(only_expected).map(|line| {
        let find = |bill: &Bill| bill.line(&line.usage_type, line.operation).cloned();
        let mut object = json!({
            "usage_type": line.usage_type,
            "operation": line.operation,
            "unit": match line.unit { UsageUnit::Requests => "requests", UsageUnit::Bytes => "bytes" },
            "quantity": find(spent).map_or(0, |line| line.quantity),
            "usd": find(spent).map_or(0.0, |line| line.cost.as_f64()),
        });
        if estimated.is_some() {
            object["estimated_quantity"] = find(expected).map_or(0, |line| line.quantity).into();
            object["estimated_usd"] = find(expected).map_or(0.0, |line| line.cost.as_f64()).into();
        }
        object
    });
    let mut whole = json!({
        "lines": lines.collect::<Vec<_>>(),
        "total_usd": spent.total().as_f64(),
        "region": prices.region,
        "network": network.name(),
        "price_table_date": prices.date,
        "gb_bytes": GB,
    });
    if let Some(expected) = estimated {
        whole["estimated_total_usd"] = expected.total().as_f64().into();
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PriceTable;
    use tollgate_base::object::StorageClass;
    use tollgate_base::spending::Spending;

    fn bill(network: Network) -> Bill {
        let prices = PriceTable::embedded().of_region("eu-central-1", &Spending::default());
        let usage = [
            Usage { row: Row::LIST, requests: 2, bytes: 1000 },
            Usage { row: Row::get(StorageClass::Standard), requests: 5, bytes: GB },
            Usage { row: Row::get(StorageClass::Glacier), requests: 1, bytes: GB },
            Usage { row: Row::get(StorageClass::StandardIa), requests: 4, bytes: 2 * GB },
        ];
        Bill::of(&usage, &prices, network)
    }

    #[test]
    fn lines_are_those_of_a_bill_and_add_up_to_the_cost() {
        let lines: Vec<String> = bill(Network::Internet)
            .lines
            .iter()
            .map(|line| format!("{} {} {} {}", line.usage_type, line.operation, line.quantity, line.cost))
            .collect();
        assert_eq!(
            lines,
            [
                "EUC1-Requests-Tier1 ListObjectsV2 2 $0.0000108",
                "EUC1-Requests-Tier2 GetObject 6 $0.00000258",
                "EUC1-Requests-SIA-Tier2 GetObject 4 $0.000004",
                "EUC1-Retrieval-SIA GetObject 2147483648 $0.02",
                "EUC1-DataTransfer-Out-Bytes - 4294968296 $0.3600",
            ]
            .map(|line| line.replace("$0.3600", "$0.36"))
        );
        let same_region = bill(Network::SameRegion);
        assert_eq!(same_region.total().to_string(), "$0.02002");
        assert_eq!(same_region.mark(), Confidence::B);
    }

    #[test]
    fn a_comparison_has_the_lines_of_both_sides() {
        let prices = Prices::none("local");
        let list = |requests| Usage { row: Row::LIST, requests, bytes: 0 };
        let get = Usage { row: Row::get(StorageClass::Standard), requests: 3, bytes: 7 };
        let spent = Bill::of(&[list(2)], &prices, Network::SameRegion);
        let expected = Bill::of(&[list(1), get], &prices, Network::SameRegion);
        let compared = comparison(&spent, Some(&expected), &prices, Network::SameRegion);
        let lines = compared["lines"].as_array().unwrap();
        let quantities: Vec<_> =
            lines.iter().map(|line| (line["quantity"].as_u64(), line["estimated_quantity"].as_u64())).collect();
        assert_eq!(quantities, [(Some(2), Some(1)), (Some(0), Some(3)), (Some(0), Some(7))]);
        assert_eq!(compared["total_usd"], 0.0);
    }
}
