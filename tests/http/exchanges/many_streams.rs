//! Many streams of one HTTP/2 connection whose windows are small: what they hold is bounded together.

use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use sluicegate::brigade::{Brigade, Bucket};
use sluicegate::filter::GzipFactory;
use sluicegate::http::body::RequestBody;
use sluicegate::http::content::Content;
use sluicegate::http::files::Files;
use sluicegate::http::proxy::Client;
use sluicegate::http::route::{Answer, Handler, Route};
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

/// Answers when it has been asked `all` times.
struct Together {
    asked: AtomicUsize,
    all: usize,
}

impl Handler for Together {
    fn respond<'a>(&'a self, _: Request<RequestBody>, _: &'a Client) -> Answer<'a> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            while self.asked.load(Ordering::SeqCst) < self.all {
                futures_lite::future::yield_now().await;
            }
            let page: Brigade = [Bucket::Data(vec![b'x'; 100_000].into()), Bucket::Eos].into_iter().collect();
            let mut answer = Response::new(Content::Buckets(page));
            answer.headers_mut().insert("content-type", HeaderValue::from_static("text/plain"));
            answer
        })
    }
}

// While a source is slow to answer, none of its streams has taken a place.
#[test]
fn of_streams_whose_source_answers_all_at_once_eight_are_coded() {
    let source = Together { asked: AtomicUsize::new(0), all: 12 };
    let served = Served::new(vec![Route::handler("/", source).filter(GzipFactory::new())]);
    rt::block_on(async {
        let sender = connect(served.addr, 1000).await;
        let mut asking: Vec<_> = (0..12)
            .map(|_| {
                let mut sender = sender.clone();
                Box::pin(async move { ask(&mut sender, "/").await })
            })
            .collect();
        let mut answers = Vec::new();
        poll_fn(|cx| {
            asking.retain_mut(|asking| match asking.as_mut().poll(cx) {
                Poll::Ready(answer) => {
                    answers.push(answer);
                    false
                }
                Poll::Pending => true,
            });
            if asking.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        let coded = answers.iter().filter(|answer| answer.headers().contains_key("content-encoding")).count();
        assert_eq!(coded, 8);
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
