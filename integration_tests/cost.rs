//! What a run costs: the estimate before, the bill after, and the limits between, against the server's own log of requests.
//!
//! The actual cost is never taken from the program's counters: it is worked out here, from testkit's log and
//! `spec/prices.json`, by arithmetic of its own.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test panics with what it met, and its table is to be seen"
)]

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use crate::support::testkit::{Action, Content, Entry, Fault, ObjectOptions, VirtualBucket, VirtualObject, When};
use crate::support::{BUCKET, Bench, Output, catalog, catalog_with, finish, gzipped, time};
use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};

const MIB: u64 = 1 << 20;
const GB: f64 = (1u64 << 30) as f64;

/// Usage type → (quantity, dollars).
type Lines = BTreeMap<String, (u64, f64)>;

/// The prices of us-east-1, read from the table as JSON.
struct Prices(Value);

impl Prices {
    fn new() -> Self {
        Self(serde_json::from_str(include_str!("../spec/prices.json")).unwrap())
    }

    fn region(&self, cell: &str) -> f64 {
        self.0["regions"]["us-east-1"][cell][0].as_f64().unwrap()
    }

    fn class(&self, class: &str, cell: &str) -> f64 {
        self.0["classes"][class][cell][0].as_f64().unwrap()
    }

    fn egress(&self, network: &str) -> (&'static str, f64) {
        match network {
            "same_region" => ("C3DataTransfer-Out-Bytes", 0.0),
            "cross_region" => ("USE1-*-AWS-Out-Bytes", self.region("egress_region_per_gb")),
            _ => {
                let steps = &self.0["regions"]["us-east-1"]["egress_internet_per_gb"]["steps"];
                ("DataTransfer-Out-Bytes", steps[0][1].as_f64().unwrap())
            }
        }
    }
}

/// The bill by the server's log.
fn actual(log: &[Entry], network: &str) -> Lines {
    let prices = Prices::new();
    let mut lines = Lines::new();
    let mut add = |usage_type: &str, quantity: u64, dollars: f64| {
        if quantity > 0 {
            let line = lines.entry(usage_type.to_owned()).or_default();
            *line = (line.0 + quantity, line.1 + dollars);
        }
    };
    let (egress, egress_price) = prices.egress(network);
    for entry in log {
        let billed =
            u64::from((200..300).contains(&entry.status) || matches!(entry.status, 304 | 403 | 404 | 412 | 416));
        let sent = entry.bytes_sent;
        add(egress, sent, sent as f64 / GB * egress_price);
        if entry.operation == "REST.GET.BUCKET" {
            add("Requests-Tier1", billed, billed as f64 * prices.region("tier1_per_1k") / 1e3);
            continue;
        }
        assert!(matches!(entry.operation, "REST.GET.OBJECT" | "REST.HEAD.OBJECT"), "{entry:?}");
        let class = entry.storage_class.as_deref().unwrap_or("STANDARD");
        let short = match class {
            "STANDARD_IA" => "SIA",
            "ONEZONE_IA" => "ZIA",
            "GLACIER_IR" => "GIR",
            "INTELLIGENT_TIERING" => "INT",
            _ => "",
        };
        let plain = matches!(short, "" | "INT");
        let tier2 = if plain { prices.region("tier2_per_1k") } else { prices.class(class, "tier2_per_1k") };
        let requests = if short.is_empty() { "Requests-Tier2".to_owned() } else { format!("Requests-{short}-Tier2") };
        add(&requests, billed, billed as f64 * tier2 / 1e3);
        if !plain {
            let name = if short == "GIR" { "Retrieval-SIA-GIR".to_owned() } else { format!("Retrieval-{short}") };
            add(&name, sent, sent as f64 / GB * prices.class(class, "retrieval_per_gb"));
        }
    }
    lines
}

/// The lines of a bill or of one position of an estimate. What is zero on both sides is no line of the server's.
fn lines_of(lines: &Value, quantity: &str, dollars: &str) -> Lines {
    let mut all = Lines::new();
    for line in lines.as_array().unwrap() {
        let entry = all.entry(line["usage_type"].as_str().unwrap().to_owned()).or_default();
        *entry = (entry.0 + line[quantity].as_u64().unwrap(), entry.1 + line[dollars].as_f64().unwrap());
    }
    all.retain(|_, (quantity, _)| *quantity > 0);
    all
}

fn total(lines: &Lines) -> f64 {
    lines.values().map(|(_, dollars)| dollars).sum()
}

/// A bench and the configuration of its run.
pub(super) struct Scenario {
    pub(super) bench: Bench,
    pub(super) config: Value,
    catalog: Value,
    pub(super) state: Option<Value>,
}

impl Scenario {
    pub(super) fn new(bench: Bench, filetype: &str, catalog: Value) -> Self {
        let mut config = bench.config(json!([{"name": "s", "globs": ["**"], "format": {"filetype": filetype}}]));
        config["price_table"] = "aws".into();
        Self { bench, config, catalog, state: None }
    }

    pub(super) fn with(mut self, key: &str, value: Value) -> Self {
        self.config[key] = value;
        self
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command.arg(verb).arg("--config").arg(self.bench.file("config.json", &self.config));
        command.arg("--catalog").arg(self.bench.file("catalog.json", &self.catalog));
        if let Some(state) = &self.state {
            command.arg("--state").arg(self.bench.file("state.json", state));
        }
        command
    }

