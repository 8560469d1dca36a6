//! `run --series FILE`: what a scene observes, every so many frames, as a CSV file for plots.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use hypostyle::World;

use crate::{Scene, SceneError, Watch};

/// A time series of a run. The first line has the names of the columns: `frame`, `time`, and the scene's own.
pub struct Series {
    path: PathBuf,
    out: BufWriter<File>,
    every: u64,
    scene: &'static dyn Scene,
    columns: Vec<String>,
}

impl Series {
    /// Makes the file, or empties one that is there.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn create(path: &Path, every: u64, scene: &'static dyn Scene) -> Result<Series, SceneError> {
        let file = File::create(path).map_err(|error| SceneError::File { path: path.display().to_string(), error })?;
        Ok(Series { path: path.to_owned(), out: BufWriter::new(file), every, scene, columns: Vec::new() })
    }

    fn put(&mut self, world: &World) -> Result<(), Box<dyn Error>> {
        let lines = self.scene.observe(world)?;
        let columns: Vec<String> = lines.iter().map(|line| line.label.replace(' ', "_")).collect();
        if self.columns.is_empty() {
            writeln!(self.out, "frame,time,{}", columns.join(","))?;
            self.columns = columns;
        } else if self.columns != columns {
            return Err(format!("the scene observes {columns:?} now, and {:?} at first", self.columns).into());
        }
        write!(self.out, "{},{}", world.frame(), world.time())?;
        for line in lines {
            write!(self.out, ",{}", line.number)?;
        }
        writeln!(self.out)?;
        // a reader that follows the file wants it now
        self.out.flush()?;
        Ok(())
    }
}

impl Watch for Series {
    fn every(&self) -> u64 {
        self.every
    }

    fn look(&mut self, world: &World) -> Result<(), Box<dyn Error>> {
        self.put(world).map_err(|error| format!("{}: {error}", self.path.display()).into())
    }
}
