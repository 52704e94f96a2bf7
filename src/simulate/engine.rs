//! Moves the clock, polls the connections that were woken, and does what clients do.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, UNIX_EPOCH};

use slab::Slab;

use super::byte_counts::{ByteCount, SAMPLE};
use super::clients::{Link, RunningGroup, Worker};
use super::ended_exchanges::OpenTransfer;
use super::environment::Environment;
use super::event_queue::{Event, EventQueue};
use super::outcome::{GroupOutcome, LimitBytes, Outcome};
use super::spec::{Arrival, MAX_WORKERS, Spec};
use super::tasks::Tasks;
use super::totals::End;
use super::wire::Line;
use crate::clock::{Clock, Instant};
use crate::http::server::{Handle, Observed, Server};
use crate::telemetry::Outcome as Ended;

/// How long a client waits before it asks again a server that refused it: the `Retry-After` of such answers.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The shortest pause after an answer that was an error.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// A simulation that has not run yet.
pub struct Simulation {
    environment: Environment,
    server: Handle,
    seed: u64,
    end: Instant,
    event_queue: EventQueue,
    tasks: Tasks,
    running_groups: Vec<RunningGroup>,
    workers: Slab<Worker>,
    /// The connection of each task, and the ends that are taken.
    peers: HashMap<u64, SocketAddr>,
    open: HashSet<SocketAddr>,
    open_transfers: HashMap<SocketAddr, OpenTransfer>,
    transfers: u64,
    connections: u64,
    byte_counts: Vec<ByteCount>,
    limits: Vec<LimitBytes>,
}

opaque!(Simulation);

impl Simulation {
    /// Prepares a simulation of `spec` against `server`, which was made on `environment`, over `lasting`. The same `seed` gives the same
    /// figures.
    pub fn new(environment: Environment, server: &Server, spec: &Spec, seed: u64, lasting: Duration) -> Self {
        let groups = spec.groups.iter().cloned().enumerate();
        let running_groups: Vec<RunningGroup> =
            groups.map(|(nth, group)| RunningGroup::new(group, seed, nth)).collect();
        let server = server.handle();
        let mut simulation = Self {
            end: environment.began + lasting,
            limits: LimitBytes::all(&server),
            byte_counts: running_groups.iter().map(|_| ByteCount::default()).collect(),
            environment,
            server,
            seed,
            event_queue: EventQueue::default(),
            tasks: Tasks::default(),
            running_groups,
            workers: Slab::new(),
            peers: HashMap::new(),
            open: HashSet::new(),
            open_transfers: HashMap::new(),
            transfers: 0,
            connections: 0,
        };
        simulation.schedule_first();
        simulation
    }

    /// Schedules the first events: the calendar, the first sample, and the arrival of clients.
    fn schedule_first(&mut self) {
        let began = self.environment.began;
        self.event_queue.put(began, Event::Boundary);
        self.event_queue.put(began + SAMPLE, Event::Sample);
        for nth in 0..self.running_groups.len() {
            let group = &self.running_groups[nth].group;
            let from = began + group.from;
            let (count, connections, requests) = (group.count, group.connections, group.requests);
            let step = match group.arrive {
                Arrival::AtOnce => Duration::ZERO,
                Arrival::Ramp(lasting) => lasting / u32::try_from(count).unwrap_or(u32::MAX),
                Arrival::PerSecond(_) => {
                    self.event_queue.put(from + self.pause_before_arrival(nth), Event::Arrival(nth));
                    continue;
                }
            };
            for client in 0..count {
                let at = from + step * u32::try_from(client).unwrap_or(u32::MAX);
                for _ in 0..connections {
                    let worker = self.workers.insert(Worker::new(nth, client, requests));
                    self.event_queue.put(at, Event::Begin(worker));
                }
            }
        }
    }

    /// Runs it. Calls `progress` with the simulated time that has passed, at most once per simulated second.
    pub fn run(mut self, mut progress: impl FnMut(Duration)) -> Outcome {
        let mut told = self.environment.began;
        loop {
            self.settle();
            let next =
                self.environment.clock.next_deadline().into_iter().chain(self.event_queue.next_at()).min();
            let Some(next) = next.filter(|next| *next <= self.end) else { break };
            self.environment.clock.set(next.max(self.now()));
            while let Some(event) = self.event_queue.due(self.now()) {
                self.act(event);
            }
            if self.now() - told >= Duration::from_secs(1) {
                told = self.now();
                progress(told - self.environment.began);
            }
        }
        self.environment.clock.set(self.end);
        self.conclude()
    }

