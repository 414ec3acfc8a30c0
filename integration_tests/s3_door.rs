//! The door against the test server: each fault, what the program sees of it, and what it costs. The server's log is the
//! independent count; the ledger must say the same.

#![expect(clippy::unwrap_used, reason = "a test panics with what it met")]

use std::collections::BTreeMap;
use std::time::Duration;

use tollgate_base::connection::{Connection, Credentials, Secret};
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::object::{ObjectFacts, StorageClass};
use tollgate_cost::Ledger;
use tollgate_cost::usage::{Operation, Totals};
use tollgate_s3::{ListRequest, Store, StoreOptions};
use tollgate_testkit::{
    Access, Action, BucketOptions, Entry, Fault, ObjectOptions, Options, Rule, Server, User, VirtualBucket,
    VirtualObject, When,
};

const BUCKET: &str = "b";

/// A server with an object of 300,000 bytes, and the door to it.
struct Scene {
    server: Server,
    store: Store,
    ledger: Ledger,
}

fn content() -> Vec<u8> {
    (0..300_000_u32).map(|at| (at % 251) as u8).collect()
}

fn connection(server: &Server) -> Connection {
    Connection {
        bucket: BUCKET.to_owned(),
        region: None,
        endpoint: Some(server.endpoint()),
        path_style: None,
        credentials: keys("AKIATEST", "secretkeysecret", None),
        requester_pays: false,
        ca_bundle: None,
    }
}

fn keys(id: &str, secret: &str, token: Option<&str>) -> Credentials {
    Credentials::Static {
        access_key_id: id.to_owned(),
        secret_access_key: Secret::new(secret),
        session_token: token.map(Secret::new),
    }
}

fn options() -> StoreOptions {
    StoreOptions {
        max_attempts: 4,
        initial_backoff: Duration::from_millis(2),
        connect_timeout: Duration::from_secs(2),
        answer_timeout: Duration::from_secs(10),
        stall_timeout: Duration::from_secs(1),
        proxy_from_environment: false,
        ..StoreOptions::default()
    }
}

impl Scene {
    async fn new() -> Self {
        let server = Server::start(Options::default()).expect("a server");
        server.store().put(BUCKET, "k", content(), ObjectOptions::default());
        let connection = connection(&server);
        Self::with(server, &connection).await
    }

    async fn with(server: Server, connection: &Connection) -> Self {
        let ledger = Ledger::new();
        let store = Store::connect(connection, ledger.clone(), options()).await.unwrap();
        Self { server, store, ledger }
    }

    /// The facts of the object as a listing tells them; the listing leaves no trace in the counts.
    async fn listed(&self) -> ObjectFacts {
        let store = Store::connect(&connection(&self.server), Ledger::new(), options()).await.unwrap();
        let facts = store.list(&ListRequest::default()).await.unwrap().objects.remove(0);
        self.server.log().clear();
        facts
    }

    async fn read(&self, object: &ObjectFacts) -> Result<Vec<u8>> {
        let mut body = self.store.get(object, None).await?;
        let mut all = Vec::new();
        while let Some(bytes) = body.next().await? {
            all.extend_from_slice(&bytes);
        }
        Ok(all)
    }

    fn entries(&self) -> Vec<Entry> {
        assert!(self.server.log().wait_idle(Duration::from_secs(5)), "a request is still in flight");
        self.server.log().entries()
    }

    /// What the server saw, by operation and class, priced by the server's own codes.
    fn counted_by_server(&self) -> BTreeMap<(Operation, StorageClass), (u64, u64, u64)> {
        let mut rows = BTreeMap::new();
        for entry in self.entries() {
            let operation = match entry.operation {
                "REST.GET.BUCKET" => Operation::ListObjects,
                "REST.GET.OBJECT" => Operation::GetObject,
                "REST.HEAD.OBJECT" => Operation::HeadObject,
                other => panic!("the door made a request of its own: {other}"),
            };
            let class = match operation {
                // A refusal does not tell the class: there, the test's keys are named after it.
                Operation::GetObject => match &entry.storage_class {
                    Some(class) => StorageClass::from_name(class),
                    None if entry.error_code.as_deref() == Some("InvalidObjectState") => {
                        StorageClass::from_name(entry.key.as_deref().unwrap_or_default())
                    }
                    None => StorageClass::Standard,
                },
                _ => StorageClass::Standard,
            };
            let free = entry.status == 0
                || entry.status >= 500
                || (300..400).contains(&entry.status) && entry.status != 304
                || matches!(
                    entry.error_code.as_deref(),
                    Some(
                        "InvalidAccessKeyId"
                            | "SignatureDoesNotMatch"
                            | "AuthorizationHeaderMalformed"
                            | "ExpiredToken"
                    )
                );
            let row: &mut (u64, u64, u64) = rows.entry((operation, class)).or_default();
            row.0 += 1;
            row.1 += u64::from(!free);
            row.2 += entry.bytes_sent;
        }
        rows
    }

