//! What every command needs: where the data is, how to talk, and how to ask.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use pubsub_node::control::{Client, OpenMode, Request, Response};
use tokio::runtime::{Builder, Runtime};

use crate::cli::{Global, Output, Sure};
use crate::fail::{self, Fail};

/// What every command needs.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) data_dir: PathBuf,
    pub(crate) output: Output,
    pub(crate) quiet: bool,
    color: ColorChoice,
}

const ERROR: Style = AnsiColor::Red.on_default().bold();
const NOTE: Style = AnsiColor::Yellow.on_default();

impl Context {
    pub(crate) fn new(global: &Global) -> Self {
        let color = if global.no_color { ColorChoice::Never } else { ColorChoice::Auto };
        let level = if global.quiet { "error" } else { "warn" };
        let filter = tracing_subscriber::EnvFilter::try_from_env("PUBSUB_LOG")
            .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
        // Somebody else's logger, in a test, may stay.
        let _installed = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            .with_ansi(!global.no_color && io::stderr().is_terminal())
            .without_time()
            .with_target(false)
            .try_init();
        Self {
            data_dir: global.data_dir.clone(),
            output: global.output,
            quiet: global.quiet,
            color,
        }
    }

    /// Runs a command that waits for others.
    pub(crate) fn block_on<T>(
        &self,
        command: impl Future<Output = Result<T, Fail>>,
    ) -> Result<T, Fail> {
        let runtime = runtime()?;
        let result = runtime.block_on(Box::pin(command));
        // A read of the standard input may never end; nothing else is left to wait for.
        runtime.shutdown_background();
        result
    }

    /// How to open the data directory.
    pub(crate) fn mode(&self) -> OpenMode {
        OpenMode { name: host_name(), ..OpenMode::default() }
    }

    /// Opens the data directory, one way or the other.
    pub(crate) async fn open(&self, mode: &OpenMode) -> Result<Client, Fail> {
        Ok(Client::connect_or_open(&self.data_dir, mode).await?)
    }

    /// Makes one request of the node of an existing data directory.
    pub(crate) fn ask(&self, request: Request) -> Result<(Response, bytes::Bytes), Fail> {
        self.ask_in(request, &self.mode())
    }

    /// Makes one request of the node of the data directory, opened like this.
    pub(crate) fn ask_in(
        &self,
        request: Request,
        mode: &OpenMode,
    ) -> Result<(Response, bytes::Bytes), Fail> {
        self.block_on(async {
            let mut client = self.open(mode).await?;
            let answer = client.request(request, bytes::Bytes::new()).await;
            let closed = client.close().await;
            let answer = answer?;
            closed?;
            Ok(answer)
        })
    }

    /// Does something that cannot be undone: says what, asks, and does it.
    ///
    /// `request` makes the request for a dry run, or for the real one.
    pub(crate) fn destroy(
        &self,
        sure: Sure,
        request: impl Fn(bool) -> Request,
    ) -> Result<(Response, bytes::Bytes), Fail> {
        if sure.dry_run {
            return self.ask(request(true));
        }
        if !sure.yes {
            if !io::stdin().is_terminal() {
                return Err(Fail::new(
                    fail::USAGE,
                    "this cannot be undone, and there is no terminal to ask on",
                    "add --yes to do it, or --dry-run to see what it would do",
                ));
            }
            if let (Response::Done { what }, _) = self.ask(request(true))? {
                self.say(&what);
            }
            if !self.confirm()? {
                return Err(Fail::new(fail::FAILURE, "nothing was done", ""));
            }
        }
        self.ask(request(false))
    }

    fn confirm(&self) -> Result<bool, Fail> {
        let mut to = self.stderr();
        let asked = write!(to, "Go on? [y/N] ").and_then(|()| to.flush());
        asked.map_err(|error| Fail::io("ask", &error))?;
        let mut answer = String::new();
        io::stdin()
            .lock()
            .read_line(&mut answer)
            .map_err(|error| Fail::io("read the answer", &error))?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }

    /// Says something that is no data.
    pub(crate) fn say(&self, text: &str) {
        if !self.quiet {
            self.tell(format_args!("{text}\n"));
        }
    }

    /// Says something that somebody should look at.
    pub(crate) fn warn(&self, text: &str) {
        self.tell(format_args!("{NOTE}warning:{NOTE:#} {text}\n"));
    }

    /// Says what went wrong, and what to do.
    pub(crate) fn error(&self, message: &str, advice: &str) {
        self.tell(format_args!("{ERROR}error:{ERROR:#} {message}\n"));
        if !advice.is_empty() {
            self.tell(format_args!("  try: {advice}\n"));
        }
    }

    fn tell(&self, text: std::fmt::Arguments<'_>) {
        // Nobody is left to be told that stderr is closed.
        let _written = self.stderr().write_fmt(text);
    }

    fn stderr(&self) -> AutoStream<io::Stderr> {
        AutoStream::new(io::stderr(), self.color)
    }
}

fn runtime() -> Result<Runtime, Fail> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Fail::io("start the runtime", &error))
}

/// The name of a node that has no other: the machine's.
fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "localhost".to_owned() } else { name }
}
