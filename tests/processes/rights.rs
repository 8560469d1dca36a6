//! Who may write a region, by the system's own account: what a reader has open and mapped, and what becomes of attempts
//! to have more, by the same user and by another.
#![forbid(unsafe_code)]

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use hypostyle::{RegionTarget, Simulation, Workers};

use crate::hostile;
use crate::scenes;
use crate::support::{Actor, Setting, fresh_region, newest};

fn start(region: RegionTarget) -> Simulation {
    let setting = Setting::new("sealed", Workers::Local);
    let mut simulation = setting.start(scenes::world("sealed", region, 500, 0), 9);
    simulation.run(2, scenes::DT).unwrap();
    simulation
}

/// Where a region of these tests is.
fn folder(region: &RegionTarget) -> PathBuf {
    region.path().unwrap().unwrap()
}

/// An answer as one word: `done`, or the error's number.
fn word(answer: io::Result<()>) -> String {
    match answer {
        Ok(()) => "done".to_owned(),
        Err(error) => error.raw_os_error().map_or_else(|| error.to_string(), |errno| errno.to_string()),
    }
}

/// The files of a directory that this process has mapped, as often as it has, with the access that it has.
fn mapped(folder: &Path) -> Vec<(String, String)> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let of = |line: &str| {
        let (path, access) = (line.split_whitespace().nth(5)?, line.split_whitespace().nth(1)?);
        let name = Path::new(path).strip_prefix(folder).ok()?;
        Some((name.to_string_lossy().into_owned(), access.to_owned()))
    };
    maps.lines().filter_map(of).collect()
}

/// The files of a directory that this process has open: their names and descriptors.
fn open_files(folder: &Path) -> Vec<(String, String)> {
    let of = |entry: fs::DirEntry| {
        let leads_to = fs::read_link(entry.path()).ok()?;
        let name = leads_to.strip_prefix(folder).ok()?.to_string_lossy().into_owned();
        (!name.is_empty()).then(|| (name, entry.path().to_string_lossy().into_owned()))
    };
    fs::read_dir("/proc/self/fd").unwrap().flatten().filter_map(of).collect()
}

/// Whether a descriptor can be written by.
fn is_writable(descriptor: &str) -> bool {
    let info = fs::read_to_string(descriptor.replace("/fd/", "/fdinfo/")).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
    i32::from_str_radix(flags.trim(), 8).unwrap() & libc::O_ACCMODE != libc::O_RDONLY
}

/// Writes through the file of this process's memory, for which the protection of pages counts for nothing.
fn write_by_memory<T>(shared: &[T]) -> io::Result<()> {
    let memory = OpenOptions::new().write(true).open("/proc/self/mem")?;
    memory.write_all_at(&[0xA5], shared.as_ptr().addr() as u64)
}

fn reopen(path: &str) -> io::Result<()> {
    OpenOptions::new().read(true).write(true).open(path).map(drop)
}

/// The role of a reader that reports what it has and what it can come to have; `stranger`: as another user, from when
/// it has opened the region on.
pub fn report(target: &RegionTarget, writer: u32, stranger: bool) {
    let folder = folder(target);
    let mut reader = hostile::open(target).unwrap();
    let snapshot = reader.pin().unwrap();
    let before = snapshot.hash();
    if stranger {
        hostile::become_nobody();
    }
    let handles = snapshot.tables().next().unwrap().entities();
    for (name, access) in mapped(&folder) {
        println!("mapped {name} {access}");
    }
    for (name, descriptor) in open_files(&folder) {
        println!("open {name} {}", if is_writable(&descriptor) { "to write" } else { "to read" });
        println!("reopen {name} {}", word(reopen(&descriptor)));
    }
    println!("protect {}", word(hostile::make_writable(handles)));
    println!("memory {}", word(write_by_memory(handles)));
    println!("writer {}", word(hostile::write_into(writer, handles)));
    for name in ["data", "control", "leases"] {
        println!("path {name} {}", word(reopen(&folder.join(name).to_string_lossy())));
    }
    let opened = hostile::open(target).map(drop);
    println!("again {}", if opened.is_ok() { "done" } else { "refused" });
    println!("same {}", snapshot.hash() == before);
    io::stdout().flush().unwrap();
}

