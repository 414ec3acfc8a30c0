//! The emitter: the one thread that writes to the sink and moves the cursor.

use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::files::stop::{Stop, StopReason};
use crate::options::ReadOptions;
use tollgate_base::batch::Position;
use tollgate_base::object::ObjectFacts;
use tollgate_base::predicate::Marks;
use tollgate_cursor::Cursor;
use tollgate_protocol::catalog::ConfiguredStream;
use tollgate_protocol::message::{self, Level, Status};
use tollgate_protocol::sink::Sink;
use tollgate_runtime::clock::{Clock, Stopwatch};
use tollgate_runtime::memory::Reservation;

/// A STATE at least this often while there is something to wait for: platforms take RECORD and STATE as signs of life.
const STATE_INTERVAL: Duration = Duration::from_secs(60);

/// Events that may wait for the emitter. Blocks of lines are bounded by the byte budget as well.
const QUEUE_EVENTS: usize = 64;

/// How long the emitter sleeps when it has nothing to do, before it asks to be woken by the next event: small files make
/// several events each, and to wake a thread costs more than to write their lines.
const LINGER: Duration = Duration::from_millis(1);

/// After a signal, the time for the rest of a batch that is being written. Then the line that is being written is the last one.
const PATIENCE: Duration = Duration::from_millis(2500);

/// Emptied buffers that are kept for the next blocks.
const SPARE_BUFFERS: usize = 24;

/// What the emitter is told, in the order in which it must happen.
#[derive(Debug)]
pub(crate) enum Event {
    /// A whole message line.
    Line(String),
    /// The stream begins: STARTED.
    Open { stream: Arc<ConfiguredStream>, cursor: Box<Cursor> },
    /// The whole listing was seen: the cursor for the run, before any file is begun.
    Listed { cursor: Box<Cursor> },
    /// A file will be read.
    Begin { object: ObjectFacts, from: Position },
    /// A member of a begun archive will be read.
    BeginMember { object: ObjectFacts, from: Position, archive: Arc<str>, number: u64 },
    /// A begun archive was read up to here.
    Advance { key: Arc<str>, after: Position },
    /// All members of a begun archive were read, in this run or before: those with these numbers.
    EndMembers { archive: Arc<str>, numbers: Vec<u64> },
    /// Lines of a begun file, and the position behind them and behind bad rows. `batches`: where writing can end before the
    /// last of them.
    Rows {
        key: Arc<str>,
        lines: Vec<u8>,
        rows: u64,
        bad_rows: u64,
        after: Position,
        batches: Vec<BatchEnd>,
        reservation: Reservation,
    },
    /// The greatest values of the followed column in the rows of the next [`Event::Rows`].
    Reach { marks: Marks },
    /// Rows of a begun file that were sent before are suspect: the next run reads it from its start.
    Rewind { key: Arc<str> },
    /// All rows of a begun file were sent.
    End { key: Arc<str> },
    /// A pending file is not in the bucket any more.
    Forget { key: Arc<str> },
    /// A begun file is archived.
    PutOff { key: Arc<str> },
    /// A full refresh that fails has left out what the next run could not find again: it starts over.
    StartOver,
    /// Time went by.
    Tick,
    /// The stream ends: last STATE, COMPLETE or INCOMPLETE. `whole`: nothing was left to the next run.
    Close { complete: bool, whole: bool, done: oneshot::Sender<Emitted> },
}

/// The end of a batch among the lines of [`Event::Rows`].
#[derive(Debug)]
pub(crate) struct BatchEnd {
    /// Bytes of the lines up to it.
    pub(crate) bytes: usize,
    /// Rows in these.
    pub(crate) rows: u64,
    /// Bad rows up to it.
    pub(crate) bad_rows: u64,
    /// The position behind them.
    pub(crate) after: Position,
}

/// What was written for a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Emitted {
    /// RECORD lines.
    pub records: u64,
    /// Bytes of RECORD lines.
    pub bytes: u64,
    /// STATE lines.
    pub states: u64,
}

