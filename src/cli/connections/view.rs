//! The lists of `connections list`: rows of transfers or sums of clients, in an order, as wide as asked for.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use sluicegate::limit::{Rate, RateOrOff};

use super::super::CliError;
use super::super::admin_args::ListConnections;
use super::super::limits::words;
use super::super::table::{Table, size, time};
use super::{Connection, Held, Transfer, Upload};

/// Columns of a terminal, and the fewest that are left to a request or a client there.
const TERMINAL: usize = 80;
const LEAST: usize = 12;

/// Most characters of a target that are shown where there is space.
const MAX_TARGET: usize = 48;

/// What is shown, in which order.
pub(super) struct View {
    order: Order,
    by_client: bool,
    is_wide: bool,
}

#[derive(Clone, Copy)]
enum Order {
    Id,
    Now,
    Sent,
    Age,
    Client,
}

/// A transfer, an upload under way, or a connection without any.
struct Row<'a> {
    id: u64,
    peer: &'a str,
    client: &'a str,
    class: Option<&'a str>,
    /// `None` for a connection without a transfer.
    request: Option<String>,
    age: u64,
    sent: u64,
    now: u64,
    set: Option<String>,
    held: &'a Held,
}

impl View {
    /// # Errors
    /// There is no such order.
    pub(super) fn new(typed: &ListConnections) -> Result<Self, CliError> {
        let order = match typed.sort.as_deref().unwrap_or("id") {
            "id" => Order::Id,
            "now" => Order::Now,
            "sent" => Order::Sent,
            "age" => Order::Age,
            "client" => Order::Client,
            other => {
                let text = format!("{other:?} is no order; write id, now, sent, age or client");
                return Err(CliError::flag("--sort", text));
            }
        };
        Ok(Self { order, by_client: typed.by_client, is_wide: typed.wide })
    }

    /// The list of these connections.
    pub(super) fn of(&self, connections: &[Connection]) -> String {
        let rows = connections.iter().flat_map(rows).collect();
        if self.by_client { self.clients(rows) } else { self.transfers(rows) }
    }

    fn transfers(&self, mut rows: Vec<Row<'_>>) -> String {
        match self.order {
            Order::Id => rows.sort_by_key(|row| row.id),
            Order::Now => rows.sort_by_key(|row| Reverse(row.now)),
            Order::Sent => rows.sort_by_key(|row| Reverse(row.sent)),
            Order::Age => rows.sort_by_key(|row| Reverse(row.age)),
            Order::Client => rows.sort_by_key(|row| row.client),
        }
        let mut table = Table::new([
            ">ID", "PEER", "CLIENT", "CLASS", "REQUEST", ">AGE", ">SENT", ">NOW", ">SET", "HELD BY", ">NEXT",
            "LIMIT",
        ]);
        for row in &rows {
            // Without a PROXY header it is the peer.
            let client = if row.client == row.peer && self.is_wide { "-" } else { row.client };
            table.row([
                row.id.to_string(),
                row.peer.to_owned(),
                client.to_owned(),
                row.class.unwrap_or("-").to_owned(),
                row.request.as_deref().unwrap_or("-").to_owned(),
                time(row.age),
                size(row.sent),
                format!("{}/s", size(row.now)),
                row.set.as_deref().unwrap_or("-").to_owned(),
                row.held.held_by.clone(),
                next(row.held),
                row.held.limit.as_deref().map(words).unwrap_or_default(),
            ]);
        }
        let mut hidden = Vec::new();
        // Most servers have none.
        if rows.iter().all(|row| row.class.is_none()) {
            hidden.push("CLASS");
        }
        if !self.is_wide {
            hidden.extend(["PEER", "AGE", "LIMIT"]);
            table.fit("REQUEST", &hidden, TERMINAL, LEAST);
        }
        table.text_without(&hidden)
    }

