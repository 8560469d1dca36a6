//! The committed header is what cbindgen makes of the crate.
#![forbid(unsafe_code)]

use std::path::Path;

/// Files with functions that C calls, in the header's order.
const EXPORTING: [&str; 4] = ["status", "region", "snapshot", "lists"];

#[test]
fn no_file_that_exports_is_left_out() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in std::fs::read_dir(sources).expect("there are sources") {
        let path = entry.expect("a file").path();
        let exports = std::fs::read_to_string(&path).expect("UTF-8").contains("#[unsafe(no_mangle)]");
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
        assert_eq!(exports, EXPORTING.contains(&name), "{}", path.display());
    }
}

#[test]
fn the_header_is_up_to_date() {
    let crate_path = Path::new(env!("CARGO_MANIFEST_DIR"));
    let header = crate_path.join("../include/hypostyle.h");
    let config = cbindgen::Config::from_file(crate_path.join("cbindgen.toml")).expect("a good cbindgen.toml");
    let mut sources = cbindgen::Builder::new().with_config(config);
    let source = |file: &str| crate_path.join("src").join(file).with_extension("rs");
    for file in EXPORTING {
        sources = sources.with_src(source(file));
    }
    let mut made = Vec::new();
    sources.generate().expect("the sources can be read").write(&mut made);
    let made = String::from_utf8(made).expect("UTF-8");
    if std::env::var_os("HYPOSTYLE_BLESS").is_some() {
        std::fs::write(&header, &made).expect("the header can be written");
    }
    let committed = std::fs::read_to_string(&header).unwrap_or_default();
    assert!(made == committed, "{} is out of date; HYPOSTYLE_BLESS=1 writes it anew", header.display());
}
