//! Configuration: no text makes reading panic, every refusal says something, and what was accepted
//! holds its own rules and can be printed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pubsub_config::Config;

fuzz_target!(|bytes: &[u8]| {
    let variable = |name: &str| (name.len() < 4).then(|| format!("{name}7"));
    match Config::from_slice(bytes, "pubsub.yaml", &variable) {
        Ok(mut config) => {
            config.validate().expect("it was accepted");
            config.apply_defaults("host.example");
            assert!(!config.effective().is_empty());
        }
        Err(errors) => assert!(!errors.to_string().is_empty()),
    }
});
