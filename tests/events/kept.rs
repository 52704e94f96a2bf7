//! Streams in a file: what a server that starts again has of them.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use sluicegate::config::{EventSettings, EventStore};
use sluicegate::events::{Events, Hub};
use sluicegate::http::route::Route;
use sluicegate::rt;
use tempfile::TempDir;
use testkit::served::Served;
use testkit::wait::until;

use crate::client::{Subscriber, assert_problem, body, hub, named, post, publish};

fn folder() -> (TempDir, EventSettings) {
    let folder = tempfile::tempdir().unwrap();
    let store = EventStore::File(folder.path().join("events.redb"));
    (folder, EventSettings { store, server_names: vec!["t".to_owned()], ..named() })
}

fn open(settings: &EventSettings) -> Route {
    let events = Events::open("/events/", settings.clone().checked().unwrap(), None, rt::clock());
    Route::events("/events/", events.unwrap_or_else(|error| panic!("{error}")))
}

fn serve(settings: &EventSettings) -> Served {
    Served::new(vec![open(settings)])
}

/// Closes the streams, and ends the server.
fn end(served: Served) {
    let hub = hub(&served);
    hub.close();
    rt::block_on(hub.closed());
}

/// The data of all events behind `after`, and the gap.
fn polled(served: &Served, after: &str) -> (Vec<String>, serde_json::Value) {
    let poll = body(&served.get(&format!("/events/s/poll?after={after}&max=1000"), ""));
    let data = poll["events"].as_array().unwrap().iter();
    (data.map(|event| event["data"].as_str().unwrap().to_owned()).collect(), poll["gap"].clone())
}

#[test]
fn a_server_that_starts_again_goes_on_with_all_streams() {
    let (_folder, settings) = folder();
    let served = serve(&settings);
    let first = Subscriber::new(&served, "/events/s", "").event().id.unwrap();
    let ids = publish(&served, "s", &json!([{"data": "a\nb", "type": "k"}, {"data": "own", "id": "mine"}]));
    let other = publish(&served, "other", &json!({"data": "elsewhere"}));
    end(served);

    let served = serve(&settings);
    // From before the first event, by its last id; in between nobody can see that the server is another one.
    let mut one = Subscriber::opened(&served, "/events/s", &format!("Last-Event-ID: {first}\r\n"));
    let event = one.event();
    assert_eq!(
        (event.kind.as_str(), event.data.as_str(), event.id.as_deref()),
        ("k", "a\nb", Some(&*ids[0]))
    );
    assert_eq!(one.event().id.as_deref(), Some("mine"));
    // A repetition is published once; another content under the same id is refused.
    assert_eq!(publish(&served, "s", &json!({"data": "own", "id": "mine"})), ["mine"]);
    assert_problem(&post(&served, "/events/s", &json!({"data": "else", "id": "mine"})), 409, "conflict");
    let next = publish(&served, "s", &json!({"data": "next"}));
    assert_eq!(next, [ids[0].replace("-1", "-3")], "numbers go on");
    assert_eq!(one.data(1), ["next"]);
    let more = Subscriber::opened(&served, "/events/other", &format!("Last-Event-ID: {}\r\n", other[0]));
    drop(more);
    assert_eq!(polled(&served, "mine"), (vec!["next".to_owned()], serde_json::Value::Null));
    end(served);
}

#[test]
fn a_stream_without_events_is_known_again_too() {
    let (_folder, settings) = folder();
    let served = serve(&settings);
    let first = Subscriber::new(&served, "/events/s", "").event().id.unwrap();
    end(served);
    let served = serve(&settings);
    let mut one = Subscriber::opened(&served, "/events/s", &format!("Last-Event-ID: {first}\r\n"));
    publish(&served, "s", &json!({"data": "a"}));
    assert_eq!(one.data(1), ["a"], "no gap");
    end(served);
}

