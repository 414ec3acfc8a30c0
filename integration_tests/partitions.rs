//! Partitions: what is listed, what is read, and what becomes of the values in the keys.

#![expect(clippy::unwrap_used, reason = "a test panics with what it met")]

use std::process::Command;

use crate::support::testkit::{VirtualBucket, VirtualObject};
use crate::support::{ACCESS_KEY, BUCKET, Bench, Output, SECRET_KEY, catalog, finish};
use serde_json::{Value, json};

/// A configuration in the flat form.
fn flat(bench: &Bench, parameters: Value) -> Value {
    let mut config = json!({
        "bucket": BUCKET, "name": "s", "file_format": "csv", "endpoint_url": bench.server.endpoint(),
        "access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY,
    });
    config.as_object_mut().unwrap().extend(parameters.as_object().unwrap().clone());
    config
}

fn sorted(output: &Output, column: &str) -> Vec<String> {
    let mut values = output.column(column);
    values.sort();
    values
}

/// What `plan` answers, which is no message.
fn plan(bench: &Bench, config: &Value, format: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.arg("plan").arg("--config").arg(bench.file("config.json", config)).args(["--format", format]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// LISTs of the server's log since it was cleared.
fn lists(bench: &Bench) -> usize {
    bench.requests().1
}

/// Three years of twelve months of thirty days of 2,000 files.
fn hive_tree(bench: &Bench, name: &str) {
    let object = |index: u64| {
        let (day, file) = (index / 2000, index % 2000);
        let (year, month, day) = (2022 + day / 360, 1 + day / 30 % 12, 1 + day % 30);
        let key = format!("lake/year={year}/month={month:02}/day={day:02}/part-{file:05}.csv");
        VirtualObject::new(key, "x\n1\n".to_owned())
    };
    bench.server.store().virtual_bucket(name, VirtualBucket::new(3 * 12 * 30 * 2000, object));
}

#[test]
fn one_month_of_three_years_costs_less_than_a_twentieth_of_all_lists_and_reads_its_files_alone() {
    let bench = Bench::new();
    hive_tree(&bench, "tree");
    let full_listing = 3 * 12 * 30 * 2;
    let template = "year={year}/month={month}/day={day}/";
    let range = json!({"date": {"gte": "2023-03-01", "lt": "2023-04-01"}});
    let month = json!({"year": "2023", "month": "03"});
    for (filter, template, at_most) in [
        (&month, None, full_listing / 20),
        (&range, None, full_listing / 20),
        (&month, Some(template), 60 + 1),
        (&range, Some(template), 60 + 1),
    ] {
        bench.server.log().clear();
        // One file of each day, so that the test takes seconds; all keys of the month are listed.
        let mut stream = json!({
            "name": "s", "globs": ["lake/*/*/*/part-00007.csv"], "format": {"filetype": "csv"}, "partition_filter": filter,
        });
        if let Some(template) = template {
            stream["partition_template"] = template.into();
        }
        let mut config = bench.config(json!([stream]));
        config["bucket"] = "tree".into();
        let output = bench.read(&config, &catalog("s", "full_refresh"), None).ok();
        let keys = output.column("_ab_source_file_url");
        assert_eq!(keys.len(), 30, "{filter}");
        assert!(keys.iter().all(|key| key.starts_with("lake/year=2023/month=03/")), "{keys:?}");
        let (gets, lists) = bench.requests();
        assert_eq!(gets, 30);
        assert!(lists <= at_most, "{lists} LISTs of {full_listing} for {filter} with {template:?}");
    }
}

#[test]
fn partitions_are_typed_columns_of_every_format() {
    let bench = Bench::new();
    for key in ["d/2024/01/15/a", "d/2024/02/01/b", "d/2023/12/31/c"] {
        bench.put(&format!("{key}.csv"), "x\n1\n", 1);
        bench.put(&format!("{key}.jsonl"), "{\"x\":1}\n", 1);
    }
    for format in ["csv", "jsonl"] {
        let glob = format!("d/**/*.{format}");
        let streams = json!([{
            "name": "s", "globs": [glob], "format": {"filetype": format}, "partition_keys": ["year", "month", "day"],
            "partition_types": {"day": "integer"}, "partition_filter": {"year": "2024"},
        }]);
        let config = bench.config(streams);
        let discovered = bench.discover(&config).ok();
        let properties = &discovered.of_type("CATALOG")[0]["catalog"]["streams"][0]["json_schema"]["properties"];
        assert_eq!(properties["month"], json!({"type": ["null", "string"]}), "{format}");
        assert_eq!(properties["day"], json!({"type": ["null", "integer"]}), "{format}");
        let output = bench.read(&config, &catalog("s", "full_refresh"), None).ok();
        assert_eq!(sorted(&output, "month"), ["01", "02"], "zeros stay: {format}");
        assert_eq!(sorted(&output, "day"), ["1", "15"], "{format}");
        assert!(output.data().iter().all(|data| data["day"].is_u64() && data["year"] == "2024"), "{output:#?}");
    }
}

#[test]
fn hive_folders_are_columns_in_the_flat_form_and_not_in_airbytes_csv() {
    let bench = Bench::new();
    bench.put("t/date=2024-01-15/citect/a.csv", "x,date\n1,wrong\n", 1);
    let output = bench.read(&flat(&bench, json!({"path_prefix": "t/"})), &catalog("s", "full_refresh"), None).ok();
    assert_eq!(output.column("date"), ["2024-01-15"]);
    let streams = json!([{"name": "s", "globs": ["t/**"], "format": {"filetype": "csv"}}]);
    let output = bench.read(&bench.config(streams), &catalog("s", "full_refresh"), None).ok();
    assert_eq!(output.column("date"), ["wrong"]);
}

#[test]
fn a_plan_says_what_is_listed_and_skipped_and_why() {
    let bench = Bench::new();
    for month in 1..=12 {
        for file in 0..3 {
            bench.put(&format!("e/2024/{month:02}/{file}.csv"), "x\n1\n", 1);
        }
    }
    bench.put("e/2023/05/0.csv", "x\n1\n", 1);
    let parameters = json!({"path_prefix": "e/", "partition_filter": {"date": {"gte": "2024-11-01"}}});
    let config = flat(&bench, parameters);
    let plan_of = |format| plan(&bench, &config, format);
    let json: Value = serde_json::from_str(&plan_of("json")).unwrap();
    let stream = &json["streams"][0];
    assert_eq!((&stream["files"], &stream["bytes"]), (&json!(6), &json!(24)), "{json:#}");
    assert_eq!(stream["layout"], "e/{year}/{month}/");
    let table = plan_of("table");
    for part in ["stream s", "files to read              6", "estimate_scan_reduction", "LIST requests"] {
        assert!(table.contains(part), "'{part}' in:\n{table}");
    }
    let skipped = |json: &Value| json["streams"][0]["skipped"].as_array().unwrap().clone();

    // In a large tree folders are walked.
    hive_tree(&bench, "tree");
    let mut config = flat(&bench, json!({"path_prefix": "lake/", "partition_filter": {"year": "2023", "month": "03"}}));
    config["bucket"] = "tree".into();
    bench.server.log().clear();
    let json: Value = serde_json::from_str(&plan(&bench, &config, "json")).unwrap();
    assert_eq!(json["streams"][0]["files"], 60_000, "{json:#}");
    assert_eq!(json["streams"][0]["list_requests"], lists(&bench));
    assert_eq!(bench.requests().0, 0, "no object is read");
    let reasons: Vec<String> = skipped(&json).iter().map(|s| s["because"].as_str().unwrap().to_owned()).collect();
    assert_eq!(reasons.iter().filter(|reason| *reason == "not year = '2023'").count(), 2, "{reasons:?}");
    assert_eq!(reasons.iter().filter(|reason| *reason == "not month = '03'").count(), 11, "{reasons:?}");
    let reduction = json["streams"][0]["estimate_scan_reduction"].as_f64().unwrap();
    assert!((reduction - (1.0 - 1.0 / 36.0)).abs() < 1e-9, "{reduction}");
}

#[test]
fn a_filter_that_does_not_fit_is_an_error_that_names_the_partitions_there_are() {
    let bench = Bench::new();
    bench.put("t/year=2024/a.csv", "x\n1\n", 1);
    let check = |filter: Value, prefix: &str| {
        let config = flat(&bench, json!({"path_prefix": prefix, "partition_filter": filter}));
        let output = bench.read(&config, &catalog("s", "full_refresh"), None);
        assert_eq!(output.code, Some(1), "{output:#?}");
        output.errors()[0]["message"].as_str().unwrap().to_owned()
    };
    let message = check(json!({"month": "01"}), "t/");
    assert!(message.contains("Partition error") && message.contains("it has 'year'"), "{message}");
    bench.put("flat/a.csv", "x\n1\n", 1);
    let message = check(json!({"year": "2024"}), "flat/");
    assert!(message.contains("no partitions were found"), "{message}");
}

/// A tree with a key beside the partitions, one in a folder of another name, and one whose month is no number.
fn put_misfits(bench: &Bench) {
    bench.put("t/year=2024/month=01/a.csv", "x\n1\n", 1);
    bench.put("t/year=2023/month=01/a.csv", "x\n2\n", 1);
    bench.put("t/readme.csv", "x\n3\n", 1);
    bench.put("t/other/b.csv", "x\n4\n", 1);
    bench.put("t/year=2024/month=xx/c.csv", "x\n5\n", 1);
    bench.put("t/_delta_log/0.csv", "x\n6\n", 1);
}

fn misfitting(bench: &Bench, parameters: Value) -> Value {
    let mut config = flat(
        bench,
        json!({"path_prefix": "t/", "partition_filter": {"year": 2024}, "partition_types": {"month": "integer"}}),
    );
    config.as_object_mut().unwrap().extend(parameters.as_object().unwrap().clone());
    config
}

#[test]
fn a_key_that_does_not_fit_fails_the_run_like_a_bad_row_and_the_others_are_read() {
    let bench = Bench::new();
    put_misfits(&bench);
    let config = misfitting(&bench, json!({}));
    for mode in ["full_refresh", "incremental"] {
        bench.server.log().clear();
        let output = bench.read(&config, &catalog("s", mode), None);
        assert_eq!((output.code, output.column("x")), (Some(1), vec!["1".to_owned()]), "{mode}");
        assert_eq!(bench.requests().0, 1, "nothing is asked for the others");
        let message = output.errors()[0]["message"].as_str().unwrap();
        assert!(message.contains("Partition error: the"), "{message}");
        assert!(message.contains("on_error"), "{message}");
        let logs = output.logs();
        for part in ["no value for the partition filter: year", "'month' is not of type integer"] {
            assert!(logs.iter().any(|line| line.starts_with("ERROR") && line.contains(part)), "'{part}' in {logs:#?}");
        }
        assert!(logs.iter().any(|line| line.contains("1 objects skipped: in folders of other tools")), "{logs:#?}");
        // They are not forgotten: the next run fails on them again.
        let again = bench.read(&config, &catalog("s", mode), Some(&output.state()));
        assert_eq!(again.code, Some(1), "{mode}");
    }
    let checked = bench.check(&config);
    assert!(checked.text.contains("Partition error") && checked.text.contains("FAILED"), "{}", checked.text);
}

#[test]
fn keys_that_do_not_fit_are_left_out_counted_and_written_down_as_the_policy_says() {
    let bench = Bench::new();
    put_misfits(&bench);
    let letters = bench.folder.join("letters");
    for (policy, what) in [
        (json!({"on_error": "skip"}), "were skipped"),
        (json!({"on_error": "dead_letter", "dead_letter_path": letters}), "were written to"),
    ] {
        let config = misfitting(&bench, policy);
        let plan: Value = serde_json::from_str(&plan(&bench, &config, "json")).unwrap();
        let plan = &plan["streams"][0];
        assert_eq!((&plan["files"], &plan["files_that_do_not_fit"]), (&json!(1), &json!(3)), "{plan:#}");
        bench.server.log().clear();
        let output = bench.read(&config, &catalog("s", "incremental"), None).ok();
        assert_eq!((output.column("x"), bench.requests().0), (vec!["1".to_owned()], 1));
        let logs = output.logs();
        let said = logs.iter().any(|line| line.contains("3 bad rows in 3 files") && line.contains(what));
        assert!(said, "'{what}' in {logs:#?}");
        let again = bench.read(&config, &catalog("s", "incremental"), Some(&output.state())).ok();
        assert!(!again.logs().iter().any(|line| line.contains("bad rows")), "once is enough: {:#?}", again.logs());
        let discovered = bench.discover(&config).ok();
        let properties = &discovered.of_type("CATALOG")[0]["catalog"]["streams"][0]["json_schema"]["properties"];
        assert_eq!(properties["month"], json!({"type": ["null", "integer"]}));
    }
    let mut written = Vec::new();
    let mut folders = vec![letters];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => written.push(std::fs::read_to_string(path).unwrap()),
            }
        }
    }
    written.sort();
    let keys: Vec<Value> =
        written.iter().map(|text| serde_json::from_str::<Value>(text).unwrap()["raw"].clone()).collect();
    assert_eq!(keys, ["t/other/b.csv", "t/readme.csv", "t/year=2024/month=xx/c.csv"]);
    let strict = misfitting(&bench, json!({"on_error": "skip", "max_bad_rows": 2}));
    assert_eq!(bench.read(&strict, &catalog("s", "incremental"), None).code, Some(1));
}

