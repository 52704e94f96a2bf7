//! What nginx's directives and their arguments say, each by itself.

use std::collections::BTreeMap;

use crate::import::known::{self, Why};
use crate::import::syntax::Directive;
use crate::import::{At, listening};

/// Statuses that lead elsewhere.
const REDIRECTS: &[&str] = &["301", "302", "303", "307", "308"];

/// Where a server listens that does not say it.
pub(super) const DEFAULT_ADDRESS: &str = "0.0.0.0:80";

pub(super) fn says_default(listen: &Directive) -> bool {
    listen.name == "listen" && listen.args.iter().any(|arg| arg == "default_server" || arg == "default")
}

/// Finds the server that is for all other hosts at each address: the one that says so, or else the first.
pub(super) fn find_defaults(directives: &[Directive], explicit: bool, defaults: &mut BTreeMap<String, At>) {
    for directive in directives {
        match directive.name.as_str() {
            "http" => find_defaults(directive.inner(), explicit, defaults),
            "server" => {
                let listens = directive.inner().iter().filter(|listen| !explicit || says_default(listen));
                for address in addresses(listens, explicit) {
                    defaults.entry(address).or_insert_with(|| directive.at.clone());
                }
            }
            _ => {}
        }
    }
}

/// The addresses of a server's directives, or that of a server that names none.
pub(super) fn addresses<'d>(directives: impl Iterator<Item = &'d Directive>, named: bool) -> Vec<String> {
    let mut listens = directives.filter(|listen| listen.name == "listen").peekable();
    if listens.peek().is_none() && !named {
        return vec![DEFAULT_ADDRESS.to_owned()];
    }
    let listens = listens.filter(|listen| !listen.args.iter().any(|arg| arg == "quic"));
    listens.flat_map(listening::nginx).collect()
}

/// Whether it sends everyone to the same place with https, as a `return` or by one in an `if` or in `location /`.
pub(super) fn leads_to_https(directive: &Directive) -> bool {
    match directive.name.as_str() {
        "return" => {
            let is_moved = ["301", "302", "307", "308"].contains(&directive.arg(0));
            is_moved
                && directive.arg(1).starts_with("https://$")
                && directive.arg(1).ends_with("$request_uri")
        }
        // An old way to say the same.
        "rewrite" => {
            let is_all = ["^", ".*", "(.*)", "^(.*)", "^(.*)$", "^.*$", "^/(.*)$", "^/(.*)"]
                .contains(&directive.arg(0));
            let to = directive.arg(1);
            let is_moved = ["permanent", "redirect"].contains(&directive.arg(2));
            is_all
                && is_moved
                && to.starts_with("https://$")
                && (to.contains("$request_uri") || to.ends_with("$1"))
        }
        "if" => {
            known::is_of_origin(directive)
                && directive.inner().iter().any(|inner| inner.name == "return" && leads_to_https(inner))
        }
        "location" if directive.args.last().is_some_and(|path| path == "/") && directive.arg(0) != "=" => {
            directive.inner().iter().any(|inner| inner.name == "return" && leads_to_https(inner))
        }
        _ => false,
    }
}

/// Whether a `return` can be a redirect here.
pub(super) fn can_redirect(directive: &Directive) -> bool {
    let to = directive.arg(1);
    REDIRECTS.contains(&directive.arg(0)) && !to.is_empty() && !to.contains('$')
}

/// Where a `return` redirects to, as a route says it: a URL, or one that keeps the request's path.
pub(super) fn redirect_target(directive: &Directive) -> Option<String> {
    if can_redirect(directive) {
        return Some(directive.arg(1).to_owned());
    }
    let is_moved = REDIRECTS.contains(&directive.arg(0));
    let origin = directive.arg(1).strip_suffix("$request_uri").filter(|_| is_moved)?;
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"))?;
    (!host.is_empty() && !host.contains(['$', '/'])).then(|| origin.to_owned())
}

