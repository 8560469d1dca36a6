//! When a system runs: in every n-th frame, or if a condition on a resource holds.
//!
//! Conditions are asked on main when the system's batch is due, and see what earlier batches left. A system that does not
//! run costs nothing: no job is made for it, no column is touched.
#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::Resource;
use crate::layout::{Layout, ScalarType};
use crate::table::{Registry, UnknownName};

use super::System;
use super::error::KernelError;

/// How a number in a resource is compared: see [`System::run_if_named`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
}

impl Comparison {
    /// The comparison with this sign: `==`, `!=`, `<`, `<=`, `>` or `>=`.
    #[must_use]
    pub fn from_sign(sign: &str) -> Option<Self> {
        Some(match sign {
            "==" => Comparison::Equal,
            "!=" => Comparison::NotEqual,
            "<" => Comparison::Less,
            "<=" => Comparison::AtMost,
            ">" => Comparison::Greater,
            ">=" => Comparison::AtLeast,
            _ => return None,
        })
    }

    fn sign(self) -> &'static str {
        match self {
            Comparison::Equal => "==",
            Comparison::NotEqual => "!=",
            Comparison::Less => "<",
            Comparison::AtMost => "<=",
            Comparison::Greater => ">",
            Comparison::AtLeast => ">=",
        }
    }

    fn holds<T: PartialOrd>(self, found: &T, than: &T) -> bool {
        match self {
            Comparison::Equal => found == than,
            Comparison::NotEqual => found != than,
            Comparison::Less => found < than,
            Comparison::AtMost => found <= than,
            Comparison::Greater => found > than,
            Comparison::AtLeast => found >= than,
        }
    }
}

/// Looks at the packed value of a resource.
pub(super) type Look<T> = Arc<dyn Fn(&[u8]) -> T + Send + Sync>;
/// A resource, as a Rust type.
pub(super) type FindResource = fn(&Registry) -> Result<u16, UnknownName>;

/// A condition as it was declared.
pub(super) enum Declared {
    Every { frames: u64, first: u64 },
    Typed(FindResource, Look<bool>),
    Named(String, Comparison, f64),
}

/// A condition with its names looked up.
#[derive(Clone)]
pub(crate) enum Condition {
    /// In the frame `first` and every `frames`th after it.
    Every { frames: u64, first: u64 },
    /// Where a resource's packed value says so. The text is for people.
    Resource(u16, Look<bool>, String),
}

impl std::fmt::Debug for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Condition::Every { frames, first } => write!(f, "every {frames} from {first}"),
            Condition::Resource(resource, ..) => write!(f, "if resource {resource}"),
        }
    }
}

impl Condition {
    pub(super) fn find(declared: &Declared, registry: &Registry) -> Result<Self, KernelError> {
        Ok(match declared {
            Declared::Every { frames: 0, .. } => return Err("it runs every 0 frames; the least is 1".into()),
            Declared::Every { frames, first } => Condition::Every { frames: *frames, first: *first },
            Declared::Typed(find, look) => {
                let resource = find(registry)?;
                let name = &registry.layout.resources()[usize::from(resource)].name;
                Condition::Resource(resource, Arc::clone(look), format!("if resource {name} says so"))
            }
            Declared::Named(name, comparison, value) => {
                let (resource, number) = number_named(name, registry)?;
                let (comparison, value) = (*comparison, *value);
                if number.is_integer() && (value.fract() != 0.0 || value.abs() > 2_f64.powi(53)) {
                    return Err(format!("`{name}` is an integer, which {value} is not; compare it with one").into());
                }
                let look: Look<bool> = Arc::new(move |packed| match number.read(packed) {
                    Value::Integer(found) => comparison.holds(&found, &(value as i128)),
                    Value::Float(found) => comparison.holds(&found, &value),
                });
                Condition::Resource(resource, look, format!("if {name} {} {value}", comparison.sign()))
            }
        })
    }

    /// The resource that it looks at.
    pub(crate) fn resource(&self) -> Option<u16> {
        match self {
            Condition::Every { .. } => None,
            Condition::Resource(resource, ..) => Some(*resource),
        }
    }

    /// What it says, for people.
    pub(super) fn text(&self) -> String {
        match self {
            Condition::Every { frames, first } if frames == first => format!("every {frames} frames"),
            Condition::Every { frames, first } => format!("every {frames} frames from {first}"),
            Condition::Resource(_, _, text) => text.clone(),
        }
    }

    /// Whether it holds in this frame, with these resources; else what is wrong.
    pub(crate) fn holds(&self, frame: u64, resources: &[u8], layout: &Layout) -> Result<bool, String> {
        match self {
            Condition::Every { frames, first } => Ok(frame >= *first && (frame - first).is_multiple_of(*frames)),
            Condition::Resource(resource, look, _) => look_at(*resource, look, resources, layout),
        }
    }
}

/// Shows a resource to the user's code.
pub(super) fn look_at<T>(resource: u16, look: &Look<T>, resources: &[u8], layout: &Layout) -> Result<T, String> {
    let id = usize::from(resource);
    let declared = &layout.resources()[id];
    if resources[id] == 0 {
        return Err(format!("resource `{}` has no value yet; insert it before the first frame", declared.name));
    }
    let at = layout.resource_offset(id) as usize;
    let packed = &resources[at..at + declared.packed_bytes()];
    catch_unwind(AssertUnwindSafe(|| look(packed)))
        .map_err(|_| format!("the closure that looks at resource `{}` panicked", declared.name))
}

/// Where a number is in a resource.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number {
    at: usize,
    scalar: ScalarType,
}

