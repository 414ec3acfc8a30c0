//! An estimate as it is shown: by usage row, with bounds, for each possible network position.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::bill::{Bill, BillLine, Usage, UsageUnit};
use super::prices::Prices;
use tollgate_base::spending::{GB, Money, Network};

/// The price of a run before it begins.
#[derive(Debug)]
pub struct Quote {
    prices: Prices,
    positions: Vec<Position>,
    /// What finding it out has cost.
    estimating: Bill,
}

#[derive(Debug)]
struct Position {
    network: Network,
    low: Bill,
    expected: Bill,
    high: Bill,
}

impl Quote {
    /// Prices usage with its bounds. If the network is unknown, there is a column for the lowest and one for the
    /// highest price.
    #[must_use]
    pub fn new(prices: Prices, network: Network, bounds: [&[Usage]; 3], estimating: &[Usage]) -> Self {
        let networks = match network {
            Network::Unknown => vec![Network::SameRegion, Network::Internet],
            told => vec![told],
        };
        let [low, expected, high] = bounds;
        let bill = |usage: &[Usage], network| Bill::of(usage, &prices, network);
        let position = |network| Position {
            network,
            low: bill(low, network),
            expected: bill(expected, network),
            high: bill(high, network),
        };
        let positions = networks.into_iter().map(position).collect();
        let estimating = bill(estimating, network.dearest());
        Self { prices, positions, estimating }
    }

    /// The expected bill at the highest price of transfer.
    #[must_use]
    pub fn dearest(&self) -> Money {
        self.positions.iter().map(|position| position.expected.total()).max().unwrap_or_default()
    }

    /// A table for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut rows = vec![vec!["usage type".to_owned(), "operation".to_owned(), "quantity".to_owned()]];
        rows[0].extend(self.positions.iter().map(|position| position.network.name().replace('_', " ")));
        for line in self.lines() {
            let mut row = vec![line.usage_type.clone(), line.operation.to_owned(), quantity(line)];
            row.extend(self.positions.iter().map(|position| {
                let found = position.expected.line(&line.usage_type, line.operation);
                found.map_or_else(|| "-".to_owned(), |line| line.cost.to_string())
            }));
            rows.push(row);
        }
        for name in ["total", "  at least", "  at most"] {
            let mut row = vec![name.to_owned(), String::new(), String::new()];
            row.extend(self.positions.iter().map(|position| {
                let bill = match name {
                    "total" => &position.expected,
                    "  at least" => &position.low,
                    _ => &position.high,
                };
                bill.total().to_string()
            }));
            rows.push(row);
        }
        let mut text = aligned(&rows, 2);
        _ = writeln!(text, "\nThis estimate itself cost {}:", self.estimating.total());
        for line in &self.estimating.lines {
            _ = writeln!(text, "  {} {} {} {}", line.usage_type, line.operation, quantity(line), line.cost);
        }
        text
    }

    /// The quote as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let positions = self.positions.iter().map(|position| {
            json!({
                "network": position.network.name(),
                "lines": position.expected.lines.iter().map(|line| position.line(line)).collect::<Vec<_>>(),
                "total_usd": position.expected.total().as_f64(),
                "low_usd": position.low.total().as_f64(),
                "high_usd": position.high.total().as_f64(),
                "confidence": position.expected.mark().name(),
            })
        });
        json!({
            "positions": positions.collect::<Vec<_>>(),
            "estimating": {
                "lines": self.estimating.lines.iter().map(plain_line).collect::<Vec<_>>(),
                "total_usd": self.estimating.total().as_f64(),
            },
            "region": self.prices.region,
            "price_table_date": self.prices.date,
            "gb_bytes": GB,
        })
    }

    /// The assumptions behind the numbers.
    #[must_use]
    pub fn assumptions(&self) -> Vec<String> {
        let prices = &self.prices;
        let Some(date) = &prices.date else {
            return vec![
                "no price list for this endpoint: costs are not estimated; set `price_table` to estimate them"
                    .to_owned(),
            ];
        };
        let mark = self.positions.iter().map(|position| position.expected.mark()).max().unwrap_or_default();
        let mut list = vec![
            format!(
                "public list prices of {date} in {} (confidence {}); 1 GB is 2^30 bytes",
                prices.region,
                mark.name()
            ),
            "taxes and the free tier are not counted; transfer is priced from the first paid tier of the month on, \
             and becomes cheaper when this run reaches the next tier"
                .to_owned(),
            "retries are not expected: 'at most' allows for one request in 50. Bytes that S3 sent to a connection \
             that broke are billed, and are not counted here"
                .to_owned(),
        ];
        if !prices.known_region {
            list.push(format!("the price table does not have region '{}': its highest prices are used", prices.region));
        }
        if prices.discount_percent_e4 > 0 {
            list.push(format!("a discount of {} % is applied", prices.discount_percent_e4 as f64 / 10_000.0));
        }
        for position in &self.positions {
            list.push(
                match position.network {
                    Network::SameRegion => {
                        "same region: transfer is free through a gateway endpoint; a NAT gateway or an interface \
                         endpoint is billed separately, and not by S3"
                    }
                    Network::CrossRegion => "cross region: the general price for transfer to another AWS region",
                    Network::Internet | Network::Unknown => "internet: transfer includes the responses to listings",
                }
                .to_owned(),
            );
        }
        if prices.kms_per_10k().is_none() {
            list.push("no requests to KMS: set `kms_requests` if objects are encrypted without bucket keys".to_owned());
        }
        list
    }

    /// The lines of all positions, each once.
    fn lines(&self) -> Vec<&BillLine> {
        let mut lines: Vec<&BillLine> = Vec::new();
        for line in self.positions.iter().flat_map(|position| &position.expected.lines) {
            if !lines.iter().any(|l| l.usage_type == line.usage_type && l.operation == line.operation) {
                lines.push(line);
            }
        }
        lines
    }
}

