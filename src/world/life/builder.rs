//! Declaring a world: Rust types, a layout file, a region.
#![forbid(unsafe_code)]

use crate::table::{RESOURCES, Registry};
use std::any::TypeId;
use std::collections::HashMap;
use std::sync::Arc;

use crate::layout::{BYTES_MAX_DEFAULT, ComponentLayout, Layout, ResourceLayout, TableHint};
use crate::region::{Region, RegionTarget};
use crate::{Component, Resource};

use super::publish::Publisher;
use crate::world::World;
use crate::world::error::WorldError;
use crate::world::store::Store;
use crate::world::store::arena;

/// Declares a world. Made by [`World::builder`].
#[derive(Debug)]
pub struct WorldBuilder {
    name: String,
    layout: Option<Layout>,
    pub(in crate::world) components: Vec<(TypeId, ComponentLayout)>,
    pub(in crate::world) resources: Vec<(TypeId, ResourceLayout)>,
    /// Types by hand whose `PACKED_BYTES` are not their fields': name, what it says, what they are.
    pub(in crate::world) misfits: Vec<(String, usize, usize)>,
    tables: Vec<TableHint>,
    pub(in crate::world) bytes_max: Option<u64>,
    bytes_max_default: Option<u64>,
    pub(in crate::world) notes: Vec<(String, String)>,
    pub(in crate::world) region: RegionTarget,
    pub(in crate::world) keep: bool,
    pub(in crate::world) keep_generations: usize,
    prefault: Option<Prefault>,
}

/// Memory to take at once, and what is called with its progress.
struct Prefault {
    bytes: u64,
    progress: Box<dyn FnMut(u64, u64) + Send>,
}

impl std::fmt::Debug for Prefault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Prefault({} bytes)", self.bytes)
    }
}

impl Default for WorldBuilder {
    fn default() -> Self {
        WorldBuilder {
            name: "world".to_owned(),
            layout: None,
            components: Vec::new(),
            resources: Vec::new(),
            misfits: Vec::new(),
            tables: Vec::new(),
            bytes_max: None,
            bytes_max_default: None,
            notes: Vec::new(),
            region: RegionTarget::Heap,
            keep: false,
            keep_generations: 0,
            prefault: None,
        }
    }
}

impl WorldBuilder {
    /// The world's name (default `world`).
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Uses the layout of a file; registered Rust types are checked against it.
    #[must_use]
    pub fn layout(mut self, layout: Layout) -> Self {
        self.layout = Some(layout);
        self
    }

    /// Registers a component type. The order of registration decides the order in the layout.
    #[must_use]
    pub fn component<C: Component>(mut self) -> Self {
        if !self.components.iter().any(|(ty, _)| *ty == TypeId::of::<C>()) {
            let declared = C::component_layout();
            self.check_packed(&declared.name, C::PACKED_BYTES, declared.packed_bytes());
            self.components.push((TypeId::of::<C>(), declared));
        }
        self
    }

    /// Registers a resource type.
    #[must_use]
    pub fn resource<R: Resource>(mut self) -> Self {
        if !self.resources.iter().any(|(ty, _)| *ty == TypeId::of::<R>()) {
            let declared = ResourceLayout { name: R::NAME.to_owned(), fields: R::fields() };
            self.check_packed(&declared.name, R::PACKED_BYTES, declared.packed_bytes());
            self.resources.push((TypeId::of::<R>(), declared));
        }
        self
    }

    fn check_packed(&mut self, name: &str, said: usize, fields: usize) {
        if said != fields {
            self.misfits.push((name.to_owned(), said, fields));
        }
    }

    /// What types by hand say of themselves is true.
    pub(in crate::world) fn check_misfits(&mut self) -> Result<(), WorldError> {
        match self.misfits.pop() {
            None => Ok(()),
            Some((name, said, fields)) => Err(WorldError::PackedBytes { name, said, fields }),
        }
    }

    /// Declares that there will be a table of entities with these components, and reserves memory for `rows` of them.
    #[must_use]
    pub fn table(mut self, components: &[&str], rows: u64) -> Self {
        let components = components.iter().map(|name| (*name).to_owned()).collect();
        self.tables.push(TableHint { components, rows });
        self
    }

    /// Upper limit of the world's memory in bytes (default 16 GiB of address space, or less if the process's address space
    /// is limited; memory itself is allocated when it is needed).
    #[must_use]
    pub fn bytes_max(mut self, bytes: u64) -> Self {
        self.bytes_max = Some(bytes);
        self
    }

    /// Upper limit of the world's memory if [`WorldBuilder::bytes_max`] is not given; less if the process's address space is
    /// limited.
    #[must_use]
    pub fn bytes_max_default(mut self, bytes: u64) -> Self {
        self.bytes_max_default = Some(bytes);
        self
    }