#[test]
fn dead_letters_among_the_data_say_nothing_about_its_layout() {
    let bench = Bench::new();
    for day in 10..=20 {
        bench.put(&format!("e/2024/01/{day}/a.jsonl"), format!("{{\"x\":{day}}}\n"), 1);
    }
    bench.put("e/2024/01/14/bad.jsonl", "nope\n", 1);
    for path in ["e/bad/", "e/"] {
        let config = flat(
            &bench,
            json!({
                "path_prefix": "e/", "file_format": "jsonl", "partition_filter": {"date": {"gte": "2024-01-14"}},
                "on_error": "dead_letter", "dead_letter_path": format!("s3://{BUCKET}/{path}"),
            }),
        );
        for _ in 0..2 {
            let output = bench.read(&config, &catalog("s", "full_refresh"), None).ok();
            assert_eq!(output.data().len(), 7, "{path}: {:#?}", output.logs());
        }
        let plan: Value = serde_json::from_str(&plan(&bench, &config, "json")).unwrap();
        assert_eq!(plan["streams"][0]["layout"], "e/{year}/{month}/{day}/");
        assert_eq!(
            (&plan["streams"][0]["files"], &plan["streams"][0]["files_that_do_not_fit"]),
            (&json!(8), &json!(0))
        );
        for key in bench.server.store().keys(BUCKET).iter().filter(|key| key.ends_with(".dead-letters.jsonl")) {
            bench.server.store().remove(BUCKET, key);
        }
    }
}

