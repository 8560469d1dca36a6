//! Who may ask: hosts, origins, tokens.
//!
//! A browser sends pages' requests to wherever they want, with the origin of the page. So a request with an origin must
//! come from this gateway's own page or a listed one; and where the gateway listens on a loopback address the host must be
//! one too, or a foreign name that was made to resolve to it would count as its own.

use axum::http::{HeaderMap, HeaderValue, Uri, header};

use super::tokens::{Held, Tokens};

/// Why somebody may not ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Host,
    Origin,
    Token,
}

/// What is let in.
pub(super) struct Guard {
    pub tokens: Option<Tokens>,
    /// Without a slash at the end.
    pub origins: Vec<String>,
    pub loopback_only: bool,
}

/// The name of `name:port`, and of `[::1]:port`.
fn name_of(host: &str) -> &str {
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}

fn is_loopback(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// What a path takes in its query, beside the token.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query. What it says is either understood or refused: a filter that is overlooked would be answered with
    /// everything.
    ///
    /// # Errors
    /// A sentence: a parameter that is not one of `known`, that is there twice, or whose text cannot be decoded.
    pub(super) fn parse(uri: &Uri, known: &[&str]) -> Result<Query, String> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |text| {
                decoded(text).ok_or_else(|| {
                    format!("`{pair}` in the query cannot be decoded: write `%` as %25 and all text as UTF-8")
                })
            };
            let (name, value) = (decode(name)?, decode(value)?);
            if name != TOKEN && !known.contains(&name.as_str()) {
                let expected = known.iter().chain(&[TOKEN]).map(|name| format!("`{name}`")).collect::<Vec<_>>();
                let expected = expected.join(" and ");
                return Err(format!("there is no parameter `{name}` at {}; it takes {expected}", uri.path()));
            }
            if pairs.iter().any(|(other, _)| *other == name) {
                return Err(format!("the parameter `{name}` is there twice; give one list: `{name}=a,b`"));
            }
            pairs.push((name, value));
        }
        Ok(Query(pairs))
    }

    /// The value of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The items of a parameter that is a list.
    ///
    /// # Errors
    /// A sentence: the list or an item is empty.
    pub(super) fn list(&self, name: &str) -> Result<Option<Vec<String>>, String> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let items: Vec<String> = text.split(',').map(|item| item.trim().to_owned()).collect();
        if items.iter().any(String::is_empty) {
            return Err(format!("`{name}={text}` has an empty name; write `{name}=a,b`, or leave it out for all"));
        }
        Ok(Some(items))
    }
}

/// The parameter that every path takes.
const TOKEN: &str = "token";

/// A text of a query with its escapes undone; none where it is not well-formed.
fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let digit = |byte: Option<u8>| byte.and_then(|byte| (byte as char).to_digit(16));
        match byte {
            b'+' => out.push(b' '),
            b'%' => out.push((digit(bytes.next())? * 16 + digit(bytes.next())?) as u8),
            other => out.push(other),
        }
    }
    String::from_utf8(out).ok()
}

/// The token in a query, whatever else is there.
fn token_of(uri: &Uri) -> Option<String> {
    let pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    decoded(pairs.into_iter().find(|(name, _)| *name == TOKEN)?.1)
}

impl Guard {
    /// Whether the request's host and origin will do.
    pub(super) fn check_source(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let host = text(header::HOST).unwrap_or_default();
        let listed = |origin: &str| self.origins.iter().any(|listed| listed.eq_ignore_ascii_case(origin));
        let host_listed =
            self.origins.iter().any(|o| o.split_once("://").is_some_and(|(_, h)| name_of(h) == name_of(host)));
        if self.loopback_only && !is_loopback(name_of(host)) && !host_listed {
            return Err(Refused::Host);
        }
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
        let origin = origin.to_str().map_err(|_| Refused::Origin)?;
        let own = origin.split_once("://").is_some_and(|(scheme, name)| {
            matches!(scheme, "http" | "https") && !host.is_empty() && name.eq_ignore_ascii_case(host)
        });
        if own || listed(origin) { Ok(()) } else { Err(Refused::Origin) }
    }

