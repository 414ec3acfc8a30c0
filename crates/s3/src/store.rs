//! The store: the three read operations of a source (list, head, get), and the one write operation (put).

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{SharedCredentialsProvider, SharedHttpClient};
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{EncodingType, OptionalObjectAttributes, RequestPayer};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use bytes::Bytes;

use super::context::{ConnectionContext, RequestTarget};
use super::error::Failure;
use super::identity::UsedSecrets;
use super::listing::{KeyOrder, ListPage, ListRequest};
use super::meter::{Meter, Trace, metered};
use super::observe::observed;
use super::options::StoreOptions;
use super::retry::Attempts;
use super::span::Span;
use super::{ca_bundle, client, identity, page, region};
use tollgate_base::connection::{Connection, Credentials};
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::object::{ObjectFacts, StorageClass, Timestamp};
use tollgate_cost::usage::Row;
use tollgate_cost::{Ledger, PlannedAttempt, ReservationId, endpoint_of_aws};

/// A bucket, ready for requests. Clones share connections, credentials, the detected region, and the ledger.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
    /// What its requests are charged to, if something was set aside for them.
    reservation: Option<ReservationId>,
}

struct Inner {
    connection: Connection,
    options: StoreOptions,
    http: SharedHttpClient,
    credentials: Option<SharedCredentialsProvider>,
    /// The secrets that were used, so that none is shown.
    used_secrets: UsedSecrets,
    route: RwLock<Route>,
    /// Whether the server ever answered: an address that worked once is not a mistake in the configuration.
    answered: AtomicBool,
}

/// The client in use, and the region it signs for.
#[derive(Clone)]
struct Route {
    client: Client,
    region: Arc<str>,
}

impl Store {
    /// Prepares access to a bucket. Nothing is sent before the first request, and credentials are fetched only then.
    ///
    /// # Errors
    /// [`tollgate_base::error::ErrorKind::Config`] if the endpoint is not a valid URL.
    pub async fn connect(connection: &Connection, ledger: Ledger, options: StoreOptions) -> Result<Self> {
        let plain = connection.endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        let own = matches!(connection.credentials, Credentials::Static { .. } | Credentials::Anonymous);
        // Certificates that nobody will look at are not worth reading.
        let ca_bundle = if plain && own { None } else { ca_bundle::read(connection.ca_bundle.as_deref())? };
        let http = client::http_client(&options, ca_bundle);
        Self::through(connection, ledger, options, http).await
    }

