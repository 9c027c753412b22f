//! What is in a file: of certificates and lists everything that matters, of keys that there is one.

use std::net::IpAddr;
use std::path::Path;

use pubsub_keys::{KeysError, now};
use pubsub_tls::{Certificate, UnixTime, date, days_between, printable};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{PemObject, SectionKind};
use serde::Serialize;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::cli::{InspectArgs, Output};
use crate::fail::{FAILURE, Fail};
use crate::show::{self, fingerprint, labelled, names, until};

/// One thing in a file, as programs see it.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Found {
    Certificate(Box<FoundCertificate>),
    RevocationList { issuer: String, issued: String, revoked: Vec<String> },
    PrivateKey,
    Other,
}

#[derive(Serialize)]
struct FoundCertificate {
    /// The instance that it is for.
    name: Option<String>,
    subject: String,
    issuer: String,
    dns_sans: Vec<String>,
    ip_sans: Vec<IpAddr>,
    not_before: String,
    not_after: String,
    days_left: i64,
    is_ca: bool,
    ext_key_usage: Vec<String>,
    key: String,
    serial: String,
    fingerprint: String,
}

/// `inspect`
pub(crate) fn run(args: &InspectArgs) -> Result<(), Fail> {
    let bytes = read(&args.file)?;
    let now = now();
    let mut found = Vec::new();
    let mut texts = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(&bytes) {
        let (kind, der) = section.map_err(|error| malformed(&args.file, &error.to_string()))?;
        let (thing, text) = match kind {
            SectionKind::Certificate => certificate(&args.file, der, now)?,
            SectionKind::Crl => list(&args.file, &der)?,
            SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => {
                let line = ("Private key", "yes (not shown)".to_owned());
                (Found::PrivateKey, labelled(&[line]))
            }
            _ => (Found::Other, labelled(&[("Other", "nothing of ours".to_owned())])),
        };
        found.push(thing);
        texts.push(text);
    }
    if found.is_empty() {
        return Err(malformed(&args.file, "no PEM block in it"));
    }
    if args.shown.output == Output::Table {
        return show::text(&texts.join("\n"));
    }
    show::many(args.shown.output, &found)
}

fn certificate(file: &Path, der: Vec<u8>, now: UnixTime) -> Result<(Found, String), Fail> {
    let facts =
        Certificate::read(&CertificateDer::from(der)).map_err(|reason| malformed(file, &reason))?;
    let mut lines = vec![
        ("Subject CN", names(&facts.common_names)),
        ("Subject", facts.subject.clone()),
        ("Issuer CN", facts.issuer_name.clone()),
    ];
    if !facts.dns_names.is_empty() {
        lines.push(("DNS SANs", names(&facts.dns_names)));
    }
    if !facts.ip_addresses.is_empty() {
        let addresses: Vec<_> = facts.ip_addresses.iter().map(IpAddr::to_string).collect();
        lines.push(("IP SANs", addresses.join(", ")));
    }
    lines.push(("Valid from", date(facts.not_before)));
    lines.push(("Valid until", until(facts.not_after, now)));
    lines.push(("Is CA", facts.is_ca.to_string()));
    if !facts.usages.is_empty() {
        lines.push(("Ext key usage", facts.usages.join(", ")));
    }
    lines.push(("Key", facts.key.clone()));
    lines.push(("Serial", facts.serial.clone()));
    lines.push(("Fingerprint", fingerprint(&facts)));
    let found = FoundCertificate {
        name: facts.name().ok().map(str::to_owned),
        subject: facts.subject.clone(),
        issuer: facts.issuer.clone(),
        dns_sans: facts.dns_names.iter().map(|name| printable(name)).collect(),
        ip_sans: facts.ip_addresses.clone(),
        not_before: date(facts.not_before),
        not_after: date(facts.not_after),
        days_left: days_between(now, facts.not_after),
        is_ca: facts.is_ca,
        ext_key_usage: facts.usages.clone(),
        key: facts.key.clone(),
        serial: facts.serial.clone(),
        fingerprint: facts.fingerprint,
    };
    Ok((Found::Certificate(Box::new(found)), labelled(&lines)))
}

fn list(file: &Path, der: &[u8]) -> Result<(Found, String), Fail> {
    let (_, list) = CertificateRevocationList::from_der(der)
        .map_err(|error| malformed(file, &format!("no X.509 list: {error}")))?;
    let hex = |bytes: &[u8]| -> String {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        bytes[zeros..].iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let revoked: Vec<_> =
        list.iter_revoked_certificates().map(|revoked| hex(revoked.raw_serial())).collect();
    let seconds = u64::try_from(list.last_update().timestamp()).unwrap_or(0);
    let issued = date(UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)));
    let issuer = printable(&list.issuer().to_string());
    let mut lines = vec![
        ("Revocations", format!("{} certificate(s)", revoked.len())),
        ("Issuer", issuer.clone()),
        ("Issued", issued.clone()),
    ];
    lines.extend(revoked.iter().map(|serial| ("Revoked", serial.clone())));
    Ok((Found::RevocationList { issuer, issued, revoked }, labelled(&lines)))
}

fn read(file: &Path) -> Result<Vec<u8>, Fail> {
    std::fs::read(file).map_err(|source| {
        let file = file.to_owned();
        KeysError::Io { what: "read cert file", file, source }.into()
    })
}

fn malformed(file: &Path, reason: &str) -> Fail {
    Fail::new(FAILURE, format!("{}: {}", file.display(), printable(reason)), "")
}
