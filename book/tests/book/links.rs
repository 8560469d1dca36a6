//! Links of the book: to its pages, to other pages in `docs`, to sections, to pictures, and to items of the library.
//!
//! A link to a page must be in `SUMMARY.md`, so that it leads somewhere in the built book, too. Links under `../api/` lead
//! into the library's documentation, as `cargo doc` has made it; `cargo xtask book` puts it there.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::blocks::{chapters, root};

/// The links of a text, with their lines; blocks of code and code in a line have none.
fn links(text: &str) -> Vec<(usize, String)> {
    let (mut all, mut fenced) = (Vec::new(), false);
    for (index, line) in text.lines().enumerate() {
        fenced ^= line.starts_with("```");
        if fenced {
            continue;
        }
        // every second part stands between backticks: it cannot end a link's text unless it begins there, too
        let mut rest = line;
        while let Some(at) = rest.find("](") {
            rest = &rest[at + 2..];
            if let Some(end) = rest.find(')') {
                all.push((index + 1, rest[..end].to_owned()));
            }
        }
    }
    all
}

/// The names of a text's sections, as mdBook and GitHub make them.
fn sections(text: &str) -> Vec<String> {
    let (mut all, mut fenced): (Vec<String>, bool) = (Vec::new(), false);
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        if fenced || !line.starts_with('#') {
            continue;
        }
        let title = line.trim_start_matches('#').trim().replace('`', "");
        let name: String = title
            .to_lowercase()
            .chars()
            .filter_map(|c| match c {
                ' ' => Some('-'),
                c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
                _ => None,
            })
            .collect();
        let twice = all.iter().filter(|other| **other == name).count();
        all.push(if twice == 0 { name } else { format!("{name}-{twice}") });
    }
    all
}

/// The library's documentation, if it was made.
fn api() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_BIN_EXE_book-bodies")).parent()?.parent()?.to_owned();
    let named = std::env::var_os("HYPOSTYLE_API").map(PathBuf::from);
    let path = named.clone().unwrap_or_else(|| target.join("doc"));
    let there = path.join("hypostyle/index.html").is_file();
    assert!(there || named.is_none(), "HYPOSTYLE_API: {} has no documentation of hypostyle", path.display());
    there.then_some(path)
}

/// What is wrong with one link of a page.
fn fault(page: &Path, text: &str, link: &str, listed: &[PathBuf], api: Option<&Path>) -> Option<String> {
    let (path, section) = link.split_once('#').map_or((link, None), |(path, section)| (path, Some(section)));
    if link.starts_with("https://") {
        return None;
    }
    if link.starts_with("http:") || path.starts_with('/') {
        return Some("neither https nor a path from here".to_owned());
    }
    if let Some(item) = path.strip_prefix("../api/") {
        let file = api?.join(item);
        let Ok(html) = std::fs::read_to_string(&file) else { return Some(format!("the library has no {item}")) };
        let named = section.is_none_or(|section| html.contains(&format!("id=\"{section}\"")));
        return (!named).then(|| format!("{item} has no {}", section.unwrap_or_default()));
    }
    if path.ends_with("README.md") {
        return Some("mdBook makes an index of it: link to the folder".to_owned());
    }
    if path.is_empty() {
        let section = section?;
        return (!sections(text).iter().any(|name| name == section)).then(|| format!("there is no section {section}"));
    }
    let target = page.parent().unwrap().join(path);
    let Ok(target) = target.canonicalize() else { return Some("there is no such file".to_owned()) };
    if target.extension().is_none_or(|end| end != "md") {
        let inside = target.starts_with(root().join("docs").canonicalize().unwrap());
        return (!inside).then(|| "leads out of docs, and so out of the built book".to_owned());
    }
    if !listed.contains(&target) {
        return Some("is not in SUMMARY.md, so the built book lacks it".to_owned());
    }
    let other = std::fs::read_to_string(&target).unwrap();
    let named = section.is_none_or(|section| sections(&other).iter().any(|name| name == section));
    (!named).then(|| format!("it has no section {}", section.unwrap_or_default()))
}

/// The pages that the summary lists.
fn summary() -> (PathBuf, String, Vec<PathBuf>) {
    let path = root().join("docs/SUMMARY.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let listed = links(&text).into_iter();
    let listed = listed.map(|(line, link)| {
        let target = path.parent().unwrap().join(&link);
        target.canonicalize().unwrap_or_else(|_| panic!("docs/SUMMARY.md:{line}: there is no {link}"))
    });
    let listed = listed.collect();
    (path, text, listed)
}

#[test]
fn every_link_leads_somewhere() {
    let (_, _, listed) = summary();
    let api = api();
    if api.is_none() {
        eprintln!("SKIPPED: links into the library's documentation, which is not there: `cargo doc --no-deps --lib`");
    }
    let (mut count, mut faults) = (BTreeMap::<&str, u32>::new(), Vec::new());
    for chapter in chapters() {
        for (line, link) in links(&chapter.text) {
            let kind = if link.starts_with("../api/") { "api" } else { "pages" };
            *count.entry(kind).or_default() += 1;
            let fault = fault(&chapter.path, &chapter.text, &link, &listed, api.as_deref());
            faults.extend(fault.map(|why| format!("docs/book/{}.md:{line}: {link}: {why}", chapter.name)));
        }
    }
    eprintln!("links: {count:?}");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(count["api"] >= 30 && count["pages"] >= 40, "{count:?}");
}

#[test]
fn every_chapter_is_in_the_summary_once() {
    let (_, _, listed) = summary();
    for chapter in chapters() {
        let path = chapter.path.canonicalize().unwrap();
        assert_eq!(listed.iter().filter(|page| **page == path).count(), 1, "{} in docs/SUMMARY.md", chapter.name);
    }
}

#[test]
fn links_that_lead_nowhere_are_told() {
    let page = root().join("docs/book/README.md");
    let listed = [root().join("docs/toolbox.md").canonicalize().unwrap()];
    let text = "# One two\n\n## `Three`, four\n";
    let why = |link: &str| fault(&page, text, link, &listed, None);
    for good in ["#one-two", "#three-four", "../toolbox.md", "../toolbox.md#guards", "https://example.org/"] {
        assert_eq!(why(good), None, "{good}");
    }
    for bad in [
        "#three",
        "../toolbox.md#no-such",
        "../nothing.md",
        "../cli.md",
        "../decisions/README.md",
        "../../src/lib.rs",
        "/etc",
        "http://a",
    ] {
        assert!(why(bad).is_some(), "{bad}");
    }
    assert_eq!(links("a [b](c) [d](e#f)\n```\n[g](h)\n```\n"), [(1, "c".to_owned()), (1, "e#f".to_owned())]);
}
