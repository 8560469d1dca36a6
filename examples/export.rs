//! A state as a Parquet file, for pandas, polars and DuckDB.
//!
//! ```sh
//! cargo run --release --features export --example export
//! ```
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use hypostyle::export::{self, ExportOptions, Format};
use hypostyle::prelude::*;

#[derive(Component, Clone, Copy)]
struct Star {
    mass: f64,
    brightness: f32,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::temp_dir().join(format!("example-{}.parquet", std::process::id()));
    let mut world = World::builder().component::<Star>().build()?;
    world.spawn_batch((1..=5000).map(|i| {
        let mass = f64::from(i) * 0.01;
        Star { mass, brightness: mass.powf(3.5) as f32 }
    }))?;
    world.publish()?;

    let exported = export::write(world.reader()?, &file, Format::Parquet, &ExportOptions::default())?;
    println!("{} rows in {} bytes; python3: pandas.read_parquet({:?})", exported.rows, exported.bytes, exported.path);
    std::fs::remove_file(&file)?;
    Ok(())
}