    /// Stores a text in the region, for [`World::note`] and [`RegionInfo::notes`](crate::regions::RegionInfo): for example the
    /// parameters that a later resume needs. Name and text must be single lines; the name must not contain `=`.
    ///
    /// ```
    /// # use hypostyle::World;
    /// let world = World::builder().note("seed", 7).build()?;
    /// assert_eq!(world.note("seed").as_deref(), Some("7"));
    /// # Ok::<(), hypostyle::WorldError>(())
    /// ```
    #[must_use]
    pub fn note(mut self, name: impl Into<String>, value: impl std::fmt::Display) -> Self {
        self.notes.push((name.into(), value.to_string()));
        self
    }

    /// Where the world's memory is (default: private heap memory).
    #[must_use]
    pub fn region(mut self, region: RegionTarget) -> Self {
        self.region = region;
        self
    }

    /// Whether the region stays after this process's normal exit (default: no).
    #[must_use]
    pub fn keep_region(mut self, keep: bool) -> Self {
        self.keep = keep;
        self
    }

    /// Number of published generations to keep in addition to the newest, for [`World::rollback`] (default 0; at most
    /// [`KEPT_GENERATIONS_MAX`](crate::limits::KEPT_GENERATIONS_MAX)). Each keeps the columns that were written in it.
    #[must_use]
    pub fn keep_generations(mut self, generations: usize) -> Self {
        self.keep_generations = generations;
        self
    }

    /// Touches this many bytes of memory while the world is made: see [`World::prefault`], also for `progress`. For new
    /// worlds only; call [`World::prefault`] for a resumed or restored one.
    #[must_use]
    pub fn prefault(mut self, bytes: u64, progress: impl FnMut(u64, u64) + Send + 'static) -> Self {
        self.prefault = Some(Prefault { bytes, progress: Box::new(progress) });
        self
    }

    fn make_layout(&mut self) -> Result<Layout, WorldError> {
        let components: Vec<_> = self.components.iter().map(|(_, declared)| declared.clone()).collect();
        let resources: Vec<_> = self.resources.iter().map(|(_, declared)| declared.clone()).collect();
        match self.layout.take() {
            None => {
                let bytes_max = self.bytes_max.or(self.bytes_max_default).unwrap_or(BYTES_MAX_DEFAULT);
                Ok(Layout::new(self.name.clone(), components, resources, std::mem::take(&mut self.tables), bytes_max)?)
            }
            Some(mut layout) => {
                check_types(&layout, &components, &resources)?;
                if let Some(bytes_max) = self.bytes_max.or(self.bytes_max_default) {
                    layout.bytes_max = bytes_max;
                }
                layout.tables.append(&mut self.tables);
                Ok(Layout::new(layout.name, layout.components, layout.resources, layout.tables, layout.bytes_max)?)
            }
        }
    }

    pub(in crate::world) fn registry(&self, layout: Layout) -> Registry {
        let resources: Vec<_> = self
            .resources
            .iter()
            .filter_map(|(ty, declared)| {
                Some((*ty, declared.name.as_str())).filter(|(_, n)| layout.resource(n).is_some())
            })
            .collect();
        Registry::new(Arc::new(layout), &self.components, &resources)
    }

    /// Builds the world.
    ///
    /// # Errors
    /// An invalid layout, types that differ from it, a region that cannot be created.
    pub fn build(mut self) -> Result<World, WorldError> {
        self.check_misfits()?;
        let declared = self.layout.is_some();
        let layout = self.make_layout()?;
        let layout_hash = layout.hash();
        let declared = declared && self.bytes_max_default.is_none() && layout.bytes_max() != BYTES_MAX_DEFAULT;
        let given = self.bytes_max.is_some() || declared;
        let bytes_max =
            if given { layout.bytes_max() } else { Region::within_limits(&self.region, layout.bytes_max()) };
        let mut region = Region::create(&self.region, &layout.encode(), layout_hash, bytes_max)?;
        region.note(&self.notes)?;
        if let Some(Prefault { bytes, mut progress }) = self.prefault.take() {
            region.prefault(bytes, &mut progress)?;
        }
        region.set_keep(self.keep);
        let registry = Arc::new(self.registry(layout));
        let arena = arena::of_new_region(&region);
        let store = Store::new(region, arena, Arc::clone(&registry.layout))?;
        let mut world = World::assemble(store, registry, layout_hash);
        world.store.set_keep(self.keep_generations);
        world.insert_defaults()?;
        world.make_expected_tables()?;
        Ok(world)
    }

