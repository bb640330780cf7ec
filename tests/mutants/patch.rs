//! Patches of the product's own sources: small named changes, each of which breaks one rule.
//!
//! A test tool applies them to a copy of the sources; the sources themselves have no switches for
//! tests. [`apply`] makes one change, [`apply_switchable`] makes many at once, of which the running
//! program then obeys at most one. Nothing here builds or runs anything.
//!
//! # The files
//! A file holds any number of patches. Each begins with `patch: <name>` and has these lines:
//!
//! ```text
//! patch: vote-twice-in-a-term
//! breaks: Raft 5.2: a member votes for at most one candidate per term;
//!   a line that begins with a space continues the one before it.
//! file: src/raft/election.rs
//! - Some(id) => «id == from»,
//! + true
//! ```
//!
//! `-` lines are text that must occur exactly once in the file, to the letter and with its
//! indentation; `+` lines are what replaces it, or what replaces the part between `«` and `»` where
//! there is one. More `-` and `+` lines are more changes. What other keys mean is up to the tool.
//! Lines that begin with `#` are comments.

// Each suite that includes this file uses a part of it.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use thiserror::Error;

/// Texts of source files by their path from the root of the repository.
pub type Sources = BTreeMap<String, String>;

#[derive(Debug, Error)]
pub enum PatchError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("line {line}: {why}")]
    Syntax { line: usize, why: &'static str },
    #[error("patch {patch}: {file} is not among the sources")]
    NoFile { patch: String, file: String },
    #[error(
        "patch {patch}: its text occurs {count} times in {file}, and must occur once: bring the \
         patch up to date with the source\n{text}"
    )]
    NotOnce { patch: String, file: String, count: usize, text: String },
    #[error("patches {one} and {other} change overlapping parts of {file}")]
    Overlap { one: String, other: String, file: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    pub name: String,
    /// All keys but `patch` and `file`, in order.
    keys: Vec<(String, String)>,
    changes: Vec<Change>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    file: String,
    before: String,
    original: String,
    after: String,
    replacement: String,
}

/// Where a change applies: file, first byte, byte after the last.
type Place = (String, usize, usize);

impl Patch {
    /// The value of `key`, with its lines joined by spaces.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.keys.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.changes.iter().map(|change| change.file.as_str())
    }

    fn places(&self, sources: &Sources) -> Result<Vec<Place>, PatchError> {
        self.changes.iter().map(|change| change.place(self, sources)).collect()
    }
}

impl Change {
    fn place(&self, patch: &Patch, sources: &Sources) -> Result<Place, PatchError> {
        let (patch, file) = (patch.name.clone(), self.file.clone());
        let Some(source) = sources.get(&file) else {
            return Err(PatchError::NoFile { patch, file });
        };
        let text = format!("{}{}{}", self.before, self.original, self.after);
        let mut found = source.match_indices(&text);
        match (found.next(), found.count()) {
            (Some((at, _)), 0) => {
                let start = at + self.before.len();
                Ok((file, start, start + self.original.len()))
            }
            (first, more) => {
                let count = more + usize::from(first.is_some());
                Err(PatchError::NotOnce { patch, file, count, text })
            }
        }
    }
}

/// Reads the patches of one file.
pub fn parse(text: &str) -> Result<Vec<Patch>, PatchError> {
    let mut patches: Vec<Patch> = Vec::new();
    let mut file: Option<String> = None;
    // Of the change that is being read: its `-` lines and its `+` lines.
    let mut lines: (Vec<&str>, Vec<&str>) = Default::default();
    for (number, line) in text.lines().chain([""]).enumerate() {
        let fail = |why| PatchError::Syntax { line: number + 1, why };
        let (sign, rest) = match line.split_at_checked(1) {
            Some((sign @ ("-" | "+"), rest)) => (sign, rest.strip_prefix(' ').unwrap_or(rest)),
            _ => ("", line),
        };
        if sign != "+" && !lines.0.is_empty() && (sign.is_empty() || !lines.1.is_empty()) {
            let patch = patches.last_mut().ok_or_else(|| fail("a change outside of a patch"))?;
            let file = file.clone().ok_or_else(|| fail("a change without a file"))?;
            patch.changes.push(change(file, &std::mem::take(&mut lines)).map_err(fail)?);
        }
        match sign {
            "-" => lines.0.push(rest),
            "+" if lines.0.is_empty() => return Err(fail("a replacement of nothing")),
            "+" => lines.1.push(rest),
            _ if line.is_empty() || line.starts_with('#') => {}
            _ => take_key(line, &mut patches, &mut file).map_err(fail)?,
        }
    }
    match patches.iter().find(|patch| patch.changes.is_empty()) {
        Some(_) => Err(PatchError::Syntax { line: 0, why: "a patch that changes nothing" }),
        None => Ok(patches),
    }
}

