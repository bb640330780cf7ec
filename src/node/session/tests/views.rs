//! What needs reports of other roles: INFO, CLUSTER, ROLE, WAIT and RAFT.INFO.

use super::*;
use crate::engine::CommandStats;
use crate::node::report::{DatabaseReport, LostQuorum, LostSlot};

const ID2: &str = "b0000000000000000000000000000000b0000000";
const ID3: &str = "c0000000000000000000000000000000c0000000";
const ID4: &str = "0000000000000000000000000000000400000000";

fn engine() -> EngineReport {
    let slot = usize::from(lookup(b"get").unwrap().0);
    let mut commands = vec![CommandStats::default(); slot + 1];
    commands[slot] = CommandStats { calls: 9, failed: 1, rejected: 0, nanos: 18_500 };
    EngineReport {
        applied_index: Index(89),
        databases: vec![DatabaseReport {
            number: 3,
            keys: 12,
            volatile: 4,
            mean_ttl_ms: 77,
            expiring_hashes: 2,
        }],
        total_commands: 1000,
        total_errors: 2,
        commands,
        errors: vec![("WRONGTYPE".to_owned(), 2)],
        ..EngineReport::default()
    }
}

/// The names of the fields of one section of a reply, in order.
fn names(text: &str) -> String {
    let fields = text.split('|').skip(1).filter_map(|line| line.split_once(':'));
    fields.map(|(name, _)| name).collect::<Vec<_>>().join(" ")
}

pub(super) fn field(text: &str, name: &str) -> String {
    let prefix = format!("{name}:");
    let line = text.split('|').find_map(|line| line.strip_prefix(&prefix));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
}

#[test]
fn every_section_has_its_fields_in_order() {
    let cases = [
        (
            "server",
            "redis_version redis_git_sha1 redis_git_dirty server_name mayfly_version redis_mode \
             os arch_bits monotonic_clock multiplexing_api process_id process_supervised run_id \
             tcp_port server_time_usec uptime_in_seconds uptime_in_days hz configured_hz \
             lru_clock executable config_file io_threads_active slot_name layout \
             system_check_failed system_check_findings",
        ),
        (
            "clients",
            "connected_clients maxclients client_recent_max_input_buffer \
             client_recent_max_output_buffer blocked_clients tracking_clients pubsub_clients \
             watching_clients total_watched_keys total_blocking_keys",
        ),
        (
            "memory",
            "used_memory used_memory_human used_memory_rss used_memory_rss_human \
             used_memory_peak used_memory_peak_human used_memory_peak_perc mem_clients_normal \
             mem_clients_slaves used_memory_overhead used_memory_dataset \
             used_memory_dataset_perc mem_logical total_system_memory total_system_memory_human \
             used_memory_lua used_memory_lua_human used_memory_vm_eval used_memory_scripts_eval \
             number_of_cached_scripts used_memory_vm_functions used_memory_vm_total \
             used_memory_vm_total_human used_memory_functions number_of_libraries \
             number_of_functions used_memory_scripts used_memory_scripts_human maxmemory \
             maxmemory_human maxmemory_policy mem_fragmentation_ratio mem_fragmentation_bytes \
             mem_not_counted_for_evict mem_replication_backlog mem_total_replication_buffers \
             mem_aof_buffer mem_allocator active_defrag_running lazyfree_pending_objects",
        ),
        (
            "persistence",
            "loading async_loading current_cow_peak current_cow_size current_cow_size_age \
             current_fork_perc current_save_keys_processed current_save_keys_total \
             rdb_changes_since_last_save rdb_bgsave_in_progress rdb_last_save_time \
             rdb_last_bgsave_status rdb_last_bgsave_time_sec rdb_current_bgsave_time_sec \
             rdb_saves rdb_last_cow_size rdb_last_load_keys_expired rdb_last_load_keys_loaded \
             aof_enabled aof_rewrite_in_progress aof_rewrite_scheduled \
             aof_last_rewrite_time_sec aof_current_rewrite_time_sec aof_last_bgrewrite_status \
             aof_last_write_status aof_last_cow_size aof_rewrites \
             aof_rewrites_consecutive_failures module_fork_in_progress \
             module_fork_last_cow_size",
        ),
        (
            "stats",
            "total_connections_received total_commands_processed instantaneous_ops_per_sec \
             total_net_input_bytes total_net_output_bytes instantaneous_input_kbps \
             instantaneous_output_kbps rejected_connections sync_full expired_subkeys \
             expired_keys evicted_keys evicted_clients keyspace_hits keyspace_misses \
             pubsub_channels pubsub_patterns pubsubshard_channels acl_access_denied_auth \
             acl_access_denied_cmd acl_access_denied_key acl_access_denied_channel \
             latest_fork_usec total_forks migrate_cached_sockets slave_expires_tracked_keys \
             active_defrag_hits active_defrag_misses active_defrag_key_hits \
             active_defrag_key_misses total_active_defrag_time current_active_defrag_time \
             unexpected_error_replies tracking_total_keys tracking_total_items \
             tracking_total_prefixes io_threaded_reads_processed io_threaded_writes_processed \
             total_error_replies client_query_buffer_limit_disconnections \
             client_output_buffer_limit_disconnections total_commands_applied",
        ),
        (
            "replication",
            "role connected_slaves slave0 slave1 slave2 master_failover_state master_replid \
             master_repl_offset master_replid2 second_repl_offset repl_backlog_active \
             repl_backlog_size repl_backlog_histlen",
        ),
        (
            "cpu",
            "used_cpu_sys used_cpu_user used_cpu_sys_children used_cpu_user_children \
             used_cpu_sys_main_thread used_cpu_user_main_thread",
        ),
        ("modules", ""),
        ("commandstats", "cmdstat_get"),
        ("errorstats", "errorstat_WRONGTYPE"),
        ("latencystats", ""),
        ("cluster", "cluster_enabled"),
        ("keyspace", "db3"),
        (
            "raft",
            "raft_version raft_dbid raft_node_id raft_state raft_role raft_is_voting \
             raft_voted_for raft_leader_id raft_current_term raft_num_nodes \
             raft_num_voting_nodes raft_node1 raft_node2 raft_node3 raft_leader_addr \
             raft_quorum_ok raft_is_joint raft_is_observer raft_join_refusal \
             raft_is_caught_up raft_voters_connected raft_is_ready \
             raft_log_entries raft_current_index \
             raft_commit_index raft_last_applied_index raft_cache_memory_size \
             raft_cache_entries raft_snapshot_last_idx raft_snapshot_last_term \
             raft_snapshots_created raft_snapshots_received raft_snapshot_in_progress \
             raft_transfer_target raft_pending_reads \
             raft_outstanding_batches raft_bad_frames raft_dropped_messages",
        ),
    ];
    for (section, expected) in cases {
        let text = Bench::new().report(&format!("INFO {section}"), &leader(), &engine());
        assert_eq!(names(&text), expected, "{section}");
        assert!(text.split('|').nth(1).unwrap().eq_ignore_ascii_case(&format!("# {section}")));
    }
}

