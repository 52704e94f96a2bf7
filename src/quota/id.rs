//! Names of clients and resources: short, printable, cheap to clone. Pure.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::excerpt::excerpt;

/// Bytes of the longest id.
pub const MAX_ID_LEN: usize = 128;

/// The name of a client or of a resource: 1 to 128 letters, digits and `-._:/@`.
///
/// ```
/// use sluicegate::quota::Id;
///
/// assert_eq!("web-1".parse::<Id>()?.as_str(), "web-1");
/// assert!("two words".parse::<Id>().is_err());
/// # Ok::<(), sluicegate::quota::IdError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(Arc<str>);

/// Why a text is not an id. Says what to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdError {
    /// It is empty.
    Empty,
    /// It has more than 128 bytes; its length.
    TooLong(usize),
    /// It has a character that is not allowed; its beginning.
    Odd(String),
}

impl Id {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Id {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.is_empty() {
            return Err(IdError::Empty);
        }
        if text.len() > MAX_ID_LEN {
            return Err(IdError::TooLong(text.len()));
        }
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:/@".contains(&byte);
        if !text.bytes().all(fine) {
            return Err(IdError::Odd(excerpt(text, 40)));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the id is empty")?,
            Self::TooLong(len) => write!(f, "an id of {len} bytes is too long")?,
            Self::Odd(text) => write!(f, "{text:?} has a character that ids do not have")?,
        }
        write!(f, "; write 1 to {MAX_ID_LEN} letters, digits and -._:/@")
    }
}

impl std::error::Error for IdError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_short_and_printable() {
        let longest = "x".repeat(MAX_ID_LEN);
        for good in ["a", "web-1", "eu/west:web.1@rack_2", longest.as_str()] {
            assert_eq!(good.parse::<Id>().unwrap().to_string(), good);
        }
        assert_eq!("".parse::<Id>(), Err(IdError::Empty));
        assert_eq!(format!("{longest}x").parse::<Id>(), Err(IdError::TooLong(MAX_ID_LEN + 1)));
        for odd in ["a b", "a\n", "a=b", "ä", "a\0", "a,b", "\u{202e}a"] {
            assert!(matches!(odd.parse::<Id>(), Err(IdError::Odd(_))), "{odd:?}");
        }
    }
}
