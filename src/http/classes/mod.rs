//! Classes of clients: who is in which, and the nodes of their budgets.
//!
//! ```text
//! server ──► class ──► client ──► response
//! server ─────────────► client ──► response      clients that no class has
//! ```
//!
//! A class is found once, with the head of a request or the first byte of a stream of raw TCP. What is under way stays in it.

mod known_keys;
mod matching;
mod settings;

use std::fmt;
use std::sync::Arc;

use http::HeaderName;

use super::budgets::{CLASS, CLASS_CLIENT, UPLOAD_CLASS, UPLOAD_CLASS_CLIENT};
use crate::budget::{ClientKey, Clients, Node};
use crate::live_limits::ClientLimit;

pub use known_keys::{SecretKey, SecretKeyError};
use matching::Conditions;
pub(in crate::http) use matching::{Asked, Asker};
pub use settings::{
    CertificateId, ClassLimits, ClassMatch, ClassMatchError, ClassName, ClassNameError, ClassSettings,
    HeaderKeys, KeySet, TextPattern,
};

text_error! {
    /// Why a class cannot be used: its keys cannot be read.
    ClassError
}

/// A class that is checked and has its keys, without nodes yet.
pub(crate) struct PreparedClass {
    settings: ClassSettings,
    conditions: Conditions,
    except: Conditions,
}

impl PreparedClass {
    pub(super) fn name(&self) -> &str {
        self.settings.name.as_str()
    }
}

impl ClassSettings {
    /// Reads the files of keys. Blocks.
    ///
    /// # Errors
    /// Says which file cannot be used, and why.
    pub(crate) fn prepare(&self) -> Result<PreparedClass, ClassError> {
        let failed = |why| ClassError(format!("class {}: {why}", self.name));
        let conditions = Conditions::new(&self.matches).map_err(failed)?;
        let except = Conditions::new(&self.except).map_err(failed)?;
        Ok(PreparedClass { settings: self.clone(), conditions, except })
    }

    /// Reads the files of keys that are there, and says what is wrong with them. Blocks.
    ///
    /// # Errors
    /// Says which file cannot be used, and why.
    pub fn check_keys(&self) -> Result<(), ClassError> {
        let files = [&self.matches, &self.except].into_iter().flat_map(|matches| &matches.header);
        for header in files {
            if let KeySet::File(path) = &header.keys
                && path.exists()
            {
                known_keys::read(path).map_err(|why| ClassError(format!("class {}: {why}", self.name)))?;
            }
        }
        Ok(())
    }
}

/// A class of clients. Its limits are live.
///
/// Transfers hold this and not the class's conditions, which a reload may replace.
pub struct Class {
    name: Arc<str>,
    clients: Clients,
    uploads: Clients,
}

impl Class {
    /// Makes a class with its nodes below those of the server.
    fn new(name: &ClassName, limits: ClassLimits, [server, uploads]: [&Node; 2]) -> Self {
        let (total, upload_total) =
            (server.child(CLASS, limits.total), uploads.child(UPLOAD_CLASS, limits.upload_total));
        Self {
            name: name.as_str().into(),
            clients: Clients::new(total, CLASS_CLIENT, limits.client),
            uploads: Clients::new(upload_total, UPLOAD_CLASS_CLIENT, limits.upload_client),
        }
    }

    /// Sets its limits, also for what is under way. Its clients among `own` have limits of their own.
    fn set(&self, limits: ClassLimits, own: &[ClientLimit]) {
        for (of_uploads, clients, total, each) in [
            (false, &self.clients, limits.total, limits.client),
            (true, &self.uploads, limits.upload_total, limits.upload_client),
        ] {
            clients.parent().set(total);
            clients.reset_with(each, ClientLimit::all_of(own, of_uploads));
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its name, to be kept.
    pub(crate) fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// The nodes of its clients, below the node that all its responses share.
    pub fn clients(&self) -> &Clients {
        &self.clients
    }

    /// The same for what its clients send.
    pub fn uploads(&self) -> &Clients {
        &self.uploads
    }
}

/// A class and who is in it.
pub(super) struct ClassInForce {
    pub(super) class: Arc<Class>,
    prepared: PreparedClass,
}

impl ClassInForce {
    /// Creates the nodes of a class below those of the server, or adopts those of `old`, the class of the same name.
    pub(super) fn new(
        prepared: PreparedClass,
        nodes: [&Node; 2],
        own: &[ClientLimit],
        old: Option<Arc<Class>>,
    ) -> Self {
        let ClassSettings { name, limits, .. } = &prepared.settings;
        let class = old.unwrap_or_else(|| Arc::new(Class::new(name, *limits, nodes)));
        class.set(*limits, own);
        Self { class, prepared }
    }

    /// The key of `asker` if it is in the class: `Some(None)` if the class tells clients apart as the server does.
    pub(super) fn find(&self, asker: &Asker<'_>) -> Option<Option<ClientKey>> {
        let PreparedClass { conditions, except, .. } = &self.prepared;
        (conditions.all_hold(asker) && !except.any_holds(asker)).then(|| conditions.key(asker))
    }

    /// Describes how many keys `new` has more and less; `None` if it has the same.
    pub(super) fn key_changes(&self, new: &PreparedClass) -> Option<String> {
        let old = &self.prepared;
        let [more, less] = [(new, old), (old, new)].map(|(of, other)| {
            let of = [(&of.conditions, &other.conditions), (&of.except, &other.except)];
            of.into_iter().map(|(of, other)| of.keys_missing_in(other)).sum::<usize>()
        });
        (more + less > 0).then(|| format!("keys of class {}: {more} added, {less} removed", self.class.name))
    }

    /// Whether values of the header `name` must be known.
    pub(super) fn requires(&self, name: &HeaderName) -> bool {
        self.prepared.settings.required && self.prepared.conditions.headers().any(|(own, _)| own == name)
    }

    /// Whether `value` is one of its known keys of the header `name`.
    pub(super) fn knows(&self, name: &HeaderName, value: &[u8]) -> bool {
        self.prepared.conditions.knows(name, value)
    }
}

impl fmt::Debug for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Class").field("name", &self.name).field("clients", &self.clients).finish()
    }
}

#[cfg(test)]
pub(in crate::http) mod tests;
