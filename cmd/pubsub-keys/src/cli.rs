//! What can be typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use pubsub_keys::{Algorithm, Overwrite};

/// Make, renew and revoke the certificates by which instances of pubsub know each other.
///
/// An authority in a directory signs them: `ca init` makes one, `issue` makes a certificate for an
/// instance. `quickstart` does all of it at once, with configurations that are ready to run.
#[derive(Debug, Parser)]
#[command(name = "pubsub-keys", version, propagate_version = false, disable_help_subcommand = true)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str =
    "Exit codes: 0 done, 1 failure, 2 usage, 3 not found, 4 denied, 6 exists already.";

/// What every command takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// Prints no colours, as NO_COLOR does.
    #[arg(long, global = true, action = ArgAction::SetTrue)]
    pub(crate) no_color: bool,
    /// Prints data and errors only.
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The certificate authority.
    #[command(subcommand)]
    Ca(CaCommand),
    /// Issues a certificate for an instance, with a new private key.
    Issue(IssueArgs),
    /// Makes a certificate new before it ends; nodes take it without a restart.
    Renew(RenewArgs),
    /// Takes certificates back: nodes that have the revocation list refuse them.
    Revoke(RevokeArgs),
    /// Writes the revocation list anew.
    Crl(ListArgs),
    /// Lists what the authority has issued.
    #[command(visible_alias = "list")]
    Ls(ListArgs),
    /// Says what is in a file: certificates, revocation lists, the kind of a key.
    Inspect(InspectArgs),
    /// Checks a certificate as a node would.
    Verify(VerifyArgs),
    /// Puts all that an instance needs into one file, or one directory.
    Bundle(BundleArgs),
    /// Makes a federation: an authority, certificates, and configurations that are ready to run.
    Quickstart(QuickstartArgs),
    /// The same under the names of keyop-messenger.
    #[command(subcommand)]
    Keygen(KeygenCommand),
    /// Prints the version.
    Version,
}

/// Commands about the authority.
#[derive(Debug, Subcommand)]
pub(crate) enum CaCommand {
    /// Makes one: its certificate, its private key, an empty index and an empty revocation list.
    Init(InitArgs),
}

/// Commands as keyop-messenger spells them.
#[derive(Debug, Subcommand)]
pub(crate) enum KeygenCommand {
    /// Makes an authority.
    Ca(KeygenCaArgs),
    /// Issues a certificate for an instance.
    Instance(KeygenInstanceArgs),
    /// Says what is in a file.
    Inspect(InspectArgs),
}

/// How data is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Table,
    /// One JSON document.
    Json,
    /// One JSON document a line.
    Jsonl,
}

/// How data is printed.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Shown {
    /// How data is printed.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: Output,
}

/// Where the authority is.
#[derive(Clone, Debug, Args)]
pub(crate) struct At {
    /// Directory of the authority.
    #[arg(long, env = "PUBSUB_KEYS_CA", default_value = "keys", value_name = "DIR")]
    pub(crate) ca: PathBuf,
}

/// Whether files are replaced.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Force {
    /// Replaces files that are there.
    #[arg(long)]
    force: bool,
}

impl Force {
    pub(crate) fn overwrite(self) -> Overwrite {
        if self.force { Overwrite::Yes } else { Overwrite::No }
    }
}

fn days() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=36_500)
}

/// Arguments of `ca init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    #[command(flatten)]
    pub(crate) at: At,
    /// Common name of the authority.
    #[arg(long, default_value = "pubsub-ca")]
    pub(crate) name: String,
    /// Days that it lives.
    #[arg(long, default_value = "3650", value_parser = days())]
    pub(crate) days: u32,
    /// Kind of its key.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) algorithm: Algorithm,
    #[command(flatten)]
    pub(crate) force: Force,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// Arguments of `issue`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  pubsub-keys issue hub --san hub.example.com --san 10.0.0.7")]
pub(crate) struct IssueArgs {
    /// Name of the instance, as its configuration says.
    pub(crate) name: String,
    /// Further DNS name or address; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub(crate) san: Vec<String>,
    /// Days that it lives.
    #[arg(long, default_value = "90", value_parser = days())]
    pub(crate) days: u32,
    /// Kind of its key.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) algorithm: Algorithm,
    #[command(flatten)]
    pub(crate) at: At,
    /// Directory for NAME.crt and NAME.key [default: that of the authority].
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) force: Force,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// Arguments of `renew`.
#[derive(Debug, Args)]
pub(crate) struct RenewArgs {
    /// Name of the instance.
    pub(crate) name: String,
    /// Goes on, and renews it each time that it is due.
    #[arg(long)]
    pub(crate) watch: bool,
    /// Renews only when fewer days are left [default with --watch: a third of its life].
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(0..=36_500))]
    pub(crate) before: Option<u32>,
    /// How often --watch looks, such as 30m or 1h.
    #[arg(long, default_value = "1h", value_parser = span, value_name = "SPAN")]
    pub(crate) every: Duration,
    /// Days that it lives [default: as many as before].
    #[arg(long, value_parser = days())]
    pub(crate) days: Option<u32>,
    /// Makes a new private key of this kind, too; otherwise the key stays.
    #[arg(long, value_enum, value_name = "ALGORITHM")]
    pub(crate) new_key: Option<Algorithm>,
    #[command(flatten)]
    pub(crate) at: At,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// Arguments of `revoke`.