/// What the directives in a location of a pattern close, those in one another too. `root` is that of its server.
pub(super) fn closes(location: &Directive, root: Option<&str>) -> Option<Why> {
    location.inner().iter().filter_map(|directive| closes_by(directive, root)).min()
}

/// Whether all that closes a location of a pattern is a `proxy_pass`: its URL.
pub(super) fn only_backend<'d>(location: &'d Directive, root: Option<&str>) -> Option<&'d str> {
    let mut by = location.inner().iter().filter(|directive| closes_by(directive, root).is_some());
    let url = by.next().filter(|directive| directive.name == "proxy_pass")?.arg(0);
    by.next().is_none().then_some(url)
}

fn closes_by(directive: &Directive, root: Option<&str>) -> Option<Why> {
    match directive.name.as_str() {
        "location" => closes(directive, root),
        "return" if directive.arg(0).starts_with(['4', '5']) => Some(Why::Access),
        "root" if root == Some(directive.arg(0)) => None,
        "rewrite" | "return" | "proxy_pass" | "root" | "alias" => Some(Why::Elsewhere),
        "try_files" if !tries_itself(directive) => Some(Why::Elsewhere),
        // A backend is not asked for it either.
        _ => known::by_nginx(directive).map(|why| if why == Why::Script { Why::Elsewhere } else { why }),
    }
}

/// Whether it, or what is in it, gives a pace.
pub(super) fn has_pace(directive: &Directive) -> bool {
    directive.name.starts_with("limit_rate")
        || directive.name == "set" && directive.arg(0) == "$limit_rate"
        || directive.inner().iter().any(has_pace)
}

/// Whether `try_files` serves what a request asks for, if it is there.
pub(super) fn tries_itself(directive: &Directive) -> bool {
    let tried = directive.args.split_last().map_or(&[][..], |(_, tried)| tried);
    // What is tried before it may be there for all.
    tried.iter().take_while(|file| file.contains("$uri")).any(|file| file == "$uri")
}

/// The extensions that a pattern such as `\.(?:iso|img)$` names.
pub(super) fn extensions(pattern: &str) -> Option<Vec<String>> {
    let names =
        pattern.trim_start_matches(".*").trim_start_matches("^.+").strip_prefix("\\.")?.strip_suffix('$')?;
    let names = names.strip_prefix('(').and_then(|names| names.strip_suffix(')')).unwrap_or(names);
    let names: Vec<String> = names.trim_start_matches("?:").split('|').map(str::to_owned).collect();
    let is_plain = |name: &String| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric());
    names.iter().all(is_plain).then_some(names)
}

/// Whether `text` is a size of nothing: `0`, `0k`.
pub(super) fn is_zero(text: &str) -> bool {
    let digits = text.trim_end_matches(['k', 'K', 'm', 'M', 'g', 'G']);
    !digits.is_empty() && digits.bytes().all(|digit| digit == b'0')
}

/// A size above zero: nginx's letters are those of this program, which has one for bytes too.
pub(super) fn size(text: &str) -> Option<String> {
    let digits = text.trim_end_matches(['k', 'K', 'm', 'M', 'g', 'G']);
    let is_size =
        text.len() - digits.len() <= 1 && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let is_some = is_size && digits.bytes().any(|b| b != b'0') && digits.len() < 12;
    is_some.then(|| if digits.len() == text.len() { format!("{text}B") } else { text.to_lowercase() })
}

/// A time with one unit, seconds without.
pub(super) fn duration(text: &str) -> Option<String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let is_number = !digits.is_empty() && digits.len() < 8 && digits.bytes().all(|b| b.is_ascii_digit());
    match text.get(digits.len()..).filter(|_| is_number && digits.bytes().any(|b| b != b'0'))? {
        "" => Some(format!("{digits}s")),
        "ms" | "s" | "m" | "h" => Some(text.to_owned()),
        _ => None,
    }
}
