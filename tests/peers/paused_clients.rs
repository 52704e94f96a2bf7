//! The `eventsource` package for Node and `httpx-sse` for Python: cut off until the log has lost what they
//! miss, told of the gap, paused, polling, and back.

use std::process::Command;

use sluicegate::config::{EventSettings, Suspend};

use crate::program::{program, succeeded};
use crate::relay::Relay;
use crate::streams::{TOKEN, installed, numbers, publish, serve};
use testkit::wait::until;

/// Has a client subscribe with a window of four, acknowledge the first four events and no more, poll when it was
/// paused a second time, and say what it saw: numbers, `gap:N:ID` for N behind the event ID, `pause`, `paused:HOW`
/// for an answer to a subscriber that is suspended, `resume`.
fn gets_gaps_and_is_paused(client: &mut Command, suspend: Suspend, how: &str) {
    let millis = std::time::Duration::from_millis;
    let settings = EventSettings {
        queue: 5,
        batch: 5,
        log: 10,
        // That it was cut off is noticed by what is written to it.
        heartbeat: millis(100),
        retry: millis(100),
        suspend_retry: millis(300),
        suspend,
        ..EventSettings::default()
    };
    let (served, hub) = serve(settings, Vec::new());
    let relay = Relay::to(served.addr);
    client.args([format!("http://{}", relay.addr), format!("http://{}", served.addr), TOKEN.to_owned()]);
    let feed = std::thread::spawn(move || {
        until("the client", || hub.gauges().subscribers == 1);
        publish(&hub, &numbers(1..=4));
        until("its acknowledgements", || hub.counts().acks() == 4);
        relay.cut();
        publish(&hub, &numbers(5..=9));
        until("it to be away", || hub.gauges().away == 1);
        for first in [10, 15, 20] {
            publish(&hub, &numbers(first..=first + 4));
        }
        // 5 to 14 are not to be had any more.
        relay.open();
        until("the client again", || hub.gauges().subscribers == 1);
        let mut last = 24;
        until("the suspension", || {
            last += 1;
            publish(&hub, &numbers(last..=last));
            hub.counts().suspensions() == 1
        });
        until("it to be back", || hub.counts().resumes() == 1);
        publish(&hub, &["end".to_owned()]);
        (hub, last)
    });
    let said = String::from_utf8(succeeded(client)).unwrap();
    let (hub, last) = feed.join().unwrap();
    let words: Vec<&str> = said.split_whitespace().collect();
    let paused = format!("paused:{how}");
    // On a slow machine it comes again, and is told to wait, more than once before it has polled.
    assert!(words.contains(&"pause") && words.contains(&paused.as_str()), "{said}");
    let told: Vec<&str> = words.into_iter().filter(|word| *word != "pause" && *word != paused).collect();
    assert_eq!(told[..4], ["1", "2", "3", "4"], "{said}");
    assert_eq!(told[5..9], ["15", "16", "17", "18"], "{said}");
    assert_eq!(told.last(), Some(&"resume"), "{said}");
    let (mut next, mut missing) = (1, 0);
    for word in &told[..told.len() - 1] {
        if let Some(gap) = word.strip_prefix("gap:") {
            // A gap may grow, and may be told again to who asks again from before it.
            let (count, after) = gap.split_once(':').unwrap();
            let after: u32 = after.rsplit_once('-').unwrap().1.parse().unwrap();
            let before = after + count.parse::<u32>().unwrap() + 1;
            assert!(after < next && next < before, "{word} at {next} in {said}");
            missing += before - next;
            next = before;
        } else {
            assert_eq!(word.parse(), Ok(next), "{said}");
            next += 1;
        }
    }
    assert_eq!(next, last + 1, "{said}");
    assert!(told[4].starts_with("gap:10:"), "{said}");
    assert_eq!(hub.counts().dropped(), u64::from(missing), "{said}");
}

