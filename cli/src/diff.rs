//! `diff A B`: what two states have in common and what not: entities, components, values, resources.
//!
//! Entities are matched by their handles, values compared bit by bit. Where rows lie does not matter, nor do frame and
//! time: two states are the same exactly where their hashes are. Of sets of checkpoints entities are matched by their
//! global ids: handles are of the rank that wrote them.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::io::Write;

use hypostyle::columns::RawLists;
use hypostyle::layout::Storage;
use hypostyle::{Entity, FieldType, ScalarType, Snapshot, SnapshotError, TableView};
use serde_json::{Value, json};

use crate::failure::{self, Failure, Outcome};
use crate::format::{Format, put_data};
use crate::source::Source;
use crate::table::Table;
use crate::text;
use crate::values::{self, Number, scalar};

/// The exit code where the two differ.
const DIFFER: u8 = 1;
/// The exit code of a failure that has none of its own: 1 is taken.
const TROUBLE: u8 = failure::USAGE;

/// What to compare.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The first source: a region, a checkpoint, or the manifest of a set of them.
    #[arg(value_name = "A")]
    a: Source,
    /// The second source.
    #[arg(value_name = "B")]
    b: Source,
    /// How many differences of each kind to show.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = crate::numbers::count::<usize>)]
    show: usize,
    /// Match entities by their global ids instead of their handles; a set of checkpoints is always compared so.
    #[arg(long)]
    by_id: bool,
    /// How to print it, `csv` and `ndjson` a row for each part that differs; --json is short for `json`.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Entities that one of the two has, or two rows that differ.
#[derive(Debug, Default)]
struct Found<T> {
    count: u64,
    first: Vec<T>,
}

impl<T> Found<T> {
    fn add(&mut self, show: usize, what: impl FnOnce() -> T) {
        self.count += 1;
        if self.first.len() < show {
            self.first.push(what());
        }
    }
}

/// Where presence differs.
#[derive(Debug)]
struct ComponentDiff {
    name: String,
    only_a: Found<Entity>,
    only_b: Found<Entity>,
}

/// Where values differ.
#[derive(Debug)]
struct ColumnDiff {
    name: String,
    ty: FieldType,
    /// Whether an entity has a list of values rather than one.
    list: bool,
    compared: u64,
    differ: Found<(Entity, Value, Value)>,
    /// The largest absolute difference of two finite numbers.
    largest: Option<f64>,
}

/// All that differs.
#[derive(Debug, Default)]
struct Difference {
    layout: Vec<String>,
    both: u64,
    only_a: Found<Entity>,
    only_b: Found<Entity>,
    components: Vec<ComponentDiff>,
    columns: Vec<ColumnDiff>,
    resources: Vec<(String, Value, Value)>,
    /// Whether entities were matched by their global ids.
    by_id: bool,
    /// The handles of free slots; by ids: where handles in fields lead.
    slots: bool,
}

/// What CSV has of a part that differs.
const COLUMNS: &[&str] = &["part", "name", "differ", "only_a", "only_b", "compared", "largest", "a", "b"];

impl Difference {
    /// A row for each part that differs.
    fn rows(&self) -> Vec<Value> {
        let mut rows: Vec<Value> = self.layout.iter().map(|what| json!({ "part": "layout", "name": what })).collect();
        let (a, b) = (self.only_a.count, self.only_b.count);
        if a + b > 0 {
            rows.push(json!({ "part": "entities", "only_a": a, "only_b": b, "compared": self.both }));
        }
        for found in &self.components {
            let (a, b) = (found.only_a.count, found.only_b.count);
            if a + b > 0 {
                rows.push(json!({ "part": "component", "name": found.name, "only_a": a, "only_b": b }));
            }
        }
        for found in self.columns.iter().filter(|found| found.differ.count > 0) {
            rows.push(json!({
                "part": "column",
                "name": found.name,
                "differ": found.differ.count,
                "compared": found.compared,
                "largest": found.largest,
            }));
        }
        let resources = self.resources.iter();
        rows.extend(resources.map(|(name, a, b)| json!({ "part": "resource", "name": name, "a": a, "b": b })));
        if self.slots {
            rows.push(json!({ "part": if self.by_id { "handles" } else { "free slots" } }));
        }
        rows
    }

