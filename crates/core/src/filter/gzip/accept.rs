//! `Accept-Encoding` (RFC 9110 section 12.5.3).

use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

use crate::filter::weight_of;

/// Whether the client accepts gzip and does not prefer uncoded content.
///
/// `gzip;q=0` forbids it, `*` stands for codings that are not listed, and a listed `identity` of higher weight is preferred.
/// An invalid weight or no field at all means uncoded content, which every client reads.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut identity, mut any) = (None, None, None);
    for value in headers.get_all(ACCEPT_ENCODING) {
        // Bytes that are not ASCII make one member unknown, not the whole line.
        let list = String::from_utf8_lossy(value.as_bytes());
        for item in list.split(',') {
            let mut parts = item.split(';').map(str::trim);
            let coding = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = weight_of(parts);
            let seen = match coding.as_str() {
                "gzip" | "x-gzip" => &mut gzip,
                "identity" => &mut identity,
                "*" => &mut any,
                _ => continue,
            };
            *seen = Some(seen.map_or(weight, |other: u16| other.max(weight)));
        }
    }
    let gzip = gzip.or(any).unwrap_or(0);
    gzip > 0 && gzip >= identity.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn weights_stars_and_old_names() {
        let table: [(&[&'static str], bool); 24] = [
            (&[], false),
            (&[""], false),
            (&["gzip"], true),
            (&["GZip"], true),
            (&["x-gzip"], true),
            (&["deflate, gzip, br"], true),
            (&["deflate", "gzip"], true),
            (&["br"], false),
            (&["identity"], false),
            (&["*"], true),
            (&["*;q=0"], false),
            (&["gzip;q=0"], false),
            (&["gzip;q=0, *"], false),
            (&["gzip;q=0.000"], false),
            (&["gzip;q=0.001"], true),
            (&["gzip ; Q = 1.000"], true),
            (&["gzip;q=1.1"], false),
            (&["gzip;q=often"], false),
            (&["gzip;q=0.0001"], false),
            (&["gzip;q=0.5, identity;q=0.9"], false),
            (&["gzip;q=0.5, identity;q=0.5"], true),
            (&["identity;q=0.5, *;q=0.1"], false),
            (&["identity;q=0, *"], true),
            (&["gzip;level=9;q=0"], false),
        ];
        for (values, takes) in table {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(ACCEPT_ENCODING, HeaderValue::from_static(value));
            }
            assert_eq!(takes_gzip(&headers), takes, "{values:?}");
        }
    }
}
