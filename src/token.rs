//! Bearer tokens of the admin listener, of publishers and of the quota server, and the files they are read from.

use std::fmt;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use subtle::ConstantTimeEq;

use crate::clock::Clock;
use crate::named_file;
use crate::rt::Fresh;

/// Bytes of the shortest token: 96 bits in base64.
const MIN_LEN: usize = 16;

/// Bytes of the largest token file. A larger file is refused: it is another one, named by mistake.
const MAX_FILE_LEN: usize = 4096;

/// A bearer token (RFC 6750). A request that carries it is admitted.
///
/// ```
/// use sluicegate::token::Token;
///
/// assert!(Token::new("c2VjcmV0LXNlY3JldC1zZWNyZXQ=").is_ok());
/// assert!(Token::new("short").unwrap_err().to_string().contains("at least 16"));
/// ```
#[derive(Clone)]
pub struct Token(Arc<Fresh<String>>);

text_error! {
    /// Why a token cannot be used. Says what to do.
    TokenError
}

impl TokenError {
    /// The token of those who may look is that of those who may change things.
    pub(crate) fn same() -> Self {
        Self(format!(
            "admin_read_only_token_file and admin_token_file hold the same token, so all who may look could change \
             things; write another into one of them ({MAKE})"
        ))
    }
}

/// Ends what is wrong with a token.
const MAKE: &str = "`openssl rand -hex 32` makes a good one";

impl Token {
    /// Creates a token from `text`: at least 16 characters that RFC 6750 allows (letters, digits, `-._~+/`, and `=`
    /// at the end).
    ///
    /// # Errors
    /// `text` is shorter, or has another character.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        check(text).map_err(|why| TokenError(format!("token: {why}")))?;
        Ok(Self(Arc::new(Fresh::fixed(text.to_owned()))))
    }

    /// Reads the token from a file, without white space around it. A replaced file is read again within a second; if
    /// it cannot be used, the token before stays valid.
    ///
    /// A file that others than its owner and group may read or write is refused: it keeps no secret. Blocks; meant
    /// for the start of the program.
    ///
    /// # Errors
    /// The file cannot be read, is open to everyone, or holds no token that [`new`](Self::new) accepts.
    pub fn from_file(path: &Path) -> Result<Self, TokenError> {
        let file = path.to_owned();
        let make = move || {
            let failed = |why| TokenError(format!("token file {}: {why}", file.display()));
            let text = read(&file).map_err(failed)?;
            let text = text.trim_ascii();
            check(text).map_err(failed)?;
            Ok(text.to_owned())
        };
        Fresh::new([path.to_owned()], make).map(|token| Self(Arc::new(token)))
    }

    /// Uses `clock` instead of the process's to decide when to check the file again. Meant for tests.
    #[must_use]
    pub fn run_on(self, clock: Arc<dyn Clock>) -> Self {
        self.0.run_on(clock);
        self
    }

    /// Reads the file again if it changed; checks at most once a second. Cancel safe.
    pub(crate) async fn renew(&self) {
        self.0.get().await;
    }

    /// The value of the `Authorization` field with this token.
    pub fn authorization(&self) -> HeaderValue {
        let mut field = HeaderValue::try_from(format!("Bearer {}", self.0.last()))
            .unwrap_or(HeaderValue::from_static(""));
        field.set_sensitive(true);
        field
    }

    /// Whether a request with these fields has exactly one `Authorization` field, and this token in it.
    ///
    /// The time of the comparison depends on the length of what was sent, not on where it differs.
    pub(crate) fn admits(&self, headers: &HeaderMap) -> bool {
        let mut fields = headers.get_all(AUTHORIZATION).iter();
        let (Some(field), None) = (fields.next(), fields.next()) else { return false };
        let Some((scheme, sent)) = field.as_bytes().split_at_checked("Bearer ".len()) else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"Bearer ") && is_same(sent.trim_ascii(), self.0.last().as_bytes())
    }
}

fn read(path: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| named_file::told(&error);
    let file = named_file::open_secret(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_LEN as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > MAX_FILE_LEN {
        return Err(format!("it has more than {MAX_FILE_LEN} bytes; it must hold only the token"));
    }
    String::from_utf8(bytes).map_err(|_| bad_byte())
}

fn check(text: &str) -> Result<(), String> {
    let body = text.trim_end_matches('=');
    if !body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte)) {
        return Err(bad_byte());
    }
    match text.len() {
        len @ ..MIN_LEN => Err(format!("{len} characters are too few, use at least {MIN_LEN}; {MAKE}")),
        _ => Ok(()),
    }
}

/// It has a byte that RFC 6750 does not allow in a token.
fn bad_byte() -> String {
    format!("a token has only letters, digits, -._~+/ and = at the end; {MAKE}")
}

/// Compares in time that does not depend on where the first difference is.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
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
            ("0123456789abcde", Some("15 characters are too few, use at least 16")),
            ("", Some("0 characters are too few")),
            ("0123456789 abcdef", Some("has only letters, digits")),
            ("0123456789abcdef\n", Some("has only letters, digits")),
            ("=0123456789abcdef", Some("has only letters, digits")),
            ("0123456789abcdéf", Some("has only letters, digits")),
        ] {
            match (Token::new(text), expected) {
                (Ok(token), None) => assert_eq!(format!("{token:?}"), "Token(..)"),
                (Err(error), Some(expected)) => assert!(error.to_string().contains(expected), "{error}"),
                (result, _) => panic!("{text}: {result:?}"),
            }
        }
    }

    #[test]
    fn only_the_whole_token_in_one_field_is_admitted() {
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
    fn a_token_file_is_closed_to_others_and_holds_only_a_token() {
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
            (&b"0123456789abcdef"[..], 0o644, "mode 644 lets everyone on this machine"),
            (b"0123456789abcdef", 0o602, "chmod o-rw"),
            (b"", 0o600, "0 characters are too few"),
            (b" short ", 0o600, "5 characters are too few"),
            (b"0123456789abcdef 0123456789abcdef", 0o600, "has only letters"),
            (b"0123456789abcdef\xff", 0o600, "has only letters"),
            (&[b'x'; MAX_FILE_LEN + 1], 0o600, "more than 4096 bytes"),
        ] {
            let error = with(text, mode).unwrap_err();
            assert!(error.contains(expected) && error.contains("token: "), "{error}");
        }
        assert!(with(&[b'x'; MAX_FILE_LEN], 0o600).is_ok());
        let error = Token::from_file(&folder.path().join("none")).unwrap_err().to_string();
        assert!(error.contains("none: No such file"), "{error}");
        assert!(Token::from_file(folder.path()).is_err());
    }

    #[test]
    fn a_replaced_token_file_is_read_within_a_second() {
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
        assert!(admits("first-0123456789"), "the file was checked less than a second ago");
        clock.advance(std::time::Duration::from_secs(1));
        assert!(admits("second-0123456789") && !admits("first-0123456789"));
        assert_eq!(token.authorization(), "Bearer second-0123456789");
        for (text, mode) in [("short", 0o600), ("third-0123456789", 0o644)] {
            replace(text, mode);
            clock.advance(std::time::Duration::from_secs(1));
            assert!(admits("second-0123456789") && !admits(text), "{text} {mode:o} is not a token");
        }
        std::fs::remove_file(&path).unwrap();
        clock.advance(std::time::Duration::from_secs(1));
        assert!(admits("second-0123456789"));
    }
}
