//! `cargo xtask fuzz`: libFuzzer on the stable compiler.
//!
//! `fuzz/` is a workspace of its own, so that nothing else is built with coverage, and its targets
//! are plain programs (`libfuzzer-sys`). The flags are what a coverage-guided fuzzer needs: a counter
//! on every edge, and the operands of every comparison.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::command::{cargo, output_of, run as run_command};

/// What makes the compiler insert the counters.
const FLAGS: [&str; 8] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions",
    // One unit, as counters of functions that the linker drops must go with them.
    "-Ccodegen-units=1",
];

/// Longest time that one input may take, in seconds. Every decoder is linear.
const INPUT_SECONDS_MAX: u32 = 5;

/// Runs one target, or all of them one after the other, for `seconds` each.
pub(crate) fn run(
    root: &Path,
    target: Option<&str>,
    seconds: u64,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let fuzz = root.join("fuzz");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml"))
        .context("there are no fuzz targets: fuzz/Cargo.toml cannot be read")?;
    let known = targets(&manifest)?;
    let chosen = match target {
        None => known,
        Some(name) if known.iter().any(|other| other == name) => vec![name.to_owned()],
        Some(name) => bail!("there is no fuzz target {name}; there are {}", known.join(", ")),
    };
    let host = host(&output_of(Command::new("rustc").arg("-vV"))?)?;
    for name in chosen {
        writeln!(out, "\n== fuzz {name} for {seconds} s")?;
        out.flush()?;
        run_command(
            // The triple is named so that build scripts are spared the flags.
            cargo(&fuzz, &["build", "--release", "--target", &host, "--bin", &name])
                .env("RUSTFLAGS", FLAGS.join(" ")),
        )?;
        let corpus = fuzz.join("corpus").join(&name);
        let artifacts = fuzz.join("artifacts").join(&name);
        for dir in [&corpus, &artifacts] {
            fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        }
        let seeds = fuzz.join("seeds").join(&name);
        let program = fuzz.join("target").join(&host).join("release").join(&name);
        run_command(
            Command::new(program)
                .arg(format!("-max_total_time={seconds}"))
                .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
                .arg(format!("-artifact_prefix={}/", artifacts.display()))
                .arg("-print_final_stats=1")
                .arg(corpus)
                // Read, and not added to.
                .args(seeds.is_dir().then_some(seeds))
                .current_dir(&fuzz),
        )?;
    }
    Ok(())
}

/// The names of the programs in a manifest.
fn targets(manifest: &str) -> anyhow::Result<Vec<String>> {
    let manifest: toml::Table = manifest.parse().context("read fuzz/Cargo.toml")?;
    let bins = manifest.get("bin").and_then(toml::Value::as_array).into_iter().flatten();
    let names = bins.filter_map(|bin| bin.get("name")?.as_str());
    let names: Vec<_> = names.map(str::to_owned).collect();
    ensure!(!names.is_empty(), "fuzz/Cargo.toml names no [[bin]]");
    Ok(names)
}

/// The host's triple, as `rustc -vV` tells it.
fn host(version: &str) -> anyhow::Result<String> {
    let line = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("rustc does not say which host it is for")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_of_the_manifest_is_a_target() {
        let manifest = "[package]\nname = 'f'\n[[bin]]\nname = 'a'\n[[bin]]\nname = 'b'\n";
        assert_eq!(targets(manifest).unwrap(), ["a", "b"]);
        targets("[package]\nname = 'f'\n").unwrap_err();
    }

    #[test]
    fn host_is_read_from_what_the_compiler_says() {
        assert_eq!(host("rustc 1.95.0\nbinary: rustc\nhost: a-b-c\n").unwrap(), "a-b-c");
        host("rustc 1.95.0\n").unwrap_err();
    }

    #[test]
    fn tree_without_targets_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let error = run(dir.path(), None, 1, &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("no fuzz targets"), "{error:#}");
    }
}
