//! Moves the clock, polls the connections that were woken, and does what clients do.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use slab::Slab;

use super::agenda::{Agenda, Event};
use super::gauges::{Gauge, SAMPLE};
use super::ledger::{Flight, Ledger};
use super::outcome::{GroupOutcome, LimitGauge, Outcome};
use super::population::{Crowd, Link, Worker};
use super::source::{Orders, SimulatedSource};
use super::spec::{Arrival, MAX_WORKERS, Spec};
use super::tally::End;
use super::tasks::Tasks;
use super::wire::Line;
use crate::clock::{Clock, Instant, ManualClock};
use crate::http::server::{Handle, Observed, Observer, Server};
use crate::telemetry::Outcome as Ended;

/// How long a client waits before it asks again a server that refused it: the `Retry-After` of such answers.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The shortest pause after an answer that was an error.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// What a simulated server is made of: its clock, its sources, and the observer that records its exchanges.
pub struct Stage {
    began: Instant,
    clock: Arc<ManualClock>,
    orders: Orders,
    ledger: Arc<Ledger>,
}

impl Stage {
    /// Starts the clock at `at`.
    ///
    /// # Errors
    /// `at` is before 1970 or after 2499, outside of what the server's clock can show. Choose another time.
    pub fn at(at: SystemTime) -> Result<Self, String> {
        const LAST: Duration = Duration::from_secs(530 * 365 * 24 * 3_600);
        let since = at.duration_since(UNIX_EPOCH).ok().filter(|since| *since < LAST);
        let since = since.ok_or("it is not between 1970 and 2500; choose another time")?;
        let clock = Arc::new(ManualClock::new());
        clock.advance(since);
        Ok(Self { began: clock.now(), clock, orders: Orders::default(), ledger: Arc::default() })
    }

    /// Returns the clock.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }

    /// Returns the observer that records each exchange.
    pub fn observer(&self) -> Arc<dyn Observer> {
        Arc::clone(&self.ledger) as Arc<dyn Observer>
    }

    /// Returns a source of a route: of a folder, which reads no content, or of anything else.
    pub fn source(&self, is_folder: bool) -> SimulatedSource {
        SimulatedSource::new(Arc::clone(&self.clock), Arc::clone(&self.orders), is_folder)
    }
}

/// A simulation that has not run yet.
pub struct Simulation {
    stage: Stage,
    server: Handle,
    seed: u64,
    end: Instant,
    agenda: Agenda,
    tasks: Tasks,
    crowds: Vec<Crowd>,
    workers: Slab<Worker>,
    /// The connection of each task, and the ends that are taken.
    peers: HashMap<u64, SocketAddr>,
    open: HashSet<SocketAddr>,
    flights: HashMap<SocketAddr, Flight>,
    transfers: u64,
    connections: u64,
    gauges: Vec<Gauge>,
    limits: Vec<LimitGauge>,
}

impl Simulation {
    /// Prepares a simulation of `spec` against `server`, which was made on `stage`, over `lasting`. The same `seed` gives the same
    /// figures.
    pub fn new(stage: Stage, server: &Server, spec: &Spec, seed: u64, lasting: Duration) -> Self {
        let groups = spec.groups.iter().cloned().enumerate();
        let crowds: Vec<Crowd> = groups.map(|(nth, group)| Crowd::new(group, seed, nth)).collect();
        let server = server.handle();
        let mut simulation = Self {
            end: stage.began + lasting,
            limits: LimitGauge::all(&server),
            gauges: crowds.iter().map(|_| Gauge::default()).collect(),
            stage,
            server,
            seed,
            agenda: Agenda::default(),
            tasks: Tasks::default(),
            crowds,
            workers: Slab::new(),
            peers: HashMap::new(),
            open: HashSet::new(),
            flights: HashMap::new(),
            transfers: 0,
            connections: 0,
        };
        simulation.invite();
        simulation
    }