#[test]
fn a_plan_with_a_state_counts_what_an_incremental_sync_would_read() {
    let bench = Bench::new();
    put_days(&bench, 1..=5, "a", 0);
    let config = bench.config(json!([looking_back(json!({}))]));
    let state = bench.read(&config, &catalog("s", "incremental"), None).ok().state();
    put_days(&bench, 2..=7, "b", 50);
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.arg("plan").arg("--config").arg(bench.file("config.json", &config)).args(["--format", "json"]);
    command.arg("--catalog").arg(bench.file("catalog.json", &catalog("s", "incremental")));
    command.arg("--state").arg(bench.file("state.json", &state));
    let output = command.output().unwrap();
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    let plan = &plan["streams"][0];
    assert_eq!((&plan["files"], &plan["files_read_before"]), (&json!(5), &json!(3)), "{plan:#}");
    let skipped = plan["skipped"].as_array().unwrap();
    assert_eq!(skipped.len(), 2, "{plan:#}");
    assert!(skipped[0]["because"].as_str().unwrap().contains("partition_lookback"), "{plan:#}");
    let rows = bench.read(&config, &catalog("s", "incremental"), Some(&state)).ok();
    assert_eq!(rows.data().len(), 5);
}

#[test]
fn a_run_that_was_stopped_goes_on_in_the_listing_of_its_filter() {
    let bench = Bench::new();
    for day in 1..=9 {
        for file in ["a", "b"] {
            bench.put(&format!("e/2024-01-0{day}/{file}.csv"), format!("x\n{day}{file}\n"), 1);
        }
    }
    let config = flat(
        &bench,
        json!({"path_prefix": "e/", "partition_filter": {"date": {"gte": "2024-01-04", "lte": "2024-01-06"}}}),
    );
    // A run that reads one file leaves a state that names the selection.
    let mut stopped = config.clone();
    (stopped["max_files_per_run"], stopped["on_limit"]) = (json!(1), json!("partial"));
    let mut state = bench.read(&stopped, &catalog("s", "full_refresh"), None).ok().state();
    state[0]["stream"]["stream_state"]["tollgate"]["through"] = json!("e/2024-01-05/a.csv");
    let output = bench.read(&config, &catalog("s", "full_refresh"), Some(&state)).ok();
    assert_eq!(sorted(&output, "x"), ["5b", "6a", "6b"]);
    state[0]["stream"]["stream_state"]["tollgate"]["through"] = json!("e/2024-01-09/b.csv");
    let output = bench.read(&config, &catalog("s", "full_refresh"), Some(&state)).ok();
    assert_eq!(output.column("x"), Vec::<String>::new());
}

