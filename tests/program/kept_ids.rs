//! Ids of streams in a file, of which a crash took the last events.

use std::path::Path;

use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::program::{Program, command, text};
use testkit::served::{connect, post};
use testkit::wire::{Answer, Client};

/// A server whose file, in `folder`, has what was published so long ago.
fn start(folder: &Path, sync: &str) -> Program {
    let file = folder.join("site.toml");
    let config = format!(
        "listen = '127.0.0.1:0'\n[[route]]\npath = '/events/'\n[route.events]\nnames = 's'\nserver_names = 't'\nstore = 'file:a.redb'\nstore_sync = '{sync}'\n"
    );
    std::fs::write(&file, config).unwrap();
    Program::start_where_told(command(&["run", text(&file)]))
}

fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{}", answer.text()))
}

#[test]
fn an_id_that_a_crash_lost_is_not_given_to_another_event() {
    let folder = tempfile::tempdir().unwrap();
    let start = |sync| start(folder.path(), sync);
    let publish = |at: &Program, data| {
        let answer = post(at.addr(), "/events/s", "Content-Type: text/plain\r\n", data);
        body(&answer)["ids"][0].as_str().unwrap_or_else(|| panic!("{}", answer.text())).to_owned()
    };
    let polled = |at: &Program, after: &str| {
        let poll = body(&Client::new(connect(at.addr())).get(&format!("/events/s/poll?after={after}"), ""));
        let data = poll["events"].as_array().unwrap().iter().map(|event| event["data"].to_string());
        (data.collect::<Vec<_>>().join(" "), poll["gap"]["reason"].clone())
    };
    let program = start("0s");
    let kept = publish(&program, "kept");
    program.end();
    let program = start("60s");
    let lost = [publish(&program, "lost"), publish(&program, "lost, too")];
    assert_eq!(lost[1], kept.replace("-1", "-3"));
    program.signal(Signal::KILL);
    drop(program);
    for sync in ["60s", "0s"] {
        let program = start(sync);
        if sync == "60s" {
            assert_eq!(polled(&program, &kept), (String::new(), Value::Null));
            let new = publish(&program, "new");
            assert!(new.starts_with(&format!("{}.", lost[0])), "its number with a tag: {new}");
            assert_eq!(polled(&program, &new), (String::new(), Value::Null));
        }
        for id in &lost {
            assert_eq!(polled(&program, id), ("\"kept\" \"new\"".to_owned(), json!("unknown")), "{id}");
        }
        assert_eq!(polled(&program, &kept), ("\"new\"".to_owned(), Value::Null));
        program.end();
    }
}

#[test]
fn whoever_had_a_lost_event_misses_nothing_when_its_publisher_repeats_it_behind_others() {
    let folder = tempfile::tempdir().unwrap();
    let start = |sync| start(folder.path(), sync);
    let publish = |at: &Program, batch: Value| {
        let answer = post(at.addr(), "/events/s", "Content-Type: application/json\r\n", &batch.to_string());
        assert_eq!(answer.status(), 200, "{}", answer.text());
    };
    let polled = |at: &Program, query: &str| {
        let poll = body(&Client::new(connect(at.addr())).get(&format!("/events/s/poll?{query}"), ""));
        let data = poll["events"].as_array().unwrap().iter().map(|event| event["data"].as_str().unwrap());
        (
            data.collect::<Vec<_>>().join(" "),
            poll["gap"].clone(),
            poll["last_id"].as_str().unwrap().to_owned(),
        )
    };
    let program = start("0s");
    publish(&program, json!({"data": "a", "id": "before"}));
    program.end();
    let program = start("60s");
    publish(&program, json!([{"data": "lost"}, {"data": "e", "id": "own"}]));
    program.signal(Signal::KILL);
    drop(program);
    for life in 0..3 {
        let program = start(["60s", "0s", "0s"][life]);
        if life == 0 {
            publish(&program, json!([{"data": "b"}, {"data": "c", "id": "other"}]));
            publish(&program, json!({"data": "e", "id": "own"}));
            publish(&program, json!({"data": "f"}));
        }
        let (data, gap, _) = polled(&program, "after=own");
        assert_eq!((data.as_str(), gap), ("b c e f", Value::Null), "{life}");
        let (data, _, last) = polled(&program, "after=other&max=1");
        assert_eq!(
            (data.as_str(), polled(&program, &format!("after={last}")).0.as_str()),
            ("b c", "e f"),
            "{life}"
        );
        assert_eq!(polled(&program, "after=before").0, "b c e f", "{life}");
        program.end();
    }
}
