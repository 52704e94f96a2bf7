//! Schedules of shared limits: what is told of them, and what goes before them.

use serde_json::json;
use sluicegate::http::server::Settings;
use sluicegate::http::{LimitName, LimitOf, LimitPart, LimitSchedule};
use sluicegate::limit::{Budget, Rate};
use sluicegate::schedule::{During, Timetable, Zone};

use super::asking::{get, patch};
use testkit::watched::{Watched, folder};

fn rate(bytes_per_second: u64) -> Budget {
    Budget::of(Rate::or_unlimited(bytes_per_second))
}

#[test]
fn a_limit_tells_what_it_is_at_which_times_until_somebody_sets_it_and_after_a_reload_again() {
    let folder = folder();
    let watched = Watched::with(Settings::default(), vec![testkit::served::files(&folder, 0)]);
    let during = |text: &str| During::parse([text], Zone::default()).unwrap();
    // Whatever the time, the first of these does not change, and the second is never the first to hold.
    let times = vec![(during("00:00-24:00"), rate(5_000).with_burst(7)), (during("Mon"), rate(0))];
    let schedules = [LimitOf::Server, LimitOf::Route("/".to_owned())].map(|of| {
        let limit = LimitName { of, part: LimitPart::Total };
        LimitSchedule { limit, own: rate(9_000), times: Timetable::new(times.clone()), is_by_hand: false }
    });
    let schedule = |holds: bool| {
        json!([
            { "during": "00:00-24:00 UTC", "rate": 5_000, "burst": 7, "report_only": false, "holds": holds },
            { "during": "Mon 00:00-24:00 UTC", "rate": null, "burst": 0, "report_only": false, "holds": false },
        ])
    };
    let handle = &watched.served.handle;
    handle.set_schedules(&schedules);
    for href in ["/v1/limits/server", "/v1/limits/routes/%2F/total"] {
        let listed = get(&watched, "/v1/limits");
        let listed = listed["limits"].as_array().unwrap().iter().find(|limit| limit["href"] == href).cloned();
        let one = get(&watched, href);
        assert_eq!(listed.as_ref(), Some(&one));
        assert_eq!((&one["rate"], &one["burst"]), (&json!(5_000), &json!(7)), "{one}");
        assert_eq!((&one["schedule"], &one["follows_schedule"]), (&schedule(true), &json!(true)), "{one}");
        assert_eq!(one["next_change"], json!(null), "{one}");
        let changed = patch(&watched, href, r#"{"rate": 1000000}"#);
        assert_eq!((&changed["rate"], &changed["burst"]), (&json!(1_000_000), &json!(7)), "{changed}");
        assert_eq!(
            (&changed["schedule"], &changed["follows_schedule"]),
            (&schedule(false), &json!(false)),
            "{changed}"
        );
    }
    // As a reload does.
    handle.set_schedules(&schedules);
    assert_eq!(get(&watched, "/v1/limits/server")["rate"], 5_000);
    let client = get(&watched, "/v1/limits/client");
    assert_eq!((&client["schedule"], &client["follows_schedule"]), (&json!(null), &json!(null)));
}
