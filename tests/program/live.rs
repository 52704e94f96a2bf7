//! The live view of a program: it costs nothing while nobody looks, and it shows the shares of the fleet.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use testkit::program::{Program, command, site, text};
use testkit::sse::Answer;
use testkit::wait::until;

#[test]
fn nothing_is_left_of_the_last_viewer() {
    let folder = site(1000);
    let program = Program::start(&["serve", text(folder.path()), "--admin", "127.0.0.1:0"]);
    let tasks = || program.metric("sluicegate_tasks");
    // The first request starts what is started once, and one that has just ended may still be counted.
    tasks();
    let before = (0..10).map(|_| tasks()).min().unwrap();
    let mut viewer = TcpStream::connect(program.admin()).unwrap();
    viewer.write_all(b"GET /v1/live HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut seen = String::new();
    while !seen.contains("event: full") {
        let mut bytes = [0; 4096];
        let read = viewer.read(&mut bytes).unwrap();
        assert!(read > 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    // Its connection, the sampling, and the sweep of the stream.
    until("its tasks", || tasks() >= before + 3);
    drop(viewer);
    // A heartbeat finds it gone, and it might come back for ten seconds.
    until("the end of its connection", || tasks() <= before + 2);
    until("the end of the view", || tasks() <= before);
}

/// A quota server, killed with its test.
struct Quota(Child, String);

impl Quota {
    fn start() -> Self {
        let mut command = command(&[
            "quota",
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--learning",
            "0s",
            "--limit",
            "egress=1m",
        ]);
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        let (mut lines, mut first) = (BufReader::new(child.stderr.take().unwrap()), String::new());
        lines.read_line(&mut first).unwrap();
        // It goes on logging; nobody must be in its way.
        std::thread::spawn(move || lines.lines().map_while(Result::ok).for_each(drop));
        let first = testkit::records::message(&first);
        let addr = first.strip_prefix("quota server listening on ").unwrap_or_else(|| panic!("{first}"));
        Self(child, addr.to_owned())
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What is shown of the quota as soon as it is as wished.
fn quota_when(
    program: &Program,
    what: &str,
    wished: impl Fn(&serde_json::Value) -> bool,
) -> serde_json::Value {
    testkit::wait::soon(what, || {
        // A viewer of its own each time: the first frame is whole.
        let mut viewer = testkit::served::connect(program.admin());
        viewer.write_all(b"GET /v1/live HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let (mut answer, mut bytes) = (Answer::default(), [0; 16 * 1024]);
        loop {
            let read = viewer.read(&mut bytes).unwrap();
            assert!(read > 0, "the stream ended");
            answer.push(&bytes[..read]);
            if let Some(full) = answer.by_ref().find(|event| event.kind == "full") {
                let quota = full.json()["quota"].clone();
                return wished(&quota).then_some(quota);
            }
        }
    })
}

#[test]
fn the_shares_of_the_fleet_are_seen() {
    let folder = site(1000);
    let quota = Quota::start();
    let server = |name: &str| {
        let config = folder.path().join(format!("{name}.toml"));
        let text = format!(
            "listen='127.0.0.1:0'\nadmin='127.0.0.1:0'\n[quota]\nserver='{}'\nclient_id='{name}'\n[[route]]\npath='/'\nfiles='.'\n",
            quota.1
        );
        std::fs::write(&config, text).unwrap();
        Program::start_where_told(command(&["run", config.to_str().unwrap()]))
    };
    let (one, other) = (server("one"), server("other"));
    let seen = quota_when(&one, "both shares", |quota| {
        let share = |name: &str| quota["clients"][name]["share"].as_u64();
        share("one") > Some(0) && share("other") > Some(0)
    });
    let share = |name: &str| seen["clients"][name]["share"].as_u64().unwrap();
    assert!(share("one") + share("other") <= 1 << 20, "{seen:#}");
    assert_eq!(
        (&seen["resource"], &seen["client"], &seen["connected"]),
        (&"egress".into(), &"one".into(), &true.into())
    );
    assert_eq!((&seen["clients"]["one"]["weight"], &seen["trouble"]), (&1.into(), &serde_json::Value::Null));
    assert!(seen["share"].as_u64() > Some(0) && seen["clients_left_out"] == 0, "{seen:#}");
    // One that goes leaves the list; and without the quota server what is known is the server's own share.
    drop(other);
    quota_when(&one, "one share", |quota| {
        quota["clients"].as_object().is_some_and(|clients| clients.len() == 1)
    });
    drop(quota);
    let alone = quota_when(&one, "no answer", |quota| quota["trouble"].is_string());
    assert_eq!(alone["clients"], serde_json::json!({}), "{alone:#}");
}
