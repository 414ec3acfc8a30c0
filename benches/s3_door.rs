//! What the door costs in CPU: small objects, one large object, pages of a listing.
//!
//! `cargo bench --bench s3_door` starts itself once more as a server on 127.0.0.1 with canned answers, so that the figures
//! hold the client alone: user and system time of this process, from `/proc/self/stat` (ticks of 10 ms).
//! `cargo bench --bench s3_door -- --endpoint http://HOST:PORT/` asks another server, which must have the objects
//! `bucket/small/0-0.csv` and so on (1,024 bytes) and `bucket/large` (1 GiB). `--only small|large|list` and `--count N` run a part, for a profiler.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for developers")]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tollgate_base::connection::{Connection, Credentials, Secret};
use tollgate_base::object::{ObjectFacts, StorageClass, Timestamp};
use tollgate_cost::Ledger;
use tollgate_s3::{ListRequest, Store, StoreOptions};

const LARGE_BYTES: u64 = 1 << 30;
const KEYS_PER_PAGE: usize = 1000;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == "--serve") {
        return serve();
    }
    let value = |name: &str| arguments.iter().position(|argument| argument == name).map(|at| arguments[at + 1].clone());
    let given = value("--endpoint");
    let mut server = None;
    let endpoint = given.unwrap_or_else(|| {
        let mut child =
            Command::new(std::env::current_exe().unwrap()).arg("--serve").stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        server = Some(child);
        line.trim().to_owned()
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = store(&endpoint).await;
        let count = value("--count").map(|count| count.parse().unwrap());
        match value("--only").as_deref() {
            Some("small") => small(&store, 1, count.unwrap_or(40_000)).await,
            Some("large") => large(&store).await,
            Some("list") => pages(&store, count.unwrap_or(500)).await,
            _ => all(&store).await,
        }
    });
    if let Some(mut child) = server {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

async fn store(endpoint: &str) -> Store {
    let connection = Connection {
        bucket: "bucket".to_owned(),
        region: Some("us-east-1".to_owned()),
        endpoint: Some(endpoint.trim_end_matches('/').to_owned()),
        path_style: None,
        credentials: Credentials::Static {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: Secret::new("secretsecretsecret"),
            session_token: None,
        },
        requester_pays: false,
        ca_bundle: None,
    };
    Store::connect(&connection, Ledger::new(), StoreOptions::default()).await.unwrap()
}

async fn all(store: &Store) {
    small(store, 1, 2_000).await; // warm
    for in_flight in [1, 16, 64] {
        small(store, in_flight, 40_000).await;
    }
    for _ in 0..3 {
        large(store).await;
    }
    pages(store, 500).await;
}

fn object(key: &str, size: u64) -> ObjectFacts {
    ObjectFacts {
        key: key.into(),
        size,
        modified_at: Timestamp::default(),
        etag: "".into(),
        storage_class: StorageClass::Standard,
    }
}

async fn small(store: &Store, in_flight: usize, count: usize) {
    let (cpu, wall) = (cpu_time(), Instant::now());
    let tasks: Vec<_> = (0..in_flight)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                for number in 0..count / in_flight {
                    let object = object(&format!("small/{task}-{number}.csv"), 1024);
                    let mut body = store.get(&object, None).await.unwrap();
                    while body.next().await.unwrap().is_some() {}
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let (cpu, wall) = (cpu_time() - cpu, wall.elapsed());
    let per_get = cpu.as_secs_f64() * 1e6 / count as f64;
    println!(
        "1 KiB GET, {in_flight:2} in flight: {per_get:6.1} µs CPU each, {:7.0} per second",
        count as f64 / wall.as_secs_f64()
    );
}

async fn large(store: &Store) {
    let (cpu, wall) = (cpu_time(), Instant::now());
    let mut body = store.get(&object("large", LARGE_BYTES), None).await.unwrap();
    let (mut pieces, mut bytes) = (0, 0);
    while let Some(piece) = body.next().await.unwrap() {
        pieces += 1;
        bytes += piece.len() as u64;
    }
    assert_eq!(bytes, LARGE_BYTES);
    let (cpu, wall) = (cpu_time() - cpu, wall.elapsed());
    println!(
        "1 GiB GET: {:.2} CPU s, {:.2} s, pieces of {} KiB",
        cpu.as_secs_f64(),
        wall.as_secs_f64(),
        bytes / pieces / 1024
    );
}

async fn pages(store: &Store, count: usize) {
    let cpu = cpu_time();
    for _ in 0..count {
        assert_eq!(store.list(&ListRequest::default()).await.unwrap().objects.len(), KEYS_PER_PAGE);
    }
    println!("LIST page of 1,000 keys: {:.2} ms CPU each", (cpu_time() - cpu).as_secs_f64() * 1e3 / count as f64);
}

/// User and system time of this process.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("http://{}", listener.local_addr().unwrap());
    for stream in listener.incoming() {
        std::thread::spawn(move || answer(stream.unwrap()));
    }
}

fn answer(mut stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let small = [head(1024).as_bytes(), &[b'x'; 1024]].concat();
    let page = page();
    let page = [head(page.len() as u64).as_bytes(), page.as_bytes()].concat();
    let block = vec![b'x'; 1 << 20];
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let target = line.clone();
        while line.trim_end() != "" {
            line.clear();
            reader.read_line(&mut line).unwrap();
        }
        let sent = if target.contains("/small") {
            stream.write_all(&small)
        } else if target.contains("/large") {
            let head = stream.write_all(head(LARGE_BYTES).as_bytes());
            head.and_then(|()| (0..LARGE_BYTES >> 20).try_for_each(|_| stream.write_all(&block)))
        } else {
            stream.write_all(&page)
        };
        if sent.is_err() {
            return;
        }
    }
}

/// The headers that S3 sends.
fn head(length: u64) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nx-amz-id-2: MDQ3ZmFrZWlkMDQ3ZmFrZWlkMDQ3ZmFrZWlkMDQ3ZmFrZWlk\r\nx-amz-request-id: 4442587FB7D0A2F9\r\n\
         Date: Mon, 15 Jan 2024 12:00:00 GMT\r\nLast-Modified: Mon, 15 Jan 2024 11:00:00 GMT\r\n\
         ETag: \"9b2cf535f27731c974343645a3985328\"\r\nx-amz-server-side-encryption: AES256\r\nAccept-Ranges: bytes\r\n\
         Content-Type: binary/octet-stream\r\nContent-Length: {length}\r\nServer: AmazonS3\r\n\r\n"
    )
}

fn page() -> String {
    let mut page = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
         <Name>bucket</Name><Prefix/><KeyCount>1000</KeyCount><MaxKeys>1000</MaxKeys><EncodingType>url</EncodingType>\
         <IsTruncated>false</IsTruncated>",
    );
    for number in 0..KEYS_PER_PAGE {
        page.push_str(&format!(
            "<Contents><Key>raw/events/year%3D2024/month%3D01/day%3D15/part-{number:05}-of-01000.csv.gz</Key>\
             <LastModified>2024-01-15T12:00:00.000Z</LastModified><ETag>&quot;9b2cf535f27731c974343645a3985328&quot;</ETag>\
             <ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>\
             <Size>123456</Size><StorageClass>STANDARD</StorageClass></Contents>"
        ));
    }
    page + "</ListBucketResult>"
}
