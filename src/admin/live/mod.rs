//! The live view: one stream of server-sent events with what flows now, for pages and terminals.
//!
//! The stream is one of our own event streams, so a viewer that comes back resumes, and one that stalls is suspended. It
//! exists, and is sampled, only while somebody looks.

mod alerts;
mod camera;
mod members;
mod patch;
mod quota;
mod rows;
mod sampler;
mod state;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use event_listener::Event;
use futures_lite::{FutureExt, future};
use http::{HeaderValue, Method, Request, Response};

use self::camera::Camera;
#[cfg(feature = "quota")]
pub(super) use self::quota::look_at;
use self::quota::{Look, QuotaRow};
use crate::clock::{Clock, Sleep};
use crate::events::{Draft, EventSettings, Events, StreamName};
use crate::http::api::{Problem, Query};
use crate::http::body::RequestBody;
use crate::http::content::Content;
use crate::http::server::Handle;
use crate::http::source::Visitor;
use crate::rt;
use crate::sync::Mutex;
use crate::token::Token;

/// The path of the stream; polls go to `/poll` below it.
pub(super) const PATH: &str = "/v1/live";

/// The name of the only stream, and its address below `/v1/`.
const NAME: &str = "live";

/// The time between two samples, if taking one is short enough.
const INTERVAL: Duration = Duration::from_millis(200);

/// The longest time between two samples, also where one takes longer than a fiftieth of it.
const MAX_INTERVAL: Duration = Duration::from_secs(5);

/// A sample is taken after as many times as long as the processor worked for the last one: so sampling costs at most 2 % of
/// one processor, as long as a sample takes at most 100 ms of it. What else the machine does makes frames no rarer.
const SPARED: u32 = 50;

/// Viewers at a time, those that are away for a moment or suspended included.
const MAX_VIEWERS: usize = 32;

/// Bytes of the largest frame.
const MAX_FRAME: usize = 4 << 20;

/// The tokens that admit viewers, if the listener has some: of those who may change things, and of those who may look.
pub(super) type Tokens = [Option<Token>; 2];

/// The tokens by which viewers were admitted, as they were then.
struct Admitted {
    tokens: Tokens,
    then: [Option<HeaderValue>; 2],
}

impl Admitted {
    fn by(tokens: Tokens) -> Self {
        let then = tokens.each_ref().map(|token| token.as_ref().map(Token::authorization));
        Self { tokens, then }
    }

    /// Whether one of them was replaced since. Who sent the old one must not look on.
    async fn are_others(&self) -> bool {
        for (token, then) in self.tokens.iter().zip(&self.then) {
            if let Some(token) = token {
                token.renew().await;
                if Some(token.authorization()) != *then {
                    return true;
                }
            }
        }
        false
    }
}

/// The stream of one admin listener.
pub(super) struct Live {
    server: Handle,
    /// While somebody looks.
    view: Mutex<Option<Arc<View>>>,
    /// Asks the quota server, if there is one.
    look: Mutex<Option<Look>>,
}

struct View {
    events: Events,
    name: StreamName,
    /// Somebody came who has nothing yet.
    wants_full: AtomicBool,
    /// Notified of each viewer that comes.
    came: Event,
    /// What the quota server said last.
    quota: Arc<Mutex<Option<QuotaRow>>>,
}

fn settings() -> EventSettings {
    EventSettings {
        names: vec![NAME.to_owned()],
        streams: 1,
        subscribers: MAX_VIEWERS,
        client_streams: MAX_VIEWERS,
        // Five seconds. The sink gives up a reader that takes nothing after ten.
        queue: 25,
        queue_bytes: 8 << 20,
        log: 50,
        log_bytes: 16 << 20,
        log_ttl: Duration::from_secs(10),
        ttl: Duration::from_secs(10),
        event_size: MAX_FRAME,
        batch: 1,
        heartbeat: Duration::from_secs(5),
        retry: Duration::from_secs(1),
        suspend_retry: Duration::from_secs(2),
        ..EventSettings::default()
    }
}

/// Whether `path` is the stream's.
pub(super) fn has(path: &str) -> bool {
    path.strip_prefix(PATH).is_some_and(|rest| matches!(rest, "" | "/poll"))
}

impl Live {
    pub(super) fn new(server: Handle) -> Self {
        Self { server, view: Mutex::default(), look: Mutex::default() }
    }

    /// Has views show what `look` finds of a quota.
    #[cfg(feature = "quota")]
    pub(super) fn show_quota(&self, look: Look) {
        *self.look.lock() = Some(look);
    }

    /// Answers a request that was admitted, for a path that [`has`] knows.
    pub(super) async fn answer(
        self: &Arc<Self>,
        request: &Request<RequestBody>,
        visitor: Visitor<'_>,
        tokens: Tokens,
    ) -> Response<Content> {
        self.try_answer(request, visitor, tokens).await.unwrap_or_else(Problem::into_response)
    }

