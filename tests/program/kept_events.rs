//! Streams of events in a file, under a program that is killed, replaced, started twice, and whose disk is full.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{panicking, scope};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use testkit::program::{self, Program, command, text};
use testkit::served::{connect, post};
use testkit::skip::skipped;
use testkit::wait::{PATIENCE, until};
use testkit::wire::{Answer, Client, End};

/// Publishers at once.
const PUBLISHERS: usize = 4;

fn start(store: &Path, more: &[&str]) -> Program {
    let store = format!("file:{}", store.display());
    Program::start(
        &[&["events", "s", "--store", &store, "--log", "1000000", "--server-name", "t"], more].concat(),
    )
}

fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{}", answer.text()))
}

/// Kills a program also when its test fails: what waits for its end then ends, too.
struct Killed<'a>(&'a Program);

impl Drop for Killed<'_> {
    fn drop(&mut self) {
        self.0.signal(Signal::KILL);
    }
}

/// All events of the stream, by poll.
fn events(addr: SocketAddr) -> Vec<(String, String)> {
    let mut client = Client::new(connect(addr));
    let (mut after, mut events) = ("before".to_owned(), Vec::new());
    loop {
        let page = body(&client.get(&format!("/events/s/poll?max=1000&after={after}"), ""));
        let Some(last) = page["events"].as_array().unwrap().last() else { return events };
        after = last["id"].as_str().unwrap().to_owned();
        let field = |event: &Value, name| event[name].as_str().unwrap().to_owned();
        let of_page = page["events"].as_array().unwrap().iter();
        events.extend(of_page.map(|event| (field(event, "id"), field(event, "data"))));
    }
}

/// Publishes numbers as one publisher until the program is gone; those that were answered, with their ids.
fn publish(addr: SocketAddr, publisher: usize, answered: &AtomicUsize) -> Vec<(String, String)> {
    let mut kept = Vec::new();
    let Ok(stream) = TcpStream::connect(addr) else { return kept };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut client = Client::new(stream);
    for n in 0.. {
        // Some under ids of their own, in batches of two.
        let data = format!("{publisher}-{n}");
        let own = (n % 3 == 0).then(|| format!("own-{publisher}-{n}"));
        let batch = json!([{"data": data, "id": own}, {"data": format!("{data}-b")}]).to_string();
        let request = format!(
            "POST /events/s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{batch}",
            batch.len()
        );
        if client.stream.write_all(request.as_bytes()).is_err() {
            break;
        }
        let Ok(answer) = client.try_answer_to("POST") else { break };
        if answer.end != End::Complete {
            break;
        }
        assert_eq!(answer.status(), 200, "{}", answer.text());
        let ids: Vec<String> = serde_json::from_value(body(&answer)["ids"].clone()).unwrap();
        kept.extend(ids.into_iter().zip([data.clone(), format!("{data}-b")]));
        answered.fetch_add(1, Ordering::Relaxed);
    }
    kept
}

#[test]
fn what_was_answered_is_there_after_a_kill_once_and_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("events.redb");
    let mut expected: Vec<Vec<(String, String)>> = Vec::new();
    for round in 0..4 {
        let program = start(&store, &[]);
        let addr = program.addr();
        let answered = AtomicUsize::new(0);
        let round: Vec<_> = scope(|scope| {
            let killed = Killed(&program);
            let publishing: Vec<_> = (0..PUBLISHERS)
                .map(|publisher| {
                    let answered = &answered;
                    scope.spawn(move || publish(addr, round * PUBLISHERS + publisher, answered))
                })
                .collect();
            until("some events", || answered.load(Ordering::Relaxed) > 20);
            drop(killed);
            publishing.into_iter().map(|publisher| publisher.join().unwrap()).collect()
        });
        expected.extend(round);
    }
    let program = start(&store, &[]);
    let all = events(program.addr());
    let mut at = HashMap::new();
    for (place, (id, data)) in all.iter().enumerate() {
        assert_eq!(at.insert(data.as_str(), (place, id.as_str())), None, "{data} is there twice");
    }
    for of_one in &expected {
        let mut last = None;
        for (id, data) in of_one {
            let (place, found) =
                at.get(data.as_str()).unwrap_or_else(|| panic!("{data} was answered and is lost"));
            assert_eq!(found, id);
            assert!(last < Some(*place), "{data} is before what was published before it");
            last = Some(*place);
        }
    }
    // A batch is there whole or not at all, answered or not.
    for data in at.keys().filter(|data| !data.ends_with("-b")) {
        let second = at[format!("{data}-b").as_str()].0;
        assert_eq!(second, at[data].0 + 1, "{data}");
    }
    program.end();
}