    /// The estimate as JSON, and what the server saw of it.
    pub(super) fn estimate(&self) -> (Value, Vec<Entry>) {
        self.bench.server.log().clear();
        let output = self.command("estimate").args(["--format", "json"]).stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let estimate = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        (estimate, self.bench.server.log().take())
    }

    /// Reads, with the records thrown away; the bill, and what the server saw.
    pub(super) fn read(&self) -> (Value, Vec<Entry>) {
        self.bench.server.log().clear();
        let bill = self.bench.folder.join("bill.json");
        let mut command = self.command("read");
        let status = command.arg("--bill").arg(&bill).stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap();
        assert!(status.success(), "{status}");
        let bill = serde_json::from_slice(&std::fs::read(bill).unwrap()).unwrap();
        assert!(self.bench.server.log().wait_idle(std::time::Duration::from_secs(5)));
        (bill, self.bench.server.log().take())
    }

    /// Reads with the messages.
    pub(super) fn read_messages(&self) -> (Output, Vec<Entry>) {
        self.bench.server.log().clear();
        let output = finish(self.command("read"));
        assert!(self.bench.server.log().wait_idle(std::time::Duration::from_secs(5)));
        (output, self.bench.server.log().take())
    }
}

/// Holds estimate, bill and log against each other for each network position, and prints the row of the table.
#[track_caller]
fn hold(name: &str, mut scenario: Scenario, exact: bool) {
    for network in ["same_region", "cross_region", "internet"] {
        scenario = scenario.with("network", network.into());
        let (estimate, estimating) = scenario.estimate();
        let (bill, log) = scenario.read();
        let actual_lines = actual(&log, network);
        let position = &estimate["positions"][0];
        assert_eq!(position["network"], network);
        let estimated = lines_of(&position["lines"], "quantity", "usd");
        let billed = lines_of(&bill["lines"], "quantity", "usd");

        // Our own ledger is the server's log, to the byte; and so is the cost of estimating.
        assert_same(&format!("{name}: ledger and log"), &billed, &actual_lines);
        let own_cost = lines_of(&estimate["estimating"]["lines"], "quantity", "usd");
        assert_same(&format!("{name}: the estimate's own cost"), &own_cost, &actual(&estimating, network));

        let (sum, actual_sum) = (total(&estimated), total(&actual_lines));
        let off = (sum - actual_sum) / actual_sum * 100.0;
        println!("| {name} | {network} | ${sum:.9} | ${actual_sum:.9} | {off:+.2} % |");
        assert!(off.abs() <= 10.0, "{name}, {network}: {sum} estimated, {actual_sum} spent");
        // The program rounds each line to 10^-12 dollars.
        let high = position["high_usd"].as_f64().unwrap() + 1e-11;
        let low = position["low_usd"].as_f64().unwrap() - 1e-11;
        assert!((low..=high).contains(&actual_sum), "{name}, {network}: {actual_sum} is not in {low} to {high}");
        for (usage_type, (quantity, dollars)) in &actual_lines {
            let (expected, expected_dollars) = estimated.get(usage_type).copied().unwrap_or_default();
            if exact && usage_type.starts_with("Requests") {
                assert_eq!(expected, *quantity, "{name}: {usage_type}");
            }
            if *dollars > actual_sum * 0.05 {
                let off = (expected_dollars - dollars).abs() / dollars;
                assert!(off <= 0.1, "{name}: {usage_type}: {expected_dollars} estimated, {dollars} spent");
            }
        }
    }
}

#[track_caller]
fn assert_same(what: &str, left: &Lines, right: &Lines) {
    let quantities = |lines: &Lines| lines.iter().map(|(name, line)| (name.clone(), line.0)).collect::<Vec<_>>();
    assert_eq!(quantities(left), quantities(right), "{what}");
    // The program rounds each line to 10^-12 dollars.
    let (left, right) = (total(left), total(right));
    assert!((left - right).abs() <= right * 1e-9 + 1e-11, "{what}: {left} and {right}");
}

/// A CSV file that costs no memory, of rows that are long where the file is: few messages tell as much as many.
fn csv(bytes: u64) -> Content {
    let row_bytes = if bytes >= MIB { ROW_BYTES } else { 1024 };
    let half = "x".repeat(usize::try_from(row_bytes / 2).unwrap() - 1);
    Content::repeat("a,b\n", format!("{half},{half}\n"), bytes / row_bytes)
}

/// Of a file of a mebibyte and more.
const ROW_BYTES: u64 = 32 * 1024;

/// A row that does not compress.
pub(super) fn noise(bytes: usize) -> Vec<u8> {
    let mut random = 7u64;
    let mut row: Vec<u8> = (0..bytes)
        .map(|_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            b'a' + (random >> 33) as u8 % 26
        })
        .collect();
    row.extend_from_slice(b",1\n");
    row
}

fn all(name: &str) -> Value {
    catalog(name, "full_refresh")
}

fn put(bench: &Bench, key: &str, content: impl Into<Content>, class: &str) {
    let options = ObjectOptions { modified_at: Some(time(1)), ..ObjectOptions::storage_class(class.to_owned()) };
    bench.server.store().put(BUCKET, key, content, options);
}

