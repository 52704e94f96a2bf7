//! One byte at a time: from the client, to the client, from the backend.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use sluicegate::sink::SinkSettings;

use super::ground::{Ground, PAGE, Source, each};
use testkit::versions::BOTH;
use testkit::wire::{End, Framing, content};

/// Writes and reads a byte a call.
struct Drip<'a>(&'a TcpStream);

impl Read for Drip<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = buf.len().min(1);
        self.0.read(&mut buf[..len])
    }
}

impl Write for Drip<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(&buf[..buf.len().min(1)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Enough for some chunks, and not for a minute of single reads.
const LEN: usize = 20_000;

fn drip(stream: &mut TcpStream, _: &str) -> io::Result<()> {
    let mut answer =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {LEN}\r\nconnection: close\r\n\r\n").into_bytes();
    answer.extend(content(LEN));
    Drip(stream).write_all(&answer)
}

#[test]
fn one_byte_at_a_time_is_whole_from_and_to_any_side() {
    for (version, source) in each() {
        for rate in [100_000, 0] {
            let ground = Ground::with(SinkSettings::default(), rate, drip, |backend| backend.route(rate));
            let stream = ground.served.connect();
            Drip(&stream).write_all(&version.get(&Ground::target(source, "page"))).unwrap();
            let answer = version.answer_through(Drip(&stream));
            let expected = if source == Source::File { PAGE } else { LEN };
            assert_eq!((answer.body.len(), answer.end), (expected, End::Complete), "{version:?} {source:?}");
            assert!(answer.body == content(expected));
            ground.assert_forgets(stream);
        }
    }
}

// Each byte of the upload is a frame or a segment of its own; the backend gets them in order.
#[test]
fn an_upload_of_single_bytes_is_whole() {
    const BODY: &[u8] = b"one byte at a time";
    for version in BOTH {
        let ground = Ground::backed_by(0, move |stream, head| {
            let framing = Framing::of("POST", head);
            let (mut raw, mut byte) = (Vec::new(), [0]);
            // To the end of the last byte's chunk.
            let ends = |raw: &[u8]| !matches!(framing, Framing::Chunked) || raw.ends_with(b"\r\n");
            while framing.body(&raw).bytes.len() < BODY.len() || !ends(&raw) {
                stream.read_exact(&mut byte)?;
                raw.extend(byte);
            }
            assert_eq!(framing.body(&raw).bytes, BODY);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
        });
        let mut stream = ground.served.connect();
        Drip(&stream).write_all(&version.post("/proxied/", BODY.len())).unwrap();
        for byte in BODY {
            Drip(&stream).write_all(&version.piece(&[*byte])).unwrap();
        }
        let answer = version.answer(&mut stream);
        assert_eq!((answer.body.as_slice(), answer.end), (&b"ok"[..], End::Complete), "{version:?}");
        ground.assert_forgets(stream);
    }
}
