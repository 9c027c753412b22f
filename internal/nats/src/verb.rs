//! The words that operations start with.

use std::fmt;

use crate::args::is_space;

/// What a control line asks for or tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `CONNECT {json}`
    Connect,
    /// `PUB subject [reply] #bytes`
    Pub,
    /// `HPUB subject [reply] #headers #total`
    Hpub,
    /// `SUB subject [queue] sid`
    Sub,
    /// `UNSUB sid [max]`
    Unsub,
    /// `PING`
    Ping,
    /// `PONG`
    Pong,
    /// `INFO {json}`
    Info,
    /// `MSG subject sid [reply] #bytes`
    Msg,
    /// `HMSG subject sid [reply] #headers #total`
    Hmsg,
    /// `+OK`
    Ok,
    /// `-ERR 'text'`
    Err,
}

/// What follows a verb.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Follows {
    /// A space or a tab, then arguments.
    Space,
    /// Anything.
    Anything,
}

type Word = (&'static [u8], Verb, Follows);

/// What a client may say. A client that speaks as a server does is borne, as nats-server bears it.
const OF_CLIENTS: [Word; 10] = [
    (b"pub", Verb::Pub, Follows::Space),
    (b"hpub", Verb::Hpub, Follows::Space),
    (b"sub", Verb::Sub, Follows::Space),
    (b"unsub", Verb::Unsub, Follows::Space),
    (b"ping", Verb::Ping, Follows::Anything),
    (b"pong", Verb::Pong, Follows::Anything),
    (b"connect", Verb::Connect, Follows::Anything),
    (b"info", Verb::Info, Follows::Anything),
    (b"+ok", Verb::Ok, Follows::Anything),
    (b"-err", Verb::Err, Follows::Anything),
];

/// What a server may say.
const OF_SERVERS: [Word; 7] = [
    (b"msg", Verb::Msg, Follows::Space),
    (b"hmsg", Verb::Hmsg, Follows::Space),
    (b"ping", Verb::Ping, Follows::Anything),
    (b"pong", Verb::Pong, Follows::Anything),
    (b"info", Verb::Info, Follows::Anything),
    (b"+ok", Verb::Ok, Follows::Anything),
    (b"-err", Verb::Err, Follows::Anything),
];

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaker {
    Client,
    Server,
}

/// What the bytes of a line up to now say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// This verb, and how many bytes it takes.
    Verb(Verb, usize),
    /// The beginning of a verb; the line has not ended.
    Beginning,
    /// No verb, whatever follows.
    Nothing,
}

impl Verb {
    /// The verb that `line` starts with. `ended`: the line is whole, without its end.
    pub(crate) fn of(speaker: Speaker, line: &[u8], ended: bool) -> Said {
        let words: &[Word] = match speaker {
            Speaker::Client => &OF_CLIENTS,
            Speaker::Server => &OF_SERVERS,
        };
        for (word, verb, follows) in words {
            let len = word.len().min(line.len());
            if !line[..len].eq_ignore_ascii_case(&word[..len]) {
                continue;
            }
            // No verb is the beginning of another, so the first that fits is the only one.
            return match (line.get(word.len()), follows) {
                (None, _) if line.len() < word.len() && !ended => Said::Beginning,
                (None, _) if line.len() < word.len() => Said::Nothing,
                (_, Follows::Anything) => Said::Verb(*verb, word.len()),
                (Some(next), Follows::Space) if is_space(*next) => Said::Verb(*verb, word.len()),
                (None, Follows::Space) if !ended => Said::Beginning,
                (_, Follows::Space) => Said::Nothing,
            };
        }
        Said::Nothing
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "CONNECT",
            Self::Pub => "PUB",
            Self::Hpub => "HPUB",
            Self::Sub => "SUB",
            Self::Unsub => "UNSUB",
            Self::Ping => "PING",
            Self::Pong => "PONG",
            Self::Info => "INFO",
            Self::Msg => "MSG",
            Self::Hmsg => "HMSG",
            Self::Ok => "+OK",
            Self::Err => "-ERR",
        })
    }
}
