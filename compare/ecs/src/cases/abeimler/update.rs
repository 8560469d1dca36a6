//! Frames of two and of seven systems, one thread.
#![forbid(unsafe_code)]

use bevy_ecs::prelude as bevy;
use flecs_ecs::prelude::{self as flecs, Builder, QueryAPI, QueryBuilderImpl};
use hypostyle::{Read, Schedule, Simulation, System, Workers, World, Write};
use shipyard::{IntoIter as _, View, ViewMut};

use super::{
    Content, Damage, Life, Pixel, Place, Player, Speed, Sprite, content, damage, data, direction, draw, health, hurt,
    life, look, movement, pixel, place, player, speed, sprite,
};
use crate::checksum::Checksum;
use crate::measure::{Bench, Field, Mismatch};
use crate::support::{simulation, step};
use crate::{BEVY, FLECS, HECS, OURS, SHIPYARD};

/// Which components an entity has beside its place.
#[derive(Clone, Copy, PartialEq)]
struct Has {
    speed: bool,
    content: bool,
    character: bool,
}

/// What a world is like.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Places, speeds and content; two systems.
    Two,
    /// Everything; seven systems.
    Seven,
    /// Parts; seven systems.
    Mixed,
}

impl Kind {
    fn has(self, i: usize) -> Has {
        match self {
            Kind::Two => Has { speed: true, content: true, character: false },
            Kind::Seven => Has { speed: true, content: true, character: true },
            Kind::Mixed => Has { speed: i.is_multiple_of(2), content: i.is_multiple_of(3), character: i % 4 < 2 },
        }
    }

    fn seven(self) -> bool {
        self != Kind::Two
    }
}

pub(super) fn run(bench: &mut Bench) -> Result<(), Mismatch> {
    let kinds = [
        ("update, 2 systems", Kind::Two),
        ("update, 7 systems", Kind::Seven),
        ("update, 7 systems, a mixed world", Kind::Mixed),
    ];
    for n in bench.sizes(&[65_536, 1_048_576], &[500]) {
        for (case, kind) in kinds {
            let Some(mut field) = bench.field("abeimler's ecs_benchmark", case, n) else { continue };
            field.repeats(10);
            ours(&mut field, n, kind);
            bevy(&mut field, n, kind);
            hecs(&mut field, n, kind);
            flecs(&mut field, n, kind);
            shipyard(&mut field, n, kind);
            field.measure()?;
        }
    }
    Ok(())
}

// what is compared: places, data, and pixels

fn add_place(sum: &mut Checksum, p: &Place) {
    sum.add_f32([p.x, p.y]);
}

fn add_content(sum: &mut Checksum, c: &Content) {
    let dingy = c.dingy.to_bits();
    sum.add([dingy as u32, (dingy >> 32) as u32, c.thingy as u32, c.mingy, c.numgy, c.seed]);
}

fn add_character(sum: &mut Checksum, l: &Life, p: &Pixel) {
    sum.add([l.hp as u32, l.status, p.at, p.glyph]);
}

// the systems on whole components

fn one_movement(p: &mut Place, s: &Speed) {
    movement(&mut p.x, s.x);
    movement(&mut p.y, s.y);
}

fn one_data(c: &mut Content) {
    data(&mut c.dingy, &mut c.thingy, &mut c.mingy, &mut c.numgy, &mut c.seed);
}

fn one_direction(p: &Place, s: &mut Speed, c: &mut Content) {
    direction(p.x, p.y, &mut s.x, &mut s.y, c.thingy, &mut c.seed);
}

fn one_health(l: &mut Life) {
    health(&mut l.hp, l.hp_max, &mut l.status);
}

fn one_hurt(l: &mut Life, d: &Damage) {
    hurt(&mut l.hp, d.attack, d.defence);
}

fn one_look(s: &mut Sprite, p: &Player, l: &Life) {
    s.glyph = look(p.kind, l.status);
}

fn one_draw(x: &mut Pixel, p: &Place, s: &Sprite) {
    *x = Pixel { at: draw(p.x, p.y), glyph: s.glyph };
}

// hypostyle

