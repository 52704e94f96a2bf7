//! Static files: from a request to a response whose content are slices of an open file.
//!
//! The parts: `path` reads the URL's path, `tree` is the folder that the root's name leads to, `confine` opens what
//! lies below it, `validators` and `conditional` decide whether the client has it already, `range` and `multipart`
//! cut it, `file_answer` describes it, `listing` shows folders, `file_cache` keeps open what is asked for again and
//! again. Here they are put together.
//! Nothing here reads a file's content, and nothing blocks.

mod conditional;
mod confine;
mod file_answer;
mod file_cache;
mod listing;
mod looked;
mod media_type;
mod multipart;
mod path;
mod path_walk;
mod range;
mod settings;
mod shared;
mod tree;
mod validators;
mod version;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::SystemTime;

use headers::{ContentLength, HeaderMapExt};
use http::header::{ALLOW, CONTENT_SECURITY_POLICY, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Response, StatusCode, request};

use super::answer;
use super::content::Content;
use super::log_bound::LogBound;
use crate::clock::Clock;
use crate::rt::{self, Disk, Fresh, Turn};
pub use confine::Root;
use confine::{Opened, Refused, Shown};
pub(super) use file_answer::wants_whole;
use file_answer::with_file;
pub(super) use file_cache::CachedFile;
pub(super) use media_type::Types;
use path::Below;
pub use settings::{FilesSource, FollowLinks, MediaTypeError};
use shared::OpenFiles;
use tree::Tree;
use version::Version;

/// The methods a file answers to. OPTIONS says this list.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// A folder of files, served over HTTP.
///
/// Served are regular files below the root, and for a folder the index in it. Names that begin with a dot, and what
/// only a symbolic link out of the root or to such a name leads to, are as good as not there.
#[derive(Clone, Debug)]
pub struct Files {
    tree: Arc<Fresh<Option<Tree>>>,
    shown: Shown,
    index: String,
    list: bool,
    types: Arc<Types>,
    open: Arc<OpenFiles>,
}

impl Files {
    /// Serves what lies below the folder that the name `root` leads to, with `index.html` as the index and without
    /// lists. If it leads to another folder later, that one is served within a second.
    ///
    /// # Errors
    /// If there is no such folder, or it may not be entered.
    pub fn new(root: &Path) -> io::Result<Self> {
        Root::new(root)?;
        let path = root.to_owned();
        Ok(Self::of(Fresh::new([path.clone()], move || Tree::at(&path))?))
    }

    /// Serves what lies below a root that is open already, whatever its name leads to later.
    pub fn below(root: Root) -> Self {
        Self::of(Fresh::fixed(Some(Tree::new(root))))
    }

    fn of(tree: Fresh<Option<Tree>>) -> Self {
        Self {
            tree: Arc::new(tree),
            shown: Shown::default(),
            index: "index.html".to_owned(),
            list: false,
            types: Arc::default(),
            open: Arc::default(),
        }
    }

    /// Whether all names that begin with a dot are served. Default: only `/.well-known` is (RFC 8615).
    #[must_use]
    pub fn dot_files(mut self, dot_files: bool) -> Self {
        self.shown.dot_files = dot_files;
        self
    }

    /// How far symbolic links lead. Default: to what lies below the root and is served by its own name.
    #[must_use]
    pub fn follow_links(mut self, links: FollowLinks) -> Self {
        self.shown.links = links;
        self
    }

    /// The media type of files whose names end in a dot and `extension`, whatever its letters' case. A type without a
    /// parameter has `charset=utf-8` added if it is text.
    #[must_use]
    pub fn media_type(mut self, extension: &str, media_type: &str) -> Self {
        Arc::make_mut(&mut self.types).insert(extension, media_type);
        self
    }

    /// Has `clock` say when the root's name is looked at anew, and not the process's. Meant for tests.
    #[must_use]
    pub fn run_on(self, clock: Arc<dyn Clock>) -> Self {
        self.tree.run_on(clock);
        self
    }

    /// The name of the file that is served for the folder it is in. Empty, or a name that is never
    /// served (with a slash, or hidden): none is.
    #[must_use]
    pub fn index(self, name: impl Into<String>) -> Self {
        Self { index: name.into(), ..self }
    }

