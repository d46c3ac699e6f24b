//! Tests of the example `kv`: its replies, beside those of redis-server, and its memory.

mod syntax;

use std::{
    io::{BufReader, Read, Write},
    net::TcpStream,
    process::{ChildStdout, Command},
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    self, End, PATIENCE, assert_same,
    programs::{self, Killed, example, run, start_server},
    read_out, read_to_end, skip, within,
};

/// A running server. The program is killed with the value.
struct Kv {
    program: Killed,
    _stdout: BufReader<ChildStdout>,
    at: String,
}

impl Kv {
    fn start(more: &[&str]) -> Self {
        let mut command = example("kv");
        command.args(["--listen", "127.0.0.1:0"]).args(more);
        let (program, _stdout, at) = start_server(command);
        Self { program, _stdout, at }
    }

    fn connect(&self) -> TcpStream {
        support::connect(self.at.parse().expect("the server printed an address"))
    }

    fn port(&self) -> &str {
        self.at.rsplit(':').next().expect("an address has a port")
    }
}

/// Returns the commands, as arrays, and their replies.
fn script() -> Vec<(Vec<u8>, Vec<u8>)> {
    let lines = include_str!("kv/replies.txt").lines().filter(|line| !line.starts_with('#'));
    let pair = |line: &str| {
        let (command, reply) = line.split_once(" -> ").expect("a line has a command and a reply");
        (array(command), reply.replace("\\r\\n", "\r\n").into_bytes())
    };
    lines.map(pair).collect()
}

fn array(command: &str) -> Vec<u8> {
    let words: Vec<_> = command.split(' ').collect();
    let strings = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
    format!("*{}\r\n{}", words.len(), strings.collect::<String>()).into_bytes()
}

/// Sends a command, and asserts the reply.
fn ask(client: &mut TcpStream, command: &[u8], reply: &[u8]) {
    client.write_all(command).unwrap();
    let mut found = vec![0; reply.len()];
    client.read_exact(&mut found).unwrap();
    assert_eq!(
        found.escape_ascii().to_string(),
        reply.escape_ascii().to_string(),
        "{}",
        command.escape_ascii()
    );
}

fn ask_line(client: &mut TcpStream, command: &str, reply: &str) {
    ask(client, format!("{command}\r\n").as_bytes(), reply.as_bytes());
}

/// The last command is QUIT, so a surplus byte is found.
fn ask_script(client: &mut TcpStream) {
    for (command, reply) in script() {
        ask(client, &command, &reply);
    }
    assert_eq!(read_to_end(client), b"");
}

#[test]
fn the_replies_are_those_of_redis_server() {
    ask_script(&mut Kv::start(&[]).connect());
}

#[test]
#[cfg(unix)]
fn redis_server_gives_these_replies() {
    let Some(version) = run("redis-server", &["--version"]) else { return };
    if !version.contains(" v=7.0.") {
        // Other versions differ in their error texts.
        return skip(&format!("the replies are those of redis-server 7.0, and this is {version}"));
    }
    let folder = support::unix::Folder::new();
    let path = folder.file("redis");
    let mut command = Command::new("redis-server");
    command.args(["--port", "0", "--save", "", "--dir"]).arg(folder.path()).arg("--unixsocket").arg(&path);
    let mut server = Killed::start(command.stdout(std::process::Stdio::null()));
    let begin = Instant::now();
    while std::os::unix::net::UnixStream::connect(&path).is_err() {
        assert!(begin.elapsed() < PATIENCE, "redis-server does not listen");
        assert!(server.child().try_wait().unwrap().is_none(), "redis-server has ended");
        thread::sleep(Duration::from_millis(10)); // redis-server tells nobody when it listens
    }
    let mut client = support::unix::connect_to(&path, |_| {});
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    ask_script(&mut client);
}

#[test]
fn pipelined_commands_are_answered_in_order_however_they_are_split() {
    let (commands, replies): (Vec<_>, Vec<_>) = script().into_iter().unzip();
    let (commands, replies) = (commands.concat(), replies.concat());
    for piece in [commands.len(), 7] {
        let server = Kv::start(&[]);
        let mut client = server.connect();
        let mut sending = client.try_clone().unwrap();
        let commands = commands.clone();
        let sender = thread::spawn(move || {
            for piece in commands.chunks(piece) {
                sending.write_all(piece).unwrap();
            }
        });
        assert_same(&read_to_end(&mut client), &replies);
        within(|| sender.join()).unwrap();
    }
}

