//! The derives as a user meets them: names, layouts, packed bytes and columns.
#![forbid(unsafe_code)]

use hypostyle::layout::BYTES_MAX_DEFAULT;
use hypostyle::layout::{FieldLayout, ResourceLayout, Storage};
use hypostyle::{
    Bool, Component, Entity, Field, FieldType, Layout, Mut, Plain, Read, Resource, ScalarType, World, Write,
};

/// A component with every kind of field; `rest`, `bytes` and `r#type` are names that generated code must not trip over.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct RigidBody {
    rest: f32,
    bytes: f64,
    r#type: i8,
    item: i16,
    cursor: i32,
    out: i64,
    a: u8,
    b: u16,
    c: u32,
    d: u64,
    awake: bool,
    parent: Entity,
    flags: [bool; 3],
    inertia: [f32; 9],
    links: [Entity; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Component)]
struct Position {
    #[component(default = 1.5)]
    x: f32,
    #[component(default = f32::EPSILON * 2.0)]
    y: f32,
    z: f32,
}

#[derive(Clone, Copy, Component)]
#[component(name = "cold", storage = "toggle", track_changes)]
struct Frozen;

#[derive(Clone, Copy, Component)]
struct Empty {}

#[derive(Clone, Copy, Debug, PartialEq, Resource)]
#[resource(name = "wind")]
struct Weather {
    #[resource(default = [1.0, 0.0, 0.0])]
    speed: [f32; 3],
    #[resource(default = true)]
    blowing: bool,
    #[resource(default = Entity::NULL)]
    source: Entity,
}

/// The crate can be named otherwise, and derives work inside modules.
mod elsewhere {
    pub use ::hypostyle as engine;

    pub mod inner {
        #[derive(Clone, Copy, ::hypostyle::Component)]
        #[component(crate = "crate::elsewhere::engine")]
        pub struct Charge {
            pub value: f32,
        }
    }
}

fn body() -> RigidBody {
    RigidBody {
        rest: 1.0,
        bytes: -2.0,
        r#type: -3,
        item: -4,
        cursor: -5,
        out: -6,
        a: 7,
        b: 8,
        c: 9,
        d: 10,
        awake: true,
        parent: Entity::from_parts(3, 4),
        flags: [true, false, true],
        inertia: [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0],
        links: [Entity::NULL, Entity::from_parts(1, 0)],
    }
}

#[test]
fn names_are_snake_case_or_given() {
    assert_eq!(RigidBody::NAME, "rigid_body");
    assert_eq!(Frozen::NAME, "cold");
    assert_eq!(Weather::NAME, "wind");
    assert_eq!(elsewhere::inner::Charge::NAME, "charge");
    let names: Vec<String> = RigidBody::fields().into_iter().map(|f| f.name).collect();
    assert_eq!(names[..5], ["rest", "bytes", "type", "item", "cursor"]);
}

#[test]
fn layouts_say_types_storage_and_defaults() {
    let position = Position::component_layout();
    assert_eq!(position.fields[0].ty, FieldType::scalar(ScalarType::F32));
    assert_eq!(position.fields[0].default, Some(1.5_f32.to_le_bytes().to_vec()));
    assert_eq!(position.fields[1].default, Some((f32::EPSILON * 2.0).to_le_bytes().to_vec()));
    assert_eq!(position.fields[2].default, None);
    assert_eq!((position.storage, position.track_changes), (Storage::Table, false));
    let frozen = Frozen::component_layout();
    assert!(frozen.fields.is_empty() && frozen.storage == Storage::Toggle && frozen.track_changes);
    let types: Vec<String> = RigidBody::fields().iter().map(|f| f.ty.to_string()).collect();
    assert_eq!(types.join(" "), "f32 f64 i8 i16 i32 i64 u8 u16 u32 u64 bool entity [bool; 3] [f32; 9] [entity; 2]");
    let weather = Weather::fields();
    assert_eq!(weather[1].default, Some(vec![1]));
    assert_eq!(weather[2].default, Some(vec![0xff; 8]));
}

/// A field of several columns.
#[derive(Clone, Copy, Field)]
struct Push {
    #[field(unit = "N", description = "towards \"x\"")]
    along: f32,
    turn: [f32; 2],
}

#[derive(Clone, Copy, Component)]
#[component(unit = "m")]
struct Told {
    x: f64,
    #[component(unit = "kg·m²", description = "about its axis", default = 2.0)]
    inertia: f64,
    #[component(unit = "kN")]
    outer: Push,
}

#[derive(Clone, Copy, Component)]
struct Inner {
    push: Push,
}

