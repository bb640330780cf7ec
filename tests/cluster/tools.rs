//! The tools that everybody has: redis-benchmark, redis-cli, redis-py.

use std::path::Path;

use crate::cluster::{Cluster, Layout, on_both_layouts};
use crate::process::run_tool;

on_both_layouts!(
    redis_benchmark_runs_its_whole_suite_on_every_node,
    redis_benchmark_runs_on_many_keys,
    redis_cli_reads_what_it_wrote_elsewhere,
    redis_py_works,
);

/// Runs redis-benchmark and checks that it saw no error.
fn benchmark(port: u16, options: &str) -> String {
    let (success, printed) = run_tool("redis-benchmark", &format!("-p {port} -q {options}"));
    let lower = printed.to_lowercase();
    let complained = ["error", "warning", "unexpected"].iter().any(|word| lower.contains(word));
    assert!(success && !complained, "at {port}: {printed}");
    printed
}

fn redis_benchmark_runs_its_whole_suite_on_every_node(layout: Layout) {
    let mut cluster = Cluster::start(layout);
    for node in &cluster.nodes {
        for options in ["-n 4000", "-n 40000 -P 64"] {
            let printed = benchmark(node.port, options);
            for test in ["PING_MBULK", "SET", "INCR", "ZPOPMIN", "LRANGE_600", "MSET"] {
                assert!(printed.contains(test), "{test} did not run: {printed}");
            }
        }
    }
    cluster.check_alive();
}

fn redis_benchmark_runs_on_many_keys(layout: Layout) {
    let mut cluster = Cluster::start(layout);
    for node in &cluster.nodes {
        benchmark(node.port, "-n 60000 -P 16 -r 1000000 -d 100 -t set,get,incr,sadd,hset,zadd");
        benchmark(node.port, "-3 -n 20000 -P 16 -r 1000 -t set,get,lrange_100");
    }
    let sizes: Vec<String> =
        cluster.nodes.iter().map(|node| node.client().call("DBSIZE").text()).collect();
    assert!(sizes.iter().all(|size| *size == sizes[0]), "{sizes:?}");
    cluster.check_alive();
}

fn redis_cli_reads_what_it_wrote_elsewhere(layout: Layout) {
    let cluster = Cluster::start(layout);
    let [first, second, third] = [0, 1, 2].map(|position: usize| cluster.nodes[position].port);
    let cli = |port: u16, command: &str| run_tool("redis-cli", &format!("-p {port} {command}"));
    assert_eq!(cli(second, "set k v"), (true, "OK\n".into()));
    assert_eq!(cli(third, "get k"), (true, "v\n".into()));
    assert_eq!(cli(first, "-3 hset h f 1"), (true, "1\n".into()));
    assert_eq!(cli(second, "-3 --json hgetall h"), (true, "{\"f\":\"1\"}\n".into()));
    assert_eq!(cli(third, "-n 5 dbsize"), (true, "0\n".into()));
    let (success, scanned) = cli(first, "--scan");
    assert!(success);
    let mut keys: Vec<&str> = scanned.lines().collect();
    keys.sort_unstable();
    assert_eq!(keys, ["h", "k"]);
}

fn redis_py_works(layout: Layout) {
    let mut cluster = Cluster::start(layout);
    let installed = concat!(env!("CARGO_MANIFEST_DIR"), "/target/python/bin/python3");
    let python = std::env::var("MAYFLY_PYTHON").unwrap_or_else(|_| installed.to_owned());
    assert!(Path::new(&python).exists(), "{python} is missing: `tests/run install` installs it");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/redis_py.py");
    let ports: Vec<String> = cluster.nodes.iter().map(|node| node.port.to_string()).collect();
    let (success, printed) = run_tool(&python, &format!("{script} {}", ports.join(" ")));
    assert!(success, "{printed}");
    assert!(printed.trim_end().ends_with("redis-py: all passed"), "{printed}");
    cluster.check_alive();
}
