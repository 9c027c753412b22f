//! The commands of keyop-messenger, with its flags and its lines.

use std::path::PathBuf;

use pubsub_keys::{Algorithm, Authority, AuthorityFiles, Files, NewAuthority, Order, now};
use pubsub_tls::{Certificate, date};

use crate::cli::{KeygenCaArgs, KeygenInstanceArgs};
use crate::fail::Fail;
use crate::show::{self, fingerprint};

/// `keygen ca`
pub(crate) fn ca(args: KeygenCaArgs) -> Result<(), Fail> {
    let files = AuthorityFiles::of(Files { cert: args.out_cert, key: args.out_key });
    let new = NewAuthority {
        name: "pubsub-ca".to_owned(),
        days: args.days,
        algorithm: Algorithm::default(),
    };
    let made = Authority::init(files, &new, args.force.overwrite(), now())?;
    print(made.facts())
}

/// `keygen instance`
pub(crate) fn instance(args: KeygenInstanceArgs) -> Result<(), Fail> {
    let beside = |ending: &str| PathBuf::from(format!("{}.{ending}", args.name));
    let to = Files {
        cert: args.out_cert.unwrap_or_else(|| beside("crt")),
        key: args.out_key.unwrap_or_else(|| beside("key")),
    };
    let order = Order {
        name: args.name,
        alternative_names: Vec::new(),
        days: args.days,
        algorithm: Algorithm::default(),
    };
    let files = AuthorityFiles::of(Files { cert: args.ca, key: args.ca_key });
    let issued = Authority::open(files)?.issue(&order, to, args.force.overwrite(), now())?;
    print(&issued.facts)
}

fn print(facts: &Certificate) -> Result<(), Fail> {
    show::text(&format!(
        "Subject:     {}\nValid from:  {}\nValid until: {}\nFingerprint: {}\n",
        facts.subject,
        date(facts.not_before),
        date(facts.not_after),
        fingerprint(facts)
    ))
}
