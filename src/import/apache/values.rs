//! What Apache's directives and their arguments say, each by itself.

use super::rewrite;
use crate::import::known::{self, Why};
use crate::import::pattern;
use crate::import::syntax::Directive;

/// Of a section of files or paths by a pattern: whether that names only what begins with a dot.
pub(super) fn hidden(section: &Directive) -> Option<bool> {
    let pattern = section.args.last()?;
    let is_regex = section.args.len() > 1 && section.arg(0) == "~";
    match section.name.as_str() {
        "files" if !is_regex => pattern::is_hidden_glob(pattern).then_some(false),
        // The pattern of a name: there is a slash before it.
        "files" | "filesmatch" => pattern::hidden_by_regex(&format!("/{}", pattern.strip_prefix('^')?)),
        "directorymatch" | "locationmatch" => pattern::hidden_by_regex(pattern),
        _ => None,
    }
}

/// The hosts that a directive names.
pub(super) fn names(directive: &Directive) -> Vec<String> {
    let bare = |name: &String| {
        let name = name.split_once("://").map_or(name.as_str(), |(_, name)| name);
        name.split(':').next().unwrap_or(name).to_owned()
    };
    match directive.name.as_str() {
        "servername" | "serveralias" => directive.args.iter().map(bare).collect(),
        _ => Vec::new(),
    }
}

pub(super) fn has_rewrites(directives: &[Directive]) -> bool {
    directives.iter().any(|directive| {
        directive.name == "rewriteengine" && directive.arg(0).eq_ignore_ascii_case("on")
            || directive.name != "virtualhost" && has_rewrites(directive.inner())
    })
}

/// A folder as Apache compares it: without empty names, `.` and `..`.
pub(super) fn folder(path: &str) -> String {
    if !path.starts_with('/') {
        return path.to_owned();
    }
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => _ = names.pop(),
            name => names.push(name),
        }
    }
    let slash = if path.ends_with('/') && !names.is_empty() { "/" } else { "" };
    format!("/{}{slash}", names.join("/"))
}

/// What `Options` says of lists, if it does: the last word counts.
pub(super) fn lists(options: &Directive) -> Option<bool> {
    let is_relative = options.args.iter().any(|word| word.starts_with(['+', '-']));
    let of = |word: &String| {
        let name = word.trim_start_matches(['+', '-']).to_ascii_lowercase();
        ["indexes", "all"].contains(&name.as_str()).then_some(!word.starts_with('-'))
    };
    let said = options.args.iter().filter_map(of).next_back();
    if is_relative { said } else { Some(said.unwrap_or(false)) }
}

/// Whether a section takes lists off, or one in it.
pub(super) fn unlists(section: &Directive) -> bool {
    section.inner().iter().any(|inner| match inner.name.as_str() {
        "options" => lists(inner) == Some(false),
        // A folder with that page has no list.
        "directoryindex" | "directoryindexredirect" | "fallbackresource" => true,
        _ => unlists(inner),
    })
}

/// Whole seconds above zero.
pub(super) fn seconds(text: &str) -> Option<String> {
    let seconds: u32 = text.parse().ok()?;
    (1..=31_536_000).contains(&seconds).then(|| format!("{seconds}s"))
}

/// What the directives in a section close or run, those in one another too.
pub(super) fn closes(section: &Directive) -> Option<Why> {
    let why = |directive: &Directive| match directive.name.as_str() {
        "proxypass" | "proxypassmatch" | "alias" | "scriptalias" | "redirect" | "redirectmatch"
        | "redirectpermanent" | "redirecttemp" => Some(Why::Elsewhere),
        "rewriterule" => rewrite::closes(directive),
        "order" => directive.args.concat().eq_ignore_ascii_case("allow,deny").then_some(Why::Access),
        _ => known::by_apache(directive).flatten().or_else(|| closes(directive)),
    };
    section.inner().iter().filter_map(why).min()
}
