//! What to do when the system hands over no connection: one rule for every listener.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::io::Errno;

use crate::clock::{Clock, Sleep};

/// How long to wait when the system has no descriptors or memory for another connection.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Whether the log was told of the spell of errors that goes on.
#[derive(Debug, Default)]
pub(super) struct Complaint(AtomicBool);

/// Accepts until there is a connection. An error of one connection is passed over at once; behind any other, which
/// the log is told once for each spell, it waits for 100 ms.
///
/// Cancel safe if `accept` is.
pub(super) async fn next<T, F>(
    mut accept: impl FnMut() -> F,
    complaint: &Complaint,
    listener: impl Fn() -> String,
    clock: &Arc<dyn Clock>,
) -> T
where
    F: Future<Output = io::Result<T>>,
{
    loop {
        match accept().await {
            Ok(connection) => {
                complaint.0.store(false, Ordering::Relaxed);
                return connection;
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                // The log must not fill the disk while descriptors are short.
                if !complaint.0.swap(true, Ordering::Relaxed) {
                    log::error!(listener = listener(), error:%; "cannot accept connections; trying again every 100 ms");
                }
                Sleep::lasting(Arc::clone(clock), EXHAUSTED_PAUSE).await;
            }
        }
    }
}

/// Whether the error says something of a connection that ended before we took it, not of us: Linux passes on
/// what happened to it in the meantime, and what a packet filter forbids (accept(2), "Error handling").
fn is_of_one_connection(error: &io::Error) -> bool {
    [
        Errno::CONNABORTED,
        Errno::CONNRESET,
        Errno::CONNREFUSED,
        Errno::INTR,
        Errno::PERM,
        Errno::PROTO,
        Errno::NOPROTOOPT,
        Errno::OPNOTSUPP,
        Errno::NETDOWN,
        Errno::NETUNREACH,
        Errno::HOSTDOWN,
        Errno::HOSTUNREACH,
        Errno::NONET,
        Errno::TIMEDOUT,
    ]
    .contains(&Errno::from_io_error(error).unwrap_or(Errno::BADF))
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn an_error_of_one_connection_costs_no_time_and_one_of_ours_a_pause() {
        let manual = Arc::new(ManualClock::new());
        let clock: Arc<dyn Clock> = Arc::clone(&manual) as _;
        let complaint = Complaint::default();
        let mut script = [
            Err(Errno::CONNABORTED),
            Err(Errno::PROTO),
            Err(Errno::PERM),
            Err(Errno::MFILE),
            Err(Errno::CONNABORTED),
            Err(Errno::NOBUFS),
            Ok("connection"),
        ]
        .into_iter();
        let left = std::cell::Cell::new(7);
        let accept = || {
            left.set(left.get() - 1);
            std::future::ready(script.next().unwrap().map_err(io::Error::from))
        };
        let mut next = pin!(next(accept, &complaint, || "127.0.0.1:80".to_owned(), &clock));
        let mut cx = Context::from_waker(Waker::noop());
        for (millis, expected) in [(0, 3), (99, 3), (1, 1), (99, 1)] {
            manual.advance(Duration::from_millis(millis));
            assert!(next.as_mut().poll(&mut cx).is_pending());
            assert_eq!(left.get(), expected);
            assert!(complaint.0.load(Ordering::Relaxed));
        }
        manual.advance(Duration::from_millis(1));
        assert_eq!(next.as_mut().poll(&mut cx), Poll::Ready("connection"));
        assert!(!complaint.0.load(Ordering::Relaxed), "the next spell is told again");
    }

    #[test]
    fn what_lacks_is_ours() {
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::BADF, Errno::INVAL] {
            assert!(!is_of_one_connection(&errno.into()), "{errno}");
        }
        assert!(!is_of_one_connection(&io::Error::other("no number")));
    }
}
