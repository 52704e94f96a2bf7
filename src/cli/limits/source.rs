//! The column that says where the values of a limit come from.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

/// Where a value comes from.
#[derive(Deserialize)]
pub(super) struct Source {
    from: String,
    line: Option<u64>,
}

/// `file:12`, `api`.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.from)?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

/// Where the values come from: that of the rate, or of the first that is set, and the kind of another.
pub(super) fn of(source: &BTreeMap<String, Source>) -> String {
    let all = ["rate", "burst", "weight", "report_only"].into_iter().filter_map(|value| source.get(value));
    let mut set = all.filter(|source| source.from != "default");
    let Some(first) = set.next() else {
        return if source.is_empty() { "-" } else { "default" }.to_owned();
    };
    match set.find(|other| other.from != first.from) {
        Some(other) => format!("{first}+{}", other.from),
        None => first.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rates_source_comes_first_and_another_kind_beside_it() {
        let column = |values: &[(&str, &str, Option<u64>)]| {
            let source = |from: &str, line| Source { from: from.to_owned(), line };
            let values = values.iter().map(|(value, from, line)| ((*value).to_owned(), source(from, *line)));
            of(&values.collect())
        };
        for (values, expected) in [
            (&[][..], "-"),
            (&[("rate", "default", None), ("burst", "default", None)], "default"),
            (&[("burst", "file", Some(5)), ("rate", "file", Some(4))], "file:4"),
            (&[("rate", "overlay", Some(3)), ("burst", "file", Some(9))], "overlay:3+file"),
            (
                &[("rate", "file", Some(3)), ("weight", "api", None), ("report_only", "flag", None)],
                "file:3+api",
            ),
            (&[("rate", "default", None), ("weight", "overlay", Some(2))], "overlay:2"),
        ] {
            assert_eq!(column(values), expected, "{values:?}");
        }
    }
}
