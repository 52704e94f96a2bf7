//! The client's background task: connects, registers, sends heartbeats and applies grants; reconnects when the server is
//! lost.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_lite::FutureExt;
use tonic::{Code, Request, Status, Streaming};
use tonic_types::StatusExt;

use super::Shared;
use super::backoff::Backoff;
use super::channel::{Calls, Connector, leader_of};
use super::servers::Servers;
use super::share::{Grant, NoShare};
use crate::clock::{Instant, Sleep};
use crate::quota::Endpoint;
use crate::quota::book::Interest;
use crate::quota::wire::{self, AllocationChanges};

/// Timeout of a call before the server's heartbeat timeout is known.
const FIRST_CALLS: Duration = Duration::from_secs(5);

const FAREWELL: Duration = Duration::from_secs(2);

/// Shortest time between two heartbeats.
const LEAST: Duration = Duration::from_millis(20);

enum End {
    /// The client is closed.
    Closed,
    /// The server cannot be reached or refused us; with its retry delay, if it gave one.
    Lost(String, Option<Duration>),
    /// It does not lead; where the leader is, if it said so.
    Elsewhere(String, Option<Endpoint>),
}

impl From<Status> for End {
    fn from(status: Status) -> Self {
        let text = format!("{:?}: {}", status.code(), status.message());
        if let Some(leader) = leader_of(&status) {
            return Self::Elsewhere(text, leader);
        }
        Self::Lost(text, status.get_details_retry_info().and_then(|info| info.retry_delay))
    }
}

/// Runs until the client is closed.
pub(super) async fn run(shared: Arc<Shared>) {
    let longest = shared.settings.longest_pause;
    let mut backoff = Backoff::new(longest);
    let mut servers = Servers::new(shared.settings.connector.endpoint.clone(), &shared.settings.others);
    let mut complained = false;
    loop {
        let mut interval = None;
        let (Ok(ended) | Err(ended)) = attempt(&shared, servers.current(), &mut interval).await;
        if let Some(interval) = interval {
            // A restarted server learns for a few heartbeats' time what is held: whoever comes later spends its safe share
            // beside shares that the others were granted meanwhile.
            backoff.restart(longest.min(interval));
            servers.answered();
            complained = false;
        }
        let server = servers.current().clone();
        let (text, error, again, at_once) = match ended {
            End::Closed => return,
            End::Lost(error, again) => ("quota server lost", error, again, servers.lost() && again.is_none()),
            End::Elsewhere(error, leader) => {
                ("quota server does not lead", error, None, servers.redirected(leader))
            }
        };
        if at_once {
            // Once, and not with each round of retries.
            let level = if complained { log::Level::Debug } else { log::Level::Info };
            log::log!(level, server:%, error, next:% = servers.current(); "{text}; turning to another");
            shared.on_lost(error);
            continue;
        }
        if complained {
            log::debug!(server:%, error; "quota server not reachable yet");
        } else {
            log::warn!(server:%, error; "quota server not reachable; retrying");
            complained = true;
        }
        shared.on_lost(error);
        let pause = backoff.next().max(again.unwrap_or_default().min(longest));
        let pause = async {
            Sleep::lasting(Arc::clone(&shared.clock), pause).await;
            false
        };
        if pause.or(shared.closing()).await {
            return;
        }
    }
}

/// Runs one connection. Sets the interval of heartbeats, once one was answered.
async fn attempt(shared: &Shared, server: &Endpoint, interval: &mut Option<Duration>) -> Result<End, End> {
    let connector = Connector { endpoint: server.clone(), ..shared.settings.connector.clone() };
    let connecting = async { Some(connector.connect().await) };
    let closing = async {
        shared.closing().await;
        None
    };
    let mut calls = match connecting.or(closing).await {
        None => return Ok(End::Closed),
        Some(Ok(calls)) => calls,
        Some(Err(error)) => return Err(End::Lost(error.to_string(), None)),
    };
    let epoch = register(shared, &mut calls).await?;
    let mut session = Session { shared, calls, epoch, timeout: FIRST_CALLS, changes: None };
    let end = session.beat_on(interval).await;
    if shared.is_closing() {
        session.farewell().await;
        return Ok(End::Closed);
    }
    end
}

async fn register(shared: &Shared, calls: &mut Calls) -> Result<u64, End> {
    let message = wire::RegisterClientRequest {
        client_id: shared.settings.client.to_string(),
        instance: shared.instance.clone(),
    };
    let answer = in_time(shared, FIRST_CALLS, calls.register_client(within(message, FIRST_CALLS))).await?;
    Ok(answer.into_inner().epoch)
}

struct Session<'a> {
    shared: &'a Shared,
    calls: Calls,
    epoch: u64,
    /// Timeout of one call: the time to the next heartbeat.
    timeout: Duration,
    changes: Option<Streaming<AllocationChanges>>,
}

/// Why the wait between two heartbeats ended.
enum Woken {
    Time,
    Changes(Option<AllocationChanges>),
    Closed,
}

