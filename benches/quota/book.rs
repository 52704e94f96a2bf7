//! A heartbeat in the book, with few and with many clients: it should cost what log n says.

use std::time::Duration;

use sluicegate::clock::Instant;
use sluicegate::quota::Id;
use sluicegate::quota::book::{Beat, Book, BookSettings, Interest};

use crate::{Effort, nanos};
use testkit::report::{Table, show};

struct Fleet {
    book: Book,
    names: Vec<Id>,
    now: Instant,
    next: usize,
}

impl Fleet {
    fn of(clients: usize) -> Self {
        let settings =
            BookSettings { learning: Duration::ZERO, most_clients: clients, ..BookSettings::default() };
        let mut book = Book::new(settings, 1, Instant::ZERO);
        let resource = "r".parse().expect("an id");
        book.set_limit(Instant::ZERO, &resource, "1000000000/s".parse().expect("a limit")).expect("room");
        let names: Vec<Id> = (0..clients).map(|n| format!("client-{n}").parse().expect("an id")).collect();
        for name in &names {
            book.register(Instant::ZERO, name, "").expect("room");
        }
        Self { book, names, now: Instant::ZERO, next: 0 }
    }

    /// The next client beats; every tenth time it wants something else than before.
    fn beat(&mut self) {
        self.now = self.now + Duration::from_nanos(100);
        let at = self.next % self.names.len();
        let wants = self.next.is_multiple_of(10).then_some(self.next as u64 * 7919 % 1_000_000_000);
        self.next += 1;
        let interests = [Interest { wants, ..Interest::new("r".parse().expect("an id")) }];
        let beat =
            Beat { client: &self.names[at], instance: "", epoch: 1, sequence: 0, interests: &interests };
        self.book.heartbeat(self.now, beat).expect("it lives");
    }
}

pub fn run(effort: &Effort) {
    let sizes = [1_000, 8_000, 64_000];
    let mut fleets: Vec<Fleet> = sizes.into_iter().map(Fleet::of).collect();
    for fleet in &mut fleets {
        (0..fleet.names.len()).for_each(|_| fleet.beat());
    }
    let calls = effort.calls / 20;
    let mut readings = vec![Vec::new(); sizes.len()];
    for _ in 0..effort.readings {
        for (fleet, readings) in fleets.iter_mut().zip(&mut readings) {
            readings.push(nanos(calls, || fleet.beat()));
        }
    }
    let mut table = Table::new("heartbeat in the book | ns | ÷ 1 000 clients | log n ÷ log 1 000");
    for (size, own) in sizes.into_iter().zip(&readings) {
        let ratios: Vec<f64> = own.iter().zip(&readings[0]).map(|(own, first)| own / first).collect();
        let expected = (size as f64).ln() / 1000_f64.ln();
        table.row([format!("{size} clients"), show(own, 0), show(&ratios, 2), format!("{expected:.2}")]);
    }
    table.print();
    println!();
}
