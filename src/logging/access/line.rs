//! What a line of the access log says.

use std::fmt::{Arguments, Display};
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use http::{Method, Version};
use log::kv::{Error, Key, Source, Value, VisitSource};

use crate::limit::RateOrOff;

/// A response or stream that ended.
pub(crate) struct AccessLine<'a> {
    pub(crate) time: SystemTime,
    pub(crate) client: &'a dyn Display,
    /// The client's address without its port; `None` on a Unix socket.
    pub(crate) ip: Option<IpAddr>,
    pub(crate) peer: &'a dyn Display,
    pub(crate) connection: u64,
    /// Fingerprint of the header that identifies the client.
    pub(crate) key: Option<&'a dyn Display>,
    /// The class of the client.
    pub(crate) class: Option<&'a str>,
    /// Version of TLS.
    pub(crate) tls: Option<&'static str>,
    pub(crate) subject: Subject<'a>,
    /// Bytes of content that the client was sent.
    pub(crate) bytes: u64,
    /// Bytes of content from the client.
    pub(crate) bytes_up: Option<u64>,
    /// Of the request's content: the pace that was set, and the bytes per second that were had.
    pub(crate) up_pace: Option<(RateOrOff, u64)>,
    pub(crate) lasted: Duration,
    /// From the request's head to the head of the response.
    pub(crate) first_byte: Option<Duration>,
    /// The rule of the route's pace that held when the response began, by its name or number.
    pub(crate) rule: Option<&'a str>,
    /// The rule that held when the request's content began.
    pub(crate) rule_up: Option<&'a str>,
    pub(crate) rate: RateOrOff,
    pub(crate) bytes_per_second: u64,
    pub(crate) held_by: &'a str,
    pub(crate) outcome: &'static str,
}

/// What ended.
pub(crate) enum Subject<'a> {
    /// A response.
    Response(Answered<'a>),
    /// A stream of the raw TCP port of this name.
    Stream(&'a str),
}

/// A request and the status of its response.
pub(crate) struct Answered<'a> {
    /// `-` if no request line could be read.
    pub(crate) method: &'a Method,
    pub(crate) target: &'a str,
    pub(crate) version: Version,
    /// 0 if the client left before the response.
    pub(crate) status: u16,
    pub(crate) host: &'a str,
    pub(crate) user_agent: &'a str,
    pub(crate) referer: &'a str,
    /// The backend that was asked last; empty if none was.
    pub(crate) upstream: &'a str,
}

impl AccessLine<'_> {
    /// The record's message.
    pub(crate) fn message(&self) -> &'static str {
        match self.subject {
            Subject::Response(_) => "response",
            Subject::Stream(_) => "stream",
        }
    }

    /// Passes it to the program's logger, with target `access`.
    pub(crate) fn log(&self) {
        let pass = |args: Arguments<'_>| {
            let record = log::Record::builder()
                .level(log::Level::Info)
                .target("access")
                .module_path_static(Some(module_path!()))
                .key_values(self)
                .args(args)
                .build();
            log::logger().log(&record);
        };
        if log::log_enabled!(target: "access", log::Level::Info) {
            pass(format_args!("{}", self.message()));
        }
    }
}

/// The fields in their order, without time and message. Texts that are empty are left out.
impl Source for AccessLine<'_> {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn VisitSource<'kvs>) -> Result<(), Error> {
        let mut pair = |name: &'static str, value: Value<'kvs>| visitor.visit_pair(Key::from(name), value);
        pair("client", Value::from_dyn_display(self.client))?;
        pair("peer", Value::from_dyn_display(self.peer))?;
        pair("connection", self.connection.into())?;
        if let Some(key) = self.key {
            pair("key", Value::from_dyn_display(key))?;
        }
        if let Some(class) = self.class {
            pair("class", class.into())?;
        }
        if let Some(tls) = self.tls {
            pair("tls", tls.into())?;
        }
        match &self.subject {
            Subject::Response(answered) => {
                pair("method", answered.method.as_str().into())?;
                pair("target", answered.target.into())?;
                pair("version", Value::from_debug(&answered.version))?;
                let texts = [
                    ("host", answered.host),
                    ("user_agent", answered.user_agent),
                    ("referer", answered.referer),
                    ("upstream", answered.upstream),
                ];
                for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
                    pair(name, text.into())?;
                }
                pair("status", answered.status.into())?;
            }
            Subject::Stream(port) => pair("route", (*port).into())?,
        }
        pair("bytes", self.bytes.into())?;
        if let Some(up) = self.bytes_up {
            pair("bytes_up", up.into())?;
        }
        if let Some((rate, per_second)) = &self.up_pace {
            pair("rate_up_set", Value::from_display(rate))?;
            pair("bytes_up_per_second", (*per_second).into())?;
        }
        if let Some(rule) = self.rule_up {
            pair("rule_up", rule.into())?;
        }
        pair("duration_ms", millis(self.lasted).into())?;
        if let Some(first) = self.first_byte {
            pair("first_byte_ms", millis(first).into())?;
        }
        if let Some(rule) = self.rule {
            pair("rule", rule.into())?;
        }
        pair("rate_set", Value::from_display(&self.rate))?;
        pair("bytes_per_second", self.bytes_per_second.into())?;
        pair("held_by", self.held_by.into())?;
        pair("outcome", self.outcome.into())
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