/// A file of each text format with about so many bytes as stored.
fn one_large_file(csv_bytes: u64, jsonl_bytes: u64, gzip_bytes: u64) {
    let line = format!("{{\"a\":\"{}\"}}\n", "x".repeat(32_000));
    let zipped = gzipped(&noise(20_000));
    let blocks = gzip_bytes / zipped.len() as u64;
    for (filetype, key, bytes, content) in [
        ("csv", "a.csv", csv_bytes, csv(csv_bytes)),
        ("jsonl", "a.jsonl", jsonl_bytes, Content::repeat("", line, jsonl_bytes / 32_009)),
        ("csv", "a.csv.gz", gzip_bytes, Content::repeat("", zipped, blocks)),
    ] {
        let bench = Bench::new();
        put(&bench, key, content, "STANDARD");
        hold(&format!("one file, {key} of {} MiB", bytes / MIB), Scenario::new(bench, filetype, all("s")), true);
    }
}

#[test]
fn one_large_file_of_each_text_format() {
    one_large_file(300 * MIB, 64 * MIB, 4 * MIB);
}

#[test]
#[ignore = "takes minutes; `make bench-cost` runs it"]
fn one_gigabyte_of_each_text_format() {
    one_large_file(1000 * MIB, 1000 * MIB, 1000 * MIB);
}

#[test]
fn five_thousand_small_objects() {
    let bench = Bench::new();
    let content = csv(20 * 1024);
    let object = move |index| VirtualObject::new(format!("small/{index:06}.csv"), content.clone());
    bench.server.store().virtual_bucket("many", VirtualBucket::new(5000, object));
    hold("5,000 x 20 KiB", Scenario::new(bench, "csv", all("s")).with("bucket", "many".into()), true);
}

#[test]
fn one_in_a_hundred_of_many_keys() {
    let bench = Bench::new();
    let content = csv(2048);
    let object = move |index: u64| {
        let suffix = if index.is_multiple_of(100) { "csv" } else { "bin" };
        VirtualObject::new(format!("lake/{index:07}.{suffix}"), content.clone())
    };
    bench.server.store().virtual_bucket("keys", VirtualBucket::new(120_000, object));
    let scenario = Scenario::new(bench, "csv", all("s")).with("bucket", "keys".into());
    let streams = json!([{"name": "s", "globs": ["lake/*.csv"], "format": {"filetype": "csv"}}]);
    hold("120,000 keys, 1 % read", scenario.with("streams", streams), true);
}

/// A Parquet file of 50 columns of numbers that do not compress, in row groups of 20,000 rows.
fn wide_parquet(rows: i64, seed: u64) -> Vec<u8> {
    let mut random = seed | 1;
    let columns = (0..50).map(|column| {
        let values = (0..rows).map(|_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 8) as i64
        });
        (format!("c{column:02}"), Arc::new(Int64Array::from_iter_values(values)) as ArrayRef)
    });
    let batch = RecordBatch::try_from_iter(columns.collect::<Vec<_>>()).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(20_000)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn three_of_fifty_parquet_columns() {
    let wanted = json!({"c03": {"type": "integer"}, "c20": {"type": "integer"}, "c47": {"type": "integer"}});
    for (files, exact) in [(4, true), (12, false)] {
        let bench = Bench::new();
        for index in 0..files {
            let rows = 20_000 + 3000 * (index % 7);
            put(&bench, &format!("t/{index:02}.parquet"), wide_parquet(rows, index as u64), "STANDARD");
        }
        let catalog = catalog_with("s", "full_refresh", wanted.clone());
        let name = format!("{files} Parquet files, 3 of 50 columns");
        hold(&name, Scenario::new(bench, "parquet", catalog), exact);
    }
}

#[test]
fn storage_classes_and_archived_objects() {
    let bench = Bench::new();
    let classes =
        ["STANDARD", "STANDARD_IA", "ONEZONE_IA", "GLACIER_IR", "INTELLIGENT_TIERING", "GLACIER", "DEEP_ARCHIVE"];
    for (index, class) in classes.iter().enumerate() {
        for copy in 0..3 {
            put(&bench, &format!("c/{index}-{copy}.csv"), csv((1 + copy) * MIB), class);
        }
    }
    hold("mix of classes, some archived", Scenario::new(bench, "csv", all("s")), true);
}

#[test]
fn a_second_incremental_run() {
    let bench = Bench::new();
    for index in 0..50 {
        bench.put(&format!("i/{index}.csv"), "x\n1\n", index);
    }
    let mut scenario = Scenario::new(bench, "csv", catalog("s", "incremental"));
    let first = scenario.read_messages().0.ok();
    scenario.state = Some(first.state());
    for index in 50..55 {
        scenario.bench.put(&format!("i/{index}.csv"), "x\n2\n".repeat(1000), index);
    }
    hold("second incremental run", scenario, true);
}

