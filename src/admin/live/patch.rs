//! JSON merge patches (RFC 7396): what changed from one state to the next.

use serde_json::{Map, Value};

/// The patch that makes `new` of `old`; empty if they are the same. Neither has a null: in a patch that removes a member.
pub(super) fn between(old: &Map<String, Value>, new: &Map<String, Value>) -> Map<String, Value> {
    let gone = old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let changed = new.iter().filter_map(|(key, value)| match (old.get(key), value) {
        (Some(Value::Object(old)), Value::Object(new)) => {
            let patch = between(old, new);
            (!patch.is_empty()).then(|| (key.clone(), Value::Object(patch)))
        }
        (Some(old), new) if old == new => None,
        (_, new) => Some((key.clone(), new.clone())),
    });
    gone.chain(changed).collect()
}

/// Removes members that are null: absent means the same, and a patch cannot set one.
pub(super) fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// What a client does with a patch, to the letter of RFC 7396 section 2.
    fn patched(mut target: Value, patch: &Value) -> Value {
        let Value::Object(patch) = patch else { return patch.clone() };
        if !target.is_object() {
            target = json!({});
        }
        let members = target.as_object_mut().unwrap();
        for (key, value) in patch {
            if value.is_null() {
                members.remove(key);
            } else {
                let old = members.remove(key).unwrap_or(Value::Null);
                members.insert(key.clone(), patched(old, value));
            }
        }
        target
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            (0u64..4).prop_map(Value::from),
            "[ab]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[abc]", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn states() -> impl Strategy<Value = Map<String, Value>> {
        prop::collection::btree_map("[abc]", values(), 0..4).prop_map(|members| members.into_iter().collect())
    }

    proptest! {
        #[test]
        fn a_patch_makes_the_new_state_of_the_old_one(old in states(), new in states()) {
            let patch = between(&old, &new);
            prop_assert_eq!(patch.is_empty(), old == new);
            prop_assert_eq!(patched(Value::Object(old), &Value::Object(patch)), Value::Object(new));
        }
    }

    #[test]
    fn a_patch_says_no_more_than_what_changed() {
        let old = json!({"a": {"x": 1, "y": 2}, "b": 3, "c": {"z": 1}});
        let new = json!({"a": {"x": 1, "y": 4}, "b": 3, "d": []});
        let patch = between(old.as_object().unwrap(), new.as_object().unwrap());
        assert_eq!(Value::Object(patch), json!({"a": {"y": 4}, "c": null, "d": []}));
    }

    #[test]
    fn nulls_are_absent() {
        let mut value = json!({"a": null, "b": [{"c": null, "d": 1}], "e": {"f": null}});
        without_nulls(&mut value);
        assert_eq!(value, json!({"b": [{"d": 1}], "e": {}}));
    }
}