impl Session<'_> {
    /// Sends heartbeats until the client is closed or the server is lost.
    async fn beat_on(&mut self, interval: &mut Option<Duration>) -> Result<End, End> {
        loop {
            let shared = self.shared;
            // Changes from here on are sent with the next heartbeat.
            let mut bell = shared.bell.listen();
            let sent = shared.clock.now();
            let mut pause = match self.beat(sent).await {
                Ok(pause) => pause,
                Err(status) if status.code() == Code::NotFound => {
                    // The lease expired, or the server was restarted.
                    self.epoch = register(shared, &mut self.calls).await?;
                    self.changes = None;
                    self.beat(shared.clock.now()).await?
                }
                Err(status) => return Err(status.into()),
            };
            *interval = Some(self.timeout);
            if self.changes.is_none() {
                self.changes = self.watch().await;
            }
            loop {
                let time = async {
                    Sleep::until(Arc::clone(&shared.clock), sent + pause).or(&mut bell).await;
                    // Not at once, so that changes at the same time go together.
                    Sleep::until(Arc::clone(&shared.clock), sent + LEAST).await;
                    Woken::Time
                };
                let closed = async {
                    shared.closing().await;
                    Woken::Closed
                };
                let changes = next_change(&mut self.changes);
                match closed.or(changes).or(time).await {
                    Woken::Closed => return Ok(End::Closed),
                    Woken::Time => break,
                    Woken::Changes(None) => self.changes = None,
                    Woken::Changes(Some(changes)) => {
                        if self.apply(&changes.allocations, changes.epoch, None) {
                            // Other clients wait for this acknowledgement.
                            pause = Duration::ZERO;
                        }
                    }
                }
            }
        }
    }

    /// Sends one heartbeat. Returns the time until the next.
    async fn beat(&mut self, sent: Instant) -> Result<Duration, Status> {
        let shared = self.shared;
        let message = wire::HeartbeatRequest {
            client_id: shared.settings.client.to_string(),
            resource_ids: vec![],
            interests: shared.allocations.values().map(|held| interest(&held.interest(sent))).collect(),
            epoch: self.epoch,
            instance: shared.instance.clone(),
            sequence: shared.sequence.fetch_add(1, Ordering::Relaxed) + 1,
        };
        let answer =
            in_time(shared, self.timeout, self.calls.heartbeat(within(message, self.timeout))).await?;
        let answer = answer.into_inner();
        let lease = wire::read_duration(answer.lease.as_ref());
        let interval = wire::read_duration(answer.heartbeat_interval.as_ref()).max(LEAST);
        self.timeout = interval;
        self.epoch = answer.epoch;
        let lower = self.apply(&answer.allocations, answer.epoch, Some(sent + lease));
        for resource in &answer.unlimited_resource_ids {
            if let Some(held) = shared.allocations.get(resource) {
                held.apply_no_share(NoShare::NoLimit);
            }
        }
        shared.on_answer(sent + lease);
        if lower {
            return Ok(LEAST);
        }
        let soonest = answer.allocations.iter().filter_map(|allocation| allocation.retry_after.as_ref());
        let soonest = soonest.map(|again| wire::read_duration(Some(again))).min().unwrap_or(interval);
        Ok(shared.jitter(soonest.min(interval)))
    }

    /// Applies the server's answer. Returns whether any share went down.
    fn apply(&self, allocations: &[wire::Allocation], epoch: u64, lease_until: Option<Instant>) -> bool {
        let mut lower = false;
        for allocation in allocations {
            let Some(held) = self.shared.allocations.get(&allocation.resource_id) else { continue };
            if held.is_other_than(allocation.unit().try_into().ok()) {
                held.apply_no_share(NoShare::OtherUnit { version: allocation.version });
                // Released at once.
                lower |= allocation.rate_micros > 0;
                continue;
            }
            let grant = Grant {
                epoch,
                version: allocation.version,
                rate: allocation.rate_micros,
                limit: allocation.limit_per_second,
                clients: allocation.clients,
                learning: allocation.learning,
            };
            lower |= held.apply(grant, lease_until);
        }
        lower
    }

    /// Opens the stream of changes. Without it changes arrive with the next heartbeat.
    async fn watch(&mut self) -> Option<Streaming<AllocationChanges>> {
        let message = wire::WatchAllocationsRequest {
            client_id: self.shared.settings.client.to_string(),
            instance: self.shared.instance.clone(),
            resource_id: String::new(),
        };
        let opened = in_time(self.shared, self.timeout, self.calls.watch_allocations(message)).await;
        opened.ok().map(tonic::Response::into_inner)
    }

    /// Unregisters: nothing is spent any more.
    async fn farewell(&mut self) {
        let message = wire::UnregisterClientRequest {
            client_id: self.shared.settings.client.to_string(),
            instance: self.shared.instance.clone(),
        };
        let told = async { self.calls.unregister_client(within(message, FAREWELL)).await.is_ok() };
        let late = async {
            Sleep::lasting(Arc::clone(&self.shared.clock), FAREWELL).await;
            false
        };
        if !told.or(late).await {
            log::debug!("unregistering failed; the lease will expire");
        }
    }
}

async fn next_change(changes: &mut Option<Streaming<AllocationChanges>>) -> Woken {
    match changes {
        // A stream that ends or fails is reopened with the next heartbeat, which reports the error.
        Some(stream) => Woken::Changes(stream.message().await.ok().flatten()),
        None => std::future::pending().await,
    }
}

fn interest(interest: &Interest) -> wire::Interest {
    wire::Interest {
        resource_id: interest.resource.to_string(),
        weight: interest.weight,
        wants_micros: interest.wants,
        applied_version: interest.applied,
        held_micros: interest.held,
    }
}

/// Adds grpc-timeout to the message, so that the server gives up when this client does.
fn within<T>(message: T, timeout: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(timeout);
    request
}

/// Runs a call, until it takes too long or the client is closed.
async fn in_time<T>(
    shared: &Shared,
    timeout: Duration,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    let late = async {
        Sleep::lasting(Arc::clone(&shared.clock), timeout).await;
        Err(Status::deadline_exceeded("the quota server did not answer in time"))
    };
    let closed = async {
        shared.closing().await;
        Err(Status::cancelled("the client is closed"))
    };
    call.or(late).or(closed).await
}
