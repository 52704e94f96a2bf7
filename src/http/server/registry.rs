//! The live connections of a server by their numbers, to report and to close.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use super::Handle;
use super::connection::Connection;
use super::report::ConnectionReport;
use crate::sync::Mutex;

/// All connections that are served.
#[derive(Default)]
pub(super) struct Registry(Mutex<BTreeMap<u64, Weak<Connection>>>);

impl Registry {
    pub(super) fn add(&self, id: u64, connection: Weak<Connection>) {
        self.0.lock().insert(id, connection);
    }

    pub(super) fn remove(&self, id: u64) {
        self.0.lock().remove(&id);
    }

    fn get(&self, id: u64) -> Option<Arc<Connection>> {
        self.0.lock().get(&id)?.upgrade()
    }

    /// The first `most` connections with numbers above `after`.
    pub(super) fn behind(&self, after: u64, most: usize) -> Vec<Arc<Connection>> {
        let live = self.0.lock();
        // Collected under the lock and dropped outside it: dropping the last takes the lock again.
        live.range((Excluded(after), Unbounded)).filter_map(|(_, weak)| weak.upgrade()).take(most).collect()
    }

    /// Adds the content so far of responses and streams under way to the counts of their routes.
    pub(super) fn count_content(&self) {
        for connection in self.all() {
            connection.exchanges.count_content(&connection.server.telemetry);
        }
    }

    /// All connections.
    pub(super) fn all(&self) -> Vec<Arc<Connection>> {
        self.behind(0, usize::MAX)
    }
}

impl Handle {
    /// The number of connections being served, without refused ones.
    pub fn connections(&self) -> usize {
        self.0.connections.load(Ordering::Relaxed)
    }

    /// Reports live connections with numbers above `after` in ascending order: at most `most`, and no more once they
    /// have `most_transfers` under way together. Refused connections are left out.
    pub fn connections_after(&self, after: u64, most: usize, most_transfers: usize) -> Vec<ConnectionReport> {
        let mut transfers = 0;
        let mut reports = Vec::new();
        for connection in self.0.registry.behind(after, most) {
            if transfers >= most_transfers {
                break;
            }
            let report = connection.report();
            transfers += report.transfers.len();
            reports.push(report);
        }
        reports
    }

    /// Reports the live connection with this number.
    pub fn connection(&self, id: u64) -> Option<ConnectionReport> {
        self.0.registry.get(id).map(|connection| connection.report())
    }

    /// Resets a connection, so that its client cannot take a response under way for complete. Logs `by` as who asked.
    /// False if there is no such connection.
    pub fn close_connection(&self, id: u64, by: &str) -> bool {
        let Some(connection) = self.0.registry.get(id) else { return false };
        if connection.close() {
            let route = connection.server.telemetry.path(connection.exchanges.last_route());
            log::warn!(
                connection = id,
                client:% = connection.client_addr(),
                peer:% = connection.ends.peer,
                route = route.as_str(),
                bytes_written = connection.sink.counts().bytes_written(),
                by;
                "closed by the admin listener: connection reset"
            );
        }
        true
    }
}
