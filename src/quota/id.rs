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

text_error! {
    /// Why a text is not an id. Says what to write.
    IdError
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
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:/@".contains(&byte);
        let why = match text.len() {
            0 => "the id is empty".to_owned(),
            len if len > MAX_ID_LEN => format!("an id of {len} bytes is too long"),
            _ if text.bytes().all(fine) => return Ok(Self(text.into())),
            _ => format!("{:?} has a character that ids do not have", excerpt(text, 40)),
        };
        Err(IdError(format!("{why}; write 1 to {MAX_ID_LEN} letters, digits and -._:/@")))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_short_and_printable() {
        let longest = "x".repeat(MAX_ID_LEN);
        for good in ["a", "web-1", "eu/west:web.1@rack_2", longest.as_str()] {
            assert_eq!(good.parse::<Id>().unwrap().to_string(), good);
        }
        let refused = |text: &str| text.parse::<Id>().unwrap_err().to_string();
        let end = "; write 1 to 128 letters, digits and -._:/@";
        assert_eq!(refused(""), format!("the id is empty{end}"));
        assert_eq!(refused(&format!("{longest}x")), format!("an id of 129 bytes is too long{end}"));
        for odd in ["a b", "a\n", "a=b", "ä", "a\0", "a,b", "\u{202e}a"] {
            assert_eq!(
                refused(odd),
                format!("{:?} has a character that ids do not have{end}", excerpt(odd, 40))
            );
        }
    }
}