    /// As [`Store::connect`], over an HTTP client.
    pub(super) async fn through(
        connection: &Connection,
        ledger: Ledger,
        options: StoreOptions,
        unmetered: SharedHttpClient,
    ) -> Result<Self> {
        check_endpoint(connection.endpoint.as_deref())?;
        let environment = ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().find_map(|name| std::env::var(name).ok());
        let region = region::first(connection.region.as_deref(), &connection.bucket, environment.as_deref());
        // Other servers than AWS have names of all kinds; what cannot stand in a header would be a panic of the SDK.
        if !region.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::config(format!("{region:?} is not a valid region name"))
                .hint("set `region_name`, or AWS_REGION in the environment, to a name such as eu-central-1"));
        }
        let used_secrets = UsedSecrets::default();
        let asked = identity::Asked { region: &region, http: unmetered.clone(), timeout: options.credentials_timeout };
        // Boxed: the SDK's search of the environment is a large future.
        let credentials = Box::pin(identity::provider(&connection.credentials, asked, &used_secrets)).await?;
        let http = metered(observed(unmetered, options.observer), Meter::new(ledger, &options));
        let client = client::client(connection, &options, &region, http.clone(), credentials.clone());
        let inner = Inner {
            connection: connection.clone(),
            options,
            http,
            credentials,
            used_secrets,
            route: RwLock::new(Route { client, region: region.into() }),
            answered: AtomicBool::new(false),
        };
        Ok(Self { inner: Arc::new(inner), reservation: None })
    }

    /// The same bucket, with requests that are charged to a reservation of [`tollgate_cost::SpendingBudget`].
    #[must_use]
    pub fn charged_to(&self, reservation: Option<ReservationId>) -> Self {
        Self { reservation, ..self.clone() }
    }

    /// The reservation that requests are charged to, if there is one.
    #[must_use]
    pub fn reservation(&self) -> Option<ReservationId> {
        self.reservation
    }

    /// The bucket's region, as far as known. It is right after the first response.
    #[must_use]
    pub fn region(&self) -> Arc<str> {
        self.inner.route().region
    }

    /// One page of the bucket's objects.
    ///
    /// # Errors
    /// See [`tollgate_base::error::ErrorKind`].
    pub async fn list(&self, request: &ListRequest) -> Result<ListPage> {
        let payer = self.inner.payer();
        let bucket = &self.inner.connection.bucket;
        let planned = PlannedAttempt { row: Row::LIST, body_bytes: None, reservation: self.reservation };
        let target = RequestTarget { planned, bucket, key: &request.prefix };
        let output = self.inner.send(target, |client| {
            let list = client.list_objects_v2().bucket(bucket).encoding_type(EncodingType::Url);
            // Tells which archived objects can be read for now; other servers than AWS pass over it.
            let list = list.optional_object_attributes(OptionalObjectAttributes::RestoreStatus);
            list.set_request_payer(payer.clone())
                .set_prefix(Some(&request.prefix).filter(|prefix| !prefix.is_empty()).cloned())
                .set_delimiter(request.delimiter.clone())
                .set_start_after(request.start_after.clone())
                .set_continuation_token(request.continuation.clone())
                .set_max_keys(request.max_keys.map(|keys| i32::try_from(keys).unwrap_or(i32::MAX)))
                .send()
        });
        let long = [&request.continuation, &request.start_after].into_iter().flatten().find(|text| too_long(text));
        if long.is_some() {
            let error = Error::new(ErrorKind::Unsupported, "the continuation token of the listing is too long");
            return Err(error.with("bucket", bucket).hint("the server is not compatible with S3"));
        }
        let (_, trace) = output.await?;
        let body = trace.into_page().ok_or_else(|| Error::internal("the response to a listing has no page"))?;
        page::read_page(request, &body).map_err(|error| error.with("bucket", bucket))
    }

    /// The facts about one object, without its body.
    ///
    /// # Errors
    /// See [`tollgate_base::error::ErrorKind`].
    pub async fn head(&self, key: &str) -> Result<ObjectFacts> {
        let payer = self.inner.payer();
        let bucket = &self.inner.connection.bucket;
        let planned = PlannedAttempt {
            row: Row::head(StorageClass::Standard),
            body_bytes: Some(0),
            reservation: self.reservation,
        };
        let output = self.inner.send(RequestTarget { planned, bucket, key }, |client| {
            client.head_object().bucket(bucket).key(key).set_request_payer(payer.clone()).send()
        });
        let (output, _) = output.await?;
        facts_of(key, &output).map_err(|error| error.with("bucket", bucket))
    }

    /// Writes an object, and replaces an existing object with the same key.
    ///
    /// # Errors
    /// See [`tollgate_base::error::ErrorKind`].
    pub async fn put(&self, key: &str, bytes: Bytes) -> Result<()> {
        let payer = self.inner.payer();
        let bucket = &self.inner.connection.bucket;
        let planned = PlannedAttempt { row: Row::PUT, body_bytes: Some(0), reservation: self.reservation };
        let output = self.inner.send(RequestTarget { planned, bucket, key }, |client| {
            let put = client.put_object().bucket(bucket).key(key).set_request_payer(payer.clone());
            put.body(ByteStream::from(bytes.clone())).content_type("application/x-ndjson").send()
        });
        // A request's future is large, and its callers' are held in many.
        Box::pin(output).await.map(drop)
    }

    /// The store of another bucket with the same connection. Its requests are counted in the same ledger.
    #[must_use]
    pub fn for_bucket(&self, bucket: &str) -> Self {
        if bucket == self.bucket() {
            return self.clone();
        }
        let inner = &self.inner;
        let connection = Connection { bucket: bucket.to_owned(), ..inner.connection.clone() };
        // A client of its own: each keeps the address of one bucket. Where the region is another one, an answer will tell.
        let region = inner.route().region;
        let client =
            client::client(&connection, &inner.options, &region, inner.http.clone(), inner.credentials.clone());
        let inner = Inner {
            connection,
            options: inner.options.clone(),
            http: inner.http.clone(),
            credentials: inner.credentials.clone(),
            used_secrets: inner.used_secrets.clone(),
            route: RwLock::new(Route { client, region }),
            answered: AtomicBool::new(inner.answered.load(Ordering::Relaxed)),
        };
        Self { inner: Arc::new(inner), reservation: self.reservation }
    }

    /// Whether listings are in byte order of their keys, as far as that is known in advance.
    #[must_use]
    pub fn key_order(&self) -> KeyOrder {
        let Connection { bucket, endpoint, .. } = &self.inner.connection;
        if bucket.ends_with("--x-s3") || bucket.ends_with("--xa-s3") {
            KeyOrder::None
        } else if endpoint_of_aws(endpoint.as_deref()) {
            KeyOrder::Promised
        } else {
            KeyOrder::Unknown
        }
    }

    /// Sends a GET for a part of an object.
    pub(super) async fn open(&self, object: &ObjectFacts, span: &Span) -> Result<GetObjectOutput> {
        let payer = self.inner.payer();
        let bucket = &self.inner.connection.bucket;
        let row = Row::get(object.storage_class);
        let planned = PlannedAttempt { row, body_bytes: Some(span.len()), reservation: self.reservation };
        let range = span.header();
        let etag = Some(&object.etag).filter(|etag| !etag.is_empty()).map(|etag| etag.to_string());
        let target = RequestTarget { planned, bucket, key: &object.key };
        let output = self.inner.send(target, |client| {
            let get = client.get_object().bucket(bucket).key(&*object.key).set_request_payer(payer.clone());
            get.set_if_match(etag.clone()).set_range(range.clone()).send()
        });
        let (output, _) = output.await?;
        Ok(output)
    }

    pub(super) fn options(&self) -> &StoreOptions {
        &self.inner.options
    }

    /// The bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.inner.connection.bucket
    }
}

