//! The commands that concern the server or the connection: mostly questions of client libraries.

use crate::{
    call::{Call, NO_INTEGER},
    resp::{MAX_BULK, integer},
    store::matches,
};

const VERSION: &str = "7.0.15";

pub fn ping(call: &mut Call<'_>) {
    match call.args {
        [_] if !call.session.channels.is_empty() => call.reply.raw(&[b"*2\r\n$4\r\npong\r\n$0\r\n\r\n"]),
        [_] => call.reply.simple("PONG"),
        [_, text] => {
            if !call.session.channels.is_empty() {
                call.reply.raw(&[b"*2\r\n$4\r\npong\r\n"]);
            }
            call.reply.bulk(text);
        }
        _ => call.wrong_number("ping"),
    }
}

pub fn info(call: &mut Call<'_>) {
    let (keys, expires) = (call.store.len(), call.store.expiring());
    let mut keyspace = "# Keyspace\r\n".to_owned();
    if keys > 0 {
        keyspace += &format!("db0:keys={keys},expires={expires},avg_ttl=0\r\n");
    }
    let sections = [
        ("server", format!("# Server\r\nredis_version:{VERSION}\r\nredis_mode:standalone\r\n")),
        ("clients", format!("# Clients\r\nconnected_clients:{}\r\n", call.clients)),
        ("memory", format!("# Memory\r\nused_memory:{}\r\n", call.store.used)),
        ("keyspace", keyspace),
    ];
    let all =
        call.args.len() == 1 || ["all", "default", "everything"].iter().any(|word| call.is_word(1, word));
    let is_asked = |name: &str| all || (1..call.args.len()).any(|at| call.is_word(at, name));
    let text: Vec<_> =
        sections.iter().filter(|section| is_asked(section.0)).map(|section| &*section.1).collect();
    call.reply.bulk(text.join("\r\n").as_bytes())
}

pub fn config(call: &mut Call<'_>) {
    if !call.is_word(1, "get") {
        return call.unknown_subcommand("CONFIG");
    }
    if call.args.len() == 2 {
        return call.wrong_number("config|get");
    }
    let bulk = MAX_BULK.to_string();
    let settings =
        [("save", ""), ("appendonly", "no"), ("databases", "1"), ("proto-max-bulk-len", bulk.as_str())];
    let is_asked =
        |name: &str| call.args[2..].iter().any(|word| matches(&word.to_ascii_lowercase(), name.as_bytes()));
    let found: Vec<_> = settings.iter().filter(|setting| is_asked(setting.0)).collect();
    call.reply.array(2 * found.len());
    for (name, value) in found {
        call.reply.bulk(name.as_bytes());
        call.reply.bulk(value.as_bytes());
    }
}

pub fn client(call: &mut Call<'_>) {
    let word = call.args[1].to_ascii_lowercase();
    match (word.as_slice(), call.args.len()) {
        (b"setname", 3) => set_name(call, 2),
        (b"setname", _) => call.wrong_number("client|setname"),
        (b"setinfo", 4) => call.reply.simple("OK"), // redis-server knows this command from 7.2 on
        (b"setinfo", _) => call.wrong_number("client|setinfo"),
        (b"getname", 2) if call.session.name.is_empty() => call.reply.null(),
        (b"getname", 2) => call.reply.bulk(&call.session.name),
        (b"getname", _) => call.wrong_number("client|getname"),
        (b"id", 2) => call.reply.integer(call.session.number),
        (b"id", _) => call.wrong_number("client|id"),
        _ => call.unknown_subcommand("CLIENT"),
    }
}

fn set_name(call: &mut Call<'_>, at: usize) {
    if !call.args[at].iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        return call.error(b"Client names cannot contain spaces, newlines or special characters.");
    }
    call.session.name = call.args[at].to_vec();
    call.reply.simple("OK")
}

pub fn select(call: &mut Call<'_>) {
    match integer(&call.args[1]) {
        Some(0) => call.reply.simple("OK"),
        Some(number) if i32::try_from(number).is_ok() => call.error(b"DB index is out of range"),
        Some(_) => call.error(b"value is out of range, value must between -2147483648 and 2147483647"),
        None => call.error(NO_INTEGER),
    }
}

/// A client that asks for version 3 of the protocol goes on with version 2 after the error.
pub fn hello(call: &mut Call<'_>) {
    if let Some(version) = call.args.get(1) {
        match integer(version) {
            None => return call.error(b"Protocol version is not an integer or out of range"),
            Some(2) => {}
            Some(_) => {
                call.reply.raw(&[b"-NOPROTO unsupported protocol version\r\n"]);
                return;
            }
        }
        if let Some(option) = call.args.get(2) {
            let text = [b"Syntax error in HELLO option '", &**option, b"'"].concat();
            return call.error(&text);
        }
    }
    call.reply.array(14);
    for (name, text) in [("server", "redis"), ("version", VERSION)] {
        call.reply.bulk(name.as_bytes());
        call.reply.bulk(text.as_bytes());
    }
    for (name, number) in [("proto", 2), ("id", call.session.number)] {
        call.reply.bulk(name.as_bytes());
        call.reply.integer(number);
    }
    for text in ["mode", "standalone", "role", "master", "modules"] {
        call.reply.bulk(text.as_bytes());
    }
    call.reply.array(0)
}
