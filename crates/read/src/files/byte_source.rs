//! Brings an object's bytes to its decoder, as the decoder asks for them.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};
use tokio::task::{JoinHandle, JoinSet};

use crate::files::stop::Stop;
use tollgate_base::batch::Proof;
use tollgate_base::error::{Error, Result};
use tollgate_base::object::ObjectFacts;
use tollgate_format::Decode;
use tollgate_plan::ranges;
use tollgate_runtime::memory::{Budget, Reservation};
use tollgate_s3::{Body, Checksum, Store};

/// Requests for ranges of one file at the same time.
const PARALLEL_RANGES: usize = 4;

/// What one body in flight holds besides its decoder: the socket's and the client's buffers.
const BODY_BYTES: usize = 2 << 20;

/// Looks at bytes as they arrive.
pub(crate) type Observer = Box<dyn FnMut(&[u8]) + Send>;

/// The bytes of one object in order.
pub(crate) struct ByteSource {
    store: Store,
    object: ObjectFacts,
    budget: Budget,
    offset: u64,
    /// What offsets count from: the first byte of the object, or of the part of it that is read.
    base: u64,
    /// One past the last byte.
    end: u64,
    /// The first byte to hand on. Those before it are fetched for their checksum alone.
    wanted_from: u64,
    /// The checksum of the bytes so far, where the server keeps one or a later run may want to compare them.
    checksum: Option<Checksum>,
    /// Whether there is to be one of our own where the server keeps none.
    remembers: bool,
    /// Whether a large file may be fetched in parts, side by side.
    may_split: bool,
    /// The bytes that the checksum was given last.
    last: Bytes,
    observer: Option<Observer>,
    /// Whether all bytes were here from the beginning.
    at_hand: bool,
    /// Requests that are not begun.
    parts: VecDeque<Option<Range<u64>>>,
    /// Parts that are being fetched ahead.
    ahead: VecDeque<JoinHandle<Result<Part>>>,
    current: Option<Current>,
}

