//! Max–min fair division of one limit: a client that wants less than its fair part gets what it wants, and the others
//! share the rest by weight.
//!
//! Demands are kept in a treap ordered by `wants ÷ weight`, with sums of each subtree. The water level, at which the limit
//! is just used up, is found by one descent: O(log n), however many rounds a naive division would need.

/// The largest demand: as much as there is.
pub(super) const UNBOUNDED: u64 = u64::MAX;

/// One client's demand for a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Demand {
    /// Micro-units a second; [`UNBOUNDED`] is as much as there is.
    pub(super) wants: u64,
    /// At least one.
    pub(super) weight: u32,
}

/// Demands of all clients of a resource.
#[derive(Debug, Default)]
pub(super) struct Demands {
    nodes: Vec<Node>,
    free: Vec<usize>,
    root: Option<usize>,
    inserted: u64,
}

#[derive(Debug)]
struct Node {
    demand: Demand,
    /// Orders equal demands.
    client: usize,
    /// The heap order of the treap; random, for balance.
    priority: u64,
    left: Option<usize>,
    right: Option<usize>,
    /// Over the node's subtree.
    wants: u128,
    weight: u64,
}

/// What is left for clients that want more than their fair part, and the sum of their weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    left: u64,
    weight: u64,
}

impl Level {
    /// The fair share of `demand`, one of those that the level was computed for.
    pub(super) fn share(self, demand: Demand) -> u64 {
        let (left, weight) = (u128::from(self.left), u128::from(self.weight));
        let part = (left * u128::from(demand.weight)).checked_div(weight);
        // At most `left`, which fits.
        part.map_or(demand.wants, |part| demand.wants.min(u64::try_from(part).unwrap_or(UNBOUNDED)))
    }
}

impl Demands {
    /// Adds the demand of `client`, which must have none.
    pub(super) fn insert(&mut self, demand: Demand, client: usize) {
        self.inserted += 1;
        let node = Node {
            demand,
            client,
            priority: mix(self.inserted),
            left: None,
            right: None,
            wants: demand.wants.into(),
            weight: demand.weight.into(),
        };
        let new = match self.free.pop() {
            Some(slot) => {
                self.nodes[slot] = node;
                slot
            }
            None => {
                self.nodes.push(node);
                self.nodes.len() - 1
            }
        };
        let (before, after) = self.split(self.root, demand, client);
        let before = self.merge(before, Some(new));
        self.root = self.merge(before, after);
    }

    /// Removes the demand of `client`, exactly as inserted.
    pub(super) fn remove(&mut self, demand: Demand, client: usize) {
        let (before, rest) = self.split(self.root, demand, client);
        let (gone, after) = self.cut_first(rest);
        debug_assert!(
            gone.is_some_and(|gone| self.nodes[gone].client == client),
            "removed a demand that was not inserted"
        );
        self.free.extend(gone);
        self.root = self.merge(before, after);
    }

    /// The water level for `limit`.
    pub(super) fn level(&self, limit: u64) -> Level {
        let (limit, total) = (u128::from(limit), self.root.map_or(0, |root| self.nodes[root].weight));
        // Sums of the demands before the current node: all of them get what they want.
        let (mut wants, mut weight) = (0, 0);
        let mut at = self.root;
        while let Some(node) = at.map(|at| &self.nodes[at]) {
            let (wants_before, weight_before) = node.left.map_or((0, 0), |left| self.sums(left));
            let (wants_before, weight_before) = (wants + wants_before, weight + weight_before);
            let left = limit.saturating_sub(wants_before);
            // Does it want no more than its part of what those before it leave?
            let needed = u128::from(node.demand.wants) * u128::from(total - weight_before);
            let satisfied = wants_before <= limit && needed <= u128::from(node.demand.weight) * left;
            if satisfied {
                wants = wants_before + u128::from(node.demand.wants);
                weight = weight_before + u64::from(node.demand.weight);
                at = node.right;
            } else {
                at = node.left;
            }
        }
        // What is left of 64 bits is no more than these.
        Level { left: u64::try_from(limit.saturating_sub(wants)).unwrap_or(u64::MAX), weight: total - weight }
    }

