//! Which of Apache's `ProxyPass`, `Redirect`, `Alias` and `DocumentRoot` answers a path.

use super::{Host, Import};
use crate::import::At;
use crate::import::closed::{Closed, covers};
use crate::import::known::Why;
use crate::import::pattern::Place;
use crate::import::site::{Source, below, with_slash};

/// What is at a path.
#[derive(Clone)]
pub(super) struct Mount {
    pub(super) path: String,
    /// `None` if nothing is passed on there, though it is around it.
    pub(super) source: Option<Source>,
    /// The status of a redirect.
    pub(super) status: Option<i64>,
    pub(super) at: At,
}

impl Mount {
    pub(super) fn new(path: &str, source: Source, at: &At) -> Self {
        Self { path: path.to_owned(), source: Some(source), status: None, at: at.clone() }
    }
}

/// A part of a site: what is at a path, and the path as its section has it.
pub(super) struct Part {
    pub(super) mount: Mount,
    pub(super) begin: String,
}

/// The first of `mounts` that is for `path`.
fn first<'m>(mounts: &'m [Mount], path: &str) -> Option<&'m Mount> {
    mounts.iter().find(|mount| covers(&mount.path, path))
}

impl Import<'_> {
    /// What is mounted in `host` or in `main`: of those that are for the same path, the first; backends go before the rest.
    pub(super) fn mounts(&mut self, host: &Host, main: &Host) -> Vec<Mount> {
        // The last section that is for a path counts, and those of the host come last.
        let inner = host.inner_proxies.iter().rev().chain(main.inner_proxies.iter().rev());
        let proxies: Vec<Mount> = inner.chain(&host.proxies).chain(&main.proxies).cloned().collect();
        let redirects: Vec<Mount> = host.redirects.iter().chain(&main.redirects).cloned().collect();
        let root = host.root.as_ref().or(main.root.as_ref());
        let files: Vec<Mount> = host.aliases.iter().chain(&main.aliases).chain(root).cloned().collect();
        let mut all = Vec::new();
        self.reached(&proxies, &mut all, &[]);
        self.reached(&redirects, &mut all, &[&proxies]);
        self.reached(&files, &mut all, &[&proxies, &redirects]);
        self.unproxied(&files, &mut all);
        all
    }

    /// Adds those of `mounts` that no earlier one, and none of `before`, stands for.
    fn reached(&mut self, mounts: &[Mount], all: &mut Vec<Mount>, before: &[&[Mount]]) {
        for (nth, mount) in mounts.iter().enumerate() {
            let earlier = first(&mounts[..nth], &mount.path);
            let above = before
                .iter()
                .filter_map(|mounts| first(mounts, &mount.path))
                .find(|mount| mount.source.is_some());
            match earlier.or(above) {
                Some(by) => {
                    let text = format!("{}: left out: {} at {} is for it", mount.path, by.path, by.at);
                    self.notes.add(&mount.at, text);
                }
                None => all.push(mount.clone()),
            }
        }
    }

    /// What is not passed on is the file that lies there, or nothing.
    fn unproxied(&mut self, files: &[Mount], all: &mut [Mount]) {
        for nth in (0..all.len()).filter(|nth| all[*nth].source.is_none()).collect::<Vec<_>>() {
            let path = with_slash(&all[nth].path);
            let is_mounted =
                all.iter().any(|mount| mount.source.is_some() && with_slash(&mount.path) == path);
            let around = files.iter().find(|mount| covers(&mount.path, &path));
            if let Some(Mount { path: begin, source: Some(Source::Files(folder)), .. }) =
                around.filter(|_| !is_mounted)
            {
                let rest = &path[with_slash(begin).len()..];
                let source = Source::Files(below(folder, rest));
                all[nth] = Mount { path, source: Some(source), ..all[nth].clone() };
            }
        }
    }

    /// Closes what is not passed on and no file.
    pub(super) fn close_unproxied(&mut self, mounts: &mut Vec<Mount>, server: usize) {
        mounts.retain(|mount| {
            if mount.source.is_none() {
                let place = Place::Path(mount.path.clone());
                let what = format!("proxypass {} !", mount.path);
                self.site.closed.push(Closed::new(server, place, Why::Unproxied, &mount.at, what));
            }
            mount.source.is_some()
        });
    }
}
