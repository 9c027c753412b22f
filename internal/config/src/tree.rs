//! YAML as a tree in which everything knows its position.
//!
//! ```text
//!   bytes ──size──▶ events ──depth, tags, documents──▶ nodes ──aliases counted──▶ tree
//! ```
//!
//! The text may be hostile: its length, its depth and the number of nodes it stands for after aliases
//! are followed are bounded *before* memory is spent. An alias shares its anchor's node, so a bomb
//! costs no more than its text, and the count of what it stands for refuses it.

use std::collections::BTreeMap;
use std::rc::Rc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};

use crate::ErrorKind;

/// Longest configuration text, in bytes: 1 MiB.
pub const TEXT_MAX_BYTES: usize = 1 << 20;

/// Deepest nesting of lists and mappings. The deepest key of ours is at 4.
pub const DEPTH_MAX: usize = 16;

/// Most keys, values and lists in one configuration, after aliases are followed.
pub const NODES_MAX: usize = 65_536;

/// Line and column, both counted from 1, the column in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct At {
    pub line: usize,
    pub column: usize,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub at: At,
    pub content: Content,
    /// Nodes this one stands for, itself included.
    size: usize,
}

#[derive(Debug)]
pub(crate) enum Content {
    /// Nothing, `~` or `null`.
    Null,
    Scalar {
        text: String,
        quoted: bool,
    },
    List(Vec<Rc<Node>>),
    /// In the order of the text, duplicates included.
    Map(Vec<(KeyNode, Rc<Node>)>),
}

#[derive(Debug)]
pub(crate) struct KeyNode {
    pub at: At,
    pub text: String,
}

/// The text is no tree of ours.
#[derive(Debug)]
pub(crate) struct TreeError {
    pub kind: ErrorKind,
    pub at: At,
    pub message: String,
}

/// Reads the one document in `bytes`; `None` when there is nothing but comments.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<Rc<Node>>, TreeError> {
    if bytes.len() > TEXT_MAX_BYTES {
        let message =
            format!("{} bytes; a configuration has at most {TEXT_MAX_BYTES}", bytes.len());
        return Err(TreeError { kind: ErrorKind::Limit, at: At { line: 1, column: 1 }, message });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| not_utf8(bytes, error.valid_up_to()))?;
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let at = at(*error.marker());
            tab_in_indent(text, at.line)
                .unwrap_or_else(|| syntax(at, format!("not valid YAML: {}", error.info())))
        })?;
        builder.take(event, span)?;
    }
    Ok(builder.root.filter(|root| !matches!(root.content, Content::Null)))
}

#[derive(Debug, Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Rc<Node>>,
    documents: usize,
    nodes: usize,
    /// `None` while the anchored node is still open.
    anchors: BTreeMap<usize, Option<Rc<Node>>>,
}

/// A list or a mapping whose end has not been seen.
#[derive(Debug)]
struct Open {
    at: At,
    anchor: usize,
    size: usize,
    kind: OpenKind,
}