#[test]
fn faults_on_the_way_stay_within_the_bounds() {
    for (name, action) in
        [("5 % of GETs answered 503", Action::slow_down()), ("1 in 20 bodies broken off", Action::ResetAfter(50_000))]
    {
        let bench = Bench::new();
        for index in 0..200 {
            put(&bench, &format!("f/{index:03}.csv"), csv(100 * 1024), "STANDARD");
        }
        let broken = matches!(action, Action::ResetAfter(_));
        let fault = Fault::new(action).when(When::get("f/")).probability(0.05, 7);
        let scenario = Scenario::new(bench, "csv", all("s")).with("network", "internet".into());
        let (estimate, _) = scenario.estimate();
        let id = scenario.bench.server.faults().add(fault);
        let (bill, log) = scenario.read();
        assert!(scenario.bench.server.faults().hits(id) >= 4);
        let position = &estimate["positions"][0];
        let (sum, high) = (position["total_usd"].as_f64().unwrap(), position["high_usd"].as_f64().unwrap());
        let actual_sum = total(&actual(&log, "internet"));
        println!(
            "| {name} | internet | ${sum:.9} | ${actual_sum:.9} | {:+.2} % |",
            (sum - actual_sum) / actual_sum * 100.0
        );
        assert!((sum - actual_sum).abs() / actual_sum <= 0.1 && actual_sum <= high, "{sum} {actual_sum} {high}");
        let billed = total(&lines_of(&bill["lines"], "quantity", "usd"));
        // Bytes that the server put into the socket before the reset are in its log and never arrived.
        let tolerance = if broken { 0.05 } else { 1e-9 };
        assert!((billed - actual_sum).abs() <= actual_sum * tolerance, "{billed} {actual_sum}");
    }
}

/// The bar of the issue: an estimate of 10,000 files of 100 MiB, by class and network.
#[test]
fn ten_thousand_files_of_a_hundred_mebibytes_are_estimated_in_seconds() {
    for (class, network, expected) in [
        ("STANDARD", "same_region", 0.00405),
        ("STANDARD_IA", "same_region", 9.775_675),
        ("STANDARD", "internet", 87.894_675),
    ] {
        let bench = Bench::new();
        let content = csv(100 * MIB);
        let object = move |index| {
            let object = VirtualObject::new(format!("big/{index:06}.csv"), content.clone());
            VirtualObject { storage_class: class.into(), ..object }
        };
        bench.server.store().virtual_bucket("big", VirtualBucket::new(10_000, object));
        let scenario =
            Scenario::new(bench, "csv", all("s")).with("bucket", "big".into()).with("network", network.into());
        let began = Instant::now();
        let (estimate, log) = scenario.estimate();
        let elapsed = began.elapsed();
        let sum = estimate["positions"][0]["total_usd"].as_f64().unwrap();
        println!("| 10,000 x 100 MiB, {class} | {network} | ${sum:.6} | - | {elapsed:?} |");
        assert!((sum - expected).abs() < expected * 0.001, "{sum} instead of {expected}");
        assert_eq!(log.len(), 10);
        assert!(elapsed.as_secs() < 5, "{elapsed:?}");
        let mut command = scenario.command("estimate");
        command.arg("--format").arg("json");
        let peak = peak_bytes(command);
        assert!(peak > MIB && peak < 64 * MIB, "{peak} bytes");
    }
}

/// The most memory that a command had.
fn peak_bytes(mut command: Command) -> u64 {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        peak =
            line.and_then(|kilobytes| kilobytes.trim().parse::<u64>().ok()).map_or(peak, |kilobytes| kilobytes << 10);
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    peak
}

/// Forty files of 1 MiB; over the internet each costs $0.000088.
fn forty_files(filetype: &str, mode: &str) -> Scenario {
    let bench = Bench::new();
    let zipped = gzipped(&noise(20_000));
    for index in 0..40 {
        let (key, content) = match filetype {
            "csv.gz" => {
                (format!("l/{index:02}.csv.gz"), Content::repeat("", zipped.clone(), MIB / zipped.len() as u64))
            }
            _ => (format!("l/{index:02}.csv"), csv(MIB)),
        };
        put(&bench, &key, content, "STANDARD");
    }
    Scenario::new(bench, "csv", catalog("s", mode)).with("network", "internet".into())
}

pub(super) fn gets(log: &[Entry]) -> usize {
    log.iter().filter(|entry| entry.operation == "REST.GET.OBJECT").count()
}

#[test]
fn a_run_that_would_pass_its_limit_is_refused_before_it_reads() {
    let scenario = forty_files("csv", "full_refresh");
    let sum = scenario.estimate().0["positions"][0]["total_usd"].as_f64().unwrap();
    for (parameter, limit, message) in [
        ("cost_limit_usd", json!(sum * 0.99), "Operation cost $"),
        ("max_files_per_run", json!(39), "Operation of 40 files exceeds limit of 39 files"),
        ("max_data_size_gb", json!(0.0390), "Operation size 0.04 GB exceeds limit 0.04 GB"),
        ("max_requests", json!(40), "Operation of 41 requests exceeds limit of 40 requests"),
    ] {
        let mut config = scenario.config.clone();
        config[parameter] = limit;
        let refused = Scenario { config, ..forty_files("csv", "full_refresh") };
        let mut config = refused.config.clone();
        config["endpoint"] = refused.bench.server.endpoint().into();
        let refused = Scenario { config, ..refused };
        let (output, log) = refused.read_messages();
        assert_eq!((output.code, gets(&log), output.data().len()), (Some(1), 0, 0), "{parameter}");
        let [error] = output.errors()[..] else { panic!("one TRACE ERROR: {output:#?}") };
        let text = error["message"].as_str().unwrap();
        assert!(text.starts_with(message.split(" 0.04").next().unwrap()), "{text}");
        assert!(text.contains(parameter) && text.contains("'partial'"), "{text}");
        assert_eq!(error["failure_type"], "config_error");
        let told = &refused.estimate().0;
        assert_eq!(told["limit_passed"], parameter);
        assert_eq!((&told["limits_passed"], &told["refused"]), (&json!([parameter]), &json!(true)));
    }
    // At the limit itself nothing is refused.
    let exact = forty_files("csv", "full_refresh").with("max_files_per_run", 40.into()).with("max_requests", 41.into());
    let (output, log) = exact.read_messages();
    assert_eq!((output.ok().data().len(), gets(&log)), (40 * 32, 40));
}

