//! The end of logs in a shared store, read on a connection of its own: reading waits.

use std::time::Duration;

use redis::aio::MultiplexedConnection;

use super::link::{Link, LinkError, Script, in_time};
use crate::clock::Clock;
use crate::rt;

/// What is read of one log: its key, and its entries in order.
pub(crate) type LogEntries = (String, Vec<LogEntry>);

/// An entry: its id, and its fields and their values by turns.
pub(crate) type LogEntry = (String, Vec<String>);

/// A connection that waits for entries.
pub(crate) struct Tail {
    connection: MultiplexedConnection,
    /// The number that the store has for it.
    id: i64,
}

impl Tail {
    pub(super) fn new(connection: MultiplexedConnection, id: i64) -> Self {
        Self { connection, id }
    }

    /// What [`Link::wake`] is passed.
    pub(crate) fn id(&self) -> i64 {
        self.id
    }

    /// Runs a script without keys on the same connection.
    ///
    /// # Errors
    /// The store does not answer within `patience`, or refuses.
    pub(crate) async fn run(
        &mut self,
        script: &Script,
        args: &[&str],
        patience: Duration,
    ) -> Result<Vec<String>, LinkError> {
        let call = async { script.invoke(&mut self.connection, &[], args).await };
        in_time(rt::clock().now() + patience, call).await
    }

    /// Reads at most `most` entries of each log behind the ids in `after`. Waits up to `wait` if there are none. After an error, or when
    /// it is dropped before it is done, the connection cannot be used any more.
    ///
    /// # Errors
    /// The store does not answer within `patience` after that, or refuses.
    pub(crate) async fn read(
        &mut self,
        after: &[(String, String)],
        most: usize,
        wait: Duration,
        patience: Duration,
    ) -> Result<Vec<LogEntries>, LinkError> {
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(most).arg("BLOCK").arg(wait.as_millis().max(1) as u64).arg("STREAMS");
        after.iter().for_each(|(key, _)| _ = command.arg(key));
        after.iter().for_each(|(_, id)| _ = command.arg(id));
        let read = async {
            let read: Result<Option<Vec<LogEntries>>, _> = command.query_async(&mut self.connection).await;
            read.map(Option::unwrap_or_default).map_err(LinkError::of_store)
        };
        in_time(rt::clock().now() + wait + patience, read).await
    }
}

impl Link {
    /// Opens a connection that waits for entries.
    ///
    /// # Errors
    /// The store cannot be reached within `patience`, or refuses.
    pub(crate) async fn tail(&self, patience: Duration) -> Result<Tail, LinkError> {
        let opened = async {
            let mut connection = self.connect().await?;
            let id = redis::cmd("CLIENT").arg("ID").query_async(&mut connection).await;
            Ok(Tail::new(connection, id.map_err(LinkError::of_store)?))
        };
        in_time(rt::clock().now() + patience, opened).await
    }

    /// Has the tail of this number answer at once.
    ///
    /// # Errors
    /// The store cannot be reached within `patience`, or refuses.
    pub(crate) async fn wake(&self, tail: i64, patience: Duration) -> Result<(), LinkError> {
        let woken = async {
            let (mut connection, _) = self.connection().await?;
            let woken: Result<i64, _> =
                redis::cmd("CLIENT").arg("UNBLOCK").arg(tail).query_async(&mut connection).await;
            woken.map(drop).map_err(LinkError::of_store)
        };
        in_time(rt::clock().now() + patience, woken).await
    }
}
