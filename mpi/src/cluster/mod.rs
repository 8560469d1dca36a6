//! A world over many ranks: what each does between the batches of a frame.
//!
//! Every rank makes the whole world as one process does, and keeps a share of its rows. At each sort by the key of the
//! [`Domain`] rows go to the rank that owns their cell, and ghosts of the cells around are made anew; before a batch
//! whose systems look at neighbours the components that were written since are forwarded. Reductions are joined in
//! the order of ranks, which is the same as any other order: only exact ones are accepted.
//!
//! Where systems look at all rows, each rank has its share in the order of ids, and ghosts of all others. Entities may name each
//! other there by handles (`links`). Where none looks at rows of others, rows stay where they are.

mod balance;
mod conditions;
mod ghosts;
mod links;
mod migration;
mod share;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hypostyle::exchange::{Exchange, ExchangeError, ExchangeNeeds, SortPoint, Stale, ViewNeeds};
use hypostyle::{IdHash, Schedule, Simulation, SimulationBuilder, World};

use crate::bricks::Bricks;
use crate::comm::{Comm, Traffic};
use crate::domain::{Domain, Looks};
use crate::error::ClusterError;
use crate::meter::thread_cpu_time;

pub use balance::Balance;

/// One rank of a world over many ranks. Clones are the same rank.
#[derive(Clone)]
pub struct Cluster {
    state: Arc<Mutex<State>>,
}

/// What a rank did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Report {
    /// Rows that left this rank for others.
    pub rows_moved: u64,
    /// Rows that went to others as ghosts, at each forwarding once more.
    pub ghost_rows_sent: u64,
    /// Ghosts that this rank has now.
    pub ghosts: u64,
    /// Sorts by the key of the domain.
    pub rebuilds: u64,
    /// Times that space was cut anew.
    pub balanced: u64,
    /// Time that kernels ran here, on all workers together.
    pub busy: Duration,
    /// The same since space was cut last.
    pub busy_since_cut: Duration,
    /// CPU time of this thread for rows that move, bricks included, waiting left out.
    pub moving: Duration,
    /// The same for ghosts that are made anew.
    pub renewing: Duration,
    /// The same for values of ghosts that are forwarded.
    pub forwarding: Duration,
    /// The same for reductions and resources.
    pub agreeing: Duration,
    /// CPU time of this thread for the order of rows, at sorts by the key of the domain.
    pub ordering: Duration,
    /// Time of the kernels of the rank that took longest, over the mean of all ranks, between the first cut and the second;
    /// 0: there was no second one. All ranks have the same number.
    pub first_imbalance: f64,
}

struct State {
    comm: Comm,
    looks: Looks,
    bricks: Option<Bricks>,
    plan: Option<ghosts::Plan>,
    /// Components that views read, in the order of the layout.
    viewed: Vec<String>,
    /// Handles may name rows of other ranks.
    links: bool,
    /// The views, where there are links.
    views: Vec<ViewNeeds>,
    /// Where there are links, the first id of each rank's share of a kind of rows, by the names of their components.
    shares: BTreeMap<String, Vec<u64>>,
    /// Rows that are named here and that no view shows are still to be looked for on other ranks.
    asks: bool,
    balance_every: u64,
    balance: Balance,
    /// Of cells, at the last cut, where they are of measured time.
    weights: Vec<u64>,
    report: Report,
    /// CPU time of this thread when a sort began.
    sort_begun: Option<Duration>,
}

impl Cluster {
    /// A rank of a cluster. Space is cut anew at every `balance_every`-th sort by the key; 0: at the first alone.
    #[must_use]
    pub fn new(comm: Comm, balance_every: u64) -> Self {
        let state = State {
            comm,
            looks: Looks::Own,
            bricks: None,
            plan: None,
            viewed: Vec::new(),
            links: false,
            views: Vec::new(),
            shares: BTreeMap::new(),
            asks: false,
            balance_every,
            balance: Balance::default(),
            weights: Vec::new(),
            report: Report::default(),
            sort_begun: None,
        };
        Cluster { state: Arc::new(Mutex::new(state)) }
    }

    /// With other weights of cells. Bytes do not depend on them.
    #[must_use]
    pub fn balance_by(self, balance: Balance) -> Self {
        self.state().balance = balance;
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This rank, from 0.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.state().comm.rank()
    }

    /// Ranks in all.
    #[must_use]
    pub fn size(&self) -> usize {
        self.state().comm.size()
    }

    /// Calls of all ranks, between frames.
    pub fn comm<T>(&self, call: impl FnOnce(&mut Comm) -> T) -> T {
        call(&mut self.state().comm)
    }

    /// What this rank did so far, and what went between it and others.
    #[must_use]
    pub fn report(&self) -> (Report, Traffic) {
        let state = self.state();
        let ghosts = state.plan.as_ref().map_or(0, |plan| plan.rows);
        (Report { ghosts, ..state.report }, state.comm.traffic())
    }

