//! A second process steers: inputs go into a mailbox beside the region, and are applied when a frame begins.
//!
//! ```sh
//! cargo run --release --example inputs
//! ```
#![expect(unsafe_code, reason = "opens a region, whose files nobody else may write")]
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use hypostyle::prelude::*;

#[derive(Component, Clone, Copy)]
struct Car {
    x: f64,
}

#[derive(Resource, Clone, Copy)]
struct Pedal {
    speed: f64,
}

/// What the other process does.
fn steer(region: &str) -> Result<(), Box<dyn std::error::Error>> {
    // SAFETY: the region is that of the example's own writer, which writes as a region is to be written.
    let reader = unsafe { Reader::open(&RegionTarget::Named(region.to_owned())) }?;
    let mut inputs = reader.inputs()?.ok_or("this simulation takes no inputs")?;
    inputs.send("pedal", &3.0f64.to_le_bytes())?;
    println!("the other process: pedal at 3 m/s");
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if let Some(region) = std::env::args().nth(1) {
        return steer(&region);
    }
    let region = format!("example-inputs-{}", std::process::id());
    let target = RegionTarget::Named(region.clone());
    let mut world = World::builder().component::<Car>().resource::<Pedal>().region(target).build()?;
    let car = world.spawn(Car { x: 0.0 })?;
    world.insert_resource(Pedal { speed: 1.0 })?;
    let mut schedule = Schedule::new();
    schedule.add(
        System::try_rows::<Write<Car>>("drive", |job, mut car| {
            let (dt, pedal) = (job.dt(), job.resource::<Pedal>()?);
            car.x.map(|x| x + pedal.speed * dt);
            Ok(())
        })
        .reads_resource::<Pedal>(),
    );
    // only what is listed can be set from outside
    let mut simulation = Simulation::builder().workers(Workers::Local).inputs(["pedal"]).build(world, schedule)?;
    simulation.run(10, 0.1)?;
    println!("after 1 s: {:.1} m", simulation.world().get::<Car>(car)?.x);

    let other = std::process::Command::new(std::env::current_exe()?).arg(&region).status()?;
    if !other.success() {
        return Err("the other process failed".into());
    }
    simulation.run(10, 0.1)?;
    println!("after 2 s: {:.1} m", simulation.world().get::<Car>(car)?.x);
    Ok(())
}
