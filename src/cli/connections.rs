//! `connections list` and `connections close`: the client of the admin API for live connections.

mod view;

use std::io::IsTerminal;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::admin_args::{Connections, ConnectionsCommand, ListConnections};
use super::admin_client::AdminClient;
use super::{CliError, written};
use view::View;

#[derive(Deserialize)]
struct Page {
    connections: Vec<Value>,
    next: Option<u64>,
}

#[derive(Deserialize)]
struct Connection {
    id: u64,
    peer: String,
    client: String,
    age_ms: u64,
    bytes_written: u64,
    rate_now: u64,
    #[serde(flatten)]
    held: Held,
    transfers: Vec<Transfer>,
}

#[derive(Deserialize)]
struct Transfer {
    method: String,
    target: String,
    client: String,
    class: Option<String>,
    age_ms: u64,
    bytes: u64,
    rate_set: Option<u64>,
    rate_now: u64,
    #[serde(flatten)]
    held: Held,
    #[serde(default)]
    upload: Option<Upload>,
}

#[derive(Deserialize)]
struct Upload {
    bytes: u64,
    ended: bool,
    rate_set: Option<u64>,
    rate_now: u64,
    #[serde(flatten)]
    held: Held,
}

#[derive(Deserialize)]
struct Held {
    held_by: String,
    limit: Option<String>,
    next_send_ms: Option<u64>,
    next_send_is_estimate: bool,
}

pub(super) fn run(connections: Connections) -> Result<String, CliError> {
    match connections.command {
        ConnectionsCommand::List(list) => self::list(&list),
        ConnectionsCommand::Close(close) => {
            close.client()?.delete(&format!("/v1/connections/{}", close.id))?;
            Ok(format!("connection {} is reset\n", close.id))
        }
    }
}

fn list(typed: &ListConnections) -> Result<String, CliError> {
    let client = typed.client()?;
    let view = View::new(typed)?;
    if !typed.watch {
        return listed(&client, typed, &view);
    }
    let is_terminal = std::io::stdout().is_terminal();
    // A terminal shows the newest list alone.
    let between = if is_terminal { "\u{1b}[H\u{1b}[2J" } else { "\n" };
    let mut before = if is_terminal { between } else { "" };
    while written(&format!("{before}{}", listed(&client, typed, &view)?))? {
        before = if typed.json { "" } else { between };
        std::thread::sleep(Duration::from_secs(1));
    }
    Ok(String::new())
}

/// The list of now.
fn listed(client: &AdminClient, typed: &ListConnections, view: &View) -> Result<String, CliError> {
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let page: Page = client.get(&format!("/v1/connections?limit=500&after={after}"))?;
        all.extend(page.connections);
        let Some(next) = page.next else { break };
        after = next;
    }
    let all = Value::from(all);
    if typed.json {
        let document = json!({"connections": all});
        return Ok(if typed.watch { format!("{document}\n") } else { format!("{document:#}\n") });
    }
    let odd = |error| CliError::Failed(format!("the admin listener's connections cannot be read: {error}"));
    let connections: Vec<Connection> = serde_json::from_value(all).map_err(odd)?;
    Ok(view.of(&connections))
}
