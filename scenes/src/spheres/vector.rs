//! Three numbers; nothing that is not rounded equally everywhere.
#![forbid(unsafe_code)]

/// A vector in double precision.
pub type Vector = [f64; 3];

pub fn dot(a: Vector, b: Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub fn add(a: Vector, b: Vector) -> Vector {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

pub fn subtract(a: Vector, b: Vector) -> Vector {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

pub fn scale(a: Vector, factor: f64) -> Vector {
    [a[0] * factor, a[1] * factor, a[2] * factor]
}

/// A row of three columns, in whichever precision they are.
pub fn at<T: Copy + Into<f64>>(x: &[T], y: &[T], z: &[T], row: usize) -> Vector {
    [x[row].into(), y[row].into(), z[row].into()]
}