/// With a search from the begin of the command at each received string, this command would take minutes.
#[test]
fn a_command_of_many_strings_is_received_in_large_parts_and_parsed_once() {
    const KEYS: usize = 100_000;
    let server = Kv::start(&[]);
    let mut client = server.connect();
    let command = format!("*{}\r\n$4\r\nMGET\r\n{}", KEYS + 1, "$1\r\nk\r\n".repeat(KEYS));
    for pieces in [1, 50] {
        let mut sending = client.try_clone().unwrap();
        let command = command.clone();
        let sender = thread::spawn(move || {
            for piece in command.as_bytes().chunks(command.len() / pieces) {
                sending.write_all(piece).unwrap();
            }
        });
        let mut replies = vec![0; 9 + 5 * KEYS];
        client.read_exact(&mut replies).unwrap();
        assert_same(&replies, format!("*{KEYS}\r\n{}", "$-1\r\n".repeat(KEYS)).as_bytes());
        within(|| sender.join()).unwrap();
    }
    ask_line(&mut client, "PING", "+PONG\r\n");
}

#[test]
fn a_request_of_http_executes_no_command() {
    let server = Kv::start(&[]);
    for head in ["POST / HTTP/1.1\r\n", "PUT / HTTP/1.1\r\nHost: localhost\r\n"] {
        let mut client = server.connect();
        client.write_all(format!("{head}\r\nSET a 1\r\n").as_bytes()).unwrap();
        assert_eq!(read_out(&mut client).1, End::Reset);
    }
    ask_line(&mut server.connect(), "EXISTS a", ":0\r\n");
}

