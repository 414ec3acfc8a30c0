//! What is said about configurations that are wrong or not supported, and what is never said.

use serde_json::{Value, json};

use super::{airbyte, airbyte_csv, airbyte_stream, fivetran, merged, v3};
use crate::{parse, provenance, translate};
use tollgate_base::error::ErrorKind;

/// The error's kind and whole text.
fn error(config: &Value) -> (ErrorKind, String) {
    match parse(config.to_string().as_bytes()) {
        Ok(job) => panic!("accepted: {config}\n{job:?}"),
        Err(error) => (error.kind(), error.to_string()),
    }
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
            "`file_format` is 'xml', expected one of 'csv', 'tsv', 'jsonl', 'json', 'parquet', 'avro'",
        ),
        (flat(json!({"compression": "rar"})), "`compression` is 'rar', expected one of 'auto', 'none', 'gzip'"),
        (flat(json!({"csv_delimiter": "|\"|"})), "`csv_delimiter` is '|\"|', which contains the quote character"),
        (flat(json!({"csv_delimiter": "\""})), "`csv_delimiter` is '\"', which is also the quote character"),
        (flat(json!({"use_ssl": "false"})), "`use_ssl` is string \"false\", expected a boolean"),
        (flat(json!({"region": "EU (Ireland)"})), "`region` is 'EU (Ireland)', expected a region such as 'eu-west-1'"),
        (flat(json!({"endpoint_url": "http://h/p"})), "`endpoint_url` is 'http://h/p', expected a host"),
        (flat(json!({"endpoint_url": "ftp://h"})), "`endpoint_url` is 'ftp://h', expected a host"),
        (flat(json!({"endpoint_url": "h:99999"})), "`endpoint_url` is 'h:99999', expected a host"),
        (flat(json!({"access_key_id": "AK"})), "`access_key_id` is given without `secret_access_key`"),
        (
            flat(json!({"role_arn": "arn:aws:iam::123456789012:user/me"})),
            "`role_arn` is 'arn:aws:iam::123456789012:user/me', expected the ARN of a role",
        ),
        (flat(json!({"role_arn": "reader"})), "`role_arn` is 'reader', expected the ARN of a role"),
        (flat(json!({"address_style": "host"})), "`address_style`"),
        (flat(json!({"late_window_days": -1})), "`late_window_days` is -1, expected a whole number from 0 to 3650"),
        (json!({"service": "gcs", "config": {"bucket": "b"}}), "`service` is \"gcs\", expected 's3'"),
        (flat(json!({"anonymous": true, "role_arn": "r"})), "`anonymous` and `role_arn` are both given"),
        (flat(json!({"parquet_columns": "a"})), "`parquet_columns` is string \"a\", expected"),
        (flat(json!({"parquet_columns": []})), "`parquet_columns` is an empty list"),
        (flat(json!({"parquet_columns": ["a", ""]})), "`parquet_columns[1]` is empty"),
        (flat(json!({"parquet_filters": "x"})), "`parquet_filters` is \"x\", expected a list of conditions"),
        (flat(json!({"parquet_filters": [["a", "~", 1]]})), "`parquet_filters[0][1]` is '~', expected '='"),
        (
            airbyte_stream(json!({"parquet_filters": [[["a", "=", 1]], [["b", "in", []]]]})),
            "`streams[0].parquet_filters[1][0][2]` is an empty list, expected a list of at least one value",
        ),
        (flat(json!({"cursor_lookback": "3 weeks"})), "`cursor_lookback` is '3 weeks', expected a duration"),
        (
            flat(json!({"sync_mode": "append"})),
            "`sync_mode` is \"append\", expected one of 'full_refresh', 'incremental'",
        ),
        (
            json!({"bucket": "arn:aws:s3:eu-west-1:1:accesspoint/p", "region": "us-east-1"}),
            "`region` is 'us-east-1', expected 'eu-west-1', the region of the access point",
        ),
        (json!({"dataset": "s"}), "'path_pattern' is a required property"),
        (v3(json!({"provider": {}})), "'provider.bucket' is a required property"),
        (v3(json!({"dataset": ""})), "`dataset` is empty, expected a name"),
        (v3(json!({"provider": {"bucket": 1}})), "`provider.bucket` is integer `1`, expected a string"),
        (
            v3(json!({"provider": {"bucket": "b", "aws_access_key_id": "x"}})),
            "`provider.aws_access_key_id` is given without `provider.aws_secret_access_key`",
        ),
        (
            v3(json!({"format": {"filetype": "x"}})),
            "`format.filetype` is \"x\", expected one of 'csv', 'parquet', 'jsonl', 'avro'",
        ),
        (
            v3(json!({"format": {"delimiter": "a delimiter so long"}})),
            "`format.delimiter` is \"a delimiter so long\", expected one character, or a few",
        ),
        (
            v3(json!({"format": {"advanced_options": "{"}})),
            "`format.advanced_options` is a text that is not valid JSON",
        ),
        (
            v3(json!({"format": {"advanced_options": "{\"skip_rows\": \"1\"}"}})),
            "`format.advanced_options.skip_rows` is string \"1\", expected a whole number",
        ),
        (v3(json!({"schema": "{\"a\": 1}"})), "`schema`: The provided schema could not be transformed"),
        (
            v3(json!({"provider": {"bucket": "b", "start_date": "x"}})),
            "`provider.start_date` is 'x', expected YYYY-MM-DD",
        ),
        (
            fivetran(json!({"auth_type": "KEY"})),
            "`auth_type` is 'KEY', expected one of 'IAM_ROLE', 'ACCESS_KEY', 'PUBLIC_BUCKET'",
        ),
        (fivetran(json!({"auth_type": "IAM_ROLE"})), "'role_arn' is a required property where `auth_type` is IAM_ROLE"),
        (fivetran(json!({"access_key_id": "x"})), "`access_key_id` is given without `access_key_secret`"),
        (fivetran(json!({"files": [{"file_pattern": "a"}]})), "'files[0].table_name' is a required property"),
        (
            fivetran(json!({"is_private_link_required": "no"})),
            "`is_private_link_required` is \"no\", expected a boolean",
        ),
        (
            fivetran(json!({"file_type": "exe"})),
            "`file_type` is 'exe', expected one of 'csv', 'tsv', 'jsonl', 'json', 'parquet', 'avro'",
        ),
        (fivetran(json!({"compression": "rar"})), "`compression` is 'rar', expected one of 'infer', 'uncompressed'"),
        (
            fivetran(json!({"files": [{"table_name": "a"}, {"table_name": "a"}]})),
            "`streams[1].name` is 'a', the same as `streams[0].name`",
        ),
        (json!({"streams": []}), "'bucket' is a required property"),
        (json!({"bucket": "b", "credentials": {}}), "'streams' is a required property"),
        (airbyte(json!({"streams": []})), "`streams` is an empty list: No streams are available"),
        (
            flat(json!({"path_prefix": "a", "pattern": ".*"})),
            "`pattern` is a Fivetran-style parameter, and `path_prefix` is a parameter of the flat form",
        ),
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
        (airbyte_stream(json!({"input_schema": r#"{"": "string"}"#})), "a column has no name"),
        (
            airbyte_stream(json!({"input_schema": r#"{"a": "string", "a ": "integer"}"#})),
            "two columns have the name 'a'",
        ),
        (
            airbyte_stream(json!({"input_schema": "{a"})),
            "`streams[0].input_schema`: The provided schema could not be transformed into valid JSON Schema",
        ),
        (
            airbyte_csv(json!({"delimiter": ""})),
            "`streams[0].format.delimiter` is \"\", expected one character, or a few",
        ),
        (
            airbyte_csv(json!({"delimiter": "\n"})),
            "`streams[0].format.delimiter` is \"\\n\", expected characters other than line breaks",
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
            "`streams[0].format.header_definition.column_names` contains the name 'a' twice",
        ),
        (
            airbyte(json!({"streams": [
                {"name": "a", "format": {"filetype": "jsonl"}}, {"name": "b", "format": {"filetype": "jsonl"}},
                {"name": "a", "format": {"filetype": "jsonl"}}
            ]})),
            "`streams[2].name` is 'a', the same as `streams[0].name`",
        ),
        (flat_root(json!({"cost_limit_usd": 0})), "`cost_limit_usd` is 0, expected a number of dollars greater than 0"),
        (flat_root(json!({"cost_limit_usd": "5"})), "`cost_limit_usd`"),
        (flat_root(json!({"max_files_per_run": 0})), "`max_files_per_run` is 0"),
        (flat_root(json!({"max_data_size_gb": -1})), "`max_data_size_gb` is -1, expected a number greater than 0"),
        (flat_root(json!({"on_limit": "stop"})), "`on_limit`"),
        (flat_root(json!({"network": "home"})), "`network`"),
        (flat_root(json!({"price_discount_percent": 101})), "`price_discount_percent` is 101"),
        (
            flat_root(json!({"dev_sampling": 1.5})),
            "`dev_sampling` is 1.5, expected a number greater than 0 and at most 1",
        ),
        (flat_root(json!({"dev_max_files": 0})), "`dev_max_files` is 0"),
    ];
    for (config, expected) in table {
        let (kind, text) = error(&config);
        assert_eq!(kind, ErrorKind::Config, "{config}\n{text}");
        assert!(text.contains(expected), "{config}\n     got: {text}\nexpected: {expected}");
    }
}

fn flat_root(changes: Value) -> Value {
    merged(json!({"bucket": "b"}), changes)
}

#[test]
fn what_is_known_and_not_done_is_refused_by_name() {
    let flat = |changes: Value| merged(json!({"bucket": "b"}), changes);
    let table = [
        (fivetran(json!({"compression": "tar"})), "`compression` is 'tar', which is not supported yet"),
        (flat(json!({"use_ssl": false})), "`use_ssl` is false without an `endpoint_url`"),
        (json!({"bucket": "arn:aws:s3::1:accesspoint/m.mrap"}), "multi-region access point"),
        (
            fivetran(json!({"connection_type": "PrivateLink"})),
            "`connection_type` is not supported yet; run the connector",
        ),
        (fivetran(json!({"is_private_link_required": true})), "`is_private_link_required` is not supported yet"),
        (fivetran(json!({"file_mapping_method": "EXTRACT_TABLES"})), "`file_mapping_method` is not supported yet"),
        (fivetran(json!({"extraction_pattern": "(?<table>.*)"})), "`extraction_pattern` is not supported yet"),
        (fivetran(json!({"files": [{"table_name": "a", "selected_range": "A1"}]})), "`files[0].selected_range` is not"),
        (fivetran(json!({"line_separator": ";"})), "`line_separator` is not supported yet"),
        (fivetran(json!({"skip_after": 1})), "`skip_after` is not supported yet"),
        (fivetran(json!({"escape_char_options": "DELIMITED_ONLY"})), "`escape_char_options` is not supported yet"),
        (fivetran(json!({"file_type": "xml"})), "`file_type` is 'xml', which is not supported yet"),
        (fivetran(json!({"use_ssl": false})), "`use_ssl` is false without an `endpoint_url`"),
        (
            airbyte_stream(json!({"format": {"filetype": "unstructured"}})),
            "`streams[0].format.filetype` is 'unstructured', which is not",
        ),
        (airbyte_stream(json!({"format": {"filetype": "unstructured"}})), "is 'unstructured', which is not"),
        (airbyte_csv(json!({"quote_char": "§"})), "`streams[0].format.quote_char` is '§'; characters outside ASCII"),
        (
            airbyte(json!({"delivery_method": {"delivery_type": "use_permissions_transfer"}})),
            "`delivery_method.delivery_type` is 'use_permissions_transfer', which is not possible with S3",
        ),
    ];
    for (config, expected) in table {
        let (kind, text) = error(&config);
        assert_eq!(kind, ErrorKind::Unsupported, "{config}\n{text}");
        assert!(text.contains(expected), "{config}\n     got: {text}\nexpected: {expected}");
    }
}

#[test]
fn a_pattern_that_is_no_regular_expression_says_why() {
    let table = [
        (fivetran(json!({"pattern": "(a"})), "`pattern` is '(a', which is not a regular expression: unclosed group"),
        (fivetran(json!({"pattern": "a(?=b)"})), "look-around"),
        (
            fivetran(json!({"files": [{"table_name": "a", "file_pattern": "*"}]})),
            "`files[0].file_pattern` is '*', which is not a regular expression: repetition operator",
        ),
        (fivetran(json!({"archive_pattern": "[a"})), "`archive_pattern` is '[a', which is not a regular expression"),
        (airbyte_stream(json!({"key_pattern": ")"})), "`streams[0].key_pattern` is ')'"),
        (
            airbyte_stream(json!({"key_pattern": "a", "globs": ["a"]})),
            "`streams[0].key_pattern` and `streams[0].globs` are both given",
        ),
    ];
    for (config, expected) in table {
        let (kind, text) = error(&config);
        assert_eq!(kind, ErrorKind::Config, "{config}\n{text}");
        assert!(text.contains(expected), "{config}\n     got: {text}\nexpected: {expected}");
    }
}

#[test]
fn a_misspelt_parameter_that_would_widen_what_is_read_is_refused() {
    let table = [
        (airbyte_stream(json!({"glob": ["a/*"]})), "`streams[0].glob` is not known; did you mean `globs`?"),
        (airbyte(json!({"startdate": "2024-01-01"})), "`startdate` is not known; did you mean `start_date`?"),
        (flat_root(json!({"path_prefx": "a/"})), "`path_prefx` is not known; did you mean `path_prefix`?"),
        (flat_root(json!({"cost_limit_us": 1})), "`cost_limit_us` is not known; did you mean `cost_limit_usd`?"),
        (flat_root(json!({"partition_filters": {}})), "did you mean `partition_filter`?"),
        (
            fivetran(json!({"files": [{"table_name": "a", "file_patern": "a"}]})),
            "`files[0].file_patern` is not known; did you mean `file_pattern`?",
        ),
    ];
    for (config, expected) in table {
        let (kind, text) = error(&config);
        assert_eq!(kind, ErrorKind::Config, "{config}\n{text}");
        assert!(text.contains(expected), "{config}\n     got: {text}\nexpected: {expected}");
    }
    // Where the right name is there too, or the name is not that near, the key is an odd one like others.
    for config in [
        airbyte_stream(json!({"glob": ["a/*"], "globs": ["b/*"]})),
        airbyte_stream(json!({"logs": ["a/*"], "primary": 1})),
    ] {
        assert!(parse(config.to_string().as_bytes()).is_ok(), "{config}");
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
        json!({"bucket": "b", "endpoint_url": format!("https://host/b?X-Amz-Signature={secret}")}),
        json!({"bucket": format!("https://b.s3.amazonaws.com/k?X-Amz-Signature={secret}")}),
        airbyte(json!({"endpoint": format!("https://host?X-Amz-Security-Token={secret}")})),
        airbyte(json!({"credentials": {"auth_type": secret}})),
        airbyte(json!({"credentials": {"auth_type": {"aws_secret_access_key": secret}}})),
        fivetran(json!({"auth_type": secret})),
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

/// The same numbers on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).expect("below a usize")
    }
}

/// Replaces, removes, renames or doubles something at a random place, but leaves keys that hold a secret alone.
fn mutate(value: &mut Value, random: &mut Random) {
    let junk = [
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(1e300),
        json!(9_007_199_254_740_993_u64),
        json!(u64::MAX),
        json!(""),
        json!("\t"),
        json!("\\t"),
        json!("**"),
        json!("s3://"),
        json!("arn:aws:s3:x:1:accesspoint/"),
        json!("é"),
        json!("\u{0}"),
        json!("((((((((((((a|b)|c)|d){9}){9}"),
        json!(".*.+[a-z]{64}(x|y)?"),
        json!("2021-02-30"),
        json!("http://[::"),
        json!("{}"),
        json!("{\"a\":{}}"),
        json!([]),
        json!({}),
        json!([[]]),
        json!([null]),
        json!({"auth_type": "iam_user"}),
        json!({"filetype": "csv"}),
        json!("a".repeat(3000)),
    ];
    let index = random.below(junk.len());
    match value {
        Value::Object(object) if !object.is_empty() && random.below(5) > 0 => {
            let key = object.keys().nth(random.below(object.len())).expect("a key").clone();
            if provenance::secret_name(&key) {
                return;
            }
            match random.below(6) {
                0 => drop(object.shift_remove(&key)),
                1 => drop(object.insert(key, junk[index].clone())),
                2 => drop(object.insert(format!("{key}x"), junk[index].clone())),
                _ => mutate(&mut object[&key], random),
            }
        }
        Value::Array(items) if !items.is_empty() && random.below(3) > 0 => {
            let at = random.below(items.len());
            mutate(&mut items[at], random);
        }
        Value::Object(_) => {}
        other => *other = junk[index].clone(),
    }
}

#[test]
fn no_input_panics_and_no_message_shows_a_secret() {
    let secret = "sup3rS3cretValue";
    let keys = json!({"auth_type": "iam_user", "aws_access_key_id": secret, "aws_secret_access_key": secret});
    let seeds = [
        merged(
            airbyte_csv(
                json!({"header_definition": {"header_definition_type": "User Provided", "column_names": ["a"]}}),
            ),
            json!({"credentials": keys, "start_date": "2021-01-01", "endpoint": "h", "delivery_method": {"delivery_type": "x"}}),
        ),
        merged(
            airbyte(json!({})),
            json!({"aws_access_key_id": secret, "aws_secret_access_key": secret, "role_arn": "r"}),
        ),
        json!({"bucket": "s3://b/p", "path_prefix": "p", "file_format": "tsv", "compression": "gzip", "access_key_id": secret,
            "secret_access_key": secret, "session_token": secret, "endpoint_url": "h:1", "use_ssl": false, "csv_delimiter": ";",
            "prefix": "x", "format": "csv", "secret_key": secret, "batch_size": 5, "cost_limit_usd": 1, "region": "r"}),
        v3(json!({"schema": "{}", "format": {"filetype": "csv", "advanced_options": "{\"skip_rows\": 1}"},
            "provider": {"bucket": "b", "aws_access_key_id": secret, "aws_secret_access_key": secret, "start_date": "2021-01-01"}})),
        fivetran(
            json!({"auth_type": "ACCESS_KEY", "access_key_id": secret, "access_key_secret": secret, "pattern": ".*x", "prefix": "/a",
            "files": [{"table_name": "t", "file_pattern": "a.*"}], "pgp_secret_key": secret, "skip_before": 1, "escape_char": "\\"}),
        ),
    ];
    let mut random = Random(0x5EED_1234_ABCD_0001);
    let mut accepted = 0;
    for round in 0..2_000 {
        let mut config = seeds[round % seeds.len()].clone();
        for _ in 0..=random.below(3) {
            mutate(&mut config, &mut random);
        }
        let mut bytes = config.to_string().into_bytes();
        if random.below(4) == 0 {
            let at = random.below(bytes.len());
            bytes[at] = u8::try_from(random.below(256)).expect("a byte");
        }
        let shown = match (parse(&bytes), translate(&bytes)) {
            (Ok(job), Ok(translation)) => {
                accepted += 1;
                format!("{:?} {}", job.provenance, translation.config)
            }
            (Err(error), Ok(translation)) => format!("{error:?} {translation:?}"),
            (Err(error), Err(other)) => format!("{error:?} {other:?}"),
            (Ok(job), Err(error)) => panic!("parsed and not translated: {error:?} {job:?}"),
        };
        assert!(!shown.contains(secret), "{}\n{shown}", String::from_utf8_lossy(&bytes));
    }
    assert!(accepted > 100, "the mutations leave too little to accept: {accepted}");
}
