//! A crate of the consensus core alone, with every mutant in it behind a switch.
//!
//! It is made under `target/`, from copies of the sources, and built once: the mutants of all
//! patches differ by [`SWITCH`] in the environment of the process that runs them. The library has
//! the product's name, so the unit tests of the core and the suites that drive it compile against
//! it as they are.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use crate::patch::{self, Patch, Sources};

/// The name of the environment variable that holds the name of the mutant to be.
pub const SWITCH: &str = "MAYFLY_MUTANT";

/// What the core is made of.
const SOURCES: [&str; 2] = ["src/raft", "src/limits.rs"];

/// Suites that drive the core from outside.
const SUITES: [&str; 2] = ["raft_adversary", "raft_sim"];

const GROWS: &str = "a string takes all that is written";

/// The test programs of the crate.
pub struct Programs {
    pub unit: PathBuf,
    /// By their names.
    pub suites: BTreeMap<&'static str, PathBuf>,
}

pub fn root() -> PathBuf {
    PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"))
}

/// Builds the crate; every mutant compiles, or this fails.
pub fn build(patches: &[Patch]) -> Programs {
    let root = root();
    let folder = root.join("target/mutants/core");
    let mut sources = patch::read_sources(&root, &SOURCES).unwrap_or_else(|e| panic!("{e}"));
    patch::apply_switchable(&mut sources, patches, "crate::mutant::is")
        .unwrap_or_else(|e| panic!("{e}"));
    sources.insert("src/mutant.rs".to_owned(), switch_source(patches));
    let modules = "//! The core.\npub mod limits;\nmod mutant;\npub mod raft;\n";
    sources.insert("src/lib.rs".to_owned(), modules.to_owned());
    sources.insert("Cargo.toml".to_owned(), manifest(&root, &sources));
    let lock = fs::read_to_string(root.join("Cargo.lock")).expect("it is in the repository");
    sources.extend(kept_lock(&folder, &lock));
    patch::write_sources(&folder, &sources).unwrap_or_else(|e| panic!("{e}"));
    compile(&folder)
}

/// Cargo drops from the lock what the core does not need, so it is renewed only when the product's
/// is another one.
fn kept_lock(folder: &Path, lock: &str) -> Sources {
    let known = fs::read_to_string(folder.join("Cargo.lock.origin"));
    let pruned = fs::read_to_string(folder.join("Cargo.lock"));
    let pruned = match (known, pruned) {
        (Ok(known), Ok(pruned)) if known == lock => pruned,
        _ => lock.to_owned(),
    };
    let texts = [("Cargo.lock", pruned), ("Cargo.lock.origin", lock.to_owned())];
    texts.map(|(path, text)| (path.to_owned(), text)).into()
}

/// A function that says which mutant this process is, by number.
fn switch_source(patches: &[Patch]) -> String {
    let mut text = format!(
        "//! Which mutant this process is.\n\
         use std::sync::LazyLock;\n\
         static ACTIVE: LazyLock<Option<usize>> = LazyLock::new(|| {{\n\
         let name = std::env::var({SWITCH:?}).ok()?;\n\
         let at = NAMES.iter().position(|known| *known == name);\n\
         Some(at.expect(\"a mutant of this name\"))\n\
         }});\n\
         pub fn is(number: usize) -> bool {{ *ACTIVE == Some(number) }}\n\
         const NAMES: &[&str] = &[\n"
    );
    for patch in patches {
        writeln!(text, "{:?},", patch.name).expect(GROWS);
    }
    text + "];\n"
}

/// Of the product's dependencies, those that the core and the suites name.
fn manifest(root: &Path, sources: &Sources) -> String {
    let product = fs::read_to_string(root.join("Cargo.toml")).expect("it is in the repository");
    let folders = SUITES.map(|name| format!("tests/{name}"));
    let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
    let suites = patch::read_sources(root, &folders).unwrap_or_else(|e| panic!("{e}"));
    let texts: Vec<&String> = sources.values().chain(suites.values()).collect();
    let is_named = |line: &&str| {
        let name = line.split([' ', '=']).next().unwrap_or("").replace('-', "_");
        texts.iter().any(|text| names_crate(text, &name))
    };
    let headings = ["[dependencies]", "[dev-dependencies]"];
    let sections = headings.map(|heading| product.split(heading).nth(1).unwrap_or(""));
    let lines =
        sections.iter().flat_map(|section| section.split("\n[").next()).flat_map(str::lines);
    let dependencies: Vec<&str> = lines
        .filter(|line| line.contains('=') && !line.starts_with('#'))
        .filter(is_named)
        .collect();
    let dependencies = dependencies.join("\n");
    let mut suites = String::new();
    for name in SUITES {
        let path = root.join("tests").join(name).join("main.rs");
        write!(suites, "[[test]]\nname = {name:?}\npath = {path:?}\n\n").expect(GROWS);
    }
    // Optimised a little: the simulator runs for minutes, and a build takes seconds. A mutant
    // leaves names unused.
    format!(
        "[package]\nname = \"mayfly\"\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\
         autotests = false\n\n[workspace]\n\n[dependencies]\n{dependencies}\n\n\
         {suites}[lints.rust]\nwarnings = \"allow\"\n\n\
         [profile.dev]\nopt-level = 1\ndebug = false\nincremental = true\n"
    )
}

/// Whether `text` has a path that begins with the crate `name`.
fn names_crate(text: &str, name: &str) -> bool {
    text.match_indices(&format!("{name}::")).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
    })
}

fn compile(folder: &Path) -> Programs {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["test", "--no-run", "--message-format=json-render-diagnostics"])
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", folder.with_file_name("build"))
        // The simulator's light machine takes the place of the engine, which is not there.
        .env("RUSTFLAGS", "--cfg core_only")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "the core with its mutants does not compile");
    let messages = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let program = |target: &str| {
        let named = format!("\"name\":\"{target}\"");
        let mut lines = messages.lines().filter(|line| line.contains(&named));
        let path = lines.find_map(|line| line.split("\"executable\":\"").nth(1)?.split('"').next());
        PathBuf::from(path.unwrap_or_else(|| panic!("no test program of {target}")))
    };
    let suites = SUITES.map(|name| (name, program(name)));
    Programs { unit: program("mayfly"), suites: suites.into() }
}
