//! Where a route's content comes from: a folder, a backend, or streams of events.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::error::shorten;
use super::events::EventSettings;
use super::on_disk;
use crate::http::proxy::{HostPolicy, UpstreamUrl};
use crate::limit::Size;

/// Where a route's content comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A folder.
    Files(FilesSource),
    /// A backend.
    Proxy(ProxySource),
    /// Streams of events.
    Events(Box<EventSettings>),
}

/// A folder of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesSource {
    /// The folder that stands at the route's path.
    pub root: PathBuf,
    /// The file that answers for a folder: `index.html`.
    pub index: String,
    /// Whether a folder without that file is listed. Default: no, it is 404.
    pub list: bool,
    /// Whether names that begin with a dot are served. Default: no, only `/.well-known` is.
    pub dot_files: bool,
    /// How far symbolic links lead.
    pub follow_links: FollowLinks,
    /// Media types by the extensions of names, before those that are known anyway.
    pub types: BTreeMap<String, String>,
}

/// How far symbolic links in a folder lead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FollowLinks {
    /// To what lies in the folder, and is served by its own name: not to names with a dot where they are hidden.
    #[default]
    Inside,
    /// Wherever they lead: for folders in which nobody makes links who should not.
    Anywhere,
}

impl FromStr for FollowLinks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "inside" => Ok(Self::Inside),
            "anywhere" => Ok(Self::Anywhere),
            _ => Err(format!("{:?} is neither \"inside\" nor \"anywhere\"", shorten(text))),
        }
    }
}

impl FilesSource {
    /// The folder `root` with the default index and without listings.
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

    /// Whether the root is there, is a folder, and can be read.
    ///
    /// # Errors
    /// The text says which it is not, and what to do.
    pub fn check_root(&self) -> Result<(), String> {
        on_disk::folder(&self.root)
    }

    /// Gives files whose names end in a dot and `extension` a media type.
    ///
    /// # Errors
    /// The text says which of the two is none.
    pub fn add_type(&mut self, extension: &str, media_type: &str) -> Result<(), String> {
        check_type(extension, media_type)?;
        self.types.insert(extension.to_ascii_lowercase(), media_type.to_owned());
        Ok(())
    }

    /// Whether `name` can be the name of an index file.
    ///
    /// # Errors
    /// The text says why not.
    pub fn check_index(name: &str) -> Result<(), String> {
        let plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']);
        if plain {
            Ok(())
        } else {
            Err(format!("{:?} is not a plain file name; write index.html", shorten(name)))
        }
    }
}

/// Whether files whose names end in a dot and `extension` can be told to have this media type.
fn check_type(extension: &str, media_type: &str) -> Result<(), String> {
    let is_name = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    if extension.is_empty() || extension.contains(['.', '/', '\0']) {
        return Err(format!("{:?} is no extension; write it without a dot, as in ts", shorten(extension)));
    }
    let essence = media_type.split(';').next().unwrap_or_default().trim_end();
    let is_type = essence.split_once('/').is_some_and(|(tree, name)| is_name(tree) && is_name(name));
    if is_type && media_type.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        Ok(())
    } else {
        Err(format!("{:?} is no media type; write one such as video/mp2t", shorten(media_type)))
    }
}