    fn is_none(&self) -> bool {
        self.layout.is_empty()
            && self.only_a.count + self.only_b.count == 0
            && self.components.iter().all(|component| component.only_a.count + component.only_b.count == 0)
            && self.columns.iter().all(|column| column.differ.count == 0)
            && self.resources.is_empty()
            && !self.slots
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args, json: bool, out: &mut dyn Write) -> Outcome {
    let trouble = |failure: Failure| match failure.code {
        failure::OTHER => Failure { code: TROUBLE, ..failure },
        _ => failure,
    };
    compare(args, json, out).map_err(trouble).and_then(|same| if same { Ok(()) } else { Err(Failure::told(DIFFER)) })
}

fn compare(args: &Args, json: bool, out: &mut dyn Write) -> Outcome<bool> {
    let (mut a, mut b) = (args.a.open()?, args.b.open()?);
    let (a, b) = (a.reader.pin()?, b.reader.pin()?);
    let is_set = |source: &Source| matches!(source, Source::Set(_));
    let by_id = args.by_id || is_set(&args.a) || is_set(&args.b);
    let found = difference(&a, &b, args.show, by_id)?;
    let format = args.format.or_json(json);
    if format != Format::Table {
        let side = |source: &Source, snapshot: &Snapshot<'_>| {
            json!({
                "region": source.region(),
                "checkpoint": source.checkpoint(),
                "generation": snapshot.generation(),
                "frame": snapshot.frame(),
                "time": snapshot.time(),
                "entities": snapshot.entity_count(),
            })
        };
        let mut data = found.json();
        data["a"] = side(&args.a, &a);
        data["b"] = side(&args.b, &b);
        put_data(format, &data, COLUMNS, &found.rows(), out)?;
    } else {
        let mut table = Table::new(&["", "source", ">generation", ">frame", ">time", ">entities"]);
        for (name, source, snapshot) in [("a", &args.a, &a), ("b", &args.b, &b)] {
            table.row([
                name.to_owned(),
                source.to_string(),
                text::count(snapshot.generation()),
                text::count(snapshot.frame()),
                text::number(snapshot.time()),
                text::count(snapshot.entity_count()),
            ]);
        }
        write!(out, "{table}")?;
        found.put(out)?;
    }
    Ok(found.is_none())
}

fn difference(a: &Snapshot<'_>, b: &Snapshot<'_>, show: usize, by_id: bool) -> Outcome<Difference> {
    let mut found = columns(a, b, by_id);
    let (in_a, in_b) = (Places::of(a, by_id)?, Places::of(b, by_id)?);
    let tables: Vec<TableView<'_>> = b.tables().collect();
    for table in a.tables() {
        let at = in_b.of_rows(&table)?;
        for (entity, at) in table.entities().iter().zip(&at) {
            match at {
                Some(_) => found.both += 1,
                None => found.only_a.add(show, || *entity),
            }
        }
        let pairs = Pairs { a: table, b: &tables, at, show };
        for component in &mut found.components {
            pairs.presence(component)?;
        }
        for column in &mut found.columns {
            if column.list { pairs.lists(column)? } else { pairs.values(column)? }
        }
    }
    for table in &tables {
        for (entity, at) in table.entities().iter().zip(in_a.of_rows(table)?) {
            if at.is_none() {
                found.only_b.add(show, || *entity);
            }
        }
    }
    for resource in a.layout().resources() {
        let Some((_, other)) = b.layout().resource(&resource.name) else { continue };
        let (mine, theirs) = (a.resource_bytes(&resource.name)?, b.resource_bytes(&resource.name)?);
        if mine != theirs {
            let value = |bytes: Option<&[u8]>, fields| bytes.map_or(Value::Null, |bytes| values::packed(fields, bytes));
            found.resources.push((resource.name.clone(), value(mine, &resource.fields), value(theirs, &other.fields)));
        }
    }
    // what is left are the handles that free slots will give out next, or where handles lead
    found.slots = found.is_none()
        && match by_id {
            // the hash has the frame, which is none of a state's content
            true => a.frame() == b.frame() && a.hash_by_id()? != b.hash_by_id()?,
            false => a.hash() != b.hash(),
        };
    Ok(found)
}

