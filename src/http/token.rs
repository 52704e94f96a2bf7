//! The secret that admits to the admin listener or to publishing, and the file it comes from.

use std::fmt;
use std::hint::black_box;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

use crate::clock::Clock;
use crate::named_file;
use crate::rt::Fresh;

/// The fewest bytes of a token: those of 96 bits in base64.
const LEAST: usize = 16;

/// The most bytes of a token's file. A larger one is something else, given by mistake.
const MOST: usize = 4096;

/// A bearer token (RFC 6750): who sends it is admitted.
///
/// ```
/// use sluicegate::admin::Token;
///
/// assert!(Token::new("c2VjcmV0LXNlY3JldC1zZWNyZXQ=").is_ok());
/// assert!(Token::new("short").unwrap_err().to_string().contains("at least 16"));
/// ```
#[derive(Clone)]
pub struct Token(Arc<Fresh<String>>);

/// Why there is no token. Says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenError {
    /// `None` if the token came from elsewhere.
    path: Option<PathBuf>,
    fault: Fault,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fault {
    Unreadable(String),
    /// Others than owner and group may read or write it; its permission bits.
    Exposed(u32),
    TooLarge,
    TooShort(usize),
    /// A byte that an Authorization field cannot carry in a token.
    Odd,
}

impl Token {
    /// The token `text`: at least 16 characters, of those RFC 6750 allows (letters, digits, `-._~+/`, and
    /// `=` at the end).
    ///
    /// # Errors
    /// It is shorter, or has another character.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        check(text).map_err(|fault| TokenError { path: None, fault })?;
        Ok(Self(Arc::new(Fresh::fixed(text.to_owned()))))
    }

    /// The token in a file, white space around it left out. If the file is replaced, the token in the new one counts,
    /// within a second; if there is none to be had from it, the one before does.
    ///
    /// A file that anyone beside its owner and group may read or write is refused: on the machines where
    /// a token is needed, what everyone can read is no secret. Blocks; meant for the start.
    ///
    /// # Errors
    /// The file cannot be read, is open to everyone, or holds no token as [`new`](Self::new) wants it.
    pub fn from_file(path: &Path) -> Result<Self, TokenError> {
        let file = path.to_owned();
        let make = move || {
            let failed = |fault| TokenError { path: Some(file.clone()), fault };
            let text = read(&file).map_err(failed)?;
            let text = text.trim_ascii();
            check(text).map_err(failed)?;
            Ok(text.to_owned())
        };
        Fresh::new([path.to_owned()], make).map(|token| Self(Arc::new(token)))
    }

    /// Has `clock` say when the file is looked at anew, and not the process's. Meant for tests.
    #[must_use]
    pub fn run_on(self, clock: Arc<dyn Clock>) -> Self {
        self.0.run_on(clock);
        self
    }

    /// Has the token be that of its file now, if it was not looked at within a second. Cancel safe.
    pub(crate) async fn renew(&self) {
        self.0.get().await;
    }

    /// The field that brings this token.
    pub fn authorization(&self) -> HeaderValue {
        let mut field = HeaderValue::try_from(format!("Bearer {}", self.0.last()))
            .unwrap_or(HeaderValue::from_static(""));
        field.set_sensitive(true);
        field
    }

    /// Whether the request with these fields brought this token, in its one Authorization field.
    ///
    /// How long the comparison takes tells nothing of where a guess went wrong, only its length.
    pub(crate) fn admits(&self, headers: &HeaderMap) -> bool {
        let mut fields = headers.get_all(AUTHORIZATION).iter();
        let (Some(field), None) = (fields.next(), fields.next()) else { return false };
        let Some((scheme, brought)) = field.as_bytes().split_at_checked("Bearer ".len()) else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"Bearer ") && is_same(brought.trim_ascii(), self.0.last().as_bytes())
    }
}

fn read(path: &Path) -> Result<String, Fault> {
    let unreadable = |error: std::io::Error| Fault::Unreadable(error.to_string());
    let file = named_file::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.mode() & 0o7777;
    if mode & 0o006 != 0 {
        return Err(Fault::Exposed(mode));
    }
    let mut bytes = Vec::new();
    file.take(MOST as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > MOST {
        return Err(Fault::TooLarge);
    }
    String::from_utf8(bytes).map_err(|_| Fault::Odd)
}

fn check(text: &str) -> Result<(), Fault> {
    let body = text.trim_end_matches('=');
    if !body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte)) {
        return Err(Fault::Odd);
    }
    if text.len() < LEAST { Err(Fault::TooShort(text.len())) } else { Ok(()) }
}

/// Compares all bytes, wherever the first difference is.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    let differing = a.iter().zip(b).fold(0, |differing, (a, b)| black_box(differing | (a ^ b)));
    a.len() == b.len() && differing == 0
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        is_same(self.0.last().as_bytes(), other.0.last().as_bytes())
    }
}

impl Eq for Token {}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MAKE: &str = "`openssl rand -hex 32` makes a good one";
        match &self.path {
            Some(path) => write!(f, "token file {}: ", path.display())?,
            None => f.write_str("token: ")?,
        }
        match &self.fault {
            Fault::Unreadable(error) => f.write_str(error),
            Fault::Exposed(mode) => {
                write!(
                    f,
                    "its mode {mode:03o} opens it to everyone on this machine; take that away: chmod o-rw"
                )
            }
            Fault::TooLarge => write!(f, "it has more than {MOST} bytes; it must hold the token alone"),
            Fault::TooShort(len) => write!(f, "{len} characters are too few, take at least {LEAST}; {MAKE}"),
            Fault::Odd => {
                write!(f, "only letters, digits, -._~+/ and = at the end can be sent in a token; {MAKE}")
            }
        }
    }
}