/// A number of a resource.
pub(super) enum Value {
    Integer(i128),
    Float(f64),
}

impl Number {
    pub(super) fn is_integer(self) -> bool {
        !matches!(self.scalar, ScalarType::F32 | ScalarType::F64) && !self.scalar.is_small()
    }

    /// Writes a floating-point number; others stay as they are.
    pub(super) fn write(self, packed: &mut [u8], value: f64) {
        match self.scalar {
            ScalarType::F32 => packed[self.at..self.at + 4].copy_from_slice(&(value as f32).to_le_bytes()),
            ScalarType::F64 => packed[self.at..self.at + 8].copy_from_slice(&value.to_le_bytes()),
            small => {
                let mut bytes = Vec::new();
                if small.put_small(value as f32, &mut bytes) {
                    packed[self.at..self.at + bytes.len()].copy_from_slice(&bytes);
                }
            }
        }
    }

    pub(super) fn read(self, packed: &[u8]) -> Value {
        macro_rules! read {
            ($($scalar:ident $t:ty: $to:ident $as:ty),*) => {
                match self.scalar {
                    $(ScalarType::$scalar => {
                        let value: $t = bytemuck::pod_read_unaligned(&packed[self.at..self.at + size_of::<$t>()]);
                        Value::$to(<$as>::from(value))
                    })*
                    ScalarType::Entity => Value::Integer(0),
                    small => {
                        let bytes = &packed[self.at..self.at + small.bytes()];
                        Value::Float(small.small_value(bytes).map_or(f64::NAN, f64::from))
                    }
                }
            };
        }
        read!(
            F32 f32: Float f64, F64 f64: Float f64, I8 i8: Integer i128, I16 i16: Integer i128, I32 i32: Integer i128,
            I64 i64: Integer i128, U8 u8: Integer i128, U16 u16: Integer i128, U32 u32: Integer i128, U64 u64: Integer i128,
            Bool u8: Integer i128
        )
    }
}

/// The resource and the number that `resource.field` names.
pub(super) fn number_named(name: &str, registry: &Registry) -> Result<(u16, Number), KernelError> {
    let Some((resource, field)) = name.split_once('.') else {
        return Err(format!("`{name}` names no number of a resource; write `resource.field`").into());
    };
    let id = registry.resource_named(resource)?;
    let declared = &registry.layout.resources()[usize::from(id)];
    let mut at = 0;
    for known in &declared.fields {
        if known.name == field {
            if known.ty.array_len > 0 || known.ty.scalar == ScalarType::Entity {
                return Err(format!("`{name}` is {}, which is no number", known.ty).into());
            }
            return Ok((id, Number { at, scalar: known.ty.scalar }));
        }
        at += known.ty.bytes();
    }
    let known: Vec<&str> = declared.fields.iter().map(|field| field.name.as_str()).collect();
    Err(format!("resource `{resource}` has no field `{field}`; it has {}", known.join(", ")).into())
}

impl System {
    /// Runs only if a condition on a resource holds. It is evaluated on main when the system's batch begins, and sees the
    /// changes of earlier batches. If it does not hold, the system costs nothing: no job is made, no column is touched,
    /// sorted or reduced. All of several conditions must hold.
    ///
    /// ```
    /// use hypostyle::{Component, Resource, System, Write};
    /// #[derive(Component, Clone, Copy)]
    /// struct Heat { kelvin: f64 }
    /// #[derive(Resource, Clone, Copy)]
    /// struct Oven { on: bool }
    /// let warm = System::rows::<Write<Heat>>("warm", |_, mut heat| heat.kelvin.map(|kelvin| kelvin + 1.0))
    ///     .run_if::<Oven>(|oven| oven.on);
    /// # let _ = warm;
    /// ```
    #[must_use]
    pub fn run_if<R: Resource>(mut self, says: impl Fn(&R) -> bool + Send + Sync + 'static) -> Self {
        let look: Look<bool> = Arc::new(move |packed| says(&R::unpack(packed)));
        self.conditions.push(Declared::Typed(Registry::resource::<R>, look));
        self
    }

    /// As [`System::run_if`], by the name of a number of a resource (`oven.on`, a bool being 0 or 1), and what it is compared
    /// with.
    ///
    /// ```
    /// use hypostyle::dynamic::{self, Comparison, Query};
    /// let warm = dynamic::system("warm", Query::new().write("heat"), |_| Ok(()));
    /// let warm = warm.run_if_named("oven.on", Comparison::Equal, 1.0);
    /// # let _ = warm;
    /// ```
    #[must_use]
    pub fn run_if_named(mut self, number: impl Into<String>, comparison: Comparison, with: f64) -> Self {
        self.conditions.push(Declared::Named(number.into(), comparison, with));
        self
    }

    /// Runs in every `frames`th frame only: those whose number is a multiple of it.
    ///
    /// ```
    /// use hypostyle::{Component, System, Write};
    /// #[derive(Component, Clone, Copy)]
    /// struct Age { days: u32 }
    /// let grow = System::rows::<Write<Age>>("grow", |_, mut age| age.days.map(|days| days + 1)).every(24);
    /// # let _ = grow;
    /// ```
    #[must_use]
    pub fn every(self, frames: u64) -> Self {
        self.every_from(frames, frames)
    }

    /// Runs in the frame `first` and in every `frames`th one after it. A world's first frame has the number 1.
    #[must_use]
    pub fn every_from(mut self, frames: u64, first: u64) -> Self {
        self.conditions.push(Declared::Every { frames, first });
        self
    }
}