    /// Schedules the first events: the calendar, the first sample, and the arrival of clients.
    fn invite(&mut self) {
        let began = self.stage.began;
        self.agenda.put(began, Event::Boundary);
        self.agenda.put(began + SAMPLE, Event::Sample);
        for nth in 0..self.crowds.len() {
            let group = &self.crowds[nth].group;
            let from = began + group.from;
            let (count, connections, requests) = (group.count, group.connections, group.requests);
            let step = match group.arrive {
                Arrival::AtOnce => Duration::ZERO,
                Arrival::Ramp(lasting) => lasting / u32::try_from(count).unwrap_or(u32::MAX),
                Arrival::PerSecond(_) => {
                    self.agenda.put(from + self.pause_before_arrival(nth), Event::Arrival(nth));
                    continue;
                }
            };
            for client in 0..count {
                let at = from + step * u32::try_from(client).unwrap_or(u32::MAX);
                for _ in 0..connections {
                    let worker = self.workers.insert(Worker::new(nth, client, requests));
                    self.agenda.put(at, Event::Begin(worker));
                }
            }
        }
    }

    /// Runs it. Calls `progress` with the simulated time that has passed, at most once per simulated second.
    pub fn run(mut self, mut progress: impl FnMut(Duration)) -> Outcome {
        let mut told = self.stage.began;
        loop {
            self.settle();
            let next = self.stage.clock.next_deadline().into_iter().chain(self.agenda.next_at()).min();
            let Some(next) = next.filter(|next| *next <= self.end) else { break };
            self.stage.clock.set(next.max(self.now()));
            while let Some(event) = self.agenda.due(self.now()) {
                self.act(event);
            }
            if self.now() - told >= Duration::from_secs(1) {
                told = self.now();
                progress(told - self.stage.began);
            }
        }
        self.stage.clock.set(self.end);
        self.conclude()
    }

    fn now(&self) -> Instant {
        self.stage.clock.now()
    }

    /// Polls the connections that were woken, until none is.
    fn settle(&mut self) {
        while let Some((task, is_over)) = self.tasks.poll_next() {
            for exchange in self.stage.ledger.take() {
                self.ended(&exchange);
            }
            if is_over && let Some(peer) = self.peers.remove(&task) {
                self.closed(peer);
            }
        }
    }

    fn act(&mut self, event: Event) {
        match event {
            Event::Sample => self.sample(),
            Event::Boundary => {
                let next = self.server.follow_calendar();
                if let Some(since) = next.and_then(|next| next.duration_since(UNIX_EPOCH).ok()) {
                    // Not this instant again, whatever the calendar says.
                    let at = (Instant::ZERO + since).max(self.now() + Duration::from_millis(1));
                    self.agenda.put(at, Event::Boundary);
                }
            }
            Event::Arrival(crowd) => self.arrive(crowd),
            Event::Begin(worker) => self.begin(worker),
            Event::Request(worker, transfer) => self.request(worker, transfer),
            Event::GiveUp(worker, transfer) => self.give_up(worker, transfer),
        }
    }

    fn sample(&mut self) {
        for (gauge, crowd) in self.gauges.iter_mut().zip(&self.crowds) {
            gauge.sample(crowd.moved.load(Ordering::Relaxed));
        }
        self.limits.iter_mut().for_each(LimitGauge::sample);
        self.agenda.put(self.now() + SAMPLE, Event::Sample);
    }

    fn pause_before_arrival(&self, crowd: usize) -> Duration {
        let crowd = &self.crowds[crowd];
        match crowd.group.arrive {
            Arrival::PerSecond(rate) => crowd.random.exponential(Duration::from_secs_f64(1.0 / rate)),
            Arrival::AtOnce | Arrival::Ramp(_) => Duration::ZERO,
        }
    }

