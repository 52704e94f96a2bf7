//! A client of either version of HTTP on a bare socket, so that every byte and every fault is its own.

use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;

use crate::wire::{Client, End};

/// A version of HTTP, as a way to ask and to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
}

/// Both versions, for tests that hold for either.
pub const BOTH: [Version; 2] = [Version::Http1, Version::Http2];

/// An answer as far as it came.
#[derive(Debug)]
pub struct Answer {
    /// Its body, without framing.
    pub body: Vec<u8>,
    /// How it ended.
    pub end: End,
}

/// The widest window there is (RFC 9113 section 6.9.1).
pub const WIDE: u32 = (1 << 31) - 1;

impl Version {
    /// The first request on a connection, all of it.
    pub fn get(self, target: &str) -> Vec<u8> {
        self.get_through(target, WIDE)
    }

    /// The same of a client that lets only so many bytes of a stream be on their way, over HTTP/2.
    pub fn get_through(self, target: &str, window: u32) -> Vec<u8> {
        match self {
            Self::Http1 => format!("GET {target} HTTP/1.1\r\nHost: t\r\n\r\n").into_bytes(),
            Self::Http2 => [preface(window), headers(1, "GET", target, true)].concat(),
        }
    }

    /// What lets so many bytes more of the first request's stream be on their way, over HTTP/2.
    pub fn window(bytes: u32) -> Vec<u8> {
        frame(WINDOW_UPDATE, 0, 1, &bytes.to_be_bytes())
    }

    /// A request with a body of `len` bytes, of which none is there yet.
    pub fn post(self, target: &str, len: usize) -> Vec<u8> {
        match self {
            Self::Http1 => {
                format!("POST {target} HTTP/1.1\r\nHost: t\r\nContent-Length: {len}\r\n\r\n").into_bytes()
            }
            Self::Http2 => [preface(WIDE), headers(1, "POST", target, false)].concat(),
        }
    }

    /// A piece of a request's body that is not the last.
    pub fn piece(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Http1 => bytes.to_vec(),
            Self::Http2 => frame(DATA, 0, 1, bytes),
        }
    }

    /// One more request on a connection of HTTP/2, on its second stream.
    pub fn get_beside(target: &str) -> Vec<u8> {
        headers(3, "GET", target, true)
    }

    /// Reads the answer to the first request.
    pub fn answer(self, stream: &mut TcpStream) -> Answer {
        self.answer_through(stream)
    }

    /// The same through any reader.
    pub fn answer_through(self, stream: impl Read + io::Write) -> Answer {
        match self {
            Self::Http1 => {
                let answer = Client::new(stream).answer();
                Answer { body: answer.body, end: answer.end }
            }
            Self::Http2 => read_frames(stream),
        }
    }
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// What a client says first: its streams' windows, and a connection's that is never shut.
fn preface(window: u32) -> Vec<u8> {
    let settings = [&[0, 4][..], &window.to_be_bytes()].concat();
    let more = WIDE - 65_535;
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(SETTINGS, 0, 0, &settings),
        frame(WINDOW_UPDATE, 0, 0, &more.to_be_bytes()),
    ]
    .concat()
}

/// A request's head in HPACK (RFC 7541): fields of its static table, their values as they are.
fn headers(stream: u32, method: &str, target: &str, ends: bool) -> Vec<u8> {
    let literal = |index: u8, value: &str| [&[index, value.len() as u8], value.as_bytes()].concat();
    let method = [if method == "GET" { 0x82 } else { 0x83 }];
    let block = [&method[..], &[0x86], &literal(4, target), &literal(1, "t")].concat();
    frame(HEADERS, END_HEADERS | if ends { END_STREAM } else { 0 }, stream, &block)
}

fn read_frames(mut stream: impl Read) -> Answer {
    let mut body = Vec::new();
    let end = loop {
        let mut head = [0; 9];
        let mut payload = Vec::new();
        let read = stream.read_exact(&mut head).and_then(|()| {
            payload.resize(u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize, 0);
            stream.read_exact(&mut payload)
        });
        match read {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break End::Reset,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break End::Short,
            result => result.unwrap(),
        }
        let (kind, flags) = (head[3], head[4]);
        if u32::from_be_bytes([head[5], head[6], head[7], head[8]]) != 1 {
            continue;
        }
        if kind == RST_STREAM {
            break End::StreamReset;
        }
        if kind == DATA {
            body.extend_from_slice(&payload);
        }
        if (kind == DATA || kind == HEADERS) && flags & END_STREAM != 0 {
            break End::Complete;
        }
    };
    Answer { body, end }
}
