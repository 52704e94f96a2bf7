//! What `[[class]]` says: who is in a class of clients, and what its clients may have.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use http::{HeaderName, Method};

use super::known_keys::SecretKey;
use crate::address::Network;
use crate::budget::ClientKey;
use crate::http::limits::SharedLimits;
use crate::http::route::{MethodName, PathPattern, glob};
use crate::keys::{Entry, Keys, LIMIT_EXAMPLE, PathKind, Value};
use crate::limit::{Budget, Weight};
use crate::words::shorten;

/// The most classes.
const MAX_CLASSES: usize = 256;

/// A class of clients.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassSettings {
    /// Its name, by which rules, lists, logs and metrics call it.
    pub name: ClassName,
    /// Who is in it.
    pub matches: ClassMatch,
    /// Who is not, of those: whoever meets one of these conditions.
    pub except: ClassMatch,
    /// Whether no value of its headers but known keys tells clients apart, in this class and outside.
    pub required: bool,
    /// What its clients may have.
    pub limits: ClassLimits,
}

/// Limits of a class. The weight of a total is the share of the class beside others and clients without a class.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClassLimits {
    /// All responses to its clients together.
    pub total: Budget,
    /// The responses to each client in it.
    pub client: Budget,
    /// All that its clients send together.
    pub upload_total: Budget,
    /// What each client in it sends.
    pub upload_client: Budget,
}

/// Conditions on a client and its request. All that are given must hold; of a list one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClassMatch {
    /// Networks of the client's address.
    pub network: Vec<Network>,
    /// Fields of the request, with the keys that are known.
    pub header: Vec<HeaderKeys>,
    /// The certificate that the client showed.
    pub certificate: Vec<CertificateId>,
    /// Paths of requests.
    pub path: Vec<PathPattern>,
    /// Methods.
    pub method: Vec<Method>,
    /// Programs that clients say they are.
    pub user_agent: Vec<TextPattern>,
}

impl ClassMatch {
    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A field that carries a key.
#[derive(Clone, Debug, PartialEq)]
pub struct HeaderKeys {
    /// Its name.
    pub name: HeaderName,
    /// The keys that are known.
    pub keys: KeySet,
}

/// Keys that are known.
#[derive(Clone, Debug, PartialEq)]
pub enum KeySet {
    /// These.
    Listed(Vec<SecretKey>),
    /// Those of a file, one on each line.
    File(PathBuf),
}

/// Which certificate is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateId {
    /// Any that was verified.
    Any,
    /// The one with this SHA-256.
    Fingerprint(ClientKey),
    /// Those with this name.
    Name(String),
}

impl fmt::Display for CertificateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Fingerprint(key) => key.fmt(f),
            Self::Name(name) => f.write_str(&shorten(name)),
        }
    }
}

impl fmt::Display for TextPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

caused_error! {
    /// Why a text is no certificate or pattern of a class. Says what to write.
    ClassMatchError {
        /// Whether it is empty.
        is_empty: empty,
        /// Whether it has more than 256 bytes.
        is_too_long: too_long,
    }
}

impl FromStr for CertificateId {
    type Err = ClassMatchError;

    fn from_str(text: &str) -> Result<Self, ClassMatchError> {
        match text {
            "" => Err(ClassMatchError::empty("it is empty; write a name, a SHA-256 in hex, or *")),
            "*" => Ok(Self::Any),
            text => {
                Ok(ClientKey::certificate(text)
                    .map_or_else(|| Self::Name(text.to_owned()), Self::Fingerprint))
            }
        }
    }
}

/// A text in which each `*` stands for any characters, whatever the case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextPattern(String);

impl TextPattern {
    /// Whether it fits a text in lower case.
    pub(super) fn matches(&self, lower: &str) -> bool {
        glob(&self.0, lower)
    }
}

impl FromStr for TextPattern {
    type Err = ClassMatchError;

    fn from_str(text: &str) -> Result<Self, ClassMatchError> {
        let wrong = || format!("{:?} is not a text of 1 to 256 bytes", shorten(text));
        match text.len() {
            0 => Err(ClassMatchError::empty(wrong())),
            1..=256 => Ok(Self(text.to_ascii_lowercase())),
            _ => Err(ClassMatchError::too_long(wrong())),
        }
    }
}

