//! Keys that clients may show in a header: which are known, found in constant time.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use subtle::ConstantTimeEq;

use crate::budget::ClientKey;
use crate::excerpt::excerpt;
use crate::named_file;

/// Bytes of the largest file of keys.
const MAX_FILE: u64 = 16 << 20;

/// A key as it was typed. Shown as a fingerprint only.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey(Box<str>);

caused_error! {
    /// Why a text is no key. Does not repeat it.
    SecretKeyError {
        /// Whether it is empty.
        is_empty: empty,
        /// Whether it has more than 256 bytes.
        is_too_long: too_long,
    }
}

impl SecretKey {
    /// A key of at most 256 bytes of ASCII, without spaces around it: what a header can carry.
    ///
    /// # Errors
    /// Says what is wrong with `text`, and does not repeat it.
    pub fn new(text: &str) -> Result<Self, SecretKeyError> {
        let most = ClientKey::MAX_HEADER;
        if text.is_empty() {
            return Err(SecretKeyError::empty("a key is empty; leave it out"));
        }
        if text.len() > most {
            return Err(SecretKeyError::too_long(format!(
                "a key has {} bytes; at most {most} count",
                text.len()
            )));
        }
        let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if !is_plain || text.trim().len() != text.len() {
            return Err(SecretKeyError::other(
                "a key has spaces around it, or characters that are not of printable ASCII",
            ));
        }
        Ok(Self(text.into()))
    }

    /// The client that shows it.
    fn client(&self) -> Option<ClientKey> {
        ClientKey::header(self.0.as_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.client().map_or(Ok(()), |client| client.fmt(f))
    }
}

/// Reads a file of keys: one on each line, without lines that are empty or begin with `#`.
///
/// # Errors
/// The file cannot be read, others than its owner and group may read or write it, a line is no key, or there is none: a file that
/// was cut short would put all its clients out of their class.
pub(super) fn read(path: &Path) -> Result<Vec<SecretKey>, String> {
    let failed = |why: String| format!("keys in {}: {why}", excerpt(&path.display().to_string(), 300));
    let unreadable = |error: std::io::Error| failed(named_file::told(&error));
    let file = named_file::open_secret(path).map_err(unreadable)?;
    let bytes = named_file::read_at_most(file, MAX_FILE).map_err(unreadable)?;
    let text = String::from_utf8(bytes).map_err(|_| failed("it is not UTF-8".to_owned()))?;
    let mut keys = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            keys.push(SecretKey::new(line).map_err(|why| failed(format!("line {}: {why}", at + 1)))?);
        }
    }
    if keys.is_empty() {
        return Err(failed("no key is in it; write one on each line, or leave its class out".to_owned()));
    }
    Ok(keys)
}

/// The keys that are known.
///
/// A value is looked up by a hash that only this process can compute, and compared in a time that does not depend on where it
/// differs: how long that takes says nothing of the keys.
pub(super) struct KnownKeys {
    hasher: RandomState,
    keys: HashMap<u64, Vec<(SecretKey, ClientKey)>>,
    len: usize,
}

impl KnownKeys {
    pub(super) fn new(keys: impl IntoIterator<Item = SecretKey>) -> Self {
        let mut known = Self { hasher: RandomState::new(), keys: HashMap::new(), len: 0 };
        for key in keys {
            let Some(client) = key.client() else { continue };
            let hash = known.hasher.hash_one(key.0.as_bytes());
            let same = known.keys.entry(hash).or_default();
            if !same.iter().any(|(other, _)| *other == key) {
                same.push((key, client));
                known.len += 1;
            }
        }
        known
    }

    /// The client that shows `value`, if that is a known key.
    pub(super) fn find(&self, value: &[u8]) -> Option<&ClientKey> {
        let candidates = self.keys.get(&self.hasher.hash_one(value))?;
        let same = |(key, _): &&(SecretKey, ClientKey)| key.0.as_bytes().ct_eq(value).into();
        candidates.iter().find(same).map(|(_, client)| client)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many of them `other` has not.
    pub(super) fn missing_in(&self, other: &Self) -> usize {
        self.keys.values().flatten().filter(|(key, _)| other.find(key.0.as_bytes()).is_none()).count()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn keys(texts: &[&str]) -> Vec<SecretKey> {
        texts.iter().map(|text| SecretKey::new(text).unwrap()).collect()
    }

    #[test]
    fn a_value_is_a_known_key_or_nothing() {
        let known = KnownKeys::new(keys(&["alpha", "beta", "alpha"]));
        assert_eq!(known.len(), 2);
        for value in ["alpha", "beta"] {
            assert_eq!(known.find(value.as_bytes()), ClientKey::header(value.as_bytes()).as_ref());
        }
        for value in ["", "alph", "alphaa", "Alpha", "gamma", "alpha "] {
            assert_eq!(known.find(value.as_bytes()), None, "{value}");
        }
        assert_eq!(known.missing_in(&KnownKeys::new(keys(&["beta", "gamma"]))), 1);
    }

    #[test]
    fn what_no_header_carries_is_no_key_and_no_message_repeats_it() {
        let long = "k".repeat(257);
        for bad in ["", " secret", "secret ", "sec\tret", "s\u{e9}cret", &long] {
            let error = SecretKey::new(bad).unwrap_err();
            assert_eq!((error.is_empty(), error.is_too_long()), (bad.is_empty(), bad.len() > 256));
            let error = error.to_string();
            assert!(!error.contains("secret") && !error.contains("kkk"), "{error}");
        }
        let shown = format!("{:?}", SecretKey::new("hunter2").unwrap());
        assert!(shown.starts_with("key-") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_file_has_a_key_on_each_line_and_keeps_them_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let write = |text: &str, mode| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            read(&path)
        };
        let expected = keys(&["one", "two words"]);
        assert_eq!(write("# ours\none\n\n  two words\r\n", 0o640), Ok(expected));
        for (text, mode, expected) in [
            ("one", 0o644, "its mode 644 lets everyone on this machine read or write it; run chmod o-rw"),
            ("one", 0o602, "its mode 602"),
            ("", 0o600, "no key is in it; write one on each line"),
            ("# none yet\n\n", 0o600, "no key is in it"),
            ("one\nsécret", 0o600, "line 2: a key has spaces around it, or characters"),
        ] {
            let error = write(text, mode).unwrap_err();
            assert!(error.contains(expected) && !error.contains("cret"), "{error}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(read(&path).unwrap_err().contains("No such file"));
    }
}
