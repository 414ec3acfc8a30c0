//! A small S3 client over a plain socket: each request is written by hand, signed, and answered bytes are kept as they
//! came, so that tests see what a client sees.

#![expect(dead_code, reason = "each test program uses a part of it")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::macros::format_description;
use tollgate_testkit::Server;

/// Who signs, and for which region.
#[derive(Clone, Debug)]
pub struct Signer {
    pub access_key: String,
    pub secret_key: String,
    pub region: String,
    pub token: Option<String>,
}

impl Default for Signer {
    fn default() -> Self {
        Self {
            access_key: "AKIATEST".into(),
            secret_key: "secretkeysecret".into(),
            region: "us-east-1".into(),
            token: None,
        }
    }
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With as many bytes as it promised.
    Whole,
    /// With FIN before that.
    Closed,
    /// With RST.
    Reset,
    /// Nothing came for the time that the client waits.
    TimedOut,
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub end: End,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The texts of all elements with a name, unescaped.
    pub fn elements(&self, name: &str) -> Vec<String> {
        let (text, open, close) = (self.text(), format!("<{name}>"), format!("</{name}>"));
        text.split(&open).skip(1).filter_map(|part| part.split(&close).next().map(unescape)).collect()
    }

    pub fn element(&self, name: &str) -> String {
        self.elements(name).into_iter().next().unwrap_or_default()
    }
}

fn unescape(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    text.replace("&amp;", "&")
}

/// One connection that is kept open.
pub struct Client {
    stream: TcpStream,
    pub host: String,
    pub signer: Option<Signer>,
}

impl Client {
    pub fn new(server: &Server) -> Self {
        Self::to(server.address())
    }

    pub fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a socket option");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket option");
        Self { stream, host: address.to_string(), signer: Some(Signer::default()) }
    }

    pub fn anonymous(mut self) -> Self {
        self.signer = None;
        self
    }

    pub fn signed_by(mut self, change: impl FnOnce(&mut Signer)) -> Self {
        let mut signer = Signer::default();
        change(&mut signer);
        self.signer = Some(signer);
        self
    }

    pub fn timeout(&self, time: Duration) {
        self.stream.set_read_timeout(Some(time)).expect("a socket option");
    }

    pub fn get(&mut self, target: &str) -> Answer {
        self.send("GET", target, &[], b"")
    }

    pub fn head(&mut self, target: &str) -> Answer {
        self.send("HEAD", target, &[], b"")
    }

    pub fn put(&mut self, target: &str, body: &[u8]) -> Answer {
        self.send("PUT", target, &[], body)
    }

    /// Sends a request and reads its answer. `target` is path and query, encoded as it is to be sent.
    pub fn send(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.write(method, target, headers, body);
        self.read(method)
    }

    /// Sends a request only.
    pub fn write(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut all: Vec<(String, String)> = vec![("host".into(), self.host.clone())];
        all.extend(headers.iter().map(|(name, value)| (name.to_lowercase(), (*value).to_owned())));
        if let Some(signer) = &self.signer {
            sign(signer, method, target, &mut all, body);
        }
        if !body.is_empty() || method == "PUT" || method == "POST" {
            all.push(("content-length".into(), body.len().to_string()));
        }
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        for (name, value) in all {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut request = head.into_bytes();
        request.extend_from_slice(body);
        // A server that answers early may have closed already: the answer tells.
        let _ = self.stream.write_all(&request);
    }

    /// Reads one answer.
    pub fn read(&mut self, method: &str) -> Answer {
        let mut bytes = Vec::new();
        let mut answer = Answer { status: 0, headers: Vec::new(), body: Vec::new(), end: End::Whole };
        let head_end = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if let Some(end) = self.more(&mut bytes) {
                answer.end = end;
                return answer;
            }
        };
        let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
        let mut lines = head.lines();
        let status = lines.next().unwrap_or("").split(' ').nth(1).unwrap_or("");
        answer.status = status.parse().expect("a status");
        let pairs = lines.filter_map(|line| line.split_once(": "));
        answer.headers = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let no_body = method == "HEAD" || answer.status == 304 || answer.status == 204;
        let length = answer.header("content-length").map_or(0, |text| text.parse().expect("a length"));
        let length = if no_body { 0 } else { length };
        answer.body = bytes.split_off(head_end);
        while answer.body.len() < length {
            if let Some(end) = self.more(&mut answer.body) {
                answer.end = end;
                return answer;
            }
        }
        assert_eq!(answer.body.len(), length, "bytes beyond the answer");
        answer
    }

    fn more(&mut self, into: &mut Vec<u8>) -> Option<End> {
        let mut buffer = vec![0; 256 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => Some(End::Closed),
            Ok(count) => {
                into.extend_from_slice(&buffer[..count]);
                None
            }
            Err(error) => match error.kind() {
                ErrorKind::ConnectionReset => Some(End::Reset),
                ErrorKind::WouldBlock | ErrorKind::TimedOut => Some(End::TimedOut),
                kind => panic!("{kind}"),
            },
        }
    }
}

/// Percent-encodes a key for a path.
pub fn path_of(bucket: &str, key: &str) -> String {
    format!("/{bucket}/{}", encode(key, true))
}

/// Percent-encodes all but the unreserved characters, and the slash when asked.
pub fn encode(text: &str, keep_slash: bool) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
            b'/' if keep_slash => encoded.push('/'),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// AWS Signature Version 4 with the payload's hash, over all headers.
fn sign(signer: &Signer, method: &str, target: &str, headers: &mut Vec<(String, String)>, body: &[u8]) {
    let now = OffsetDateTime::now_utc();
    let stamp = now.format(format_description!("[year][month][day]T[hour][minute][second]Z")).expect("a time");
    let day = &stamp[..8];
    let payload = hex(&Sha256::digest(body));
    headers.push(("x-amz-date".into(), stamp.clone()));
    headers.push(("x-amz-content-sha256".into(), payload.clone()));
    if let Some(token) = &signer.token {
        headers.push(("x-amz-security-token".into(), token.clone()));
    }
    let mut sorted = headers.clone();
    sorted.sort();
    let names: Vec<&str> = sorted.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(";");
    let lines: String = sorted.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut pairs: Vec<String> = query.split('&').filter(|pair| !pair.is_empty()).map(str::to_owned).collect();
    for pair in &mut pairs {
        if !pair.contains('=') {
            pair.push('=');
        }
    }
    pairs.sort();
    let canonical = format!("{method}\n{path}\n{}\n{lines}\n{names}\n{payload}", pairs.join("&"));
    let scope = format!("{day}/{}/s3/aws4_request", signer.region);
    let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let mut key = hmac(format!("AWS4{}", signer.secret_key).as_bytes(), day);
    for part in [&signer.region, "s3", "aws4_request"] {
        key = hmac(&key, part);
    }
    let signature = hex(&hmac(&key, &to_sign));
    let credential = format!("{}/{scope}", signer.access_key);
    let value = format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}");
    headers.push(("authorization".into(), value));
}
