//! A server that is stopped while its connections sleep: on the pace, on tokens, on a reader, on an
//! upstream, on the next request. What they were drops in the middle of it, and its end is a reset where
//! an answer was under way.

use std::io::{Read, Write};
use std::net::TcpStream;

use sluicegate::limit::Rate;
use sluicegate::sink::SinkSettings;

use super::ground::{Ground, each};
use crate::backend::until_closed;
use testkit::versions::{BOTH, Version};
use testkit::wire::End;

/// Stops the server and says how the answer ended for the client.
fn stop(ground: &Ground, version: Version, stream: &mut TcpStream) -> End {
    ground.served.handle.stop();
    version.answer(stream).end
}

#[test]
fn stopped_while_bodies_sleep_on_their_pace() {
    for (version, source) in each() {
        // A byte a second: nothing is due for long.
        let ground = Ground::new(SinkSettings::default(), 1);
        let mut stream = ground.served.send(version.get(&Ground::target(source, "page")));
        ground.until("a sleeping body", |census| census.timers >= 2);
        assert_eq!(stop(&ground, version, &mut stream), End::Reset, "{version:?} {source:?}");
    }
}

#[test]
fn stopped_while_connections_wait_for_tokens() {
    for (version, source) in each() {
        let sink = SinkSettings { rate: Rate::or_unlimited(1), burst: 1000, ..SinkSettings::default() };
        let ground = Ground::new(sink, 0);
        let mut stream = ground.served.send(version.get(&Ground::target(source, "page")));
        let handle = &ground.served.handle;
        ground.until("an empty bucket", |_| handle.egress().bytes_written() >= 1000);
        assert_eq!(stop(&ground, version, &mut stream), End::Reset, "{version:?} {source:?}");
    }
}

#[test]
fn stopped_while_readers_take_nothing() {
    for (version, source) in each() {
        let ground = Ground::new(SinkSettings::default(), 0);
        let mut stream = ground.served.send(version.get(&Ground::target(source, "endless")));
        ground.until("a full buffer", |census| census.held > 0);
        assert_eq!(stop(&ground, version, &mut stream), End::Reset, "{version:?} {source:?}");
    }
}

#[test]
fn stopped_while_an_upstream_says_nothing() {
    for version in BOTH {
        for said in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n1234"] {
            let ground = Ground::backed_by(0, move |stream, _| {
                stream.write_all(said.as_bytes())?;
                until_closed(stream)
            });
            let mut stream = ground.served.send(version.get("/proxied/page"));
            ground.backend.began();
            ground.served.handle.stop();
            assert!(ground.backend.ended().is_err(), "{version:?} {said:?}");
            assert_ne!(version.answer(&mut stream).end, End::Complete, "{version:?} {said:?}");
        }
    }
}

#[test]
fn stopped_while_clients_say_nothing() {
    for version in BOTH {
        let request = version.get("/files/page");
        for len in [0, 5, request.len() - 1, request.len()] {
            let ground = Ground::new(SinkSettings::default(), 0);
            let mut stream = ground.served.send(&request[..len]);
            ground.until("the connection", |census| census.connections == 1);
            if len == request.len() {
                assert_eq!(version.answer(&mut stream).end, End::Complete);
            }
            ground.served.handle.stop();
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }
}
