//! What dead processes left in a directory, while others work there.

use std::time::{Duration, SystemTime};

use super::super::files::LOCK;
use super::shared::names;
use super::*;
use crate::primitive::Ordering;

/// What dead processes left is found by kind and by age, and what is young or locked is left alone.
#[test]
fn residue_is_listed_by_kind_and_age() {
    let parent = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| parent.path().join(name);
    let long_ago = SystemTime::now() - Duration::from_secs(7200);
    let file = |name: &str, old: bool| {
        std::fs::write(path(name), "half a file").expect("writes");
        let file = std::fs::File::options().write(true).open(path(name)).expect("opens");
        if old {
            file.set_modified(long_ago).expect("sets the time");
        }
        file
    };
    file(".hypostyle-tmp-1-0", true);
    file(".hypostyle-tmp-1-1", false);
    let locked = file(".hypostyle-tmp-1-2", true);
    locked.lock().expect("locks");
    file("notes", true);
    std::os::unix::fs::symlink("notes", path(".hypostyle-tmp-1-3")).expect("links");
    let half_made = path(".hypostyle-tmp-2-0123456789abcdef");
    std::fs::create_dir(&half_made).expect("a directory");
    std::fs::write(half_made.join(LOCK), "").expect("writes");
    std::fs::File::open(&half_made).and_then(|file| file.set_modified(long_ago)).expect("sets the time");
    let found = residue(Some(parent.path()), Duration::from_secs(3600)).expect("lists");
    let told: Vec<_> = found.iter().map(|residue| (residue.path.clone(), residue.kind.to_string())).collect();
    let half_written = (path(".hypostyle-tmp-1-0"), "half-written file".to_owned());
    assert_eq!(told, [half_written, (half_made.clone(), "half-made region".to_owned())]);
    assert!(residue(Some(parent.path()), Duration::from_secs(10_000)).expect("lists").is_empty(), "too young");
    assert_eq!(names(parent.path()).len(), 6, "listing removes nothing");
    assert_eq!(clean_stale(Some(parent.path()), Duration::from_secs(3600)).expect("cleans").len(), 2);
    let mut left = names(parent.path());
    left.sort();
    assert_eq!(left, [".hypostyle-tmp-1-1", ".hypostyle-tmp-1-2", ".hypostyle-tmp-1-3", "notes"]);
    // memory of workers has its place, and a name alone is not enough
    let named = crate::os::named_root().expect("Linux has one").join("hypostyle-worker-residue-test");
    std::fs::write(&named, "memory").expect("writes");
    std::fs::File::options()
        .write(true)
        .open(&named)
        .and_then(|file| file.set_modified(long_ago))
        .expect("sets the time");
    let found = residue(None, Duration::from_secs(3600)).expect("lists");
    let memory = found.iter().find(|residue| residue.path == named).expect("it is found");
    assert!(matches!(memory.kind, ResidueKind::WorkerMemory) && memory.bytes == 6, "{memory:?}");
    memory.remove().expect("nobody holds it");
    assert!(!named.exists());
}

#[test]
fn residue_is_listed_while_files_come_and_go() {
    let parent = tempfile::tempdir().expect("a directory");
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let paths: Vec<_> = (0..50).map(|number| parent.path().join(format!("file-{number}"))).collect();
            while !over.load(Ordering::Relaxed) {
                paths.iter().for_each(|path| std::fs::write(path, "").expect("writes"));
                paths.iter().for_each(|path| std::fs::remove_file(path).expect("removes"));
            }
        });
        let found: Vec<_> = (0..2000).map(|_| residue(Some(parent.path()), Duration::ZERO)).collect();
        over.store(true, Ordering::Relaxed);
        assert!(found.iter().all(|found| found.as_ref().is_ok_and(Vec::is_empty)), "{found:?}");
    });
}
