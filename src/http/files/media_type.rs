//! Which media type a file has, by its name.

use std::collections::HashMap;
use std::path::Path;

use http::HeaderValue;

/// Types of what is streamed in segments (RFC 8216, MPEG-TS, CMAF), which the table of names lacks or has by others:
/// a player that is told another refuses them.
const STREAMED: [(&str, &str); 3] =
    [("ts", "video/mp2t"), ("m3u8", "application/vnd.apple.mpegurl"), ("m4s", "video/iso.segment")];

/// The media types of one's own, by extensions in small letters; and those that are known anyway.
#[derive(Clone, Debug, Default)]
pub(in crate::http) struct Types(HashMap<String, HeaderValue>);

impl Types {
    /// Gives names that end in a dot and `extension`, in whatever letters, another type. Text is said to be UTF-8
    /// unless `media_type` has a parameter. What cannot stand in a field changes nothing.
    pub(in crate::http) fn insert(&mut self, extension: &str, media_type: &str) {
        let value =
            if media_type.contains(';') { media_type.parse().ok() } else { Some(described(media_type)) };
        if let Some(value) = value {
            self.0.insert(extension.to_ascii_lowercase(), value);
        }
    }

    /// The media type by the name's extension; `application/octet-stream` for what is unknown.
    ///
    /// Text, and what browsers read as text, is said to be UTF-8: a file in another encoding should say
    /// so by itself, or be converted.
    pub(in crate::http) fn of(&self, path: &Path) -> HeaderValue {
        let extension = path.extension().and_then(|extension| extension.to_str());
        if let Some(extension) = extension {
            let own = (!self.0.is_empty()).then(|| self.0.get(&extension.to_ascii_lowercase())).flatten();
            let streamed = || STREAMED.iter().find(|(name, _)| extension.eq_ignore_ascii_case(name));
            match own {
                Some(own) => return own.clone(),
                None => {
                    if let Some((_, name)) = streamed() {
                        return HeaderValue::from_static(name);
                    }
                }
            }
        }
        match mime_guess::from_path(path).first_raw() {
            Some(name) if !is_text(name) => HeaderValue::from_static(name),
            Some(name) => described(name),
            None => OCTETS,
        }
    }
}

const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// The value of a field with this type, and with its encoding if it is text.
fn described(name: &str) -> HeaderValue {
    let value = if is_text(name) { format!("{name}; charset=utf-8").parse() } else { name.parse() };
    // A media type is made of visible ASCII characters.
    value.unwrap_or(OCTETS)
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
            ("x.ts", "video/mp2t"),
            ("live/SEG.TS", "video/mp2t"),
            ("x.m3u8", "application/vnd.apple.mpegurl"),
            ("x.m4s", "video/iso.segment"),
            ("x.mpd", "application/dash+xml; charset=utf-8"),
            ("x.mp4", "video/mp4"),
            ("ts", "application/octet-stream"),
            (".ts", "application/octet-stream"),
            ("README", "application/octet-stream"),
            ("x.unheard-of", "application/octet-stream"),
        ] {
            assert_eq!(Types::default().of(Path::new(name)), expected, "{name}");
        }
    }

    #[test]
    fn types_of_ones_own_come_first() {
        let mut types = Types::default();
        for (extension, name) in [
            ("ts", "text/x-typescript"),
            ("GPX", "application/gpx+xml"),
            ("log", "text/plain; charset=iso-8859-1"),
            ("bin", "application/x-firmware"),
            ("bad", "text/\u{e9};\n"),
        ] {
            types.insert(extension, name);
        }
        for (name, expected) in [
            ("x.ts", "text/x-typescript; charset=utf-8"),
            ("x.Ts", "text/x-typescript; charset=utf-8"),
            ("x.gpx", "application/gpx+xml; charset=utf-8"),
            ("x.log", "text/plain; charset=iso-8859-1"),
            ("x.bin", "application/x-firmware"),
            ("x.bad", "application/octet-stream"),
            ("x.m3u8", "application/vnd.apple.mpegurl"),
            ("x.css", "text/css; charset=utf-8"),
        ] {
            assert_eq!(types.of(Path::new(name)), expected, "{name}");
        }
    }
}
