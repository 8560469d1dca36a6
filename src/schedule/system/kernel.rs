//! Kernels with their types erased: what a runner calls.
#![forbid(unsafe_code)]

use std::marker::PhantomData;

use crate::schedule::error::KernelError;
use crate::schedule::job::Job;
use crate::schedule::neighbours::{NeighbourSet, Neighbours};
use crate::world::access::query::{Fetch, Query};

/// What a kernel is called with, type-erased.
pub(crate) trait Kernel: Send + Sync {
    fn run<'a>(&self, job: &mut Job<'a, '_>, fetch: &mut Fetch<'a>, views: NeighbourSet<'a>)
    -> Result<(), KernelError>;
}

pub(super) struct RowsKernel<Q, F>(pub F, pub PhantomData<fn() -> Q>);

impl<Q, F> Kernel for RowsKernel<Q, F>
where
    Q: Query,
    F: for<'a, 'w> Fn(&mut Job<'a, 'w>, Q::Item<'a>) -> Result<(), KernelError> + Send + Sync,
{
    fn run<'a>(&self, job: &mut Job<'a, '_>, fetch: &mut Fetch<'a>, _: NeighbourSet<'a>) -> Result<(), KernelError> {
        (self.0)(job, Q::fetch(fetch))
    }
}

pub(super) struct NeighbourKernel<Q, O, F>(pub F, pub PhantomData<fn() -> (Q, O)>);

impl<Q, O, F> Kernel for NeighbourKernel<Q, O, F>
where
    Q: Query,
    O: Query,
    F: for<'a, 'w> Fn(&mut Job<'a, 'w>, Q::Item<'a>, Neighbours<'a, O>) -> Result<(), KernelError> + Send + Sync,
{
    fn run<'a>(
        &self,
        job: &mut Job<'a, '_>,
        fetch: &mut Fetch<'a>,
        views: NeighbourSet<'a>,
    ) -> Result<(), KernelError> {
        let own = job.table();
        let (map, item) = (job.map(), Q::fetch(fetch));
        (self.0)(job, item, Neighbours::new(views, own, map))
    }
}
