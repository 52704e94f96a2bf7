//! The configuration: one TOML file, read, checked, and in the form the server takes.
//!
//! ```toml
//! listen = "127.0.0.1:8080"
//!
//! [[route]]
//! path  = "/"
//! files = "site"
//! rate  = 60
//! ```
//!
//! What was written is kept apart from what it means: a [`Config`] holds addresses, rates and durations, never
//! texts that could still be wrong. Programs without a file build one from its parts.
//!
//! Settings live in the modules they set (`sink`, `events`, `http::proxy`, …) and are re-exported here. This
//! module is the roof: it may import every other one, and only the command line imports it.

mod admin;
mod assembly;
mod error;
mod events;
mod filters;
mod limits;
mod on_disk;
mod places;
mod proxy;
mod quota;
mod raw;
mod recover;
mod reload;
mod resolve;
mod route;
mod sink;
mod tcp;
mod tracing;
pub mod words;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use log::LevelFilter;

use crate::address::{ListenAddr, Network};
use crate::named_file;

pub use crate::admin::AdminSource;
pub use crate::events::{EventFault, EventRate, EventSettings, EventUnit, Suspend};
pub use crate::http::files::{FilesSource, FollowLinks};
pub use crate::http::proxy::ProxySource;
pub use crate::http::server::HalfClose;
pub use crate::http::{KeySource, SharedLimits};
pub use crate::quota::QuotaSource;
pub use crate::sink::{OnFull, SinkSettings};
pub use crate::tracing::TracingSettings;
pub use assembly::{AssemblyError, FilterKinds};
pub use error::ConfigError;
pub use filters::{FilterKind, GzipSettings, ReplaceSettings};
pub use limits::{RouteLimits, budget_of};
pub use on_disk::{Absent, check_folder};
pub use reload::Reloaded;
pub use route::{Pace, Route, RouteDraft, RouteFault, RouteFilter, RoutePath, Source};
pub use sink::{SinkDraft, SinkFault, size_up_to};
pub use tcp::{Tcp, TcpSource};

/// The longest configuration file that is read: 1 MiB. A longer one is something else by mistake.
pub const MAX_FILE: u64 = 1 << 20;

/// What a server does.
///
/// ```
/// use sluicegate::config::{Config, FilesSource, RouteDraft, Source};
/// use sluicegate::limit::Rate;
///
/// let files = Source::Files(FilesSource::new("src"));
/// let draft = RouteDraft { rate: Rate::or_unlimited(61_440), ..RouteDraft::new(files) };
/// let route = draft.finish(&Default::default()).map_err(|faults| faults[0].text.clone())?;
/// let config = Config { routes: vec![route], ..Config::default() };
/// assert_eq!(config.listen[0].to_string(), "127.0.0.1:8080");
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where HTTP connections are taken. Default: port 8080 on 127.0.0.1, so that nothing is public unasked;
    /// nowhere, if a file has ports of raw TCP and no route.
    pub listen: Vec<ListenAddr>,
    /// The least severe messages that are logged. Default: info.
    pub log_level: LevelFilter,
    /// Whether each response gets a line in the log. Default: no.
    pub access_log: bool,
    /// How long responses under way may go on when the server is told to stop. Default 30 s.
    pub drain: Duration,
    /// Connections served at a time; those above get 503. Default 10 000.
    pub max_connections: usize,
    /// Connections of one client address (of IPv6, one /64) at a time; those above get 429. A trusted proxy's
    /// count for the clients it asks for, while a request of theirs is under way there. Default: no bound
    /// but `max_connections`.
    pub client_connections: Option<usize>,
    /// The longest time a request's head may take to arrive. Default 30 s.
    pub header_timeout: Duration,
    /// How long a connection may stay without a request. Default 60 s.
    pub idle_timeout: Duration,
    /// What is done for a client of HTTP/1 that closes its half while its answer is under way. Default: it is
    /// served.
    pub half_close: HalfClose,
    /// Peers whose `Forwarded` and `X-Forwarded-*` fields are believed. Default: nobody.
    pub trusted_proxies: Vec<Network>,
    /// What all responses share, and those of each client.
    pub limits: SharedLimits,
    /// What a connection may hold, how fast it may write, and when its reader is given up.
    pub sink: SinkSettings,
    /// Bytes held for the slow readers of all connections above which new requests get 503. Default, and
    /// `None`: a quarter of the memory there is.
    pub egress_total: Option<u64>,
    /// The listener for metrics and health. Default: none.
    pub admin: Option<AdminSource>,
    /// The fleet's limit that the whole server has its share of, beside its own. Default: none.
    pub quota: Option<QuotaSource>,
    /// The export of spans of traced events. Default: none.
    pub tracing: Option<TracingSettings>,
    /// What is served, in the order of the file. The longest path that matches a request wins.
    pub routes: Vec<Route>,
    /// Ports of raw TCP.
    pub tcp: Vec<Tcp>,
    /// What is probably a mistake, but does no harm; one line each, to be shown to the user.
    pub warnings: Vec<String>,
}