/// Runs until everything is read; each run keeps its limit, and all together cost what one without a limit does.
fn in_parts(filetype: &str, mode: &str, parameter: &str, part: f64) {
    let whole = forty_files(filetype, mode);
    let (all, log) = whole.read_messages();
    let rows = all.ok().data().len();
    let of = |log: &[Entry]| {
        total(&actual(
            &log.iter().filter(|e| e.operation != "REST.GET.BUCKET").cloned().collect::<Vec<_>>(),
            "internet",
        ))
    };
    let unlimited = of(&log);
    let full = total(&actual(&log, "internet"));
    let limit = match parameter {
        "cost_limit_usd" => json!(full * part),
        "max_files_per_run" => json!((40.0 * part).round() as u64),
        "max_data_size_gb" => json!(40.0 * MIB as f64 / GB * part),
        _ => json!((41.0 * part).round() as u64),
    };
    let mut scenario = forty_files(filetype, mode).with(parameter, limit).with("on_limit", "partial".into());
    let (mut read, mut paid, mut runs) = (0, 0.0, 0);
    loop {
        let (output, log) = scenario.read_messages();
        let cost = total(&actual(&log, "internet"));
        assert_eq!(output.code, Some(0), "{output:#?}");
        if parameter == "cost_limit_usd" {
            assert!(cost <= full * part * (1.0 + 1e-9), "{filetype}, run {runs}: {cost} of {}", full * part);
        }
        (read, paid, runs) = (read + output.data().len(), paid + of(&log), runs + 1);
        let stopped =
            output.logs().iter().any(|line| line.contains("exceeds limit") && line.contains("remaining_files"));
        scenario.state = Some(output.state());
        if !stopped {
            break;
        }
        assert!(runs < 12, "it does not come to an end: {:#?}", output.logs());
    }
    println!(
        "| {filetype}, {mode}, {parameter} x {part} | {runs} runs | | | {:+.2} % |",
        (paid - unlimited) / unlimited * 100.0
    );
    assert_eq!(read, rows, "each row once");
    assert!(runs > 1, "the limit was never reached");
    assert!(paid <= unlimited * 1.02, "{paid} instead of {unlimited}");
}

#[test]
fn limited_runs_end_where_they_must_and_pay_nothing_twice() {
    for parameter in ["cost_limit_usd", "max_files_per_run", "max_data_size_gb", "max_requests"] {
        in_parts("csv", "incremental", parameter, 0.4);
    }
    in_parts("csv.gz", "incremental", "cost_limit_usd", 0.4);
    in_parts("csv", "full_refresh", "cost_limit_usd", 0.4);
}

#[test]
fn a_large_text_file_is_read_in_parts_and_a_compressed_one_is_refused_by_name() {
    let bench = Bench::new();
    put(&bench, "a.csv", csv(40 * MIB), "STANDARD");
    let scenario = Scenario::new(bench, "csv", catalog("s", "incremental"))
        .with("network", "internet".into())
        .with("on_limit", "partial".into())
        .with("max_data_size_gb", json!(15.0 * MIB as f64 / GB));
    let (mut scenario, mut read, mut bytes) = (scenario, 0, 0);
    for _ in 0..3 {
        let (output, log) = scenario.read_messages();
        let output = output.ok();
        read += output.data().len();
        bytes += log.iter().filter(|e| e.operation == "REST.GET.OBJECT").map(|e| e.bytes_sent).sum::<u64>();
        scenario.state = Some(output.state());
    }
    assert_eq!(read, 40 * 32, "each row once");
    assert!(bytes as f64 <= 40.0 * MIB as f64 * 1.02, "{bytes}");

    let bench = Bench::new();
    let zipped = gzipped(&noise(20_000));
    put(&bench, "a.csv.gz", Content::repeat("", zipped.clone(), MIB / zipped.len() as u64), "STANDARD");
    put(&bench, "b.csv.gz", zipped, "STANDARD");
    let scenario = Scenario::new(bench, "csv", catalog("s", "incremental"))
        .with("max_data_size_gb", json!(0.5 * MIB as f64 / GB))
        .with("on_limit", "partial".into());
    let (output, log) = scenario.read_messages();
    assert_eq!((output.code, gets(&log)), (Some(1), 1), "{output:#?}");
    assert!(output.errors()[0]["message"].as_str().unwrap().contains("'a.csv.gz'"), "{output:#?}");
    assert_eq!(output.statuses().last(), Some(&"INCOMPLETE"));
}

