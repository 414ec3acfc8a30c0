//! A job as a configuration: version 4.16 of Airbyte's form with this program's additions, which can say everything that
//! any dialect can. What is the default there is left out; secrets are masked.

use serde_json::{Map, Value, json};

use super::defaults;
use super::dialect::Dialect;
use super::job::{BadRowAction, DeadLetterPlace, Delivery, FormatByKey, Job, Stream, ValidationPolicy};
use super::notes::MASK;
use tollgate_base::connection::{Connection, Credentials};
use tollgate_base::options::inventory::{MARGIN_SECONDS, OnGap};
use tollgate_base::options::key_pattern::KeyPattern;
use tollgate_base::options::{
    BinaryEncoding, Caps, Compression, CsvHeader, CsvInference, CsvOptions, FormatOptions, InferenceDepth,
    SchemaEvolution,
};
use tollgate_base::predicate::{Lookback, Predicate};
use tollgate_base::spending::{GB, OnArchived, OnLimit, Spending};

/// The configuration that means this job, but for the secrets.
pub(super) fn configuration(job: &Job) -> Value {
    let Connection { bucket, region, endpoint, path_style, credentials, requester_pays, ca_bundle } = &job.connection;
    let mut root = Map::new();
    root.insert("bucket".to_owned(), bucket.as_str().into());
    root.insert("credentials".to_owned(), authentication(credentials));
    put(&mut root, "endpoint", endpoint.as_deref());
    put(&mut root, "region_name", region.as_deref());
    // Every dialect has one start date for all of its streams, and one batch size.
    put(&mut root, "start_date", job.streams.iter().find_map(|stream| stream.start_at).map(|at| at.to_string()));
    put(&mut root, "requester_pays", Some(*requester_pays).filter(|pays| *pays));
    put(&mut root, "parallel_workers", job.parallel_files);
    let (caps, default) = (job.caps, Caps::default());
    put(&mut root, "max_decompressed_gb", changed(caps.decoded_bytes >> 30, default.decoded_bytes >> 30));
    put(&mut root, "max_decompression_ratio", changed(caps.ratio, default.ratio));
    put(&mut root, "batch_size", job.streams.iter().find_map(|stream| stream.batch_rows));
    spending(&mut root, job);
    let late = job.streams.iter().map(|stream| stream.late_window_days).next();
    put(&mut root, "ca_bundle", ca_bundle.as_deref());
    put(&mut root, "address_style", path_style.map(|path| if path { "path" } else { "virtual" }));
    put(&mut root, "late_window_days", late.filter(|days| *days != defaults::LATE_WINDOW_DAYS.airbyte));
    // So is what is delivered.
    put(&mut root, "delivery_method", job.streams.iter().find_map(|stream| delivery(stream.delivery)));
    root.insert("streams".to_owned(), job.streams.iter().map(stream).collect());
    Value::Object(root)
}

/// What decides price and limits, and what every dialect says once for all of its streams.
fn spending(root: &mut Map<String, Value>, job: &Job) {
    let Spending { limits, on_limit, network, price_table, discount_percent_e4, kms_requests } = &job.spending;
    put(root, "cost_limit_usd", limits.cost.map(|limit| number(limit.as_f64())));
    put(root, "max_files_per_run", limits.files);
    put(root, "max_data_size_gb", limits.bytes.map(|bytes| number(bytes as f64 / GB as f64)));
    put(root, "max_requests", limits.requests);
    put(root, "on_limit", Some("partial").filter(|_| *on_limit == OnLimit::Partial));
    put(root, "network", changed(network.name(), defaults::NETWORK.of(Dialect::Airbyte).name()));
    put(root, "price_table", price_table.as_deref());
    let discount = Some(*discount_percent_e4).filter(|discount| *discount > 0);
    put(root, "price_discount_percent", discount.map(|discount| number(discount as f64 / 10_000.0)));
    put(root, "kms_requests", changed(*kms_requests, defaults::KMS_REQUESTS.of(Dialect::Airbyte)));
    let Some(stream) = job.streams.first() else { return };
    put(root, "on_archived", Some("fail").filter(|_| stream.on_archived == OnArchived::Fail));
    put(root, "dev_sampling", stream.dev_sampling);
    put(root, "dev_max_files", stream.dev_max_files);
}