/// What both layouts have: the columns to compare.
fn columns(a: &Snapshot<'_>, b: &Snapshot<'_>, by_id: bool) -> Difference {
    let parts = a.layout().difference(b.layout());
    let mut found = Difference {
        layout: parts.iter().filter(|part| part.changes_meaning()).map(ToString::to_string).collect(),
        by_id,
        ..Difference::default()
    };
    for component in a.layout().components() {
        let Some((_, other)) = b.layout().component(&component.name) else { continue };
        let name = component.name.clone();
        found.components.push(ComponentDiff { name, only_a: Found::default(), only_b: Found::default() });
        let list = component.storage == Storage::List && other.storage == Storage::List;
        let fields = match () {
            () if list => &component.fields[..],
            // no part of a generation
            () if other.published_fields().is_empty() => &[],
            () => component.published_fields(),
        };
        for field in fields {
            // handles are of the rank that wrote them
            if by_id && field.ty.scalar == ScalarType::Entity {
                continue;
            }
            if other.fields.iter().any(|theirs| theirs.name == field.name && theirs.ty == field.ty) {
                found.columns.push(ColumnDiff {
                    name: format!("{}.{}", component.name, field.name),
                    ty: field.ty,
                    list,
                    compared: 0,
                    differ: Found::default(),
                    largest: None,
                });
            }
        }
    }
    found
}

/// Where the entities of a state are: by their handles, or by their global ids.
enum Places<'s> {
    Handles(&'s Snapshot<'s>),
    Ids(HashMap<u64, (usize, usize)>),
}

impl<'s> Places<'s> {
    fn of(snapshot: &'s Snapshot<'s>, by_id: bool) -> Outcome<Places<'s>> {
        if !by_id {
            return Ok(Places::Handles(snapshot));
        }
        let mut places = HashMap::new();
        for (index, table) in snapshot.tables().enumerate() {
            for (row, id) in ids(&table)?.iter().enumerate() {
                if places.insert(*id, (index, row)).is_some() {
                    let what = format!("two entities have the global id {id}: they cannot be matched by it");
                    return Err(Failure::new(failure::NOT_USABLE, what));
                }
            }
        }
        Ok(Places::Ids(places))
    }

    /// Where the entities of another state's table are here.
    fn of_rows(&self, table: &TableView<'_>) -> Outcome<Vec<Option<(usize, usize)>>> {
        Ok(match self {
            Places::Handles(snapshot) => table.entities().iter().map(|entity| snapshot.locate(*entity)).collect(),
            Places::Ids(places) => ids(table)?.iter().map(|id| places.get(id).copied()).collect(),
        })
    }
}

/// The global ids of a table's rows.
fn ids<'s>(table: &TableView<'s>) -> Outcome<&'s [u64]> {
    match table.column::<u64>("global_id.value") {
        Ok(Some(ids)) => Ok(ids),
        Ok(None) if table.rows() == 0 => Ok(&[]),
        _ => Err(Failure::usage("entities are matched by their global ids, and some have none (`global_id`)")),
    }
}

/// The rows of one table of A, and where their entities are in B.
struct Pairs<'s> {
    a: TableView<'s>,
    b: &'s [TableView<'s>],
    at: Vec<Option<(usize, usize)>>,
    show: usize,
}

