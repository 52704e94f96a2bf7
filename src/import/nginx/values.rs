//! What nginx's directives and their arguments say, each by itself.

use std::collections::BTreeMap;

use crate::import::closed::{self, Why};
use crate::import::syntax::Directive;
use crate::import::{At, listening};

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
        return vec!["0.0.0.0:80".to_owned()];
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
        "if" => directive.inner().iter().any(|inner| inner.name == "return" && leads_to_https(inner)),
        "location" if directive.args.last().is_some_and(|path| path == "/") && directive.arg(0) != "=" => {
            directive.inner().iter().any(|inner| inner.name == "return" && leads_to_https(inner))
        }
        _ => false,
    }
}

/// Whether a `return` can be a redirect here.
pub(super) fn can_redirect(directive: &Directive) -> bool {
    let (status, to) = (directive.arg(0), directive.arg(1));
    ["301", "302", "303", "307", "308"].contains(&status) && !to.is_empty() && !to.contains('$')
}

/// What the directives in a location of a pattern close, those in one another too.
pub(super) fn closes(location: &Directive, is_exact: bool) -> Option<Why> {
    let why = |directive: &Directive| match directive.name.as_str() {
        "location" => closes(directive, is_exact),
        "return" if directive.arg(0).starts_with(['4', '5']) => Some(Why::Access),
        "return" if is_exact => None,
        "return" | "proxy_pass" => Some(Why::Script),
        _ => closed::by_nginx(directive),
    };
    location.inner().iter().filter_map(why).min()
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