#[test]
fn objects_that_grew_do_not_pass_the_limit() {
    // Every body breaks off once: more requests than were planned.
    let scenario = forty_files("csv", "incremental").with("max_requests", 50.into());
    let fault = Fault::new(Action::ResetAfter(1000)).when(When::get("l/")).times(40);
    scenario.bench.server.faults().add(fault);
    let (output, log) = scenario.read_messages();
    assert_eq!(output.code, Some(1), "{output:#?}");
    assert_eq!(log.len(), 50, "not one request more");
    let message = output.errors()[0]["message"].as_str().unwrap();
    for part in ["Operation of 51 requests exceeds limit of 50 requests", "remaining_files", "spent"] {
        assert!(message.contains(part), "'{part}' in: {message}");
    }
    let mut again = scenario;
    again.state = Some(output.state());
    let (rest, _) = again.read_messages();
    assert_eq!(output.data().len() + rest.ok().data().len(), 40 * 32, "each row once");
}

#[test]
fn the_bill_and_estimates_are_messages_of_a_read() {
    let scenario = forty_files("csv", "incremental");
    let (output, _) = scenario.read_messages();
    let output = output.ok();
    let bill = output.logs().into_iter().find_map(|line| line.strip_prefix("INFO bill ").map(str::to_owned)).unwrap();
    let bill: Value = serde_json::from_str(&bill).unwrap();
    assert_eq!(bill["lines"][1]["usage_type"], "Requests-Tier2");
    assert_eq!(bill["lines"][1]["quantity"], bill["lines"][1]["estimated_quantity"]);
    assert_eq!(bill["total_usd"], bill["estimated_total_usd"]);
    let estimates: Vec<&Value> = output.messages.iter().filter(|m| m["trace"]["type"] == "ESTIMATE").collect();
    assert!(!estimates.is_empty(), "{:#?}", output.messages);
    assert_eq!(estimates[0]["trace"]["estimate"]["type"], "STREAM");
    assert!(estimates[0]["trace"]["estimate"]["byte_estimate"].as_u64().unwrap() >= 40 * MIB - 40 * ROW_BYTES);
}

#[test]
fn development_reads_a_sample_of_files_and_the_same_each_time() {
    let scenario = |extra: &[(&str, Value)], mode| {
        let bench = Bench::new();
        for index in 0..200 {
            bench.put(&format!("d/{index:03}.csv"), format!("x\n{index}\n"), 1);
        }
        let scenario = Scenario::new(bench, "csv", catalog("s", mode));
        extra.iter().fold(scenario, |scenario, (key, value)| scenario.with(key, value.clone()))
    };
    let read = |scenario: &Scenario| {
        let (output, log) = scenario.read_messages();
        let output = output.ok();
        let mut values = output.column("x");
        values.sort();
        assert_eq!(gets(&log), values.len());
        (values, output)
    };
    let sampled = scenario(&[("dev_sampling", json!(0.1))], "full_refresh");
    let (first, output) = read(&sampled);
    assert!((10..32).contains(&first.len()), "{}", first.len());
    assert!(output.logs().iter().any(|line| line.contains("dev_sampling")), "{:#?}", output.logs());
    assert_eq!(first, read(&scenario(&[("dev_sampling", json!(0.1))], "incremental")).0);
    let estimate = sampled.estimate().0;
    assert_eq!(estimate["streams"][0]["files"], first.len());
    // A sample is never empty.
    assert_eq!(read(&scenario(&[("dev_sampling", json!(0.00001))], "incremental")).0.len(), 1);

    for mode in ["full_refresh", "incremental"] {
        let few = scenario(&[("dev_max_files", json!(7))], mode);
        assert_eq!(few.estimate().0["streams"][0]["files"], 7);
        let (values, output) = read(&few);
        assert_eq!(values, ["0", "1", "2", "3", "4", "5", "6"]);
        assert_eq!(output.statuses().last(), Some(&"COMPLETE"));
        assert!(output.logs().iter().any(|line| line.contains("dev_max_files")), "{:#?}", output.logs());
    }
}

/// A Parquet file of 40 row groups with zeros behind them, so that it is as large as wished.
fn padded_parquet(size: usize) -> Vec<u8> {
    let ids = Arc::new(Int64Array::from_iter_values(0..4000)) as ArrayRef;
    let batch = RecordBatch::try_from_iter([("id", ids)]).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(100)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    let mut file = writer.into_inner().unwrap();
    let length = file.len();
    let metadata_bytes = u32::from_le_bytes(file[length - 8..length - 4].try_into().unwrap()) as usize;
    let metadata = file.split_off(length - 8 - metadata_bytes);
    file.resize(size - metadata.len(), 0);
    file.extend(metadata);
    file
}

