//! Uploads that are no request's in `connections list`: of a relay of raw TCP, and of a tunnel.

use std::io::Read;

use testkit::backend::once;
use testkit::message::read_head;

use super::*;

/// The list's one line of a stream is of what the client is sent; what holds the upload is in the access log.
#[test]
fn a_relay_has_one_line_in_the_list_of_what_the_client_is_sent() {
    each(&LIMITS[5..], |limit| {
        let uploading = Uploading::new(limit, "20000B");
        let admin = uploading.program.admin().to_string();
        let sending = uploading.send(Tcp, 60_000);
        until("some came through", || uploading.taken() > 0);
        let list = prints(&["connections", "list", "--wide", "--admin", &admin]);
        let rows: Vec<Vec<&str>> =
            list.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
        let [row] = &rows[..] else { panic!("{}: {list}", limit.told) };
        // ID, peer, client, request, age with its unit, sent, now, set, held by, next, limit.
        assert_eq!(
            (&row[2..4], &row[6..9], row[10..].join(" ")),
            (&["-"; 2][..], &["0", "B", "0"][..], "- nothing -".to_owned()),
            "{list}"
        );
        assert_eq!(sending.join().unwrap(), 200, "{}", limit.told);
        let log = uploading.program.end();
        line(&log, Tcp).assert_says(&[("held_by", limit.held_by), ("outcome", "complete")]);
    });
}

#[test]
fn what_a_client_sends_through_a_tunnel_has_a_line_in_the_list_of_its_own() {
    const LEN: usize = 60_000;
    each(&LIMITS[..5], |limit| {
        let (url, answering) = once(|stream| {
            read_head(stream).unwrap();
            let head = b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: x\r\n\r\n";
            stream.write_all(head).unwrap();
            stream.read_exact(&mut vec![0; LEN]).unwrap();
        });
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), url.trim_start_matches("http://").parse().unwrap(), limit, "1000B");
        let program = Program::start(&["run", text(&folder.path().join("site.toml"))]);
        let mut stream = connect(program.addr());
        stream
            .write_all(b"GET /ws HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
            .unwrap();
        assert!(read_head(&mut stream).unwrap().starts_with("HTTP/1.1 101 "));
        stream.write_all(&vec![b'x'; LEN]).unwrap();
        let admin = program.admin().to_string();
        let set = if limit.held_by == "upload" { "1000B" } else { "off" };
        soon("the tunnel's upload in the list, held", || {
            let list = prints(&["connections", "list", "--wide", "--admin", &admin]);
            let upload = row(&list, |line| line.contains("GET /ws (upload)"))?;
            row(&list, |line| line.contains("GET /ws ") && !line.contains("(upload)"))?;
            upload.contains(&format!("/s {set} {} ", limit.held_by)).then_some(())
        });
        let typed = limit.held_by.replace('_', "-");
        let route = if ["upload_server", "upload_client"].contains(&limit.held_by) { "" } else { " /" };
        prints(&words(&format!("limits set {typed}{route} --rate off --admin {admin}")));
        answering.join().unwrap();
        drop(stream);
        program.end();
    });
}
