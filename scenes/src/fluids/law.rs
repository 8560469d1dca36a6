//! The equations: kernel, pressure, what two particles do to each other, what walls do.
#![forbid(unsafe_code)]

use std::f64::consts::PI;

use super::Tank;

/// A particle, as its neighbours see it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Particle {
    /// Metres.
    pub at: [f64; 3],
    /// Metres per second.
    pub velocity: [f64; 3],
    /// Kilograms.
    pub mass: f64,
    /// Kilograms per cubic metre.
    pub density: f64,
    /// Pascal.
    pub pressure: f64,
}

/// Two particles.
struct Pair {
    /// From the other one.
    offset: [f64; 3],
    square: f64,
    /// The kernel's gradient is minus this times the offset; nothing beyond two smoothing lengths.
    slope: f64,
    /// Velocity times offset: negative where they come nearer.
    approach: f64,
}

/// Numbers that follow from the tank.
#[derive(Clone, Copy, Debug)]
pub struct Law {
    smoothing: f64,
    /// Of the kernel's slope: 105 / (16 pi h^5).
    slope: f64,
    /// Of pressure: c^2 rho / 7 of water, for both fluids, so that pressures are equal where they meet at rest.
    stiffness: f64,
    viscosity: f64,
    sound: f64,
    rest: [f64; 2],
    /// Where walls begin to push, metres, and their stiffness over a particle's mass, per second squared.
    wall: (f64, f64),
}

impl Law {
    /// Of a tank.
    #[must_use]
    pub fn new(tank: &Tank) -> Law {
        let h = tank.smoothing();
        Law {
            smoothing: h,
            slope: 105.0 / (16.0 * PI * h * h * h * h * h),
            stiffness: tank.sound * tank.sound * tank.rest[0] / 7.0,
            viscosity: tank.viscosity,
            sound: tank.sound,
            rest: tank.rest,
            // as stiff as the fluid: its waves cross a smoothing length in the same time
            wall: (0.5 * tank.spacing, tank.sound * tank.sound / (h * h)),
        }
    }

    /// The pressure of a fluid of some density (Tait): B ((rho / rho_0)^7 - 1), pascal.
    #[must_use]
    pub fn pressure(&self, kind: u32, density: f64) -> f64 {
        let ratio = density / self.rest[usize::from(kind != 0)];
        let cube = ratio * ratio * ratio;
        self.stiffness * (cube * cube * ratio - 1.0)
    }

    /// The density of a fluid at rest under a pressure: what [`Law::pressure`] gives, turned round to first order.
    #[must_use]
    pub fn density(&self, kind: u32, pressure: f64) -> f64 {
        self.rest[usize::from(kind != 0)] * (1.0 + pressure / (7.0 * self.stiffness))
    }

    /// How `other` changes the density of `own`, kilograms per cubic metre and second.
    #[must_use]
    #[inline]
    pub fn density_rate(&self, own: &Particle, other: &Particle) -> f64 {
        let pair = self.pair(own, other);
        own.density * other.mass / other.density * -pair.slope * pair.approach
    }

    /// What `other` does to `own`, metres per second squared. The forces of both on each other are opposite to the last bit: each is
    /// the same numbers with the other sign.
    #[must_use]
    #[inline]
    pub fn acceleration(&self, own: &Particle, other: &Particle) -> [f64; 3] {
        let Pair { offset, square, slope, approach } = self.pair(own, other);
        // Monaghan's artificial viscosity, between what comes nearer
        let mut viscous = 0.0;
        if approach < 0.0 {
            let h = self.smoothing;
            let rate = h * approach / (square + 0.01 * h * h);
            viscous = -self.viscosity * self.sound * rate * 2.0 / (own.density + other.density);
        }
        let push = (own.pressure + other.pressure) / (own.density * other.density) + viscous;
        let force = other.mass * push * slope;
        offset.map(|d| force * d)
    }

