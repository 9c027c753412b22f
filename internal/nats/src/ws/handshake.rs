//! The handshake: an HTTP request that asks for a WebSocket, and the answer.

use std::net::IpAddr;

use data_encoding::BASE64;
use memchr::memmem;
use sha1::{Digest, Sha1};

/// Longest request, in bytes. Cookies with credentials have four thousand at most.
pub const REQUEST_MAX_BYTES: usize = 8 << 10;

/// What the key is put before, to show that the answer is meant for a WebSocket (RFC 6455, 1.3).
const KEY_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Bytes of a key.
const KEY_BYTES: usize = 16;

/// Paths that lead elsewhere.
const OTHER_PATHS: [&str; 2] = ["/leafnode", "/mqtt"];

/// What the handshake is answered with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Whether messages may be compressed.
    pub compression: bool,
    /// Whether the connection came over TLS: `Origin` must be of `https` then, to be the same.
    pub tls: bool,
    /// Whether a page may only come from the host and port that it connects to.
    pub same_origin: bool,
    /// Where pages may come from; empty: from anywhere.
    pub allowed_origins: Vec<Origin>,
    /// Further headers of the answer, without line ends.
    pub headers: Vec<(String, String)>,
}

/// Where a page comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: Box<str>,
    host: Box<str>,
    port: u16,
}

impl Origin {
    /// Reads `scheme://host[:port]`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let authority = rest.split(['/', '?', '#']).next()?;
        let default = default_port(scheme == "https");
        if !matches!(&*scheme, "http" | "https") {
            return None;
        }
        let (host, port) = host_and_port(authority, default)?;
        Some(Self { scheme: scheme.into(), host: host.to_ascii_lowercase().into(), port })
    }
}

const fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

/// Splits `host[:port]`, where the host may be an IPv6 address in brackets.
fn host_and_port(text: &str, default: u16) -> Option<(&str, u16)> {
    let end = if text.starts_with('[') {
        text.find(']')? + 1
    } else {
        text.find(':').unwrap_or(text.len())
    };
    let (host, port) = text.split_at(end);
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().ok()?,
        None if port.is_empty() => default,
        None => return None,
    };
    (!host.is_empty()).then_some((host, port))
}

/// A request, where it lies.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    method: &'a str,
    target: &'a str,
    /// The header lines.
    lines: &'a str,
}

/// What to answer, and what was agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The answer, to be sent as it is.
    pub response: Vec<u8>,
    /// Whether messages may be compressed, each for itself.
    pub deflate: bool,
    /// Whether the other side need not mask what it sends: it is a server.
    pub unmasked: bool,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is no HTTP request.
    #[error("this is no HTTP request")]
    Malformed,
    /// It is longer than [`REQUEST_MAX_BYTES`].
    #[error("the request is longer than {REQUEST_MAX_BYTES} bytes")]
    TooLong,
    /// Something was sent behind it before it was answered.
    #[error("client sent data before handshake is complete")]
    EarlyData,
    /// It is no GET.
    #[error("request method must be GET")]
    Method,
    /// There is nothing there.
    #[error("there is no WebSocket for NATS clients at this path")]
    Path,
    /// A header is missing, or says something else.
    #[error("invalid value for header '{0}'")]
    Header(&'static str),
    /// A page from elsewhere.
    #[error("origin not allowed: {0}")]
    Origin(&'static str),
}

impl Refusal {
    /// The answer, to be sent as it is; the connection is closed behind it.
    #[must_use]
    pub fn response(&self) -> Vec<u8> {
        let status = match self {
            Self::Malformed | Self::EarlyData | Self::Header(_) => "400 Bad Request",
            Self::Origin(_) => "403 Forbidden",
            Self::Path => "404 Not Found",
            Self::Method => "405 Method Not Allowed",
            Self::TooLong => "431 Request Header Fields Too Large",
        };
        let words = &status[4..];
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Sec-WebSocket-Version: 13\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{words}\n",
            words.len() + 1
        )
        .into_bytes()
    }
}

impl<'a> Request<'a> {
    /// The request in `input`, or `None` when more is needed.
    ///
    /// # Errors
    /// Why it is refused. What is no HTTP is refused as soon as that is plain.
    pub fn parse(input: &'a [u8]) -> Result<Option<Self>, Refusal> {
        let head = &input[..input.len().min(REQUEST_MAX_BYTES)];
        let Some(end) = memmem::find(head, b"\r\n\r\n") else {
            match memmem::find(head, b"\r\n") {
                Some(end) => {
                    request_line(&head[..end]).ok_or(Refusal::Malformed)?;
                }
                None if !head.iter().all(|byte| matches!(byte, b'\r' | b' '..=b'~')) => {
                    return Err(Refusal::Malformed);
                }
                None => (),
            }
            let is_long = input.len() >= REQUEST_MAX_BYTES;
            return if is_long { Err(Refusal::TooLong) } else { Ok(None) };
        };
        if input.len() > end + 4 {
            return Err(Refusal::EarlyData);
        }
        let text = std::str::from_utf8(&head[..end]).map_err(|_| Refusal::Malformed)?;
        let (line, lines) = text.split_once("\r\n").unwrap_or((text, ""));
        let (method, target) = request_line(line.as_bytes()).ok_or(Refusal::Malformed)?;
        if !lines.split("\r\n").all(is_header) {
            return Err(Refusal::Malformed);
        }
        Ok(Some(Self { method, target, lines }))
    }

