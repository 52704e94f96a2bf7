//! Sends a file to a client.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_lite::future;
use futures_lite::io::AsyncReadExt;

use super::StreamError;
use super::record::{Direction, Record};
use super::send_body::SendBody;
use super::shared_conn::{ResetGuard, SharedConn};
use super::tail::Tail;
use crate::body::PacedBody;
use crate::budget::Gate;
use crate::clock::Sleep;
use crate::filter::Chain;
use crate::rt::FileReader;
use crate::sink::{Sink, Wire};

/// Bytes read from a client and discarded. Of a client that sends more, the rest stays unread.
const MAX_DISCARDED: usize = 64 * 1024;

/// Time for a client to close after the last byte. Closing first, with bytes of the client unread, would send a reset,
/// which can destroy bytes still in flight.
const LINGER: Duration = Duration::from_secs(2);

pub(super) async fn serve<W: Wire + Send + 'static>(
    sink: Sink<W>,
    tail: Tail,
    chain: Chain,
    gate: Gate,
    record: &Arc<Record>,
) -> Result<(), StreamError> {
    let state = Arc::clone(sink.state());
    let client = SharedConn::new(sink);
    let _guard = ResetGuard::new(state, &client, record);
    let body =
        PacedBody::with_files(tail, chain, Arc::clone(record.clock()), FileReader::new()).with_gate(gate);
    let direction = Direction { record: Arc::clone(record), down: true };
    let sending = SendBody::new(body, client.clone(), direction);
    let closed = AtomicBool::new(false);
    // Notices that a client has left, also while the file does not grow. One that closed only its sending half is
    // still sent the file.
    let watching = async {
        discard(client.clone()).await?;
        closed.store(true, Ordering::Relaxed);
        future::pending().await
    };
    future::or(sending, watching).await?;
    record.completed();
    if !closed.load(Ordering::Relaxed) {
        let linger = async {
            Sleep::lasting(Arc::clone(record.clock()), LINGER).await;
            Ok(())
        };
        // The client has everything; how it closes does not matter.
        let _ = future::or(discard(client), linger).await;
    }
    Ok(())
}

/// Reads and discards what the client sends, until it closes its half.
async fn discard<W: Wire>(mut client: SharedConn<Sink<W>>) -> Result<(), StreamError> {
    let mut buf = [0; 1024];
    let mut discarded = 0;
    loop {
        match client.read(&mut buf).await.map_err(StreamError::Client)? {
            0 => return Ok(()),
            n => discarded += n,
        }
        if discarded > MAX_DISCARDED {
            future::pending::<()>().await;
        }
    }
}
