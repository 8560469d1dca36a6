//! Queries: which entities, and which of their columns.
//!
//! A [`Query`] is a type: `(Write<Position>, Read<Velocity>, Without<Frozen>)`. It is described once as a
//! [`QueryPlan`] (plain component ids, so that a query can also be made by name) and matched against each table's
//! shape; toggles and changed rows that a shape cannot decide become a bit mask over rows.
#![forbid(unsafe_code)]

use crate::column::ColumnCursor;
use crate::component::{Component, Entity};
use crate::layout::Storage;
use crate::table::Shape;

use super::bundle::RegistryRef;
use crate::world::error::WorldError;

/// One column that a query asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ColumnAccess {
    pub component: u16,
    pub field: u8,
    pub write: bool,
    /// Left out of tables that lack the component.
    pub optional: bool,
}

/// What a query asks for, in component ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryPlan {
    pub(crate) columns: Vec<ColumnAccess>,
    /// Optional components in the order in which they are fetched.
    pub(crate) optional: Vec<u16>,
    pub(crate) all: Vec<u16>,
    pub(crate) none: Vec<u16>,
    pub(crate) any: Vec<Vec<u16>>,
    pub(crate) changed: Vec<u16>,
}

impl QueryPlan {
    /// Adds a component's columns. A written component is named once: two slices of one column never meet.
    pub(crate) fn columns_of(
        &mut self,
        registry: &RegistryRef<'_>,
        component: u16,
        write: bool,
        optional: bool,
    ) -> Result<(), WorldError> {
        if self.columns.iter().any(|column| column.component == component && (write || column.write)) {
            let component = registry.0.layout.components()[usize::from(component)].name.clone();
            return Err(WorldError::DuplicateComponent { component });
        }
        let declared = &registry.0.layout.components()[usize::from(component)];
        if declared.storage.is_list() {
            return Err(WorldError::list(&declared.name));
        }
        let fields = declared.fields.len();
        for field in 0..fields as u8 {
            self.columns.push(ColumnAccess { component, field, write, optional });
        }
        Ok(())
    }

    /// Adds a list, which rows must have: where the elements of their lists are. It comes after all other columns.
    pub(crate) fn spans_of(&mut self, component: u16) {
        self.all.push(component);
        let part = |field| ColumnAccess { component, field, write: false, optional: false };
        self.columns.extend([part(0), part(1)]);
    }

    /// What is asked for can be had: nothing must be there and not be there.
    pub(crate) fn check(&self, registry: &RegistryRef<'_>) -> Result<(), WorldError> {
        let refused = |component: &u16| self.none.contains(component);
        let mut groups = self.any.iter().chain((!self.changed.is_empty()).then_some(&self.changed));
        let hopeless =
            groups.find(|group| !group.is_empty() && group.iter().all(refused)).and_then(|group| group.first());
        match self.all.iter().find(|component| refused(component)).or(hopeless) {
            None => Ok(()),
            Some(component) => {
                let component = registry.0.layout.components()[usize::from(*component)].name.clone();
                Err(WorldError::Contradiction { component })
            }
        }
    }

    /// Whether it is the query that matches every entity and looks at nothing.
    pub(crate) fn is_empty(&self) -> bool {
        let QueryPlan { columns, optional, all, none, any, changed } = self;
        columns.is_empty()
            && optional.is_empty()
            && all.is_empty()
            && none.is_empty()
            && any.is_empty()
            && changed.is_empty()
    }

    /// Whether the query writes anything.
    pub(crate) fn writes(&self) -> bool {
        self.columns.iter().any(|column| column.write)
    }
}

/// What a query gets from a chunk: columns, handles, which optional components are there.
pub struct Fetch<'a> {
    pub(crate) columns: ColumnCursor<'a>,
    pub(crate) entities: &'a [Entity],
    pub(crate) present: &'a [bool],
    pub(crate) next_optional: usize,
}

impl Fetch<'_> {
    fn optional_present(&mut self) -> bool {
        let present = self.present[self.next_optional];
        self.next_optional += 1;
        present
    }
}

mod sealed {
    pub trait Sealed {}
}

