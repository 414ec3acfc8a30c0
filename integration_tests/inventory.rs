//! S3 Inventory in place of a listing: the same files, for a few requests, and nothing lost beside it.

#![expect(clippy::unwrap_used, reason = "a test panics with what it met")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::testkit::{BucketOptions, ObjectOptions, VirtualBucket, VirtualObject};
use crate::support::{BUCKET, Bench, Output, catalog, finish_measured, gzipped, time};
use serde_json::{Value, json};

/// Where inventories are written.
const PLACE: &str = "inventories";
/// The folder of the inventory's configuration.
const FOLDER: &str = "inv/bucket/daily/";
/// Seconds of a day.
const DAY: u64 = 86_400;
const CSV_SCHEMA: &str = "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, StorageClass, \
                          IsMultipartUploaded, ReplicationStatus, EncryptionStatus";

/// A bucket for inventories beside the one that they are of.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.server.store().create_bucket(PLACE, BucketOptions::default());
    bench
}

fn put(bench: &Bench, key: &str, content: impl Into<Vec<u8>>) {
    bench.server.store().put(PLACE, key, content.into(), ObjectOptions::default());
}

/// Writes a manifest of data files; its time is in seconds behind the fixed day. Returns where it is.
fn manifest(bench: &Bench, name: &str, bucket: &str, format: &str, second: u64, files: &[(String, Vec<u8>)]) -> String {
    let mut entries = Vec::new();
    for (key, content) in files {
        put(bench, key, content.clone());
        let md5 = bench.server.store().get(PLACE, key).unwrap().etag.trim_matches('"').to_owned();
        entries.push(json!({"key": key, "size": content.len(), "MD5checksum": md5}));
    }
    let seconds = time(second).duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let manifest = json!({
        "sourceBucket": bucket, "destinationBucket": format!("arn:aws:s3:::{PLACE}"), "version": "2016-11-30",
        "creationTimestamp": format!("{}", seconds * 1000), "fileFormat": format, "fileSchema": CSV_SCHEMA,
        "files": entries,
    });
    put(bench, &format!("{FOLDER}{name}/manifest.json"), manifest.to_string());
    put(bench, &format!("{FOLDER}{name}/manifest.checksum"), "0");
    format!("s3://{PLACE}/{FOLDER}{name}/manifest.json")
}

/// A row of CSV, as AWS writes it.
fn row(key: &str, size: u64, second: u64, etag: &str) -> String {
    let mut encoded = String::new();
    for byte in key.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' => encoded.push(char::from(byte)),
            b' ' => encoded.push('+'),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    let at = chrono::DateTime::<chrono::Utc>::from(time(second)).format("%Y-%m-%dT%H:%M:%S.000Z");
    format!(
        "\"{BUCKET}\",\"{encoded}\",\"\",\"true\",\"false\",\"{size}\",\"{at}\",\"{etag}\",\"STANDARD\",\"false\",\"\",\"\"\n"
    )
}

/// An inventory of what is in the bucket now, in two files whose rows are in no order.
fn snapshot(bench: &Bench, name: &str, second: u64) -> String {
    let store = bench.server.store();
    let mut rows: Vec<String> = Vec::new();
    for key in store.keys(BUCKET) {
        let object = store.get(BUCKET, &key).unwrap();
        let at = object.modified_at.duration_since(time(0)).map_or(0, |since| since.as_secs());
        rows.push(row(&key, object.content.size_bytes(), at, object.etag.trim_matches('"')));
    }
    let (odd, even): (Vec<_>, Vec<_>) = rows.into_iter().rev().enumerate().partition(|(index, _)| index % 2 == 1);
    let text = |rows: Vec<(usize, String)>| rows.into_iter().map(|(_, row)| row).collect::<String>();
    let file = |part: &str, rows| (format!("{FOLDER}data/{name}-{part}.csv.gz"), gzipped(text(rows).as_bytes()));
    manifest(bench, name, BUCKET, "CSV", second, &[file("odd", odd), file("even", even)])
}

