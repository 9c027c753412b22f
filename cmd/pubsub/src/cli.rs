//! What can be typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use pubsub_types::{ChannelName, Format, SubscriberId, SyncPolicy};

use crate::audit::AuditArgs;
use crate::parse::{self, Header, When};

/// Publish, read and look after the channels of a pubsub data directory.
///
/// Every command finds the node by itself: it talks to the node that has the data directory open, or
/// opens the directory when no node runs.
#[derive(Debug, Parser)]
#[command(name = "pubsub", version, propagate_version = false, disable_help_subcommand = true)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failure, 2 usage, 3 not found, 4 denied, 5 timeout, \
                          6 conflict, 130 interrupted.";

/// What every command takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// The data directory.
    #[arg(
        long,
        global = true,
        env = "PUBSUB_DATA_DIR",
        default_value = "./data",
        value_name = "DIR"
    )]
    pub(crate) data_dir: PathBuf,
    /// How data is printed.
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: Output,
    /// Prints no colours, as NO_COLOR does.
    #[arg(long, global = true, action = ArgAction::SetTrue)]
    pub(crate) no_color: bool,
    /// Prints data and errors only.
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

/// How data is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people; of messages, the payloads.
    #[default]
    Table,
    /// One JSON document.
    Json,
    /// One JSON document a line.
    Jsonl,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Publishes messages.
    Pub(PubArgs),
    /// Prints messages as they come.
    Sub(SubArgs),
    /// Prints a channel's newest messages from its files, without asking a node.
    Tail(TailArgs),
    /// Channels: make, list, show, verify, compact, remove.
    #[command(subcommand, visible_alias = "ch")]
    Channel(ChannelCommand),
    /// Subscribers: list, show, move, forget.
    #[command(subcommand)]
    Subscriber(SubscriberCommand),
    /// Dead letters: list, show, publish again.
    #[command(subcommand)]
    Dlq(DlqCommand),
    /// The node's listener for other nodes.
    #[command(subcommand)]
    Hub(HubCommand),
    /// Links to other nodes: list, show, find out what is wrong.
    #[command(subcommand)]
    Link(LinkCommand),
    /// Prints the audit log from its files: who connected, who was refused, what crossed the links.
    Audit(AuditArgs),
    /// Checks every record of a data directory, read-only, and says what to do.
    Doctor,
    /// Measures this machine.
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Prints what a shell needs to complete these commands.
    Completion {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Prints the manual page, or writes one for every command.
    Man {
        /// Directory to write to.
        dir: Option<PathBuf>,
    },
    /// Prints the version.
    Version,
}

/// What can be asked of the listener.
#[derive(Debug, Subcommand)]
pub(crate) enum HubCommand {
    /// Shows who is connected, who may connect, and until when the certificate is good.
    Status,
}

/// What can be asked of links.
#[derive(Debug, Subcommand)]
pub(crate) enum LinkCommand {
    /// Lists every link, and every hub that is dialled and not connected.
    #[command(visible_alias = "list")]
    Ls,
    /// Shows one link with its channels.
    Info {
        /// The peer's name, its address, or the number of the link.
        peer: String,
    },
    /// Says why a link is down, slow or refusing, and what to do.
    Explain {
        /// The peer's name, its address, or the number of the link.
        peer: String,
    },
}

/// Arguments of `pub`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  pubsub pub orders '{\"id\":7}'\n  \
                        tail -f access.log | pubsub pub access --stdin")]
pub(crate) struct PubArgs {
    /// The channel, made when there is none.
    pub(crate) channel: ChannelName,
    /// The payload, kept byte for byte.
    #[arg(required_unless_present = "stdin", conflicts_with = "stdin")]
    pub(crate) payload: Option<String>,
    /// Publishes every line of the standard input.
    #[arg(long)]
    pub(crate) stdin: bool,
    /// Type of the payload, such as com.acme.OrderCreated.
    #[arg(long = "type", value_name = "TYPE", default_value = "")]
    pub(crate) payload_type: String,
    /// Adds a header; may be repeated.
    #[arg(short = 'H', long = "header", value_name = "KEY:VALUE")]
    pub(crate) headers: Vec<Header>,
    /// Groups the messages of one process.
    #[arg(long, value_name = "ID", default_value = "")]
    pub(crate) correlation_id: String,
    /// Service that publishes.
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(crate) service: String,
    /// Publishes the payload this many times.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "stdin")]
    pub(crate) count: u64,
}

