//! A reader of 1 KiB a second against 256 KiB at 64 KiB a second, on real sockets, beside a fast one: with
//! `close` it is reset when the buffer stays full, with `wait` it gets every byte; the fast one gets all of
//! it both times. What is counted and logged adds up to the byte.
//!
//! Real time, because the kernel's buffers are a part of it. The same on a clock moved by hand, where all
//! instants are exact, is in the server's own tests. Resident memory is printed:
//! `cargo test --test process slow_reader -- --nocapture`.

mod scene;

use std::time::Duration;

use scene::{CAP, LARGE, Scene};
use sluicegate::sink::OnFull;
use testkit::process::procfs::memory_kib;
use testkit::recorder;
use testkit::versions::Version;
use testkit::wait::{self, until};
use testkit::wire::{End, content};

/// Resident memory in KiB.
fn rss() -> u64 {
    memory_kib(std::process::id(), "Rss").unwrap()
}

fn closed(version: Version) {
    let _turn = wait::beside();
    let before = rss();
    let scene = Scene::new(version, OnFull::Close);
    let egress = scene.served.handle.egress();
    let (answer, head) = scene.run(version, || egress.overflow_closes() > 0);
    until("the end of all", || scene.served.handle.connections() == 0);
    println!("close, {version:?}: {before} KiB before, {} KiB after", rss());
    assert_eq!(answer.end, End::Reset);
    assert!(answer.body == content(answer.body.len()));

    assert_eq!((egress.overflow_closes(), egress.stall_closes()), (1, 0));
    assert_eq!((egress.high_water(), egress.buffered()), (CAP, 0));
    let written = egress.bytes_written() - head - LARGE;
    let dropped = egress.bytes_dropped();
    let client = scene.slow.local_addr().unwrap().to_string();
    let told = recorder::of(&client, log::Level::Warn);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].text, "the reader cannot hold the pace: connection reset");
    let mut fields = told[0].fields.clone();
    let age: u128 = fields.remove("age_ms").unwrap().parse().unwrap();
    // At 64 KiB a second the buffer is not full before a second is over, nor given up in the interval after.
    assert!((1_200..=scene.connected.elapsed().as_millis()).contains(&age), "{age}");
    let expected = [
        ("buffered", CAP.to_string()),
        ("bytes_dropped", dropped.to_string()),
        ("bytes_written", written.to_string()),
        ("client", client.clone()),
        ("connection", "1".to_owned()),
        ("fd", scene.fd.clone()),
        ("peer", client.clone()),
        ("route", "/".to_owned()),
    ];
    assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value)).into());

    let line = &recorder::of(&client, log::Level::Info)[0];
    assert_eq!((line.fields["outcome"].as_str(), line.fields["held_by"].as_str()), ("aborted", "reader"));
    let taken: u64 = line.fields["bytes"].parse().unwrap();
    let routes: u64 = scene.served.handle.telemetry().routes().iter().map(|route| route.bytes()).sum();
    assert_eq!(taken + LARGE, routes);
    assert!(answer.body.len() as u64 <= written);
    match version {
        Version::Http1 => assert_eq!(written + dropped, head + taken, "all that was taken is accounted for"),
        // What hyper holds of a stream never came to the sink; frames have heads.
        Version::Http2 => assert!(written + dropped < head + taken + 2000),
    }
}

fn waited_for(version: Version) {
    let _turn = wait::beside();
    let before = rss();
    let scene = Scene::new(version, OnFull::Wait);
    let egress = scene.served.handle.egress();
    let (answer, head) = scene.run(version, || egress.high_water() == CAP);
    println!("wait, {version:?}: {before} KiB before, {} KiB after", rss());
    assert_eq!(answer.end, End::Complete);
    assert!(answer.body == content(LARGE as usize), "{} bytes", answer.body.len());
    assert_eq!((egress.overflow_closes(), egress.stall_closes(), egress.bytes_dropped()), (0, 0, 0));
    until("an empty buffer", || egress.buffered() == 0);
    assert!(egress.reader_wait() > Duration::from_secs(1), "{egress:?}");
    if version == Version::Http1 {
        assert_eq!(egress.bytes_written(), 2 * (head + LARGE));
    }
    let client = scene.slow.local_addr().unwrap().to_string();
    until("the line of the log", || !recorder::of(&client, log::Level::Info).is_empty());
    let line = &recorder::of(&client, log::Level::Info)[0];
    assert_eq!((line.fields["bytes"].as_str(), line.fields["outcome"].as_str()), ("262144", "complete"));
    assert_eq!(recorder::of(&client, log::Level::Warn).len(), 0);
}

#[test]
fn with_close_it_is_reset_when_the_buffer_stays_full() {
    closed(Version::Http1);
}

#[test]
fn over_http2_too_with_close_it_is_reset_when_the_buffer_stays_full() {
    closed(Version::Http2);
}

#[test]
fn with_wait_it_gets_every_byte() {
    waited_for(Version::Http1);
}

#[test]
fn over_http2_too_with_wait_it_gets_every_byte() {
    waited_for(Version::Http2);
}