impl Inner {
    /// Asks the SDK, in the region that is known by now, and once more where the server names another one. Asks again
    /// while that may help and its time is not over.
    async fn send<T, E, F>(&self, target: RequestTarget<'_>, request: impl Fn(&Client) -> F) -> Result<(T, Trace)>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: std::error::Error + aws_sdk_s3::error::ProvideErrorMetadata + Send + Sync + 'static,
    {
        within_a_url(&target)?;
        let mut switched = false;
        let mut attempts = 0;
        let patience = Attempts::begin(&self.options);
        loop {
            let route = self.route();
            let attempt = Trace::new(target.planned, attempts).follow(request(&route.client));
            let failure = match tokio::time::timeout_at(patience.deadline(), attempt).await {
                Ok((Ok(output), trace)) => {
                    self.answered.store(true, Ordering::Relaxed);
                    return Ok((output, trace));
                }
                Ok((Err(error), trace)) => {
                    attempts = trace.attempts();
                    Failure::read(error, attempts)
                }
                Err(_) => {
                    attempts += 1;
                    Failure::unfinished(self.options.retry_timeout)
                }
            };
            if failure.answered() {
                self.answered.store(true, Ordering::Relaxed);
            }
            if !switched && failure.region().is_some_and(|region| self.switch(&route, region)) {
                (switched, attempts) = (true, 0);
                continue;
            }
            match patience.pause(&failure, attempts, self.answered.load(Ordering::Relaxed)) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(self.explain(failure, &target, &route, attempts)),
            }
        }
    }

