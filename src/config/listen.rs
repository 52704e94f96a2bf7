//! Where HTTP is listened for, with TLS or without, and the tables `[tls.NAME]`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

use crate::address::ListenAddr;
use crate::http::ClassSettings;
use crate::http::server::Settings;
use crate::keys::{FaultKind, Item, Keys, Place, Reading};
use crate::tls::TlsSettings;
use crate::words::{shorten, suggestion};

/// The table for addresses that name none.
pub const DEFAULT_TLS: &str = "default";

/// What is written in the place of a table's name for no TLS.
const NO_TLS: &str = "off";

/// An address where HTTP is listened for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address.
    pub address: ListenAddr,
    /// The name of its TLS, one of [`Config::tls`](super::Config::tls); `None` without TLS.
    pub tls: Option<String>,
    /// Whether each connection must begin with a PROXY header of a trusted proxy.
    pub proxy_protocol: bool,
}

/// Where a server listens that is not told: 127.0.0.1:8080.
pub(super) fn default_addresses() -> Vec<Listen> {
    vec![ListenAddr::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080))).into()]
}

impl From<ListenAddr> for Listen {
    fn from(address: ListenAddr) -> Self {
        Self { address, tls: None, proxy_protocol: false }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)?;
        self.tls.as_ref().map_or(Ok(()), |tls| write!(f, ", TLS {tls}"))?;
        if self.proxy_protocol { f.write_str(", PROXY header required") } else { Ok(()) }
    }
}

impl Listen {
    /// The TCP address, if its clients are announced by proxies.
    pub(super) fn announced_at(&self) -> Option<SocketAddr> {
        match self.address {
            ListenAddr::Tcp(addr) if self.proxy_protocol => Some(addr),
            _ => None,
        }
    }
}

/// The tables `[tls.NAME]`, and which of them are used.
pub(super) struct TlsTables {
    /// `None`: it could not be read.
    tables: BTreeMap<String, (Place, Option<TlsSettings>)>,
    used: Vec<String>,
}

impl TlsTables {
    pub(super) fn read(keys: &Keys<'_>) -> Self {
        let mut tables = BTreeMap::new();
        for entry in keys.all() {
            let settings = keys.inner(entry).and_then(|table| TlsSettings::read(&table));
            if keys.inner(entry).is_none() {
                let text =
                    "this is not a table; certificates are named, so write cert and key below [tls.default]";
                keys.table_fault(entry.at.clone(), format!("[tls.{}]: {text}", shorten(&entry.name)));
            }
            if entry.name == NO_TLS {
                let text = "\"off\" stands for no TLS; choose another name";
                keys.table_fault(entry.at.clone(), format!("[tls.off]: {text}"));
            }
            tables.insert(entry.name.clone(), (entry.at.clone(), settings));
        }
        Self { tables, used: Vec::new() }
    }

    /// Reads the key `tls` of `keys`: the name of a table. Without the key it is `default`, if that is there.
    pub(super) fn choose(&mut self, keys: Option<&Keys<'_>>, default: Option<&str>) -> Option<String> {
        self.choose_by(keys, "tls", default)
    }

    /// The same of the key `key`.
    pub(super) fn choose_by(
        &mut self,
        keys: Option<&Keys<'_>>,
        key: &'static str,
        default: Option<&str>,
    ) -> Option<String> {
        let named: Option<String> = keys.and_then(|keys| keys.parse(key));
        let name = match &named {
            Some(name) if name == NO_TLS => return None,
            Some(name) => name.as_str(),
            None => default.filter(|name| self.tables.contains_key(*name))?,
        };
        if !self.tables.contains_key(name) {
            let known: Vec<&str> = self.tables.keys().map(String::as_str).chain([NO_TLS]).collect();
            let text = format!("there is no [tls.{}]; {}", shorten(name), suggestion(name, &known));
            if let Some(keys) = keys {
                keys.fault(key, text);
            }
            return None;
        }
        self.used.push(name.to_owned());
        Some(name.to_owned())
    }

    /// Whether the table `name` asks clients for certificates. One that could not be read may do so.
    fn asks_clients(&self, name: &str) -> bool {
        let read = self.tables.get(name).and_then(|(_, settings)| settings.as_ref());
        read.is_none_or(|settings| settings.client_ca.is_some())
    }

    /// The settings by name. Notes tables that nothing uses.
    pub(super) fn finish(self, reading: &Reading<'_>) -> BTreeMap<String, TlsSettings> {
        for (name, (at, _)) in &self.tables {
            if !self.used.contains(name) {
                let text = format!("[tls.{name}] is not used; name it beside an address to listen on");
                reading.note(FaultKind::Warning, at.clone(), text);
            }
        }
        self.tables.into_iter().filter_map(|(name, (_, settings))| Some((name, settings?))).collect()
    }
}

