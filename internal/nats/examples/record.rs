//! Asks a real nats-server again what it says to the transcripts in `testdata`, and writes that down.
//!
//! `cargo run -p pubsub-nats --example record -- NATS_SERVER TESTDATA [NAME...]`: the path of its
//! binary, the directory, and the names of the files to do, all of them if none is named. What the
//! transcripts send and what they say of ours stays.
#![expect(clippy::unwrap_used, clippy::panic, reason = "it ends at the first error")]
#![expect(clippy::print_stdout, reason = "it tells what it does")]
#![expect(clippy::disallowed_methods, reason = "it reads and writes files, and has a clock")]

use std::error::Error;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[path = "../tests/transcripts/script.rs"]
mod script;

/// After this long without a byte an answer is over.
const QUIET: Duration = Duration::from_millis(150);

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [binary, dir, names @ ..] = &args[..] else {
        return Err("usage: record NATS_SERVER TESTDATA [NAME...]".into());
    };
    let mut files: Vec<_> = std::fs::read_dir(dir)?.collect::<Result<Vec<_>, _>>()?;
    files.sort_by_key(std::fs::DirEntry::path);
    for file in files {
        let path = file.path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let is_wanted = names.is_empty() || names.contains(&name);
        if is_wanted && path.extension().is_some_and(|extension| extension == "txt") {
            println!("{name}");
            record(binary, &path)?;
        }
    }
    Ok(())
}

/// A running nats-server.
struct Server {
    process: Child,
    port: u16,
    monitoring: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _killed = self.process.kill();
        let _ended = self.process.wait();
    }
}

impl Server {
    fn start(binary: &str, config: &Path) -> Result<Self, Box<dyn Error>> {
        let (port, monitoring) = (free_port()?, free_port()?);
        let process = Command::new(binary)
            .args(["-a", "127.0.0.1", "-p", &port.to_string(), "-m", &monitoring.to_string(), "-c"])
            .arg(config)
            .stderr(Stdio::null())
            .spawn()?;
        let server = Self { process, port, monitoring };
        let end = Instant::now() + Duration::from_secs(10);
        while [port, monitoring]
            .iter()
            .any(|port| TcpStream::connect(("127.0.0.1", *port)).is_err())
        {
            assert!(Instant::now() < end, "nats-server does not start");
            std::thread::yield_now();
        }
        Ok(server)
    }

    /// Why it closed a connection.
    fn reason(&self, client_id: u64) -> Result<String, Box<dyn Error>> {
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            let mut socket = TcpStream::connect(("127.0.0.1", self.monitoring))?;
            write!(socket, "GET /connz?state=closed&cid={client_id} HTTP/1.0\r\n\r\n")?;
            let mut answer = String::new();
            socket.read_to_string(&mut answer)?;
            let (_, body) = answer.split_once("\r\n\r\n").ok_or("an answer has a body")?;
            let body: serde_json::Value = serde_json::from_str(body)?;
            if let Some(reason) = body["connections"][0]["reason"].as_str() {
                return Ok(reason.to_owned());
            }
            assert!(Instant::now() < end, "the connection is not among the closed ones");
        }
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn record(binary: &str, path: &Path) -> Result<(), Box<dyn Error>> {
    let server = Server::start(binary, &path.with_extension("conf"))?;
    let mut text = String::new();
    for mut case in script::parse(&std::fs::read_to_string(path)?) {
        converse(&server, &mut case)?;
        print(&case, &mut text)?;
    }
    std::fs::write(path, text.trim_start())?;
    Ok(())
}

fn converse(server: &Server, case: &mut script::Case) -> Result<(), Box<dyn Error>> {
    let mut socket = TcpStream::connect(("127.0.0.1", server.port))?;
    socket.set_read_timeout(Some(QUIET))?;
    let mut greeting = Vec::new();
    let mut closed = false;
    while !greeting.ends_with(b"\r\n") && !closed {
        closed = listen(&mut socket, &mut greeting)?;
    }
    let info: serde_json::Value =
        serde_json::from_slice(greeting.strip_prefix(b"INFO ").ok_or("it greets")?)?;
    for step in &mut case.steps {
        step.got.clear();
        if step.sent.is_empty() {
            step.got = script::escape_lines(&greeting);
        } else if !closed {
            let mut got = Vec::new();
            closed = socket.write_all(&script::unescape(&step.sent)).is_err()
                || listen(&mut socket, &mut got)?;
            step.got = script::escape_lines(&got);
        }
    }
    case.closed = match closed {
        true => Some(server.reason(info["client_id"].as_u64().ok_or("it numbers us")?)?),
        false => None,
    };
    Ok(())
}

/// Hears what there is to hear. True: the connection is closed.
fn listen(socket: &mut TcpStream, heard: &mut Vec<u8>) -> Result<bool, Box<dyn Error>> {
    use std::io::ErrorKind::{ConnectionReset, TimedOut, WouldBlock};
    let mut buffer = vec![0; 1 << 16];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return Ok(true),
            Ok(len) => heard.extend_from_slice(&buffer[..len]),
            Err(error) if error.kind() == ConnectionReset => return Ok(true),
            Err(error) if matches!(error.kind(), WouldBlock | TimedOut) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
}

fn print(case: &script::Case, text: &mut String) -> std::fmt::Result {
    writeln!(text, "\n## {}", case.name)?;
    for comment in &case.comments {
        writeln!(text, "# {comment}")?;
    }
    for step in &case.steps {
        writeln!(text, "{}", format!("> {}", step.sent).trim_end())?;
        for line in &step.got {
            writeln!(text, "< {line}")?;
        }
        match &step.ours {
            Some(lines) if lines.is_empty() => writeln!(text, "! nothing")?,
            Some(lines) => lines.iter().try_for_each(|line| writeln!(text, "! {line}"))?,
            None => (),
        }
    }
    if let Some(reason) = &case.closed {
        writeln!(text, "= {reason}")?;
    }
    if let Some(reason) = &case.ours_closed {
        writeln!(text, "! = {reason}")?;
    }
    Ok(())
}
