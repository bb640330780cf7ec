//! COMMAND DOCS: what commands are for, and what they take. Texts are this server's own. The
//! history of a command, which Redis tells in sentences of its documentation, is left out.

use super::Arguments;
use super::command::{Found, find};
use crate::engine::command::{Argument, arguments_of, is_of_system, superseded, table};
use crate::engine::reply::Reply;

/// Names that nobody knows are left out.
pub fn docs(arguments: Arguments<'_, '_>, reply: &mut Reply) {
    let found: Vec<Found> = if arguments.is_empty() {
        table::all().map(|spec| Found { spec, container: None }).collect()
    } else {
        arguments.iter().filter_map(|name| find(name)).collect()
    };
    reply.map(found.len());
    for found in &found {
        docs_of(found, reply);
    }
}

fn docs_of(found: &Found, reply: &mut Reply) {
    let spec = found.spec;
    let name = found.full_name();
    reply.bulk(name.as_bytes());
    let write = |(name, text): (&str, &str), reply: &mut Reply| {
        reply.bulk(name.as_bytes());
        reply.bulk(text.as_bytes());
    };
    let fields = [
        ("summary", spec.docs.summary),
        ("since", spec.docs.since),
        ("group", spec.docs.group),
        ("complexity", spec.docs.complexity),
    ];
    let known = || fields.into_iter().filter(|(_, text)| !text.is_empty());
    let superseded = superseded(&name);
    let flag = match superseded {
        Some(_) => Some("deprecated"),
        None => is_of_system(&name).then_some("syscmd"),
    };
    let arguments = arguments_of(&name);
    let more = [flag.is_some(), !arguments.is_empty(), !spec.shown_subcommands().is_empty()];
    let count = known().count() + more.iter().filter(|is_told| **is_told).count();
    reply.map(count + 2 * usize::from(superseded.is_some()));
    known().for_each(|field| write(field, reply));
    if let Some(flag) = flag {
        reply.bulk(b"doc_flags");
        reply.set(1);
        reply.simple(flag);
    }
    if let Some(superseded) = superseded {
        write(("deprecated_since", superseded.since), reply);
        write(("replaced_by", superseded.replaced_by), reply);
    }
    if !arguments.is_empty() {
        write_arguments(arguments, reply);
    }
    if !spec.shown_subcommands().is_empty() {
        reply.bulk(b"subcommands");
        reply.map(spec.shown_subcommands().len());
        for subcommand in spec.shown_subcommands() {
            docs_of(&Found { spec: subcommand, container: Some(spec) }, reply);
        }
    }
}

fn write_arguments(arguments: &[Argument], reply: &mut Reply) {
    reply.bulk(b"arguments");
    reply.array(arguments.len());
    for argument in arguments {
        write_argument(argument, reply);
    }
}

fn write_argument(argument: &Argument, reply: &mut Reply) {
    // What has parts is shown by them.
    let display_text = argument.parts.is_empty().then_some(argument.name);
    let texts = [
        ("name", Some(argument.name)),
        ("type", Some(argument.kind)),
        ("display_text", display_text),
        ("token", argument.token),
        ("since", argument.since),
        ("deprecated_since", argument.deprecated_since),
    ];
    let flags = [
        (argument.is_optional, "optional"),
        (argument.is_multiple, "multiple"),
        (argument.repeats_token, "multiple_token"),
    ];
    let flags: Vec<&str> = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, it)| *it).collect();
    let deferred = reply.defer();
    let mut fields = 0;
    for (name, text) in texts {
        if let Some(text) = text {
            reply.bulk(name.as_bytes());
            reply.bulk(text.as_bytes());
            fields += 1;
        }
        if let ("display_text", Some(key_spec)) = (name, argument.key_spec) {
            reply.bulk(b"key_spec_index");
            reply.integer(key_spec);
            fields += 1;
        }
    }
    if !flags.is_empty() {
        reply.bulk(b"flags");
        reply.set(flags.len());
        flags.iter().for_each(|flag| reply.simple(flag));
        fields += 1;
    }
    if !argument.parts.is_empty() {
        write_arguments(&argument.parts, reply);
        fields += 1;
    }
    reply.fill_map(deferred, fields);
}
