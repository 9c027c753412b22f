//! Just enough Rust: what is code and what is not, what is a test, what the words are.

/// The code in a text: comments, strings and characters are blanked, and every line stays where it
/// was.
pub(super) fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (len, blank) = match literal_or_comment(rest) {
            Some(len) => (len, true),
            // A whole word at a time, so that the `r` of `for"x"` is not taken for a prefix.
            None => (word_len(rest).max(first.len_utf8()), false),
        };
        let (piece, after) = rest.split_at(len);
        if blank {
            code.extend(piece.chars().map(|letter| if letter == '\n' { '\n' } else { ' ' }));
        } else {
            code.push_str(piece);
        }
        rest = after;
    }
    code
}

/// Length of the comment, string or character that the text begins with.
fn literal_or_comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return Some(block_comment_len(text));
    }
    let prefix = word_len(text);
    let (word, rest) = text.split_at(prefix);
    let quoted = match word {
        "" | "b" | "c" if rest.starts_with('"') => Some(quoted_len(rest, '"')),
        "" | "b" if rest.starts_with('\'') => char_len(rest),
        "r" | "br" | "cr" => raw_len(rest),
        _ => None,
    };
    quoted.map(|len| prefix + len)
}

fn block_comment_len(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
        } else {
            at += 1;
        }
        if depth == 0 {
            break;
        }
    }
    at.min(text.len())
}

/// From one quote to the next that is not escaped.
fn quoted_len(text: &str, quote: char) -> usize {
    let mut escaped = true; // The first quote opens.
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if letter == quote => return at + letter.len_utf8(),
            _ => (),
        }
    }
    text.len()
}

/// A character, or nothing when the quote begins a lifetime.
fn char_len(text: &str) -> Option<usize> {
    let mut inside = text.chars().skip(1);
    let (first, second) = (inside.next()?, inside.next()?);
    (first == '\\' || second == '\'').then(|| quoted_len(text, '\''))
}

/// A raw string behind its `r`: hashes, quote, and on to the quote with as many hashes.
fn raw_len(text: &str) -> Option<usize> {
    let hashes = text.len() - text.trim_start_matches('#').len();
    let inside = text[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", &text[..hashes]);
    let len = inside.find(&end).map_or(inside.len(), |at| at + end.len());
    Some(hashes + 1 + len)
}

fn word_len(text: &str) -> usize {
    text.find(|letter: char| !is_word(letter)).unwrap_or(text.len())
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// A word, `::`, or a single sign, and the line it is on, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    pub(super) line: usize,
}

/// The tokens of code.
pub(super) fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    for (line, mut rest) in (1..).zip(code.lines()) {
        loop {
            rest = rest.trim_start();
            let Some(first) = rest.chars().next() else { break };
            let len = match word_len(rest) {
                0 if rest.starts_with("::") => 2,
                0 => first.len_utf8(),
                len => len,
            };
            let (text, after) = rest.split_at(len);
            tokens.push(Token { text, line });
            rest = after;
        }
    }
    tokens
}

/// The tokens that are in the product, and the names of modules that are in files of their own and
/// only in the tests.
pub(super) fn without_tests<'a>(tokens: &[Token<'a>]) -> (Vec<Token<'a>>, Vec<&'a str>) {
    let (mut kept, mut modules) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        let Some(attribute) = test_attribute_len(&tokens[at..]) else {
            kept.push(tokens[at]);
            at += 1;
            continue;
        };
        if tokens[at + 1].text == "!" {
            // The whole file, or the module that we are in: nothing of it is in the product.
            return (kept, modules);
        }
        let item = item_len(&tokens[at + attribute..]);
        modules.extend(module_in_file(&tokens[at + attribute..at + attribute + item]));
        at += attribute + item;
    }
    (kept, modules)
}

