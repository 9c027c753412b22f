//! What no Rust file may hold, and what machines may not even say.

use std::collections::BTreeMap;

use super::Complaint;
use super::manifests::{MACHINES, package_in};
use super::rust::{Token, code_of, tokens, without_tests};
use super::tree::Tree;

/// A file that is longer holds two ideas.
const LINES_MAX: usize = 900;

/// Files that may be longer, each with its reason. Empty, and meant to stay so.
const LONGER: [(&str, &str); 0] = [];

/// Runs of tokens that are nowhere, tests included, and what to do instead.
const NOWHERE: [(&[&str], &str); 5] = [
    (&["#", "[", "ignore"], "a test that is ignored promises nothing: mend or delete it"),
    (&["todo", "!"], "finish it, or leave it out"),
    (&["unimplemented", "!"], "finish it, or leave it out"),
    (&["thread", "::", "sleep"], "wait for the condition itself"),
    (&["time", "::", "sleep", "(", "Duration"], "wait for the condition itself"),
];

/// Words that machines do not say.
const WORDS: [&str; 3] = ["tokio", "Instant", "SystemTime"];

/// Parts of `std` that machines do not use.
const PARTS: [&str; 2] = ["net", "thread"];

/// What of `std::net` is a value, and reaches nobody.
const ADDRESSES: [&str; 7] = [
    "AddrParseError",
    "IpAddr",
    "Ipv4Addr",
    "Ipv6Addr",
    "SocketAddr",
    "SocketAddrV4",
    "SocketAddrV6",
];

/// The one machine that may read files: it is asked to read one, and what that names.
const READS_FILES: &str = "pubsub-config";

/// Marks of unfinished work, in pieces so that this file may hold them.
const MARKS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

pub(super) fn check(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut codes = BTreeMap::new();
    for (path, text) in tree.texts_ending(".rs") {
        check_text(path, text, &mut complaints);
        codes.insert(path, code_of(text));
    }
    let mut machines = BTreeMap::new();
    let mut only_tests = Vec::new();
    for (path, code) in &codes {
        let all = tokens(code);
        check_tokens(path, &all, &mut complaints);
        if let Some(package) = machine_of(tree, path) {
            let (product, modules) = without_tests(&all);
            only_tests.extend(modules.into_iter().flat_map(|name| module_files(path, name)));
            machines.insert(*path, (package, product));
        }
    }
    for (path, (package, product)) in machines {
        if !only_tests.iter().any(|test| path == test || path.starts_with(&format!("{test}/"))) {
            check_machine(path, &package, &product, &mut complaints);
        }
    }
    complaints
}

/// What is seen in the text, comments included.
fn check_text(path: &str, text: &str, complaints: &mut Vec<Complaint>) {
    if !text.starts_with("//!") {
        let what = "does not open with its idea: the first line is `//! ...`";
        complaints.push(Complaint::new(path, 1, what));
    }
    let lines = text.lines().count();
    if lines > LINES_MAX && !LONGER.iter().any(|(longer, _)| *longer == path) {
        let what = format!("{lines} lines, of {LINES_MAX} at most: it holds two ideas, split it");
        complaints.push(Complaint::new(path, 0, what));
    }
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(mark) = MARKS.iter().find(|mark| has_word(line, mark)) {
            let what = format!("{mark}: finish it, or leave it out");
            complaints.push(Complaint::new(path, number, what));
        }
        let fence = line.trim_start().trim_start_matches(['/', '!']).trim_start();
        if fence.strip_prefix("```").is_some_and(|info| has_word(info, "ignore")) {
            let what = "an example that is not compiled will be wrong one day: `no_run`, or `text`";
            complaints.push(Complaint::new(path, number, what));
        }
    }
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|letter: char| !letter.is_alphanumeric()).any(|part| part == word)
}

