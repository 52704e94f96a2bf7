//! Where the streams of a route are kept: a setting.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

#[cfg(feature = "redis")]
use crate::shared_store::{RedisSource, RedisSourceError};
use crate::shown_address::shown_address;

/// Where the streams of a route are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EventStore {
    /// In memory: a restart begins with empty logs.
    #[default]
    Memory,
    /// In a file of this server's own, too: the logs survive a restart.
    File(PathBuf),
    /// In a Redis or Valkey server that several servers share, too.
    #[cfg(feature = "redis")]
    Redis(RedisSource),
}

text_error! {
    /// Why a text is not the name of a store. Says what to write.
    EventStoreError
}

impl FromStr for EventStore {
    type Err = EventStoreError;

    fn from_str(text: &str) -> Result<Self, EventStoreError> {
        #[cfg(feature = "redis")]
        if RedisSource::is_meant(text) {
            let source = text.parse().map_err(|error: RedisSourceError| EventStoreError(error.to_string()));
            return source.map(Self::Redis);
        }
        match text.split_once(':') {
            None if text == "memory" => Ok(Self::Memory),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            _ => {
                let shown = shown_address(text);
                Err(EventStoreError(format!(
                    "{shown:?} is not a store; write memory, file:PATH or redis://HOST:PORT"
                )))
            }
        }
    }
}

impl fmt::Display for EventStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            #[cfg(feature = "redis")]
            Self::Redis(source) => source.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_are_named() {
        for text in ["memory", "file:/var/lib/news.redb", "file:a:b"] {
            assert_eq!(text.parse::<EventStore>().unwrap().to_string(), text);
        }
        for text in ["", "file", "file:", "/var/lib/news.redb", "Memory", "etcd://u:secret@a"] {
            let error = text.parse::<EventStore>().unwrap_err().to_string();
            assert!(
                error.ends_with("is not a store; write memory, file:PATH or redis://HOST:PORT"),
                "{text}: {error}"
            );
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