/// Arguments of `sub`.
#[derive(Debug, Args)]
#[command(
    after_help = "Without a start, and without a position of --id, only new messages are printed."
)]
pub(crate) struct SubArgs {
    /// The channel, made when there is none.
    pub(crate) channel: ChannelName,
    #[command(flatten)]
    pub(crate) start: StartArgs,
    /// Keeps the position under this name, and goes on there the next time.
    #[arg(long)]
    pub(crate) id: Option<SubscriberId>,
    /// Ends after this many messages.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    pub(crate) count: Option<u64>,
    /// Gives up when no message comes for this long (exit code 5).
    #[arg(long, value_parser = parse::duration, value_name = "DURATION")]
    pub(crate) timeout: Option<Duration>,
}

/// Arguments of `tail`.
#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    /// The channel.
    pub(crate) channel: ChannelName,
    #[command(flatten)]
    pub(crate) start: TailStart,
    /// Goes on with what is published.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Prints envelopes, as a JSONL channel has them, whatever the channel's format.
    #[arg(long)]
    pub(crate) jsonl: bool,
}

/// Where `tail` begins.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct TailStart {
    /// Prints the last so many messages.
    #[arg(short = 'n', long, default_value_t = 10, value_name = "N")]
    pub(crate) lines: usize,
    /// Begins with the oldest message.
    #[arg(long)]
    pub(crate) from_start: bool,
    /// Begins with messages of this age (1h30m) or time (2026-11-21T13:00:00Z).
    #[arg(long, value_name = "DURATION|TIME")]
    pub(crate) since: Option<When>,
    /// Begins behind this sequence.
    #[arg(long, value_name = "SEQ")]
    pub(crate) after: Option<u64>,
}

/// Where to begin.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct StartArgs {
    /// Begins with the oldest message.
    #[arg(long)]
    pub(crate) from_start: bool,
    /// Begins with the newest message.
    #[arg(long)]
    pub(crate) last: bool,
    /// Begins with what is published from now on.
    #[arg(long)]
    pub(crate) new: bool,
    /// Begins with messages of this age (1h30m) or time (2026-11-21T13:00:00Z).
    #[arg(long, value_name = "DURATION|TIME")]
    pub(crate) since: Option<When>,
    /// Begins behind this sequence.
    #[arg(long, value_name = "SEQ")]
    pub(crate) after: Option<u64>,
}

/// Commands about channels.
#[derive(Debug, Subcommand)]
pub(crate) enum ChannelCommand {
    /// Makes a channel. What is chosen for it here stays, whatever a server is configured to do with
    /// channels in general; only an entry under the channel's own name in its configuration overrules it.
    Add(ChannelAddArgs),
    /// Lists the channels.
    Ls,
    /// Shows a channel.
    Info {
        /// The channel.
        channel: ChannelName,
    },
    /// Checks every record of a channel, read-only.
    Verify {
        /// The channel.
        channel: ChannelName,
    },
    /// Deletes what every subscriber has consumed.
    Compact {
        /// The channel.
        channel: ChannelName,
        /// Deletes everything before this sequence, consumed or not.
        #[arg(long, value_name = "SEQ")]
        before: Option<u64>,
        #[command(flatten)]
        sure: Sure,
    },
    /// Removes a channel with its messages and subscribers.
    Rm {
        /// The channel.
        channel: ChannelName,
        #[command(flatten)]
        sure: Sure,
    },
}

/// Arguments of `channel add`.
#[derive(Debug, Args)]
pub(crate) struct ChannelAddArgs {
    /// Its name: letters, digits, '.', '_' and '-'.
    pub(crate) channel: ChannelName,
    /// How its records are written: jsonl or binary.
    #[arg(long)]
    pub(crate) format: Option<Format>,
    /// What an acknowledgement means: always, periodic or none.
    #[arg(long)]
    pub(crate) sync: Option<SyncPolicy>,
    /// Bytes of a segment file, such as 64MiB.
    #[arg(long, value_parser = parse::size, value_name = "SIZE")]
    pub(crate) segment_size: Option<u64>,
    /// Keeps messages for this long, whether consumed or not.
    #[arg(long, value_parser = parse::duration, value_name = "DURATION")]
    pub(crate) max_age: Option<Duration>,
    /// Keeps this many bytes, such as 10GiB.
    #[arg(long, value_parser = parse::size, value_name = "SIZE")]
    pub(crate) max_bytes: Option<u64>,
    /// Keeps this many messages.
    #[arg(long, value_name = "N")]
    pub(crate) max_messages: Option<u64>,
}

