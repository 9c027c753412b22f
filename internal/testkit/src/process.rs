//! A process that a test started, and that never outlives it.
//!
//! It stays in the process group of the test, so that whatever ends the test's group (a terminal, a
//! test runner past its limit) ends it too. Dropping it ends it and all that descends from it.

use std::io::{self, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::eventually;
use crate::marked;
use crate::output::{Output, Source, Watch};
use crate::usage::{self, Usage};

/// The environment variable that marks a process and all that it starts.
const MARK_VARIABLE: &str = "TESTKIT_PROCESS";

/// Distinguishes the processes that one test binary starts.
static STARTED: AtomicU64 = AtomicU64::new(0);

/// How long a process that was killed may take to be gone. The kernel needs microseconds; a process
/// in an uninterruptible write may need the disk.
const KILL_WITHIN: Duration = Duration::from_secs(60);

/// What can go wrong with a process.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It could not be started.
    #[error("start {command}")]
    Spawn {
        /// The command, as it would be typed.
        command: String,
        /// Why not.
        source: io::Error,
    },
    /// The deadline passed. The process goes on.
    #[error("{what} did not happen within {within:?}; so far {program} said:\n{output}")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// How long was waited.
        within: Duration,
        /// The program's name.
        program: String,
        /// All it had said by then.
        output: Output,
    },
    /// The process ended, so that what was waited for can no longer happen.
    #[error("{program} ended before {what}; it said:\n{output}")]
    Ended {
        /// What was waited for.
        what: String,
        /// The program's name.
        program: String,
        /// All it had said.
        output: Output,
    },
    /// A signal, a write to its input or a reading of its numbers failed; most often, because the
    /// process has ended.
    #[error("{what} of {program} (process {pid})")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The program's name.
        program: String,
        /// Its process id.
        pid: u32,
        /// Why it failed.
        source: io::Error,
    },
}