    fn explain(&self, mut failure: Failure, target: &RequestTarget<'_>, route: &Route, attempts: u32) -> Error {
        failure.mask(&self.used_secrets.secrets());
        let context = ConnectionContext {
            region: &route.region,
            endpoint: self.connection.endpoint.as_deref(),
            answered: self.answered.load(Ordering::Relaxed),
            attempts,
            anonymous: self.connection.credentials == Credentials::Anonymous,
            requester_pays: self.connection.requester_pays,
        };
        failure.explain(target, &context)
    }

    fn route(&self) -> Route {
        self.route.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Goes over to another region. Whether there is now a way other than the one that was tried.
    fn switch(&self, tried: &Route, region: &str) -> bool {
        let mut route = self.route.write().unwrap_or_else(PoisonError::into_inner);
        if *route.region == *region || !region::plausible(region) {
            return route.region != tried.region;
        }
        let credentials = self.credentials.clone();
        let client = client::client(&self.connection, &self.options, region, self.http.clone(), credentials);
        *route = Route { client, region: region.into() };
        true
    }

    fn payer(&self) -> Option<RequestPayer> {
        self.connection.requester_pays.then_some(RequestPayer::Requester)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.inner.connection).finish()
    }
}

fn facts_of(key: &str, output: &HeadObjectOutput) -> Result<ObjectFacts> {
    let modified_at = output.last_modified.map(|time| Timestamp::from_seconds(time.secs(), time.subsec_nanos()));
    let size = output.content_length.and_then(|length| u64::try_from(length).ok());
    // Without its size, an object would be read as an empty one.
    let size = size.ok_or_else(|| {
        let error = Error::new(ErrorKind::Unsupported, "the server does not report the size of an object");
        error.with("key", key).hint("the server is not compatible with S3")
    })?;
    Ok(ObjectFacts {
        key: key.into(),
        size,
        modified_at: modified_at.unwrap_or_default(),
        etag: output.e_tag.as_deref().unwrap_or_default().into(),
        storage_class: StorageClass::from_name(output.storage_class.as_ref().map_or("", |class| class.as_str())),
    })
}

/// Whether a text is longer than any key; where each byte is encoded, a few of these still fit into a URL.
fn too_long(text: &str) -> bool {
    text.len() > 4096
}

/// The SDK panics where a URL is longer than 64 KiB. Keys have at most 1,024 bytes.
fn within_a_url(target: &RequestTarget<'_>) -> Result<()> {
    if !too_long(target.key) {
        return Ok(());
    }
    let begins: String = target.key.chars().take(40).collect();
    let what = if target.planned.row == Row::LIST { "prefix" } else { "key" };
    let error =
        Error::config(format!("a {what} of {} bytes is longer than the longest possible key", target.key.len()));
    Err(error.with("bucket", target.bucket).with("begins_with", begins).hint("check the globs and the path prefix"))
}

/// An endpoint is a scheme and a server. A user name in it would be sent, and shown in errors.
fn check_endpoint(endpoint: Option<&str>) -> Result<()> {
    let Some(endpoint) = endpoint else { return Ok(()) };
    let example = "write it as `https://host:port`";
    if endpoint.contains('@') {
        return Err(Error::config("the endpoint contains a user name").hint(example));
    }
    let server = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
    match server.map(|server| server.trim_end_matches('/').parse::<http::uri::Authority>()) {
        Some(Ok(_)) => Ok(()),
        _ => {
            // What stands after the server can be a signature.
            let end = endpoint.find(['?', '#']).unwrap_or(endpoint.len());
            let cut = if end < endpoint.len() { "…" } else { "" };
            let shown = &endpoint[..end];
            Err(Error::config(format!("the endpoint '{shown}{cut}' is not a valid URL")).hint(example))
        }
    }
}
