//! Reads Rust as far as the layering rules need it: words without prose, and the paths they make.

/// What is left of a source file without comments, strings, literals and its tests.
pub struct Source {
    /// Below `src/`, with `/` between names.
    pub path: String,
    /// Words and single signs, in order.
    pub tokens: Vec<String>,
    /// Lines of the file as it is, tests and all.
    pub lines: usize,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.into(), tokens: without_tests(tokens(text)), lines: text.lines().count() }
    }

    /// Whether the file is `place`, or lies in it if that ends in `/`.
    pub fn is_in(&self, place: &str) -> bool {
        self.path == place || (place.ends_with('/') && self.path.starts_with(place))
    }

    /// The modules from the crate's root to this file.
    pub fn module(&self) -> Vec<String> {
        let path = self.path.trim_end_matches(".rs");
        let path = path.trim_end_matches("/mod");
        if ["lib", "main"].contains(&path) { Vec::new() } else { path.split('/').map(Into::into).collect() }
    }

    /// Whether the tokens of `words` stand one behind the other: `". elapsed ("`.
    pub fn has(&self, words: &str) -> bool {
        let words: Vec<&str> = words.split(' ').collect();
        self.tokens.windows(words.len()).any(|here| here.iter().zip(&words).all(|(a, b)| a == b))
    }

    /// All paths of two names and more, with the trees of `use` spread out. `self` and `super` at the
    /// beginning are followed to `crate`.
    pub fn paths(&self) -> Vec<Vec<String>> {
        let mut found = Vec::new();
        let mut inline: Vec<(String, usize)> = Vec::new();
        let (mut depth, mut at) = (0usize, 0);
        while at < self.tokens.len() {
            match self.tokens[at].as_str() {
                "{" => depth += 1,
                "}" => {
                    depth = depth.saturating_sub(1);
                    inline.retain(|(_, inside)| *inside <= depth);
                }
                "mod" if self.token(at + 2) == "{" => inline.push((self.tokens[at + 1].clone(), depth + 1)),
                word if is_name(word) && self.token(at + 1) == "::" => {
                    let mut tree = Vec::new();
                    at = self.tree(at, &[], &mut tree);
                    let here: Vec<String> = self
                        .module()
                        .into_iter()
                        .chain(inline.iter().map(|(name, _)| name.clone()))
                        .collect();
                    found.extend(tree.into_iter().map(|path| absolute(path, &here)));
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        found
    }

    fn token(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", String::as_str)
    }

    /// Reads the path, or the tree of paths, that begins at `at`. Returns where it ends.
    fn tree(&self, mut at: usize, before: &[String], found: &mut Vec<Vec<String>>) -> usize {
        let mut path = before.to_vec();
        loop {
            match self.token(at) {
                "{" => {
                    at += 1;
                    while !matches!(self.token(at), "}" | "") {
                        let next = if self.token(at) == "," { at + 1 } else { self.tree(at, &path, found) };
                        // A sign that belongs to no path: not a tree of `use` after all.
                        at = next.max(at + 1);
                    }
                    return at + 1;
                }
                word if is_name(word) || word == "*" => path.push(word.into()),
                _ => break,
            }
            at += 1;
            if self.token(at) != "::" {
                break;
            }
            at += 1;
        }
        if self.token(at) == "as" {
            at += 2;
        }
        found.push(path);
        at
    }
}

fn absolute(path: Vec<String>, here: &[String]) -> Vec<String> {
    let mut base = here.to_vec();
    let mut rest = path.as_slice();
    let mut relative = false;
    while let [first, more @ ..] = rest {
        match first.as_str() {
            "self" => {}
            "super" => drop(base.pop()),
            _ => break,
        }
        (relative, rest) = (true, more);
    }
    if !relative {
        return path;
    }
    ["crate".to_string()].into_iter().chain(base).chain(rest.iter().cloned()).collect()
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Cuts the text into words and signs; comments, strings, characters and lifetimes are left out.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = comment(rest).or_else(|| literal(rest));
        let len = if let Some(len) = skipped {
            len
        } else if c.is_alphanumeric() || c == '_' {
            let len = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(rest[..len].trim_start_matches("r#").to_string());
            len
        } else if rest.starts_with("::") {
            tokens.push("::".into());
            2
        } else {
            if !c.is_whitespace() {
                tokens.push(c.into());
            }
            c.len_utf8()
        };
        rest = &rest[len..];
    }
    tokens
}

fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if depth == 0 {
            return None;
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    (depth > 0).then_some(at)
}

/// The length of the string, raw string, character or lifetime that `text` begins with.
fn literal(text: &str) -> Option<usize> {
    let unprefixed = text.trim_start_matches(['b', 'c']);
    let prefix = text.len() - unprefixed.len();
    if prefix > 1 {
        return None;
    }
    if let Some(raw) = unprefixed.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let inside = raw[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let len = inside.find(&end).map_or(inside.len(), |at| at + end.len());
        return Some(prefix + 1 + hashes + 1 + len);
    }
    let quote = unprefixed.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let inside = &unprefixed[1..];
    if quote == '\'' && prefix == 0 {
        let mut chars = inside.char_indices();
        let (first, second) = (chars.next()?.1, chars.next());
        let is_lifetime = is_name(&first.to_string()) && second.is_none_or(|(_, c)| c != '\'');
        if is_lifetime {
            return Some(1 + inside.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(inside.len()));
        }
    }
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(prefix + 1 + at + 1),
            _ => {}
        }
    }
    Some(text.len())
}

/// Leaves out what `#[cfg(test)]` stands before: a module, a function, a `use`.
fn without_tests(tokens: Vec<String>) -> Vec<String> {
    const TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if !tokens[at..].iter().zip(TEST).all(|(a, b)| a == b) || tokens.len() - at < TEST.len() {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        at += TEST.len();
        let mut depth = 0;
        while at < tokens.len() {
            match tokens[at].as_str() {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            at += 1;
            // The item ends with its block or its semicolon, not with an attribute or arguments.
            if depth == 0 && matches!(tokens[at - 1].as_str(), "}" | ";") {
                break;
            }
        }
    }
    kept
}