/// The sending side of the emitter. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    events: mpsc::Sender<Event>,
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Outgoing {
    /// Sends an event; waits while the queue is full. An emitter that ended swallows it: then the run stops anyway.
    pub(crate) async fn send(&self, event: Event) {
        _ = self.events.send(event).await;
    }

    pub(crate) async fn log(&self, level: Level, text: impl AsRef<str>) {
        self.send(Event::Line(message::log(level, text.as_ref()))).await;
    }

    /// An empty buffer, reused where one is free: fresh pages cost more than the text that goes into them.
    pub(crate) fn buffer(&self, capacity: usize) -> Vec<u8> {
        let spare = self.spare.lock().map(|mut spare| spare.pop()).unwrap_or_default();
        spare.unwrap_or_else(|| Vec::with_capacity(capacity))
    }
}

/// Starts the emitter's thread. It ends when all senders are gone, or when nobody reads the sink.
pub(crate) fn start(sink: Box<dyn Sink>, options: ReadOptions, stop: Stop) -> (Outgoing, std::thread::JoinHandle<()>) {
    let (events, receiver) = mpsc::channel(QUEUE_EVENTS);
    let spare = Arc::new(Mutex::new(Vec::new()));
    let ReadOptions { clock, state_bytes } = options;
    let (spare_of_emitter, stop_of_emitter) = (Arc::clone(&spare), stop.clone());
    let emitter = Emitter { sink, clock, state_bytes, stop: stop_of_emitter, spare: spare_of_emitter, current: None };
    let thread = std::thread::Builder::new()
        .name("emitter".to_owned())
        .spawn(move || {
            if emitter.run(receiver).is_err() {
                stop.request(StopReason::OutputClosed);
            }
        })
        .expect("a thread can be started");
    (Outgoing { events, spare }, thread)
}

/// The next event, where it is there or comes within [`LINGER`].
fn next_soon(events: &mut mpsc::Receiver<Event>) -> Option<Event> {
    events.try_recv().ok().or_else(|| {
        std::thread::sleep(LINGER);
        events.try_recv().ok()
    })
}

struct Emitter {
    sink: Box<dyn Sink>,
    clock: Clock,
    state_bytes: u64,
    stop: Stop,
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
    current: Option<Current>,
}

/// The stream that is being read.
struct Current {
    stream: Arc<ConfiguredStream>,
    cursor: Box<Cursor>,
    /// Whether a part of it was left to the next run after it was sent.
    cut: bool,
    emitted: Emitted,
    records_since_state: u64,
    bytes_since_state: u64,
    since_state: Stopwatch,
}

impl Emitter {
    fn run(mut self, mut events: mpsc::Receiver<Event>) -> io::Result<()> {
        self.sink.write(message::log(Level::Info, "Starting syncing").as_bytes())?;
        while let Some(event) = events.blocking_recv() {
            self.handle(event)?;
            while let Some(event) = next_soon(&mut events) {
                self.handle(event)?;
            }
        }
        Ok(())
    }

    /// Whether an event comes too late: after a signal, rows that are not begun are left to the next run, and what the cursor
    /// would learn after them with them. A slow reader would not take them in time.
    fn too_late(&self, event: &Event) -> bool {
        let moves = match event {
            Event::Listed { .. } | Event::Begin { .. } | Event::BeginMember { .. } | Event::Advance { .. } => true,
            Event::Rows { .. } | Event::Reach { .. } | Event::End { .. } | Event::EndMembers { .. } => true,
            Event::Forget { .. } | Event::PutOff { .. } => true,
            Event::Line(_) | Event::Open { .. } | Event::StartOver | Event::Rewind { .. } => false,
            Event::Tick | Event::Close { .. } => false,
        };
        moves && signaled(&self.stop)
    }

