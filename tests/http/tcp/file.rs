//! A file for whoever connects.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use sluicegate::filter::EndOfStream;
use sluicegate::limit::Rate;
use sluicegate::tcp::Service;

use super::fixture::{Ported, bytes, file};
use testkit::wait::until;
use testkit::wire::{read_all, read_to_reset};

/// Above what all buffers on the way hold.
const LEN: usize = 12 << 20;

#[test]
fn each_client_gets_the_file_without_asking() {
    let content = bytes(LEN);
    let (_folder, path) = file(&content);
    let ported = Ported::new(Service::file(&path));
    let mut quiet = ported.connect();
    let mut talking = ported.connect();
    talking.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut half_closed = ported.connect();
    half_closed.shutdown(Shutdown::Write).unwrap();
    for stream in [&mut quiet, &mut talking, &mut half_closed] {
        assert!(read_all(stream) == content);
    }
    drop((quiet, talking, half_closed));
    ported.quiet();
    assert_eq!(ported.counted(), (3 * LEN as u64, 3, 0));
}

/// Real time, bounded from below only: five chunks of 12 288 bytes leave at 0, 200, … 800 ms.
#[test]
fn it_leaves_at_its_pace() {
    let content = bytes(61_440);
    let (_folder, path) = file(&content);
    let service = Service::file(&path).rate(Rate::or_unlimited(61_440));
    // The other rule may let the last bytes out an interval sooner.
    let ported = Ported::new(service.end_of_stream(EndOfStream::Paced));
    let began = Instant::now();
    let mut stream = ported.connect();
    assert_eq!(read_all(&mut stream), content);
    assert!(began.elapsed() >= Duration::from_millis(790), "{:?}", began.elapsed());
}

#[test]
fn a_client_gets_the_file_as_it_was_when_it_connected() {
    let (_folder, path) = file(b"");
    let ported = Ported::new(Service::file(&path).rate(Rate::or_unlimited(1000)));
    assert_eq!(read_all(&mut ported.connect()), b"");
    std::fs::write(&path, [b'x'; 400]).unwrap();
    let mut stream = ported.connect();
    stream.read_exact(&mut [0; 200]).unwrap();
    std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"more").unwrap();
    assert_eq!(read_all(&mut stream), [b'x'; 200]);
}

#[test]
fn a_file_that_is_not_there_is_a_reset_until_it_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let ported = Ported::new(Service::file(&path));
    assert_eq!(read_to_reset(&mut ported.connect()), b"");
    std::fs::create_dir(&path).unwrap();
    assert_eq!(read_to_reset(&mut ported.connect()), b"", "a folder is no file");
    std::fs::remove_dir(&path).unwrap();
    std::fs::write(&path, "now").unwrap();
    assert_eq!(read_all(&mut ported.connect()), b"now");
    until("all are counted", || ported.counted() == (3, 3, 2));
}

/// Bytes without framing must not look complete.
#[test]
fn a_file_cut_short_while_it_is_sent_ends_in_a_reset_behind_its_bytes() {
    let (_folder, path) = file(&bytes(4_000));
    let ported = Ported::new(Service::file(&path).rate(Rate::or_unlimited(1_000)));
    let mut stream = ported.connect();
    let mut first = [0; 200];
    stream.read_exact(&mut first).unwrap();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(300).unwrap();
    let rest = read_to_reset(&mut stream);
    assert_eq!([&first[..], &rest].concat(), bytes(300));
}
