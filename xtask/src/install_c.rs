//! The C interface, installed: header, libraries with a SONAME, and what pkg-config and CMake read.
//!
//! ```text
//! PREFIX/include/hypostyle.h
//! PREFIX/lib/libhypostyle_c.a
//! PREFIX/lib/libhypostyle_c.so -> libhypostyle_c.so.0 -> libhypostyle_c.so.0.1.0
//! PREFIX/lib/pkgconfig/hypostyle.pc
//! PREFIX/lib/cmake/Hypostyle/HypostyleConfig.cmake, HypostyleConfigVersion.cmake
//! ```
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::process::run;
use crate::report::Outcome;
use crate::tools::{cargo, root, target_directory};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How long building and installing may take.
const BUILD: Duration = Duration::from_mins(20);
/// What a program that links the archive needs beside it.
const PRIVATE: &str = "-lpthread -ldl -lm";

/// Builds the libraries and installs them.
pub(crate) fn install(prefix: &Path) -> Outcome {
    match installed(prefix, "release", BUILD) {
        Ok(()) => Outcome::Passed(prefix.display().to_string()),
        Err(why) => Outcome::Failed(why),
    }
}

/// Installs into a directory of its own, and builds the example as its users would.
pub(crate) fn test(left: Duration) -> Outcome {
    let begun = Instant::now();
    let prefix = root().join("target/c-prefix");
    let _ = std::fs::remove_dir_all(&prefix);
    let left = || left.saturating_sub(begun.elapsed());
    let used = installed(&prefix, "dev", left()).and_then(|()| uses(&prefix, left()));
    match used.and_then(|how| Ok(format!("{how}; {}", cmake(&prefix, left())?))) {
        Ok(how) => Outcome::Passed(how),
        Err(why) => Outcome::Failed(why),
    }
}

fn soname() -> String {
    format!("libhypostyle_c.so.{}", VERSION.split('.').next().unwrap_or_default())
}

fn installed(prefix: &Path, profile: &str, left: Duration) -> Result<(), String> {
    let words =
        format!("rustc --locked --package hypostyle-c --lib --profile {profile} --crate-type cdylib,staticlib --");
    let mut build = cargo(&words);
    build.arg(format!("-Clink-arg=-Wl,-soname,{}", soname()));
    if let Some(error) = run(&mut build, left).error() {
        return Err(format!("the libraries: {error}"));
    }
    let target = target_directory();
    let built = target.join(if profile == "dev" { "debug" } else { profile });
    copied(prefix, &built).map_err(|error| format!("{}: {error}", prefix.display()))
}

fn copied(prefix: &Path, built: &Path) -> std::io::Result<()> {
    let (include, lib) = (prefix.join("include"), prefix.join("lib"));
    let (pkgconfig, cmake) = (lib.join("pkgconfig"), lib.join("cmake/Hypostyle"));
    for directory in [&include, &pkgconfig, &cmake] {
        std::fs::create_dir_all(directory)?;
    }
    std::fs::copy(root().join("include/hypostyle.h"), include.join("hypostyle.h"))?;
    std::fs::copy(built.join("libhypostyle_c.a"), lib.join("libhypostyle_c.a"))?;
    let full = format!("libhypostyle_c.so.{VERSION}");
    std::fs::copy(built.join("libhypostyle_c.so"), lib.join(&full))?;
    link(&full, &lib.join(soname()))?;
    link(&soname(), &lib.join("libhypostyle_c.so"))?;
    // absolute, so that the files mean the same wherever they are read from
    let prefix = prefix.canonicalize()?;
    std::fs::write(pkgconfig.join("hypostyle.pc"), pc(&prefix))?;
    std::fs::write(cmake.join("HypostyleConfig.cmake"), CMAKE)?;
    std::fs::write(cmake.join("HypostyleConfigVersion.cmake"), CMAKE_VERSION.replace("@VERSION@", VERSION))
}

/// Makes a symbolic link, in place of one that is there.
fn link(to: &str, at: &Path) -> std::io::Result<()> {
    if at.symlink_metadata().is_ok() {
        std::fs::remove_file(at)?;
    }
    #[cfg(unix)]
    return std::os::unix::fs::symlink(to, at);
    #[cfg(not(unix))]
    return std::fs::copy(at.with_file_name(to), at).map(drop);
}

fn pc(prefix: &Path) -> String {
    format!(
        "prefix={}\nincludedir=${{prefix}}/include\nlibdir=${{prefix}}/lib\n\nName: hypostyle\n\
         Description: Reads live hypostyle simulations in place\nVersion: {VERSION}\n\
         Cflags: -I${{includedir}}\nLibs: -L${{libdir}} -lhypostyle_c\nLibs.private: {PRIVATE}\n",
        prefix.display()
    )
}

