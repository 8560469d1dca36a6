#![forbid(unsafe_code)]
//! Where resources stand among the bytes of the resources table: one presence byte each, then 8-aligned packed values.

use crate::layout::Layout;

/// Bytes of all resources together.
pub(crate) fn resources_bytes(layout: &Layout) -> u32 {
    let count = layout.resources().len();
    if count == 0 { 0 } else { resource_offset(layout, count) as u32 }
}

/// Offset of a resource's packed value (of the end, for the number of resources).
pub(crate) fn resource_offset(layout: &Layout, resource: usize) -> u64 {
    let mut at = layout.resources().len().next_multiple_of(8);
    for declared in &layout.resources()[..resource] {
        at = (at + declared.packed_bytes()).next_multiple_of(8);
    }
    at as u64
}
