//! Raw TCP as a user runs it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use rustix::process::Signal;

use testkit::program::{Program, site, text};
use testkit::records::records;
use testkit::served::connect;

fn port(program: &Program) -> SocketAddr {
    let line = program.started.iter().find_map(|line| line.strip_prefix("listening on tcp:")).unwrap();
    line.split(' ').next().unwrap().parse().unwrap()
}

#[track_caller]
fn expect(stream: &mut TcpStream, words: &str) {
    let mut read = vec![0; words.len()];
    stream.read_exact(&mut read).unwrap();
    assert_eq!(String::from_utf8(read).unwrap(), words);
}

#[test]
fn a_file_is_followed_until_the_program_is_asked_to_end() {
    let site = site(10);
    let log = site.path().join("app.log");
    std::fs::write(&log, "start\n").unwrap();
    let program =
        Program::start(&["tcp", "--file", text(&log), "--follow", "--rate", "60", "--access-log", "stderr"]);
    let addr = port(&program);
    assert_eq!(
        program.started,
        [
            format!("listening on tcp:{addr}  file {}, followed", log.display()),
            "  each client: 60k (61440 bytes/s), end of stream immediate".to_owned(),
            "Ctrl-C stops; transfers under way then have 30s".to_owned(),
        ]
    );
    let mut stream = connect(addr);
    expect(&mut stream, "start\n");
    std::fs::OpenOptions::new().append(true).open(&log).unwrap().write_all(b"more\n").unwrap();
    expect(&mut stream, "more\n");
    program.signal(Signal::TERM);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "a clean end");
    drop(stream);
    let (status, log, error) = program.wait();
    assert_eq!((status.code(), error.as_str()), (Some(0), ""));
    let [record] = &records(&log, "stream")[..] else { panic!("{log}") };
    record.assert_says(&[("bytes", "11"), ("bytes_up", "0"), ("rate_set", "60k"), ("outcome", "complete")]);
}

#[test]
fn a_relay_passes_both_ways_and_says_its_paces() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = upstream.local_addr().unwrap().to_string();
    let program = Program::start(&["tcp", "--to", &to, "--rate", "1m", "--upload-rate", "64k"]);
    assert!(program.started[0].ends_with(&format!("  relay to {to}, connect timeout 5s")));
    let paces = "  each client: 1m (1048576 bytes/s), end of stream immediate; upload 64k (65536 bytes/s)";
    assert_eq!(program.started[1], paces);
    let mut client = connect(port(&program));
    let (mut peer, _) = upstream.accept().unwrap();
    client.write_all(b"ask").unwrap();
    expect(&mut peer, "ask");
    peer.write_all(b"answer").unwrap();
    expect(&mut client, "answer");
    drop(client);
    assert_eq!(peer.read(&mut [0]).unwrap(), 0);
    drop(peer);
    program.end();
}
