//! The report: a row for each command, and the README that holds them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::differences::{AVOIDED, DIFFERENCES, Difference};
use super::reference::Reference;
use super::tests_of::{self, Mentions};

const COMMANDS: &str = include_str!("commands.tsv");

/// What the table stands between.
const BEGIN: &str = "<!-- The table is generated: see above. -->\n";
const END: &str = "<!-- The end of the table. -->\n";

/// Files that a row names: those that name the command most often.
const FILES_MAX: usize = 2;

struct Row {
    name: String,
    group: String,
    since: String,
    is_there: bool,
    /// `yes`, or why not.
    compared: String,
    differences: Vec<&'static str>,
    tests: Vec<String>,
}

pub struct Report {
    path: PathBuf,
    rows: Vec<Row>,
    mentions: Mentions,
}

impl Report {
    pub fn new(
        root: &Path,
        implemented: &BTreeSet<String>,
        generated: &BTreeSet<String>,
        excluded: &BTreeMap<String, String>,
    ) -> Self {
        let listed = listed();
        let unlisted: Vec<&String> =
            implemented.iter().filter(|name| !listed.contains_key(*name)).collect();
        assert!(unlisted.is_empty(), "tests/coverage/commands.tsv lacks {unlisted:?}");
        let mentions = tests_of::find(root, implemented);
        let row = |(name, (group, since)): (&String, &(String, String))| {
            let is_there = implemented.contains(name);
            let reason = excluded.get(name).cloned().unwrap_or_default();
            let compared = if generated.contains(name) { "yes".to_owned() } else { reason };
            let of_this = from_7_0().filter(|difference| difference.command == name);
            let avoided = AVOIDED.iter().filter(|(command, _)| command == name);
            let reasons = of_this.map(|difference| difference.reason);
            let reasons = reasons.chain(avoided.map(|(_, reason)| *reason));
            let mut differences: Vec<&str> = reasons.collect();
            differences.dedup();
            let tests = tests(&mentions, name);
            let (name, group, since) = (name.clone(), group.clone(), since.clone());
            Row { name, group, since, is_there, compared, differences, tests }
        };
        let rows = listed.iter().map(row).collect();
        Self { path: root.join("tests/coverage/README.md"), rows, mentions }
    }

    pub fn summary(&self) -> String {
        let there = || self.rows.iter().filter(|row| row.is_there);
        format!(
            "coverage: {} of {} commands and subcommands are there, {} of them compared with \
             redis-server, {} named by other tests",
            there().count(),
            self.rows.len(),
            there().filter(|row| row.compared == "yes").count(),
            there().filter(|row| !row.tests.is_empty()).count(),
        )
    }

    pub fn rows(&self) -> Vec<String> {
        self.rows.iter().map(|row| format!("{}| {} |", row.fixed(), row.tests.join(", "))).collect()
    }

    /// The README holds the table as it is now. Which tests it names may be old, as long as each of
    /// them still names the command.
    pub fn check_or_write(&self) {
        let text = fs::read_to_string(&self.path).unwrap();
        let parts = text.split_once(BEGIN).and_then(|(before, rest)| {
            let (table, after) = rest.split_once(END)?;
            Some((before, table, after))
        });
        let (before, table, after) = parts.expect("the README has lost the marks around its table");
        if std::env::var_os("MAYFLY_COVERAGE_WRITE").is_some() {
            fs::write(&self.path, format!("{before}{BEGIN}{}{END}{after}", self.table())).unwrap();
            return;
        }
        let renew = "MAYFLY_COVERAGE_WRITE=1 cargo test --test coverage";
        let is = table.lines().filter(|line| line.starts_with("| `"));
        let is: Vec<(&str, &str)> = is.filter_map(|line| split_tests(line)).collect();
        let wanted: Vec<String> = self.rows.iter().map(Row::fixed).collect();
        for (line, wanted) in is.iter().zip(&wanted) {
            assert_eq!(line.0, wanted, "tests/coverage/README.md is old: {renew}");
        }
        assert_eq!(is.len(), wanted.len(), "tests/coverage/README.md is old: {renew}");
        for ((line, tests), row) in is.iter().zip(&self.rows) {
            for path in tests.split(", ").filter(|path| !path.is_empty()) {
                let files = self.mentions.get(&row.name);
                let names = files.is_some_and(|files| files.contains_key(path));
                assert!(names, "{path} does not name the command: {line} {renew}");
            }
        }
        let lines = from_7_0().filter(|difference| difference.command == "*");
        for line in lines.map(general) {
            assert!(table.contains(&line), "tests/coverage/README.md lacks '{line}': {renew}");
        }
    }

    fn table(&self) -> String {
        let mut general: Vec<String> =
            from_7_0().filter(|it| it.command == "*").map(general).collect();
        general.dedup();
        format!(
            "\n{}.\n\nOf any command:\n\n{}\n\n\
             | command | group | since | there | compared | differences | tests |\n\
             |---|---|---|---|---|---|---|\n{}\n\n",
            self.summary(),
            general.join("\n"),
            self.rows().join("\n")
        )
    }
}

/// The differences from what is compared with unless told.
fn from_7_0() -> impl Iterator<Item = &'static Difference> {
    DIFFERENCES.iter().filter(|difference| difference.only.contains(&Reference::Redis7))
}

fn general(difference: &Difference) -> String {
    format!("- {}", difference.reason)
}

/// A line without its last column, and that.
fn split_tests(line: &str) -> Option<(&str, &str)> {
    let (rest, tests) = line.strip_suffix(" |")?.rsplit_once("| ")?;
    Some((rest, tests))
}

impl Row {
    /// All columns but the tests.
    fn fixed(&self) -> String {
        let there = if self.is_there { "yes" } else { "no" };
        let Self { name, group, since, compared, .. } = self;
        let differences = self.differences.join("; ");
        // A table has bars of its own.
        let name = name.replace('|', " ");
        format!("| `{name}` | {group} | {since} | {there} | {compared} | {differences} ")
    }
}

/// Groups and versions by the names of commands.
fn listed() -> BTreeMap<String, (String, String)> {
    let row = |line: &str| match line.split('\t').collect::<Vec<_>>()[..] {
        [name, group, since] => (name.to_owned(), (group.to_owned(), since.to_owned())),
        _ => panic!("commands.tsv: not three columns: {line}"),
    };
    COMMANDS.lines().map(row).collect()
}

fn tests(mentions: &Mentions, name: &str) -> Vec<String> {
    let mut files: Vec<(&String, &usize)> =
        mentions.get(name).map(|files| files.iter().collect()).unwrap_or_default();
    files.sort_by_key(|(path, count)| (std::cmp::Reverse(**count), path.as_str()));
    files.into_iter().take(FILES_MAX).map(|(path, _)| path.clone()).collect()
}
