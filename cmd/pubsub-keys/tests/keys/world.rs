//! A directory, and the command in it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use pubsub_testkit::{Process, Workdir};
use pubsub_tls::{Certificate, MinVersion, Settings};
use serde_json::Value;

/// Long enough for a loaded machine, and never waited for when all is well.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// A directory in which commands run.
pub(crate) struct World {
    dir: Workdir,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { dir: Workdir::new().unwrap() }
    }

    /// With an authority in `keys`.
    pub(crate) fn with_authority() -> Self {
        let world = Self::new();
        world.ok("ca init");
        world
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    pub(crate) fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    pub(crate) fn mode(&self, file: &str) -> u32 {
        self.path(file).metadata().unwrap().permissions().mode() & 0o777
    }

    /// The names in a directory, in order.
    pub(crate) fn names(&self, dir: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(dir)).unwrap();
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<_> = entries.map(|entry| name(entry).into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// What a certificate says.
    pub(crate) fn facts(&self, file: &str) -> Certificate {
        let found = pubsub_keys::read_certificates(&self.path(file)).unwrap();
        Certificate::read(&found[0]).unwrap()
    }

    /// What a node would say of these files in a directory.
    pub(crate) fn settings(&self, dir: &str, name: &str) -> Settings {
        Settings {
            cert: self.path(&format!("{dir}/{name}.crt")),
            key: self.path(&format!("{dir}/{name}.key")),
            ca: self.path(&format!("{dir}/ca.crt")),
            crl: Some(self.path(&format!("{dir}/ca.crl"))),
            name: Some(name.to_owned()),
            min_version: MinVersion::V1_3,
            expiry_warn_days: 30,
        }
    }

    pub(crate) fn command(&self) -> Command {
        self.dir.command(env!("CARGO_BIN_EXE_pubsub-keys"))
    }

    pub(crate) fn spawn(&self, line: &str) -> Process {
        Process::spawn(self.command().args(line.split_whitespace())).unwrap()
    }

    /// Runs a command, its words parted by spaces.
    pub(crate) fn run(&self, line: &str) -> Ran {
        let words: Vec<_> = line.split_whitespace().collect();
        self.run_words(&words)
    }

    pub(crate) fn run_words(&self, words: &[&str]) -> Ran {
        let mut process = Process::spawn(self.command().args(words)).unwrap();
        process.close_stdin();
        let status = process.wait_for_exit(SOON).unwrap();
        let text = |lines: &[String]| lines.iter().map(|line| format!("{line}\n")).collect();
        let said = process.output();
        Ran { code: status.code().unwrap(), stdout: text(&said.stdout), stderr: text(&said.stderr) }
    }

    /// Runs a command that must succeed, for its output.
    #[track_caller]
    pub(crate) fn ok(&self, line: &str) -> String {
        let ran = self.run(line);
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
        ran.stdout
    }

    /// Runs a command that must succeed, for its JSON.
    #[track_caller]
    pub(crate) fn json(&self, line: &str) -> Value {
        let text = self.ok(&format!("{line} -o json"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{line}: {error}: {text}"))
    }

    /// Runs a command that must fail with this code, for what it says.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, line: &str) -> String {
        let ran = self.run(line);
        assert_eq!(ran.code, code, "{line}: {ran:?}");
        assert_eq!(ran.stdout, "", "{line}: talk belongs on stderr");
        ran.stderr
    }

    /// The text of every file in a directory, to see that nothing changed.
    pub(crate) fn everything(&self, dir: &str) -> Vec<(String, String)> {
        let names = self.names(dir).into_iter();
        names.map(|name| (name.clone(), self.read(&format!("{dir}/{name}")))).collect()
    }
}

/// Replaces what is in a file.
pub(crate) fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}
