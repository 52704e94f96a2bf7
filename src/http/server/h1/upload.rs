//! Passes a request's content from the connection to its consumer.

use bytes::{Buf, Bytes};
use http_body::Frame;

use crate::http::body::{Feed, RequestBody, feed};
use crate::http1::{Framing, Malformed};

/// A request's content that is not fully read.
pub(super) struct Upload {
    framing: Framing,
    feed: Feed,
    /// The client waits for 100 Continue.
    expects: bool,
}

/// The next event in the unread bytes.
pub(super) enum Next {
    /// Data or trailers; whether it is the last frame.
    Frame(Frame<Bytes>, bool),
    /// The end, without a frame.
    End,
    /// More bytes are needed.
    More,
}

impl Upload {
    /// Creates both ends for the content after a head; no upload if there is no content.
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

    /// Whether the consumer wants a frame.
    pub(super) fn is_wanted(&self) -> bool {
        self.feed.is_wanted()
    }

    /// Whether the client waits for 100 Continue.
    pub(super) fn expects(&self) -> bool {
        self.expects
    }

    /// Notes that 100 Continue was sent, or will not be.
    pub(super) fn stop_expecting(&mut self) {
        self.expects = false;
    }

    /// Whether more than `most` bytes are known to come.
    pub(super) fn is_longer_than(&self, most: usize) -> bool {
        self.framing.remaining().is_some_and(|left| left > most as u64)
    }

    /// Takes the next frame from the front of `unread`.
    ///
    /// # Errors
    /// The chunk framing is malformed.
    pub(super) fn next(&mut self, unread: &mut Bytes) -> Result<Next, Malformed> {
        loop {
            if self.framing.is_whole() {
                let trailers = self.framing.trailers()?;
                return Ok(trailers.map_or(Next::End, |fields| Next::Frame(Frame::trailers(fields), true)));
            }
            if unread.is_empty() {
                return Ok(Next::More);
            }
            let taken = self.framing.take(unread)?;
            unread.advance(taken.framing);
            if taken.content > 0 {
                let data = unread.split_to(taken.content);
                // In chunked coding the last chunk's framing follows.
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