/// Whole numbers without a fraction, as a person writes them.
fn number(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 9e15 { Value::from(number as i64) } else { Value::from(number) }
}

fn put(object: &mut Map<String, Value>, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        object.insert(key.to_owned(), value.into());
    }
}

fn delivery(delivery: Delivery) -> Option<Value> {
    let Delivery::Files { preserve_directory_structure } = delivery else { return None };
    let mut object = Map::new();
    object.insert("delivery_type".to_owned(), "use_file_transfer".into());
    let default = defaults::PRESERVE_DIRECTORY_STRUCTURE.of(Dialect::Airbyte);
    put(&mut object, "preserve_directory_structure", changed(preserve_directory_structure, default));
    Some(Value::Object(object))
}

fn authentication(credentials: &Credentials) -> Value {
    let mut object = Map::new();
    match credentials {
        Credentials::Static { session_token, .. } => {
            object.insert("auth_type".to_owned(), "iam_user".into());
            object.insert("aws_access_key_id".to_owned(), MASK.into());
            object.insert("aws_secret_access_key".to_owned(), MASK.into());
            put(&mut object, "aws_session_token", session_token.as_ref().map(|_| MASK));
        }
        Credentials::AssumeRole { role_arn, external_id } => {
            object.insert("auth_type".to_owned(), "iam_role".into());
            object.insert("role_arn".to_owned(), role_arn.as_str().into());
            put(&mut object, "external_id", external_id.as_deref());
        }
        Credentials::DefaultChain => put(&mut object, "auth_type", Some("default_credentials")),
        Credentials::Anonymous => put(&mut object, "auth_type", Some("anonymous")),
    }
    Value::Object(object)
}

fn stream(stream: &Stream) -> Value {
    let default = super::dialect::stream(Dialect::Airbyte, stream.name.clone(), stream.format.clone());
    let mut object = Map::new();
    object.insert("name".to_owned(), stream.name.as_str().into());
    let pattern = |pattern: &Option<KeyPattern>| pattern.as_ref().map(|pattern| pattern.text().to_owned());
    match &stream.key_pattern {
        Some(_) => put(&mut object, "key_pattern", pattern(&stream.key_pattern)),
        None => put(&mut object, "globs", Some(stream.globs.as_slice())),
    }
    put(&mut object, "archive_pattern", pattern(&stream.archive_pattern));
    put(&mut object, "legacy_prefix", stream.list_prefix.as_deref());
    object.insert("format".to_owned(), if stream.formats.is_empty() { format(&stream.format) } else { by_key(stream) });
    let compression = changed(stream.compression, default.compression).map(Compression::name);
    put(&mut object, "compression", compression);
    put(&mut object, "skip_markers", changed(stream.skip_markers, default.skip_markers));
    put(&mut object, "schemaless", changed(stream.schemaless, default.schemaless));
    put(&mut object, "input_schema", stream.input_schema.as_deref().map(input_schema));
    let policy = match stream.validation_policy {
        ValidationPolicy::EmitRecord => "Emit Record",
        ValidationPolicy::SkipRecord => "Skip Record",
        ValidationPolicy::WaitForDiscover => "Wait for Discover",
    };
    put(
        &mut object,
        "validation_policy",
        Some(policy).filter(|_| stream.validation_policy != default.validation_policy),
    );
    put(
        &mut object,
        "primary_key",
        stream.primary_key.as_ref().and_then(|columns| columns.first()).map(String::as_str),
    );
    let (days, default_days) = (stream.days_to_sync_if_history_is_full, default.days_to_sync_if_history_is_full);
    put(&mut object, "days_to_sync_if_history_is_full", changed(days, default_days));
    let first = stream.schema_of_first_file;
    put(&mut object, "use_first_found_file_for_schema_discovery", Some(true).filter(|_| first));
    let sample_files = stream.schema_sample_files.filter(|_| !first);
    put(&mut object, "recent_n_files_to_read_for_schema_discovery", sample_files);
    policies(stream, &mut object);
    let wanted = &stream.pushdown;
    put(&mut object, "parquet_columns", wanted.columns.as_deref());
    put(&mut object, "parquet_filters", wanted.filter.as_ref().map(Predicate::to_json));
    put(&mut object, "cursor_field", wanted.cursor_field.as_deref());
    put(&mut object, "cursor_lookback", wanted.cursor_lookback.as_ref().map(Lookback::text));
    partitions(stream, &mut object);
    inventory(stream, &mut object);
    Value::Object(object)
}

