//! Which nodes a trace touches.

/// The nodes of one trace, each once.
#[derive(Debug)]
pub(super) struct Touched {
    nodes: Vec<u32>,
    /// By node: the last trace that touched it.
    last: Vec<u32>,
    trace: u32,
}

impl Touched {
    /// For so many nodes.
    pub(super) fn of(nodes: usize) -> Self {
        Self { nodes: Vec::new(), last: vec![0; nodes], trace: 0 }
    }

    /// Those added since the last trace began.
    pub(super) fn nodes(&self) -> &[u32] {
        &self.nodes
    }

    /// Forgets the nodes of the trace before.
    pub(super) fn next_trace(&mut self) {
        self.nodes.clear();
        self.trace = self.trace.wrapping_add(1);
        if self.trace == 0 {
            self.last.fill(0);
            self.trace = 1;
        }
    }

    /// Adds a node.
    #[inline]
    pub(super) fn add(&mut self, node: u32) {
        if let Some(last) = self.last.get_mut(node as usize)
            && *last != self.trace
        {
            *last = self.trace;
            self.nodes.push(node);
        }
    }
}