    #[inline]
    fn pair(&self, own: &Particle, other: &Particle) -> Pair {
        let d = [own.at[0] - other.at[0], own.at[1] - other.at[1], own.at[2] - other.at[2]];
        let v = [
            own.velocity[0] - other.velocity[0],
            own.velocity[1] - other.velocity[1],
            own.velocity[2] - other.velocity[2],
        ];
        let square = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
        let rest = f64::max(1.0 - square.sqrt() / (2.0 * self.smoothing), 0.0);
        Pair {
            offset: d,
            square,
            slope: self.slope * rest * rest * rest,
            approach: v[0] * d[0] + v[1] * d[1] + v[2] * d[2],
        }
    }

    /// What two walls do along one axis, at this distance from the lower one in a tank of this side: metres per second squared.
    #[must_use]
    pub fn walls(&self, at: f64, side: f64) -> f64 {
        self.wall(at) - self.wall(side - at)
    }

    /// A spring, where it is pressed.
    fn wall(&self, distance: f64) -> f64 {
        let (range, stiffness) = self.wall;
        if distance < range { stiffness * (range - distance) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tank() -> Tank {
        Tank { side: [3.0, 2.0, 0.5], spacing: 0.05, gravity: 9.81, sound: 44.0, viscosity: 0.1, rest: [1000.0, 800.0] }
    }

    #[test]
    fn the_kernel_is_one_in_all_and_its_slope_is_its_derivative() {
        let law = Law::new(&tank());
        let h = law.smoothing;
        let kernel = |q: f64| 21.0 / (16.0 * PI * h * h * h) * (1.0 - q / 2.0).powi(4) * (2.0 * q + 1.0);
        let (steps, mut sum) = (2000, 0.0);
        for step in 0..steps {
            let q = 2.0 * (f64::from(step) + 0.5) / f64::from(steps);
            sum += 4.0 * PI * q * q * h * h * h * kernel(q) * 2.0 / f64::from(steps);
            let derivative = (kernel(q + 1e-6) - kernel(q - 1e-6)) / 2e-6 / h;
            let slope = -law.slope * (1.0 - q / 2.0).powi(3) * q * h;
            assert!((derivative - slope).abs() < 1e-6 * law.slope * h, "{derivative} {slope}");
        }
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
    }

    #[test]
    fn forces_are_opposite_to_the_last_bit_and_densities_grow_where_particles_meet() {
        let law = Law::new(&tank());
        let a =
            Particle { at: [0.1, 0.2, 0.3], velocity: [1.0, -0.5, 0.2], mass: 0.125, density: 1003.0, pressure: 5e3 };
        let b =
            Particle { at: [0.13, 0.19, 0.33], velocity: [-0.3, 0.1, 0.0], mass: 0.1, density: 805.0, pressure: -2e2 };
        let (on_a, on_b) = (law.acceleration(&a, &b), law.acceleration(&b, &a));
        for axis in 0..3 {
            let sum = a.mass * on_a[axis] + b.mass * on_b[axis];
            assert!(sum.abs() <= 1e-15 * (a.mass * on_a[axis]).abs(), "{sum}");
        }
        assert!(law.density_rate(&a, &b) > 0.0 && law.density_rate(&b, &a) > 0.0);
        let far = Particle { at: [0.3, 0.2, 0.3], ..b };
        assert_eq!((law.density_rate(&a, &far), law.acceleration(&a, &far)), (0.0, [0.0; 3]));
    }

    #[test]
    fn pressure_and_density_are_each_others_inverse_near_rest() {
        let law = Law::new(&tank());
        for kind in [0, 1] {
            assert_eq!(law.pressure(kind, law.rest[kind as usize]), 0.0);
            let density = law.density(kind, 9810.0);
            assert!((law.pressure(kind, density) / 9810.0 - 1.0).abs() < 0.03);
        }
        assert_eq!(law.walls(1.0, 3.0), 0.0);
        assert!(law.walls(0.01, 3.0) > 0.0 && law.walls(2.99, 3.0) < 0.0 && law.walls(-1.0, 3.0).is_finite());
    }
}
