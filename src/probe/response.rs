//! HTTP/1 responses as they arrive: the end of the head, the bytes that are content, and the end of the response (RFC
//! 9112, section 6).
//!
//! Pure: passed bytes. Content is what remains without heads and chunked framing, before content codings are undone;
//! rates are about that.

use std::fmt;

use bytes::{Bytes, BytesMut};
use http::header::LOCATION;
use http::{Method, StatusCode, response};

use crate::http1::{
    Framing, FramingFields, HeadError, HeadScan, MAX_FIELDS, Malformed, framing_of, is_interim,
    keeps_connection, read_head,
};

/// Largest head, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// A response to a GET, being read.
#[derive(Debug, Default)]
pub struct Response {
    /// The part of an incomplete head.
    head: Bytes,
    scan: HeadScan,
    /// `None` until the head is complete.
    framing: Option<Framing>,
    keeps: bool,
}

/// What [`Response::take`] consumed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Consumed {
    /// Bytes that belong to this response.
    pub used: usize,
    /// How many of these are content.
    pub content: u64,
}

/// Why a response cannot be measured.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResponseError {
    /// The status is not a success; with the target of a redirect.
    Status(u16, Option<String>),
    /// The bytes are not HTTP/1.
    Malformed(String),
    /// The connection ended before the response did.
    Short,
}

impl Response {
    /// Whether the response is complete.
    pub fn is_whole(&self) -> bool {
        self.framing.as_ref().is_some_and(Framing::is_whole)
    }

    /// Whether no byte of it has arrived.
    pub fn is_untouched(&self) -> bool {
        self.framing.is_none() && self.head.is_empty()
    }

    /// Whether the connection can be reused after the response.
    pub fn keeps_connection(&self) -> bool {
        self.keeps
    }

    /// Reads input, up to the end of the response.
    ///
    /// # Errors
    /// The head is malformed or larger than 64 KiB, its status is not a success, or the framing is broken.
    pub fn take(&mut self, input: &[u8]) -> Result<Consumed, ResponseError> {
        let mut taken = Consumed::default();
        while taken.used < input.len() && !self.is_whole() {
            let rest = &input[taken.used..];
            match &mut self.framing {
                None => taken.used += self.take_head(rest)?,
                Some(framing) => {
                    let piece = framing.take(rest)?;
                    taken.used += piece.framing + piece.content;
                    taken.content += piece.content as u64;
                }
            }
        }
        Ok(taken)
    }

    /// Notes the end of the connection.
    ///
    /// # Errors
    /// The response is incomplete.
    pub fn ended(&mut self) -> Result<(), ResponseError> {
        let ends = self.framing.as_mut().is_some_and(Framing::end);
        if ends { Ok(()) } else { Err(ResponseError::Short) }
    }

    /// Returns how many of the bytes belong to the head.
    fn take_head(&mut self, input: &[u8]) -> Result<usize, ResponseError> {
        let before = self.head.len();
        let mut gathered = BytesMut::from(std::mem::take(&mut self.head));
        let room = MAX_HEAD.saturating_sub(before);
        gathered.extend_from_slice(&input[..input.len().min(room)]);
        let gathered = gathered.freeze();
        let read = if self.scan.is_due(&gathered) { read_head(&gathered, MAX_FIELDS)? } else { None };
        match read {
            Some(head) => {
                self.scan = HeadScan::default();
                self.mean(&head.parts)?;
                Ok(head.len - before)
            }
            None if gathered.len() < MAX_HEAD => {
                self.head = gathered;
                Ok(input.len())
            }
            None => Err(malformed("its head is larger than 64 KiB")),
        }
    }

    /// Reads a complete head.
    fn mean(&mut self, head: &response::Parts) -> Result<(), ResponseError> {
        let status = head.status;
        if is_interim(status) {
            return Ok(());
        }
        if !status.is_success() {
            let place = head.headers.get(LOCATION).map(|place| String::from_utf8_lossy(place.as_bytes()));
            return Err(ResponseError::Status(status.as_u16(), place.map(Into::into)));
        }
        let has = FramingFields::of(&head.headers);
        let framing = framing_of(head, has, &Method::GET)?;
        self.keeps = keeps_connection(head, has) && !matches!(framing, Framing::UntilClose);
        self.framing = Some(framing);
        Ok(())
    }
}

impl From<Malformed> for ResponseError {
    fn from(error: Malformed) -> Self {
        malformed(error.0)
    }
}

impl From<HeadError> for ResponseError {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::TooManyFields => malformed("its head has more than 128 fields"),
            HeadError::Malformed(how) => malformed(&format!("what it answers is not HTTP/1: {how}")),
        }
    }
}

fn malformed(why: &str) -> ResponseError {
    ResponseError::Malformed(why.to_owned())
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status, place) => {
                let reason = StatusCode::from_u16(*status).ok().and_then(|it| it.canonical_reason());
                write!(f, "it answers {status} {}", reason.unwrap_or("(unknown)"))?;
                match place {
                    Some(place) if (300..400).contains(status) => {
                        write!(f, ", to {place:?}; redirects are not followed, ask for that")
                    }
                    _ => Ok(()),
                }
            }
            Self::Malformed(why) => f.write_str(why),
            Self::Short => f.write_str("the connection ended before the response did"),
        }
    }
}

impl std::error::Error for ResponseError {}

#[cfg(test)]
#[path = "response_tests.rs"]
mod tests;
