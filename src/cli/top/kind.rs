//! What holds transfers, in the kinds that have a colour of their own, here as on the page.

use ratatui::style::Color;

use super::live::HeldBy;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Nothing,
    Pace,
    Client,
    Class,
    Route,
    Server,
    Source,
    Reader,
}

impl Kind {
    /// The kind of a word of `held_by`.
    pub(super) fn of(word: &str) -> Self {
        let word = match word {
            "upload" | "connection_rate" => "pace",
            word => word.strip_prefix("upload_").unwrap_or(word),
        };
        match word {
            "nothing" | "" => Self::Nothing,
            "pace" => Self::Pace,
            "class" => Self::Class,
            "route" | "tcp" => Self::Route,
            "source" => Self::Source,
            "reader" => Self::Reader,
            word if word.ends_with("client") => Self::Client,
            _ => Self::Server,
        }
    }

    /// One of the sixteen colours that every terminal has.
    pub(super) fn colour(self) -> Color {
        match self {
            Self::Nothing => Color::Green,
            Self::Pace => Color::LightBlue,
            Self::Client => Color::Yellow,
            Self::Class => Color::LightMagenta,
            Self::Route => Color::LightRed,
            Self::Server => Color::Red,
            Self::Source => Color::DarkGray,
            Self::Reader => Color::Magenta,
        }
    }
}

/// The word that holds most of a row's transfers, if any is held.
pub(super) fn most(held_by: &HeldBy) -> &str {
    let held = held_by.iter().filter(|(word, _)| *word != "nothing");
    // The first of those with the same number.
    held.rev().max_by_key(|(_, number)| **number).map_or("nothing", |(word, _)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_has_a_kind() {
        for (word, expected) in [
            ("nothing", Kind::Nothing),
            ("pace", Kind::Pace),
            ("upload", Kind::Pace),
            ("connection_rate", Kind::Pace),
            ("client", Kind::Client),
            ("upload_route_client", Kind::Client),
            ("class_client", Kind::Client),
            ("class", Kind::Class),
            ("upload_class", Kind::Class),
            ("route", Kind::Route),
            ("tcp", Kind::Route),
            ("server", Kind::Server),
            ("upload_server", Kind::Server),
            ("source", Kind::Source),
            ("reader", Kind::Reader),
        ] {
            assert_eq!(Kind::of(word), expected, "{word}");
        }
    }

    #[test]
    fn what_holds_most_is_named() {
        let held = |all: &[(&str, u64)]| all.iter().map(|(word, n)| ((*word).to_owned(), *n)).collect();
        assert_eq!(most(&held(&[("nothing", 9), ("pace", 2), ("server", 1)])), "pace");
        assert_eq!(most(&held(&[("pace", 2), ("server", 2)])), "pace");
        assert_eq!(most(&held(&[("nothing", 9)])), "nothing");
    }
}
