//! Times of the week against the calendar, on both sides of each change of summer time.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn zone(name: &str) -> Zone {
    name.parse().unwrap()
}

fn during(text: &str, name: &str) -> During {
    During::parse(text.split("; "), zone(name)).unwrap()
}

/// The changes after `from`, by the clock of the zone.
fn changes(during: &During, from: &str, most: usize) -> Vec<String> {
    let mut at = during.zone().moment(from).unwrap();
    let mut changes = Vec::new();
    while let Some(next) = during.next_change(at).filter(|_| changes.len() < most) {
        let before = during.holds_at(next - Duration::from_nanos(1));
        assert_ne!(before, during.holds_at(next), "nothing changes at {}", during.zone().show(next));
        changes.push(format!("{} {}", if before { "-" } else { "+" }, during.zone().show(next)));
        at = next;
    }
    changes
}

#[test]
fn days_and_times_hold_from_the_first_minute_to_the_last() {
    // The 23rd of November 2026 is a Monday.
    for (text, at, holds) in [
        ("Mon-Fri 08:00-18:00", "2026-11-23 07:59:59", false),
        ("Mon-Fri 08:00-18:00", "2026-11-23 08:00", true),
        ("Mon-Fri 08:00-18:00", "2026-11-27 17:59:59.999", true),
        ("Mon-Fri 08:00-18:00", "2026-11-27 18:00", false),
        ("Mon-Fri 08:00-18:00", "2026-11-28 12:00", false),
        ("sat,sun", "2026-11-28 00:00", true),
        ("Sat,Sun", "2026-11-30 00:00", false),
        ("Fri-Mon", "2026-11-29 12:00", true),
        ("Fri-Mon", "2026-11-26 12:00", false),
        ("22:00-06:00", "2026-11-24 05:59", true),
        ("22:00-06:00", "2026-11-24 06:00", false),
        // The night that begins on Sunday ends on Monday, and that from Monday to Tuesday is none of its.
        ("Sun 22:00-06:00", "2026-11-23 05:59", true),
        ("Sun 22:00-06:00", "2026-11-23 22:00", false),
        ("Sun 22:00-06:00", "2026-11-22 05:00", false),
        ("18:00-00:00", "2026-11-23 23:59", true),
        ("18:00-24:00", "2026-11-24 00:00", false),
        ("00:00-24:00", "2026-11-24 00:00", true),
        ("Mon 08:00-09:00; Tue 10:00-11:00", "2026-11-24 10:30", true),
    ] {
        let during = during(text, "Europe/Berlin");
        assert_eq!(during.holds_at(during.zone().moment(at).unwrap()), holds, "{text} at {at}");
    }
}

#[test]
fn the_next_change_is_the_next_boundary_at_which_something_changes() {
    let office = during("Mon-Fri 08:00-18:00", "Europe/Berlin");
    assert_eq!(
        changes(&office, "2026-11-27 12:00", 3),
        ["- Fri 2026-11-27 18:00 CET", "+ Mon 2026-11-30 08:00 CET", "- Mon 2026-11-30 18:00 CET"]
    );
    // Two times that meet are one.
    let split = during("08:00-12:00; 12:00-18:00", "UTC");
    assert_eq!(
        changes(&split, "2026-11-27 09:00", 2),
        ["- Fri 2026-11-27 18:00 UTC", "+ Sat 2026-11-28 08:00 UTC"]
    );
    let days = during("Mon", "UTC");
    assert_eq!(
        changes(&days, "2026-11-23 00:00", 2),
        ["- Tue 2026-11-24 00:00 UTC", "+ Mon 2026-11-30 00:00 UTC"]
    );
    assert_eq!(changes(&during("Mon-Sun", "UTC"), "2026-11-27 09:00", 2), [""; 0]);
    assert_eq!(changes(&during("00:00-12:00; 12:00-24:00", "UTC"), "2026-11-27 09:00", 2), [""; 0]);
}

