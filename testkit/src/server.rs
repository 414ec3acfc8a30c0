//! The server: accepts connections on threads of its own until it is dropped.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::access::{Guard, Hosts, Names, User};
use crate::connection::{Connection, Socket};
use crate::faults::Faults;
use crate::request_log::RequestLog;
use crate::s3_api::Api;
use crate::service::Service;
use crate::store::Store;

/// How a server is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Who may sign requests.
    pub users: Vec<User>,
    /// The server's region. Requests that are signed for another one are refused as S3 does, except for buckets that
    /// live there.
    pub region: String,
    /// Domains below which a bucket is a host name: `bucket.localhost:PORT`.
    pub domains: Vec<String>,
    /// Threads that serve requests.
    pub threads: usize,
    /// Whether the request log is on from the start.
    pub log: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            users: vec![User::new("AKIATEST", "secretkeysecret")],
            region: "us-east-1".to_owned(),
            domains: vec!["localhost".to_owned()],
            threads: 2,
            log: true,
        }
    }
}

/// A running server. It stops when it is dropped: no connection outlives it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    store: Store,
    log: RequestLog,
    faults: Faults,
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a server; when this returns it accepts connections.
    ///
    /// # Errors
    /// When the port is taken or threads cannot be started.
    pub fn start(options: Options) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", options.port))
            .with_context(|| format!("cannot listen on 127.0.0.1:{}", options.port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (store, log, faults) = (Store::default(), RequestLog::default(), Faults::default());
        log.set_enabled(options.log);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(options.threads.max(1))
            .thread_name("testkit")
            .enable_all()
            .build()?;
        let service = Arc::new(service(options, &store, &log, &faults));
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("testkit-accept".to_owned()).spawn(move || {
            let _ = runtime.block_on(async {
                tokio::spawn(accept(listener, service));
                stopped.await
            });
            runtime.shutdown_timeout(Duration::from_secs(1));
        })?;
        Ok(Self { address, store, log, faults, stop: Some(stop), thread: Some(thread) })
    }

    /// The endpoint, for example `http://127.0.0.1:40001`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its objects.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Its log of requests.
    #[must_use]
    pub fn log(&self) -> &RequestLog {
        &self.log
    }

    /// Its faults.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn service(options: Options, store: &Store, log: &RequestLog, faults: &Faults) -> Service {
    let guard = Guard::new(options.users, store.clone());
    let api = Api { store: store.clone(), region: options.region.clone() };
    let build = |guard: Option<Guard>| {
        let mut builder = S3ServiceBuilder::new(api.clone());
        if let Some(guard) = guard {
            builder.set_auth(guard.clone());
            builder.set_access(guard);
        }
        builder.set_host(Hosts { domains: options.domains.clone() });
        builder.set_validation(Names { store: store.clone() });
        builder.build()
    };
    Service {
        s3: build(Some(guard)),
        unguarded: build(None),
        store: store.clone(),
        log: log.clone(),
        faults: faults.clone(),
        region: options.region,
        domains: options.domains,
    }
}

async fn accept(listener: TcpListener, service: Arc<Service>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                tokio::spawn(serve(stream, remote, Arc::clone(&service)));
            }
            // Out of file handles, most likely: others must be closed first.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve(stream: TcpStream, remote: SocketAddr, service: Arc<Service>) {
    // Without it a small answer waits 40 ms for the client's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let connection = Arc::new(Connection::default());
    let socket = TokioIo::new(Socket::new(stream, Arc::clone(&connection)));
    let answer = service_fn(move |request: Request<Incoming>| {
        let (service, connection) = (Arc::clone(&service), Arc::clone(&connection));
        async move { service.call(request, &connection, remote).await }
    });
    // An error here is a client that went away or a fault that ended the connection: the log tells about both.
    let _ = http1::Builder::new().serve_connection(socket, answer).await;
}
