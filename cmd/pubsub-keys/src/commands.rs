//! The commands that make, check and take back.

use std::path::{Path, PathBuf};

use pubsub_keys::{
    Authority, AuthorityFiles, Entry, Federation, Files, Index, NewAuthority, Order, now,
    read_certificates,
};
use pubsub_tls::{MinVersion, Settings, Tls, Trust, UnixTime, date, days_between};
use serde::Serialize;

use crate::cli::{
    BundleArgs, InitArgs, IssueArgs, ListArgs, Output, QuickstartArgs, RevokeArgs, VerifyArgs,
};
use crate::fail::{self, Fail};
use crate::say::Say;
use crate::show::{self, Written, fingerprint, until};

/// `ca init`
pub(crate) fn init(args: InitArgs, say: &Say) -> Result<(), Fail> {
    #[derive(Serialize)]
    struct Made<'a> {
        subject: &'a str,
        cert: &'a Path,
        key: &'a Path,
        crl: &'a Path,
        serial: &'a str,
        not_before: String,
        not_after: String,
        fingerprint: &'a str,
    }
    let now = now();
    let new = NewAuthority { name: args.name, days: args.days, algorithm: args.algorithm };
    let files = AuthorityFiles::in_dir(&args.at.ca);
    let made = Authority::init(files, &new, args.force.overwrite(), now)?;
    let (files, facts) = (made.files(), made.facts());
    let value = Made {
        subject: &facts.subject,
        cert: &files.own.cert,
        key: &files.own.key,
        crl: &files.crl,
        serial: &facts.serial,
        not_before: date(facts.not_before),
        not_after: date(facts.not_after),
        fingerprint: &facts.fingerprint,
    };
    let lines = [
        ("Subject", facts.subject.clone()),
        ("Certificate", files.own.cert.display().to_string()),
        ("Private key", files.own.key.display().to_string()),
        ("Revocations", files.crl.display().to_string()),
        ("Valid from", date(facts.not_before)),
        ("Valid until", until(facts.not_after, now)),
        ("Fingerprint", fingerprint(facts)),
    ];
    show::one(args.shown.output, &value, &lines)?;
    say.say("Whoever has the private key can make instances: keep it here. Nodes need ca.crt and ca.crl.");
    Ok(())
}

/// `issue`
pub(crate) fn issue(args: IssueArgs, say: &Say) -> Result<(), Fail> {
    let now = now();
    let files = AuthorityFiles::in_dir(&args.at.ca);
    let to = Files::of(args.out.as_deref().unwrap_or(&args.at.ca), &args.name);
    let order = Order {
        name: args.name,
        alternative_names: args.san,
        days: args.days,
        algorithm: args.algorithm,
    };
    let mut authority = Authority::open(files)?;
    let issued = authority.issue(&order, to, args.force.overwrite(), now)?;
    warn_of_early_end(&authority, issued.facts.not_after, say);
    Written::new(&order.name, &issued, now).print(args.shown.output, now, &issued.facts)
}

/// Says so when a certificate lives shorter than was asked for.
pub(crate) fn warn_of_early_end(authority: &Authority, not_after: UnixTime, say: &Say) {
    if not_after == authority.facts().not_after {
        let text = format!("it ends with its authority, {}", date(not_after));
        say.warn(&text);
    }
}

/// `revoke`
pub(crate) fn revoke(args: &RevokeArgs, say: &Say) -> Result<(), Fail> {
    #[derive(Serialize)]
    struct Revoked<'a> {
        revoked: &'a [Entry],
        lists: &'a [PathBuf],
    }
    let now = now();
    let mut authority = Authority::open(AuthorityFiles::in_dir(&args.at.ca))?;
    let (revoked, lists) = if args.dry_run {
        (authority.would_revoke(&args.name_or_serial, now)?, Vec::new())
    } else {
        let revoked = authority.revoke(&args.name_or_serial, now)?;
        (revoked, authority.write_lists(now)?)
    };
    if args.shown.output == Output::Table {
        let lines: Vec<_> = revoked
            .iter()
            .map(|entry| format!("{} {} {}\n", entry.name, entry.serial, date(entry.not_after)))
            .collect();
        show::text(&lines.concat())?;
    } else {
        show::json(args.shown.output, &Revoked { revoked: &revoked, lists: &lists })?;
    }
    if args.dry_run {
        say.say("Nothing was revoked: this was a dry run.");
    } else if revoked.is_empty() {
        say.say("It was revoked already.");
    }
    tell_of_lists(&lists, say);
    Ok(())
}

/// `crl`
pub(crate) fn write_list(args: &ListArgs, say: &Say) -> Result<(), Fail> {
    #[derive(Serialize)]
    struct Lists<'a> {
        lists: &'a [PathBuf],
    }
    let authority = Authority::open(AuthorityFiles::in_dir(&args.at.ca))?;
    let lists = authority.write_lists(now())?;
    if args.shown.output == Output::Table {
        let lines: Vec<_> = lists.iter().map(|file| format!("{}\n", file.display())).collect();
        show::text(&lines.concat())?;
    } else {
        show::json(args.shown.output, &Lists { lists: &lists })?;
    }
    tell_of_lists(&lists, say);
    Ok(())
}

fn tell_of_lists(lists: &[PathBuf], say: &Say) {
    let Some((first, copies)) = lists.split_first() else { return };
    for copy in copies {
        say.say(&format!("Replaced {}, too.", copy.display()));
    }
    let first = first.display();
    say.say(&format!("Nodes refuse what is in their tls.crl: copy {first} to those elsewhere."));
}

