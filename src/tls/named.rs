//! The TLS of a server, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ServerTls;

/// The TLS of a server, by the names of its tables; an extension of the server. Clones are the same ones.
#[derive(Clone, Debug, Default)]
pub struct NamedTls(Arc<BTreeMap<String, ServerTls>>);

impl NamedTls {
    /// The one of this name.
    pub fn of(&self, name: Option<&str>) -> Option<ServerTls> {
        self.0.get(name?).cloned()
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &ServerTls)> {
        self.0.iter()
    }
}

impl FromIterator<(String, ServerTls)> for NamedTls {
    fn from_iter<I: IntoIterator<Item = (String, ServerTls)>>(tables: I) -> Self {
        Self(Arc::new(tables.into_iter().collect()))
    }
}