fn world(n: usize, kind: Kind) -> World {
    let mut world = World::builder()
        .component::<Place>()
        .component::<Speed>()
        .component::<Content>()
        .component::<Life>()
        .component::<Damage>()
        .component::<Sprite>()
        .component::<Player>()
        .component::<Pixel>()
        .bytes_max((64 << 20) + n as u64 * 512)
        .build()
        .expect("a world can be made");
    let of = |has: Has| (0..n).filter(move |i| kind.has(*i) == has);
    let character = |i| (life(i), damage(i), sprite(i), player(i), pixel(i));
    for speeds in [false, true] {
        for contents in [false, true] {
            for characters in [false, true] {
                let all = of(Has { speed: speeds, content: contents, character: characters });
                let spawned = match (speeds, contents, characters) {
                    (false, false, false) => world.spawn_batch(all.map(place)),
                    (false, false, true) => world.spawn_batch(all.map(|i| (place(i), character(i)))),
                    (false, true, false) => world.spawn_batch(all.map(|i| (place(i), content(i)))),
                    (false, true, true) => world.spawn_batch(all.map(|i| (place(i), content(i), character(i)))),
                    (true, false, false) => world.spawn_batch(all.map(|i| (place(i), speed(i)))),
                    (true, false, true) => world.spawn_batch(all.map(|i| (place(i), speed(i), character(i)))),
                    (true, true, false) => world.spawn_batch(all.map(|i| (place(i), speed(i), content(i)))),
                    (true, true, true) => {
                        world.spawn_batch(all.map(|i| (place(i), speed(i), content(i), character(i))))
                    }
                };
                spawned.expect("there is memory");
            }
        }
    }
    world
}

fn schedule(kind: Kind) -> Schedule {
    let mut schedule = Schedule::new();
    schedule
        .add(System::rows::<(Write<Place>, Read<Speed>)>("movement", |_, (mut p, s)| {
            p.x.map_with(s.x, |x, v| x + v * super::DT);
            p.y.map_with(s.y, |y, v| y + v * super::DT);
        }))
        .add(System::rows::<Write<Content>>("data", |_, mut c| {
            let n = c.thingy.len();
            let (dingy, thingy, mingy) = (&mut c.dingy[..n], &mut c.thingy[..n], &mut c.mingy[..n]);
            let (numgy, seed) = (&mut c.numgy[..n], &mut c.seed[..n]);
            for row in 0..n {
                data(&mut dingy[row], &mut thingy[row], &mut mingy[row], &mut numgy[row], &mut seed[row]);
            }
        }));
    if !kind.seven() {
        return schedule;
    }
    schedule
        .add(System::rows::<(Read<Place>, Write<Speed>, Write<Content>)>("direction", |_, (p, mut s, mut c)| {
            let n = p.x.len();
            let (x, y, sx, sy) = (&p.x[..n], &p.y[..n], &mut s.x[..n], &mut s.y[..n]);
            // it is read alone
            let thingy = &c.thingy[..n];
            let seed = &mut c.seed[..n];
            for row in 0..n {
                direction(x[row], y[row], &mut sx[row], &mut sy[row], thingy[row], &mut seed[row]);
            }
        }))
        .add(System::rows::<Write<Life>>("health", |_, mut l| {
            let n = l.hp.len();
            let (hp, hp_max, status) = (&mut l.hp[..n], &l.hp_max[..n], &mut l.status[..n]);
            for row in 0..n {
                health(&mut hp[row], hp_max[row], &mut status[row]);
            }
        }))
        .add(System::rows::<(Write<Life>, Read<Damage>)>("hurt", |_, (mut l, d)| {
            l.hp.map_with2(d.attack, d.defence, |mut hp, attack, defence| {
                hurt(&mut hp, attack, defence);
                hp
            });
        }))
        .add(System::rows::<(Write<Sprite>, Read<Player>, Read<Life>)>("look", |_, (mut s, p, l)| {
            s.glyph.map_with2(p.kind, l.status, |_, kind, status| look(kind, status));
        }))
        .add(System::rows::<(Write<Pixel>, Read<Place>, Read<Sprite>)>("draw", |_, (mut x, p, s)| {
            x.at.map_with2(p.x, p.y, |_, x, y| draw(x, y));
            x.glyph.map_with(s.glyph, |_, glyph| glyph);
        }));
    schedule
}

