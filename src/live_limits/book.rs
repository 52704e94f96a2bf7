//! Where the limits in force come from, and what the configuration says of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::change::Setting;
use super::name::Name;
use super::source::{LimitSource, LimitSources, Sources};
use crate::http::server::Handle;
use crate::sync::Mutex;

/// What a configuration says of all limits but those of single clients, without its overlay.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    /// By the addresses of the limits.
    pub(crate) limits: BTreeMap<String, (Name, Setting)>,
    pub(crate) sources: LimitSources,
    /// The configuration, for messages.
    pub(crate) file: Option<String>,
    /// The overlay, which need not be there; `None` if there is no configuration for it to go over.
    pub(crate) overlay: Option<PathBuf>,
}

/// The sources of a server's limits. Clones are of the same server; kept with it as an extension.
#[derive(Clone, Default)]
pub(crate) struct LimitBook(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Locked while the overlay is written, and while the configuration is read and applied. Before all locks of the server.
    saving: Mutex<()>,
    /// Whether nothing is saved, since a new program reads the overlay. Locked behind `saving`, while the overlay is written.
    is_paused: Mutex<bool>,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    given: Given,
    /// Of the limits in force.
    sources: LimitSources,
}

impl LimitBook {
    /// The book of `server`; `None` if it was not made from a configuration.
    pub(crate) fn of(server: &Handle) -> Option<Self> {
        server.extension()
    }

    /// Puts what a configuration says, and where the limits in force come from, in the place of everything.
    pub(crate) fn replace(&self, given: Given, sources: LimitSources) {
        *self.0.book.lock() = Book { given, sources };
    }

    /// Runs `reload` while neither another reload nor a save does. It may block.
    pub(crate) fn reloading<T>(&self, reload: impl FnOnce() -> T) -> T {
        let _saving = self.0.saving.lock();
        reload()
    }

    /// Runs `save`, which is given the paths of the overlay and of the configuration, while neither another save nor a reload does. It
    /// may block. `None`: saves are [paused](Handle::pause_saves).
    pub(crate) fn saving<T>(&self, save: impl FnOnce(Option<&Path>, &str) -> T) -> Option<T> {
        let _saving = self.0.saving.lock();
        let is_paused = self.0.is_paused.lock();
        if *is_paused {
            return None;
        }
        let (overlay, file) = {
            let book = self.0.book.lock();
            (book.given.overlay.clone(), book.given.file.clone().unwrap_or_default())
        };
        Some(save(overlay.as_deref(), &file))
    }

    /// Where the values of a limit come from. What a client has not of its own is that of each.
    pub(crate) fn sources(&self, name: &Name) -> Sources {
        self.0.book.lock().sources.of_name(name)
    }

    /// What the configuration says of a limit; `None` if it is not there, or of a single client.
    pub(crate) fn given(&self, name: &Name) -> Option<Setting> {
        self.0.book.lock().given.limits.get(&name.to_string()).map(|(_, setting)| setting.clone())
    }

    /// Which of the values of a limit were set by hand: rate, burst, weight and report_only.
    pub(crate) fn by_hand(&self, name: &Name) -> [bool; 4] {
        let mut sources = self.0.book.lock().sources.of(&name.to_string());
        sources.values().map(|source| matches!(source, LimitSource::Api | LimitSource::Overlay(_)))
    }

    /// The limits that have values other than those of the configuration, single clients left out.
    pub(crate) fn set_by_hand(&self) -> Vec<Name> {
        let book = self.0.book.lock();
        let is_other = |(address, _): &(&String, &(Name, Setting))| {
            book.sources.of(address) != book.given.sources.of(address)
        };
        book.given.limits.iter().filter(is_other).map(|(_, (name, _))| name.clone()).collect()
    }

    /// Notes that the values of a limit that are `set` come from `source`.
    pub(crate) fn note(&self, name: &Name, source: &LimitSource, set: [bool; 4]) {
        let mut book = self.0.book.lock();
        let mut sources = book.sources.of(&name.to_string());
        for (value, _) in sources.values().into_iter().zip(set).filter(|(_, is_set)| *is_set) {
            value.clone_from(source);
        }
        book.sources.0.insert(name.to_string(), sources);
    }