    /// Time in calls of all ranks so far, waiting included.
    #[must_use]
    pub fn time_inside(&self) -> Duration {
        self.report().1.inside
    }

    /// A simulation of this rank's share of a world, with the same schedule on all ranks.
    ///
    /// With a [`Domain`], systems may look at neighbours within its reach; with [`Looks::All`], at all rows. A world that has
    /// run before (of a checkpoint) is brought into order first: each row goes to the rank of its cell, or of its share. On
    /// one rank alone this is a plain simulation.
    ///
    /// # Errors
    /// A condition that the schedule breaks, with the system's name; ranks with different schedules or options; what
    /// [`SimulationBuilder::build`] refuses.
    pub fn simulation(
        &self,
        mut world: World,
        schedule: Schedule,
        looks: impl Into<Looks>,
        builder: SimulationBuilder,
    ) -> Result<Simulation, ClusterError> {
        let rank = self.rank();
        let again = world.frame() > 0;
        {
            let mut state = self.state();
            state.looks = looks.into();
            state.links = state.looks == Looks::All && world.knows_elsewhere();
            state.asks = state.links;
            if again {
                state.order_again(&mut world)?;
            } else if state.looks == Looks::All && state.comm.size() > 1 {
                // rows that were taken out have left others in their places
                share::order(&mut world, None, rank)?;
            }
        }
        let builder = match self.size() {
            1 => builder,
            _ => builder.exchange(Box::new(self.clone())),
        };
        builder.build(world, schedule).map_err(|error| engine(rank, error))
    }

    /// The hash of all rows of all ranks by their global ids, on all ranks: equal to that of one process.
    ///
    /// # Errors
    /// Rows without a global id; a rank that is gone, or in another frame.
    pub fn hash_by_id(&self, world: &World) -> Result<IdHash, ClusterError> {
        let mut state = self.state();
        let mine = world.hash_by_id().map_err(|error| engine(state.comm.rank(), error))?;
        let all = state.comm.all_gather("hash by id", &mine.to_bytes())?;
        let mut hash: Option<IdHash> = None;
        for (rank, bytes) in all.iter().enumerate() {
            let bad = |what: String| ClusterError::Message { rank, what };
            let bytes: [u8; 32] =
                bytes.as_slice().try_into().map_err(|_| bad(format!("a hash of {} bytes, not 32", bytes.len())))?;
            let one = IdHash::from_bytes(bytes);
            let all = hash.map_or(Some(one), |hash| hash.combine(one));
            hash = Some(all.ok_or_else(|| bad(format!("its frame is {}, not {}", one.frame(), mine.frame())))?);
        }
        hash.ok_or_else(|| ClusterError::World("there are no ranks".to_owned()))
    }
}

impl State {
    fn domain(&self) -> Option<&Domain> {
        self.looks.near()
    }

    fn refuse(&mut self, error: ClusterError) -> ExchangeError {
        self.comm.failed(&error.to_string());
        error.into()
    }

    fn begun(&mut self, world: &mut World, needs: &ExchangeNeeds) -> Result<(), ClusterError> {
        // ranks that broke a condition alone would leave the others waiting
        let told = match conditions::check(world, needs, &self.looks, self.links) {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        };
        let all = self.comm.all_gather("conditions", told.as_bytes())?;
        conditions::check(world, needs, &self.looks, self.links)?;
        if let Some((rank, told)) = all.iter().enumerate().find(|(_, told)| !told.is_empty()) {
            return Err(ClusterError::Gone { rank, why: String::from_utf8_lossy(told).into_owned() });
        }
        let same = format!(
            "{needs:?} {:?} {} {:?} {}",
            self.looks,
            self.balance_every,
            self.balance,
            world.layout().to_toml()
        );
        self.comm.all_equal("schedule, layout or options", same.as_bytes())?;
        let views = || needs.systems.iter().flat_map(|system| &system.views).filter(|view| view.ghosts);
        let views = || views().flat_map(|view| &view.components);
        let components = world.layout().components().iter().map(|component| &component.name);
        let by_id = |name: &String| self.links && name == conditions::GLOBAL_ID;
        self.viewed = components.filter(|name| by_id(name) || views().any(|viewed| viewed == *name)).cloned().collect();
        if self.links {
            let shown = needs.systems.iter().flat_map(|system| &system.views).filter(|view| view.ghosts);
            self.views = shown.cloned().collect();
        }
        Ok(())
    }

    /// Whether a sort is the one at which rows change ranks.
    fn is_rebuild(&self, point: &SortPoint) -> bool {
        self.domain().is_some_and(|domain| domain.key == point.key) || (self.links && conditions::is_by_id(&point.key))
    }

