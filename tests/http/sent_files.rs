//! Files that the kernel sends unread: the same bytes as when they are read and written, and the same ends.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use rustix::fs::{Advice, fadvise};
use sluicegate::brigade::MAX_PIECE;
use sluicegate::http::server::Settings;
use sluicegate::limit::Rate;
use sluicegate::sink::{OnFull, SinkSettings};
use tempfile::TempDir;
use testkit::folder::folder;
use testkit::served::{Served, connect_narrow, files};
use testkit::wait::until;
use testkit::wire::{self, content};

/// Several pieces, and a rest.
const LARGE: usize = 3 * 1024 * 1024 + 12_345;

/// The server reads the first piece and writes it with the head.
const FIRST: usize = MAX_PIECE as usize;

fn large() -> TempDir {
    folder(&[("large", &content(LARGE)), ("empty", b""), ("one", b"1")])
}

/// The same files in memory, where the kernel does not say which pages it has.
fn large_in_memory() -> Option<TempDir> {
    let dir = tempfile::tempdir_in("/dev/shm").ok()?;
    fs::write(dir.path().join("large"), content(LARGE)).unwrap();
    Some(dir)
}

/// Has the kernel drop the pages of `path`.
fn evict(path: &Path) {
    let file = File::open(path).unwrap();
    file.sync_all().unwrap();
    fadvise(&file, 0, None, Advice::DontNeed).unwrap();
}

fn assert_ranges(served: &Served) {
    let whole = content(LARGE);
    let answer = served.get("/large", "");
    assert!(answer.status() == 200 && answer.body == whole);
    // The last piece is as short as is sent at all, and a byte less and more; it begins within a page and at its start.
    for begin in [0, 1, 4095, 4096] {
        for rest in [1, 8191, 8192, 8193, FIRST - 1, FIRST, FIRST + 1] {
            let end = begin + FIRST + rest;
            let answer = served.get("/large", &format!("Range: bytes={begin}-{}\r\n", end - 1));
            assert_eq!((answer.status(), answer.body.len()), (206, end - begin));
            assert!(answer.body == whole[begin..end], "from {begin}, {rest} after the first piece");
        }
    }
}

#[test]
fn bodies_are_whole_from_disk_and_from_memory_cached_or_not() {
    let on_disk = large();
    evict(&on_disk.path().join("large"));
    for folder in [Some(on_disk), large_in_memory()].into_iter().flatten() {
        assert_ranges(&Served::folder(Settings::default(), folder, 0));
    }
}

#[test]
fn without_content_nothing_is_sent_and_the_connection_goes_on() {
    let served = Served::folder(Settings::default(), large(), 0);
    let mut client = wire::Client::new(served.connect());
    for _ in 0..3 {
        assert_eq!(client.head("/large", "").field("content-length"), Some(LARGE.to_string().as_str()));
        assert_eq!(client.get("/empty", "").body, b"");
        assert_eq!(client.get("/one", "").body, b"1");
        assert!(client.get("/large", "").body == content(LARGE));
    }
}

#[test]
fn requests_that_came_together_are_answered_in_order() {
    let served = Served::folder(Settings::default(), large(), 0);
    let get = "GET /large HTTP/1.1\r\nHost: t\r\n\r\n";
    let last = "GET /one HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
    let all = served.ask(&[get, get, last].concat());
    let mut rest = &all[..];
    for expected in [content(LARGE), content(LARGE), b"1".to_vec()] {
        let begin = wire::find(rest, b"\r\n\r\n").unwrap() + 4;
        assert!(rest[begin..begin + expected.len()] == expected);
        rest = &rest[begin + expected.len()..];
    }
    assert!(rest.is_empty());
}

