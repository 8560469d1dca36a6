//! A model of what ranks send in a frame, and of how long that takes: surface to volume, latency, bandwidth.
//!
//! Counted in cells, as bricks are. A brick of `l` cells along an axis that is cut needs `2 * reach` layers more there, so the
//! ghosts of a brick are those of the larger box without the brick. All axes are periodic, all bricks alike, all rows in even
//! density; ranks are a power of two, so that bisection along the longest axis halves each time.
//!
//! Between two rebuilds a rank sends one message to each neighbour for each forwarding, with the values of its border rows. A
//! reduction doubles the ranks that are joined: of `n` ranks each sends `log2 n` messages, in as many steps. What a rebuild
//! sends is said by [`Load::rebuild_messages`].
#![forbid(unsafe_code)]

use crate::comm::HEADER_BYTES;

/// What systems do in a frame, and the space.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Cells of the whole space along each axis.
    pub cells: [f64; 3],
    /// Rows of a cell, on the average.
    pub rows_per_cell: f64,
    /// Cells that systems look far, along each axis.
    pub reach: [f64; 3],
    /// Forwardings of a frame.
    pub forwardings: f64,
    /// Bytes of a row that each forwards.
    pub forwarded_bytes: f64,
    /// Reductions of a frame, of resources that sets of rows are reduced to.
    pub reductions: f64,
    /// Bytes of a value of such a resource.
    pub reduced_bytes: f64,
    /// Calls of all ranks at a rebuild that go up and down a tree.
    pub rebuild_calls: f64,
    /// Forwardings of a rebuild, more than in other frames.
    pub rebuild_forwardings: f64,
    /// Kernels, nanoseconds of a row and frame.
    pub row_ns: f64,
}

/// A network, as one rank has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// From a rank to another, microseconds.
    pub latency_us: f64,
    /// Gigabytes a second.
    pub gb_per_s: f64,
    /// Packing, sending, taking in and placing a byte, nanoseconds of a rank's processor.
    pub byte_ns: f64,
}

/// What a rank sends in a frame between two rebuilds, on the average.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sent {
    /// Ranks that it exchanges ghosts with.
    pub neighbours: f64,
    /// Rows that it sends at a forwarding.
    pub ghosts: f64,
    /// Messages, those of reductions included.
    pub messages: f64,
    /// Bytes, headers included.
    pub bytes: f64,
}

/// How long a frame takes a rank, microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Time {
    /// Its rows.
    pub rows: f64,
    /// Packing and placing.
    pub packing: f64,
    /// Until the values of ghosts are here, from when they were sent.
    pub forwarding: f64,
    /// Steps of the trees of reductions.
    pub reducing: f64,
}

impl Time {
    /// The rows' part of it all.
    #[must_use]
    pub fn efficiency(&self) -> f64 {
        self.rows / (self.rows + self.packing + self.forwarding + self.reducing)
    }
}

impl Load {
    /// How often each axis is cut for so many ranks: bisection of the longest axis, the last of equal ones.
    ///
    /// ```
    /// # let load = hypostyle_mpi::model::melt(32_000.0 * 8.0);
    /// assert_eq!(load.bricks(8), [2, 2, 2]);
    /// assert_eq!(load.bricks(2), [1, 1, 2]);
    /// ```
    #[must_use]
    pub fn bricks(&self, ranks: u32) -> [u32; 3] {
        let mut parts = [1; 3];
        for _ in 0..ranks.max(1).ilog2() {
            let long = |axis: usize| self.cells[axis] / f64::from(parts[axis]);
            let longest = (0..3).max_by(|a, b| long(*a).total_cmp(&long(*b)).then(a.cmp(b))).unwrap_or(2);
            parts[longest] *= 2;
        }
        parts
    }

    /// What a rank of so many (a power of two) sends in a frame between rebuilds.
    #[must_use]
    pub fn sent(&self, ranks: u32) -> Sent {
        let parts = self.bricks(ranks);
        let (mut own, mut with, mut near) = (1.0, 1.0, 1.0);
        for axis in 0..3 {
            let (along, cut) = (self.cells[axis] / f64::from(parts[axis]), parts[axis] > 1);
            // where a brick is thinner than reach, it meets more than one on each side
            let beside = if cut { 2.0 * (self.reach[axis] / along).ceil() } else { 0.0 };
            near *= 1.0 + beside.min(f64::from(parts[axis] - 1));
            own *= along;
            with *= if cut { (along + 2.0 * self.reach[axis]).min(self.cells[axis]) } else { along };
        }
        let (neighbours, ghosts) = (near - 1.0, (with - own) * self.rows_per_cell);
        let joins = steps(ranks) * self.reductions;
        let (forwards, header) = (self.forwardings * neighbours, HEADER_BYTES as f64);
        let values = self.forwardings * ghosts * self.forwarded_bytes;
        let bytes = values + forwards * header + joins * (header + self.reduced_bytes);
        Sent { neighbours, ghosts, messages: forwards + joins, bytes }
    }

    /// Messages that a rank sends at a rebuild, more than in other frames, at most: the calls of all ranks, and to each
    /// neighbour rows that move, ghosts, and their later values.
    #[must_use]
    pub fn rebuild_messages(&self, ranks: u32) -> f64 {
        steps(ranks) * self.rebuild_calls + (2.0 + self.rebuild_forwardings) * self.sent(ranks).neighbours
    }

    /// How long such a frame takes.
    #[must_use]
    pub fn time(&self, ranks: u32, link: Link) -> Time {
        let (sent, cells) = (self.sent(ranks), self.cells.iter().product::<f64>());
        let rows = cells * self.rows_per_cell / f64::from(ranks) * self.row_ns / 1e3;
        if ranks < 2 {
            return Time { rows, ..Time::default() };
        }
        let bytes = sent.ghosts * self.forwarded_bytes;
        let forwarding = self.forwardings * (link.latency_us + bytes / link.gb_per_s / 1e3);
        let reducing = self.reductions * steps(ranks) * link.latency_us;
        let packing = self.forwardings * bytes * link.byte_ns / 1e3;
        Time { rows, packing, forwarding, reducing }
    }
}

/// Steps of a call of all ranks (a power of two), and messages of each rank in it.
fn steps(ranks: u32) -> f64 {
    f64::from(ranks.max(1).ilog2())
}

/// The Lennard-Jones melt of so many atoms, in a box of equal sides: reach 2.8 sigma, a skin of 0.4 and cells half as wide as
/// lists reach; 32 bytes of an atom (its packed place) forwarded once in a frame, and one reduction of four bytes. At a rebuild:
/// who sends rows to whom, the sum of rows and a resource are agreed on, and places of the lists are forwarded.
#[must_use]
pub fn melt(atoms: f64) -> Load {
    const DENSITY: f64 = 0.8442;
    const WIDTH: f64 = 1.45;
    let side = (atoms / DENSITY).cbrt();
    let cells = (side / WIDTH).floor();
    Load {
        cells: [cells; 3],
        rows_per_cell: atoms / cells.powi(3),
        reach: [2.0; 3],
        forwardings: 1.0,
        forwarded_bytes: 32.0,
        reductions: 1.0,
        reduced_bytes: 4.0,
        rebuild_calls: 3.0,
        rebuild_forwardings: 1.0,
        row_ns: 240.0,
    }
}
