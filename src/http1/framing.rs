//! Finds the end of a message's content, and the bytes in it that are framing (RFC 9112, sections 6 and 7).

use std::fmt;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

/// Largest trailer section, in bytes.
const MAX_TRAILER: usize = 32 * 1024;

/// Bytes after a chunk's size on its line: extensions, which nobody uses.
const MAX_EXTENSION: u16 = 4 * 1024;

/// Most fields in a trailer section.
const MAX_FIELDS: usize = 128;

/// How the rest of a message's content is framed.
#[derive(Debug)]
pub(crate) enum Framing {
    /// The content is complete.
    Whole,
    /// Bytes still to come.
    Length(u64),
    /// In chunks.
    Chunked(Chunked),
    /// The content ends with the connection.
    UntilClose,
}

/// The state of a message in chunks.
#[derive(Debug, Default)]
pub(crate) struct Chunked {
    place: Place,
    /// The trailer section so far.
    trailer: Vec<u8>,
}

/// The position in the framing of chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In a chunk's size: its value and number of digits so far.
    Size(u64, u8),
    /// In the blanks after the size; and their number so far.
    Blank(u64, u16),
    /// In an extension; and the number of bytes after the size so far.
    Extension(u64, u16),
    /// At the line feed after the size.
    SizeEnd(u64),
    Data(u64),
    /// At the carriage return after a chunk's data.
    DataEnd,
    /// At the line feed after that.
    DataEndFeed,
    /// In the trailer section.
    Trailer,
    /// After the end.
    Over,
}

impl Default for Place {
    fn default() -> Self {
        Self::Size(0, 0)
    }
}

/// What [`Framing::take`] found at the start of its input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Consumed {
    /// Leading bytes that are framing.
    pub(crate) framing: usize,
    /// Bytes after these that are content.
    pub(crate) content: usize,
}

/// The bytes violate HTTP; the text says how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

impl Framing {
    /// Starts a message in chunks.
    pub(crate) fn chunked() -> Self {
        Self::Chunked(Chunked::default())
    }

    /// Whether the content is complete.
    pub(crate) fn is_whole(&self) -> bool {
        match self {
            Self::Whole | Self::Length(0) => true,
            Self::Chunked(chunked) => chunked.place == Place::Over,
            Self::Length(_) | Self::UntilClose => false,
        }
    }

    /// Content bytes still to come, if the length is known.
    pub(crate) fn remaining(&self) -> Option<u64> {
        match self {
            Self::Whole => Some(0),
            Self::Length(left) => Some(*left),
            Self::Chunked(_) | Self::UntilClose => None,
        }
    }

    /// Consumes leading framing and the content up to the next framing. What follows is left for the next call; of a
    /// complete message nothing is consumed.
    ///
    /// # Errors
    /// The framing is invalid.
    pub(crate) fn take(&mut self, input: &[u8]) -> Result<Consumed, Malformed> {
        match self {
            Self::Whole => Ok(Consumed::default()),
            Self::Length(left) => Ok(Consumed { framing: 0, content: count_down(left, input.len()) }),
            Self::UntilClose => Ok(Consumed { framing: 0, content: input.len() }),
            Self::Chunked(chunked) => chunked.take(input),
        }
    }

    /// Notes the end of the connection; returns whether the message is complete with it.
    pub(crate) fn end(&mut self) -> bool {
        if matches!(self, Self::UntilClose) {
            *self = Self::Whole;
        }
        self.is_whole()
    }

    /// Returns the trailer fields, once; `None` if there are none or they have not arrived.
    ///
    /// # Errors
    /// They are malformed, or too many.
    pub(crate) fn trailers(&mut self) -> Result<Option<HeaderMap>, Malformed> {
        match self {
            Self::Chunked(Chunked { place: Place::Over, trailer }) if !trailer.is_empty() => {
                fields(&std::mem::take(trailer)).map(|fields| Some(fields).filter(|all| !all.is_empty()))
            }
            _ => Ok(None),
        }
    }
}

impl Chunked {
    fn take(&mut self, input: &[u8]) -> Result<Consumed, Malformed> {
        let mut taken = Consumed::default();
        while let Some(&byte) = input.get(taken.framing) {
            match &mut self.place {
                Place::Data(left) => {
                    taken.content = count_down(left, input.len() - taken.framing);
                    if *left == 0 {
                        self.place = Place::DataEnd;
                    }
                    break;
                }
                Place::Over => break,
                Place::Trailer => {
                    if (byte == b'\n') != (self.trailer.last() == Some(&b'\r')) {
                        // As after a size: others may read either alone as an end.
                        return Err(BROKEN_TRAILERS);
                    }
                    self.trailer.push(byte);
                    if self.trailer.ends_with(b"\r\n") && ends_section(&self.trailer) {
                        self.place = Place::Over;
                    } else if self.trailer.len() >= MAX_TRAILER {
                        return Err(Malformed("its trailer section is too large"));
                    }
                }
                place => *place = place.next(byte).ok_or(Malformed("its chunks are malformed"))?,
            }
            taken.framing += 1;
        }
        Ok(taken)
    }
}