/// A set of entities and the columns of theirs that a kernel gets.
///
/// Implemented for [`Read`], [`Write`], [`Entities`], [`With`], [`Without`], [`AnyOf`], [`Changed`], `Option<Read<C>>`,
/// `Option<Write<C>>` and tuples of up to 16 queries, which may be tuples themselves. The empty query `()` matches every
/// live entity. Sealed: what a query says when the schedule is built and what it takes in a frame are one thing, which
/// nobody else can break.
///
/// A kernel gets a query's columns chunk by chunk ([`Query::Item`]); [`for_each`](Query::for_each) goes over the rows of a
/// chunk one by one.
///
/// ```
/// use hypostyle::{Component, Read, World, Write};
/// #[derive(Component, Clone, Copy)]
/// struct Position { x: f32 }
/// #[derive(Component, Clone, Copy)]
/// struct Drag { share: f32 }
/// let mut world = World::builder().component::<Position>().component::<Drag>().build()?;
/// let free = world.spawn(Position { x: 8.0 })?;
/// let slowed = world.spawn((Position { x: 8.0 }, Drag { share: 0.5 }))?;
/// // `Option<...>`: columns of those tables that have the component
/// world.query_mut::<(Write<Position>, Option<Read<Drag>>)>(|_, (mut position, drag)| match drag {
///     None => position.x.map(|x| x + 1.0),
///     Some(drag) => position.x.map_with(drag.share, |x, share| x + share),
/// })?;
/// assert_eq!((world.get::<Position>(free)?.x, world.get::<Position>(slowed)?.x), (9.0, 8.5));
/// # Ok::<(), hypostyle::WorldError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a query",
    label = "not a query",
    note = "to use a component `P`, ask for `Read<P>` (its columns to read) or `Write<P>` (its columns to write)",
    note = "a query is Read<P>, Write<P>, Option<Read<P>>, Option<Write<P>>, Entities, With<P>, Without<P>, \
            AnyOf<(P, ...)>, Changed<P>, or a tuple of up to 16 of them, such as `(Write<Position>, Read<Velocity>)`"
)]
pub trait Query: 'static + sealed::Sealed {
    /// What a kernel gets per chunk.
    type Item<'a>;
    /// The values of one row: a component for [`Read`] and [`Write`], an option of one for `Option<...>`, the handle for
    /// [`Entities`], `()` for the others, a tuple for a tuple.
    type Values: Copy;
    /// The same, where what is written can be changed: `&mut C` for [`Write`].
    type Row<'r>;
    /// Copies the values of a row of a chunk.
    fn values(item: &Self::Item<'_>, row: usize) -> Self::Values;
    /// Values to change.
    fn row(values: &mut Self::Values) -> Self::Row<'_>;
    /// Writes what differs in `before` and `after` to a row of a chunk.
    fn store(item: &mut Self::Item<'_>, row: usize, before: &Self::Values, after: &Self::Values);
    /// Calls `f` with each of the first `rows` rows of a chunk. A column of which no value changes is not touched, as
    /// where a kernel leaves it alone; where all rows change, the `map` methods of [`Mut`](crate::Mut) are faster.
    fn for_each(item: &mut Self::Item<'_>, rows: usize, mut f: impl FnMut(usize, Self::Row<'_>)) {
        for row in 0..rows {
            let before = Self::values(item, row);
            let mut after = before;
            f(row, Self::row(&mut after));
            Self::store(item, row, &before, &after);
        }
    }
    /// Adds this part to the plan.
    ///
    /// # Errors
    /// A component that the world does not have, or one that cannot be asked for like this.
    fn describe(registry: &RegistryRef<'_>, plan: &mut QueryPlan) -> Result<(), WorldError>;
    /// Takes this part of a chunk.
    fn fetch<'a>(fetch: &mut Fetch<'a>) -> Self::Item<'a>;
}