impl std::error::Error for TokenError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const GOOD: &str = "0123456789abcdef";

    #[test]
    fn a_token_is_long_enough_and_can_be_sent() {
        for (text, expected) in [
            (GOOD, None),
            ("AZaz09-._~+/xxxx==", None),
            ("0123456789abcde", Some("15 characters are too few, take at least 16")),
            ("", Some("0 characters are too few")),
            ("0123456789 abcdef", Some("only letters, digits")),
            ("0123456789abcdef\n", Some("only letters, digits")),
            ("=0123456789abcdef", Some("only letters, digits")),
            ("0123456789abcdéf", Some("only letters, digits")),
        ] {
            match (Token::new(text), expected) {
                (Ok(token), None) => assert_eq!(format!("{token:?}"), "Token(..)"),
                (Err(error), Some(expected)) => assert!(error.to_string().contains(expected), "{error}"),
                (result, _) => panic!("{text}: {result:?}"),
            }
        }
    }

    #[test]
    fn only_the_whole_token_in_one_field_admits() {
        let token = Token::new(GOOD).unwrap();
        for (fields, admitted) in [
            (&["Bearer 0123456789abcdef"][..], true),
            (&["bearer 0123456789abcdef"], true),
            (&["Bearer   0123456789abcdef "], true),
            (&[], false),
            (&["Bearer 0123456789abcdeg"], false),
            (&["Bearer 0123456789abcde"], false),
            (&["Bearer 0123456789abcdef0"], false),
            (&["Bearer "], false),
            (&["Bearer"], false),
            (&["Bearer0123456789abcdef"], false),
            (&["Basic 0123456789abcdef"], false),
            (&["0123456789abcdef"], false),
            (&["Bearer 0123456789abcdef", "Bearer 0123456789abcdef"], false),
        ] {
            let headers = fields.iter().map(|field| (AUTHORIZATION, field.parse().unwrap())).collect();
            assert_eq!(token.admits(&headers), admitted, "{fields:?}");
        }
    }

    #[test]
    fn a_file_must_be_ours_alone_and_hold_a_token_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let with = |text: &[u8], mode| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            Token::from_file(&path).map_err(|error| error.to_string())
        };
        for mode in [0o400, 0o600, 0o640, 0o660, 0o751] {
            assert_eq!(with(b"\n 0123456789abcdef\r\n", mode), Ok(Token::new(GOOD).unwrap()), "{mode:o}");
        }
        for (text, mode, expected) in [
            (&b"0123456789abcdef"[..], 0o644, "mode 644 opens it to everyone on this machine"),
            (b"0123456789abcdef", 0o602, "chmod o-rw"),
            (b"", 0o600, "0 characters are too few"),
            (b" short ", 0o600, "5 characters are too few"),
            (b"0123456789abcdef 0123456789abcdef", 0o600, "only letters"),
            (b"0123456789abcdef\xff", 0o600, "only letters"),
            (&[b'x'; MOST + 1], 0o600, "more than 4096 bytes"),
        ] {
            let error = with(text, mode).unwrap_err();
            assert!(error.contains(expected) && error.contains("token: "), "{error}");
        }
        assert!(with(&[b'x'; MOST], 0o600).is_ok());
        let error = Token::from_file(&folder.path().join("none")).unwrap_err().to_string();
        assert!(error.contains("none: No such file"), "{error}");
        assert!(Token::from_file(folder.path()).is_err());
    }

    #[test]
    fn the_token_of_a_replaced_file_counts_within_a_second() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let replace = |text: &str, mode| {
            std::fs::write(folder.path().join("new"), text).unwrap();
            std::fs::set_permissions(folder.path().join("new"), std::fs::Permissions::from_mode(mode))
                .unwrap();
            std::fs::rename(folder.path().join("new"), &path).unwrap();
        };
        replace("first-0123456789", 0o600);
        let clock = Arc::new(crate::clock::ManualClock::new());
        let token = Token::from_file(&path).unwrap().run_on(Arc::clone(&clock) as _);
        let admits = |text: &str| {
            futures_lite::future::block_on(token.renew());
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::try_from(format!("Bearer {text}")).unwrap());
            token.admits(&headers)
        };
        replace("second-0123456789", 0o600);
        assert!(admits("first-0123456789"), "it was looked at a moment ago");
        clock.advance(std::time::Duration::from_secs(1));
        assert!(admits("second-0123456789") && !admits("first-0123456789"));
        assert_eq!(token.authorization(), "Bearer second-0123456789");
        for (text, mode) in [("short", 0o600), ("third-0123456789", 0o644)] {
            replace(text, mode);
            clock.advance(std::time::Duration::from_secs(1));
            assert!(admits("second-0123456789") && !admits(text), "{text} {mode:o} is no token");
        }
        std::fs::remove_file(&path).unwrap();
        clock.advance(std::time::Duration::from_secs(1));
        assert!(admits("second-0123456789"));
    }
}
