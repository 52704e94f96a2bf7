//! What the store keeps of leases: clients are told of what grew when it is kept.

use super::{Batch, Event, Fleet, Said};

impl Fleet {
    /// Tells a client what the server decided, when that is kept.
    pub(super) fn say_when_kept(&mut self, server: usize, client: usize, turn: u64, said: Said) {
        let party = &mut self.servers[server];
        let raised = party.book.as_ref().map_or(0, |book| book.raised());
        let must_wait = matches!(said, Said::Granted(..)) && !self.trouble.learning && !self.trouble.hasty;
        if must_wait && party.keeping.is_on && party.keeping.raised < raised {
            party.keeping.waiting.push_back((client, turn, said, raised));
        } else {
            self.say(client, turn, said);
        }
        self.begin_keeping(server);
    }

    fn say(&mut self, client: usize, turn: u64, said: Said) {
        if !self.is_lost() {
            let back = self.up_to(50);
            self.at(back, Event::Answer(client, turn, said));
        }
    }

    fn begin_keeping(&mut self, server: usize) {
        let now = self.now;
        if self.trouble.learning {
            return;
        }
        if let Some(batch) = self.servers[server].batch(now) {
            let (there, life) = (self.up_to(200), self.servers[server].life);
            self.at(there, Event::Keep(server, life, batch));
        }
    }

    pub(super) fn keep(&mut self, server: usize, life: u64, batch: Batch) {
        let is_lost = self.is_lost() || self.now < self.store.away_until;
        let answer =
            (!is_lost).then(|| self.store.keep(self.now, (server, life), &batch, self.trouble.trusting));
        let answer = answer.filter(|_| !self.is_lost());
        let back = self.up_to(200);
        let waits = if answer.is_some() { back } else { self.servers[server].lead.lease() / 2 };
        self.at(waits, Event::Kept(server, life, batch, answer));
    }

    pub(super) fn kept(&mut self, server: usize, life: u64, batch: Batch, answer: Option<Option<bool>>) {
        if !self.is_alive(server, life)
            || self.is_deferred(server, Event::Kept(server, life, batch.clone(), answer))
        {
            return;
        }
        let now = self.now;
        let party = &mut self.servers[server];
        if party.book.as_ref().is_none_or(|book| book.epoch() != batch.epoch) {
            return;
        }
        party.keeping.is_asking = false;
        match answer {
            Some(Some(true)) => {
                (party.keeping.is_complete, party.keeping.raised) = (true, batch.raised);
            }
            Some(Some(false)) | None => party.keeping.is_complete = false,
            Some(None) if party.lead.term() == Some(batch.term) => party.lead.step_down(),
            Some(None) => {}
        }
        let leads = party.lead.leads(now).is_ok();
        let covered = party.keeping.raised;
        let (told, left) = std::mem::take(&mut party.keeping.waiting)
            .into_iter()
            .partition(|(.., raised)| !leads || *raised <= covered);
        party.keeping.waiting = left;
        let told: std::collections::VecDeque<_> = told;
        for (client, turn, said, _) in told {
            self.say(client, turn, if leads { said } else { Said::Elsewhere(None) });
        }
        self.begin_keeping(server);
    }
}
