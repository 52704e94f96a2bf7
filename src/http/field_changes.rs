//! Header fields that a route sets, adds and removes.

use std::collections::BTreeSet;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::http1::{is_alike, is_of_connection};
use crate::keys::{Keys, Place, Value};
use crate::words::shorten;

/// Which message the fields are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// A response to a client.
    Response,
    /// A request to a backend.
    Request,
}

/// Changes of a message's fields: some are removed, then some set, then some added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldChanges {
    remove: Vec<HeaderName>,
    set: Vec<(HeaderName, HeaderValue)>,
    add: Vec<(HeaderName, HeaderValue)>,
}

impl FieldChanges {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }

    /// Changes `fields`.
    pub(crate) fn apply(&self, fields: &mut HeaderMap) {
        for name in &self.remove {
            fields.remove(name);
        }
        for (name, value) in &self.set {
            fields.insert(name, value.clone());
        }
        for (name, value) in &self.add {
            fields.append(name, value.clone());
        }
    }

    /// Reads the tables `set` and `add` and the list `remove` of `keys`.
    pub(crate) fn read(keys: &Keys<'_>, side: Side) -> Self {
        let mut changes = Self::default();
        for (at, name) in keys.list::<String>("remove").unwrap_or_default() {
            match field_name(&name, side) {
                Ok(name) => changes.remove.push(name),
                Err(why) => keys.fault_at(at, "remove", why),
            }
        }
        let mut given: BTreeSet<String> =
            changes.remove.iter().map(|name| name.as_str().to_owned()).collect();
        for (key, into) in [("set", &mut changes.set), ("add", &mut changes.add)] {
            for entry in keys.table(key, " such as { X-Robots-Tag = \"noindex\" }").all() {
                let fault = |at: &Place, why: String| keys.fault_at(at.clone(), key, why);
                let name = match field_name(&entry.name, side) {
                    Ok(name) => name,
                    Err(why) => {
                        fault(&entry.at, why);
                        continue;
                    }
                };
                // Added to what a backend sends, or set in its place: not both.
                if !given.insert(name.as_str().to_owned()) {
                    fault(
                        &entry.at,
                        format!("{name} stands here twice, in set, add or remove; leave one out"),
                    );
                }
                let values = match &entry.node.value {
                    Value::List(values) if key == "add" => values.iter().collect(),
                    _ => vec![&entry.node],
                };
                for node in values {
                    match &node.value {
                        Value::Text(text) => match field_value(text) {
                            Ok(value) => into.push((name.clone(), value)),
                            Err(why) => fault(&node.at, why),
                        },
                        other => fault(&node.at, format!("invalid type: {other}, expected a string")),
                    }
                }
            }
        }
        changes
    }
}

/// Reads the name of a field that a route may change.
fn field_name(text: &str, side: Side) -> Result<HeaderName, String> {
    let shown = shorten(text);
    let name: HeaderName = text
        .parse()
        .map_err(|_| format!("{shown:?} is not the name of a field; write one such as X-Robots-Tag"))?;
    // Programs behind CGI and WSGI take one spelling for the other.
    let is = |field: &str| is_alike(name.as_str(), field);
    if is_of_connection(name.as_str()) || is("content-range") || is("date") {
        return Err(format!(
            "{shown} frames messages or is for one connection, and the server's own; leave it out"
        ));
    }
    match side {
        Side::Request if is("host") => Err(format!("{shown} is what upstream_host sets; set that")),
        Side::Request if is("expect") || is("max-forwards") => {
            Err(format!("{shown} is met by this server and not passed on; leave it out"))
        }
        _ => Ok(name),
    }
}

