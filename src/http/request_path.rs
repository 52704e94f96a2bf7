//! The path of a request in each way that it may be read: the normal form, and those of sources that read it otherwise.
//!
//! Pure. The normal form decides. A source that is asked in the client's spelling may read another path in it: one takes
//! `%2F` for a separator, or `\`, and one drops what follows a `;` in each segment, as servlet containers do with
//! parameters. Where such a reading leads to another route, class or rule, the request is refused: neither answer would be
//! right for both kinds of source, and the client could choose between them by how it spells a path.

use std::borrow::Cow;
use std::cell::OnceCell;

use super::path;

/// A request's path.
pub(super) struct RequestPath<'a> {
    given: &'a str,
    normal: Option<Cow<'a, str>>,
    others: OnceCell<Vec<Option<String>>>,
}

impl<'a> RequestPath<'a> {
    /// That of a request for `given`.
    pub(super) fn new(given: &'a str) -> Self {
        Self { given, normal: path::normal(given), others: OnceCell::new() }
    }

    /// As the client spelt it.
    pub(super) fn given(&self) -> &'a str {
        self.given
    }

    /// Its normal form; `None` if it leads above its root.
    pub(super) fn normal(&self) -> Option<&str> {
        self.normal.as_deref()
    }

    /// The normal forms of what others read in it, each once and without [`normal`](Self::normal). `None` among them leads
    /// above the root. Most paths have none.
    pub(super) fn others(&self) -> impl Iterator<Item = Option<&str>> {
        let others = self.others.get_or_init(|| self.normal().map_or_else(Vec::new, others));
        others.iter().map(Option::as_deref)
    }
}

/// How others read `path`, a normal form.
fn others(path: &str) -> Vec<Option<String>> {
    let mut others = Vec::new();
    // A normal form has no other characters that a backend may read as more than themselves.
    let has_parameters = path.contains(';');
    if !has_parameters && !path.contains("%2F") && !path.contains("%5C") {
        return others;
    }
    for separators in [&[][..], &["%2F"], &["%5C"], &["%2F", "%5C"]] {
        if !separators.iter().all(|separator| path.contains(separator)) {
            continue;
        }
        let separated =
            |path: &str| separators.iter().fold(path.to_owned(), |path, of| path.replace(of, "/"));
        let whole = separated(path);
        // Parameters end at the next separator, which is looked for before or after those are decoded.
        let without = has_parameters
            .then(|| [without_parameters(&whole), separated(&without_parameters(path))])
            .into_iter()
            .flatten();
        for reading in without.chain((!separators.is_empty()).then_some(whole)) {
            let reading = path::normal(&reading).map(Cow::into_owned);
            if reading.as_deref() != Some(path) && !others.contains(&reading) {
                others.push(reading);
            }
        }
    }
    others
}

/// Drops what follows a `;` in each segment.
fn without_parameters(path: &str) -> String {
    let names: Vec<&str> =
        path.split('/').map(|segment| segment.split(';').next().unwrap_or_default()).collect();
    names.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_each_reading_once_and_most_have_one() {
        let none: &[Option<&str>] = &[];
        for (given, normal, expected) in [
            ("/a/b", Some("/a/b"), none),
            ("/%73low/a%20b", Some("/slow/a%20b"), none),
            ("/a/../..", None, none),
            ("*", Some("*"), none),
            ("/a%252Fb", Some("/a%252Fb"), none),
            ("/a%2fb", Some("/a%2Fb"), &[Some("/a/b")]),
            ("/a\\b", Some("/a%5Cb"), &[Some("/a/b")]),
            ("/a/..%2F..%2Fb", Some("/a/..%2F..%2Fb"), &[None]),
            ("/a/..%5C..%2Fb", Some("/a/..%5C..%2Fb"), &[Some("/a/..%5C../b"), Some("/..%2Fb"), None]),
            ("/a;v=1/b;w", Some("/a;v=1/b;w"), &[Some("/a/b")]),
            ("/a%3Bv/b", Some("/a;v/b"), &[Some("/a/b")]),
            ("/a/..;/b", Some("/a/..;/b"), &[Some("/b")]),
            ("/..;/b", Some("/..;/b"), &[None]),
            ("/;x", Some("/;x"), &[Some("/")]),
            ("/a;x%2Fb/c", Some("/a;x%2Fb/c"), &[Some("/a/c"), Some("/a/b/c"), Some("/a;x/b/c")]),
        ] {
            let path = RequestPath::new(given);
            let others: Vec<_> = path.others().collect();
            assert_eq!((path.given(), path.normal(), &*others), (given, normal, expected), "{given}");
        }
    }
}
