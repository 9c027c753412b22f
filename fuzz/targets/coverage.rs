//! Coverage: no bytes make reading panic, and whatever was read or taken answers as a set of sequences
//! does.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use pubsub_envelope::Source;
use pubsub_federation::Coverage;
use pubsub_fuzz::Input;
use uuid::Uuid;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(coverage) = Coverage::decode(bytes, 16) {
        let mut written = Vec::new();
        coverage.encode(&mut written);
        let again = Coverage::decode(&written, 16).expect("it was just written");
        assert_eq!(again.sources(), coverage.sources());
        assert_eq!(again.holes(), coverage.holes());
    }
    let (mut coverage, mut model) = (Coverage::new(1000), BTreeSet::new());
    let mut input = Input(bytes);
    while !input.is_empty() {
        let which = input.byte();
        let (log, origin) =
            (Uuid::from_u128(u128::from(which & 1)), if which & 2 == 0 { "a" } else { "b" });
        let (previous, distance) = (u64::from(input.byte()), u64::from(input.byte() % 16));
        let source = Source { log, epoch: 0, seq: previous + distance, previous };
        if which & 4 == 0 {
            coverage.insert(origin, &source);
            model.extend((previous + 1..=previous + distance).map(|seq| (log, origin, seq)));
        } else {
            coverage.remove(origin, &source);
            model.remove(&(log, origin, source.seq));
        }
        let there = coverage.contains(origin, &source);
        assert_eq!(there, model.contains(&(log, origin, source.seq)));
    }
});