#[test]
fn nodes_event_source_gets_a_gap_event_is_paused_polls_and_comes_back() {
    let script = r#"
import { EventSource } from "eventsource";
const [front, server, token] = process.argv.slice(2);
const said = [];
let pauses = 0;
const events = new EventSource(`${front}/events/s?window=4&token=${token}`, {
    fetch: async (url, init) => {
        const answer = await fetch(url, init);
        if (answer.headers.get("x-stream-pause") == "true") said.push(`paused:${answer.status}`);
        return answer;
    },
});
const missing = gap => said.push(`gap:${gap.missing}:${gap.after}`);
events.addEventListener("sluicegate.gap", event => missing(JSON.parse(event.data)));
events.addEventListener("sluicegate.resume", () => said.push("resume"));
events.addEventListener("sluicegate.pause", async event => {
    said.push("pause");
    if (++pauses != 2) return;
    let at = server + JSON.parse(event.data).poll;
    for (;;) {
        const answer = await (await fetch(at)).json();
        if (answer.gap) missing(answer.gap);
        said.push(...answer.events.map(event => event.data));
        at = `${server}/events/s/poll?token=${token}&after=${encodeURIComponent(answer.last_id)}`;
        if (answer.may_resume && !answer.events.length) break;
    }
});
events.onmessage = event => {
    if (event.data == "end") {
        events.close();
        console.log(said.join(" "));
        return;
    }
    said.push(event.data);
    if (Number(event.data) <= 4) {
        const body = JSON.stringify({ token, id: event.lastEventId });
        fetch(`${server}/events/s/ack`, { method: "POST", body });
    }
};
"#;
    let folder = installed("node");
    let file = folder.join(format!("paused-{}.mjs", std::process::id()));
    std::fs::write(&file, script).unwrap();
    let mut node = Command::new(program("node"));
    gets_gaps_and_is_paused(node.current_dir(&folder).arg(&file), Suspend::Stream, "200");
    std::fs::remove_file(file).unwrap();
}

const PYTHON: &str = r#"
import sys, time
import httpx
from httpx_sse import connect_sse

front, server, token = sys.argv[1:]
said, last, pauses = [], None, 0

def poll(client, at):
    global last
    while True:
        answer = client.get(server + at).raise_for_status().json()
        if gap := answer.get("gap"):
            said.append(f"gap:{gap['missing']}:{gap['after']}")
        said.extend(event["data"] for event in answer["events"])
        last = answer["last_id"]
        at = f"/events/s/poll?token={token}&after={last}"
        if answer["may_resume"] and not answer["events"]:
            return

def read(client):
    """Reads a stream to its end. Whether all is over."""
    global last, pauses
    headers = {"Last-Event-ID": last} if last else {}
    address = f"{front}/events/s?window=4&token={token}"
    with connect_sse(client, "GET", address, headers=headers) as source:
        status = source.response.status_code
        if source.response.headers.get("X-Stream-Pause") == "true":
            said.append(f"paused:{status}")
        if status == 429:
            assert int(source.response.headers["Retry-After"]) >= 0
            poll(client, f"/events/s/poll?token={token}&after={last}")
            return False
        for event in source.iter_sse():
            if event.event == "sluicegate.open":
                continue
            elif event.event == "sluicegate.gap":
                gap = event.json()
                said.append(f"gap:{gap['missing']}:{gap['after']}")
            elif event.event == "sluicegate.pause":
                said.append("pause")
                pauses += 1
                if pauses == 2:
                    poll(client, event.json()["poll"])
                time.sleep(event.retry / 1000)
            elif event.event == "sluicegate.resume":
                said.append("resume")
            elif event.data == "end":
                return True
            else:
                said.append(event.data)
                last = event.id
                if int(event.data) <= 4:
                    acked = client.post(f"{server}/events/s/ack", json={"token": token, "id": event.id})
                    assert acked.status_code == 204, acked.text
    return False

with httpx.Client(timeout=20) as client:
    over = False
    while not over:
        try:
            over = read(client)
        except httpx.TransportError:
            # Cut in the middle.
            time.sleep(0.05)
print(" ".join(said))
"#;

#[test]
fn pythons_httpx_sse_gets_a_gap_event_is_paused_polls_and_comes_back() {
    let mut python = Command::new(installed("bin/python"));
    gets_gaps_and_is_paused(python.args(["-I", "-c", PYTHON]), Suspend::Stream, "200");
}

#[test]
fn pythons_httpx_sse_reads_the_status_of_its_pause() {
    let mut python = Command::new(installed("bin/python"));
    gets_gaps_and_is_paused(python.args(["-I", "-c", PYTHON]), Suspend::TooManyRequests, "429");
}
