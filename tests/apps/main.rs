//! Clients and applications as their users install them, on a cluster that loses its leader.
//!
//! Each scenario is a program in the client's own language: it is given the ports of three nodes,
//! the leader's first, does a bounded amount of work, and asks for the death of the leader when a
//! part of it is done. The leader is killed outright, and started again as a new member at its old
//! address. Some ask for a rolling restart instead. The program ends well only if all the work was
//! done.
//!
//! `tests/run install` installs the clients into `target/python` and `target/node`, with the
//! versions of `requirements.txt` and `package-lock.json`, and what is written in PHP and Ruby as
//! packages of Debian. `MAYFLY_BIN=redis-server` runs all on one redis-server instead, which nobody
//! kills.

// A test fails by panicking; clippy knows only of test functions, not of what they call.
#![allow(clippy::unwrap_used)]

#[path = "../cluster/client.rs"]
#[allow(dead_code, reason = "the suite of clusters uses the rest")]
mod client;
#[path = "../cluster/cluster.rs"]
#[allow(dead_code, unused_imports, unused_macros, reason = "the suite of clusters uses the rest")]
mod cluster;
#[path = "../cluster/process.rs"]
#[allow(dead_code, reason = "the suite of clusters uses the rest")]
mod process;
mod redis_rs;
mod redis_rs_discovery;
mod scenario;
#[path = "../cluster/wait.rs"]
#[allow(dead_code, reason = "the suite of clusters uses the rest")]
mod wait;

use cluster::Layout;
use scenario::{node, php, python, ruby};

#[test]
fn redis_py_takes_its_tour() {
    python("redis_py.py", Layout::Folded);
}

#[test]
fn redis_py_locks_exclude_each_other() {
    python("redis_py_lock.py", Layout::Split);
}

#[test]
fn node_redis_takes_its_tour() {
    node("node_redis.mjs", Layout::Folded);
}

#[test]
fn ioredis_takes_its_tour() {
    node("ioredis.mjs", Layout::Split);
}

#[test]
fn redis_rs_takes_its_tour() {
    redis_rs::tour(Layout::Folded);
}

/// One redis-server has neither.
#[test]
fn redis_rs_finds_nodes_by_itself() {
    if !process::is_stand_in() {
        redis_rs_discovery::tour(Layout::Split);
    }
}

#[test]
fn rq_does_every_job() {
    python("rq_jobs.py", Layout::Folded);
}

#[test]
fn celery_does_every_task() {
    python("celery_tasks.py", Layout::Split);
}

#[test]
fn dramatiq_does_every_job() {
    python("dramatiq_jobs.py", Layout::Split);
}

#[test]
fn huey_does_every_task() {
    python("huey_jobs.py", Layout::Folded);
}

#[test]
fn django_caches_and_keeps_sessions() {
    python("django_site.py", Layout::Split);
}

#[test]
fn express_keeps_sessions_and_limits() {
    node("express.mjs", Layout::Folded);
}

#[test]
fn socket_io_reaches_clients_of_all_servers() {
    node("socket_io.mjs", Layout::Split);
}

#[test]
fn bullmq_does_every_job() {
    node("bullmq.mjs", Layout::Folded);
}

#[test]
fn a_lock_in_lua_excludes_and_wakes() {
    node("lua_lock.mjs", Layout::Split);
}

#[test]
fn sidekiq_does_every_job() {
    ruby("sidekiq.rb", Layout::Folded);
}

#[test]
fn phpredis_takes_its_tour() {
    php("phpredis.php", Layout::Folded);
}

/// One redis-server has no Sentinel.
#[test]
fn clients_of_sentinel_follow_the_leader() {
    if !process::is_stand_in() {
        node("sentinel.mjs", Layout::Folded);
    }
}

#[test]
fn requests_outlast_a_rolling_restart() {
    python("rolling.py", Layout::Folded);
}

#[test]
fn requests_in_javascript_outlast_a_rolling_restart() {
    node("rolling.mjs", Layout::Split);
}

#[test]
fn laravel_caches_locks_and_queues() {
    php("laravel.php", Layout::Split);
}
