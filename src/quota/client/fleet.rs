//! The fleet's shares of a resource, as the quota server lists them: for those who look on.

use std::time::Duration;

use futures_lite::FutureExt;
use tonic::{Code, Request, Status};

use super::channel::leader_of;
use super::{Calls, Connector, Hops, QuotaClient};
use crate::clock::Sleep;
use crate::quota::Endpoint;
use crate::quota::id::Id;
use crate::quota::wire::{self, Client};
use crate::rt;

/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Servers that are asked at most: each may name another that leads.
const MOST_ASKED: usize = 4;

/// The share of one client of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetShare {
    /// The client's id.
    pub client: String,
    /// Its share, in millionths of a unit per second.
    pub rate_micros: u64,
    /// What is fair, and is reached when others have released.
    pub target_micros: u64,
    /// What it asks for; `None` is as much as there is.
    pub wants_micros: Option<u64>,
    /// Its weight among the others.
    pub weight: u32,
}

caused_error! {
    /// Why the shares of a fleet are not known: no server that leads answers.
    FleetError {
        /// Whether the server refuses this client: its token is missing or wrong.
        is_refused: refused,
    }
}

impl FleetError {
    fn of(status: &Status) -> Self {
        let text = format!("{:?}: {}", status.code(), status.message());
        match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => Self::refused(text),
            _ => Self::other(text),
        }
    }
}

impl QuotaClient {
    /// Asks the quota server for the shares of all live clients of `resource`, by client id. On a connection of its own: the
    /// client's heartbeats do not wait for it. Not cheap: the server lists all clients of all resources.
    ///
    /// # Errors
    /// No server that leads answers; says why the last one did not.
    pub async fn fleet(&self, resource: &Id) -> Result<Vec<FleetShare>, FleetError> {
        let settings = &self.0.0.settings;
        let mut servers: Vec<Endpoint> = settings.others.iter().rev().cloned().collect();
        servers.push(settings.connector.endpoint.clone());
        let (mut error, mut hops) = (FleetError::other("no server is known"), Hops::default());
        for _ in 0..MOST_ASKED {
            let Some(endpoint) = servers.pop() else { break };
            let connector = Connector { endpoint, ..settings.connector.clone() };
            let mut calls = match connector.connect().await {
                Ok(calls) => calls,
                Err(why) => {
                    error = FleetError::other(why.to_string());
                    continue;
                }
            };
            let late = async {
                Sleep::lasting(rt::clock(), PATIENCE).await;
                Err(Status::deadline_exceeded("it does not answer in time"))
            };
            match all_clients(&mut calls, PATIENCE).or(late).await {
                Ok(clients) => return Ok(shares(clients, resource)),
                Err(status) => {
                    servers.extend(hops.follow(&connector.endpoint, leader_of(&status).flatten()));
                    error = FleetError::of(&status);
                }
            }
        }
        Err(error)
    }
}

/// All live clients of the quota server, page by page; each page is asked for with `timeout`.
///
/// # Errors
/// The server refuses, or the connection is lost.
pub async fn all_clients(calls: &mut Calls, timeout: Duration) -> Result<Vec<Client>, Status> {
    let (mut clients, mut page_token) = (Vec::new(), String::new());
    loop {
        let mut request = Request::new(wire::ListClientsRequest { page_size: 0, page_token });
        request.set_timeout(timeout);
        let page = calls.list_clients(request).await?.into_inner();
        clients.extend(page.clients);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(clients);
        }
    }
}

fn shares(clients: Vec<Client>, resource: &Id) -> Vec<FleetShare> {
    let of_client = |client: Client| {
        let share = client.shares.into_iter().find(|share| share.resource_id == resource.as_str())?;
        Some(FleetShare {
            client: client.client_id,
            rate_micros: share.rate_micros,
            target_micros: share.target_micros,
            wants_micros: share.wants_micros,
            weight: share.weight,
        })
    };
    clients.into_iter().filter_map(of_client).collect()
}
