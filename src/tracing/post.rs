//! Sends batches: a POST over hyper, on a new connection for each.
//!
//! At one batch a second, keeping a connection would gain nothing, and a kept one could be dead.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_lite::FutureExt;
use http::header::HOST;
use http::{HeaderValue, Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use opentelemetry_http::{HttpClient, HttpError};

use crate::clock::{Clock, Sleep};
use crate::rt::{self, Connect};
use crate::sync::Mutex;

/// Timeout of connecting, sending and the answer together.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of an answer that are read at most.
const MAX_ANSWER: usize = 64 * 1024;

/// Sends batches over HTTP/1.1, without TLS.
#[derive(Clone, Debug, Default)]
pub(super) struct Post(Arc<Mutex<Option<String>>>);

impl Post {
    /// Why the last request got no answer; the exporter does not report it.
    pub(super) fn fault(&self) -> Option<String> {
        self.0.lock().take()
    }
}

type Sent<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for Post {
    fn send_bytes<'a, 'b>(&'a self, request: Request<Bytes>) -> Sent<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        let clock: Arc<dyn Clock> = rt::clock();
        let late = async {
            Sleep::lasting(clock, TIMEOUT).await;
            Err(io::Error::new(io::ErrorKind::TimedOut, "the collector does not answer").into())
        };
        Box::pin(async move {
            let answer = send(request).or(late).await;
            let fault = answer.as_ref().err().map(ToString::to_string);
            *self.0.lock() = fault;
            answer
        })
    }
}

async fn send(mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let authority = request.uri().authority().ok_or("the collector's URL has no host")?.clone();
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = authority.port_u16().unwrap_or(80);
    let socket = rt::connect(&Connect { host, port, receive_buffer: None }).await?;
    request.headers_mut().insert(HOST, HeaderValue::from_str(authority.as_str())?);
    let path = request.uri().path().to_owned();
    *request.uri_mut() = Uri::try_from(path)?;
    let (mut sender, connection) = http1::handshake(socket).await?;
    let exchange = async {
        let response = sender.send_request(request.map(Whole)).await?;
        let (head, body) = response.into_parts();
        Ok(Response::from_parts(head, whole(body).await?))
    };
    // The connection lives while the exchange does.
    let driving = async {
        connection.await?;
        std::future::pending().await
    };
    exchange.or(driving).await
}

async fn whole(mut body: Incoming) -> Result<Bytes, HttpError> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if let Ok(data) = frame?.into_data() {
            if bytes.len() + data.len() > MAX_ANSWER {
                return Err("the collector's answer is longer than 64 KiB".into());
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes.freeze())
}

struct Whole(Bytes);

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = std::mem::take(&mut self.0);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}
