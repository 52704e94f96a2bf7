//! One log line from the form that femme prints to one that people and programs read.

use std::fmt;
use std::io::Write;
use std::time::{Duration, SystemTime};

use log::Level;
use serde::Serialize;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::Style;

const RESET: &str = "\x1b[0m";
const DIM: &str = "\x1b[2m";

/// Renders a line as femme prints it: `{"level":30,"time":1795279283522,"msg":"reloaded",…}`. What is no such line stays
/// as it is.
pub(super) fn line(line: &[u8], style: Style, out: &mut Vec<u8>) {
    let Some((level, time, rest)) = split(line) else {
        out.extend_from_slice(line);
        return;
    };
    if style == Style::Json {
        head(level, time, out);
        out.extend_from_slice(rest);
        return;
    }
    let mut json = Vec::with_capacity(line.len() + 32);
    head(level, time, &mut json);
    json.extend_from_slice(rest);
    text(&json, style == Style::Coloured, out);
}

/// Level, time, and what comes after the comma behind them.
fn split(line: &[u8]) -> Option<(&'static str, SystemTime, &[u8])> {
    let (level, rest) = number(line.strip_prefix(b"{\"level\":")?)?;
    let (millis, rest) = number(rest.strip_prefix(b",\"time\":")?)?;
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))?;
    let level = match level {
        10 => "trace",
        20 => "debug",
        30 => "info",
        40 => "warn",
        50 => "error",
        _ => return None,
    };
    Some((level, time, rest.strip_prefix(b",")?))
}

fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let len = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let digits = std::str::from_utf8(&text[..len]).ok()?;
    Some((digits.parse().ok()?, &text[len..]))
}

fn head(level: &str, time: SystemTime, out: &mut Vec<u8>) {
    // Writing to a vector does not fail.
    let _ = write!(out, "{{\"time\":\"{}\",\"level\":\"{level}\",", rfc3339(time));
}

/// The time in UTC, with milliseconds.
pub(super) fn rfc3339(time: SystemTime) -> humantime::Rfc3339Timestamp {
    // Formatting panics beyond the year 9999.
    const LAST: Duration = Duration::from_secs(253_402_300_799);
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().min(LAST);
    humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + since)
}

/// A record with a message alone.
pub(super) fn record(level: Level, time: SystemTime, message: &str, out: &mut Vec<u8>) {
    head(&level.as_str().to_ascii_lowercase(), time, out);
    out.extend_from_slice(b"\"msg\":");
    let _ = serde_json::to_writer(&mut *out, message);
    out.push(b'}');
}

/// Adds a field to the record that `out` ends with.
pub(super) fn field(name: &str, value: impl Serialize, out: &mut Vec<u8>) {
    out.pop();
    let _ = write!(out, ",\"{name}\":");
    let _ = serde_json::to_writer(&mut *out, &value);
    out.push(b'}');
}

/// Renders a line of JSON as text: `2026-11-29T02:24:26.123Z  INFO reloaded changes="nothing changed"`. Control characters
/// are escaped, and so are those that change the direction of text.
pub(super) fn text(json: &[u8], coloured: bool, out: &mut Vec<u8>) {
    let Ok(Fields(fields)) = serde_json::from_slice(json) else {
        out.extend_from_slice(json);
        return;
    };
    let colour = |code: &'static str| if coloured { code } else { "" };
    for (name, value) in fields {
        let _ = match (name.as_str(), value) {
            ("time", Value::String(time)) => {
                write!(out, "{}{time}{}", colour(DIM), colour(RESET))
            }
            ("level", Value::String(level)) => {
                let code = match level.as_str() {
                    "error" => "\x1b[31m",
                    "warn" => "\x1b[33m",
                    "info" => "\x1b[32m",
                    _ => DIM,
                };
                write!(out, " {}{:>5}{}", colour(code), level.to_ascii_uppercase(), colour(RESET))
            }
            ("msg", Value::String(message)) => write!(out, " {}", Escaped(&message)),
            (name, value) => {
                let _ = write!(out, " {}{}={}", colour(DIM), Escaped(name), colour(RESET));
                match value {
                    Value::String(text) if is_bare(&text) => write!(out, "{text}"),
                    Value::String(text) => write!(out, "\"{}\"", Quoted(&text)),
                    value => write!(out, "{}", Escaped(&value.to_string())),
                }
            }
        };
    }
}

/// Whether a text needs no quotes.
fn is_bare(text: &str) -> bool {
    !text.is_empty()
        && !text.contains(|c: char| is_hidden(c) || c.is_whitespace() || matches!(c, '"' | '\\' | '='))
}