// In Berlin the clock goes from 02:00 to 03:00 on the 29th of March 2026, and from 03:00 back to 02:00 on the 25th of October.
#[test]
fn at_a_change_of_summer_time_the_clock_on_the_wall_decides() {
    for (text, from, expected) in [
        // 02:30 does not come: it is 03:00 after 01:59.
        ("02:30-06:00", "2026-03-29 00:00", ["+ Sun 2026-03-29 03:00 CEST", "- Sun 2026-03-29 06:00 CEST"]),
        ("22:00-02:30", "2026-03-29 00:00", ["- Sun 2026-03-29 03:00 CEST", "+ Sun 2026-03-29 22:00 CEST"]),
        // All of it is passed over, on that day.
        ("02:15-02:45", "2026-03-29 00:00", ["+ Mon 2026-03-30 02:15 CEST", "- Mon 2026-03-30 02:45 CEST"]),
        ("02:00-03:00", "2026-03-29 00:00", ["+ Mon 2026-03-30 02:00 CEST", "- Mon 2026-03-30 03:00 CEST"]),
        ("03:00-04:00", "2026-03-29 00:00", ["+ Sun 2026-03-29 03:00 CEST", "- Sun 2026-03-29 04:00 CEST"]),
        // From 02:00 to 03:00 everything comes twice.
        ("02:00-03:00", "2026-10-25 00:00", ["+ Sun 2026-10-25 02:00 CEST", "- Sun 2026-10-25 03:00 CET"]),
        ("01:00-02:30", "2026-10-25 00:30", ["+ Sun 2026-10-25 01:00 CEST", "- Sun 2026-10-25 02:30 CEST"]),
        ("01:00-02:30", "2026-10-25T00:45:00Z", ["+ Sun 2026-10-25 02:00 CET", "- Sun 2026-10-25 02:30 CET"]),
        ("02:30-06:00", "2026-10-25 00:00", ["+ Sun 2026-10-25 02:30 CEST", "- Sun 2026-10-25 02:00 CET"]),
        ("02:30-06:00", "2026-10-25T01:00:00Z", ["+ Sun 2026-10-25 02:30 CET", "- Sun 2026-10-25 06:00 CET"]),
    ] {
        let during = during(text, "Europe/Berlin");
        assert_eq!(changes(&during, from, 2), expected, "{text} from {from}");
    }
    // The day has 23 hours, then 25.
    for (from, hours) in [("2026-03-29 08:00", 23), ("2026-10-25 08:00", 25)] {
        let during = during("08:00-18:00", "Europe/Berlin");
        let at = during.zone().moment(from).unwrap();
        let day_before =
            during.zone().moment(&from.replace("29 08", "28 08").replace("25 08", "24 08")).unwrap();
        assert_eq!(at.duration_since(day_before).unwrap(), Duration::from_secs(hours * 3600));
        assert!(during.holds_at(at) && !during.holds_at(at - Duration::from_nanos(1)), "{from}");
    }
}

#[test]
fn a_point_in_time_is_written_by_the_clock_of_the_zone_or_with_an_offset() {
    let (berlin, utc) = (zone("Europe/Berlin"), Zone::default());
    assert_eq!(berlin.moment("2026-12-24 23:30"), utc.moment("2026-12-24T22:30:00Z"));
    assert_eq!(utc.show(berlin.moment("2026-07-01 00:00:30").unwrap()), "Tue 2026-06-30 22:00:30 UTC");
    assert_eq!(berlin.show(berlin.moment("2026-12-24T23:30").unwrap()), "Thu 2026-12-24 23:30 CET");
    for bad in ["", "now", "2026-13-01 00:00", "23:30", "2026-12-24 25:00"] {
        let error = berlin.moment(bad).unwrap_err();
        assert!(error.to_string().contains("is not a point in time"), "{bad}: {error}");
    }
}