/// A stream of CSV files below `lake/`, by days.
fn stream(inventory: Option<&str>) -> Value {
    let mut stream = json!({
        "name": "s", "globs": ["lake/**"], "format": {"filetype": "csv"}, "partition_template": "{date}/",
        "partition_columns": "none",
    });
    if let Some(inventory) = inventory {
        stream["inventory"] = inventory.into();
        stream["inventory_margin"] = "1d".into();
    }
    stream
}

fn read(bench: &Bench, stream: Value, mode: &str, state: Option<&Value>) -> Output {
    bench.server.log().clear();
    bench.read(&bench.config(json!([stream])), &catalog("s", mode), state)
}

fn keys(output: &Output) -> Vec<String> {
    output.column("_ab_source_file_url")
}

fn logged(output: &Output, part: &str) -> bool {
    output.logs().iter().any(|line| line.contains(part))
}

fn verb(bench: &Bench, name: &str, config: &Value, mode: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.arg(name).arg("--config").arg(bench.file("config.json", config)).args(["--format", "json"]);
    command.arg("--catalog").arg(bench.file("catalog.json", &catalog("s", mode)));
    command
}

fn json_of(command: Command) -> Value {
    measured(command).0
}

/// What a verb answers as JSON, and the most memory it had in bytes.
fn measured(mut command: Command) -> (Value, u64) {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || std::io::read_to_string(&mut stdout).unwrap());
    let (status, mut peak_kb) = (format!("/proc/{}/status", child.id()), 0_u64);
    while child.try_wait().unwrap().is_none() {
        let memory = std::fs::read_to_string(&status).unwrap_or_default();
        let line = memory.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        peak_kb = line.and_then(|kb| kb.parse().ok()).unwrap_or(peak_kb);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let text = reader.join().unwrap();
    (serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")), peak_kb << 10)
}

/// GETs, LISTs and HEADs of the server's log since it was cleared.
fn requests(bench: &Bench) -> (usize, usize, usize) {
    let (gets, lists) = bench.requests();
    (gets, lists, bench.server.log().count(|entry| entry.operation == "REST.HEAD.OBJECT"))
}

/// A thousand days of a thousand files: the inventory has all but the last two days.
fn million(index: u64) -> (String, String) {
    let day = chrono::NaiveDate::from_ymd_opt(2021, 4, 22).unwrap() + chrono::TimeDelta::days(index as i64 / 1000);
    (format!("lake/{day}/part-{:06}.csv", index % 1000), format!("{index:032x}"))
}

#[test]
fn a_million_keys_of_an_inventory_cost_its_files_and_not_a_thousand_lists() {
    let bench = bench();
    let object = |index| {
        let (key, etag) = million(index);
        VirtualObject { etag: Some(etag), ..VirtualObject::new(key, "x\n1\n".to_owned()) }
    };
    bench.server.store().virtual_bucket("million", VirtualBucket::new(1_000_000, object));
    let (last, _) = million(999_999);
    assert!(last.starts_with("lake/2024-01-16/"), "{last}");
    let files: Vec<_> = (0..4)
        .map(|file| {
            let rows: String = (file * 249_500..(file + 1) * 249_500)
                .map(|index| {
                    let (key, etag) = million(index);
                    row(&key, 4, 0, &etag)
                })
                .collect();
            (format!("{FOLDER}data/{file}.csv.gz"), gzipped(rows.as_bytes()))
        })
        .collect();
    // In the night to the 15th, where a day back begins the 14th.
    let at = manifest(&bench, "2024-01-15T00-00Z", "million", "CSV", 0, &files);
    let mut stream = stream(Some(&at));
    let mut config = bench.config(json!([stream]));
    config["bucket"] = "million".into();
    bench.server.log().clear();
    let (plan, peak_bytes) = measured(verb(&bench, "plan", &config, "full_refresh"));
    assert_eq!(requests(&bench), (1 + 4, 1 + 3, 1), "the manifest and its files; the folders and three days; a HEAD");
    let plan = &plan["streams"][0];
    assert_eq!(plan["list_requests"], 4, "{plan:#}");
    assert_eq!((&plan["files"], &plan["bytes"]), (&json!(1_000_000), &json!(4_000_000)), "{plan:#}");
    assert_eq!(plan["objects_of_inventory"], 997_000, "{plan:#}");
    assert!(peak_bytes < 192 << 20, "{peak_bytes} bytes for a million files in hand");

    // Where few of them are wanted, nothing but those is held.
    stream["globs"] = json!(["lake/*/part-000007.csv"]);
    stream["partition_filter"] = json!({"date": {"gte": "2023-12-25"}});
    config["streams"] = json!([stream]);
    bench.server.log().clear();
    let (output, peak_bytes) = finish_measured(bench.read_command(&config, &catalog("s", "full_refresh"), None));
    let output = output.ok();
    assert_eq!(keys(&output).len(), 23, "from 25 December to 16 January");
    let (gets, lists, heads) = requests(&bench);
    assert_eq!((gets, heads), (1 + 4 + 23, 1));
    assert!(lists <= 4, "{lists} LISTs");
    assert!(peak_bytes < 96 << 20, "{peak_bytes} bytes");
    assert!(logged(&output, "lists 998000 objects"), "{:#?}", output.logs());
}

/// The objects of the fixtures that other tools made.
fn put_fixture(bench: &Bench) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration_tests/fixtures/inventory/objects.jsonl");
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let object: Value = serde_json::from_str(line).unwrap();
        let class = object["class"].as_str().unwrap().to_owned();
        let options = ObjectOptions {
            modified_at: Some(time(object["second"].as_u64().unwrap())),
            ..ObjectOptions::storage_class(class)
        };
        let content = object["content"].as_str().unwrap().as_bytes().to_vec();
        bench.server.store().put(BUCKET, object["key"].as_str().unwrap(), content, options);
    }
}

