//! Renewal: now, when it is due, or again and again.

use std::sync::mpsc::{RecvTimeoutError, channel};

use pubsub_keys::{Authority, AuthorityFiles, Issued, KeysError, Renewal, lifetime_days, now};
use pubsub_tls::{Certificate, date, days_between};
use serde::Serialize;

use crate::cli::{Output, RenewArgs};
use crate::commands::warn_of_early_end;
use crate::fail::{self, Fail};
use crate::say::Say;
use crate::show::{self, Written};

/// `renew`
pub(crate) fn renew(args: RenewArgs, say: &Say) -> Result<(), Fail> {
    if args.watch { watch(&args, say) } else { once(&args, say) }
}

fn once(args: &RenewArgs, say: &Say) -> Result<(), Fail> {
    #[derive(Serialize)]
    struct NotDue<'a> {
        name: &'a str,
        renewed: bool,
        days_left: i64,
    }
    match look(args, say)? {
        Look::Renewed(issued) => print(args, &issued),
        Look::NotDue { days_left } => {
            let name = &args.name;
            say.say(&format!("{name} has {days_left} days left; nothing was done."));
            if args.shown.output == Output::Table {
                return Ok(());
            }
            show::json(args.shown.output, &NotDue { name, renewed: false, days_left })
        }
    }
}

/// Looks at the clock and the certificate until somebody ends the process. Nothing is kept in
/// between, so a restart forgets nothing, and a clock that was set does not matter.
fn watch(args: &RenewArgs, say: &Say) -> Result<(), Fail> {
    refuse_restlessness(args)?;
    let (_nobody, wake) = channel::<()>();
    let every = jiff::SignedDuration::try_from(args.every).unwrap_or(jiff::SignedDuration::MAX);
    say.say(&format!("Watching {}, every {every:#}.", args.name));
    loop {
        match look(args, say) {
            Ok(Look::Renewed(issued)) => print(args, &issued)?,
            Ok(Look::NotDue { .. }) => (),
            Err(error) if is_final(&error) => return Err(error.into()),
            // A disk that is full or a file that somebody is writing may be better next time.
            Err(error) => say.warn(&format!("{error}; the next look is in {every:#}")),
        }
        match wake.recv_timeout(args.every) {
            Err(RecvTimeoutError::Timeout) => (),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

/// What came of looking once.
enum Look {
    Renewed(Box<Issued>),
    NotDue { days_left: i64 },
}

fn look(args: &RenewArgs, say: &Say) -> Result<Look, KeysError> {
    let now = now();
    let mut authority = Authority::open(AuthorityFiles::in_dir(&args.at.ca))?;
    let (_, old) = authority.renewable(&args.name)?;
    let days_left = days_between(now, old.not_after);
    let has_time = before(args, &old).is_some_and(|before| days_left >= i64::from(before));
    if has_time {
        return Ok(Look::NotDue { days_left });
    }
    if args.watch && old.not_after >= authority.facts().not_after {
        let (name, until) = (&args.name, date(old.not_after));
        say.warn(&format!("{name} ends with its authority, {until}, and cannot live longer"));
        return Ok(Look::NotDue { days_left });
    }
    let renewal = Renewal { days: args.days, new_key: args.new_key };
    let issued = authority.renew(&args.name, renewal, now)?;
    warn_of_early_end(&authority, issued.facts.not_after, say);
    Ok(Look::Renewed(Box::new(issued)))
}

/// Whether another look would end as this one did.
fn is_final(error: &KeysError) -> bool {
    matches!(
        error,
        KeysError::Revoked { .. }
            | KeysError::Unknown { .. }
            | KeysError::NoAuthority(_)
            | KeysError::AuthorityEnded { .. }
    )
}

/// A certificate that is due as soon as it is made would be made again at every look.
fn refuse_restlessness(args: &RenewArgs) -> Result<(), Fail> {
    let authority = Authority::open(AuthorityFiles::in_dir(&args.at.ca))?;
    let (_, old) = authority.renewable(&args.name)?;
    let days = args.days.unwrap_or_else(|| lifetime_days(&old));
    match args.before {
        Some(before) if before >= days => {
            let message =
                format!("a certificate that lives {days} days would be due again at once");
            Err(Fail::new(fail::USAGE, message, format!("--before {}", days.div_ceil(3))))
        }
        _ => Ok(()),
    }
}

/// With how many days left it is due; always when `None`.
fn before(args: &RenewArgs, old: &Certificate) -> Option<u32> {
    args.before.or_else(|| args.watch.then(|| lifetime_days(old).div_ceil(3)))
}

fn print(args: &RenewArgs, issued: &Issued) -> Result<(), Fail> {
    let now = now();
    Written::new(&args.name, issued, now).print(args.shown.output, now, &issued.facts)
}
