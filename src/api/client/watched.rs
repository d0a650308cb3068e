//! A stream that remembers why the peer refused it.
//!
//! In TLS 1.3 the client's handshake is over before the server has looked at its certificate: the
//! refusal comes as an alert where the first answer is expected, and HTTP reports it as a broken
//! connection. But a server that refuses the handshake has read no request, which is the difference
//! between "nothing happened" and "it may have happened".

use std::{
    io,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use rustls::AlertDescription;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The alert by which the peer refused the handshake, once it has come.
#[derive(Debug, Default)]
pub(super) struct Refusal(OnceLock<AlertDescription>);

/// A TLS stream whose errors are looked at.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    refusal: Arc<Refusal>,
    /// Why a write failed, until what the peer had sent before is read.
    failed: Option<io::Error>,
}

/// How much is looked through for an alert after a failed write.
const LEFT_MAX_BYTES: usize = 64 << 10;

impl Refusal {
    /// The alert's name.
    pub(super) fn alert(&self) -> Option<String> {
        self.0.get().map(|alert| format!("{alert:?}"))
    }

    fn note(&self, error: &io::Error) {
        let inner = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::AlertReceived(alert)) = inner
            && is_of_certificate(*alert)
        {
            // The first one is the reason; there is none after it.
            let _ = self.0.set(*alert);
        }
    }
}

/// The alerts that only the handshake has (RFC 8446 §6.2): they come from the peer that holds the
/// connection's keys, before it reads any data.
fn is_of_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::HandshakeFailure
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError
            | AlertDescription::CertificateRequired
    )
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            refusal: Arc::default(),
            failed: None,
        }
    }

    pub(super) fn refusal(&self) -> Arc<Refusal> {
        Arc::clone(&self.refusal)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Watched<S> {
    /// Writes, and after a failed write reads: a peer that refuses and closes makes writes fail
    /// while its alert waits unread.
    fn write<T>(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if self.failed.is_none() {
            match write(Pin::new(&mut self.stream), context) {
                Poll::Ready(Err(error)) => {
                    self.refusal.note(&error);
                    self.failed = Some(error);
                }
                other => return other,
            }
        }
        ready!(self.read_left(context));
        let error = self.failed.take();
        Poll::Ready(Err(
            error.unwrap_or_else(|| io::ErrorKind::BrokenPipe.into())
        ))
    }

    fn read_left(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [0; 1024];
        let mut read = 0_usize;
        while read < LEFT_MAX_BYTES {
            let mut buffer = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer)) {
                Ok(()) if buffer.filled().is_empty() => break,
                Ok(()) => read = read.saturating_add(buffer.filled().len()),
                Err(error) => {
                    self.refusal.note(&error);
                    break;
                }
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Poll::Ready(Err(error)) = &outcome {
            self.refusal.note(error);
        }
        outcome
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(context, |stream, context| {
            stream.poll_write_vectored(context, slices)
        })
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write(context, |stream, context| stream.poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write(context, |stream, context| stream.poll_shutdown(context))
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// Refuses every write, and has this to read.
    struct Closed(Vec<Result<&'static [u8], rustls::Error>>);

    impl AsyncRead for Closed {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _context: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            match self.0.pop() {
                Some(Ok(bytes)) => buffer.put_slice(bytes),
                Some(Err(error)) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
                }
                None => {}
            }
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Closed {
        fn poll_write(
            self: Pin<&mut Self>,
            _context: &mut Context<'_>,
            _bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// The refusal after a write that fails.
    fn refusal(left: Vec<Result<&'static [u8], rustls::Error>>) -> Option<String> {
        let mut watched = Watched::new(Closed(left));
        let mut context = Context::from_waker(Waker::noop());
        let written = Pin::new(&mut watched).poll_write(&mut context, b"request");
        assert!(
            matches!(written, Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe)
        );
        watched.refusal().alert()
    }

    #[test]
    fn an_alert_behind_a_failed_write_is_found() {
        let alert = |alert| Err(rustls::Error::AlertReceived(alert));
        let revoked = || alert(AlertDescription::CertificateRevoked);
        assert_eq!(
            refusal(vec![revoked()]).as_deref(),
            Some("CertificateRevoked")
        );
        assert_eq!(
            refusal(vec![revoked(), Ok(b"other")]).as_deref(),
            Some("CertificateRevoked")
        );
        assert_eq!(refusal(vec![alert(AlertDescription::InternalError)]), None);
        assert_eq!(refusal(Vec::new()), None);
    }
}
