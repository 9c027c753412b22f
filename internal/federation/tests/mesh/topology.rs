//! Who dials whom.

use pubsub_sim::Rng;

#[derive(Clone, Debug)]
pub(crate) struct Topology {
    pub(crate) names: Vec<String>,
    /// `(dialer, listener)`.
    pub(crate) edges: Vec<(usize, usize)>,
}

impl Topology {
    fn new(count: usize, edges: Vec<(usize, usize)>) -> Self {
        let names = (0..count).map(|nth| format!("n{nth}")).collect();
        Self { names, edges }
    }

    pub(crate) fn chain(count: usize) -> Self {
        Self::new(count, (1..count).map(|nth| (nth - 1, nth)).collect())
    }

    pub(crate) fn ring(count: usize) -> Self {
        Self::new(count, (0..count).map(|nth| (nth, (nth + 1) % count)).collect())
    }

    /// One at the top, two between, one at the bottom.
    pub(crate) fn diamond() -> Self {
        Self::new(4, vec![(0, 1), (0, 2), (1, 3), (2, 3)])
    }

    /// A hub and its edges.
    pub(crate) fn star(edges: usize) -> Self {
        Self::new(edges + 1, (1..=edges).map(|nth| (nth, 0)).collect())
    }

    /// Everybody and everybody else.
    pub(crate) fn full(count: usize) -> Self {
        let pairs = |from: usize| (0..from).map(move |to| (from, to));
        Self::new(count, (0..count).flat_map(pairs).collect())
    }

    /// Who dials is anybody's choice.
    pub(crate) fn shuffled(mut self, rng: &mut Rng) -> Self {
        for edge in &mut self.edges {
            if rng.coin() {
                *edge = (edge.1, edge.0);
            }
        }
        self
    }

    pub(crate) fn neighbours(&self, node: usize) -> Vec<String> {
        let other = |edge: &(usize, usize)| match *edge {
            (from, to) if from == node => Some(to),
            (from, to) if to == node => Some(from),
            _ => None,
        };
        self.edges.iter().filter_map(other).map(|nth| self.names[nth].clone()).collect()
    }
}