#[test]
fn sections_come_in_order_whatever_the_order_they_are_asked_in() {
    let titles = |line: &str| {
        let text = Bench::new().report(line, &leader(), &engine());
        let titles = text.split('|').filter_map(|line| line.strip_prefix("# "));
        titles.collect::<Vec<_>>().join(" ")
    };
    let default = "Server Clients Memory Persistence Stats Replication CPU Modules Errorstats \
                   Cluster Keyspace Raft";
    let all = default
        .replace("Modules", "Modules Commandstats")
        .replace("Errorstats", "Errorstats Latencystats");
    let with_one = default.replace("Modules", "Modules Commandstats");
    assert_eq!(titles("INFO"), default);
    assert_eq!(titles("INFO default"), default);
    assert_eq!(titles("INFO ALL"), all);
    assert_eq!(titles("INFO everything foo"), all);
    assert_eq!(titles("INFO default commandstats"), with_one);
    assert_eq!(titles("INFO keyspace Server"), "Server Keyspace");
    assert_eq!(titles("INFO foo"), "");
}

/// The bytes around the fields are those of redis-server.
#[test]
fn sections_are_parted_by_an_empty_line() {
    let mut bench = Bench::new();
    let (raft, none) = (RaftReport::default(), EngineReport::default());
    let two = bench.report("INFO keyspace cluster", &raft, &none);
    assert_eq!(two, "$44|# Cluster|cluster_enabled:0||# Keyspace||");
    assert_eq!(bench.report("INFO foo", &raft, &none), "$0||");
    bench.session.protocol = Protocol::Resp3;
    let one = bench.report("INFO cluster", &raft, &none);
    assert_eq!(one, "=34|txt:# Cluster|cluster_enabled:0||");
}

