//! What a subscriber is promised, event by event.

mod histories;
mod promises;
mod shell;
mod window;
