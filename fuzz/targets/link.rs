//! A link in our own protocol: no sequence of messages and events makes it panic, go on for ever, or say
//! anything after its end; what it hands out can be judged and stored.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use pubsub_federation::{Action, Link, Lists, Message, NodeName, Session, SessionConfig};
use pubsub_fuzz::Input;
use pubsub_fuzz::link::Shell;
use pubsub_types::Filter;

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let flags = input.byte();
    let start = Duration::from_secs(1);
    let config = |name| SessionConfig {
        lz4: flags & 2 != 0,
        window_bytes: 64 << 10,
        message_max_bytes: 100_000,
        ..SessionConfig::new(NodeName::new(name).expect("a plain name"))
    };
    let everything = || {
        let all = vec![Filter::all()];
        Lists { subscribe: all.clone(), publish: all }
    };
    let mut shell = if flags & 4 == 0 {
        Shell::new(Session::accept(config("hub"), start))
    } else {
        Shell::new(Session::dial(config("hub"), everything(), start))
    };
    if flags & 1 != 0 {
        greet(&mut shell, flags & 4 == 0, config("edge"), everything());
    }
    while !input.is_empty() {
        match input.byte() {
            0..200 => {
                let len = input.number().min(input.0.len());
                let (message, rest) = input.0.split_at(len);
                input.0 = rest;
                shell.hear(Message::Binary(message.to_vec().into()));
            }
            200 => shell.hear(Message::Text(String::from_utf8_lossy(input.some()).into())),
            _ => shell.disturb(&mut input),
        }
    }
    let status = shell.link.status();
    assert!(status.counters.messages_sent <= 2 * 40 * 200);
});

/// An honest peer's greeting, so that the input begins behind it.
fn greet(shell: &mut Shell<Session>, dials: bool, config: SessionConfig, lists: Lists) {
    let start = Duration::from_secs(1);
    let mut peer =
        if dials { Session::dial(config, lists, start) } else { Session::accept(config, start) };
    for message in std::mem::take(&mut shell.sent) {
        peer.handle_message(message, start);
    }
    while let Some(action) = peer.poll_action() {
        match action {
            Action::Send(message) => shell.hear(message),
            Action::Admit { .. } => peer.admit(&Default::default(), start),
            _ => (),
        }
    }
}
