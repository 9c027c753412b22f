//! Header blocks: read where they lie, written once, and cleared of what only servers may say.
//!
//! ```text
//!   NATS/1.0 503 No Responders␍␊     version, and a status when a server answers for nobody
//!   Nats-Subject: orders.eu␍␊        as many of these as there are
//!   ␍␊
//! ```
//!
//! A block is whatever a client sent: nats-server passes on what is no block at all, and so do we.
//! Reading therefore never fails; what is not of this form is not found.

use memchr::memchr2;

/// What a block begins with.
const VERSION: &[u8] = b"NATS/1.0";

/// Headers that tell a service who asks and by which way. Servers write them; from a client they are
/// a lie.
const OF_SERVERS: [&[u8]; 3] =
    [b"Nats-Request-Info", b"Nats-Trace-Hop", b"Nats-Trace-Origin-Account"];

/// A header block, or what pretends to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers<'a>(&'a [u8]);

/// What a server says in place of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status<'a> {
    /// Three digits, as in HTTP: 503 is "no responders".
    pub code: u16,
    /// A few words; often none.
    pub description: &'a [u8],
}

impl<'a> Headers<'a> {
    /// The block in these bytes.
    #[must_use]
    pub const fn new(block: &'a [u8]) -> Self {
        Self(block)
    }

    /// The status of the first line.
    #[must_use]
    pub fn status(&self) -> Option<Status<'a>> {
        let (line, _) = next_line(self.0)?;
        let rest = line.strip_prefix(VERSION)?.strip_prefix(b" ")?.trim_ascii_start();
        let (code, description) = rest.split_at_checked(3)?;
        let digits = code.iter().all(u8::is_ascii_digit);
        let ends = description.first().is_none_or(|byte| *byte == b' ');
        (digits && ends).then(|| Status {
            code: code.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0')),
            description: description.trim_ascii(),
        })
    }

    /// Keys and values in their order, without the spaces around values.
    #[must_use]
    pub fn iter(&self) -> Iter<'a> {
        let rest = match next_line(self.0) {
            Some((first, rest)) if first.starts_with(VERSION) => rest,
            _ => &[],
        };
        Iter(rest)
    }

    /// The first value of `key`, which is spelled exactly so.
    #[must_use]
    pub fn first(&self, key: &str) -> Option<&'a [u8]> {
        self.all(key).next()
    }

    /// All values of `key`, which is spelled exactly so.
    pub fn all(&self, key: &str) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(move |(other, _)| *other == key.as_bytes()).map(|(_, value)| value)
    }
}

impl<'a> IntoIterator for Headers<'a> {
    type Item = (&'a [u8], &'a [u8]);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Keys and values of a block.
#[derive(Clone, Debug)]
pub struct Iter<'a>(&'a [u8]);

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (line, rest) = next_line(self.0)?;
            if line.is_empty() {
                self.0 = &[];
                return None;
            }
            self.0 = rest;
            if let Some(colon) = memchr::memchr(b':', line) {
                return Some((&line[..colon], line[colon + 1..].trim_ascii()));
            }
        }
    }
}

/// The first line of `block` without its end, and what follows. Lines end in CR LF.
fn next_line(block: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut from = 0;
    while let Some(at) = memchr::memchr(b'\r', &block[from..]) {
        let at = from + at;
        if block.get(at + 1) == Some(&b'\n') {
            return Some((&block[..at], &block[at + 2..]));
        }
        from = at + 1;
    }
    None
}

/// A copy of `body` without the headers that only servers write, and the length of its header block.
/// `None`: there are none.
///
/// Some readers end lines at a lone CR or LF, ignore case, and join lines that start with a space to
/// the one before; so a header is found here if any of them would find it.
#[must_use]
pub fn without_servers(body: &[u8], headers_len: usize) -> Option<(Vec<u8>, usize)> {
    let (headers, payload) = body.split_at_checked(headers_len)?;
    if !headers.split(is_line_end).any(is_of_servers) {
        return None;
    }
    let mut kept = Vec::with_capacity(body.len());
    let (mut rest, mut drops) = (headers, false);
    while !rest.is_empty() {
        let end = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
        let (line, behind) = rest.split_at(end);
        let ends = if behind.starts_with(b"\r\n") { 2 } else { behind.len().min(1) };
        let continues = matches!(line.first(), Some(b' ' | b'\t'));
        drops = is_of_servers(line) || (continues && drops);
        if !drops {
            kept.extend_from_slice(&rest[..end + ends]);
        }
        rest = &behind[ends..];
    }
    let headers_len = kept.len();
    kept.extend_from_slice(payload);
    Some((kept, headers_len))
}