#[test]
fn what_info_tells_is_what_the_roles_reported() {
    let mut bench = Bench::new();
    bench.now_ms = 10_000;
    bench.shared.clients.connected.store(3, std::sync::atomic::Ordering::Relaxed);
    let text = bench.report("INFO all", &leader(), &engine());
    let cases = [
        ("redis_version", "7.2.4"),
        ("run_id", RUN_ID),
        ("tcp_port", "5001"),
        ("layout", "one core"),
        ("connected_clients", "3"),
        ("maxclients", "10000"),
        ("maxmemory_policy", "noeviction"),
        ("loading", "0"),
        ("role", "master"),
        ("connected_slaves", "3"),
        ("slave0", "ip=10.0.0.2,port=5001,state=online,offset=90,lag=0"),
        ("slave1", "ip=10.0.0.3,port=5001,state=wait_bgsave,offset=40,lag=-1"),
        ("master_repl_offset", "90"),
        ("cmdstat_get", "calls=9,usec=18,usec_per_call=2.06,rejected_calls=0,failed_calls=1"),
        ("errorstat_WRONGTYPE", "count=2"),
        ("db3", "keys=12,expires=4,avg_ttl=77,subexpiry=2"),
        ("total_commands_applied", "1000"),
        ("raft_dbid", "c1000000000000000000000000000000"),
        ("raft_node_id", "1"),
        ("raft_state", "up"),
        ("raft_role", "leader"),
        ("raft_is_voting", "yes"),
        ("raft_voted_for", "1"),
        ("raft_leader_id", "1"),
        ("raft_current_term", "5"),
        ("raft_num_nodes", "4"),
        ("raft_num_voting_nodes", "3"),
        (
            "raft_node1",
            "id=2,state=connected,voting=yes,addr=10.0.0.2,port=15001,last_conn_secs=6,\
             conn_errors=1,conn_oks=2,progress=replicate,match_index=90,lag=10",
        ),
        (
            "raft_node3",
            "id=4,state=connected,voting=no,addr=10.0.0.4,port=15001,last_conn_secs=6,\
             conn_errors=1,conn_oks=2,progress=replicate,match_index=20,lag=80,slow_rounds=0",
        ),
        ("raft_leader_addr", "10.0.0.1:5001"),
        ("raft_quorum_ok", "yes"),
        ("raft_is_joint", "no"),
        ("raft_is_observer", "no"),
        ("raft_join_refusal", ""),
        ("raft_log_entries", "90"),
        ("raft_current_index", "100"),
        ("raft_commit_index", "90"),
        ("raft_last_applied_index", "89"),
        ("raft_cache_memory_size", "4096"),
        ("raft_pending_reads", "3"),
        ("raft_outstanding_batches", "2"),
        ("raft_transfer_target", "-1"),
    ];
    for (name, expected) in cases {
        assert_eq!(field(&text, name), expected, "{name}");
    }
    bench.shared.set_state(NodeState::Joining);
    let text = bench.report("INFO persistence", &leader(), &engine());
    assert_eq!(field(&text, "loading"), "1");
}

#[test]
fn an_observer_is_shown_as_what_it_is() {
    let mut report = leader();
    let status = report.status.as_mut().unwrap();
    let configuration = Arc::make_mut(&mut status.configuration);
    configuration.learners.push(MemberId(5));
    configuration.members.push(Member { observer: true, ..member(5, 5) });
    let mut bench = Bench::new();
    let text = bench.report("INFO raft", &report, &engine());
    let expected = "id=5,state=disconnected,voting=no,addr=10.0.0.5,port=15001,last_conn_secs=-1,\
                    conn_errors=0,conn_oks=0,observer=yes";
    assert_eq!(field(&text, "raft_node4"), expected);
    assert_eq!(field(&text, "raft_num_voting_nodes"), "3");
    assert_eq!(field(&text, "raft_num_nodes"), "5");
}

#[test]
fn a_process_that_is_not_admitted_says_why() {
    let mut bench = Bench::new();
    bench.shared.set_state(NodeState::Joining);
    bench.shared.set_join_refusal("SLOTALIVE member 3 of this slot is alive");
    let none = EngineReport::default();
    let text = bench.report("INFO raft", &RaftReport::default(), &none);
    assert_eq!(field(&text, "raft_state"), "joining");
    assert_eq!(field(&text, "raft_join_refusal"), "SLOTALIVE member 3 of this slot is alive");
}