/// A running process. Its output is read all the time, so it never blocks on a full pipe.
#[derive(Debug)]
pub struct Process {
    program: String,
    /// `NAME=value` in the environment of the process and of all that it starts.
    mark: String,
    child: Child,
    stdin: Option<ChildStdin>,
    watch: Watch,
    /// How many lines of standard output and error [`Self::wait_for_line`] has passed.
    seen: [usize; 2],
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts a command. Its three standard streams become pipes, whatever the command said of them;
    /// standard input stays open until [`Self::close_stdin`].
    ///
    /// # Errors
    /// [`ProcessError::Spawn`]; nothing runs then.
    pub fn spawn(command: &mut Command) -> Result<Self, ProcessError> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let serial = STARTED.fetch_add(1, Ordering::Relaxed);
        let value = format!("{}-{serial}", std::process::id());
        let mut child = command
            .env(MARK_VARIABLE, &value)
            .spawn()
            .map_err(|source| ProcessError::Spawn { command: format!("{command:?}"), source })?;
        let watch = Watch::default();
        if let Some(stdout) = child.stdout.take() {
            watch.follow(Source::Stdout, stdout);
        }
        if let Some(stderr) = child.stderr.take() {
            watch.follow(Source::Stderr, stderr);
        }
        let stdin = child.stdin.take();
        let program = command.get_program().to_string_lossy().into_owned();
        let mark = format!("{MARK_VARIABLE}={value}");
        let process = Self { program, mark, child, stdin, watch, seen: [0; 2], status: None };
        process.watch_exit();
        Ok(process)
    }

    /// Wakes whoever waits when the process has ended, and leaves it to be reaped: until then its
    /// id belongs to nobody else, and a signal can only reach the right process.
    fn watch_exit(&self) {
        let (pid, watch) = (self.rustix_pid(), self.watch.clone());
        thread::spawn(move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while matches!(waitid(WaitId::Pid(pid), options), Err(Errno::INTR)) {}
            watch.change(|state| state.exited = true);
        });
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All it has said so far.
    #[must_use]
    pub fn output(&self) -> Output {
        self.watch.lock().output.clone()
    }

    /// Waits for the next line that contains `needle`, and returns it.
    ///
    /// Each call looks behind the line that the call before found on the same stream, so that two
    /// calls find two lines.
    ///
    /// # Errors
    /// [`ProcessError::TimedOut`], and [`ProcessError::Ended`] as soon as the line cannot come any
    /// more. Both hold all that was said.
    pub fn wait_for_line(
        &mut self,
        source: Source,
        needle: &str,
        within: Duration,
    ) -> Result<String, ProcessError> {
        let seen = self.seen[source as usize];
        let mut found = (seen, String::new());
        self.wait_until(&format!("a line with {needle:?}"), within, |output| {
            let mut new = output.lines(source).iter().enumerate().skip(seen);
            let first = new.find(|(_, line)| line.contains(needle));
            first.inspect(|(at, line)| found = (*at, (*line).clone())).is_some()
        })?;
        let (at, line) = found;
        self.seen[source as usize] = at + 1;
        Ok(line)
    }

    /// Waits until what it has said satisfies `done`, which is asked at each new line.
    ///
    /// # Errors
    /// As [`Self::wait_for_line`].
    pub fn wait_until(
        &self,
        what: &str,
        within: Duration,
        mut done: impl FnMut(&Output) -> bool,
    ) -> Result<(), ProcessError> {
        let mut is_done = false;
        let in_time = self.watch.wait(within, |state| {
            is_done = done(&state.output);
            is_done || state.silent()
        });
        let (what, program, output) = (what.to_owned(), self.program.clone(), self.output());
        match (is_done, in_time) {
            (true, _) => Ok(()),
            (false, true) => Err(ProcessError::Ended { what, program, output }),
            (false, false) => Err(ProcessError::TimedOut { what, within, program, output }),
        }
    }

    /// Waits until it has ended by itself, and all it said has been read.
    ///
    /// # Errors
    /// [`ProcessError::TimedOut`] when it still runs, or when something it started still holds its
    /// output open.
    pub fn wait_for_exit(&mut self, within: Duration) -> Result<ExitStatus, ProcessError> {
        if !self.watch.wait(within, |state| state.silent()) {
            let (program, output) = (self.program.clone(), self.output());
            let what = "the end of the process".to_owned();
            return Err(ProcessError::TimedOut { what, within, program, output });
        }
        self.reap()
    }

    /// Whether it has ended, by itself or otherwise.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.watch.lock().exited
    }

    /// Kills it (`SIGKILL`), as a crash would, and waits until it is gone. What it started lives on,
    /// until the drop. Killing what has ended is no error, and gives the status it ended with.
    ///
    /// # Errors
    /// [`ProcessError::TimedOut`] when the kernel does not let go of it in a minute.
    pub fn kill(&mut self) -> Result<ExitStatus, ProcessError> {
        if !self.has_ended() {
            self.signal("kill", Signal::KILL)?;
        }
        if !self.watch.wait(KILL_WITHIN, |state| state.exited) {
            let (program, output) = (self.program.clone(), self.output());
            let what = "the end of the killed process".to_owned();
            return Err(ProcessError::TimedOut { what, within: KILL_WITHIN, program, output });
        }
        self.reap()
    }

    /// Asks it to end (`SIGTERM`). [`Self::wait_for_exit`] tells when it has.
    ///
    /// # Errors
    /// [`ProcessError::Io`] when it has ended already.
    pub fn terminate(&self) -> Result<(), ProcessError> {
        self.signal("terminate", Signal::TERM)
    }

    /// Stops it where it is (`SIGSTOP`), as a machine that hangs would. What it started goes on.
    ///
    /// # Errors
    /// [`ProcessError::Io`] when it has ended already.
    pub fn pause(&self) -> Result<(), ProcessError> {
        self.signal("pause", Signal::STOP)
    }

    /// Lets it go on (`SIGCONT`).
    ///
    /// # Errors
    /// [`ProcessError::Io`] when it has ended already.
    pub fn resume(&self) -> Result<(), ProcessError> {
        self.signal("resume", Signal::CONT)
    }

    /// Writes a line to its standard input.
    ///
    /// # Errors
    /// [`ProcessError::Io`] when it does not read any more, or the input was closed.
    pub fn write_line(&mut self, line: &str) -> Result<(), ProcessError> {
        let written = match &mut self.stdin {
            Some(stdin) => writeln!(stdin, "{line}").and_then(|()| stdin.flush()),
            None => Err(io::Error::from(io::ErrorKind::NotConnected)),
        };
        written.map_err(|source| self.io_error("write to the input", source))
    }

    /// Ends its standard input. Closing it twice is once.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// What it uses now: memory, processor, files.
    ///
    /// # Errors
    /// [`ProcessError::Io`] when it has ended, or where there is no `/proc`.
    pub fn usage(&self) -> Result<Usage, ProcessError> {
        usage::of(self.id()).map_err(|source| self.io_error("read the usage", source))
    }

    fn signal(&self, what: &'static str, signal: Signal) -> Result<(), ProcessError> {
        // A process that has ended but was not reaped takes signals without a word.
        if self.has_ended() {
            return Err(self.io_error(what, io::Error::from(Errno::SRCH)));
        }
        kill_process(self.rustix_pid(), signal)
            .map_err(|errno| self.io_error(what, io::Error::from(errno)))
    }

    fn reap(&mut self) -> Result<ExitStatus, ProcessError> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        let status = self.child.wait().map_err(|source| self.io_error("wait for", source))?;
        self.status = Some(status);
        Ok(status)
    }

    fn rustix_pid(&self) -> Pid {
        let raw = i32::try_from(self.child.id()).expect("the kernel's process ids fit an i32");
        Pid::from_raw(raw).expect("no process has the id 0")
    }

    fn io_error(&self, what: &'static str, source: io::Error) -> ProcessError {
        ProcessError::Io { what, program: self.program.clone(), pid: self.id(), source }
    }
}

impl Drop for Process {
    /// Kills it and all that it started. A test that panics comes through here too.
    fn drop(&mut self) {
        // An error here means it is gone already, which is what is wanted.
        drop(self.kill());
        // A process may start another while we look, so look until there is none. What still
        // resists after a minute hangs in the kernel, and a drop can tell nobody.
        _ = eventually("the end of what the process started", KILL_WITHIN, || {
            (marked::kill(&self.mark) == 0).then_some(())
        });
    }
}