#[derive(Debug)]
enum OpenKind {
    List(Vec<Rc<Node>>),
    Map { pairs: Vec<(KeyNode, Rc<Node>)>, key: Option<KeyNode> },
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), TreeError> {
        let at = at(span.start);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(syntax(at, "a configuration is one document".to_owned()));
                }
                Ok(())
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(Some(node)) => {
                    let node = Rc::clone(node);
                    self.count(at, node.size)?;
                    self.place(at, node)
                }
                _ => Err(syntax(at, "the alias refers to something it is part of".to_owned())),
            },
            Event::Scalar(text, style, anchor, tag) => {
                refuse_tag(at, tag.is_some())?;
                self.count(at, 1)?;
                let quoted = style != ScalarStyle::Plain;
                let content = match &*text {
                    "" | "~" | "null" | "Null" | "NULL" if !quoted => Content::Null,
                    _ => Content::Scalar { text: text.into_owned(), quoted },
                };
                self.close(anchor, Node { at, content, size: 1 })
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_tag(at, tag.is_some())?;
                self.begin(at, anchor, OpenKind::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                refuse_tag(at, tag.is_some())?;
                self.begin(at, anchor, OpenKind::Map { pairs: Vec::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
        }
    }

    fn begin(&mut self, at: At, anchor: usize, kind: OpenKind) -> Result<(), TreeError> {
        if let Some(Open { kind: OpenKind::Map { key: None, .. }, .. }) = self.open.last() {
            return Err(key_is_no_word(at));
        }
        if self.open.len() >= DEPTH_MAX {
            let message = format!("nested deeper than {DEPTH_MAX} levels");
            return Err(TreeError { kind: ErrorKind::Limit, at, message });
        }
        self.count(at, 1)?;
        self.anchors.insert(anchor, None);
        self.open.push(Open { at, anchor, size: 1, kind });
        Ok(())
    }

    fn end(&mut self) -> Result<(), TreeError> {
        let open = self.open.pop().expect("the parser ends only what it began");
        let content = match open.kind {
            OpenKind::List(items) => Content::List(items),
            OpenKind::Map { pairs, .. } => Content::Map(pairs),
        };
        self.close(open.anchor, Node { at: open.at, content, size: open.size })
    }

    fn close(&mut self, anchor: usize, node: Node) -> Result<(), TreeError> {
        let at = node.at;
        let node = Rc::new(node);
        // Anchor 0 is the parser's way of saying that there is none.
        if anchor != 0 {
            self.anchors.insert(anchor, Some(Rc::clone(&node)));
        }
        self.place(at, node)
    }

    /// Puts a finished node where it belongs; `at` is where the text refers to it.
    fn place(&mut self, at: At, node: Rc<Node>) -> Result<(), TreeError> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.size = open.size.saturating_add(node.size);
        match &mut open.kind {
            OpenKind::List(items) => items.push(node),
            OpenKind::Map { pairs, key } => match key.take() {
                Some(key) => pairs.push((key, node)),
                None => *key = Some(word(at, &node)?),
            },
        }
        Ok(())
    }

    fn count(&mut self, at: At, nodes: usize) -> Result<(), TreeError> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes <= NODES_MAX {
            return Ok(());
        }
        let message = format!("more than {NODES_MAX} keys and values, aliases followed");
        Err(TreeError { kind: ErrorKind::Limit, at, message })
    }
}

fn word(at: At, node: &Node) -> Result<KeyNode, TreeError> {
    match &node.content {
        Content::Scalar { text, .. } => Ok(KeyNode { at, text: text.clone() }),
        Content::Null | Content::List(_) | Content::Map(_) => Err(key_is_no_word(at)),
    }
}

fn at(marker: Marker) -> At {
    At { line: marker.line().max(1), column: marker.col() + 1 }
}

/// The usual reason for an error at `line`: a tab where only spaces indent, there or in the next line.
fn tab_in_indent(text: &str, line: usize) -> Option<TreeError> {
    for (line, text) in (1..).zip(text.lines()).skip(line - 1).take(2) {
        let indent = text.len() - text.trim_start().len();
        if let Some(tab) = text[..indent].find('\t') {
            let at = At { line, column: text[..tab].chars().count() + 1 };
            return Some(syntax(at, "not valid YAML: indent with spaces, not tabs".to_owned()));
        }
    }
    None
}

fn syntax(at: At, message: String) -> TreeError {
    TreeError { kind: ErrorKind::Syntax, at, message }
}

fn key_is_no_word(at: At) -> TreeError {
    syntax(at, "a key is one word, not nothing, a list or a mapping".to_owned())
}

fn refuse_tag(at: At, tagged: bool) -> Result<(), TreeError> {
    if tagged {
        return Err(syntax(
            at,
            "tags (\"!\") are not used; quote a value that begins with \"!\"".to_owned(),
        ));
    }
    Ok(())
}

