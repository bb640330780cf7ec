//! REPLICAOF and SLAVEOF: the whole cluster follows another server, or ceases to. And what INFO
//! tells of that.

use std::sync::atomic::Ordering::Relaxed;

use super::info::Fields;
use super::{Arguments, NodeView, Outcome, is_word};
use crate::engine::error::CommandError;
use crate::engine::import::{Phase, Source};
use crate::engine::number::parse_integer;

/// Through the log, so that all nodes know.
pub fn replica_of(
    arguments: Arguments<'_, '_>,
    view: &NodeView<'_>,
) -> Result<Outcome, CommandError> {
    let [host, port] = arguments else { return Err(CommandError::Syntax) };
    if let Some(refusal) = view.shared.state().refusal() {
        return Err(CommandError::text(refusal));
    }
    let words = |words: &[&[u8]]| {
        let command = std::iter::once(&b"raft.import"[..]).chain(words.iter().copied());
        Ok(Outcome::ThroughLog(command.map(<[u8]>::to_vec).collect()))
    };
    if is_word(host, "NO") && is_word(port, "ONE") {
        return words(&[b"STOP"]);
    }
    let number = parse_integer(port).filter(|port| (0..=65535).contains(port));
    let number = number.ok_or(CommandError::text("ERR Invalid master port"))?;
    let address = match host.contains(&b':') {
        true => format!("[{}]:{number}", String::from_utf8_lossy(host)),
        false => format!("{}:{number}", String::from_utf8_lossy(host)),
    };
    if address == view.shared.client_address || view.shared.importing.is_member(&address) {
        return Err(CommandError::text(
            "ERR that is a node of this cluster: REPLICAOF names a server to import from, and \
             members join by RAFT.CLUSTER JOIN",
        ));
    }
    let [user, password] = ["masteruser", "masterauth"].map(|name| view.settings.get(name));
    let number = number.to_string();
    words(&[b"FOLLOW", host, number.as_bytes(), user.as_bytes(), password.as_bytes()])
}

/// What CONFIG GET tells as `replicaof`.
pub fn followed(view: &NodeView<'_>) -> String {
    let import = view.shared.importing.state();
    import.source().map_or(String::new(), |Source { host, port, .. }| {
        format!("{} {port}", String::from_utf8_lossy(host))
    })
}

/// What INFO tells of the source, in Redis's words where it has them: who waits for the end of an
/// import looks for `master_link_status:up`, and compares `slave_repl_offset` with what the source
/// tells. The role stays that of a master, on all nodes: clients that look for one find it here.
pub fn fields(view: &NodeView<'_>) -> Fields {
    let import = view.shared.importing.state();
    let Some(source) = import.source() else { return Fields::new() };
    let (reached, progress) = (import.reached(), import.progress());
    let transfer = &view.shared.importing.transfer;
    let leads = view.shared.leads.load(Relaxed);
    // Who leads has the connection.
    let idle = transfer.idle_seconds(view.shared.started).filter(|_| leads && progress.is_linked);
    let is_loading = progress.is_linked && reached.phase == Phase::Loading;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(['\r', '\n'], " ");
    let is_up = progress.is_linked && reached.phase == Phase::Following;
    let mut all = vec![
        ("master_host", text(&source.host)),
        ("master_port", source.port.to_string()),
        ("master_link_status", if is_up { "up" } else { "down" }.to_owned()),
        ("master_last_io_seconds_ago", idle.map_or("-1".to_owned(), |idle| idle.to_string())),
        ("master_sync_in_progress", u8::from(is_loading).to_string()),
        ("slave_read_repl_offset", reached.offset.to_string()),
        ("slave_repl_offset", reached.offset.to_string()),
    ];
    if is_loading && leads {
        let (read, total) = (transfer.read_bytes.load(Relaxed), transfer.total_bytes.load(Relaxed));
        all.push(("master_sync_total_bytes", total.to_string()));
        all.push(("master_sync_read_bytes", read.to_string()));
    }
    if !is_up {
        let since = view.unix_ms.saturating_sub(progress.link_changed_ms) / 1000;
        all.push(("master_link_down_since_seconds", since.to_string()));
    }
    all.extend([
        ("slave_read_only", u8::from(view.shared.importing.refuses_writes()).to_string()),
        ("import_state", import.state().to_owned()),
        ("import_replid", text(&reached.replid)),
        ("import_commands", progress.commands.to_string()),
        ("import_errors", progress.errors.to_string()),
        ("import_last_error", text(&progress.last_error)),
        ("import_failure", text(&progress.failure)),
    ]);
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