impl Default for Config {
    /// Serves nothing yet, at 127.0.0.1:8080.
    fn default() -> Self {
        Self {
            listen: vec![ListenAddr::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)))],
            log_level: LevelFilter::Info,
            access_log: false,
            drain: Duration::from_secs(30),
            max_connections: 10_000,
            client_connections: None,
            header_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            half_close: HalfClose::default(),
            trusted_proxies: Vec::new(),
            limits: SharedLimits::default(),
            sink: SinkSettings::default(),
            egress_total: None,
            admin: None,
            quota: None,
            tracing: None,
            routes: Vec::new(),
            tcp: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

impl Config {
    /// Reads a configuration file. Relative paths in it start from the folder it is in.
    ///
    /// # Errors
    /// The file cannot be read, or something in it is wrong.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        Loader::new().load(path)
    }
}

/// Reads configuration files, also for programs that bring filters of their own.
///
/// ```
/// use sluicegate::config::{FilterKind, Loader};
///
/// let text = r#"
///     [filter.loud]
///     kind = "shout"
///     marks = 3
///
///     [[route]]
///     path = "/"
///     files = "src"
///     filters = ["loud"]
/// "#;
/// let config = Loader::new().filter_kind("shout").parse(text, "example.toml", ".")?;
/// let FilterKind::Custom { kind, options } = &config.routes[0].filters[0].kind else { panic!() };
/// assert_eq!((kind.as_str(), options["marks"].as_integer()), ("shout", Some(3)));
/// # Ok::<(), sluicegate::config::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Loader {
    custom_kinds: BTreeSet<String>,
    absent: Absent,
}

impl Loader {
    /// A loader that knows the kinds of filter that come with the crate.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, knowing also filters of the kind `name`: as `kind` of a table, and without a table.
    #[must_use]
    pub fn filter_kind(mut self, name: impl Into<String>) -> Self {
        self.custom_kinds.insert(name.into());
        self
    }

    /// The same, for which files and folders that are named and not there are what `absent` says.
    #[must_use]
    pub fn absent(mut self, absent: Absent) -> Self {
        self.absent = absent;
        self
    }

    /// Reads the file at `path`. Relative paths in it start from the folder it is in.
    ///
    /// # Errors
    /// The file cannot be read, is longer than [`MAX_FILE`], is not UTF-8, or something in it is wrong.
    pub fn load(&self, path: impl AsRef<Path>) -> Result<Config, ConfigError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let bytes = named_file::read(path, MAX_FILE).map_err(|error| {
            ConfigError::new(match error.kind() {
                ErrorKind::FileTooLarge => {
                    format!("{name}: is longer than 1 MiB; this is not a configuration file")
                }
                _ => format!("{name}: cannot be read: {error}"),
            })
        })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|b| *b == b'\n').count();
            ConfigError::new(format!("{name}:{line}: is not UTF-8 text; save it as UTF-8"))
        })?;
        self.parse(&text, &name, path.parent().unwrap_or(Path::new("")))
    }

    /// Reads `text` as the file `name`, whose relative paths start from `base`.
    ///
    /// # Errors
    /// Something in it is wrong.
    pub fn parse(&self, text: &str, name: &str, base: impl AsRef<Path>) -> Result<Config, ConfigError> {
        resolve::parse(text, name, base.as_ref(), &self.custom_kinds, self.absent)
    }
}
