//! What a reload changes of the classes of clients.

use super::differences;
use super::limits::InForce;
use crate::http::{Budgets, Class, ClassSettings};
use crate::limit::Budget;
use crate::live_limits::{Name, Part};

/// Lists the limits of all classes by what they limit.
pub(super) fn limits(budgets: &Budgets) -> Vec<InForce> {
    let of = |class: &Class| {
        let (class, clients, uploads) = (class.name(), class.clients(), class.uploads());
        let limit = |of, part, budget: Budget| {
            let name = Some(Name::Class(class.to_owned(), part));
            InForce { of, name, setting: budget.into() }
        };
        [
            limit(format!("class {class}"), Part::Total, clients.parent().budget()),
            limit(format!("each client of class {class}"), Part::Client, clients.budget()),
            limit(format!("all uploads of class {class}"), Part::UploadTotal, uploads.parent().budget()),
            limit(format!("uploads of each client of class {class}"), Part::UploadClient, uploads.budget()),
        ]
    };
    budgets.classes().iter().flat_map(|class| of(class)).collect()
}

/// Lists classes that come, go, have other conditions or another order. Changes of limits and of keys are listed apart.
pub(super) fn changes(old: &[ClassSettings], new: &[ClassSettings]) -> Vec<String> {
    let rest = |class: &ClassSettings| {
        let ClassSettings { name: _, matches, except, required, limits: _ } = class.clone();
        (matches, except, required)
    };
    let name = |class: &ClassSettings| format!("class {}", class.name);
    let mut changes = differences(old, new, name, |was, class| rest(was) != rest(class));
    let order = |of: &[ClassSettings], other: &[ClassSettings]| {
        let both = of.iter().filter(|class| other.iter().any(|like| like.name == class.name));
        both.map(|class| class.name.to_string()).collect::<Vec<_>>()
    };
    let (before, after) = (order(old, new), order(new, old));
    if before != after {
        changes.push(format!("order of classes: {} → {}", before.join(", "), after.join(", ")));
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Loader;

    fn classes(text: &str) -> Vec<ClassSettings> {
        let text = format!("{text}\n[[route]]\npath='/'\nfiles='src'");
        Loader::new().parse(&text, "test.toml", env!("CARGO_MANIFEST_DIR")).unwrap().classes
    }

    #[test]
    fn classes_that_come_go_or_change_are_named_and_no_key_is_told() {
        let class = |name: &str, rest: &str| format!("[[class]]\nname='{name}'\n{rest}\n");
        let network = "match={network='10.0.0.0/8'}";
        let key = |key: &str| format!("match={{header={{x-key='{key}'}}}}");
        let (a, b) = (class("a", network), class("b", &key("one")));
        for (old, new, expected) in [
            (format!("{a}{b}"), format!("{a}{b}"), &[][..]),
            (a.clone(), class("a", &format!("{network}\nlimits.client.rate='1m'")), &[]),
            (a.clone(), format!("{a}{b}"), &["class b added"]),
            (format!("{a}{b}"), b.clone(), &["class a removed"]),
            (b.clone(), class("b", &key("two")), &["class b changed"]),
            (b.clone(), class("b", &format!("{}\nrequired=true", key("one"))), &["class b changed"]),
            (a.clone(), class("a", "match={not={network='10.0.0.0/8'}}"), &["class a changed"]),
            (format!("{a}{b}"), format!("{b}{a}"), &["order of classes: a, b → b, a"]),
        ] {
            assert_eq!(changes(&classes(&old), &classes(&new)), expected, "{old}\nto\n{new}");
        }
    }
}
