//! Where resources stand among the bytes of the resources table: one presence byte each, then 8-aligned packed values.
#![forbid(unsafe_code)]

use super::Layout;

impl Layout {
    /// Where the packed value of a resource begins among the bytes of all resources
    /// ([`ColumnRole::Resources`](crate::columns::ColumnRole::Resources)); of their number: where the last one's ends, aligned to 8.
    ///
    /// # Panics
    /// A number above that of the resources.
    #[must_use]
    pub fn resource_offset(&self, resource: usize) -> u64 {
        let mut at = self.resources().len().next_multiple_of(8);
        for declared in &self.resources()[..resource] {
            at = (at + declared.packed_bytes()).next_multiple_of(8);
        }
        at as u64
    }

    /// Bytes of all resources together.
    pub(crate) fn resources_bytes(&self) -> u32 {
        let count = self.resources().len();
        if count == 0 { 0 } else { self.resource_offset(count) as u32 }
    }

    /// The component (`position`) or field (`position.x`) that is most similar to a misspelt name, if one is similar enough
    /// to have been meant: for error messages.
    #[must_use]
    pub fn nearest_column(&self, name: &str) -> Option<String> {
        let known = self.components().iter().flat_map(|component| {
            let fields =
                component.published_fields().iter().map(move |field| format!("{}.{}", component.name, field.name));
            std::iter::once(component.name.clone()).chain(fields)
        });
        let known: Vec<String> = known.collect();
        super::nearest::nearest(name, known.iter().map(String::as_str)).map(str::to_owned)
    }
}
