//! Many streams of one HTTP/2 connection whose windows are small: what they hold is bounded together.

use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use sluicegate::filter::GzipFactory;
use sluicegate::http::files::Files;
use sluicegate::http::route::Route;
use sluicegate::limit::Rate;
use sluicegate::rt;

use testkit::h2::{Sender, connect};
use testkit::served::Served;
use testkit::wait::PATIENCE;

async fn ask(sender: &mut Sender, target: &str) -> Response<Incoming> {
    let request = Request::get(format!("http://t{target}")).header("accept-encoding", "gzip");
    sender.send_request(request.body(Empty::new()).unwrap()).await.unwrap()
}

#[test]
fn eight_answers_of_a_connection_are_coded_at_a_time_and_others_go_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let text: String = (0..20_000).map(|at| format!("{at} ")).collect();
    std::fs::write(folder.path().join("a.txt"), &text).unwrap();
    let route = Route::files("/", folder.path()).unwrap().filter(GzipFactory::new());
    let served = Served::new(vec![route]);
    rt::block_on(async {
        let mut sender = connect(served.addr, 1000).await;
        let mut answers = Vec::new();
        for at in 0..12 {
            let answer = ask(&mut sender, "/a.txt").await;
            assert_eq!(answer.headers().contains_key("content-encoding"), at < 8, "{at}");
            assert_eq!(answer.headers()["vary"], "Accept-Encoding");
            answers.push(answer);
        }
        let plain = answers.pop().unwrap().into_body().collect().await.unwrap().to_bytes();
        assert!(plain == text.as_bytes());
        let mut other = connect(served.addr, 1000).await;
        assert!(ask(&mut other, "/a.txt").await.headers().contains_key("content-encoding"));
        // Another comes in the place of one that has gone.
        drop(answers.remove(0));
        let began = std::time::Instant::now();
        while !ask(&mut sender, "/a.txt").await.headers().contains_key("content-encoding") {
            assert!(began.elapsed() < PATIENCE);
        }
    });
}

#[test]
fn long_answers_made_whole_are_refused_on_a_connection_that_holds_enough_of_them() {
    let folder = tempfile::tempdir().unwrap();
    for at in 0..1_000 {
        std::fs::write(folder.path().join(format!("{at}{}", "n".repeat(200))), "").unwrap();
    }
    std::fs::write(folder.path().join("a.bin"), vec![b'x'; 500_000]).unwrap();
    let files = Files::new(folder.path()).unwrap().list(true);
    let served = Served::new(vec![Route::folder("/", files)]);
    rt::block_on(async {
        let mut sender = connect(served.addr, 1000).await;
        let mut answers = Vec::new();
        while answers.len() < 10 {
            let answer = ask(&mut sender, "/").await;
            if answer.status() == 503 {
                assert_eq!(answer.headers()["retry-after"], "5");
                break;
            }
            assert_eq!(answer.status(), 200);
            answers.push(answer);
        }
        assert!((2..8).contains(&answers.len()), "{} lists of some 300 KB", answers.len());
        let held = served.handle.egress().held().total();
        assert!((1 << 20..2 << 20).contains(&held), "{held}");
        // What comes piece by piece is served, in small pieces; and so are others.
        let file = ask(&mut sender, "/a.bin").await.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(file.len(), 500_000);
        assert_eq!(ask(&mut connect(served.addr, 1000).await, "/").await.status(), 200);
        let whole = answers.pop().unwrap().into_body().collect().await.unwrap().to_bytes();
        assert!(whole.ends_with(b"</html>\n"), "{:?}", whole.len());
    });
}

// Each has 64 KiB on the way if it can: together that would be 6 MiB.
#[test]
fn streams_of_a_connection_whose_socket_takes_nothing_hold_a_bounded_sum() {
    let folder = testkit::folder::folder(&[("a.bin", &vec![b'x'; 300_000])]);
    let route = testkit::served::files(&folder, 50_000_000);
    let mut settings = sluicegate::http::server::Settings::default();
    // Its tokens are slow to come, while all windows are open.
    settings.sink.rate = Rate::or_unlimited(2_000_000);
    let served = Served::with(settings, vec![route]);
    rt::block_on(async {
        let mut sender = connect(served.addr, 1 << 20).await;
        let mut answers = Vec::new();
        for _ in 0..50 {
            answers.push(ask(&mut sender, "/a.bin").await);
            let held = served.handle.egress().held().total();
            assert!(held < 2 << 20, "{held}");
        }
        for answer in answers.drain(..5) {
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            assert!(body == vec![b'x'; 300_000]);
            assert!(served.handle.egress().held().total() < 2 << 20);
        }
    });
}