/// Length of a `#[cfg(...)]` that holds only in tests.
fn test_attribute_len(tokens: &[Token<'_>]) -> Option<usize> {
    // No condition of ours is longer.
    let texts: Vec<_> = tokens.iter().map(|token| token.text).take(64).collect();
    let (["#", "[", "cfg", "(", condition @ ..] | ["#", "!", "[", "cfg", "(", condition @ ..]) =
        texts.as_slice()
    else {
        return None;
    };
    let opening = texts.len() - condition.len();
    let end = condition.iter().position(|text| *text == "]")?;
    let is_test = match &condition[..end] {
        ["test", ")"] => true,
        // `any(test, ...)` and `not(test)` hold in the product too.
        ["all", "(", conditions @ ..] => conditions.starts_with(&["test"]),
        _ => false,
    };
    is_test.then_some(opening + end + 1)
}

/// Length of the item that the tokens begin with: to its semicolon, or through its braces.
fn item_len(tokens: &[Token<'_>]) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            ";" if depth == 0 => return at + 1,
            _ => (),
        }
    }
    tokens.len()
}

/// The name in `mod name;`.
fn module_in_file<'a>(item: &[Token<'a>]) -> Option<&'a str> {
    let at = item.iter().position(|token| token.text == "mod")?;
    let (name, end) = (item.get(at + 1)?, item.get(at + 2)?);
    (end.text == ";").then_some(name.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let code = code_of(text);
        tokens(&code).iter().map(|token| token.text.to_owned()).collect()
    }

    fn product(text: &str) -> String {
        let code = code_of(text);
        let all = tokens(&code);
        let (kept, _) = without_tests(&all);
        kept.iter().map(|token| token.text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_and_strings_are_no_code() {
        assert_eq!(words("a // tokio\nb /* x /* y */ z */ c"), ["a", "b", "c"]);
        assert_eq!(words(r##"f("to\"kio", b"x", r#"a " b"#, c"z") g"##).join(""), "f(,,,)g");
        assert_eq!(words("r\"raw\\\" after"), ["after"]);
    }

    #[test]
    fn lifetimes_are_code_and_characters_are_not() {
        assert_eq!(words("&'a str").join(" "), "& ' a str");
        assert_eq!(words(r"x('\'', '\\', '/', b'y', '\u{1f}') z").join(""), "x(,,,,)z");
        assert_eq!(words("'\"' a '\"'"), ["a"]);
    }

    #[test]
    fn lines_stay_where_they_were() {
        let code = code_of("/* one\ntwo */ \"three\nfour\" word");
        assert_eq!(tokens(&code), [Token { text: "word", line: 3 }]);
    }

    #[test]
    fn unfinished_text_ends_with_the_file() {
        for text in ["/* x", "\"x", "r#\"x\"", "'\\", "'", "b'", "ü\"ü", "//"] {
            code_of(text);
        }
    }

    #[test]
    fn items_for_tests_are_no_product() {
        assert_eq!(product("a; #[cfg(test)] mod t { fn x() { y } } b;"), "a ; b ;");
        assert_eq!(product("#[cfg(test)] #[x] fn f(a: [u8; 3]) { x } b"), "b");
        assert_eq!(product("#[cfg(test)] use a::{b, c}; d"), "; d");
        assert_eq!(product("#[cfg(all(test, unix))] mod t { x } b"), "b");
        assert_eq!(product("a; #![cfg(test)] b; c"), "a ;");
    }

    #[test]
    fn what_is_also_in_the_product_is_product() {
        assert_eq!(product("#[cfg(not(test))] a"), "# [ cfg ( not ( test ) ) ] a");
        assert_eq!(product("#[cfg(any(test, x))] a"), "# [ cfg ( any ( test , x ) ) ] a");
    }

    #[test]
    fn modules_for_tests_in_files_of_their_own_are_named() {
        let code =
            code_of("#[cfg(test)]\nmod tests;\n#[cfg(test)]\npub(crate) mod fake;\nmod real;");
        let all = tokens(&code);
        assert_eq!(without_tests(&all).1, ["tests", "fake"]);
    }
}
