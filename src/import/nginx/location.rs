//! What a location of nginx, or a `return`, comes to.

use super::values::{
    can_redirect, closes, extensions, has_pace, leads_to_https, only_backend, redirect_target,
};
use super::{Import, Scope, patterns};
use crate::import::closed::Closed;
use crate::import::known::Why;
use crate::import::pattern::{self, Place};
use crate::import::servers::is_host;
use crate::import::site::{Route, Source, below, with_slash};
use crate::import::syntax::Directive;

impl Import<'_> {
    pub(super) fn location(&mut self, location: &Directive, mut scope: Scope) {
        let path = match &location.args[..] {
            [path] if path.starts_with('/') => path.clone(),
            [kind, path] if kind == "^~" && path.starts_with('/') => path.clone(),
            _ => return self.pattern(location, scope),
        };
        // One around it that is not for itself has patterns come before all in it.
        scope.is_before_patterns =
            location.args.len() > 1 && (scope.within.is_none() || scope.is_before_patterns);
        scope.within = Some(path.clone());
        let found = self.contents(location, &mut scope);
        let redirect = location.inner().iter().find(|directive| directive.name == "return");
        let is_whole = path.ends_with('/');
        match (redirect, found, &scope.root) {
            (Some(directive), ..) if path == "/" && leads_to_https(directive) => {}
            (Some(directive), ..) if scope.why().is_none() && self.redirect(directive, &path, &scope) => {}
            (Some(directive), ..) => {
                let why = if directive.arg(0).starts_with('4') { Why::Access } else { Why::Script };
                self.close(
                    location,
                    place(&path, why, location),
                    why.min(scope.why().unwrap_or(why)),
                    &scope,
                );
            }
            _ if scope.why().is_some() => {
                let why = scope.why().unwrap_or(Why::Access);
                self.close(location, place(&path, why, location), why, &scope);
            }
            (None, Some(source), _) => {
                let path = if matches!(source, Source::Files(_)) { with_slash(&path) } else { path.clone() };
                self.route(location, &path, source, &scope);
            }
            (None, None, _) if scope.alias.is_some() => {
                let (begin, folder) = scope.alias.clone().unwrap_or_default();
                let rest = path.strip_prefix(&begin).unwrap_or_default();
                self.route(location, &with_slash(&path), Source::Files(format!("{folder}{rest}")), &scope);
            }
            (None, None, Some(root)) => {
                let folder = below(root, &path);
                self.route(location, &with_slash(&path), Source::Files(folder), &scope);
            }
            _ => {
                self.notes.left_out_since(location, "it has no root, alias or proxy_pass");
                self.close(location, place(&path, Why::Script, location), Why::Script, &scope);
            }
        }
        if !is_whole {
            let what = format!("{path} and what is below it; there, whatever begins with {path}");
            self.notes.differs(location, &what);
        }
        // What answers a location is not that of those in it.
        scope.closed.retain(|_, why| *why != Why::Script);
        for inner in location.inner().iter().filter(|directive| directive.name == "location") {
            self.location(inner, scope.clone());
        }
    }

    /// Reads what a location has: the settings into `scope`, and the source, if it names one.
    fn contents(&mut self, location: &Directive, scope: &mut Scope) -> Option<Source> {
        let path = location.args.last().map_or("", String::as_str);
        let mut source = None;
        scope.group = None;
        // Its own fields take the place of all that are inherited.
        if location.inner().iter().any(|directive| directive.name == "proxy_set_header") {
            scope.settings.remove("upstream_host");
        }
        // Nothing of its rules is inherited where it has its own.
        if location.inner().iter().any(|directive| directive.name == "try_files") {
            scope.closed.remove("try_files");
            scope.has_no_lists = false;
        }
        for directive in location.inner() {
            match directive.name.as_str() {
                "location" | "return" => {}
                "proxy_pass" => match self.backends(directive, path, scope) {
                    Some(urls) => source = Some(Source::Proxy(urls)),
                    None => _ = scope.closed.insert("proxy_pass".to_owned(), Why::Script),
                },
                "alias" if directive.arg(0).contains('$') => {
                    self.notes.left_out_since(directive, "a folder has no variables here");
                    (scope.root, scope.alias) = (None, None);
                    scope.closed.insert("alias".to_owned(), Why::Script);
                }
                "alias" if path.ends_with('/') && !directive.arg(0).ends_with('/') => {
                    let why = "nginx puts what follows the location right behind it; end it with a slash";
                    self.notes.left_out_since(directive, why);
                    (scope.root, scope.alias) = (None, None);
                    scope.closed.insert("alias".to_owned(), Why::Script);
                }
                "alias" => {
                    self.notes.relative(directive, directive.arg(0), "nginx's prefix");
                    source = Some(Source::Files(directive.arg(0).to_owned()));
                    // Locations in it inherit it.
                    (scope.root, scope.alias) = (None, Some((path.to_owned(), directive.arg(0).to_owned())));
                }
                _ => self.setting(directive, scope),
            }
        }
        source
    }

    /// A location that is no prefix: what it closes must stay closed, and what it answers is not what lies there.
    fn pattern(&mut self, location: &Directive, scope: Scope) {
        let kind = location.arg(0);
        if kind.starts_with('@') {
            return self.notes.left_out_since(location, "nothing leads to it here");
        }
        let is_exact = kind == "=" || location.args.len() == 1;
        let mut pattern = location.args.last().map_or("", String::as_str);
        // The sign may stand right before its pattern.
        if location.args.len() == 1 {
            pattern = pattern.trim_start_matches(['=', '~', '*', '^']);
        }
        let is_exact = is_exact && !kind.starts_with('~');
        let redirect = location
            .inner()
            .iter()
            .find(|directive| directive.name == "return" && is_exact && pattern != "/");
        if let Some(redirect) = redirect.filter(|redirect| can_redirect(redirect)) {
            self.redirect(redirect, pattern, &scope);
            return;
        }
        let why = closes(location, scope.root.as_deref());
        if why.is_none() {
            self.keep_pattern(location, &scope);
        }
        if let Some(extensions) = extensions(pattern).filter(|_| why.is_none() && !is_exact) {
            return self.rule(location, extensions, scope);
        }
        let has_limits =
            has_pace(location) || location.inner().iter().any(|inner| inner.name.starts_with("limit_"));
        let pace = if has_limits { "; warning: its limits are not kept" } else { "" };
        self.notes.left_out_since(location, &format!("a route's path is a prefix{pace}"));
        let Some(why) = why else { return };
        let place = match is_exact {
            // Only the page of the folder is meant, not all below.
            true if pattern == "/" && why != Why::Access => {
                return self.notes.differs(location, "warning: / itself is answered by the route for / here");
            }
            _ => patterns::place(location),
        };
        let backends = only_backend(location, scope.root.as_deref()).map(|url| {
            let (scheme, host) = url.split_once("://").unwrap_or_default();
            self.names.backends(scheme, host, "").unwrap_or_else(|| vec![url.to_owned()])
        });
        self.close(location, place, why, &scope);
        if let Some(closed) = self.site.closed.last_mut() {
            closed.backends = backends;
        }
    }

    /// A location for files with some extensions becomes rules of the routes of its server.
    fn rule(&mut self, location: &Directive, extensions: Vec<String>, mut scope: Scope) {
        if scope.within.is_some() {
            return self.notes.left_out_since(
                location,
                "warning: a location in another is no rule; its limits are not kept",
            );
        }
        let notes = self.notes.lines.len();
        for directive in location.inner() {
            self.setting(directive, &mut scope);
        }
        if scope.why().is_some() {
            return;
        }
        if self.notes.lines.len() == notes && location.inner().is_empty() {
            self.notes.left_out(location);
        }
        self.rules.push((scope.server, extensions, scope.paced()));
    }

    /// Has nothing serve a place.
    pub(super) fn close(&mut self, from: &Directive, place: Place, why: Why, scope: &Scope) {
        let what = match why {
            Why::Access => "warning: refused here: it is closed there, and access rules are not taken over",
            Why::Unknown => "warning: refused here: what is in it may close it there",
            _ => "warning: refused here: it is run or answered by what is not taken over",
        };
        self.notes.differs(from, what);
        let mut closed = Closed::by(from, scope.server, place, why);
        if from.name == "location" && from.arg(0).starts_with('~') {
            closed.hidden = pattern::hidden_by_regex(from.args.last().map_or("", String::as_str));
            closed.within = scope.within.clone();
            // A pattern goes before longer prefixes, in the same location too.
            closed.is_deep = matches!(closed.place, Place::Path(_));
        }
        self.site.closed.push(closed);
    }

    pub(super) fn route(&mut self, from: &Directive, path: &str, source: Source, scope: &Scope) {
        let mut route = Route::new(path, source, scope.server, &from.at);
        route.settings = scope.clone().paced();
        if scope.has_no_lists && matches!(route.source, Source::Files(_)) && route.settings.has("list") {
            route.settings.set("list", false);
            self.notes.differs(from, "without a list, since folders are answered otherwise there");
        }
        let is_own = route.settings.get("upstream_host").is_none_or(|host| host.as_str() == Some("upstream"));
        if let Some(group) = scope.group.as_deref().filter(|_| is_own) {
            match is_host(group) {
                true => route.settings.set("upstream_host", group),
                false => self.notes.differs(
                    from,
                    &format!("{group} is no host: the backend's own address is its Host here"),
                ),
            }
        }
        route.is_before_patterns = scope.is_before_patterns;
        self.site.routes.push(route);
    }

    /// Makes the route of a `return`, and returns whether there can be one.
    pub(super) fn redirect(&mut self, directive: &Directive, path: &str, scope: &Scope) -> bool {
        let Some(to) = redirect_target(directive) else {
            self.notes.left_out_since(directive, "a redirect has a status and a URL without variables");
            return false;
        };
        let mut scope = scope.clone();
        scope.settings.set("redirect_status", directive.arg(0).parse::<i64>().unwrap_or(302));
        if can_redirect(directive) {
            self.notes.differs(directive, "what follows the route's path is appended");
        }
        self.route(directive, path, Source::Redirect(to), &scope);
        true
    }
}

/// Where a location of a path is closed. What it answers is for its own path; what it closes is for all that begins with it.
fn place(path: &str, why: Why, location: &Directive) -> Place {
    let is_status = location.inner().iter().any(|inner| inner.name == "stub_status");
    match path.ends_with('/') || why == Why::Script || is_status {
        true => Place::Path(path.to_owned()),
        false => Place::Prefix(path.to_owned()),
    }
}