#[test]
fn fields_have_the_units_and_descriptions_that_are_given() {
    let words = |fields: Vec<FieldLayout>| -> Vec<(String, String, String)> {
        fields.into_iter().map(|field| (field.name, field.unit, field.description)).collect()
    };
    let told = |name: &str, unit: &str, description: &str| (name.to_owned(), unit.to_owned(), description.to_owned());
    assert_eq!(
        words(Told::fields()),
        [
            told("x", "m", ""),
            told("inertia", "kg·m²", "about its axis"),
            told("outer_along", "kN", "towards \"x\""),
            told("outer_turn", "kN", ""),
        ]
    );
    assert_eq!(words(Inner::fields()), [told("push_along", "N", "towards \"x\""), told("push_turn", "", "")]);
    let world = World::builder().component::<Told>().build().unwrap();
    let text = world.layout().to_toml();
    assert!(
        text.contains(r#"inertia = { type = "f64", default = 2.0, unit = "kg·m²", description = "about its axis" }"#)
    );
    assert_eq!(Layout::parse(&text, "told").unwrap(), *world.layout());
}

#[test]
fn packed_values_come_back() {
    assert_eq!(RigidBody::PACKED_BYTES, 4 + 8 + 1 + 2 + 4 + 8 + 1 + 2 + 4 + 8 + 1 + 8 + 3 + 36 + 16);
    let mut bytes = vec![0xaa; RigidBody::PACKED_BYTES];
    body().pack(&mut bytes);
    assert_eq!(bytes[..13], [0, 0, 0x80, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0xc0, 0xfd], "fields in order, no padding");
    assert_eq!(RigidBody::unpack(&bytes), body());
    let position = Position { x: 1.0, y: -0.0, z: f32::INFINITY };
    let mut bytes = [0; 12];
    position.pack(&mut bytes);
    assert_eq!(Position::unpack(&bytes), position);
    assert_eq!((Frozen::PACKED_BYTES, Empty::PACKED_BYTES), (0, 0));
    Frozen.pack(&mut []);
    let Frozen = Frozen::unpack(&[]);
    let Empty {} = Empty::unpack(&[]);
}

#[test]
#[should_panic(expected = "a packed value fills its bytes")]
fn packing_into_the_wrong_length_panics() {
    Position { x: 0.0, y: 0.0, z: 0.0 }.pack(&mut [0; 13]);
}

/// The types of the generated columns, checked by the compiler.
#[test]
fn columns_are_slices_of_items() {
    fn read(columns: RigidBodyColumns<'_>) {
        let copy = columns;
        let _: (&[f32], &[Bool], &[Entity]) = (columns.rest, columns.awake, columns.parent);
        let _: (&[[Bool; 3]], &[i8]) = (copy.flags, copy.r#type);
    }
    fn write<'a>(columns: PositionColumnsMut<'a>) -> Mut<'a, f32> {
        columns.x
    }
    fn tag<C: for<'a> Component<Columns<'a> = (), ColumnsMut<'a> = ()>>() {}
    fn columns<'a>(c: <Position as Component>::Columns<'a>) -> &'a [f32] {
        c.z
    }
    tag::<Frozen>();
    tag::<Empty>();
    let rest = [1.0_f32];
    assert_eq!(columns(PositionColumns { x: &rest, y: &rest, z: &rest }), rest);
    let _ = (read, write);
}

#[derive(Clone, Copy, Debug, PartialEq, Field)]
struct Vector {
    x: f64,
    #[field(default = 2.0)]
    y: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Field)]
struct Metres(f64);

#[derive(Clone, Copy, Debug, PartialEq, Field)]
struct Pair(u8, #[field(name = "second")] Metres);

#[derive(Clone, Copy, Debug, PartialEq, Component)]
struct Pose {
    place: Vector,
    #[component(default = Vector { x: 5.0, y: 6.0 })]
    aim: Vector,
    length: Metres,
    #[component(name = "both")]
    pair: Pair,
    awake: bool,
    position: Position,
}

#[derive(Clone, Copy, Debug, PartialEq, Component)]
struct Mass(f64);

#[derive(Clone, Copy, Debug, PartialEq, Component)]
struct Colour(u8, u8, #[component(default = 255)] u8, Vector);

#[derive(Clone, Copy, Debug, PartialEq, Resource)]
struct Sun {
    at: Vector,
    radius: Metres,
}

#[derive(Clone, Copy, Debug, PartialEq, Resource)]
struct Gravity(f32);

fn names(fields: Vec<hypostyle::layout::FieldLayout>) -> String {
    fields.into_iter().map(|field| field.name).collect::<Vec<_>>().join(" ")
}

#[test]
fn structs_in_structs_are_columns_of_the_outer_one() {
    assert_eq!(
        names(Pose::component_layout().fields),
        "place_x place_y aim_x aim_y length both_0 both_second awake position_x position_y position_z"
    );
    assert_eq!(names(Mass::component_layout().fields), "value");
    assert_eq!(names(Colour::component_layout().fields), "value_0 value_1 value_2 value_3_x value_3_y");
    assert_eq!((names(Sun::fields()), names(Gravity::fields())), ("at_x at_y radius".into(), "value".into()));
    let default = |field: usize| {
        let bytes = Pose::component_layout().fields[field].default.clone();
        bytes.map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap()))
    };
    assert_eq!((default(0), default(1)), (None, Some(2.0)), "those of the inner struct");
    assert_eq!((default(2), default(3)), (Some(5.0), Some(6.0)), "those of the outer field come first");
    assert_eq!(Pose::component_layout().fields[8].default, Some(1.5_f32.to_le_bytes().to_vec()));
    assert_eq!(Colour::component_layout().fields[2].default, Some(vec![255]));
    assert_eq!((Pose::PACKED_BYTES, Colour::PACKED_BYTES), (16 + 16 + 8 + 9 + 1 + 12, 3 + 16));
    assert_eq!((<Pose as Field>::COLUMNS, <Pose as Field>::BYTES), (11, Pose::PACKED_BYTES));
}

