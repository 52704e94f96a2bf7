//! The page: its files, which are part of the program, and what a browser may do with them.
//!
//! They are the same for everyone and hold nothing of the server; what the page shows it asks of the API. All addresses in them
//! are relative, so that it works under any prefix.

use headers::{ContentLength, HeaderMapExt};
use http::header::{
    ACCEPT, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::http::answer;
use crate::http::content::Content;

/// Below it are all files but the page itself.
const BELOW: &str = "/page/";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Nothing but its own files and the API, nothing inline, and no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";

/// Name, type and text of each file.
const FILES: [(&str, &str, &str); 12] = [
    ("", HTML, include_str!("assets/index.html")),
    ("style.css", "text/css; charset=utf-8", include_str!("assets/style.css")),
    ("icon.svg", "image/svg+xml", include_str!("assets/icon.svg")),
    ("main.js", SCRIPT, include_str!("assets/main.js")),
    ("api.js", SCRIPT, include_str!("assets/api.js")),
    ("detail.js", SCRIPT, include_str!("assets/detail.js")),
    ("format.js", SCRIPT, include_str!("assets/format.js")),
    ("history.js", SCRIPT, include_str!("assets/history.js")),
    ("river.js", SCRIPT, include_str!("assets/river.js")),
    ("shares.js", SCRIPT, include_str!("assets/shares.js")),
    ("stream.js", SCRIPT, include_str!("assets/stream.js")),
    ("tables.js", SCRIPT, include_str!("assets/tables.js")),
];

/// The file at `path`; the page itself for who asks for HTML.
pub(super) fn file(path: &str, fields: &HeaderMap) -> Option<Response<Content>> {
    let name = if path == "/" {
        prefers_html(fields).then_some("")?
    } else {
        path.strip_prefix(BELOW).filter(|name| !name.is_empty())?
    };
    let (_, kind, text) = FILES.iter().find(|(known, ..)| *known == name)?;
    let mut response = answer::empty(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    for policy in ["cross-origin-opener-policy", "cross-origin-resource-policy"] {
        headers.insert(HeaderName::from_static(policy), HeaderValue::from_static("same-origin"));
    }
    headers.insert(VARY, HeaderValue::from_static("accept"));
    headers.typed_insert(ContentLength(text.len() as u64));
    *response.body_mut() = Content::text(*text);
    Some(response)
}

/// Whether a browser asks for a page: other programs get the list of addresses as text.
fn prefers_html(fields: &HeaderMap) -> bool {
    let accepts = |value: &HeaderValue| value.to_str().is_ok_and(|text| text.contains("text/html"));
    fields.get_all(ACCEPT).iter().any(accepts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_by_name_and_the_page_by_accept() {
        let (mut browser, program) = (HeaderMap::new(), HeaderMap::new());
        browser.insert(ACCEPT, HeaderValue::from_static("text/html,application/xhtml+xml,*/*;q=0.8"));
        for (path, fields, expected) in [
            ("/", &browser, Some(HTML)),
            ("/", &program, None),
            ("/page/main.js", &program, Some(SCRIPT)),
            ("/page/style.css", &program, Some("text/css; charset=utf-8")),
            ("/page/", &browser, None),
            ("/page", &browser, None),
            ("/page/none.js", &browser, None),
            ("/page/../main.js", &browser, None),
            ("/main.js", &browser, None),
        ] {
            let kind = file(path, fields).map(|response| response.headers()[CONTENT_TYPE].clone());
            assert_eq!(kind.as_ref().map(|kind| kind.to_str().unwrap()), expected, "{path}");
        }
    }

    #[test]
    fn nothing_is_inline_and_nothing_is_asked_of_anybody_else() {
        for (name, kind, text) in FILES {
            for foreign in [
                "http://",
                "https://",
                "//cdn",
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "eval(",
                "document.write",
            ] {
                let text = text.replace("http://www.w3.org/2000/svg", "");
                assert!(!text.contains(foreign), "{name} has {foreign}");
            }
            assert!(
                kind != HTML
                    || !text.contains("style=") && !text.contains("<style") && !text.contains("<script>"),
                "{name}"
            );
            for used in
                text.split(['"', '\'']).filter(|part| part.starts_with("./") || part.starts_with("page/"))
            {
                let used = used.trim_start_matches("./").trim_start_matches("page/");
                assert!(
                    FILES.iter().any(|(known, ..)| *known == used),
                    "{name} names {used}, which is not served"
                );
            }
        }
    }
}
