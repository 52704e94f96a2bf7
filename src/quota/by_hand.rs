//! Limits that were set and deleted by hand at a quota server, and the text that keeps them. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::id::Id;
use super::limit::ResourceLimit;

/// How a deleted limit is spelled.
const DELETED: &str = "deleted";

/// How a text begins.
const HEAD: &str = "\
# Limits that were set by hand at a quota server: `sluicegate quota set`. They go over its --limit and --schedule;
# `sluicegate quota reset RESOURCE` takes one out.
";

/// Limits by resource that go over what the flags of the server say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ByHand(BTreeMap<Id, Setting>);

/// What somebody has made of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    Set(ResourceLimit),
    /// Deleted, though a flag names it.
    Deleted,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    limits: BTreeMap<String, String>,
}

impl ByHand {
    pub(crate) fn get(&self, resource: &Id) -> Option<Setting> {
        self.0.get(resource).copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Id, Setting)> {
        self.0.iter().map(|(resource, setting)| (resource, *setting))
    }

    /// Notes `setting`; `None` takes the resource out.
    pub(crate) fn put(&mut self, resource: &Id, setting: Option<Setting>) {
        match setting {
            Some(setting) => _ = self.0.insert(resource.clone(), setting),
            None => _ = self.0.remove(resource),
        }
    }

    /// Reads what [`text`](Self::text) wrote, or a person did.
    ///
    /// # Errors
    /// It is no TOML, or a key or value is not valid; says which.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let document: Document = toml::from_str(text).map_err(|error| error.to_string())?;
        Self::from_words(document.limits.iter().map(|(resource, word)| (resource.as_str(), word.as_str())))
    }

    /// Reads resources and their [words](Setting::word).
    ///
    /// # Errors
    /// One is not valid; says which.
    pub(crate) fn from_words<'a>(
        words: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, String> {
        let read = |(resource, word): (&str, &str)| {
            let id = resource.parse::<Id>().map_err(|error| format!("{resource:?}: {error}"))?;
            let setting = Setting::parse(word).map_err(|error| format!("limits.{resource}: {error}"))?;
            Ok((id, setting))
        };
        words.into_iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// The text of a file that keeps them.
    pub(crate) fn text(&self) -> String {
        let limits = self.0.iter().map(|(resource, setting)| (resource.to_string(), setting.word()));
        // A table of strings has a text.
        let table = toml::to_string(&Document { limits: limits.collect() }).unwrap_or_default();
        format!("{HEAD}\n{table}")
    }
}

impl Setting {
    /// `100m`, `100/s` or `deleted`.
    pub(crate) fn word(self) -> String {
        match self {
            Self::Set(limit) => limit.to_string(),
            Self::Deleted => DELETED.to_owned(),
        }
    }

    fn parse(word: &str) -> Result<Self, String> {
        match word {
            DELETED => Ok(Self::Deleted),
            limit => limit.parse().map(Self::Set).map_err(|error| error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::quota::limit::{MAX_PER_SECOND, Unit};

    fn id(text: &str) -> Id {
        text.parse().unwrap()
    }

    #[test]
    fn the_text_is_toml_that_people_can_read() {
        let mut by_hand = ByHand::default();
        by_hand.put(&id("egress"), Some(Setting::Set("200m".parse().unwrap())));
        by_hand.put(&id("api/v1"), Some(Setting::Set("100/s".parse().unwrap())));
        by_hand.put(&id("old"), Some(Setting::Deleted));
        let expected = "\n[limits]\n\"api/v1\" = \"100/s\"\negress = \"200m\"\nold = \"deleted\"\n";
        assert_eq!(by_hand.text().strip_prefix(HEAD), Some(expected));
        by_hand.put(&id("old"), None);
        assert_eq!(by_hand.get(&id("old")), None);
    }

    #[test]
    fn a_text_that_is_not_valid_is_refused_with_the_place() {
        for (text, expected) in [
            ("limits", "line 1"),
            ("[limits]\negress = 5", "line 2"),
            ("[limits]\negress = \"fast\"", "limits.egress: "),
            ("[limits]\negress = \"0\"", "limits.egress: "),
            ("[limits]\n\"two words\" = \"1m\"", "has a character that ids do not have"),
            ("[limit]\negress = \"1m\"", "unknown field `limit`"),
            ("[limits]\na = \"1m\"\na = \"2m\"", "duplicate key"),
        ] {
            let error = ByHand::parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert_eq!(ByHand::parse(""), Ok(ByHand::default()));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            settings in prop::collection::btree_map(
                "[a-zA-Z0-9._:/@-]{1,128}",
                prop::option::of((any::<bool>(), 1..=MAX_PER_SECOND)),
                0..8,
            ),
        ) {
            let mut by_hand = ByHand::default();
            for (resource, setting) in &settings {
                let setting = setting.map_or(Setting::Deleted, |(bytes, per_second)| {
                    let unit = if bytes { Unit::Bytes } else { Unit::Requests };
                    Setting::Set(ResourceLimit::new(unit, per_second).unwrap())
                });
                by_hand.put(&id(resource), Some(setting));
            }
            prop_assert_eq!(ByHand::parse(&by_hand.text()), Ok(by_hand));
        }
    }
}