    fn arrive(&mut self, nth: usize) {
        if self.is_late(nth) {
            return;
        }
        self.agenda.put(self.now() + self.pause_before_arrival(nth), Event::Arrival(nth));
        let crowd = &mut self.crowds[nth];
        let client = crowd.random.below(crowd.group.count as u64) as usize;
        if self.workers.len() + crowd.group.connections > MAX_WORKERS {
            crowd.tally.transfers.turned_away += 1;
            return;
        }
        for _ in 0..crowd.group.connections {
            let worker = self.workers.insert(Worker::new(nth, client, crowd.group.requests));
            self.agenda.put(self.stage.clock.now(), Event::Begin(worker));
        }
    }

    /// Whether the clients of a group ask for nothing more.
    fn is_late(&self, crowd: usize) -> bool {
        let until = self.crowds[crowd].group.until;
        until.is_some_and(|until| self.now() >= self.stage.began + until)
    }

    fn begin(&mut self, nth: usize) {
        let worker = &self.workers[nth];
        if worker.left == Some(0) || self.is_late(worker.crowd) {
            if let Some(link) = self.workers.remove(nth).link {
                link.line.close(false);
            }
            return;
        }
        let crowd = &self.crowds[worker.crowd];
        let (wish, now) = (crowd.wish(), self.now());
        self.transfers += 1;
        self.agenda.put(now + crowd.group.latency, Event::Request(nth, self.transfers));
        if let Some(patience) = crowd.group.patience {
            self.agenda.put(now + patience, Event::GiveUp(nth, self.transfers));
        }
        let worker = &mut self.workers[nth];
        (worker.transfer, worker.wish) = (self.transfers, wish);
    }

    /// The request of a transfer is at the server.
    fn request(&mut self, nth: usize, transfer: u64) {
        let Some(worker) = self.workers.get(nth).filter(|worker| worker.transfer == transfer) else { return };
        let open = worker.link.clone().filter(|link| link.line.is_open());
        let Some(link) = open.or_else(|| self.connect(nth)) else {
            return self.end(nth, End::Refused, self.now());
        };
        let worker = &mut self.workers[nth];
        worker.link = Some(link.clone());
        let began = self.stage.clock.now();
        let latency = self.crowds[worker.crowd].group.latency;
        let began = Instant::from_nanos(began.as_nanos().saturating_sub(latency.as_nanos() as u64));
        let flight = Flight { worker: nth, transfer, crowd: worker.crowd, client: worker.client, began };
        self.stage.orders.lock().insert(link.peer, worker.wish.order);
        self.flights.insert(link.peer, flight);
        link.line.request(worker.wish.head.clone(), worker.wish.content);
    }

    /// Opens a connection; `None` if it is closed at once.
    fn connect(&mut self, nth: usize) -> Option<Link> {
        let worker = &self.workers[nth];
        let crowd = &self.crowds[worker.crowd];
        let ip = crowd.group.address(worker.client);
        // There are more ports than workers, so that one is free.
        let peer = loop {
            self.connections += 1;
            let peer = SocketAddr::new(ip, 1_024 + (self.connections % 64_000) as u16);
            if !self.open.contains(&peer) {
                break peer;
            }
        };
        let clock = Arc::clone(&self.stage.clock);
        let (line, wire) = Line::new(clock, crowd.speeds(), Arc::clone(&crowd.moved));
        let task = self.server.connect(wire, peer, crowd.certificate.clone())?;
        self.peers.insert(self.tasks.add(task), peer);
        self.open.insert(peer);
        Some(Link { line, peer })
    }

    fn give_up(&mut self, nth: usize, transfer: u64) {
        let Some(worker) = self.workers.get_mut(nth).filter(|worker| worker.transfer == transfer) else {
            return;
        };
        if let Some(link) = worker.link.take() {
            link.line.close(true);
        }
        self.end(nth, End::GivenUp, self.now());
    }

