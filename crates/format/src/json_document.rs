//! JSON documents: text → JSON objects.
//!
//! A file is any number of values with any white space, or none, between them. Each is an object, which is a row, or
//! an array of objects, each of which is one. How they are spread over lines does not matter.
//!
//! ```text
//!            {…}                        {…}
//!   outside ─────▶ outside    inside ─────────▶ behind an item ── , ──▶ inside
//!      │  ▲                      ▲                     │
//!      [  └──────── ] ───────────┼─────────────────────┘
//!      └─────────────────────────┘
//! ```
//!
//! A position lies right behind an object, before the comma or bracket that follows it in an array: what stands there
//! tells a reader that goes on whether it is inside of an array. For that an object counts as a row only when it is
//! seen that what follows it is right; where it is not, going on at the position before it finds the same fault.

use super::json_rows::{JsonRowsBuilder, skip_space};
use super::json_scan::{Scanned, scan_object};
use super::split::{Origin, Split, Stop, count_lines};
use tollgate_base::batch::{Place, Position};
use tollgate_base::error::Error;

/// Where the text stands between rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    /// Outside of arrays.
    Outside,
    /// Behind a row of which it is not known whether it was one of an array.
    Resumed,
    /// Behind the bracket that opens an array.
    Opened,
    /// Behind a comma of an array.
    Inside,
    /// Behind an item of an array.
    BehindItem,
}

/// What comes next in the text.
enum Next {
    /// An object, at this byte.
    Object,
    /// A bracket or comma: go over it.
    Mark(Level),
    Fault(&'static str),
}

impl Level {
    fn next(self, byte: u8) -> Next {
        match (self, byte) {
            (Self::Outside | Self::Resumed | Self::Opened | Self::Inside, b'{') => Next::Object,
            (Self::Outside | Self::Resumed, b'[') => Next::Mark(Self::Opened),
            (Self::BehindItem | Self::Resumed, b',') => Next::Mark(Self::Inside),
            (Self::BehindItem | Self::Opened | Self::Resumed, b']') => Next::Mark(Self::Outside),
            (Self::Outside | Self::Resumed, _) => Next::Fault("expected an object or an array of objects"),
            (Self::Opened | Self::Inside, _) => Next::Fault("expected an object"),
            (Self::BehindItem, _) => Next::Fault("expected ',' or ']' after an object of an array"),
        }
    }

    /// Whether the text may end here.
    fn may_end(self) -> bool {
        matches!(self, Self::Outside | Self::Resumed)
    }
}

/// Splits text into the objects of JSON documents. It rejects none: what follows a fault can be inside of anything.
pub(crate) struct DocumentSplitter {
    level: Level,
    /// The start of a row is the place after the one before it: there, reading can go on.
    pub(crate) found: JsonRowsBuilder,
}

impl DocumentSplitter {
    /// A splitter at the start of a file, or at a position.
    pub(crate) fn new(resume: Option<&Position>) -> Self {
        let resumed = matches!(resume, Some(Position { place: Place::Byte { .. }, .. }));
        let level = if resumed { Level::Resumed } else { Level::Outside };
        Self { level, found: JsonRowsBuilder::new(resume) }
    }

    /// Splits as many objects as there are, up to `max_rows`. What lies behind the last row is left for the next call:
    /// a text that begins there is one that reading can go on at.
    pub(crate) fn split(&mut self, text: &mut [u8], ended: bool, origin: Origin, max_rows: usize) -> Split {
        let text = self.found.begin(text, ended);
        let mut walk = Walk { at: 0, like: None, behind_row: (0, self.level, self.found.line) };
        let stop = loop {
            if self.found.rows() >= max_rows {
                break Stop::Full;
            }
            match self.step(text, ended, &mut walk) {
                Ok(true) => {}
                Ok(false) => break Stop::More,
                Err((at, reason)) => break Stop::Fault(self.fault(text, walk.at, at, reason, origin)),
            }
        };
        // The position is the one right behind the last row.
        (walk.at, self.level, self.found.line) = walk.behind_row;
        Split { consumed: walk.at, stop }
    }

    /// Goes over the next mark or object. `false` when more text is needed, or the text is done; a fault has its byte.
    fn step(&mut self, text: &mut [u8], ended: bool, walk: &mut Walk) -> Result<bool, (usize, &'static str)> {
        walk.at = skip_space(text, walk.at, &mut self.found.line);
        let Some(byte) = text.get(walk.at) else {
            let cut = ended && !self.level.may_end();
            return if cut { Err((text.len(), "the text ends inside an array")) } else { Ok(false) };
        };
        match self.level.next(*byte) {
            Next::Fault(reason) => Err((walk.at, reason)),
            Next::Mark(level) => {
                self.level = level;
                walk.at += 1;
                Ok(true)
            }
            Next::Object => self.object(text, ended, walk),
        }
    }

    fn object(&mut self, text: &mut [u8], ended: bool, walk: &mut Walk) -> Result<bool, (usize, &'static str)> {
        let first = self.found.fields.len();
        let (end, line_ends) = match scan_object(text, walk.at, &mut self.found.fields, walk.like) {
            Scanned::Object { end, line_ends } => (end, line_ends),
            Scanned::Incomplete if ended => return Err((text.len(), "the text ends inside an object")),
            Scanned::Incomplete => return Ok(false),
            Scanned::Fault { at, reason } => return Err((at, reason)),
        };
        let in_array = matches!(self.level, Level::Opened | Level::Inside);
        let follows = followed(text, end, ended, in_array);
        if follows != Ok(true) {
            self.found.fields.truncate(first);
            return follows;
        }
        let (byte, _, line) = walk.behind_row;
        let start = self.found.start(byte, line);
        self.found.add(text, walk.at, end, first, line_ends, start);
        self.level = if in_array { Level::BehindItem } else { Level::Outside };
        // Line ends between a key and its value would not be noticed.
        walk.like = (!line_ends).then_some(first);
        walk.at = end;
        walk.behind_row = (end, self.level, self.found.line);
        Ok(true)
    }

    #[cold]
    fn fault(&self, text: &[u8], from: usize, at: usize, reason: &'static str, origin: Origin) -> Error {
        let line = self.found.line + count_lines(&text[from..at]) + 1;
        let error = Error::data("the text is neither JSON objects nor arrays of JSON objects").with("reason", reason);
        origin.place(error.with("line", line), self.found.rows(), at)
    }
}

/// Whether an object that ends at `end` is followed by what may follow it. `false` where more text is needed to tell.
fn followed(text: &[u8], end: usize, ended: bool, in_array: bool) -> Result<bool, (usize, &'static str)> {
    let at = skip_space(text, end, &mut 0);
    match (text.get(at), in_array) {
        (Some(b',' | b']'), true) => Ok(true),
        (Some(_), true) => Err((at, "expected ',' or ']' after an object of an array")),
        (Some(b',' | b']'), false) => Err((at, "expected an object or an array of objects")),
        (Some(_), false) => Ok(true),
        (None, _) if !ended => Ok(false),
        (None, true) => Err((at, "the text ends inside an array")),
        (None, false) => Ok(true),
    }
}

/// A way through a text.
struct Walk {
    at: usize,
    /// The first member of the object before this one, where its keys have no line ends around them.
    like: Option<usize>,
    /// Where the last row ends, or else the text begins, with what holds there.
    behind_row: (usize, Level, u64),
}
