//! Puts the limits that were set by hand and saved over those of a configuration.

use std::path::{Path, PathBuf};

use super::document::Config;
use crate::keys::{Absent, ConfigError, Keys};
use crate::live_limits::{ClientLimit, Given, LimitSources, Name, Part, Setting};
use crate::overlay::{self, Overlay};
use crate::saved_file::Saved;
use crate::words::shorten;

/// The overlay of a configuration: its file, what is in it, and what it was put over.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OverlaySource {
    /// The configuration.
    pub(super) configuration: Option<String>,
    /// The file, which need not be there; `None` if there is no configuration for it to go over.
    file: Option<PathBuf>,
    /// What it says of limits that are there.
    saved: Overlay,
    /// What the configuration says of those, in their order; of a client's own limit what it says of each.
    before: Vec<Setting>,
    /// The sources of all limits of the configuration.
    sources: LimitSources,
}

/// What an overlay makes of a limit, for people.
pub struct Overlaid {
    /// The limit, such as `route /logs/`.
    pub limit: String,
    /// What the configuration says.
    pub before: String,
    /// What holds.
    pub after: String,
    /// The first line of it in the overlay.
    pub line: usize,
}

opaque!(Overlaid);

impl OverlaySource {
    /// The file, which need not be there; `None` if there is no configuration for it to go over.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// What it makes of each limit, in the order of the file.
    pub fn changes(&self) -> Vec<Overlaid> {
        let saved = self.saved.entries.iter().zip(&self.before);
        let change = |(saved, before): (&overlay::SavedLimit, &Setting)| Overlaid {
            limit: saved.name.words(),
            before: before.to_string(),
            after: saved.change.over(before.clone()).to_string(),
            line: saved.line,
        };
        saved.map(change).collect()
    }
}

impl Config {
    /// Reads the key `overlay`. Without it the overlay stands beside the configuration at `path`.
    pub(super) fn read_overlay(keys: &Keys<'_>, path: Option<&Path>) -> OverlaySource {
        let named: Option<PathBuf> = keys.parse("overlay");
        let file = match named {
            Some(named) if named.as_os_str().is_empty() => {
                keys.fault("overlay", "it is empty; name a file, or leave it out");
                None
            }
            Some(named) => Some(keys.made_file("overlay", &named)),
            None => path.and_then(overlay::beside),
        };
        let configuration = path.map(|path| path.display().to_string());
        OverlaySource { file, configuration, ..OverlaySource::default() }
    }

    /// Reads the overlay, if it is there, and puts its limits over these. What it says of routes and classes that are not there is
    /// left out, with a warning.
    pub(super) fn overlaid(mut self, absent: Absent) -> Result<Self, ConfigError> {
        self.overlay.sources.clone_from(&self.limit_sources);
        let Some(file) = self.overlay.file.clone().filter(|_| absent != Absent::Unchecked) else {
            return Ok(self);
        };
        let saved =
            Saved::open(&file, &overlay::REMEDIES).map_err(|error| ConfigError::new(error.to_string()))?;
        let overlay = Overlay::parse(saved.text(), &file.display().to_string())?;
        // Clients' own limits go over that of each, wherever it stands.
        let (own, others): (Vec<_>, Vec<_>) =
            overlay.entries.into_iter().partition(|saved| saved.name.of_each().is_some());
        for saved in others.into_iter().chain(own) {
            let each = saved.name.of_each();
            let under = each.as_ref().unwrap_or(&saved.name);
            let Some(before) = self.limit(under) else {
                self.warnings.push(not_there(&saved, &file));
                continue;
            };
            match &saved.name {
                Name::Own(client) | Name::UploadOwn(client) => {
                    let of_uploads = matches!(saved.name, Name::UploadOwn(_));
                    let own =
                        ClientLimit { client: client.clone(), of_uploads, change: saved.change.clone() };
                    self.server.limits.own.push(own);
                }
                name => self.set_limit(name, &saved.change.over(before.clone())),
            }
            // What is saved goes before what the file says, its schedule too.
            let shared = saved.name.shared();
            for schedule in self.schedules.iter_mut().filter(|known| Some(&known.limit) == shared.as_ref()) {
                schedule.is_by_hand = true;
            }
            // Of a client's own limit, what it says alone: the rest is that of each, also when that changes.
            let mut sources = self.limit_sources.of(&saved.name.to_string());
            sources.overlaid(&saved.sources);
            self.limit_sources.0.insert(saved.name.to_string(), sources);
            self.overlay.before.push(before);
            self.overlay.saved.entries.push(saved);
        }
        Ok(self)
    }

    /// What this configuration says of limits, without its overlay.
    pub(super) fn given_limits(&self) -> Given {
        let mut without = self.clone();
        for (saved, before) in self.overlay.saved.entries.iter().zip(&self.overlay.before) {
            without.set_limit(&saved.name, before);
        }
        let limit = |name: Name| Some((name.to_string(), (name.clone(), without.limit(&name)?)));
        Given {
            limits: self.limit_names().into_iter().filter_map(limit).collect(),
            sources: self.overlay.sources.clone(),
            file: self.overlay.configuration.clone(),
            overlay: self.overlay.file.clone(),
        }
    }
}

fn not_there(saved: &overlay::SavedLimit, file: &Path) -> String {
    let (what, name, part) = match &saved.name {
        Name::Class(name, part) => ("[[class]]", name, part),
        Name::Route(name, part) => ("[[route]]", name, part),
        _ => ("limit", &String::new(), &Part::Total),
    };
    let words = saved.name.words();
    format!(
        "{}:{}: there is no {what} {:?} whose {} limit could be set; it is ignored. Take it out with `sluicegate limits reset \
         {words} --save`, or leave it for when the {what} is back",
        file.display(),
        saved.line,
        shorten(name),
        part.word()
    )
}
