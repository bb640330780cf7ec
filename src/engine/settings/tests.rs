use super::*;
use crate::engine::testing::{check, check_all, engine};

fn set(name: &str, value: &str) -> Result<String, String> {
    let mut settings = Settings::default();
    settings.set_all([(name, value)].into_iter()).map_err(|error| error.to_string())?;
    Ok(settings.value(SettingId::find(name).unwrap()).to_string())
}

#[test]
fn values_are_read_and_written_as_redis_does() {
    for (name, value, told) in [
        ("maxmemory", "100mb", "104857600"),
        ("MAXMEMORY", "0", "0"),
        ("maxmemory-policy", "ALLKEYS-LRU", "allkeys-lru"),
        ("default-ttl", "5s", "5000"),
        ("notify-keyspace-events", "KEA", "AKE"),
        ("notify-keyspace-events", "KExem", "xeKEm"),
        ("notify-keyspace-events", "g$lshzxetdKE", "AKE"),
        ("notify-keyspace-events", "AKEn", "AnKE"),
        ("notify-keyspace-events", "gxnE", "gxnE"),
        ("notify-keyspace-events", "", ""),
        ("hash-max-listpack-value", "1kb", "1024"),
        ("Hash-Max-Ziplist-Value", "0", "0"),
        ("list-max-ziplist-size", "-5", "-5"),
        ("zset-max-ziplist-entries", "9223372036854775807", "9223372036854775807"),
    ] {
        assert_eq!(set(name, value).as_deref(), Ok(told), "{name} {value}");
        assert_eq!(set(name, told).as_deref(), Ok(told), "{name} {told}");
    }
}

#[test]
fn changes_are_refused_in_the_words_of_redis() {
    let failed = |name: &str, why: &str| {
        Err(format!("CONFIG SET failed (possibly related to argument '{name}') - {why}"))
    };
    let int = "argument couldn't be parsed into an integer";
    let policies = "argument(s) must be one of the following: volatile-lru, volatile-lfu, \
                    volatile-random, volatile-ttl, allkeys-lru, allkeys-lfu, allkeys-random, \
                    noeviction";
    let events = "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.";
    for (name, value, why) in [
        ("maxmemory", "-1", "argument must be a memory value"),
        ("maxmemory", "1%", "argument must be a memory value"),
        ("maxmemory-policy", "foo", policies),
        ("maxmemory-samples", "0", "argument must be between 1 and 64 inclusive"),
        ("lfu-log-factor", "-1", "argument must be between 0 and 2147483647 inclusive"),
        ("lfu-decay-time", "x", int),
        ("notify-keyspace-events", "KEQ", events),
        ("hash-max-ziplist-value", "-1", "argument must be a memory value"),
        ("set-max-intset-entries", "1kb", int),
    ] {
        assert_eq!(set(name, value), failed(name, why), "{name} {value}");
    }
    let unknown = "Unknown option or number of arguments for CONFIG SET - 'timeout'";
    assert_eq!(set("timeout", "1"), Err(unknown.to_owned()), "the node's own");
}

#[test]
fn every_policy_has_its_name() {
    for name in Policy::NAMES {
        let mut settings = Settings::default();
        settings.set_all([("maxmemory-policy", *name)].into_iter()).unwrap();
        let policy = settings.policy();
        assert_eq!(policy.is_volatile(), name.starts_with("volatile"), "{name}");
        assert_eq!(policy.is_lfu(), name.ends_with("lfu"), "{name}");
    }
}

#[test]
fn all_changes_of_a_command_are_made_or_none() {
    let mut engine = engine();
    let before = engine.digest();
    check_all(
        &mut engine,
        &[
            (
                "RAFT.SETTING SET maxmemory 5mb maxmemory-samples x",
                "-ERR CONFIG SET failed (possibly related to argument 'maxmemory-samples') - \
                 argument couldn't be parsed into an integer\r\n",
            ),
            (
                "RAFT.SETTING SET maxmemory 5mb MAXMEMORY 6mb",
                "-ERR CONFIG SET failed (possibly related to argument 'MAXMEMORY') - duplicate \
                 parameter\r\n",
            ),
            ("RAFT.SETTING SET maxmemory", "-ERR syntax error\r\n"),
            ("RAFT.SETTING NOPE", "-ERR syntax error\r\n"),
        ],
    );
    assert_eq!(engine.digest(), before);
    assert!(engine.take_settings_change().is_none());
    check(&mut engine, "RAFT.SETTING SET maxmemory 5mb maxmemory-samples 7", "+OK\r\n");
    assert_ne!(engine.digest(), before, "settings are a part of the state");
    let settings = engine.take_settings_change().unwrap();
    let numbers = [SettingId::Maxmemory, SettingId::MaxmemorySamples].map(|id| settings.get(id));
    assert_eq!(numbers, [5 << 20, 7]);
}

#[test]
fn a_leader_brings_its_settings_to_a_new_cluster_only() {
    let mut engine = engine();
    check(&mut engine, "RAFT.SETTING FOUND maxmemory 5mb", "+OK\r\n");
    assert_eq!(engine.settings().get(SettingId::Maxmemory), 5 << 20);
    check(&mut engine, "RAFT.SETTING FOUND maxmemory 6mb", "+OK\r\n");
    assert_eq!(engine.settings().get(SettingId::Maxmemory), 5 << 20);
    check(&mut engine, "RAFT.SETTING SET maxmemory 6mb", "+OK\r\n");
    assert_eq!(engine.settings().get(SettingId::Maxmemory), 6 << 20);
    let mut other = super::super::testing::engine();
    check(&mut other, "RAFT.SETTING SET maxmemory 1mb", "+OK\r\n");
    check(&mut other, "RAFT.SETTING FOUND maxmemory 6mb", "+OK\r\n");
    assert_eq!(other.settings().get(SettingId::Maxmemory), 1 << 20, "a client was first");
}