/// Has the component, and its columns are read: one `&[T]` per field.
pub struct Read<C>(std::marker::PhantomData<C>);
/// Has the component, and its columns are written: one [`Mut`](crate::Mut) per field. Columns that a kernel does not touch
/// are left alone, at no cost.
pub struct Write<C>(std::marker::PhantomData<C>);
/// The handles of the rows: `&[Entity]`.
pub struct Entities;
/// Has the component; its values are not looked at.
pub struct With<C>(std::marker::PhantomData<C>);
/// Lacks the component.
pub struct Without<C>(std::marker::PhantomData<C>);
/// Has at least one component of a tuple.
pub struct AnyOf<T>(std::marker::PhantomData<T>);
/// Has the (tracked) component, and it changed in the previous frame or by this frame's earlier batches. Several of them
/// in one query: any of them did.
///
/// A row changed where a system left other bytes in it than it found (an equal value is no change), where a patch set it to
/// any value, where it got the component, and where its owner wrote it between frames.
pub struct Changed<C>(std::marker::PhantomData<C>);

impl<C: Component> sealed::Sealed for Read<C> {}

impl<C: Component> Query for Read<C> {
    type Item<'a> = C::Columns<'a>;
    type Values = C;
    type Row<'r> = C;
    #[inline(always)]
    fn values(item: &Self::Item<'_>, row: usize) -> C {
        C::row_of(item, row)
    }
    #[inline(always)]
    fn row(values: &mut C) -> C {
        *values
    }
    #[inline(always)]
    fn store(_: &mut Self::Item<'_>, _: usize, _: &C, _: &C) {}
    fn describe(registry: &RegistryRef<'_>, plan: &mut QueryPlan) -> Result<(), WorldError> {
        let component = registry.0.component::<C>()?;
        plan.all.push(component);
        plan.columns_of(registry, component, false, false)
    }
    fn fetch<'a>(fetch: &mut Fetch<'a>) -> Self::Item<'a> {
        C::columns(&mut fetch.columns)
    }
}

impl<C: Component> sealed::Sealed for Write<C> {}

impl<C: Component> Query for Write<C> {
    type Item<'a> = C::ColumnsMut<'a>;
    type Values = C;
    type Row<'r> = &'r mut C;
    #[inline(always)]
    fn values(item: &Self::Item<'_>, row: usize) -> C {
        C::row_of_mut(item, row)
    }
    #[inline(always)]
    fn row(values: &mut C) -> &mut C {
        values
    }
    #[inline(always)]
    fn store(item: &mut Self::Item<'_>, row: usize, before: &C, after: &C) {
        C::set_row(item, row, before, after);
    }
    fn describe(registry: &RegistryRef<'_>, plan: &mut QueryPlan) -> Result<(), WorldError> {
        let component = registry.0.component::<C>()?;
        plan.all.push(component);
        plan.columns_of(registry, component, true, false)
    }
    fn fetch<'a>(fetch: &mut Fetch<'a>) -> Self::Item<'a> {
        C::columns_mut(&mut fetch.columns)
    }
}

/// Adds a component that tables may lack to a plan.
fn describe_optional<C: Component>(
    registry: &RegistryRef<'_>,
    plan: &mut QueryPlan,
    write: bool,
) -> Result<(), WorldError> {
    let component = registry.0.component::<C>()?;
    if registry.0.layout.components()[usize::from(component)].storage == Storage::Toggle {
        return Err(WorldError::OptionalToggle { component: C::NAME.to_owned() });
    }
    plan.optional.push(component);
    plan.columns_of(registry, component, write, true)
}

impl<C: Component> sealed::Sealed for Option<Read<C>> {}

impl<C: Component> Query for Option<Read<C>> {
    type Item<'a> = Option<C::Columns<'a>>;
    type Values = Option<C>;
    type Row<'r> = Option<C>;
    #[inline(always)]
    fn values(item: &Self::Item<'_>, row: usize) -> Option<C> {
        item.as_ref().map(|columns| C::row_of(columns, row))
    }
    #[inline(always)]
    fn row(values: &mut Option<C>) -> Option<C> {
        *values
    }
    #[inline(always)]
    fn store(_: &mut Self::Item<'_>, _: usize, _: &Option<C>, _: &Option<C>) {}
    fn describe(registry: &RegistryRef<'_>, plan: &mut QueryPlan) -> Result<(), WorldError> {
        describe_optional::<C>(registry, plan, false)
    }
    fn fetch<'a>(fetch: &mut Fetch<'a>) -> Self::Item<'a> {
        fetch.optional_present().then(|| C::columns(&mut fetch.columns))
    }
}

