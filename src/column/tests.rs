//! Columns through a derived component: order, types, and which rows a kernel's writes reach.

use super::*;
use crate::component::Component;
use crate::layout::ScalarType;

#[derive(Clone, Copy, Debug, PartialEq, hypostyle::Component)]
struct Body {
    mass: f64,
    at: [f32; 2],
}

const F64: FieldType = FieldType::scalar(ScalarType::F64);
const F32X2: FieldType = FieldType::array(ScalarType::F32, 2);

#[test]
fn a_component_takes_its_columns_in_order() {
    let (mass, at) = ([1.0_f64, 2.0], [[1.0_f32, 2.0], [3.0, 4.0]]);
    let raw = [
        RawColumn { old: mass.as_ptr().cast(), new: std::ptr::null_mut(), ty: F64, len: 2, streams: false },
        RawColumn { old: at.as_ptr().cast(), new: std::ptr::null_mut(), ty: F32X2, len: 2, streams: false },
    ];
    let states = [Cell::new(RowState::Old), Cell::new(RowState::Old)];
    // SAFETY: both columns are whole arrays that outlive the cursor, and nothing writes them.
    let mut cursor = unsafe { ColumnCursor::new(&raw, &states) };
    let body = Body::columns(&mut cursor);
    assert_eq!((body.mass, body.at), (&mass[..], &at[..]));
}

#[test]
fn written_rows_land_in_the_new_extent_and_others_keep_their_value() {
    let (mass, at) = ([1.0_f64, 2.0], [[1.0_f32, 2.0], [3.0, 4.0]]);
    let (mut new_mass, mut new_at) = ([0.0_f64; 2], [[0.0_f32; 2]; 2]);
    let raw = [
        RawColumn { old: mass.as_ptr().cast(), new: new_mass.as_mut_ptr().cast(), ty: F64, len: 2, streams: false },
        RawColumn { old: at.as_ptr().cast(), new: new_at.as_mut_ptr().cast(), ty: F32X2, len: 2, streams: false },
    ];
    let states = [Cell::new(RowState::Old), Cell::new(RowState::Old)];
    // SAFETY: four whole arrays apart that outlive the cursor; the new ones are touched through it alone.
    let mut cursor = unsafe { ColumnCursor::new(&raw, &states) };
    let mut body = Body::columns_mut(&mut cursor);
    assert_eq!(body.mass[1], 2.0, "reads show the old rows");
    body.mass[0] = 10.0;
    // SAFETY: as above, and no slice is in use any more.
    unsafe { settle(&raw, &states) };
    assert_eq!((new_mass, mass), ([10.0, 2.0], [1.0, 2.0]));
    assert_eq!(states.map(Cell::into_inner), [RowState::Touched, RowState::Old]);
    assert_eq!(new_at, [[0.0; 2]; 2], "an untouched column costs no copy");
}

#[test]
#[should_panic(expected = "in the order and with the types it declares")]
fn a_column_of_another_type_is_refused() {
    let mass = [1.0_f32];
    let raw = [RawColumn {
        old: mass.as_ptr().cast(),
        new: std::ptr::null_mut(),
        ty: FieldType::scalar(ScalarType::F32),
        len: 1,
        streams: false,
    }];
    let states = [Cell::new(RowState::Old)];
    // SAFETY: one whole array that outlives the cursor, and nothing writes it.
    let mut cursor = unsafe { ColumnCursor::new(&raw, &states) };
    Body::columns(&mut cursor);
}

#[test]
fn rows_that_were_shown_and_not_written_are_what_they_were() {
    let mass = [1.0_f64, 2.0];
    let mut new = [0.0_f64; 2];
    let raw = [RawColumn { old: mass.as_ptr().cast(), new: new.as_mut_ptr().cast(), ty: F64, len: 2, streams: false }];
    let states = [Cell::new(RowState::Old)];
    // SAFETY: whole arrays that outlive the cursor and are touched through it alone.
    let mut cursor = unsafe { ColumnCursor::new(&raw, &states) };
    let mut column = cursor.write::<f64>();
    column.split_new().expect("the rows are apart").1[0] = 9.0;
    assert_eq!(column[0], 1.0);
    // SAFETY: as above, and no slice is in use any more.
    unsafe { settle(&raw, &states) };
    assert_eq!((new, states[0].get()), (mass, RowState::Old));
}

#[test]
fn changed_rows_are_those_whose_bytes_differ() {
    let before: Vec<u8> = (0..200u32).flat_map(|row| row.to_le_bytes()).collect();
    let mut after = before.clone();
    for row in [0usize, 63, 64, 130, 199] {
        after[row * 4 + 3] ^= 1;
    }
    let mut words = [0; 4];
    note_changes(&before, &after, 4, &mut words);
    assert_eq!(words, [1 | 1 << 63, 1, 1 << 2, 1 << 7]);
}