fn said(region: &RegionTarget, role: &str) -> Vec<String> {
    let (lines, status) = Actor::start(&[role, &region.to_string(), &std::process::id().to_string()]).finish();
    assert!(status.success(), "{status}: {lines:?}");
    lines
}

/// The lines that begin with these words, without them.
fn answers<'a>(lines: &'a [String], of: &str) -> Vec<&'a str> {
    lines.iter().filter_map(|line| line.strip_prefix(of)?.strip_prefix(' ')).collect()
}

/// What every reader has: data and control to read, its lease's page to write, and no way from the one to the other.
fn assert_reads_only(lines: &[String]) {
    for name in ["data", "control"] {
        let maps = answers(lines, &format!("mapped {name}"));
        assert!(!maps.is_empty() && maps.iter().all(|access| *access == "r--s"), "{name}: {maps:?}");
        let opened = answers(lines, &format!("open {name}"));
        assert!(opened.iter().all(|access| *access == "to read"), "{name}: {opened:?}");
    }
    assert_eq!(answers(lines, "open data"), ["to read"]);
    assert_eq!(answers(lines, "protect"), [libc::EACCES.to_string()]);
    // by the page's protection, or already by who may open the file
    let refusals = [libc::EIO, libc::EFAULT, libc::EACCES, libc::EPERM].map(|errno| errno.to_string());
    let memory = answers(lines, "memory");
    assert!(memory.len() == 1 && refusals.iter().any(|refusal| refusal == memory[0]), "{memory:?}");
    assert_eq!(answers(lines, "same"), ["true"]);
}

/// Neither through its map, nor by the file of its memory. That the same user can open the files is said, too.
pub fn a_reader_of_the_same_user() {
    let region = fresh_region();
    let mut simulation = start(region.clone());
    let before = newest(&mut simulation.world().reader().unwrap());
    let lines = said(&region, "rights");
    assert_reads_only(&lines);
    // the files belong to the user: their modes keep others out, not it
    for file in ["data", "control", "leases"] {
        assert_eq!(answers(&lines, &format!("path {file}")), ["done"]);
    }
    assert_eq!(answers(&lines, "reopen data"), ["done"]);
    assert_eq!(newest(&mut simulation.world().reader().unwrap()), before);
    simulation.step(scenes::DT).unwrap();
}

/// Another user opens nothing; one to whom open files were left can read by them and gets no more.
pub fn a_reader_of_another_user() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED rights::a_reader_of_another_user: only root can become another user");
        return;
    }
    let folder_of_tests = std::env::temp_dir().join(format!("hypostyle-rights-{}", std::process::id()));
    for target in [fresh_region(), RegionTarget::Directory(folder_of_tests)] {
        let mut simulation = start(target.clone());
        let before = newest(&mut simulation.world().reader().unwrap());
        let lines = said(&target, "stranger");
        assert_reads_only(&lines);
        let refused = libc::EACCES.to_string();
        let reopened = answers(&lines, "reopen");
        assert!(
            reopened.len() >= 2 && reopened.iter().all(|answer| answer.ends_with(&format!(" {refused}"))),
            "{reopened:?}"
        );
        for file in ["data", "control", "leases"] {
            assert_eq!(answers(&lines, &format!("path {file}")), [refused.as_str()]);
        }
        assert_eq!(answers(&lines, "writer"), [libc::EPERM.to_string()]);
        assert_eq!(answers(&lines, "again"), ["refused"]);
        assert_eq!(newest(&mut simulation.world().reader().unwrap()), before);
        simulation.step(scenes::DT).unwrap();
        drop(simulation);
        assert!(!folder(&target).exists());
    }
}