    /// Whether a folder without an index is answered with a list of what is in it. Default: no, it is
    /// answered with 404.
    #[must_use]
    pub fn list(self, list: bool) -> Self {
        Self { list, ..self }
    }

    /// Answers a request for `path`: the part of the URL's path behind the route, as it came, still
    /// percent-encoded and without a slash before it. Empty, it is the root itself.
    ///
    /// Never fails: what cannot be served is answered with a short text. A failure of the machine is
    /// logged, one line each. Cancel safe: a dropped request leaves nothing open.
    pub async fn respond(&self, request: &request::Parts, path: &str) -> Response<Content> {
        match request.method {
            Method::GET => self.answer(request, path).await,
            Method::HEAD => answer::without_content(self.answer(request, path).await),
            Method::OPTIONS => {
                let mut response = answer::empty(StatusCode::NO_CONTENT);
                response.headers_mut().insert(ALLOW, METHODS);
                response
            }
            _ => {
                let text = "Files are read with GET or HEAD.";
                let mut response = answer::plain(StatusCode::METHOD_NOT_ALLOWED, text);
                response.headers_mut().insert(ALLOW, METHODS);
                response
            }
        }
    }

    /// The file at `path` if finding it needs no waiting, because it is in the cache. Paths are those of
    /// [`respond`](Self::respond). `arrived`: the present turn, if the request began to arrive before it.
    pub(super) fn cached(
        &self,
        method: &Method,
        path: &str,
        arrived: Option<Turn>,
    ) -> Option<Arc<CachedFile>> {
        if method != Method::GET {
            return None;
        }
        let name = Below::parse(path, self.shown.dot_files).filter(|below| !below.is_folder())?;
        let tree = self.tree.get_if_fresh()?;
        Option::as_ref(&tree)?.cached(&name, arrived)
    }

    /// The answer to GET; to HEAD too, with content that is not sent.
    async fn answer(&self, request: &request::Parts, path: &str) -> Response<Content> {
        match self.find(request, path).await {
            Ok(response) => response,
            Err(refused) => refuse(refused, request.uri.path()),
        }
    }

    async fn find(&self, request: &request::Parts, path: &str) -> Result<Response<Content>, Refused> {
        let below = Below::parse(path, self.shown.dot_files).ok_or(Refused::NotFound)?;
        let tree = self.tree.get().await;
        let tree = Option::as_ref(&tree).ok_or(Refused::NotFound)?;
        if !below.is_folder() {
            return match self.file(tree, request, &below).await? {
                Some(response) => Ok(response),
                None => Ok(answer::add_slash(&request.method, &request.uri)),
            };
        }
        if !request.uri.path().ends_with('/') {
            // A route without its slash: relative links would lead elsewhere.
            return Ok(answer::add_slash(&request.method, &request.uri));
        }
        if let Some(index) = below.child(self.index.as_bytes()) {
            match self.file(tree, request, &index).await {
                Ok(Some(response)) => return Ok(response),
                Ok(None) | Err(Refused::NotFound) => {}
                Err(refused) => return Err(refused),
            }
        }
        if !self.list {
            return Err(Refused::NotFound);
        }
        match tree.root.open(&below, self.shown).await? {
            Opened::File(..) => Err(Refused::NotFound),
            Opened::Folder(folder) => self.list_folder(&tree.root, folder, below).await,
        }
    }

    async fn list_folder(
        &self,
        root: &Root,
        folder: File,
        below: Below,
    ) -> Result<Response<Content>, Refused> {
        let (root, shown) = (root.clone(), self.shown);
        let page = Disk::of(&folder).blocking(move || {
            listing::read(&root, folder, &below, shown).map(|listing| listing::page(&listing, &below))
        });
        let page = page.await?;
        let mut response = answer::empty(StatusCode::OK);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        // The page has names in it that others chose. Should one ever slip through, it can do nothing.
        let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
        headers.typed_insert(ContentLength(page.len() as u64));
        *response.body_mut() = Content::text(page);
        Ok(response)
    }

