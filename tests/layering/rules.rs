//! The rules: a table of what must not be found where.

use crate::breaches::{any_path, any_word, imports_but};
use crate::places::{CORE, PURE};
use crate::scan::Source;

/// What a source breaks a rule with, if it does.
pub type Check = fn(&Source) -> Option<String>;

pub struct Rule {
    pub name: &'static str,
    pub check: Check,
    /// A file and a text in it that break the rule.
    pub broken_by: &'static [(&'static str, &'static str)],
    /// And ones that only look like it.
    pub kept_by: &'static [(&'static str, &'static str)],
}

pub const RULES: &[Rule] = &[
    Rule {
        name: "a module of the core imports only what CORE lists for it",
        check: |source| CORE.iter().find_map(|(place, allowed)| imports_but(source, place, allowed)),
        broken_by: &[
            ("brigade/mod.rs", "use crate::clock::Instant;"),
            ("brigade/bucket.rs", "use super::super::limit::Rate;"),
            ("brigade/bucket.rs", "fn f() -> crate::limit::Rate {}"),
            ("limit/tree.rs", "use crate::{clock::{Clock, Instant}, limit::Rate};"),
            ("limit/mod.rs", "use super::brigade::Brigade;"),
            ("limit/mod.rs", "use crate::clock::*;"),
            ("filter/rate.rs", "use crate::{brigade::Brigade, clock::Sleep};"),
            ("budget/node.rs", "use crate::brigade::Brigade;"),
            ("throttle/pace.rs", "use crate::filter::Chain;"),
            ("generator/mod.rs", "use crate::limit::Rate;"),
            ("body/mod.rs", "use crate::throttle::Meter;"),
        ],
        kept_by: &[
            ("brigade/bucket.rs", "use super::Brigade; use std::fmt; pub(super) fn f() {}"),
            (
                "brigade/mod.rs",
                "//! See [`crate::filter`].\n#[cfg(test)] mod tests { use crate::clock::Instant; }",
            ),
            ("limit/tree.rs", "use crate::clock::Instant; use super::{Rate, live::Limit};"),
            ("filter/gzip/mod.rs", "use super::Verdict; use http::request; use crate::clock::Instant as I;"),
            ("body/mod.rs", "use crate::{budget::Gate, clock::Sleep, filter::Chain};"),
        ],
    },
    Rule {
        name: "address imports excerpt only",
        check: |source| imports_but(source, "address/", &[&["address"], &["excerpt"]]),
        broken_by: &[("address/network.rs", "use crate::config::Config;")],
        kept_by: &[("address/url.rs", "use super::AuthorityParts; use crate::excerpt::excerpt;")],
    },
    Rule {
        name: "keys imports address, duration, excerpt, limit, named_file and words only",
        check: |source| {
            let below = "keys address duration excerpt limit named_file words".split(' ');
            let below: Vec<_> = below.collect();
            let below: Vec<_> = below.iter().map(std::slice::from_ref).collect();
            imports_but(source, "keys/", &below)
        },
        broken_by: &[("keys/read.rs", "use crate::sink::SinkSettings;")],
        kept_by: &[("keys/read.rs", "use super::draft::Node; use crate::limit::Rate;")],
    },
    Rule {
        name: "raw TCP knows no HTTP",
        check: |source| {
            source.is_in("tcp/").then(|| {
                let above = ["crate::http", "crate::admin", "crate::telemetry", "crate::config"];
                any_path(source, &above)
            })?
        },
        broken_by: &[
            ("tcp/mod.rs", "use crate::http::peer::PeerAddr;"),
            ("tcp/relay.rs", "fn f() { crate::telemetry::Telemetry::new() }"),
        ],
        kept_by: &[("tcp/relay.rs", "use super::Record; use crate::{body::PacedBody, sink::Sink};")],
    },
    Rule {
        name: "http names no feature above it",
        check: |source| {
            let above = ["crate::admin", "crate::events", "crate::probe", "crate::quota", "crate::tracing"];
            source.is_in("http/").then(|| any_path(source, &above))?
        },
        broken_by: &[
            ("http/route.rs", "use crate::events::Events;"),
            ("http/server/mod.rs", "fn f(tracer: &crate::tracing::Tracer) {}"),
        ],
        kept_by: &[("http/route.rs", "use super::source::Source; use crate::budget::Clients;")],
    },
    Rule {
        name: "telemetry imports clock::Instant only",
        check: |source| imports_but(source, "telemetry/", &[&["telemetry"], &["clock", "Instant"]]),
        broken_by: &[("telemetry/recent.rs", "use crate::clock::Clock;")],
        kept_by: &[("telemetry/recent.rs", "use crate::clock::Instant;")],
    },
    Rule {
        name: "only the admin API and its live view, its client in cli, the streams of events, what both share, the log and the schema speak JSON",
        check: |source| {
            let speaks = [
                "admin/api/",
                "admin/live/",
                "cli/",
                "config/reference/",
                "events/",
                "http/api/",
                "logging/",
            ]
            .iter()
            .any(|room| source.is_in(room));
            (!speaks).then(|| any_word(source, &["serde_json"]))?
        },
        broken_by: &[("admin/answer.rs", "fn f(v: serde_json::Value) {}")],
        kept_by: &[
            ("admin/api/change.rs", "use serde_json::Value;"),
            ("cli/table.rs", "serde_json::json!();"),
        ],
    },
    Rule {
        name: "quota/book imports clock::Instant, limits and ids only",
        check: |source| {
            let allowed: [&[&str]; 5] = [
                &["quota", "book"],
                &["quota", "id"],
                &["quota", "limit"],
                &["clock", "Instant"],
                &["excerpt"],
            ];
            imports_but(source, "quota/book/", &allowed)
        },
        broken_by: &[
            ("quota/book/mod.rs", "use crate::clock::Clock;"),
            ("quota/book/resource.rs", "use crate::quota::wire;"),
            ("quota/book/mod.rs", "use super::server::QuotaServer;"),
        ],
        kept_by: &[("quota/book/grants.rs", "use super::fair::Demand; use crate::quota::id::Id;")],
    },
    Rule {
        name: "http1 imports nothing of the crate",
        check: |source| imports_but(source, "http1/", &[&["http1"]]),
        broken_by: &[
            ("http1/framing.rs", "use crate::rt::Socket;"),
            ("http1/response.rs", "use crate::http::MAX_HEAD;"),
        ],
        kept_by: &[("http1/response.rs", "use super::framing::Framing; use http::Method;")],
    },
    Rule {
        name: "probe imports address, limit, http1 and excerpt, and only its run the clock, rt and tls",
        check: |source| {
            let asking: &[&[&str]] = &[&["probe"], &["clock"], &["limit"], &["rt"], &["tls"]];
            let pure: &[&[&str]] = &[&["probe"], &["address"], &["limit"], &["http1"], &["excerpt"]];
            imports_but(source, "probe/", if source.is_in("probe/run/") { asking } else { pure })
        },
        broken_by: &[
            ("probe/chunks.rs", "use crate::clock::Instant;"),
            ("probe/plot/mod.rs", "fn f() { crate::rt::clock() }"),
            ("probe/run/mod.rs", "use crate::http::server::Server;"),
        ],
        kept_by: &[
            ("probe/report.rs", "use super::target::Target; use crate::limit::Rate;"),
            ("probe/run/connection.rs", "use crate::{clock::Sleep, rt, tls::Stream};"),
        ],
    },
    Rule {
        name: "tls imports clock, keys, named_file, rt, sync and words only",
        check: |source| {
            let below = ["tls", "clock", "keys", "named_file", "rt", "sync", "words"];
            let below: Vec<_> = below.iter().map(std::slice::from_ref).collect();
            imports_but(source, "tls/", &below)
        },
        broken_by: &[("tls/mod.rs", "use crate::quota::Id;")],
        kept_by: &[("tls/stream.rs", "use crate::rt::Socket;")],
    },
    Rule {
        name: "the PROXY protocol imports clock, rt and words only",
        check: |source| {
            let below: [&[&str]; 4] = [&["proxy_protocol"], &["clock"], &["rt"], &["words"]];
            imports_but(source, "proxy_protocol/", &below)
        },
        broken_by: &[("proxy_protocol/receive.rs", "use crate::http::peer::TrustedPeers;")],
        kept_by: &[("proxy_protocol/receive.rs", "use crate::{clock::Clock, rt::Socket};")],
    },
    Rule {
        name: "only the quota's server, client and commands know gRPC",
        check: |source| {
            (!source.is_in("quota/server/") && !source.is_in("quota/client/") && !source.is_in("cli/quota/"))
                .then(|| {
                    let wire = source.is_in("quota/wire.rs");
                    (!wire).then(|| any_word(source, &["tonic", "prost", "prost_types"]))?
                })?
        },
        broken_by: &[
            ("http/mod.rs", "use tonic::Status;"),
            ("quota/book/mod.rs", "use prost_types::Duration;"),
        ],
        kept_by: &[
            ("quota/server/status.rs", "use tonic::Status;"),
            ("quota/wire.rs", "tonic::include_proto!(\"x\");"),
        ],
    },
    Rule {
        name: "tracing imports address, clock, excerpt, keys and rt only",
        check: |source| {
            let allowed: [&[&str]; 6] =
                [&["tracing"], &["address"], &["clock"], &["excerpt"], &["keys"], &["rt"]];
            imports_but(source, "tracing/", &allowed)
        },
        broken_by: &[("tracing/record.rs", "use crate::events::TraceParent;")],
        kept_by: &[("tracing/post.rs", "use crate::{clock::Clock, rt};")],
    },
    Rule {
        name: "only the exporter of spans and its client know OpenTelemetry",
        check: |source| {
            let known = ["tracing/otlp.rs", "tracing/post.rs"].iter().any(|file| source.is_in(file));
            let found = |token: &&String| token.starts_with("opentelemetry");
            (!known).then(|| source.tokens.iter().find(found).cloned())?
        },
        broken_by: &[
            ("tracing/mod.rs", "use opentelemetry_sdk::trace::SpanData;"),
            ("events/hub.rs", "fn f(span: opentelemetry::trace::SpanId) {}"),
        ],
        kept_by: &[("tracing/otlp.rs", "use opentelemetry::KeyValue;")],
    },
    Rule {
        name: "the streams of events know nothing of HTTP but in their own part of it",
        check: |source| {
            let below =
                "brigade budget clock events generator keys limit rt shared_store shown_address telemetry tracing words"
                    .split(' ');
            let below: Vec<_> = below.collect();
            let below: Vec<_> = below.iter().map(std::slice::from_ref).collect();
            let allowed = [&below[..], &[&["sink", "SinkState"]]].concat();
            (!source.is_in("events/http/")).then(|| imports_but(source, "events/", &allowed))?
        },
        broken_by: &[
            ("events/hub.rs", "use crate::http::content::Content;"),
            ("events/stream/mod.rs", "use crate::sink::Sink;"),
        ],
        kept_by: &[
            ("events/http/mod.rs", "use crate::http::content::Content;"),
            ("events/source.rs", "use crate::{generator::Generator, sink::SinkState};"),
        ],
    },
    Rule {
        name: "pure rooms have no runtime, no socket, no clock and nothing async",
        check: |source| {
            let probe = source.is_in("probe/") && !source.is_in("probe/run/");
            let pure = probe || PURE.iter().any(|place| source.is_in(place));
            pure.then(|| {
                any_word(
                    source,
                    &["await", "async", "Context", "async_std", "async_io", "hyper", "hyper_util"],
                )
                .or_else(|| any_path(source, &["std::time::Instant", "std::time::SystemTime", "std::net"]))
                .or_else(|| any_path(source, &["std::os::unix::net", "std::thread", "futures_lite"]))
            })?
        },
        broken_by: &[
            ("brigade/mod.rs", "fn f() { g().await }"),
            ("limit/tree.rs", "use std::task::{Context, Poll};"),
            ("filter/rate.rs", "use std::{fmt, time::{Duration, Instant}};"),
            ("filter/rate.rs", "fn f(t: std::time::SystemTime) {}"),
            ("filter/rate.rs", "use std::net::TcpStream;"),
            ("filter/rate.rs", "fn f() { std::thread::sleep(d) }"),
            ("events/encoding.rs", "use hyper::body::Frame;"),
            ("quota/book/mod.rs", "use async_std::task;"),
            ("quota/client/share.rs", "async fn f() {}"),
            ("probe/report.rs", "use std::task::Context;"),
        ],
        kept_by: &[
            (
                "limit/mod.rs",
                "// never .await, no Context\nconst S: &str = \"hyper\"; use std::time::Duration;",
            ),
            ("events/hub.rs", "use std::task::Context;"),
        ],
    },
    Rule {
        name: "only rt/ names the runtime",
        check: |source| {
            let runtime =
                ["async_std", "async_io", "async_signal", "async_executor", "async_global_executor", "smol"];
            (!source.is_in("rt/")).then(|| any_word(source, &runtime))?
        },
        broken_by: &[
            ("http/server/mod.rs", "use async_std::net::TcpListener;"),
            ("sink.rs", "fn f(s: async_io::Async<TcpStream>) {}"),
            ("main.rs", "use async_signal::Signals;"),
        ],
        kept_by: &[
            ("rt/mod.rs", "use async_std::task;"),
            ("sink.rs", "/* on async_io */ const A: u8 = b'\"';"),
        ],
    },
    Rule {
        name: "only main.rs starts femme",
        check: |source| (!source.is_in("main.rs")).then(|| any_word(source, &["femme"]))?,
        broken_by: &[("cli/mod.rs", "femme::start();")],
        kept_by: &[("main.rs", "femme::start();")],
    },
    Rule {
        name: "only the overlay names toml_edit",
        check: |source| (!source.is_in("overlay/")).then(|| any_word(source, &["toml_edit"]))?,
        broken_by: &[("config/loader.rs", "use toml_edit::DocumentMut;")],
        kept_by: &[
            ("overlay/edit.rs", "use toml_edit::DocumentMut;"),
            ("keys/toml_file.rs", "use toml::Spanned;"),
        ],
    },
    Rule {
        name: "only shared_store names redis",
        check: |source| (!source.is_in("shared_store/")).then(|| any_path(source, &["redis"]))?,
        broken_by: &[("quota/server/shared_limits.rs", "use redis::Script;")],
        kept_by: &[
            ("shared_store/link.rs", "use redis::aio::MultiplexedConnection;"),
            ("quota/server/mod.rs", "#[cfg(feature = \"redis\")] mod leading;"),
        ],
    },
    Rule {
        name: "only the store of event streams in a file names redb",
        check: |source| (!source.is_in("events/store/file/")).then(|| any_path(source, &["redb"]))?,
        broken_by: &[
            ("events/hub.rs", "use redb::Database;"),
            ("events/store/mod.rs", "use redb::Database;"),
        ],
        kept_by: &[("events/store/file/disk.rs", "use redb::Database;")],
    },
    Rule {
        name: "config is the roof: only cli/ and main.rs import it",
        check: |source| {
            let above = ["config/", "cli/", "main.rs"].iter().any(|place| source.is_in(place));
            (!above).then(|| any_path(source, &["crate::config"]))?
        },
        broken_by: &[
            ("sink/mod.rs", "pub use crate::config::SinkSettings;"),
            ("http/proxy/mod.rs", "fn f(config: &crate::config::Config) {}"),
        ],
        kept_by: &[
            ("config/tcp.rs", "use super::limits::RouteLimits;"),
            ("admin/api/mod.rs", "#[cfg(test)]\nmod tests { use crate::config::Loader; }"),
        ],
    },
    Rule {
        name: "only cli/ and main.rs know argh",
        check: |source| {
            (!source.is_in("cli/") && !source.is_in("main.rs"))
                .then(|| any_word(source, &["argh", "FromArgs"]))?
        },
        broken_by: &[("config/mod.rs", "#[derive(argh::FromArgs)] struct A;")],
        kept_by: &[
            ("cli/args.rs", "use argh::FromArgs;"),
            ("config/mod.rs", "/// As argh has it.\nstruct A;"),
        ],
    },
    Rule {
        name: "only schedule/ knows jiff",
        check: |source| (!source.is_in("schedule/")).then(|| any_word(source, &["jiff"]))?,
        broken_by: &[("http/route/when.rs", "use jiff::Timestamp;")],
        kept_by: &[("schedule/zone.rs", "use jiff::tz::TimeZone;")],
    },
    Rule {
        name: "no module is called util, common or helpers",
        check: |source| {
            let vague = ["util", "utils", "common", "helper", "helpers", "misc"];
            source.module().into_iter().find(|name| vague.contains(&name.as_str()))
        },
        broken_by: &[("http/util.rs", ""), ("common/mod.rs", "")],
        kept_by: &[("http/mod.rs", "use hyper_util::rt;")],
    },
    Rule {
        name: "no file has more than 400 lines",
        check: |source| (source.lines > 400).then(|| format!("{} lines", source.lines)),
        broken_by: &[],
        kept_by: &[],
    },
];
