//! Where the value of a limit comes from.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileLine {
    /// The file's name, as it was given.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: usize,
}

/// What set a value of a limit last.
///
/// Lists, the API and logs call it by its [`word`](Self::word).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitSource {
    /// Nothing: it is the default.
    #[default]
    Default,
    /// The configuration.
    File(FileLine),
    /// A flag of the command, by its name.
    Flag(Arc<str>),
    /// The overlay: it was set by hand and saved.
    Overlay(FileLine),
    /// The admin API, until the next reload.
    Api,
    /// A time of its schedule, which is now, by its place in the configuration.
    Schedule(FileLine),
}

impl LimitSource {
    /// Its name in lists, the API and logs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File(_) => "file",
            Self::Flag(_) => "flag",
            Self::Overlay(_) => "overlay",
            Self::Api => "api",
            Self::Schedule(_) => "schedule",
        }
    }

    /// The line that says it, if a file does.
    pub fn line(&self) -> Option<&FileLine> {
        match self {
            Self::File(line) | Self::Overlay(line) | Self::Schedule(line) => Some(line),
            Self::Default | Self::Flag(_) | Self::Api => None,
        }
    }

    /// The name of the flag that says it, if one does.
    pub fn flag(&self) -> Option<&str> {
        if let Self::Flag(flag) = self { Some(flag) } else { None }
    }
}

/// `sluicegate.toml:12`, `--client-rate`, or its name.
impl fmt::Display for LimitSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line(), self.flag()) {
            (Some(FileLine { file, line }), _) => write!(f, "{file}:{line}"),
            (_, Some(flag)) => f.write_str(flag),
            _ => f.write_str(self.word()),
        }
    }
}

/// Where each value of one limit comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// Its rate, or its rates.
    pub rate: LimitSource,
    /// Its burst.
    pub burst: LimitSource,
    /// Its weight, where it has one.
    pub weight: LimitSource,
    /// Whether it only reports.
    pub report_only: LimitSource,
    /// Of a route's responses or uploads: its rules, in order.
    pub rules: Vec<LimitSource>,
    /// Of a shared limit: what the times of its schedule say of rate, burst, weight and report_only, in order.
    pub schedule: Vec<[LimitSource; 4]>,
}

/// Where the values of limits come from, by the addresses of the limits. One that is not there has nothing but defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitSources(pub(crate) BTreeMap<String, Sources>);

impl LimitSources {
    /// The sources of the limit at this address, such as `/v1/limits/server`.
    pub fn of(&self, address: &str) -> Sources {
        self.0.get(address).cloned().unwrap_or_default()
    }
}