    /// The answer with the file of this name; `None` for a folder.
    #[allow(
        clippy::disallowed_methods,
        reason = "validators are compared with the calendar's time, not with the one that paces"
    )]
    async fn file(
        &self,
        tree: &Tree,
        request: &request::Parts,
        name: &Below,
    ) -> Result<Option<Response<Content>>, Refused> {
        if let Some(cached) = tree.cached(name, None) {
            return Ok(Some(cached.respond(request)));
        }
        let Opened::File(file, metadata) = tree.root.open(name, self.shown).await? else { return Ok(None) };
        let now = SystemTime::now();
        let version = Version::new(name, &metadata, now, &self.types)?;
        let file = self.open.share(file, &metadata, tree.root.closes_at_once(&metadata));
        let response = with_file(request, &version, &file);
        if let Some(root) = tree.root.folder() {
            tree.cache.offer(root, name, (&file, &metadata), version, now);
        }
        Ok(Some(response))
    }
}

#[cfg(test)]
impl Files {
    /// Puts a file of the root into the cache, as requests for it do once it was left alone for some seconds.
    #[allow(clippy::disallowed_methods, reason = "validators are compared with the calendar's time")]
    pub(crate) fn keep(&self, name: &str) {
        let tree = self.tree.last();
        let tree = Option::as_ref(&tree).unwrap();
        let (below, root) = (Below::parse(name, false).unwrap(), tree.root.folder().unwrap());
        let later = SystemTime::now() + std::time::Duration::from_secs(3);
        for _ in 0..2 {
            let flags = rustix::fs::OFlags::RDONLY;
            let file = rustix::fs::openat(root, name, flags, rustix::fs::Mode::empty()).unwrap();
            let file = Arc::new(File::from(file));
            let metadata = file.metadata().unwrap();
            let version = Version::new(&below, &metadata, later, &self.types).unwrap();
            tree.cache.offer(root, &below, (&file, &metadata), version, later);
        }
        // Not by `cached`: on a busy machine the look at the root may be too old.
        assert!(tree.cached(&below, None).is_some());
    }
}

impl Tree {
    /// A file of the cache.
    fn cached(&self, name: &Below, arrived: Option<Turn>) -> Option<Arc<CachedFile>> {
        self.cache.get(self.root.folder()?, name, arrived)
    }
}

/// Says that a file cannot be opened, as far as the log takes such lines: clients cause them.
fn log_unopened(level: log::Level, path: &str, error: &io::Error) {
    static BOUND: LazyLock<Arc<LogBound>> = LazyLock::new(|| LogBound::new(rt::clock()));
    if BOUND.admits(|left_out| log::warn!(left_out; "cannot open files, more often")) {
        log::log!(level, "cannot open {path}: {error}");
    }
}

/// The answer when nothing could be opened.
fn refuse(refused: Refused, path: &str) -> Response<Content> {
    match refused {
        Refused::NotFound => answer::plain(StatusCode::NOT_FOUND, "There is nothing here by this name."),
        Refused::Forbidden => answer::plain(StatusCode::FORBIDDEN, "This file may not be read."),
        Refused::Exhausted(error) => {
            log_unopened(log::Level::Warn, path, &error);
            let text = "Too many files are open just now. Try again in a second.";
            let mut response = answer::plain(StatusCode::SERVICE_UNAVAILABLE, text);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            response
        }
        Refused::Failed(error) => {
            log_unopened(log::Level::Error, path, &error);
            answer::plain(StatusCode::INTERNAL_SERVER_ERROR, "This file cannot be read.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn each_failure_has_its_status() {
        for (error, status) in [
            (Errno::NOENT, StatusCode::NOT_FOUND),
            (Errno::XDEV, StatusCode::NOT_FOUND),
            (Errno::ACCESS, StatusCode::FORBIDDEN),
            (Errno::MFILE, StatusCode::SERVICE_UNAVAILABLE),
            (Errno::NFILE, StatusCode::SERVICE_UNAVAILABLE),
            (Errno::IO, StatusCode::INTERNAL_SERVER_ERROR),
        ] {
            let response = refuse(error.into(), "/a");
            assert_eq!(response.status(), status, "{error}");
            let retry = response.headers().contains_key(RETRY_AFTER);
            assert_eq!(retry, status == StatusCode::SERVICE_UNAVAILABLE, "{error}");
        }
    }
}