    /// Ledger and log must agree; answers with the ledger's sum.
    fn settle(&self) -> Totals {
        let ledger: BTreeMap<_, _> = self
            .ledger
            .snapshot()
            .into_iter()
            .map(|(row, totals)| {
                let key = (row.operation, row.storage_class);
                (key, (totals.requests, totals.billed_requests, totals.bytes_received))
            })
            .collect();
        assert_eq!(ledger, self.counted_by_server(), "the ledger against the server's log");
        self.ledger.totals()
    }
}

/// Action, how often, requests in all, billed ones. The object is read whole in each case.
#[tokio::test]
async fn faults_that_pass_are_survived_and_counted() {
    let stall = Action::StallAfter { bytes: 100_000, ms: 5_000 };
    for (action, times, requests, billed) in [
        (Action::slow_down(), 3, 4, 1),
        (Action::status(500), 2, 3, 1),
        (Action::status(502), 1, 2, 1),
        (Action::Reset, 3, 4, 1),
        (Action::ResetAfter(0), 1, 2, 2),
        (Action::ResetAfter(100_000), 1, 2, 2),
        (Action::ResetAfter(1), 20, 21, 21),
        (Action::ShortBody(299_999), 1, 2, 2),
        (Action::ShortBody(50_000), 5, 6, 6),
        (stall, 1, 2, 2),
        (Action::SlowBody { bytes_per_second: 400_000 }, 1, 1, 1),
        (Action::Delay(500), 1, 1, 1),
    ] {
        let scene = Scene::new().await;
        let object = scene.listed().await;
        scene.server.faults().add(Fault::new(action.clone()).times(times).when(When::get("k")));
        let read = scene.read(&object).await.unwrap_or_else(|error| panic!("{action:?}: {error:?}"));
        assert!(read == content(), "{action:?}: the bytes are not the object's");
        let entries = scene.entries();
        assert!(entries.iter().all(|entry| entry.if_match.as_deref() == Some(&*object.etag)), "{action:?}: pinned");
        // A body that is broken off by a reset can lose bytes that the server had sent.
        let totals = match action {
            Action::ResetAfter(_) | Action::StallAfter { .. } => scene.ledger.totals(),
            _ => scene.settle(),
        };
        assert_eq!((totals.requests, totals.billed_requests), (requests, billed), "{action:?}");
        assert_eq!(entries.len() as u64, requests, "{action:?}");
    }
}

#[tokio::test]
async fn faults_that_stay_are_transient_and_bounded() {
    for (action, requests) in
        [(Action::slow_down(), 4), (Action::Reset, 4), (Action::ResetAfter(0), 4), (Action::ShortBody(0), 4)]
    {
        let scene = Scene::new().await;
        let object = scene.listed().await;
        scene.server.faults().add(Fault::new(action.clone()).when(When::get("k")));
        let error = scene.read(&object).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Transient, "{action:?}: {error:?}");
        assert_eq!((error.get("bucket"), error.get("key")), (Some(BUCKET), Some("k")), "{error}");
        assert_eq!(error.get("attempts"), Some("4"), "{error}");
        assert_eq!(scene.settle().requests, requests, "{action:?}");
    }
}

#[tokio::test]
async fn an_object_that_changes_or_goes_between_pieces_is_never_mixed() {
    for (action, kind) in [
        (Action::ChangeObjectBefore(vec![0; 300_000]), ErrorKind::Changed),
        (Action::DeleteBefore, ErrorKind::NotFound),
    ] {
        for skip in [0, 1] {
            let scene = Scene::new().await;
            let object = scene.listed().await;
            scene.server.faults().add(Fault::new(action.clone()).skip(skip).when(When::get("k")));
            scene.server.faults().add(Fault::new(Action::ShortBody(1000)).times(1).when(When::get("k")));
            let error = scene.read(&object).await.unwrap_err();
            assert_eq!((error.kind(), error.get("key")), (kind, Some("k")), "skip {skip}: {error}");
            assert!(error.hint_text().is_some());
            assert_eq!(scene.settle().requests, u64::from(skip) + 1);
        }
    }
}

