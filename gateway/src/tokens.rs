//! The tokens that clients may send: several at a time, and others while clients are there.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use super::GatewayError;

/// A token has so many bytes at least.
const TOKEN_BYTES_MIN: usize = 8;

/// The tokens that clients may send. Clones are the same: what one is given, all have.
#[derive(Clone)]
pub struct Tokens(Arc<watch::Sender<Arc<[String]>>>);

// what they are is nobody's to see
impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({})", self.0.borrow().len())
    }
}

/// Whether two texts are equal, in a time that depends on their lengths alone.
fn same(a: &[u8], b: &[u8]) -> bool {
    let differing = a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b));
    std::hint::black_box(differing) == 0 && a.len() == b.len()
}

fn has(tokens: &[String], given: &str) -> bool {
    // all of them, whichever it is
    tokens.iter().fold(false, |found, token| found | same(given.as_bytes(), token.as_bytes()))
}

fn checked(tokens: Vec<String>) -> Result<Arc<[String]>, GatewayError> {
    let bad = |found: &str, expected| GatewayError::Option { what: "the token", found: found.to_owned(), expected };
    if tokens.is_empty() {
        return Err(bad("missing", "there must be one at least"));
    }
    if tokens.iter().any(|token| token.len() < TOKEN_BYTES_MIN) {
        return Err(bad("short", "it must have at least 8 bytes"));
    }
    Ok(tokens.into())
}

impl Tokens {
    /// These tokens, each of which will do.
    ///
    /// # Errors
    /// There is none, or one is shorter than 8 bytes.
    pub fn new(tokens: Vec<String>) -> Result<Tokens, GatewayError> {
        Ok(Tokens(Arc::new(watch::Sender::new(checked(tokens)?))))
    }

    /// These and no others from now on. Clients that are there with another are told, and end. True: it is a change.
    ///
    /// # Errors
    /// There is none, or one is shorter than 8 bytes: then all stays as it is.
    pub fn replace(&self, tokens: Vec<String>) -> Result<bool, GatewayError> {
        let tokens = checked(tokens)?;
        Ok(self.0.send_if_modified(|old| {
            let differ = *old != tokens;
            *old = tokens;
            differ
        }))
    }

    /// Whether this is one of them.
    pub(super) fn contain(&self, given: &str) -> bool {
        has(&self.0.borrow(), given)
    }

    /// What a client came with, as long as it is one of them.
    pub(super) fn hold(&self, given: &str) -> Held {
        Held { token: given.to_owned(), tokens: self.0.subscribe() }
    }
}

/// The token that a client came with.
#[derive(Clone)]
pub(super) struct Held {
    token: String,
    tokens: watch::Receiver<Arc<[String]>>,
}

impl Held {
    /// Returns once it is no token any more.
    pub(super) async fn revoked(&mut self) {
        let token = &self.token;
        // the gateway has the sender
        let _ = self.tokens.wait_for(|tokens| !has(tokens, token)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(tokens: &[&str]) -> Vec<String> {
        tokens.iter().map(|token| (*token).to_owned()).collect()
    }

    #[test]
    fn each_of_them_will_do_and_others_follow() {
        let tokens = Tokens::new(list(&["the first one", "the second one"])).expect("tokens");
        assert!(tokens.contain("the first one") && tokens.contain("the second one"));
        assert!(!tokens.contain("the third one") && !tokens.contain("the first on") && !tokens.contain(""));
        for wrong in [&[][..], &["the third one", "short"]] {
            assert!(tokens.replace(list(wrong)).is_err() && tokens.contain("the first one"));
        }
        assert!(matches!(tokens.clone().replace(list(&["the third one", "the second one"])), Ok(true)));
        assert!(matches!(tokens.replace(list(&["the third one", "the second one"])), Ok(false)));
        assert!(!tokens.contain("the first one") && tokens.contain("the third one"));
        assert_eq!(format!("{tokens:?}"), "Tokens(2)");
    }
}
