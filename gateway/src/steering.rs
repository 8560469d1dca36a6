//! Steering over HTTP: how the run that writes the region is steered, and requests that steer it.
//!
//! Invariants: what a request asks for is understood whole or refused, and then nothing was done; the engine's thread
//! asks the mailbox anew each time, so that no request reaches a run that has ended.
#![forbid(unsafe_code)]

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use hypostyle::{InputError, Steering};
use serde_json::{Map, Value, json};

use super::engine::Ask;
use super::guard::Query;
use super::http::{App, Failure, reply};
use super::metrics::add;

/// Bytes of a request's body.
pub(super) const BODY_BYTES_MAX: usize = 1024;
/// What a pace may be, frames per second.
const PACES: std::ops::RangeInclusive<f64> = 1e-3..=1e9;
/// What a request may be.
const HOW: &str = r#"write {"action": "pause"}, {"action": "resume"}, {"action": "step", "frames": 1} or {"action": "pace", "pace": 60}; the pace null lets it run as fast as it goes"#;

/// What is asked of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Act {
    Pause,
    Resume,
    Step(u64),
    /// Frames per second; `None`: as many as it can.
    Pace(Option<f64>),
}

impl Act {
    /// Reads a request's body.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right.
    pub(super) fn parse(body: &[u8]) -> Result<Act, String> {
        let wrong = |why: &str| format!("{why}: {HOW}");
        let value: Value =
            serde_json::from_slice(body).map_err(|error| wrong(&format!("this is no JSON ({error})")))?;
        let Value::Object(mut said) = value else { return Err(wrong("this is no object")) };
        let act = match said.remove("action").as_ref().map(Value::as_str) {
            Some(Some("pause")) => Act::Pause,
            Some(Some("resume")) => Act::Resume,
            Some(Some("step")) => Act::Step(frames(&mut said).map_err(|why| wrong(&why))?),
            Some(Some("pace")) => Act::Pace(pace(&mut said).map_err(|why| wrong(&why))?),
            Some(Some(other)) => return Err(wrong(&format!("there is no action `{other}`"))),
            Some(None) => return Err(wrong("`action` is no text")),
            None => return Err(wrong("`action` is missing")),
        };
        match said.keys().next() {
            None => Ok(act),
            Some(name) => Err(wrong(&format!("`{name}` means nothing here"))),
        }
    }

    pub(super) fn apply(self, steering: &Steering) {
        match self {
            Act::Pause => steering.pause(),
            Act::Resume => steering.resume(),
            Act::Step(frames) => steering.step(frames),
            Act::Pace(pace) => steering.set_pace(pace),
        }
    }
}

fn frames(said: &mut Map<String, Value>) -> Result<u64, String> {
    match said.remove("frames") {
        None => Ok(1),
        Some(value) => value
            .as_u64()
            .filter(|frames| *frames > 0)
            .ok_or_else(|| format!("`frames` is {value}; it must be a whole number of at least 1")),
    }
}

fn pace(said: &mut Map<String, Value>) -> Result<Option<f64>, String> {
    match said.remove("pace") {
        None => Err("`pace` is missing".to_owned()),
        Some(Value::Null) => Ok(None),
        Some(value) => value.as_f64().filter(|pace| PACES.contains(pace)).map(Some).ok_or_else(|| {
            format!("`pace` is {value}; it must be a number of frames per second, from 0.001 to 1e9, or null")
        }),
    }
}

/// How the run is steered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steered {
    /// None where it is not steerable.
    pub run: Option<Run>,
    pub alive: bool,
    /// Of the newest generation.
    pub generation: u64,
    pub frame: u64,
    pub time: f64,
}

/// What the mailbox says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    paused: bool,
    pace: Option<f64>,
}

impl Run {
    pub(super) fn of(steering: &Steering) -> Run {
        Run { paused: steering.is_paused(), pace: steering.pace() }
    }
}

/// The engine's answer; an error is a mailbox that cannot be read.
pub(super) type Answer = Result<Steered, InputError>;

