//! A relay: bytes both ways between a client and an upstream, until both have said all.

use std::sync::Arc;
use std::time::Duration;

use futures_lite::future;

use super::cut::Cut;
use super::half::Half;
use super::record::{Direction, Record};
use super::sending::{Fault, Sending};
use crate::body::PacedBody;
use crate::budget::Gate;
use crate::clock::Sleep;
use crate::filter::Chain;
use crate::generator::ReadGenerator;
use crate::rt::Socket;
use crate::sink::Sink;

/// Relays until both sides have closed, one fails, or nothing moves for `idle`.
///
/// `down` and `gate` pace what the client gets, `up` what the upstream gets; either side is then not read,
/// so that TCP pushes back on it. A side that closes its sending half alone is heard to the end of the
/// other's. A stream cut on one side is reset on the other: bytes without framing have no other way to say
/// that some are missing.
pub(super) async fn relay(
    sink: Sink,
    upstream: Socket,
    (down, gate): (Chain, Gate),
    up: Chain,
    idle: Duration,
    record: &Arc<Record>,
) -> Result<(), Fault> {
    let state = Arc::clone(sink.state());
    let (client, upstream) = (Half::new(sink), Half::new(upstream));
    let mut cut = Cut::new(Arc::clone(&state), &client, record);
    cut.and(&upstream);
    let down = Sending::new(
        PacedBody::new(ReadGenerator::new(upstream.clone()), down, Arc::clone(record.clock())).through(gate),
        client.clone(),
        Some(state),
        Direction { record: Arc::clone(record), down: true },
    );
    let up = Sending::new(
        PacedBody::new(ReadGenerator::new(client), up, Arc::clone(record.clock())),
        upstream,
        None,
        Direction { record: Arc::clone(record), down: false },
    );
    let down = async {
        down.await?;
        record.completed();
        Ok(())
    };
    let up = async {
        match up.await {
            // It takes no more; what it has yet to say, the other direction hears.
            Err(Fault::Reader(error)) => {
                log::debug!(error:%; "an upstream took no more");
                Ok(())
            }
            ended => ended,
        }
    };
    let both = async { future::try_zip(down, up).await.map(|_| ()) };
    future::or(both, silence(idle, record)).await?;
    cut.ended();
    Ok(())
}

/// An error when nothing has moved for `idle`.
async fn silence(idle: Duration, record: &Record) -> Result<(), Fault> {
    loop {
        let due = record.activity().last() + idle;
        if record.clock().now() >= due {
            return Err(Fault::Idle);
        }
        Sleep::until(Arc::clone(record.clock()), due).await;
    }
}
