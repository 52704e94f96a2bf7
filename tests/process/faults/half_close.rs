//! A client that says nothing more after its request: over HTTP/1 it still listens, over HTTP/2 it has gone.

use std::io::Read;
use std::net::Shutdown;

use sluicegate::sink::SinkSettings;

use super::ground::{Ground, PAGE, Source};
use crate::backend::until_closed;
use testkit::versions::{BOTH, Version};
use testkit::wire::{End, content};

#[test]
fn a_client_that_half_closes_after_its_request_gets_its_answer_whole() {
    for source in [Source::File, Source::Proxied] {
        for rate in [200_000, 0] {
            let ground = Ground::new(SinkSettings::default(), rate);
            let mut stream = ground.served.send(Version::Http1.get(&Ground::target(source, "page")));
            stream.shutdown(Shutdown::Write).unwrap();
            let answer = Version::Http1.answer(&mut stream);
            assert_eq!((answer.body.len(), answer.end), (PAGE, End::Complete), "{source:?} at {rate}");
            assert!(answer.body == content(PAGE));
            assert_eq!(stream.read(&mut [0]).unwrap(), 0, "and then a clean end");
            ground.assert_forgets(stream);
        }
    }
}

// Two chunks later at the latest the client has closed altogether: the server writes to nobody.
#[test]
fn a_client_that_half_closes_and_leaves_later_leaves_nothing() {
    for source in [Source::File, Source::Proxied] {
        let ground = Ground::new(SinkSettings::default(), 50_000);
        let mut stream = ground.ask(Version::Http1, source, "endless");
        stream.shutdown(Shutdown::Write).unwrap();
        ground.read_on(&mut stream, 30_000);
        ground.assert_forgets(stream);
    }
}

// Without its half a connection of HTTP/2 has no windows and no answers to pings: it is over, and says so.
#[test]
fn a_client_of_http2_that_half_closes_is_gone() {
    for source in [Source::File, Source::Proxied] {
        let ground = Ground::new(SinkSettings::default(), 50_000);
        let mut stream = ground.served.send(Version::Http2.get(&Ground::target(source, "page")));
        let handle = &ground.served.handle;
        ground.until("a piece of the answer", |_| handle.egress().bytes_written() > 5_000);
        stream.shutdown(Shutdown::Write).unwrap();
        ground.assert_forgotten_beside(1);
        assert_ne!(Version::Http2.answer(&mut stream).end, End::Complete, "{source:?}");
    }
}

#[test]
fn a_client_that_half_closes_in_mid_head_leaves_nothing() {
    for version in BOTH {
        let request = version.get("/files/page");
        for len in [0, 1, request.len() / 2, request.len() - 1] {
            let ground = Ground::new(SinkSettings::default(), 0);
            let mut stream = ground.served.send(&request[..len]);
            stream.shutdown(Shutdown::Write).unwrap();
            ground.assert_forgotten_beside(1);
            // Whatever it says, it ends.
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }
}

#[test]
fn a_client_that_half_closes_in_mid_upload_leaves_nothing_on_either_side() {
    for version in BOTH {
        let (ground, mut stream) = Ground::mid_upload(version, until_closed);
        stream.shutdown(Shutdown::Write).unwrap();
        // The backend must not take the part for the whole: it has its length, or its last chunk, to go by.
        assert!(ground.backend.ended().is_err(), "{version:?}");
        let _ = stream.read_to_end(&mut Vec::new());
        ground.assert_forgets(stream);
    }
}

// Both sides of a kept connection are closed by the server as soon as the client says that it is done.
#[test]
fn an_idle_client_that_half_closes_is_closed() {
    for version in BOTH {
        let ground = Ground::new(SinkSettings::default(), 0);
        let mut stream = ground.served.send(version.get("/files/page"));
        assert_eq!(version.answer(&mut stream).end, End::Complete);
        stream.shutdown(Shutdown::Write).unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
        ground.assert_forgotten_beside(1);
    }
}
