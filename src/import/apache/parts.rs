//! The parts of a host of Apache: what is mounted, and the sections within that have settings.

use std::collections::BTreeSet;
use std::path::Path;

use super::mounts::{Mount, Part};
use super::{Host, Import, Scope, Section, disk};
use crate::import::closed::{Closed, covers};
use crate::import::known::Why;
use crate::import::pattern::Place;
use crate::import::site::{Route, Source, below, with_slash};

impl Import<'_> {
    /// What is mounted in `host` or `main`, and the sections within that have settings, with their paths, each path once.
    fn parts(&mut self, host: &Host, main: &Host, mounts: &[Mount]) -> Vec<Part> {
        let sections = |sections: fn(&Host) -> &Vec<Section>| sections(main).iter().chain(sections(host));
        let part = |mount: &Mount| Part { mount: mount.clone(), begin: mount.path.clone() };
        let mut parts: Vec<Part> = mounts.iter().map(part).collect();
        // A section within what a mount serves is a route of its own.
        for section in sections(|host| &host.locations).filter(|section| !section.scope.is_empty()) {
            let path = with_slash(&section.begin);
            let around = mounts.iter().filter(|mount| path.starts_with(&with_slash(&mount.path)));
            match around.max_by_key(|mount| mount.path.len()) {
                Some(mount) => {
                    let rest = &path[with_slash(&mount.path).len()..];
                    let source = mount.source.as_ref().map(|source| source.within(rest));
                    let mount = Mount { path, source, status: mount.status, at: section.at.clone() };
                    parts.push(Part { mount, begin: section.begin.clone() });
                }
                None => self
                    .notes
                    .add(&section.at, format!("<location {}>: left out: nothing is there", section.begin)),
            }
        }
        for section in sections(|host| &host.folders).filter(|section| !section.scope.is_empty()) {
            for mount in mounts {
                let Some(Source::Files(folder)) = &mount.source else { continue };
                if let Some(rest) = with_slash(&section.begin).strip_prefix(&with_slash(folder)) {
                    let path = format!("{}{rest}", with_slash(&mount.path));
                    let mount = Mount::new(&path, Source::Files(below(folder, rest)), &section.at);
                    // A longer mount is not in that folder.
                    let is_mounted = mounts.iter().any(|mount| {
                        covers(&mount.path, &path)
                            && mount.path.len() > 1
                            && !covers(&path, &mount.path)
                            && !path.starts_with(&with_slash(&mount.path))
                    });
                    if !is_mounted {
                        parts.push(Part { mount, begin: path.trim_end_matches('/').to_owned() });
                    }
                }
            }
        }
        let mut paths = BTreeSet::new();
        parts.retain(|part| paths.insert(with_slash(&part.mount.path)));
        parts
    }

    /// Makes the routes of `host`, in the place of whose own settings are those of `main`.
    pub(super) fn routes(&mut self, host: &Host, main: &Host) {
        let server = self.site.servers.len() - 1;
        let closed = main.closed.iter().chain(&host.closed).cloned();
        self.site.closed.extend(closed.map(|closed| Closed { server, ..closed }));
        let mut mounts = self.mounts(host, main);
        self.close_unproxied(&mut mounts, server);
        for part in self.parts(host, main, &mounts) {
            let Part { mount: Mount { path, source, status, at }, begin } = part;
            let Some(source) = source else { continue };
            let scope = scope(host, main, &path, &source);
            // Redirects go before access.
            if matches!(source, Source::Redirect(_)) {
                let mut route = Route::new(&path, source, server, &at);
                route.settings.set("redirect_status", status.unwrap_or(302));
                self.site.routes.push(route);
                continue;
            }
            if let Some((why, what)) = self.closes(&scope, &source) {
                self.notes.add(&at, format!("{path}: warning: refused here: {what}"));
                let begin = if begin.is_empty() { "/".to_owned() } else { begin };
                let what = "its section".to_owned();
                self.site.closed.push(Closed::new(server, Place::Path(begin), why, &at, what));
                continue;
            }
            let mut route = Route::new(&path, source, server, &at);
            route.settings = scope.paced();
            let unlists = main.unlists.first().or(host.unlists.first());
            if let Some(by) = unlists.filter(|_| route.settings.unlist()) {
                self.notes
                    .add(by, format!("{path} is without lists here, since not all of its folders have one"));
            }
            self.site.routes.push(route);
        }
    }

    /// Why a part must not be served, if it must not.
    fn closes(&self, scope: &Scope, source: &Source) -> Option<(Why, String)> {
        if let Some(why) = scope.why() {
            let what = match why {
                Why::Unknown => "a directive there may close it, whose meaning is not known",
                _ => "access rules and programs are not taken over",
            };
            return Some((why, what.to_owned()));
        }
        let Source::Files(folder) = source else { return None };
        if self.is_part && scope.is_closed.is_none() {
            let what = "whether it is open is said in the main file: import that, or have a <Directory> with Require all granted";
            return Some((Why::Access, what.to_owned()));
        }
        if self.is_part && scope.has_program {
            return Some((Why::Script, "its page is a program, whose text would be sent".to_owned()));
        }
        let has_rules = scope.has_rules == Some(true);
        if !has_rules && !self.is_part {
            return None;
        }
        let found = disk::look(Path::new(folder), has_rules, self.is_part);
        found.err().map(|what| (if has_rules { Why::Access } else { Why::Script }, what))
    }
}

/// What holds for `path` of `host`, where `source` is.
fn scope(host: &Host, main: &Host, path: &str, source: &Source) -> Scope {
    let sections = |sections: fn(&Host) -> &Vec<Section>| sections(main).iter().chain(sections(host));
    let mut scope = main.scope.with(&host.scope);
    if let Source::Files(folder) = source {
        let holds = |section: &&Section| with_slash(folder).starts_with(&with_slash(&section.begin));
        let mut above: Vec<_> = sections(|host| &host.folders).filter(holds).collect();
        above.sort_by_key(|section| with_slash(&section.begin).len());
        scope = above.iter().fold(scope, |scope, section| scope.with(&section.scope));
    }
    for section in sections(|host| &host.locations) {
        if with_slash(path).starts_with(&with_slash(&section.begin)) {
            scope = scope.with(&section.scope);
        }
    }
    scope
}

impl Source {
    /// What is at `rest` below it. A URL without a path is sent the whole path in any case.
    fn within(&self, rest: &str) -> Self {
        let url = |url: &String| {
            let has_path = url.split_once("://").is_some_and(|(_, after)| after.contains('/'));
            if has_path { format!("{}{rest}", with_slash(url)) } else { url.clone() }
        };
        match self {
            Self::Files(folder) => Self::Files(below(folder, rest)),
            Self::Proxy(urls) => Self::Proxy(urls.iter().map(url).collect()),
            // Its URL has a path, or is one.
            Self::Redirect(to) => Self::Redirect(format!("{}{rest}", with_slash(to))),
            Self::Refuse(status) => Self::Refuse(*status),
        }
    }
}