fn checksum_of_ours(simulation: &mut Simulation) -> u64 {
    let mut sum = Checksum::new();
    let world = simulation.world();
    let places = world.query::<Read<Place>>(|_, p| {
        (0..p.x.len()).for_each(|i| add_place(&mut sum, &Place { x: p.x[i], y: p.y[i] }));
    });
    places.expect("a known component");
    let contents = world.query::<Read<Content>>(|_, c| {
        for i in 0..c.thingy.len() {
            let (dingy, thingy, mingy, numgy, seed) = (c.dingy[i], c.thingy[i], c.mingy[i], c.numgy[i], c.seed[i]);
            add_content(&mut sum, &Content { dingy, thingy, mingy, numgy, seed });
        }
    });
    contents.expect("a known component");
    let characters = world.query::<(Read<Life>, Read<Pixel>)>(|_, (l, p)| {
        for i in 0..l.hp.len() {
            let life = Life { hp: l.hp[i], hp_max: l.hp_max[i], status: l.status[i] };
            add_character(&mut sum, &life, &Pixel { at: p.at[i], glyph: p.glyph[i] });
        }
    });
    characters.expect("known components");
    sum.get()
}

fn ours(field: &mut Field<'_>, n: usize, kind: Kind) {
    let make = |every| move || simulation(world(n, kind), schedule(kind), Workers::Local, every);
    let passes = |state: &mut (Simulation, u64)| {
        if state.1.is_multiple_of(10) {
            state.0.run(10, 1.0 / 60.0).expect("a frame does not fail");
        }
        state.1 += 1;
    };
    field.add(OURS, "a generation every frame", make(1), step, checksum_of_ours);
    field.add(OURS, "a generation every 10 frames", make(10), step, checksum_of_ours);
    field.add(OURS, "run(10): 10 frames per pass", || (make(10)(), 0), passes, |state| checksum_of_ours(&mut state.0));
}

// bevy_ecs

