//! Which of several quota servers a client turns to: the one that leads, as far as it knows. Pure.

use crate::quota::Endpoint;

/// How often in a row a client goes where it is told, before it asks the next server of its list: two that name each other
/// are not asked for ever.
const MAX_HOPS: usize = 3;

/// Directions that were followed in a row.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hops(usize);

impl Hops {
    /// Where to go from `from`, which says that the leader is there: nowhere if that is itself or not known, or if others
    /// have sent us on often enough. No token goes out in the clear because somebody says so.
    pub fn follow(&mut self, from: &Endpoint, leader: Option<Endpoint>) -> Option<Endpoint> {
        let is_fine =
            |leader: &Endpoint| self.0 < MAX_HOPS && leader != from && leader.is_tls() == from.is_tls();
        let leader = leader.filter(is_fine)?;
        self.0 += 1;
        Some(leader)
    }
}

#[derive(Debug)]
pub(super) struct Servers {
    /// Invariant: not empty.
    all: Vec<Endpoint>,
    nth: usize,
    /// Where the leader is, as one of them said.
    leader: Option<Endpoint>,
    /// Servers asked, and directions followed, since the last answer.
    tried: usize,
    hops: Hops,
}

impl Servers {
    pub(super) fn new(first: Endpoint, others: &[Endpoint]) -> Self {
        let all = [&[first], others].concat();
        Self { all, nth: 0, leader: None, tried: 0, hops: Hops::default() }
    }

    /// The server to turn to.
    pub(super) fn current(&self) -> &Endpoint {
        self.leader.as_ref().unwrap_or(&self.all[self.nth])
    }

    /// Notes that it answers.
    pub(super) fn answered(&mut self) {
        (self.tried, self.hops) = (0, Hops::default());
    }

    /// Notes that it is lost. Returns whether to turn to another at once: not all of them were tried.
    pub(super) fn lost(&mut self) -> bool {
        if self.leader.take().is_none() {
            self.tried += 1;
        }
        self.nth = (self.nth + 1) % self.all.len();
        if self.tried < self.all.len() {
            return true;
        }
        (self.tried, self.hops) = (0, Hops::default());
        false
    }

    /// Notes that it does not lead, and who does if it said so. Returns whether to turn there at once.
    pub(super) fn redirected(&mut self, leader: Option<Endpoint>) -> bool {
        let from = self.leader.as_ref().unwrap_or(&self.all[self.nth]);
        match self.hops.follow(from, leader) {
            Some(leader) => {
                self.leader = Some(leader);
                true
            }
            None => self.lost(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(name: &str) -> Endpoint {
        format!("http://{name}:1").parse().unwrap()
    }

    #[test]
    fn all_are_tried_before_a_pause() {
        let mut servers = Servers::new(at("a"), &[at("b"), at("c")]);
        for (now, at_once) in [("a", true), ("b", true), ("c", false), ("a", true)] {
            assert_eq!((servers.current().clone(), servers.lost()), (at(now), at_once));
        }
        servers.answered();
        assert!(servers.lost() && servers.lost() && !servers.lost());
        let mut alone = Servers::new(at("a"), &[]);
        assert!(!alone.lost() && !alone.redirected(None));
    }

    #[test]
    fn the_leader_is_followed_also_where_the_list_does_not_have_it() {
        let mut servers = Servers::new(at("a"), &[at("b")]);
        assert!(servers.redirected(Some(at("d"))));
        assert_eq!(servers.current(), &at("d"));
        servers.answered();
        assert!(servers.lost(), "b is asked at once");
        assert_eq!(servers.current(), &at("b"));
        assert!(servers.redirected(Some("https://d:1".parse().unwrap())), "the next, and not there");
        assert_eq!(servers.current(), &at("a"));
    }

    #[test]
    fn servers_that_name_each_other_are_asked_with_pauses() {
        let mut servers = Servers::new(at("a"), &[at("b")]);
        let mut at_once = 0;
        loop {
            let other = if servers.current() == &at("a") { at("b") } else { at("a") };
            if !servers.redirected(Some(other)) {
                break;
            }
            at_once += 1;
            assert!(at_once < 10);
        }
    }
}
