//! The derives as a user meets them: names, layouts, packed bytes and columns.
#![forbid(unsafe_code)]

use hypostyle::layout::BYTES_MAX_DEFAULT;
use hypostyle::{
    Bool, Component, Entity, FieldType, Layout, Mut, Plain, Resource, ResourceLayout, ScalarType, Storage,
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
