//! Lists of rows as kernels and readers see them: the elements of all rows side by side, and each row's part of them.
//!
//! Invariant: a span that leaves the elements is refused where it is looked at: it never leads to other memory.
#![forbid(unsafe_code)]

use std::ops::Range;

use crate::Component;
use crate::layout::{FieldType, ScalarType};

/// What a row holds of a list: two columns of this type.
pub(crate) const SPAN_TYPE: FieldType = FieldType::scalar(ScalarType::U32);

/// The places and the lengths of rows' lists.
pub(crate) type Spans<'a> = (&'a [u32], &'a [u32]);

/// The lists of a chunk's or a table's rows, of a component with `#[component(storage = "list")]` whose fields are those of
/// the elements.
///
/// The elements of all lists of the component stand in shared columns, one slice per field; [`Lists::range`] says which of
/// them are a row's. So a kernel looks at elements in place, field by field:
///
/// ```
/// use hypostyle::{Component, List, Schedule, Simulation, System, Workers, World, Write};
/// #[derive(Component, Clone, Copy)]
/// struct Sum { of: f64 }
/// #[derive(Component, Clone, Copy)]
/// #[component(storage = "list")]
/// struct Part { weight: f64 }
///
/// let mut world = World::builder().component::<Sum>().component::<Part>().build()?;
/// let whole = world.spawn((Sum { of: 0.0 }, List::<Part>::new()))?;
/// world.set_list(whole, &[Part { weight: 1.5 }, Part { weight: 2.0 }])?;
/// let mut schedule = Schedule::new();
/// schedule.add(
///     System::try_rows::<Write<Sum>>("add up", |job, mut sum| {
///         let parts = job.lists::<Part>()?;
///         for row in 0..job.len() {
///             sum.of[row] = parts.columns().weight[parts.range(row)].iter().sum();
///         }
///         Ok(())
///     })
///     .reads_lists::<Part>(),
/// );
/// let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;
/// simulation.step(1.0)?;
/// assert_eq!(simulation.world().get::<Sum>(whole)?.of, 3.5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Lists<'a, C: Component> {
    columns: C::Columns<'a>,
    starts: &'a [u32],
    lengths: &'a [u32],
    elements: usize,
}

impl<C: Component> Clone for Lists<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C: Component> Copy for Lists<'_, C> {}

impl<'a, C: Component> Lists<'a, C> {
    /// The lists of rows that have these spans among so many elements.
    pub(crate) fn new(columns: C::Columns<'a>, (starts, lengths): Spans<'a>, elements: usize) -> Self {
        debug_assert_eq!(starts.len(), lengths.len(), "one of each for every row");
        Lists { columns, starts, lengths, elements }
    }

    /// How many rows there are, each with a list.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.lengths.len()
    }

    /// The elements of all lists: one slice per field, as those of a component's rows.
    #[must_use]
    pub fn columns(&self) -> C::Columns<'a> {
        self.columns
    }

    /// Which elements are a row's, as places in [`Lists::columns`].
    ///
    /// # Panics
    /// When there is no such row.
    #[inline]
    #[must_use]
    pub fn range(&self, row: usize) -> Range<usize> {
        let start = self.starts[row] as usize;
        let end = start + self.lengths[row] as usize;
        assert!(end <= self.elements, "the list of row {row} ends at element {end} of {}", self.elements);
        start..end
    }

    /// Number of elements in a row's list.
    ///
    /// # Panics
    /// When there is no such row.
    #[inline]
    #[must_use]
    pub fn len(&self, row: usize) -> usize {
        self.lengths[row] as usize
    }

    /// Whether a row's list is empty.
    ///
    /// # Panics
    /// When there is no such row.
    #[inline]
    #[must_use]
    pub fn is_empty(&self, row: usize) -> bool {
        self.len(row) == 0
    }

    /// An element by its place in [`Lists::columns`].
    ///
    /// # Panics
    /// When there is no such element.
    #[inline]
    #[must_use]
    pub fn get(&self, place: usize) -> C {
        C::row_of(&self.columns, place)
    }

    /// The elements of a row's list, one by one.
    ///
    /// # Panics
    /// When there is no such row.
    #[inline]
    pub fn iter(&self, row: usize) -> impl ExactSizeIterator<Item = C> + use<'a, C> {
        let columns = self.columns;
        self.range(row).map(move |place| C::row_of(&columns, place))
    }

    /// The place in [`Lists::columns`] of the element of a row's list with this key, in a list that is sorted by it. `keys` is
    /// the column of the key: with handles of other entities as keys, this is the state that a row has with each of them,
    /// wherever their rows go.
    ///
    /// ```
    /// use hypostyle::{Component, Entity, List, World};
    /// #[derive(Component, Clone, Copy, Debug, PartialEq)]
    /// #[component(storage = "list")]
    /// struct Contact { other: Entity, spring: f64 }
    /// let mut world = World::builder().component::<Contact>().build()?;
    /// let [a, b, c] = [(); 3].map(|()| world.spawn(List::<Contact>::new()));
    /// let (a, b, c) = (a?, b?, c?);
    /// world.set_list(a, &[Contact { other: b, spring: 0.5 }, Contact { other: c, spring: 2.0 }])?;
    /// world.publish()?;
    /// let mut reader = world.reader()?;
    /// let snapshot = reader.pin()?;
    /// let table = snapshot.tables().next().expect("there are rows");
    /// let contacts = table.lists::<Contact>()?.expect("with contacts");
    /// let place = contacts.find(0, contacts.columns().other, c).expect("a touches c");
    /// assert_eq!(contacts.columns().spring[place], 2.0);
    /// assert_eq!(contacts.find(1, contacts.columns().other, a), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    /// When there is no such row, or `keys` is no column of the elements.
    #[inline]
    #[must_use]
    pub fn find<K: Ord>(&self, row: usize, keys: &[K], key: K) -> Option<usize> {
        let range = self.range(row);
        keys[range.clone()].binary_search(&key).ok().map(|place| range.start + place)
    }
}