#[test]
fn a_second_server_on_the_same_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.redb");
    let first = start(&path, &[]);
    let store = format!("file:{}", path.display());
    let output = command(&["events", "s", "--listen", "127.0.0.1:0", "--store", &store]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    let expected =
        "events.redb is in use by another server; give each a file of its own, or stop the other one";
    assert!(error.contains(expected), "{error}");
    assert_eq!(post(first.addr(), "/events/s", "Content-Type: text/plain\r\n", "a").status(), 200);
    first.end();
    let mode = std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "for its owner alone");
}

#[test]
fn two_routes_do_not_share_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("site.toml");
    let route = |path| format!("[[route]]\npath = '{path}'\n[route.events]\nstore = 'file:a.redb'\n");
    std::fs::write(&file, format!("{}{}store_sync = '2m'\n", route("/a/"), route("/b/"))).unwrap();
    let output = command(&["check", text(&file)]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("it is that of route \"/a/\"; give each a file of its own"), "{error}");
    assert!(error.contains("give 0s to 60s"), "{error}");
    assert!(!folder.path().join("a.redb").exists(), "checking makes no file");
}

/// A disk of 16 MiB in name spaces of the program's own, most of it taken by another file.
fn on_a_small_disk(disk: &Path) -> impl Fn(&[&str]) -> Command {
    let script = format!(
        "mount -t tmpfs -o size=16m none {0} && head -c 8m /dev/zero > {0}/ballast && exec \"$0\" \"$@\"",
        disk.display()
    );
    move |args| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]).args(args);
        command.stdin(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
        command
    }
}

#[test]
fn a_full_disk_refuses_events_and_takes_them_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let apart = on_a_small_disk(&disk);
    if !apart(&["true"]).status().is_ok_and(|status| status.success()) {
        return skipped("a full disk: no user name spaces here");
    }
    let store = format!("file:{}", disk.join("events.redb").display());
    let args = ["events", "s", "--server-name", "t", "--store", &store, "--admin", "127.0.0.1:0"];
    let program = program::path();
    let program = Program::start_command(apart(&[&[program.to_str().unwrap()], &args[..]].concat()));
    let addr = program.addr();
    let told = scope(|scope| {
        let _killed = Killed(&program);
        let mut subscriber = connect(addr);
        subscriber.write_all(b"GET /events/s HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        let mut first = [0];
        subscriber.read_exact(&mut first).unwrap();
        let told = scope.spawn(move || told_until_the_last(first, subscriber));
        fill_and_clear(&program, &disk);
        told.join().unwrap()
    });
    assert_eq!(told, ["sluicegate.stalled", "sluicegate.flowing"], "once each, however often it was tried");
}

/// What a subscriber, whose answer begins with `first`, hears of the store until the event that begins with 1000.
fn told_until_the_last(first: [u8; 1], mut subscriber: TcpStream) -> Vec<String> {
    let (mut answer, mut piece, mut told) = (testkit::sse::Answer::default(), [0; 65_536], Vec::new());
    answer.push(&first);
    loop {
        let len = subscriber.read(&mut piece).unwrap();
        assert!(len > 0 && !answer.ended, "the stream ended: {told:?}");
        answer.push(&piece[..len]);
        for event in answer.by_ref() {
            match &*event.kind {
                "message" if event.data.starts_with("1000 ") => return told,
                "sluicegate.stalled" | "sluicegate.flowing" => told.push(event.kind),
                _ => {}
            }
        }
    }
}