/// Whether a terminal obeys the character instead of showing it: a control, or one that overrides, embeds or isolates a
/// direction (Unicode Bidirectional Algorithm, UAX #9, section 2), by which a client could have a line read as another.
fn is_hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Displays a text with its hidden characters escaped.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match is_hidden(c) {
            true => write!(f, "{}", c.escape_default()),
            false => write!(f, "{c}"),
        })
    }
}

/// Displays a text as it stands between double quotes: quotes and backslashes escaped, and hidden characters.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '"' | '\\' => write!(f, "\\{c}"),
            c if is_hidden(c) => write!(f, "{}", c.escape_default()),
            c => write!(f, "{c}"),
        })
    }
}

/// The fields of an object in their order.
struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    fields.push(pair);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(given: &str, style: Style) -> String {
        let mut out = Vec::new();
        line(given.as_bytes(), style, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_of_the_logger_gets_a_time_and_a_level_that_can_be_read() {
        let given = r#"{"level":40,"time":1795279283522,"msg":"it \"is\" late","by":7,"client":"127.0.0.1:1","why":"a b","odd":"x=\u001b[31m","none":null}"#;
        for (style, expected) in [
            (
                Style::Json,
                r#"{"time":"2026-11-21T16:41:23.522Z","level":"warn","msg":"it \"is\" late","by":7,"client":"127.0.0.1:1","why":"a b","odd":"x=\u001b[31m","none":null}"#,
            ),
            (
                Style::Text,
                r#"2026-11-21T16:41:23.522Z  WARN it "is" late by=7 client=127.0.0.1:1 why="a b" odd="x=\u{1b}[31m" none=null"#,
            ),
        ] {
            assert_eq!(rendered(given, style), expected);
        }
        assert_eq!(
            rendered(r#"{"level":50,"time":0,"msg":"m\nn","a":""}"#, Style::Coloured),
            "\x1b[2m1970-01-01T00:00:00.000Z\x1b[0m \x1b[31mERROR\x1b[0m m\\nn \x1b[2ma=\x1b[0m\"\""
        );
    }

    #[test]
    fn characters_that_change_the_direction_of_text_are_escaped_in_text_and_stay_in_json() {
        for c in ['\u{202a}', '\u{202e}', '\u{2066}', '\u{2069}'] {
            let given =
                format!("{{\"level\":30,\"time\":0,\"msg\":\"m{c}\",\"a\":\"x{c}\",\"n{c}\":[\"{c}\"]}}");
            let shown = c.escape_default();
            let expected =
                format!("1970-01-01T00:00:00.000Z  INFO m{shown} a=\"x{shown}\" n{shown}=[\"{shown}\"]");
            assert_eq!(rendered(&given, Style::Text), expected);
            assert!(rendered(&given, Style::Json).contains(c));
        }
        for c in ['\u{2029}', '\u{202f}', '\u{2065}', '\u{206a}'] {
            assert_eq!(Escaped(&c.to_string()).to_string(), c.to_string());
        }
    }

    #[test]
    fn every_level_has_its_name_and_no_time_is_too_late() {
        for (number, name) in [(10, "trace"), (20, "debug"), (30, "info"), (40, "warn"), (50, "error")] {
            let given = format!("{{\"level\":{number},\"time\":1,\"msg\":\"\"}}");
            let expected =
                format!("{{\"time\":\"1970-01-01T00:00:00.001Z\",\"level\":\"{name}\",\"msg\":\"\"}}");
            assert_eq!(rendered(&given, Style::Json), expected);
        }
        let late = rendered(&format!("{{\"level\":30,\"time\":{},\"msg\":\"\"}}", i64::MAX), Style::Json);
        assert!(late.starts_with("{\"time\":\"9999-12-31T23:59:59"), "{late}");
    }

    #[test]
    fn what_is_no_line_of_the_logger_stays_as_it_is() {
        for given in [
            "",
            "plain",
            "{\"level\":31,\"time\":1,\"msg\":\"\"}",
            "{\"level\":30,\"time\":99999999999999999999,\"msg\":\"\"}",
            "{\"level\":30}",
        ] {
            for style in [Style::Json, Style::Text, Style::Coloured] {
                assert_eq!(rendered(given, style), given);
            }
        }
        assert_eq!(
            rendered("{\"level\":30,\"time\":1,\"msg\":", Style::Text),
            "{\"time\":\"1970-01-01T00:00:00.001Z\",\"level\":\"info\",\"msg\":",
            "cut off"
        );
    }

    #[test]
    fn a_record_is_one_line_of_json() {
        let mut out = Vec::new();
        record(Level::Info, SystemTime::UNIX_EPOCH, "a\n\"b\"", &mut out);
        let expected = r#"{"time":"1970-01-01T00:00:00.000Z","level":"info","msg":"a\n\"b\""}"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
