//! Data on stdout: lines for people, JSON for programs.

use std::io::{self, Write};
use std::path::Path;

use pubsub_keys::Issued;
use pubsub_tls::{Certificate, UnixTime, date, days_between, printable};
use serde::Serialize;

use crate::cli::Output;
use crate::fail::{FAILURE, Fail};

/// Prints text as it is.
pub(crate) fn text(text: &str) -> Result<(), Fail> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| Fail::stdout(&error))
}

/// Prints a value, or these lines for people.
pub(crate) fn one<T: Serialize>(
    output: Output,
    value: &T,
    lines: &[(&str, String)],
) -> Result<(), Fail> {
    if output == Output::Table {
        return text(&labelled(lines));
    }
    json(output, value)
}

/// Prints a value as JSON, on one line unless it is the only one.
pub(crate) fn json<T: Serialize>(output: Output, value: &T) -> Result<(), Fail> {
    let made = match output {
        Output::Jsonl => serde_json::to_string(value),
        Output::Table | Output::Json => serde_json::to_string_pretty(value),
    };
    let made = made.map_err(|error| Fail::new(FAILURE, error.to_string(), ""))?;
    text(&format!("{made}\n"))
}

/// Prints values: as one array, or each on its line.
pub(crate) fn many<T: Serialize>(output: Output, values: &[T]) -> Result<(), Fail> {
    match output {
        Output::Jsonl => values.iter().try_for_each(|value| json(output, value)),
        Output::Table | Output::Json => json(output, &values),
    }
}

/// Lines of names and values.
pub(crate) fn labelled(lines: &[(&str, String)]) -> String {
    lines.iter().map(|(label, value)| format!("{:<15}{value}\n", format!("{label}:"))).collect()
}

/// A certificate that was written.
#[derive(Debug, Serialize)]
pub(crate) struct Written<'a> {
    name: &'a str,
    cert: &'a Path,
    key: &'a Path,
    serial: &'a str,
    not_before: String,
    not_after: String,
    days_left: i64,
    fingerprint: &'a str,
    dns_names: &'a [String],
    ip_addresses: &'a [std::net::IpAddr],
}

impl<'a> Written<'a> {
    pub(crate) fn new(name: &'a str, issued: &'a Issued, now: UnixTime) -> Self {
        let facts = &issued.facts;
        Self {
            name,
            cert: &issued.files.cert,
            key: &issued.files.key,
            serial: &facts.serial,
            not_before: date(facts.not_before),
            not_after: date(facts.not_after),
            days_left: days_between(now, facts.not_after),
            fingerprint: &facts.fingerprint,
            dns_names: &facts.dns_names,
            ip_addresses: &facts.ip_addresses,
        }
    }

    pub(crate) fn print(
        &self,
        output: Output,
        now: UnixTime,
        facts: &Certificate,
    ) -> Result<(), Fail> {
        let lines = [
            ("Name", self.name.to_owned()),
            ("Certificate", self.cert.display().to_string()),
            ("Private key", self.key.display().to_string()),
            ("Serial", self.serial.to_owned()),
            ("Valid from", self.not_before.clone()),
            ("Valid until", until(facts.not_after, now)),
            ("Fingerprint", fingerprint(facts)),
        ];
        one(output, self, &lines)
    }
}

/// The fingerprint, as other programs write it.
pub(crate) fn fingerprint(facts: &Certificate) -> String {
    format!("SHA-256:{}", facts.fingerprint)
}

/// When something ends, and how long that is from now.
pub(crate) fn until(not_after: UnixTime, now: UnixTime) -> String {
    let days = days_between(now, not_after);
    let when = date(not_after);
    if now > not_after {
        format!("{when} (EXPIRED {} day(s) ago)", days_between(not_after, now))
    } else {
        format!("{when} (expires in {days} day(s))")
    }
}

/// Names from a certificate, fit to be shown.
pub(crate) fn names(names: &[String]) -> String {
    names.iter().map(|name| printable(name)).collect::<Vec<_>>().join(", ")
}