#[test]
fn development_reads_a_sample_of_the_row_groups_of_a_large_parquet_file() {
    let bench = Bench::new();
    put(&bench, "large.parquet", padded_parquet(256 << 20), "STANDARD");
    put(&bench, "small.parquet", padded_parquet(1 << 20), "STANDARD");
    let scenario = Scenario::new(bench, "parquet", all("s"))
        .with("dev_sampling", json!(0.2))
        .with("network", json!("same_region"));
    let rows = || {
        let output = scenario.read_messages().0.ok();
        let large = output.data().into_iter().filter(|data| data["_ab_source_file_url"] == "large.parquet");
        let ids: Vec<i64> = large.map(|data| data["id"].as_i64().unwrap()).collect();
        (ids, output)
    };
    let (ids, output) = rows();
    assert!(ids.len() % 100 == 0 && (200..1600).contains(&ids.len()), "{}", ids.len());
    assert_eq!(ids, rows().0, "the same rows each time");
    let left_out = format!("{} row groups with {} rows skipped", 40 - ids.len() / 100, 4000 - ids.len());
    assert!(output.logs().iter().any(|line| line.starts_with("WARN") && line.contains(&left_out)), "{left_out}");
    // The estimate knows of it.
    let (estimate, _) = scenario.estimate();
    let (bill, _) = scenario.read();
    assert_same(
        "estimated and spent",
        &lines_of(&estimate["positions"][0]["lines"], "quantity", "usd"),
        &lines_of(&bill["lines"], "quantity", "usd"),
    );
}

/// What a sample of a tenth costs, as a part of what all does, and the bytes of objects likewise.
#[track_caller]
fn sampled_part(mut scenario: Scenario, network: &str) -> (f64, f64) {
    scenario = scenario.with("network", network.into());
    let of = |scenario: &Scenario| {
        let (_, log) = scenario.read();
        let gets = log.iter().filter(|entry| entry.operation == "REST.GET.OBJECT");
        (total(&actual(&log, network)), gets.map(|entry| entry.bytes_sent).sum::<u64>() as f64)
    };
    let all = of(&scenario);
    let sampled = scenario.with("dev_sampling", json!(0.1));
    let sample = of(&sampled);
    let (estimate, _) = sampled.estimate();
    let estimated = estimate["positions"][0]["total_usd"].as_f64().unwrap();
    assert!((estimated - sample.0).abs() <= sample.0 * 0.02, "{estimated} estimated, {} spent", sample.0);
    let remark = estimate["assumptions"].to_string();
    assert!(remark.contains("only a sample is read (`dev_sampling`)") && remark.contains("% of the bytes"), "{remark}");
    println!(
        "| dev_sampling 0.1 | {network} | ${:.9} of ${:.9} | {:.2} % of bytes |",
        sample.0,
        all.0,
        sample.1 / all.1 * 100.0
    );
    (sample.0 / all.0, sample.1 / all.1)
}

/// B19 of issue 11: a tenth saved 88 % at the same region and 83 % over the internet, since the listing costs as much as
/// before, and 72 % where sizes differ.
#[test]
fn a_sample_of_a_tenth_saves_nine_tenths_of_the_cost() {
    for network in ["same_region", "internet"] {
        let bench = Bench::new();
        let (small, large) = (csv(4 * 1024), csv(60 * 1024));
        let object = move |index: u64| {
            let content = if index.is_multiple_of(7) { large.clone() } else { small.clone() };
            VirtualObject::new(format!("dev/{index:06}.csv"), content)
        };
        bench.server.store().virtual_bucket("dev", VirtualBucket::new(2000, object));
        let scenario = Scenario::new(bench, "csv", all("s")).with("bucket", "dev".into());
        let (cost, _) = sampled_part(scenario, network);
        assert!(cost <= 0.1, "{network}: {cost}");
        assert!(cost > 0.06, "{network}: {cost} is less than was asked for");
    }
    let bench = Bench::new();
    for index in 0..20 {
        let rows = 4000 + 1000 * (index % 5);
        put(&bench, &format!("t/{index:02}.parquet"), wide_parquet(rows, index as u64), "STANDARD");
    }
    let (cost, bytes) = sampled_part(Scenario::new(bench, "parquet", all("s")), "internet");
    assert!(cost <= 0.1 && bytes <= 0.1 && bytes > 0.04, "{cost} {bytes}");
}

/// B19: one large file was read whole, whatever part was asked for.
#[test]
fn a_sample_of_one_large_parquet_file_reads_some_of_its_row_groups() {
    let columns = (0..4).map(|column| {
        let values = (0..600_000_i64).map(|row| row.wrapping_mul(6_364_136_223_846_793_005) ^ column);
        (format!("c{column}"), Arc::new(Int64Array::from_iter_values(values)) as ArrayRef)
    });
    let batch = RecordBatch::try_from_iter(columns.collect::<Vec<_>>()).unwrap();
    let properties =
        WriterProperties::builder().set_max_row_group_row_count(Some(10_000)).set_dictionary_enabled(false).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    let bench = Bench::new();
    put(&bench, "a.parquet", writer.into_inner().unwrap(), "STANDARD");
    let (cost, bytes) = sampled_part(Scenario::new(bench, "parquet", all("s")), "internet");
    assert!(bytes <= 0.1 && bytes > 0.06, "{bytes}");
    assert!(cost <= 0.11, "the listing of one object is not nothing: {cost}");
}

