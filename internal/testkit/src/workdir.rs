//! A directory of one test, in which its processes run and see nothing of whoever runs the tests.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::process::{Process, ProcessError};

/// The environment variable that keeps the directories, so that one can look into them.
const KEEP_VARIABLE: &str = "PUBSUB_KEEP";

/// A directory that is removed when dropped. Set `PUBSUB_KEEP` to keep it.
///
/// Declare it before the processes that run in it: what is declared last is dropped first.
#[derive(Debug)]
pub struct Workdir {
    dir: TempDir,
}

impl Workdir {
    /// Makes an empty directory.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn new() -> io::Result<Self> {
        let mut dir = tempfile::Builder::new().prefix("pubsub-").tempdir()?;
        dir.disable_cleanup(std::env::var_os(KEEP_VARIABLE).is_some());
        Ok(Self { dir })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A command that will run in the directory: it is the current and the home directory, and
    /// variables that start with `PUBSUB_` or `XDG_` are not handed on, so that nobody's own
    /// settings decide a test.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.path());
        isolate(&mut command, self.path());
        command
    }

    /// Starts a program in the directory.
    ///
    /// # Errors
    /// [`ProcessError::Spawn`]; nothing runs then.
    pub fn spawn<A: AsRef<OsStr>>(
        &self,
        program: impl AsRef<OsStr>,
        args: impl IntoIterator<Item = A>,
    ) -> Result<Process, ProcessError> {
        Process::spawn(self.command(program).args(args))
    }
}

/// Gives a command a home of its own, and none of the variables that could change what it does.
pub(crate) fn isolate(command: &mut Command, home: &Path) {
    isolate_from(std::env::vars_os().map(|(name, _)| name), command, home);
}

fn isolate_from(names: impl Iterator<Item = OsString>, command: &mut Command, home: &Path) {
    command.env("HOME", home);
    for name in names {
        let text = name.to_string_lossy();
        if text.starts_with("PUBSUB_") || text.starts_with("XDG_") {
            command.env_remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_whoever_runs_the_tests_do_not_reach_the_process() {
        let mut command = Command::new("x");
        let names = ["PATH", "PUBSUB_CONFIG", "XDG_RUNTIME_DIR"].map(OsString::from);
        isolate_from(names.into_iter(), &mut command, Path::new("/home"));
        let envs: Vec<_> = command.get_envs().collect();
        let home = (OsStr::new("HOME"), Some(OsStr::new("/home")));
        let removed = |name| (OsStr::new(name), None);
        assert_eq!(envs, [home, removed("PUBSUB_CONFIG"), removed("XDG_RUNTIME_DIR")]);
    }
}
