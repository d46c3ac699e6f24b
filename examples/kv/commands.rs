//! The commands, with the replies of redis-server 7.0.

use std::{borrow::Cow, sync::Arc};

use crate::{
    Session,
    resp::{MAX_BULK, Reply, integer},
    store::{Store, matches},
};

pub const VERSION: &str = "7.0.15";

/// A command of a client, and all that the command may use.
pub struct Call<'a> {
    pub store: &'a mut Store,
    pub session: &'a mut Session,
    pub args: &'a [Cow<'a, [u8]>],
    pub reply: Reply<'a>,
    pub clients: usize,
    pub then: Then,
}

/// The next step of the connection after a command.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Then {
    Next,
    Publish,
    Subscribe,
    Unsubscribe,
    Quit,
    Abort,
}

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
    command("get", 2, false, get),
    command("set", -3, true, set),
    command("incr", 2, true, |call| add(call, 1)),
    command("mget", -2, false, mget),
    command("mset", -3, true, mset),
    command("del", -2, false, |call| count(call, |store, key| store.remove(key))),
    command("exists", -2, false, |call| count(call, |store, key| store.get(key).is_some())),
    command("publish", 3, false, |call| call.then = Then::Publish),
    command("ping", -1, false, ping),
    command("echo", 2, false, |call| call.reply.bulk(&call.args[1])),
    command("decr", 2, true, |call| add(call, -1)),
    command("incrby", 3, true, add_argument),
    command("decrby", 3, true, add_argument),
    command("append", 3, true, append),
    command("strlen", 2, false, strlen),
    command("expire", -3, false, |call| expire(call, 1000)),
    command("pexpire", -3, false, |call| expire(call, 1)),
    command("ttl", 2, false, |call| time_to_live(call, 1000)),
    command("pttl", 2, false, |call| time_to_live(call, 1)),
    command("persist", 2, false, persist),
    command("keys", 2, false, keys),
    command("dbsize", 1, false, |call| call.reply.integer(call.store.len() as i64)),
    command("flushall", -1, false, flush_all),
    command("flushdb", -1, false, flush_all),
    command("info", -1, false, info),
    command("command", -1, false, about_commands),
    command("config", -2, false, config),
    command("client", -2, false, client),
    command("select", 2, false, select),
    command("hello", -1, false, hello),
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

const NO_INTEGER: &[u8] = b"value is not an integer or out of range";
const SYNTAX: &[u8] = b"syntax error";

