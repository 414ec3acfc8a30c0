//! The socket below hyper: counts the body bytes that really leave, and can end with a reset.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::task::AtomicWaker;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::request_log::Exchange;

/// What the socket, the service and the answer's body of one connection share.
#[derive(Default)]
pub(crate) struct Connection {
    reset: AtomicBool,
    flushes: AtomicU64,
    flushed: AtomicWaker,
    exchange: Mutex<Option<Exchange>>,
}

impl Connection {
    /// From now on, closing the socket sends RST instead of FIN.
    pub(crate) fn reset_on_close(&self) {
        self.reset.store(true, Ordering::Release);
    }

    /// How often everything written so far had left. A larger number later means: what was handed over before is out.
    pub(crate) fn flushes(&self) -> u64 {
        self.flushes.load(Ordering::Acquire)
    }

    /// Ready as soon as more flushes were seen than `mark`.
    pub(crate) fn poll_flushed(&self, mark: u64, context: &Context<'_>) -> Poll<()> {
        self.flushed.register(context.waker());
        if self.flushes() > mark { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Begins the account of a request; one that was still open is closed first.
    pub(crate) fn begin(&self, exchange: Exchange) {
        let earlier = self.exchange().replace(exchange);
        drop(earlier);
    }

    /// Changes the account of the request that is being answered.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Exchange)) {
        if let Some(exchange) = self.exchange().as_mut() {
            change(exchange);
        }
    }

    fn exchange(&self) -> MutexGuard<'_, Option<Exchange>> {
        self.exchange.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wrote(&self, slices: &[io::IoSlice<'_>], mut count: usize) {
        let mut exchange = self.exchange();
        let Some(exchange) = exchange.as_mut() else { return };
        for slice in slices {
            let taken = slice.len().min(count);
            exchange.wrote(&slice[..taken]);
            count -= taken;
            if count == 0 {
                break;
            }
        }
    }

    fn all_written(&self) {
        self.flushes.fetch_add(1, Ordering::AcqRel);
        let mut exchange = self.exchange();
        if exchange.as_mut().is_some_and(Exchange::all_written) {
            *exchange = None;
        }
        drop(exchange);
        self.flushed.wake();
    }
}

/// A TCP stream that reports to its [`Connection`].
pub(crate) struct Socket {
    stream: TcpStream,
    connection: Arc<Connection>,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream, connection: Arc<Connection>) -> Self {
        Self { stream, connection }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.connection.reset.load(Ordering::Acquire) {
            // A lingering time of zero makes the kernel send RST when the socket is closed, which is next.
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
        *self.connection.exchange() = None;
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(count)) = written {
            self.connection.wrote(&[io::IoSlice::new(bytes)], count);
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        if let Poll::Ready(Ok(count)) = written {
            self.connection.wrote(slices, count);
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes when its own buffer is empty: then everything it was given has been written.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.all_written();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.connection.reset.load(Ordering::Acquire) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
