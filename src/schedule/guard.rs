//! Guards: systems that check values and fail the frame if a check fails.
//!
//! They are kernels on bytes, so that all languages have the same ones. A guard changes nothing and is row-local: it runs
//! on rows that are in the cache, right after the system that wrote them.
#![forbid(unsafe_code)]

use std::ops::RangeInclusive;

use crate::layout::{FieldType, ScalarType};
use crate::small::{Bf16, F16, Snorm8, Snorm16, Unorm8, Unorm16};
use crate::table::Registry;

use super::condition::{Number, Value, number_named};
use super::dynamic;
use super::error::KernelError;
use super::system::System;

/// How far a number may be from its reference value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tolerance {
    /// Absolute difference, in the number's unit.
    Absolute(f64),
    /// Difference relative to the reference value.
    Relative(f64),
}

/// What a guard asks of every number.
#[derive(Clone, Debug)]
enum Rule {
    Finite,
    /// Field, element of its array, and bounds.
    Within(Vec<(String, usize, RangeInclusive<f64>)>),
}

/// Elements that are looked at before it is asked whether one of them is bad.
const BLOCK: usize = 1024;

/// The first number of a column that is not as it must be: its row and its value. `step` elements are a row's, of which
/// every one (`None`) or one is looked at.
fn first_bad<T: bytemuck::Pod + Into<f64>>(
    bytes: &[u8],
    step: usize,
    element: Option<usize>,
    good: impl Fn(f64) -> bool,
) -> Option<(usize, f64)> {
    let size = size_of::<T>();
    let value = |at: usize| -> f64 { bytemuck::pod_read_unaligned::<T>(&bytes[at * size..(at + 1) * size]).into() };
    let count = bytes.len() / size;
    let (first, each) = element.map_or((0, 1), |element| (element, step));
    let mut block = first;
    while block < count {
        let end = (block + BLOCK * each).min(count);
        // no branch within a block
        let all = (block..end).step_by(each).fold(true, |all, at| all & good(value(at)));
        if !all {
            return (block..end).step_by(each).map(|at| (at / step, value(at))).find(|(_, value)| !good(*value));
        }
        block += BLOCK * each;
    }
    None
}

fn first_bad_of(
    ty: FieldType,
    bytes: &[u8],
    element: Option<usize>,
    good: impl Fn(f64) -> bool,
) -> Option<(usize, f64)> {
    let step = ty.elements();
    match ty.scalar {
        ScalarType::F32 => first_bad::<f32>(bytes, step, element, good),
        ScalarType::F64 => first_bad::<f64>(bytes, step, element, good),
        ScalarType::I8 => first_bad::<i8>(bytes, step, element, good),
        ScalarType::I16 => first_bad::<i16>(bytes, step, element, good),
        ScalarType::I32 => first_bad::<i32>(bytes, step, element, good),
        ScalarType::U8 => first_bad::<u8>(bytes, step, element, good),
        ScalarType::U16 => first_bad::<u16>(bytes, step, element, good),
        ScalarType::U32 => first_bad::<u32>(bytes, step, element, good),
        ScalarType::F16 => first_bad::<F16>(bytes, step, element, good),
        ScalarType::Bf16 => first_bad::<Bf16>(bytes, step, element, good),
        ScalarType::Unorm8 => first_bad::<Unorm8>(bytes, step, element, good),
        ScalarType::Unorm16 => first_bad::<Unorm16>(bytes, step, element, good),
        ScalarType::Snorm8 => first_bad::<Snorm8>(bytes, step, element, good),
        ScalarType::Snorm16 => first_bad::<Snorm16>(bytes, step, element, good),
        ScalarType::I64 | ScalarType::U64 | ScalarType::Bool | ScalarType::Entity => None,
    }
}

/// Looks at the rows of one job.
fn look(job: &mut dynamic::Job<'_, '_, '_>, rule: &Rule) -> Result<(), KernelError> {
    let mut found: Option<(usize, String, f64, String)> = None;
    for column in job.columns() {
        let dynamic::ColumnBytes::Read(bytes) = column.bytes else { continue };
        let (name, ty) = (format!("{}.{}", column.component(), column.field()), column.ty);
        let mut note = |bad: Option<(usize, f64)>, must: String| {
            if let Some((row, value)) = bad
                && found.as_ref().is_none_or(|(other, ..)| row < *other)
            {
                found = Some((row, name.clone(), value, must));
            }
        };
        match rule {
            Rule::Finite => note(first_bad_of(ty, bytes, None, f64::is_finite), "a finite number".to_owned()),
            Rule::Within(bounds) => {
                for (_, element, range) in bounds.iter().filter(|(field, ..)| field == column.field()) {
                    let bad = first_bad_of(ty, bytes, Some(*element), |value| range.contains(&value));
                    note(bad, format!("from {} to {}", range.start(), range.end()));
                }
            }
        }
    }
    let Some((row, name, value, must)) = found else { return Ok(()) };
    let (entity, place, frame) = (job.entities()[row], job.table_row(row), job.frame());
    Err(format!("`{name}` of entity {entity} (row {place}) is {value} in frame {frame}; it must be {must}").into())
}

