//! `connections list` and `connections close`: the client of the admin API for live connections.

use serde::Deserialize;
use serde_json::{Value, json};
use sluicegate::limit::{Rate, RateOrOff};

use super::CliError;
use super::admin_args::{Connections, ConnectionsCommand, ListConnections};
use super::admin_client::AdminClient;
use super::limits::words;
use super::table::{Table, size, time};

/// Most characters of a target that are shown.
const MAX_TARGET: usize = 48;

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
            let client = AdminClient::new(
                close.admin.as_deref(),
                close.token_file.as_deref(),
                close.tls_ca.as_deref(),
            )?;
            client.delete(&format!("/v1/connections/{}", close.id))?;
            Ok(format!("connection {} is reset\n", close.id))
        }
    }
}

fn list(typed: &ListConnections) -> Result<String, CliError> {
    let client =
        AdminClient::new(typed.admin.as_deref(), typed.token_file.as_deref(), typed.tls_ca.as_deref())?;
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let page: Page = client.get(&format!("/v1/connections?limit=500&after={after}"))?;
        all.extend(page.connections);
        let Some(next) = page.next else { break };
        after = next;
    }
    if typed.json {
        return Ok(format!("{:#}\n", json!({"connections": all})));
    }
    let odd = |error| CliError::Failed(format!("the admin listener's connections cannot be read: {error}"));
    let connections = all.into_iter().map(serde_json::from_value).collect::<Result<Vec<_>, _>>();
    Ok(table(&connections.map_err(odd)?))
}

/// One row for each transfer, one for each upload under way, and one for each connection without any.
fn table(connections: &[Connection]) -> String {
    let mut table = Table::new([
        ">ID", "PEER", "CLIENT", "CLASS", "REQUEST", ">AGE", ">SENT", ">NOW", ">SET", "HELD BY", ">NEXT",
        "LIMIT",
    ]);
    let has_classes = connections.iter().flat_map(|of| &of.transfers).any(|of| of.class.is_some());
    for connection in connections {
        let mut row = |[client, class, request, set]: [String; 4], age, sent, now, held: &Held| {
            table.row([
                connection.id.to_string(),
                connection.peer.clone(),
                client,
                class,
                request,
                time(age),
                size(sent),
                format!("{}/s", size(now)),
                set,
                held.held_by.clone(),
                next(held),
                held.limit.as_deref().map(words).unwrap_or_default(),
            ]);
        };
        for transfer in &connection.transfers {
            let request = format!("{} {}", transfer.method, cut(&transfer.target));
            let set = RateOrOff(transfer.rate_set.and_then(Rate::or_unlimited)).to_string();
            let class = transfer.class.clone().unwrap_or_else(|| "-".to_owned());
            let of = [transfer.client.clone(), class.clone(), request, set];
            row(of, transfer.age_ms, transfer.bytes, transfer.rate_now, &transfer.held);
            if let Some(upload) = transfer.upload.as_ref().filter(|upload| !upload.ended) {
                let request = format!("{} {} (upload)", transfer.method, cut(&transfer.target));
                let set = RateOrOff(upload.rate_set.and_then(Rate::or_unlimited)).to_string();
                let of = [transfer.client.clone(), class, request, set];
                row(of, transfer.age_ms, upload.bytes, upload.rate_now, &upload.held);
            }
        }
        if connection.transfers.is_empty() {
            let Connection { peer, client, age_ms, bytes_written, rate_now, held, .. } = connection;
            // Of a PROXY header; else it is the peer.
            let client = if client == peer { "-" } else { client };
            row([client, "-", "-", "-"].map(str::to_owned), *age_ms, *bytes_written, *rate_now, held);
        }
    }
    // Most servers have none.
    if has_classes { table.text() } else { table.text_without("CLASS") }
}

/// Time until the next bytes may leave, with `~` before an estimate.
fn next(held: &Held) -> String {
    let about = if held.next_send_is_estimate { "~" } else { "" };
    held.next_send_ms.map_or_else(|| "-".to_owned(), |millis| format!("{about}{}", time(millis)))
}

fn cut(target: &str) -> String {
    match target.char_indices().nth(MAX_TARGET) {
        Some((end, _)) => format!("{}…", &target[..end]),
        None => target.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_names_the_transfer_its_pace_and_the_limit_that_holds_it() {
        let told = json!({
            "id": 7, "peer": "192.0.2.1:5000", "client": "192.0.2.1:5000", "age_ms": 90_000, "bytes_written": 12_493, "rate_now": 0,
            "held_by": "nothing", "limit": null, "next_send_ms": null, "next_send_is_estimate": false,
            "transfers": [{
                "method": "GET", "target": "/a.iso", "client": "192.0.2.1", "age_ms": 1_080, "bytes": 12_288,
                "rate_set": 61_440, "rate_now": 11_471, "held_by": "client", "limit": "/v1/limits/client",
                "next_send_ms": 121, "next_send_is_estimate": true,
                "upload": {
                    "bytes": 4_096, "ended": false, "rate_set": null, "rate_now": 1_024, "held_by": "upload_client",
                    "limit": "/v1/limits/uploads/client", "next_send_ms": 40, "next_send_is_estimate": true,
                },
            }],
        });
        let busy: Connection = serde_json::from_value(told.clone()).unwrap();
        let idle = Connection { transfers: Vec::new(), ..serde_json::from_value(told.clone()).unwrap() };
        let expected = "\
ID  PEER            CLIENT     REQUEST                AGE      SENT         NOW  SET  HELD BY           NEXT  LIMIT
 7  192.0.2.1:5000  192.0.2.1  GET /a.iso           1.0 s  12.0 KiB  11.2 KiB/s  60k  client         ~121 ms  client (each)
 7  192.0.2.1:5000  192.0.2.1  GET /a.iso (upload)  1.0 s   4.0 KiB   1.0 KiB/s  off  upload_client   ~40 ms  upload-client (each)
 7  192.0.2.1:5000  -          -                    1 min  12.2 KiB       0 B/s    -  nothing              -
";
        assert_eq!(table(&[busy, idle]), expected);
        let mut classed = told;
        (classed["transfers"][0]["class"], classed["transfers"][0]["upload"]) = (json!("vip"), Value::Null);
        let expected = "\
ID  PEER            CLIENT     CLASS  REQUEST       AGE      SENT         NOW  SET  HELD BY     NEXT  LIMIT
 7  192.0.2.1:5000  192.0.2.1  vip    GET /a.iso  1.0 s  12.0 KiB  11.2 KiB/s  60k  client   ~121 ms  client (each)
";
        assert_eq!(table(&[serde_json::from_value(classed).unwrap()]), expected);
    }
}
