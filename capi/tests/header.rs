//! The committed header is what cbindgen makes of the crate.
#![forbid(unsafe_code)]

use std::path::Path;

#[test]
fn the_header_is_up_to_date() {
    let crate_path = Path::new(env!("CARGO_MANIFEST_DIR"));
    let header = crate_path.join("../include/hypostyle.h");
    let config = cbindgen::Config::from_file(crate_path.join("cbindgen.toml")).expect("a good cbindgen.toml");
    let mut sources = cbindgen::Builder::new().with_config(config);
    for file in ["status", "region", "snapshot"] {
        sources = sources.with_src(crate_path.join("src").join(file).with_extension("rs"));
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
