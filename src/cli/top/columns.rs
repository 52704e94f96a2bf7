//! The views, the columns of each, and what rows are in order of.

/// What is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Transfers,
    Clients,
    Routes,
    Classes,
    Limits,
    Streams,
}

impl View {
    pub(super) const ALL: [Self; 6] =
        [Self::Transfers, Self::Clients, Self::Routes, Self::Classes, Self::Limits, Self::Streams];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Transfers => "Transfers",
            Self::Clients => "Clients",
            Self::Routes => "Routes",
            Self::Classes => "Classes",
            Self::Limits => "Limits",
            Self::Streams => "Event streams",
        }
    }

    /// The columns before the name of a row, which has what is left of a line.
    pub(super) fn columns(self) -> &'static [Column] {
        match self {
            Self::Transfers => &OF_TRANSFERS,
            Self::Clients | Self::Routes | Self::Classes => &OF_GROUPS,
            Self::Limits => &OF_LIMITS,
            Self::Streams => &OF_STREAMS,
        }
    }

    /// The heading of the names.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Transfers => "REQUEST",
            Self::Clients => "CLIENT",
            Self::Routes | Self::Streams => "ROUTE",
            Self::Classes => "CLASS",
            Self::Limits => "LIMIT",
        }
    }

    /// Whether rows have a graph where there is room for one.
    pub(super) fn has_graph(self) -> bool {
        self != Self::Streams
    }
}

pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) width: u16,
    pub(super) is_right: bool,
}

const fn column(title: &'static str, width: u16, is_right: bool) -> Column {
    Column { title, width, is_right }
}

const OF_TRANSFERS: [Column; 5] = [NOW, SET, SENT, HELD, column("CLIENT", 15, false)];
const OF_GROUPS: [Column; 5] = [NOW, SET, SENT, HELD, column("TRANSFERS", 9, true)];
const OF_LIMITS: [Column; 6] = [
    NOW,
    column("RATE", 12, true),
    column("BURST", 10, true),
    column("WEIGHT", 6, true),
    column("WAITS", 8, true),
    column("FROM", 8, false),
];
const OF_STREAMS: [Column; 7] = [
    column("CONNECTED", 9, true),
    column("SUSPENDED", 9, true),
    column("AWAY", 6, true),
    column("QUEUED", 7, true),
    column("FULLEST", 7, true),
    column("LOST", 7, true),
    column("P99", 9, true),
];

const NOW: Column = column("NOW", 12, true);
const SET: Column = column("SET", 12, true);
const SENT: Column = column("SENT", 10, true);
const HELD: Column = column("HELD BY", 12, false);

/// What rows are in order of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// The pace, the highest first.
    Now,
    /// What was set, the highest first, and last what has no rate.
    Set,
    /// Bytes so far, the most first; of limits the waits, of event streams what was lost.
    Sent,
    /// What holds them.
    Held,
    Name,
}

impl Sort {
    pub(super) const ALL: [(&str, Self); 5] = [
        ("now", Self::Now),
        ("set", Self::Set),
        ("sent", Self::Sent),
        ("held", Self::Held),
        ("name", Self::Name),
    ];

    /// The heading of the column in a view; `None` where it has none.
    pub(super) fn heading(self, view: View) -> Option<&'static str> {
        match (self, view) {
            (Self::Name, view) => Some(view.name()),
            (Self::Sent, View::Limits) => Some("WAITS"),
            (Self::Sent, View::Streams) => Some("LOST"),
            (Self::Set, View::Limits) => Some("RATE"),
            (Self::Held, View::Limits) => Some("FROM"),
            (_, View::Streams) => None,
            (Self::Now, _) => Some("NOW"),
            (Self::Set, _) => Some("SET"),
            (Self::Sent, _) => Some("SENT"),
            (Self::Held, _) => Some("HELD BY"),
        }
    }
}