enum Current {
    Held(std::vec::IntoIter<Bytes>),
    Body(Box<Body>, #[expect(dead_code, reason = "held while the body is read")] Reservation),
    Part(std::vec::IntoIter<Bytes>, #[expect(dead_code, reason = "held while the part is decoded")] Reservation),
}

struct Part {
    pieces: Vec<Bytes>,
    reservation: Reservation,
}

impl ByteSource {
    /// The bytes from `from` on, up to `until` where that is given. `may_split`: whether a large file may be fetched in
    /// parts, side by side.
    pub(crate) fn new(
        store: &Store,
        object: &ObjectFacts,
        from: u64,
        until: Option<u64>,
        may_split: bool,
        budget: &Budget,
    ) -> Self {
        let parts = match until {
            Some(until) => vec![Some(from..until)],
            None => ranges::parts(object.size, from, may_split),
        };
        Self {
            store: store.clone(),
            parts: parts.into(),
            object: object.clone(),
            budget: budget.clone(),
            offset: from,
            base: 0,
            end: until.unwrap_or(object.size),
            wanted_from: from,
            checksum: None,
            remembers: false,
            may_split,
            last: Bytes::new(),
            observer: None,
            at_hand: false,
            ahead: VecDeque::new(),
            current: None,
        }
    }

    /// The bytes of a part of an object, which are counted from its start.
    pub(crate) fn of_range(
        store: &Store,
        object: &ObjectFacts,
        range: Range<u64>,
        may_split: bool,
        budget: &Budget,
    ) -> Self {
        let parts = ranges::parts(range.end, range.start, may_split);
        let parts = parts.into_iter().map(|part| Some(part.unwrap_or_else(|| range.clone()))).collect();
        let mut stream = Self::new(store, object, range.start, Some(range.end), may_split, budget);
        (stream.parts, stream.base) = (parts, range.start);
        stream
    }

    /// Bytes that are here already.
    pub(crate) fn of_bytes(store: &Store, object: &ObjectFacts, bytes: Bytes, budget: &Budget) -> Self {
        let mut stream = Self::new(store, object, 0, Some(bytes.len() as u64), false, budget);
        (stream.parts, stream.current) = (VecDeque::new(), Some(Current::Held(vec![bytes].into_iter())));
        stream.at_hand = true;
        stream
    }

    /// Leaves out all but the first bytes, before any is asked for; [`ByteSource::extend`] asks for more. Bytes that are here
    /// already stay.
    pub(crate) fn limit(&mut self, bytes: u64) {
        let end = self.base + bytes;
        if end < self.end && !self.at_hand() {
            self.end = end;
            self.parts = VecDeque::from([Some(self.offset..end)]);
        }
    }

    /// Asks for the bytes up to `until`, after those before were handed on.
    pub(crate) fn extend(&mut self, until: u64) {
        let end = self.base + until;
        if end > self.end {
            self.end = end;
            self.parts.push_back(Some(self.offset..end));
        }
    }

    /// Has all bytes looked at as they arrive.
    pub(crate) fn observe(&mut self, observer: Observer) {
        self.observer = Some(observer);
    }

    /// Goes on with the checksum of an earlier run, whose proof holds for the byte where this begins.
    pub(crate) fn prove(mut self, proof: Option<&Proof>) -> Self {
        let from = self.offset - self.base;
        if let Some(proof) = proof.filter(|proof| proof.covers(from)) {
            self.checksum = Some(Checksum::resumed(proof, self.object.size - self.base));
            if proof.from < from {
                self.offset = self.base + proof.from;
                self.pause();
            }
        }
        self
    }

    /// Computes a checksum of our own where the server keeps none: for bytes that a later run may have to decode again.
    pub(crate) fn remember(mut self) -> Self {
        self.remembers = true;
        self
    }

    /// The proof for a position at which decoding goes on from a byte on. `repeats`: the later run decodes text again that
    /// was handed over, so that it matters whether the bytes are the same, even where the server keeps no checksum.
    pub(crate) fn proof(&mut self, from: u64, repeats: bool) -> Option<Box<Proof>> {
        let checksum = self.checksum.as_mut().filter(|checksum| repeats || checksum.promised_by_server())?;
        if repeats {
            // A frame begins there, which many positions share: it need not be searched for in what is before it.
            checksum.mark(from, &self.last);
        }
        checksum.proof(from)
    }

    /// Computes no checksum of our own any more, since no later run will decode again what was handed over.
    pub(crate) fn stop_remembering(&mut self) {
        self.remembers = false;
        // It keeps the whole buffer of which it is a part.
        self.last = Bytes::new();
        self.checksum = self.checksum.take().filter(|sum| sum.promised_by_server() || sum.awaits_comparison());
    }

    /// The next bytes and their offset in the object, or in the part of it that is read; `None` at its end.
    pub(crate) async fn next(&mut self) -> Result<Option<(u64, Bytes)>> {
        loop {
            if self.current.is_none() && !self.open_next().await? {
                return Ok(None);
            }
            let piece = match &mut self.current {
                Some(Current::Body(body, _)) => body.next().await?,
                Some(Current::Part(pieces, _) | Current::Held(pieces)) => pieces.next(),
                None => None,
            };
            let Some(mut bytes) = piece else {
                self.current = None;
                continue;
            };
            if self.checksum.is_none() && self.remembers && self.offset == self.base {
                self.checksum = Some(Checksum::own(self.object.size - self.base));
            }
            if let Some(observer) = &mut self.observer {
                observer(&bytes);
            }
            if let Some(checksum) = &mut self.checksum {
                checksum.update(&bytes).map_err(|error| error.with("bucket", self.store.bucket()))?;
                if self.remembers {
                    self.last = bytes.clone();
                }
            }
            let start = self.offset;
            self.offset += bytes.len() as u64;
            let before = self.wanted_from.saturating_sub(start).min(bytes.len() as u64);
            bytes.advance(before as usize);
            if !bytes.is_empty() {
                return Ok(Some((start + before - self.base, bytes)));
            }
        }
    }

    /// Reads on, handing nothing over, until the bytes that an earlier run was given are compared with these.
    ///
    /// # Errors
    /// That they are not the same, or what fetching fails with.
    pub(crate) async fn compare(&mut self) -> Result<()> {
        while self.checksum.as_ref().is_some_and(Checksum::awaits_comparison) && self.next().await?.is_some() {}
        Ok(())
    }

    /// Whether its bytes are here already.
    pub(crate) fn at_hand(&self) -> bool {
        self.at_hand
    }

    /// Lets go of all that is on its way. It is asked for again when the next bytes are.
    pub(crate) fn pause(&mut self) {
        self.current = None;
        self.ahead.drain(..).for_each(|part| part.abort());
        self.parts = match self.offset {
            at if at >= self.end => VecDeque::new(),
            at => ranges::parts(self.end, at, self.may_split).into(),
        };
        // The whole object is one request without a range; a part of it is none.
        if self.end < self.object.size
            && let Some(first @ None) = self.parts.front_mut()
        {
            *first = Some(self.offset..self.end);
        }
    }

    /// Opens the next request. A single one is a body that is read as it comes; several are fetched side by side.
    async fn open_next(&mut self) -> Result<bool> {
        if self.ahead.is_empty() && self.parts.len() == 1 {
            let range = self.parts.pop_front().expect("there is one part");
            let reservation = self.budget.reserve(BODY_BYTES).await;
            let mut body = self.store.get(&self.object, range).await?;
            // Computed here, since more than this body may bring the rest.
            let promised = body.take_checksum();
            if self.checksum.is_none() && self.offset == 0 {
                self.checksum = promised;
            }
            self.current = Some(Current::Body(Box::new(body), reservation));
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

impl Drop for ByteSource {
    fn drop(&mut self) {
        self.ahead.iter().for_each(JoinHandle::abort);
    }
}

/// Ranges on their way: those that a decoder asked for, or will ask for.
pub(crate) struct Prefetch {
    fetch: JoinHandle<Result<Vec<(u64, Bytes)>>>,
    /// Until it is handed over.
    reservation: Option<Reservation>,
}

impl Prefetch {
    /// Begins to fetch ranges, merged over small gaps, if there is room for them now.
    pub(crate) fn begin(store: &Store, object: &ObjectFacts, wanted: Vec<Range<u64>>, budget: &Budget) -> Option<Self> {
        let merged = ranges::merged(wanted, ranges::MERGE_GAP_BYTES);
        if merged.is_empty() {
            return None;
        }
        let reservation = budget.try_reserve(bytes_of(&merged))?;
        Some(Self::fetch(store, object, merged, reservation))
    }

    /// As [`Prefetch::begin`], waiting for room. `None` when the run is asked to stop meanwhile.
    pub(crate) async fn wait(
        store: &Store,
        object: &ObjectFacts,
        wanted: Vec<Range<u64>>,
        budget: &Budget,
        stop: &Stop,
    ) -> Option<Self> {
        let merged = ranges::merged(wanted, ranges::MERGE_GAP_BYTES);
        let reservation = stop.unless(budget.reserve(bytes_of(&merged))).await?;
        Some(Self::fetch(store, object, merged, reservation))
    }

    fn fetch(store: &Store, object: &ObjectFacts, merged: Vec<Range<u64>>, reservation: Reservation) -> Self {
        Self { fetch: tokio::spawn(fetch_all(store.clone(), object.clone(), merged)), reservation: Some(reservation) }
    }

    /// Feeds what has come. The reservation is to be held until the decoder has used the bytes: until it asks for more,
    /// or is done. `None` when the run is asked to stop meanwhile.
    pub(crate) async fn feed<D: Decode + ?Sized>(self, decoder: &mut D, stop: &Stop) -> Result<Option<Reservation>> {
        let Some((pieces, reservation)) = self.take(stop).await? else { return Ok(None) };
        for (offset, piece) in pieces {
            decoder.feed(offset, piece)?;
        }
        Ok(reservation)
    }

    /// What has come, with its offsets, and the reservation that is to be held as long as it is. `None` when the run is
    /// asked to stop meanwhile.
    pub(crate) async fn take(mut self, stop: &Stop) -> Result<Option<(Vec<(u64, Bytes)>, Option<Reservation>)>> {
        let Some(fetched) = stop.unless(&mut self.fetch).await else { return Ok(None) };
        let pieces = fetched.map_err(|error| Error::internal("a fetch ended unexpectedly").caused_by(error))??;
        Ok(Some((pieces, self.reservation.take())))
    }
}

fn bytes_of(ranges: &[Range<u64>]) -> usize {
    let bytes: u64 = ranges.iter().map(|range| range.end - range.start).sum();
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Fetches ranges, a few side by side, and gives their pieces with the offsets.
async fn fetch_all(store: Store, object: ObjectFacts, merged: Vec<Range<u64>>) -> Result<Vec<(u64, Bytes)>> {
    let mut waiting = merged.into_iter();
    let mut fetched = Vec::new();
    let mut running = JoinSet::new();
    loop {
        while running.len() < PARALLEL_RANGES
            && let Some(range) = waiting.next()
        {
            let (store, object) = (store.clone(), object.clone());
            running.spawn(async move {
                let start = range.start;
                in_one_piece(&store, &object, range).await.map(|bytes| (start, bytes))
            });
        }
        let Some(done) = running.join_next().await else { return Ok(fetched) };
        fetched.push(done.map_err(|error| Error::internal("a fetch ended unexpectedly").caused_by(error))??);
    }
}

/// Fetches the ranges that a decoder asked for and feeds them: see [`Prefetch`].
pub(crate) async fn feed_ranges<D: Decode + ?Sized>(
    store: &Store,
    object: &ObjectFacts,
    wanted: Vec<Range<u64>>,
    budget: &Budget,
    decoder: &mut D,
    stop: &Stop,
) -> Result<Option<Reservation>> {
    match Prefetch::wait(store, object, wanted, budget, stop).await {
        Some(fetched) => fetched.feed(decoder, stop).await,
        None => Ok(None),
    }
}

/// A range in one buffer, which decoders cut without copying. A body comes in many small ones, and keeping those until
/// they are joined would need the memory twice.
pub(crate) async fn in_one_piece(store: &Store, object: &ObjectFacts, range: Range<u64>) -> Result<Bytes> {
    let whole = range.start == 0 && range.end >= object.size;
    let length = usize::try_from(range.end - range.start).unwrap_or_default();
    let mut body = store.get(object, (!whole).then_some(range)).await?;
    let mut joined = BytesMut::with_capacity(length);
    while let Some(bytes) = body.next().await? {
        joined.extend_from_slice(&bytes);
    }
    Ok(joined.freeze())
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        self.fetch.abort();
    }
}

/// The bytes of a range, as they came.
pub(crate) async fn pieces(store: &Store, object: &ObjectFacts, range: Range<u64>) -> Result<Vec<Bytes>> {
    let whole = range.start == 0 && range.end >= object.size;
    let mut body = store.get(object, (!whole).then_some(range)).await?;
    let mut pieces = Vec::new();
    while let Some(bytes) = body.next().await? {
        pieces.push(bytes);
    }
    Ok(pieces)
}
