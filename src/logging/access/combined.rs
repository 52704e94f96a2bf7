//! Access log lines in the combined format of Apache and nginx, escaped as nginx does.

use std::io::Write;
use std::time::SystemTime;

use http::Version;

use super::{AccessLine, Answered, Subject};
use crate::logging::render;

/// The status of nginx for a client that left before the response.
const CLIENT_LEFT: u16 = 499;

/// Appends the line without its end.
///
/// A stream of raw TCP is no request: its line has the port's name in the request's place, and status 200, or 499 if the
/// stream broke off.
pub(super) fn write(line: &AccessLine<'_>, out: &mut Vec<u8>) {
    // Writing to a vector does not fail.
    let _ = match line.ip {
        Some(ip) => write!(out, "{}", ip.to_canonical()),
        None => write!(out, "unix:"),
    };
    out.extend_from_slice(b" - - [");
    time(line.time, out);
    out.extend_from_slice(b"] \"");
    let (status, referer, user_agent) = match &line.subject {
        Subject::Response(answered) => {
            request(answered, out);
            let status = if answered.status == 0 { CLIENT_LEFT } else { answered.status };
            (status, answered.referer, answered.user_agent)
        }
        Subject::Stream(port) => {
            escape(port, out);
            (if line.outcome == "complete" { 200 } else { CLIENT_LEFT }, "", "")
        }
    };
    let _ = write!(out, "\" {status} {} \"", line.bytes);
    or_dash(referer, out);
    out.extend_from_slice(b"\" \"");
    or_dash(user_agent, out);
    out.push(b'"');
}

fn request(answered: &Answered<'_>, out: &mut Vec<u8>) {
    if answered.method.as_str() == "-" {
        // No request line could be read.
        out.push(b'-');
        return;
    }
    escape(answered.method.as_str(), out);
    out.push(b' ');
    escape(answered.target, out);
    let version: &[u8] = match answered.version {
        Version::HTTP_10 => b" HTTP/1.0",
        Version::HTTP_2 => b" HTTP/2.0",
        _ => b" HTTP/1.1",
    };
    out.extend_from_slice(version);
}

/// The time in UTC: `29/Nov/2026:02:24:26 +0000`.
fn time(time: SystemTime, out: &mut Vec<u8>) {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    // 2026-11-29T02:24:26.123Z
    let mut text = [0; 32];
    let _ = write!(&mut text[..], "{}", render::rfc3339(time));
    let month = usize::from(text[5] & 0xf) * 10 + usize::from(text[6] & 0xf);
    out.extend_from_slice(&text[8..10]);
    let _ = write!(out, "/{}/", MONTHS.get(month.wrapping_sub(1)).unwrap_or(&"-"));
    out.extend_from_slice(&text[..4]);
    out.push(b':');
    out.extend_from_slice(&text[11..19]);
    out.extend_from_slice(b" +0000");
}

fn or_dash(text: &str, out: &mut Vec<u8>) {
    escape(if text.is_empty() { "-" } else { text }, out);
}

/// Appends a text so that it can end neither its quotes nor its line: `"`, `\` and what is not printable ASCII as `\xHH`.
fn escape(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' | ..=0x1f | 0x7f.. => {
                let _ = write!(out, "\\x{byte:02X}");
            }
            byte => out.push(byte),
        }
    }
}
