//! `limits` and `connections` as they are typed, against a running server.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use serde_json::Value;
use sluicegate::http::route::Route;
use sluicegate::limit::Rate;
use testkit::token_file;
use testkit::wait::{soon, until};
use testkit::watched::{TOKEN, Watched, folder};

use crate::typed::{fails, prints, words};

/// A line of a table, its cells one space apart.
fn line(table: &str, begins: &str) -> String {
    let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.clone().find(|line| line.starts_with(begins)).unwrap_or_else(|| panic!("no {begins} in {table}"))
}

#[test]
fn limits_are_listed_and_set() {
    let folder = folder();
    let watched =
        Watched::new(vec![Route::files("/a b/", folder.path()).unwrap().rate(Rate::or_unlimited(61_440))]);
    let admin = watched.admin.to_string();
    let set = |typed: &str| {
        // The one path of a route has a space in it.
        let typed = words(typed).into_iter().map(|word| if word == "PATH" { "/a b/" } else { word });
        prints(&["limits", "set", "--admin", &admin].into_iter().chain(typed).collect::<Vec<_>>())
    };

    let list = prints(&["limits", "list", "--admin", &admin]);
    assert_eq!(line(&list, "LIMIT"), "LIMIT RATE BURST WEIGHT PASSED WAITS OVER");
    assert_eq!(line(&list, "server"), "server off - - 0 B 0 -");
    assert_eq!(line(&list, "response"), "response /a b/ 60k - - - - -");

    assert_eq!(line(&set("server --rate 100m"), "server"), "server 100m - - 0 B 0 -");
    let reporting = set("client --rate 60 --burst 1m --report-only true");
    assert_eq!(line(&reporting, "client"), "client (each) 60k 1m 1 0 B 0 - reports only");
    set("connection --rate=8mbit");
    set("route PATH --rate 20m");
    set("route-client PATH --rate 2m --weight 2");
    set("response PATH --rate off");
    set("client 192.0.2.1 --rate 10m --weight 3");
    set("client 2001:db8::7 --rate 5m");
    let list = prints(&["limits", "list", "--admin", &format!("http://{admin}/")]);
    for expected in [
        "server 100m - - 0 B 0 -",
        "connection (each) 8mbit 64k - - - -",
        "response /a b/ off - - - - -",
        "route /a b/ 20m - - 0 B 0 -",
        "route-client /a b/ 2m - 2 0 B 0 -",
        "client 192.0.2.1 10m 1m 3 0 B 0 - reports only",
        "client 2001:db8::/64 5m 1m 1 0 B 0 - reports only",
    ] {
        let found =
            list.lines().any(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") == expected);
        assert!(found, "{expected} in {list}");
    }
    assert!(set("client 192.0.2.1 --default").contains("60k"));
    let json: Value =
        serde_json::from_str(&prints(&["limits", "list", "--json", "--admin", &admin])).unwrap();
    assert_eq!(
        (json["client_key"].as_str(), json["limits"].as_array().unwrap().len()),
        (Some("address"), 12)
    );
    let json: Value = serde_json::from_str(&set("server --rate off --json")).unwrap();
    assert_eq!((&json["href"], &json["rate"]), (&Value::from("/v1/limits/server"), &Value::Null));
}

#[test]
fn a_slow_transfer_is_found_sped_up_or_closed() {
    let folder = folder();
    let watched = Watched::new(vec![testkit::served::files(&folder, 5_000)]);
    let admin = watched.admin.to_string();
    let mut streams = [(); 2].map(|()| watched.served.begin("/large.bin"));
    streams.iter_mut().for_each(|stream| stream.read_exact(&mut [0; 1]).unwrap());
    let list = soon("both wait for their pace", || {
        let list = prints(&["connections", "list", "--wide", "--admin", &admin]);
        (list.matches(" pace ").count() == 2).then_some(list)
    });
    let peer = streams[0].local_addr().unwrap().to_string();
    let slow = list.lines().find(|line| line.contains(&peer)).unwrap();
    assert!(slow.contains("GET /large.bin") && slow.ends_with("response /"), "{list}");
    let id = slow.split_whitespace().next().unwrap();
    let closed = prints(&["connections", "close", id, "--admin", &admin]);
    assert_eq!(closed, format!("connection {id} is reset\n"));
    let end = streams[0].read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
    until("it is gone", || watched.get(&format!("/v1/connections/{id}"), "").status() != 200);
    assert!(fails(1, &["connections", "close", id, "--admin", &admin]).contains("it may have ended"));

    prints(&["limits", "set", "response", "/", "--rate", "off", "--admin", &admin]);
    let mut rest = vec![0; 1_000_000];
    streams[1].read_exact(&mut rest).unwrap();
    let json: Value =
        serde_json::from_str(&prints(&["connections", "list", "--json", "--admin", &admin])).unwrap();
    assert_eq!(json["connections"].as_array().unwrap().len(), 1);
}

#[test]
fn a_watched_list_comes_each_second_until_its_reader_goes() {
    let folder = folder();
    let watched = Watched::new(vec![testkit::served::files(&folder, 5_000)]);
    let admin = watched.admin.to_string();
    let mut command =
        testkit::program::command(&["connections", "list", "--watch", "--json", "--admin", &admin]);
    let mut program = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let mut count = || {
        let list: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        list["connections"].as_array().unwrap().len()
    };
    assert_eq!(count(), 0);
    let mut stream = watched.served.begin("/large.bin");
    stream.read_exact(&mut [0; 1]).unwrap();
    assert!((0..5).any(|_| count() == 1));
    drop(lines);
    let output = program.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert!(
        fails(2, &["connections", "list", "--sort", "size", "--admin", &admin])
            .contains("--sort: \"size\" is no order")
    );
}

#[test]
fn a_token_is_asked_for_and_sent() {
    let watched = Watched::with_token(Vec::new());
    let admin = watched.admin.to_string();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, token: &str| {
        let path = folder.path().join(name);
        token_file::write(&path, token);
        path.to_str().unwrap().to_owned()
    };
    let (right, wrong) = (file("right", TOKEN), file("wrong", "0123456789abcdef"));
    prints(&["limits", "list", "--admin", &admin, "--token-file", &right]);
    prints(&["limits", "set", "server", "--rate", "1m", "--admin", &admin, "--token-file", &right]);
    let without = fails(1, &["limits", "list", "--admin", &admin]);
    assert!(without.contains("it requires a token: give --token-file FILE"), "{without}");
    let wrong = fails(1, &["limits", "list", "--admin", &admin, "--token-file", &wrong]);
    assert!(wrong.contains("it refuses the token in --token-file"), "{wrong}");
    let none = fails(1, &["limits", "list", "--token-file", "/none"]);
    let expected = "token file /none: No such file or directory (os error 2); create it or correct the path";
    assert!(none.contains(expected), "{none}");
}

#[test]
fn errors_say_what_to_do() {
    let watched = Watched::new(Vec::new());
    let admin = watched.admin.to_string();
    for (typed, expected) in [
        ("limits set server", "nothing to change: give --rate"),
        (
            "limits set route --rate 1m",
            "the path of the route is missing after route: write limits set route /logs/ --rate 20m",
        ),
        ("limits set server / --rate 1m", "server is a single limit: leave out"),
        ("limits set pace --rate 1m", "is not a limit; known: server, client, connection, route"),
        ("limits set server --rate fast", "--rate: \"fast\" is not a rate"),
        ("limits set server --burst -1", "--burst: \"-1\" is not a burst"),
        ("limits set client --weight 0", "--weight: \"0\" is not a number from 1 to 65535"),
        ("limits set server --report-only yes", "--report-only: \"yes\" is neither true nor false"),
        ("limits set client --default", "--default is for one client, and alone"),
        ("limits set client 192.0.2.1 --default --rate 1m", "--default is for one client"),
        ("limits list --admin here", "--admin: \"here\" is not the address of an admin listener: write"),
        ("connections close x", "ID: \"x\" is not a connection's number"),
        ("limits", "list"),
    ] {
        let message = fails(2, &words(typed));
        assert!(message.starts_with("sluicegate: ") && message.contains(expected), "{typed}: {message}");
    }
    for (typed, expected) in [
        ("limits set server --weight 2", "this limit has no weight"),
        ("limits set route /none/ --rate 1m", "No route has this path"),
        ("limits set client nobody --rate 1m", "No such client: write an address"),
        ("connections close 99", "No connection has this number now"),
    ] {
        let message = fails(1, &words(&format!("{typed} --admin {admin}")));
        assert!(message.starts_with("sluicegate: ") && message.contains(expected), "{typed}: {message}");
    }
    drop(watched);
    let nobody = fails(1, &["limits", "list", "--admin", &admin]);
    assert!(
        nobody.contains("Connection refused") && nobody.contains("start the server with --admin ADDR"),
        "{nobody}"
    );
    let other = fails(1, &["limits", "list", "--admin", "unix:/none/admin"]);
    assert!(other.contains("the admin listener at unix:/none/admin: No such file"), "{other}");
}

#[test]
fn the_admin_listener_may_be_a_unix_socket() {
    use sluicegate::admin::Admin;
    use sluicegate::http::server::{Server, Settings};
    use sluicegate::rt::{self, Listener};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin");
    let server = Server::new(Settings::default(), Vec::new(), Vec::new());
    let admin = Admin::new(vec![Listener::bind_unix(&path).unwrap()], None, server.handle()).unwrap();
    let thread = std::thread::spawn(move || rt::block_on(admin.run()));
    let list = prints(&["limits", "list", "--admin", &format!("unix:{}", path.display())]);
    assert_eq!(line(&list, "server"), "server off - - 0 B 0 -");
    server.handle().stop();
    thread.join().unwrap();
}
