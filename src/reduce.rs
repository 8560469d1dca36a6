//! Reductions: many rows become one value, whose bits depend on the rows alone.
//!
//! A job joins the values of its rows in row order; the results of the jobs are joined by one tree over the jobs in their
//! canonical order. Joins are associative by decree: floating-point sums are not, and so the tree has one shape, which
//! follows from the number of jobs and from nothing else.
//!
//! This file knows values, packed or typed, and never who computed them.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::component::Resource;
use crate::join::{FieldJoin, FieldRule};
use crate::layout::ResourceLayout;

/// A resource that rows can be reduced to. `#[derive(Reduce)]` implements it, with a join for each field; by hand it takes
/// any two values of plain data.
///
/// ```
/// use hypostyle::{Component, Read, Reduce, Resource, Schedule, Simulation, System, Workers, World};
/// #[derive(Component, Clone, Copy)]
/// struct Mass { kg: f64 }
/// #[derive(Resource, Reduce, Clone, Copy)]
/// struct Total {
///     #[reduce(sum)]
///     kg: f64,
///     #[reduce(max)]
///     heaviest: f64,
///     #[reduce(sum)]
///     bodies: u64,
/// }
/// let mut world = World::builder().component::<Mass>().resource::<Total>().build()?;
/// world.spawn_batch((1..=4).map(|kg| Mass { kg: f64::from(kg) }))?;
/// let mut schedule = Schedule::new();
/// schedule.add(
///     System::rows::<Read<Mass>>("weigh", |job, mass| {
///         for &kg in mass.kg {
///             job.reduce(Total { kg, heaviest: kg, bodies: 1 });
///         }
///     })
///     .reduces::<Total>(),
/// );
/// let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;
/// simulation.step(1.0)?;
/// let total: Total = simulation.world().resource()?;
/// assert_eq!((total.kg, total.heaviest, total.bodies), (10.0, 4.0, 4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A join of one's own, which keeps the handle of the row that was found:
///
/// ```
/// use hypostyle::{Entity, Reduce, Resource};
/// #[derive(Resource, Clone, Copy)]
/// struct Nearest { metres: f64, who: Entity }
/// impl Reduce for Nearest {
///     fn empty() -> Self {
///         Nearest { metres: f64::INFINITY, who: Entity::NULL }
///     }
///     fn join(self, later: Self) -> Self {
///         if later.metres < self.metres { later } else { self }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a resource that rows are reduced to",
    note = "add `#[derive(Clone, Copy, hypostyle::Resource, hypostyle::Reduce)]` to the struct, with `#[reduce(sum)]`, \
            `#[reduce(min)]`, `#[reduce(max)]` or `#[reduce(or)]` on each field; or write `impl Reduce` with a join of your own"
)]
pub trait Reduce: Resource {
    /// Whether the join gives the same bits whatever the order of the values and their grouping: minima, maxima, bits and
    /// sums of integers do, as long as these stay in their range; sums of floats do not. The derive says it; by hand it is
    /// `false` unless said otherwise. Only such resources can be reduced to over the parts of a spread world.
    const EXACT: bool = false;

    /// What stands where no row gave anything.
    fn empty() -> Self;
    /// Two values become one; `self` is that of earlier rows.
    #[must_use]
    fn join(self, later: Self) -> Self;
}

/// A join of packed values: the later one into the earlier one.
pub(crate) type PackedJoin = Arc<dyn Fn(&mut [u8], &[u8]) + Send + Sync>;

/// How packed values are joined.
#[derive(Clone)]
enum Join {
    Typed(fn(&mut [u8], &[u8])),
    Named(Vec<FieldRule>),
    Packed(PackedJoin),
}

/// What a system reduces its rows to.
#[derive(Clone)]
pub(crate) struct Reduction {
    pub resource: u16,
    /// Whether the rows' result is joined to the resource's value. Else it replaces it.
    pub onto: bool,
    /// The value where no row gave anything.
    empty: Vec<u8>,
    join: Join,
    exact: bool,
}