impl Pairs<'_> {
    fn presence(&self, found: &mut ComponentDiff) -> Result<(), SnapshotError> {
        let mine = self.a.presence(&found.name)?;
        let theirs = self.b.iter().map(|table| table.presence(&found.name)).collect::<Result<Vec<_>, _>>()?;
        for (row, at) in self.at.iter().enumerate() {
            let Some((table, other)) = at else { continue };
            let entity = || self.a.entities()[row];
            match (mine.contains(row), theirs[*table].contains(*other)) {
                (true, false) => found.only_a.add(self.show, entity),
                (false, true) => found.only_b.add(self.show, entity),
                _ => {}
            }
        }
        Ok(())
    }

    /// One field of the elements of lists.
    fn lists(&self, found: &mut ColumnDiff) -> Result<(), SnapshotError> {
        let (component, field) = found.name.split_once('.').unwrap_or((&found.name, ""));
        let Some(mine) = self.a.lists_named(component)? else { return Ok(()) };
        let theirs = self.b.iter().map(|table| table.lists_named(component)).collect::<Result<Vec<_>, _>>()?;
        let bytes = found.ty.bytes();
        for (row, at) in self.at.iter().enumerate() {
            let Some((table, place)) = at else { continue };
            let Some(other) = &theirs[*table] else { continue };
            found.compared += 1;
            let (x, y) = (list_of(&mine, field, row, bytes), list_of(other, field, *place, bytes));
            if x != y {
                let value = |list: &[u8]| list.chunks_exact(bytes).map(|one| values::field(found.ty, one)).collect();
                found.differ.add(self.show, || (self.a.entities()[row], value(x), value(y)));
                if x.len() == y.len() {
                    found.largest = found.largest.into_iter().chain(distance(found.ty, x, y)).reduce(f64::max);
                }
            }
        }
        Ok(())
    }

    fn values(&self, found: &mut ColumnDiff) -> Result<(), SnapshotError> {
        let component = found.name.split_once('.').map_or(found.name.as_str(), |(component, _)| component);
        let Some((_, mine)) = self.a.column_bytes(&found.name)? else { return Ok(()) };
        let present = self.a.presence(component)?;
        let mut theirs = Vec::with_capacity(self.b.len());
        for table in self.b {
            let presence = table.presence(component)?;
            theirs.push(table.column_bytes(&found.name)?.map(|(_, bytes)| (bytes, presence)));
        }
        let bytes = found.ty.bytes();
        for (row, at) in self.at.iter().enumerate() {
            let Some((table, place)) = at else { continue };
            let Some((column, presence)) = &theirs[*table] else { continue };
            if !present.contains(row) || !presence.contains(*place) {
                continue;
            }
            found.compared += 1;
            let (x, y) = (&mine[row * bytes..(row + 1) * bytes], &column[place * bytes..(place + 1) * bytes]);
            if x != y {
                let ty = found.ty;
                let entity = self.a.entities()[row];
                found.differ.add(self.show, || (entity, values::field(ty, x), values::field(ty, y)));
                found.largest = found.largest.into_iter().chain(distance(ty, x, y)).reduce(f64::max);
            }
        }
        Ok(())
    }
}

/// The bytes of one field of a row's list.
fn list_of<'s>(lists: &RawLists<'s>, field: &str, row: usize, bytes: usize) -> &'s [u8] {
    let column = lists.columns().find(|(name, ..)| *name == field).map_or(&[][..], |(.., column)| column);
    let start = lists.starts()[row] as usize * bytes;
    &column[start..start + lists.lengths()[row] as usize * bytes]
}

/// The largest distance between two values' finite numbers.
fn distance(ty: FieldType, a: &[u8], b: &[u8]) -> Option<f64> {
    let size = ty.scalar.bytes();
    let one = |(a, b): (&[u8], &[u8])| match (scalar(ty.scalar, a), scalar(ty.scalar, b)) {
        (Number::Integer(a), Number::Integer(b)) if ty.scalar != ScalarType::Bool => {
            Some((a - b).unsigned_abs() as f64)
        }
        (Number::Float(a), Number::Float(b)) => Some((a - b).abs()).filter(|distance| distance.is_finite()),
        _ => None,
    };
    a.chunks_exact(size).zip(b.chunks_exact(size)).filter_map(one).reduce(f64::max)
}