/// Reads `listen`. If ports of raw TCP are all there is, nothing is listened on by default.
pub(super) fn read(keys: &Keys<'_>, tcp_alone: bool, tls: &mut TlsTables) -> Vec<Listen> {
    if tcp_alone && keys.has("listen") {
        keys.fault("listen", "it is for HTTP, and there is no [[route]]; leave it out, or add one");
    }
    let Some(given) = keys.items("listen", " such as { address = \"[::]:443\", tls = \"main\" }") else {
        let addresses = if tcp_alone { Vec::new() } else { default_addresses() };
        let secured = |listen| Listen { tls: tls.choose(None, Some(DEFAULT_TLS)), ..listen };
        return addresses.into_iter().map(secured).collect();
    };
    let mut listen: Vec<Listen> = Vec::new();
    for (at, item) in given {
        let (address, tls, proxy_protocol) = match item {
            Item::Text(address) => (Some(address), tls.choose(None, Some(DEFAULT_TLS)), false),
            Item::Table(table) => {
                table.require("address");
                let tls = tls.choose(Some(&table), Some(DEFAULT_TLS));
                (table.parse("address"), tls, table.switch("proxy_protocol").unwrap_or_default())
            }
        };
        let Some(address) = address.map(|address| keys.address(at.clone(), "listen", address)) else {
            keys.fail("listen");
            continue;
        };
        if listen.iter().any(|other| address.clashes_with(&other.address)) {
            keys.fault_at(at, "listen", format!("{address} stands here twice; leave one out"));
        } else {
            listen.push(Listen { address, tls, proxy_protocol });
        }
    }
    if listen.is_empty() && !keys.failed(&["listen"]) {
        keys.fault("listen", "is empty; give an address, or leave it out for 127.0.0.1:8080");
    }
    listen
}

/// Reads `http_redirect`: addresses besides those of `listen` whose clients are sent to the first with TLS.
pub(super) fn read_redirect(keys: &Keys<'_>, listen: &[Listen]) -> Vec<Listen> {
    let like = " such as { address = \"[::]:80\", proxy_protocol = true }";
    let given = keys.items("http_redirect", like).unwrap_or_default();
    let mut addresses: Vec<Listen> = Vec::new();
    for (at, item) in given {
        let (address, proxy_protocol) = match item {
            Item::Text(address) => (Some(address), false),
            Item::Table(table) => {
                table.require("address");
                (table.parse("address"), table.switch("proxy_protocol").unwrap_or_default())
            }
        };
        let Some(address) = address.map(|address| keys.address(at.clone(), "http_redirect", address)) else {
            keys.fail("http_redirect");
            continue;
        };
        if listen.iter().chain(&addresses).any(|other| address.clashes_with(&other.address)) {
            keys.fault_at(
                at,
                "http_redirect",
                format!("{address} is listened on already; choose another port"),
            );
        } else {
            addresses.push(Listen { address, tls: None, proxy_protocol });
        }
    }
    let is_secured = |listen: &Listen| listen.tls.is_some() && matches!(listen.address, ListenAddr::Tcp(_));
    if !addresses.is_empty() && !keys.failed(&["listen"]) && !listen.iter().any(is_secured) {
        let text = "there is no address with TLS to send clients to; write one in listen, \
                    such as { address = \"[::]:443\", tls = \"main\" }";
        keys.fault("http_redirect", text);
    }
    addresses
}

/// Checks that somebody may connect to the addresses whose clients are announced by proxies.
pub(super) fn check_trusted(
    keys: &Keys<'_>,
    server: &Settings,
    mut announced: impl Iterator<Item = SocketAddr>,
) {
    if let Some(addr) = announced.next()
        && server.trusted.networks().is_empty()
        && !keys.failed(&["trusted_proxies"])
    {
        let text = format!(
            "is empty, so nobody may connect to {addr}: proxy_protocol takes headers of trusted proxies only; \
             name them, such as [\"10.0.0.0/8\"]"
        );
        keys.fault("trusted_proxies", text);
    }
}

/// Checks, if classes are for certificates, that clients are asked for some. `served` are the names of the TLS of all
/// addresses.
pub(super) fn check_class_certificates<'a>(
    keys: &Keys<'_>,
    reading: &Reading<'_>,
    classes: &[ClassSettings],
    mut served: impl Iterator<Item = &'a str>,
    tls: &TlsTables,
) {
    let asks = |class: &&ClassSettings| {
        [&class.matches, &class.except].iter().any(|matches| !matches.certificate.is_empty())
    };
    if let Some(class) = classes.iter().find(asks)
        && reading.is_good()
        && !served.any(|name| tls.asks_clients(name))
    {
        let text = format!(
            "certificate in [[class]] {:?}: nobody is asked for a certificate; set client_ca in the [tls.NAME] of an address, \
             or leave it out",
            class.name.as_str()
        );
        keys.table_fault(keys.place("class"), text);
    }
}

/// Checks, if clients are told apart by their certificates, that they show some. `served` are the addresses of HTTP and of
/// raw TCP, each with the name of its TLS.
pub(super) fn check_client_key<'a>(
    keys: &Keys<'_>,
    reading: &Reading<'_>,
    server: &Settings,
    served: impl Iterator<Item = (String, Option<&'a str>)>,
    tls: &TlsTables,
) {
    if !server.limits.key.is_certificate() || !reading.is_good() {
        return;
    }
    let client = keys.table("limits", "").table("client", "");
    let (asking, others): (Vec<_>, Vec<_>) =
        served.partition(|(_, name)| name.is_some_and(|name| tls.asks_clients(name)));
    if asking.is_empty() {
        let text = "nobody is asked for a certificate; set client_ca in the [tls.NAME] of an address, or choose another key";
        client.fault("key", text);
        return;
    }
    for (address, _) in others {
        let text = format!(
            "key in [limits.client]: clients of {address} are not asked for a certificate, and count by their addresses; \
             set client_ca in its [tls.NAME]"
        );
        reading.note(FaultKind::Warning, client.place("key"), text);
    }
}