fn take_key(
    line: &str,
    patches: &mut Vec<Patch>,
    file: &mut Option<String>,
) -> Result<(), &'static str> {
    if let Some(more) = line.strip_prefix(' ') {
        let last = patches.last_mut().and_then(|patch| patch.keys.last_mut());
        let (_, value) = last.ok_or("a continued line without a first one")?;
        *value = format!("{value} {}", more.trim());
        return Ok(());
    }
    let (key, value) = line.split_once(':').ok_or("neither a key nor a change")?;
    let value = value.trim().to_owned();
    match key {
        "patch" => {
            *file = None;
            patches.push(Patch { name: value, keys: Vec::new(), changes: Vec::new() });
        }
        "file" => *file = Some(value),
        _ => {
            let patch = patches.last_mut().ok_or("a key outside of a patch")?;
            patch.keys.push((key.to_owned(), value));
        }
    }
    Ok(())
}

fn change(file: String, lines: &(Vec<&str>, Vec<&str>)) -> Result<Change, &'static str> {
    let text = lines.0.join("\n");
    let replacement = lines.1.join("\n");
    let parts: Vec<&str> = text.split(['«', '»']).collect();
    let (before, original, after) = match parts[..] {
        [all] => ("", all, ""),
        [before, marked, after] => (before, marked, after),
        _ => return Err("more than one marked part"),
    };
    let [before, original, after] = [before, original, after].map(str::to_owned);
    Ok(Change { file, before, original, after, replacement })
}

/// Makes the changes of `patch`.
pub fn apply(sources: &mut Sources, patch: &Patch) -> Result<(), PatchError> {
    let places = patch.places(sources)?;
    let mut edits: Vec<(Place, &str)> =
        places.into_iter().zip(patch.changes.iter().map(|c| c.replacement.as_str())).collect();
    edits.sort_unstable();
    // From the end on, so that what is yet to be replaced stays where it is.
    for ((file, start, end), replacement) in edits.into_iter().rev() {
        let source = sources.get_mut(&file).expect("it has the change's place");
        source.replace_range(start..end, replacement);
    }
    Ok(())
}

/// Makes the changes of all `patches`, each of them an `if` on `switch(n)`, where `n` is the place
/// of the patch in `patches`, from 0 on: `switch` is the path of a function from `usize` to `bool`.
///
/// A change of statements, which end with `;` or `}`, becomes a statement, any other an expression,
/// so a name that is bound in the one branch is not known behind it.
pub fn apply_switchable(
    sources: &mut Sources,
    patches: &[Patch],
    switch: &str,
) -> Result<(), PatchError> {
    let mut edits: BTreeMap<Place, Vec<(usize, &str)>> = BTreeMap::new();
    for (number, patch) in patches.iter().enumerate() {
        for (place, change) in patch.places(sources)?.into_iter().zip(&patch.changes) {
            edits.entry(place).or_default().push((number, &change.replacement));
        }
    }
    for (one, other) in edits.iter().zip(edits.iter().skip(1)) {
        let ((file, _, end), (next_file, start, _)) = (one.0, other.0);
        if file == next_file && start < end {
            let [one, other] = [one.1[0].0, other.1[0].0].map(|at| patches[at].name.clone());
            return Err(PatchError::Overlap { one, other, file: file.clone() });
        }
    }
    for ((file, start, end), replacements) in edits.into_iter().rev() {
        let source = sources.get_mut(&file).expect("it has the change's place");
        let original = source[start..end].to_owned();
        let mut text = String::new();
        for (number, replacement) in replacements {
            text += &format!("if {switch}({number}) {{\n{replacement}\n}} else ");
        }
        text += &format!("{{\n{original}\n}}");
        if !original.trim_end().ends_with([';', '}']) {
            text = format!("({text})");
        }
        source.replace_range(start..end, &text);
    }
    Ok(())
}