fn fill_and_clear(program: &Program, disk: &Path) {
    let addr = program.addr();
    let large = |n: usize| {
        let data = format!("{n} {}", "x".repeat(60_000));
        post(addr, "/events/s", "Content-Type: text/plain\r\n", &data)
    };
    let mut kept = Vec::new();
    let refused = (0..400)
        .find_map(|n| {
            let answer = large(n);
            match answer.status() {
                200 => {
                    kept.push(n);
                    None
                }
                _ => Some(answer),
            }
        })
        .expect("the disk is full");
    assert_eq!((refused.status(), refused.field("retry-after")), (503, Some("5")), "{}", refused.text());
    assert_eq!(body(&refused)["code"], "store_failed");
    assert!(kept.len() > 10, "{}", kept.len());
    let ready = || {
        let mut admin = Client::new(connect(program.admin()));
        admin.send(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        admin.answer()
    };
    // Each second the file is tried again, and as long as there is no room nothing is taken.
    until("it to be told", || ready().status() == 503);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        let why = ready();
        assert_eq!((why.status(), large(500).status()), (503, 503), "{}", why.text());
        assert!(why.text().contains("event streams /events/: store file "), "{}", why.text());
    }
    let numbers = || -> Vec<usize> {
        events(addr).iter().map(|(_, data)| data.split(' ').next().unwrap().parse().unwrap()).collect()
    };
    assert_eq!(numbers(), kept, "what was answered can be read all the while");
    let ballast = format!("/proc/{}/root{}/ballast", program.id(), disk.display());
    std::fs::remove_file(ballast).unwrap();
    until("room", || ready().status() == 200);
    let after = large(1000);
    assert_eq!(after.status(), 200, "{}", after.text());
    kept.push(1000);
    assert_eq!(numbers(), kept);
}

/// Ends a publisher, and the program that came last, when a test fails, too.
struct Ended<'a> {
    done: &'a AtomicUsize,
    last: Option<Pid>,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.done.store(1, Ordering::Relaxed);
        if let Some(last) = self.last {
            let _ = kill_process(last, if panicking() { Signal::KILL } else { Signal::TERM });
        }
    }
}

#[test]
fn a_new_program_goes_on_with_the_file_of_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("site.toml");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let events_of = "[[route]]\npath = '/events/'\n[route.events]\nnames = 's'\nserver_names = 't'\nstore = 'file:events.redb'\nlog = 1_000_000\n";
    std::fs::write(&file, format!("listen = '{addr}'\n{events_of}")).unwrap();
    let mut program = Program::start_where_told(command(&["run", text(&file)]));
    let published = Mutex::new(Vec::new());
    let done = AtomicUsize::new(0);
    let mut ended = Ended { done: &done, last: None };
    scope(|scope| {
        // It ends with the closure, and so ends the publisher.
        let done_then = Ended { done: &done, last: None };
        scope.spawn(|| {
            let mut n = 0;
            while done.load(Ordering::Relaxed) == 0 {
                // As publishers should: again, under the same id, until it is taken.
                let event = json!({"data": n.to_string(), "id": format!("n{n}")}).to_string();
                let Ok(mut stream) = TcpStream::connect(addr) else { continue };
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let request = format!(
                    "POST /events/s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{event}",
                    event.len()
                );
                if stream.write_all(request.as_bytes()).is_err() {
                    continue;
                }
                let answer = Client::new(stream).try_answer_to("POST");
                if answer.is_ok_and(|answer| answer.end == End::Complete && answer.status() == 200) {
                    published.lock().unwrap().push(n.to_string());
                    n += 1;
                }
            }
        });
        for _ in 0..3 {
            let before = published.lock().unwrap().len();
            until("events", || published.lock().unwrap().len() > before + 20);
            match ended.last {
                None => program.signal(Signal::USR2),
                Some(pid) => kill_process(pid, Signal::USR2).unwrap(),
            }
            let mark = "draining: the new program serves; a signal stops this one at once";
            let log = program::log_until(&mut program, mark);
            let pid = testkit::records::records(&log, mark)[0].number("pid");
            ended.last = Pid::from_raw(pid as i32);
        }
        let before = published.lock().unwrap().len();
        until("events of the last one", || published.lock().unwrap().len() > before + 20);
        drop(done_then);
    });
    let data: Vec<String> = events(addr).into_iter().map(|(_, data)| data).collect();
    let published = published.into_inner().unwrap();
    // The last one may have been taken after its connection broke.
    assert_eq!(data[..published.len()], published[..], "one order, each once");
    assert!(data.len() <= published.len() + 1);
}
