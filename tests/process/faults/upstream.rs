//! A backend that fails: before its answer, in the middle of it, in the middle of an upload.

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use sluicegate::sink::SinkSettings;

use super::ground::{Ground, reset as reset_client};
use crate::backend::{endless, reset, routed, until_closed};
use testkit::versions::{BOTH, Version};
use testkit::wait::PATIENCE;
use testkit::wire::{Client, End, content};

/// What a client gets of a failing answer: over HTTP/2 only its stream is reset.
fn cut(version: Version) -> End {
    match version {
        Version::Http1 => End::Reset,
        Version::Http2 => End::StreamReset,
    }
}

#[test]
fn a_backend_that_resets_in_mid_body_is_never_a_clean_end() {
    let framings = [
        "content-length: 40000\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n9c40\r\n",
        // To the end of the connection: a reset is no such end.
        "connection: close\r\n\r\n",
    ];
    for version in BOTH {
        for rate in [100_000, 0] {
            for framing in framings {
                let (passed, passes) = mpsc::channel();
                let passes = Mutex::new(passes);
                let ground = Ground::backed_by(rate, move |stream, _| {
                    write!(stream, "HTTP/1.1 200 OK\r\n{framing}")?;
                    stream.write_all(&content(30_000))?;
                    // What is not taken yet a reset takes back, and it is to come in mid-body.
                    passes.lock().unwrap().recv_timeout(PATIENCE).map_err(io::Error::other)?;
                    reset(stream);
                    Ok(())
                });
                let mut stream = ground.served.send(version.get("/proxied/page"));
                ground.until("bytes of the body", |_| ground.served.handle.egress().bytes_written() > 1000);
                passed.send(()).unwrap();
                let answer = version.answer(&mut stream);
                assert_eq!(answer.end, cut(version), "{version:?} {framing:?} at {rate}");
                assert!(answer.body.len() <= 30_000 && answer.body == content(answer.body.len()));
                ground.assert_forgets(stream);
            }
        }
    }
}

/// Gives 60 000 bytes of more at once and goes, or never ends.
fn dying(stream: &mut TcpStream, head: &str) -> io::Result<()> {
    if head.contains("/endless ") {
        return endless(stream);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 70000\r\n\r\n")?;
    stream.write_all(&content(60_000))
}

// Most of it is in hyper when the failure is known, and none may be forgotten for that.
#[test]
fn a_slow_reader_loses_nothing_of_what_came_before_a_failure() {
    for version in BOTH {
        let ground = Ground::backed_by(0, dying);
        let mut stream = ground.narrow();
        stream.write_all(&version.get("/proxied/page")).unwrap();
        assert_eq!(ground.backend.ended(), Ok(()));
        let answer = version.answer(&mut stream);
        assert_eq!((answer.body.len(), answer.end), (60_000, cut(version)), "{version:?}");
        ground.assert_forgets(stream);
    }
}

// What came before the failure is the client's, as long as it takes it; what it leaves is lost.
#[test]
fn a_stream_whose_backend_fails_behind_a_shut_window_is_reset_when_that_opens_or_patience_ends() {
    let script = |stream: &mut TcpStream, _: &str| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 70000\r\n\r\n")?;
        stream.write_all(&content(2000))
    };
    for (opens, stall_timeout, len) in
        [(true, Duration::from_secs(60), 2000), (false, Duration::from_millis(300), 1000)]
    {
        let sink = SinkSettings { stall_timeout, ..SinkSettings::default() };
        let ground = Ground::with(sink, 0, script, |backend| backend.route(0));
        let mut stream = ground.served.send(Version::Http2.get_through("/proxied/page", 1000));
        ground.until("the first thousand", |_| ground.served.handle.egress().bytes_written() > 1000);
        if opens {
            stream.write_all(&Version::window(1000)).unwrap();
        }
        let answer = Version::Http2.answer(&mut stream);
        assert_eq!((answer.body.len(), answer.end), (len, End::StreamReset));
        assert!(content(70_000).starts_with(&answer.body));
        ground.assert_forgets(stream);
    }
}

// What the neighbour gives keeps the buffer full as long as it lasts, which is for ever.
#[test]
fn a_stream_whose_backend_fails_is_reset_beside_one_that_keeps_a_slow_reader_busy() {
    // Less than hyper holds of the neighbour.
    let sink = SinkSettings { buffer: 4096, send_buffer: Some(4096), ..SinkSettings::default() };
    let ground = Ground::with(sink, 0, dying, |backend| backend.route(0));
    let mut stream = ground.narrow();
    stream.write_all(&Version::Http2.get("/proxied/page")).unwrap();
    stream.write_all(&Version::get_beside("/proxied/endless")).unwrap();
    ground.until("a held piece", |census| census.held > 0);
    let answer = Version::Http2.answer(&mut stream);
    assert_eq!((answer.body.len(), answer.end), (60_000, End::StreamReset));
    let written = ground.served.handle.egress().bytes_written();
    assert!(written < 10_000_000, "{written} bytes until then");
    ground.read_on(&mut stream, written + 1_000_000);
    reset_client(stream);
    ground.assert_forgotten();
}

#[test]
fn a_backend_that_resets_before_its_answer_is_a_bad_gateway_and_the_client_stays() {
    for said in ["", "HTTP/1.1 200 OK\r\nconte"] {
        let ground = Ground::backed_by(0, move |stream, _| {
            stream.write_all(said.as_bytes())?;
            reset(stream);
            Ok(())
        });
        let mut client = Client::new(ground.served.connect());
        for _ in 0..2 {
            let answer = client.get("/proxied/page", "");
            assert_eq!((answer.status(), answer.end), (502, End::Complete), "{said:?}");
        }
        drop(client);
        ground.assert_forgotten();
    }
}

#[test]
fn a_backend_that_resets_in_mid_upload_leaves_nothing() {
    for version in BOTH {
        let (ground, mut stream) = Ground::mid_upload(version, |stream| {
            reset(stream);
            Ok(())
        });
        assert_eq!(ground.backend.ended(), Ok(()));
        // A 502, or the end of the connection if the body stood in its way: an end at any rate.
        version.answer(&mut stream);
        ground.assert_forgets(stream);
    }
}

// Over HTTP/1 nothing is written to it then, and it may only have closed its sending half.
#[test]
fn a_client_that_resets_while_the_backend_is_silent_is_dropped_at_the_timeout() {
    for version in BOTH {
        for said in ["", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n1234"] {
            let silent = move |stream: &mut TcpStream, _: &str| {
                stream.write_all(said.as_bytes())?;
                until_closed(stream)
            };
            let ground = Ground::with(SinkSettings::default(), 0, silent, |backend| {
                let mut source = backend.source();
                source.response_timeout = Duration::from_millis(200);
                source.read_timeout = Duration::from_millis(200);
                routed(source, 0)
            });
            let stream = ground.served.send(version.get("/proxied/page"));
            ground.backend.began();
            reset_client(stream);
            assert!(ground.backend.ended().is_err(), "{version:?} {said:?}");
            ground.assert_forgotten();
        }
    }
}