fn pose(x: f64) -> Pose {
    let position = Position { x: 1.0, y: 2.0, z: 3.0 };
    let (place, aim) = (Vector { x, y: -x }, Vector { x: 0.5, y: 0.25 });
    Pose { place, aim, length: Metres(x * 2.0), pair: Pair(7, Metres(9.0)), awake: true, position }
}

#[test]
fn nested_values_come_back_and_their_columns_are_nested() {
    let mut bytes = vec![0xaa; Pose::PACKED_BYTES];
    pose(3.0).pack(&mut bytes);
    assert_eq!(bytes[..16], [3.0_f64.to_le_bytes(), (-3.0_f64).to_le_bytes()].concat(), "fields in order");
    assert_eq!(Pose::unpack(&bytes), pose(3.0));
    let builder = World::builder().component::<Pose>().component::<Mass>().component::<Colour>();
    let mut world = builder.resource::<Sun>().resource::<Gravity>().build().unwrap();
    let colour = Colour(1, 2, 3, Vector { x: 4.0, y: 5.0 });
    let entities = world.spawn_batch((0..100).map(|i| (pose(f64::from(i)), Mass(2.0), colour))).unwrap();
    assert_eq!(world.get::<(Pose, Mass, Colour)>(entities[9]).unwrap(), (pose(9.0), Mass(2.0), colour));
    world
        .query_mut::<(Write<Pose>, Read<Mass>, Read<Colour>)>(|_, (mut pose, mass, colour)| {
            pose.place.x.map_with(mass.0, |x, mass| x + mass);
            pose.pair.1.0.map_with(colour.3.y, |_, y| y);
            assert!(colour.2.iter().all(|blue| *blue == 3) && pose.position.z.iter().all(|z| *z == 3.0));
            pose.awake.iter_mut().for_each(|awake| *awake = Bool::FALSE);
        })
        .unwrap();
    let want = Pose { place: Vector { x: 11.0, y: -9.0 }, pair: Pair(7, Metres(5.0)), awake: false, ..pose(9.0) };
    assert_eq!(world.get::<Pose>(entities[9]).unwrap(), want);
    let sun = Sun { at: Vector { x: 1.0, y: 2.0 }, radius: Metres(3.0) };
    world.insert_resource(sun).unwrap();
    assert_eq!(world.resource::<Sun>().unwrap(), sun);
    // outside, they are plain columns
    world.publish().unwrap();
    let mut reader = world.reader().unwrap();
    let snapshot = reader.pin().unwrap();
    let table = snapshot.tables().next().unwrap();
    assert_eq!(table.column::<f64>("pose.both_second").unwrap().unwrap(), [5.0; 100]);
}

#[test]
fn columns_of_one_name_are_refused() {
    #[derive(Clone, Copy, Component)]
    struct Clash {
        at: Vector,
        at_x: f64,
    }
    let error = World::builder().component::<Clash>().build().err().map(|error| error.to_string()).unwrap();
    assert!(error.contains("field `clash.at_x`"), "{error}");
}

/// Rust types and a layout file that say the same make the same world.
#[test]
fn types_agree_with_a_layout_file() {
    let file = r#"
        name = "w"
        [components.position.fields]
        x = { type = "f32", default = 1.5 }
        y = { type = "f32", default = 2.384185791015625e-7 }
        z = "f32"
        [components.cold]
        storage = "toggle"
        track_changes = true
        [resources.wind.fields]
        speed = { type = "[f32; 3]", default = [1, 0, 0] }
        blowing = { type = "bool", default = true }
        source = { type = "entity", default = "null" }
    "#;
    let parsed = Layout::parse(file, "w.toml").unwrap();
    let components = vec![Position::component_layout(), Frozen::component_layout()];
    let resources = vec![ResourceLayout { name: Weather::NAME.into(), fields: Weather::fields() }];
    let built = Layout::new("w", components, resources, vec![], BYTES_MAX_DEFAULT).unwrap();
    assert_eq!(built.difference(&parsed), []);
    assert_eq!(built, parsed);
}