/// Commands about subscribers.
#[derive(Debug, Subcommand)]
pub(crate) enum SubscriberCommand {
    /// Lists the subscribers of a channel, or of all.
    Ls {
        /// The channel.
        channel: Option<ChannelName>,
    },
    /// Shows a subscriber.
    Info {
        /// The channel.
        channel: ChannelName,
        /// The subscriber.
        id: SubscriberId,
    },
    /// Moves a subscriber; it goes on from there.
    Seek {
        /// The channel.
        channel: ChannelName,
        /// The subscriber.
        id: SubscriberId,
        #[command(flatten)]
        to: SeekArgs,
        #[command(flatten)]
        sure: Sure,
    },
    /// Forgets a subscriber.
    Rm {
        /// The channel.
        channel: ChannelName,
        /// The subscriber.
        id: SubscriberId,
        #[command(flatten)]
        sure: Sure,
    },
}

/// Where to move a subscriber.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct SeekArgs {
    /// To the oldest message.
    #[arg(long)]
    pub(crate) start: bool,
    /// To the end.
    #[arg(long)]
    pub(crate) end: bool,
    /// Behind this sequence.
    #[arg(long, value_name = "SEQ")]
    pub(crate) after: Option<u64>,
    /// To messages of this age (1h30m) or time (2026-11-21T13:00:00Z).
    #[arg(long, value_name = "DURATION|TIME")]
    pub(crate) since: Option<When>,
}

/// Commands about dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum DlqCommand {
    /// Lists the messages of a channel that could not be delivered, or how many each channel has.
    Ls {
        /// The channel; all without it.
        channel: Option<ChannelName>,
        /// Most letters listed.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1000), value_name = "N", requires = "channel")]
        limit: u64,
        /// Only letters after this sequence.
        #[arg(long, default_value_t = 0, value_name = "SEQ", requires = "channel")]
        after: u64,
    },
    /// Shows one with its payload.
    Show {
        /// The channel.
        channel: ChannelName,
        /// The letter's sequence, as `ls` shows it.
        seq: u64,
    },
    /// Publishes dead letters to their channel again, and deletes them.
    Replay {
        /// The channel.
        channel: ChannelName,
        /// The letters' sequences.
        #[arg(required_unless_present = "all")]
        seqs: Vec<u64>,
        /// All of them.
        #[arg(long, conflicts_with = "seqs")]
        all: bool,
        #[command(flatten)]
        sure: Sure,
    },
}

/// Whether to go through with it.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Sure {
    /// Does not ask.
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Says what would be done, and does nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// What can be measured.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Measures the storage engine, beside what the disk itself can do.
    ///
    /// Publishes to channels in a directory of its own, which is removed in the end, on the file
    /// system of the data directory. Prints medians.
    Store(BenchStoreArgs),
}

/// Arguments of `bench store`.
#[derive(Clone, Debug, Args)]
pub(crate) struct BenchStoreArgs {
    /// Measures the file system of this directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Bytes of a payload.
    #[arg(long, value_parser = parse::payload_size, default_value = "128", value_name = "SIZE")]
    pub(crate) payload: u64,
    /// Formats, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "binary,jsonl")]
    pub(crate) format: Vec<Format>,
    /// Sync policies, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "always,periodic,none")]
    pub(crate) sync: Vec<SyncPolicy>,
    /// Messages in flight, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "1,256,4096", value_parser = parse::in_flight)]
    pub(crate) in_flight: Vec<usize>,
    /// Threads that publish.
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: usize,
    /// Rounds, of which the median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// Time of one measurement.
    #[arg(long, value_parser = parse::duration, default_value = "300ms", value_name = "DURATION")]
    pub(crate) duration: Duration,
}
