//! The file as it is written: keys and values, each good in itself.
//!
//! What they mean together is decided in `resolve.rs`. Tables `[filter.NAME]` are read in `filters.rs`.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use log::LevelFilter;
use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, SeqAccess, Visitor};
use toml::Spanned;

use super::events::RawEvents;
use super::limits::{RawBudget, RawClient, RawRouteLimits};
use super::tcp::RawTcp;
use super::{RoutePath, words};
use crate::address::{ListenAddr, Network};
use crate::duration;
use crate::filter::EndOfStream;
use crate::http::files::FollowLinks;
use crate::http::server::HalfClose;
use crate::limit::{Burst, RateOrOff, Size};
use crate::sink::OnFull;

/// The keys of the top level. TOML takes one that follows a `[table]` as the table's: a common slip.
pub(super) const TOP_LEVEL: [&str; 19] = [
    "listen",
    "log_level",
    "access_log",
    "drain",
    "max_connections",
    "client_connections",
    "header_timeout",
    "idle_timeout",
    "half_close",
    "trusted_proxies",
    "admin",
    "admin_token_file",
    "limits",
    "sink",
    "quota",
    "tracing",
    "filter",
    "route",
    "tcp",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    pub(super) listen: Option<Spanned<OneOrMany<ListenAddr>>>,
    pub(super) log_level: Option<LogLevel>,
    pub(super) access_log: Option<bool>,
    pub(super) drain: Option<Spanned<Timeout>>,
    pub(super) max_connections: Option<Spanned<i64>>,
    pub(super) client_connections: Option<Spanned<i64>>,
    pub(super) header_timeout: Option<Spanned<Timeout>>,
    pub(super) idle_timeout: Option<Spanned<Timeout>>,
    pub(super) half_close: Option<Parsed<HalfClose>>,
    pub(super) trusted_proxies: Option<OneOrMany<Network>>,
    pub(super) admin: Option<Spanned<Parsed<ListenAddr>>>,
    pub(super) admin_token_file: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) limits: RawLimits,
    #[serde(default)]
    pub(super) sink: RawSink,
    pub(super) quota: Option<super::quota::RawQuota>,
    pub(super) tracing: Option<Spanned<super::tracing::RawTracing>>,
    #[serde(rename = "filter")]
    _filter: Option<IgnoredAny>,
    #[serde(default)]
    pub(super) route: Vec<Spanned<RawRoute>>,
    #[serde(default)]
    pub(super) tcp: Vec<Spanned<RawTcp>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct RawLimits {
    #[serde(default)]
    pub(super) server: RawBudget,
    #[serde(default)]
    pub(super) client: RawClient,
    #[serde(default)]
    pub(super) connection: RawLimit,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { rate = \"1m\", burst = \"64k\" }")]