/// A million keys in a thousand folders: side by side, once each, in constant memory.
#[test]
fn a_million_keys_in_folders_are_listed_side_by_side() {
    let bench = Bench::new();
    let object = |index: u64| {
        let suffix = if index.is_multiple_of(100_000) { "csv" } else { "bin" };
        VirtualObject::new(
            format!("lake/{:02}/part-{:06}.{suffix}", index / 20_000, index % 20_000),
            "x\n1\n".to_owned(),
        )
    };
    bench.server.store().virtual_bucket("million", VirtualBucket::new(1_000_000, object));
    let mut config = bench.config(json!([{"name": "s", "globs": ["lake/**/*.csv"], "format": {"filetype": "csv"}}]));
    config["bucket"] = "million".into();
    let (output, peak_bytes) =
        crate::support::finish_measured(bench.read_command(&config, &catalog("s", "full_refresh"), None));
    assert_eq!(output.ok().data().len(), 10);
    let lists = lists(&bench);
    assert!((1000..=1000 + 10).contains(&lists), "{lists} LISTs: a page more for each part, and the folders");
    assert!(peak_bytes < 64 << 20, "{peak_bytes} bytes");
}

#[test]
fn a_plan_without_a_configuration_is_an_error_as_of_every_verb() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.args(["plan", "--config", "/does/not/exist"]);
    let output = finish(command);
    assert_eq!(output.code, Some(1));
    assert!(output.stderr.contains("the configuration file cannot be read"), "{output:#?}");
}