    /// The path, without what follows a question mark.
    #[must_use]
    pub fn path(&self) -> &'a str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The first header of this name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers(name).next()
    }

    /// A cookie.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&'a str> {
        self.headers("Cookie").flat_map(|line| line.split(';')).find_map(|cookie| {
            let (key, value) = cookie.trim().split_once('=')?;
            let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            (key == name).then(|| unquoted.unwrap_or(value))
        })
    }

    /// The token of `Authorization: Bearer`.
    #[must_use]
    pub fn bearer(&self) -> Option<&'a str> {
        let (scheme, token) = self.header("Authorization")?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
    }

    /// The address of the client as the first proxy saw it. Only to be believed of a proxy.
    #[must_use]
    pub fn forwarded_for(&self) -> Option<IpAddr> {
        self.header("X-Forwarded-For")?.split(',').next()?.trim().parse().ok()
    }

    /// Agrees to a WebSocket.
    ///
    /// # Errors
    /// Why not.
    pub fn accept(&self, policy: &Policy) -> Result<Accepted, Refusal> {
        if self.method != "GET" {
            return Err(Refusal::Method);
        }
        if OTHER_PATHS.contains(&self.path().trim_end_matches('/')) {
            return Err(Refusal::Path);
        }
        if self.header("Host").is_none_or(str::is_empty) {
            return Err(Refusal::Header("Host"));
        }
        if !self.lists("Upgrade", "websocket") {
            return Err(Refusal::Header("Upgrade"));
        }
        if !self.lists("Connection", "upgrade") {
            return Err(Refusal::Header("Connection"));
        }
        let key = self.header("Sec-WebSocket-Key").unwrap_or_default();
        if BASE64.decode(key.as_bytes()).map_or(0, |key| key.len()) != KEY_BYTES {
            return Err(Refusal::Header("Sec-WebSocket-Key"));
        }
        if self.header("Sec-WebSocket-Version") != Some("13") {
            return Err(Refusal::Header("Sec-WebSocket-Version"));
        }
        self.check_origin(policy)?;

        let deflate = policy.compression
            && self
                .headers("Sec-WebSocket-Extensions")
                .flat_map(|line| line.split(','))
                .any(is_deflate_offer);
        let unmasked = self.header("Nats-No-Masking") == Some("true");
        let response = response(key, deflate, unmasked, &policy.headers);
        Ok(Accepted { response, deflate, unmasked })
    }

    /// Programs send no `Origin`; only browsers do, and they do not lie.
    fn check_origin(&self, policy: &Policy) -> Result<(), Refusal> {
        let origin = self.header("Origin").or_else(|| self.header("Sec-WebSocket-Origin"));
        let Some(origin) = origin.filter(|origin| !origin.is_empty()) else { return Ok(()) };
        if !policy.same_origin && policy.allowed_origins.is_empty() {
            return Ok(());
        }
        let origin = Origin::parse(origin).ok_or(Refusal::Origin("it is no origin"))?;
        if policy.same_origin {
            let host = self.header("Host").unwrap_or_default();
            let same = host_and_port(host, default_port(policy.tls)).is_some_and(|(host, port)| {
                origin.host.eq_ignore_ascii_case(host) && origin.port == port
            });
            if !same {
                return Err(Refusal::Origin("not same origin"));
            }
        }
        if !policy.allowed_origins.is_empty() && !policy.allowed_origins.contains(&origin) {
            return Err(Refusal::Origin("not in the allowed list"));
        }
        Ok(())
    }

    fn headers(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.lines.split("\r\n").filter_map(move |line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Whether a header lists a word, in any case.
    fn lists(&self, name: &str, word: &str) -> bool {
        self.headers(name)
            .flat_map(|line| line.split(','))
            .any(|other| other.trim().eq_ignore_ascii_case(word))
    }
}

/// Method and target of the first line.
fn request_line(line: &[u8]) -> Option<(&str, &str)> {
    let line = std::str::from_utf8(line).ok().filter(|line| !line.contains(char::is_control))?;
    let mut words = line.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let is_request = !method.is_empty()
        && target.starts_with('/')
        && matches!(version, "HTTP/1.1" | "HTTP/1.0")
        && words.next().is_none();
    is_request.then_some((method, target))
}

/// Whether a line is a header, and of one line: no HTTP of today folds them.
fn is_header(line: &str) -> bool {
    line.is_empty()
        || line.split_once(':').is_some_and(|(key, value)| {
            let is_token = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
            is_token && !value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t')
        })
}

/// Whether an offer is one that we can keep: compression of each message for itself.
///
/// A smaller window is not: the compressor is shared, and has one size.
fn is_deflate_offer(offer: &str) -> bool {
    let mut parts = offer.split(';').map(str::trim);
    if parts.next() != Some("permessage-deflate") {
        return false;
    }
    let mut seen: Vec<&str> = Vec::new();
    parts.all(|parameter| {
        let (key, value) = match parameter.split_once('=') {
            Some((key, value)) => (key.trim(), Some(value.trim().trim_matches('"'))),
            None => (parameter, None),
        };
        let is_new = !seen.contains(&key);
        seen.push(key);
        is_new
            && match (key, value) {
                ("server_no_context_takeover" | "client_no_context_takeover", None)
                | ("client_max_window_bits", None)
                | ("server_max_window_bits", Some("15")) => true,
                ("client_max_window_bits", Some(bits)) => {
                    bits.parse().is_ok_and(|bits: u8| (8..=15).contains(&bits))
                }
                _ => false,
            }
    })
}

fn response(key: &str, deflate: bool, unmasked: bool, headers: &[(String, String)]) -> Vec<u8> {
    let accept = BASE64.encode(&Sha1::new().chain_update(key).chain_update(KEY_SUFFIX).finalize());
    let mut text = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n"
    );
    if deflate {
        text += "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; \
                 client_no_context_takeover\r\n";
    }
    if unmasked {
        text += "Nats-No-Masking: true\r\n";
    }
    for (key, value) in headers {
        text += &format!("{key}: {value}\r\n");
    }
    text += "\r\n";
    text.into_bytes()
}
