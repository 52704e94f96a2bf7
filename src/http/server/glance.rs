//! Transfers under way as a sample of all of them needs them: what changes is read, and the rest is left where it is.

use std::sync::Arc;

use super::Handle;
use super::connection::Connection;
use super::report::{ConnectionReport, Protocol, TransferReport};
use super::transfer::Transfer;
use crate::budget::{ClientKey, Held};
use crate::clock::Instant;

/// A transfer, or a stream of raw TCP, at one instant.
pub(crate) struct Glance {
    /// The number of its connection, and its own there; a stream of raw TCP has 0.
    pub(crate) id: (u64, u64),
    /// Bytes of content passed on so far; of raw TCP those written to the client's socket.
    pub(crate) bytes: u64,
    /// The same of the request's content; of raw TCP those read from the socket.
    pub(crate) bytes_up: u64,
    /// What holds it.
    pub(crate) held: Option<Held>,
    /// Before its answer, what holds its upload, if that lasts.
    pub(crate) upload_held: Option<Option<Held>>,
    of: Of,
}

enum Of {
    Transfer { transfer: Arc<Transfer>, at: Instant },
    Stream(Box<ConnectionReport>),
}

impl Glance {
    fn transfer(connection: &Connection, number: u64, transfer: Arc<Transfer>, at: Instant) -> Self {
        let upload = transfer.upload();
        let is_uploading = transfer.answer().is_none() && upload.is_some_and(|upload| !upload.has_ended());
        Self {
            id: (connection.id, number),
            bytes: transfer.bytes(),
            bytes_up: upload.map_or(0, |upload| upload.bytes()),
            held: transfer.held(&connection.sink, at),
            upload_held: upload.filter(|_| is_uploading).map(|upload| upload.wait.held()),
            of: Of::Transfer { transfer, at },
        }
    }

    fn stream(report: ConnectionReport) -> Self {
        Self {
            id: (report.id, 0),
            bytes: report.bytes_written,
            bytes_up: report.bytes_read,
            held: report.held.clone(),
            upload_held: None,
            of: Of::Stream(Box::new(report)),
        }
    }

    /// The client that is charged; `None` for raw TCP, whose connection has one.
    pub(crate) fn client(&self) -> Option<&ClientKey> {
        match &self.of {
            Of::Transfer { transfer, .. } => Some(&transfer.requester.charged.key),
            Of::Stream(_) => None,
        }
    }

    /// The class of its client.
    pub(crate) fn class(&self) -> Option<&str> {
        match &self.of {
            Of::Transfer { transfer, .. } => {
                transfer.requester.charged.class.as_ref().map(|class| class.name())
            }
            Of::Stream(_) => None,
        }
    }

    /// The number of the route that answers; [`Handle::route_path`] has its path.
    pub(crate) fn route(&self) -> Option<usize> {
        match &self.of {
            Of::Transfer { transfer, .. } => transfer.route(),
            Of::Stream(_) => None,
        }
    }

    /// The connection of a stream of raw TCP.
    pub(crate) fn connection(&self) -> Option<&ConnectionReport> {
        match &self.of {
            Of::Transfer { .. } => None,
            Of::Stream(report) => Some(report),
        }
    }

    /// The report of a transfer: bytes and causes are those of the glance, and how long was waited is left out.
    pub(crate) fn report(&self, server: &Handle) -> Option<TransferReport> {
        let Of::Transfer { transfer, at } = &self.of else { return None };
        let waits = (self.held.clone(), Vec::new());
        let mut report = transfer.report_with(self.id.1, *at, waits, &server.0.telemetry);
        report.bytes = self.bytes;
        if let Some(upload) = &mut report.upload {
            upload.bytes = self.bytes_up;
        }
        Some(report)
    }
}

impl Handle {
    /// The path of the route with this number.
    pub(crate) fn route_path(&self, route: usize) -> String {
        self.0.telemetry.path(route)
    }

    /// Looks at what is under way on at most `most` connections with numbers above `after`, in ascending order. Returns the
    /// last of these numbers; `None` if there is no such connection.
    pub(crate) fn glance_after(&self, after: u64, most: usize, glances: &mut Vec<Glance>) -> Option<u64> {
        let at = self.0.clock.now();
        let (mut last, mut transfers) = (None, Vec::new());
        for connection in self.0.registry.behind(after, most) {
            last = Some(connection.id);
            connection.exchanges.copy_transfers(&mut transfers);
            let of_connection = transfers.drain(..);
            glances.extend(
                of_connection.map(|(number, transfer)| Glance::transfer(&connection, number, transfer, at)),
            );
            if connection.protocol.get() == Some(&Protocol::Tcp) {
                glances.push(Glance::stream(connection.report()));
            }
        }
        last
    }
}
