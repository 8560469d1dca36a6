//! Rust types as columns: scalars, field values, the [`Component`] and [`Resource`] traits and the slices kernels get.

use bytemuck::{Pod, Zeroable};

use crate::column::{ColumnCursor, Mut};
use crate::layout::{ComponentLayout, FieldLayout, Storage};
use crate::small::{Bf16, F16, Snorm8, Snorm16, Unorm8, Unorm16};
use crate::value::ColumnItem;

/// A bool as it is stored in a column: one byte; 0 is false, anything else is true.
///
/// ```
/// use hypostyle::Bool;
/// let lit = Bool::from(true);
/// assert!(lit == true && !lit == false && bool::from(lit));
/// ```
#[derive(Clone, Copy, Default, Pod, Zeroable)]
#[repr(transparent)]
pub struct Bool(u8);

impl Bool {
    /// False, as stored.
    pub const FALSE: Bool = Bool(0);
    /// True, as stored.
    pub const TRUE: Bool = Bool(1);

    /// The value.
    #[must_use]
    pub const fn get(self) -> bool {
        self.0 != 0
    }
}

impl From<bool> for Bool {
    fn from(value: bool) -> Self {
        Bool(u8::from(value))
    }
}

impl From<Bool> for bool {
    fn from(value: Bool) -> Self {
        value.get()
    }
}

impl PartialEq for Bool {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for Bool {}

impl PartialEq<bool> for Bool {
    fn eq(&self, other: &bool) -> bool {
        self.get() == *other
    }
}

impl PartialEq<Bool> for bool {
    fn eq(&self, other: &Bool) -> bool {
        *self == other.get()
    }
}

impl std::ops::Not for Bool {
    type Output = Bool;
    fn not(self) -> Bool {
        Bool::from(!self.get())
    }
}

impl std::fmt::Debug for Bool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.get().fmt(f)
    }
}

/// A handle: index and generation. A handle whose slot was reused never reaches the new entity.
///
/// Generations stay below 2^31. A handle that a job's spawn reserved has its two highest bits at `10`, and below them a
/// number that only this job of this frame gives out: anywhere else it is stale.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Pod, Zeroable)]
#[repr(transparent)]
pub struct Entity(u64);

impl Entity {
    /// The handle of no entity.
    pub const NULL: Entity = Entity(u64::MAX);
    /// In views, the handle of a row that another part of a spread world owns ([`World::set_ghosts`](crate::World::set_ghosts)).
    /// It names no entity here; a patch on it fails the frame.
    pub const GHOST: Entity = Entity(u64::MAX - 1);
    /// The first generation that no entity has: a slot that comes so far is retired.
    pub(crate) const GENERATIONS_END: u32 = 1 << 31;
    /// The two highest bits of a handle, and what they are in one that a spawn reserved.
    const KIND_BITS: u64 = 0b11 << 62;
    const RESERVED_BITS: u64 = 0b10 << 62;

    /// A handle from its parts.
    #[must_use]
    #[inline]
    pub const fn from_parts(index: u32, generation: u32) -> Self {
        Entity(((generation as u64) << 32) | index as u64)
    }

    /// A handle from its 64 bits (index low, generation high).
    #[must_use]
    #[inline]
    pub const fn from_bits(bits: u64) -> Self {
        Entity(bits)
    }

    /// The 64 bits (index low, generation high).
    #[must_use]
    #[inline]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// The slot.
    #[must_use]
    #[inline]
    pub const fn index(self) -> u32 {
        self.0 as u32
    }

    /// How often the slot had been used before.
    #[must_use]
    #[inline]
    pub const fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Whether a job's spawn reserved this handle; where that job wrote it, it becomes the real one at commit. In any other
    /// job or frame it is stale.
    #[must_use]
    pub const fn is_reserved(self) -> bool {
        self.0 & Self::KIND_BITS == Self::RESERVED_BITS
    }

    /// The handle of the first spawn of a job: `tag` is a well-mixed number that names job and frame.
    pub(crate) const fn reserved(tag: u64) -> Self {
        Entity(tag & !Self::KIND_BITS | Self::RESERVED_BITS)
    }

    /// Of the reserved handle of a job's spawn, that of the `ordinal`th spawn after it.
    #[must_use]
    pub const fn nth(self, ordinal: u32) -> Self {
        Self::reserved((self.0 & !Self::KIND_BITS).wrapping_add(ordinal as u64))
    }

    /// Which spawn of the job whose first one is `first` has this reserved handle, if it is one of the first `count`.
    pub(crate) const fn ordinal(self, first: Entity, count: u32) -> Option<u32> {
        let distance = self.0.wrapping_sub(first.0) & !Self::KIND_BITS;
        if self.is_reserved() && distance < count as u64 { Some(distance as u32) } else { None }
    }
}

