//! What a client asks for: SUBSCRIBE's JSON, checked against what the gateway shows.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::delta::Selection;
use hypostyle::layout::Layout;

/// Updates in flight that a client may ask for.
pub(super) const WINDOW_MAX: u32 = 8;
const WINDOW_DEFAULT: u32 = 2;
/// The slowest rate, Hz.
const RATE_MIN: f64 = 0.01;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Document {
    columns: Option<Vec<String>>,
    resources: Option<bool>,
    rate_hz: Option<f64>,
    window: Option<u32>,
    #[serde(rename = "box")]
    area: Option<AreaDocument>,
    quantise: BTreeMap<String, f64>,
    compression: Option<String>,
    resume: Option<Resume>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AreaDocument {
    fields: Vec<String>,
    min: Vec<f64>,
    max: Vec<f64>,
}

/// Where a client was.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Resume {
    pub session: String,
    pub view: String,
    pub generation: u64,
}

/// What a client asks for.
#[derive(Clone, Debug)]
pub(super) struct Subscribe {
    pub(super) selection: Selection,
    pub(super) rate_hz: f64,
    pub(super) window: u32,
    pub(super) zstd: bool,
    pub(super) resume: Option<Resume>,
}

impl Subscribe {
    /// Reads a SUBSCRIBE. The bytes may be anything.
    pub(super) fn parse(json: &[u8], layout: &Layout, shown: &Selection, rate_max: f64) -> Result<Subscribe, String> {
        if json.trim_ascii_start().first() != Some(&b'{') {
            return Err("the subscription must be a JSON object".to_owned());
        }
        let document: Document =
            serde_json::from_slice(json).map_err(|error| format!("the subscription cannot be read: {error}"))?;
        let mut selection = columns(document.columns.as_deref(), layout, shown)?;
        selection = selection.resources(document.resources.unwrap_or(true) && shown.has_resources());
        if let Some(area) = &document.area {
            if area.fields.len() != area.min.len() || area.fields.len() != area.max.len() {
                return Err("the box has one min and one max for each of its fields".to_owned());
            }
            let bounds = area.fields.iter().zip(area.min.iter().zip(&area.max));
            let bounds = bounds.map(|(name, (min, max))| (name.as_str(), *min, *max));
            selection = selection.area(layout, bounds).map_err(|error| error.to_string())?;
        }
        for (name, error) in &document.quantise {
            selection = selection.quantise(layout, name, *error).map_err(|error| error.to_string())?;
        }
        if !selection.is_within(shown) {
            return Err("the subscription names columns that this gateway does not show".to_owned());
        }
        let rate_hz = document.rate_hz.unwrap_or(rate_max);
        if !(rate_hz.is_finite() && rate_hz >= RATE_MIN) {
            return Err(format!("rate_hz is {rate_hz}; it may be {RATE_MIN} to {rate_max}"));
        }
        let window = document.window.unwrap_or(WINDOW_DEFAULT);
        if !(1..=WINDOW_MAX).contains(&window) {
            return Err(format!("window is {window}; it may be 1 to {WINDOW_MAX}"));
        }
        let zstd = match document.compression.as_deref() {
            None => false,
            Some("zstd") => true,
            Some(_) => return Err("compression may be \"zstd\", or null".to_owned()),
        };
        Ok(Subscribe { selection, rate_hz: rate_hz.min(rate_max), window, zstd, resume: document.resume })
    }
}

/// The selection of names, all of them shown; all that is shown where there are none.
pub(super) fn columns(names: Option<&[String]>, layout: &Layout, shown: &Selection) -> Result<Selection, String> {
    let Some(names) = names else { return Ok(Selection::view().within(shown)) };
    let selection = Selection::columns(layout, names.iter().map(String::as_str)).map_err(|error| error.to_string())?;
    // a component of which some fields are shown is those fields
    let narrowed = selection.clone().within(shown);
    for name in names {
        let id = name.split('.').next().and_then(|component| layout.component(component));
        if id.is_some_and(|(id, _)| !narrowed.has_component(id as u16)) {
            return Err(format!("{name} is not shown by this gateway"));
        }
    }
    Ok(narrowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_are_checked() {
        let text = include_str!("../../layouts/particles.toml");
        let layout = Layout::parse(text, "particles").expect("a good layout");
        let all = Selection::view();
        let parse = |json: &str| Subscribe::parse(json.as_bytes(), &layout, &all, 30.0);
        let asked = parse("{}").expect("all are optional");
        assert_eq!((asked.rate_hz, asked.window, asked.zstd), (30.0, 2, false));
        assert_eq!(asked.selection, all);
        assert_eq!(parse("{\"rate_hz\": 1e9}").expect("as fast as can be").rate_hz, 30.0);
        let name = &layout.components()[0].name;
        let some = parse(&format!("{{\"columns\": [\"{name}\"], \"compression\": \"zstd\"}}")).expect("a component");
        assert!(some.zstd && some.selection != all);
        for wrong in [
            "",
            "[]",
            "{\"columns\": [\"nothing\"]}",
            "{\"rate_hz\": 0}",
            "{\"window\": 0}",
            "{\"window\": 9}",
            "{\"compression\": \"lz4\"}",
            "{\"box\": {\"fields\": [], \"min\": [], \"max\": []}}",
            "{\"box\": {\"fields\": [\"a\"], \"min\": [], \"max\": []}}",
            "{\"quantise\": {\"nothing.x\": 0.1}}",
            "{\"colunms\": []}",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        let shown = some.selection;
        let other = &layout.components()[1].name;
        let hidden = Subscribe::parse(format!("{{\"columns\": [\"{other}\"]}}").as_bytes(), &layout, &shown, 30.0);
        assert!(hidden.is_err_and(|why| why.contains("not shown")));
        assert!(Subscribe::parse(b"{}", &layout, &shown, 30.0).expect("what is shown").selection.is_within(&shown));
    }
}
