//! What operators write: values of directives, configuration files, lists of nodes, command lines.

use std::ffi::OsString;
use std::path::PathBuf;

use mayfly::config::{DIRECTIVES, HostPort, NodeConfig, Settings, cli};

use super::input::Input;

/// A file of this process that holds `text` for as long as `use_it` runs.
fn with_file(text: &[u8], use_it: impl FnOnce(PathBuf)) {
    let thread = std::thread::current().id();
    let name = format!("mayfly-fuzz-{}-{thread:?}", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, text).expect("the folder of temporary files takes files");
    use_it(path.clone());
    std::fs::remove_file(path).expect("the file is there");
}

/// Whether the text may make the reader open any file of the machine, one that never ends even.
fn names_files(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text).to_ascii_lowercase();
    ["/", "\\x2f"].iter().any(|slash| text.contains(slash))
}

fn preset(name: &str, text: String) -> (usize, String) {
    let index = DIRECTIVES.iter().position(|directive| directive.name == name);
    (index.expect("a directive"), text)
}

/// The first byte tells what the rest is.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    match input.below(4) {
        0 => {
            let directive = &DIRECTIVES[input.below(DIRECTIVES.len())];
            let text = String::from_utf8_lossy(input.rest()).into_owned();
            set(directive.name, &text);
        }
        1 => {
            let text = input.rest();
            if !names_files(text) {
                // Refused or not; the configuration itself is used by nobody.
                with_file(text, |path| drop(NodeConfig::load(Some(&path), &[])));
            }
        }
        2 => nodes_conf(input.rest()),
        _ => command_line(input.rest()),
    }
}

/// What a directive takes, it tells again as something that it takes.
fn set(name: &str, text: &str) {
    if let Ok(address) = HostPort::parse(text) {
        assert_eq!(HostPort::parse(&address.to_string()).ok(), Some(address), "{text:?}");
    }
    let mut settings = Settings::default();
    if settings.set(name, text).is_ok() {
        let told = settings.get(name).expect("a directive has a value");
        settings.set(name, &told).unwrap_or_else(|error| {
            panic!("{name} took {text:?} and told it as {told:?}: {error}");
        });
        assert_eq!(settings.get(name), Some(told));
        if settings.check().is_ok() {
            // Every value that stands must have its place among the settings in use.
            settings.tunables();
        }
    }
}

fn nodes_conf(text: &[u8]) {
    with_file(text, |path| {
        for cluster_port in [0, 9000] {
            let overrides = [
                preset("cluster-config-file", path.to_string_lossy().into_owned()),
                preset("announce-address", "127.0.0.1".to_owned()),
                preset("port", "5001".to_owned()),
                preset("cluster-port", cluster_port.to_string()),
            ];
            drop(NodeConfig::load(None, &overrides));
        }
    });
}

/// Words between zero bytes.
fn command_line(text: &[u8]) {
    if names_files(text) {
        return;
    }
    let words = text.split(|byte| *byte == 0).take(32);
    let words = words.map(|word| OsString::from(String::from_utf8_lossy(word).into_owned()));
    drop(cli::parse([OsString::from("mayfly")].into_iter().chain(words)));
}

pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (position, directive) in DIRECTIVES.iter().enumerate() {
        let at = [0, u8::try_from(position).expect("fewer directives than that")];
        seeds.push([&at, directive.default.as_bytes()].concat());
    }
    let values: [(&str, &str); 9] = [
        ("client-output-buffer-limit", "normal 1gb 512mb 60"),
        ("bind", "127.0.0.1 -::1 *"),
        ("net-cores", "1,3-5"),
        ("proto-max-bulk-len", "512mb"),
        ("proto-max-bulk-len", "18446744073709551615gb"),
        ("peers", "a:1,b:2,[::1]:3"),
        ("port", "-1"),
        ("loglevel", "notice"),
        ("timeout", "9223372036854775807"),
    ];
    for (name, value) in values {
        if let Some(position) = DIRECTIVES.iter().position(|directive| directive.name == name) {
            seeds.push([&[0, position as u8], value.as_bytes()].concat());
        }
    }
    let files: [(u8, &[u8]); 7] = [
        (1, b"# a node\nport 5001\nbind \"127.0.0.\\x31\"\nmaxclients 100\n"),
        (1, b"name 'a b'\ninit yes\nquorum-reads no\n"),
        (2, b"node-1 127.0.0.1:15001\nnode-2 127.0.0.1:15002\n# end\nnode-3 [::1]:15003\n"),
        (2, b"a 127.0.0.1:5001\nb 127.0.0.1:5002\n"),
        (3, b"node\0--port\x005001\0--init"),
        (3, b"node\0--port\x005001\0--peers\0h:1,h:2"),
        (3, b"local\0--nodes\x003\0--respawn"),
    ];
    seeds.extend(files.iter().map(|(kind, text)| [&[*kind], *text].concat()));
    seeds
}