impl Default for Entity {
    fn default() -> Self {
        Entity::NULL
    }
}

impl std::fmt::Debug for Entity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Entity::NULL => f.write_str("null"),
            Entity::GHOST => f.write_str("ghost"),
            Entity(_) => write!(f, "{}v{}", self.index(), self.generation()),
        }
    }
}

impl std::fmt::Display for Entity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

crate::value::scalars!(Bool => Bool, Entity => Entity);

/// A type that a component's or resource's field can have in Rust: a number, [`bool`] or [`Bool`], [`Entity`], a fixed
/// array of one of them, or a struct of such fields.
///
/// `#[derive(Field)]` implements it for a struct, and `#[derive(Component)]` does too. The columns of a nested struct are
/// named after the outer field and the inner one, with an underscore between them; the fields of a nested tuple struct are
/// numbered, and one alone has the outer name. Two columns of one name are refused when a world is built.
///
/// ```
/// use hypostyle::{Component, Field, Write, World};
///
/// #[derive(Clone, Copy, Debug, PartialEq, Field)]
/// struct Vector {
///     x: f64,
///     y: f64,
/// }
/// #[derive(Clone, Copy, Field)]
/// struct Kelvin(f64);
/// #[derive(Clone, Copy, Component)]
/// struct Probe {
///     place: Vector,
///     heat: Kelvin,
///     spin: [f32; 3],
/// }
///
/// let names: Vec<String> = Probe::component_layout().fields.into_iter().map(|field| field.name).collect();
/// assert_eq!(names, ["place_x", "place_y", "heat", "spin"]);
///
/// let mut world = World::builder().component::<Probe>().build()?;
/// let probe = Probe { place: Vector { x: 1.0, y: 2.0 }, heat: Kelvin(3.0), spin: [0.0; 3] };
/// let probe = world.spawn(probe)?;
/// // each struct has a struct of columns: `ProbeColumnsMut` has a `VectorColumnsMut`
/// world.query_mut::<Write<Probe>>(|_, mut probe| probe.place.x.map(|x| x + 0.5))?;
/// assert_eq!(world.get::<Probe>(probe)?.place, Vector { x: 1.5, y: 2.0 });
/// # Ok::<(), hypostyle::WorldError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a field of a component or resource",
    label = "not a type that a column can hold",
    note = "a field is a number (f32, f64, i8 to i64, u8 to u64), bool, Entity, or a fixed array of them, such as `[f32; 3]`",
    note = "or a small number of `hypostyle::small` (F16, Bf16, Unorm8, Unorm16, Snorm8, Snorm16)",
    note = "a struct of such fields can be one: add `#[derive(Clone, Copy, hypostyle::Field)]` to it",
    note = "text and collections stay outside of the world: store an index such as u32; an enum is stored as its number"
)]
pub trait Field: Copy + Send + Sync + 'static {
    /// What a kernel reads: one slice (of [`Bool`] for `bool`), or the struct of a nested struct's columns.
    type Columns<'a>: Copy;
    /// What a kernel writes: one [`Mut`](crate::Mut), or the struct of a nested struct's columns.
    type ColumnsMut<'a>;
    /// Bytes of a packed value.
    const BYTES: usize;
    /// Columns that it takes.
    const COLUMNS: usize;
    /// Appends the declarations of its columns; `name` is the outer field's.
    #[doc(hidden)]
    fn declare(name: &str, default: Option<Self>, out: &mut Vec<FieldLayout>);
    /// Writes the packed value. `out` is `BYTES` long.
    #[doc(hidden)]
    fn pack_items(&self, out: &mut [u8]);
    /// Reads a packed value. `bytes` is `BYTES` long.
    #[doc(hidden)]
    fn unpack_items(bytes: &[u8]) -> Self;
    /// Calls `write` with the bytes for each column in order.
    #[doc(hidden)]
    fn each_item(&self, write: &mut impl FnMut(&[u8]));
    /// The value whose columns' bytes `read` fills in, in order.
    #[doc(hidden)]
    fn from_items(read: &mut impl FnMut(&mut [u8])) -> Self;
    /// Takes its columns from a cursor.
    #[doc(hidden)]
    fn take<'a>(cursor: &mut ColumnCursor<'a>) -> Self::Columns<'a>;
    /// Takes its writable columns from a cursor.
    #[doc(hidden)]
    fn take_mut<'a>(cursor: &mut ColumnCursor<'a>) -> Self::ColumnsMut<'a>;
    /// A row's value.
    #[doc(hidden)]
    fn value_at(columns: &Self::Columns<'_>, row: usize) -> Self;
    /// A row's value, from writable columns; they are not touched.
    #[doc(hidden)]
    fn value_at_mut(columns: &Self::ColumnsMut<'_>, row: usize) -> Self;
    /// Writes a row in those columns whose bytes differ in `before` and `after`.
    #[doc(hidden)]
    fn store_at(columns: &mut Self::ColumnsMut<'_>, row: usize, before: &Self, after: &Self);
}

/// A field's column is one of `$item`; `$to` and `$from` lead there and back.
macro_rules! field {
    ([$($generics:tt)*] $t:ty, $item:ty, $to:expr, $from:expr) => {
        impl<$($generics)*> Field for $t where $item: ColumnItem {
            type Columns<'a> = &'a [$item];
            type ColumnsMut<'a> = Mut<'a, $item>;
            const BYTES: usize = size_of::<$item>();
            const COLUMNS: usize = 1;
            fn declare(name: &str, default: Option<Self>, out: &mut Vec<FieldLayout>) {
                let default = default.map(|value| {
                    let item: $item = $to(value);
                    bytemuck::bytes_of(&item).to_vec()
                });
                out.push(FieldLayout { default, ..FieldLayout::new(name, <$item as ColumnItem>::TYPE) });
            }
            #[inline(always)]
            fn pack_items(&self, out: &mut [u8]) {
                let item: $item = $to(*self);
                out.copy_from_slice(bytemuck::bytes_of(&item));
            }
            #[inline(always)]
            fn unpack_items(bytes: &[u8]) -> Self {
                let item: $item = bytemuck::pod_read_unaligned(bytes);
                $from(item)
            }
            #[inline(always)]
            fn each_item(&self, write: &mut impl FnMut(&[u8])) {
                let item: $item = $to(*self);
                write(bytemuck::bytes_of(&item));
            }
            #[inline(always)]
            fn from_items(read: &mut impl FnMut(&mut [u8])) -> Self {
                let mut item: $item = Zeroable::zeroed();
                read(bytemuck::bytes_of_mut(&mut item));
                $from(item)
            }
            #[inline(always)]
            fn take<'a>(cursor: &mut ColumnCursor<'a>) -> &'a [$item] {
                cursor.read()
            }
            #[inline(always)]
            fn take_mut<'a>(cursor: &mut ColumnCursor<'a>) -> Mut<'a, $item> {
                cursor.write()
            }
            #[inline(always)]
            fn value_at(columns: &&[$item], row: usize) -> Self {
                $from(columns[row])
            }
            #[inline(always)]
            fn value_at_mut(columns: &Mut<'_, $item>, row: usize) -> Self {
                $from(columns[row])
            }
            #[inline(always)]
            fn store_at(columns: &mut Mut<'_, $item>, row: usize, before: &Self, after: &Self) {
                let (before, after): ($item, $item) = ($to(*before), $to(*after));
                if bytemuck::bytes_of(&before) != bytemuck::bytes_of(&after) {
                    columns[row] = after;
                }
            }
        }
    };
}