impl std::fmt::Debug for Reduction {
    /// What main and workers must agree on. Joins of Rust types are code, which is the same where the program is.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let onto = if self.onto { " onto" } else { "" };
        match &self.join {
            Join::Typed(_) | Join::Packed(_) => write!(f, "{}{onto}", self.resource),
            Join::Named(parts) => write!(f, "{}{onto} {parts:?}", self.resource),
        }
    }
}

fn join_packed<R: Reduce>(earlier: &mut [u8], later: &[u8]) {
    R::unpack(earlier).join(R::unpack(later)).pack(earlier);
}

impl Reduction {
    /// To a Rust type, which is this resource.
    pub(crate) fn typed<R: Reduce>(resource: u16) -> Self {
        let mut empty = vec![0; R::PACKED_BYTES];
        R::empty().pack(&mut empty);
        Reduction { resource, onto: false, empty, join: Join::Typed(join_packed::<R>), exact: R::EXACT }
    }

    /// To a resource by the names of its fields, each of which needs a join.
    ///
    /// # Errors
    /// What is missing, or does not fit.
    pub(crate) fn named(
        resource: u16,
        declared: &ResourceLayout,
        joins: &[(String, FieldJoin)],
    ) -> Result<Self, String> {
        let name = &declared.name;
        let known: Vec<&str> = declared.fields.iter().map(|field| field.name.as_str()).collect();
        if let Some((field, _)) = joins.iter().find(|(field, _)| !known.contains(&field.as_str())) {
            return Err(format!("resource `{name}` has no field `{field}` to reduce to; it has {}", known.join(", ")));
        }
        let mut parts = Vec::new();
        let mut empty = vec![0; declared.packed_bytes()];
        let mut at = 0;
        for field in &declared.fields {
            let Some((_, join)) = joins.iter().find(|(other, _)| *other == field.name) else {
                return Err(format!(
                    "field `{name}.{}` needs a join, as the rows are reduced to all of it",
                    field.name
                ));
            };
            let Some(rule) = FieldRule::new(field.ty, *join) else {
                let (join, ty) = (join.name(), field.ty);
                return Err(format!("field `{name}.{}` is {ty}, which has no {join}", field.name));
            };
            rule.write_empty(&mut empty[at..at + rule.bytes()]);
            at += rule.bytes();
            parts.push(rule);
        }
        let exact = parts.iter().all(|part| part.is_exact());
        Ok(Reduction { resource, onto: false, empty, join: Join::Named(parts), exact })
    }

    /// To a resource by a join of its packed values.
    ///
    /// # Errors
    /// A value of no rows that is none of the resource.
    pub(crate) fn packed(
        resource: u16,
        declared: &ResourceLayout,
        empty: &[u8],
        join: &PackedJoin,
    ) -> Result<Self, String> {
        let (name, bytes) = (&declared.name, declared.packed_bytes());
        if empty.len() != bytes {
            let got = empty.len();
            return Err(format!(
                "the value of no rows for resource `{name}` has {got} bytes; the resource has {bytes}"
            ));
        }
        let join = Join::Packed(Arc::clone(join));
        Ok(Reduction { resource, onto: false, empty: empty.to_vec(), join, exact: false })
    }

    /// The same, joined to the value that is there or not.
    pub(crate) fn onto(self, onto: bool) -> Self {
        Reduction { onto, ..self }
    }

    /// Whether the join gives the same bits in any order and grouping.
    pub(crate) fn is_exact(&self) -> bool {
        self.exact
    }

    /// The packed value where no row gave anything.
    pub(crate) fn empty(&self) -> &[u8] {
        &self.empty
    }

