//! A quota server in this process, and ways to ask it.

use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use sluicegate::quota::Endpoint;
use sluicegate::quota::client::{Calls, Connector};
use sluicegate::quota::server::{QuotaServer, QuotaServerHandle, QuotaServerSettings};
use sluicegate::quota::wire;
use sluicegate::rt::{self, Listener};
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// A running server. Dropping it stops it and checks that it ends.
pub struct Served {
    pub addr: SocketAddr,
    pub handle: QuotaServerHandle,
    thread: Option<JoinHandle<()>>,
}

/// Settings of a server that hands out shares at once, with `api=100/s`.
pub fn settings() -> QuotaServerSettings {
    let mut settings =
        QuotaServerSettings { limits: vec!["api=100/s".parse().unwrap()], ..QuotaServerSettings::default() };
    settings.book.learning = Duration::ZERO;
    settings
}

impl Served {
    pub fn new(settings: QuotaServerSettings) -> Self {
        Self::at(([127, 0, 0, 1], 0).into(), settings)
    }

    pub fn at(addr: SocketAddr, settings: QuotaServerSettings) -> Self {
        let listener = Listener::bind_tcp(addr).unwrap();
        let server = QuotaServer::new(settings, vec![listener]).unwrap();
        let (addr, handle) = (server.local_addrs()[0], server.handle());
        let thread = std::thread::spawn(move || rt::block_on(server.run()));
        Self { addr, handle, thread: Some(thread) }
    }

    pub fn endpoint(&self) -> Endpoint {
        format!("http://{}", self.addr).parse().unwrap()
    }

    pub async fn calls(&self) -> Calls {
        Connector::new(self.endpoint()).connect().await.unwrap()
    }

    /// Waits for its end.
    pub fn join(mut self) {
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.unwrap();
            }
        }
    }
}

pub async fn register(calls: &mut Calls, client: &str) -> Result<wire::RegisterClientResponse, Status> {
    let message = wire::RegisterClientRequest { client_id: client.into(), instance: String::new() };
    calls.register_client(message).await.map(tonic::Response::into_inner)
}

pub async fn beat(
    calls: &mut Calls,
    client: &str,
    resources: &[&str],
) -> Result<wire::HeartbeatResponse, Status> {
    let message = wire::HeartbeatRequest {
        client_id: client.into(),
        resource_ids: resources.iter().map(ToString::to_string).collect(),
        ..Default::default()
    };
    calls.heartbeat(message).await.map(tonic::Response::into_inner)
}

/// The code of a refusal and the reason in its details.
pub fn refusal<T: std::fmt::Debug>(result: Result<T, Status>) -> (Code, String) {
    let status = result.unwrap_err();
    let reason = status.get_details_error_info().map_or_else(String::new, |info| {
        assert_eq!(info.domain, "quota.sluicegate");
        info.reason
    });
    (status.code(), reason)
}

/// The next of a sequence of numbers that look random (Marsaglia's xorshift64) and are the same each time.
pub(crate) fn xorshift(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}
