//! Which media type a file has, by its name.

use std::path::Path;

use http::HeaderValue;

/// The media type by the name's extension; `application/octet-stream` for what is unknown.
///
/// Text, and what browsers read as text, is said to be UTF-8: a file in another encoding should say
/// so by itself, or be converted.
pub(super) fn of(path: &Path) -> HeaderValue {
    let Some(name) = mime_guess::from_path(path).first_raw() else {
        return HeaderValue::from_static("application/octet-stream");
    };
    if is_text(name) {
        // A media type from a table is made of visible ASCII characters.
        format!("{name}; charset=utf-8").parse().unwrap_or(HeaderValue::from_static(name))
    } else {
        HeaderValue::from_static(name)
    }
}

fn is_text(name: &str) -> bool {
    name.starts_with("text/")
        || name.ends_with("+xml")
        || name.ends_with("+json")
        || matches!(
            name,
            "application/javascript" | "application/json" | "application/xml" | "application/ecmascript"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_charsets() {
        for (name, expected) in [
            ("index.html", "text/html; charset=utf-8"),
            ("a/b.CSS", "text/css; charset=utf-8"),
            ("app.log", "text/plain; charset=utf-8"),
            ("x.js", "text/javascript; charset=utf-8"),
            ("x.mjs", "application/javascript; charset=utf-8"),
            ("x.json", "application/json; charset=utf-8"),
            ("x.xml", "text/xml; charset=utf-8"),
            ("x.svg", "image/svg+xml; charset=utf-8"),
            ("x.png", "image/png"),
            ("x.woff2", "font/woff2"),
            ("x.wasm", "application/wasm"),
            ("x.tar.gz", "application/gzip"),
            ("README", "application/octet-stream"),
            ("x.unheard-of", "application/octet-stream"),
        ] {
            assert_eq!(of(Path::new(name)), expected, "{name}");
        }
    }
}