/// The name of a class: 1 to 64 letters, digits, `-` and `_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClassName(String);

impl ClassName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

text_error! {
    /// Why a text is no name of a class. Says what to write.
    ClassNameError
}

impl FromStr for ClassName {
    type Err = ClassNameError;

    fn from_str(text: &str) -> Result<Self, ClassNameError> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if text.is_empty() || text.len() > 64 || !text.bytes().all(is_plain) {
            let text = shorten(text);
            return Err(ClassNameError(format!(
                "{text:?} is not a name of 1 to 64 letters, digits, - and _"
            )));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ClassName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The keys of conditions.
const CONDITIONS: [&str; 6] = ["network", "header", "certificate", "path", "method", "user_agent"];

impl ClassSettings {
    /// Reads all `[[class]]`. Where one has no limit for each of its clients, that of `shared` holds for each of them.
    pub(crate) fn read_all(keys: &Keys<'_>, shared: &SharedLimits) -> Vec<Self> {
        let tables = keys.tables("class");
        if tables.len() > MAX_CLASSES {
            keys.fault("class", format!("there are more than {MAX_CLASSES}; leave some out"));
        }
        let mut classes: Vec<Self> = Vec::new();
        for class in tables {
            match Self::read(class, shared, &classes) {
                Some(class) => classes.push(class),
                None => keys.fail("class"),
            }
        }
        classes
    }

    fn read(keys: Keys<'_>, shared: &SharedLimits, above: &[Self]) -> Option<Self> {
        keys.require("name");
        let name: Option<ClassName> = keys.parse("name");
        if let Some(name) = name.as_ref().filter(|name| above.iter().any(|class| class.name == **name)) {
            keys.fault("name", format!("a [[class]] {:?} stands above already; rename one", name.as_str()));
        }
        let keys = match &name {
            Some(name) => keys.named(format!("[[class]] {:?}", name.as_str())),
            None => keys,
        };
        keys.require("match");
        let table = keys.table("match", " such as { network = \"10.0.0.0/8\" }");
        let matches = ClassMatch::read(&table);
        let not = table.table("not", " such as { path = \"/public/*\" }");
        let except = ClassMatch::read(&not);
        let failed = |table: &Keys<'_>| table.failed(&CONDITIONS);
        if keys.has("match") && matches.is_empty() && except.is_empty() && !failed(&table) && !failed(&not) {
            keys.fault("match", "it asks nothing; write a condition, such as network = \"10.0.0.0/8\"");
        }
        let required = keys.switch("required").unwrap_or_default();
        if required && matches.header.is_empty() && !failed(&table) {
            keys.fault("required", "it is about keys in a header, and match has none; leave it out");
        }
        let limits =
            ClassLimits::read(&keys.table("limits", " such as { client = { rate = \"10m\" } }"), shared);
        Some(Self { name: name?, matches, except, required, limits })
    }
}

/// The conditions as they are written; keys are only counted.
impl fmt::Display for ClassMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list<T: fmt::Display>(all: &mut Vec<String>, name: &str, values: &[T]) {
            if !values.is_empty() {
                let values: Vec<String> = values.iter().map(ToString::to_string).collect();
                all.push(format!("{name} {}", values.join(" or ")));
            }
        }
        let mut all = Vec::new();
        list(&mut all, "network", &self.network);
        for HeaderKeys { name, keys } in &self.header {
            all.push(match keys {
                KeySet::Listed(keys) if keys.len() == 1 => format!("header {name} with one key"),
                KeySet::Listed(keys) => format!("header {name} with one of {} keys", keys.len()),
                KeySet::File(path) => format!("header {name} with a key of {}", path.display()),
            });
        }
        list(&mut all, "certificate", &self.certificate);
        list(&mut all, "path", &self.path);
        list(&mut all, "method", &self.method);
        list(&mut all, "user agent", &self.user_agent);
        f.write_str(&all.join(", "))
    }
}