#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// Name of the instance, or serial number of one certificate.
    #[arg(value_name = "NAME|SERIAL")]
    pub(crate) name_or_serial: String,
    /// Says what would be revoked, and does nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) at: At,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// Arguments of `ls` and `crl`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) at: At,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// Arguments of `inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// A file of PEM.
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// File of the certificate.
    pub(crate) cert: PathBuf,
    /// File or directory of the authority.
    #[arg(long, env = "PUBSUB_KEYS_CA", default_value = "keys", value_name = "FILE|DIR")]
    pub(crate) ca: PathBuf,
    /// Revocation list [default: ca.crl, when --ca is a directory that has one].
    #[arg(long, value_name = "FILE")]
    pub(crate) crl: Option<PathBuf>,
    /// Checks that this private key belongs to it.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Checks that it is for this instance.
    #[arg(long)]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// Arguments of `bundle`.
#[derive(Debug, Args)]
pub(crate) struct BundleArgs {
    /// Name of the instance.
    pub(crate) name: String,
    /// File to write, or directory: one that is there, or a path that ends in `/`.
    #[arg(short, long, value_name = "FILE|DIR/")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) at: At,
    #[command(flatten)]
    pub(crate) force: Force,
    /// How data is printed.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: Output,
}

/// Arguments of `quickstart`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  pubsub-keys quickstart hub edge-1 edge-2 --addr hub.example.com:7740"
)]
pub(crate) struct QuickstartArgs {
    /// Name of the hub.
    pub(crate) hub: String,
    /// Names of the edges.
    #[arg(required = true, value_name = "EDGE")]
    pub(crate) edges: Vec<String>,
    /// Directory for all of it.
    #[arg(long, default_value = "federation")]
    pub(crate) dir: PathBuf,
    /// Address at which edges find the hub.
    #[arg(long, default_value = "127.0.0.1:7740", value_parser = address, value_name = "HOST:PORT")]
    pub(crate) addr: (String, u16),
    /// Days that the instances' certificates live.
    #[arg(long, default_value = "90", value_parser = days())]
    pub(crate) days: u32,
    /// Days that the authority lives.
    #[arg(long, default_value = "3650", value_parser = days())]
    pub(crate) ca_days: u32,
    /// Kind of all keys.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) algorithm: Algorithm,
    #[command(flatten)]
    pub(crate) force: Force,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// Arguments of `keygen ca`.
#[derive(Debug, Args)]
pub(crate) struct KeygenCaArgs {
    /// File for the certificate.
    #[arg(long, default_value = "ca.crt", value_name = "FILE")]
    pub(crate) out_cert: PathBuf,
    /// File for the private key.
    #[arg(long, default_value = "ca.key", value_name = "FILE")]
    pub(crate) out_key: PathBuf,
    /// Days that it lives.
    #[arg(long, default_value = "730", value_parser = days())]
    pub(crate) days: u32,
    #[command(flatten)]
    pub(crate) force: Force,
}

/// Arguments of `keygen instance`.
#[derive(Debug, Args)]
pub(crate) struct KeygenInstanceArgs {
    /// Certificate of the authority.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: PathBuf,
    /// Private key of the authority.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_key: PathBuf,
    /// Name of the instance.
    #[arg(long)]
    pub(crate) name: String,
    /// File for the certificate [default: <name>.crt].
    #[arg(long, value_name = "FILE")]
    pub(crate) out_cert: Option<PathBuf>,
    /// File for the private key [default: <name>.key].
    #[arg(long, value_name = "FILE")]
    pub(crate) out_key: Option<PathBuf>,
    /// Days that it lives.
    #[arg(long, default_value = "730", value_parser = days())]
    pub(crate) days: u32,
    #[command(flatten)]
    pub(crate) force: Force,
}

fn span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no span of time such as 30m or 1h");
    let span: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(span).ok().filter(|span| !span.is_zero()).ok_or_else(wrong)
}

fn address(text: &str) -> Result<(String, u16), String> {
    let wrong = || format!("`{text}` is no address such as hub.example.com:7740 or [::1]:7740");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = match inner {
        Some(host) => host.parse::<std::net::Ipv6Addr>().map_err(|_| wrong())?.to_string(),
        None => host.to_owned(),
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let fits = inner.is_some() || (!host.is_empty() && host.bytes().all(allowed));
    if fits { Ok((host, port)) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn arguments_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn addresses_have_a_host_and_a_port() {
        assert_eq!(address("hub.example.com:7740"), Ok(("hub.example.com".to_owned(), 7740)));
        assert_eq!(address("[::1]:1"), Ok(("::1".to_owned(), 1)));
        for bad in ["", "hub", "hub:", ":7740", "hub:0", "hub:65536", "::1:7740", "a b:1", "[x]:1"]
        {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_are_longer_than_nothing() {
        assert_eq!(span("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(span("100ms"), Ok(Duration::from_millis(100)));
        for bad in ["", "1", "0s", "-1h", "soon"] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }
}
