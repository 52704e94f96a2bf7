//! What the program logs: in a debug build a line for each field, coloured, in a release build JSON.

/// One record, its fields as text.
#[derive(Clone, Debug)]
pub struct Record(Vec<(String, String)>);

impl Record {
    /// The value of a field.
    #[track_caller]
    pub fn value(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(field, _)| field == name);
        &found.unwrap_or_else(|| panic!("{name} in {self:?}")).1
    }

    /// The value of a field that is a number.
    #[track_caller]
    pub fn number(&self, name: &str) -> u64 {
        self.value(name).parse().unwrap()
    }

    /// Checks that it has these fields.
    #[track_caller]
    pub fn assert_says(&self, fields: &[(&str, &str)]) {
        for (name, value) in fields {
            assert_eq!(self.value(name), *value, "{name} in {self:?}");
        }
    }
}

/// The records of a log whose message ends with `message`.
pub fn records(log: &str, message: &str) -> Vec<Record> {
    let plain = without_colours(log);
    let mut found = Vec::new();
    let mut lines = plain.lines().peekable();
    while let Some(line) = lines.next() {
        if cfg!(debug_assertions) && line.ends_with(&format!(" {message}")) {
            let fields = std::iter::from_fn(|| lines.next_if(|line| line.starts_with("    ")));
            found.push(Record(fields.filter_map(|line| line.trim().split_once(' ')).map(own).collect()));
        } else if line.contains(&format!("{message}\"")) && line.starts_with('{') {
            // No value here has a comma in it.
            let inner = line.trim_start_matches('{').trim_end_matches('}');
            let pairs = inner.split(',').filter_map(|pair| pair.split_once(':'));
            found.push(Record(pairs.map(own).collect()));
        }
    }
    found
}

fn own((name, value): (&str, &str)) -> (String, String) {
    let bare = |text: &str| text.trim_matches('"').to_owned();
    (bare(name), bare(value))
}

/// A text as it is without a terminal.
pub fn without_colours(text: &str) -> String {
    let mut parts = text.split('\x1b');
    let start = parts.next().unwrap_or_default().to_owned();
    parts.fold(start, |text, part| text + part.split_once('m').map_or("", |(_, rest)| rest))
}
