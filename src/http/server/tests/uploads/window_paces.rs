//! Windows of HTTP/2 under a pace, as a client sees them that sends all that they allow.

use std::time::Duration;

use super::windows::{Obedient, is_ok};
use super::{MAX_AHEAD, SECOND, Taking, rate};
use crate::http::route::Route;
use crate::http::server::Settings;
use crate::http::server::tests::pipe::Road;
use crate::http::server::tests::{PATIENCE, World};
use crate::limit::Budget;
use crate::sink::HeldAs;

const KIB: usize = 1024;

/// Bytes that a client may send of one request before they are read, where uploads are limited as its connection begins.
const PACED: usize = 64 * KIB;

/// The same where they are not.
const UNPACED: usize = 128 * KIB;

/// The same of all requests of a connection.
const CONNECTION: usize = 512 * KIB;

/// An upload of a client that sends as much as its windows allow.
struct Sending {
    stream: u8,
    sent: usize,
    /// Bytes of its content that its source has had.
    taking: Taking,
}

/// A connection, and the uploads on it.
struct Scene {
    world: World,
    client: Obedient,
    uploads: Vec<Sending>,
}

impl Scene {
    /// A server of routes, each to a source of its own, and a client that knows its windows.
    fn new(routes: &[(&str, Budget)]) -> (Self, Vec<Taking>) {
        let takings: Vec<Taking> = routes.iter().map(|_| Taking::default()).collect();
        let route = |((path, upload), taking): (&(&str, Budget), &Taking)| {
            Route::handler(path, taking.clone()).upload(*upload)
        };
        let routes = routes.iter().zip(&takings).map(route).collect();
        let mut world = World::on_all(Settings::default(), routes);
        let client = Obedient::new(world.connect(Road::WIDE));
        let mut scene = Self { world, client, uploads: Vec::new() };
        scene.until("the windows", |scene| scene.client.window == CONNECTION);
        (scene, takings)
    }

    fn post(&mut self, stream: u8, path: &str, taking: &Taking) {
        self.client.post(stream, path);
        self.uploads.push(Sending { stream, sent: 0, taking: taking.clone() });
    }

    /// Sends what the windows allow.
    fn send(&mut self) {
        self.client.read();
        for upload in &mut self.uploads {
            let given = self.client.given.get(&upload.stream).copied().unwrap_or_default();
            let window = self.client.of_stream + given - upload.sent;
            let len = window.min(self.client.window);
            self.client.send(upload.stream, len, false);
            upload.sent += len;
        }
    }

