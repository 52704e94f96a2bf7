//! Names of files with `*` and `?`.

use std::path::{Path, PathBuf};

/// Files that are looked at: more are no configuration.
const MAX_FOUND: usize = 10_000;

/// Whether `text` names several files.
pub(super) fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// The files that `pattern` names, in the order of their names. Names that begin with a dot are named by none.
///
/// # Errors
/// A folder cannot be read, or the pattern has `[`.
pub(super) fn files(pattern: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let text = part.as_os_str().to_string_lossy();
        if text.contains('[') {
            return Err("only * and ? are read in names of files".to_owned());
        }
        if !is_glob(&text) {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        }
        let mut inner = Vec::new();
        for folder in found {
            // What is below another wildcard is no folder, or none at all.
            let here = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
            if !here.is_dir() && inner.len() + 1 < MAX_FOUND && here.exists() {
                continue;
            }
            let entries = std::fs::read_dir(here)
                .map_err(|error| format!("the folder {} cannot be read: {error}", here.display()))?;
            let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
            let mut names: Vec<String> =
                names.filter(|name| !name.starts_with('.') && fits(&text, name)).take(MAX_FOUND).collect();
            names.sort();
            inner.extend(names.iter().map(|name| folder.join(name)));
        }
        found = inner;
    }
    found.retain(|path| path.exists());
    Ok(found)
}

/// Whether `name` is one that `pattern` stands for.
fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where the last `*` stood, and what it stands for so far.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(next) if *next == '?' || *next == name[n] => (p, n) = (p + 1, n + 1),
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    (p, n) = (at + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|next| *next == '*')
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, name) in
            [("*", "a"), ("*.conf", "a.conf"), ("a*b*c", "aXbYbc"), ("?b", "ab"), ("a*", "a")]
        {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("*.conf", "a.conf~"), ("?b", "b"), ("a", "ab"), ("a*b", "ac")] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
        // No work without an end.
        assert!(!fits(&"*a".repeat(40), &"a".repeat(39)));
    }
}
