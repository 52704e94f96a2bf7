//! Frames of samples: the whole state, or what changed since the one before.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::patch;
use super::quota::QuotaRow;
use super::sampler::Sampler;
use super::state::TransferRow;
use crate::http::server::Handle;
use crate::sync::Mutex;

/// The whole state, and what changed since the event before.
pub(super) const FULL: &str = "full";
pub(super) const CHANGE: &str = "change";

/// The member of a state that has most of it.
const TRANSFERS: &str = "transfers";

/// Makes frames of samples.
pub(super) struct Camera {
    server: Handle,
    quota: Arc<Mutex<Option<QuotaRow>>>,
    sampler: Sampler,
    /// The state that viewers have.
    shown: Option<Shown>,
}

/// A state. Its transfers are rows still, which are compared without making members of them.
struct Shown {
    others: Map<String, Value>,
    transfers: BTreeMap<String, TransferRow>,
}

impl Camera {
    pub(super) fn new(server: Handle, quota: Arc<Mutex<Option<QuotaRow>>>) -> Self {
        Self { sampler: Sampler::new(server.clone()), server, quota, shown: None }
    }

    /// What `take` makes. If that panics, a new sampler begins: viewers that are connected stay, and have the next frame.
    pub(super) fn guarded<T>(&mut self, take: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let taken = catch_unwind(AssertUnwindSafe(|| take(self)));
        if taken.is_err() {
            log::error!(
                "a sample of the live view failed: this is a bug; the view goes on with the next one"
            );
            *self = Self::new(self.server.clone(), Arc::clone(&self.quota));
        }
        taken.ok()
    }

    /// The next frame: its type and data; `None` if nothing but the time has changed.
    pub(super) fn frame(&mut self, is_full: bool) -> Option<(&'static str, String)> {
        let mut state = self.sampler.sample(self.quota.lock().clone());
        let transfers = std::mem::take(&mut state.transfers);
        let mut others = serde_json::to_value(&state).unwrap_or_default();
        patch::without_nulls(&mut others);
        let Value::Object(others) = others else { return None };
        let mut state = Shown { others, transfers };
        let (kind, data) = match &self.shown {
            Some(shown) if !is_full => (CHANGE, serde_json::to_string(&shown.patch(&state)?)),
            _ => (FULL, state.whole()),
        };
        self.shown = Some(state);
        data.ok().map(|data| (kind, data))
    }
}

impl Shown {
    fn whole(&mut self) -> serde_json::Result<String> {
        let rows = self.transfers.iter().map(|(key, row)| (key.clone(), row.to_value()));
        self.others.insert(TRANSFERS.to_owned(), Value::Object(rows.collect()));
        let whole = serde_json::to_string(&self.others);
        self.others.remove(TRANSFERS);
        whole
    }

    /// The patch that makes `new` of this; `None` if nothing but the time has changed.
    fn patch(&self, new: &Self) -> Option<Map<String, Value>> {
        let mut patch = patch::between(&self.others, &new.others);
        let gone = self.transfers.keys().filter(|key| !new.transfers.contains_key(*key));
        let mut rows: Map<String, Value> = gone.map(|key| (key.clone(), Value::Null)).collect();
        for (key, row) in &new.transfers {
            let changed = match self.transfers.get(key) {
                Some(old) => row.patch_of(old),
                None => Some(row.to_value()),
            };
            rows.extend(changed.map(|changed| (key.clone(), changed)));
        }
        if !rows.is_empty() {
            patch.insert(TRANSFERS.to_owned(), Value::Object(rows));
        }
        let is_news = patch.keys().any(|key| !matches!(key.as_str(), "at" | "elapsed"));
        is_news.then_some(patch)
    }
}