#[tokio::test]
async fn a_listing_survives_faults_on_every_page() {
    let server = Server::start(Options::default()).unwrap();
    for number in 0..25 {
        server.store().put(BUCKET, &format!("p/{number:02} +%.csv"), "x", ObjectOptions::default());
    }
    let connection = connection(&server);
    let scene = Scene::with(server, &connection).await;
    scene.server.faults().add(Fault::new(Action::slow_down()).probability(0.3, 7).when(When::list()));
    scene.server.faults().add(Fault::new(Action::ShortBody(200)).times(2).skip(1).when(When::list()));
    let mut request = ListRequest { prefix: "p/".to_owned(), max_keys: Some(4), ..ListRequest::default() };
    let mut keys = Vec::new();
    loop {
        let page = scene.store.list(&request).await.unwrap();
        keys.extend(page.objects.into_iter().map(|object| object.key.to_string()));
        request.continuation = page.next;
        if request.continuation.is_none() {
            break;
        }
    }
    assert_eq!(keys, (0..25).map(|number| format!("p/{number:02} +%.csv")).collect::<Vec<_>>());
    let totals = scene.settle();
    assert!(totals.requests > 7, "faults happened: {totals:?}");
}

#[tokio::test]
async fn rows_are_kept_by_class() {
    let server = Server::start(Options::default()).unwrap();
    for class in ["STANDARD", "STANDARD_IA", "GLACIER_IR", "GLACIER"] {
        server.store().put(BUCKET, class, vec![1; 1000], ObjectOptions::storage_class(class));
    }
    let connection = connection(&server);
    let scene = Scene::with(server, &connection).await;
    let objects = scene.store.list(&ListRequest::default()).await.unwrap().objects;
    for object in &objects {
        match scene.read(object).await {
            Ok(bytes) => assert_eq!(bytes.len(), 1000),
            Err(error) => {
                assert_eq!((&*object.key, error.kind()), ("GLACIER", ErrorKind::Archived), "{error}");
                assert!(error.message().contains("archived"));
            }
        }
    }
    scene.settle();
    assert_eq!(scene.ledger.snapshot().len(), 5);
}

#[tokio::test]
async fn a_bucket_in_another_region_is_found_with_one_request_more() {
    for region in [None, Some("us-east-1"), Some("eu-west-3")] {
        let server = Server::start(Options::default()).unwrap();
        server
            .store()
            .create_bucket(BUCKET, BucketOptions { region: Some("eu-west-3".to_owned()), ..Default::default() });
        server.store().put(BUCKET, "k", "body", ObjectOptions::default());
        let connection = Connection { region: region.map(str::to_owned), ..connection(&server) };
        let scene = Scene::with(server, &connection).await;
        let first = if region == Some("eu-west-3") { 1 } else { 2 };
        let objects = scene.store.list(&ListRequest::default()).await.unwrap().objects;
        assert_eq!(scene.settle().requests, first, "{region:?}");
        assert_eq!(scene.read(&objects[0]).await.unwrap(), b"body");
        assert_eq!(scene.settle().requests, first + 1, "{region:?}");
    }
}