    /// Joins two packed values; bools in them are 0 or 1.
    pub(crate) fn join(&self, earlier: &mut [u8], later: &[u8]) {
        match &self.join {
            Join::Typed(join) => join(earlier, later),
            Join::Packed(join) => join(earlier, later),
            Join::Named(parts) => {
                let mut at = 0;
                for part in parts {
                    let bytes = at..at + part.bytes();
                    at = bytes.end;
                    part.join(&mut earlier[bytes.clone()], &later[bytes]);
                }
            }
        }
    }

    /// Joins packed values that lie one after the other into the first one.
    pub(crate) fn join_all(&self, values: &mut [u8]) {
        let bytes = self.empty.len();
        tree(values.len() / bytes, |earlier, later| {
            let (front, back) = values.split_at_mut(later * bytes);
            self.join(&mut front[earlier * bytes..][..bytes], &back[..bytes]);
        });
    }
}

/// The one tree: neighbours are joined, then neighbours of those, and so on, into place 0.
pub(crate) fn tree(count: usize, mut join: impl FnMut(usize, usize)) {
    let mut apart = 1;
    while apart < count {
        for earlier in (0..count - apart).step_by(2 * apart) {
            join(earlier, earlier + apart);
        }
        apart *= 2;
    }
}

/// What the kernels of one job have reduced so far. Kept from job to job for its memory.
#[derive(Debug, Default)]
pub(crate) struct Reduced(Vec<Slot>);

#[derive(Debug)]
struct Slot {
    resource: u16,
    filled: bool,
    bytes: usize,
    /// The packed value; words, so that its elements can be looked at in place.
    words: Vec<u64>,
}

impl Slot {
    fn packed(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.words)[..self.bytes]
    }
}

impl Reduced {
    /// A job begins.
    pub(crate) fn clear(&mut self) {
        self.0.iter_mut().for_each(|slot| slot.filled = false);
    }

    /// Joins a value of `bytes` packed bytes to those of earlier rows: `put` writes it where it is the first, `join` joins
    /// it to the bytes that are there.
    #[inline]
    pub(crate) fn add(
        &mut self,
        resource: u16,
        bytes: usize,
        put: impl FnOnce(&mut [u8]),
        join: impl FnOnce(&mut [u8]),
    ) {
        let slot = self.slot(resource, bytes);
        if std::mem::replace(&mut slot.filled, true) {
            join(slot.packed());
        } else {
            put(slot.packed());
        }
    }

    /// The packed value so far, to be worked on in place; `empty` where there is none.
    pub(crate) fn value(&mut self, resource: u16, empty: &[u8]) -> &mut [u8] {
        let slot = self.slot(resource, empty.len());
        if !std::mem::replace(&mut slot.filled, true) {
            slot.packed().copy_from_slice(empty);
        }
        slot.packed()
    }

    #[inline]
    fn slot(&mut self, resource: u16, bytes: usize) -> &mut Slot {
        let place = self.0.iter().position(|slot| slot.resource == resource).unwrap_or_else(|| {
            self.0.push(Slot { resource, filled: false, bytes, words: Vec::new() });
            self.0.len() - 1
        });
        let slot = &mut self.0[place];
        if slot.words.len() * 8 < bytes || slot.bytes != bytes {
            // of another world: nothing of it is this job's
            (slot.filled, slot.bytes) = (false, bytes);
            slot.words.resize(bytes.div_ceil(8), 0);
        }
        slot
    }

