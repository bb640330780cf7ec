//! Splits Rust source into code and comments, each in its place: in `code` every comment and
//! every literal is blank, in `comments` everything but comments is. Lines are those of the file.
//!
//! It knows just enough of Rust's grammar for that: comments (nested), strings (raw, byte, C), and
//! characters as opposed to lifetimes.

pub struct Source {
    pub code: Vec<String>,
    pub comments: Vec<String>,
}

/// What a byte belongs to.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Code,
    Comment,
    Literal,
}

impl Source {
    pub fn new(text: &str) -> Self {
        let parts = classify(text.as_bytes());
        Self { code: lines(text, &parts, Part::Code), comments: lines(text, &parts, Part::Comment) }
    }
}

/// The text with every byte blanked that is not of `wanted`, line by line.
fn lines(text: &str, parts: &[Part], wanted: Part) -> Vec<String> {
    let kept: String = text
        .char_indices()
        .map(|(position, c)| if c == '\n' || parts[position] == wanted { c } else { ' ' })
        .collect();
    kept.lines().map(str::to_owned).collect()
}

fn classify(bytes: &[u8]) -> Vec<Part> {
    let mut parts = vec![Part::Code; bytes.len()];
    let mut position = 0;
    while position < bytes.len() {
        let rest = &bytes[position..];
        let (len, part) = if rest.starts_with(b"//") {
            (find(rest, b"\n").unwrap_or(rest.len()), Part::Comment)
        } else if rest.starts_with(b"/*") {
            (block_comment_len(rest), Part::Comment)
        } else if let Some(len) = raw_string_len(bytes, position) {
            (len, Part::Literal)
        } else if rest[0] == b'"' {
            (quoted_len(rest, b'"'), Part::Literal)
        } else if let Some(len) = character_len(rest) {
            (len, Part::Literal)
        } else {
            (1, Part::Code)
        };
        let end = (position + len).min(bytes.len());
        parts[position..end].fill(part);
        position = end;
    }
    parts
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn block_comment_len(bytes: &[u8]) -> usize {
    let mut depth = 0;
    let mut position = 0;
    while position < bytes.len() {
        if bytes[position..].starts_with(b"/*") {
            depth += 1;
            position += 2;
        } else if bytes[position..].starts_with(b"*/") {
            depth -= 1;
            position += 2;
            if depth == 0 {
                return position;
            }
        } else {
            position += 1;
        }
    }
    bytes.len()
}

/// `r"…"`, `r#"…"#`, `br"…"`, `cr"…"`, seen from its `r`.
fn raw_string_len(bytes: &[u8], position: usize) -> Option<usize> {
    let rest = &bytes[position..];
    if rest[0] != b'r' || (position > 0 && continues_a_word(bytes, position)) {
        return None;
    }
    let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return None;
    }
    let mut end = vec![b'"'];
    end.resize(1 + hashes, b'#');
    let start = 2 + hashes;
    Some(start + find(&rest[start..], &end).map_or(rest.len(), |found| found + end.len()))
}

/// Whether the byte before `position` makes it the middle of a name. The prefixes `b` and `c` of a
/// literal do not, unless they are themselves the end of a name.
fn continues_a_word(bytes: &[u8], position: usize) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match bytes[position - 1] {
        b'b' | b'c' => position >= 2 && is_word(bytes[position - 2]),
        before => is_word(before),
    }
}

fn quoted_len(bytes: &[u8], quote: u8) -> usize {
    let mut position = 1;
    while position < bytes.len() {
        match bytes[position] {
            b'\\' => position += 2,
            byte if byte == quote => return position + 1,
            _ => position += 1,
        }
    }
    bytes.len()
}

/// `'x'`, `'\n'`, `'é'`; not the lifetime `'a`.
fn character_len(bytes: &[u8]) -> Option<usize> {
    if bytes[0] != b'\'' {
        return None;
    }
    if bytes.get(1) == Some(&b'\\') {
        return Some(quoted_len(bytes, b'\''));
    }
    // One character is at most four bytes.
    let close = bytes.iter().take(6).skip(2).position(|byte| *byte == b'\'')? + 2;
    let inside = std::str::from_utf8(&bytes[1..close]).ok()?;
    (inside.chars().count() == 1).then_some(close + 1)
}

#[test]
fn literals_and_comments_are_no_code() {
    let source = Source::new(concat!(
        "let a = \"// no \\\" comment\"; // one\n",
        "/* two /* nested */ */ fn f<'a>(c: char) { c == '\"' || c == '\\'' }\n",
        "let raw = br#\"quote \" unsafe\"#; let r = for_r(\"x\");\n",
    ));
    assert!(!source.code[0].contains("comment"));
    assert_eq!(source.comments[0].trim(), "// one");
    assert_eq!(source.comments[1].trim(), "/* two /* nested */ */");
    assert!(source.code[1].contains("fn f<'a>(c: char) { c ==     || c ==      }"));
    assert!(!source.code[2].contains("unsafe"));
    assert!(source.code[2].contains("let r = for_r("));
}
