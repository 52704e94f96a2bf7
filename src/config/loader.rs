//! Reads configuration files.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use super::document::Config;
use crate::keys::{Absent, ConfigError, Draft};
use crate::named_file;

/// The largest configuration file that is read: 1 MiB. A larger one is another file by mistake.
pub const MAX_FILE: u64 = 1 << 20;

impl Config {
    /// Reads a configuration file. Relative paths in it start from the folder it is in.
    ///
    /// # Errors
    /// The file cannot be read, or something in it is wrong.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        Loader::new().load(path)
    }
}

/// Reads configurations, also for programs with filters of their own.
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
    /// Knows the kinds of filter that come with the crate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the kind of filter `name`, which can be the `kind` of a table and be used without a table.
    #[must_use]
    pub fn filter_kind(mut self, name: impl Into<String>) -> Self {
        self.custom_kinds.insert(name.into());
        self
    }

    /// Sets how named files and folders that do not exist are treated. Default [`Absent::Fault`].
    #[must_use]
    pub fn absent(mut self, absent: Absent) -> Self {
        self.absent = absent;
        self
    }

    /// Reads the file at `path`, and its overlay. Relative paths in it start from the folder it is in.
    ///
    /// # Errors
    /// Those of [`open`](Self::open), or something in it is wrong.
    pub fn load(&self, path: impl AsRef<Path>) -> Result<Config, ConfigError> {
        self.finish(Self::open(path)?)
    }

    /// Reads the file at `path` as a draft, to which flags can be added.
    ///
    /// # Errors
    /// The file cannot be read, is longer than [`MAX_FILE`], or is not UTF-8.
    pub fn open(path: impl AsRef<Path>) -> Result<Draft, ConfigError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let text = text(named_file::read(path, MAX_FILE), &name)?;
        let draft = Draft::from_toml(&text, &name, path.parent().unwrap_or(Path::new("")));
        Ok(draft.with_path(path))
    }

    /// Reads `source`, such as standard input, to its end as a draft that messages call `name`. Relative paths in it start
    /// from `base`. It has no overlay unless it names one.
    ///
    /// # Errors
    /// It cannot be read, is longer than [`MAX_FILE`], or is not UTF-8.
    pub fn read_from(source: impl Read, name: &str, base: impl AsRef<Path>) -> Result<Draft, ConfigError> {
        let text = text(named_file::read_at_most(source, MAX_FILE), name)?;
        Ok(Draft::from_toml(&text, name, base.as_ref()))
    }

    /// Reads `text` as the file `name`, whose relative paths start from `base`.
    ///
    /// # Errors
    /// Something in it is wrong.
    pub fn parse(&self, text: &str, name: &str, base: impl AsRef<Path>) -> Result<Config, ConfigError> {
        self.finish(Draft::from_toml(text, name, base.as_ref()))
    }

    /// Reads `draft`, and the overlay of limits that were saved by hand, if it is of a file that has one.
    ///
    /// # Errors
    /// Something in one of them is wrong. The error lists up to 50 faults: those of flags alone if there are any, and behind a
    /// place that is no TOML only what can be read.
    pub fn finish(&self, draft: Draft) -> Result<Config, ConfigError> {
        Config::read(&draft, &self.custom_kinds, self.absent)?.overlaid(self.absent)
    }
}

/// The text of the file `name`.
fn text(read: io::Result<Vec<u8>>, name: &str) -> Result<String, ConfigError> {
    let bytes = read.map_err(|error| {
        ConfigError::new(match error.kind() {
            ErrorKind::FileTooLarge => {
                format!("{name}: is longer than 1 MiB; this is not a configuration file")
            }
            _ => format!("{name}: cannot be read: {}", named_file::told(&error)),
        })
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|b| *b == b'\n').count();
        ConfigError::new(format!("{name}:{line}: is not UTF-8 text; save it as UTF-8"))
    })
}
