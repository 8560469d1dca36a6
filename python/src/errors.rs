//! The engine's errors as exceptions of the package's own classes, which `hypostyle/errors.py` defines.
#![forbid(unsafe_code)]

use hypostyle::{RegionError, SnapshotError, StepError, WorldError};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyType;

/// An exception of the package's class of this name.
pub(crate) fn error(class: &str, message: String) -> PyErr {
    Python::attach(|py| {
        let found = py.import("hypostyle.errors").and_then(|errors| errors.getattr(class));
        match found.and_then(|class| Ok(class.cast_into::<PyType>()?)) {
            Ok(class) => PyErr::from_type(class, message),
            Err(_) => PyRuntimeError::new_err(message),
        }
    })
}

pub(crate) fn of_region(error_: &RegionError) -> PyErr {
    let class = match error_ {
        RegionError::BadName { .. } => "BadNameError",
        RegionError::NotFound { .. } | RegionError::Ranks { .. } => "RegionNotFoundError",
        RegionError::Exists { .. } | RegionError::Live { .. } => "RegionInUseError",
        RegionError::NoLease => "NoLeaseError",
        RegionError::Forked { .. } => "ForkedError",
        RegionError::Full { .. }
        | RegionError::Held { .. }
        | RegionError::NoSpace { .. }
        | RegionError::Limit { .. } => "NoSpaceError",
        _ => "RegionError",
    };
    let similar = match error_ {
        RegionError::NotFound { target } => target.similar(),
        _ => None,
    };
    let hint = similar.map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default();
    error(class, format!("{error_}{hint}"))
}

pub(crate) fn of_snapshot(error_: &SnapshotError) -> PyErr {
    let class = match error_ {
        SnapshotError::Region(region) => return of_region(region),
        SnapshotError::NothingPublished => "NothingPublishedError",
        SnapshotError::NotKept { .. } => "NotKeptError",
        SnapshotError::UnknownColumn { .. } | SnapshotError::UnknownResource { .. } => "UnknownNameError",
        _ => "RegionError",
    };
    error(class, error_.to_string())
}

pub(crate) fn of_world(error_: &WorldError) -> PyErr {
    let class = match error_ {
        WorldError::Region(region) => return of_region(region),
        WorldError::Snapshot(snapshot) => return of_snapshot(snapshot),
        WorldError::Layout(_) => "LayoutError",
        WorldError::UnknownComponent { .. } | WorldError::UnknownField { .. } | WorldError::UnknownResource { .. } => {
            "UnknownNameError"
        }
        WorldError::Stale { .. } | WorldError::Absent { .. } | WorldError::MissingResource { .. } => "AbsentError",
        WorldError::TooManyEntities { .. } => "NoSpaceError",
        _ => "HypostyleError",
    };
    error(class, error_.to_string())
}

pub(crate) fn of_step(error_: &StepError) -> PyErr {
    let class = match error_ {
        StepError::Closed => "ClosedError",
        StepError::Memory { .. } => "NoSpaceError",
        StepError::Region(region) => return of_region(region),
        StepError::Schedule(_) => "ScheduleError",
        StepError::Start(_) => "WorkersError",
        StepError::TimeStep { .. } | StepError::TimeRange { .. } | StepError::FrameRange { .. } => {
            return pyo3::exceptions::PyValueError::new_err(error_.to_string());
        }
        _ => "FrameError",
    };
    error(class, error_.to_string())
}
