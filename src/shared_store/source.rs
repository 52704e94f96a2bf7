//! Where a shared store is: `redis://HOST:PORT`, `rediss://HOST:PORT` (or `valkey://`, `valkeys://`), `unix:PATH`, or
//! `redis+sentinel://HOST:PORT,HOST:PORT/NAME`, the primary of that name.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::address::{AuthorityParts, HostPort};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::shown_address::shown_address;

/// The default port.
const DEFAULT_PORT: u16 = 6379;

/// The default port of a sentinel.
const SENTINEL_PORT: u16 = 26379;

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
    Tcp {
        host: String,
        port: u16,
        is_tls: bool,
    },
    /// The primary that these say is that of the name.
    Sentinels {
        sentinels: Vec<HostPort>,
        name: String,
        is_tls: bool,
    },
    Unix(PathBuf),
}

impl At {
    pub(super) fn is_tls(&self) -> bool {
        match self {
            Self::Tcp { is_tls, .. } | Self::Sentinels { is_tls, .. } => *is_tls,
            Self::Unix(_) => false,
        }
    }
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
        meant.iter().any(|name| scheme.eq_ignore_ascii_case(name)) || of_sentinels(scheme).is_some()
    }
}

impl FromStr for RedisSource {
    type Err = RedisSourceError;

    fn from_str(text: &str) -> Result<Self, RedisSourceError> {
        parse(text).map_err(|why| {
            let shown = shown_address(text);
            RedisSourceError(format!(
                "{shown:?}: {why}; write redis://HOST:6379/0, rediss://USER@HOST, redis+sentinel://HOST,HOST/NAME or unix:PATH"
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
    if let Some((scheme, rest)) = text.split_once("://")
        && let Some(is_tls) = of_sentinels(scheme)
    {
        let (user, at, database) = parse_sentinels(rest, is_tls)?;
        return Ok(RedisSource { user, database, ..source(at) });
    }
    let url = redis::parse_redis_url(text).ok_or("it is not the address of a store")?;
    let is_tls = match url.scheme() {
        "redis" | "valkey" => false,
        "rediss" | "valkeys" => true,
        _ => return Err("it is not the address of a store"),
    };
    if url.password().is_some() {
        return Err(HAS_PASSWORD);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(HAS_QUERY);
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or("the host is missing")?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = url.port().unwrap_or(DEFAULT_PORT);
    let database = database(url.path().trim_start_matches('/'))?;
    let user = user(url.username())?;
    Ok(RedisSource { user, database, ..source(At::Tcp { host, port, is_tls }) })
}

const HAS_PASSWORD: &str =
    "it has a password in it, which everyone on this machine can read; write that into a file of its own";

const HAS_QUERY: &str = "it has a ? or # in it, which means nothing here";

/// Whether a scheme is that of sentinels, and if so, whether these and the store speak TLS.
fn of_sentinels(scheme: &str) -> Option<bool> {
    let schemes = [("redis", false), ("valkey", false), ("rediss", true), ("valkeys", true)];
    let (store, kind) = scheme.split_once('+')?;
    let (_, is_tls) = schemes.iter().find(|(name, _)| store.eq_ignore_ascii_case(name))?;
    kind.eq_ignore_ascii_case("sentinel").then_some(*is_tls)
}

/// Reads `USER@HOST:PORT,HOST:PORT/NAME/DATABASE`, of which a user, ports and a database need not be there.
fn parse_sentinels(text: &str, is_tls: bool) -> Result<(Option<String>, At, i64), &'static str> {
    if text.contains(['?', '#']) {
        return Err(HAS_QUERY);
    }
    let (name, rest) = text.rsplit_once('@').unwrap_or(("", text));
    if name.contains(':') {
        return Err(HAS_PASSWORD);
    }
    let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (primary, number) = path.split_once('/').unwrap_or((path, ""));
    // What a sentinel's configuration takes for a name.
    let is_name = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    if primary.is_empty() || !primary.chars().all(is_name) {
        return Err("the name that the sentinels have for the primary is missing");
    }
    let sentinel = |text: &str| match AuthorityParts::numbered(text) {
        Ok((parts, port)) => {
            Ok(HostPort { host: parts.bare_host().to_owned(), port: port.unwrap_or(SENTINEL_PORT) })
        }
        Err(_) => Err("one of its sentinels is not a host with or without a port"),
    };
    let sentinels = hosts.split(',').map(sentinel).collect::<Result<_, _>>()?;
    let at = At::Sentinels { sentinels, name: primary.to_owned(), is_tls };
    Ok((user(name)?, at, database(number)?))
}

fn database(number: &str) -> Result<i64, &'static str> {
    match number {
        "" => Ok(0),
        number => {
            let number = number.parse::<u16>();
            Ok(i64::from(number.map_err(|_| "the number of its database is not from 0 to 65535")?))
        }
    }
}

fn user(name: &str) -> Result<Option<String>, &'static str> {
    let name = percent_decode_str(name).decode_utf8();
    let name = name.map_err(|_| "the user's name is not UTF-8 text")?.into_owned();
    Ok(Some(name).filter(|name| !name.is_empty()))
}

impl fmt::Display for RedisSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.at.is_tls() { "rediss" } else { "redis" };
        let encoded = |user| format!("{}@", utf8_percent_encode(user, NON_ALPHANUMERIC));
        let user = self.user.as_deref().map_or_else(String::new, encoded);
        match &self.at {
            At::Unix(path) => write!(f, "unix:{}", path.display()),
            At::Sentinels { sentinels, name, .. } => {
                let sentinels: Vec<String> = sentinels.iter().map(HostPort::to_string).collect();
                write!(f, "{scheme}+sentinel://{user}{}/{name}/{}", sentinels.join(","), self.database)
            }
            At::Tcp { host, port, .. } => match host.contains(':') {
                true => write!(f, "{scheme}://{user}[{host}]:{port}/{}", self.database),
                false => write!(f, "{scheme}://{user}{host}:{port}/{}", self.database),
            },
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
            ("redis+sentinel://a,b:1,[::1]:2/news", "redis+sentinel://a:26379,b:1,[::1]:2/news/0"),
            ("VALKEYS+Sentinel://me@a/my-news/3", "rediss+sentinel://me@a:26379/my-news/3"),
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
            ("redis+sentinel://a,b", "the name that the sentinels have"),
            ("redis+sentinel://a/", "the name that the sentinels have"),
            ("redis+sentinel://a/ne ws", "the name that the sentinels have"),
            ("redis+sentinel://a,/news", "one of its sentinels"),
            ("redis+sentinel:///news", "one of its sentinels"),
            ("redis+sentinel://a:x/news", "one of its sentinels"),
            ("redis+sentinel://a/news/x", "the number of its database"),
            ("redis+cluster://a/news", "not the address of a store"),
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
            ("redis+sentinel://u:secret@a/news", "has a password in it"),
            ("redis+sentinel://a/news?password=secret", "means nothing here"),
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
