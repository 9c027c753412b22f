//! What a subscriber is owed: delivery, retries, dead letters, payload types, as machines.
//!
//! ```text
//!   events, now ──▶ Delivery ──▶ Invoke · WriteDeadLetter · SavePosition · Notice
//!   a record    ──▶ Registry ──▶ Message
//!   a failure   ──▶ DeadLetter ──▶ and back to the message
//! ```
//!
//! Nothing here waits, reads a clock or opens a file: the shell does what the actions say and tells
//! what came of it. Start at [`Delivery`]; everything else is a value that it or the shell uses.

mod action;
mod context;
mod dead_letter;
mod delivery;
mod latency;
mod message;
mod now;
mod options;
mod outcome;
mod payload;
mod registry;
mod retry;
mod saves;
mod slot;
mod stats;
mod window;

pub use action::{Action, Incoming, Missing, Notice, Token};
pub use context::Context;
pub use dead_letter::{BadDeadLetter, DEAD_LETTER_PAYLOAD_TYPE, DeadLetter};
pub use delivery::{DeadLetters, Delivery, RETRY_LATER_MAX, RETRY_LATER_MIN, Wake};
pub use latency::{Histogram, LatencyStats, Reading};
pub use message::Message;
pub use now::Now;
pub use options::{STREAM_ACK_WAIT_DEFAULT, STREAM_IN_FLIGHT_DEFAULT, StartAt, SubscribeOptions};
pub use outcome::{BoxError, IntoOutcome, Outcome, RetryLater, error_text};
pub use payload::{Encode, EncodeError, Payload, Raw};
pub use registry::{DecodeError, PayloadTypeAlreadyRegistered, Registry};
pub use retry::{MAX_RETRIES_DEFAULT, RETRY_BASE_DEFAULT, RETRY_MAX_DEFAULT, RetryPolicy};
pub use stats::DeliveryStats;