impl Place {
    /// Returns the position after a byte of framing; `None` if the byte is invalid.
    fn next(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Size(size, digits), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
                // Sixteen digits fill a u64.
                if digits == 16 {
                    return None;
                }
                Self::Size(size << 4 | digit, digits + 1)
            }
            (Self::Size(_, 0), _) => return None,
            (Self::Size(size, _) | Self::Blank(size, _) | Self::Extension(size, _), b'\r') => {
                Self::SizeEnd(size)
            }
            (Self::Size(size, _), b';') => Self::Extension(size, 0),
            (Self::Size(size, _), b' ' | b'\t') => Self::Blank(size, 0),
            (Self::Blank(size, len), b' ' | b'\t') if len < MAX_EXTENSION => Self::Blank(size, len + 1),
            // Nothing else: "5 5" is no size, and others may read it as one.
            (Self::Blank(size, len), b';') if len < MAX_EXTENSION => Self::Extension(size, len + 1),
            // Others may read a bare line feed as an end of the line.
            (Self::Extension(size, len), byte) if byte != b'\n' && len < MAX_EXTENSION => {
                Self::Extension(size, len + 1)
            }
            (Self::SizeEnd(0), b'\n') => Self::Trailer,
            (Self::SizeEnd(size), b'\n') => Self::Data(size),
            (Self::DataEnd, b'\r') => Self::DataEndFeed,
            (Self::DataEndFeed, b'\n') => Self::default(),
            _ => return None,
        })
    }
}

/// Subtracts up to `have` from `left`; returns how many.
fn count_down(left: &mut u64, have: usize) -> usize {
    let taken = usize::try_from(*left).map_or(have, |left| left.min(have));
    *left -= taken as u64;
    taken
}

/// Whether the section, whose last line is complete, ends in an empty line.
fn ends_section(section: &[u8]) -> bool {
    section.len() == 2 || section.ends_with(b"\r\n\r\n")
}

const BROKEN_TRAILERS: Malformed = Malformed("its trailer section is malformed");

