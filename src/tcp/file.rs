//! A file for whoever connects.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_lite::future;
use futures_lite::io::AsyncReadExt;

use super::cut::Cut;
use super::half::Half;
use super::record::{Direction, Record};
use super::sending::{Fault, Sending};
use super::tail::Tail;
use crate::body::PacedBody;
use crate::budget::Gate;
use crate::clock::Sleep;
use crate::filter::Chain;
use crate::sink::Sink;

/// What a client may say though nobody asked it; it is thrown away. One that says more is not read any
/// further.
const MAX_HEARD: usize = 64 * 1024;

/// How long a client has to close after the last byte. Closing first with something unread would be a
/// reset, which may destroy bytes that are still on their way.
const LINGER: Duration = Duration::from_secs(2);

/// Sends a file to its end.
pub(super) async fn serve(
    sink: Sink,
    tail: Tail,
    chain: Chain,
    gate: Gate,
    record: &Arc<Record>,
) -> Result<(), Fault> {
    let state = Arc::clone(sink.state());
    let client = Half::new(sink);
    let _cut = Cut::new(Arc::clone(&state), &client, record);
    let body = PacedBody::new(tail, chain, Arc::clone(record.clock())).through(gate);
    let direction = Direction { record: Arc::clone(record), down: true };
    let sending = Sending::new(body, client.clone(), Some(state), direction);
    let closed = AtomicBool::new(false);
    // Also a quiet file's client is missed when it goes. One that closes its half only, may read on.
    let watching = async {
        hear(client.clone()).await?;
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
        // It has all there is; how it leaves does not matter.
        let _ = future::or(hear(client), linger).await;
    }
    Ok(())
}

/// Throws away what a client says, to its end.
async fn hear(mut client: Half<Sink>) -> Result<(), Fault> {
    let mut buf = [0; 1024];
    let mut heard = 0;
    loop {
        match client.read(&mut buf).await.map_err(Fault::Reader)? {
            0 => return Ok(()),
            n => heard += n,
        }
        if heard > MAX_HEARD {
            future::pending::<()>().await;
        }
    }
}
