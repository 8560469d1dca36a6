//! The cases of abeimler's ecs_benchmark: create, destroy, remove and add, random access, and frames of two and of seven
//! systems over full and over mixed worlds.
//!
//! The systems do what the benchmark's do, with a random generator that is the same for all engines; its last one draws
//! into a buffer, which a kernel of ours cannot: here it writes a pixel for each entity.
#![forbid(unsafe_code)]

mod life;
mod update;

use crate::components::components;
use crate::measure::{Bench, Mismatch};

const DT: f32 = 1.0 / 60.0;

/// All cases.
pub fn run(bench: &mut Bench) -> Result<(), Mismatch> {
    life::run(bench)?;
    update::run(bench)
}

components! {
    /// Where.
    Place { x: f32, y: f32 }
    /// How fast.
    Speed { x: f32, y: f32 }
    /// Some data.
    Content { dingy: f64, thingy: i32, mingy: u32, numgy: u32, seed: u32 }
    /// Points, and the state of being.
    Life { hp: i32, hp_max: i32, status: u32 }
    /// What is given and taken.
    Damage { attack: i32, defence: i32 }
    /// What it looks like.
    Sprite { glyph: u32 }
    /// Who it is.
    Player { kind: u32, seed: u32 }
    /// What is drawn.
    Pixel { at: u32, glyph: u32 }
}

fn place(i: usize) -> Place {
    Place { x: (i % 1000) as f32, y: (i % 777) as f32 }
}

fn speed(i: usize) -> Speed {
    Speed { x: (i % 13) as f32 - 6.0, y: (i % 7) as f32 - 3.0 }
}

fn content(i: usize) -> Content {
    Content { dingy: 0.0, thingy: (i % 10) as i32, mingy: 0, numgy: 0, seed: i as u32 * 2 + 1 }
}

fn life(i: usize) -> Life {
    Life { hp: 40 + (i % 60) as i32, hp_max: 100, status: status::SPAWN }
}

fn damage(i: usize) -> Damage {
    Damage { attack: 10 + (i % 30) as i32, defence: (i % 35) as i32 }
}

fn sprite(_: usize) -> Sprite {
    Sprite { glyph: u32::from(b' ') }
}

fn player(i: usize) -> Player {
    Player { kind: (i % 3) as u32, seed: i as u32 }
}

fn pixel(_: usize) -> Pixel {
    Pixel { at: 0, glyph: 0 }
}

/// States of being.
mod status {
    pub const SPAWN: u32 = 0;
    pub const ALIVE: u32 = 1;
    pub const DEAD: u32 = 2;
}

// the systems, on the values of one entity

#[inline(always)]
fn random(seed: &mut u32) -> u32 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    *seed
}

#[inline(always)]
fn movement(x: &mut f32, speed: f32) {
    *x += speed * DT;
}

#[inline(always)]
fn data(dingy: &mut f64, thingy: &mut i32, mingy: &mut u32, numgy: &mut u32, seed: &mut u32) {
    *thingy = (*thingy + 1) % 1_000_000;
    *dingy += 0.0001 * f64::from(DT);
    *mingy ^= 1;
    *numgy = random(seed);
}

#[inline(always)]
fn direction(x: f32, y: f32, sx: &mut f32, sy: &mut f32, thingy: i32, seed: &mut u32) {
    if thingy % 10 == 0 {
        if x > y {
            *sx = (random(seed) % 17) as f32 - 7.0;
            *sy = (random(seed) % 6) as f32;
        } else {
            *sx = (random(seed) % 6) as f32;
            *sy = (random(seed) % 17) as f32 - 7.0;
        }
    }
}

#[inline(always)]
fn health(hp: &mut i32, hp_max: i32, state: &mut u32) {
    if *hp <= 0 && *state != status::DEAD {
        (*hp, *state) = (0, status::DEAD);
    } else if *state == status::DEAD && *hp == 0 {
        (*hp, *state) = (hp_max, status::SPAWN);
    } else if *hp >= hp_max && *state != status::ALIVE {
        (*hp, *state) = (hp_max, status::ALIVE);
    } else {
        *state = status::ALIVE;
    }
}

#[inline(always)]
fn hurt(hp: &mut i32, attack: i32, defence: i32) {
    let total = attack - defence;
    if *hp > 0 && total > 0 {
        *hp = (*hp - total).max(0);
    }
}

#[inline(always)]
fn look(kind: u32, state: u32) -> u32 {
    let glyph = match (state, kind) {
        (status::ALIVE, 0) => b'@',
        (status::ALIVE, 1) => b'k',
        (status::ALIVE, _) => b'h',
        (status::DEAD, _) => b'|',
        _ => b'_',
    };
    u32::from(glyph)
}

#[inline(always)]
fn draw(x: f32, y: f32) -> u32 {
    // casts saturate: what is outside is drawn at the edge
    ((y as u32).min(255) << 8) | (x as u32).min(255)
}