fn not_utf8(bytes: &[u8], valid_up_to: usize) -> TreeError {
    let before = &bytes[..valid_up_to];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    // Characters, as everywhere: bytes that do not continue one.
    let column = before[line_start..].iter().filter(|byte| **byte & 0xc0 != 0x80).count() + 1;
    syntax(At { line, column }, "not UTF-8 text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{At, Content, DEPTH_MAX, TEXT_MAX_BYTES, read};
    use crate::ErrorKind;

    fn refusal(text: &str) -> (ErrorKind, usize, usize, String) {
        // Not `unwrap_err`: it would print the tree, all that a bomb stands for.
        let Err(error) = read(text.as_bytes()) else { panic!("accepted") };
        (error.kind, error.at.line, error.at.column, error.message)
    }

    #[test]
    fn keys_and_values_know_where_they_stand() {
        let root =
            read("# é\na: 1\r\nb:\n  - 'é'\n  - {c: ~, d: \"x\"}\n".as_bytes()).unwrap().unwrap();
        let Content::Map(pairs) = &root.content else { panic!("{root:?}") };
        assert_eq!(pairs[0].0.at, At { line: 2, column: 1 });
        assert_eq!(pairs[0].1.at, At { line: 2, column: 4 });
        let Content::List(items) = &pairs[1].1.content else { panic!("{root:?}") };
        assert_eq!(items[0].at, At { line: 4, column: 5 });
        let Content::Map(inner) = &items[1].content else { panic!("{root:?}") };
        assert_eq!(inner[1].0.at, At { line: 5, column: 12 });
        assert_eq!(inner[1].1.at, At { line: 5, column: 15 });
        assert!(matches!(inner[0].1.content, Content::Null));
    }

    #[test]
    fn nothing_but_comments_is_no_tree() {
        for text in ["", "# x\n", "---\n", "\n\n", "~\n", "\u{feff}# x"] {
            assert!(read(text.as_bytes()).unwrap().is_none(), "{text:?}");
        }
    }

    #[test]
    fn an_alias_shares_and_a_bomb_of_them_is_refused() {
        let root = read(b"a: &x {b: 1}\nc: *x\n").unwrap().unwrap();
        let Content::Map(pairs) = &root.content else { panic!("{root:?}") };
        assert_eq!(pairs[1].1.at.line, 1);

        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..9 {
            let before = format!("*a{},", level - 1).repeat(10);
            bomb += &format!("a{level}: &a{level} [{before}]\n");
        }
        let (kind, line, _, message) = refusal(&bomb);
        assert_eq!((kind, line), (ErrorKind::Limit, 5));
        assert!(message.contains("65536"), "{message}");
    }

    #[test]
    fn an_alias_inside_its_own_anchor_is_refused() {
        let (kind, line, column, _) = refusal("a: &x\n  b: *x\n");
        assert_eq!((kind, line, column), (ErrorKind::Syntax, 2, 6));
    }

    #[test]
    fn deep_nesting_is_refused_where_it_gets_too_deep() {
        let deep = |levels: usize| "- ".repeat(levels) + "x";
        assert!(read(deep(DEPTH_MAX).as_bytes()).is_ok());
        let (kind, line, column, _) = refusal(&deep(DEPTH_MAX + 1));
        assert_eq!((kind, line, column), (ErrorKind::Limit, 1, DEPTH_MAX * 2 + 1));
        assert_eq!(refusal(&"[".repeat(100_000)).0, ErrorKind::Syntax);
        assert_eq!(refusal(&"- ".repeat(500_000)).0, ErrorKind::Limit);
    }

    #[test]
    fn long_texts_and_crowded_ones_are_refused() {
        assert_eq!(refusal(&"#".repeat(TEXT_MAX_BYTES + 1)).0, ErrorKind::Limit);
        assert!(read("#".repeat(TEXT_MAX_BYTES).as_bytes()).is_ok());
        assert_eq!(refusal(&"- x\n".repeat(70_000)).0, ErrorKind::Limit);
    }

    #[test]
    fn what_a_configuration_does_not_use_is_refused_with_its_place() {
        for (text, line, column) in [
            ("a: 1\n---\nb: 1\n", 2, 1),
            ("a: !!int 1\n", 1, 4),
            ("a: 1\n? [x]\n: 2\n", 2, 3),
            ("a: 1\n{b: 1}: 2\n", 2, 1),
            ("~: 2\n", 1, 1),
            ("a: [1, 2\n", 2, 1),
            ("a: 1\n\tb: 2\n", 2, 1),
        ] {
            let (kind, at_line, at_column, message) = refusal(text);
            assert_eq!(
                (kind, at_line, at_column),
                (ErrorKind::Syntax, line, column),
                "{text:?}: {message}"
            );
        }
        let error = read(b"a: 1\nb: \xc3\xa9\xff\n").unwrap_err();
        assert_eq!((error.at.line, error.at.column), (2, 5));
    }
}