const fn is_line_end(byte: &u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

fn is_of_servers(line: &[u8]) -> bool {
    // Almost every line is passed over by its first letter that is not a space.
    let line = line.trim_ascii_start();
    matches!(line.first(), Some(b'N' | b'n'))
        && line.split(|byte| *byte == b':').next().is_some_and(|key| {
            OF_SERVERS.iter().any(|other| key.trim_ascii_end().eq_ignore_ascii_case(other))
        })
}

/// A header that would be read as something else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("header {key:?} cannot be sent: {reason}")]
pub struct InvalidHeader {
    /// The key, as given.
    pub key: Box<str>,
    /// What is wrong.
    pub reason: &'static str,
}

/// Appends a block of these headers.
///
/// # Errors
/// [`InvalidHeader`] when a key is empty or has a colon, a space or a control character, or a value
/// has a line end. `out` is left with what came before.
pub fn write<'a>(
    out: &mut Vec<u8>,
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<(), InvalidHeader> {
    let before = out.len();
    out.extend_from_slice(VERSION);
    out.extend_from_slice(b"\r\n");
    for (key, value) in headers {
        if let Err(reason) = check(key, value) {
            out.truncate(before);
            return Err(InvalidHeader { key: key.into(), reason });
        }
        for part in [key, ": ", value, "\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

fn check(key: &str, value: &str) -> Result<(), &'static str> {
    if key.is_empty() || key.bytes().any(|byte| byte <= b' ' || byte == b':' || byte == 0x7f) {
        return Err("a key is at least one character, without colon, space or control character");
    }
    if value.bytes().any(|byte| is_line_end(&byte)) {
        return Err("a value is one line");
    }
    Ok(())
}

/// Appends the block that tells a requestor that nobody listens to `subject`.
pub fn write_no_responders(out: &mut Vec<u8>, subject: &str) {
    for part in ["NATS/1.0 503\r\nNats-Subject: ", subject, "\r\n\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BLOCK: &[u8] =
        b"NATS/1.0\r\nNats-Msg-Id: m1\r\nA:  b \r\nno colon\r\na: c\r\nA: d\r\nE:\r\n\r\n";

    #[test]
    fn headers_are_found_where_they_lie() {
        let headers = Headers::new(BLOCK);
        assert_eq!(headers.first("Nats-Msg-Id"), Some(&b"m1"[..]));
        assert_eq!(headers.all("A").collect::<Vec<_>>(), [b"b", b"d"]);
        assert_eq!(headers.first("a"), Some(&b"c"[..]));
        assert_eq!(headers.first("E"), Some(&b""[..]));
        assert_eq!(headers.first("nats-msg-id"), None);
        assert_eq!(headers.iter().count(), 5);
        assert_eq!(headers.status(), None);
    }

    #[test]
    fn status_is_three_digits_and_maybe_words() {
        let status = |line: &str| {
            Headers::new(format!("{line}\r\n\r\n").as_bytes()).status().map(|status| {
                (status.code, String::from_utf8_lossy(status.description).into_owned())
            })
        };
        assert_eq!(status("NATS/1.0 503"), Some((503, String::new())));
        assert_eq!(status("NATS/1.0 100 Idle Heartbeat"), Some((100, "Idle Heartbeat".into())));
        assert_eq!(status("NATS/1.0  404 No Messages "), Some((404, "No Messages".into())));
        for line in [
            "NATS/1.0",
            "NATS/1.0 ",
            "NATS/1.0 50",
            "NATS/1.0 5030",
            "NATS/1.0503",
            "NATS/1.0 abc",
            "HTTP/1.0 503",
        ] {
            assert_eq!(status(line), None, "{line}");
        }
        assert_eq!(Headers::new(b"NATS/1.0 503").status(), None);
    }

    #[test]
    fn what_is_no_block_has_no_headers() {
        for block in [
            &b""[..],
            b"XATS/1.0\r\nA: b\r\n\r\n",
            b"A: b\r\n\r\n",
            b"NATS/1.0",
            b"NATS/1.0\r\nA: b",
        ] {
            assert_eq!(Headers::new(block).iter().count(), 0, "{}", String::from_utf8_lossy(block));
        }
        // What is behind the empty line is no header any more.
        assert_eq!(Headers::new(b"NATS/1.0\r\n\r\nA: b\r\n").iter().count(), 0);
    }

    #[test]
    fn written_block_is_read() {
        let mut block = Vec::new();
        write(&mut block, [("A", "1"), ("B", ""), ("A", "x: y")]).unwrap();
        assert_eq!(block, b"NATS/1.0\r\nA: 1\r\nB: \r\nA: x: y\r\n\r\n");
        let read: Vec<_> = Headers::new(&block).iter().collect();
        assert_eq!(read, [(&b"A"[..], &b"1"[..]), (b"B", b""), (b"A", b"x: y")]);
    }

    #[test]
    fn header_that_would_be_another_is_not_written() {
        for (key, value) in
            [("", "x"), ("a b", "x"), ("a:b", "x"), ("a\r", "x"), ("a", "x\r\nb: c"), ("a", "x\ny")]
        {
            let mut out = b"before".to_vec();
            write(&mut out, [("ok", "ok"), (key, value)]).unwrap_err();
            assert_eq!(out, b"before", "{key:?} {value:?}");
        }
    }

    fn stripped(headers: &str) -> Option<String> {
        let body = format!("{headers}payload\r\nNats-Request-Info: of the payload\r\n");
        let (kept, len) = without_servers(body.as_bytes(), headers.len())?;
        let (block, payload) = kept.split_at(len);
        assert_eq!(payload, &body.as_bytes()[headers.len()..]);
        Some(String::from_utf8(block.to_vec()).unwrap())
    }

    #[test]
    fn headers_of_servers_are_taken_out_however_they_are_spelled() {
        for lie in [
            "Nats-Request-Info: {}\r\n",
            "nats-request-INFO:{}\r\n",
            "Nats-Request-Info : {}\r\n",
            " Nats-Request-Info: {}\r\n",
            "Nats-Request-Info:\r\n {\r\n\t}\r\n",
            "Nats-Request-Info: {}\n",
            "Nats-Request-Info: {}\r",
            "Nats-Trace-Hop: 1\r\n",
            "Nats-Trace-Origin-Account: A\r\n",
            "Nats-Trace-Hop: 1\r\nNats-Trace-Hop: 2\r\n",
        ] {
            let block = format!("NATS/1.0\r\nA: b\r\n{lie}C: d\r\n\r\n");
            assert_eq!(stripped(&block).unwrap(), "NATS/1.0\r\nA: b\r\nC: d\r\n\r\n", "{lie:?}");
        }
        assert_eq!(
            stripped("NATS/1.0\r\nA: b\nNats-Request-Info: {}\r\n\r\n").unwrap(),
            "NATS/1.0\r\nA: b\n\r\n"
        );
    }

    #[test]
    fn other_headers_are_left_as_they_are() {
        for block in [
            "",
            "NATS/1.0\r\n\r\n",
            "NATS/1.0\r\nNats-Msg-Id: Nats-Request-Info: x\r\n\r\n",
            "NATS/1.0\r\nX-Nats-Request-Info: x\r\nNats-Request-Info-2: x\r\nNats-Trace-Dest: x\r\n\r\n",
        ] {
            assert_eq!(stripped(block), None, "{block:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_and_cleared_without_a_panic(
            bytes in prop::collection::vec(prop_oneof![
                any::<u8>().prop_map(|byte| vec![byte]),
                prop::sample::select(vec!["\r\n", "\r", "\n", ":", " ", "NATS/1.0", "Nats-Request-Info", "Nats-Trace-Hop", "A"])
                    .prop_map(|text| text.as_bytes().to_vec()),
            ], 0..30),
            len in 0usize..120,
        ) {
            let bytes = bytes.concat();
            let headers = Headers::new(&bytes);
            let _status = headers.status();
            for (key, _) in headers {
                prop_assert!(!key.contains(&b':'));
            }
            if let Some((kept, len)) = without_servers(&bytes, len) {
                prop_assert!(without_servers(&kept, len).is_none(), "nothing is left to take out");
                prop_assert!(kept.len() < bytes.len());
            }
        }
    }
}