    /// Counts an exchange that the server has recorded as ended.
    fn ended(&mut self, exchange: &Observed) {
        let Some(flight) = self.landed(exchange) else { return };
        let is_current = self.is_current(&flight);
        let (end, at) = match (is_current, exchange.outcome, exchange.status) {
            // Its client has gone already.
            (false, ..) => (End::GivenUp, self.now()),
            (_, Ended::Complete, Some(200..300)) => (End::Done, self.read_at(&flight)),
            (_, Ended::Complete, Some(429 | 503)) => (End::Refused, self.now()),
            (_, Ended::Complete, _) => (End::Failed, self.now()),
            (_, Ended::Aborted | Ended::Abandoned, _) => (End::Cut, self.now()),
        };
        self.crowds[flight.crowd].tally.add(exchange, flight.client, at - flight.began, end);
        if is_current {
            self.end(flight.worker, end, at);
        }
    }

    /// The transfer that an exchange was, which is under way no more.
    fn landed(&mut self, exchange: &Observed) -> Option<Flight> {
        self.flights.remove(&exchange.peer.addr()?)
    }

    /// Whether its client still waits for this transfer.
    fn is_current(&self, flight: &Flight) -> bool {
        self.workers.get(flight.worker).is_some_and(|worker| worker.transfer == flight.transfer)
    }

    /// When the client has read all that the server has sent.
    fn read_at(&self, flight: &Flight) -> Instant {
        let link = self.workers.get(flight.worker).and_then(|worker| worker.link.as_ref());
        link.map_or(self.now(), |link| link.line.read_at().max(self.now()))
    }

    /// The server has closed a connection, perhaps without an answer.
    fn closed(&mut self, peer: SocketAddr) {
        self.stage.orders.lock().remove(&peer);
        self.open.remove(&peer);
        let Some(flight) = self.flights.remove(&peer) else { return };
        if self.is_current(&flight) {
            self.end(flight.worker, End::Cut, self.now());
        }
    }

    /// Counts the end of a worker's transfer, which is over for its client at `at`, and has it go on.
    fn end(&mut self, nth: usize, end: End, at: Instant) {
        let worker = &mut self.workers[nth];
        worker.transfer = 0;
        worker.left = worker.left.map(|left| left.saturating_sub(1));
        let crowd = &mut self.crowds[worker.crowd];
        crowd.tally.count(end);
        if worker.left == Some(0) {
            return self.agenda.put(at, Event::Begin(nth));
        }
        let think = crowd.group.think.draw(&crowd.random);
        let pause = match end {
            End::Done | End::GivenUp | End::UnderWay => think,
            End::Refused => think.max(RETRY_AFTER),
            End::Failed | End::Cut => think.max(AFTER_ERROR),
        };
        self.agenda.put(at + pause, Event::Begin(nth));
    }

    /// Drops all tasks, counts what is still under way, and computes the figures.
    fn conclude(mut self) -> Outcome {
        self.tasks.drop_all();
        let now = self.now();
        for exchange in self.stage.ledger.take() {
            let Some(flight) = self.landed(&exchange) else { continue };
            let end = if self.is_current(&flight) { End::UnderWay } else { End::GivenUp };
            self.crowds[flight.crowd].tally.add(&exchange, flight.client, now - flight.began, end);
        }
        for (_, worker) in self.workers.iter().filter(|(_, worker)| worker.transfer != 0) {
            self.crowds[worker.crowd].tally.count(End::UnderWay);
        }
        let lasting = self.end - self.stage.began;
        let limits: Vec<_> = self.limits.into_iter().map(LimitGauge::finish).collect();
        let groups = self.crowds.into_iter().zip(self.gauges);
        let groups = groups.map(|(crowd, gauge)| GroupOutcome::new(crowd, gauge, lasting)).collect();
        let began = UNIX_EPOCH + (self.stage.began - Instant::ZERO);
        Outcome { began, lasting, seed: self.seed, groups, limits }
    }
}