    /// The job's results, by resource.
    pub(crate) fn values(&self) -> impl Iterator<Item = (u16, &[u8])> {
        let filled = self.0.iter().filter(|slot| slot.filled);
        filled.map(|slot| (slot.resource, &bytemuck::cast_slice(&slot.words)[..slot.bytes]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::join::{Ordered as _, Summed as _};
    use crate::layout::{FieldLayout, FieldType, ScalarType};

    #[test]
    fn the_tree_joins_neighbours_in_order_whatever_the_count() {
        for count in 0..70 {
            let mut texts: Vec<String> = (0..count).map(|n: usize| n.to_string()).collect();
            tree(count, |earlier, later| {
                let joined = format!("({} {})", texts[earlier], texts[later]);
                texts[earlier] = joined;
            });
            let order: String = texts.first().cloned().unwrap_or_default().replace(['(', ')'], "");
            assert_eq!(order, (0..count).map(|n| n.to_string()).collect::<Vec<_>>().join(" "));
        }
        let mut shape = Vec::new();
        tree(5, |earlier, later| shape.push((earlier, later)));
        assert_eq!(shape, [(0, 1), (2, 3), (0, 2), (0, 4)]);
    }

    #[test]
    fn zeros_and_what_is_no_number_have_one_answer() {
        let (other, nan) = (f64::from_bits(f64::NAN.to_bits() + 1), f64::NAN);
        for (a, b, least, greatest) in [(0.0, -0.0, -0.0, 0.0), (3.0, nan, 3.0, 3.0), (nan, other, nan, nan)] {
            let bits = |value: f64| value.to_bits();
            assert_eq!((bits(a.least(b)), bits(b.least(a))), (bits(least), bits(least)));
            assert_eq!((bits(a.greatest(b)), bits(b.greatest(a))), (bits(greatest), bits(greatest)));
        }
        assert_eq!((f32::NAN.least(3.0), 3.0_f32.least(f32::NAN)), (3.0, 3.0));
        assert_eq!((f32::NAN.greatest(3.0), 3.0_f32.greatest(f32::NAN)), (3.0, 3.0));
        assert!(1.0_f64.plus(f64::NAN).is_nan());
        assert_eq!((250_u8.plus(9), (-120_i8).plus(-20)), (255, -128));
    }

    fn field(name: &str, ty: FieldType) -> FieldLayout {
        FieldLayout::new(name, ty)
    }

    #[test]
    fn by_name_the_joins_are_those_of_rust_types() {
        let fields = vec![
            field("sum", FieldType::array(ScalarType::F64, 2)),
            field("least", FieldType::scalar(ScalarType::I16)),
            field("any", FieldType::scalar(ScalarType::Bool)),
            field("all", FieldType::scalar(ScalarType::Bool)),
        ];
        let declared = ResourceLayout { name: "facts".to_owned(), fields };
        let joins =
            [("sum", FieldJoin::Sum), ("least", FieldJoin::Min), ("any", FieldJoin::Max), ("all", FieldJoin::Min)];
        let joins: Vec<_> = joins.iter().map(|(name, join)| ((*name).to_owned(), *join)).collect();
        let reduction = Reduction::named(3, &declared, &joins).unwrap();
        let packed = |sum: [f64; 2], least: i16, any: bool, all: bool| {
            [&sum[0].to_le_bytes()[..], &sum[1].to_le_bytes(), &least.to_le_bytes(), &[u8::from(any), u8::from(all)]]
                .concat()
        };
        assert_eq!(reduction.empty(), packed([0.0; 2], i16::MAX, false, true));
        let mut values = [
            packed([1.0, 2.0], 5, false, true),
            packed([0.5, 1.0], -7, true, true),
            packed([4.0, 0.0], 6, false, false),
        ]
        .concat();
        reduction.join_all(&mut values);
        assert_eq!(values[..reduction.empty().len()], packed([5.5, 3.0], -7, true, false));
        let wrong = |joins: &[(&str, FieldJoin)]| {
            let joins: Vec<_> = joins.iter().map(|(name, join)| ((*name).to_owned(), *join)).collect();
            Reduction::named(3, &declared, &joins).unwrap_err()
        };
        assert!(wrong(&[("mean", FieldJoin::Sum)]).contains("no field `mean`"));
        assert!(wrong(&[("sum", FieldJoin::Sum)]).contains("`facts.least` needs a join"));
        let all =
            [("sum", FieldJoin::Sum), ("least", FieldJoin::Min), ("any", FieldJoin::Sum), ("all", FieldJoin::Min)];
        assert!(wrong(&all).contains("has no sum"));
    }
}