/// A backend that speaks HTTP/1.1, and how requests are passed on to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxySource {
    /// Where requests go.
    pub upstream: UpstreamUrl,
    /// Which `Host` the backend sees.
    pub host: HostPolicy,
    /// For resolving and connecting. Default 5 s: a backend is near.
    pub connect_timeout: Duration,
    /// From the last piece of the request, or the last interim response (102 Processing, say), to the response's
    /// head. Default 60 s, as in nginx and Apache httpd. The same time is given to the client between two pieces of its request's body.
    pub response_timeout: Duration,
    /// Between two pieces of the response's body, as long as they are waited for. Default 60 s.
    pub read_timeout: Duration,
    /// How many unused connections are kept for later requests. Default 64.
    pub idle_connections: usize,
    /// How long an unused connection is kept. Default 4 s: below the 5 s after which Apache httpd and
    /// Node close theirs, so that a request seldom meets a connection that is just being closed.
    pub idle_connection_timeout: Duration,
    /// Whether `X-Accel-Limit-Rate` and `X-Accel-Buffering` from the backend count. Default yes, as in
    /// nginx; where they do not, the fields are removed all the same.
    pub honour_accel: bool,
    /// Whether the backend's own origin in `Location`, `Content-Location` and `Refresh` is mapped back to the
    /// route's path. Default yes, as nginx's `proxy_redirect default`.
    pub map_location: bool,
    /// Whether `Via` names this hop, in requests and responses (RFC 9110, section 7.6.3). Default yes. Without
    /// it loops are harder to see; but nginx, say, does not compress what it answers to a `Via`.
    pub via: bool,
    /// The most bytes of a response's head, start line and end included; also of all interim responses before
    /// it together. A larger one is 502. Default 32 KiB, as for requests; nginx's `proxy_buffer_size` is 4 or
    /// 8 KiB, which large cookies outgrow.
    pub max_response_head: usize,
    /// The most fields of a response's head. Default 128.
    pub max_response_fields: usize,
    /// How long a tunnel, which a connection becomes by a change of protocols (WebSocket), may be without
    /// traffic in either direction. Default 1 h: the protocols inside are quiet for long, and few of their
    /// implementations ping.
    pub tunnel_timeout: Duration,
}

impl ProxySource {
    /// Whether `size` can bound a response's head: 1 KiB to 1 MiB.
    ///
    /// # Errors
    /// It cannot; the text says what could.
    pub fn check_response_head(size: Size) -> Result<usize, String> {
        let (least, most) = (Size::new(1024), Size::new(1024 * 1024));
        let bytes = usize::try_from(size.bytes()).ok().filter(|_| (least..=most).contains(&size));
        bytes.ok_or_else(|| format!("{size} is not a size from {least} to {most}"))
    }

    /// Whether `number` can bound the fields of a response's head: 1 to 4096.
    ///
    /// # Errors
    /// It cannot; the text says what could.
    pub fn check_response_fields(number: i64) -> Result<usize, String> {
        let fields = usize::try_from(number).ok().filter(|fields| (1..=4096).contains(fields));
        fields.ok_or_else(|| format!("{number} is not a number from 1 to 4096"))
    }

    /// The backend `upstream`, everything else by default.
    pub fn new(upstream: UpstreamUrl) -> Self {
        Self {
            upstream,
            host: HostPolicy::default(),
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(60),
            read_timeout: Duration::from_secs(60),
            idle_connections: 64,
            idle_connection_timeout: Duration::from_secs(4),
            honour_accel: true,
            map_location: true,
            via: true,
            max_response_head: 32 * 1024,
            max_response_fields: 128,
            tunnel_timeout: Duration::from_secs(60 * 60),
        }
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
            (".ts", "video/mp2t", "\".ts\" is no extension; write it without a dot"),
            ("tar.gz", "video/mp2t", "is no extension"),
            ("", "video/mp2t", "is no extension"),
            ("ts", "video", "\"video\" is no media type; write one such as video/mp2t"),
            ("ts", "", "is no media type"),
            ("ts", "video/", "is no media type"),
            ("ts", "video/mp2t\r\nx: y", "is no media type"),
            ("ts", "text/plain; charset=\u{e9}", "is no media type"),
        ] {
            let error = files.add_type(extension, media_type).unwrap_err();
            assert!(error.contains(expected), "{extension} {media_type}: {error}");
        }
        assert_eq!(files.types.len(), 3);
    }

    #[test]
    fn a_response_head_is_bounded_within_bounds() {
        for (bytes, good) in
            [(0, false), (1023, false), (1024, true), (1 << 20, true), ((1 << 20) + 1, false)]
        {
            assert_eq!(ProxySource::check_response_head(Size::new(bytes)).is_ok(), good, "{bytes}");
        }
        for (fields, good) in [(-1, false), (0, false), (1, true), (4096, true), (4097, false)] {
            assert_eq!(ProxySource::check_response_fields(fields).is_ok(), good, "{fields}");
        }
    }
}
