//! What a source breaks a rule with: an import, a word, a path.

use crate::scan::Source;

/// What a file of the room `place` imports of the crate, other than `sync` and what begins with one of `allowed`.
pub fn imports_but(source: &Source, place: &str, allowed: &[&[&str]]) -> Option<String> {
    if !source.is_in(place) {
        return None;
    }
    source.paths().into_iter().find_map(|path| {
        let [root, inside @ ..] = path.as_slice() else { return None };
        let fine = root != "crate"
            || inside.first().is_some_and(|module| module == "sync")
            || allowed.iter().any(|allowed| inside.iter().take(allowed.len()).eq(*allowed));
        (!fine).then(|| path.join("::"))
    })
}

pub fn any_word(source: &Source, words: &[&str]) -> Option<String> {
    source.tokens.iter().find(|token| words.contains(&token.as_str())).cloned()
}

/// A path that begins with one of `prefixes`.
pub fn any_path(source: &Source, prefixes: &[&str]) -> Option<String> {
    source.paths().into_iter().find_map(|path| {
        let path = path.join("::");
        let begins = |prefix: &str| {
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        };
        prefixes.iter().any(|prefix| begins(prefix)).then_some(path)
    })
}
