//! How much an address, and a client, may ask for in a second.
//!
//! Invariant: what is kept of addresses is bounded by those that asked within the last seconds.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use governor::clock::DefaultClock;
use governor::state::keyed::HashMapStateStore;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::GatewayError;
use super::message::CLIENT_BYTES_MAX;

/// Addresses that are kept before those are forgotten that have not asked for a while.
const ADDRESSES_MIN: usize = 4096;

/// What an address, and a client, may do in a second. What goes beyond is refused, and the refusal names the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Connections from one address (of IPv6, one network of 64 bits), and further requests on them, together; in a burst,
    /// twice as many. Behind a proxy all clients have its address. Default 500.
    pub requests_hz: u32,
    /// Messages of one client, those of WebSocket itself included. Default 5,000.
    pub messages_hz: u32,
    /// Bytes of one client's messages; at least 64 KiB, the longest message. Default 4 MiB.
    pub bytes_hz: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { requests_hz: 500, messages_hz: 5_000, bytes_hz: 4 << 20 }
    }
}

impl Limits {
    pub(super) fn check(&self) -> Result<(), GatewayError> {
        let bad = |what, found: u32, expected| Err(GatewayError::Option { what, found: found.to_string(), expected });
        if !(1..=1_000_000).contains(&self.requests_hz) {
            return bad("the rate of requests", self.requests_hz, "it may be 1 to 1000000 a second");
        }
        if !(1..=1_000_000).contains(&self.messages_hz) {
            return bad("the rate of messages", self.messages_hz, "it may be 1 to 1000000 a second");
        }
        if !(CLIENT_BYTES_MAX as u32..=1 << 30).contains(&self.bytes_hz) {
            return bad(
                "the rate of bytes",
                self.bytes_hz,
                "it may be 65536 (the longest message) to 1073741824 a second",
            );
        }
        Ok(())
    }
}

/// At most `hz` a second and `burst` at a time. What is 0 counts as 1: it was checked before.
fn quota(hz: u32, burst: u32) -> Quota {
    let one = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
    Quota::per_second(one(hz)).allow_burst(one(burst))
}

/// Of IPv6 the network: whoever has one has 2^64 addresses.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

/// What each address has asked for lately.
pub(super) struct Addresses {
    limiter: RateLimiter<IpAddr, HashMapStateStore<IpAddr>, DefaultClock>,
    /// Those that have not asked for a while are forgotten above so many.
    sweep_above: AtomicUsize,
}

impl Addresses {
    pub(super) fn new(limits: &Limits) -> Addresses {
        let quota = quota(limits.requests_hz, limits.requests_hz.saturating_mul(2));
        Addresses { limiter: RateLimiter::hashmap(quota), sweep_above: AtomicUsize::new(ADDRESSES_MIN) }
    }

    /// Whether an address may ask once more.
    pub(super) fn admit(&self, address: IpAddr) -> bool {
        if self.limiter.len() > self.sweep_above.load(Ordering::Relaxed) {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
            // not again for each one more where many ask at the same time
            self.sweep_above.store(ADDRESSES_MIN.max(2 * self.limiter.len()), Ordering::Relaxed);
        }
        self.limiter.check_key(&network(address)).is_ok()
    }
}

/// What one client has sent lately.
pub(super) struct Pace {
    limits: Limits,
    messages: DefaultDirectRateLimiter,
    bytes: DefaultDirectRateLimiter,
}

impl Pace {
    pub(super) fn new(limits: Limits) -> Pace {
        let messages = RateLimiter::direct(quota(limits.messages_hz, limits.messages_hz));
        let bytes = RateLimiter::direct(quota(limits.bytes_hz, limits.bytes_hz));
        Pace { limits, messages, bytes }
    }

    /// Counts a message; which limit it is beyond.
    pub(super) fn take(&self, bytes: usize) -> Result<(), String> {
        if self.messages.check().is_err() {
            return Err(format!("the client sends more than {} messages a second", self.limits.messages_hz));
        }
        let Some(bytes) = u32::try_from(bytes).map_or(Some(NonZeroU32::MAX), NonZeroU32::new) else { return Ok(()) };
        match self.bytes.check_n(bytes) {
            Ok(Ok(())) => Ok(()),
            _ => Err(format!("the client sends more than {} bytes a second", self.limits.bytes_hz)),
        }
    }
}

/// Inputs of one client: at most `hz` a second, twice as many at a time.
pub(super) fn inputs(hz: f64) -> DefaultDirectRateLimiter {
    let burst = NonZeroU32::new((2.0 * hz.max(1.0)) as u32).unwrap_or(NonZeroU32::MIN);
    let quota = Quota::with_period(Duration::from_secs_f64(1.0 / hz)).unwrap_or(Quota::per_second(burst));
    RateLimiter::direct(quota.allow_burst(burst))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_counted_one_by_one_and_networks_as_one() {
        let addresses = Addresses::new(&Limits { requests_hz: 1, ..Limits::default() });
        let admitted = |text: &str| addresses.admit(text.parse().expect("an address"));
        let often = |text: &str| (0..4).filter(|_| admitted(text)).count();
        assert_eq!((often("10.0.0.1"), often("::ffff:10.0.0.1"), often("10.0.0.2")), (2, 0, 2));
        assert_eq!((often("2001:db8:0:7::1"), often("2001:db8:0:7:ffff::2"), often("2001:db8:0:8::1")), (2, 0, 2));
    }

    #[test]
    fn those_who_do_not_ask_any_more_are_forgotten() {
        let addresses = Addresses::new(&Limits { requests_hz: 1_000_000, ..Limits::default() });
        for number in 0..40_000_u32 {
            assert!(addresses.admit(IpAddr::V4(number.into())));
        }
        assert!(addresses.limiter.len() < 2 * ADDRESSES_MIN, "{} are kept", addresses.limiter.len());
    }

    #[test]
    fn a_client_is_told_which_limit_it_is_beyond() {
        let pace = Pace::new(Limits { messages_hz: 3, bytes_hz: 1 << 16, ..Limits::default() });
        assert_eq!((pace.take(0), pace.take(1 << 15)), (Ok(()), Ok(())));
        assert_eq!(pace.take(1 << 16), Err("the client sends more than 65536 bytes a second".to_owned()));
        assert_eq!(pace.take(0), Err("the client sends more than 3 messages a second".to_owned()));
    }
}