#[test]
fn inline_commands_may_have_quotes() {
    let server = Kv::start(&[]);
    let mut client = server.connect();
    for (command, reply) in [
        ("  \r\nPING", "+PONG\r\n"),
        ("PING\nPING", "+PONG\r\n+PONG\r\n"),
        (r#"SET "a b" "x\x41\n\"y""#, "+OK\r\n"),
        ("GET 'a b'", "$5\r\nxA\n\"y\r\n"),
        (r"ECHO 'it\'s'", "$4\r\nit's\r\n"),
        (r#"ECHO "a" 'b' c"#, "-ERR wrong number of arguments for 'echo' command\r\n"),
        (r#""""#, "-ERR unknown command '', with args beginning with: \r\n"),
        ("*-1\r\nPING", "+PONG\r\n"),
        ("*0\r\nPING", "+PONG\r\n"),
        ("*1\r\n$4\r\nP\r\nG", "-ERR unknown command 'P  G', with args beginning with: \r\n"),
        ("HELLO 3", "-NOPROTO unsupported protocol version\r\n"),
        ("CLIENT SETINFO lib-name x", "+OK\r\n"),
    ] {
        ask_line(&mut client, command, reply);
    }
}

#[test]
fn input_that_is_not_the_protocol_is_answered_and_closed() {
    let server = Kv::start(&[]);
    let (long, digits) = ("A".repeat(70_000), "1".repeat(70_000));
    for (input, error) in [
        ("*x\r\n", "invalid multibulk length"),
        ("*01\r\n$4\r\nPING\r\n", "invalid multibulk length"),
        ("*3000000000\r\n", "invalid multibulk length"),
        ("*1\r\n$x\r\n", "invalid bulk length"),
        ("*1\r\n$-1\r\n", "invalid bulk length"),
        ("*1\r\n$600000000\r\n", "invalid bulk length"),
        ("*1\r\nPING\r\n", "expected '$', got 'P'"),
        ("GET \"a\r\n", "unbalanced quotes in request"),
        ("GET \"a\"b\r\n", "unbalanced quotes in request"),
        (&long, "too big inline request"),
        (&format!("*{digits}"), "too big mbulk count string"),
        (&format!("*1\r\n${digits}"), "too big bulk count string"),
    ] {
        let mut client = server.connect();
        client.write_all(format!("PING\r\n{input}").as_bytes()).unwrap();
        let reply = format!("+PONG\r\n-ERR Protocol error: {error}\r\n");
        assert_eq!(str::from_utf8(&read_to_end(&mut client)), Ok(reply.as_str()), "{error}");
    }
}

#[test]
fn a_key_expires() {
    let server = Kv::start(&[]);
    let mut client = server.connect();
    ask_line(&mut client, "SET a 1 PX 50", "+OK\r\n");
    let begin = Instant::now();
    loop {
        client.write_all(b"DBSIZE\r\n").unwrap();
        let mut reply = [0; 4];
        client.read_exact(&mut reply).unwrap();
        if &reply == b":0\r\n" {
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "the key stays");
    }
    ask_line(&mut client, "GET a", "$-1\r\n");
    ask_line(&mut client, "TTL a", ":-2\r\n");
}

#[test]
fn commands_that_need_memory_are_refused_above_the_limit() {
    let server = Kv::start(&["--max-memory", "1000"]);
    let mut client = server.connect();
    ask_line(&mut client, &format!("SET a {}", "x".repeat(1000)), "+OK\r\n");
    let refused = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";
    ask_line(&mut client, "SET b 1", refused);
    ask_line(&mut client, "STRLEN a", ":1000\r\n");
    ask_line(&mut client, "DEL a", ":1\r\n");
    ask_line(&mut client, "SET b 1", "+OK\r\n");
}

#[test]
#[cfg(target_os = "linux")]
fn a_client_that_sends_40_000_requests_ahead_is_answered_in_bounded_memory() {
    const REQUESTS: usize = 40_000;
    let mut server = Kv::start(&[]);
    let value = "v".repeat(10_000);
    ask_line(&mut server.connect(), &format!("SET large {value}"), "+OK\r\n");
    let before = programs::memory(&mut server.program, "VmHWM:"); // the most that the process has had
    let mut client = support::connect_narrow(server.at.parse().unwrap());
    let sending = client.try_clone().unwrap();
    let sender = thread::spawn(move || {
        (&sending).write_all(&array("GET large").repeat(REQUESTS)).unwrap();
        sending.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let reply = format!("$10000\r\n{value}\r\n");
    let mut found = vec![0; reply.len()];
    for number in 0..REQUESTS {
        client.read_exact(&mut found).unwrap();
        assert!(found == reply.as_bytes(), "reply {number}");
    }
    assert_eq!(read_to_end(&mut client), b"");
    within(|| sender.join()).unwrap();
    let growth = programs::memory(&mut server.program, "VmHWM:").saturating_sub(before);
    assert!(growth < 4 << 20, "the server needs {growth} bytes");
}

#[test]
fn a_slow_subscriber_is_dropped_and_the_others_get_every_message() {
    const MESSAGES: usize = 80;
    let server = Kv::start(&[]);
    let [mut reads, mut sleeps] = [(); 2].map(|()| {
        let mut client = server.connect();
        ask_line(&mut client, "SUBSCRIBE news", "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n");
        client
    });
    let text = "t".repeat(1 << 20);
    let message = format!("*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n${}\r\n{text}\r\n", text.len()).into_bytes();
    let mut publisher = server.connect();
    let publish = array(&format!("PUBLISH news {text}"));
    let mut found = vec![0; message.len()];
    for number in 0..MESSAGES {
        publisher.write_all(&publish).unwrap();
        reads.read_exact(&mut found).unwrap();
        assert!(found == message, "message {number}");
    }
    let mut replies = vec![0; 4 * MESSAGES];
    publisher.read_exact(&mut replies).unwrap();
    assert!(replies.starts_with(b":2\r\n") && replies.ends_with(b":1\r\n"));
    assert_eq!(read_out(&mut sleeps).1, End::Reset);
    ask_line(&mut reads, "UNSUBSCRIBE", "*3\r\n$11\r\nunsubscribe\r\n$4\r\nnews\r\n:0\r\n");
    ask_line(&mut publisher, "PUBLISH news x", ":0\r\n");
}

#[test]
fn redis_cli_and_redis_benchmark_work() {
    let server = Kv::start(&[]);
    let cli = |words: &[&str]| run("redis-cli", &[&["-p", server.port()], words].concat());
    let Some(set) = cli(&["set", "a key", "zwölf"]) else { return };
    assert_eq!(set, "OK\n");
    assert_eq!(cli(&["get", "a key"]).unwrap(), "zwölf\n");
    assert!(cli(&["info", "server"]).unwrap().contains("redis_mode:standalone"));
    assert!(cli(&["-3", "get", "a key"]).unwrap().contains("zwölf"), "the client goes on with version 2");
    let tests = ["-p", server.port(), "-q", "-n", "2000", "-t", "ping,set,get,incr,mset"];
    for more in [&["-P", "1"][..], &["-P", "16", "-d", "5000"]] {
        let output = run("redis-benchmark", &[&tests[..], more].concat()).unwrap();
        assert!(output.contains("GET: ") && !output.contains("rror"), "{output}");
    }
}

#[test]
fn redis_py_works() {
    let server = Kv::start(&[]);
    let program = r#"
import sys
try:
    import redis
except ImportError:
    sys.exit(print("missing"))
client = redis.Redis(port=int(sys.argv[1]), client_name="test", socket_timeout=20)
assert client.ping() and client.set("a", b"\x00\xff", ex=100) and client.get("a") == b"\x00\xff"
assert client.set("a", "x", nx=True) is None and 0 < client.ttl("a") <= 100
assert client.incr("n", 41) == 41 and client.mget("n", "none") == [b"41", None]
pipeline = client.pipeline(transaction=False)
for i in range(1000):
    pipeline.set(f"k{i}", "v" * i).get(f"k{i}")
assert [len(v) for v in pipeline.execute()[1::2]] == list(range(1000))
assert len(client.keys("k*")) == 1000 and client.dbsize() == 1002
pubsub = client.pubsub()
pubsub.subscribe("news")
assert pubsub.get_message(timeout=20)["type"] == "subscribe"
assert client.publish("news", "hello") == 1
assert pubsub.get_message(timeout=20)["data"] == b"hello"
try:
    client.incr("a")
    assert False
except redis.ResponseError as error:
    assert str(error) == "value is not an integer or out of range"
print("done")
"#;
    // The packages of the distribution are for the interpreter of the distribution.
    let ours = "/usr/bin/python3";
    let python = if std::path::Path::new(ours).exists() { ours } else { "python3" };
    match run(python, &["-c", program, server.port()]).as_deref() {
        Some("missing\n") => skip("redis-py is not installed"),
        output => assert!(output.is_none_or(|output| output == "done\n"), "{output:?}"),
    }
}

#[test]
#[cfg(unix)]
fn a_signal_ends_the_server_and_closes_idle_clients() {
    let mut server = Kv::start(&[]);
    let mut client = server.connect();
    ask_line(&mut client, "SUBSCRIBE a", "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    server.program.signal("-TERM");
    assert_eq!(read_to_end(&mut client), b"");
    drop(client);
    let output = server.program.finish();
    assert!(output.status.success(), "{output:?}");
}

/// The client is never idle, and the time of the drain is longer than the test may take.
#[test]
#[cfg(unix)]
fn a_client_that_sends_without_a_pause_gets_whole_replies_and_an_end_of_file_after_a_signal() {
    let mut server = Kv::start(&["--drain", "3600"]);
    let mut client = server.connect();
    let mut sending = client.try_clone().unwrap();
    let sender = thread::spawn(move || {
        let commands = array("INCR n").repeat(100);
        while sending.write_all(&commands).is_ok() {}
    });
    let mut replies = vec![0; 4]; // the first reply
    client.read_exact(&mut replies).unwrap();
    server.program.signal("-TERM");
    let (rest, end) = read_out(&mut client);
    assert_eq!(end, End::Eof);
    client.shutdown(std::net::Shutdown::Both).unwrap(); // ends the sender
    within(|| sender.join()).unwrap();
    let output = server.program.finish();
    assert!(output.status.success(), "{output:?}");
    replies.extend(rest);
    let replies = String::from_utf8(replies).unwrap();
    let count = replies.lines().count();
    let expected: String = (1..=count).map(|number| format!(":{number}\r\n")).collect();
    assert!(replies == expected, "{count} replies, the last is {:?}", replies.lines().last());
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(log.matches("asked to end by a signal").count(), 1, "{log}");
    assert!(log.contains("(open: 1)") && !log.contains("the drain has reset"), "{log}");
}