const CMAKE: &str = r#"# find_package(Hypostyle) gives the targets Hypostyle::hypostyle and Hypostyle::hypostyle_static.
get_filename_component(_hypostyle_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
if(NOT TARGET Hypostyle::hypostyle)
  add_library(Hypostyle::hypostyle SHARED IMPORTED)
  set_target_properties(Hypostyle::hypostyle PROPERTIES
    IMPORTED_LOCATION "${_hypostyle_prefix}/lib/libhypostyle_c.so"
    INTERFACE_INCLUDE_DIRECTORIES "${_hypostyle_prefix}/include")
  add_library(Hypostyle::hypostyle_static STATIC IMPORTED)
  set_target_properties(Hypostyle::hypostyle_static PROPERTIES
    IMPORTED_LOCATION "${_hypostyle_prefix}/lib/libhypostyle_c.a"
    INTERFACE_INCLUDE_DIRECTORIES "${_hypostyle_prefix}/include"
    INTERFACE_LINK_LIBRARIES "pthread;dl;m")
endif()
unset(_hypostyle_prefix)
"#;

/// Versions with the same first number are compatible; before 1.0 the second number counts too.
const CMAKE_VERSION: &str = r#"set(PACKAGE_VERSION "@VERSION@")
string(REGEX MATCH "^[0-9]+\\.[0-9]+" _hypostyle_own "${PACKAGE_VERSION}")
string(REGEX MATCH "^[0-9]+\\.[0-9]+" _hypostyle_asked "${PACKAGE_FIND_VERSION}")
if(_hypostyle_own STREQUAL _hypostyle_asked AND NOT PACKAGE_VERSION VERSION_LESS PACKAGE_FIND_VERSION)
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
endif()
if(PACKAGE_VERSION VERSION_EQUAL PACKAGE_FIND_VERSION)
  set(PACKAGE_VERSION_EXACT TRUE)
endif()
"#;

/// Compiles the example against what was installed and starts it; how the flags were found.
fn uses(prefix: &Path, left: Duration) -> Result<&'static str, String> {
    let asked = Command::new("pkg-config")
        .args(["--cflags", "--libs", "hypostyle"])
        .env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"))
        .output();
    let (flags, how) = match asked {
        Ok(answer) if answer.status.success() => {
            (String::from_utf8_lossy(&answer.stdout).into_owned(), "by pkg-config")
        }
        Ok(answer) => return Err(format!("pkg-config: {}", String::from_utf8_lossy(&answer.stderr).trim())),
        Err(_) => {
            let at = prefix.display();
            (format!("-I{at}/include -L{at}/lib -lhypostyle_c"), "without pkg-config, which is not installed")
        }
    };
    let program = prefix.join("read");
    let mut compile = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    compile
        .args(["-std=c11", "-o"])
        .arg(&program)
        .arg(root().join("capi/examples/read.c"))
        .args(flags.split_whitespace());
    if let Some(error) = run(&mut compile, left).error() {
        return Err(format!("the example does not compile: {error}"));
    }
    starts(Command::new(&program).env("LD_LIBRARY_PATH", prefix.join("lib")))?;
    Ok(how)
}

/// Without arguments the example says how it is called, code 2: then the loader found the library by its SONAME.
fn starts(example: &mut Command) -> Result<(), String> {
    let started = example.output().map_err(|error| format!("the example does not start: {error}"))?;
    match started.status.code() {
        Some(2) => Ok(()),
        code => Err(format!("the example ends with {code:?}: {}", String::from_utf8_lossy(&started.stderr).trim())),
    }
}

/// Two programs that find the libraries, shared and static, and one that wants another version; `@NAME@` is filled in.
const CMAKE_USER: &str = r#"cmake_minimum_required(VERSION 3.13)
project(user C)
set(CMAKE_C_STANDARD 11)
find_package(Hypostyle 99 QUIET PATHS @PREFIX@ NO_DEFAULT_PATH)
if(Hypostyle_FOUND)
  message(FATAL_ERROR "version 99 was found")
endif()
find_package(Hypostyle @VERSION@ EXACT REQUIRED PATHS @PREFIX@ NO_DEFAULT_PATH)
add_executable(shared @SOURCE@)
target_link_libraries(shared Hypostyle::hypostyle)
add_executable(static @SOURCE@)
target_link_libraries(static Hypostyle::hypostyle_static)
"#;

/// Builds and starts the example as a project of CMake does; how it went.
fn cmake(prefix: &Path, left: Duration) -> Result<&'static str, String> {
    if Command::new("cmake").arg("--version").output().is_err() {
        return Ok("NOT by CMake, which is not installed");
    }
    let project = prefix.join("cmake-user");
    let lists = CMAKE_USER
        .replace("@PREFIX@", &prefix.display().to_string())
        .replace("@VERSION@", VERSION)
        .replace("@SOURCE@", &root().join("capi/examples/read.c").display().to_string());
    std::fs::create_dir_all(&project)
        .and_then(|()| std::fs::write(project.join("CMakeLists.txt"), lists))
        .map_err(|error| format!("{}: {error}", project.display()))?;
    let build = project.join("build");
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(&project).arg("-B").arg(&build);
    let mut make = Command::new("cmake");
    make.arg("--build").arg(&build);
    for (what, command) in [("is not configured", &mut configure), ("is not built", &mut make)] {
        if let Some(error) = run(command, left).error() {
            return Err(format!("the example {what} by CMake: {error}"));
        }
    }
    for program in ["shared", "static"] {
        starts(&mut Command::new(build.join(program))).map_err(|error| format!("by CMake, {program}: {error}"))?;
    }
    Ok("by CMake, shared and static")
}