/// A stream that looks back two days.
fn looking_back(parameters: Value) -> Value {
    let mut stream = json!({
        "name": "s", "globs": ["e/**"], "format": {"filetype": "csv"}, "partition_template": "{date}/",
        "partition_lookback": "2d", "partition_columns": "none",
    });
    stream.as_object_mut().unwrap().extend(parameters.as_object().unwrap().clone());
    stream
}

fn put_days(bench: &Bench, days: std::ops::RangeInclusive<u32>, name: &str, second: u64) {
    for day in days {
        bench.put(&format!("e/2024-01-{day:02}/{name}.csv"), format!("x\n{day}{name}\n"), second + u64::from(day));
    }
}

#[test]
fn a_sync_that_looks_back_lists_no_older_partitions_and_loses_no_later_day() {
    let bench = Bench::new();
    let config = bench.config(json!([looking_back(json!({}))]));
    let sync = |state: Option<&Value>| {
        bench.server.log().clear();
        let output = bench.read(&config, &catalog("s", "incremental"), state).ok();
        (sorted(&output, "x"), output.state(), output)
    };
    put_days(&bench, 1..=15, "a", 0);
    bench.put("e/loose.csv", "x\nloose\n", 0);
    let (rows, state, _) = sync(None);
    assert_eq!(rows.len(), 16);
    // Late files inside and outside of the lookback, the cursor's own day, later days, and one without a date.
    put_days(&bench, 12..=17, "b", 100);
    bench.put("e/later.csv", "x\nlater\n", 0);
    let (rows, state, output) = sync(Some(&state));
    assert_eq!(rows, ["13b", "14b", "15b", "16b", "17b", "later"]);
    let logs = output.logs();
    assert!(logs.iter().any(|line| line.contains("12 prefixes skipped")), "{logs:#?}");
    let text = plan(&bench, &config, "table");
    assert!(!text.contains("partition_lookback"), "a plan without a state lists everything:\n{text}");
    // A wrong date in the future keeps no day from being listed.
    put_days(&bench, 18..=18, "a", 200);
    bench.put("e/2999-01-01/x.csv", "x\nfuture\n", 200);
    let (rows, state, _) = sync(Some(&state));
    assert_eq!(rows, ["18a", "future"]);
    put_days(&bench, 19..=19, "a", 300);
    let (rows, state, _) = sync(Some(&state));
    assert_eq!(rows, ["19a"]);
    // Without the lookback all partitions are listed again: what came late is read, and nothing twice.
    let config = bench.config(json!([looking_back(json!({"partition_lookback": null}))]));
    let output = bench.read(&config, &catalog("s", "incremental"), Some(&state)).ok();
    assert_eq!(sorted(&output, "x"), ["12b"]);
    assert!(output.state()[0]["stream"]["stream_state"]["tollgate"]["partitions"].is_null());
}

