//! Where the access log goes, and its form.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::keys::Keys;
use crate::words::shorten;

/// Where the access log goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AccessTo {
    /// Nowhere. The default.
    #[default]
    Off,
    /// Standard error, beside the log.
    Stderr,
    /// A file.
    File(PathBuf),
}

impl AccessTo {
    /// The path of the file.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Off | Self::Stderr => None,
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "stderr" => Ok(Self::Stderr),
            "" | "true" | "false" | "on" | "yes" | "no" | "stdout" => {
                let path = if text.is_empty() { "access.log" } else { text };
                Err(format!(
                    "{text:?} is not off, stderr or a file; a file of that name is written \"./{path}\""
                ))
            }
            path if path.contains('\0') => Err(format!("{:?} is no path: it has a NUL in it", shorten(path))),
            path => Ok(Self::File(path.into())),
        }
    }
}

impl fmt::Display for AccessTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Stderr => f.write_str("stderr"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// The form of the access log's lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessFormat {
    /// A JSON object on each line; on standard error text, where the log is text. The default.
    #[default]
    Json,
    /// The combined format of Apache and nginx.
    Combined,
}

spelt!(
    AccessFormat,
    "an access log format",
    [("json", AccessFormat::Json), ("combined", AccessFormat::Combined)]
);

/// Settings of the access log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessLogSettings {
    /// Where it goes.
    pub to: AccessTo,
    /// Its form.
    pub format: AccessFormat,
}

impl AccessLogSettings {
    /// Reads the keys of the top level.
    pub(crate) fn read(keys: &Keys<'_>) -> Self {
        let to = keys.parse_like("access_log", "\"off\", \"stderr\" or a file's path", AccessTo::parse);
        let to = match to.unwrap_or_default() {
            AccessTo::File(path) => AccessTo::File(keys.made_file("access_log", &path)),
            other => other,
        };
        Self { to, format: keys.parse("access_log_format").unwrap_or_default() }
    }
}
