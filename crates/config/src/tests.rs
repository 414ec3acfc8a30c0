//! Tables: a configuration and what it means, or what is said about it.

mod errors;

use serde_json::{Value, json};

use crate::job::{
    BadRowAction, BadRows, DeadLetterPlace, Development, Job, Outcome, Provenance, SchemaPolicy, Stream,
    ValidationPolicy,
};
use crate::parse;
use tollgate_base::connection::{Credentials, Secret};
use tollgate_base::options::partition::Partitions;
use tollgate_base::options::{
    Compression, CsvHeader, CsvInference, CsvOptions, FormatOptions, InferenceDepth, ParquetOptions, SchemaEvolution,
};
use tollgate_base::spending::{Limits, Money, Network, OnArchived, OnLimit, Spending};

fn job(config: &Value) -> Job {
    parse(config.to_string().as_bytes()).unwrap_or_else(|error| panic!("{config}\n{error:?}"))
}

fn stream(config: &Value) -> Stream {
    job(config).streams.swap_remove(0)
}

fn csv(config: &Value) -> CsvOptions {
    match stream(config).format {
        FormatOptions::Csv(csv) => csv,
        other => panic!("{other:?}"),
    }
}

fn line(job: &Job, path: &str) -> (Outcome, String) {
    let found = job.provenance.iter().find(|line| line.path == path);
    let line = found.unwrap_or_else(|| panic!("no line for {path}: {:#?}", job.provenance));
    (line.outcome, line.note.clone())
}

/// A configuration of version 4 with one CSV stream, and `changes` merged into it.
fn airbyte(changes: Value) -> Value {
    merged(
        json!({
            "bucket": "b", "credentials": {"auth_type": "default_credentials"},
            "streams": [{"name": "s", "format": {"filetype": "csv"}}],
        }),
        changes,
    )
}

fn airbyte_stream(changes: Value) -> Value {
    airbyte(json!({"streams": [merged(json!({"name": "s", "format": {"filetype": "csv"}}), changes)]}))
}

fn airbyte_csv(changes: Value) -> Value {
    airbyte_stream(json!({"format": merged(json!({"filetype": "csv"}), changes)}))
}

/// A configuration of version 3 with `changes` merged into it.
fn v3(changes: Value) -> Value {
    merged(
        json!({"dataset": "s", "path_pattern": "**", "format": {"filetype": "csv"}, "provider": {"bucket": "b"}}),
        changes,
    )
}

fn fivetran(changes: Value) -> Value {
    merged(json!({"bucket": "b", "file_type": "csv"}), changes)
}

fn merged(mut base: Value, changes: Value) -> Value {
    let Value::Object(changes) = changes else { panic!("an object") };
    for (key, value) in changes {
        base[key] = value;
    }
    base
}