    async fn try_answer(
        self: &Arc<Self>,
        request: &Request<RequestBody>,
        visitor: Visitor<'_>,
        tokens: Tokens,
    ) -> Result<Response<Content>, Problem> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(Problem::method_not_allowed("GET, HEAD"));
        }
        let is_poll = request.uri().path() != PATH;
        let known: &[&str] = if is_poll { &["token", "after", "max", "wait"] } else { &["token", "after"] };
        let query = Query::parse(request.uri())?.only(known)?;
        let view = self.view(tokens);
        let answer = view.events.read(request, &view.name, visitor).await?;
        if !is_poll && request.method() == Method::GET {
            let header = request.headers().get("last-event-id").and_then(|id| id.to_str().ok());
            let id = header.filter(|id| !id.is_empty()).or(query.text("after"));
            if !id.is_some_and(|id| view.events.hub().can_resume(&view.name, id)) {
                view.wants_full.store(true, Ordering::Release);
            }
            view.came.notify(1);
        }
        Ok(answer)
    }

    /// The view, which begins now if there is none.
    fn view(self: &Arc<Self>, tokens: Tokens) -> Arc<View> {
        let mut view = self.view.lock();
        let begin = || {
            let events = Events::new(PATH, settings(), None, rt::clock());
            let name = StreamName::new(NAME).expect("a good name");
            let (wants_full, came, quota) = (AtomicBool::new(false), Event::new(), Arc::default());
            let view = Arc::new(View { events, name, wants_full, came, quota });
            if let Some(look) = self.look.lock().clone() {
                rt::spawn(ask(look, Arc::downgrade(&view.quota)));
            }
            rt::spawn(Arc::clone(self).watch(Arc::clone(&view), Admitted::by(tokens)));
            view
        };
        Arc::clone(view.get_or_insert_with(begin))
    }

    /// Publishes frames while somebody looks.
    async fn watch(self: Arc<Self>, view: Arc<View>, admitted: Admitted) {
        let clock: Arc<dyn Clock> = rt::clock();
        let mut camera = Camera::new(self.server.clone(), Arc::clone(&view.quota));
        let mut due = clock.now();
        loop {
            let came = view.came.listen();
            let has_viewer = view.events.hub().readers(&view.name).0 > 0;
            if !has_viewer && self.end(&view) {
                return;
            }
            let next = if has_viewer { due } else { clock.now() + INTERVAL };
            let wait = async {
                Sleep::until(Arc::clone(&clock), next).await;
                false
            };
            let came = async {
                // One who comes while others look has the next frame.
                if has_viewer {
                    future::pending::<()>().await;
                }
                came.await;
                false
            };
            let stopped = async {
                self.server.stopped().await;
                true
            };
            if wait.or(came).or(stopped).await {
                *self.view.lock() = None;
                return;
            }
            if admitted.are_others().await {
                log::info!("a token of the admin listener was replaced: streams of the live view end");
                *self.view.lock() = None;
                return view.events.hub().close();
            }
            if has_viewer {
                let (back, interval) = view.publish(camera).await;
                camera = back;
                due = clock.now() + interval;
            }
        }
    }

    /// Ends the view if nobody looks, comes, or may come back. Returns whether it did.
    fn end(&self, view: &Arc<View>) -> bool {
        let mut kept = self.view.lock();
        // Ours and the one that is kept. Requests that are being answered have another, taken under the lock.
        let is_over = Arc::strong_count(view) <= 2 && view.events.hub().readers(&view.name) == (0, 0);
        if is_over {
            *kept = None;
        }
        is_over
    }
}

impl View {
    /// Takes a sample and publishes it, if there is something new. Returns how long to wait for the next.
    async fn publish(&self, mut camera: Camera) -> (Camera, Duration) {
        let is_full = self.wants_full.swap(false, Ordering::AcqRel);
        // Off the threads that serve: it takes milliseconds where there are thousands of transfers.
        let work = rt::blocking(move || {
            let begin = rt::thread_time();
            let frame = camera.guarded(|camera| camera.frame(is_full));
            (camera, frame, rt::thread_time().saturating_sub(begin))
        });
        let (camera, frame, took) = work.await;
        let Some(frame) = frame else {
            self.wants_full.store(true, Ordering::Release);
            return (camera, MAX_INTERVAL);
        };
        if let Some((kind, data)) = frame
            && let Err(error) = self.send(kind, data)
        {
            // The next frame must not build on this one.
            self.wants_full.store(true, Ordering::Release);
            log::warn!(error:% = error; "a frame of the live view was not sent");
        }
        (camera, interval_after(took))
    }

    fn send(&self, kind: &str, data: String) -> Result<(), String> {
        let draft = Draft::new(data, MAX_FRAME).and_then(|draft| draft.kind(kind));
        let draft = draft.map_err(|error| format!("{error:?}"))?;
        let published = self.events.hub().publish_at_once(&self.name, vec![draft]);
        published.map(drop).map_err(|error| format!("{error:?}"))
    }
}

/// Asks the quota server now and then, as long as somebody has what it says.
async fn ask(look: Look, into: Weak<Mutex<Option<QuotaRow>>>) {
    let clock: Arc<dyn Clock> = rt::clock();
    while into.strong_count() > 0 {
        let row = look().await;
        let Some(quota) = into.upgrade() else { return };
        *quota.lock() = Some(row);
        drop(quota);
        Sleep::lasting(Arc::clone(&clock), quota::ASKED).await;
    }
}

/// How long to wait after a sample for which the processor worked so long.
fn interval_after(took: Duration) -> Duration {
    took.saturating_mul(SPARED).clamp(INTERVAL, MAX_INTERVAL)
}

#[cfg(test)]
mod tests;