#[test]
fn what_a_sync_left_unfinished_or_to_a_limit_is_listed_by_the_next_however_old_it_is() {
    let bench = Bench::new();
    put_days(&bench, 1..=9, "a", 0);
    bench.put("e/2024-01-02/bad.csv", "x\n1,2\n", 5);
    let config = bench.config(json!([looking_back(json!({}))]));
    let first = bench.read(&config, &catalog("s", "incremental"), None);
    assert_eq!(first.code, Some(1));
    put_days(&bench, 20..=20, "a", 100);
    let second = bench.read(&config, &catalog("s", "incremental"), Some(&first.state()));
    assert_eq!((second.code, sorted(&second, "x")), (Some(1), vec!["20a".to_owned()]), "the bad file fails again");
    bench.put("e/2024-01-02/bad.csv", "x\nmended\n", 200);
    let third = bench.read(&config, &catalog("s", "incremental"), Some(&second.state())).ok();
    assert_eq!(sorted(&third, "x"), ["mended"]);

    let mut limited = config;
    limited["max_files_per_run"] = 4.into();
    limited["on_limit"] = "partial".into();
    let mut state = None;
    let mut rows = Vec::new();
    for _ in 0..4 {
        let output = bench.read(&limited, &catalog("s", "incremental"), state.as_ref()).ok();
        rows.extend(output.column("x"));
        state = Some(output.state());
    }
    assert_eq!(rows.len(), 11, "{rows:?}");
}

#[test]
fn a_lookback_over_partitions_without_dates_is_an_error() {
    let bench = Bench::new();
    bench.put("e/a/x.csv", "x\n1\n", 1);
    let config = bench.config(json!([looking_back(json!({"partition_template": "{kind}/"}))]));
    let output = bench.read(&config, &catalog("s", "incremental"), None);
    assert_eq!(output.code, Some(1));
    let message = output.errors()[0]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("requires partitions with dates; the stream has 'kind'"), "{message}");
}