struct Bevy {
    world: bevy::World,
    kind: Kind,
    movement: bevy::QueryState<(&'static mut Place, &'static Speed)>,
    data: bevy::QueryState<&'static mut Content>,
    direction: bevy::QueryState<(&'static Place, &'static mut Speed, &'static mut Content)>,
    health: bevy::QueryState<&'static mut Life>,
    hurt: bevy::QueryState<(&'static mut Life, &'static Damage)>,
    look: bevy::QueryState<(&'static mut Sprite, &'static Player, &'static Life)>,
    draw: bevy::QueryState<(&'static mut Pixel, &'static Place, &'static Sprite)>,
}

fn bevy_world(n: usize, kind: Kind) -> Bevy {
    let mut world = bevy::World::new();
    for i in 0..n {
        let has = kind.has(i);
        let mut entity = world.spawn(place(i));
        if has.speed {
            entity.insert(speed(i));
        }
        if has.content {
            entity.insert(content(i));
        }
        if has.character {
            entity.insert((life(i), damage(i), sprite(i), player(i), pixel(i)));
        }
    }
    let (movement, data, direction, health) = (world.query(), world.query(), world.query(), world.query());
    let (hurt, look, draw) = (world.query(), world.query(), world.query());
    Bevy { world, kind, movement, data, direction, health, hurt, look, draw }
}

fn bevy(field: &mut Field<'_>, n: usize, kind: Kind) {
    let make = || bevy_world(n, kind);
    let for_each = |state: &mut Bevy| {
        let world = &mut state.world;
        state.movement.iter_mut(world).for_each(|(mut p, s)| one_movement(&mut p, s));
        state.data.iter_mut(world).for_each(|mut c| one_data(&mut c));
        if state.kind.seven() {
            state.direction.iter_mut(world).for_each(|(p, mut s, mut c)| one_direction(p, &mut s, &mut c));
            state.health.iter_mut(world).for_each(|mut l| one_health(&mut l));
            state.hurt.iter_mut(world).for_each(|(mut l, d)| one_hurt(&mut l, d));
            state.look.iter_mut(world).for_each(|(mut s, p, l)| one_look(&mut s, p, l));
            state.draw.iter_mut(world).for_each(|(mut x, p, s)| one_draw(&mut x, p, s));
        }
    };
    let contiguous = |state: &mut Bevy| {
        const DENSE: &str = "tables are dense";
        let world = &mut state.world;
        for (mut p, s) in state.movement.contiguous_iter_mut(world).expect(DENSE) {
            p.bypass_change_detection().iter_mut().zip(s).for_each(|(p, s)| one_movement(p, s));
        }
        for mut c in state.data.contiguous_iter_mut(world).expect(DENSE) {
            c.bypass_change_detection().iter_mut().for_each(one_data);
        }
        if state.kind.seven() {
            for (p, mut s, mut c) in state.direction.contiguous_iter_mut(world).expect(DENSE) {
                let rows = p.iter().zip(s.bypass_change_detection()).zip(c.bypass_change_detection());
                rows.for_each(|((p, s), c)| one_direction(p, s, c));
            }
            for mut l in state.health.contiguous_iter_mut(world).expect(DENSE) {
                l.bypass_change_detection().iter_mut().for_each(one_health);
            }
            for (mut l, d) in state.hurt.contiguous_iter_mut(world).expect(DENSE) {
                l.bypass_change_detection().iter_mut().zip(d).for_each(|(l, d)| one_hurt(l, d));
            }
            for (mut s, p, l) in state.look.contiguous_iter_mut(world).expect(DENSE) {
                let rows = s.bypass_change_detection().iter_mut().zip(p).zip(l);
                rows.for_each(|((s, p), l)| one_look(s, p, l));
            }
            for (mut x, p, s) in state.draw.contiguous_iter_mut(world).expect(DENSE) {
                let rows = x.bypass_change_detection().iter_mut().zip(p).zip(s);
                rows.for_each(|((x, p), s)| one_draw(x, p, s));
            }
        }
    };
    let check = |state: &mut Bevy| {
        let mut sum = Checksum::new();
        let world = &mut state.world;
        world.query::<&Place>().iter(world).for_each(|p| add_place(&mut sum, p));
        world.query::<&Content>().iter(world).for_each(|c| add_content(&mut sum, c));
        world.query::<(&Life, &Pixel)>().iter(world).for_each(|(l, p)| add_character(&mut sum, l, p));
        sum.get()
    };
    field.add(BEVY, "for_each", make, for_each, check);
    field.add(BEVY, "contiguous_iter_mut, change detection bypassed", make, contiguous, check);
}

// hecs

fn hecs_world(n: usize, kind: Kind) -> hecs::World {
    let mut world = hecs::World::new();
    let mut builder = hecs::EntityBuilder::new();
    for i in 0..n {
        let has = kind.has(i);
        builder.add(place(i));
        if has.speed {
            builder.add(speed(i));
        }
        if has.content {
            builder.add(content(i));
        }
        if has.character {
            builder.add_bundle((life(i), damage(i), sprite(i), player(i), pixel(i)));
        }
        world.spawn(builder.build());
    }
    world
}

fn hecs(field: &mut Field<'_>, n: usize, kind: Kind) {
    let query_mut = move |world: &mut hecs::World| {
        world.query_mut::<(&mut Place, &Speed)>().into_iter().for_each(|(p, s)| one_movement(p, s));
        world.query_mut::<&mut Content>().into_iter().for_each(one_data);
        if kind.seven() {
            let query = world.query_mut::<(&Place, &mut Speed, &mut Content)>();
            query.into_iter().for_each(|(p, s, c)| one_direction(p, s, c));
            world.query_mut::<&mut Life>().into_iter().for_each(one_health);
            world.query_mut::<(&mut Life, &Damage)>().into_iter().for_each(|(l, d)| one_hurt(l, d));
            let query = world.query_mut::<(&mut Sprite, &Player, &Life)>();
            query.into_iter().for_each(|(s, p, l)| one_look(s, p, l));
            let query = world.query_mut::<(&mut Pixel, &Place, &Sprite)>();
            query.into_iter().for_each(|(x, p, s)| one_draw(x, p, s));
        }
    };
    let check = |world: &mut hecs::World| {
        let mut sum = Checksum::new();
        world.query_mut::<&Place>().into_iter().for_each(|p| add_place(&mut sum, p));
        world.query_mut::<&Content>().into_iter().for_each(|c| add_content(&mut sum, c));
        world.query_mut::<(&Life, &Pixel)>().into_iter().for_each(|(l, p)| add_character(&mut sum, l, p));
        sum.get()
    };
    field.add(HECS, "query_mut", || hecs_world(n, kind), query_mut, check);
}

// flecs

struct Flecs {
    kind: Kind,
    movement: flecs::Query<(&'static mut Place, &'static Speed)>,
    data: flecs::Query<(&'static mut Content,)>,
    direction: flecs::Query<(&'static Place, &'static mut Speed, &'static mut Content)>,
    health: flecs::Query<(&'static mut Life,)>,
    hurt: flecs::Query<(&'static mut Life, &'static Damage)>,
    look: flecs::Query<(&'static mut Sprite, &'static Player, &'static Life)>,
    draw: flecs::Query<(&'static mut Pixel, &'static Place, &'static Sprite)>,
    world: flecs::World,
}

fn flecs_world(n: usize, kind: Kind) -> Flecs {
    let world = flecs::World::new();
    for i in 0..n {
        let has = kind.has(i);
        let entity = world.entity().set(place(i));
        if has.speed {
            entity.set(speed(i));
        }
        if has.content {
            entity.set(content(i));
        }
        if has.character {
            entity.set(life(i)).set(damage(i)).set(sprite(i)).set(player(i)).set(pixel(i));
        }
    }
    Flecs {
        kind,
        movement: world.query().set_cached().build(),
        data: world.query().set_cached().build(),
        direction: world.query().set_cached().build(),
        health: world.query().set_cached().build(),
        hurt: world.query().set_cached().build(),
        look: world.query().set_cached().build(),
        draw: world.query().set_cached().build(),
        world,
    }
}

fn flecs(field: &mut Field<'_>, n: usize, kind: Kind) {
    let make = || flecs_world(n, kind);
    let each = |state: &mut Flecs| {
        state.movement.each(|(p, s)| one_movement(p, s));
        state.data.each(|(c,)| one_data(c));
        if state.kind.seven() {
            state.direction.each(|(p, s, c)| one_direction(p, s, c));
            state.health.each(|(l,)| one_health(l));
            state.hurt.each(|(l, d)| one_hurt(l, d));
            state.look.each(|(s, p, l)| one_look(s, p, l));
            state.draw.each(|(x, p, s)| one_draw(x, p, s));
        }
    };
    let check = |state: &mut Flecs| {
        let mut sum = Checksum::new();
        state.world.new_query::<&Place>().each(|p| add_place(&mut sum, p));
        state.world.new_query::<&Content>().each(|c| add_content(&mut sum, c));
        state.world.new_query::<(&Life, &Pixel)>().each(|(l, p)| add_character(&mut sum, l, p));
        sum.get()
    };
    field.add(FLECS, "each", make, each, check);
}

// shipyard

fn shipyard_world(n: usize, kind: Kind) -> shipyard::World {
    let mut world = shipyard::World::new();
    for i in 0..n {
        let has = kind.has(i);
        let entity = world.add_entity((place(i),));
        if has.speed {
            world.add_component(entity, speed(i));
        }
        if has.content {
            world.add_component(entity, content(i));
        }
        if has.character {
            world.add_component(entity, (life(i), damage(i), sprite(i), player(i), pixel(i)));
        }
    }
    world
}

fn shipyard(field: &mut Field<'_>, n: usize, kind: Kind) {
    let iter = move |world: &mut shipyard::World| {
        world.run(|mut p: ViewMut<'_, Place>, s: View<'_, Speed>| {
            (&mut p, &s).iter().for_each(|(p, s)| one_movement(p, s));
        });
        world.run(|mut c: ViewMut<'_, Content>| (&mut c).iter().for_each(one_data));
        if kind.seven() {
            world.run(|p: View<'_, Place>, mut s: ViewMut<'_, Speed>, mut c: ViewMut<'_, Content>| {
                (&p, &mut s, &mut c).iter().for_each(|(p, s, c)| one_direction(p, s, c));
            });
            world.run(|mut l: ViewMut<'_, Life>| (&mut l).iter().for_each(one_health));
            world.run(|mut l: ViewMut<'_, Life>, d: View<'_, Damage>| {
                (&mut l, &d).iter().for_each(|(l, d)| one_hurt(l, d));
            });
            world.run(|mut s: ViewMut<'_, Sprite>, p: View<'_, Player>, l: View<'_, Life>| {
                (&mut s, &p, &l).iter().for_each(|(s, p, l)| one_look(s, p, l));
            });
            world.run(|mut x: ViewMut<'_, Pixel>, p: View<'_, Place>, s: View<'_, Sprite>| {
                (&mut x, &p, &s).iter().for_each(|(x, p, s)| one_draw(x, p, s));
            });
        }
    };
    let check = |world: &mut shipyard::World| {
        let mut sum = Checksum::new();
        world.run(|p: View<'_, Place>, c: View<'_, Content>, l: View<'_, Life>, x: View<'_, Pixel>| {
            p.iter().for_each(|p| add_place(&mut sum, p));
            c.iter().for_each(|c| add_content(&mut sum, c));
            (&l, &x).iter().for_each(|(l, x)| add_character(&mut sum, l, x));
        });
        sum.get()
    };
    field.add(SHIPYARD, "iter", || shipyard_world(n, kind), iter, check);
}