#[test]
fn a_file_that_shrinks_under_way_ends_in_a_reset_and_is_not_asked_for_ever() {
    for folder in [Some(large()), large_in_memory()].into_iter().flatten() {
        let path = folder.path().join("large");
        let served = Served::folder(Settings::default(), folder, 400_000);
        let mut stream = served.begin("/large");
        let mut begun = vec![0; 1000];
        stream.read_exact(&mut begun).unwrap();
        let keeps = 200_000;
        OpenOptions::new().write(true).open(&path).unwrap().set_len(keeps).unwrap();
        let all = [begun, wire::read_to_reset(&mut stream)].concat();
        let begin = wire::find(&all, b"\r\n\r\n").unwrap() + 4;
        assert!(all[begin..] == content(keeps as usize), "{} bytes", all.len() - begin);
        until("the end", || served.handle.connections() == 0);
    }
}

/// A connection whose kernel takes little that is not read, with the large file asked for.
fn slow_reader(served: &Served) -> TcpStream {
    let mut stream = connect_narrow(served.addr);
    stream.write_all(b"GET /large HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    stream
}

#[test]
fn a_slow_reader_gets_all_of_it_from_the_buffer_and_behind_it() {
    let sink = SinkSettings { send_buffer: Some(4096), buffer: 20_000, ..SinkSettings::default() };
    let served = Served::folder(Settings { sink, ..Settings::default() }, large(), 0);
    let mut stream = slow_reader(&served);
    until("a full buffer", || served.handle.egress().buffered() == 20_000);
    assert!(wire::answer(&mut stream).body == content(LARGE));
    until("nothing held", || served.handle.egress().held().total() == 0);
}

#[test]
fn a_reader_that_takes_nothing_is_closed_when_the_buffer_is_full() {
    let sink = SinkSettings { send_buffer: Some(4096), on_full: OnFull::Close, ..SinkSettings::default() };
    let served = Served::folder(Settings { sink, ..Settings::default() }, large(), 0);
    let mut stream = slow_reader(&served);
    until("an overflow", || served.handle.egress().overflow_closes() == 1);
    wire::read_to_reset(&mut stream);
    until("the end", || served.handle.connections() == 0);
    assert_eq!(served.handle.egress().held().total(), 0);
}

#[test]
fn nothing_is_read_while_the_connection_has_no_tokens() {
    const RATE: u64 = 200_000;
    let sink = SinkSettings { rate: Rate::or_unlimited(RATE), burst: 65_536, ..SinkSettings::default() };
    let served = Served::folder(Settings { sink, ..Settings::default() }, large(), 0);
    let mut stream = served.begin("/large");
    // The first piece is read, to leave with the head.
    let mut begun = vec![0; FIRST + 40_000];
    stream.read_exact(&mut begun).unwrap();
    until("tokens to be short", || !served.handle.egress().token_wait().is_zero());
    assert_eq!(served.handle.egress().held().total(), 0);
}

#[test]
fn a_limit_that_changes_under_way_holds_for_the_rest() {
    let folder = large();
    let route = files(&folder, 100_000);
    let limit = route.limit().clone();
    let served = Served::new(vec![route]);
    let mut stream = served.begin("/large");
    let mut begun = vec![0; 1000];
    stream.read_exact(&mut begun).unwrap();
    limit.set_rate(None);
    let mut rest = Vec::new();
    while begun.len() + rest.len() < LARGE {
        let mut piece = vec![0; 65_536];
        let n = stream.read(&mut piece).unwrap();
        assert!(n > 0);
        rest.extend_from_slice(&piece[..n]);
    }
    let all = [begun, rest].concat();
    let begin = wire::find(&all, b"\r\n\r\n").unwrap() + 4;
    assert!(all[begin..] == content(LARGE)[..all.len() - begin]);
}

#[test]
fn a_stop_resets_a_file_under_way_and_a_drain_lets_it_end() {
    let served = Served::folder(Settings::default(), large(), 1_000_000);
    let mut stopped = served.begin("/large");
    stopped.read_exact(&mut [0; 1000]).unwrap();
    served.handle.stop();
    wire::read_to_reset(&mut stopped);

    let served = Served::folder(Settings::default(), large(), 4_000_000);
    let mut drained = served.begin("/large");
    let mut begun = vec![0; 1000];
    drained.read_exact(&mut begun).unwrap();
    served.handle.drain();
    let all = [begun, wire::read_all(&mut drained)].concat();
    assert!(all.ends_with(&content(LARGE)));
    served.join();
}