fn policies(stream: &Stream, object: &mut Map<String, Value>) {
    let (action, path) = match &stream.bad_rows.action {
        BadRowAction::Fail => (None, None),
        BadRowAction::Skip => (Some("skip"), None),
        BadRowAction::DeadLetter(DeadLetterPlace::Bucket { bucket, prefix }) => {
            (Some("dead_letter"), Some(format!("s3://{bucket}/{prefix}")))
        }
        BadRowAction::DeadLetter(DeadLetterPlace::Folder(folder)) => {
            (Some("dead_letter"), Some(folder.to_string_lossy().into_owned()))
        }
    };
    put(object, "on_error", action);
    put(object, "dead_letter_path", path);
    put(object, "max_bad_rows", stream.bad_rows.max_rows);
    put(object, "max_bad_percent", stream.bad_rows.max_percent);
    let evolution = match stream.evolution {
        SchemaEvolution::Evolve => None,
        SchemaEvolution::Rescue => Some("rescue"),
        SchemaEvolution::Freeze => Some("freeze"),
    };
    put(object, "schema_evolution", evolution);
    put(object, "inference", Some("rich").filter(|_| stream.inference == InferenceDepth::Rich));
    put(object, "json_flatten", stream.flatten.map(|_| true));
    let default_depth = defaults::JSON_MAX_DEPTH.of(Dialect::Airbyte);
    put(object, "json_max_depth", stream.flatten.map(|depth| depth as u64).filter(|depth| *depth != default_depth));
}

fn partitions(stream: &Stream, object: &mut Map<String, Value>) {
    let partitions = &stream.partitions;
    let types: Map<String, Value> =
        partitions.types.iter().map(|(name, kind)| (name.clone(), kind.name().into())).collect();
    let default = defaults::partition_columns(Dialect::Airbyte, &stream.format, partitions);
    put(object, "partition_keys", Some(partitions.keys.as_slice()).filter(|keys| !keys.is_empty()));
    put(object, "partition_template", partitions.template.as_ref().map(|template| template.text()));
    put(object, "partition_types", Some(types).filter(|types| !types.is_empty()));
    put(object, "partition_filter", partitions.filter.as_ref().map(|filter| filter.written.clone()));
    put(object, "partition_lookback", partitions.lookback_seconds.map(|seconds| format!("{seconds}s")));
    put(object, "partition_columns", changed(partitions.columns, default).map(|columns| columns.name()));
}

fn inventory(stream: &Stream, object: &mut Map<String, Value>) {
    let Some(source) = &stream.inventory else { return };
    put(object, "inventory", Some(source.location()));
    let margin = changed(source.margin_seconds, MARGIN_SECONDS);
    put(object, "inventory_margin", margin.map(|seconds| format!("{seconds}s")));
    put(object, "on_inventory_gap", Some("warn").filter(|_| source.on_gap == OnGap::Warn));
}

fn changed<T: PartialEq>(value: T, default: T) -> Option<T> {
    Some(value).filter(|value| *value != default)
}

fn input_schema(columns: &[(String, String)]) -> String {
    let types: Map<String, Value> = columns.iter().map(|(name, kind)| (name.clone(), kind.as_str().into())).collect();
    Value::Object(types).to_string()
}

fn format(format: &FormatOptions) -> Value {
    match format {
        FormatOptions::Csv(options) => csv(options),
        FormatOptions::Jsonl => json!({"filetype": "jsonl"}),
        FormatOptions::Json => json!({"filetype": "json"}),
        FormatOptions::Excel => json!({"filetype": "excel"}),
        FormatOptions::Parquet(options) => {
            let mut object = Map::new();
            object.insert("filetype".to_owned(), "parquet".into());
            let default = defaults::PARQUET_DECIMAL_AS_FLOAT.of(Dialect::Airbyte);
            put(&mut object, "decimal_as_float", changed(options.decimal_as_float, default));
            put(&mut object, "binary_encoding", binary_encoding(options.binary_encoding));
            Value::Object(object)
        }
        FormatOptions::Avro(options) => {
            let mut object = Map::new();
            object.insert("filetype".to_owned(), "avro".into());
            let default = defaults::AVRO_DOUBLE_AS_STRING.of(Dialect::Airbyte);
            put(&mut object, "double_as_string", changed(options.double_as_string, default));
            put(&mut object, "binary_encoding", binary_encoding(options.binary_encoding));
            Value::Object(object)
        }
    }
}

