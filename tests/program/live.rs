//! The live view costs nothing while nobody looks: its task and its timers go with the last viewer.

use std::io::{Read, Write};
use std::net::TcpStream;

use testkit::program::{Program, site, text};
use testkit::wait::until;

#[test]
fn nothing_is_left_of_the_last_viewer() {
    let folder = site(1000);
    let program = Program::start(&["serve", text(folder.path()), "--admin", "127.0.0.1:0"]);
    let tasks = || program.metric("sluicegate_tasks");
    // The first request starts what is started once.
    tasks();
    let before = tasks();
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
    assert!(tasks() >= before + 3, "{} after {before}", tasks());
    drop(viewer);
    // A heartbeat finds it gone, and it might come back for ten seconds.
    until("the end of its connection", || tasks() <= before + 2);
    until("the end of the view", || tasks() <= before);
}