impl Call<'_> {
    /// Runs the command, or replies with the error.
    pub fn run(&mut self, memory: usize) {
        let Some(command) = COMMANDS.iter().find(|command| self.is_word(0, command.name)) else {
            return self.unknown_command();
        };
        let (count, arity) = (self.args.len(), command.arity.unsigned_abs() as usize);
        if count < arity || (command.arity > 0 && count > arity) {
            return self.wrong_number(command.name);
        }
        if !self.session.channels.is_empty()
            && !["ping", "subscribe", "unsubscribe", "quit"].contains(&command.name)
        {
            let name = command.name;
            let allowed =
                "(P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context";
            return self.error(format!("Can't execute '{name}': only {allowed}").as_bytes());
        }
        if command.grows && self.store.used > memory {
            self.reply.raw(&[b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"]);
            return;
        }
        (command.run)(self)
    }

    fn is_word(&self, at: usize, word: &str) -> bool {
        self.args[at].eq_ignore_ascii_case(word.as_bytes())
    }

    fn error(&mut self, text: &[u8]) {
        self.reply.error(text)
    }

    fn wrong_number(&mut self, name: &str) {
        self.error(format!("wrong number of arguments for '{name}' command").as_bytes())
    }

    /// A web page can make a browser of this machine send commands in the body of a request. The first line of such a request
    /// or a header ends the connection, as with redis-server.
    fn is_http(&self) -> bool {
        self.is_word(0, "post") || self.is_word(0, "host:")
    }

    fn unknown_command(&mut self) {
        if self.is_http() {
            self.then = Then::Abort;
            return;
        }
        let cut = |word: &[u8], len: usize| word[..word.len().min(len)].to_vec();
        let mut words = Vec::new();
        for word in &self.args[1..] {
            if words.len() >= 128 {
                break;
            }
            let word = cut(word, 128 - words.len());
            words.extend([b"'", &word[..], b"' "].concat());
        }
        let name = cut(&self.args[0], 128);
        self.error(&[b"unknown command '", &name[..], b"', with args beginning with: ", &words].concat())
    }

    fn unknown_subcommand(&mut self, of: &str) {
        let word = &self.args[1][..self.args[1].len().min(128)];
        self.error(&[b"unknown subcommand '", word, b"'. Try ", of.as_bytes(), b" HELP."].concat());
    }

    fn value(&mut self, key: &[u8]) {
        match self.store.get(key) {
            Some(entry) => self.reply.value(&entry.value),
            None => self.reply.null(),
        }
    }
}

fn get(call: &mut Call<'_>) {
    call.value(&call.args[1])
}

fn set(call: &mut Call<'_>) {
    let (key, mut expiry) = (&call.args[1], None);
    let (mut if_new, mut if_old, mut keep, mut old) = (false, false, false, false);
    let mut at = 3;
    while at < call.args.len() {
        // An option may come twice, and the last time counts.
        let has_time =
            |unit: i64| at + 1 < call.args.len() && expiry.is_none_or(|(_, before)| before == unit) && !keep;
        match call.args[at].to_ascii_lowercase().as_slice() {
            b"nx" if !if_old => if_new = true,
            b"xx" if !if_new => if_old = true,
            b"get" => old = true,
            b"keepttl" if expiry.is_none() => keep = true,
            b"ex" if has_time(1000) => expiry = Some((at + 1, 1000)),
            b"px" if has_time(1) => expiry = Some((at + 1, 1)),
            _ => return call.error(SYNTAX),
        }
        at += 1 + usize::from(expiry.is_some_and(|(time, _)| time == at + 1));
    }
    let mut expires = None;
    if let Some((time, unit)) = expiry {
        let Some(time) = integer(&call.args[time]) else { return call.error(NO_INTEGER) };
        let at = time.checked_mul(unit).and_then(|time| time.checked_add(call.store.now));
        if time <= 0 || at.is_none() {
            return call.error(b"invalid expire time in 'set' command");
        }
        expires = at;
    }
    let exists = (if_new || if_old || old) && call.store.get(key).is_some();
    if old {
        call.value(key);
    }
    if (if_new && exists) || (if_old && !exists) {
        if !old {
            call.reply.null();
        }
        return;
    }
    let value = Arc::from(&*call.args[2]);
    match keep {
        true => _ = call.store.put(key, value),
        false => call.store.replace(key, value, expires),
    }
    if !old {
        call.reply.simple("OK");
    }
}

fn mget(call: &mut Call<'_>) {
    call.reply.array(call.args.len() - 1);
    for key in &call.args[1..] {
        call.value(key);
        call.reply.flush_batch(); // the reactor counts the bytes that it has, and `max_outbox` bounds them
    }
}

fn mset(call: &mut Call<'_>) {
    if call.args.len().is_multiple_of(2) {
        return call.wrong_number("mset");
    }
    for pair in call.args[1..].chunks(2) {
        call.store.replace(&pair[0], Arc::from(&*pair[1]), None);
    }
    call.reply.simple("OK")
}

fn count(call: &mut Call<'_>, counts: fn(&mut Store, &[u8]) -> bool) {
    let mut number = 0;
    for key in &call.args[1..] {
        number += i64::from(counts(call.store, key));
    }
    call.reply.integer(number)
}

fn ping(call: &mut Call<'_>) {
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

fn add_argument(call: &mut Call<'_>) {
    let Some(number) = integer(&call.args[2]) else { return call.error(NO_INTEGER) };
    if call.is_word(0, "incrby") {
        return add(call, number);
    }
    match number.checked_neg() {
        Some(number) => add(call, number),
        None => call.error(b"decrement would overflow"),
    }
}

fn add(call: &mut Call<'_>, number: i64) {
    let key = &call.args[1];
    let before = call.store.get(key).map_or(Some(0), |entry| integer(&entry.value));
    let Some(before) = before else { return call.error(NO_INTEGER) };
    let Some(sum) = before.checked_add(number) else {
        return call.error(b"increment or decrement would overflow");
    };
    call.store.put(key, sum.to_string().into_bytes().into());
    call.reply.integer(sum)
}

/// The whole value is copied, because clients may still be sent the value as it was.
fn append(call: &mut Call<'_>) {
    let before = call.store.get(&call.args[1]).map_or(&[][..], |entry| &entry.value);
    let len = before.len() + call.args[2].len();
    if len > MAX_BULK as usize {
        return call.error(b"string exceeds maximum allowed size (proto-max-bulk-len)");
    }
    let value = [before, &call.args[2]].concat().into();
    call.store.put(&call.args[1], value);
    call.reply.integer(len as i64)
}

fn strlen(call: &mut Call<'_>) {
    let len = call.store.get(&call.args[1]).map_or(0, |entry| entry.value.len());
    call.reply.integer(len as i64)
}

fn expire(call: &mut Call<'_>, unit: i64) {
    let (mut if_none, mut if_some, mut if_later, mut if_sooner) = (false, false, false, false);
    for word in &call.args[3..] {
        match word.to_ascii_lowercase().as_slice() {
            b"nx" => if_none = true,
            b"xx" => if_some = true,
            b"gt" => if_later = true,
            b"lt" => if_sooner = true,
            _ => return call.error(&[b"Unsupported option ", &**word].concat()),
        }
    }
    if if_none && (if_some || if_later || if_sooner) {
        return call.error(b"NX and XX, GT or LT options at the same time are not compatible");
    }
    if if_later && if_sooner {
        return call.error(b"GT and LT options at the same time are not compatible");
    }
    let Some(time) = integer(&call.args[2]) else { return call.error(NO_INTEGER) };
    let Some(at) = time.checked_mul(unit).and_then(|time| time.checked_add(call.store.now)) else {
        let name = if unit == 1 { "pexpire" } else { "expire" };
        return call.error(format!("invalid expire time in '{name}' command").as_bytes());
    };
    let key = &call.args[1];
    // A key that does not expire counts as a key that expires at the end of time.
    let applies = call.store.get(key).is_some_and(|entry| {
        let is_met = |asked: bool, condition: bool| !asked || condition;
        is_met(if_none, entry.expires.is_none())
            && is_met(if_some, entry.expires.is_some())
            && is_met(if_later, entry.expires.is_some_and(|before| at > before))
            && is_met(if_sooner, entry.expires.is_none_or(|before| at < before))
    });
    if applies && at <= call.store.now {
        call.store.remove(key);
    } else if applies {
        call.store.set_expiry(key, Some(at));
    }
    call.reply.integer(applies.into())
}

fn time_to_live(call: &mut Call<'_>, unit: i64) {
    let left = match call.store.get(&call.args[1]).map(|entry| entry.expires) {
        None => -2,
        Some(None) => -1,
        Some(Some(at)) => ((at - call.store.now).max(0) + unit / 2) / unit,
    };
    call.reply.integer(left)
}

fn persist(call: &mut Call<'_>) {
    let expires = call.store.get(&call.args[1]).is_some_and(|entry| entry.expires.is_some());
    call.store.set_expiry(&call.args[1], None);
    call.reply.integer(expires.into())
}

fn keys(call: &mut Call<'_>) {
    let found: Vec<&[u8]> = call.store.keys().filter(|key| matches(&call.args[1], key)).collect();
    call.reply.array(found.len());
    for key in found {
        call.reply.bulk(key);
        call.reply.flush_batch();
    }
}

fn flush_all(call: &mut Call<'_>) {
    if call.args.len() > 2 || (call.args.len() == 2 && !call.is_word(1, "async") && !call.is_word(1, "sync"))
    {
        return call.error(SYNTAX);
    }
    call.store.clear();
    call.reply.simple("OK")
}

fn info(call: &mut Call<'_>) {
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

fn config(call: &mut Call<'_>) {
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

fn client(call: &mut Call<'_>) {
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

fn select(call: &mut Call<'_>) {
    match integer(&call.args[1]) {
        Some(0) => call.reply.simple("OK"),
        Some(number) if i32::try_from(number).is_ok() => call.error(b"DB index is out of range"),
        Some(_) => call.error(b"value is out of range, value must between -2147483648 and 2147483647"),
        None => call.error(NO_INTEGER),
    }
}

/// A client that asks for version 3 of the protocol goes on with version 2 after the error.
fn hello(call: &mut Call<'_>) {
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