impl<C: Component> sealed::Sealed for Option<Write<C>> {}

impl<C: Component> Query for Option<Write<C>> {
    type Item<'a> = Option<C::ColumnsMut<'a>>;
    type Values = Option<C>;
    type Row<'r> = Option<&'r mut C>;
    #[inline(always)]
    fn values(item: &Self::Item<'_>, row: usize) -> Option<C> {
        item.as_ref().map(|columns| C::row_of_mut(columns, row))
    }
    #[inline(always)]
    fn row(values: &mut Option<C>) -> Option<&mut C> {
        values.as_mut()
    }
    #[inline(always)]
    fn store(item: &mut Self::Item<'_>, row: usize, before: &Option<C>, after: &Option<C>) {
        if let (Some(columns), Some(before), Some(after)) = (item, before, after) {
            C::set_row(columns, row, before, after);
        }
    }
    fn describe(registry: &RegistryRef<'_>, plan: &mut QueryPlan) -> Result<(), WorldError> {
        describe_optional::<C>(registry, plan, true)
    }
    fn fetch<'a>(fetch: &mut Fetch<'a>) -> Self::Item<'a> {
        fetch.optional_present().then(|| C::columns_mut(&mut fetch.columns))
    }
}

impl sealed::Sealed for Entities {}

impl Query for Entities {
    type Item<'a> = &'a [Entity];
    type Values = Entity;
    type Row<'r> = Entity;
    #[inline(always)]
    fn values(item: &Self::Item<'_>, row: usize) -> Entity {
        item[row]
    }
    #[inline(always)]
    fn row(values: &mut Entity) -> Entity {
        *values
    }
    #[inline(always)]
    fn store(_: &mut Self::Item<'_>, _: usize, _: &Entity, _: &Entity) {}
    fn describe(_: &RegistryRef<'_>, _: &mut QueryPlan) -> Result<(), WorldError> {
        Ok(())
    }
    fn fetch<'a>(fetch: &mut Fetch<'a>) -> Self::Item<'a> {
        fetch.entities
    }
}

/// Of a query that looks at no values.
macro_rules! no_values {
    () => {
        type Values = ();
        type Row<'r> = ();
        #[inline(always)]
        fn values(_: &(), _: usize) {}
        #[inline(always)]
        fn row(_: &mut ()) {}
        #[inline(always)]
        fn store(_: &mut (), _: usize, _: &(), _: &()) {}
    };
}

impl<C: Component> sealed::Sealed for With<C> {}

impl<C: Component> Query for With<C> {
    type Item<'a> = ();
    no_values!();
    fn describe(registry: &RegistryRef<'_>, plan: &mut QueryPlan) -> Result<(), WorldError> {
        plan.all.push(registry.0.component::<C>()?);
        Ok(())
    }
    fn fetch(_: &mut Fetch<'_>) {}
}

impl<C: Component> sealed::Sealed for Without<C> {}

impl<C: Component> Query for Without<C> {
    type Item<'a> = ();
    no_values!();
    fn describe(registry: &RegistryRef<'_>, plan: &mut QueryPlan) -> Result<(), WorldError> {
        plan.none.push(registry.0.component::<C>()?);
        Ok(())
    }
    fn fetch(_: &mut Fetch<'_>) {}
}

impl<C: Component> sealed::Sealed for Changed<C> {}

impl<C: Component> Query for Changed<C> {
    type Item<'a> = ();
    no_values!();
    fn describe(registry: &RegistryRef<'_>, plan: &mut QueryPlan) -> Result<(), WorldError> {
        let component = registry.0.component::<C>()?;
        if !registry.0.layout.components()[usize::from(component)].track_changes {
            return Err(WorldError::Untracked { component: C::NAME.to_owned() });
        }
        plan.changed.push(component);
        Ok(())
    }
    fn fetch(_: &mut Fetch<'_>) {}
}

macro_rules! tuples {
    ($($name:ident $index:tt),*) => {
        impl<$($name: Query),*> sealed::Sealed for ($($name,)*) {}
        #[allow(clippy::unused_unit)]
        impl<$($name: Query),*> Query for ($($name,)*) {
            type Item<'a> = ($($name::Item<'a>,)*);
            type Values = ($($name::Values,)*);
            type Row<'r> = ($($name::Row<'r>,)*);
            #[inline(always)]
            fn values(_item: &Self::Item<'_>, _row: usize) -> Self::Values {
                ($($name::values(&_item.$index, _row),)*)
            }
            #[inline(always)]
            fn row(_values: &mut Self::Values) -> Self::Row<'_> {
                ($($name::row(&mut _values.$index),)*)
            }
            #[inline(always)]
            fn store(_item: &mut Self::Item<'_>, _row: usize, _before: &Self::Values, _after: &Self::Values) {
                $($name::store(&mut _item.$index, _row, &_before.$index, &_after.$index);)*
            }
            fn describe(_registry: &RegistryRef<'_>, _plan: &mut QueryPlan) -> Result<(), WorldError> {
                $($name::describe(_registry, _plan)?;)*
                Ok(())
            }
            fn fetch<'a>(_fetch: &mut Fetch<'a>) -> Self::Item<'a> {
                ($($name::fetch(_fetch),)*)
            }
        }
    };
}
tuples!();
tuples!(A 0);
tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);
tuples!(A 0, B 1, C 2, D 3, E 4);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13, O 14);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13, O 14, P 15);

