//! A directory, the command in it, and a node beside it where one is wanted.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pubsub_config::Config;
use pubsub_node::Node;
use pubsub_node::control::Server;
use pubsub_node::options::store_options;
use pubsub_storage::StoreOptions;
use pubsub_testkit::{Process, Source, Workdir};
use tokio::runtime::Runtime;

/// Long enough for a loaded machine, and never waited for when all is well.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// A directory in which commands run.
pub(crate) struct World {
    pub(crate) dir: Workdir,
}

/// A node with a control socket, in this process.
pub(crate) struct Running {
    pub(crate) node: Arc<Node>,
    server: Server,
    runtime: Runtime,
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

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Starts a node on the data directory.
    pub(crate) fn start(&self) -> Running {
        self.start_with(StoreOptions::default())
    }

    /// Starts a node that is configured so.
    pub(crate) fn start_configured(&self, yaml: &str) -> Running {
        let config = Config::from_yaml(yaml, "pubsub.yaml", &|_| None).unwrap();
        self.start_with(store_options(&config))
    }

    fn start_with(&self, options: StoreOptions) -> Running {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let node = Node::start("alice", &self.data(), options).unwrap();
        let server = runtime.block_on(async { Server::start(node.clone()) }).unwrap();
        Running { node, server, runtime }
    }

    /// Starts a node when `running`.
    pub(crate) fn start_if(&self, running: bool) -> Option<Running> {
        running.then(|| self.start())
    }

    pub(crate) fn spawn(&self, args: &[&str]) -> Process {
        self.dir.spawn(env!("CARGO_BIN_EXE_pubsub"), args).unwrap()
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, "")
    }

    /// Runs a command with this standard input.
    pub(crate) fn run_with(&self, args: &[&str], input: &str) -> Ran {
        let mut process = self.spawn(args);
        for line in input.lines() {
            process.write_line(line).unwrap();
        }
        process.close_stdin();
        finish(&mut process)
    }

    /// Runs a command that must succeed, for its output.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "{args:?}: {ran:?}");
        ran.stdout
    }

    /// Runs a command that must succeed, for its JSON.
    pub(crate) fn json(&self, args: &[&str]) -> serde_json::Value {
        let args = [args, &["-o", "json"]].concat();
        let text = self.ok(&args);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {error}: {text}"))
    }
}

/// Waits for the end of a command.
pub(crate) fn finish(process: &mut Process) -> Ran {
    let status = process.wait_for_exit(SOON).unwrap();
    let output = process.output();
    let text =
        |source| output.lines(source).iter().map(|line| format!("{line}\n")).collect::<String>();
    Ran {
        code: status.code().unwrap_or(-1),
        stdout: text(Source::Stdout),
        stderr: text(Source::Stderr),
    }
}

impl Running {
    /// Ends the node in order.
    pub(crate) fn stop(self) {
        self.runtime.block_on(self.server.stop());
        self.node.close().unwrap();
    }
}