/// A field as a guard names it: `x`, or `at[2]` for an element of an array.
fn field_and_element(text: &str) -> Result<(String, usize), KernelError> {
    match text.split_once('[') {
        None => Ok((text.to_owned(), 0)),
        Some((field, rest)) => match rest.strip_suffix(']').and_then(|index| index.parse().ok()) {
            Some(element) => Ok((field.to_owned(), element)),
            None => Err(format!("`{text}` names no element of an array; write `at[0]`").into()),
        },
    }
}

fn check_bounds(
    registry: &Registry,
    component: &str,
    bounds: &[(String, usize, RangeInclusive<f64>)],
) -> Result<(), KernelError> {
    for (field, element, range) in bounds {
        let name = format!("{component}.{field}");
        let (_, _, ty) = crate::world::access::bulk::find_field(registry, &name)?;
        let scalar = ty.scalar;
        if matches!(scalar, ScalarType::I64 | ScalarType::U64 | ScalarType::Bool | ScalarType::Entity) {
            return Err(format!(
                "`{name}` is {ty}; bounds are for floating-point numbers and integers of up to 32 bits"
            )
            .into());
        }
        if *element >= ty.elements() {
            return Err(format!("`{name}` is {ty}, which has no element {element}").into());
        }
        if range.start().is_nan() || range.end().is_nan() || range.is_empty() {
            return Err(format!("the bounds of `{name}` leave no number: {} to {}", range.start(), range.end()).into());
        }
    }
    Ok(())
}

fn check_finite(registry: &Registry, component: &str) -> Result<(), KernelError> {
    let id = registry.component_named(component)?;
    let declared = &registry.layout.components()[usize::from(id)];
    if declared.storage.is_list() {
        return Err(crate::WorldError::list(component).into());
    }
    let fields = &declared.fields;
    if fields
        .iter()
        .any(|field| matches!(field.ty.scalar, ScalarType::F32 | ScalarType::F64 | ScalarType::F16 | ScalarType::Bf16))
    {
        return Ok(());
    }
    Err(format!("component `{component}` has no floating-point field that could be infinite or not a number").into())
}

fn numbers(job: &dynamic::Job<'_, '_, '_>, resource: u16, number: Number) -> Result<f64, KernelError> {
    let registry = job.registry();
    let id = usize::from(resource);
    let declared = &registry.layout.resources()[id];
    let all = job.resources_bytes();
    if all[id] == 0 {
        return Err(format!("resource `{}` has no value yet; insert it before the first frame", declared.name).into());
    }
    let at = registry.layout.resource_offset(id) as usize;
    Ok(match number.read(&all[at..at + declared.packed_bytes()]) {
        Value::Float(value) => value,
        Value::Integer(value) => value as f64,
    })
}

