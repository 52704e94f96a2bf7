//! What locations of patterns answer and do not close: files of their server's folder, without a list if they say so.

use super::{Import, Scope};
use crate::import::closed::covers;
use crate::import::pattern::{self, Place};
use crate::import::site::{Route, Source, below};
use crate::import::syntax::Directive;

/// A location of a pattern that closes nothing.
pub(super) struct Pattern {
    location: Directive,
    place: Place,
    root: Option<String>,
}

impl Pattern {
    /// Whether requests for what the route answers may come to the location there.
    fn is_before(&self, route: &Route) -> bool {
        match &self.place {
            Place::Path(path) | Place::Prefix(path) => covers(&route.path, path) || covers(path, &route.path),
            Place::Anywhere => !route.is_before_patterns,
        }
    }

    /// Whether the route answers with the files that the location there has.
    fn is_like(&self, route: &Route) -> bool {
        match (&route.source, &self.root) {
            (Source::Redirect(_) | Source::Refuse(_), _) => true,
            (Source::Files(folder), Some(root)) => {
                folder.trim_end_matches('/') == below(root, &route.path).trim_end_matches('/')
            }
            _ => false,
        }
    }
}

/// The place of a location that is no prefix.
pub(super) fn place(location: &Directive) -> Place {
    let (kind, path) = (location.arg(0), location.args.last().map_or("", String::as_str));
    if kind.starts_with("~*") {
        return Place::Anywhere;
    }
    // The sign may stand right before its pattern.
    match kind.starts_with('~') {
        true => pattern::of_regex(if location.args.len() > 1 { path } else { path.trim_start_matches('~') }),
        false => Place::Path(path.trim_start_matches(['=', '^', '~']).to_owned()),
    }
}

fn unlists(location: &Directive) -> bool {
    location.inner().iter().any(|inner| {
        let is_other = inner.name == "autoindex" && inner.arg(0) != "on" || inner.name == "index";
        is_other || inner.name == "location" && unlists(inner)
    })
}

impl Import<'_> {
    pub(super) fn keep_pattern(&mut self, location: &Directive, scope: &Scope) {
        let place = place(location);
        self.patterns.push(Pattern { location: location.clone(), place, root: scope.root.clone() });
    }

    /// Tells where routes of a server answer something else than its patterns do there, and takes their lists off.
    pub(super) fn apply_patterns(&mut self, scope: &Scope) {
        for pattern in std::mem::take(&mut self.patterns) {
            let is_hit = |route: &&mut Route| route.server == scope.server && pattern.is_before(route);
            let (mut others, mut is_unlisted) = (Vec::new(), false);
            for route in self.site.routes.iter_mut().filter(is_hit) {
                if !pattern.is_like(route) {
                    others.push(route.path.clone());
                }
                is_unlisted |= unlists(&pattern.location) && route.settings.unlist();
            }
            if !others.is_empty() {
                let what = format!(
                    "warning: what it is for is answered by {} here, there with files of {}",
                    others.join(", "),
                    pattern.root.as_deref().unwrap_or("nginx's own folder")
                );
                self.notes.differs(&pattern.location, &what);
            }
            if is_unlisted {
                self.notes.differs(
                    &pattern.location,
                    "folders around it are without a list here, since it has none",
                );
            }
        }
    }
}