#[test]
fn a_node_without_a_cluster_says_so() {
    let mut bench = Bench::new();
    bench.shared.set_state(NodeState::Uninitialized);
    let raft = RaftReport::default();
    let text = bench.report("INFO raft", &raft, &EngineReport::default());
    let cases = [
        ("raft_dbid", ""),
        ("raft_node_id", "0"),
        ("raft_state", "uninitialized"),
        ("raft_role", "(none)"),
        ("raft_is_voting", "-"),
        ("raft_voted_for", "-1"),
        ("raft_leader_id", "-1"),
        ("raft_num_nodes", "0"),
        ("raft_leader_addr", ""),
        ("raft_quorum_ok", "no"),
        ("raft_is_caught_up", "no"),
        ("raft_voters_connected", "no"),
        ("raft_is_ready", "no"),
        ("raft_log_entries", "0"),
    ];
    for (name, expected) in cases {
        assert_eq!(field(&text, name), expected, "{name}");
    }
    assert_eq!(bench.report("ROLE", &raft, &engine()), "*3|$6|master|:0|*0|");
    assert_eq!(bench.report("WAIT 1 0", &raft, &engine()), ":0|");
    assert_eq!(bench.report("CLUSTER SLOTS", &raft, &engine()), "*0|");
    let nodes = bench.report("CLUSTER NODES", &raft, &engine());
    let line = format!("{RUN_ID} 10.0.0.1:5001@15001 myself,master - 0 0 0 connected\n");
    assert_eq!(nodes, format!("${}|{line}|", line.len()));
    let info = bench.report("CLUSTER INFO", &raft, &engine());
    assert_eq!(field(&info, "cluster_state"), "fail");
    assert_eq!(field(&info, "cluster_slots_assigned"), "0");
    let shards = bench.report("CLUSTER SHARDS", &raft, &engine());
    assert!(shards.starts_with("*1|*4|$5|slots|*0|$5|nodes|*1|*14|$2|id|$40|"), "{shards}");
}

#[test]
fn a_survivor_of_a_lost_majority_shows_what_it_knows() {
    let mut bench = Bench::new();
    bench.shared.set_state(NodeState::QuorumLost);
    let slot = |slot: &str, known, asking, is_heard| LostSlot {
        slot: slot.to_owned(),
        known,
        asking,
        is_heard,
    };
    let lost = LostQuorum {
        last: LogId { term: Term(3), index: Index(17) },
        slots: vec![
            slot("one", Some((MemberId(1), BOOT)), None, true),
            slot("two", Some((MemberId(2), 2)), Some(255), false),
            slot("new", None, Some(10), false),
        ],
    };
    let raft = RaftReport { lost_quorum: Some(lost), ..follower() };
    let text = bench.report("INFO raft", &raft, &engine());
    let zeros = "0".repeat(30);
    for (name, expected) in [
        ("raft_state", "quorum_lost".to_owned()),
        ("raft_last_log_id", "3:17".to_owned()),
        ("raft_slot1", format!("slot=one,id=1,boot={BOOT:032x},heard=yes,asking_boot=-")),
        ("raft_slot2", format!("slot=two,id=2,boot={zeros}02,heard=no,asking_boot={zeros}ff")),
        ("raft_slot3", format!("slot=new,id=-,boot=-,heard=no,asking_boot={zeros}0a")),
    ] {
        assert_eq!(field(&text, name), expected, "{name}");
    }
}

#[test]
fn a_listed_node_shows_what_it_waits_for() {
    let mut bench = Bench::new();
    bench.shared.set_state(NodeState::Joining);
    let waiting = Some("no answer from 10.0.0.2:5001".to_owned());
    let text =
        bench.report("INFO raft", &RaftReport { waiting, ..RaftReport::default() }, &engine());
    assert_eq!(field(&text, "raft_waiting_for"), "no answer from 10.0.0.2:5001");
}

#[test]
fn a_quorum_is_a_majority_that_was_heard_of_lately() {
    let quorum = |raft: &RaftReport, now_ms| {
        let mut bench = Bench::new();
        bench.now_ms = now_ms;
        field(&bench.report("INFO raft", raft, &engine()), "raft_quorum_ok")
    };
    assert_eq!(quorum(&leader(), 10_300), "yes", "400 ms after the last word of member 2");
    assert_eq!(quorum(&leader(), 10_301), "no");
    assert_eq!(quorum(&follower(), 99_999), "yes", "a follower knows only that it has a leader");
    let mut orphan = follower();
    orphan.status.as_mut().unwrap().leader_id = None;
    assert_eq!(quorum(&orphan, 10_000), "no");
    let mut joint = leader();
    let status = joint.status.as_mut().unwrap();
    let configuration = Arc::make_mut(&mut status.configuration);
    configuration.voters_outgoing = vec![MemberId(3)];
    assert_eq!(quorum(&joint, 10_000), "no", "both halves must be there");
}