impl ClassMatch {
    fn read(keys: &Keys<'_>) -> Self {
        let methods: Vec<MethodName> = keys.values("method").unwrap_or_default();
        let read = Self {
            network: keys.values("network").unwrap_or_default(),
            header: read_headers(&keys.secret_table("header", " such as { x-api-key = [\"…\"] }")),
            certificate: keys.values("certificate").unwrap_or_default(),
            path: keys.values("path").unwrap_or_default(),
            method: methods.into_iter().map(|method| method.0).collect(),
            user_agent: keys.values("user_agent").unwrap_or_default(),
        };
        if !read.certificate.is_empty() && cfg!(not(feature = "tls")) {
            keys.fault("certificate", "this build has no TLS: build it with the feature tls");
        }
        let empty = [
            ("network", read.network.is_empty()),
            ("header", read.header.is_empty()),
            ("certificate", read.certificate.is_empty()),
            ("path", read.path.is_empty()),
            ("method", read.method.is_empty()),
            ("user_agent", read.user_agent.is_empty()),
        ];
        for (key, _) in empty.iter().filter(|(key, empty)| *empty && keys.has(key) && !keys.failed(&[key])) {
            keys.fault(key, "it is empty; write what is meant, or leave it out");
        }
        read
    }
}

/// Reads `header`: the name of each field, with its keys or the file that they are in.
fn read_headers(keys: &Keys<'_>) -> Vec<HeaderKeys> {
    let mut headers: Vec<HeaderKeys> = Vec::new();
    for entry in keys.all() {
        let shown = shorten(&entry.name);
        let fault = |why: String| keys.table_fault(entry.at.clone(), why);
        let Ok(name) = entry.name.parse::<HeaderName>() else {
            fault(format!("header: {shown:?} is not the name of a field; write one such as X-Api-Key"));
            continue;
        };
        if headers.iter().any(|header| header.name == name) {
            fault(format!("header: {name} stands here twice; leave one out"));
            continue;
        }
        if let Some(set) = read_keys(keys, entry) {
            headers.push(HeaderKeys { name, keys: set });
        }
    }
    headers
}

fn read_keys(keys: &Keys<'_>, entry: &Entry) -> Option<KeySet> {
    let fault =
        |why: String| keys.table_fault(entry.node.at.clone(), format!("header: {}: {why}", entry.name));
    let items = match &entry.node.value {
        Value::Table(_) => {
            let table = keys.inner(entry)?.named(format!("{} of a header", entry.name));
            table.require("file");
            return table.path("file", PathKind::File).map(KeySet::File);
        }
        Value::List(items) => &items[..],
        _ => std::slice::from_ref(&entry.node),
    };
    if items.is_empty() {
        fault("no key is in it; write those that are known, or { file = \"keys\" }".to_owned());
    }
    let mut listed = Vec::new();
    for item in items {
        match &item.value {
            Value::Text(text) => match SecretKey::new(text) {
                Ok(key) => listed.push(key),
                Err(why) => fault(why.to_string()),
            },
            _ => fault("a key is a string; write one, a list of them, or { file = \"keys\" }".to_owned()),
        }
    }
    Some(KeySet::Listed(listed)).filter(|_| !items.is_empty())
}

impl ClassLimits {
    fn read(limits: &Keys<'_>, shared: &SharedLimits) -> Self {
        let upload = limits.table("upload", " such as { client = { rate = \"1m\" } }");
        let each = |table: &Keys<'_>, of_all: Budget| match table.has("client") {
            true => weighted(&table.table("client", LIMIT_EXAMPLE), Weight::default()),
            // The table is known without one.
            false => {
                table.table("client", LIMIT_EXAMPLE);
                of_all
            }
        };
        let total = weighted(&limits.table("total", LIMIT_EXAMPLE), Weight::default());
        Self {
            total,
            client: each(limits, shared.client),
            upload_total: weighted(&upload.table("total", LIMIT_EXAMPLE), total.weight),
            upload_client: each(&upload, shared.upload.client),
        }
    }
}

/// Reads a limit with a weight.
fn weighted(keys: &Keys<'_>, default: Weight) -> Budget {
    let weight = keys.number("weight", 1..=u16::MAX.into());
    keys.budget().with_weight(weight.and_then(|weight| Weight::new(weight as u16)).unwrap_or(default))
}
