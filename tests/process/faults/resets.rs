//! A client that is gone in the middle of an answer: by a reset, or by a close without a word.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;

use sluicegate::sink::SinkSettings;

use super::ground::{Ground, Source, each, reset};
use crate::backend::until_closed;
use testkit::message::read_head;
use testkit::versions::BOTH;

/// Slow enough to be asleep for most of the time, and unpaced: as fast as the kernel takes it.
const RATES: [u64; 2] = [50_000, 0];

#[test]
fn a_client_that_resets_in_mid_body_leaves_nothing() {
    for (version, source) in each() {
        for rate in RATES {
            let ground = Ground::new(SinkSettings::default(), rate);
            let mut streams: Vec<_> = (0..3).map(|_| ground.ask(version, source, "endless")).collect();
            streams.iter_mut().for_each(|stream| ground.read_on(stream, 30_000));
            assert_eq!(ground.served.handle.connections(), 3);
            streams.into_iter().for_each(reset);
            if source == Source::Proxied {
                for _ in 0..3 {
                    let ended = ground.backend.ended();
                    assert!(is_gone(ended), "{version:?} at {rate}: {ended:?}");
                }
            }
            ground.assert_forgotten();
        }
    }
}

/// How a socket says that the other side has gone.
fn is_gone(ended: Result<(), ErrorKind>) -> bool {
    matches!(ended, Err(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof))
}

// All there was is read, so that the close is no reset: that is the answer to the next bytes.
#[test]
fn a_client_that_closes_in_mid_body_leaves_nothing() {
    for (version, source) in each() {
        let ground = Ground::new(SinkSettings::default(), 50_000);
        let mut stream = ground.ask(version, source, "endless");
        ground.read_on(&mut stream, 10_000);
        drop(stream);
        if source == Source::Proxied {
            let ended = ground.backend.ended();
            assert!(is_gone(ended), "{version:?}: {ended:?}");
        }
        ground.assert_forgotten();
    }
}

#[test]
fn a_client_that_resets_in_mid_head_leaves_nothing() {
    for version in BOTH {
        let request = version.get("/files/page");
        for len in [1, request.len() / 2, request.len() - 1] {
            let ground = Ground::new(SinkSettings::default(), 0);
            let stream = ground.served.send(&request[..len]);
            ground.until("the connection", |census| census.connections == 1);
            reset(stream);
            ground.assert_forgotten();
        }
    }
}

// The backend never sees the end of the body that its head promised.
#[test]
fn a_client_that_resets_in_mid_upload_leaves_nothing_on_either_side() {
    for version in BOTH {
        let (ground, stream) = Ground::mid_upload(version, until_closed);
        reset(stream);
        assert!(is_gone(ground.backend.ended()), "{version:?}");
        ground.assert_forgotten();
    }
}

#[test]
fn a_tunnel_ends_with_either_side() {
    let request = "GET /proxied/ HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    for client_resets in [true, false] {
        let ground = Ground::backed_by(0, move |stream, _| {
            stream.write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nhello",
            )?;
            stream.read_exact(&mut [0; 5])?;
            if client_resets {
                return until_closed(stream);
            }
            crate::backend::reset(stream);
            Ok(())
        });
        let mut stream = ground.served.send(request);
        read_head(&mut stream).unwrap();
        stream.read_exact(&mut [0; 5]).unwrap();
        stream.write_all(b"hallo").unwrap();
        if client_resets {
            reset(stream);
            assert!(is_gone(ground.backend.ended()));
        } else {
            assert_eq!(ground.backend.ended(), Ok(()));
            // A tunnel has no framing: it is over, whatever the way.
            let _ = stream.read_to_end(&mut Vec::new());
            let _ = stream.shutdown(Shutdown::Both);
            drop(stream);
        }
        ground.assert_forgotten();
    }
}
