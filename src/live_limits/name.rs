//! The addresses of limits: the paths below `/v1/limits/`.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::budget::ClientKey;
use crate::http::budgets::{
    CLASS, CLASS_CLIENT, CLIENT, ROUTE, ROUTE_CLIENT, SERVER, UPLOAD, UPLOAD_CLASS, UPLOAD_CLASS_CLIENT,
    UPLOAD_CLIENT, UPLOAD_ROUTE, UPLOAD_ROUTE_CLIENT, UPLOAD_SERVER,
};
use crate::http::{LimitName, LimitOf, LimitPart};

/// Percent-encoded in a path segment: everything but unreserved characters (RFC 3986 section 2.3) and the colons of IPv6
/// addresses.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Server,
    /// Of each client without a limit of its own.
    Client,
    Connection,
    /// Of one client.
    Own(ClientKey),
    /// Of a route: of each response, of all together, or of all to one client; and the same of uploads.
    Route(String, Part),
    /// Of a class of clients: of all its responses together, or of each client in it; and the same of uploads.
    Class(String, Part),
    /// Of all uploads.
    UploadServer,
    /// Of the uploads of each client without a limit of its own.
    UploadClient,
    /// Of the uploads of one client.
    UploadOwn(ClientKey),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Response,
    Total,
    Client,
    Upload,
    UploadTotal,
    UploadClient,
}

impl Part {
    /// The pace of each, the limit of all, and that of each client's.
    pub(crate) const OF_RESPONSES: [Self; 3] = [Self::Response, Self::Total, Self::Client];
    pub(crate) const OF_UPLOADS: [Self; 3] = [Self::Upload, Self::UploadTotal, Self::UploadClient];

    pub(crate) fn of_word(word: &str) -> Option<Self> {
        Self::OF_RESPONSES.into_iter().chain(Self::OF_UPLOADS).find(|known| known.word() == word)
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Response => "response",
            Self::Total => "total",
            Self::Client => "client",
            Self::Upload => "upload",
            Self::UploadTotal => "upload-total",
            Self::UploadClient => "upload-client",
        }
    }

    /// The parts that a class has.
    pub(crate) const OF_CLASS: [Self; 4] = [Self::Total, Self::Client, Self::UploadTotal, Self::UploadClient];

    fn shared(self) -> Option<LimitPart> {
        match self {
            Self::Total => Some(LimitPart::Total),
            Self::Client => Some(LimitPart::Client),
            Self::UploadTotal => Some(LimitPart::UploadTotal),
            Self::UploadClient => Some(LimitPart::UploadClient),
            Self::Response | Self::Upload => None,
        }
    }

    fn kind_of_class(self) -> &'static str {
        match self {
            Self::Client => CLASS_CLIENT,
            Self::UploadTotal => UPLOAD_CLASS,
            Self::UploadClient => UPLOAD_CLASS_CLIENT,
            Self::Response | Self::Upload | Self::Total => CLASS,
        }
    }

    /// What it limits of a route, by the names of `held_by`.
    fn kind(self) -> &'static str {
        match self {
            Self::Response => "pace",
            Self::Total => ROUTE,
            Self::Client => ROUTE_CLIENT,
            Self::Upload => UPLOAD,
            Self::UploadTotal => UPLOAD_ROUTE,
            Self::UploadClient => UPLOAD_ROUTE_CLIENT,
        }
    }
}

