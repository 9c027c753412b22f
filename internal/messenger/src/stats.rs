//! What a delivery has counted since its subscriber started.

/// What a delivery has counted since its subscriber started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct DeliveryStats {
    /// Wake-ups because something was published.
    pub wakes_by_notify: u64,
    /// Wake-ups because a second passed.
    pub wakes_by_poll: u64,
    /// Times a message was handed out, repeats included.
    pub process_calls: u64,
    /// Messages handed out, each counted once.
    pub dispatched: u64,
    /// Messages dealt with successfully.
    pub succeeded: u64,
    /// Attempts that failed, panics and time-outs included.
    pub failed_attempts: u64,
    /// Attempts that ended in a panic.
    pub panics: u64,
    /// Attempts that nobody answered in time.
    pub ack_timeouts: u64,
    /// Attempts that ended in "retry later".
    pub retry_later_pauses: u64,
    /// Messages whose payload could not be decoded.
    pub decode_skipped: u64,
    /// Dead letters written durably.
    pub dead_letters: u64,
    /// Failed writes of dead letters.
    pub dead_letter_failures: u64,
    /// Messages passed over because they were dead letters themselves and failed for good.
    pub dead_letters_skipped: u64,
    /// Messages skipped at the start because of their age.
    pub startup_skipped: u64,
    /// Size of those, in bytes.
    pub startup_skipped_bytes: u64,
    /// Times that unread messages had been deleted by retention or a purge.
    pub compaction_drops: u64,
    /// Messages passed over because their records are damaged.
    pub damaged_skipped: u64,
    /// Failed saves of the position.
    pub position_failures: u64,
}
