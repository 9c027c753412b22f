//! A link in the predecessor's wire: no sequence of messages and events makes it panic, go on for ever,
//! or say anything after its end; what it hands out can be judged and stored.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use pubsub_federation::keyop::Session;
use pubsub_federation::{Lists, Message, NodeName, SessionConfig};
use pubsub_fuzz::Input;
use pubsub_fuzz::link::Shell;
use pubsub_types::Filter;

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let flags = input.byte();
    let start = Duration::from_secs(1);
    let config = SessionConfig {
        window_bytes: 64 << 10,
        message_max_bytes: 100_000,
        ..SessionConfig::new(NodeName::new("hub").expect("a plain name"))
    };
    let mut shell = if flags & 4 == 0 {
        Shell::new(Session::accept(config, start))
    } else {
        let orders = vec![Filter::new("orders").expect("a plain name")];
        Shell::new(Session::dial(
            config,
            Lists { subscribe: orders.clone(), publish: orders },
            start,
        ))
    };
    if flags & 1 != 0 {
        let text =
            r#"{"instance_name":"edge","role":"client","version":"1","subscribe":["orders"]}"#;
        shell.hear(Message::Text(text.to_owned()));
    }
    while !input.is_empty() {
        match input.byte() {
            0..100 => {
                let len = input.number().min(input.0.len());
                let (message, rest) = input.0.split_at(len);
                input.0 = rest;
                shell.hear(Message::Binary(message.to_vec().into()));
            }
            100..150 => {
                // An envelope behind its true length, so that what is in it is reached.
                let envelope = input.some();
                let len = u32::try_from(envelope.len()).expect("a byte said how many");
                let message = [&len.to_be_bytes(), envelope].concat();
                shell.hear(Message::Binary(message.into()));
            }
            150..200 => shell.hear(Message::Text(String::from_utf8_lossy(input.some()).into())),
            200..220 => shell.hear(Message::Text(r#"{"last_id":""}"#.to_owned())),
            _ => shell.disturb(&mut input),
        }
    }
});
