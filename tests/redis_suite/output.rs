//! What the suite prints, as results.

use std::collections::BTreeMap;

/// What became of a test, or of a block of them.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    Passed,
    /// With the complaint. The name is empty where a block failed outside of its tests.
    Failed(String),
    /// Left out by name.
    Skipped,
    /// Left out with all that have a tag; the reason is the suite's.
    Ignored(String),
}

#[derive(Debug, PartialEq)]
pub struct TestResult {
    pub name: String,
    pub outcome: Outcome,
}

/// The results of one unit.
#[derive(Debug, Default)]
pub struct Results {
    pub tests: Vec<TestResult>,
    /// Whether the suite came to the end of the unit.
    pub done: bool,
    /// What it said after its tests, or instead of them.
    rest: String,
}

impl Results {
    /// Takes in the next line.
    pub fn take(&mut self, line: &str) {
        if self.done {
            return;
        }
        match head(line) {
            Some(("ok", text)) => self.push(without_time(text), Outcome::Passed),
            Some(("skip", text)) => self.push(text, Outcome::Skipped),
            Some(("ignore", text)) => {
                let (name, reason) = ignored(text);
                self.push(name, Outcome::Ignored(reason.to_owned()));
            }
            Some(("err", text)) => {
                let (name, _) = text.rsplit_once(" in tests/").unwrap_or(("", text));
                self.push(name, Outcome::Failed(text.to_owned()));
            }
            Some((kind, _)) => self.done = kind.ends_with(" done"),
            None => self.more(line),
        }
    }

    fn push(&mut self, name: &str, outcome: Outcome) {
        self.tests.push(TestResult { name: name.to_owned(), outcome });
    }

    /// A line that is no head belongs to the complaint before it.
    fn more(&mut self, line: &str) {
        let text = match self.tests.last_mut() {
            Some(TestResult { outcome: Outcome::Failed(complaint), .. }) => complaint,
            _ => &mut self.rest,
        };
        text.push('\n');
        text.push_str(line);
    }

    /// What it said that is no result.
    pub fn rest(&self) -> &str {
        &self.rest
    }

    pub fn count(&self, wanted: fn(&Outcome) -> bool) -> usize {
        self.tests.iter().filter(|test| wanted(&test.outcome)).count()
    }

    /// How many the suite itself has left out, by reason.
    pub fn ignored(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for test in &self.tests {
            if let Outcome::Ignored(reason) = &test.outcome {
                *counts.entry(reason.as_str()).or_default() += 1;
            }
        }
        counts
    }
}

/// `[kind]: text`
fn head(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix('[')?.split_once("]: ")
}

/// The name of the test, if there is one, and the reason after it.
fn ignored(text: &str) -> (&str, &str) {
    let reasons = ["Tag: ", "Not supported ", "large memory "];
    let start = reasons.iter().filter_map(|reason| text.rfind(reason)).max().unwrap_or(0);
    (text[..start].strip_suffix(": ").unwrap_or(""), &text[start..])
}

/// The name in `name (12 ms)`.
fn without_time(text: &str) -> &str {
    text.rsplit_once(" (").map_or(text, |(name, _)| name)
}

#[test]
fn lines_become_results() {
    let mut results = Results::default();
    let lines = [
        "Testing unit/dump",
        "[ok]: a (b) works (12 ms)",
        "[skip]: left out: by name",
        "[ignore]: with: a tag: Tag: needs:repl denied",
        "[ignore]: Tag: needs:repl denied",
        "[ignore]: large memory flag not provided",
        "[ignore]: another: Not supported on external server",
        "[err]: fails in tests/unit/dump.tcl",
        "Expected 1 to be 2",
        "[err]: ERR unknown",
        "[1/1 done]: unit/dump (3 seconds)",
        "[err]: printed again in the summary",
    ];
    lines.iter().for_each(|line| results.take(line));
    let row = |name: &str, outcome| TestResult { name: name.into(), outcome };
    let expected = [
        row("a (b) works", Outcome::Passed),
        row("left out: by name", Outcome::Skipped),
        row("with: a tag", Outcome::Ignored("Tag: needs:repl denied".into())),
        row("", Outcome::Ignored("Tag: needs:repl denied".into())),
        row("", Outcome::Ignored("large memory flag not provided".into())),
        row("another", Outcome::Ignored("Not supported on external server".into())),
        row("fails", Outcome::Failed("fails in tests/unit/dump.tcl\nExpected 1 to be 2".into())),
        row("", Outcome::Failed("ERR unknown".into())),
    ];
    assert_eq!(results.tests, expected);
    assert!(results.done);
    assert_eq!(results.rest(), "\nTesting unit/dump");
    assert_eq!(results.count(|outcome| *outcome == Outcome::Skipped), 1);
    assert_eq!(results.ignored()["Tag: needs:repl denied"], 2);
}
