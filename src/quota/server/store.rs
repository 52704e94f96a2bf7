//! Where limits that were set by hand are kept: nowhere but in memory, in a file, or in a store that servers share.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::quota::by_hand::{ByHand, Setting};
use crate::quota::id::Id;
use crate::rt;
use crate::saved_file::{Remedies, Saved};
#[cfg(feature = "redis")]
use crate::shared_store::{RedisSource, RedisSourceError};
use crate::shown_address::shown_address;

static REMEDIES: Remedies = Remedies {
    name_another: "name another file with --store file:PATH",
    shorten: "take limits out with `sluicegate quota reset`",
};

/// Where a quota server keeps limits that were set by hand. Default in memory: until it restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum QuotaStore {
    /// In memory.
    #[default]
    Memory,
    /// In a file of this server's own, which is replaced as a whole at each change and on the disk before the change is
    /// answered.
    File(PathBuf),
    /// In a Redis or Valkey server that several quota servers share. One of them leads and answers; the others say where
    /// that is.
    #[cfg(feature = "redis")]
    Redis(RedisSource),
}

text_error! {
    /// Why a store cannot be named, read or written. Says what to do.
    QuotaStoreError
}

impl FromStr for QuotaStore {
    type Err = QuotaStoreError;

    fn from_str(text: &str) -> Result<Self, QuotaStoreError> {
        #[cfg(feature = "redis")]
        if RedisSource::is_meant(text) {
            return text
                .parse()
                .map(Self::Redis)
                .map_err(|error: RedisSourceError| QuotaStoreError(error.to_string()));
        }
        match text.split_once(':') {
            None if text == "memory" => Ok(Self::Memory),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            _ => {
                let shown = shown_address(text);
                Err(QuotaStoreError(format!(
                    "{shown:?} is not a store; write memory, file:PATH or redis://HOST:PORT"
                )))
            }
        }
    }
}

impl fmt::Display for QuotaStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            #[cfg(feature = "redis")]
            Self::Redis(source) => source.fmt(f),
        }
    }
}

impl QuotaStore {
    /// Reads what was set by hand; nothing of a shared store, which only a leader reads. A file that is not there is made, so
    /// that a folder that cannot be written to is noticed before somebody needs it. Blocks.
    ///
    /// # Errors
    /// The file cannot be read, is not valid, or cannot be made.
    pub(super) fn load(&self) -> Result<ByHand, QuotaStoreError> {
        let Self::File(path) = self else { return Ok(ByHand::default()) };
        let (saved, by_hand) = read(path)?;
        if !saved.is_there() {
            write(&saved, &by_hand)?;
        }
        Ok(by_hand)
    }

    /// Keeps the setting of a resource; `None` is none. Completes when it is kept.
    ///
    /// # Errors
    /// It cannot be kept; what was kept before still is.
    pub(super) async fn put(&self, resource: &Id, setting: Option<Setting>) -> Result<(), QuotaStoreError> {
        let Self::File(path) = self else { return Ok(()) };
        let (path, resource) = (path.clone(), resource.clone());
        rt::blocking(move || {
            // Read anew: a new program (SIGUSR2) may have written it since, or a person.
            let (saved, mut by_hand) = read(&path)?;
            by_hand.put(&resource, setting);
            write(&saved, &by_hand)
        })
        .await
    }

    /// Whether what is set by hand holds after a restart.
    pub(super) fn is_lasting(&self) -> bool {
        *self != Self::Memory
    }
}

fn read(path: &Path) -> Result<(Saved, ByHand), QuotaStoreError> {
    let failed = |error: &dyn fmt::Display| QuotaStoreError(format!("store file {error}"));
    let saved = Saved::open(path, &REMEDIES).map_err(|error| failed(&error))?;
    let by_hand = ByHand::parse(saved.text()).map_err(|error| {
        let path = path.display();
        failed(&format_args!(
            "{path} is not valid: {error}; correct it, or move it away: the limits are then those of --limit"
        ))
    })?;
    Ok((saved, by_hand))
}

fn write(saved: &Saved, by_hand: &ByHand) -> Result<(), QuotaStoreError> {
    saved.replace(&by_hand.text()).map_err(|error| QuotaStoreError(format!("store file {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_are_named() {
        for text in ["memory", "file:/var/lib/a.toml", "file:limits.toml", "file:a:b"] {
            assert_eq!(text.parse::<QuotaStore>().unwrap().to_string(), text);
        }
        for text in ["", "file", "file:", "/var/lib/a.toml", "Memory", "etcd://a"] {
            let error = text.parse::<QuotaStore>().unwrap_err().to_string();
            assert!(
                error.ends_with("is not a store; write memory, file:PATH or redis://HOST:PORT"),
                "{text}: {error}"
            );
        }
        // In a build without shared stores, too.
        for text in ["redis://u:secret@a", "etcd://u:secret@a", "valkey://:secret@a", "memory?pass=secret"] {
            let error = text.parse::<QuotaStore>().unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_file_keeps_what_is_put_beside_what_others_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("limits.toml");
        let store = QuotaStore::File(path.clone());
        assert_eq!(store.load(), Ok(ByHand::default()));
        assert!(path.is_file(), "a folder that cannot be written to is noticed at the start");
        let id = |text: &str| text.parse::<Id>().unwrap();
        let set = |text: &str| Some(Setting::Set(text.parse().unwrap()));
        rt::block_on(store.put(&id("a"), set("1m"))).unwrap();
        std::fs::write(&path, "[limits]\na = \"1m\"\nb = \"2/s\"\n").unwrap();
        rt::block_on(store.put(&id("c"), Some(Setting::Deleted))).unwrap();
        rt::block_on(store.put(&id("a"), None)).unwrap();
        let mut expected = ByHand::default();
        expected.put(&id("b"), set("2/s"));
        expected.put(&id("c"), Some(Setting::Deleted));
        assert_eq!(store.load(), Ok(expected));
    }

    #[test]
    fn a_file_that_is_not_valid_is_refused_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("limits.toml");
        let store = QuotaStore::File(path.clone());
        std::fs::write(&path, "[limits]\na = \"fast\"\n").unwrap();
        for error in [
            store.load().unwrap_err().to_string(),
            rt::block_on(store.put(&"b".parse().unwrap(), None)).unwrap_err().to_string(),
        ] {
            assert!(error.starts_with(&format!("store file {} is not valid: limits.a: ", path.display())));
            assert!(error.ends_with("correct it, or move it away: the limits are then those of --limit"));
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "[limits]\na = \"fast\"\n");
    }
}
