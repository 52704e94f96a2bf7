//! Pages that are sent in the place of the short texts of errors.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use headers::{ContentLength, HeaderMapExt};
use http::Response;
use http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderValue, LAST_MODIFIED, X_CONTENT_TYPE_OPTIONS,
};

use super::content::Content;
use super::files::Types;
use crate::keys::{Keys, PathKind, Value};
use crate::named_file;
use crate::rt::Fresh;
use crate::words::shorten;

/// The largest page. Pages are kept in memory, so that an error needs no disk.
const MAX_PAGE: u64 = 1 << 20;

/// Marks a response as the proxy's own, and not its backend's.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnAnswer;

/// Files that are sent with errors, by status.
pub type ErrorPagesSource = BTreeMap<u16, PathBuf>;

/// Reads the table `error_pages` of a route.
pub(crate) fn read(keys: &Keys<'_>) -> ErrorPagesSource {
    const KEY: &str = "error_pages";
    let mut pages = BTreeMap::new();
    for entry in keys.table(KEY, " such as { 404 = \"404.html\" }").all() {
        let status = entry.name.parse().ok().filter(|status| (400..=599).contains(status));
        let (Some(status), Value::Text(path)) = (status, &entry.node.value) else {
            let text = match status {
                None => format!("{:?} is not the status of an error, 400 to 599", shorten(&entry.name)),
                Some(_) => format!("invalid type: {}, expected a string", entry.node.value),
            };
            keys.fault_at(entry.node.at.clone(), KEY, text);
            continue;
        };
        pages.insert(status, keys.path_at(entry.node.at.clone(), KEY, path, PathKind::File));
    }
    pages
}

/// The pages of a route.
pub(super) struct ErrorPages(Arc<Fresh<BTreeMap<u16, Page>>>);

struct Page {
    content: Bytes,
    media_type: HeaderValue,
}

impl ErrorPages {
    /// Reads the files of `source`; their media types are by `types`. Files that change are read again within a second; where
    /// one cannot be read then, all stay as they were.
    ///
    /// # Errors
    /// A file cannot be read, or has more than 1 MiB.
    pub(super) fn new(source: &ErrorPagesSource, types: Types) -> io::Result<Self> {
        let (paths, source): (Vec<_>, _) = (source.values().cloned().collect(), source.clone());
        let read = move |(status, path): (&u16, &PathBuf)| {
            let named = |error: io::Error| {
                io::Error::new(error.kind(), format!("{}: {}", path.display(), named_file::told(&error)))
            };
            let content = named_file::read(path, MAX_PAGE).map_err(named)?.into();
            Ok((*status, Page { content, media_type: types.of(path) }))
        };
        Fresh::new(paths, move || source.iter().map(&read).collect()).map(|pages| Self(Arc::new(pages)))
    }

    /// Replaces the content of `response` if there is a page for its status and it `fits`. Does not wait: the page is as it
    /// was last looked at.
    pub(super) fn apply_last(
        &self,
        response: Response<Content>,
        fits: impl Fn(&Content) -> bool,
    ) -> Response<Content> {
        if response.status().as_u16() < 400 { response } else { put(&self.0.last(), response, fits) }
    }

    /// Replaces the content of `response` if there is a page for its status and it `fits`. Cancel safe.
    pub(super) async fn apply(
        &self,
        response: Response<Content>,
        fits: impl Fn(&Content) -> bool,
    ) -> Response<Content> {
        if response.status().as_u16() < 400 { response } else { put(&*self.0.get().await, response, fits) }
    }
}

/// Puts a page into `response`, whole whatever was asked for: ranges and conditions are about what is not there. The status
/// and the fields that explain it stay (Allow, Content-Range, Retry-After).
fn put(
    pages: &BTreeMap<u16, Page>,
    mut response: Response<Content>,
    fits: impl Fn(&Content) -> bool,
) -> Response<Content> {
    let Some(page) = pages.get(&response.status().as_u16()) else { return response };
    let content = Content::text(page.content.clone());
    if !fits(&content) {
        return response;
    }
    let fields = response.headers_mut();
    for name in [ACCEPT_RANGES, CONTENT_ENCODING, ETAG, LAST_MODIFIED] {
        fields.remove(name);
    }
    fields.insert(CONTENT_TYPE, page.media_type.clone());
    fields.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    fields.typed_insert(ContentLength(page.content.len() as u64));
    *response.body_mut() = content;
    response
}
