//! Other people's programs against this one, on loopback: nginx, HAProxy, curl, wget, aria2, Python, uvicorn, grpcio, wrk,
//! Chromium, openssl, testssl.sh, slowhttptest, Redis.
//!
//! `cargo test --features peers --test peers`. Which Debian packages that needs stands in `.ci/run`,
//! which installs them. Every server has a free port and a folder of its own, is waited for, and is
//! killed when its test ends.

mod access_log;
mod admin_promtool;
mod admin_schemathesis;
mod aria2;
mod backend;
mod backends;
mod beside;
mod browser;
mod bystanders;
mod chaos;
mod client_certificates;
mod clients;
mod completions;
mod curl;
mod cycles;
mod deployment;
mod events;
mod events_chaos;
mod events_redis;
mod haproxy;
mod import;
mod import_sites;
mod load;
mod nginx;
mod pace;
mod page;
mod paused_clients;
mod probe;
mod program;
mod proxied;
mod proxy_protocol;
mod quota;
mod quota_egress;
mod quota_leaders;
mod quota_store;
mod redis;
mod relay;
mod slow_clients;
mod sluicegate;
mod smooth;
mod streams;
mod terminal;
mod tls;
mod top;