impl Name {
    /// What it limits, by the names of `held_by`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Server => SERVER,
            Self::Client | Self::Own(_) => CLIENT,
            Self::Connection => "connection_rate",
            Self::Route(_, part) => part.kind(),
            Self::Class(_, part) => part.kind_of_class(),
            Self::UploadServer => UPLOAD_SERVER,
            Self::UploadClient | Self::UploadOwn(_) => UPLOAD_CLIENT,
        }
    }

    /// The words that name it to `sluicegate limits set`.
    pub(crate) fn words(&self) -> String {
        let kind = self.kind().replace('_', "-");
        match self {
            Self::Server | Self::Client | Self::UploadServer | Self::UploadClient => kind,
            Self::Connection => "connection".to_owned(),
            Self::Own(key) | Self::UploadOwn(key) => format!("{kind} {key}"),
            Self::Route(path, Part::Response) => format!("response {path}"),
            Self::Route(of, _) | Self::Class(of, _) => format!("{kind} {of}"),
        }
    }

    /// Whether it may have several rates, which follow one another: it is of each response or upload.
    pub(crate) fn has_rates(&self) -> bool {
        matches!(self, Self::Route(_, Part::Response | Part::Upload))
    }

    /// For one client's limit, that of each client.
    pub(crate) fn of_each(&self) -> Option<Self> {
        match self {
            Self::Own(_) => Some(Self::Client),
            Self::UploadOwn(_) => Some(Self::UploadClient),
            _ => None,
        }
    }

    /// The name of a limit that responses or uploads share, as a schedule has it; `None` for others.
    pub(crate) fn shared(&self) -> Option<LimitName> {
        let (of, part) = match self {
            Self::Server => (LimitOf::Server, LimitPart::Total),
            Self::Client => (LimitOf::Server, LimitPart::Client),
            Self::UploadServer => (LimitOf::Server, LimitPart::UploadTotal),
            Self::UploadClient => (LimitOf::Server, LimitPart::UploadClient),
            Self::Class(name, part) => (LimitOf::Class(name.clone()), part.shared()?),
            Self::Route(name, part) => (LimitOf::Route(name.clone()), part.shared()?),
            Self::Connection | Self::Own(_) | Self::UploadOwn(_) => return None,
        };
        Some(LimitName { of, part })
    }

    /// Whether it has a weight beside others of its kind.
    pub(crate) fn is_weighted(&self) -> bool {
        use Name::{Class, Client, Own, Route, UploadClient, UploadOwn};
        matches!(
            self,
            Client
                | Own(_)
                | UploadClient
                | UploadOwn(_)
                | Class(..)
                | Route(_, Part::Client | Part::UploadClient)
        )
    }
}

/// The path of the limit.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = |key: &ClientKey| utf8_percent_encode(&key.to_string(), SEGMENT).to_string();
        match self {
            Self::UploadServer => f.write_str("/v1/limits/uploads/server"),
            Self::UploadClient => f.write_str("/v1/limits/uploads/client"),
            Self::UploadOwn(key) => write!(f, "/v1/limits/uploads/clients/{}", own(key)),
            Self::Server => f.write_str("/v1/limits/server"),
            Self::Client => f.write_str("/v1/limits/client"),
            Self::Connection => f.write_str("/v1/limits/connection"),
            Self::Own(key) => write!(f, "/v1/limits/clients/{}", own(key)),
            Self::Class(name, part) => write!(f, "/v1/limits/classes/{name}/{}", part.word()),
            Self::Route(path, part) => {
                write!(f, "/v1/limits/routes/{}/{}", utf8_percent_encode(path, SEGMENT), part.word())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limits_address_is_one_path_whatever_it_is_of() {
        for (name, expected) in [
            (
                Name::Own(ClientKey::address("2001:db8::1".parse().unwrap())),
                "/v1/limits/clients/2001:db8::%2F64",
            ),
            (Name::Own(ClientKey::address("192.0.2.1".parse().unwrap())), "/v1/limits/clients/192.0.2.1"),
            (Name::Route("/".to_owned(), Part::Response), "/v1/limits/routes/%2F/response"),
            (Name::Route("/a b/?é".to_owned(), Part::Total), "/v1/limits/routes/%2Fa%20b%2F%3F%C3%A9/total"),
            (Name::Class("vip".to_owned(), Part::UploadTotal), "/v1/limits/classes/vip/upload-total"),
            (Name::Route("/..".to_owned(), Part::Client), "/v1/limits/routes/%2F../client"),
        ] {
            assert_eq!(name.to_string(), expected);
        }
    }
}
