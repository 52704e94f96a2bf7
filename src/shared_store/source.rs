//! Where a shared store is: `redis://HOST:PORT`, `rediss://HOST:PORT` or `unix:PATH`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::excerpt::excerpt;

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
        ["redis:", "rediss:", "unix:"].iter().any(|scheme| text.starts_with(scheme))
    }
}

impl FromStr for RedisSource {
    type Err = RedisSourceError;

    fn from_str(text: &str) -> Result<Self, RedisSourceError> {
        parse(text).map_err(|why| {
            // A password in it is not repeated.
            let shown = excerpt(text.split_once('@').map_or(text, |(_, host)| host), 60);
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
        "redis" => false,
        "rediss" => true,
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
    let user = Some(url.username().to_owned()).filter(|user| !user.is_empty());
    Ok(RedisSource { user, database, ..source(At::Tcp { host, port, is_tls }) })
}

impl fmt::Display for RedisSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            At::Unix(path) => write!(f, "unix:{}", path.display()),
            At::Tcp { host, port, is_tls } => {
                let scheme = if *is_tls { "rediss" } else { "redis" };
                let user = self.user.as_ref().map_or_else(String::new, |user| format!("{user}@"));
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
        ] {
            let error = text.parse::<RedisSource>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let error = "redis://u:secret@a".parse::<RedisSource>().unwrap_err().to_string();
        assert!(error.contains("has a password in it") && !error.contains("secret"), "{error}");
    }
}
