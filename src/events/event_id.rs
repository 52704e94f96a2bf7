//! Ids that servers assign: the incarnation of the log, a number, and where a store may have lost the end of the log a tag.

use super::event::Event;
use super::log::{Located, Log};

/// The id of the event with this number in a log, or before its first. A tag is of the part of a stream's life in which it was published,
/// where a store may lose its end: numbers are given again then, ids are not.
pub(super) fn server_id(incarnation: &str, seq: u64, tag: &str) -> String {
    match tag {
        "" => format!("{incarnation}-{seq}"),
        tag => format!("{incarnation}-{seq}.{tag}"),
    }
}

/// The number and the tag in an id that servers assign.
pub(super) fn assigned<'a>(incarnation: &str, id: &'a str) -> Option<(u64, &'a str)> {
    let rest = id.strip_prefix(incarnation)?.strip_prefix('-')?;
    let (digits, tag) = match rest.split_once('.') {
        Some((digits, tag)) if tag.len() == 8 && tag.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            (digits, tag)
        }
        Some(_) => return None,
        None => (rest, ""),
    };
    let is_plain =
        digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    digits.parse().ok().filter(|_| is_plain).map(|seq| (seq, tag))
}

impl Log {
    /// The tag that an id of the server's for `event` has, as far as known.
    pub(super) fn tag_of<'a>(&self, event: &'a Event) -> Option<&'a str> {
        match &event.place {
            Some(place) => Some(&place.tag),
            None => assigned(self.incarnation(), &event.id).map(|(_, tag)| tag),
        }
    }

    /// Whether an id of the server's with this number and tag may be that of a lost event, whose place another one took.
    pub(super) fn is_other(&self, seq: u64, tag: &str) -> bool {
        match self.get(seq) {
            Some(event) => match self.tag_of(event) {
                Some(of) => of != tag,
                // Of one from a file that may have lost its end nobody knows.
                None => !self.next_tag.is_empty(),
            },
            None => seq > 0 && seq + 1 == self.first() && self.tag.as_deref().is_some_and(|of| of != tag),
        }
    }

    /// The number of the event with this id that the log has, or had.
    pub(super) fn number_of(&self, id: &str) -> Option<u64> {
        self.given.get(id).copied().or_else(|| match self.locate(id) {
            Located::At(seq) => Some(seq),
            Located::Behind(_) | Located::Unknown => None,
        })
    }

    /// The id of the event with this number, if known: publishers' own ids leave the log with their events. Number 0 has an
    /// id too, so that a subscriber that came before the first event can resume. Where a lost event may have had the publisher's id it is one of the
    /// server's.
    pub(super) fn id_of(&self, seq: u64) -> Option<String> {
        match self.get(seq) {
            Some(event) => match &event.place {
                Some(place) if place.fork.is_some() => Some(server_id(self.incarnation(), seq, &place.tag)),
                _ => Some(event.id.to_string()),
            },
            None if seq > self.head() => None,
            None if seq == 0 => Some(server_id(self.incarnation(), 0, "")),
            None => Some(server_id(self.incarnation(), seq, self.tag.as_deref().unwrap_or_default())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::clock::Instant;
    use crate::events::EventSettings;
    use crate::events::event::Draft;
    use crate::events::hub_error::HubError;
    use crate::events::log::{Located, Log, Staged};

    #[test]
    fn an_id_of_a_lost_event_is_not_that_of_the_one_with_its_number() {
        let settings = EventSettings::default();
        let ttl = Duration::from_secs(10);
        let draft = || Draft::new("b", 100).unwrap();
        let event = |seq, id: &str| draft().publish(seq, id.to_owned(), Instant::ZERO, ttl);
        let mut log = Log::restored("x", 4, 4).with_tag(Some("0000000a"));
        log.append(event(5, "x-5.0000000b"), &mut |_| ());
        log.append(event(6, "own"), &mut |_| ());
        for (id, located) in [
            ("x-5.0000000b", Located::At(5)),
            ("x-5", Located::Unknown),
            ("x-5.0000000a", Located::Unknown),
            ("x-4.0000000a", Located::At(4)),
            ("x-4", Located::Unknown),
            ("x-3", Located::At(3)),
            ("x-0", Located::At(0)),
            ("x-5.b", Located::Unknown),
            ("x-5.", Located::Unknown),
        ] {
            assert_eq!(log.locate(id), located, "{id}");
        }
        assert_eq!(log.id_of(4).as_deref(), Some("x-4.0000000a"));
        log.trim(Instant::ZERO + ttl, &settings);
        assert_eq!((log.locate("x-6.0000000b"), log.id_of(0).as_deref()), (Located::At(6), Some("x-0")));
        log.goes_on("0000000c", None);
        let mut staged = Staged::after(&log);
        let given = log.stage(&mut staged, vec![draft()], Instant::ZERO, &settings).unwrap();
        assert_eq!(given.join(" "), "x-7.0000000c");
        let reserved = draft().id("x-9.0000000b").unwrap();
        let staged = log.stage(&mut Staged::after(&log), vec![reserved], Instant::ZERO, &settings);
        assert_eq!(staged, Err(HubError::ReservedId(0)));
    }
}