#[test]
fn a_filter_that_moves_with_now_misses_nothing_when_it_is_widened() {
    let bench = Bench::new();
    let today = chrono::Utc::now().date_naive();
    let put = |days_ago: i64, name: &str, second: u64| {
        let day = today - chrono::TimeDelta::days(days_ago);
        bench.put(&format!("e/{day}/{name}.csv"), format!("x\n{days_ago}{name}\n"), second);
    };
    (0..10).for_each(|days_ago| put(days_ago, "a", 1));
    let sync = |filter: Value, state: Option<&Value>| {
        let stream = json!({
            "name": "s", "globs": ["e/**"], "format": {"filetype": "csv"}, "partition_template": "{date}/",
            "partition_filter": filter,
        });
        let output = bench.read(&bench.config(json!([stream])), &catalog("s", "incremental"), state).ok();
        (sorted(&output, "x"), output.state())
    };
    let (rows, state) = sync(json!({"date": {"gte": "now-6d"}}), None);
    assert_eq!(rows, ["0a", "1a", "2a", "3a", "4a", "5a", "6a"]);
    // Days later it wants less; meanwhile files come into days that it left.
    put(5, "b", 2);
    put(1, "b", 2);
    let (rows, state) = sync(json!({"date": {"gte": "now-2d"}}), Some(&state));
    assert_eq!(rows, ["1b"]);
    let (rows, state) = sync(json!({"date": {"gte": "now-8d"}}), Some(&state));
    assert_eq!(rows, ["5b", "7a", "8a"], "what came meanwhile and what was never wanted, and nothing twice");
    assert_eq!(sync(json!({"date": {"gte": "now-8d"}}), Some(&state)).0, Vec::<String>::new());
}

/// A filter that is written in any usual way reads the same days, and one that nobody can understand is refused.
#[test]
fn days_are_read_however_filters_and_folders_spell_them() {
    let bench = Bench::new();
    for (index, day) in
        ["2024-01-05", "2024-1-15", "2024_01_15", "20240115", "2024-01-15 10:00", "2024-01", "2024-02-01"]
            .into_iter()
            .enumerate()
    {
        bench.put(&format!("t/dt={day}/a.csv"), format!("x\n{index}\n"), 1);
    }
    bench.put("t/dt=__HIVE_DEFAULT_PARTITION__/a.csv", "x\nnull\n", 1);
    for template in [None, Some("dt={dt}/"), Some("{dt}/")] {
        let config = |filter: Value| {
            let mut parameters = json!({"path_prefix": "t/", "partition_filter": {"dt": filter}});
            if let Some(template) = template {
                parameters["partition_template"] = template.into();
            }
            flat(&bench, parameters)
        };
        for filter in ["2024-01-15", "2024-1-15", "2024/01/15", "2024_01_15", "20240115"] {
            let output = bench.read(&config(json!(filter)), &catalog("s", "full_refresh"), None).ok();
            assert_eq!(sorted(&output, "x"), ["1", "2", "3", "4", "5"], "{filter} {template:?}");
            let output = bench.read(&config(json!([filter, null])), &catalog("s", "full_refresh"), None).ok();
            assert_eq!(sorted(&output, "x"), ["1", "2", "3", "4", "5", "null"], "{filter} {template:?}");
        }
        for filter in [json!("yesterday"), json!(["2024-01-15", "latest"]), json!({"gte": "15.01.2024"})] {
            for output in [
                bench.read(&config(filter.clone()), &catalog("s", "full_refresh"), None),
                bench.check(&config(filter.clone())),
            ] {
                assert!(output.text.contains("`partition_filter.dt` compares with '"), "{filter}: {}", output.text);
                assert!(output.text.contains("expected a date"), "{filter}: {}", output.text);
            }
        }
        let output = bench.read(&config(json!("2019-01-15")), &catalog("s", "full_refresh"), None).ok();
        assert_eq!(output.data().len(), 0);
        let warned = |line: &String| line.starts_with("WARN") && line.contains("matches no file: dt = '2019-01-15'");
        assert!(output.logs().iter().any(warned), "{template:?}: {:#?}", output.logs());
    }
    // A folder that is no date at all is a file that does not fit.
    bench.put("t/dt=latest/a.csv", "x\nlatest\n", 1);
    for template in ["dt={dt}/", "{dt}/"] {
        let parameters =
            json!({"path_prefix": "t/", "partition_template": template, "partition_filter": {"dt": "2024-01-15"}});
        let output = bench.read(&flat(&bench, parameters), &catalog("s", "full_refresh"), None);
        assert_eq!((output.code, output.data().len()), (Some(1), 5), "{template}");
        assert!(output.errors()[0]["message"].as_str().unwrap().contains("no value for the partition filter"));
    }
}

