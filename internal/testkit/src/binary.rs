//! Where the workspace's programs are, once built; and whether they are what the sources say.
//!
//! ```text
//!   target/debug/deps/a_test-0123   this test
//!   target/debug/pubsub             the program
//!   target/debug/pubsub.d           the sources it was built from
//! ```
//!
//! Cargo builds a package's programs before its own integration tests, but not before those of
//! another package. A test that ran yesterday's program would promise nothing, so a program older
//! than one of its sources is refused.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Why a program cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BinaryError {
    /// It is not where it belongs.
    #[error("there is no {path}: run `cargo build --workspace --bins` first", path = path.display())]
    NotBuilt {
        /// Where it belongs.
        path: PathBuf,
    },
    /// It was built before the last change.
    #[error(
        "{path} is older than {newer}: run `cargo build --workspace --bins` first",
        path = path.display(), newer = newer.display()
    )]
    Stale {
        /// The program.
        path: PathBuf,
        /// A source that changed since, or is gone.
        newer: PathBuf,
    },
    /// The running test could not be located.
    #[error("find the directory that the tests were built in")]
    Locate(#[source] io::Error),
}

/// The path of a program of this workspace, such as `pubsub-server`, as built with these tests.
///
/// # Errors
/// [`BinaryError`], which says what to run.
pub fn binary(name: &str) -> Result<PathBuf, BinaryError> {
    let test = std::env::current_exe().map_err(BinaryError::Locate)?;
    let file_name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    current(profile_dir(&test).join(file_name))
}

/// The path, if what is there is as new as its sources.
fn current(path: PathBuf) -> Result<PathBuf, BinaryError> {
    let Ok(built) = modified(&path) else {
        return Err(BinaryError::NotBuilt { path });
    };
    let sources = fs::read_to_string(path.with_extension("d")).unwrap_or_default();
    // A source that is gone was built into the program all the same.
    match sources_of(&sources).find(|source| !modified(source).is_ok_and(|at| at <= built)) {
        Some(newer) => Err(BinaryError::Stale { path, newer }),
        None => Ok(path),
    }
}

/// The directory of the programs: that of the test, or the one above when the test is in `deps`.
fn profile_dir(test: &Path) -> &Path {
    let dir = test.parent().unwrap_or_else(|| Path::new(""));
    match dir.parent() {
        Some(above) if dir.ends_with("deps") || dir.ends_with("examples") => above,
        _ => dir,
    }
}

/// The prerequisites in a file of make rules, in which spaces in names are escaped.
fn sources_of(rules: &str) -> impl Iterator<Item = PathBuf> {
    rules
        .lines()
        .filter_map(|line| line.split_once(": "))
        .flat_map(|(_, sources)| {
            let sources = sources.replace("\\ ", "\0");
            sources.split_whitespace().map(|name| name.replace('\0', " ")).collect::<Vec<_>>()
        })
        .map(PathBuf::from)
}

fn modified(path: &Path) -> io::Result<SystemTime> {
    fs::metadata(path)?.modified()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::time::Duration;

    use super::*;

    #[test]
    fn programs_are_beside_the_directory_of_the_tests() {
        assert_eq!(profile_dir(Path::new("/t/debug/deps/a-12")), Path::new("/t/debug"));
        assert_eq!(profile_dir(Path::new("/t/debug/examples/a")), Path::new("/t/debug"));
        assert_eq!(profile_dir(Path::new("/t/debug/a")), Path::new("/t/debug"));
    }

    #[test]
    fn sources_are_read_with_the_spaces_in_their_names() {
        let sources: Vec<_> = sources_of("/t/debug/x: /a/b.rs /a/with\\ space.rs\n").collect();
        assert_eq!(sources, [Path::new("/a/b.rs"), Path::new("/a/with space.rs")]);
    }

    #[test]
    fn program_older_than_a_source_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str, seconds: u64| {
            let path = dir.path().join(name);
            let file = File::options().write(true).create(true).truncate(true).open(&path).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
            path
        };
        let (program, source) = (at("x", 100), at("main.rs", 100));
        let rules = format!("{}: {}\n", program.display(), source.display());
        fs::OpenOptions::new()
            .create_new(true)
            .write(true)
            .open(program.with_extension("d"))
            .and_then(|mut file| file.write_all(rules.as_bytes()))
            .unwrap();
        assert_eq!(current(program.clone()).unwrap(), program);

        at("main.rs", 101);
        let error = current(program.clone()).unwrap_err();
        assert!(matches!(&error, BinaryError::Stale { newer, .. } if *newer == source), "{error}");

        fs::remove_file(&source).unwrap();
        assert!(matches!(current(program), Err(BinaryError::Stale { .. })));
    }

    #[test]
    fn program_that_was_never_built_is_refused_with_what_to_run() {
        let error = binary("no-such-program").unwrap_err();
        assert!(matches!(error, BinaryError::NotBuilt { .. }));
        assert!(error.to_string().contains("cargo build --workspace --bins"), "{error}");
    }
}