#[test]
fn a_node_is_ready_when_another_one_may_be_restarted() {
    let ready = |raft: &RaftReport, applied: u64| {
        let engine = EngineReport { applied_index: Index(applied), ..engine() };
        let text = Bench::new().report("INFO raft", raft, &engine);
        ["raft_is_caught_up", "raft_voters_connected", "raft_is_ready"].map(|it| field(&text, it))
    };
    assert_eq!(ready(&follower(), 90), ["yes", "yes", "yes"]);
    assert_eq!(ready(&follower(), 89), ["no", "yes", "no"]);
    assert_eq!(ready(&leader(), 90), ["yes", "no", "no"], "member 3 is not connected");
    let mut learner = follower();
    learner.status.as_mut().unwrap().id = MemberId(4);
    learner.links.push(link(2, "connected"));
    assert_eq!(ready(&learner, 90), ["yes", "yes", "no"]);
}

#[test]
fn the_old_raft_info_has_sections_and_no_prefix() {
    let mut bench = Bench::new();
    bench.now_ms = 10_000;
    let text = bench.report("RAFT.INFO", &leader(), &engine());
    let titles: Vec<_> = text.split('|').filter(|line| line.starts_with("# ")).collect();
    assert_eq!(titles, ["# RedisRaft", "# Raft", "# Log", "# Snapshot", "# Links"]);
    assert_eq!(field(&text, "role"), "leader");
    assert_eq!(field(&text, "commit_index"), "90");
    assert!(!text.contains("|raft_"));
}

#[test]
fn replicas_are_those_that_this_node_leads() {
    let mut bench = Bench::new();
    let row = |host: &str, offset: &str| format!("*3|$8|{host}|$4|5001|$2|{offset}|");
    let rows = [row("10.0.0.2", "90"), row("10.0.0.3", "40"), row("10.0.0.4", "20")];
    let expected = format!("*3|$6|master|:90|*3|{}", rows.concat());
    assert_eq!(bench.report("ROLE", &leader(), &engine()), expected);
    bench.session.protocol = Protocol::Resp3;
    assert_eq!(bench.report("ROLE", &leader(), &engine()), expected);
    assert_eq!(bench.report("ROLE", &follower(), &engine()), "*3|$6|master|:90|*0|");
}

#[test]
fn wait_counts_the_members_that_have_every_write() {
    let mut bench = Bench::new();
    assert_eq!(bench.report("WAIT 2 100", &leader(), &engine()), ":1|");
    assert_eq!(bench.report("WAIT -2 0", &follower(), &engine()), ":1|", "of three voters");
    bench.check(&[
        ("WAIT x 1", "-ERR value is not an integer or out of range|"),
        ("WAIT 1 x", "-ERR timeout is not an integer or out of range|"),
        ("WAIT 1 -1", "-ERR timeout is negative|"),
        ("WAIT 1", "-ERR wrong number of arguments for 'wait' command|"),
    ]);
}

#[test]
fn the_leader_is_master_of_all_slots() {
    let mut bench = Bench::new();
    let lines = [
        format!("{RUN_ID} 10.0.0.1:5001@15001 master - 0 0 5 connected 0-16383\n"),
        format!("{ID2} 10.0.0.2:5001@15001 myself,slave {RUN_ID} 0 0 5 connected\n"),
        format!("{ID3} 10.0.0.3:5001@15001 slave {RUN_ID} 0 0 5 connected\n"),
        format!("{ID4} 10.0.0.4:5001@15001 slave {RUN_ID} 0 0 5 connected\n"),
    ]
    .concat();
    let expected = format!("${}|{lines}|", lines.len());
    assert_eq!(bench.report("CLUSTER NODES", &follower(), &engine()), expected);
    let own = bench.report("CLUSTER NODES", &leader(), &engine());
    assert!(own.contains("10.0.0.1:5001@15001 myself,master - 0 0 5 connected 0-16383\n"));
    assert!(own.contains(&format!("slave,fail? {RUN_ID} 0 0 5 disconnected\n")));

    let row = |host: &str, id: &str| format!("*4|$8|{host}|:5001|$40|{id}|*0|");
    let rows =
        [row("10.0.0.1", RUN_ID), row("10.0.0.2", ID2), row("10.0.0.3", ID3), row("10.0.0.4", ID4)];
    let slots = bench.report("CLUSTER SLOTS", &follower(), &engine());
    assert_eq!(slots, format!("*1|*6|:0|:16383|{}", rows.concat()));
}

