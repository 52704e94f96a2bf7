//! The primary of two redis-servers gives way to its copy, behind the HAProxy of the page, which finds out which one it is.

use std::net::SocketAddr;

use serde_json::json;
use testkit::wait::until;

use super::event_server::{EventServer, has_end, polled, posted};
use super::store_pair::{copies, is_copied, node};
use super::{PAGE, beginning, publish_at_last};
use crate::chaos::subscriber::{Seen, Subscriber};
use crate::haproxy::{blocks, haproxy, with};
use crate::program::Running;
use crate::redis::Redis;

/// HAProxy in front of two redis-servers by the block of the page.
fn store_proxy(folder: &std::path::Path, nodes: [SocketAddr; 2]) -> (SocketAddr, Running) {
    let block = blocks(PAGE, "Redis", "haproxy")[0];
    let [first, second] = nodes.map(|addr| addr.to_string());
    haproxy(folder, |addr| {
        with(
            block,
            &[("127.0.0.1:6380", &addr.to_string()), ("10.0.0.11:6379", &first), ("10.0.0.12:6379", &second)],
        )
    })
}

/// The settings of the page, as arguments of redis-server.
fn settings() -> Vec<String> {
    let lines = blocks(PAGE, "Redis", "text")[0].lines();
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ').unwrap();
        [format!("--{key}"), value.to_owned()]
    };
    lines.flat_map(pair).collect()
}

/// All that the log has, by a poll.
fn all(at: SocketAddr, first: &str) -> Vec<String> {
    until("all to be read", || has_end(at));
    let answer = polled(at, &format!("max=1000&after={first}")).unwrap();
    assert!(answer["gap"].is_null(), "{answer}");
    let events = answer["events"].as_array().unwrap();
    events.iter().map(|event| event["data"].as_str().unwrap().to_owned()).collect()
}

fn id_of(seen: &Seen) -> &str {
    match seen {
        Seen::Event(id) => id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn subscribers_and_publishers_follow_the_primary_to_its_copy() {
    let settings = settings();
    let flags: Vec<&str> = settings.iter().map(String::as_str).collect();
    let (first_addr, first) = node(&flags);
    let (second_addr, mut second) = node(&flags);
    copies(&second, first_addr);
    is_copied(&second);
    let folder = tempfile::tempdir().unwrap();
    let (store, _proxy) = store_proxy(folder.path(), [first_addr, second_addr]);
    let url = format!("redis://{store}/0");
    let servers = [EventServer::start(&url, 0), EventServer::start(&url, 1)];
    let begin = beginning(servers[0].addr);
    let reader = Subscriber::start_after(servers[1].addr, None, begin.clone(), false);
    publish_at_last(servers[0].addr, "before");

    // One that nobody copies takes nothing, by its settings.
    second.kill();
    let refused = |at: &EventServer| {
        posted(at.addr, &json!({"data": "x"}).to_string())
            .is_some_and(|(status, answer)| (status, answer["code"].as_str()) == (503, Some("store_down")))
    };
    until("a refusal", || refused(&servers[0]));
    second.begin();
    copies(&second, first_addr);
    is_copied(&second);
    publish_at_last(servers[0].addr, "copied again");

    // As planned: nothing is written while the copy has all.
    first.says(&["CLIENT", "PAUSE", "60000", "WRITE"]);
    let head = |of: &Redis| of.says(&["HGET", "{sluicegate:events:/events/}:s:about", "head"]);
    until("the copy to have all", || head(&first) == head(&second));
    assert_eq!(second.says(&["REPLICAOF", "NO", "ONE"]), "OK");
    copies(&first, second_addr);
    assert_eq!(first.says(&["CLIENT", "UNPAUSE"]), "OK");
    is_copied(&first);
    publish_at_last(servers[1].addr, "at the copy");
    until("the copy's copy to have all", || head(&first) == head(&second));

    // As it comes: the primary dies. HAProxy is not told.
    second.kill();
    assert_eq!(first.says(&["REPLICAOF", "NO", "ONE"]), "OK");
    second.begin_with(&["--replicaof", &first_addr.ip().to_string(), &first_addr.port().to_string()]);
    is_copied(&second);
    publish_at_last(servers[0].addr, "at the first");
    publish_at_last(servers[1].addr, "end");

    let expected = ["before", "copied again", "at the copy", "at the first", "end"];
    for server in &servers {
        let all: Vec<String> = all(server.addr, &begin).into_iter().filter(|data| data != "x").collect();
        assert_eq!(all, expected);
    }
    let seen = Subscriber::join(reader);
    // Without those whose ids are the server's.
    let incarnation = begin.strip_suffix("-0").unwrap();
    let events = seen.iter().filter(|seen| !matches!(seen, Seen::Open));
    let ids: Vec<&str> = events.map(id_of).filter(|id| !id.starts_with(incarnation)).collect();
    assert_eq!(ids, expected, "each has its data as its id");
}
