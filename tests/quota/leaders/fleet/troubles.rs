//! What goes wrong.

use sluicegate::quota::client::LeasedShare;
use sluicegate::quota::lead::Lead;

use super::{CLIENTS, Event, Fleet, Keeping, SERVERS, Server, Store, id, millis};

impl Fleet {
    pub(super) fn kill(&mut self) {
        let (server, down) = (self.below(SERVERS as u64) as usize, self.up_to(20_000));
        let at = self.now + down;
        let server_life = &mut self.servers[server];
        server_life.life += 1;
        server_life.dead_until = at;
        server_life.keeping = Keeping::default();
        (server_life.book, server_life.stalled, server_life.lead) =
            (None, None, Lead::new(server_life.timeout, at));
        let life = server_life.life;
        self.at(down, Event::Ask(server, life));
        self.again(self.trouble.kills, Event::Kill);
    }

    pub(super) fn stall(&mut self) {
        // Whoever leads, if somebody does: it has most to do wrong.
        let leads = |server: &Server| server.lead.leads(self.now).is_ok();
        let leader = self.servers.iter().position(leads);
        let (any, time) = (self.below(SERVERS as u64) as usize, self.up_to(60_000));
        let until = self.now + time;
        self.servers[leader.unwrap_or(any)].stalled = Some((self.now, until));
        self.again(self.trouble.stalls, Event::Stall);
    }

    pub(super) fn upset_store(&mut self) {
        match self.below(4) {
            0 => {
                let time = self.up_to(10_000);
                self.store.away_until = self.now + time;
            }
            1 => {
                let away = self.store.away_until;
                let run = self.store.run + 1;
                self.store = Store { away_until: away, run, ..self.replica.clone() };
            }
            2 => {
                self.empty_store();
                // Sometimes again within the lease.
                let soon = self.up_to(6000);
                self.at(soon, Event::Emptied);
            }
            _ => {
                let ahead = self.below(60_000);
                self.store.ahead = ahead * 1_000_000;
            }
        }
        self.again(self.trouble.store, Event::Store);
    }

    pub(super) fn empty_store(&mut self) {
        self.store = Store { away_until: self.store.away_until, ..Store::default() };
    }

    pub(super) fn churn(&mut self) {
        let at = self.below(CLIENTS as u64) as usize;
        self.born += 1;
        let client = &mut self.clients[at];
        self.leased -= u128::from(client.counted.0);
        self.safe -= u128::from(client.counted.1);
        (client.name, client.share) = (id(&format!("c{}", self.born)), LeasedShare::new(None));
        (client.epoch, client.counted) = (0, (0, 0));
        client.turn += 1;
        let turn = client.turn;
        self.at(millis(10), Event::Beat(at, turn));
        self.again(self.trouble.churn, Event::Churn);
    }
}