    /// Notes that a limit stays what the time of its schedule that `holds` made of it.
    pub(crate) fn note_time(&self, name: &Name, holds: Option<usize>) {
        if holds.is_none() {
            return;
        }
        let mut book = self.0.book.lock();
        let mut sources = book.sources.of(&name.to_string());
        sources.follow(holds);
        book.sources.0.insert(name.to_string(), sources);
    }

    /// Notes that a limit is what the configuration says again. A limit of one client is gone.
    pub(crate) fn forget(&self, name: &Name) {
        let mut book = self.0.book.lock();
        let address = name.to_string();
        match book.given.sources.0.get(&address).cloned() {
            Some(sources) => book.sources.0.insert(address, sources),
            None => book.sources.0.remove(&address),
        };
    }

    /// Notes the lines of `saved` of the limits whose values come from the overlay, and of the values of `name` that are `set` now.
    pub(crate) fn renumber<'a>(
        &self,
        saved: impl IntoIterator<Item = (&'a Name, &'a Sources)>,
        now: Option<(&Name, [bool; 4])>,
    ) {
        let mut book = self.0.book.lock();
        for (name, lines) in saved {
            let is_now = now.is_some_and(|(changed, _)| changed == name);
            if name.of_each().is_some() && !is_now && !book.sources.0.contains_key(&name.to_string()) {
                // Written into the file since it was read.
                continue;
            }
            let mut sources = book.sources.of(&name.to_string());
            let set = now.filter(|(changed, _)| *changed == name).map_or([false; 4], |(_, set)| set);
            let lines = [&lines.rate, &lines.burst, &lines.weight, &lines.report_only];
            for ((value, line), is_set) in sources.values().into_iter().zip(lines).zip(set) {
                let is_old = matches!((&*value, line), (LimitSource::Overlay(_), LimitSource::Overlay(_)));
                if is_set || is_old {
                    value.clone_from(line);
                }
            }
            if sources != book.sources.of(&name.to_string()) {
                book.sources.0.insert(name.to_string(), sources);
            }
        }
    }
}

impl LimitSources {
    /// Where the values of a limit come from. What a client has not of its own is that of each.
    fn of_name(&self, name: &Name) -> Sources {
        let own = self.of(&name.to_string());
        let Some(each) = name.of_each() else { return own };
        let mut sources = self.of(&each.to_string());
        sources.overlaid(&own);
        sources
    }
}

impl Sources {
    /// The sources of rate, burst, weight and report_only.
    fn values(&mut self) -> [&mut LimitSource; 4] {
        [&mut self.rate, &mut self.burst, &mut self.weight, &mut self.report_only]
    }

    /// Puts what the time of the schedule that `holds` says in the place of these.
    pub(crate) fn follow(&mut self, holds: Option<usize>) {
        let Some(time) = holds.and_then(|nth| self.schedule.get(nth)).cloned() else { return };
        for (value, source) in self.values().into_iter().zip(time) {
            if let LimitSource::File(line) = source {
                *value = LimitSource::Schedule(line);
            }
        }
    }

    /// Puts what `over` says in the place of what these say.
    pub(crate) fn overlaid(&mut self, over: &Self) {
        let over = [&over.rate, &over.burst, &over.weight, &over.report_only];
        for (value, over) in self.values().into_iter().zip(over) {
            if *over != LimitSource::Default {
                value.clone_from(over);
            }
        }
    }
}

impl Handle {
    /// Has no limit be saved over the admin API until what this returns is dropped, beginning when a save that is under way is done.
    /// Blocks.
    ///
    /// For a program that takes over: it reads what is saved when it starts, and would not have what is saved later.
    pub fn pause_saves(&self) -> SavesPaused {
        let book = LimitBook::of(self);
        if let Some(book) = &book {
            *book.0.is_paused.lock() = true;
        }
        SavesPaused(book)
    }
}

/// While it lives, no limit is saved; see [`Handle::pause_saves`].
#[must_use]
pub struct SavesPaused(Option<LimitBook>);

opaque!(SavesPaused);

impl SavesPaused {
    /// Leaves saving to the program that has taken over.
    pub fn for_good(mut self) {
        self.0 = None;
    }
}

impl Drop for SavesPaused {
    fn drop(&mut self) {
        if let Some(book) = &self.0 {
            *book.0.is_paused.lock() = false;
        }
    }
}