macro_rules! any_of {
    ($($name:ident),*) => {
        impl<$($name: Component),*> sealed::Sealed for AnyOf<($($name,)*)> {}
        impl<$($name: Component),*> Query for AnyOf<($($name,)*)> {
            type Item<'a> = ();
            no_values!();
            fn describe(registry: &RegistryRef<'_>, plan: &mut QueryPlan) -> Result<(), WorldError> {
                let group = vec![$(registry.0.component::<$name>()?),*];
                plan.any.push(group);
                Ok(())
            }
            fn fetch(_: &mut Fetch<'_>) {}
        }
    };
}
any_of!(A);
any_of!(A, B);
any_of!(A, B, C);
any_of!(A, B, C, D);
any_of!(A, B, C, D, E);
any_of!(A, B, C, D, E, F);

/// One condition on rows that a table's shape cannot decide; columns are places in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MaskTerm {
    /// The bit is set.
    Has(u16),
    /// The bit is not set.
    Lacks(u16),
    /// At least one of the bits is set.
    AnyOf(Vec<u16>),
}

impl MaskTerm {
    /// The term's rows among 64, from the words of its columns.
    #[inline]
    pub(crate) fn word(&self, mut word: impl FnMut(u16) -> u64) -> u64 {
        match self {
            MaskTerm::Has(column) => word(*column),
            MaskTerm::Lacks(column) => !word(*column),
            MaskTerm::AnyOf(columns) => columns.iter().fold(0, |bits, column| bits | word(*column)),
        }
    }
}

/// A table that a query matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Matched {
    /// For each of the plan's columns its place in the table; `None`: optional and not there.
    pub columns: Vec<Option<u16>>,
    /// For each of the plan's optional components whether it is there.
    pub present: Vec<bool>,
    /// Conditions that all must hold for a row to match; none: every row does.
    pub mask: Vec<MaskTerm>,
}

/// Whether rows of tables of this shape can match: as [`matches`], but without saying how.
pub(crate) fn concerns(plan: &QueryPlan, shape: &Shape) -> bool {
    let has = |component: &u16| shape.slot(*component).is_some();
    !shape.elsewhere
        && plan.all.iter().all(has)
        && plan.none.iter().all(|component| shape.slot(*component).is_none_or(|slot| slot.presence.is_some()))
        && plan.any.iter().all(|group| group.iter().any(has))
        && (plan.changed.is_empty() || plan.changed.iter().any(has))
}