/// `GET /steering`.
pub(super) async fn show(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, Failure> {
    Query::parse(&uri, &[]).map_err(|why| Failure(StatusCode::BAD_REQUEST, why))?;
    let steered = app.ask(|reply| Ask::Steer { act: None, reply }).await?;
    Ok(told(&app, &steered.map_err(broken)?))
}

/// `POST /steering`.
pub(super) async fn steer(
    State(app): State<Arc<App>>,
    uri: Uri,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failure> {
    if !app.options.steer {
        app.refuse();
        let why = "this gateway only shows the run: start it with --steer to let clients steer";
        return Err(Failure(StatusCode::FORBIDDEN, why.to_owned()));
    }
    let bad = |why| Failure(StatusCode::BAD_REQUEST, why);
    Query::parse(&uri, &[]).map_err(bad)?;
    let body = body.map_err(|rejection| {
        let why = format!("{}; at most {BODY_BYTES_MAX} bytes: {HOW}", rejection.body_text());
        Failure(rejection.status(), why)
    })?;
    let act = Act::parse(&body).map_err(bad)?;
    let steered = app.ask(|reply| Ask::Steer { act: Some(act), reply }).await?.map_err(broken)?;
    if steered.run.is_none() {
        let why = match steered.alive {
            true => {
                "the run is not steerable: start it with `hypostyle run --steer`, or in Rust with \
                     `SimulationBuilder::steerable`"
            }
            false => "the run has ended: nobody is there to be steered",
        };
        return Err(Failure(StatusCode::CONFLICT, why.to_owned()));
    }
    add(&app.engine.metrics.steered_total, 1);
    tracing::info!(?act, "a client steers the run");
    Ok(told(&app, &steered))
}

fn broken(error: InputError) -> Failure {
    Failure(StatusCode::CONFLICT, error.to_string())
}

fn told(app: &App, steered: &Steered) -> Response {
    let body = json!({
        "allowed": app.options.steer,
        "steerable": steered.run.is_some(),
        "paused": steered.run.map(|run| run.paused),
        "pace": steered.run.and_then(|run| run.pace),
        "writer_alive": steered.alive,
        "generation": steered.generation,
        "frame": steered.frame,
        "time": steered.time,
    });
    reply(StatusCode::OK, "application/json", body.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_understood_or_refused() {
        let parse = |text: &str| Act::parse(text.as_bytes());
        assert_eq!(parse(r#"{"action": "pause"}"#), Ok(Act::Pause));
        assert_eq!(parse(r#"{"action":"resume"}"#), Ok(Act::Resume));
        assert_eq!(parse(r#"{"action":"step"}"#), Ok(Act::Step(1)));
        assert_eq!(parse(r#"{"frames":10,"action":"step"}"#), Ok(Act::Step(10)));
        assert_eq!(parse(r#"{"action":"pace","pace":0.5}"#), Ok(Act::Pace(Some(0.5))));
        assert_eq!(parse(r#"{"action":"pace","pace":null}"#), Ok(Act::Pace(None)));
        for (text, why) in [
            ("", "no JSON"),
            ("pause", "no JSON"),
            ("[]", "no object"),
            ("{}", "`action` is missing"),
            (r#"{"action":1}"#, "`action` is no text"),
            (r#"{"action":"stop"}"#, "no action `stop`"),
            (r#"{"action":"pause","frames":2}"#, "`frames` means nothing here"),
            (r#"{"action":"step","frames":0}"#, "`frames` is 0"),
            (r#"{"action":"step","frames":-1}"#, "`frames` is -1"),
            (r#"{"action":"step","frames":1.5}"#, "`frames` is 1.5"),
            (r#"{"action":"step","frame":1}"#, "`frame` means nothing here"),
            (r#"{"action":"pace"}"#, "`pace` is missing"),
            (r#"{"action":"pace","pace":0}"#, "`pace` is 0"),
            (r#"{"action":"pace","pace":1e10}"#, "`pace` is 1"),
            (r#"{"action":"pace","pace":"max"}"#, "`pace` is \"max\""),
        ] {
            let refused = parse(text).expect_err(text);
            assert!(refused.contains(why) && refused.contains(r#"{"action": "pause"}"#), "{text}: {refused}");
        }
    }
}