    fn sorting(&mut self, world: &mut World, point: &SortPoint) -> Result<(), ClusterError> {
        if !self.is_rebuild(point) {
            return Ok(());
        }
        self.report.rebuilds += 1;
        if self.links {
            return self.share_out(world, false);
        }
        self.balance(world)?;
        self.migrate(world)
    }

    fn agreed(&mut self, resource: &str, wrote: bool, value: &mut [u8]) -> Result<bool, ClusterError> {
        const NOBODY: u8 = 0;
        const DIFFERENT: u8 = 2;
        let mut all = vec![u8::from(wrote)];
        all.extend_from_slice(value);
        self.comm.all_reduce(&format!("agree on {resource}"), &mut all, &|a, b| {
            if a[0] == NOBODY {
                a.copy_from_slice(b);
            } else if b[0] != NOBODY && a != b {
                a[0] = DIFFERENT;
            }
        })?;
        if all[0] == DIFFERENT {
            return Err(ClusterError::World(format!(
                "ranks set resource `{resource}` to different values: what sets a resource may read what all ranks have alone; \
                 reduce rows to it instead"
            )));
        }
        if all[0] != NOBODY {
            value.copy_from_slice(&all[1..]);
        }
        Ok(all[0] != NOBODY)
    }
}

impl Cluster {
    /// A call of the simulation, whose CPU time counts.
    fn metered<T>(&self, which: fn(&mut Report) -> &mut Duration, call: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let (begun, waited) = (thread_cpu_time(), state.comm.traffic().waiting);
        let done = call(&mut state);
        let (took, waited) = (thread_cpu_time().saturating_sub(begun), state.comm.traffic().waiting - waited);
        *which(&mut state.report) += took.saturating_sub(waited);
        done
    }
}

impl Exchange for Cluster {
    fn begin(&mut self, world: &mut World, needs: &ExchangeNeeds) -> Result<(), ExchangeError> {
        let mut state = self.state();
        state.begun(world, needs).map_err(|error| state.refuse(error))
    }

    fn before_sort(&mut self, world: &mut World, point: &SortPoint) -> Result<(), ExchangeError> {
        let done = self.metered(|report| &mut report.moving, |state| state.sorting(world, point));
        self.state().sort_begun = Some(thread_cpu_time());
        Ok(done?)
    }

    fn after_sort(&mut self, world: &mut World, point: &SortPoint) -> Result<(), ExchangeError> {
        let mut state = self.state();
        let begun = state.sort_begun.take();
        if !state.is_rebuild(point) {
            drop(state);
            // rows may stand elsewhere: what goes to others is found anew, or the order is refused
            return Ok(self.metered(|report| &mut report.renewing, |state| state.make_ghosts(world))?);
        }
        state.report.ordering += begun.map_or(Duration::ZERO, |begun| thread_cpu_time().saturating_sub(begun));
        drop(state);
        Ok(self.metered(|report| &mut report.renewing, |state| state.make_ghosts(world))?)
    }

    fn refresh(&mut self, world: &mut World, stale: &Stale<'_>) -> Result<(), ExchangeError> {
        if stale.rows_moved() {
            return Ok(self.metered(|report| &mut report.renewing, |state| state.make_ghosts(world))?);
        }
        Ok(self.metered(
            |report| &mut report.forwarding,
            |state| {
                let components: Vec<String> = stale.components().map(str::to_owned).collect();
                state.forward(world, &components)
            },
        )?)
    }

    fn reduce(
        &mut self,
        resource: &str,
        value: &mut [u8],
        join: &dyn Fn(&mut [u8], &[u8]),
    ) -> Result<(), ExchangeError> {
        Ok(self.metered(
            |report| &mut report.agreeing,
            |state| state.comm.all_reduce(&format!("reduce to {resource}"), value, join),
        )?)
    }

    fn agree(&mut self, resource: &str, wrote: bool, value: &mut [u8]) -> Result<bool, ExchangeError> {
        Ok(self.metered(|report| &mut report.agreeing, |state| state.agreed(resource, wrote, value))?)
    }

    fn tell(&mut self, what: &str, mine: &[u8]) -> Result<Vec<Vec<u8>>, ExchangeError> {
        Ok(self.metered(|report| &mut report.agreeing, |state| state.comm.all_gather(what, mine))?)
    }

    fn worked(&mut self, busy: Duration) {
        let mut state = self.state();
        state.report.busy += busy;
        state.report.busy_since_cut += busy;
    }

    fn failed(&mut self, message: &str) {
        self.state().comm.failed(message);
    }
}

/// An error of the engine on a rank.
fn engine(rank: usize, error: impl std::error::Error + Send + Sync + 'static) -> ClusterError {
    ClusterError::Engine { rank, source: Box::new(error) }
}