/// Reads the value of a field (RFC 9110, section 5.5).
fn field_value(text: &str) -> Result<HeaderValue, String> {
    let bad = |why: &str| format!("{:?} is not the value of a field: {why}", shorten(text));
    if text.trim_matches([' ', '\t']).len() != text.len() {
        return Err(bad("it begins or ends with a space"));
    }
    let value = HeaderValue::from_str(text).ok().filter(|_| text.is_ascii());
    value.ok_or_else(|| bad("it has a line break, or a character that is not of ASCII"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Absent, Draft, Reading};
    use http::header::SET_COOKIE;

    fn read(text: &str, side: Side) -> Result<FieldChanges, String> {
        let draft = Draft::from_toml(text, "f", "");
        let reading = Reading::new(&draft, Absent::Unchecked);
        let changes = FieldChanges::read(&Keys::top(&reading), side);
        reading.finish().map_err(|error| error.to_string())?;
        Ok(changes)
    }

    #[test]
    fn fields_are_removed_then_set_then_added() {
        let changes = read(
            "remove = ['Server', 'x-gone']\nset = { X-A = 'new', X-Empty = '' }\nadd.set-cookie = ['a=1', 'b=2']\nadd.Vary = 'Origin'",
            Side::Response,
        )
        .unwrap();
        let mut fields: HeaderMap =
            [("server", "b/1"), ("x-a", "old"), ("set-cookie", "c=3"), ("x-kept", "1")]
                .into_iter()
                .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_static(value)))
                .collect();
        fields.append("x-a", HeaderValue::from_static("older"));
        changes.apply(&mut fields);
        let all: Vec<_> = fields.get_all(SET_COOKIE).iter().collect();
        assert_eq!(all, ["c=3", "a=1", "b=2"]);
        assert_eq!(fields.get_all("x-a").iter().collect::<Vec<_>>(), ["new"]);
        assert_eq!(
            (&fields["x-empty"], &fields["vary"], &fields["x-kept"]),
            (
                &HeaderValue::from_static(""),
                &HeaderValue::from_static("Origin"),
                &HeaderValue::from_static("1")
            )
        );
        assert!(!fields.contains_key("server"));
        assert!(FieldChanges::default().is_empty() && !changes.is_empty());
    }

    #[test]
    fn framing_hosts_and_what_no_field_can_have_are_refused_with_the_reason() {
        for name in [
            "connection",
            "content-length",
            "content-range",
            "http2-settings",
            "keep-alive",
            "proxy-authenticate",
            "proxy-authentication-info",
            "proxy-authorization",
            "proxy-connection",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "date",
        ] {
            for side in [Side::Response, Side::Request] {
                for text in [
                    format!("set.{name} = '1'"),
                    format!("add.{} = '1'", name.replace('-', "_")),
                    format!("remove = '{}'", name.to_uppercase()),
                ] {
                    assert!(
                        read(&text, side).unwrap_err().contains("the server's own; leave it out"),
                        "{text}"
                    );
                }
            }
        }
        for (side, text, why) in [
            (Side::Request, "set.Host = 'a'", "Host is what upstream_host sets"),
            (Side::Request, "remove = ['host']", "is what upstream_host sets"),
            (Side::Request, "set.Expect = 'a'", "is met by this server"),
            (Side::Response, "set.X-A = \"a\\r\\nSet-Cookie: b\"", "it has a line break"),
            (Side::Response, "set.X-A = '\u{fc}'", "not of ASCII"),
            (Side::Response, "set.X-A = ' a'", "begins or ends with a space"),
            (Side::Response, "set.'X A' = 'a'", "is not the name of a field"),
            (Side::Response, "set.'' = 'a'", "is not the name of a field"),
            (Side::Response, "set.X-A = 5", "expected a string"),
            (Side::Response, "set.X-A = ['a']", "expected a string"),
            (Side::Response, "set.X-A = 'a'\nadd.x-a = 'b'", "stands here twice"),
            (Side::Response, "remove = 'x-a'\nadd.x-a = 'b'", "stands here twice"),
            (Side::Response, "replace.X-A = 'a'", "unknown key"),
        ] {
            let error = read(text, side).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert!(read("set.Host = 'a'", Side::Response).is_ok());
    }
}