    fn now(&self) -> Instant {
        self.environment.clock.now()
    }

    /// Polls the connections that were woken, until none is.
    fn settle(&mut self) {
        while let Some((task, is_over)) = self.tasks.poll_next() {
            for exchange in self.environment.ended_exchanges.take() {
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
                    self.event_queue.put(at, Event::Boundary);
                }
            }
            Event::Arrival(running) => self.arrive(running),
            Event::Begin(worker) => self.begin(worker),
            Event::Request(worker, transfer) => self.request(worker, transfer),
            Event::GiveUp(worker, transfer) => self.give_up(worker, transfer),
        }
    }

    fn sample(&mut self) {
        for (byte_count, running) in self.byte_counts.iter_mut().zip(&self.running_groups) {
            byte_count.sample(running.moved.load(Ordering::Relaxed));
        }
        self.limits.iter_mut().for_each(LimitBytes::sample);
        self.event_queue.put(self.now() + SAMPLE, Event::Sample);
    }

    fn pause_before_arrival(&self, running: usize) -> Duration {
        let running = &self.running_groups[running];
        match running.group.arrive {
            Arrival::PerSecond(rate) => running.random.exponential(Duration::from_secs_f64(1.0 / rate)),
            Arrival::AtOnce | Arrival::Ramp(_) => Duration::ZERO,
        }
    }

    fn arrive(&mut self, nth: usize) {
        if self.is_late(nth) {
            return;
        }
        self.event_queue.put(self.now() + self.pause_before_arrival(nth), Event::Arrival(nth));
        let running = &mut self.running_groups[nth];
        let client = running.random.below(running.group.count as u64) as usize;
        if self.workers.len() + running.group.connections > MAX_WORKERS {
            running.totals.transfers.turned_away += 1;
            return;
        }
        for _ in 0..running.group.connections {
            let worker = self.workers.insert(Worker::new(nth, client, running.group.requests));
            self.event_queue.put(self.environment.clock.now(), Event::Begin(worker));
        }
    }

    /// Whether the clients of a group ask for nothing more.
    fn is_late(&self, running: usize) -> bool {
        let until = self.running_groups[running].group.until;
        until.is_some_and(|until| self.now() >= self.environment.began + until)
    }

    fn begin(&mut self, nth: usize) {
        let worker = &self.workers[nth];
        if worker.left == Some(0) || self.is_late(worker.running) {
            if let Some(link) = self.workers.remove(nth).link {
                link.line.close(false);
            }
            return;
        }
        let running = &self.running_groups[worker.running];
        let (next_request, now) = (running.next_request(), self.now());
        self.transfers += 1;
        self.event_queue.put(now + running.group.latency, Event::Request(nth, self.transfers));
        if let Some(patience) = running.group.patience {
            self.event_queue.put(now + patience, Event::GiveUp(nth, self.transfers));
        }
        let worker = &mut self.workers[nth];
        (worker.transfer, worker.next_request) = (self.transfers, next_request);
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
        let began = self.environment.clock.now();
        let latency = self.running_groups[worker.running].group.latency;
        let began = Instant::from_nanos(began.as_nanos().saturating_sub(latency.as_nanos() as u64));
        let open_transfer =
            OpenTransfer { worker: nth, transfer, running: worker.running, client: worker.client, began };
        self.environment.expected.lock().insert(link.peer, worker.next_request.response);
        self.open_transfers.insert(link.peer, open_transfer);
        link.line.request(worker.next_request.head.clone(), worker.next_request.content);
    }

    /// Opens a connection; `None` if it is closed at once.
    fn connect(&mut self, nth: usize) -> Option<Link> {
        let worker = &self.workers[nth];
        let running = &self.running_groups[worker.running];
        let ip = running.group.address(worker.client);
        // There are more ports than workers, so that one is free.
        let peer = loop {
            self.connections += 1;
            let peer = SocketAddr::new(ip, 1_024 + (self.connections % 64_000) as u16);
            if !self.open.contains(&peer) {
                break peer;
            }
        };
        let clock = Arc::clone(&self.environment.clock);
        let (line, wire) = Line::new(clock, running.speeds(), Arc::clone(&running.moved));
        let task = self.server.connect(wire, peer, running.certificate.clone())?;
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
        let Some(open_transfer) = self.landed(exchange) else { return };
        let is_current = self.is_current(&open_transfer);
        let (end, at) = match (is_current, exchange.outcome, exchange.status) {
            // Its client has gone already.
            (false, ..) => (End::GivenUp, self.now()),
            (_, Ended::Complete, Some(200..300)) => (End::Done, self.read_at(&open_transfer)),
            (_, Ended::Complete, Some(429 | 503)) => (End::Refused, self.now()),
            (_, Ended::Complete, _) => (End::Failed, self.now()),
            (_, Ended::Aborted | Ended::Abandoned, _) => (End::Cut, self.now()),
        };
        self.running_groups[open_transfer.running].totals.add(
            exchange,
            open_transfer.client,
            at - open_transfer.began,
            end,
        );
        if is_current {
            self.end(open_transfer.worker, end, at);
        }
    }

    /// The transfer that an exchange was, which is under way no more.
    fn landed(&mut self, exchange: &Observed) -> Option<OpenTransfer> {
        self.open_transfers.remove(&exchange.peer.addr()?)
    }

    /// Whether its client still waits for this transfer.
    fn is_current(&self, open_transfer: &OpenTransfer) -> bool {
        self.workers.get(open_transfer.worker).is_some_and(|worker| worker.transfer == open_transfer.transfer)
    }

    /// When the client has read all that the server has sent.
    fn read_at(&self, open_transfer: &OpenTransfer) -> Instant {
        let link = self.workers.get(open_transfer.worker).and_then(|worker| worker.link.as_ref());
        link.map_or(self.now(), |link| link.line.read_at().max(self.now()))
    }

    /// The server has closed a connection, perhaps without an answer.
    fn closed(&mut self, peer: SocketAddr) {
        self.environment.expected.lock().remove(&peer);
        self.open.remove(&peer);
        let Some(open_transfer) = self.open_transfers.remove(&peer) else { return };
        if self.is_current(&open_transfer) {
            self.end(open_transfer.worker, End::Cut, self.now());
        }
    }

    /// Counts the end of a worker's transfer, which is over for its client at `at`, and has it go on.
    fn end(&mut self, nth: usize, end: End, at: Instant) {
        let worker = &mut self.workers[nth];
        worker.transfer = 0;
        worker.left = worker.left.map(|left| left.saturating_sub(1));
        let running = &mut self.running_groups[worker.running];
        running.totals.count(end);
        if worker.left == Some(0) {
            return self.event_queue.put(at, Event::Begin(nth));
        }
        let think = running.group.think.draw(&running.random);
        let pause = match end {
            End::Done | End::GivenUp | End::UnderWay => think,
            End::Refused => think.max(RETRY_AFTER),
            End::Failed | End::Cut => think.max(AFTER_ERROR),
        };
        self.event_queue.put(at + pause, Event::Begin(nth));
    }

    /// Drops all tasks, counts what is still under way, and computes the figures.
    fn conclude(mut self) -> Outcome {
        self.tasks.drop_all();
        let now = self.now();
        for exchange in self.environment.ended_exchanges.take() {
            let Some(open_transfer) = self.landed(&exchange) else { continue };
            let end = if self.is_current(&open_transfer) { End::UnderWay } else { End::GivenUp };
            self.running_groups[open_transfer.running].totals.add(
                &exchange,
                open_transfer.client,
                now - open_transfer.began,
                end,
            );
        }
        for (_, worker) in self.workers.iter().filter(|(_, worker)| worker.transfer != 0) {
            self.running_groups[worker.running].totals.count(End::UnderWay);
        }
        let lasting = self.end - self.environment.began;
        let limits: Vec<_> = self.limits.into_iter().map(LimitBytes::finish).collect();
        let groups = self.running_groups.into_iter().zip(self.byte_counts);
        let groups =
            groups.map(|(running, byte_count)| GroupOutcome::new(running, byte_count, lasting)).collect();
        let began = UNIX_EPOCH + (self.environment.began - Instant::ZERO);
        Outcome { began, lasting, seed: self.seed, groups, limits }
    }
}