    fn handle(&mut self, event: Event) -> io::Result<()> {
        if self.too_late(&event) {
            self.with_current(|current| current.cut = true);
            return Ok(());
        }
        match event {
            Event::Line(line) => self.sink.write(line.as_bytes()),
            Event::Open { stream, cursor } => self.open(stream, cursor),
            Event::Listed { cursor } => {
                self.with_current(|current| current.cursor = cursor);
                Ok(())
            }
            Event::Begin { object, from } => {
                self.with_current(|current| current.cursor.begin(&object, from));
                Ok(())
            }
            Event::BeginMember { object, from, archive, number } => {
                self.with_current(|current| current.cursor.begin_member(&object, from, &archive, number));
                Ok(())
            }
            Event::EndMembers { archive, numbers } => {
                self.with_current(|current| current.cursor.end_members(archive, numbers));
                Ok(())
            }
            Event::Advance { key, after } => {
                self.with_current(|current| current.cursor.advance(&key, after));
                Ok(())
            }
            Event::Rows { key, lines, rows, bad_rows, after, batches, reservation } => {
                let end = BatchEnd { bytes: lines.len(), rows, bad_rows, after };
                self.rows(&key, lines, end, &batches)?;
                drop(reservation);
                self.state_if_due()
            }
            Event::Reach { marks } => {
                self.with_current(|current| current.cursor.reach(&marks));
                Ok(())
            }
            Event::Rewind { key } => {
                self.with_current(|current| current.cursor.rewind(&key));
                Ok(())
            }
            Event::End { key } => {
                self.with_current(|current| current.cursor.end(&key));
                self.state_if_due()
            }
            Event::Forget { key } => {
                self.with_current(|current| current.cursor.forget(&key));
                Ok(())
            }
            Event::PutOff { key } => {
                self.with_current(|current| current.cursor.put_off(&key));
                Ok(())
            }
            Event::StartOver => {
                self.with_current(|current| current.cursor.start_over());
                Ok(())
            }
            Event::Tick => self.state_if_due(),
            Event::Close { complete, whole, done } => {
                let emitted = self.close(complete, whole)?;
                _ = done.send(emitted);
                Ok(())
            }
        }
    }

    fn with_current(&mut self, change: impl FnOnce(&mut Current)) {
        if let Some(current) = &mut self.current {
            change(current);
        }
    }

    fn open(&mut self, stream: Arc<ConfiguredStream>, cursor: Box<Cursor>) -> io::Result<()> {
        self.sink.write(marked(&stream, "STARTED").as_bytes())?;
        self.sink.write(message::stream_status(&stream, Status::Started, self.clock.now()).as_bytes())?;
        self.current = Some(Current {
            stream,
            cursor,
            cut: false,
            emitted: Emitted::default(),
            records_since_state: 0,
            bytes_since_state: 0,
            since_state: self.clock.stopwatch(),
        });
        Ok(())
    }

    /// Writes the lines of a file, to their end or, after a signal, to the end of one of the batches in them.
    fn rows(&mut self, key: &str, lines: Vec<u8>, end: BatchEnd, batches: &[BatchEnd]) -> io::Result<()> {
        let Some(current) = &mut self.current else { return Ok(()) };
        if current.emitted.records == 0 && end.rows > 0 {
            self.sink.write(marked(&current.stream, "RUNNING").as_bytes())?;
            self.sink.write(message::stream_status(&current.stream, Status::Running, self.clock.now()).as_bytes())?;
        }
        let mut written = 0;
        if !lines.is_empty() {
            let mut ending = Ending { lines: &lines, batches, stop: &self.stop, clock: self.clock, since: None };
            written = self.sink.write_up_to(&lines, &mut |written| ending.end(written))?;
        }
        let mut records = end.rows;
        if written == lines.len() {
            current.cursor.advance(key, end.after);
            current.cursor.add_rows(key, end.rows, end.bad_rows);
        } else {
            current.cut = true;
            let whole = batches.iter().rev().find(|batch| batch.bytes <= written);
            let (from, rows) = whole.map_or((0, 0), |batch| (batch.bytes, batch.rows));
            records = rows + memchr::memchr_iter(b'\n', &lines[from..written]).count() as u64;
            if let Some(whole) = whole {
                current.cursor.advance(key, whole.after.clone());
                current.cursor.add_rows(key, whole.rows, whole.bad_rows);
            }
        }
        current.emitted.records += records;
        current.emitted.bytes += written as u64;
        current.records_since_state += records;
        current.bytes_since_state += written as u64;
        self.keep(lines);
        Ok(())
    }