    fn sums(&self, at: usize) -> (u128, u64) {
        (self.nodes[at].wants, self.nodes[at].weight)
    }

    /// Splits a tree into what is before the demand of `client`, and the rest.
    fn split(&mut self, at: Option<usize>, demand: Demand, client: usize) -> (Option<usize>, Option<usize>) {
        let Some(at) = at else { return (None, None) };
        if is_before(&self.nodes[at], demand, client) {
            let (before, after) = self.split(self.nodes[at].right, demand, client);
            self.nodes[at].right = before;
            self.sum(at);
            (Some(at), after)
        } else {
            let (before, after) = self.split(self.nodes[at].left, demand, client);
            self.nodes[at].left = after;
            self.sum(at);
            (before, Some(at))
        }
    }

    /// Joins two trees, all of the first before all of the second.
    fn merge(&mut self, first: Option<usize>, second: Option<usize>) -> Option<usize> {
        let (Some(a), Some(b)) = (first, second) else { return first.or(second) };
        let top = if self.nodes[a].priority >= self.nodes[b].priority {
            self.nodes[a].right = self.merge(self.nodes[a].right, second);
            a
        } else {
            self.nodes[b].left = self.merge(first, self.nodes[b].left);
            b
        };
        self.sum(top);
        Some(top)
    }

    /// Removes the first node of a tree.
    fn cut_first(&mut self, at: Option<usize>) -> (Option<usize>, Option<usize>) {
        let Some(at) = at else { return (None, None) };
        if self.nodes[at].left.is_none() {
            return (Some(at), self.nodes[at].right);
        }
        let (first, left) = self.cut_first(self.nodes[at].left);
        self.nodes[at].left = left;
        self.sum(at);
        (first, Some(at))
    }

    fn sum(&mut self, at: usize) {
        let node = &self.nodes[at];
        let (mut wants, mut weight) = (u128::from(node.demand.wants), u64::from(node.demand.weight));
        for below in [node.left, node.right].into_iter().flatten() {
            wants += self.nodes[below].wants;
            weight += self.nodes[below].weight;
        }
        (self.nodes[at].wants, self.nodes[at].weight) = (wants, weight);
    }
}

/// Whether `node` is before the demand of `client`: by `wants ÷ weight`, then by client.
fn is_before(node: &Node, demand: Demand, client: usize) -> bool {
    let ours = u128::from(node.demand.wants) * u128::from(demand.weight);
    let other = u128::from(demand.wants) * u128::from(node.demand.weight);
    (ours, node.client) < (other, client)
}

