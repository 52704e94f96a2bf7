//! Where a shared store is: `redis://HOST:PORT`, `rediss://HOST:PORT` (or `valkey://`, `valkeys://`) or `unix:PATH`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::shown_address::shown_address;

/// The default port.
const DEFAULT_PORT: u16 = 6379;

/// The default prefix of keys.
const DEFAULT_PREFIX: &str = "sluicegate";

/// A Redis or Valkey server, and how to log in to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSource {
    pub(super) at: At,
    pub(super) user: Option<String>,
    pub(super) database: i64,
    /// The file with the password; for nobody but its owner and group. Default none.
    pub password_file: Option<PathBuf>,
    /// The file with the authorities to trust with `rediss`. Default those of the machine.
    pub authorities: Option<PathBuf>,
    /// What all keys begin with: fleets with different ones share a server. Default `sluicegate`.
    pub prefix: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum At {
    Tcp { host: String, port: u16, is_tls: bool },
    Unix(PathBuf),
}

text_error! {
    /// Why a text is not the address of a shared store. Says what to write.
    RedisSourceError
}

impl RedisSource {
    /// Whether `text` begins like the address of a shared store.
    pub fn is_meant(text: &str) -> bool {
        let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
        let meant = ["redis", "rediss", "valkey", "valkeys", "unix", "redis+unix", "valkey+unix"];
        meant.iter().any(|name| scheme.eq_ignore_ascii_case(name))
    }
}

impl FromStr for RedisSource {
    type Err = RedisSourceError;

    fn from_str(text: &str) -> Result<Self, RedisSourceError> {
        parse(text).map_err(|why| {
            let shown = shown_address(text);
            RedisSourceError(format!(
                "{shown:?}: {why}; write redis://HOST:6379/0, rediss://USER@HOST or unix:PATH"
            ))
        })
    }
}

fn parse(text: &str) -> Result<RedisSource, &'static str> {
    let source = |at| RedisSource {
        at,
        user: None,
        database: 0,
        password_file: None,
        authorities: None,
        prefix: DEFAULT_PREFIX.to_owned(),
    };
    if let Some(path) = text.strip_prefix("unix:") {
        return match path {
            "" => Err("the path of the socket is missing"),
            path => Ok(source(At::Unix(path.into()))),
        };
    }
    let url = redis::parse_redis_url(text).ok_or("it is not the address of a store")?;
    let is_tls = match url.scheme() {
        "redis" | "valkey" => false,
        "rediss" | "valkeys" => true,
        _ => return Err("it is not the address of a store"),
    };
    if url.password().is_some() {
        return Err(
            "it has a password in it, which everyone on this machine can read; write that into a file of its own",
        );
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("it has a ? or # in it, which means nothing here");
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or("the host is missing")?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = url.port().unwrap_or(DEFAULT_PORT);
    let database = match url.path().trim_start_matches('/') {
        "" => 0,
        number => {
            let number = number.parse::<u16>();
            i64::from(number.map_err(|_| "the number of its database is not from 0 to 65535")?)
        }
    };
    let user = percent_decode_str(url.username()).decode_utf8();
    let user = user.map_err(|_| "the user's name is not UTF-8 text")?.into_owned();
    let user = Some(user).filter(|user| !user.is_empty());
    Ok(RedisSource { user, database, ..source(At::Tcp { host, port, is_tls }) })
}

impl fmt::Display for RedisSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            At::Unix(path) => write!(f, "unix:{}", path.display()),
            At::Tcp { host, port, is_tls } => {
                let scheme = if *is_tls { "rediss" } else { "redis" };
                let encoded = |user| format!("{}@", utf8_percent_encode(user, NON_ALPHANUMERIC));
                let user = self.user.as_deref().map_or_else(String::new, encoded);
                match host.contains(':') {
                    true => write!(f, "{scheme}://{user}[{host}]:{port}/{}", self.database),
                    false => write!(f, "{scheme}://{user}{host}:{port}/{}", self.database),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (text, expected) in [
            ("redis://127.0.0.1", "redis://127.0.0.1:6379/0"),
            ("redis://127.0.0.1:1/2", "redis://127.0.0.1:1/2"),
            ("rediss://quota@store.example", "rediss://quota@store.example:6379/0"),
            ("redis://[::1]:7", "redis://[::1]:7/0"),
            ("REDIS://127.0.0.1", "redis://127.0.0.1:6379/0"),
            ("valkey://127.0.0.1", "redis://127.0.0.1:6379/0"),
            ("valkeys://store.example:1", "rediss://store.example:1/0"),
            ("unix:/run/redis/redis.sock", "unix:/run/redis/redis.sock"),
        ] {
            assert!(RedisSource::is_meant(text));
            assert_eq!(text.parse::<RedisSource>().unwrap().to_string(), expected);
        }
        for (text, expected) in [
            ("http://a", "not the address of a store"),
            ("redis:", "the host is missing"),
            ("redis://a/x", "the number of its database"),
            ("redis://a/1?protocol=3", "means nothing here"),
            ("unix:", "the path of the socket is missing"),
            ("redis+unix:/run/a.sock", "not the address of a store"),
            ("redis://%ff@a", "the user's name is not UTF-8"),
        ] {
            let error = text.parse::<RedisSource>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        for (text, expected) in [
            ("redis://u:secret@a", "has a password in it"),
            ("redis://u:p@secret@a", "has a password in it"),
            ("valkey://:secret@a", "has a password in it"),
            ("REDIS://u:secret@a", "has a password in it"),
            ("redis://a?password=secret", "means nothing here"),
            ("redis+unix:/run/a.sock?pass=secret", "not the address of a store"),
        ] {
            let error = text.parse::<RedisSource>().unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("secret"), "{text}: {error}");
        }
    }

    #[test]
    fn the_name_of_a_user_is_decoded_for_the_login() {
        let source: RedisSource = "redis://qu%40ta%3A1@a".parse().unwrap();
        assert_eq!(source.user.as_deref(), Some("qu@ta:1"));
        assert_eq!(source.to_string().parse(), Ok(source));
    }
}