#[test]
fn without_a_leader_a_node_names_itself() {
    let mut bench = Bench::new();
    let mut raft = follower();
    raft.status.as_mut().unwrap().leader_id = None;
    let slots = bench.report("CLUSTER SLOTS", &raft, &engine());
    assert!(slots.starts_with("*1|*6|:0|:16383|*4|$8|10.0.0.2|"), "{slots}");
    let info = bench.report("CLUSTER INFO", &raft, &engine());
    assert_eq!(field(&info, "cluster_state"), "fail");
    assert_eq!(field(&info, "cluster_slots_fail"), "16384");
    let info = bench.report("CLUSTER INFO", &leader(), &engine());
    assert_eq!(
        names(&info),
        "cluster_state cluster_slots_assigned cluster_slots_ok cluster_slots_pfail \
         cluster_slots_fail cluster_known_nodes cluster_size cluster_current_epoch \
         cluster_my_epoch"
    );
    let values = ["cluster_state", "cluster_slots_ok", "cluster_known_nodes"];
    assert_eq!(values.map(|name| field(&info, name)), ["ok", "16384", "4"]);
}

#[test]
fn shards_tell_role_and_health() {
    let mut bench = Bench::new();
    bench.session.protocol = Protocol::Resp3;
    let node = |id: &str, host: &str, role: &str, offset: u64, health: &str| {
        format!(
            "%7|$2|id|$40|{id}|$4|port|:5001|$2|ip|$8|{host}|$8|endpoint|$8|{host}|$4|role|\
             ${}|{role}|$18|replication-offset|:{offset}|$6|health|${}|{health}|",
            role.len(),
            health.len()
        )
    };
    let nodes = [
        node(RUN_ID, "10.0.0.1", "master", 90, "online"),
        node(ID2, "10.0.0.2", "replica", 90, "online"),
        node(ID3, "10.0.0.3", "replica", 40, "fail"),
        node(ID4, "10.0.0.4", "replica", 20, "loading"),
    ];
    let expected = format!("*1|%2|$5|slots|*2|:0|:16383|$5|nodes|*4|{}", nodes.concat());
    assert_eq!(bench.report("CLUSTER SHARDS", &leader(), &engine()), expected);
}

#[test]
fn ids_and_replicas_can_be_asked_for() {
    let mut bench = Bench::new();
    let replicas = bench.report(&format!("CLUSTER REPLICAS {RUN_ID}"), &leader(), &engine());
    assert!(
        replicas.starts_with(&format!("*3|$123|{ID2} 10.0.0.2:5001@15001 slave ")),
        "{replicas}"
    );
    let slaves = bench.report(&format!("CLUSTER SLAVES {RUN_ID}"), &leader(), &engine());
    assert_eq!(slaves, replicas);
    let unknown = bench.report("CLUSTER REPLICAS x", &leader(), &engine());
    assert_eq!(unknown, "-ERR Unknown node x|");
    let replica = bench.report(&format!("CLUSTER REPLICAS {ID2}"), &leader(), &engine());
    assert_eq!(replica, "-ERR The specified node is not a master|");
    let shard = bench.report("CLUSTER MYSHARDID", &leader(), &engine());
    assert_eq!(shard, "$40|c1000000000000000000000000000000c1000000|");
    bench.check(&[
        ("CLUSTER MYID", &format!("$40|{RUN_ID}|")),
        ("CLUSTER INFO x", "-ERR wrong number of arguments for 'cluster|info' command|"),
        ("CLUSTER foo", "-ERR unknown subcommand 'foo'. Try CLUSTER HELP.|"),
    ]);
}

/// Numbers of redis-server, but for the first: the specification's check value of CRC-16/XMODEM is
/// 0x31c3.
#[test]
fn slots_are_those_of_redis() {
    Bench::new().check(&[
        ("CLUSTER KEYSLOT 123456789", &format!(":{}|", 0x31c3)),
        ("CLUSTER KEYSLOT a", ":15495|"),
        ("CLUSTER KEYSLOT {a}b", ":15495|"),
        ("CLUSTER KEYSLOT x{a}{b}", ":15495|"),
        ("CLUSTER KEYSLOT {}b", ":6680|"),
        ("CLUSTER KEYSLOT ", ":0|"),
    ]);
}
