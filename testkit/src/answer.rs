//! The body of an answer on its way out: as it is, or cut, stalled, slowed or flipped by a fault.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use s3s::{Body as S3Body, StdError};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::connection::Connection;
use crate::faults::Action;

/// The pause between two pieces of a slow body.
const SLOW_STEP: Duration = Duration::from_millis(20);
/// Time for the client to read what was sent before a reset: some systems drop it otherwise.
const BEFORE_RESET: Duration = Duration::from_millis(10);

/// The body of one answer.
pub(crate) struct AnswerBody {
    inner: S3Body,
    connection: Arc<Connection>,
    fault: Option<Fault>,
    /// Bytes of the body so far.
    position: u64,
}

struct Fault {
    kind: Kind,
    /// Bytes that came from the inner body and may not leave yet.
    held: Bytes,
    timer: Pin<Box<Sleep>>,
}

enum Kind {
    /// Ends the connection at this byte, with RST or with FIN.
    Cut { at: u64, reset: bool, flush_mark: Option<u64> },
    /// Waits once before this byte.
    Stall { at: u64, pause: Duration, waiting: bool },
    /// Hands out so many bytes per step.
    Slow { step_bytes: usize },
    /// Inverts the lowest bit of this byte.
    Flip { at: u64 },
}

impl AnswerBody {
    /// Wraps a body; `action` is the fault of the answer if there is one that concerns the body.
    pub(crate) fn new(inner: S3Body, connection: Arc<Connection>, action: Option<&Action>) -> Self {
        let length = inner.size_hint().exact().unwrap_or(u64::MAX);
        let kind = match action {
            Some(Action::ResetAfter(at)) if *at < length => Kind::Cut { at: *at, reset: true, flush_mark: None },
            Some(Action::ShortBody(at)) if *at < length => Kind::Cut { at: *at, reset: false, flush_mark: None },
            Some(Action::StallAfter { bytes, ms }) => {
                Kind::Stall { at: *bytes, pause: Duration::from_millis(*ms), waiting: false }
            }
            Some(Action::SlowBody { bytes_per_second }) => {
                let step = bytes_per_second * u64::try_from(SLOW_STEP.as_millis()).unwrap_or(1) / 1000;
                Kind::Slow { step_bytes: usize::try_from(step.max(1)).unwrap_or(usize::MAX) }
            }
            Some(Action::FlipByte(at)) => Kind::Flip { at: *at },
            _ => return Self { inner, connection, fault: None, position: 0 },
        };
        let timer = Box::pin(sleep_until(Instant::now()));
        let fault = Fault { kind, held: Bytes::new(), timer };
        Self { inner, connection, fault: Some(fault), position: 0 }
    }

    fn poll_faulty(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let Some(fault) = &mut self.fault else { return Poll::Ready(None) };
        if ready!(fault.poll_before(self.position, &self.connection, context)) {
            return Poll::Ready(Some(Err(io::Error::other("the connection is cut by a fault").into())));
        }
        if fault.held.is_empty() {
            match ready!(Pin::new(&mut self.inner).poll_frame(context)) {
                Some(Ok(frame)) => fault.held = frame.into_data().unwrap_or_default(),
                other => return Poll::Ready(other),
            }
        }
        let piece = fault.next_piece(self.position);
        self.position += piece.len() as u64;
        if let Kind::Cut { at, flush_mark, .. } = &mut fault.kind
            && *at == self.position
        {
            *flush_mark = Some(self.connection.flushes());
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

impl Fault {
    /// Waits as long as the fault wants before the byte at `position`; true when the connection ends here.
    fn poll_before(&mut self, position: u64, connection: &Connection, context: &mut Context<'_>) -> Poll<bool> {
        match &mut self.kind {
            Kind::Cut { at, reset, flush_mark } if *at == position => {
                // At byte 0 the head has not been flushed either; it counts from the first look on.
                let mark = *flush_mark.get_or_insert_with(|| connection.flushes());
                if mark != u64::MAX {
                    ready!(connection.poll_flushed(mark, context));
                    *flush_mark = Some(u64::MAX);
                    self.timer.as_mut().reset(Instant::now() + BEFORE_RESET);
                }
                ready!(self.timer.as_mut().poll(context));
                if *reset {
                    connection.reset_on_close();
                }
                return Poll::Ready(true);
            }
            Kind::Stall { at, pause, waiting } if *at == position => {
                if !*waiting {
                    *waiting = true;
                    self.timer.as_mut().reset(Instant::now() + *pause);
                }
                ready!(self.timer.as_mut().poll(context));
            }
            Kind::Slow { .. } if position > 0 => {
                ready!(self.timer.as_mut().poll(context));
                // From the last deadline on, so that a late wake-up does not lower the rate.
                let next = self.timer.deadline() + SLOW_STEP;
                self.timer.as_mut().reset(next);
            }
            _ => (),
        }
        Poll::Ready(false)
    }

    /// Takes as much of what is held as may leave at once.
    fn next_piece(&mut self, position: u64) -> Bytes {
        let until =
            |at: u64| if at > position { usize::try_from(at - position).unwrap_or(usize::MAX) } else { usize::MAX };
        let most = match self.kind {
            Kind::Cut { at, .. } | Kind::Stall { at, .. } => until(at),
            Kind::Slow { step_bytes } => step_bytes,
            Kind::Flip { .. } => usize::MAX,
        };
        let piece = self.held.split_to(self.held.len().min(most));
        match self.kind {
            Kind::Flip { at } if at >= position && at < position + piece.len() as u64 => {
                let mut flipped = BytesMut::from(&piece[..]);
                if let Some(byte) = usize::try_from(at - position).ok().and_then(|index| flipped.get_mut(index)) {
                    *byte ^= 1;
                }
                flipped.freeze()
            }
            _ => piece,
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        if self.fault.is_some() {
            return self.poll_faulty(context);
        }
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.fault.as_ref().is_none_or(|fault| fault.held.is_empty()) && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let inner = self.inner.size_hint();
        match (&self.fault, inner.exact()) {
            (Some(fault), Some(left)) => SizeHint::with_exact(left + fault.held.len() as u64),
            _ => inner,
        }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        let cut = matches!(&self.fault, Some(Fault { kind: Kind::Cut { flush_mark: Some(_), .. }, .. }));
        if !cut {
            self.connection.update(crate::request_log::Exchange::body_ended);
        }
    }
}