pub(super) struct RawLimit {
    pub(super) rate: Option<RateOrOff>,
    pub(super) burst: Option<Spanned<Burst>>,
    #[serde(default)]
    pub(super) report_only: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct RawSink {
    pub(super) buffer: Option<Spanned<Size>>,
    pub(super) total: Option<Spanned<Size>>,
    pub(super) on_full: Option<Spanned<Parsed<OnFull>>>,
    pub(super) stall_timeout: Option<Spanned<Timeout>>,
    pub(super) min_drain_rate: Option<RateOrOff>,
    pub(super) unsent: Option<Spanned<Size>>,
    pub(super) send_buffer: Option<Spanned<Size>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRoute {
    pub(super) path: Spanned<Parsed<RoutePath>>,
    pub(super) files: Option<Spanned<String>>,
    pub(super) proxy: Option<Spanned<String>>,
    pub(super) events: Option<Spanned<RawEvents>>,
    pub(super) rate: Option<Spanned<RateOrOff>>,
    pub(super) burst: Option<Spanned<Burst>>,
    pub(super) end_of_stream: Option<Spanned<EndOfStreamWord>>,
    pub(super) filters: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    pub(super) limits: RawRouteLimits,
    // For `files`.
    pub(super) index: Option<Spanned<String>>,
    pub(super) list: Option<Spanned<bool>>,
    pub(super) dot_files: Option<Spanned<bool>>,
    pub(super) follow_links: Option<Spanned<Parsed<FollowLinks>>>,
    pub(super) types: Option<Spanned<BTreeMap<String, Spanned<String>>>>,
    // For `proxy`.
    pub(super) host: Option<Spanned<String>>,
    pub(super) connect_timeout: Option<Spanned<Timeout>>,
    pub(super) response_timeout: Option<Spanned<Timeout>>,
    pub(super) read_timeout: Option<Spanned<Timeout>>,
    pub(super) idle_connections: Option<Spanned<i64>>,
    pub(super) idle_connection_timeout: Option<Spanned<Timeout>>,
    pub(super) honour_accel: Option<Spanned<bool>>,
    pub(super) map_location: Option<Spanned<bool>>,
    pub(super) via: Option<Spanned<bool>>,
    pub(super) max_response_head: Option<Spanned<Size>>,
    pub(super) max_response_fields: Option<Spanned<i64>>,
    pub(super) tunnel_timeout: Option<Spanned<Timeout>>,
}

impl RawRoute {
    /// The keys given that mean something only for another kind of source, with that and their places.
    pub(super) fn misplaced(&self, source: &str) -> Vec<(&'static str, &'static str, Range<usize>)> {
        fn place<T>(value: &Option<Spanned<T>>) -> Option<Range<usize>> {
            value.as_ref().map(Spanned::span)
        }
        let proxys = || {
            vec![
                ("host", place(&self.host)),
                ("connect_timeout", place(&self.connect_timeout)),
                ("response_timeout", place(&self.response_timeout)),
                ("read_timeout", place(&self.read_timeout)),
                ("idle_connections", place(&self.idle_connections)),
                ("idle_connection_timeout", place(&self.idle_connection_timeout)),
                ("honour_accel", place(&self.honour_accel)),
                ("map_location", place(&self.map_location)),
                ("via", place(&self.via)),
                ("max_response_head", place(&self.max_response_head)),
                ("max_response_fields", place(&self.max_response_fields)),
                ("tunnel_timeout", place(&self.tunnel_timeout)),
            ]
        };
        let files = || {
            vec![
                ("index", place(&self.index)),
                ("list", place(&self.list)),
                ("dot_files", place(&self.dot_files)),
                ("follow_links", place(&self.follow_links)),
                ("types", place(&self.types)),
            ]
        };
        let kinds = [("files", files()), ("proxy", proxys())].into_iter().filter(|(kind, _)| *kind != source);
        let keys =
            kinds.flat_map(|(kind, keys)| keys.into_iter().map(move |(key, place)| (key, kind, place)));
        keys.filter_map(|(key, kind, place)| Some((key, kind, place?))).collect()
    }
}

/// A value written as a text, read by its `FromStr`.
pub(super) struct Parsed<T>(pub(super) T);

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text<T>(PhantomData<T>);

        // Parsed within the visitor, so that toml knows the place of what fails.
        impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Text<T> {
            type Value = Parsed<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Parsed<T>, E> {
                text.parse().map(Parsed).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text(PhantomData))
    }
}

/// A text, or a list of them, each with its place.
pub(super) struct OneOrMany<T>(pub(super) Vec<(Option<Range<usize>>, T)>);

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);

        impl<'de, T: FromStr<Err: fmt::Display>> Visitor<'de> for Either<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                text.parse().map(|value| OneOrMany(vec![(None, value)])).map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element::<Spanned<Parsed<T>>>()? {
                    values.push((Some(value.span()), value.into_inner().0));
                }
                Ok(OneOrMany(values))
            }
        }

        deserializer.deserialize_any(Either(PhantomData))
    }
}

/// A duration as [`duration::parse`] reads it.
#[derive(Clone, Copy)]
pub(super) struct Timeout(pub(super) Duration);

impl<'de> Deserialize<'de> for Timeout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Spelling;

        impl Visitor<'_> for Spelling {
            type Value = Timeout;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as \"30s\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Timeout, E> {
                duration::parse(text).map(Timeout).map_err(E::custom)
            }

            /// A number without a unit: the parser says what is missing.
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Timeout, E> {
                self.visit_str(&number.to_string())
            }
        }

        deserializer.deserialize_any(Spelling)
    }
}

/// A word that [`words::parse_log_level`] reads.
pub(super) struct LogLevel(pub(super) LevelFilter);

impl<'de> Deserialize<'de> for LogLevel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        words::parse_log_level(&word).map(Self).map_err(de::Error::custom)
    }
}

/// A word that [`words::parse_end_of_stream`] reads.
#[derive(Clone, Copy)]
pub(super) struct EndOfStreamWord(pub(super) EndOfStream);

impl<'de> Deserialize<'de> for EndOfStreamWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        words::parse_end_of_stream(&word).map(Self).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_top_level_keys_is_complete() {
        let error = toml::from_str::<RawConfig>("zzz = 1").err().unwrap();
        let known: Vec<&str> = error.message().split('`').skip(3).step_by(2).collect();
        assert_eq!(known, TOP_LEVEL);
    }
}