    fn clients(&self, rows: Vec<Row<'_>>) -> String {
        let mut sums: BTreeMap<(&str, Option<&str>), Sum<'_>> = BTreeMap::new();
        for row in rows.into_iter().filter(|row| row.request.is_some()) {
            let sum = sums.entry((row.client, row.class)).or_default();
            sum.transfers += 1;
            sum.now = sum.now.saturating_add(row.now);
            sum.sent = sum.sent.saturating_add(row.sent);
            sum.age = sum.age.max(row.age);
            *sum.held.entry(&row.held.held_by).or_default() += 1;
        }
        let mut sums: Vec<_> = sums.into_iter().collect();
        match self.order {
            Order::Id | Order::Client => {}
            Order::Now => sums.sort_by_key(|(_, sum)| Reverse(sum.now)),
            Order::Sent => sums.sort_by_key(|(_, sum)| Reverse(sum.sent)),
            Order::Age => sums.sort_by_key(|(_, sum)| Reverse(sum.age)),
        }
        let mut table = Table::new(["CLIENT", "CLASS", ">TRANSFERS", ">OLDEST", ">SENT", ">NOW", "HELD BY"]);
        for ((client, class), sum) in &sums {
            table.row([
                (*client).to_owned(),
                class.unwrap_or("-").to_owned(),
                sum.transfers.to_string(),
                time(sum.age),
                size(sum.sent),
                format!("{}/s", size(sum.now)),
                sum.held_by(),
            ]);
        }
        let has_class = sums.iter().any(|((_, class), _)| class.is_some());
        table.text_without(if has_class { &[] } else { &["CLASS"] })
    }
}

/// What a client's transfers have together.
#[derive(Default)]
struct Sum<'a> {
    transfers: usize,
    now: u64,
    sent: u64,
    age: u64,
    held: BTreeMap<&'a str, usize>,
}

impl Sum<'_> {
    /// What holds them, most first: `client 14, pace 2`.
    fn held_by(&self) -> String {
        let mut held: Vec<_> = self.held.iter().collect();
        held.sort_by_key(|(_, count)| Reverse(**count));
        let held: Vec<_> = held.into_iter().map(|(by, count)| format!("{by} {count}")).collect();
        held.join(", ")
    }
}

