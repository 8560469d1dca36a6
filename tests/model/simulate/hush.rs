//! Panics that are looked at rather than printed.

use std::any::Any;
use std::cell::RefCell;
use std::sync::Once;

thread_local! {
    /// The message of the last panic, where they are hushed.
    static HUSHED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs something whose panics are its result, with message and place.
pub fn hushed<T>(play: impl FnOnce() -> Result<T, Box<dyn Any + Send>>) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let hushed = HUSHED.with_borrow_mut(|message| {
                let hushed = message.is_some();
                // the first one is the reason of those that follow
                if let Some(message) = message.as_mut().filter(|message| message.is_empty()) {
                    *message = info.to_string();
                }
                hushed
            });
            if !hushed {
                before(info);
            }
        }));
    });
    HUSHED.set(Some(String::new()));
    let done = play();
    let message = HUSHED.take().unwrap_or_default();
    done.map_err(|_| message)
}
