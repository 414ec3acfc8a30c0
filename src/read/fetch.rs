//! Brings an object's bytes to its decoder, as the decoder asks for them.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::stop::Stop;
use crate::error::{Error, Result};
use crate::format::Decode;
use crate::memory::{Budget, Reservation};
use crate::object::ObjectFacts;
use crate::plan::ranges;
use crate::s3::{Body, Store};

/// Requests for ranges of one file at the same time.
const PARALLEL_RANGES: usize = 4;

/// What one body in flight holds besides its decoder: the socket's and the client's buffers.
const BODY_BYTES: usize = 2 << 20;

/// The bytes of one object in order.
pub(super) struct Stream {
    store: Store,
    object: ObjectFacts,
    budget: Budget,
    offset: u64,
    /// What offsets count from: the first byte of the object, or of the part of it that is read.
    base: u64,
    /// Requests that are not begun.
    parts: VecDeque<Option<Range<u64>>>,
    /// Parts that are being fetched ahead.
    ahead: VecDeque<JoinHandle<Result<Part>>>,
    current: Option<Current>,
}

enum Current {
    Held(std::vec::IntoIter<Bytes>),
    Body(Body, #[expect(dead_code, reason = "held while the body is read")] Reservation),
    Part(std::vec::IntoIter<Bytes>, #[expect(dead_code, reason = "held while the part is decoded")] Reservation),
}

struct Part {
    pieces: Vec<Bytes>,
    reservation: Reservation,
}

impl Stream {
    /// The bytes from `from` on, up to `until` where that is given. `alone`: whether no other file waits, so that a large
    /// file may be fetched in parts.
    pub(super) fn new(
        store: &Store,
        object: &ObjectFacts,
        from: u64,
        until: Option<u64>,
        alone: bool,
        budget: &Budget,
    ) -> Self {
        let parts = match until {
            Some(until) => vec![Some(from..until)],
            None => ranges::parts(object.size, from, alone),
        };
        Self {
            store: store.clone(),
            parts: parts.into(),
            object: object.clone(),
            budget: budget.clone(),
            offset: from,
            base: 0,
            ahead: VecDeque::new(),
            current: None,
        }
    }

    /// The bytes of a part of an object, which are counted from its start.
    pub(super) fn of_range(
        store: &Store,
        object: &ObjectFacts,
        range: Range<u64>,
        alone: bool,
        budget: &Budget,
    ) -> Self {
        let parts = ranges::parts(range.end, range.start, alone);
        let parts = parts.into_iter().map(|part| Some(part.unwrap_or_else(|| range.clone()))).collect();
        let mut stream = Self::new(store, object, range.start, None, false, budget);
        (stream.parts, stream.base) = (parts, range.start);
        stream
    }

    /// Bytes that are here already.
    pub(super) fn of_bytes(store: &Store, object: &ObjectFacts, bytes: Bytes, budget: &Budget) -> Self {
        let mut stream = Self::new(store, object, 0, None, false, budget);
        (stream.parts, stream.current) = (VecDeque::new(), Some(Current::Held(vec![bytes].into_iter())));
        stream
    }

    /// The next bytes and their offset in the object, or in the part of it that is read; `None` at its end.
    pub(super) async fn next(&mut self) -> Result<Option<(u64, Bytes)>> {
        loop {
            if self.current.is_none() && !self.open_next().await? {
                return Ok(None);
            }
            let piece = match &mut self.current {
                Some(Current::Body(body, _)) => body.next().await?,
                Some(Current::Part(pieces, _) | Current::Held(pieces)) => pieces.next(),
                None => None,
            };
            let Some(bytes) = piece else {
                self.current = None;
                continue;
            };
            let offset = self.offset - self.base;
            self.offset += bytes.len() as u64;
            return Ok(Some((offset, bytes)));
        }
    }

    /// Opens the next request. A single one is a body that is read as it comes; several are fetched side by side.
    async fn open_next(&mut self) -> Result<bool> {
        if self.ahead.is_empty() && self.parts.len() == 1 {
            let range = self.parts.pop_front().expect("there is one part");
            let reservation = self.budget.reserve(BODY_BYTES).await;
            self.current = Some(Current::Body(self.store.get(&self.object, range).await?, reservation));
            return Ok(true);
        }
        self.fetch_ahead().await;
        let Some(part) = self.ahead.pop_front() else { return Ok(false) };
        let part = part.await.map_err(|error| Error::internal("a fetch ended unexpectedly").caused_by(error))??;
        self.current = Some(Current::Part(part.pieces.into_iter(), part.reservation));
        Ok(true)
    }

    /// Begins to fetch parts, the first one in any case, further ones as the budget has room.
    async fn fetch_ahead(&mut self) {
        while self.ahead.len() < PARALLEL_RANGES {
            let Some(Some(range)) = self.parts.front().cloned() else { return };
            let bytes = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
            let reservation = match self.budget.try_reserve(bytes) {
                Some(reservation) => reservation,
                None if self.ahead.is_empty() => self.budget.reserve(bytes).await,
                None => return,
            };
            self.parts.pop_front();
            let (store, object) = (self.store.clone(), self.object.clone());
            self.ahead.push_back(tokio::spawn(async move {
                let pieces = pieces(&store, &object, range).await?;
                Ok(Part { pieces, reservation })
            }));
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.ahead.iter().for_each(JoinHandle::abort);
    }
}

/// Fetches the ranges that a decoder asked for, merged over small gaps, and feeds them. The reservation is to be held
/// until the decoder has used the bytes: until it asks for more, or is done.
pub(super) async fn feed_ranges(
    store: &Store,
    object: &ObjectFacts,
    wanted: Vec<Range<u64>>,
    budget: &Budget,
    decoder: &mut dyn Decode,
    stop: &Stop,
) -> Result<Option<Reservation>> {
    let merged = ranges::merged(wanted, ranges::MERGE_GAP_BYTES);
    let bytes: u64 = merged.iter().map(|range| range.end - range.start).sum();
    let Some(reservation) = stop.unless(budget.reserve(usize::try_from(bytes).unwrap_or(usize::MAX))).await else {
        return Ok(None);
    };
    for group in merged.chunks(PARALLEL_RANGES) {
        let fetches: Vec<_> = group
            .iter()
            .map(|range| {
                let (store, object, range) = (store.clone(), object.clone(), range.clone());
                tokio::spawn(async move { pieces(&store, &object, range).await })
            })
            .collect();
        for (range, fetch) in group.iter().zip(fetches) {
            let Some(fetched) = stop.unless(fetch).await else { return Ok(None) };
            let pieces = fetched.map_err(|error| Error::internal("a fetch ended unexpectedly").caused_by(error))??;
            let mut offset = range.start;
            for piece in pieces {
                let length = piece.len() as u64;
                decoder.feed(offset, piece)?;
                offset += length;
            }
        }
    }
    Ok(Some(reservation))
}

/// The bytes of a range, as they came.
pub(super) async fn pieces(store: &Store, object: &ObjectFacts, range: Range<u64>) -> Result<Vec<Bytes>> {
    let whole = range.start == 0 && range.end >= object.size;
    let mut body = store.get(object, (!whole).then_some(range)).await?;
    let mut pieces = Vec::new();
    while let Some(bytes) = body.next().await? {
        pieces.push(bytes);
    }
    Ok(pieces)
}
