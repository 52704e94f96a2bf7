//! Reads OpenMetrics 1.0 text and fails on whatever is not to the letter.
//!
//! Stricter than the format where Prometheus's conventions are: every family has HELP and TYPE, in this
//! order and before its samples; its name has our prefix or that of process metrics.

use std::collections::{BTreeMap, BTreeSet};

/// Metrics, as they were shown at one time.
#[derive(Debug)]
pub struct Exposition {
    /// Families' types.
    pub families: BTreeMap<String, String>,
    /// Samples by name and labels, as they stand there.
    samples: BTreeMap<String, f64>,
}

impl Exposition {
    /// Reads a page of metrics.
    ///
    /// # Panics
    /// At the first thing that is not to the letter.
    pub fn parse(text: &str) -> Self {
        let body = text.strip_suffix("# EOF\n").unwrap_or_else(|| panic!("no EOF at the end of {text}"));
        let mut parsed = Self { families: BTreeMap::new(), samples: BTreeMap::new() };
        let mut lines = body.lines().peekable();
        while let Some(line) = lines.next() {
            let (name, help) = keyword(line, "HELP");
            assert!(help.ends_with('.') && !help.contains('\\'), "{line}");
            let (typed, kind) = keyword(lines.next().unwrap(), "TYPE");
            assert_eq!(typed, name);
            if lines.peek().is_some_and(|line| line.starts_with("# UNIT ")) {
                let (of, unit) = keyword(lines.next().unwrap(), "UNIT");
                assert!(of == name && name.ends_with(&format!("_{unit}")), "{line}");
                assert!(["bytes", "seconds"].contains(&unit), "{unit} is no base unit");
            }
            assert!(name.starts_with("sluicegate_") || name.starts_with("process_"), "{name}");
            assert!(!name.ends_with("_total"), "{name}: a family is not called total");
            let mut samples = Vec::new();
            while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
                samples.push(Sample::parse(line));
            }
            assert!(!samples.is_empty(), "{name} has no samples");
            check(name, kind, &samples);
            for sample in samples {
                let key = sample.key();
                assert!(parsed.samples.insert(key, sample.value).is_none(), "twice: {sample:?}");
            }
            assert!(parsed.families.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} comes twice");
        }
        parsed
    }

    /// The value of a sample, given as it stands there: `name{label="value"}`.
    pub fn value(&self, sample: &str) -> f64 {
        *self.samples.get(sample).unwrap_or_else(|| panic!("no {sample} in {:#?}", self.samples))
    }

    /// The sum of all samples of this name.
    pub fn sum(&self, name: &str) -> f64 {
        let of_name = |key: &str| key.split('{').next() == Some(name);
        self.samples.iter().filter(|(key, _)| of_name(key)).map(|(_, value)| value).sum()
    }
}

#[derive(Debug)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Sample {
    fn parse(line: &str) -> Self {
        let name_end = line.find(|c| !is_of_name(c)).unwrap();
        let (name, mut rest) = line.split_at(name_end);
        assert!(!name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()), "{line}");
        let mut labels = Vec::new();
        if let Some(mut inside) = rest.strip_prefix('{') {
            loop {
                let (label, value) = inside.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
                assert!(!label.is_empty() && label.chars().all(is_of_name), "{line}");
                let (value, behind) = unescape(value);
                labels.push((label.to_owned(), value));
                match behind.strip_prefix(',') {
                    Some(more) => inside = more,
                    None => {
                        rest = behind.strip_prefix('}').unwrap_or_else(|| panic!("{line}"));
                        break;
                    }
                }
            }
        }
        let names: BTreeSet<_> = labels.iter().map(|(label, _)| label).collect();
        assert_eq!(names.len(), labels.len(), "{line}");
        let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}")).parse().unwrap();
        Self { name: name.to_owned(), labels, value }
    }

    fn key(&self) -> String {
        let labels: Vec<_> = self.labels.iter().map(|(label, value)| format!("{label}={value:?}")).collect();
        if labels.is_empty() { self.name.clone() } else { format!("{}{{{}}}", self.name, labels.join(",")) }
    }

    /// The labels but for a bucket's bound.
    fn series(&self) -> Vec<(String, String)> {
        self.labels.iter().filter(|(label, _)| label != "le").cloned().collect()
    }

    fn bound(&self) -> f64 {
        let (_, bound) = self.labels.iter().find(|(label, _)| label == "le").unwrap();
        if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() }
    }
}