macro_rules! fields {
    ($($t:ty),*) => { $(
        field!([] $t, $t, std::convert::identity, std::convert::identity);
        field!([const N: usize] [$t; N], [$t; N], std::convert::identity, std::convert::identity);
    )* };
}
fields!(f32, f64, i8, i16, i32, i64, u8, u16, u32, u64, Bool, Entity, F16, Bf16, Unorm8, Unorm16, Snorm8, Snorm16);
field!([] bool, Bool, Bool::from, Bool::get);
field!([const N: usize] [bool; N], [Bool; N], |flags: [bool; N]| flags.map(Bool::from), |flags: [Bool; N]| flags.map(Bool::get));

/// Plain data with named fields: what components and resources have in common. Implemented by the derives.
///
/// An implementation by hand is believed nothing: a field that is read or written with other bytes than its column has, or
/// a `PACKED_BYTES` that is not the sum of its fields, is an error or a panic, and never another row's bytes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not plain data with named fields",
    note = "add `#[derive(Clone, Copy, hypostyle::Component)]` to the struct, or `hypostyle::Resource` for a singleton"
)]
pub trait Plain: Copy + Send + Sync + 'static {
    /// The `snake_case` name.
    const NAME: &'static str;
    /// Bytes of a packed value: the fields' bytes one after the other, no padding.
    const PACKED_BYTES: usize;
    /// The fields in order.
    fn fields() -> Vec<FieldLayout>;
    /// Writes the packed value. `out` is `PACKED_BYTES` long.
    fn pack(&self, out: &mut [u8]);
    /// Reads a packed value. `bytes` is `PACKED_BYTES` long.
    fn unpack(bytes: &[u8]) -> Self;
    /// Calls `write` with the bytes of each field in order.
    #[doc(hidden)]
    fn each_field(&self, write: &mut impl FnMut(&[u8]));
    /// The value whose fields `read` fills in, in order.
    #[doc(hidden)]
    fn from_fields(read: &mut impl FnMut(&mut [u8])) -> Self;
}