/// One row for each transfer, one for each upload under way, and one for a connection without any.
fn rows(connection: &Connection) -> Vec<Row<'_>> {
    let idle = || Row {
        id: connection.id,
        peer: &connection.peer,
        client: &connection.client,
        class: None,
        request: None,
        age: connection.age_ms,
        sent: connection.bytes_written,
        now: connection.rate_now,
        set: None,
        held: &connection.held,
    };
    let mut rows = Vec::new();
    for transfer in &connection.transfers {
        let row = |request, sent, now, set: Option<u64>, held| Row {
            client: &transfer.client,
            class: transfer.class.as_deref(),
            request: Some(request),
            age: transfer.age_ms,
            sent,
            now,
            set: Some(RateOrOff(set.and_then(Rate::or_unlimited)).to_string()),
            held,
            ..idle()
        };
        let request = format!("{} {}", transfer.method, cut(&transfer.target));
        let Transfer { bytes, rate_now, rate_set, held, .. } = transfer;
        rows.push(row(request.clone(), *bytes, *rate_now, *rate_set, held));
        if let Some(upload) = transfer.upload.as_ref().filter(|upload| !upload.ended) {
            let Upload { bytes, rate_now, rate_set, held, .. } = upload;
            rows.push(row(format!("{request} (upload)"), *bytes, *rate_now, *rate_set, held));
        }
    }
    if rows.is_empty() {
        rows.push(idle());
    }
    rows
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
    use serde_json::{Value, json};

    use super::*;

    fn told() -> Value {
        json!({
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
        })
    }

    fn read(told: Value) -> Connection {
        serde_json::from_value(told).unwrap()
    }

    fn view(typed: &ListConnections) -> View {
        View::new(typed).unwrap()
    }

    #[test]
    fn a_row_names_the_transfer_its_pace_and_the_limit_that_holds_it() {
        let wide = view(&ListConnections { wide: true, ..ListConnections::default() });
        let idle = Connection { transfers: Vec::new(), ..read(told()) };
        let expected = "\
ID  PEER            CLIENT     REQUEST                AGE      SENT         NOW  SET  HELD BY           NEXT  LIMIT
 7  192.0.2.1:5000  192.0.2.1  GET /a.iso           1.0 s  12.0 KiB  11.2 KiB/s  60k  client         ~121 ms  client (each)
 7  192.0.2.1:5000  192.0.2.1  GET /a.iso (upload)  1.0 s   4.0 KiB   1.0 KiB/s  off  upload_client   ~40 ms  upload-client (each)
 7  192.0.2.1:5000  -          -                    1 min  12.2 KiB       0 B/s    -  nothing              -
";
        assert_eq!(wide.of(&[read(told()), idle]), expected);
        let mut classed = told();
        (classed["transfers"][0]["class"], classed["transfers"][0]["upload"]) = (json!("vip"), Value::Null);
        let expected = "\
ID  PEER            CLIENT     CLASS  REQUEST       AGE      SENT         NOW  SET  HELD BY     NEXT  LIMIT
 7  192.0.2.1:5000  192.0.2.1  vip    GET /a.iso  1.0 s  12.0 KiB  11.2 KiB/s  60k  client   ~121 ms  client (each)
";
        assert_eq!(wide.of(&[read(classed)]), expected);
    }

    #[test]
    fn a_list_fits_a_terminal() {
        let mut long = told();
        long["transfers"][0]["target"] = json!("/a/very/long/path/of/an/image.iso");
        (long["transfers"][0]["upload"], long["transfers"][0]["class"]) = (Value::Null, json!("vip"));
        let expected = "\
ID  CLIENT     CLASS  REQUEST            SENT         NOW  SET  HELD BY     NEXT
 7  192.0.2.1  vip    GET /a/very/…  12.0 KiB  11.2 KiB/s  60k  client   ~121 ms
";
        let list = view(&ListConnections::default()).of(&[read(long)]);
        assert_eq!(list, expected);
        assert!(list.lines().all(|line| line.chars().count() <= TERMINAL));
    }

    #[test]
    fn rows_come_in_the_order_that_is_asked_for() {
        let of = |id: u64, client: &str, now: u64, bytes: u64, age: u64| {
            let mut one = told();
            one["id"] = json!(id);
            let transfer = &mut one["transfers"][0];
            (transfer["client"], transfer["rate_now"]) = (json!(client), json!(now));
            (transfer["bytes"], transfer["age_ms"], transfer["upload"]) =
                (json!(bytes), json!(age), Value::Null);
            read(one)
        };
        let all = [of(3, "a", 1, 3, 2), of(1, "c", 3, 2, 1), of(2, "b", 2, 1, 3)];
        for (sort, expected) in [
            (None, ["1", "2", "3"]),
            (Some("now"), ["1", "2", "3"]),
            (Some("sent"), ["3", "1", "2"]),
            (Some("age"), ["2", "3", "1"]),
            (Some("client"), ["3", "2", "1"]),
        ] {
            let sort = sort.map(str::to_owned);
            let list = view(&ListConnections { sort, ..ListConnections::default() }).of(&all);
            let ids: Vec<_> =
                list.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
            assert_eq!(ids, expected);
        }
        let odd = ListConnections { sort: Some("size".to_owned()), ..ListConnections::default() };
        let error = View::new(&odd).err().unwrap().to_string();
        assert_eq!(error, "sluicegate: --sort: \"size\" is no order; write id, now, sent, age or client");
    }

    #[test]
    fn a_clients_transfers_are_summed() {
        let mut other = told();
        other["transfers"][0]["upload"] = Value::Null;
        (other["transfers"][0]["client"], other["transfers"][0]["rate_now"]) =
            (json!("192.0.2.9"), json!(2 << 20));
        let idle = Connection { transfers: Vec::new(), ..read(told()) };
        let typed =
            ListConnections { by_client: true, sort: Some("now".to_owned()), ..ListConnections::default() };
        let expected = "\
CLIENT     TRANSFERS  OLDEST      SENT         NOW  HELD BY
192.0.2.9          1   1.0 s  12.0 KiB   2.0 MiB/s  client 1
192.0.2.1          4   1.0 s  32.0 KiB  24.4 KiB/s  client 2, upload_client 2
";
        assert_eq!(view(&typed).of(&[read(told()), read(told()), read(other), idle]), expected);
    }
}
