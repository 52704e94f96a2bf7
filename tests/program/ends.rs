//! Signals: the first drains, the second stops.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;

use rustix::process::Signal;

use testkit::program::{Program, get, log_until, site, text};
use testkit::wait::until;

/// Asks for the file and reads the first bytes of the answer.
fn begin(program: &Program) -> (TcpStream, Vec<u8>) {
    let mut stream = program.begin("/a.bin");
    let mut first = vec![0; 20];
    stream.read_exact(&mut first).unwrap();
    (stream, first)
}

#[test]
fn the_first_signal_lets_transfers_finish_and_takes_no_more() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        // Seven chunks: 1.4 s.
        let site = site(28_000);
        let program = Program::start(&["serve", text(site.path()), "--rate", "20000B"]);
        let addr = program.addr();
        let (mut stream, mut all) = begin(&program);
        program.signal(signal);
        until("the listener is closed", || {
            TcpStream::connect(addr).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
        });
        stream.read_to_end(&mut all).unwrap();
        let head = all.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(all.len() - head, 28_000);
        let (status, log, error) = program.wait();
        assert_eq!((status.code(), error.as_str()), (Some(0), ""));
        assert!(log.contains("draining: no new connections"), "{log}");
        assert!(log.contains("stopped") && !log.contains("transfers under way are cut"), "{log}");
    }
}

#[test]
fn a_second_signal_stops_at_once_and_a_cut_transfer_is_a_reset() {
    for signals in [[Signal::TERM, Signal::TERM], [Signal::INT, Signal::TERM]] {
        let site = site(1_000_000);
        let program = Program::start(&["serve", text(site.path()), "--rate", "1000B", "--drain", "1h"]);
        let addr = program.addr();
        let (mut stream, _) = begin(&program);
        for signal in signals {
            program.signal(signal);
            // Signals of one kind that come together are one.
            until("the listener is closed", || TcpStream::connect(addr).is_err());
        }
        let error = stream.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let (status, log, error) = program.wait();
        assert_eq!((status.code(), error.as_str()), (Some(0), ""));
        assert!(log.contains("transfers under way are cut"), "{log}");
    }
}

#[test]
fn a_signal_that_means_something_elsewhere_does_not_end_it() {
    let site = site(100);
    let mut program = Program::start(&["serve", text(site.path())]);
    program.signal(Signal::USR1);
    let line = log_until(&mut program, "User1");
    assert!(line.contains("signal ignored; SIGTERM drains"), "{line}");
    assert_eq!(get(program.connect(), "/a.bin", "").1.len(), 100);
    program.end();
}

#[test]
fn a_drain_has_its_time_and_then_transfers_are_cut() {
    let site = site(1_000_000);
    let program = Program::start(&["serve", text(site.path()), "--rate", "1000B", "--drain", "300ms"]);
    let (mut stream, _) = begin(&program);
    program.signal(Signal::TERM);
    let error = stream.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let (status, ..) = program.wait();
    assert_eq!(status.code(), Some(0));
}
