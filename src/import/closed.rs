//! What an import must not open: paths that were closed, or answered from elsewhere. Routes refuse them.

use super::At;
use super::Notes;
use super::known::Why;
use super::pattern::Place;
use super::site::{Route, Site, Source, is_route_path};
use super::syntax::Directive;

/// The status of what was closed.
const FORBIDDEN: u16 = 403;

/// Something that must not be served.
#[derive(Clone, Debug)]
pub(super) struct Closed {
    pub(super) server: usize,
    pub(super) place: Place,
    pub(super) why: Why,
    /// Whether it goes before routes of longer paths too.
    pub(super) is_deep: bool,
    /// The location that the pattern stands in: its own routes are tried after the pattern.
    pub(super) within: Option<String>,
    /// If it is for names that begin with a dot only, which routes of files do not serve: whether `/.well-known` is among them.
    pub(super) hidden: Option<bool>,
    /// Of a pattern of folders: what is in the path of one that is closed as a whole.
    pub(super) in_folder: Option<String>,
    /// The backends that answer there, if that is all: routes that ask the same ones open nothing.
    pub(super) backends: Option<Vec<String>>,
    pub(super) at: At,
    pub(super) what: String,
}

impl Closed {
    /// What `from` closes at `place`.
    pub(super) fn by(from: &Directive, server: usize, place: Place, why: Why) -> Self {
        Self::new(server, place, why, &from.at, from.to_string())
    }

    /// What is closed at `place`, since `what` stands at `at`.
    pub(super) fn new(server: usize, place: Place, why: Why, at: &At, what: String) -> Self {
        let at = at.clone();
        Self {
            server,
            place,
            why,
            is_deep: false,
            within: None,
            hidden: None,
            in_folder: None,
            backends: None,
            at,
            what,
        }
    }

    fn told(&self) -> String {
        format!("{} there: {} at {}", self.why.told(), self.what, self.at)
    }

    /// Whether a route of `source` would open it.
    fn is_served_by(&self, source: &Source) -> bool {
        match (source, self.why) {
            (Source::Redirect(_) | Source::Refuse(_), _) => false,
            (Source::Files(_), Why::Unproxied) => false,
            (Source::Files(folder), _) => {
                self.hidden.is_none() || self.in_folder.as_deref().is_some_and(|part| folder.contains(part))
            }
            // A backend has no files of which it would send the text.
            (Source::Proxy(_), Why::Script) => false,
            (Source::Proxy(urls), _) if self.backends.as_ref() == Some(urls) => false,
            (Source::Proxy(_), _) => true,
        }
    }
}

/// Whether requests for `path` can come to the route of `begin`.
pub(super) fn covers(begin: &str, path: &str) -> bool {
    let begin = begin.trim_end_matches('/');
    path.strip_prefix(begin).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Site {
    /// Has routes refuse what is closed.
    pub(super) fn close(&mut self, notes: &mut Notes) {
        let count = self.servers.len();
        // What stands outside of servers where it means nothing there is of none.
        for closed in std::mem::take(&mut self.closed).into_iter().filter(|closed| closed.server < count) {
            match &closed.place {
                Place::Path(path) if is_route_path(path) => {
                    let of_page = self.folder_of_page(path, &closed);
                    self.refuse(path, &closed);
                    if let Some(folder) = of_page {
                        let text = format!("warning: {folder} is refused here too: {path} is its page");
                        notes.add(&closed.at, text);
                        self.refuse(&folder, &closed);
                    }
                }
                Place::Path(path) | Place::Prefix(path) => {
                    let is_hit = |route: &Route| {
                        covers(&route.path, path) || route.path.starts_with(path.as_str()) && closed.is_deep
                    };
                    self.shut(&closed, notes, is_hit);
                }
                Place::Anywhere => {
                    let within = closed.within.as_deref();
                    self.shut(&closed, notes, |route| match within {
                        Some(within) => covers(within, &route.path),
                        None => closed.is_deep || !route.is_before_patterns,
                    });
                    self.hide_well_known(&closed);
                }
            }
        }
    }

    /// The folder that is answered with the file of `path`, if a route of files would open it so.
    fn folder_of_page(&self, path: &str, closed: &Closed) -> Option<String> {
        let (folder, name) = path.split_at(path.rfind('/')? + 1);
        let around = self.routes.iter().filter(|route| {
            route.server == closed.server && folder.starts_with(&super::site::with_slash(&route.path))
        });
        let route = around.max_by_key(|route| route.path.len())?;
        let is_file = matches!(route.source, Source::Files(_)) && closed.is_served_by(&route.source);
        let page = route.settings.get("index").and_then(toml::Value::as_str).unwrap_or("index.html");
        (is_file && page == name).then(|| folder.to_owned())
    }

    /// Has a route of its own refuse `path`.
    fn refuse(&mut self, path: &str, closed: &Closed) {
        let is_own = |route: &&mut Route| {
            route.server == closed.server
                && (route.path == path || closed.is_deep && covers(path, &route.path))
        };
        let mut is_there = false;
        for route in self.routes.iter_mut().filter(is_own) {
            is_there |= route.path == path;
            // What is not passed on is served as the file that it is.
            if closed.why != Why::Unproxied || matches!(route.source, Source::Proxy(_)) {
                route.refuse(closed.told());
            }
        }
        let slashed = super::site::with_slash(path);
        is_there |= closed.why == Why::Unproxied && self.has_route(closed.server, &slashed);
        if !is_there {
            let mut route = Route::new(path, Source::Refuse(FORBIDDEN), closed.server, &closed.at);
            route.refuse(closed.told());
            self.routes.push(route);
        }
    }

    pub(super) fn has_route(&self, server: usize, path: &str) -> bool {
        self.routes.iter().any(|route| route.server == server && route.path == path)
    }

    /// Has the routes that `is_hit` and that would serve what is closed refuse all.
    fn shut(&mut self, closed: &Closed, notes: &mut Notes, is_hit: impl Fn(&Route) -> bool) {
        for route in &mut self.routes {
            if route.server == closed.server && closed.is_served_by(&route.source) && is_hit(route) {
                let text = format!(
                    "warning: {} is refused here, since it would open what is {}",
                    route.path,
                    closed.told()
                );
                notes.add(&route.at, text);
                route.refuse(closed.told());
            }
        }
    }

    /// Routes of files serve one folder whose name begins with a dot, which a pattern of such names closes too.
    fn hide_well_known(&mut self, closed: &Closed) {
        if closed.hidden != Some(true) {
            return;
        }
        let files = self.routes.iter().filter(|route| {
            route.server == closed.server
                && !route.is_before_patterns
                && matches!(route.source, Source::Files(_))
        });
        let paths: Vec<String> = files.map(|route| format!("{}.well-known", route.path)).collect();
        for path in paths.iter().filter(|path| is_route_path(path)) {
            self.refuse(path, closed);
        }
    }
}

impl Route {
    /// Has it refuse all, since something is `told`.
    pub(super) fn refuse(&mut self, told: String) {
        self.source = Source::Refuse(FORBIDDEN);
        self.settings = Default::default();
        self.rules.clear();
        self.why = Some(told);
    }
}