fn check_tokens(path: &str, tokens: &[Token<'_>], complaints: &mut Vec<Complaint>) {
    for at in 0..tokens.len() {
        for (run, instead) in NOWHERE {
            if starts_with(&tokens[at..], run) {
                let what = format!("`{}`: {instead}", run.concat());
                complaints.push(Complaint::new(path, tokens[at].line, what));
            }
        }
    }
}

fn starts_with(tokens: &[Token<'_>], run: &[&str]) -> bool {
    tokens.len() >= run.len() && tokens.iter().zip(run).all(|(token, text)| token.text == *text)
}

/// The machine whose product a file is part of: those beneath `src` of its package.
fn machine_of(tree: &Tree, path: &str) -> Option<String> {
    let (dir, _) = path.split_once("src/")?;
    package_in(tree, dir).filter(|package| MACHINES.contains(&package.as_str()))
}

/// Where the module `name` of a file is: the file, or the directory.
fn module_files(parent: &str, name: &str) -> [String; 2] {
    let (dir, file) = parent.rsplit_once('/').unwrap_or(("", parent));
    let stem = file.trim_end_matches(".rs");
    let beneath = if ["lib", "main", "mod"].contains(&stem) { "" } else { &format!("/{stem}") };
    [format!("{dir}{beneath}/{name}.rs"), format!("{dir}{beneath}/{name}")]
}

fn check_machine(
    path: &str,
    package: &str,
    product: &[Token<'_>],
    complaints: &mut Vec<Complaint>,
) {
    let mut complain = |line: usize, what: &str| {
        let what = format!("{package} decides, and must not say `{what}`: make it an argument");
        complaints.push(Complaint::new(path, line, what));
    };
    for (at, token) in product.iter().enumerate() {
        if WORDS.contains(&token.text) {
            complain(token.line, token.text);
        }
        if starts_with(&product[at..], &["std", "::"]) {
            for path in paths(&product[at + 2..]) {
                let Some((part, within)) = path.split_first() else { continue };
                let is_file = part.text == "fs" && package != READS_FILES;
                let is_address = part.text == "net" && names_only_addresses(within);
                if (PARTS.contains(&part.text) || is_file) && !is_address {
                    complain(part.line, &format!("std::{}", part.text));
                }
            }
        }
    }
}

/// The path that the tokens begin with, or all paths of the braces that they begin with.
fn paths<'a, 'b>(tokens: &'b [Token<'a>]) -> Vec<&'b [Token<'a>]> {
    let Some(Token { text: "{", .. }) = tokens.first() else {
        return vec![&tokens[..path_len(tokens)]];
    };
    let mut found = Vec::new();
    let mut at = 1;
    while at < tokens.len() && tokens[at].text != "}" {
        let len = path_len(&tokens[at..]);
        found.push(&tokens[at..at + len]);
        at += len;
        at += usize::from(tokens.get(at).is_some_and(|token| token.text != "}"));
    }
    found
}

/// Words with `::` between them, and at the end perhaps braces.
fn path_len(tokens: &[Token<'_>]) -> usize {
    let mut len = 1;
    while tokens.get(len).is_some_and(|token| token.text == "::") {
        len += 2;
    }
    let braces = tokens.get(len - 1).is_some_and(|token| token.text == "{");
    let inside = tokens.get(len - 1..).unwrap_or_default();
    let (mut depth, mut end) = (0_usize, 0);
    for (at, token) in inside.iter().enumerate().take_while(|_| braces) {
        match token.text {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => (),
        }
        if depth == 0 {
            end = at;
            break;
        }
    }
    (len + end).min(tokens.len())
}

/// Whether a path, or the braces at its end, lead to addresses and nothing else.
fn names_only_addresses(within: &[Token<'_>]) -> bool {
    let mut words = within.iter().filter(|token| !["::", "{", "}", ","].contains(&token.text));
    words.clone().next().is_some() && words.all(|word| ADDRESSES.contains(&word.text))
}

#[cfg(test)]
mod tests {
    use super::super::tree::made_up;
    use super::*;

    /// What is said of one file of `pubsub-storage`, which is otherwise in order.
    fn said(code: &str) -> String {
        said_of(&[("internal/storage/src/x.rs", &format!("//! X.\n{code}"))])
    }

    fn said_of(files: &[(&str, &str)]) -> String {
        let manifests = [
            ("internal/storage/Cargo.toml", "[package]\nname = 'pubsub-storage'\n"),
            ("internal/config/Cargo.toml", "[package]\nname = 'pubsub-config'\n"),
            ("internal/node/Cargo.toml", "[package]\nname = 'pubsub-node'\n"),
        ];
        let complaints = check(&made_up(&[&manifests, files].concat()));
        complaints.iter().map(|complaint| format!("{complaint}\n")).collect()
    }

    #[test]
    fn machines_reach_no_clock_socket_thread_file_or_runtime() {
        for code in [
            "use std::time::Instant;",
            "fn f(now: SystemTime) {}",
            "use tokio::sync::Notify;",
            "use std::net::TcpStream;",
            "use std::{fmt, thread};",
            "use std::{fmt::{self, Debug}, net::UdpSocket};",
            "fn f() { std::thread::yield_now() }",
            "use std::fs;",
            "use std::net::{IpAddr, TcpListener};",
            "use std::{net::{self, IpAddr}, fmt};",
            "use std::{sync::{Arc, Mutex}, thread};",
            "use std::net",
        ] {
            assert!(
                said(code).starts_with("internal/storage/src/x.rs:2: pubsub-storage"),
                "{code}"
            );
        }
    }

    #[test]
    fn machines_may_say_what_only_looks_like_it() {
        for code in [
            "/// No tokio, no Instant.",
            "const S: &str = \"std::net tokio\";",
            "use std::time::Duration;",
            "use std::{fmt::{self, Debug}, sync::Arc};",
            "use crate::net;",
            "use std::net::{IpAddr, SocketAddr};",
            "use std::{fmt, net::IpAddr, sync::Arc};",
            "fn f(at: &std::net::SocketAddr) { net() }",
            "struct InstantMessage;",
        ] {
            assert_eq!(said(code), "", "{code}");
        }
    }

    #[test]
    fn tests_of_machines_may_do_what_they_like() {
        assert_eq!(said("#[cfg(test)]\nmod tests { use std::thread; }"), "");
        let child = "//! X.\nuse std::thread;\n";
        let files = |parent: &'static str| {
            [
                ("internal/storage/src/x.rs", parent),
                ("internal/storage/src/x/tests.rs", child),
                ("internal/storage/src/x/tests/deep.rs", child),
            ]
        };
        assert_eq!(said_of(&files("//! X.\n#[cfg(test)]\nmod tests;\n")), "");
        assert_eq!(said_of(&files("//! X.\nmod tests;\n")).lines().count(), 2);
        assert_eq!(said_of(&[("internal/storage/tests/crash.rs", child)]), "");
    }

    #[test]
    fn other_packages_may_reach_the_world_and_configuration_reads_files() {
        let code = "//! X.\nuse std::{fs, net, thread};\nuse tokio::net;\n";
        assert_eq!(said_of(&[("internal/node/src/x.rs", code)]), "");
        assert_eq!(said_of(&[("internal/config/src/x.rs", "//! X.\nuse std::fs;\n")]), "");
    }

    #[test]
    fn module_opens_with_its_idea() {
        assert!(said_of(&[("src/x.rs", "fn f() {}\n")]).starts_with("src/x.rs:1: "));
        assert!(said_of(&[("src/x.rs", "// The idea.\n")]).starts_with("src/x.rs:1: "));
        assert_ne!(said_of(&[("tests/x/main.rs", "")]), "");
    }

    #[test]
    fn unfinished_work_is_refused_in_tests_too() {
        for code in [
            "#[ignore] fn f() {}",
            "#[ignore = \"slow\"] fn f() {}",
            "fn f() { todo!() }",
            "fn f() { unimplemented!(\"x\") }",
            "fn f() { std::thread::sleep(D) }",
            "fn f() { tokio::time::sleep(Duration::ZERO) }",
            concat!("// TO", "DO: more"),
            "/// ```ignore",
            "//! ```rust,ignore",
        ] {
            let file = format!("//! X.\n{code}\n");
            assert!(said_of(&[("tests/x.rs", &file)]).starts_with("tests/x.rs:2: "), "{code}");
        }
    }

    #[test]
    fn file_of_two_ideas_is_refused() {
        let long = |lines| format!("//! X.\n{}", "\n".repeat(lines - 1));
        assert_eq!(said_of(&[("src/x.rs", &long(LINES_MAX))]), "");
        assert_ne!(said_of(&[("src/x.rs", &long(LINES_MAX + 1))]), "");
    }
}