/// The format that the keys determine.
fn by_key(stream: &Stream) -> Value {
    let mut object = Map::new();
    object.insert("filetype".to_owned(), "infer".into());
    let of = |name| stream.formats.iter().find(|format| format.extension == name);
    if let Some(FormatByKey { format: FormatOptions::Csv(options), .. }) = of("csv")
        && let Value::Object(mut csv) = csv(options)
    {
        csv.remove("filetype");
        put(&mut object, "csv", Some(csv).filter(|csv| !csv.is_empty()));
    }
    let json_alone = of("json").is_some_and(|json| json.schemaless && !stream.schemaless);
    put(&mut object, "schemaless_json", Some(true).filter(|_| json_alone));
    Value::Object(object)
}

fn binary_encoding(encoding: BinaryEncoding) -> Option<&'static str> {
    let encoding = changed(encoding, defaults::BINARY_ENCODING.of(Dialect::Airbyte))?;
    Some(match encoding {
        BinaryEncoding::Utf8 => "utf8",
        BinaryEncoding::Base64 => "base64",
        BinaryEncoding::Hex => "hex",
    })
}

fn csv(csv: &CsvOptions) -> Value {
    let default = defaults::csv(Dialect::Airbyte);
    let mut object = Map::new();
    object.insert("filetype".to_owned(), "csv".into());
    let delimiter = [&[csv.delimiter][..], &csv.delimiter_rest].concat();
    let text =
        |bytes: Vec<u8>| if bytes == b"\t" { "\\t".to_owned() } else { String::from_utf8_lossy(&bytes).into_owned() };
    put(&mut object, "delimiter", changed(delimiter, vec![default.delimiter]).map(text));
    // A tab is written out here: only the delimiter has a short form for it.
    let plain = |byte: Option<u8>| byte.map(|byte| char::from(byte).to_string()).unwrap_or_default();
    put(&mut object, "quote_char", changed(csv.quote, default.quote).map(plain));
    put(&mut object, "escape_char", changed(csv.escape, default.escape).map(plain));
    put(&mut object, "double_quote", changed(csv.double_quote, default.double_quote));
    put(&mut object, "encoding", changed(csv.encoding.as_str(), default.encoding.as_str()));
    let header = match &csv.header {
        CsvHeader::FromFile => None,
        CsvHeader::Autogenerated => Some(json!({"header_definition_type": "Autogenerated"})),
        CsvHeader::UserProvided(names) => {
            Some(json!({"header_definition_type": "User Provided", "column_names": names}))
        }
    };
    put(&mut object, "header_definition", header);
    put(&mut object, "skip_rows_before_header", changed(csv.skip_rows_before_header, default.skip_rows_before_header));
    put(&mut object, "skip_rows_after_header", changed(csv.skip_rows_after_header, default.skip_rows_after_header));
    put(&mut object, "null_values", changed(csv.null_values.as_slice(), default.null_values.as_slice()));
    put(&mut object, "strings_can_be_null", changed(csv.strings_can_be_null, default.strings_can_be_null));
    put(&mut object, "true_values", changed(csv.true_values.as_slice(), default.true_values.as_slice()));
    put(&mut object, "false_values", changed(csv.false_values.as_slice(), default.false_values.as_slice()));
    let inference = match csv.inference {
        CsvInference::None => "None",
        CsvInference::PrimitiveTypesOnly => "Primitive Types Only",
    };
    put(&mut object, "inference_type", Some(inference).filter(|_| csv.inference != default.inference));
    let ignored = changed(csv.ignore_errors_on_fields_mismatch, default.ignore_errors_on_fields_mismatch);
    put(&mut object, "ignore_errors_on_fields_mismatch", ignored);
    Value::Object(object)
}