fn keyword<'a>(line: &'a str, word: &str) -> (&'a str, &'a str) {
    let rest = line.strip_prefix(&format!("# {word} ")).unwrap_or_else(|| panic!("{word} wanted: {line}"));
    rest.split_once(' ').unwrap()
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The text up to the closing quote, and what is behind it.
fn unescape(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match chars.next().unwrap().1 {
                'n' => '\n',
                c @ ('"' | '\\') => c,
                c => panic!("\\{c} is no escape"),
            }),
            c => value.push(c),
        }
    }
    panic!("no end: {text}")
}

/// What a family's type demands of its samples.
fn check(name: &str, kind: &str, samples: &[Sample]) {
    let is = |sample: &Sample, suffix: &str| sample.name.strip_prefix(name) == Some(suffix);
    for sample in samples {
        let is_fine = match kind {
            "counter" => is(sample, "_total") && sample.value >= 0.0,
            "gauge" => is(sample, ""),
            "histogram" => ["_sum", "_count", "_bucket"].iter().any(|suffix| is(sample, suffix)),
            kind => panic!("{name} is a {kind}"),
        };
        assert!(is_fine && sample.value.is_finite(), "{kind} {name}: {sample:?}");
    }
    if kind == "histogram" {
        let series: BTreeSet<_> = samples.iter().map(Sample::series).collect();
        for series in series {
            let of = |suffix| samples.iter().filter(move |sample| is(sample, suffix));
            let buckets: Vec<_> = of("_bucket").filter(|sample| sample.series() == series).collect();
            assert!(buckets.is_sorted_by(|a, b| a.bound() < b.bound() && a.value <= b.value), "{name}");
            let count = of("_count").find(|sample| sample.series() == series).unwrap();
            assert!(of("_sum").any(|sample| sample.series() == series));
            let last = buckets.last().unwrap();
            assert_eq!((last.bound(), last.value), (f64::INFINITY, count.value), "{name}");
        }
    }
}

#[test]
fn the_checker_accepts_valid_expositions_only() {
    let good = "# HELP process_a_bytes Of it.\n# TYPE process_a_bytes counter\n# UNIT process_a_bytes bytes\n\
                process_a_bytes_total{b=\"\\\"\\n\\\\\"} 1\n# HELP sluicegate_h H.\n# TYPE sluicegate_h histogram\n\
                sluicegate_h_sum 0.5\nsluicegate_h_count 3\nsluicegate_h_bucket{le=\"1.0\"} 1\n\
                sluicegate_h_bucket{le=\"+Inf\"} 3\n# EOF\n";
    let parsed = Exposition::parse(good);
    assert_eq!(parsed.value("process_a_bytes_total{b=\"\\\"\\n\\\\\"}"), 1.0);
    assert_eq!(parsed.sum("sluicegate_h_bucket"), 4.0);
    for (from, to) in [
        ("# EOF\n", ""),
        ("# EOF\n", "# EOF\n\n"),
        ("# HELP sluicegate_h H.\n", ""),
        ("# TYPE sluicegate_h histogram\n", ""),
        ("bytes_total", "bytes"),
        ("} 1\n#", "} -1\n#"),
        ("} 1\n#", "} x\n#"),
        ("\\\\\"} 1", "\\x\"} 1"),
        ("sluicegate_h_bucket{le=\"+Inf\"} 3\n", ""),
        ("sluicegate_h_count 3", "sluicegate_h_count 2"),
        ("{le=\"1.0\"} 1", "{le=\"1.0\"} 4"),
        ("sluicegate_h_sum 0.5\n", ""),
        ("sluicegate_h", "other_h"),
        ("sluicegate_h_sum 0.5\n", "sluicegate_h_sum 0.5\nsluicegate_h_sum 0.5\n"),
        ("UNIT process_a_bytes bytes", "UNIT process_a_bytes kilobytes"),
    ] {
        let bad = good.replace(from, to);
        assert!(bad != good, "{from}");
        let taken = std::panic::catch_unwind(|| Exposition::parse(&bad));
        assert!(taken.is_err(), "taken: {bad}");
    }
}
