//! Settings of a route that serves a folder of files.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::keys::{Keys, Value};
use crate::words::shorten;

/// A folder whose files are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesSource {
    /// Folder that is served at the route's path.
    pub root: PathBuf,
    /// File that is served for a folder. Default `index.html`.
    pub index: String,
    /// Whether a folder without an index is listed; otherwise it is 404. Default false.
    pub list: bool,
    /// Whether names that begin with a dot are served. Default false; `/.well-known` is served anyway.
    pub dot_files: bool,
    /// Which symbolic links are followed.
    pub follow_links: FollowLinks,
    /// Media types by file extension; they override the built-in ones.
    pub types: BTreeMap<String, String>,
}

/// Which symbolic links in a folder are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FollowLinks {
    /// Links to what is in the folder and served under its own name; not to hidden names that begin with a dot.
    #[default]
    Inside,
    /// Anywhere: for folders in which only trusted users make links.
    Anywhere,
}

spelt!(
    FollowLinks,
    "a way to follow links",
    [("inside", FollowLinks::Inside), ("anywhere", FollowLinks::Anywhere)]
);

caused_error! {
    /// Why files with an extension cannot have a media type. Says what to write.
    MediaTypeError {
        /// Whether it is the extension that is not valid.
        is_extension: extension,
    }
}

impl FilesSource {
    /// Serves the folder `root` with the default settings.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            index: "index.html".to_owned(),
            list: false,
            dot_files: false,
            follow_links: FollowLinks::default(),
            types: BTreeMap::new(),
        }
    }

    /// Reads the keys of a route that serves the folder `root`.
    pub(crate) fn read(keys: &Keys<'_>, root: PathBuf) -> Self {
        let default = Self::new(root);
        let index = keys.parse_with("index", |name| Self::check_index(name).map(|()| name.to_owned()));
        let mut source = Self {
            index: index.unwrap_or(default.index),
            list: keys.switch("list").unwrap_or(default.list),
            dot_files: keys.switch("dot_files").unwrap_or(default.dot_files),
            follow_links: keys.parse("follow_links").unwrap_or_default(),
            root: default.root,
            types: default.types,
        };
        for entry in keys.table("types", " such as { ts = \"video/mp2t\" }").all() {
            let added = match &entry.node.value {
                Value::Text(media_type) => {
                    source.add_type(&entry.name, media_type).map_err(|error| error.to_string())
                }
                other => Err(format!("invalid type: {other}, expected a string")),
            };
            added.unwrap_or_else(|error| keys.fault_at(entry.node.at.clone(), "types", error));
        }
        source
    }

    /// Sets the media type of files with `extension`.
    ///
    /// # Errors
    /// One of the two is invalid.
    pub fn add_type(&mut self, extension: &str, media_type: &str) -> Result<(), MediaTypeError> {
        check_type(extension, media_type)?;
        self.types.insert(extension.to_ascii_lowercase(), media_type.to_owned());
        Ok(())
    }

    fn check_index(name: &str) -> Result<(), String> {
        let plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']);
        if plain {
            Ok(())
        } else {
            Err(format!("{:?} is not a plain file name; write index.html", shorten(name)))
        }
    }
}

/// Checks an extension and its media type.
fn check_type(extension: &str, media_type: &str) -> Result<(), MediaTypeError> {
    let is_name = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    if extension.is_empty() || extension.contains(['.', '/', '\0']) {
        return Err(MediaTypeError::extension(format!(
            "{:?} is not an extension; write it without a dot, as in ts",
            shorten(extension)
        )));
    }
    let essence = media_type.split(';').next().unwrap_or_default().trim_end();
    let is_type = essence.split_once('/').is_some_and(|(tree, name)| is_name(tree) && is_name(name));
    if is_type && media_type.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        Ok(())
    } else {
        Err(MediaTypeError::other(format!(
            "{:?} is not a media type; write one such as video/mp2t",
            shorten(media_type)
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_has_an_extension_without_a_dot_and_two_halves() {
        let mut files = FilesSource::new(".");
        for (extension, media_type) in [
            ("TS", "video/mp2t"),
            ("log", "text/plain; charset=latin1"),
            ("7z", "application/x-7z-compressed"),
        ] {
            assert_eq!(files.add_type(extension, media_type), Ok(()), "{extension}");
        }
        assert_eq!(files.types["ts"], "video/mp2t");
        for (extension, media_type, expected) in [
            (".ts", "video/mp2t", "\".ts\" is not an extension; write it without a dot"),
            ("tar.gz", "video/mp2t", "is not an extension"),
            ("", "video/mp2t", "is not an extension"),
            ("ts", "video", "\"video\" is not a media type; write one such as video/mp2t"),
            ("ts", "", "is not a media type"),
            ("ts", "video/", "is not a media type"),
            ("ts", "video/mp2t\r\nx: y", "is not a media type"),
            ("ts", "text/plain; charset=\u{e9}", "is not a media type"),
        ] {
            let error = files.add_type(extension, media_type).unwrap_err();
            assert_eq!(error.is_extension(), expected.contains("extension"), "{extension} {media_type}");
            assert!(error.to_string().contains(expected), "{extension} {media_type}: {error}");
        }
        assert_eq!(files.types.len(), 3);
    }
}
