//! Sets as a program meets them: handles between the files of one rank, manifests that were damaged.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::path::{Path, PathBuf};

use super::super::{CheckpointError, CheckpointOptions, write};
use super::{CheckpointSet, SetFile};
use crate::{Component, Entity, GlobalId, World};

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Mass {
    kg: f64,
}

/// In another table than what it leads to.
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Follows {
    whom: Entity,
}

fn builder() -> crate::WorldBuilder {
    World::builder().component::<GlobalId>().component::<Mass>().component::<Follows>().bytes_max(1 << 24)
}

/// A rank with stones of these ids, last first, and for each one that follows it.
fn rank(ids: std::ops::Range<u64>) -> World {
    let mut world = builder().build().unwrap();
    for id in ids.rev() {
        let stone = world.spawn((GlobalId::root(id), Mass { kg: id as f64 })).unwrap();
        world.spawn((GlobalId::root(1000 + id), Follows { whom: stone })).unwrap();
    }
    world.publish().unwrap();
    world
}

fn set_of(directory: &Path, ranks: &[World], order: &[&str]) -> Result<CheckpointSet, CheckpointError> {
    let manifest = CheckpointSet::path_of(directory, "stones", 0);
    std::fs::create_dir_all(manifest.with_extension("")).unwrap();
    let mut files = Vec::new();
    for (rank, world) in ranks.iter().enumerate() {
        let path = CheckpointSet::file_path_of(&manifest, rank);
        write(&world.reader().unwrap().pin().unwrap(), &path, &CheckpointOptions::default()).unwrap();
        files.push(SetFile::of(&path).unwrap());
    }
    let notes = vec![("what".to_owned(), "a \"quoted\" \\ text\nof two lines".to_owned())];
    CheckpointSet::write(&manifest, 0, files, order.iter().map(|name| (*name).to_owned()).collect(), notes)
}

#[test]
fn handles_lead_where_they_led_and_rows_stand_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let set = set_of(directory.path(), &[rank(5..9), rank(0..5), rank(9..12)], &["global_id.value"]).unwrap();
    assert_eq!(CheckpointSet::open(set.path()).unwrap(), set);
    let world = set.restore(builder()).unwrap();
    assert_eq!(world.entity_count(), 24);
    let mut ids = Vec::new();
    for table in 0..world.table_count() {
        let entities: Vec<Entity> = world.table_entities(table).to_vec();
        let of_table: Vec<u64> = entities.iter().map(|entity| world.get::<GlobalId>(*entity).unwrap().value).collect();
        assert!(of_table.is_sorted(), "{of_table:?}");
        for (entity, id) in entities.iter().zip(&of_table) {
            if let Ok(follows) = world.get::<Follows>(*entity) {
                let whom = world.get::<GlobalId>(follows.whom).unwrap().value;
                assert_eq!(1000 + whom, *id, "a handle leads to whom it led");
            }
        }
        ids.extend(of_table);
    }
    ids.sort_unstable();
    assert_eq!(ids, (0..12).chain(1000..1012).collect::<Vec<_>>());
    assert_eq!(set.load().unwrap().pin().unwrap().hash_by_id().unwrap(), world.hash_by_id().unwrap());
    // of no files there are no rows, of the only one nothing changes
    assert_eq!(set.restore_files(&[], builder()).unwrap().entity_count(), 0);
    let one = set_of(directory.path(), &[rank(5..9)], &["global_id.value"]).unwrap();
    let mut as_it_was = rank(5..9).reader().unwrap();
    assert_eq!(one.load().unwrap().pin().unwrap().hash(), as_it_was.pin().unwrap().hash());
}

/// Whoever reads the region from its first generation on sees all rows.
#[cfg(target_os = "linux")]
#[test]
fn in_a_region_rows_appear_all_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let set = set_of(directory.path(), &[rank(0..3), rank(3..5)], &["global_id.value"]).unwrap();
    let region = crate::RegionTarget::Directory(directory.path().join("region"));
    let world = set.restore(builder().region(region).keep_generations(8)).unwrap();
    let mut reader = world.reader().unwrap();
    let frames = reader.frames();
    assert_eq!(frames.len(), 1, "{frames:?}");
    assert_eq!(reader.pin().unwrap().entity_count(), 10);
    let private = set.restore(builder()).unwrap();
    assert_eq!(private.reader().unwrap().pin().unwrap().hash(), reader.pin().unwrap().hash());
}

