//! Tables: a configuration and what it means, or what is said about it.

use serde_json::{Value, json};

use super::job::connection::{Credentials, Secret};
use super::job::{Job, Outcome, Stream, ValidationPolicy};
use super::parse;
use crate::error::ErrorKind;
use crate::options::{Compression, CsvHeader, CsvInference, CsvOptions, FormatOptions, ParquetOptions};

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

/// The error's kind and whole text.
fn error(config: &Value) -> (ErrorKind, String) {
    match parse(config.to_string().as_bytes()) {
        Ok(job) => panic!("accepted: {config}\n{job:?}"),
        Err(error) => (error.kind(), error.to_string()),
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
        format,
        compression,
        start_at,
        skip_markers,
        schemaless,
        input_schema,
        validation_policy,
        primary_key,
        days_to_sync_if_history_is_full,
        schema_sample_files,
        batch_rows,
    } = &job.streams[0];
    assert_eq!((name.as_str(), globs.as_slice(), list_prefix), ("s", ["**".to_owned()].as_slice(), &None));
    assert_eq!(*format, FormatOptions::Csv(CsvOptions::default()));
    assert_eq!((*compression, *start_at, *skip_markers, *schemaless), (Compression::Auto, None, false, false));
    assert_eq!((input_schema, *validation_policy, primary_key), (&None, ValidationPolicy::EmitRecord, &None));
    assert_eq!((*days_to_sync_if_history_is_full, *schema_sample_files, *batch_rows), (3, None, None));
    assert_eq!((job.parallel_files, job.memory_bytes), (None, None));
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
    assert_eq!(stream.format, FormatOptions::Csv(CsvOptions { encoding: "utf-8".to_owned(), ..CsvOptions::default() }));
    assert_eq!((stream.globs.as_slice(), &stream.list_prefix), (["**".to_owned()].as_slice(), &None));
    assert_eq!(job.connection.region.as_deref(), Some("us-east-1"));
    assert_eq!((job.parallel_files, &job.connection.credentials), (Some(4), &Credentials::DefaultChain));
    for path in ["name", "region", "batch_size", "parallel_workers", "file_format", "csv_encoding", "skip_markers"] {
        assert_eq!(line(&job, path).0, Outcome::Defaulted, "{path}");
    }
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
    let table: &[(Value, fn(&mut CsvOptions))] = &[
        (json!({"delimiter": "\\t"}), |csv| csv.delimiter = b'\t'),
        (json!({"delimiter": "\t"}), |csv| csv.delimiter = b'\t'),
        (json!({"delimiter": " "}), |csv| csv.delimiter = b' '),
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
    let parquet = |decimal_as_float| FormatOptions::Parquet(ParquetOptions { decimal_as_float });
    let of = |changes: Value| stream(&airbyte_stream(changes));
    assert_eq!(of(json!({"format": {"filetype": "parquet"}})).format, parquet(false));
    assert_eq!(of(json!({"format": {"filetype": "parquet", "decimal_as_float": true}})).format, parquet(true));
    assert_eq!(of(json!({"format": {"filetype": "jsonl"}})).format, FormatOptions::Jsonl);
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
fn errors_name_the_path_the_value_and_what_would_be_right() {
    let flat = |changes: Value| merged(json!({"bucket": "b"}), changes);
    let table = [
        (json!({}), "'bucket' is a required property"),
        (json!({"bucket": 5}), "`bucket` is integer `5`, expected a string"),
        (
            json!({"bucket": "a/b"}),
            "`bucket` is 'a/b', expected a bucket name, `s3://bucket/prefix/` or an access-point ARN",
        ),
        (json!({"bucket": "s3://"}), "`bucket` is 's3://', expected a bucket name"),
        (json!({"bucket": "arn:aws:sqs:x:1:q"}), "expected `arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME`"),
        (flat(json!({"batch_size": "5"})), "`batch_size` is string \"5\", expected a whole number"),
        (flat(json!({"batch_size": 0})), "`batch_size` is 0, expected a whole number from 1 to 1000000"),
        (flat(json!({"parallel_workers": 2.5})), "`parallel_workers` is floating point `2.5`, expected a whole number"),
        (
            flat(json!({"file_format": "xml"})),
            "`file_format` is 'xml', expected one of 'csv', 'tsv', 'jsonl', 'parquet'",
        ),
        (flat(json!({"compression": "zip"})), "`compression` is 'zip', expected one of 'gzip', 'none'"),
        (flat(json!({"csv_delimiter": ";;"})), "`csv_delimiter` is \";;\": delimiter should only be one character"),
        (flat(json!({"csv_delimiter": "\""})), "`csv_delimiter` is '\"', which is the quote character too"),
        (flat(json!({"use_ssl": "false"})), "`use_ssl` is string \"false\", expected a boolean"),
        (flat(json!({"region": "EU (Ireland)"})), "`region` is 'EU (Ireland)', expected a region such as 'eu-west-1'"),
        (flat(json!({"endpoint_url": "http://h/p"})), "`endpoint_url` is 'http://h/p', expected a host"),
        (flat(json!({"endpoint_url": "ftp://h"})), "`endpoint_url` is 'ftp://h', expected a host"),
        (flat(json!({"endpoint_url": "h:99999"})), "`endpoint_url` is 'h:99999', expected a host"),
        (flat(json!({"access_key_id": "AK"})), "`secret_access_key` is missing beside `access_key_id`"),
        (flat(json!({"anonymous": true, "role_arn": "r"})), "`anonymous` and `role_arn` are both given"),
        (
            flat(json!({"sync_mode": "append"})),
            "`sync_mode` is \"append\", expected one of 'full_refresh', 'incremental'",
        ),
        (
            json!({"bucket": "arn:aws:s3:eu-west-1:1:accesspoint/p", "region": "us-east-1"}),
            "`region` is 'us-east-1', expected 'eu-west-1', the region of the access point",
        ),
        (json!({"streams": []}), "'bucket' is a required property"),
        (json!({"bucket": "b", "credentials": {}}), "'streams' is a required property"),
        (airbyte(json!({"streams": []})), "`streams` is an empty list: No streams are available"),
        (airbyte(json!({"streams": {}})), "`streams` is an object, expected a list"),
        (airbyte(json!({"streams": [1]})), "`streams[0]` is integer `1`, expected an object"),
        (airbyte(json!({"streams": [{"name": "a"}]})), "'streams[0].format' is a required property"),
        (airbyte(json!({"credentials": {}})), "'credentials.auth_type' is a required property"),
        (
            airbyte(json!({"credentials": {"auth_type": "x"}})),
            "`credentials.auth_type` is \"x\", expected one of 'iam_user', 'iam_role', 'default_credentials', 'anonymous'",
        ),
        (
            airbyte(json!({"credentials": {"auth_type": "iam_user", "aws_access_key_id": "a"}})),
            "'credentials.aws_secret_access_key' is a required property",
        ),
        (airbyte(json!({"start_date": "2021-13-01"})), "`start_date` is '2021-13-01', expected YYYY-MM-DD"),
        (airbyte(json!({"start_date": "yesterday"})), "`start_date` is 'yesterday', expected YYYY-MM-DD"),
        (
            airbyte(json!({"delivery_method": "use_records_transfer"})),
            "`delivery_method` is string \"use_records_transfer\"",
        ),
        (airbyte_stream(json!({"name": ""})), "`streams[0].name` is empty, expected a name"),
        (airbyte_stream(json!({"globs": null})), "`streams[0].globs` is null, expected a list"),
        (airbyte_stream(json!({"globs": ["a", 1]})), "`streams[0].globs[1]` is integer `1`, expected a string"),
        (
            airbyte_stream(json!({"format": {"filetype": "cvs"}})),
            "`streams[0].format.filetype` is \"cvs\", expected one of",
        ),
        (
            airbyte_stream(json!({"validation_policy": "Emit"})),
            "`streams[0].validation_policy` is `Emit`, expected one of `Emit Record`, `Skip Record`, `Wait for Discover`",
        ),
        (
            airbyte_stream(json!({"days_to_sync_if_history_is_full": -1})),
            "days_to_sync_if_history_is_full must be a positive timedelta",
        ),
        (
            airbyte_stream(json!({"recent_n_files_to_read_for_schema_discovery": 0})),
            "`streams[0].recent_n_files_to_read_for_schema_discovery` is 0, expected a whole number of at least 1",
        ),
        (
            airbyte_stream(json!({"schemaless": true, "input_schema": r#"{"a":"string"}"#})),
            "Only one of options 'Schemaless', 'Input Schema', 'Files To Read For Schema Discover' or 'Use First Found \
             File For Schema Discover' can be provided at the same time",
        ),
        (
            airbyte_stream(json!({
                "use_first_found_file_for_schema_discovery": true, "recent_n_files_to_read_for_schema_discovery": 3
            })),
            "Only one of options",
        ),
        (airbyte_stream(json!({"input_schema": r#"{"a":"text"}"#})), "Invalid type 'text' for property 'a'"),
        (airbyte_stream(json!({"input_schema": r#"{"a":{}}"#})), "nested schemas are not supported"),
        (
            airbyte_stream(json!({"input_schema": "{a"})),
            "`streams[0].input_schema`: The provided schema could not be transformed into valid JSON Schema",
        ),
        (
            airbyte_csv(json!({"delimiter": ""})),
            "`streams[0].format.delimiter` is \"\": delimiter should only be one character",
        ),
        (
            airbyte_csv(json!({"delimiter": "\n"})),
            "`streams[0].format.delimiter` is \"\\n\", expected a character that does not",
        ),
        (
            airbyte_csv(json!({"quote_char": "ab"})),
            "`streams[0].format.quote_char` is \"ab\": quote_char should only be one",
        ),
        (airbyte_csv(json!({"encoding": null})), "`streams[0].format.encoding` is null, expected a string"),
        (
            airbyte_csv(json!({"encoding": "utf\u{0}8"})),
            "`streams[0].format.encoding` is \"utf\\08\", expected the name of",
        ),
        (
            airbyte_csv(json!({"skip_rows_before_header": -1})),
            "skip_rows_before_header` is -1, expected a whole number of at least 0",
        ),
        (
            airbyte_csv(json!({"header_definition": {"header_definition_type": "User Provided", "column_names": []}})),
            "`streams[0].format.header_definition.column_names` is an empty list, expected at least one column name",
        ),
        (
            airbyte_csv(
                json!({"header_definition": {"header_definition_type": "User Provided", "column_names": ["a", "a"]}}),
            ),
            "`streams[0].format.header_definition.column_names` has the name 'a' twice",
        ),
        (
            airbyte(json!({"streams": [
                {"name": "a", "format": {"filetype": "jsonl"}}, {"name": "b", "format": {"filetype": "jsonl"}},
                {"name": "a", "format": {"filetype": "jsonl"}}
            ]})),
            "`streams[2].name` is 'a', which `streams[0].name` is already",
        ),
    ];
    for (config, expected) in table {
        let (kind, text) = error(&config);
        assert_eq!(kind, ErrorKind::Config, "{config}\n{text}");
        assert!(text.contains(expected), "{config}\n     got: {text}\nexpected: {expected}");
    }
}

#[test]
fn what_is_known_and_not_done_is_refused_by_name() {
    let flat = |changes: Value| merged(json!({"bucket": "b"}), changes);
    let table = [
        (flat(json!({"cost_limit_usd": 5.0})), "`cost_limit_usd` is not supported yet"),
        (
            flat(json!({"dev_sampling": 0.1, "dev_max_files": 5})),
            "`dev_sampling`, `dev_max_files` are not supported yet",
        ),
        (flat(json!({"max_files_per_run": 1})), "`max_files_per_run` is not"),
        (flat(json!({"max_data_size_gb": 1})), "`max_data_size_gb` is not"),
        (flat(json!({"partition_keys": ["a"]})), "`partition_keys` is not"),
        (flat(json!({"partition_filter": {"a": "b"}})), "`partition_filter` is not"),
        (flat(json!({"parquet_columns": ["a"]})), "`parquet_columns` is not"),
        (flat(json!({"parquet_filters": []})), "`parquet_filters` is not"),
        (flat(json!({"json_flatten": true})), "`json_flatten` is not supported yet; set it to false"),
        (flat(json!({"json_max_depth": 3})), "`json_max_depth` is not"),
        (flat(json!({"cursor_field": "t"})), "`cursor_field` is not"),
        (flat(json!({"file_format": "avro"})), "`file_format` is 'avro', which is not supported yet"),
        (flat(json!({"file_format": "json"})), "use 'jsonl' where every line"),
        (flat(json!({"compression": "lz4"})), "`compression` is 'lz4', which is not supported yet"),
        (flat(json!({"use_ssl": false})), "`use_ssl` is false without an `endpoint_url`"),
        (json!({"bucket": "arn:aws:s3::1:accesspoint/m.mrap"}), "multi-region access point"),
        (airbyte(json!({"cost_limit_usd": 5.0})), "`cost_limit_usd` is not supported yet"),
        (
            airbyte_stream(json!({"format": {"filetype": "avro"}})),
            "`streams[0].format.filetype` is 'avro', which is not",
        ),
        (airbyte_stream(json!({"format": {"filetype": "excel"}})), "is 'excel', which is not"),
        (airbyte_stream(json!({"format": {"filetype": "unstructured"}})), "is 'unstructured', which is not"),
        (airbyte_csv(json!({"delimiter": "§"})), "`streams[0].format.delimiter` is '§', and characters outside ASCII"),
        (
            airbyte(json!({"delivery_method": {"delivery_type": "use_file_transfer"}})),
            "`delivery_method.delivery_type` is 'use_file_transfer', which is not supported yet",
        ),
    ];
    for (config, expected) in table {
        let (kind, text) = error(&config);
        assert_eq!(kind, ErrorKind::Unsupported, "{config}\n{text}");
        assert!(text.contains(expected), "{config}\n     got: {text}\nexpected: {expected}");
    }
}

#[test]
fn what_is_not_json_is_said_with_its_place() {
    let text = |bytes: &[u8]| parse(bytes).expect_err("not a configuration").to_string();
    assert!(
        text(b"{\"bucket\": }").contains("not valid JSON: expected value at line 1 column 12"),
        "{}",
        text(b"{\"bucket\": }")
    );
    assert!(text(b"[]").contains("not a JSON object"));
    assert!(text(b"").contains("not valid JSON"));
    assert!(text(&[0xFF, 0xFE]).contains("not valid JSON"));
    assert!(parse(b"\xEF\xBB\xBF{\"bucket\": \"b\"}").is_ok(), "a byte order mark is no reason");
}

/// Wherever something is wrong, and whatever is shown of it, a secret is not.
#[test]
fn no_message_and_no_line_shows_a_secret() {
    let secret = "sup3rS3cretValue";
    let configs = [
        json!({"bucket": secret, "secret_access_key": secret, "access_key_id": ["x", secret]}),
        json!({"bucket": "b/", "secret_access_key": secret, "access_key_id": secret}),
        json!({"bucket": "b", "secret_access_key": [secret]}),
        json!({"bucket": "b", "secret_access_key": {"x": secret}}),
        json!({"bucket": "b", "session_token": secret}),
        json!({"bucket": "b", "endpoint_url": format!("https://user:{secret}@host"), "password": secret}),
        json!({"bucket": "b", "endpoint_url": format!("https://user:{secret}@host")}),
        json!({"bucket": "b", "secret_acess_key": secret, "region": secret, "batch_size": secret}),
        airbyte(json!({"credentials": {"auth_type": secret, "aws_secret_access_key": secret}})),
        airbyte(json!({"credentials": {"auth_type": "iam_user", "aws_secret_access_key": 123_456_789}})),
        airbyte(json!({"aws_secret_access_key": secret, "aws_access_key_id": secret, secret: 1})),
        json!({"bucket": "b", "access_key_id": secret, "secret_access_key": secret, secret: secret, "my_token": secret}),
    ];
    for config in configs {
        let shown = match parse(config.to_string().as_bytes()) {
            Ok(job) => format!("{:?}", job.provenance),
            Err(error) => format!("{error} {error:?}"),
        };
        assert!(!shown.contains(secret) && !shown.contains("123456789"), "{config}\n{shown}");
    }
}
