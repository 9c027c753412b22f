//! Transcripts as text: what a client sends, what it gets.
//!
//! ```text
//! ## a name
//! # why ours says something else, where it does
//! > PUB a 2\r\nhi\r\n        sent in one piece; \{x*100} is a hundred x; nothing: what greets us
//! < +OK\r\n                  what nats-server says to it
//! ! -ERR 'No'\r\n            what ours says to it instead
//! = Protocol Violation       why nats-server closed the connection; no such line: it did not
//! ! = Protocol Violation     why ours did; "! = open": it did not
//! ```

/// One conversation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Case {
    /// What it is about.
    pub(crate) name: String,
    /// Lines that start with `# `.
    pub(crate) comments: Vec<String>,
    /// Pieces sent, with what came back.
    pub(crate) steps: Vec<Step>,
    /// The reason monitoring gives for the end of the connection.
    pub(crate) closed: Option<String>,
    /// Ours, if it is another: `open` if it goes on.
    pub(crate) ours_closed: Option<String>,
}

/// One piece sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Step {
    /// It, escaped.
    pub(crate) sent: String,
    /// The answer of nats-server, escaped.
    pub(crate) got: Vec<String>,
    /// Ours, if it is another.
    pub(crate) ours: Option<Vec<String>>,
}

/// Reads a file of transcripts.
pub(crate) fn parse(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(name) = line.strip_prefix("## ") {
            cases.push(Case { name: name.to_owned(), ..Case::default() });
            continue;
        }
        let case = cases.last_mut().expect("a case begins with its name");
        if let Some(comment) = line.strip_prefix("# ") {
            case.comments.push(comment.to_owned());
        } else if let Some(sent) = line.strip_prefix(">").map(str::trim_start) {
            case.steps.push(Step { sent: sent.to_owned(), ..Step::default() });
        } else if let Some(got) = line.strip_prefix("< ") {
            case.steps.last_mut().expect("an answer follows a piece").got.push(got.to_owned());
        } else if let Some(reason) = line.strip_prefix("! = ") {
            case.ours_closed = Some(reason.to_owned());
        } else if let Some(ours) = line.strip_prefix("! ") {
            let step = case.steps.last_mut().expect("an answer follows a piece");
            let lines = step.ours.get_or_insert_default();
            lines.extend((ours != "nothing").then(|| ours.to_owned()));
        } else if let Some(reason) = line.strip_prefix("= ") {
            case.closed = Some(reason.to_owned());
        } else {
            panic!("what is {line:?}?");
        }
    }
    cases
}

/// Bytes of an escaped text.
pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = rest[at + 1..].chars().next().expect("an escape has a letter");
        rest = &rest[at + 2..];
        match escape {
            'r' => bytes.push(b'\r'),
            'n' => bytes.push(b'\n'),
            't' => bytes.push(b'\t'),
            '\\' => bytes.push(b'\\'),
            'x' => {
                bytes.push(u8::from_str_radix(&rest[..2], 16).expect("two digits"));
                rest = &rest[2..];
            }
            '{' => {
                let (run, behind) = rest.split_once('}').expect("a run ends");
                let (what, times) = run.rsplit_once('*').expect("a run has a number");
                bytes.extend(unescape(what).repeat(times.parse().expect("a number")));
                rest = behind;
            }
            _ => panic!("what is \\{escape}?"),
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// Answers as text, a line of the protocol in each, with what changes from run to run taken out of
/// `INFO`.
pub(crate) fn escape_lines(bytes: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_prefix(b"INFO ").and_then(|json| serde_json::from_slice(json).ok()) {
            Some(json) => lines.push(format!("INFO {} \\r\\n", steady(json))),
            None => lines.push(escape(line)),
        }
    }
    lines
}

/// What of an `INFO` is the same in every run.
fn steady(json: serde_json::Value) -> serde_json::Value {
    const STEADY: [&str; 8] = [
        "headers",
        "auth_required",
        "max_payload",
        "connect_info",
        "remote_account",
        "acc_is_sys",
        "ldm",
        "nonce",
    ];
    let serde_json::Value::Object(fields) = json else { return json };
    fields.into_iter().filter(|(key, _)| STEADY.contains(&key.as_str())).collect()
}

fn escape(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        let run = rest.iter().take_while(|byte| *byte == first).count();
        if run >= 40 {
            text.push_str(&format!("\\{{{}*{run}}}", char::from(*first)));
            rest = &rest[run..];
            continue;
        }
        let part = rest.utf8_chunks().next().expect("there is a byte");
        match part.valid().chars().next() {
            Some('\r') => text.push_str("\\r"),
            Some('\n') => text.push_str("\\n"),
            Some('\t') => text.push_str("\\t"),
            Some('\\') => text.push_str("\\\\"),
            Some(letter) if !letter.is_control() => text.push(letter),
            _ => text.push_str(&format!("\\x{first:02x}")),
        }
        let shown = part.valid().chars().next().filter(|letter| !letter.is_control());
        rest = &rest[shown.map_or(1, char::len_utf8)..];
    }
    text
}