#[test]
fn a_minimal_airbyte_config_has_the_defaults_of_the_connector_it_replaces() {
    let job = job(&airbyte(json!({})));
    let Stream {
        name,
        globs,
        list_prefix,
        key_pattern,
        archive_pattern,
        format,
        formats,
        compression,
        start_at,
        skip_markers,
        schemaless,
        input_schema,
        validation_policy,
        primary_key,
        days_to_sync_if_history_is_full,
        schema_sample_files,
        schema_of_first_file,
        schema,
        bad_rows,
        flatten,
        batch_rows,
        on_archived,
        development,
        history,
        delivery,
        pushdown,
        partitions,
        inventory,
    } = &job.streams[0];
    assert_eq!(*delivery, crate::job::Delivery::Records);
    assert_eq!((key_pattern, archive_pattern, formats.len()), (&None, &None, 0));
    assert_eq!((*schema, *flatten), (SchemaPolicy::default(), None));
    assert_eq!((bad_rows, *schema_of_first_file), (&BadRows::default(), false));
    assert_eq!(*pushdown, Default::default());
    assert_eq!((partitions, inventory), (&Partitions::default(), &None));
    assert_eq!((name.as_str(), globs.as_slice(), list_prefix), ("s", ["**".to_owned()].as_slice(), &None));
    assert_eq!(*format, FormatOptions::Csv(CsvOptions::default()));
    assert_eq!((*compression, *start_at, *skip_markers, *schemaless), (Compression::Auto, None, false, false));
    assert_eq!((input_schema, *validation_policy, primary_key), (&None, ValidationPolicy::EmitRecord, &None));
    assert_eq!((*days_to_sync_if_history_is_full, *schema_sample_files, *batch_rows), (3, None, None));
    assert_eq!((*on_archived, *development), (OnArchived::Skip, Development::default()));
    assert_eq!(job.spending, Spending::default(), "no limits unless they are written");
    assert_eq!((job.parallel_files, history.late_window_days), (None, 7));
    let connection = &job.connection;
    assert_eq!((connection.bucket.as_str(), &connection.region, &connection.endpoint), ("b", &None, &None));
    assert_eq!((connection.path_style, connection.requester_pays), (None, false));
    assert_eq!(connection.credentials, Credentials::DefaultChain);
    assert_eq!(line(&job, "streams[0].globs"), (Outcome::Defaulted, r#"["**"]"#.to_owned()));
    assert_eq!(line(&job, "streams[0].name"), (Outcome::Taken, r#""s""#.to_owned()));
}

#[test]
fn a_minimal_flat_config_has_the_defaults_of_its_specification() {
    let job = job(&json!({"bucket": "b"}));
    let stream = &job.streams[0];
    assert_eq!((stream.name.as_str(), stream.skip_markers, stream.batch_rows), ("b", true, Some(10_000)));
    assert_eq!((stream.flatten, &stream.bad_rows), (Some(10), &BadRows::default()));
    assert_eq!(stream.format, FormatOptions::Csv(CsvOptions { encoding: "utf-8".to_owned(), ..CsvOptions::default() }));
    assert_eq!((stream.globs.as_slice(), &stream.list_prefix), (["**".to_owned()].as_slice(), &None));
    assert_eq!(job.connection.region.as_deref(), Some("us-east-1"));
    assert_eq!((job.parallel_files, &job.connection.credentials), (Some(4), &Credentials::DefaultChain));
    for path in ["name", "region", "batch_size", "parallel_workers", "file_format", "csv_encoding", "skip_markers"] {
        assert_eq!(line(&job, path).0, Outcome::Defaulted, "{path}");
    }
    let limits =
        Limits { cost: Some(Money::dollars(100)), files: Some(10_000), bytes: Some(1000 << 30), requests: None };
    assert_eq!(job.spending, Spending { limits, ..Spending::default() });
    for path in ["cost_limit_usd", "max_files_per_run", "max_data_size_gb", "on_limit", "network", "on_archived"] {
        assert_eq!(line(&job, path).0, Outcome::Defaulted, "{path}");
    }
    assert_eq!(line(&job, "cost_limit_usd").1, "100");
}

#[test]
fn what_a_run_may_spend_is_read_exactly_in_every_dialect() {
    let written = json!({
        "cost_limit_usd": 0.1, "max_files_per_run": 3, "max_data_size_gb": 0.5, "max_requests": 7, "on_limit": "partial",
        "network": "cross_region", "price_table": "none", "price_discount_percent": 12.5, "kms_requests": true,
        "on_archived": "fail", "dev_sampling": 1, "dev_max_files": 4,
    });
    let expected = Spending {
        limits: Limits { cost: Money::parse("0.1"), files: Some(3), bytes: Some(1 << 29), requests: Some(7) },
        on_limit: OnLimit::Partial,
        network: Network::CrossRegion,
        price_table: Some("none".to_owned()),
        discount_percent_e4: 125_000,
        kms_requests: true,
    };
    let provider = json!({"bucket": "b"});
    for base in [
        airbyte(json!({})),
        json!({"dataset": "s", "path_pattern": "**", "format": {}, "provider": provider}),
        json!({"bucket": "b"}),
        fivetran(json!({})),
    ] {
        let job = job(&merged(base, written.clone()));
        assert_eq!(job.spending, expected);
        let stream = &job.streams[0];
        assert_eq!((stream.on_archived, stream.development.sampling), (OnArchived::Fail, Some(1.0)));
        assert_eq!(stream.development.max_files, Some(4));
    }
}

/// What a dialect does where nothing is written, as it was released. A row that changes breaks saved configurations.
#[test]
fn the_defaults_of_each_dialect_stay_what_they_are() {
    let v3_nulls = "|#N/A|#N/A N/A|#NA|-1.#IND|-1.#QNAN|-NaN|-nan|1.#IND|1.#QNAN|N/A|NA|NULL|NaN|n/a|nan|null";
    let v4_words = ("y|yes|t|true|on|1", "n|no|f|false|off|0");
    let (strings, typed) = (CsvInference::None, CsvInference::PrimitiveTypesOnly);
    let provider = json!({"bucket": "b"});
    // config, region, (skip markers, rows, files), encoding, null values, (strings can be null, inference), words
    let table = [
        (airbyte(json!({})), None, (false, None, None), "utf8", None, (true, strings), v4_words),
        (
            json!({"dataset": "s", "path_pattern": "**", "format": {}, "provider": provider}),
            None,
            (false, None, None),
            "utf8",
            Some(v3_nulls),
            (false, typed),
            ("1|True|TRUE|true", "0|False|FALSE|false"),
        ),
        (
            json!({"bucket": "b"}),
            Some("us-east-1"),
            (true, Some(10_000), Some(4)),
            "utf-8",
            None,
            (true, strings),
            v4_words,
        ),
        (json!({"bucket": "b", "file_type": "csv"}), None, (true, None, None), "utf8", None, (true, typed), v4_words),
    ];
    for (config, region, (skip_markers, rows, files), encoding, nulls, (nullable, inference), (trues, falses)) in table
    {
        let job = job(&config);
        let stream = &job.streams[0];
        let FormatOptions::Csv(csv) = &stream.format else { panic!("{config}") };
        assert_eq!(job.connection.region.as_deref(), region, "{config}");
        assert_eq!(
            (stream.skip_markers, stream.batch_rows, job.parallel_files),
            (skip_markers, rows, files),
            "{config}"
        );
        assert_eq!((csv.encoding.as_str(), csv.delimiter, csv.quote, csv.escape), (encoding, b',', Some(b'"'), None));
        let expected_nulls: Vec<&str> = nulls.map(|nulls| nulls.split('|').collect()).unwrap_or_default();
        assert_eq!(csv.null_values, expected_nulls, "{config}");
        assert_eq!((csv.strings_can_be_null, csv.inference, csv.double_quote), (nullable, inference, true), "{config}");
        assert_eq!((csv.true_values.join("|"), csv.false_values.join("|")), (trues.to_owned(), falses.to_owned()));
        assert_eq!(
            (csv.header.clone(), csv.skip_rows_before_header, csv.skip_rows_after_header),
            (CsvHeader::FromFile, 0, 0)
        );
        let days = (stream.days_to_sync_if_history_is_full, stream.history.late_window_days);
        assert_eq!((stream.compression, days), (Compression::Auto, (3, 7)), "{config}");
        assert_eq!((stream.globs.as_slice(), &stream.list_prefix), (["**".to_owned()].as_slice(), &None), "{config}");
        assert!(
            !job.connection.requester_pays && !stream.schemaless && !csv.ignore_errors_on_fields_mismatch,
            "{config}"
        );
    }
    let decimals =
        |config: Value| matches!(&stream(&config).format, FormatOptions::Parquet(parquet) if parquet.decimal_as_float);
    let parquet = json!({"filetype": "parquet"});
    assert!(decimals(json!({"dataset": "s", "path_pattern": "**", "format": parquet, "provider": {"bucket": "b"}})));
    assert!(!decimals(airbyte_stream(json!({"format": parquet}))));
    assert!(!decimals(json!({"bucket": "b", "file_format": "parquet"})));
    assert!(!decimals(json!({"bucket": "b", "file_type": "parquet"})));
    assert!(stream(&json!({"bucket": "b", "file_type": "jsonl"})).schemaless, "packed");
    let json = stream(&json!({"bucket": "b", "pattern": "a/.*\\.json"}));
    assert!(json.schemaless && json.format == FormatOptions::Json, "{json:?}");
    assert!(!stream(&json!({"bucket": "b", "file_format": "jsonl"})).schemaless);
}

#[test]
fn credentials_of_every_generation() {
    let keys = |token: Option<&str>| Credentials::Static {
        access_key_id: "AK".to_owned(),
        secret_access_key: Secret::new("SK"),
        session_token: token.map(Secret::new),
    };
    let role = |external: Option<&str>| Credentials::AssumeRole {
        role_arn: "arn:aws:iam::1:role/r".to_owned(),
        external_id: external.map(str::to_owned),
    };
    let arn = "arn:aws:iam::1:role/r";
    let nested = |credentials: Value| airbyte(json!({"credentials": credentials}));
    let root = |keys: Value| {
        let mut config = merged(airbyte(json!({})), keys);
        config.as_object_mut().expect("an object").shift_remove("credentials");
        config
    };
    let table = [
        (
            nested(json!({"auth_type": "iam_user", "aws_access_key_id": "AK", "aws_secret_access_key": "SK"})),
            keys(None),
        ),
        (nested(json!({"auth_type": "iam_role", "role_arn": arn})), role(None)),
        (nested(json!({"auth_type": "iam_role", "role_arn": arn, "external_id": "x"})), role(Some("x"))),
        (nested(json!({"auth_type": "default_credentials"})), Credentials::DefaultChain),
        (nested(json!({"auth_type": "anonymous"})), Credentials::Anonymous),
        (root(json!({"aws_access_key_id": "AK", "aws_secret_access_key": "SK"})), keys(None)),
        (root(json!({"aws_access_key_id": "AK", "aws_secret_access_key": "SK", "role_arn": arn})), role(None)),
        (
            root(json!({"aws_access_key_id": "", "aws_secret_access_key": null, "role_arn": ""})),
            Credentials::DefaultChain,
        ),
        (root(json!({})), Credentials::DefaultChain),
        (json!({"bucket": "b", "access_key_id": "AK", "secret_access_key": " SK\n"}), keys(None)),
        (
            json!({"bucket": "b", "access_key_id": "AK", "secret_access_key": "SK", "session_token": "T"}),
            keys(Some("T")),
        ),
        (json!({"bucket": "b", "access_key": "AK", "secret_key": "SK"}), keys(None)),
        (json!({"bucket": "b", "access_key": "no", "access_key_id": "AK", "secret_access_key": "SK"}), keys(None)),
        (json!({"bucket": "b", "role_arn": arn, "external_id": "x"}), role(Some("x"))),
        (json!({"bucket": "b", "anonymous": true}), Credentials::Anonymous),
        (
            v3(json!({"provider": {"bucket": "b", "aws_access_key_id": "AK", "aws_secret_access_key": "SK"}})),
            keys(None),
        ),
        (v3(json!({"provider": {"bucket": "b", "role_arn": arn}})), Credentials::DefaultChain),
        (fivetran(json!({"access_key_id": "AK", "access_key_secret": "SK", "session_token": "T"})), keys(Some("T"))),
        (fivetran(json!({"role_arn": arn, "external_id": "x"})), role(Some("x"))),
        (
            fivetran(
                json!({"auth_type": "ACCESS_KEY", "access_key_id": "AK", "access_key_secret": "SK", "role_arn": arn}),
            ),
            keys(None),
        ),
        (
            fivetran(json!({"auth_type": "IAM_ROLE", "access_key_id": "AK", "role_arn": arn, "is_public": true})),
            role(None),
        ),
        (fivetran(json!({"auth_type": "PUBLIC_BUCKET", "role_arn": arn})), Credentials::Anonymous),
        (fivetran(json!({"is_public": true})), Credentials::Anonymous),
        (fivetran(json!({})), Credentials::DefaultChain),
    ];
    for (config, expected) in table {
        assert_eq!(job(&config).connection.credentials, expected, "{config}");
    }
}

#[test]
fn buckets_and_prefixes_as_people_write_them() {
    let arn = "arn:aws:s3:eu-west-1:123:accesspoint/point";
    let flat = |bucket: &str, prefix: &str| json!({"bucket": bucket, "path_prefix": prefix});
    // bucket, prefix → bucket, listed prefix, name of the stream
    let table = [
        (flat("b", ""), "b", None, "b"),
        (flat("b", "data/orders/"), "b", Some("data/orders/"), "orders"),
        (flat("b", "data/eve"), "b", Some("data/eve"), "eve"),
        (flat("b", "//"), "b", Some("//"), "b"),
        (flat("s3://b", ""), "b", None, "b"),
        (flat("s3://b/raw", "x"), "b", Some("raw/x"), "x"),
        (flat(" s3a://b/raw/ ", ""), "b", Some("raw/"), "raw"),
        (flat(arn, ""), arn, None, "point"),
        (flat(&format!("s3://{arn}/raw/2024"), ""), arn, Some("raw/2024/"), "2024"),
        (flat("arn:aws:s3:::b", ""), "b", None, "b"),
    ];
    for (config, bucket, prefix, name) in table {
        let job = job(&config);
        let stream = &job.streams[0];
        let got = (job.connection.bucket.as_str(), stream.list_prefix.as_deref(), stream.name.as_str());
        assert_eq!(got, (bucket, prefix, name), "{config}");
    }
    let point = job(&flat(arn, ""));
    assert_eq!(point.connection.region.as_deref(), Some("eu-west-1"), "the region of the point, not the default");
    // In Airbyte's dialect the globs hold on the whole key, so the prefix goes in front of them.
    let stream = stream(&merged(
        airbyte_stream(json!({"globs": ["**", "x/*.csv"], "legacy_prefix": "old"})),
        json!({"bucket": "s3://b/a[1]"}),
    ));
    assert_eq!(stream.globs, [r"a\[1\]/**", r"a\[1\]/x/*.csv"]);
    assert_eq!(stream.list_prefix.as_deref(), Some("a[1]/old"));
}

#[test]
fn endpoints_as_people_write_them() {
    let flat = |url: &str, ssl: bool| json!({"bucket": "b", "endpoint_url": url, "use_ssl": ssl});
    let nested = |url: &str| airbyte(json!({"endpoint": url}));
    let table = [
        (nested(""), None),
        (nested(" https://h.example:9000// "), Some("https://h.example:9000")),
        (nested("h.example"), Some("https://h.example")),
        (nested("HTTP://127.0.0.1:1"), Some("http://127.0.0.1:1")),
        (v3(json!({"provider": {"bucket": "b", "endpoint": "h.example"}})), Some("https://h.example")),
        (fivetran(json!({"endpoint_url": "h.example", "use_ssl": false})), Some("http://h.example")),
        (flat("h.example:9000", false), Some("http://h.example:9000")),
        (flat("h.example:9000", true), Some("https://h.example:9000")),
        (flat("https://h.example", false), Some("https://h.example")),
        (flat("http://h.example", true), Some("http://h.example")),
        (flat("http://[::1]:9000", true), Some("http://[::1]:9000")),
    ];
    for (config, expected) in table {
        assert_eq!(job(&config).connection.endpoint.as_deref(), expected, "{config}");
    }
}

#[test]
fn options_of_csv() {
    type Change = fn(&mut CsvOptions);
    let table: &[(Value, Change)] = &[
        (json!({"delimiter": "\\t"}), |csv| csv.delimiter = b'\t'),
        (json!({"delimiter": "\t"}), |csv| csv.delimiter = b'\t'),
        (json!({"delimiter": " "}), |csv| csv.delimiter = b' '),
        (json!({"delimiter": "||"}), |csv| (csv.delimiter, csv.delimiter_rest) = (b'|', b"|".to_vec())),
        (json!({"delimiter": "§"}), |csv| (csv.delimiter, csv.delimiter_rest) = (0xc2, vec![0xa7])),
        (json!({"quote_char": "'"}), |csv| csv.quote = Some(b'\'')),
        (json!({"quote_char": ""}), |csv| csv.quote = None),
        (json!({"escape_char": "\\"}), |csv| csv.escape = Some(b'\\')),
        (json!({"escape_char": null}), |_| {}),
        (json!({"encoding": "latin-1"}), |csv| csv.encoding = "latin-1".to_owned()),
        (json!({"encoding": ""}), |_| {}),
        (json!({"double_quote": false}), |csv| csv.double_quote = false),
        (json!({"null_values": ["", "NA"]}), |csv| csv.null_values = vec![String::new(), "NA".to_owned()]),
        (json!({"strings_can_be_null": false}), |csv| csv.strings_can_be_null = false),
        (json!({"skip_rows_before_header": 2, "skip_rows_after_header": 1.0}), |csv| {
            (csv.skip_rows_before_header, csv.skip_rows_after_header) = (2, 1);
        }),
        (json!({"header_definition": {"header_definition_type": "From CSV"}}), |_| {}),
        (json!({"header_definition": {"header_definition_type": "Autogenerated"}}), |csv| {
            csv.header = CsvHeader::Autogenerated;
        }),
        (
            json!({"header_definition": {"header_definition_type": "User Provided", "column_names": ["a", "b"]}}),
            |csv| {
                csv.header = CsvHeader::UserProvided(vec!["a".to_owned(), "b".to_owned()]);
            },
        ),
        (
            json!({"header_definition": {"header_definition_type": "User Provided", "column_names": ["a", "", ""]}}),
            |csv| {
                csv.header = CsvHeader::UserProvided(vec!["a".to_owned(), String::new(), String::new()]);
            },
        ),
        (json!({"true_values": ["T"], "false_values": []}), |csv| {
            (csv.true_values, csv.false_values) = (vec!["T".to_owned()], Vec::new());
        }),
        (json!({"inference_type": "Primitive Types Only"}), |csv| csv.inference = CsvInference::PrimitiveTypesOnly),
        (json!({"ignore_errors_on_fields_mismatch": true}), |csv| csv.ignore_errors_on_fields_mismatch = true),
    ];
    for (options, change) in table {
        let mut expected = CsvOptions::default();
        change(&mut expected);
        assert_eq!(csv(&airbyte_csv(options.clone())), expected, "{options}");
    }
}

#[test]
fn options_of_streams() {
    let parquet =
        |decimal_as_float| FormatOptions::Parquet(ParquetOptions { decimal_as_float, ..ParquetOptions::default() });
    let of = |changes: Value| stream(&airbyte_stream(changes));
    assert_eq!(of(json!({"format": {"filetype": "parquet"}})).format, parquet(false));
    assert_eq!(of(json!({"format": {"filetype": "parquet", "decimal_as_float": true}})).format, parquet(true));
    assert_eq!(of(json!({"format": {"filetype": "jsonl"}})).format, FormatOptions::Jsonl);
    assert_eq!(of(json!({"format": {"filetype": "json"}})).format, FormatOptions::Json);
    assert_eq!(of(json!({"globs": []})).globs, Vec::<String>::new());
    assert_eq!(of(json!({"legacy_prefix": ""})).list_prefix, None);
    assert_eq!(
        of(json!({"validation_policy": "Wait for Discover"})).validation_policy,
        ValidationPolicy::WaitForDiscover
    );
    assert_eq!(of(json!({"primary_key": "id"})).primary_key, Some(vec!["id".to_owned()]));
    assert_eq!(of(json!({"days_to_sync_if_history_is_full": 0})).days_to_sync_if_history_is_full, 3);
    assert_eq!(of(json!({"days_to_sync_if_history_is_full": 30})).days_to_sync_if_history_is_full, 30);
    let n = "recent_n_files_to_read_for_schema_discovery";
    assert_eq!(of(json!({n: 4})).schema_sample_files, Some(4));
    assert_eq!(of(json!({n: 40, "schemaless": true})).schema_sample_files, Some(10));
    assert_eq!(of(json!({"use_first_found_file_for_schema_discovery": true})).schema_sample_files, Some(1));
    assert_eq!(of(json!({"compression": "gzip", "skip_markers": true})).compression, Compression::Gzip);
    let types = of(json!({"input_schema": r#"{"a": "Float", "b": "string"}"#})).input_schema.expect("types");
    assert_eq!(types, [("a".to_owned(), "number".to_owned()), ("b".to_owned(), "string".to_owned())]);
    let spaced = of(json!({"input_schema": r#"{" a ": " String ", "b": "INTEGER"}"#})).input_schema.expect("types");
    assert_eq!(spaced, [("a".to_owned(), "string".to_owned()), ("b".to_owned(), "integer".to_owned())]);
    assert_eq!(of(json!({"input_schema": "{}"})).input_schema, None);
    assert_eq!(of(json!({"input_schema": ""})).input_schema, None);
    let dated = stream(&airbyte(json!({"start_date": "2021-01-01T05:00:00+05:00"})));
    assert_eq!(dated.start_at.map(|at| at.to_string()).as_deref(), Some("2021-01-01T00:00:00.000000Z"));
}

#[test]
fn formats_of_the_flat_form() {
    let of = |changes: Value| stream(&merged(json!({"bucket": "b"}), changes));
    let tsv = of(json!({"file_format": "tsv"}));
    assert!(matches!(&tsv.format, FormatOptions::Csv(csv) if csv.delimiter == b'\t'), "{tsv:?}");
    let csv = of(json!({"csv_delimiter": "|", "csv_header": false, "csv_encoding": "latin1"}));
    let FormatOptions::Csv(options) = &csv.format else { panic!("{csv:?}") };
    assert_eq!((options.delimiter, options.encoding.as_str()), (b'|', "latin1"));
    assert_eq!(options.header, CsvHeader::Autogenerated);
    assert_eq!(of(json!({"format": "jsonl"})).format, FormatOptions::Jsonl);
    assert_eq!(of(json!({"file_format": "json"})).format, FormatOptions::Json);
    assert_eq!(of(json!({"format": "csv", "file_format": "jsonl"})).format, FormatOptions::Jsonl);
    assert_eq!(of(json!({"compression": "gzip"})).compression, Compression::Gzip);
    assert_eq!(of(json!({"compression": "none"})).compression, Compression::None);
    assert_eq!(
        of(json!({"compression": null, "json_flatten": null, "cost_limit_usd": null})).compression,
        Compression::Auto
    );
    let parquet = job(&json!({"bucket": "b", "file_format": "parquet", "compression": "snappy", "csv_header": true}));
    assert_eq!(line(&parquet, "compression").0, Outcome::Unknown);
    assert_eq!(line(&parquet, "csv_header").0, Outcome::Unknown);
}

#[test]
fn former_names_are_renamed_with_a_line_each() {
    let job =
        job(&json!({"bucket": "b", "prefix": "old/", "format": "csv", "access_key": "AKX1", "secret_key": "SKX1"}));
    for (path, now) in [
        ("prefix", "path_prefix"),
        ("format", "file_format"),
        ("access_key", "access_key_id"),
        ("secret_key", "secret_access_key"),
    ] {
        assert_eq!(line(&job, path), (Outcome::Renamed, format!("now called `{now}`")));
        assert!(!job.provenance.iter().any(|line| line.path == now), "{now} has a line of its own");
    }
    assert_eq!(job.streams[0].list_prefix.as_deref(), Some("old/"));
}

#[test]
fn what_the_api_of_fivetran_sends_and_answers_is_a_configuration() {
    let config = json!({"schema": "s", "table": "t", "bucket": "b", "file_type": "csv", "auth_type": "PUBLIC_BUCKET"});
    let sent = json!({"service": "s3", "group_id": "g", "paused": false, "config": config});
    let answered = json!({"code": "Success", "data": {"id": "i", "service": "s3", "config": config}});
    let plain = job(&config);
    for (envelope, around) in [(sent, "group_id"), (answered, "data.id")] {
        let job = job(&envelope);
        let meaning = |job: &Job| format!("{:?} {:?}", job.connection, job.streams);
        assert_eq!(meaning(&job), meaning(&plain));
        assert_eq!(line(&job, around).0, Outcome::Unknown);
        assert_eq!(line(&job, "table").0, Outcome::Taken);
    }
}

#[test]
fn the_way_to_the_bucket_can_be_told_in_every_dialect() {
    for config in [airbyte(json!({})), v3(json!({})), json!({"bucket": "b"}), fivetran(json!({}))] {
        assert_eq!((job(&config).connection.path_style, &job(&config).connection.ca_bundle), (None, &None), "{config}");
        let config =
            merged(config, json!({"address_style": "virtual", "ca_bundle": "/ca.pem", "late_window_days": 30}));
        let job = job(&config);
        assert_eq!(job.connection.path_style, Some(false), "{config}");
        assert_eq!(job.connection.ca_bundle.as_deref(), Some("/ca.pem"), "{config}");
        assert_eq!(job.streams[0].history.late_window_days, 30, "{config}");
    }
}

#[test]
fn unknown_keys_are_accepted_with_a_line_each() {
    let config = merged(
        airbyte_stream(json!({"odd": 1, "format": {"filetype": "csv", "newlines": true}})),
        json!({"path_prefix": "x", "credentials": {"auth_type": "default_credentials", "extra": 1}}),
    );
    let job = job(&config);
    let unknown: Vec<&str> =
        job.provenance.iter().filter(|line| line.outcome == Outcome::Unknown).map(|line| line.path.as_str()).collect();
    assert_eq!(unknown, ["path_prefix", "credentials.extra", "streams[0].odd", "streams[0].format.newlines"]);
}

#[test]
fn limits_of_decompression_are_read_in_every_dialect() {
    for config in [json!({"bucket": "b"}), airbyte(json!({}))] {
        assert_eq!(job(&config).caps, tollgate_base::options::Caps::default(), "{config}");
        let limited = job(&merged(config, json!({"max_decompressed_gb": 3, "max_decompression_ratio": 50})));
        assert_eq!((limited.caps.decoded_bytes, limited.caps.ratio), (3 << 30, 50));
    }
}

#[test]
fn policies_hold_for_all_streams_and_a_stream_of_its_own_wins() {
    let streams = json!([
        {"name": "a", "format": {"filetype": "csv"}},
        {"name": "b", "format": {"filetype": "jsonl"}, "on_error": "dead_letter", "dead_letter_path": "s3://other/bad",
         "max_bad_percent": 2.5, "schema_evolution": "freeze", "json_flatten": true, "json_max_depth": 3},
        {"name": "c", "format": {"filetype": "csv"}, "on_error": "fail", "inference": "compatible"},
    ]);
    let job = job(&merged(
        json!({"bucket": "b", "streams": streams}),
        json!({"on_error": "skip", "max_bad_rows": 7, "schema_evolution": "rescue", "inference": "rich"}),
    ));
    let [a, b, c] = &job.streams[..] else { panic!("three streams") };
    assert_eq!(a.bad_rows, BadRows { action: BadRowAction::Skip, max_rows: Some(7), max_percent: None });
    assert_eq!(
        (a.schema.evolution, a.schema.inference, a.flatten),
        (SchemaEvolution::Rescue, InferenceDepth::Rich, None)
    );
    let place = DeadLetterPlace::Bucket { bucket: "other".to_owned(), prefix: "bad/".to_owned() };
    let action = BadRowAction::DeadLetter(place);
    assert_eq!(b.bad_rows, BadRows { action, max_rows: Some(7), max_percent: Some(2.5) });
    assert_eq!(
        (b.schema.evolution, b.schema.inference, b.flatten),
        (SchemaEvolution::Freeze, InferenceDepth::Rich, Some(3))
    );
    assert_eq!((&c.bad_rows, c.schema.inference), (&BadRows::default(), InferenceDepth::Compatible));
    assert_eq!(line(&job, "streams[1].on_error").0, Outcome::Taken);
    assert_eq!(line(&job, "on_error").0, Outcome::Taken);
}

#[test]
fn policies_of_other_dialects_stand_at_the_root() {
    for config in [json!({"bucket": "b"}), fivetran(json!({})), airbyte(json!({}))] {
        let job = job(&merged(config, json!({"on_error": "dead_letter", "dead_letter_path": "/var/bad"})));
        let place = DeadLetterPlace::Folder("/var/bad".into());
        assert_eq!(job.streams[0].bad_rows.action, BadRowAction::DeadLetter(place));
    }
    let idle = job(&json!({"bucket": "b", "json_flatten": false, "json_max_depth": 3, "max_bad_rows": 1}));
    for path in ["json_max_depth", "max_bad_rows"] {
        assert_eq!(line(&idle, path).0, Outcome::Unknown, "{path}");
    }
    assert_eq!(idle.streams[0].flatten, None);
    let deep = job(&json!({"bucket": "b", "json_max_depth": 3}));
    assert_eq!(deep.streams[0].flatten, Some(3));
    for (wrong, expected) in [
        (json!({"on_error": "ignore"}), "`on_error`"),
        (json!({"on_error": "dead_letter"}), "'dead_letter_path' is a required property"),
        (json!({"on_error": "dead_letter", "dead_letter_path": "bad"}), "an absolute path"),
        (json!({"on_error": "skip", "max_bad_percent": 101}), "from 0 to 100"),
        (json!({"json_max_depth": 0}), "from 1 to 100"),
        (json!({"schema_evolution": "none"}), "`schema_evolution`"),
    ] {
        let config = merged(json!({"bucket": "b"}), wrong);
        let error = parse(config.to_string().as_bytes()).expect_err("wrong").to_string();
        assert!(error.contains(expected), "{config}: {error}");
    }
}

#[test]
fn hive_columns_are_on_for_parquet_in_airbyte_forms_and_in_the_flat_form() {
    let columns = |config: &Value| job(config).streams[0].partitions.columns.name();
    let parquet = json!([{"name": "s", "format": {"filetype": "parquet"}}]);
    assert_eq!(columns(&airbyte(json!({"streams": parquet}))), "hive_parts");
    assert_eq!(columns(&airbyte(json!({}))), "none");
    assert_eq!(columns(&fivetran(json!({"file_type": "parquet"}))), "none");
    assert_eq!(columns(&json!({"bucket": "b"})), "hive");
    assert_eq!(columns(&json!({"bucket": "b", "partition_keys": ["year"]})), "all");
    assert_eq!(columns(&json!({"bucket": "b", "partition_keys": ["year"], "partition_columns": "none"})), "none");
}

#[test]
fn known_parameters_without_effect_are_not_called_unknown() {
    let warning = |config: &Value, path: &str| {
        let job = job(config);
        let line = job.provenance.iter().find(|line| line.path == path).unwrap_or_else(|| panic!("{path}: {config}"));
        line.warning().unwrap_or_else(|| panic!("no warning of {path}: {config}"))
    };
    let flat = |changes: Value| merged(json!({"bucket": "b"}), changes);
    let table = [
        (flat(json!({"sync_mode": "incremental"})), "sync_mode", "is without effect: the catalog decides"),
        (
            flat(json!({"file_format": "parquet", "compression": "gzip"})),
            "compression",
            "is without effect: a Parquet file",
        ),
        (
            airbyte_stream(json!({"format": {"filetype": "parquet"}, "compression": "snappy"})),
            "streams[0].compression",
            "is without effect: a Parquet file",
        ),
        (
            flat(json!({"json_flatten": false, "json_max_depth": 3})),
            "json_max_depth",
            "is without effect: nested objects",
        ),
        (fivetran(json!({"schema": "raw"})), "schema", "is without effect: the platform"),
        (
            fivetran(json!({"append_file_option": "upsert_file"})),
            "append_file_option",
            "is without effect: a changed file",
        ),
        (fivetran(json!({"empty_header": true})), "empty_header", "is supported, but the columns are named f0, f1"),
        (
            flat(json!({"endpoint_url": "https://h.example", "use_ssl": false})),
            "use_ssl",
            "is without effect: the scheme of `endpoint_url` is https",
        ),
        (
            fivetran(json!({"endpoint_url": "http://h.example", "use_ssl": true})),
            "use_ssl",
            "is without effect: the scheme of `endpoint_url` is http",
        ),
        (flat(json!({"odd": 1})), "odd", "is not known and has no effect"),
        (
            flat(json!({"compresion": "gzip"})),
            "compresion",
            "is not known and has no effect; did you mean `compression`?",
        ),
    ];
    for (config, path, expected) in table {
        let warning = warning(&config, path);
        assert!(
            warning.contains(&format!("'{path}' {expected}")),
            "{config}\n     got: {warning}\nexpected: {expected}"
        );
    }
    let agreeing = job(&flat(json!({"endpoint_url": "http://h.example", "use_ssl": false})));
    assert_eq!(agreeing.provenance.iter().filter_map(Provenance::warning).count(), 0);
}

#[test]
fn the_codec_inside_avro_files_is_no_compression_around_them() {
    let avro = |compression: &str| {
        let config = json!({"bucket": "b", "file_format": "avro", "compression": compression});
        job(&config).streams[0].compression
    };
    for inside in ["snappy", "zstd", "bzip2", "xz", "gzip"] {
        assert_eq!(avro(inside), Compression::Auto, "{inside}");
    }
    for around in ["none", "zip", "lz4"] {
        assert_eq!(avro(around).name(), around);
    }
}

#[test]
fn patterns_of_fivetran_are_regular_expressions_below_the_folder() {
    let config = fivetran(json!({"prefix": "raw", "pattern": r"orders_\d+\.csv", "archive_pattern": r".*\.csv"}));
    let stream = &job(&config).streams[0];
    let pattern = stream.key_pattern.as_ref().unwrap();
    assert!(pattern.matches("raw/orders_15.csv") && !pattern.matches("orders_15.csv") && !pattern.matches("raw/x.csv"));
    assert_eq!((pattern.prefixes(), stream.list_prefix.as_deref()), (&["raw/orders_".to_owned()][..], Some("raw/")));
    assert!(stream.archive_pattern.as_ref().unwrap().matches("folder/a.csv"));
}

#[test]
fn a_format_that_is_inferred_is_that_of_the_key() {
    let config = fivetran(json!({"file_type": "infer", "delimiter": ";"}));
    let mut stream = job(&config).streams.remove(0);
    let of = |key: &str| stream.format_by_key(key).map(|by_key| (by_key.format.name(), by_key.schemaless));
    let table = [
        ("a/b.csv", Some(("csv", false))),
        ("a/b.TSV.gz", Some(("csv", false))),
        ("a.x/b.ndjson", Some(("jsonl", true))),
        ("b.json.zst", Some(("json", true))),
        ("b.parquet", Some(("parquet", false))),
        ("z.zip#m/b.avro", Some(("avro", false))),
        ("b.csv.zip", Some(("csv", false))),
        ("csv", None),
        ("a.csv/b", None),
        ("b.zip", None),
    ];
    for (key, expected) in table {
        assert_eq!(of(key), expected, "{key}");
    }
    let jsonl = stream.format_by_key("a.jsonl").unwrap().clone();
    stream.choose_format(&jsonl);
    assert!(stream.schemaless && stream.told_by_key("b.jsonl").is_ok());
    for other in ["b.csv", "b", "b.json"] {
        let error = stream.told_by_key(other).unwrap_err();
        assert!(error.to_string().contains(other), "{error}");
    }
    // A pattern's extension determines it as before.
    let by_pattern = job(&fivetran(json!({"file_type": "infer", "pattern": r".*\.jsonl\.gz"})));
    assert_eq!((by_pattern.streams[0].formats.len(), &by_pattern.streams[0].format), (0, &FormatOptions::Jsonl));
}