#[test]
fn bounds_hold_in_the_file_and_gaps_are_told_as_they_were() {
    let (folder, settings) = folder();
    let settings = EventSettings { log: 3, queue: 3, batch: 3, ..settings };
    let served = serve(&settings);
    let first = Subscriber::new(&served, "/events/s", "").event().id.unwrap();
    for n in 0..10 {
        publish(&served, "s", &json!({"data": n.to_string()}));
    }
    let before = polled(&served, &first);
    assert_eq!(before.0, ["7", "8", "9"]);
    assert_eq!((&before.1["missing"], &before.1["reason"]), (&json!(7), &json!("evicted")));
    end(served);
    let served = serve(&settings);
    assert_eq!(polled(&served, &first), before);
    let large = folder.path().join("events.redb").metadata().unwrap().len();
    for _ in 0..300 {
        publish(&served, "s", &json!({"data": "x".repeat(60_000)}));
    }
    end(served);
    let len = folder.path().join("events.redb").metadata().unwrap().len();
    assert!(len < large + (8 << 20), "18 MB went through a log of three: {len}");
}

#[test]
fn events_that_grew_too_old_meanwhile_are_a_gap() {
    let (_folder, settings) = folder();
    let served = serve(&settings);
    let first = Subscriber::new(&served, "/events/s", "").event().id.unwrap();
    publish(&served, "s", &json!([{"data": "short", "ttl": "1ms"}, {"data": "long"}]));
    end(served);
    std::thread::sleep(Duration::from_millis(2));
    let served = serve(&settings);
    let (data, gap) = polled(&served, &first);
    assert_eq!(data, ["long"]);
    assert_eq!((&gap["missing"], &gap["reason"]), (&json!(1), &json!("expired")));
    end(served);
}

#[test]
fn a_server_that_comes_in_anothers_place_waits_for_its_file() {
    let (_folder, settings) = folder();
    let old = serve(&settings);
    publish(&old, "s", &json!({"data": "old"}));
    // In one process the file is known to be its own: as at a reload, and for the new program of SIGUSR2.
    let new = serve(&settings);
    assert!(hub(&new).store_fault().unwrap().contains("another process has it"));
    let mut reader = new.send("GET /events/s/poll?after=x HTTP/1.1\r\nHost: t\r\n\r\n");
    publish(&old, "s", &json!({"data": "last"}));
    end(old);
    let answer = body(&testkit::wire::answer(&mut reader));
    let data: Vec<_> = answer["events"].as_array().unwrap().iter().map(|event| &event["data"]).collect();
    assert_eq!(data, ["old", "last"]);
    until("the store", || hub(&new).store_fault().is_none());
    publish(&new, "s", &json!({"data": "new"}));
    end(new);
}

#[test]
fn what_is_answered_first_and_written_later_is_there_after_an_orderly_end() {
    let (_folder, settings) = folder();
    let settings = EventSettings { store_sync: Duration::from_secs(60), ..settings };
    let served = serve(&settings);
    let sent: Vec<String> = (0..50).map(|n| n.to_string()).collect();
    for data in &sent {
        publish(&served, "s", &json!({"data": data}));
    }
    end(served);
    let served = serve(&settings);
    assert_eq!(polled(&served, "x").0, sent);
    end(served);
}

#[test]
fn a_file_that_is_no_store_is_left_as_it_is() {
    let (folder, settings) = folder();
    let path = folder.path().join("events.redb");
    let refused = |settings: &EventSettings| {
        Hub::open("/events/", settings.clone(), rt::clock()).unwrap_err().to_string()
    };
    std::fs::write(&path, "a text that somebody wrote ".repeat(100)).unwrap();
    assert!(
        refused(&settings).contains("is not a store of event streams; name another file"),
        "{}",
        refused(&settings)
    );
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("a text that somebody"));
    let elsewhere =
        |name: &str| EventSettings { store: EventStore::File(folder.path().join(name)), ..settings.clone() };
    assert!(refused(&elsewhere("none/a")).contains("make its folder"));
    assert!(
        refused(&EventSettings {
            store: EventStore::File(Path::new("/dev/null").into()),
            ..settings.clone()
        })
        .contains("not a regular file")
    );
    let foreign = folder.path().join("other.redb");
    let database = redb::Database::create(&foreign).unwrap();
    let writing = database.begin_write().unwrap();
    writing.open_table(redb::TableDefinition::<u64, u64>::new("theirs")).unwrap();
    writing.commit().unwrap();
    drop(database);
    assert!(refused(&elsewhere("other.redb")).contains("is not a store of event streams"));
}
