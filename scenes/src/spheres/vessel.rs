//! Walls: the box, and a drum or a hopper in it.
//!
//! A wall answers with the outward normal at its nearest point, the distance, and how that point moves. All of it follows
//! from +, -, *, / and square roots.
#![forbid(unsafe_code)]

use hypostyle::Resource;

use super::vector::{Vector, add, dot, scale};

/// The box, metres.
#[derive(Clone, Copy, Debug, PartialEq, Resource)]
pub struct Walls {
    /// The corner with the least coordinates; its second is the floor.
    #[resource(default = [0.0, 0.0, 0.0])]
    pub min: [f32; 3],
    /// The opposite one.
    #[resource(default = [100.0, 100.0, 100.0])]
    pub max: [f32; 3],
}

/// What stands in the box: nothing, a drum, a hopper.
#[derive(Clone, Copy, Debug, PartialEq, Resource)]
pub struct Vessel {
    /// [`Vessel::BOX`], [`Vessel::DRUM`] or [`Vessel::HOPPER`].
    pub kind: u32,
    /// Inner radius of the drum, or of the hopper's bin, metres.
    pub radius: f64,
    /// A point of the axis: the drum's is along z, the hopper's along y.
    pub axis: [f64; 3],
    /// How fast the drum turns around z, radians per second.
    pub turn: f64,
    /// Radius of the hopper's orifice, metres.
    pub orifice: f64,
    /// The height of the orifice, metres.
    pub low: f64,
    /// The height where the funnel ends and the bin begins; a flat bottom has that of the orifice.
    pub high: f64,
}

impl Vessel {
    /// Nothing but the box.
    pub const BOX: u32 = 0;
    /// A cylinder around a horizontal axis that turns, with the box's walls of least and greatest z as its ends, which are smooth.
    pub const DRUM: u32 = 1;
    /// A bin with a funnel, or a flat bottom, and an orifice, above the floor of the box.
    pub const HOPPER: u32 = 2;

    /// No vessel.
    pub const NONE: Vessel =
        Vessel { kind: Vessel::BOX, radius: 0.0, axis: [0.0; 3], turn: 0.0, orifice: 0.0, low: 0.0, high: 0.0 };
}

/// Six sides of the box, and two surfaces of a vessel.
pub(super) const WALLS: usize = 8;

/// A wall as a sphere sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Touch {
    /// Its number, below [`WALLS`].
    pub wall: usize,
    /// From the centre to the nearest point.
    pub normal: Vector,
    pub distance: f64,
    /// How fast that point moves, metres per second.
    pub velocity: Vector,
    /// Whether it has no friction: the ends of a drum, which else would hold the bed.
    pub smooth: bool,
}

/// Calls `touch` for each wall that is nearer to a centre than `radius`.
#[inline]
pub(super) fn touching(at: Vector, radius: f64, walls: &Walls, vessel: &Vessel, mut touch: impl FnMut(Touch)) {
    for axis in 0..3 {
        let sides = [at[axis] - f64::from(walls.min[axis]), f64::from(walls.max[axis]) - at[axis]];
        for (high, distance) in sides.into_iter().enumerate() {
            if distance < radius {
                let mut normal = [0.0; 3];
                normal[axis] = if high == 1 { 1.0 } else { -1.0 };
                let smooth = axis == 2 && vessel.kind == Vessel::DRUM;
                touch(Touch { wall: 2 * axis + high, normal, distance, velocity: [0.0; 3], smooth });
            }
        }
    }
    match vessel.kind {
        Vessel::DRUM => vessel.drum(at, radius, touch),
        Vessel::HOPPER => vessel.hopper(at, radius, touch),
        _ => {}
    }
}

impl Vessel {
    /// How fast a point of the drum moves.
    fn turning(&self, at: Vector) -> Vector {
        [-self.turn * (at[1] - self.axis[1]), self.turn * (at[0] - self.axis[0]), 0.0]
    }

    fn drum(&self, at: Vector, radius: f64, mut touch: impl FnMut(Touch)) {
        let off = [at[0] - self.axis[0], at[1] - self.axis[1], 0.0];
        let from_axis = dot(off, off).sqrt();
        let distance = self.radius - from_axis;
        if distance < radius {
            let normal = if from_axis > 0.0 { scale(off, 1.0 / from_axis) } else { [0.0, -1.0, 0.0] };
            let velocity = self.turning(add(at, scale(normal, distance)));
            touch(Touch { wall: 6, normal, distance, velocity, smooth: false });
        }
    }

    fn hopper(&self, at: Vector, radius: f64, mut touch: impl FnMut(Touch)) {
        let off = [at[0] - self.axis[0], 0.0, at[2] - self.axis[2]];
        let from_axis = dot(off, off).sqrt();
        let outward = if from_axis > 0.0 { scale(off, 1.0 / from_axis) } else { [1.0, 0.0, 0.0] };
        // in the half-plane of the axis and the centre: across and up
        let mut near = |wall: usize, [across, up]: [f64; 2]| {
            let distance = (across * across + up * up).sqrt();
            if distance < radius {
                // a centre in a wall is too deep, whatever the normal
                let inverse = if distance > 0.0 { 1.0 / distance } else { 0.0 };
                let normal = [outward[0] * across * inverse, up * inverse, outward[2] * across * inverse];
                touch(Touch { wall, normal, distance, velocity: [0.0; 3], smooth: false });
            }
        };
        if at[1] >= self.high {
            near(6, [self.radius - from_axis, 0.0]);
        }
        // the nearest point of the line from the orifice to the bin
        let line = [self.radius - self.orifice, self.high - self.low];
        let from_edge = [from_axis - self.orifice, at[1] - self.low];
        let part = (from_edge[0] * line[0] + from_edge[1] * line[1]) / (line[0] * line[0] + line[1] * line[1]);
        let part = part.clamp(0.0, 1.0);
        near(7, [part * line[0] - from_edge[0], part * line[1] - from_edge[1]]);
    }
}