/// Reads the files at and below `paths`, which are relative to `root`.
pub fn read_sources(root: &Path, paths: &[&str]) -> Result<Sources, PatchError> {
    let mut sources = Sources::new();
    let mut left: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
    while let Some(path) = left.pop() {
        let full = root.join(&path);
        let failed = |source| PatchError::Io { path: full.clone(), source };
        if full.is_dir() {
            for entry in fs::read_dir(&full).map_err(failed)? {
                let name = entry.map_err(failed)?.file_name();
                let below = Path::new(&path).join(name);
                left.push(below.to_string_lossy().into_owned());
            }
        } else {
            let text = fs::read_to_string(&full).map_err(failed)?;
            sources.insert(path, text);
        }
    }
    Ok(sources)
}

/// Makes `folder` hold exactly `sources`. What is there already and the same is left alone, so that
/// cargo builds only what has changed.
pub fn write_sources(folder: &Path, sources: &Sources) -> Result<(), PatchError> {
    let io = |path: &Path, source| PatchError::Io { path: path.to_owned(), source };
    if folder.exists() {
        for path in read_sources(folder, &[""])?.keys() {
            if !sources.contains_key(path) {
                let full = folder.join(path);
                fs::remove_file(&full).map_err(|source| io(&full, source))?;
            }
        }
    }
    for (path, text) in sources {
        let full = folder.join(path);
        if fs::read_to_string(&full).is_ok_and(|there| there == *text) {
            continue;
        }
        let parent = full.parent().expect("below a folder");
        fs::create_dir_all(parent).map_err(|source| io(parent, source))?;
        fs::write(&full, text).map_err(|source| io(&full, source))?;
    }
    Ok(())
}

#[test]
fn patches_are_applied_alone_or_behind_switches() {
    let text = "patch: one\nbreaks: a rule\n  in two lines\nfile: a.rs\n- if «ok» {\n+ false\n\n\
                patch: two\nfile: a.rs\n- if «ok» {\n+ true\n- f();\n+ g();\n";
    let patches = parse(text).unwrap();
    assert_eq!(patches[0].get("breaks"), Some("a rule in two lines"));
    let sources = Sources::from([("a.rs".to_owned(), "if ok {\n    f();\n}\n".to_owned())]);
    let mut alone = sources.clone();
    apply(&mut alone, &patches[1]).unwrap();
    assert_eq!(alone["a.rs"], "if true {\n    g();\n}\n");
    let mut all = sources;
    apply_switchable(&mut all, &patches, "on").unwrap();
    let words: Vec<&str> = all["a.rs"].split_whitespace().collect();
    let expected = "if (if on(0) { false } else if on(1) { true } else { ok }) { \
                    if on(1) { g(); } else { f(); } }";
    assert_eq!(words.join(" "), expected);
}

#[test]
fn patches_that_do_not_fit_are_refused() {
    let sources = Sources::from([("a.rs".to_owned(), "f(); f(); g(h());".to_owned())]);
    let refused = |changes: &str| {
        let patches = parse(&format!("patch: p\nfile: a.rs\n{changes}\n")).unwrap();
        apply(&mut sources.clone(), &patches[0]).unwrap_err().to_string()
    };
    assert!(refused("- f();\n+ g();").contains("occurs 2 times in a.rs"));
    assert!(refused("- i();").contains("occurs 0 times in a.rs"));
    assert!(refused("file: b.rs\n- i();").contains("b.rs is not among the sources"));
    let text = "patch: p\nfile: a.rs\n- g(h());\n+ i();\npatch: q\nfile: a.rs\n- h()\n+ 1\n";
    let overlap = apply_switchable(&mut sources.clone(), &parse(text).unwrap(), "on");
    assert!(overlap.unwrap_err().to_string().contains("patches p and q"));
    for text in ["- a", "patch: p", "patch: p\n- a", "patch: p\nfile: a\n+ b", "nonsense"] {
        assert!(parse(text).is_err(), "{text}");
    }
}
