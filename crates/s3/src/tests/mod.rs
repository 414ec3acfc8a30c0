//! The whole door against a scripted server on a socket: what is sent, how often, and what becomes of each answer.

mod addresses;
mod bodies;
mod environment;
mod patience;
mod requests;
mod server;

use std::sync::Arc;
use std::time::Duration;

use server::{Reply, Request, Server};

use super::{Store, StoreOptions};
use tollgate_base::connection::{Connection, Credentials, Secret};
use tollgate_base::error::{Error, Result};
use tollgate_base::object::{ObjectFacts, StorageClass, Timestamp};
use tollgate_cost::Ledger;

const SECRET: &str = "verysecretaccesskey0123456789abcdefghijk";
const TOKEN: &str = "verysecretsessiontoken0123456789";

fn connection(endpoint: &str) -> Connection {
    Connection {
        bucket: "bucket".to_owned(),
        region: Some("eu-west-1".to_owned()),
        endpoint: Some(endpoint.to_owned()),
        path_style: None,
        credentials: Credentials::Static {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: Secret::new(SECRET),
            session_token: Some(Secret::new(TOKEN)),
        },
        requester_pays: false,
        ca_bundle: None,
    }
}

fn options() -> StoreOptions {
    StoreOptions {
        max_attempts: 3,
        initial_backoff: Duration::from_millis(2),
        connect_timeout: Duration::from_secs(2),
        answer_timeout: Duration::from_secs(2),
        stall_timeout: Duration::from_millis(300),
        proxy_from_environment: false,
        ..StoreOptions::default()
    }
}

async fn store(server: &Server) -> (Store, Ledger) {
    store_with(&connection(&server.endpoint()), options()).await
}

async fn store_with(connection: &Connection, options: StoreOptions) -> (Store, Ledger) {
    let ledger = Ledger::new();
    (Store::connect(connection, ledger.clone(), options).await.unwrap(), ledger)
}

fn object(key: &str, size: u64) -> ObjectFacts {
    ObjectFacts {
        key: key.into(),
        size,
        modified_at: Timestamp::default(),
        etag: "\"e1\"".into(),
        storage_class: StorageClass::Standard,
    }
}

/// `size` bytes whose value tells their place.
fn content(size: usize) -> Arc<[u8]> {
    (0..size).map(|at| (at % 251) as u8).collect()
}

async fn read_all(store: &Store, object: &ObjectFacts, range: Option<std::ops::Range<u64>>) -> Result<Vec<u8>> {
    let mut body = store.get(object, range).await?;
    let mut all = Vec::new();
    while let Some(bytes) = body.next().await? {
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}

/// Everything that could be shown of an error.
fn shown(error: &Error) -> String {
    let text = format!("{error}\n{error:?}\n{error:#?}");
    assert!(!text.contains(SECRET) && !text.contains(TOKEN), "a secret is shown: {text}");
    text
}