/// `ls`
pub(crate) fn list(args: &ListArgs) -> Result<(), Fail> {
    let files = AuthorityFiles::in_dir(&args.at.ca);
    if !files.own.cert.exists() {
        return Err(pubsub_keys::KeysError::NoAuthority(args.at.ca.clone()).into());
    }
    let (index, now) = (Index::read(&files.index)?, now());
    if args.shown.output != Output::Table {
        return show::many(args.shown.output, index.entries());
    }
    let state = |entry: &Entry| match entry.revoked {
        Some(when) => format!("revoked {}", date(when)),
        None if entry.not_after < now => "expired".to_owned(),
        None => format!("{} days left", days_between(now, entry.not_after)),
    };
    let widest = index.entries().iter().map(|entry| entry.name.len()).max().unwrap_or(0).max(4);
    let mut text = format!("{:<widest$}  {:<32}  {:<20}  STATE\n", "NAME", "SERIAL", "UNTIL");
    for entry in index.entries() {
        let until = date(entry.not_after);
        let line = format!("{:<widest$}  {:<32}  {until}", entry.name, entry.serial);
        text.push_str(&format!("{line}  {}\n", state(entry)));
    }
    show::text(&text)
}

/// `verify`
pub(crate) fn verify(args: VerifyArgs) -> Result<(), Fail> {
    #[derive(Serialize)]
    struct Verified<'a> {
        name: &'a str,
        serial: &'a str,
        not_after: String,
        days_left: i64,
        fingerprint: &'a str,
    }
    let now = now();
    let (ca, crl) = authority_of(&args);
    let chain = read_certificates(&args.cert)?;
    let peer = Trust::load(&ca, crl.as_deref())?
        .check(&chain, now)
        .map_err(|refused| Fail::new(fail::FAILURE, refused.to_string(), refused.advice()))?;
    if args.key.is_some() || args.name.is_some() {
        let settings = Settings {
            key: args.key.unwrap_or_else(|| args.cert.with_extension("key")),
            cert: args.cert,
            ca,
            crl,
            name: args.name,
            min_version: MinVersion::V1_3,
            expiry_warn_days: 0,
        };
        Tls::load(&settings)?;
    }
    let days_left = days_between(now, peer.not_after);
    let value = Verified {
        name: &peer.name,
        serial: &peer.serial,
        not_after: date(peer.not_after),
        days_left,
        fingerprint: &peer.fingerprint,
    };
    if args.shown.output == Output::Table {
        return show::text(&format!("ok: {}, {days_left} days left\n", peer.name));
    }
    show::json(args.shown.output, &value)
}

/// The files of the authority that something is checked against.
fn authority_of(args: &VerifyArgs) -> (PathBuf, Option<PathBuf>) {
    if !args.ca.is_dir() {
        return (args.ca.clone(), args.crl.clone());
    }
    let files = AuthorityFiles::in_dir(&args.ca);
    let own = Some(files.crl).filter(|file| file.exists());
    (files.own.cert, args.crl.clone().or(own))
}

/// `bundle`
pub(crate) fn bundle(args: &BundleArgs, say: &Say) -> Result<(), Fail> {
    #[derive(Serialize)]
    struct Bundled<'a> {
        name: &'a str,
        files: &'a [PathBuf],
    }
    if args.out.as_os_str() == "-" {
        let message = "a bundle holds a private key, which is never printed";
        return Err(Fail::new(fail::USAGE, message, "name a file: -o bundle.pem"));
    }
    let authority = Authority::open(AuthorityFiles::in_dir(&args.at.ca))?;
    let bundle =
        pubsub_keys::write_bundle(&authority, &args.name, &args.out, args.force.overwrite())?;
    if args.output == Output::Table {
        let lines: Vec<_> =
            bundle.files.iter().map(|file| format!("{}\n", file.display())).collect();
        show::text(&lines.concat())?;
    } else {
        show::json(args.output, &Bundled { name: &args.name, files: &bundle.files })?;
    }
    if let [one] = bundle.files.as_slice() {
        let one = one.display();
        say.say(&format!(
            "tls.cert, tls.key and tls.ca may all be {one}; it holds the private key."
        ));
    }
    Ok(())
}

/// `quickstart`
pub(crate) fn quickstart(args: QuickstartArgs, say: &Say) -> Result<(), Fail> {
    #[derive(Serialize)]
    struct Made<'a> {
        name: &'a str,
        dir: &'a Path,
        config: &'a Path,
        not_after: String,
        start: String,
    }
    let (host, port) = args.addr;
    let wanted = Federation {
        hub: args.hub,
        edges: args.edges,
        host,
        port,
        days: args.days,
        ca_days: args.ca_days,
        algorithm: args.algorithm,
    };
    let nodes = pubsub_keys::quickstart(&args.dir, &wanted, args.force.overwrite(), now())?;
    if args.shown.output != Output::Table {
        let made = nodes.iter().map(|node| Made {
            name: &node.name,
            dir: &node.dir,
            config: &node.config,
            not_after: date(node.issued.facts.not_after),
            start: node.start(),
        });
        return show::many(args.shown.output, &made.collect::<Vec<_>>());
    }
    let (dir, ca) = (args.dir.display(), args.dir.join("ca"));
    let ca = ca.display();
    say.say(&format!("Made {dir}. Start the hub and the edges, each where it is to run:"));
    let lines: Vec<_> = nodes.iter().map(|node| format!("{}\n", node.start())).collect();
    show::text(&lines.concat())?;
    let Some(hub) = nodes.first() else { return Ok(()) };
    let until = date(hub.issued.facts.not_after);
    say.say(&format!(
        "A directory may move to another machine; {ca} stays, and is nobody else's business.\n\
         The certificates end {until}. Before that: pubsub-keys renew NAME --ca {ca}\n\
         To lock one out: pubsub-keys revoke NAME --ca {ca}"
    ));
    Ok(())
}
