//! Tunnels: both connections after the sides agreed to change protocols (101).

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future;
use futures_lite::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, Cursor, split};
use http_body::Body;

use super::connection::Connection;
use super::upstream::Lease;
use crate::body::PacedBody;
use crate::clock::Clock;
use crate::filter::Chain;
use crate::generator::{Activity, ReadGenerator};
use crate::http::content::Content;
use crate::http::upgrade::Upgrade;
use crate::sync::Mutex;

/// Frames that one direction passes on before other tasks have a turn.
const FRAMES_OF_A_TURN: u64 = 16;

/// The two connections of a change of protocols (101), found in the response's extensions.
///
/// The task that sends the response takes it and runs [`relay`]; both connections are handed over once the response was
/// sent.
#[derive(Clone, Debug)]
pub struct Tunnel {
    client: Upgrade,
    /// Shared, since extensions must be `Clone` and there is one connection.
    upstream: Arc<Mutex<Option<(Connection, Lease)>>>,
    idle: Duration,
}

/// How a tunnel ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum TunnelEnd {
    /// Both sides closed.
    Closed {
        /// Bytes to the client.
        down: u64,
        /// Bytes to the upstream.
        up: u64,
    },
    /// Closed because nothing moved in either direction for this long.
    Idle(Duration),
    /// One side failed.
    Failed(io::Error),
}

impl Tunnel {
    pub(super) fn new(client: Upgrade, upstream: (Connection, Lease), idle: Duration) -> Self {
        Self { client, upstream: Arc::new(Mutex::new(Some(upstream))), idle }
    }
}

/// Copies bytes both ways until both sides have closed, one fails, or nothing moves for the source's
/// [`tunnel_timeout`](super::ProxySource::tunnel_timeout); returns which.
///
/// What the upstream sends is paced by the body that `paced` makes of it; what the client sends is not paced here: the
/// [server](crate::http::server) limits it as it does uploads. When one
/// side closes its sending half, the other direction goes on to its own end.
///
/// A tunnel has no framing, so a failure looks to the other side like an early close; the protocol inside must detect
/// it (WebSocket does).
pub async fn relay<B>(
    tunnel: Tunnel,
    paced: impl FnOnce(Content, Arc<dyn Clock>) -> B,
    clock: Arc<dyn Clock>,
) -> TunnelEnd
where
    B: Body<Data = bytes::Bytes> + Unpin,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let unpaced = |content, clock| PacedBody::new(content, Chain::new(), clock);
    relay_both(tunnel, paced, unpaced, clock).await
}

/// As [`relay`], with what the client sends paced too, by the body that `paced_up` makes of it.
pub(in crate::http) async fn relay_both<B, U>(
    tunnel: Tunnel,
    paced: impl FnOnce(Content, Arc<dyn Clock>) -> B,
    paced_up: impl FnOnce(Content, Arc<dyn Clock>) -> U,
    clock: Arc<dyn Clock>,
) -> TunnelEnd
where
    B: Body<Data = bytes::Bytes> + Unpin,
    B::Error: std::error::Error + Send + Sync + 'static,
    U: Body<Data = bytes::Bytes> + Unpin,
    U::Error: std::error::Error + Send + Sync + 'static,
{
    let (activity, idle) = (Activity::new(clock.now()), tunnel.idle);
    let copying = async {
        let client = tunnel.client.await?;
        let upstream = tunnel.upstream.lock().take();
        let upstream = upstream.ok_or_else(|| io::Error::other("the tunnel was already taken"))?;
        let (connection, _lease) = upstream;
        let (unread, upstream) = connection.into_parts();
        let (from_client, to_client) = split(client);
        let (from_upstream, to_upstream) = split(upstream);
        let from_upstream = Cursor::new(unread).chain(from_upstream);
        let body = Content::Stream(Box::new(ReadGenerator::new(from_upstream)));
        let body = paced(body, Arc::clone(&clock));
        let up = paced_up(Content::Stream(Box::new(ReadGenerator::new(from_client))), Arc::clone(&clock));
        let moved = || activity.touch(clock.now());
        future::try_zip(send(body, to_client, moved), send(up, to_upstream, moved)).await
    };
    let copying = async {
        match copying.await {
            Ok((down, up)) => TunnelEnd::Closed { down, up },
            Err(error) => TunnelEnd::Failed(error),
        }
    };
    let idling = async {
        activity.idle(&clock, idle).await;
        TunnelEnd::Idle(idle)
    };
    future::or(copying, idling).await
}

/// Sends a body, then closes. Returns the number of bytes.
async fn send<B>(mut body: B, mut to: impl AsyncWrite + Unpin, moved: impl Fn()) -> io::Result<u64>
where
    B: Body<Data = bytes::Bytes> + Unpin,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let mut sent = 0;
    for frames in 1_u64.. {
        let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await else { break };
        if let Ok(bytes) = frame.map_err(io::Error::other)?.into_data() {
            to.write_all(&bytes).await?;
            to.flush().await?;
            sent += bytes.len() as u64;
            moved();
        }
        // Between two peers that are both faster than this there is always more to do.
        if frames % FRAMES_OF_A_TURN == 0 {
            future::yield_now().await;
        }
    }
    to.close().await?;
    Ok(sent)
}