#[test]
fn inventories_of_other_tools_tell_what_a_listing_does() {
    let bench = bench();
    put_fixture(&bench);
    let of = |inventory: Option<&str>| {
        let mut stream = stream(inventory);
        stream["partition_template"] = "{year}/{month}/{day}/".into();
        stream["inventory_margin"] = "0s".into();
        stream
    };
    let records = |output: &Output| {
        let data = |data: &Value| format!("{} {}", data["_ab_source_file_url"], data["x"]);
        output.data().into_iter().map(data).collect::<BTreeSet<_>>()
    };
    let listed = records(&read(&bench, of(None), "full_refresh", None).ok());
    assert_eq!(listed.len(), 60);
    for (name, format) in [("inventory.csv.gz", "CSV"), ("pyarrow.parquet", "Parquet"), ("duckdb.parquet", "Parquet")] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration_tests/fixtures/inventory").join(name);
        let files = [(format!("{FOLDER}data/{name}"), std::fs::read(path).unwrap())];
        // At noon of the 15th: all of the days before are the inventory's.
        let at = manifest(&bench, name, BUCKET, format, 0, &files);
        let output = read(&bench, of(Some(&at)), "full_refresh", None).ok();
        assert_eq!(records(&output), listed, "{name}");
        assert_eq!(requests(&bench), (1 + 1 + 60, 3, 1), "{name}: LISTs of the years, the months and the days");
        assert!(logged(&output, "60 objects are known from the inventory"), "{:#?}", output.logs());
        // Times and ETags are the same too: an incremental sync after a listed one has nothing to read.
        let first = read(&bench, of(None), "incremental", None).ok();
        let second = read(&bench, of(Some(&at)), "incremental", Some(&first.state())).ok();
        assert_eq!(second.data().len(), 0, "{name}");
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// The fixed day is 15 January, at noon.
fn random_key(random: &mut Random, days: std::ops::RangeInclusive<u64>) -> String {
    let day = days.start() + random.below(days.end() - days.start() + 1);
    let folder = match random.below(12) {
        0 => "none".to_owned(),
        1 => format!("202401{day:02}"),
        2 => format!("2024-01-{day:02}-07"),
        _ => format!("2024-01-{day:02}"),
    };
    let deeper = if random.below(5) == 0 { "deep er/" } else { "" };
    format!("lake/{folder}/{deeper}{}+{}.csv", ["a", "b", "ü"][random.below(3) as usize], random.below(9))
}

#[test]
fn an_inventory_with_its_top_up_is_the_whole_listing_where_older_partitions_stood_still() {
    for seed in 1..=12 {
        let mut random = Random(seed * 0x9e37_79b9);
        let bench = bench();
        let put_some = |random: &mut Random, count, days: std::ops::RangeInclusive<u64>| {
            for _ in 0..count {
                let (key, second) = (random_key(random, days.clone()), random.below(10 * DAY));
                bench.put(&key, format!("x\n{}\n", random.below(1000)), second);
            }
        };
        put_some(&mut random, 20 + seed * 5, 1..=14);
        // The inventory lacks what was written lately, and has what is deleted by now.
        put_some(&mut random, 5, 14..=15);
        let at = snapshot(&bench, "2024-01-15T12-00Z", 0);
        let store = bench.server.store();
        let recent = |key: &String| key.contains("01-14") || key.contains("0114") || key.contains("none");
        for key in store.keys(BUCKET).into_iter().filter(recent) {
            if random.below(3) == 0 {
                store.remove(BUCKET, &key);
            }
        }
        put_some(&mut random, 15, 14..=20);
        bench.put("lake/loose.csv", "x\n1\n", 5);
        for mode in ["full_refresh", "incremental"] {
            let whole = read(&bench, stream(None), mode, None).ok();
            let topped = read(&bench, stream(Some(&at)), mode, None).ok();
            if mode == "full_refresh" {
                assert!(keys(&topped).iter().collect::<BTreeSet<_>>().len() > 10);
            }
            let rows = |output: &Output| {
                let rows =
                    output.data().into_iter().map(|data| format!("{} {}", data["_ab_source_file_url"], data["x"]));
                rows.collect::<BTreeSet<_>>()
            };
            assert_eq!(rows(&topped), rows(&whole), "seed {seed}, {mode}");
            assert_eq!(topped.data().len(), whole.data().len(), "seed {seed}, {mode}: each once");
            if mode == "incremental" {
                assert_eq!(
                    topped.state()[0]["stream"]["stream_state"]["history"],
                    whole.state()[0]["stream"]["stream_state"]["history"]
                );
            }
        }
    }
}

/// Five days of two files; the inventory is of noon of the 15th.
fn old_days(bench: &Bench) -> String {
    for day in 1..=5 {
        for name in ["a", "b"] {
            bench.put(&format!("lake/2024-01-0{day}/{name}.csv"), format!("x\n{day}{name}\n"), day);
        }
    }
    snapshot(bench, "2024-01-15T12-00Z", 0)
}

#[test]
fn files_that_vanished_since_the_inventory_are_counted_and_fail_nothing() {
    let bench = bench();
    let at = old_days(&bench);
    bench.server.store().remove(BUCKET, "lake/2024-01-02/a.csv");
    for mode in ["full_refresh", "incremental"] {
        let output = read(&bench, stream(Some(&at)), mode, None).ok();
        assert_eq!(output.data().len(), 9, "{mode}");
        assert!(
            logged(&output, "WARN stream s: 1 files skipped: deleted after the inventory was made"),
            "{:#?}",
            output.logs()
        );
        assert_eq!(requests(&bench), (1 + 2 + 10, 1, 1), "{mode}: one GET of them in vain");
    }
    // It comes back: it was never read.
    let first = read(&bench, stream(Some(&at)), "incremental", None).ok();
    bench.put("lake/2024-01-02/a.csv", "x\n2a\n", 2);
    let second = read(&bench, stream(Some(&at)), "incremental", Some(&first.state())).ok();
    assert_eq!(second.column("x"), ["2a"]);
}

#[test]
fn files_that_were_overwritten_since_the_inventory_are_read_as_they_are() {
    let bench = bench();
    let at = old_days(&bench);
    bench.put("lake/2024-01-02/a.csv", "x\nnewer\nlonger\n", 7 * DAY);
    let output = read(&bench, stream(Some(&at)), "incremental", None).ok();
    let rows: BTreeSet<String> = output.column("x").into_iter().collect();
    assert!(rows.contains("newer") && rows.contains("longer") && !rows.contains("2a"), "{:#?}", output.logs());
    assert_eq!(output.data().len(), 11);
    assert!(logged(&output, "1 files were overwritten after the inventory was made"), "{:#?}", output.logs());
    let (gets, lists, heads) = requests(&bench);
    assert_eq!((gets, lists, heads), (1 + 2 + 10 + 1, 1, 1 + 1), "a GET that is refused, a HEAD, and another GET");
    let history = &output.state()[0]["stream"]["stream_state"]["history"];
    assert_eq!(history["lake/2024-01-02/a.csv"], "2024-01-22T12:00:00.000000Z", "the time of what was read");
    // The next sync with a fresh inventory has nothing to read, and neither has one with the old one.
    let fresh = snapshot(&bench, "2024-01-16T12-00Z", DAY);
    for at in [fresh, at] {
        let next = read(&bench, stream(Some(&at)), "incremental", Some(&output.state())).ok();
        assert_eq!(next.data().len(), 0, "{at}");
        let old_news = |line: &String| line.starts_with("WARN") && line.contains("older than");
        assert!(
            !next.logs().iter().any(old_news),
            "an old inventory says nothing about what was read: {:#?}",
            next.logs()
        );
    }
}

#[test]
fn an_older_folder_that_the_inventory_does_not_have_is_listed() {
    let bench = bench();
    let at = old_days(&bench);
    bench.put("lake/2023-12-24/late.csv", "x\nlate\n", 3 * DAY);
    bench.put("lake/2024-01-03/late.csv", "x\nlater\n", 3 * DAY);
    let output = read(&bench, stream(Some(&at)), "full_refresh", None).ok();
    let rows: BTreeSet<String> = output.column("x").into_iter().collect();
    assert!(rows.contains("late"), "{rows:?}");
    assert!(!rows.contains("later"), "it is in a folder that the inventory has: the next one will tell it");
    assert!(logged(
        &output,
        "files that appear in older partitions after 2024-01-15T12:00:00.000000Z are read with the next"
    ));
    let next = snapshot(&bench, "2024-01-20T12-00Z", 5 * DAY);
    let output = read(&bench, stream(Some(&next)), "full_refresh", None).ok();
    assert!(output.column("x").contains(&"later".to_owned()));
}

#[test]
fn without_dates_an_inventory_is_refused_or_read_alone_as_the_policy_says() {
    let bench = bench();
    for name in ["a", "b"] {
        bench.put(&format!("lake/{name}/x.csv"), "x\n1\n", 1);
    }
    let at = snapshot(&bench, "2024-01-15T12-00Z", 0);
    bench.put("lake/c/x.csv", "x\n2\n", 1);
    let mut stream = stream(Some(&at));
    stream["partition_template"] = "{kind}/".into();
    let output = read(&bench, stream.clone(), "full_refresh", None);
    assert_eq!(output.code, Some(1));
    let message = output.errors()[0]["message"].as_str().unwrap();
    assert!(message.contains("have no dates") && message.contains("on_inventory_gap"), "{message}");
    assert_eq!(requests(&bench).1, 0, "refused before anything is listed");
    stream["on_inventory_gap"] = "warn".into();
    let output = read(&bench, stream, "full_refresh", None).ok();
    assert_eq!(output.data().len(), 2);
    assert_eq!(requests(&bench), (1 + 2 + 2, 0, 1));
    let logs = output.logs();
    assert!(
        logs.iter().any(|line| line.starts_with("WARN") && line.contains("nothing is listed, because")),
        "{logs:#?}"
    );
}

#[test]
fn the_newest_complete_inventory_of_a_folder_is_taken() {
    let bench = bench();
    old_days(&bench);
    bench.put("lake/2024-01-06/c.csv", "x\n6c\n", 6);
    snapshot(&bench, "2024-01-16T12-00Z", DAY);
    // The third has no checksum yet: it is still being written.
    put(&bench, &format!("{FOLDER}2024-01-17T12-00Z/manifest.json"), "{}");
    put(&bench, &format!("{FOLDER}hive/dt=2024-01-17-12-00/symlink.txt"), "");
    let output = read(&bench, stream(Some(&format!("s3://{PLACE}/{FOLDER}"))), "full_refresh", None).ok();
    assert_eq!(output.data().len(), 11);
    assert!(logged(&output, "2024-01-16T12-00Z/manifest.json"), "{:#?}", output.logs());
    assert_eq!(requests(&bench), (1 + 2 + 11, 3 + 1, 0), "the folders, the two newest of them, and the days");
    for (bucket, part) in [("other", "is for bucket 'other'"), (BUCKET, "there is no complete inventory")] {
        let at = manifest(&bench, &format!("x{bucket}/2024"), bucket, "CSV", 0, &[]);
        let at = if bucket == BUCKET { format!("s3://{PLACE}/nowhere/") } else { at };
        for output in [
            read(&bench, stream(Some(&at)), "full_refresh", None),
            bench.check(&bench.config(json!([stream(Some(&at))]))),
        ] {
            assert!(output.text.contains(part), "{}", output.text);
        }
    }
}

#[test]
fn a_damaged_inventory_is_an_error_and_no_shorter_listing() {
    let bench = bench();
    old_days(&bench);
    let whole = gzipped(
        (1..=5).map(|day| row(&format!("lake/2024-01-0{day}/a.csv"), 5, 1, "e")).collect::<String>().as_bytes(),
    );
    let odd = gzipped(b"\"bucket\",\"lake/2024-01-01/a.csv\"\n");
    let name = |part: &str| format!("{FOLDER}data/{part}.csv.gz");
    for (part, content, format) in
        [("cut", whole[..whole.len() - 12].to_vec(), "CSV"), ("odd", odd, "CSV"), ("orc", whole.clone(), "ORC")]
    {
        let at = manifest(&bench, part, BUCKET, format, 0, &[(name(part), content)]);
        let output = read(&bench, stream(Some(&at)), "full_refresh", None);
        assert_eq!((output.code, output.data().len()), (Some(1), 0), "{part}: {:#?}", output.logs());
        let message = output.errors()[0]["message"].as_str().unwrap().to_owned();
        assert!(message.contains("inventory"), "{message}");
    }
    let at = manifest(&bench, "missing", BUCKET, "CSV", 0, &[(name("missing"), whole)]);
    bench.server.store().remove(PLACE, &name("missing"));
    assert_eq!(read(&bench, stream(Some(&at)), "incremental", None).code, Some(1));
}

#[test]
fn archived_objects_of_an_inventory_are_counted_and_it_is_said_that_some_may_be_restored() {
    let bench = bench();
    let at = old_days(&bench);
    let text = row("lake/2024-01-01/a.csv", 5, 1, "e").replace("STANDARD", "GLACIER");
    let files = [(format!("{FOLDER}data/g.csv.gz"), gzipped(text.as_bytes()))];
    let archived = manifest(&bench, "archived", BUCKET, "CSV", 0, &files);
    let output = read(&bench, stream(Some(&archived)), "full_refresh", None).ok();
    assert!(logged(&output, "WARN stream s: 1 archived objects skipped"), "{:#?}", output.logs());
    assert!(logged(&output, "does not show which archived objects are restored"), "{:#?}", output.logs());
    let output = read(&bench, stream(Some(&at)), "full_refresh", None).ok();
    assert!(!logged(&output, "restored"), "{:#?}", output.logs());
}

#[test]
fn an_estimate_has_what_the_inventory_costs() {
    let bench = bench();
    let at = old_days(&bench);
    let mut config = bench.config(json!([stream(Some(&at))]));
    config["price_table"] = "aws".into();
    bench.server.log().clear();
    let estimate = json_of(verb(&bench, "estimate", &config, "incremental"));
    assert_eq!(requests(&bench), (1 + 2, 1, 1));
    let bill = bench.folder.join("bill.json");
    let mut command = bench.read_command(&config, &catalog("s", "incremental"), None);
    command.arg("--bill").arg(&bill);
    bench.server.log().clear();
    crate::support::finish(command).ok();
    assert_eq!(requests(&bench), (1 + 2 + 10, 1, 1));
    let bill: Value = serde_json::from_slice(&std::fs::read(bill).unwrap()).unwrap();
    let sum = |lines: &Value, name: &str, number: &str| -> u64 {
        let lines = lines.as_array().unwrap().iter().filter(|line| line["usage_type"] == name);
        lines.map(|line| line[number].as_u64().unwrap()).sum()
    };
    for (row, expected) in [("Requests-Tier2", 1 + 1 + 2 + 10), ("Requests-Tier1", 1)] {
        let estimated = sum(&estimate["positions"][0]["lines"], row, "quantity");
        let found = [sum(&bill["lines"], row, "quantity"), sum(&bill["lines"], row, "estimated_quantity"), estimated];
        assert_eq!(found, [expected; 3], "{row}: {bill:#} {estimate:#}");
    }
}

#[test]
fn a_full_refresh_goes_on_among_the_keys_of_the_inventory() {
    let bench = bench();
    let at = old_days(&bench);
    // A run that reads one file leaves a state that names the selection.
    let mut stopped = bench.config(json!([stream(Some(&at))]));
    (stopped["max_files_per_run"], stopped["on_limit"]) = (json!(1), json!("partial"));
    let mut state = bench.read(&stopped, &catalog("s", "full_refresh"), None).ok().state();
    state[0]["stream"]["stream_state"]["tollgate"]["through"] = json!("lake/2024-01-04/a.csv");
    let output = read(&bench, stream(Some(&at)), "full_refresh", Some(&state)).ok();
    let rows: BTreeSet<String> = output.column("x").into_iter().collect();
    assert_eq!(rows, ["4b", "5a", "5b"].map(str::to_owned).into());
}

/// Whatever the place for dead letters is, what is wrong with it is not wrong with the files.
#[test]
fn a_missing_bucket_for_dead_letters_is_no_file_that_vanished() {
    let bench = bench();
    let at = old_days(&bench);
    bench.put("lake/2024-01-03/bad.csv", "x\n1,2\n", 3);
    let at = [Some(snapshot(&bench, "2024-01-15T13-00Z", 0)), Some(at), None];
    for inventory in at.iter().map(Option::as_deref) {
        let mut stream = stream(inventory);
        stream["on_error"] = "dead_letter".into();
        stream["dead_letter_path"] = "s3://no-such-bucket/letters/".into();
        if inventory.is_none_or(|at| at.contains("T13-00Z")) {
            let output = read(&bench, stream.clone(), "incremental", None);
            assert_eq!(output.code, Some(1), "{inventory:?}: {:#?}", output.logs());
            assert!(!logged(&output, "vanished") && !logged(&output, "bad rows were written"), "{:#?}", output.logs());
            assert!(!logged(&output, "become unreachable"), "{:#?}", output.logs());
            let message = output.errors()[0]["message"].as_str().unwrap();
            assert!(message.contains("bad rows cannot be written to 's3://no-such-bucket/letters/'"), "{message}");
            let again = read(&bench, stream.clone(), "incremental", Some(&output.state()));
            assert_eq!(again.code, Some(1), "{inventory:?}: a retry must not turn green");
        }
        let checked = bench.check(&bench.config(json!([stream.clone()])));
        assert!(checked.text.contains("FAILED") && checked.text.contains("no-such-bucket"), "{}", checked.text);
        stream["dead_letter_path"] = format!("s3://{PLACE}/letters/").into();
        let checked = bench.check(&bench.config(json!([stream])));
        assert!(checked.text.contains("SUCCEEDED"), "{}", checked.text);
    }
}

/// A file of an inventory that is not what its manifest says is half a listing, and so half the files of the stream.
#[test]
fn an_inventory_file_with_another_checksum_is_an_error() {
    let bench = bench();
    old_days(&bench);
    let rows = |days: std::ops::RangeInclusive<u32>| {
        let rows = days.map(|day| row(&format!("lake/2024-01-0{day}/a.csv"), 5, 1, "e")).collect::<String>();
        gzipped(rows.as_bytes())
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration_tests/fixtures/inventory/pyarrow.parquet");
    let parquet = std::fs::read(path).unwrap();
    for (name, format, whole, other) in
        [("rows.csv.gz", "CSV", rows(1..=5), rows(1..=2)), ("rows.parquet", "Parquet", parquet.clone(), parquet)]
    {
        let key = format!("{FOLDER}data/{name}");
        let at = manifest(&bench, name, BUCKET, format, 0, &[(key.clone(), whole.clone())]);
        let mut other = other;
        if format == "Parquet" {
            // Somewhere in the middle, where nobody would notice.
            let middle = other.len() / 2;
            other[middle] ^= 1;
        }
        // The size in the manifest is that of the first content: the second is made as long.
        other.resize(whole.len(), 0);
        put(&bench, &key, other);
        for mode in ["full_refresh", "incremental"] {
            let output = read(&bench, stream(Some(&at)), mode, None);
            assert_eq!((output.code, output.data().len()), (Some(1), 0), "{name}: {:#?}", output.logs());
            let message = output.errors()[0]["message"].as_str().unwrap();
            assert!(message.contains("MD5") && message.contains(name), "{message}");
        }
    }
}

/// A key without a value for the user's filter is a bad file, whoever tells of it.
#[test]
fn keys_without_a_value_for_the_filter_are_told_by_an_inventory_too() {
    let bench = bench();
    for day in 1..=3 {
        bench.put(&format!("lake/2024-01-0{day}/tpu=1/a.csv"), format!("x\n{day}\n"), 1);
        bench.put(&format!("lake/2024-01-0{day}/tpu=2/a.csv"), "x\nother\n", 1);
    }
    bench.put("lake/2024-01-02/odd.csv", "x\nodd\n", 1);
    bench.put("lake/2024-01-02/_tmp/odd.csv", "x\nhidden\n", 1);
    let at = snapshot(&bench, "2024-01-15T12-00Z", 0);
    // Without an inventory the filter decides which folders are listed at all, and such keys are in none of them.
    let inventory = Some(at.as_str());
    let mut stream = stream(inventory);
    stream["partition_template"] = "{date}/tpu={tpu}/".into();
    stream["partition_filter"] = json!({"tpu": "1", "date": {"gte": "2024-01-01"}});
    let failed = read(&bench, stream.clone(), "incremental", None);
    assert_eq!((failed.code, failed.data().len()), (Some(1), 3), "{inventory:?}: {:#?}", failed.logs());
    stream["on_error"] = "skip".into();
    let skipped = read(&bench, stream, "incremental", None).ok();
    let rows: BTreeSet<String> = skipped.column("x").into_iter().collect();
    assert_eq!(rows, ["1", "2", "3"].map(str::to_owned).into(), "{inventory:?}");
    assert!(logged(&skipped, "1 bad rows in 1 files"), "{inventory:?}: {:#?}", skipped.logs());
    assert!(logged(&skipped, "1 objects skipped: in folders of other tools"), "{:#?}", skipped.logs());
}

/// What stands at the root holds for every stream that does not say otherwise.
#[test]
fn an_inventory_and_partitions_at_the_root_hold_for_all_streams() {
    let bench = bench();
    let at = old_days(&bench);
    let mut own = stream(None);
    for name in ["partition_template", "partition_columns"] {
        own.as_object_mut().unwrap().remove(name);
    }
    let mut config = bench.config(json!([own]));
    config["inventory"] = at.into();
    config["partition_template"] = "{date}/".into();
    config["partition_filter"] = json!({"date": {"lte": "2024-01-02"}});
    let output = bench.read(&config, &catalog("s", "full_refresh"), None).ok();
    assert_eq!(output.data().len(), 4, "{:#?}", output.logs());
    assert!(logged(&output, "4 objects are known from the inventory"), "{:#?}", output.logs());
    assert!(!logged(&output, "`inventory`"), "no word of parameters without effect: {:#?}", output.logs());
    assert!(output.column("date").contains(&"2024-01-01".to_owned()), "{:#?}", output.data());
    config["streams"][0]["partition_filter"] = json!({"date": {"lte": "2024-01-01"}});
    let output = bench.read(&config, &catalog("s", "full_refresh"), None).ok();
    assert_eq!(output.data().len(), 2, "the stream's own filter wins");
    config["streams"][0]["partition_keys"] = json!(["day"]);
    config["streams"][0]["partition_filter"] = json!({"day": {"lte": "2024-01-03"}});
    let output = bench.read(&config, &catalog("s", "full_refresh"), None).ok();
    assert_eq!(output.data().len(), 6, "{:#?}", output.logs());
    assert!(output.column("day").contains(&"2024-01-01".to_owned()), "{:#?}", output.data());
    config["partition_filter"] = json!({"date": {"after": "2024"}});
    let output = bench.read(&config, &catalog("s", "full_refresh"), None);
    assert!(
        output.errors()[0]["message"].as_str().unwrap().starts_with("`partition_filter.date.after`"),
        "{output:#?}"
    );
}
