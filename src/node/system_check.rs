//! The machine's settings, compared with what `tuning/settings.conf` wants: the same read-only
//! checks that `tuning/tune check` makes, at every start.
//!
//! Only the profile `safe` is looked at: what suits every machine. Nothing here writes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::glob::{glob_match, is_glob};

const SETTINGS: &str = include_str!("../../tuning/settings.conf");

/// A setting that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub name: &'static str,
    pub path: PathBuf,
    /// What the file reads.
    pub value: String,
    pub want: &'static str,
    pub is_required: bool,
    pub why: &'static str,
    /// What to do about it.
    pub fix: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, path, value, want, why, fix, .. } = self;
        write!(f, "{name} ({}) is '{value}', wanted {want}: {why}; {fix}", path.display())
    }
}

/// One section of the file; see its head for the meaning of each line.
#[derive(Debug)]
struct Setting {
    name: &'static str,
    path: &'static str,
    want: &'static str,
    /// `tune apply` can set it.
    is_settable: bool,
    is_safe: bool,
    is_required: bool,
    why: &'static str,
    advice: &'static str,
}

static ALL: LazyLock<Vec<Setting>> = LazyLock::new(|| parse(SETTINGS));

/// All settings of this machine that are not as wanted; what it lacks is left out.
pub fn findings() -> Vec<Finding> {
    find_in(Path::new("/"), &ALL)
}

fn parse(text: &'static str) -> Vec<Setting> {
    let mut settings: Vec<Setting> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            settings.push(Setting {
                name,
                path: "",
                want: "",
                is_settable: false,
                is_safe: false,
                is_required: false,
                why: "",
                advice: "",
            });
            continue;
        }
        let setting = settings.last_mut().expect("invariant: a section comes first");
        let (key, value) = line.split_once(" = ").expect("invariant: 'key = value'");
        match key {
            "path" => setting.path = value,
            "want" => setting.want = value,
            "set" => setting.is_settable = true,
            "profiles" => setting.is_safe = value == "safe",
            "need" => setting.is_required = value == "required",
            "why" => setting.why = value,
            "advice" => setting.advice = value,
            "risk" => {}
            _ => unreachable!("invariant: no other key than those of the head: {key}"),
        }
    }
    settings
}

fn find_in(root: &Path, settings: &[Setting]) -> Vec<Finding> {
    let mut findings = Vec::new();
    // What stands in braces is `tune`'s to find out.
    let looked_at = settings.iter().filter(|s| s.is_safe && !s.path.contains('{'));
    for setting in looked_at {
        for file in expand(root, setting.path) {
            let Ok(text) = fs::read_to_string(&file) else { continue };
            let value = text.trim();
            if is_as_wanted(value, setting.want) {
                continue;
            }
            let fix = if setting.is_settable {
                format!("tuning/tune apply --only {}", setting.name)
            } else {
                setting.advice.to_owned()
            };
            findings.push(Finding {
                name: setting.name,
                path: file,
                value: value.to_owned(),
                want: setting.want,
                is_required: setting.is_required,
                why: setting.why,
                fix,
            });
        }
    }
    findings
}

/// The existing files that `path` stands for below `root`, sorted.
fn expand(root: &Path, path: &str) -> Vec<PathBuf> {
    let mut found = vec![root.to_owned()];
    for name in path.split('/').filter(|name| !name.is_empty()) {
        found = found.iter().flat_map(|folder| named(folder, name)).collect();
    }
    found.retain(|file| file.is_file());
    found
}

fn named(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    if !is_glob(pattern.as_bytes()) {
        return vec![folder.join(pattern)];
    }
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries
        .filter(|entry| glob_match(pattern.as_bytes(), entry.file_name().as_encoded_bytes()))
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    paths
}

