//! A request's content on its way from the connection to whoever takes it.

use bytes::{Buf, Bytes};
use http_body::Frame;

use crate::http::body::{Feed, RequestBody, feed};
use crate::http1::{Framing, Malformed};

/// Content of which not all has been read.
pub(super) struct Upload {
    framing: Framing,
    feed: Feed,
    /// The client waits to be told to go on (`Expect: 100-continue`).
    expects: bool,
}

/// What stands in front of the bytes that came.
pub(super) enum Next {
    /// A piece of content, or the trailers; whether it is the last.
    Frame(Frame<Bytes>, bool),
    /// The end, and nothing before it.
    End,
    /// Nothing until more comes.
    More,
}

impl Upload {
    /// The content behind a head, and the two ends of its way; `None` if there is no content.
    pub(super) fn new(framing: Framing, expects: bool) -> (Option<Self>, RequestBody) {
        if framing.is_whole() {
            return (None, RequestBody::empty());
        }
        let (feed, reader) = feed(framing.remaining());
        (Some(Self { framing, feed, expects }), reader.into())
    }

    pub(super) fn feed(&mut self) -> &mut Feed {
        &mut self.feed
    }

    /// Whether a piece of it is asked for.
    pub(super) fn is_wanted(&self) -> bool {
        self.feed.is_wanted()
    }

    /// Whether the client waits to be told to go on.
    pub(super) fn expects(&self) -> bool {
        self.expects
    }

    /// The client was told, or will not be.
    pub(super) fn expect_no_more(&mut self) {
        self.expects = false;
    }

    /// Whether the client will send more than `most` bytes, as far as it is known.
    pub(super) fn is_longer_than(&self, most: usize) -> bool {
        self.framing.remaining().is_some_and(|left| left > most as u64)
    }

    /// Takes the next piece from the front of what came.
    ///
    /// # Errors
    /// The bytes are no framing.
    pub(super) fn next(&mut self, came: &mut Bytes) -> Result<Next, Malformed> {
        loop {
            if self.framing.is_whole() {
                let trailers = self.framing.trailers()?;
                return Ok(trailers.map_or(Next::End, |fields| Next::Frame(Frame::trailers(fields), true)));
            }
            if came.is_empty() {
                return Ok(Next::More);
            }
            let taken = self.framing.take(came)?;
            came.advance(taken.framing);
            if taken.content > 0 {
                let data = came.split_to(taken.content);
                // Behind a chunk there is framing yet.
                let is_last = self.framing.is_whole();
                return Ok(Next::Frame(Frame::data(data), is_last));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_comes_out_in_pieces_and_says_its_last() {
        let told = |framing: Framing, text: &'static str| {
            let mut upload = Upload::new(framing, false).0.unwrap();
            let mut came = Bytes::from_static(text.as_bytes());
            let mut all = Vec::new();
            loop {
                match upload.next(&mut came) {
                    Ok(Next::Frame(frame, is_last)) => {
                        let what = frame
                            .into_data()
                            .map_or("trailers".to_owned(), |data| String::from_utf8(data.to_vec()).unwrap());
                        all.push(format!("{what} {is_last}"));
                        if is_last {
                            break;
                        }
                    }
                    Ok(Next::End) => {
                        all.push("end".to_owned());
                        break;
                    }
                    Ok(Next::More) => {
                        all.push("more".to_owned());
                        break;
                    }
                    Err(_) => {
                        all.push("malformed".to_owned());
                        break;
                    }
                }
            }
            (all, came)
        };
        let next = Bytes::from_static(b"GET");
        assert_eq!(told(Framing::Length(5), "helloGET"), (vec!["hello true".to_owned()], next.clone()));
        assert_eq!(told(Framing::Length(6), "hello").0, ["hello false", "more"]);
        assert_eq!(
            told(Framing::chunked(), "5\r\nhello\r\n0\r\n\r\nGET"),
            (vec!["hello false".into(), "end".into()], next.clone())
        );
        assert_eq!(
            told(Framing::chunked(), "1\r\na\r\n0\r\nx: y\r\n\r\nGET"),
            (vec!["a false".into(), "trailers true".into()], next)
        );
        assert_eq!(told(Framing::chunked(), "x").0, ["malformed"]);
        assert!(Upload::new(Framing::Length(0), true).0.is_none());
    }
}