/// Guards. Register them after the systems whose values they check; they see the values of the same frame. If a check
/// fails, the frame is abandoned with an error that names entity, component, field, row and frame of the first failure. The
/// world is then at its last generation.
impl System {
    /// A guard: every floating-point number of a component is finite, elements of arrays included.
    ///
    /// ```
    /// use hypostyle::{Component, Schedule, Simulation, System, Workers, World, Write};
    /// #[derive(Component, Clone, Copy)]
    /// struct Position { x: f32 }
    /// let mut world = World::builder().component::<Position>().build()?;
    /// let ship = world.spawn(Position { x: 1.0 })?;
    /// let mut schedule = Schedule::new();
    /// schedule.add(System::rows::<Write<Position>>("shrink", |_, mut p| p.x.map(|x| (x - 2.0).sqrt())));
    /// schedule.add(System::guard_finite("positions are finite", "position"));
    /// let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;
    /// let error = simulation.step(1.0).unwrap_err().to_string();
    /// assert!(error.contains("`position.x` of entity 0v0 (row 0) is NaN in frame 1"), "{error}");
    /// assert_eq!(simulation.world().get::<Position>(ship)?.x, 1.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn guard_finite(name: impl Into<String>, component: impl Into<String>) -> Self {
        let component = component.into();
        let query = dynamic::Query::new().read(component.clone());
        let system = dynamic::system(name, query, |job| look(job, &Rule::Finite));
        let what = format!("that {component} is finite");
        system.guards(what).check(move |registry| check_finite(registry, &component))
    }

    /// A guard: fields of a component (`x`, or `at[2]` for an element of an array) lie within bounds; NaN fails the check. Examples: a
    /// box of positions, a speed limit, a colour from 0 to 1.
    ///
    /// ```
    /// use hypostyle::System;
    /// let guard = System::guard_within("in the box", "position", [("x", 0.0..=10.0), ("y", 0.0..=5.0)]);
    /// # let _ = guard;
    /// ```
    #[must_use]
    pub fn guard_within<F: AsRef<str>>(
        name: impl Into<String>,
        component: impl Into<String>,
        bounds: impl IntoIterator<Item = (F, RangeInclusive<f64>)>,
    ) -> Self {
        let component = component.into();
        let named: Result<Vec<_>, String> = bounds
            .into_iter()
            .map(|(field, range)| match field_and_element(field.as_ref()) {
                Ok((field, element)) => Ok((field, element, range)),
                Err(error) => Err(error.to_string()),
            })
            .collect();
        let fields: Vec<&str> = named.iter().flatten().map(|(field, ..)| field.as_str()).collect();
        let what = format!("that {component}.{} is within bounds", fields.join(&format!(", {component}.")));
        let rule = Rule::Within(named.clone().unwrap_or_default());
        let query = dynamic::Query::new().read(component.clone());
        let system = dynamic::system(name, query, move |job| look(job, &rule));
        system.guards(what).check(move |registry| match &named {
            Ok(bounds) => check_bounds(registry, &component, bounds),
            Err(error) => Err(error.clone().into()),
        })
    }

    /// A guard: a number of a resource, such as an energy from a reduction, keeps its value within a tolerance.
    ///
    /// `reference` is a floating-point number of another resource: the expected value. As long as it is [`f64::NAN`], the guard
    /// sets it to the current value. It is part of the world's state, so it is still valid after a resume.
    ///
    /// ```
    /// use hypostyle::{System, Tolerance};
    /// let guard =
    ///     System::guard_conserved("energy is conserved", "thermo.energy", "ledger.energy", Tolerance::Relative(1e-6));
    /// # let _ = guard;
    /// ```
    #[must_use]
    pub fn guard_conserved(
        name: impl Into<String>,
        quantity: impl Into<String>,
        reference: impl Into<String>,
        tolerance: Tolerance,
    ) -> Self {
        let (quantity, reference) = (quantity.into(), reference.into());
        let resource = |name: &str| name.split_once('.').map_or(name, |(resource, _)| resource).to_owned();
        let (of_quantity, of_reference) = (resource(&quantity), resource(&reference));
        let what = format!("that {quantity} is {reference}");
        let names = (quantity.clone(), reference.clone());
        let system = dynamic::once(name, move |job| conserved(job, &quantity, &reference, tolerance));
        system
            .guards(what)
            .reads_resource_named(of_quantity)
            .reads_resource_named(of_reference.clone())
            .sets_resource_named(of_reference)
            .check(move |registry| check_conserved(registry, &names.0, &names.1))
    }
}

fn check_conserved(registry: &Registry, quantity: &str, reference: &str) -> Result<(), KernelError> {
    let (of_quantity, _) = number_named(quantity, registry)?;
    let (of_reference, number) = number_named(reference, registry)?;
    if of_quantity == of_reference {
        let text = format!(
            "`{quantity}` and `{reference}` are of one resource; the guard sets the second, so give it its own"
        );
        return Err(text.into());
    }
    if number.is_integer() {
        return Err(
            format!("`{reference}` is an integer, which cannot say that it was not set yet; make it f64").into()
        );
    }
    Ok(())
}

fn conserved(
    job: &mut dynamic::Job<'_, '_, '_>,
    quantity: &str,
    reference: &str,
    tolerance: Tolerance,
) -> Result<(), KernelError> {
    let (of_quantity, number) = number_named(quantity, job.registry())?;
    let (of_reference, place) = number_named(reference, job.registry())?;
    let (now, was) = (numbers(job, of_quantity, number)?, numbers(job, of_reference, place)?);
    let frame = job.frame();
    if was.is_nan() {
        if !now.is_finite() {
            return Err(format!("`{quantity}` is {now} in frame {frame}, which nothing can be compared with").into());
        }
        let name = job.registry().layout.resources()[usize::from(of_reference)].name.clone();
        let mut packed = job.resource_named(&name)?.to_vec();
        place.write(&mut packed, now);
        return Ok(job.set_resource_named(&name, &packed)?);
    }
    let most = match tolerance {
        Tolerance::Absolute(most) => most,
        Tolerance::Relative(part) => part * was.abs(),
    };
    let off = (now - was).abs();
    // also where it is no number
    if off <= most {
        return Ok(());
    }
    Err(format!("`{quantity}` is {now} in frame {frame}, and was {was}: it is off by {off:e}, and may be by {most:e}")
        .into())
}