#[test]
fn what_is_no_time_of_the_week_is_refused_with_the_reason() {
    for (text, expected) in [
        ("", "it is not days"),
        ("Mon Tue", "it has no end"),
        ("08:00-18:00 Mon", "it is not days"),
        ("Mo-Fr 08:00-18:00", "\"Mo\" is not a day from Mon to Sun"),
        ("Mon- 08:00-18:00", "\"\" is not a day"),
        ("08:00", "it has no end"),
        ("8:00-18:00", "\"8:00\" is not a time from 00:00 to 24:00"),
        ("08:+6-18:00", "\"08:+6\" is not a time"),
        ("08:60-18:00", "\"08:60\" is not a time"),
        ("08:00-24:01", "\"24:01\" is not a time"),
        ("24:00-08:00", "it begins at 24:00"),
        ("08:00-08:00", "it ends when it begins"),
        ("Mon-Fri 08:00-18:00 Europe/Berlin", "it is not days"),
    ] {
        let error = During::parse([text], Zone::default()).unwrap_err();
        assert!(error.to_string().contains(expected), "{text:?}: {error}");
        assert!(!error.is_empty() && !error.is_too_long(), "{text:?}: {error}");
    }
    let error = "Mars/Base".parse::<Zone>().unwrap_err();
    assert!(error.to_string().contains("no time zone is called"), "{error}");
    let error = During::parse(vec!["Mon"; 65], Zone::default()).unwrap_err();
    assert!(error.is_too_long() && error.to_string().contains("more than 64"), "{error}");
    assert!(During::parse([], Zone::default()).unwrap_err().is_empty());
}

#[test]
fn times_are_printed_as_they_are_read() {
    for (text, shown) in [
        ("mon-fri 08:00-18:00", "Mon-Fri 08:00-18:00 Europe/Berlin"),
        ("Sun,Tue,Wed", "Tue-Wed,Sun 00:00-24:00 Europe/Berlin"),
        ("22:00-06:00; Sat", "22:00-06:00, Sat 00:00-24:00 Europe/Berlin"),
    ] {
        assert_eq!(during(text, "Europe/Berlin").to_string(), shown);
    }
}

proptest! {
    // Minute by minute: between two changes nothing changes, and each change is one.
    #[test]
    fn no_change_is_missed(
        spans in prop::collection::vec(("(Mon|Tue|Wed|Thu|Fri|Sat|Sun)(-(Mon|Fri|Sun))?", 0u16..1440, 1u16..=1440), 1..4),
        zone in prop_oneof![Just("Europe/Berlin"), Just("America/New_York"), Just("Australia/Lord_Howe"), Just("UTC")],
        from in 0u64..365 * 24 * 60,
    ) {
        let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        let texts: Vec<String> = spans.iter().filter(|(_, from, to)| from != to)
            .map(|(days, from, to)| format!("{days} {}-{}", time(*from), time(*to))).collect();
        prop_assume!(!texts.is_empty());
        let during = During::parse(texts.iter().map(String::as_str), zone.parse().unwrap()).unwrap();
        let start = Zone::default().moment("2026-01-01 00:00").unwrap() + Duration::from_secs(from * 60);
        let holds = during.holds_at(start);
        let next = during.next_change(start);
        for minute in 1..8 * 24 * 60 {
            let at = start + Duration::from_secs(minute * 60);
            if next.is_some_and(|next| at >= next) {
                prop_assert!(at.duration_since(next.unwrap()).unwrap() < Duration::from_secs(60));
                prop_assert_ne!(during.holds_at(at), holds);
                return Ok(());
            }
            prop_assert_eq!(during.holds_at(at), holds, "{} changes at {}", during, during.zone().show(at));
        }
    }

    #[test]
    fn any_text_is_a_time_or_a_message(text in "[A-Za-z0-9:, -]{0,24}|\\PC{0,24}") {
        let _ = During::parse([text.as_str()], Zone::default());
        let _ = Zone::default().moment(&text);
        let _ = text.parse::<Zone>();
    }
}
