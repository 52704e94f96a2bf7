//! Raw TCP ports: their streams are counted, limited and drained with the server's other connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future;

use super::account::{NOTHING, apart_from, longest_held, shown};
use super::connection::Connection;
use super::transfer::per_second;
use super::{Handle, Protocol, Stage};
use crate::budget::HeldBy;
use crate::clock::Instant;
use crate::http::budgets::{Charged, UPLOAD};
use crate::limit::RateOrOff;
use crate::logging::{AccessLine, Subject};
use crate::rt::serve::Stages;
use crate::sink::{Sink, Wire};
use crate::tcp::{Client, Record, Service, StreamError};
use crate::telemetry::{Ended, Outcome};

/// A TCP port and its service.
pub struct Port {
    addr: SocketAddr,
    name: String,
    number: usize,
    service: Service,
}

opaque!(Port);

impl Port {
    pub(super) fn new(addr: SocketAddr, name: String, number: usize, service: Service) -> Self {
        Self { addr, name, number, service }
    }

    /// Its name in logs and metrics: `tcp:127.0.0.1:7070`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address that it listens on, with its real port.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its service, whose limits are live.
    pub fn service(&self) -> &Service {
        &self.service
    }
}

impl Handle {
    /// The raw TCP ports, whose limits are live.
    pub fn ports(&self) -> Vec<Arc<Port>> {
        self.0.ports.read().clone()
    }
}

/// Serves one connection of a port until its stream ends or the server stops.
pub(super) async fn serve<W: Wire + Send + 'static>(
    sink: Sink<W>,
    connection: Arc<Connection>,
    port: Arc<Port>,
) {
    let server = Arc::clone(&connection.server);
    let clock = Arc::clone(&server.clock);
    let _ = connection.protocol.set(Protocol::Tcp);
    let ends = &connection.ends;
    let charged = server.budgets.charged_stream(ends.client, connection.certificate());
    let class = charged.class.as_deref();
    let client = Client {
        key: charged.key.clone(),
        source: ends.client.addr(),
        destination: ends.destination.or(ends.local),
    };
    let stream = Stream {
        charged: charged.clone(),
        began: clock.now(),
        record: Record::new(clock),
        connection: Arc::clone(&connection),
        port,
    };
    let stages = Arc::new(Stages::default());
    let idle = connection.settings.idle_timeout;
    connection.exchanges.set_stream(&stream.record, stream.port.number);
    let budgets = (server.budgets.clients_of(class), server.budgets.uploads_of(class));
    let serving = stream.port.service.serve(sink, &client, budgets, idle, &stages, &stream.record);
    let ending = async {
        server.reached(Stage::Draining).await;
        stages.reach(Stage::Draining);
        server.reached(Stage::Stopped).await;
        Ok(())
    };
    let closed = async {
        connection.closer.closed().await;
        Ok(())
    };
    let ended = future::or(future::or(serving, ending), closed).await;
    if connection.sink.given_up().is_some() {
        // The connection logs it when it ends.
        return;
    }
    let (client, peer) = (connection.ends.client, connection.ends.peer);
    match ended {
        Ok(()) => {}
        Err(StreamError::Source(error)) => connection.log_cut(&stream.port.name, &error),
        Err(StreamError::Idle) => connection.log_idle_tunnel("idle_timeout", idle),
        Err(error) => {
            log::debug!(connection = connection.id, client:%, peer:%, error:%; "stream ended early");
        }
    }
}

/// A stream under way; counted and logged when dropped.
struct Stream {
    /// What the client is charged by.
    charged: Charged,
    connection: Arc<Connection>,
    port: Arc<Port>,
    record: Arc<Record>,
    began: Instant,
}

impl Stream {
    fn log(&self, bytes: u64, lasted: Duration, outcome: Outcome) {
        let ((waits, turns), (waits_up, mut turns_up)) = (self.record.waited_down(), self.record.waited_up());
        turns_up.push((UPLOAD.into(), waits_up.pace));
        let connection = self.connection.waits(self.connection.now());
        let service = &self.port.service;
        let up = self.record.up();
        let own = [
            (HeldBy::Pace, waits.pace),
            (HeldBy::Source, apart_from(&turns_up, waits.source)),
            (HeldBy::ConnectionRate, connection.tokens),
            (HeldBy::Reader, connection.reader),
        ];
        let held_by = longest_held(own, turns.iter().chain(&turns_up));
        self.connection.log_access(&AccessLine {
            key: shown(&self.charged.key),
            class: self.charged.class.as_ref().map(|class| class.name()),
            subject: Subject::Stream(&self.port.name),
            bytes,
            bytes_up: Some(up),
            up_pace: service
                .takes_uploads()
                .then(|| (RateOrOff(service.upload().rate()), per_second(up, lasted))),
            lasted,
            rate: RateOrOff(service.limit().rate()),
            bytes_per_second: per_second(bytes, lasted),
            held_by: held_by.as_ref().map_or(NOTHING, HeldBy::as_str),
            outcome: outcome.as_str(),
            ..self.connection.access_line()
        });
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let server = &self.connection.server;
        let (bytes, lasted) = (self.record.down(), server.clock.now() - self.began);
        let outcome = if self.record.is_complete() { Outcome::Complete } else { Outcome::Aborted };
        let counted = bytes - self.record.take_uncounted();
        let ended = Ended { route: Some(self.port.number), status: None, bytes, counted, lasted, outcome };
        server.telemetry.response_ended(&ended);
        if server.setup().logs() {
            self.log(bytes, lasted, outcome);
        }
    }
}