    fn keep(&self, mut lines: Vec<u8>) {
        lines.clear();
        if let Ok(mut spare) = self.spare.lock()
            && spare.len() < SPARE_BUFFERS
        {
            spare.push(lines);
        }
    }

    fn state_if_due(&mut self) -> io::Result<()> {
        let Some(current) = &mut self.current else { return Ok(()) };
        let due = current.bytes_since_state >= self.state_bytes || current.since_state.elapsed() >= STATE_INTERVAL;
        if !due {
            return Ok(());
        }
        let document = current.cursor.document();
        self.state(&document)
    }

    fn state(&mut self, document: &serde_json::Value) -> io::Result<()> {
        let Some(current) = &mut self.current else { return Ok(()) };
        let line = message::state(&current.stream, document, current.records_since_state);
        self.sink.write(line.as_bytes())?;
        current.emitted.states += 1;
        current.records_since_state = 0;
        current.bytes_since_state = 0;
        current.since_state = self.clock.stopwatch();
        Ok(())
    }

    fn close(&mut self, complete: bool, whole: bool) -> io::Result<Emitted> {
        let Some(current) = &self.current else { return Ok(Emitted::default()) };
        // Whoever closes it may not know yet that a signal came.
        let complete = complete && !current.cut;
        let document = match (complete, whole) {
            (true, true) => current.cursor.complete_document(),
            (true, false) => current.cursor.partial_document(),
            (false, _) => current.cursor.document(),
        };
        self.state(&document)?;
        let Some(current) = self.current.take() else { return Ok(Emitted::default()) };
        let status = if complete { Status::Complete } else { Status::Incomplete };
        self.sink.write(marked(&current.stream, "STOPPED").as_bytes())?;
        self.sink.write(message::stream_status(&current.stream, status, self.clock.now()).as_bytes())?;
        let finished = format!("Finished syncing {}", current.stream.name);
        self.sink.write(message::log(Level::Info, &finished).as_bytes())?;
        Ok(current.emitted)
    }
}

fn signaled(stop: &Stop) -> bool {
    matches!(stop.reason(), Some(StopReason::Signal(_)))
}

/// Tells how far a block of lines is written: to its end, unless a signal comes meanwhile.
struct Ending<'a> {
    lines: &'a [u8],
    batches: &'a [BatchEnd],
    stop: &'a Stop,
    clock: Clock,
    /// The time since the signal was noticed.
    since: Option<Stopwatch>,
}

impl Ending<'_> {
    /// Where to end, when so many bytes are written. A STATE covers rows up to the end of a batch: where the reader is fast
    /// enough, that is where the output ends, so that no row comes again.
    fn end(&mut self, written: usize) -> usize {
        if !signaled(self.stop) {
            return self.lines.len();
        }
        if written == 0 {
            return 0;
        }
        let clock = self.clock;
        if self.since.get_or_insert_with(|| clock.stopwatch()).elapsed() < PATIENCE {
            let ends = self.batches.iter().map(|batch| batch.bytes);
            return ends.filter(|end| *end >= written).min().unwrap_or(self.lines.len());
        }
        let rest = &self.lines[written - 1..];
        memchr::memchr(b'\n', rest).map_or(self.lines.len(), |at| written + at)
    }
}

/// A line about how a stream goes on, in the words that people know from the logs of Airbyte's connectors.
fn marked(stream: &ConfiguredStream, how: &str) -> String {
    message::log(Level::Info, &format!("Marking stream {} as {how}", stream.name))
}
