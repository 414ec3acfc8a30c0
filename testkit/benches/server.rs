//! What a request costs the server: CPU time of its own threads, read from /proc (Linux only).
//!
//! `cargo bench -p tollgate-testkit --bench server`. The client sends bytes that were signed once, so that it is cheap
//! itself; the server checks the signature of every request.

#[path = "../tests/common/mod.rs"]
mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::Client;
use tollgate_testkit::{Content, ObjectOptions, Options, Server, VirtualBucket, VirtualObject};

/// The kernel counts CPU time in hundredths of a second on all usual systems.
const TICK: Duration = Duration::from_millis(10);

/// CPU time of all threads with the server's name.
fn server_cpu() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let ticks: u32 = tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("stat")).ok())
        .filter(|stat| stat.contains("(testkit)"))
        .map(|stat| {
            let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
            fields[11].parse::<u32>().expect("ticks") + fields[12].parse::<u32>().expect("ticks")
        })
        .sum();
    TICK * ticks
}

/// Sends the same request again and again over several connections; returns how often and how many bytes came.
fn load(server: &Server, request: &[u8], connections: usize, time: Duration) -> (u64, u64) {
    let until = Instant::now() + time;
    let one = || {
        let mut stream = TcpStream::connect(server.address()).expect("the server listens");
        stream.set_nodelay(true).expect("a socket option");
        let mut buffer = vec![0; 1 << 20];
        let (mut requests, mut bytes) = (0, 0);
        while Instant::now() < until {
            stream.write_all(request).expect("an open connection");
            bytes += read_answer(&mut stream, &mut buffer);
            requests += 1;
        }
        (requests, bytes)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(one)).collect();
        let add = |sum: (u64, u64), one: (u64, u64)| (sum.0 + one.0, sum.1 + one.1);
        threads.into_iter().map(|thread| thread.join().expect("no panic")).fold((0, 0), add)
    })
}

fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> u64 {
    let mut known = 0;
    let (head_end, length) = loop {
        known += stream.read(&mut buffer[known..]).expect("bytes");
        let Some(end) = buffer[..known].windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&buffer[..end]).to_lowercase();
        assert!(head.starts_with("http/1.1 20"), "{head}");
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        break (end + 4, length.expect("a length").parse::<u64>().expect("a length"));
    };
    let mut left = length - (known - head_end) as u64;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        left -= stream.read(&mut buffer[..most]).expect("bytes") as u64;
    }
    length
}

fn measure(server: &Server, name: &str, target: &str, connections: usize) {
    let mut client = Client::new(server);
    let request = client.signed_bytes("GET", target, &[], b"");
    load(server, &request, connections, Duration::from_millis(300));
    let (cpu, started) = (server_cpu(), Instant::now());
    let (requests, bytes) = load(server, &request, connections, Duration::from_secs(4));
    let (cpu, elapsed) = ((server_cpu() - cpu).as_secs_f64(), started.elapsed().as_secs_f64());
    let mut line = format!("{name:42} {:9.0} requests/s", requests as f64 / elapsed);
    line += &format!(" {:9.1} µs CPU each", cpu * 1e6 / requests as f64);
    if bytes > 1 << 30 {
        let gib = bytes as f64 / f64::from(1 << 30);
        line += &format!(" {:7.2} GiB/s {:6.3} CPU s per GiB", gib / elapsed, cpu / gib);
    }
    writeln!(std::io::stdout(), "{line}").expect("stdout");
}

fn main() {
    let server = Server::start(Options::default()).expect("a server");
    let store = server.store();
    store.put("bench", "small", vec![b'x'; 1024], ObjectOptions::default());
    store.put("bench", "large", vec![b'x'; 256 << 20], ObjectOptions::default());
    store.put("bench", "block", Content::repeat("a,b\n", "1,2\n", 64 << 20), ObjectOptions::default());
    let row = |number: u64, bytes: &mut [u8]| bytes[..8].copy_from_slice(&number.to_be_bytes());
    store.put("bench", "rows", Content::fixed_rows("a,b\n", 64, 4 << 20, row), ObjectOptions::default());
    for number in 0..1000 {
        store.put("list", &format!("data/dt=2024-01-01/part-{number:08}.csv"), "", ObjectOptions::default());
    }
    let object = |index: u64| VirtualObject::new(format!("data/dt=2024-01-01/part-{index:08}.csv"), "");
    store.virtual_bucket("computed", VirtualBucket::new(1_000_000, object));
    for log in [true, false] {
        server.log().set_enabled(log);
        let log = if log { "log on" } else { "log off" };
        measure(&server, &format!("GET 1 KiB, 16 at once, {log}"), "/bench/small", 16);
        server.log().clear();
    }
    measure(&server, "GET 256 MiB stored, 1 at once", "/bench/large", 1);
    measure(&server, "GET 256 MiB of a repeated block, 1 at once", "/bench/block", 1);
    measure(&server, "GET 256 MiB of written rows, 1 at once", "/bench/rows", 1);
    measure(&server, "LIST 1,000 of 1,000 stored, 2 at once", "/list?list-type=2", 2);
    measure(&server, "LIST 1,000 of 1,000,000 computed, 2 at once", "/computed?list-type=2", 2);
}