/// A singleton of plain data.
///
/// `#[derive(Resource)]` implements it for a struct with named fields.
///
/// ```
/// use hypostyle::{Plain as _, Resource};
///
/// #[derive(Clone, Copy, Resource)]
/// struct Gravity {
///     x: f32,
///     #[resource(default = -9.81)]
///     y: f32,
/// }
/// assert_eq!((Gravity::NAME, Gravity::PACKED_BYTES), ("gravity", 8));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a resource",
    label = "not a resource",
    note = "add `#[derive(Clone, Copy, hypostyle::Resource)]` to the struct"
)]
pub trait Resource: Plain {}

/// A named set of fields that entities can have.
///
/// `#[derive(Component)]` implements it for a struct with named fields, and for a unit struct as a tag. The
/// component's name is the struct's in snake_case, or `#[component(name = "...")]`.
///
/// ```
/// use hypostyle::{Component, Entity};
/// use hypostyle::layout::Storage;
///
/// #[derive(Clone, Copy, Component)]
/// #[component(track_changes)]
/// struct Spring {
///     to: Entity,
///     #[component(default = 1.0)]
///     length: f32,
///     pull: [f32; 3],
/// }
///
/// #[derive(Clone, Copy, Component)]
/// #[component(name = "at_rest", storage = "toggle")]
/// struct Asleep;
///
/// let spring = Spring::component_layout();
/// assert_eq!(spring.name, "spring");
/// assert_eq!(spring.fields[2].ty.to_string(), "[f32; 3]");
/// assert_eq!(Asleep::component_layout().storage, Storage::Toggle);
///
/// // The columns that a kernel gets: `SpringColumns` to read, `SpringColumnsMut` to write.
/// fn sum(columns: SpringColumns<'_>) -> f32 {
///     columns.length.iter().sum()
/// }
/// ```
///
/// What cannot be columns does not compile: an enum,
///
/// ```compile_fail
/// #[derive(Clone, Copy, hypostyle::Component)]
/// enum State {
///     Awake,
///     Asleep,
/// }
/// ```
///
/// generics,
///
/// ```compile_fail
/// #[derive(Clone, Copy, hypostyle::Component)]
/// struct Pair<T> {
///     a: T,
/// }
/// ```
///
/// a field whose type is no column's,
///
/// ```compile_fail
/// #[derive(Clone, Copy, hypostyle::Component)]
/// struct Label {
///     text: &'static str,
/// }
/// ```
///
/// or a default of another type than its field's.
///
/// ```compile_fail
/// #[derive(Clone, Copy, hypostyle::Component)]
/// struct Mass {
///     #[component(default = "heavy")]
///     value: f64,
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a component",
    label = "not a component",
    note = "add `#[derive(Clone, Copy, hypostyle::Component)]` to the struct; entities get components, or tuples of them",
    note = "`Read<P>` and `Write<P>` belong into a system's query: there `P` is the component"
)]
pub trait Component: Plain {
    /// Where presence is kept.
    const STORAGE: Storage = Storage::Table;
    /// Whether exact changed rows are kept.
    const TRACK_CHANGES: bool = false;
    /// One shared slice per field (`position.x` is a `&[f32]`); generated as `PositionColumns`.
    type Columns<'a>: Copy;
    /// One writable column per field; generated as `PositionColumnsMut`.
    type ColumnsMut<'a>;
    /// Takes this component's columns from a cursor.
    fn columns<'a>(cursor: &mut ColumnCursor<'a>) -> Self::Columns<'a>;
    /// Takes this component's writable columns from a cursor.
    fn columns_mut<'a>(cursor: &mut ColumnCursor<'a>) -> Self::ColumnsMut<'a>;
    /// A row's value.
    fn row_of(columns: &Self::Columns<'_>, row: usize) -> Self;
    /// A row's value, from writable columns; they are not touched.
    fn row_of_mut(columns: &Self::ColumnsMut<'_>, row: usize) -> Self;
    /// Writes a row in those columns whose bytes differ in `before` and `after`.
    fn set_row(columns: &mut Self::ColumnsMut<'_>, row: usize, before: &Self, after: &Self);
    /// The component's declaration.
    #[must_use]
    fn component_layout() -> ComponentLayout {
        ComponentLayout {
            name: Self::NAME.to_owned(),
            fields: Self::fields(),
            storage: Self::STORAGE,
            track_changes: Self::TRACK_CHANGES,
        }
    }
}