/// SplitMix64 with a fixed seed: pseudo-random numbers, the same in each run.
fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn demand(wants: u64, weight: u32) -> Demand {
        Demand { wants, weight }
    }

    fn divide(limit: u64, demands: &[Demand]) -> Vec<u64> {
        let mut tree = Demands::default();
        for (client, demand) in demands.iter().enumerate() {
            tree.insert(*demand, client);
        }
        let level = tree.level(limit);
        demands.iter().map(|demand| level.share(*demand)).collect()
    }

    /// Round by round, as one would do it on paper: gives each its part, takes out who wants no more than
    /// that, and divides the rest again.
    fn on_paper(limit: u64, demands: &[Demand]) -> Vec<u64> {
        let mut shares = vec![None; demands.len()];
        let mut left = u128::from(limit);
        loop {
            let open: Vec<usize> = (0..demands.len()).filter(|&at| shares[at].is_none()).collect();
            let weight: u128 = open.iter().map(|&at| u128::from(demands[at].weight)).sum();
            let part = |at: usize| left * u128::from(demands[at].weight) / weight.max(1);
            let fits = |at: &&usize| {
                u128::from(demands[**at].wants) * weight <= left * u128::from(demands[**at].weight)
            };
            let satisfied: Vec<usize> = open.iter().filter(fits).copied().collect();
            if satisfied.is_empty() {
                for &at in &open {
                    shares[at] = Some(part(at) as u64);
                }
                return shares.into_iter().map(Option::unwrap).collect();
            }
            for at in satisfied {
                shares[at] = Some(demands[at].wants);
                left -= u128::from(demands[at].wants);
            }
        }
    }

    #[test]
    fn divisions_known_by_hand() {
        let all = UNBOUNDED;
        for (limit, demands, expected) in [
            (100, vec![], vec![]),
            (100, vec![demand(all, 1)], vec![100]),
            (100, vec![demand(all, 1); 4], vec![25; 4]),
            (100, vec![demand(all, 1); 3], vec![33; 3]),
            (100, vec![demand(all, 3), demand(all, 1)], vec![75, 25]),
            (100, vec![demand(10, 1), demand(all, 1), demand(all, 1)], vec![10, 45, 45]),
            // Two rounds: what the second leaves makes room for the third's wish.
            (100, vec![demand(5, 1), demand(40, 1), demand(30, 1), demand(all, 1)], vec![5, 32, 30, 32]),
            (100, vec![demand(0, 1), demand(all, 1)], vec![0, 100]),
            (100, vec![demand(10, 1), demand(20, 1)], vec![10, 20]),
            // A heavy client that wants little is satisfied before a light one that wants less for its weight.
            (100, vec![demand(50, 10), demand(40, 1), demand(all, 1)], vec![50, 25, 25]),
            (2, vec![demand(all, 1); 3], vec![0; 3]),
        ] {
            assert_eq!(divide(limit, &demands), expected, "{limit} among {demands:?}");
        }
    }

    fn some_demand() -> impl Strategy<Value = Demand> {
        let wants = prop_oneof![0u64..200, Just(UNBOUNDED), 0..=UNBOUNDED];
        (wants, 1u32..=1000).prop_map(|(wants, weight)| Demand { wants, weight })
    }

    proptest! {
        #[test]
        fn one_walk_gives_what_all_rounds_give(
            limit in prop_oneof![1u64..1000, 1..=10_000_000_000_000_000_000u64],
            demands in proptest::collection::vec(some_demand(), 0..40),
        ) {
            let shares = divide(limit, &demands);
            prop_assert_eq!(&shares, &on_paper(limit, &demands));
            let sum: u128 = shares.iter().map(|share| u128::from(*share)).sum();
            prop_assert!(sum <= u128::from(limit));
            let wanted = demands.iter().map(|demand| u128::from(demand.wants)).sum::<u128>();
            let lost = demands.len() as u128;
            prop_assert!(sum + lost >= wanted.min(limit.into()), "what is wanted and there is given");
        }

        #[test]
        fn a_removed_demand_leaves_no_trace(
            demands in proptest::collection::vec(some_demand(), 1..40), gone in any::<u64>(),
        ) {
            let mut tree = Demands::default();
            for (client, demand) in demands.iter().enumerate() {
                tree.insert(*demand, client);
            }
            let mut kept = Vec::new();
            for (client, demand) in demands.iter().enumerate() {
                if gone >> client & 1 == 1 { tree.remove(*demand, client) } else { kept.push(*demand) }
            }
            let level = tree.level(1_000);
            let shares: Vec<u64> = kept.iter().map(|demand| level.share(*demand)).collect();
            prop_assert_eq!(shares, on_paper(1_000, &kept));
            prop_assert_eq!(tree.nodes.len() - tree.free.len(), kept.len());
        }
    }

    #[test]
    fn the_tree_stays_shallow_whatever_the_order() {
        fn depth(tree: &Demands, at: Option<usize>) -> usize {
            let below = |at: usize| [tree.nodes[at].left, tree.nodes[at].right];
            at.map_or(0, |at| 1 + below(at).map(|at| depth(tree, at)).into_iter().max().unwrap())
        }
        let mut tree = Demands::default();
        for client in 0..65_536 {
            tree.insert(demand(client as u64, 1), client);
        }
        // 16 would be perfect; a random one has about 2 ln n = 22 on the average way, 40 on the longest.
        assert!(depth(&tree, tree.root) <= 56, "{}", depth(&tree, tree.root));
    }
}
