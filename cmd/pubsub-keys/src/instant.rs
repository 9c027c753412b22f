//! Time: asked of the clock in one place, kept as text, and given to certificates.

use std::time::{Duration, SystemTime};

use pubsub_tls::UnixTime;
use serde::{Deserialize, Deserializer, Serializer, de};

/// The last instant that a certificate can say: the end of 9999.
const LAST: u64 = 253_402_300_799;

/// What the clock says. A clock before 1970 says 1970.
#[must_use]
pub fn now() -> UnixTime {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the clock")]
    let now = SystemTime::now();
    UnixTime::since_unix_epoch(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// The instant so many days later.
#[must_use]
pub fn after_days(time: UnixTime, days: u32) -> UnixTime {
    at(time.as_secs().saturating_add(u64::from(days) * 86_400).min(LAST))
}

/// The instant so long before.
pub(crate) fn before(time: UnixTime, span: Duration) -> UnixTime {
    at(time.as_secs().saturating_sub(span.as_secs()))
}

/// What rcgen wants to have for an instant. The type has no name here.
macro_rules! offset {
    ($time:expr) => {
        rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs($time.as_secs())
    };
}
pub(crate) use offset;

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// Reads `2026-01-31T12:00:00Z`.
fn parse(text: &str) -> Option<UnixTime> {
    let time: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(time.as_second()).ok().map(at)
}

pub(crate) fn write<S: Serializer>(time: &UnixTime, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&pubsub_tls::date(*time))
}

pub(crate) fn read<'de, D: Deserializer<'de>>(from: D) -> Result<UnixTime, D::Error> {
    let text = String::deserialize(from)?;
    parse(&text).ok_or_else(|| de::Error::custom(format!("`{text}` is no instant")))
}

pub(crate) mod maybe {
    //! The same for an instant that may be missing.

    use super::{Deserialize, Deserializer, Serializer, UnixTime, de, parse};

    #[expect(clippy::ref_option, reason = "serde calls it like this")]
    pub(crate) fn write<S: Serializer>(time: &Option<UnixTime>, to: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => super::write(time, to),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Option<UnixTime>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
        let time = parse(&text).ok_or_else(|| de::Error::custom(format!("`{text}` is no instant")));
        time.map(Some)
    }
}