impl Position {
    fn line(&self, line: &BillLine) -> Value {
        let bound = |bill: &Bill| bill.line(&line.usage_type, line.operation).cloned();
        let (low, high) = (bound(&self.low), bound(&self.high));
        let mut object = plain_line(line);
        object["low_quantity"] = low.as_ref().map_or(0, |line| line.quantity).into();
        object["high_quantity"] = high.as_ref().map_or(0, |line| line.quantity).into();
        object["low_usd"] = low.map_or(0.0, |line| line.cost.as_f64()).into();
        object["high_usd"] = high.map_or(0.0, |line| line.cost.as_f64()).into();
        object["confidence"] = line.mark.name().into();
        object
    }
}

fn plain_line(line: &BillLine) -> Value {
    json!({
        "usage_type": line.usage_type,
        "operation": line.operation,
        "unit": match line.unit { UsageUnit::Requests => "requests", UsageUnit::Bytes => "bytes" },
        "quantity": line.quantity,
        "usd": line.cost.as_f64(),
    })
}

fn quantity(line: &BillLine) -> String {
    match line.unit {
        UsageUnit::Requests => format!("{} requests", line.quantity),
        UsageUnit::Bytes => format!("{:.3} GB", line.quantity as f64 / GB as f64),
    }
}

/// Columns with two spaces between them; from `right` on they are aligned at their ends.
fn aligned(rows: &[Vec<String>], right: usize) -> String {
    let widths: Vec<usize> = (0..rows[0].len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
            _ if column < right => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PriceTable;
    use crate::usage::Row;
    use tollgate_base::object::StorageClass;
    use tollgate_base::spending::Spending;

    #[test]
    fn a_table_shows_each_end_where_the_network_is_not_told() {
        let prices = PriceTable::embedded().of_region("us-east-1", &Spending::default());
        let list = Usage { row: Row::LIST, requests: 10, bytes: 0 };
        let get = Usage { row: Row::get(StorageClass::Standard), requests: 10_000, bytes: 10_000 * (100 << 20) };
        let usage = [list, get];
        let quote = Quote::new(prices, Network::Unknown, [&usage; 3], &[list]);
        let expected = "\
usage type               operation          quantity  same region  internet
Requests-Tier1           ListObjectsV2   10 requests     $0.00005  $0.00005
Requests-Tier2           GetObject    10000 requests       $0.004    $0.004
C3DataTransfer-Out-Bytes  -  976.562 GB  $0.00  -
";
        let table = quote.table();
        assert_eq!(table.lines().count(), 11, "{table}");
        for (shown, expected) in table.lines().zip(expected.lines()) {
            let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(squeezed(shown), squeezed(expected), "{table}");
        }
        assert!(table.contains("total") && table.contains("$87.89"), "{table}");
        assert!(table.contains("This estimate itself cost $0.00005"), "{table}");
        let json = quote.json();
        assert_eq!(json["positions"][0]["network"], "same_region");
        assert_eq!(json["positions"][1]["total_usd"], 87.894675);
        assert_eq!(json["positions"][1]["lines"][0]["usage_type"], "Requests-Tier1");
        assert!(quote.assumptions().iter().any(|line| line.contains("2026-09-28") && line.contains("2^30")));
    }
}
