//! A reader of event streams that knows nothing of the encoder: written from the WHATWG's rules ("interpreting
//! an event stream"), byte by byte.

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) kind: String,
    pub(crate) data: String,
    pub(crate) last_id: String,
}

#[derive(Default)]
pub(crate) struct Parser {
    data: String,
    kind: String,
    last_id: String,
    pub(crate) retry: Option<u64>,
    pub(crate) comments: usize,
}

impl Parser {
    /// The events that a whole number of lines of a stream dispatches.
    pub(crate) fn read(&mut self, text: &str) -> Vec<Read> {
        let mut events = Vec::new();
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let Some(lines) = text.strip_suffix('\n') else {
            assert!(text.is_empty(), "cut in mid-line: {text:?}");
            return events;
        };
        for line in lines.split('\n') {
            if line.is_empty() {
                if !self.data.is_empty() {
                    let data = self.data.strip_suffix('\n').unwrap().to_owned();
                    let kind = if self.kind.is_empty() { "message".to_owned() } else { self.kind.clone() };
                    events.push(Read { kind, data, last_id: self.last_id.clone() });
                }
                self.data.clear();
                self.kind.clear();
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" => self.comments += 1,
                "event" => self.kind = value.to_owned(),
                "data" => {
                    self.data.push_str(value);
                    self.data.push('\n');
                }
                "id" if !value.contains('\0') => self.last_id = value.to_owned(),
                "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => self.retry = value.parse().ok(),
                _ => {}
            }
        }
        events
    }
}
