//! The table of the commands, whose replies are those of redis-server 7.0.

use crate::{
    call::{Call, Then},
    keys, server,
};

struct Command {
    name: &'static str,
    /// The number of words, with the name; a negative number is a least number.
    arity: i32,
    /// The command may need memory.
    grows: bool,
    run: fn(&mut Call<'_>),
}

/// The most frequent commands stand first.
static COMMANDS: &[Command] = &[
    command("get", 2, false, keys::get),
    command("set", -3, true, keys::set),
    command("incr", 2, true, |call| keys::add(call, 1)),
    command("mget", -2, false, keys::mget),
    command("mset", -3, true, keys::mset),
    command("del", -2, false, |call| keys::count(call, |store, key| store.remove(key))),
    command("exists", -2, false, |call| keys::count(call, |store, key| store.get(key).is_some())),
    command("publish", 3, false, |call| call.then = Then::Publish),
    command("ping", -1, false, server::ping),
    command("echo", 2, false, |call| call.reply.bulk(&call.args[1])),
    command("decr", 2, true, |call| keys::add(call, -1)),
    command("incrby", 3, true, keys::add_argument),
    command("decrby", 3, true, keys::add_argument),
    command("append", 3, true, keys::append),
    command("strlen", 2, false, keys::strlen),
    command("expire", -3, false, |call| keys::expire(call, 1000)),
    command("pexpire", -3, false, |call| keys::expire(call, 1)),
    command("ttl", 2, false, |call| keys::time_to_live(call, 1000)),
    command("pttl", 2, false, |call| keys::time_to_live(call, 1)),
    command("persist", 2, false, keys::persist),
    command("keys", 2, false, keys::keys),
    command("dbsize", 1, false, |call| call.reply.integer(call.store.len() as i64)),
    command("flushall", -1, false, keys::flush_all),
    command("flushdb", -1, false, keys::flush_all),
    command("info", -1, false, server::info),
    command("command", -1, false, about_commands),
    command("config", -2, false, server::config),
    command("client", -2, false, server::client),
    command("select", 2, false, server::select),
    command("hello", -1, false, server::hello),
    command("subscribe", -2, false, |call| call.then = Then::Subscribe),
    command("unsubscribe", -1, false, |call| call.then = Then::Unsubscribe),
    command("quit", -1, false, |call| {
        call.reply.simple("OK");
        call.then = Then::Quit;
    }),
];

const fn command(name: &'static str, arity: i32, grows: bool, run: fn(&mut Call<'_>)) -> Command {
    Command { name, arity, grows, run }
}

/// Runs the command, or replies with the error.
pub fn run(call: &mut Call<'_>, memory: usize) {
    let Some(command) = COMMANDS.iter().find(|command| call.is_word(0, command.name)) else {
        return unknown_command(call);
    };
    let (count, arity) = (call.args.len(), command.arity.unsigned_abs() as usize);
    if count < arity || (command.arity > 0 && count > arity) {
        return call.wrong_number(command.name);
    }
    if !call.session.channels.is_empty()
        && !["ping", "subscribe", "unsubscribe", "quit"].contains(&command.name)
    {
        let name = command.name;
        let allowed = "(P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context";
        return call.error(format!("Can't execute '{name}': only {allowed}").as_bytes());
    }
    if command.grows && call.store.used > memory {
        call.reply.raw(&[b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"]);
        return;
    }
    (command.run)(call)
}

/// A web page can make a browser of this machine send commands in the body of a request. The first line of such a request
/// or a header ends the connection, as with redis-server.
fn is_http(call: &Call<'_>) -> bool {
    call.is_word(0, "post") || call.is_word(0, "host:")
}

fn unknown_command(call: &mut Call<'_>) {
    if is_http(call) {
        call.then = Then::Abort;
        return;
    }
    let cut = |word: &[u8], len: usize| word[..word.len().min(len)].to_vec();
    let mut words = Vec::new();
    for word in &call.args[1..] {
        if words.len() >= 128 {
            break;
        }
        let word = cut(word, 128 - words.len());
        words.extend([b"'", &word[..], b"' "].concat());
    }
    let name = cut(&call.args[0], 128);
    call.error(&[b"unknown command '", &name[..], b"', with args beginning with: ", &words].concat())
}

/// Clients ask for the documentation of the commands, and do without.
fn about_commands(call: &mut Call<'_>) {
    if call.args.len() == 1 || ["docs", "info", "list"].iter().any(|word| call.is_word(1, word)) {
        call.reply.array(0);
    } else if call.is_word(1, "count") {
        call.reply.integer(COMMANDS.len() as i64);
    } else {
        call.unknown_subcommand("COMMAND");
    }
}