/// Who asks, for what, and the words of the answer.
#[tokio::test]
async fn refusals_name_the_culprit() {
    let users = vec![
        User::new("AKIATEST", "secretkeysecret"),
        User::new("AKIANONE", "secretkeysecret").with_access(Access::Rules(Vec::new())),
        User::new("AKIALIST", "secretkeysecret").with_access(Access::Rules(vec![Rule {
            bucket: BUCKET.to_owned(),
            list: true,
            read: false,
            write: false,
        }])),
        User::new("ASIATEMP", "secretkeysecret").with_session_token("tokentokentoken"),
        User { expired: true, ..User::new("ASIAOLD", "secretkeysecret").with_session_token("tokentokentoken") },
    ];
    let server = Server::start(Options { users, ..Options::default() }).unwrap();
    server.store().put(BUCKET, "k", "body", ObjectOptions::default());
    let good = connection(&server);
    let who = |credentials| Connection { credentials, ..good.clone() };
    let secret = "secretkeysecret";
    for (connection, kind, words) in [
        (who(keys("AKIANOBODY", secret, None)), ErrorKind::Access, "the server does not know the access key id"),
        (who(keys("AKIATEST", "wrongsecretwrong", None)), ErrorKind::Access, "the secret access key does not belong"),
        (who(keys("AKIANONE", secret, None)), ErrorKind::Access, "no permission for s3:ListBucket on bucket 'b'"),
        (who(keys("AKIALIST", secret, None)), ErrorKind::Access, "no permission for s3:GetObject on object 'k'"),
        (who(keys("ASIAOLD", secret, Some("tokentokentoken"))), ErrorKind::Access, "the session token has expired"),
        (who(Credentials::Anonymous), ErrorKind::Access, "without credentials"),
        (
            Connection { bucket: "nowhere".to_owned(), ..good.clone() },
            ErrorKind::NotFound,
            "bucket 'nowhere' does not exist",
        ),
    ] {
        let store = Store::connect(&connection, Ledger::new(), options()).await.unwrap();
        let error = list_and_read(&store).await.expect_err(words);
        let text = format!("{error} {error:?}");
        assert!(error.kind() == kind && text.contains(words), "{text}");
        assert!(error.hint_text().is_some(), "{text}");
        for secret in ["secretkeysecret", "wrongsecretwrong", "tokentokentoken"] {
            assert!(!text.contains(secret), "a secret is shown: {text}");
        }
    }
    let temporary = who(keys("ASIATEMP", secret, Some("tokentokentoken")));
    list_and_read(&Store::connect(&temporary, Ledger::new(), options()).await.unwrap()).await.unwrap();
}

async fn list_and_read(store: &Store) -> Result<(), Error> {
    for object in store.list(&ListRequest::default()).await?.objects {
        let mut body = store.get(&object, None).await?;
        while body.next().await?.is_some() {}
    }
    Ok(())
}

#[tokio::test]
async fn public_buckets_and_requester_pays_work() {
    let server = Server::start(Options::default()).unwrap();
    server.store().create_bucket(BUCKET, BucketOptions { anonymous: true, ..Default::default() });
    server.store().put(BUCKET, "k", "body", ObjectOptions::default());
    server.store().create_bucket("paid", BucketOptions { requester_pays: true, ..Default::default() });
    server.store().put("paid", "k", "body", ObjectOptions::default());
    let base = connection(&server);
    let anonymous = Connection { credentials: Credentials::Anonymous, ..base.clone() };
    let payer = Connection { bucket: "paid".to_owned(), requester_pays: true, ..base.clone() };
    let host_style = Connection {
        endpoint: Some(base.endpoint.clone().unwrap().replace("127.0.0.1", "localhost")),
        path_style: Some(false),
        ..base.clone()
    };
    for connection in [anonymous, payer, host_style] {
        let store = Store::connect(&connection, Ledger::new(), options()).await.unwrap();
        list_and_read(&store).await.unwrap_or_else(|error| panic!("{connection:?}: {error:?}"));
    }
    let unwilling = Connection { bucket: "paid".to_owned(), ..base };
    let store = Store::connect(&unwilling, Ledger::new(), options()).await.unwrap();
    let error = list_and_read(&store).await.unwrap_err();
    assert!(error.hint_text().unwrap().contains("requester pays"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_under_random_faults_read_every_byte_once() {
    let server = Server::start(Options::default()).unwrap();
    let objects = VirtualBucket::new(200, |number| {
        VirtualObject::new(format!("k{number:04}"), vec![(number % 251) as u8; 20_000 + number as usize])
    });
    server.store().virtual_bucket(BUCKET, objects);
    let connection = connection(&server);
    let scene = Scene::with(server, &connection).await;
    let faults = scene.server.faults();
    faults.add(Fault::new(Action::slow_down()).probability(0.05, 1).when(When::get("k")));
    faults.add(Fault::new(Action::ShortBody(9_000)).probability(0.1, 2).when(When::get("k")));
    let objects = scene.store.list(&ListRequest::default()).await.unwrap().objects;
    assert_eq!(objects.len(), 200);
    let tasks: Vec<_> = objects
        .into_iter()
        .enumerate()
        .map(|(number, object)| {
            let store = scene.store.clone();
            tokio::spawn(async move {
                let mut body = store.get(&object, None).await.unwrap();
                let mut length = 0;
                while let Some(bytes) = body.next().await.unwrap() {
                    assert!(bytes.iter().all(|byte| usize::from(*byte) == number % 251));
                    length += bytes.len();
                }
                assert_eq!(length, 20_000 + number);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let totals = scene.settle();
    assert!(totals.requests > 210 && totals.retries > 0, "faults happened: {totals:?}");
}