    /// Sends on until something holds, while no time passes on the server's clock: streams are served by threads of the executor.
    fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..PATIENCE {
            self.send();
            self.world.settle();
            if holds(self) {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
        let taken: Vec<u64> = self.uploads.iter().map(|upload| upload.taking.taken()).collect();
        panic!("{what} does not come; taken are {taken:?}");
    }

    /// Passes `time` and waits until each upload was taken as far as it is due then, and no further.
    fn pass(&mut self, time: Duration, due: &[u64]) {
        self.world.pass(time);
        let taken =
            |scene: &Self| -> Vec<u64> { scene.uploads.iter().map(|upload| upload.taking.taken()).collect() };
        self.until("what is due", |scene| {
            let taken = taken(scene);
            assert!(taken.iter().zip(due).all(|(taken, due)| taken <= due), "{taken:?} of {due:?}");
            taken == due
        });
        // What was waited for is taken: the client sends what it may, and has it read as far as it is.
        for _ in 0..20 {
            self.send();
            self.world.settle();
            std::thread::park_timeout(Duration::from_millis(1));
        }
        assert_eq!(taken(self), due);
    }

    fn end(mut self) {
        self.world.cut(1);
        self.until("the end of its streams", |scene| scene.world.handle.connections() == 0);
    }
}

#[test]
fn a_window_is_as_far_ahead_of_what_is_read_as_documented_and_opens_no_faster_than_the_pace() {
    for (burst, ahead) in [(0, PACED), (300_000, PACED), (0, UNPACED)] {
        let upload = rate(100_000).with_burst(burst);
        let (mut scene, takings) = Scene::new(&[("/", if ahead == PACED { upload } else { rate(0) })]);
        // A limit that comes behind the beginning holds as the other does.
        scene.world.handle.routes()[0].upload_limit().set(upload);
        assert_eq!(scene.client.of_stream, ahead);
        scene.post(1, "/page", &takings[0]);
        let mut seen = Vec::new();
        for fifth in 0..50 {
            let due = burst + 20_000 * (fifth + 1);
            // Nothing is due one nanosecond sooner.
            if fifth == 0 {
                scene.pass(Duration::ZERO, &[due]);
            } else {
                scene.pass(SECOND / 5 - Duration::from_nanos(1), &[due - 20_000]);
                scene.pass(Duration::from_nanos(1), &[due]);
            }
            let given = scene.client.given.get(&1).copied().unwrap_or_default();
            let held = scene.world.handle.egress().held().of(HeldAs::Request);
            let read = (due + held) as usize;
            // As much as is read is given anew, so that the client is as far ahead all the time. While much is read at once
            // its window is not empty, and is opened in steps of half of it.
            let step = if burst == 0 { 1 } else { ahead / 2 };
            assert!((read + 1 - step..=read).contains(&given), "{given} of {read}, {due} are due");
            assert_eq!(scene.uploads[0].sent, ahead + given);
            assert!((1..=MAX_AHEAD).contains(&held), "{held} bytes are held");
            for (since, before) in &seen {
                let earned = burst + (fifth - since) * 20_000 + 2 * 20_000 + MAX_AHEAD;
                assert!(given - before <= earned as usize, "{given} from {before}");
            }
            seen.push((fifth, given));
        }
        scene.end();
    }
}

#[test]
fn uploads_on_one_connection_have_their_own_paces_and_none_holds_another() {
    let routes = [("/slow/", rate(10_000)), ("/fast/", rate(100_000)), ("/free/", rate(0))];
    let (mut scene, takings) = Scene::new(&routes);
    // Two that are paced, whose windows are full all the time.
    for (stream, path, taking) in [(1, "/slow/", 0), (3, "/fast/", 1)] {
        scene.post(stream, path, &takings[taking]);
    }
    for fifth in 0..25 {
        let due = [2_000, 20_000].map(|chunk| chunk * (fifth + 1));
        if fifth == 0 {
            scene.pass(Duration::ZERO, &due);
        } else {
            scene.pass(SECOND / 5 - Duration::from_nanos(1), &[due[0] - 2_000, due[1] - 20_000]);
            scene.pass(Duration::from_nanos(1), &due);
        }
        // Each has the window that it may have, whatever the other does.
        for upload in &scene.uploads {
            let given = scene.client.given.get(&upload.stream).copied().unwrap_or_default();
            assert_eq!(upload.sent, PACED + given, "stream {}", upload.stream);
        }
        assert!(
            scene.client.window > CONNECTION - 2 * (PACED + MAX_AHEAD as usize),
            "{}",
            scene.client.window
        );
    }
    // One without a limit comes through beside them while no time passes.
    scene.client.post(5, "/free/");
    let mut left = 1_000_000;
    while left > 0 {
        scene.until("a window", |scene| scene.client.window >= 32 * KIB);
        let given = scene.client.given.get(&5).copied().unwrap_or_default();
        let window = PACED + given - (1_000_000 - left);
        let len = window.min(scene.client.window).min(left);
        left -= len;
        scene.client.send(5, len, left == 0);
    }
    scene.until("its answer", |scene| is_ok(scene.client.heads.get(&5)));
    assert_eq!(takings.iter().map(Taking::taken).collect::<Vec<_>>(), [50_000, 500_000, 1_000_000]);
    scene.end();
}
