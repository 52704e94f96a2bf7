//! Configurations of nginx and Apache, read for what Sluicegate has too: listeners, hosts, folders, backends and paces.
//!
//! All else is left out, and said so by file and line. The files are read leniently: nothing that they hold is a reason to
//! stop but a fault of syntax. `syntax` reads both forms into the same directives, `nginx` and `apache` know what these
//! mean, `listening` at which addresses, `known` which of them matter; `site` is what comes out, with what `closed` must not
//! open, and what `faults` finds, refused, for the hosts and listeners that `servers` finds.

mod apache;
mod closed;
mod faults;
mod glob;
mod include;
mod known;
mod listening;
mod nginx;
mod pattern;
mod servers;
mod site;
mod syntax;
#[cfg(test)]
mod tests;

use std::fmt;
use std::rc::Rc;

use sluicegate::config::MAX_FILE;

pub use include::{Files, read_file, read_text};
use syntax::Directive;

/// Whose configuration it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Nginx,
    Apache,
}

/// What comes of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The configuration of Sluicegate.
    pub toml: String,
    /// A line for each directive that was left out or means something else: `FILE:LINE: what`.
    pub notes: Vec<String>,
}

/// Reads `text`, the file called `name`. What it includes comes from `files`.
///
/// # Errors
/// The text has a fault of syntax, or is too long; the error says where.
pub fn import(origin: Origin, name: &str, text: &str, files: &Files) -> Result<Imported, String> {
    let mut notes = Notes::default();
    let site = match origin {
        Origin::Nginx => nginx::site(&include::nginx(name, text, files, &mut notes)?, &mut notes),
        Origin::Apache => apache::site(&include::apache(name, text, files, &mut notes)?, &mut notes),
    };
    let toml = site.toml(name, origin == Origin::Apache, &mut notes);
    if toml.len() as u64 > MAX_FILE {
        return Err(format!(
            "{name}:1: what comes of it is longer than 1 MiB, which no configuration may be; import a part"
        ));
    }
    let mut lines: Vec<(At, String)> = notes.lines;
    lines.sort_by(|(one, _), (other, _)| one.cmp(other));
    let notes = lines.into_iter().map(|(at, text)| format!("{at}: {text}")).collect();
    Ok(Imported { toml, notes })
}

/// Where a directive stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct At {
    /// The number of the file, in the order in which they were read.
    order: usize,
    line: usize,
    file: Rc<str>,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// What is said of directives.
#[derive(Debug, Default)]
struct Notes {
    lines: Vec<(At, String)>,
}

impl Notes {
    /// Says that a directive was left out, with all in it.
    fn left_out(&mut self, directive: &Directive) {
        let with = if directive.block.is_some() { ", with all in it" } else { "" };
        self.add(&directive.at, format!("{directive}: left out{with}"));
    }

    /// Says that a directive was left out, and why.
    fn left_out_since(&mut self, directive: &Directive, why: &str) {
        self.add(&directive.at, format!("{directive}: left out: {why}"));
    }

    /// Says what else is to be known of a directive.
    fn differs(&mut self, directive: &Directive, what: &str) {
        self.add(&directive.at, format!("{directive}: {what}"));
    }

    /// Says that a relative `path` starts elsewhere here than from `there`.
    fn relative(&mut self, directive: &Directive, path: &str, there: &str) {
        if !path.starts_with('/') {
            let what = format!(
                "warning: it starts from the folder of this configuration here, from {there} there: write it in full"
            );
            self.differs(directive, &what);
        }
    }

    fn add(&mut self, at: &At, text: String) {
        self.lines.push((at.clone(), text));
    }
}