#[test]
fn an_order_that_is_none_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    for (order, what) in [("mass.kg", "whole number"), ("mass.pounds", "`pounds`")] {
        let set = set_of(directory.path(), &[rank(0..3), rank(3..5)], &[order]).unwrap();
        let error = set.load().err().unwrap().to_string();
        assert!(error.contains(what), "{error}");
    }
}

fn parse(text: &str) -> Result<CheckpointSet, CheckpointError> {
    CheckpointSet::parse(&PathBuf::from("stones-000000000000.checkpoints"), text)
}

#[test]
fn a_manifest_with_a_mistake_says_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let set = set_of(directory.path(), &[rank(0..3), rank(3..5)], &["global_id.value"]).unwrap();
    let text = std::fs::read_to_string(set.path()).unwrap();
    assert!(parse(&text).is_ok());
    for (from, to, what) in [
        ("hypostyle_checkpoints = 1", "hypostyle_checkpoints = 2", "its format is 2"),
        ("hypostyle_checkpoints", "checkpoints", "it is no manifest"),
        ("frame = 0", "frame = \"0\"", "`frame` must be a whole number"),
        ("frame = 0", "frame = -1", "`frame` must be a whole number"),
        ("rows = 10", "rows = 11", "do not have the rows"),
        ("rows = 6", "rows = 18446744073709551615", "do not have the rows"),
        ("order = [\"global_id.value\"]", "order = [1]", "a column of `order` must be a text"),
        ("order = [\"global_id.value\"]", "", "`order` is missing"),
        ("[notes]", "[other]", "`notes` must be a table"),
        ("hash = \"", "hash = \"+", "32 hexadecimal digits"),
        ("[[files]]", "[[others]]", "files"),
    ] {
        assert!(text.contains(from), "{from}");
        let error = parse(&text.replacen(from, to, 2)).unwrap_err().to_string();
        assert!(error.contains(what), "{from} -> {to}: {error}");
    }
    assert!(CheckpointSet::write(set.path(), 0, Vec::new(), Vec::new(), Vec::new()).is_err(), "no files");
    assert!(CheckpointSet::open(set.path()).is_ok(), "it is still there");
    // a manifest replaces no other file
    let other = directory.path().join("other.checkpoints");
    std::fs::write(&other, "something of somebody").unwrap();
    let error = CheckpointSet::write(&other, 0, set.files().to_vec(), Vec::new(), Vec::new()).unwrap_err();
    assert!(matches!(error, CheckpointError::Taken { .. }), "{error}");
}

#[test]
fn sets_are_found_newest_first_and_removed_whole() {
    let directory = tempfile::tempdir().unwrap();
    let set = set_of(directory.path(), &[rank(0..3), rank(3..5)], &[]).unwrap();
    let newer = CheckpointSet::path_of(directory.path(), "stones", 7);
    std::fs::create_dir(newer.with_extension("")).unwrap();
    for rank in 0..2 {
        std::fs::copy(set.file_path(rank), CheckpointSet::file_path_of(&newer, rank)).unwrap();
    }
    let newer = CheckpointSet::write(&newer, 7, set.files().to_vec(), Vec::new(), Vec::new()).unwrap();
    let newest = |prefix| CheckpointSet::newest(directory.path(), prefix).unwrap();
    assert_eq!(newest(Some("stones")), Some(newer.clone()));
    assert_eq!(newest(Some("stone")), None);
    assert_eq!(CheckpointSet::newest(&directory.path().join("nowhere"), None).unwrap(), None);
    // its files are of frame 0, and it says 7
    assert!(newer.load().err().unwrap().to_string().contains("of frame 0, and the set of frame 7"));
    std::fs::remove_file(newer.file_path(1)).unwrap();
    assert_eq!(newest(None), Some(set.clone()), "the newer one is not complete");
    newer.remove().unwrap();
    assert_eq!(CheckpointSet::in_directory(directory.path(), None).unwrap(), std::slice::from_ref(&set));
    set.remove().unwrap();
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}
