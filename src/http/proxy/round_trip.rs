//! Sends one request on one connection and reads the head of the response.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use futures_lite::future;
use http::response::Parts;

use super::ProxySource;
use super::connection::Connection;
use super::failure::Failure;
use super::request_body::Progress;
use super::response;
use super::upload::{Upload, UploadError};
use crate::http::interim::Interim;
use crate::http1::{Head, HeadScan, Malformed, is_interim, read_head};
use crate::tls::is_certificate_refused;

/// Bytes of one read of the head. What is read beyond the head is content.
const READ_SIZE: usize = 4 * 1024;

/// Bounds of response heads, and what to do with interim ones.
pub(super) struct HeadOptions<'a> {
    pub(super) source: &'a ProxySource,
    /// Where interim responses go, if the client accepts them.
    pub(super) interim: Option<Interim>,
    /// What the response timeout is measured by.
    pub(super) progress: &'a Progress,
}

impl HeadOptions<'_> {
    /// Waits for `exchange` until nothing has moved for the response timeout, which begins now.
    pub(super) fn in_time<T>(
        &self,
        exchange: impl Future<Output = Result<T, Failure>>,
    ) -> impl Future<Output = Result<T, Failure>> {
        self.progress.begin();
        let stalled =
            async { Err(Failure::Stalled(self.progress.stalled(self.source.response_timeout).await)) };
        future::or(exchange, stalled)
    }

    fn on_interim(&self, head: Parts) -> Result<(), Malformed> {
        self.progress.heard();
        let (status, fields) = response::interim(head)?;
        if let Some(interim) = &self.interim {
            interim.send(status, fields);
        }
        Ok(())
    }
}

/// Sends a request and waits for the head of its response. Interim responses other than 101 are passed on; together
/// they may be as large as one head. The upload may still be under way afterwards.
///
/// Cancel safe: dropping the future closes the connection.
pub(super) fn round_trip(
    connection: Connection,
    upload: &mut Upload,
    options: &HeadOptions<'_>,
) -> impl Future<Output = Result<(Parts, Connection), Failure>> {
    let (mut refused, mut reading) = (None, HeadReader { options, scan: HeadScan::default(), read: 0 });
    // An asynchronous function would have two places for the connection.
    let mut open = Some(connection);
    poll_fn(move |cx| {
        let Some(connection) = &mut open else { return Poll::Pending };
        if refused.is_none()
            && let Poll::Ready(Err(error)) = upload.poll_send(cx, connection.link())
        {
            match error {
                UploadError::Client => return Poll::Ready(Err(Failure::Client)),
                // A write that fails over TLS may have sent a part of what it encrypted.
                UploadError::Upstream(error) if !upload.has_begun() && !connection.link().is_tls() => {
                    return Poll::Ready(Err(Failure::Unsent(error)));
                }
                // The upstream may have answered before it closed: read that.
                UploadError::Upstream(error) => refused = Some(error),
            }
        }
        let head = ready!(reading.poll_head(cx, connection)).map_err(|error| match (error, refused.take()) {
            (Failure::Unanswered(read), Some(refused)) if !is_certificate_refused(&read) => {
                Failure::Unanswered(refused)
            }
            (error, _) => error,
        });
        match (head, open.take()) {
            (Ok(head), Some(connection)) => Poll::Ready(Ok((head, connection))),
            (head, _) => Poll::Ready(Err(head.err().unwrap_or(Failure::Client))),
        }
    })
}

/// Reads a head, and the interim heads before it.
struct HeadReader<'a> {
    options: &'a HeadOptions<'a>,
    scan: HeadScan,
    /// Bytes read of all heads.
    read: usize,
}

impl HeadReader<'_> {
    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Connection,
    ) -> Poll<Result<Parts, Failure>> {
        let ProxySource { max_response_head: max_head, max_response_fields, .. } = *self.options.source;
        loop {
            let read = match ready!(connection.poll_more(cx, READ_SIZE)) {
                Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed")),
                read => read,
            };
            match read {
                Ok(len) => self.read += len,
                Err(error) if self.read > 0 => return Poll::Ready(Err(Failure::Cut(error))),
                Err(error) => return Poll::Ready(Err(Failure::Unanswered(error))),
            }
            while self.scan.is_due(connection.unread())
                && let Some(Head { parts, len }) = read_head(connection.unread(), max_response_fields)?
            {
                if len > max_head {
                    return Poll::Ready(Err(Failure::HeadTooLarge));
                }
                connection.unread().advance(len);
                self.scan = HeadScan::default();
                if !is_interim(parts.status) {
                    return Poll::Ready(Ok(parts));
                }
                if self.read - connection.unread().len() > max_head {
                    return Poll::Ready(Err(Failure::HeadTooLarge));
                }
                self.options
                    .on_interim(parts)
                    .map_err(|error| Failure::broken(format!("not an HTTP/1 response: {}", error.0)))?;
            }
            if connection.unread().len() >= max_head {
                return Poll::Ready(Err(Failure::HeadTooLarge));
            }
        }
    }
}
