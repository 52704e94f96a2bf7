//! The classes of clients.

use std::fmt::Write;

use sluicegate::config::{ClassLimits, ClassSettings};
use sluicegate::limit::{Budget, Weight};

/// Describes a class: who is in it, and what its clients may have.
pub(super) fn describe(text: &mut String, class: &ClassSettings) {
    let _ = writeln!(text, "\nclass {}", class.name);
    let matches = match (class.matches.is_empty(), class.except.is_empty()) {
        (false, true) => class.matches.to_string(),
        (false, false) => format!("{}; not {}", class.matches, class.except),
        (true, _) => format!("not {}", class.except),
    };
    super::line(text, "match", &matches);
    if class.required {
        super::line(text, "required", "keys that are not known tell no clients apart");
    }
    let ClassLimits { total, client, upload_total, upload_client } = class.limits;
    for (label, budget) in [("total", total), ("client", client)] {
        super::line(text, label, &limit(budget));
    }
    for (label, budget) in [("uploads", upload_total), ("upload client", upload_client)] {
        if budget.rate.is_some() || (label == "uploads" && budget.weight != total.weight) {
            super::line(text, label, &limit(budget));
        }
    }
}

/// What its clients may have, each and together.
pub(in crate::cli) fn in_short(class: &ClassSettings) -> String {
    format!("each client {}; together {}", limit(class.limits.client), limit(class.limits.total))
}

/// A limit, also one that is off, with its weight.
fn limit(budget: Budget) -> String {
    let weight = match budget.weight {
        weight if weight == Weight::default() => String::new(),
        weight => format!(", weight {}", weight.get()),
    };
    format!("{}{weight}", super::shared(budget).unwrap_or_else(|| "unlimited".to_owned()))
}
