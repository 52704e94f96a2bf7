//! A file that is followed.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use sluicegate::limit::Rate;
use sluicegate::tcp::Service;

use super::fixture::{Ported, bytes, file, reset};
use testkit::wire::{read_all, read_to_reset};

fn log() -> (tempfile::TempDir, PathBuf) {
    file(b"start\n")
}

/// The log, its port, and one who follows it and has read what there is.
fn followed() -> (tempfile::TempDir, PathBuf, Ported, TcpStream) {
    let (folder, path) = log();
    let ported = Ported::new(Service::file(&path).follow());
    let mut stream = ported.connect();
    expect(&mut stream, b"start\n");
    (folder, path, ported, stream)
}

fn append(path: &Path, text: &[u8]) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(text).unwrap();
}

#[track_caller]
fn expect(stream: &mut TcpStream, text: &[u8]) {
    let mut read = vec![0; text.len()];
    stream.read_exact(&mut read).unwrap();
    assert!(read == text, "{:?}", String::from_utf8_lossy(&read));
}

#[test]
fn appended_bytes_reach_all_followers_and_a_drain_ends_them_cleanly() {
    let (_folder, path) = log();
    let ported = Ported::new(Service::file(&path).follow());
    let mut streams = [(); 3].map(|()| ported.connect());
    for stream in &mut streams {
        expect(stream, b"start\n");
    }
    for round in 0..20 {
        let line = format!("line {round}\n");
        append(&path, line.as_bytes());
        for stream in &mut streams {
            expect(stream, line.as_bytes());
        }
    }
    let long = bytes(3 << 20);
    append(&path, &long);
    for stream in &mut streams {
        expect(stream, &long);
    }
    // One that comes late gets all of it.
    let mut late = ported.connect();
    expect(&mut late, b"start\nline 0\n");
    ported.served.handle.drain();
    for stream in &mut streams {
        assert_eq!(read_all(stream), b"", "a clean end");
    }
    assert!(read_all(&mut late).ends_with(&long));
}

#[test]
fn a_truncated_file_begins_again() {
    let (_folder, path, _ported, mut stream) = followed();
    for text in ["a\n", "b\n"] {
        // Copied away and truncated, as logrotate's copytruncate does.
        std::fs::write(&path, "").unwrap();
        append(&path, text.as_bytes());
        expect(&mut stream, text.as_bytes());
        append(&path, b"and more\n");
        expect(&mut stream, b"and more\n");
    }
}

#[test]
fn a_file_in_its_place_is_gone_on_with_when_the_old_one_is_read() {
    let (folder, path, _ported, mut stream) = followed();
    for round in 0..3 {
        let (last, first) = (format!("last of {round}\n"), format!("first behind {round}\n"));
        append(&path, last.as_bytes());
        std::fs::rename(&path, folder.path().join(format!("app.log.{round}"))).unwrap();
        std::fs::write(&path, &first).unwrap();
        expect(&mut stream, last.as_bytes());
        expect(&mut stream, first.as_bytes());
    }
    // A gap without a file.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "again\n").unwrap();
    expect(&mut stream, b"again\n");
    append(&path, b"on\n");
    expect(&mut stream, b"on\n");
}

/// Truncated while a slow reader has most of it before it: nothing is cut, as in `tail -F`.
#[test]
fn a_truncation_under_a_slow_reader_does_not_end_its_stream() {
    let (_folder, path) = log();
    std::fs::write(&path, bytes(1 << 20)).unwrap();
    let ported = Ported::new(Service::file(&path).follow().rate(Rate::or_unlimited(10_000)));
    let mut stream = ported.connect();
    expect(&mut stream, &bytes(1 << 20)[..1000]);
    std::fs::write(&path, "new\n").unwrap();
    let handle = &ported.served.handle;
    handle.ports()[0].service().limit().set_rate(None);
    let mut seen = Vec::new();
    while !seen.ends_with(b"new\n") {
        let mut buf = [0; 1000];
        let n = stream.read(&mut buf).unwrap();
        assert_ne!(n, 0, "an end after {} bytes", seen.len());
        seen.extend_from_slice(&buf[..n]);
    }
    let old = &seen[..seen.len() - 4];
    assert!(old.len() <= 32 * 1024 && *old == bytes(1 << 20)[1000..1000 + old.len()], "{}", old.len());
}

#[test]
fn a_follower_that_leaves_while_the_file_is_quiet_is_noticed() {
    let (_folder, _path, ported, stream) = followed();
    reset(stream);
    ported.quiet();
    assert_eq!(ported.counted(), (6, 1, 1));
}

#[test]
fn a_server_that_stops_resets_its_followers() {
    let (_folder, _path, ported, mut stream) = followed();
    ported.served.handle.stop();
    assert_eq!(read_to_reset(&mut stream), b"");
}
