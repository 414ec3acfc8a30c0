//! A server that answers as a test says, one thread per connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub target: String,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// First and last byte asked for.
    pub fn range(&self) -> Option<(usize, usize)> {
        let (first, last) = self.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
        Some((first.parse().ok()?, last.parse().ok()?))
    }
}

/// What is done for a request, in order.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
enum Step {
    Send(Vec<u8>),
    Pause(Duration),
    Close,
}

impl Reply {
    /// An answer with a length that fits its body.
    pub fn new(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Self {
        Self::head(status, headers, body.len()).send(body)
    }

    /// The head of an answer that promises `length` bytes.
    pub fn head(status: u16, headers: &[(&str, &str)], length: usize) -> Self {
        let mut head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nx-amz-request-id: REQ{status}\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        Self::default().send(head.as_bytes())
    }

    /// S3's error document.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        Self::error_with(status, code, message, "")
    }

    pub fn error_with(status: u16, code: &str, message: &str, more: &str) -> Self {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>"
        );
        Self::new(status, &[("Content-Type", "application/xml")], body.as_bytes())
    }

    /// An object, or the range of it that the request wants.
    pub fn object(request: &Request, content: &[u8]) -> Self {
        Self::object_head(request, content).send(Self::part(request, content))
    }

    /// The head for [`Reply::object`] alone.
    pub fn object_head(request: &Request, content: &[u8]) -> Self {
        let mut headers = vec![("ETag", "\"e1\"".to_owned())];
        let part = Self::part(request, content);
        let mut status = 200;
        if let Some((first, _)) = request.range() {
            status = 206;
            let last = first + part.len() - 1;
            headers.push(("Content-Range", format!("bytes {first}-{last}/{}", content.len())));
        }
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Self::head(status, &headers, part.len())
    }

    pub fn part<'a>(request: &Request, content: &'a [u8]) -> &'a [u8] {
        match request.range() {
            Some((first, last)) => &content[first..(last + 1).min(content.len())],
            None => content,
        }
    }

    pub fn send(mut self, bytes: &[u8]) -> Self {
        self.steps.push(Step::Send(bytes.to_vec()));
        self
    }

    pub fn pause(mut self, time: Duration) -> Self {
        self.steps.push(Step::Pause(time));
        self
    }

    pub fn close(mut self) -> Self {
        self.steps.push(Step::Close);
        self
    }
}

pub struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers the n-th request (from 0) with what `script` says.
    pub fn start(script: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(script);
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
                std::thread::spawn(move || serve(stream, &*script, &seen));
            }
        });
        Self { address, requests }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What arrived so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

/// Until the connection or the script ends it.
fn serve(stream: TcpStream, script: &dyn Fn(usize, &Request) -> Reply, seen: &Mutex<Vec<Request>>) {
    stream.set_nodelay(true).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader) {
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push(request.clone());
            seen.len() - 1
        };
        for step in script(number, &request).steps {
            match step {
                Step::Send(bytes) if writer.write_all(&bytes).is_ok() => {}
                Step::Send(_) | Step::Close => return,
                Step::Pause(time) => std::thread::sleep(time),
            }
        }
    }
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            text => lines.push(text.to_owned()),
        }
    }
    let mut first = lines.first()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let pairs = lines[1..].iter().filter_map(|line| line.split_once(": "));
    let headers: Vec<_> = pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    let mut request = Request { method, target, headers, body: String::new() };
    let mut body = vec![0; request.header("content-length").map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    request.body = String::from_utf8_lossy(&body).into_owned();
    Some(request)
}