fn list(found: &Found<Entity>) -> String {
    let mut text = found.first.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if found.count > found.first.len() as u64 && !text.is_empty() {
        text.push_str(", ...");
    }
    text
}

impl Difference {
    fn put(&self, out: &mut dyn Write) -> Outcome {
        if self.is_none() {
            return Ok(writeln!(out, "\nthe same: {} entities", text::count(self.both))?);
        }
        for part in &self.layout {
            writeln!(out, "\nlayout: {part}")?;
        }
        let mut table = Table::new(&["entities", ">count", "first"]);
        table.row(["in both".to_owned(), text::count(self.both), String::new()]);
        table.row(["only in a".to_owned(), text::count(self.only_a.count), list(&self.only_a)]);
        table.row(["only in b".to_owned(), text::count(self.only_b.count), list(&self.only_b)]);
        write!(out, "\n{table}")?;
        let mut table = Table::new(&["component", ">only in a", ">only in b", "first"]);
        for component in self.components.iter().filter(|found| found.only_a.count + found.only_b.count > 0) {
            let first: Vec<_> = [list(&component.only_a), list(&component.only_b)]
                .into_iter()
                .filter(|text| !text.is_empty())
                .collect();
            let (a, b) = (text::count(component.only_a.count), text::count(component.only_b.count));
            table.row([component.name.clone(), a, b, first.join(" | ")]);
        }
        if !table.is_empty() {
            write!(out, "\n{table}")?;
        }
        let mut table = Table::new(&["column", ">differ", ">of", ">largest", "first"]);
        for column in self.columns.iter().filter(|found| found.differ.count > 0) {
            let first = column.differ.first.iter().map(|(entity, a, b)| format!("{entity}: {a} | {b}"));
            table.row([
                column.name.clone(),
                text::count(column.differ.count),
                text::count(column.compared),
                column.largest.map_or_else(|| "-".to_owned(), text::number),
                first.collect::<Vec<_>>().join(", "),
            ]);
        }
        if !table.is_empty() {
            write!(out, "\n{table}")?;
        }
        if !self.resources.is_empty() {
            let mut table = Table::new(&["resource", "a", "b"]);
            for (name, a, b) in &self.resources {
                table.row([name.clone(), a.to_string(), b.to_string()]);
            }
            write!(out, "\n{table}")?;
        }
        if self.slots {
            let what = if self.by_id {
                "handles in fields lead to other entities"
            } else {
                "the handles of free slots differ"
            };
            writeln!(out, "\n{what}")?;
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let handles = |found: &Found<Entity>| found.first.iter().map(ToString::to_string).collect::<Vec<_>>();
        let component = |found: &ComponentDiff| {
            json!({
                "name": found.name,
                "only_a": found.only_a.count,
                "only_b": found.only_b.count,
                "first_only_a": handles(&found.only_a),
                "first_only_b": handles(&found.only_b),
            })
        };
        let column = |found: &ColumnDiff| {
            let first = found.differ.first.iter();
            json!({
                "name": found.name,
                "compared": found.compared,
                "differ": found.differ.count,
                "largest": found.largest,
                "first": first.map(|(entity, a, b)| json!({ "entity": entity.to_string(), "a": a, "b": b })).collect::<Vec<_>>(),
            })
        };
        let resource = |(name, a, b): &(String, Value, Value)| json!({ "name": name, "a": a, "b": b });
        json!({
            "same": self.is_none(),
            "layout": self.layout,
            "entities": {
                "both": self.both,
                "only_a": self.only_a.count,
                "only_b": self.only_b.count,
                "first_only_a": handles(&self.only_a),
                "first_only_b": handles(&self.only_b),
            },
            "components": self.components.iter().map(component).collect::<Vec<_>>(),
            "columns": self.columns.iter().map(column).collect::<Vec<_>>(),
            "resources": self.resources.iter().map(resource).collect::<Vec<_>>(),
            "by_id": self.by_id,
            "free_slots_differ": self.slots && !self.by_id,
            "handles_differ": self.slots && self.by_id,
        })
    }
}
