use std::time::{Duration, SystemTime};

use http::{Method, Version};
use testkit::records::record;

use super::*;
use crate::limit::{Rate, RateOrOff};

const EVIL: &str = "a\"\\\n\r\x1b[31m\u{7f}é";

fn answered<'a>(method: &'a Method, text: &'a str) -> Answered<'a> {
    Answered {
        method,
        target: "/a?b=\"c",
        version: Version::HTTP_2,
        status: 206,
        host: "files.example.org",
        user_agent: text,
        referer: text,
        upstream: "",
    }
}

fn line<'a>(subject: Subject<'a>) -> AccessLine<'a> {
    AccessLine {
        time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_279_283_522),
        client: &"192.0.2.7:1234",
        ip: Some("::ffff:192.0.2.7".parse().unwrap()),
        peer: &"10.0.0.1:99",
        connection: 7,
        key: Some(&"header 0123"),
        class: None,
        tls: Some("TLSv1.3"),
        subject,
        bytes: 1000,
        bytes_up: Some(20),
        up_pace: Some((RateOrOff(None), 5)),
        lasted: Duration::from_millis(3404),
        first_byte: Some(Duration::from_micros(2999)),
        rule: None,
        rule_up: None,
        rate: RateOrOff(Rate::or_unlimited(61_440)),
        bytes_per_second: 293,
        held_by: "pace",
        outcome: "complete",
    }
}

fn json_of(line: &AccessLine<'_>) -> String {
    let mut out = Vec::new();
    json::write(line, &mut out);
    String::from_utf8(out).unwrap()
}

fn combined_of(line: &AccessLine<'_>) -> String {
    let mut out = Vec::new();
    combined::write(line, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn json_has_all_there_is_to_know_in_one_line() {
    let method = Method::GET;
    let text = json_of(&line(Subject::Response(answered(&method, EVIL))));
    let expected = r#"{"time":"2026-11-21T16:41:23.522Z","level":"info","msg":"response","client":"192.0.2.7:1234","peer":"10.0.0.1:99","connection":7,"key":"header 0123","tls":"TLSv1.3","method":"GET","target":"/a?b=\"c","version":"HTTP/2.0","host":"files.example.org","user_agent":"a\"\\\n\r\u001b[31mé","referer":"a\"\\\n\r\u001b[31mé","status":206,"bytes":1000,"bytes_up":20,"rate_up_set":"off","bytes_up_per_second":5,"duration_ms":3404,"first_byte_ms":2,"rate_set":"60k","bytes_per_second":293,"held_by":"pace","outcome":"complete"}"#;
    assert_eq!(text.replace('\u{7f}', ""), expected);
    assert!(record(&text).unwrap().says(("user_agent", EVIL)), "{text}");
}

#[test]
fn json_names_the_class_and_the_rule_where_there_are_some() {
    let method = Method::GET;
    let named =
        AccessLine { class: Some("vip"), rule: Some("2"), ..line(Subject::Response(answered(&method, "-"))) };
    let text = json_of(&named);
    assert!(text.contains(r#","key":"header 0123","class":"vip","tls":"#), "{text}");
    assert!(text.contains(r#","first_byte_ms":2,"rule":"2","rate_set":"60k","#), "{text}");
    let plain = AccessLine { class: None, rule: None, ..line(Subject::Response(answered(&method, "-"))) };
    assert_eq!(combined_of(&named), combined_of(&plain), "the combined format has no place for them");
}

#[test]
fn json_leaves_out_what_there_is_not() {
    let stream = AccessLine {
        key: None,
        tls: None,
        bytes_up: None,
        up_pace: None,
        first_byte: None,
        client: &EVIL,
        ..line(Subject::Stream("tcp:127.0.0.1:7070"))
    };
    let text = json_of(&stream);
    let expected = r#""peer":"10.0.0.1:99","connection":7,"route":"tcp:127.0.0.1:7070","bytes":1000,"duration_ms":3404,"rate_set":"60k","bytes_per_second":293,"held_by":"pace","outcome":"complete"}"#;
    assert!(text.ends_with(expected), "{text}");
    assert!(record(&text).unwrap().says(("client", EVIL)), "{text}");
}

#[test]
fn combined_is_that_of_apache_and_nginx_and_nobody_can_write_lines_into_it() {
    let evil = r"a\x22\x5C\x0A\x0D\x1B[31m\x7F\xC3\xA9";
    let method = Method::GET;
    let response = line(Subject::Response(answered(&method, EVIL)));
    let expected = format!(
        r#"192.0.2.7 - - [21/Nov/2026:16:41:23 +0000] "GET /a?b=\x22c HTTP/2.0" 206 1000 "{evil}" "{evil}""#
    );
    assert_eq!(combined_of(&response), expected);
}

#[test]
fn combined_has_a_dash_or_a_number_for_what_is_not_known() {
    let unread = Method::from_bytes(b"-").unwrap();
    let answered = Answered { status: 408, version: Version::HTTP_11, ..answered(&unread, "") };
    let refused = AccessLine { ip: None, ..line(Subject::Response(answered)) };
    let time = "[21/Nov/2026:16:41:23 +0000]";
    assert_eq!(combined_of(&refused), format!("unix: - - {time} \"-\" 408 1000 \"-\" \"-\""));
    let method = Method::POST;
    let answered = Answered { status: 0, version: Version::HTTP_10, ..self::answered(&method, "") };
    let left = line(Subject::Response(answered));
    let expected = format!("192.0.2.7 - - {time} \"POST /a?b=\\x22c HTTP/1.0\" 499 1000 \"-\" \"-\"");
    assert_eq!(combined_of(&left), expected);
    for (outcome, status) in [("complete", 200), ("aborted", 499)] {
        let stream = AccessLine { outcome, ..line(Subject::Stream("tcp:[::1]:7")) };
        let expected = format!("192.0.2.7 - - {time} \"tcp:[::1]:7\" {status} 1000 \"-\" \"-\"");
        assert_eq!(combined_of(&stream), expected);
    }
}