    /// The origin of a foreign page that may read answers: one that is listed.
    pub(super) fn listed_origin<'h>(&self, headers: &'h HeaderMap) -> Option<&'h HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        let text = origin.to_str().ok()?;
        self.origins.iter().any(|listed| listed.eq_ignore_ascii_case(text)).then_some(origin)
    }

    /// Whether the request knows a token, and which; none where none is wanted.
    pub(super) fn check_token(&self, headers: &HeaderMap, uri: &Uri) -> Result<Option<Held>, Refused> {
        let Some(tokens) = &self.tokens else { return Ok(None) };
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let bearer = bearer.and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned);
        match bearer.or_else(|| token_of(uri)) {
            Some(given) if tokens.contain(&given) => Ok(Some(tokens.hold(&given))),
            _ => Err(Refused::Token),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(host: &str, origin: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().expect("a header"));
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().expect("a header"));
        }
        headers
    }

    #[test]
    fn sources_are_checked() {
        let origins = vec!["https://lab.example".to_owned()];
        let guard = Guard { tokens: None, origins, loopback_only: true };
        let check = |host, origin| guard.check_source(&headers(host, origin));
        assert_eq!(check("127.0.0.1:80", None), Ok(()));
        assert_eq!(check("[::1]:80", Some("http://[::1]:80")), Ok(()));
        assert_eq!(check("localhost:80", Some("http://localhost:80")), Ok(()));
        assert_eq!(check("localhost:80", Some("https://lab.example")), Ok(()));
        assert_eq!(check("lab.example", Some("https://lab.example")), Ok(()));
        assert_eq!(check("localhost:80", Some("http://localhost:81")), Err(Refused::Origin));
        assert_eq!(check("localhost:80", Some("null")), Err(Refused::Origin));
        assert_eq!(check("evil.example:80", Some("http://evil.example:80")), Err(Refused::Host));
        let open = Guard { loopback_only: false, ..guard };
        assert_eq!(open.check_source(&headers("server:80", Some("http://server:80"))), Ok(()));
        assert_eq!(open.check_source(&headers("server:80", Some("http://evil"))), Err(Refused::Origin));
    }

    #[test]
    fn what_a_query_says_is_understood_or_refused() {
        let parse = |text: &str| Query::parse(&text.parse::<Uri>().expect("a path"), &["columns"]);
        let list = |text: &str| parse(text).and_then(|query| query.list("columns"));
        assert_eq!(list("/snapshot.bin"), Ok(None));
        assert_eq!(list("/snapshot.bin?token=x"), Ok(None));
        assert_eq!(list("/snapshot.bin?columns=a,b%2Ex&token=x"), Ok(Some(vec!["a".to_owned(), "b.x".to_owned()])));
        for (text, why) in [
            ("/s?columns=%zz", "cannot be decoded"),
            ("/s?columns=%ff", "cannot be decoded"),
            ("/s?columns=%4", "cannot be decoded"),
            ("/s?columns", "empty name"),
            ("/s?columns=", "empty name"),
            ("/s?columns=a,,b", "empty name"),
            ("/s?columns=a&columns=b", "twice"),
            ("/s?colunms=a", "no parameter `colunms` at /s; it takes `columns` and `token`"),
        ] {
            let refused = list(text).expect_err(text);
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }

    #[test]
    fn tokens_are_checked() {
        let guard = Guard {
            tokens: Some(Tokens::new(vec!["another one".to_owned(), "se cret%1".to_owned()]).expect("tokens")),
            origins: Vec::new(),
            loopback_only: true,
        };
        let check = |headers: &HeaderMap, uri: &Uri| guard.check_token(headers, uri).map(|held| held.is_some());
        let uri = |text: &str| text.parse::<Uri>().expect("a path");
        let none = HeaderMap::new();
        assert_eq!(check(&none, &uri("/live")), Err(Refused::Token));
        assert_eq!(check(&none, &uri("/live?token=se%20cret%251")), Ok(true));
        assert_eq!(check(&none, &uri("/live?a=b&token=se+cret%251")), Ok(true));
        assert_eq!(check(&none, &uri("/live?token=se+cret%25")), Err(Refused::Token));
        assert_eq!(check(&none, &uri("/live?token=%zz")), Err(Refused::Token));
        let mut bearer = HeaderMap::new();
        bearer.insert(header::AUTHORIZATION, "Bearer se cret%1".parse().expect("a header"));
        assert_eq!(check(&bearer, &uri("/live")), Ok(true));
    }
}