/// B19: of one large text file the beginning is read. The rest is not taken for read: it comes when all is asked for.
#[test]
fn a_sample_of_one_large_text_file_is_its_beginning_and_the_rest_comes_later() {
    for mode in ["incremental", "full_refresh"] {
        let bench = Bench::new();
        put(&bench, "a.csv", csv(20 * MIB), "STANDARD");
        let scenario = Scenario::new(bench, "csv", catalog("s", mode)).with("network", "internet".into());
        let mut sampled = scenario.with("dev_sampling", json!(0.1));
        let (output, log) = sampled.read_messages();
        let output = output.ok();
        let bytes: u64 = log.iter().filter(|e| e.operation == "REST.GET.OBJECT").map(|e| e.bytes_sent).sum();
        let first = output.data().len();
        assert_eq!(first, 63, "of 640 rows, {mode}");
        assert!(bytes <= 2 * MIB, "{bytes}");
        let line = "1 files to read, but only in part (`dev_sampling`): it reads 10.0 % of the bytes";
        assert!(output.logs().iter().any(|text| text.contains(line)), "{:#?}", output.logs());
        assert_eq!(output.statuses().last(), Some(&"COMPLETE"));
        sampled.state = Some(output.state());
        if mode == "incremental" {
            assert_eq!(sampled.read_messages().0.ok().data().len(), 0, "the same sample has nothing more");
        }
        sampled.config.as_object_mut().unwrap().remove("dev_sampling");
        let rest = sampled.read_messages().0.ok().data().len();
        assert_eq!(rest, if mode == "incremental" { 640 - first } else { 640 }, "{mode}");
    }
}

/// Without limits the listing of a full refresh goes on while its first files are read, and no footer is looked at before;
/// the bill still has an estimate.
#[test]
fn a_run_without_limits_is_billed_beside_what_was_expected_of_each_file() {
    for mode in ["full_refresh", "incremental"] {
        let bench = Bench::new();
        for index in 0..3 {
            put(&bench, &format!("t/{index}.parquet"), wide_parquet(20_000 + 5000 * index, index as u64), "STANDARD");
        }
        let wanted = json!({"c03": {"type": "integer"}, "c20": {"type": "integer"}});
        let parquet = Scenario::new(bench, "parquet", catalog_with("s", mode, wanted));
        for scenario in [forty_files("csv", mode), parquet] {
            let (bill, log) = scenario.read();
            assert!(gets(&log) > 6, "{mode}");
            let lines = |quantity, dollars| lines_of(&bill["lines"], quantity, dollars);
            assert_same(mode, &lines("estimated_quantity", "estimated_usd"), &lines("quantity", "usd"));
        }
    }
}

#[test]
fn archived_objects_are_left_out_or_fail_the_stream_and_restored_ones_are_read() {
    let scenario = |policy: &str| {
        let bench = Bench::new();
        put(&bench, "a.csv", "x\n1\n", "STANDARD");
        put(&bench, "b.csv", "x\n2\n", "DEEP_ARCHIVE");
        let restored = ObjectOptions { restored: true, ..ObjectOptions::storage_class("GLACIER") };
        bench.server.store().put(BUCKET, "c.csv", "x\n3\n", restored);
        put(&bench, "d.csv", "x\n4\n", "INTELLIGENT_TIERING");
        // An object in an archive tier is listed like any other of its class.
        let code = Some("InvalidObjectState".into());
        let archived = Action::Status { status: 403, code, retry_after_s: None };
        bench.server.faults().add(Fault::new(archived).when(When::get("d.csv")));
        Scenario::new(bench, "csv", catalog("s", "incremental")).with("on_archived", policy.into())
    };
    let skipping = scenario("skip");
    let (output, log) = skipping.read_messages();
    let output = output.ok();
    let mut values = output.column("x");
    values.sort();
    assert_eq!((values, gets(&log)), (vec!["1".to_owned(), "3".to_owned()], 3), "{output:#?}");
    assert!(output.logs().iter().any(|line| line.starts_with("WARN") && line.contains("2 archived objects")));
    let history = output.state().to_string();
    assert!(history.contains("a.csv") && !history.contains("b.csv") && !history.contains("d.csv"), "{history}");
    // The restored copy is billed like STANDARD.
    assert!(actual(&log, "internet").contains_key("Requests-Tier2"));

    let (output, _) = scenario("fail").read_messages();
    assert_eq!((output.code, output.data().len()), (Some(1), 2), "{output:#?}");
    assert!(output.errors()[0]["message"].as_str().unwrap().contains("2 objects of the stream are archived"));
    assert_eq!(output.statuses().last(), Some(&"INCOMPLETE"));
}

#[test]
fn an_estimate_of_a_run_that_would_be_refused_names_all_limits_and_does_not_exit_with_0() {
    let code = |scenario: &Scenario| scenario.command("estimate").stdin(Stdio::null()).output().unwrap();
    let refused =
        forty_files("csv", "full_refresh").with("max_files_per_run", 30.into()).with("max_requests", 5.into());
    let output = code(&refused);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{text}");
    for part in ["40 files exceeds limit of 30 files", "41 requests exceeds limit of 5 requests", "would be refused"] {
        assert!(text.contains(part), "'{part}' in: {text}");
    }
    assert!(text.contains("allows for one request in 50"), "{text}");
    let (run, log) = refused.read_messages();
    let message = run.errors()[0]["message"].as_str().unwrap();
    assert!(message.contains("40 files") && message.contains("exceeds limit of 5 requests"), "{message}");
    assert_eq!(gets(&log), 0);
    // What is read in part is not refused.
    assert_eq!(code(&refused.with("on_limit", "partial".into())).status.code(), Some(0));
    assert_eq!(code(&forty_files("csv", "full_refresh").with("max_requests", 41.into())).status.code(), Some(0));
}