    /// Resumes a region whose writer has exited. Registered Rust types are checked against its layout.
    ///
    /// # Errors
    /// As for [`World::resume`], and types that differ from the region's layout.
    pub fn resume(mut self, target: &RegionTarget) -> Result<World, WorldError> {
        self.check_misfits()?;
        let (mut region, layout) = Region::take_over(target)?;
        region.set_keep(true);
        let layout = Layout::decode(&layout)?;
        let components: Vec<_> = self.components.iter().map(|(_, declared)| declared.clone()).collect();
        let resources: Vec<_> = self.resources.iter().map(|(_, declared)| declared.clone()).collect();
        check_types(&layout, &components, &resources)?;
        let layout_hash = layout.hash();
        let registry = Arc::new(self.registry(layout));
        let arena = arena::of_new_region(&region);
        let store = Store::empty(region, arena, Arc::clone(&registry.layout));
        let mut world = World::assemble(store, registry, layout_hash);
        world.store.set_keep(self.keep_generations);
        world.restore_newest()?;
        super::verify::check(&world.store, world.store.published, world.frame)?;
        world.set_keep_region(self.keep);
        Ok(world)
    }
}

/// Whether every Rust type stands in the layout as it is declared.
pub(in crate::world) fn check_types(
    layout: &Layout,
    components: &[ComponentLayout],
    resources: &[ResourceLayout],
) -> Result<(), WorldError> {
    let mut differences = Vec::new();
    for own in components {
        match layout.component(&own.name) {
            None => differences.push(format!("the layout has no component `{}`", own.name)),
            Some((_, declared)) => {
                let fields = |c: &ComponentLayout| {
                    c.fields.iter().map(|f| format!("{}: {}", f.name, f.ty)).collect::<Vec<_>>().join(", ")
                };
                if fields(own) != fields(declared) {
                    differences.push(format!(
                        "component `{}` has {{ {} }} in Rust and {{ {} }} in the layout",
                        own.name,
                        fields(own),
                        fields(declared)
                    ));
                }
                if own.storage != declared.storage {
                    differences.push(format!(
                        "component `{}` is stored as {:?} in Rust and {:?} in the layout",
                        own.name, own.storage, declared.storage
                    ));
                }
                if own.track_changes && !declared.track_changes {
                    differences.push(format!("component `{}` tracks changes in Rust and not in the layout", own.name));
                }
            }
        }
    }
    for own in resources {
        match layout.resource(&own.name) {
            None => differences.push(format!("the layout has no resource `{}`", own.name)),
            Some((_, declared)) => {
                let same = own.fields.len() == declared.fields.len()
                    && own.fields.iter().zip(&declared.fields).all(|(a, b)| a.name == b.name && a.ty == b.ty);
                if !same {
                    differences.push(format!("resource `{}` has other fields in Rust than in the layout", own.name));
                }
            }
        }
    }
    if differences.is_empty() { Ok(()) } else { Err(WorldError::LayoutsDiffer { differences: differences.join("; ") }) }
}

impl World {
    pub(in crate::world) fn assemble(store: Store, registry: Arc<Registry>, layout_hash: u64) -> World {
        World {
            sizes: Arc::new(crate::patch::RecordSizes::new(&registry.layout)),
            store,
            registry,
            layout_hash,
            frame: 0,
            time: 0.0,
            publisher: Publisher::default(),
            edit: crate::world::access::edit::EditScratch::default(),
            prefabs: HashMap::new(),
            queries: crate::world::access::visit::Queries::default(),
        }
    }

    /// A resource whose every field has a default begins with them.
    fn insert_defaults(&mut self) -> Result<(), WorldError> {
        let layout = Arc::clone(&self.registry.layout);
        for (index, resource) in layout.resources().iter().enumerate() {
            if resource.fields.is_empty() || resource.fields.iter().any(|field| field.default.is_none()) {
                continue;
            }
            let value: Vec<u8> = resource.fields.iter().filter_map(|field| field.default.clone()).flatten().collect();
            let at = layout.resource_offset(index) as usize;
            self.store.write_partial(RESOURCES, 0)?;
            let bytes = self.store.column_bytes_mut(RESOURCES, 0);
            bytes[index] = 1;
            bytes[at..at + value.len()].copy_from_slice(&value);
        }
        Ok(())
    }

    fn make_expected_tables(&mut self) -> Result<(), WorldError> {
        let layout = Arc::clone(&self.registry.layout);
        for hint in layout.tables() {
            let ids: Vec<u16> =
                hint.components.iter().map(|name| self.registry.component_named(name)).collect::<Result<_, _>>()?;
            let table = self.table_of(&ids)?;
            self.store.reserve(table, hint.rows)?;
        }
        Ok(())
    }
}