fn fields(section: &[u8]) -> Result<HeaderMap, Malformed> {
    let mut lines = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let Ok(httparse::Status::Complete((len, lines))) = httparse::parse_headers(section, &mut lines) else {
        return Err(BROKEN_TRAILERS);
    };
    if len != section.len() {
        return Err(BROKEN_TRAILERS);
    }
    let field = |line: &httparse::Header<'_>| {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| BROKEN_TRAILERS)?;
        Ok((name, HeaderValue::from_bytes(line.value).map_err(|_| BROKEN_TRAILERS)?))
    };
    let mut all = HeaderMap::new();
    for line in lines {
        let (name, value) = field(line)?;
        all.append(name, value);
    }
    Ok(all)
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Content, bytes taken, whether it is whole, and the trailers' names; the same for every cut in two.
    type ReadResult = Result<(String, usize, bool, Vec<String>), Malformed>;

    fn read(new: impl Fn() -> Framing, input: &str) -> ReadResult {
        let mut seen: Option<ReadResult> = None;
        for cut in 0..=input.len() {
            let told = in_pieces(new(), [&input.as_bytes()[..cut], &input.as_bytes()[cut..]]);
            assert_eq!(seen.get_or_insert_with(|| told.clone()), &told, "{input:?} cut at {cut}");
        }
        seen.unwrap()
    }

    fn in_pieces<'a>(mut framing: Framing, pieces: impl IntoIterator<Item = &'a [u8]>) -> ReadResult {
        let (mut content, mut used) = (Vec::new(), 0);
        for mut rest in pieces {
            while !rest.is_empty() && !framing.is_whole() {
                let taken = framing.take(rest)?;
                let (piece, behind) = rest[taken.framing..].split_at(taken.content);
                assert!(behind.len() < rest.len(), "it gets on");
                content.extend_from_slice(piece);
                used += rest.len() - behind.len();
                rest = behind;
            }
        }
        let names = framing.trailers()?.unwrap_or_default();
        let names = names.keys().map(|name| name.as_str().to_owned()).collect();
        Ok((String::from_utf8(content).unwrap(), used, framing.is_whole(), names))
    }

    fn outcome(content: &str, used: usize, whole: bool, names: &[&str]) -> ReadResult {
        Ok((content.to_owned(), used, whole, names.iter().map(|&name| name.to_owned()).collect()))
    }

    #[test]
    fn a_length_is_counted_and_what_follows_is_left() {
        assert_eq!(read(|| Framing::Length(3), "abcd"), outcome("abc", 3, true, &[]));
        assert_eq!(read(|| Framing::Length(5), "abcd"), outcome("abcd", 4, false, &[]));
        assert_eq!(read(|| Framing::Length(u64::MAX), "abcd"), outcome("abcd", 4, false, &[]));
        assert_eq!(read(|| Framing::Whole, "abcd"), outcome("", 0, true, &[]));
        assert!(Framing::Length(0).is_whole());
    }

    #[test]
    fn chunks_are_put_together() {
        for (input, content, whole, names) in [
            ("5\r\nhello\r\n0\r\n\r\n", "hello", true, &[][..]),
            ("5\r\nhel", "hel", false, &[]),
            ("5\r\nhello\r\n", "hello", false, &[]),
            ("5\r\nhello\r\n0\r\n", "hello", false, &[]),
            ("A;x=y\r\n0123456789\r\n0001 \r\n!\r\n000\r\n\r\n", "0123456789!", true, &[]),
            ("1 \t;x\r\na\r\n1\t \r\nb\r\n0 ; y\r\n\r\n", "ab", true, &[]),
            ("1\r\na\r\n0\r\nExpires: never\r\nA: b\r\n\r\n", "a", true, &["expires", "a"]),
            ("0\r\nA: \r\n\r\n", "", true, &["a"]),
        ] {
            assert_eq!(
                read(Framing::chunked, input),
                outcome(content, input.len(), whole, names),
                "{input:?}"
            );
        }
        let two = "1\r\na\r\n0\r\n\r\nHTTP/1.1";
        assert_eq!(read(Framing::chunked, two), outcome("a", two.len() - 8, true, &[]));
    }

    #[test]
    fn chunks_that_are_none_are_refused() {
        for input in [
            "x",
            "\r\n",
            " 5\r\n",
            "-1\r\n",
            "0x5\r\n",
            "1\na\r\n",
            "1;\na\r\n",
            "1 1\r\na\r\n",
            "1 a;x\r\na\r\n",
            "1\rx",
            "1\r\nab\r\n",
            "1\r\na\n0\r\n\r\n",
            "1\r\na\rx",
            "10000000000000000\r\n",
            "0\r\nno field\r\n\r\n",
            "0\r\n: x\r\n\r\n",
            "0\r\n\n",
            "0\r\nA: b\n\r\n",
            "0\r\nA: b\n\n",
            "0\r\nA: b\r\n\n",
            "0\r\n\rA",
            "0\r\nA: b\rc",
            "0\r\nA: b\r\r",
        ] {
            assert!(read(Framing::chunked, input).is_err(), "{input:?}");
        }
        let mut largest = Framing::chunked();
        let size = "ffffffffffffffff\r\n";
        assert_eq!(largest.take(size.as_bytes()), Ok(Consumed { framing: size.len(), content: 0 }));
        assert_eq!(largest.take(b"abc"), Ok(Consumed { framing: 0, content: 3 }));
    }

    #[test]
    fn what_is_not_content_has_a_bound() {
        let extension = |len: usize| format!("1;{}\r\na", "x".repeat(len));
        let bound = usize::from(MAX_EXTENSION);
        assert!(read(Framing::chunked, &extension(bound)).is_ok());
        assert!(read(Framing::chunked, &extension(bound + 1)).is_err());
        let trailer = |len: usize| format!("0\r\na: {}\r\n\r\n", "x".repeat(len - "a: \r\n\r\n".len()));
        let once = |input: &str| in_pieces(Framing::chunked(), [input.as_bytes()]);
        assert!(once(&trailer(MAX_TRAILER)).is_ok());
        assert!(once(&trailer(MAX_TRAILER + 1)).is_err());
        let many = |count: usize| format!("0\r\n{}\r\n", "a: b\r\n".repeat(count));
        assert!(once(&many(MAX_FIELDS)).is_ok());
        assert!(once(&many(MAX_FIELDS + 1)).is_err());
    }

    #[test]
    fn the_end_of_the_connection_ends_only_what_has_no_other_end() {
        for (mut framing, input, ends) in [
            (Framing::UntilClose, "hello", true),
            (Framing::Length(2), "ab", true),
            (Framing::Length(3), "ab", false),
            (Framing::chunked(), "0\r\n", false),
        ] {
            assert!(framing.take(input.as_bytes()).is_ok());
            assert_eq!(framing.end(), ends, "{input:?}");
        }
    }
}

#[cfg(test)]
#[path = "framing_properties.rs"]
mod properties;
