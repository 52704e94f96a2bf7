//! Patterns of locations and rules: which paths they are for, as far as that can be said.

/// Where a path, or a pattern, holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A path and what is below it, as a route has it.
    Path(String),
    /// Whatever begins with this text, as nginx's prefixes: `/a` is `/ab` too.
    Prefix(String),
    /// Any path.
    Anywhere,
}

/// The place of a regular expression: what is below the folder that it begins with, if it does.
pub(super) fn of_regex(pattern: &str) -> Place {
    let Some(rest) = pattern.strip_prefix('^') else { return Place::Anywhere };
    // An alternative at the top may begin elsewhere.
    if has_alternatives(rest) {
        return Place::Anywhere;
    }
    let (mut literal, mut chars) = (String::new(), rest.chars().peekable());
    while let Some(next) = chars.peek().copied() {
        let plain = match next {
            '/' | '-' | '_' | '~' => next,
            next if next.is_ascii_alphanumeric() => next,
            '\\' => match chars.clone().nth(1) {
                Some(escaped) if escaped.is_ascii_punctuation() => {
                    chars.next();
                    escaped
                }
                _ => break,
            },
            _ => break,
        };
        chars.next();
        // What may be left out is no part of it.
        if chars.peek().is_some_and(|next| ['?', '*', '{'].contains(next)) {
            chars.next_if_eq(&'?');
            let is_end = plain == '/' && matches!(chars.collect::<String>().as_str(), "$" | "");
            return if is_end && literal.len() > 1 { Place::Path(literal) } else { folder(&literal) };
        }
        literal.push(plain);
    }
    match chars.collect::<String>().as_str() {
        "$" | "(/.*)?$" | "(/|$)" | "(/.*|$)" if literal.len() > 1 => Place::Path(literal),
        _ => folder(&literal),
    }
}

/// The last folder that `text` names whole.
fn folder(text: &str) -> Place {
    match text.rfind('/') {
        Some(end) if end > 0 && text.starts_with('/') => Place::Path(text[..=end].to_owned()),
        _ => Place::Anywhere,
    }
}

/// Whether `|` stands outside of parentheses and brackets.
fn has_alternatives(pattern: &str) -> bool {
    let (mut depth, mut is_set, mut chars) = (0_i32, false, pattern.chars());
    while let Some(next) = chars.next() {
        match next {
            '\\' => _ = chars.next(),
            '[' => is_set = true,
            ']' => is_set = false,
            _ if is_set => {}
            '(' => depth += 1,
            ')' => depth -= 1,
            '|' if depth == 0 => return true,
            _ => {}
        }
    }
    false
}

/// Whether a regular expression names only what begins with a dot, such as `/\.ht`, `/\.git` or `^\.ht`. If it does:
/// whether `/.well-known` is among that, the one such name that routes serve.
pub(super) fn hidden_by_regex(pattern: &str) -> Option<bool> {
    if has_alternatives(pattern) {
        return None;
    }
    // `\.ht` names what has it anywhere, such as `/a.html`; `^\.ht` no path at all.
    if pattern.starts_with("^\\.") {
        return Some(false);
    }
    let rest = pattern.trim_start_matches('^').strip_prefix("/\\.")?;
    match rest.chars().next() {
        // The dot may be left out.
        Some('?' | '*' | '{') => None,
        None | Some('[' | '.' | 'w' | '\\' | '$') => Some(true),
        Some('(') if rest.starts_with("(?!well-known") || is_list(rest) => Some(false),
        Some('(') => Some(true),
        Some(_) => Some(false),
    }
}

/// What is in each path that a pattern of hidden names is for: a dot, and a letter if there is one.
pub(super) fn hidden_folder(pattern: &str) -> String {
    let rest = pattern.trim_start_matches('^').strip_prefix("/\\.").unwrap_or_default();
    let mut chars = rest.chars();
    let first = chars.next().filter(char::is_ascii_alphanumeric);
    let is_sure = !chars.next().is_some_and(|next| ['?', '*', '{'].contains(&next));
    format!("/.{}", first.filter(|_| is_sure).map_or(String::new(), String::from))
}

/// Whether a group lists names, none of which is that of what is served.
fn is_list(rest: &str) -> bool {
    let Some((names, _)) = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) else { return false };
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    names.trim_start_matches("?:").split('|').all(|name| is_name(name) && !name.starts_with('w'))
}

/// Whether a glob names only what begins with `.ht`.
pub(super) fn is_hidden_glob(pattern: &str) -> bool {
    pattern.starts_with(".ht") && !pattern.starts_with(".htm")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_begins_with_a_folder_is_for_what_is_below_it() {
        for (pattern, place) in [
            ("^/a/b/", "/a/b/"),
            ("^/a/(.*)$", "/a/"),
            ("^/a/b.*\\.php$", "/a/"),
            ("^/a$", "/a"),
            ("^/a/?$", "/a"),
            ("^/a(/.*)?$", "/a"),
            ("^/a\\.html$", "/a.html"),
            ("^/a-b/c{2}", "/a-b/"),
            ("^/a/bc?d", "/a/"),
        ] {
            assert_eq!(of_regex(pattern), Place::Path(place.to_owned()), "{pattern}");
        }
        for pattern in
            ["^/a", "/a/", "^/(a|b)/", "^/a/|^/b/", "^", "^/$", "\\.php$", "^/.*", "^/a?/b", "^a/b"]
        {
            assert_eq!(of_regex(pattern), Place::Anywhere, "{pattern}");
        }
    }

    #[test]
    fn only_patterns_of_names_with_a_dot_are_hidden() {
        for pattern in [
            "/\\.ht",
            "/\\.git",
            "/\\.(git|svn)",
            "/\\.(?!well-known)",
            "/\\.(?!well-known).*",
            "^\\.ht",
            "^/\\.git/",
        ] {
            assert_eq!(hidden_by_regex(pattern), Some(false), "{pattern}");
        }
        for pattern in ["/\\.", "/\\..*$", "/\\.well-known/x", "/\\.(git|well-known)", "/\\.[a-z]", "/\\.w"] {
            assert_eq!(hidden_by_regex(pattern), Some(true), "{pattern}");
        }
        for pattern in [
            "\\.php$",
            "/\\.?x",
            "/\\.(a)|/private|/x(b)",
            "(^|/)\\.",
            "\\.htm",
            "\\.ht",
            ".ht",
            "/\\.|/private",
            "\\.(git|svn)",
            "/a",
        ] {
            assert_eq!(hidden_by_regex(pattern), None, "{pattern}");
        }
        assert!(is_hidden_glob(".ht*") && !is_hidden_glob(".htm*") && !is_hidden_glob("*"));
    }
}