#[test]
fn dates_are_detected_by_their_values_whatever_the_partition_is_called() {
    for name in ["dt", "ds", "day", "event_date", "snapshot"] {
        let bench = Bench::new();
        let put = |days: std::ops::RangeInclusive<u32>, file: &str| {
            for day in days {
                bench.put(
                    &format!("e/{name}=2024-01-{day:02}/{file}.csv"),
                    format!("x\n{day}{file}\n"),
                    u64::from(day),
                );
            }
        };
        put(1..=10, "a");
        for parameters in
            [json!({}), json!({"partition_keys": [name]}), json!({"partition_template": format!("{name}={{{name}}}/")})]
        {
            let mut stream = json!({
                "name": "s", "globs": ["e/**"], "format": {"filetype": "csv"}, "partition_lookback": "2d",
            });
            stream.as_object_mut().unwrap().extend(parameters.as_object().unwrap().clone());
            let config = bench.config(json!([stream]));
            assert!(bench.check(&config).text.contains("SUCCEEDED"), "{name} {parameters}");
            let first = bench.read(&config, &catalog("s", "incremental"), None).ok();
            assert_eq!(first.data().len(), 10, "{name} {parameters}");
            put(1..=10, "b");
            let second = bench.read(&config, &catalog("s", "incremental"), Some(&first.state())).ok();
            assert_eq!(sorted(&second, "x"), ["10b", "8b", "9b"], "{name} {parameters}");
            for day in 1..=10 {
                bench.server.store().remove(BUCKET, &format!("e/{name}=2024-01-{day:02}/b.csv"));
            }
        }
    }
}

#[test]
fn a_check_finds_what_a_lookback_would_fail_on() {
    let bench = Bench::new();
    bench.put("e/a/x.csv", "x\n1\n", 1);
    for parameters in [json!({"partition_template": "{kind}/"}), json!({"partition_template": null})] {
        let config = bench.config(json!([looking_back(parameters.clone())]));
        let checked = bench.check(&config);
        assert!(
            checked.text.contains("FAILED") && checked.text.contains("requires partitions with dates"),
            "{}",
            checked.text
        );
        let read = bench.read(&config, &catalog("s", "incremental"), None);
        assert_eq!(read.code, Some(1), "{parameters}");
        assert!(read.errors()[0]["message"].as_str().unwrap().contains("partition_types"), "the way out is named");
    }
}

#[test]
fn a_column_that_gives_way_to_a_folder_of_its_name_is_said() {
    for (format, text) in [("csv", "x,month\n1,January\n"), ("jsonl", "{\"x\":1,\"month\":\"January\"}\n")] {
        let bench = Bench::new();
        bench.put(&format!("t/month=01/a.{format}"), text, 1);
        bench.put(&format!("t/month=01/b.{format}"), text, 1);
        let config = |parameters: Value| {
            let mut config = flat(&bench, json!({"path_prefix": "t/", "file_format": format}));
            config.as_object_mut().unwrap().extend(parameters.as_object().unwrap().clone());
            config
        };
        let output = bench.read(&config(json!({})), &catalog("s", "full_refresh"), None).ok();
        assert_eq!(output.column("month"), ["01", "01"]);
        let said = |line: &String| line.starts_with("WARN") && line.contains("column 'month' of 2 files is not read");
        assert!(output.logs().iter().any(said), "{format}: {:#?}", output.logs());
        let output =
            bench.read(&config(json!({"partition_columns": "none"})), &catalog("s", "full_refresh"), None).ok();
        assert_eq!(output.column("month"), ["January", "January"]);
        assert!(!output.logs().iter().any(|line| line.starts_with("WARN")), "{:#?}", output.logs());
    }
}

#[test]
fn keys_with_a_leading_dot_are_counted_where_they_are_not_read() {
    let bench = Bench::new();
    for key in ["t/a.csv", "t/.hidden/b.csv", "t/.c.csv", "other/.d.csv"] {
        bench.put(key, "x\n1\n", 1);
    }
    let output = bench.read(&flat(&bench, json!({"path_prefix": "t/"})), &catalog("s", "full_refresh"), None).ok();
    assert_eq!(output.data().len(), 1);
    let said =
        |line: &String| line.starts_with("WARN") && line.contains("2 objects skipped: a part of their key starts with");
    assert!(output.logs().iter().any(said), "{:#?}", output.logs());
}
