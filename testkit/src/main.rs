//! `testkit serve`: the server as a program, for tests in other languages, the demo and benchmarks.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tollgate_testkit::{BucketOptions, Options, Server, User};

mod virtual_option;

use virtual_option::VirtualOption;

#[derive(Parser)]
#[command(name = "testkit", about = "An S3-compatible server for tests, the demo and benchmarks")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT; prints one JSON line with the endpoint when ready
    Serve(Serve),
}

#[derive(Args)]
struct Serve {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Folder to load: each folder below it is a bucket, or all of it with --bucket
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Load all of --data into this bucket; without --data the bucket is empty
    #[arg(long, value_name = "NAME")]
    bucket: Option<String>,
    /// Access key
    #[arg(long, value_name = "KEY", default_value = "AKIATEST")]
    access_key: String,
    /// Secret key
    #[arg(long, value_name = "KEY", default_value = "secretkeysecret")]
    secret_key: String,
    /// Session token that each request must carry
    #[arg(long, value_name = "TOKEN")]
    session_token: Option<String>,
    /// Region of the server
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// Let anyone list and read the loaded buckets
    #[arg(long)]
    anonymous: bool,
    /// Write the request log to this file at the end, one JSON object per line
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Keep no request log
    #[arg(long, conflicts_with = "log")]
    no_log: bool,
    /// Threads that serve requests
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// A computed bucket, for example `keys=1000000:match=1000`; see the README for all settings
    #[arg(long = "virtual", value_name = "SETTINGS")]
    computed: Vec<VirtualOption>,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Serve(serve) => run(&serve),
    }
}

fn run(serve: &Serve) -> anyhow::Result<()> {
    let user = User::new(&serve.access_key, &serve.secret_key);
    let user = match &serve.session_token {
        Some(token) => user.with_session_token(token),
        None => user,
    };
    let server = Server::start(Options {
        port: serve.port,
        users: vec![user],
        region: serve.region.clone(),
        threads: serve.threads,
        log: !serve.no_log,
        ..Options::default()
    })?;
    load(&server, serve)?;
    for computed in &serve.computed {
        server.store().virtual_bucket(&computed.bucket, computed.make());
    }
    wait_for_end(&server)?;
    if let Some(path) = &serve.log {
        server.log().write_jsonl(path)?;
    }
    Ok(())
}

fn load(server: &Server, serve: &Serve) -> anyhow::Result<()> {
    let options = || BucketOptions { anonymous: serve.anonymous, ..BucketOptions::default() };
    let store = server.store();
    if let Some(bucket) = &serve.bucket {
        store.create_bucket(bucket, options());
        if let Some(data) = &serve.data {
            store.load_dir(bucket, data)?;
        }
        return Ok(());
    }
    let Some(data) = &serve.data else { return Ok(()) };
    for folder in std::fs::read_dir(data).with_context(|| format!("cannot list {}", data.display()))? {
        let folder = folder?.path();
        if !folder.is_dir() {
            continue;
        }
        let name = folder.file_name().and_then(|name| name.to_str()).context("a folder's name is not UTF-8")?;
        store.create_bucket(name, options());
        store.load_dir(name, &folder)?;
    }
    Ok(())
}

/// Says that the server is ready, and waits for the signal that ends it.
fn wait_for_end(server: &Server) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let ready = serde_json::json!({ "endpoint": server.endpoint(), "port": server.address().port() });
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{ready}")?;
        stdout.flush()?;
        drop(stdout);
        tokio::select! {
            _ = terminate.recv() => (),
            _ = interrupt.recv() => (),
        }
        anyhow::Ok(())
    })
}
