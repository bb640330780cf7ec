//! The mutants as the patches beside this file define them, and the table of them in the README.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::patch::{self, Patch};

/// Where the patches and their README are, from the root of the repository.
pub const FOLDER: &str = "tests/mutants";

/// What the table stands between.
const BEGIN: &str = "<!-- The table is generated: see above. -->\n";
const END: &str = "<!-- The end of the table. -->\n";

#[derive(Clone, Debug)]
pub struct Mutant {
    pub patch: Patch,
    /// The rule that it breaks, and where that comes from.
    pub breaks: String,
    /// The path of the unit test that must fail.
    pub unit: String,
    pub simulator: Simulator,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Simulator {
    /// This test of this suite must fail with one of the first so many seeds.
    Within { suite: String, test: String, seeds: u64 },
    /// No simulation can tell, and why.
    Cannot(String),
}

impl Mutant {
    fn new(patch: Patch) -> Result<Self, String> {
        let key = |name: &str| {
            let value = patch.get(name).filter(|value| !value.is_empty()).map(str::to_owned);
            value.ok_or_else(|| format!("mutant {} has no line '{name}: …'", patch.name))
        };
        let (breaks, unit, simulator) = (key("breaks")?, key("unit")?, key("simulator")?);
        let simulator = match simulator.strip_prefix("none: ") {
            Some(why) => Simulator::Cannot(why.to_owned()),
            None => within(&simulator).ok_or_else(|| {
                let form = "'<suite> <test> within <n> seeds' or 'none: <why>'";
                format!("mutant {}: simulator: is {form}", patch.name)
            })?,
        };
        Ok(Self { patch, breaks, unit, simulator })
    }
}

fn within(text: &str) -> Option<Simulator> {
    match text.split_whitespace().collect::<Vec<_>>()[..] {
        [suite, test, "within", seeds, "seeds"] => {
            let (suite, test) = (suite.to_owned(), test.to_owned());
            Some(Simulator::Within { suite, test, seeds: seeds.parse().ok()? })
        }
        _ => None,
    }
}

/// All mutants, by file and then as they stand there.
pub fn read(root: &Path) -> Result<Vec<Mutant>, String> {
    let folder = root.join(FOLDER);
    let files = fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let paths = files.filter_map(|file| Some(file.ok()?.path()));
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "txt")).collect();
    paths.sort();
    let mut mutants = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let patches = patch::parse(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        for patch in patches {
            mutants.push(Mutant::new(patch)?);
        }
    }
    let mut names: Vec<&str> = mutants.iter().map(|mutant| mutant.patch.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("two mutants have the name {}", pair[0])),
        None => Ok(mutants),
    }
}

/// The README with its table as the mutants have it, and as it is.
pub fn readme(root: &Path, mutants: &[Mutant]) -> Result<(String, String), String> {
    let path = root.join(FOLDER).join("README.md");
    let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let parts = text
        .split_once(BEGIN)
        .and_then(|(before, rest)| rest.split_once(END).map(|(_, after)| (before, after)));
    let (before, after) = parts.ok_or("the README has lost the marks around its table")?;
    Ok((format!("{before}{BEGIN}{}{END}{after}", table(mutants)), text))
}

fn table(mutants: &[Mutant]) -> String {
    const GROWS: &str = "a string takes all that is written";
    let mut text = format!(
        "\n{} mutants.\n\n| mutant | breaks | unit test | simulator, within seeds |\n\
         |---|---|---|---|\n",
        mutants.len()
    );
    for Mutant { patch, breaks, unit, simulator } in mutants {
        let simulator = match simulator {
            Simulator::Within { suite, test, seeds } => format!("`{suite}` `{test}`, {seeds}"),
            Simulator::Cannot(why) => format!("none: {why}"),
        };
        let unit = unit.trim_start_matches("raft::").replace("tests::", "");
        writeln!(text, "| {} | {breaks} | `{unit}` | {simulator} |", patch.name).expect(GROWS);
    }
    text + "\n"
}

/// Every patch fits the sources, and the README says what the patches say.
#[test]
fn the_mutants_fit_the_sources_and_the_readme() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mutants = read(root).unwrap_or_else(|e| panic!("{e}"));
    let mut sources = patch::read_sources(root, &["src"]).unwrap_or_else(|e| panic!("{e}"));
    let patches: Vec<Patch> = mutants.iter().map(|mutant| mutant.patch.clone()).collect();
    let fits = patch::apply_switchable(&mut sources, &patches, "is");
    fits.unwrap_or_else(|e| panic!("{e}"));
    let (wanted, is) = readme(root, &mutants).unwrap_or_else(|e| panic!("{e}"));
    if std::env::var_os("MAYFLY_MUTANTS_WRITE").is_some() {
        fs::write(root.join(FOLDER).join("README.md"), wanted).expect("the README is writable");
    } else {
        assert!(
            wanted == is,
            "the table of {FOLDER}/README.md is old: MAYFLY_MUTANTS_WRITE=1 cargo test --test tidy"
        );
    }
}
