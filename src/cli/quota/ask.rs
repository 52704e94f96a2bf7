//! The commands that call a quota server, each on its own connection.

use std::time::Duration;

use futures_lite::FutureExt;
use sluicegate::clock::Sleep;
use sluicegate::quota::client::{Calls, Connector, Hops, all_clients, leader_of};
use sluicegate::quota::wire;
use sluicegate::quota::{LimitError, NamedLimit};
use sluicegate::rt;
use tonic::{Request, Status};

use super::args::{Clients, Delete, Get, List, Reset, Set, Watch};
use super::{CliError, show};
use crate::cli::print;

const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn list(typed: &List) -> Result<(), CliError> {
    asking(&typed.connector()?, async |calls: &mut Calls| {
        let mut resources = Vec::new();
        let mut page_token = String::new();
        loop {
            let message = wire::ListResourcesRequest { page_size: 0, page_token };
            let page = calls.list_resources(within(message)).await?.into_inner();
            resources.extend(page.resources);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(show::resources(&resources, typed.json));
            }
        }
    })
}

pub(super) fn set(typed: &Set) -> Result<(), CliError> {
    let named: NamedLimit =
        typed.limit.parse().map_err(|error: LimitError| CliError::Usage(error.to_string()))?;
    let limit = wire::RateLimit::from(named.limit);
    let message =
        wire::SetResourceLimitRequest { resource_id: named.resource.to_string(), rate_limit: Some(limit) };
    let (text, source) = asking_of(&typed.connector()?, async |calls: &mut Calls| {
        let resource = calls.set_resource_limit(within(message.clone())).await?.into_inner();
        Ok((show::resources(std::slice::from_ref(&resource), typed.json), resource.source()))
    })?;
    print(&text)?;
    let kept = match source {
        wire::LimitSource::Store => "kept in the store of the quota server\n".to_owned(),
        _ => format!(
            "until the quota server restarts: `quota serve --limit {}` sets it at each start\n",
            typed.limit
        ),
    };
    tell(&kept, typed.json)
}

pub(super) fn get(typed: &Get) -> Result<(), CliError> {
    asking(&typed.connector()?, async |calls: &mut Calls| {
        let message = wire::GetResourceRequest { resource_id: typed.resource.clone() };
        let resource = calls.get_resource(within(message)).await?.into_inner();
        Ok(show::resources(&[resource], typed.json))
    })
}

pub(super) fn reset(typed: &Reset) -> Result<(), CliError> {
    asking(&typed.connector()?, async |calls: &mut Calls| {
        let message = wire::ResetResourceLimitRequest { resource_id: typed.resource.clone() };
        let answer = calls.reset_resource_limit(within(message)).await?.into_inner();
        Ok(match answer.resource {
            Some(resource) => show::resources(&[resource], typed.json),
            None => show::deleted(&typed.resource, typed.json),
        })
    })
}

pub(super) fn delete(typed: &Delete) -> Result<(), CliError> {
    let (text, is_lasting) = asking_of(&typed.connector()?, async |calls: &mut Calls| {
        let message = wire::DeleteResourceLimitRequest { resource_id: typed.resource.clone() };
        let answer = calls.delete_resource_limit(within(message)).await?.into_inner();
        Ok((show::deleted(&typed.resource, typed.json), answer.is_lasting))
    })?;
    print(&text)?;
    let kept = match is_lasting {
        true => "kept in the store of the quota server\n",
        false => "until the quota server restarts: what its --limit flags say comes back then\n",
    };
    tell(kept, typed.json)
}

/// Prints a note after a response: to standard output with text, to standard error with JSON.
fn tell(text: &str, json: bool) -> Result<(), CliError> {
    if json {
        // Standard error may be closed.
        let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
        return Ok(());
    }
    print(text)
}

pub(super) fn clients(typed: &Clients) -> Result<(), CliError> {
    asking(&typed.connector()?, async |calls: &mut Calls| {
        let clients = all_clients(calls, TIMEOUT).await?;
        Ok(show::clients(&clients, typed.json))
    })
}

pub(super) fn watch(typed: &Watch) -> Result<(), CliError> {
    let connector = typed.connector()?;
    rt::block_on(async {
        let message = wire::WatchAllocationsRequest {
            resource_id: typed.resource.clone().unwrap_or_default(),
            ..Default::default()
        };
        let opened =
            led(&connector, async |calls: &mut Calls| calls.watch_allocations(message.clone()).await);
        let mut changes = opened.await?.into_inner();
        while let Some(change) = changes.message().await.map_err(|status| refused(&status))? {
            print(&show::changes(&change.shares, typed.json))?;
        }
        Ok(())
    })
}

/// Connects, calls, and prints the response.
fn asking(
    connector: &Connector,
    ask: impl AsyncFn(&mut Calls) -> Result<String, Status>,
) -> Result<(), CliError> {
    print(&asking_of(connector, ask)?)
}

/// Connects, calls, and returns the response.
fn asking_of<T>(
    connector: &Connector,
    ask: impl AsyncFn(&mut Calls) -> Result<T, Status>,
) -> Result<T, CliError> {
    rt::block_on(led(connector, async |calls: &mut Calls| {
        let late = async {
            Sleep::lasting(rt::clock(), TIMEOUT).await;
            Err(Status::deadline_exceeded("it does not answer in time"))
        };
        ask(calls).or(late).await
    }))
}

/// Connects and calls, at the quota server that leads if there are several.
async fn led<T>(
    connector: &Connector,
    ask: impl AsyncFn(&mut Calls) -> Result<T, Status>,
) -> Result<T, CliError> {
    let mut connector = connector.clone();
    let mut hops = Hops::default();
    loop {
        let mut calls = connect(&connector).await?;
        let status = match ask(&mut calls).await {
            Ok(answer) => return Ok(answer),
            Err(status) => status,
        };
        match hops.follow(&connector.endpoint, leader_of(&status).flatten()) {
            Some(leader) => connector.endpoint = leader,
            None => return Err(refused(&status)),
        }
    }
}

async fn connect(connector: &Connector) -> Result<Calls, CliError> {
    let failed = |error| {
        let text = format!("cannot reach the quota server {}: {error}", connector.endpoint);
        CliError::Failed(format!("{text}; start one with `sluicegate quota serve`, or name it with --server"))
    };
    connector.connect().await.map_err(failed)
}

fn refused(status: &Status) -> CliError {
    let text = if status.message().is_empty() { status.code().description() } else { status.message() };
    CliError::Failed(format!("the quota server says: {text}"))
}

fn within<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(TIMEOUT);
    request
}