/// How a query matches a table of this shape, if at all.
pub(crate) fn matches(plan: &QueryPlan, shape: &Shape) -> Option<Matched> {
    if shape.elsewhere {
        return None;
    }
    let mut mask = Vec::new();
    for component in &plan.all {
        let slot = shape.slot(*component)?;
        if let Some(presence) = slot.presence {
            let term = MaskTerm::Has(presence);
            if !mask.contains(&term) {
                mask.push(term);
            }
        }
    }
    for component in &plan.none {
        if let Some(slot) = shape.slot(*component) {
            mask.push(MaskTerm::Lacks(slot.presence?));
        }
    }
    for group in &plan.any {
        let slots: Vec<_> = group.iter().filter_map(|component| shape.slot(*component)).collect();
        if slots.is_empty() {
            return None;
        }
        if slots.iter().all(|slot| slot.presence.is_some()) {
            mask.push(MaskTerm::AnyOf(slots.iter().filter_map(|slot| slot.presence).collect()));
        }
    }
    if !plan.changed.is_empty() {
        let bits: Vec<u16> = plan
            .changed
            .iter()
            .filter_map(|component| shape.slot(*component)?.changed)
            .flat_map(|first| [first, first + 1])
            .collect();
        if bits.is_empty() {
            return None;
        }
        mask.push(MaskTerm::AnyOf(bits));
    }
    let columns = plan
        .columns
        .iter()
        .map(|column| shape.slot(column.component).map(|slot| slot.first + u16::from(column.field)))
        .collect();
    let present = plan.optional.iter().map(|component| shape.slot(*component).is_some()).collect();
    Some(Matched { columns, present, mask })
}

/// Calls `f` with the runs of matching rows of `start..end` (`start` a multiple of 64).
pub(crate) fn mask_runs(
    mask: &[MaskTerm],
    start: u32,
    end: u32,
    mut word_of: impl FnMut(u16, u32) -> u64,
    f: impl FnMut(u32, u32),
) {
    let all = |at| mask.iter().fold(u64::MAX, |bits, term| bits & term.word(|column| word_of(column, at)));
    bit_runs(start, end, all, f);
}

/// Calls `f` with the runs of set bits of `start..end` (`start` a multiple of 64), of which `word_of` gives 64 each.
pub(crate) fn bit_runs(start: u32, end: u32, mut word_of: impl FnMut(u32) -> u64, mut f: impl FnMut(u32, u32)) {
    debug_assert!(start.is_multiple_of(64));
    let mut open: Option<u32> = None;
    let mut at = start;
    while at < end {
        let mut word = word_of(at / 64);
        let rows = (end - at).min(64);
        if rows < 64 {
            word &= (1 << rows) - 1;
        }
        match (word, open) {
            (0, None) => {}
            (u64::MAX, _) => open = Some(open.unwrap_or(at)),
            _ => {
                let mut bit = 0;
                while bit < rows {
                    let rest = word >> bit;
                    if open.is_some() {
                        let ones = rest.trailing_ones().min(rows - bit);
                        bit += ones;
                        if bit < rows {
                            f(open.take().unwrap_or(at), at + bit);
                        }
                    } else {
                        let zeros = rest.trailing_zeros().min(rows - bit);
                        bit += zeros;
                        if bit < rows {
                            open = Some(at + bit);
                        }
                    }
                }
            }
        }
        at += rows;
    }
    if let Some(open) = open {
        f(open, end);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn runs_are_exactly_the_matching_rows(
            words in prop::collection::vec(prop_oneof![Just(0), Just(u64::MAX), any::<u64>()], 1..6),
            other in prop::collection::vec(prop_oneof![Just(0), Just(u64::MAX), any::<u64>()], 6),
            cut in 0u32..64,
        ) {
            let end = (words.len() as u32 * 64).saturating_sub(cut);
            let mask = [MaskTerm::Has(0), MaskTerm::Lacks(1)];
            let word_of = |column: u16, word: u32| if column == 0 { words[word as usize] } else { other[word as usize] };
            let mut got = Vec::new();
            mask_runs(&mask, 0, end, word_of, |start, end| {
                assert!(start < end);
                got.extend(start..end);
            });
            let want: Vec<u32> = (0..end)
                .filter(|row| (words[*row as usize / 64] & !other[*row as usize / 64]) >> (row % 64) & 1 == 1)
                .collect();
            prop_assert_eq!(got, want);
        }
    }
}