/// Whether a file that reads `text` is as `want` says.
fn is_as_wanted(text: &str, want: &str) -> bool {
    let (operator, operand) = want.split_once(' ').expect("invariant: an operator, an operand");
    let first = text.split_whitespace().next().unwrap_or_default();
    let number = |word: &str| word.parse::<i64>().ok();
    match operator {
        "selected" => {
            let selected = text
                .split_whitespace()
                .find_map(|word| word.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')));
            operand.split(' ').any(|word| Some(word) == selected)
        }
        "=" => first == operand,
        "!=" => first != operand,
        "in" => operand.split(' ').any(|word| word == first),
        ">=" => number(first).is_some_and(|value| Some(value) >= number(operand)),
        "<=" => number(first).is_some_and(|value| Some(value) <= number(operand)),
        _ => unreachable!("invariant: no other operator: {operator}"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{ALL, Setting, find_in, is_as_wanted, parse};

    #[test]
    fn the_file_of_settings_is_understood() {
        assert!(ALL.len() > 10);
        for Setting { name, path, want, why, .. } in &*ALL {
            assert!(path.starts_with('/') && !why.is_empty(), "{name}");
            if !want.starts_with('@') {
                // Panics on an operator that is none.
                let _ = is_as_wanted("1", want);
            }
        }
        assert!(ALL.iter().any(|setting| setting.is_required));
    }

    #[test]
    fn values_are_compared_as_the_operators_say() {
        let cases = [
            ("128", ">= 4096", false),
            ("4096", ">= 4096", true),
            ("60", "<= 10", false),
            ("10", "<= 10", true),
            ("tsc", "in tsc kvm-clock", true),
            ("hpet", "in tsc kvm-clock", false),
            ("max 100000", "in max", true),
            ("0", "= 0", true),
            ("1", "= 0", false),
            ("1", "!= 0", true),
            ("always [madvise] never", "selected madvise never", true),
            ("[always] madvise never", "selected madvise never", false),
            ("", ">= 1", false),
            ("many", "<= 1", false),
        ];
        for (text, want, expected) in cases {
            assert_eq!(is_as_wanted(text, want), expected, "{text} {want}");
        }
    }

    #[test]
    fn what_differs_is_found_and_what_is_absent_is_not() {
        let settings = parse(
            "# Head\n\n[a]\npath = /sys/cpu*/governor\nwant = = fast\nset = fast\nprofiles = safe\n\
             need = required\nwhy = slow\nrisk = heat\n\n[b]\npath = /sys/absent\nwant = = 1\n\
             profiles = safe\nneed = wanted\nwhy = b\nadvice = none\n\n[c]\npath = /sys/loud\n\
             want = = 0\nset = 0\nprofiles = latency\nneed = wanted\nwhy = c\nrisk = none\n\n\
             [d]\npath = /sys/loud\nwant = = 0\nprofiles = safe\nneed = wanted\nwhy = d\n\
             advice = ask its owner\n",
        );
        let root = std::env::temp_dir().join(format!("mayfly-check-{}", std::process::id()));
        for (path, text) in
            [("cpu0/governor", "slow"), ("cpu1/governor", "fast"), ("disk/governor", "slow")]
        {
            fs::create_dir_all(root.join("sys").join(path).parent().unwrap()).unwrap();
            fs::write(root.join("sys").join(path), format!("{text}\n")).unwrap();
        }
        fs::write(root.join("sys/loud"), "1\n").unwrap();
        let findings = find_in(&root, &settings);
        let told: Vec<_> = findings.iter().map(|f| (f.name, f.is_required, &*f.fix)).collect();
        let expected = [("a", true, "tuning/tune apply --only a"), ("d", false, "ask its owner")];
        assert_eq!(told, expected);
        assert_eq!(findings[0].path, root.join("sys/cpu0/governor"));
        assert!(findings[0].to_string().contains("is 'slow', wanted = fast: slow; tuning/tune"));
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(find_in(Path::new("/nowhere"), &settings), []);
    }
}
