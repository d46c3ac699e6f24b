//! The benchmark, its results, and the tools that show where the time goes.
//!
//! # How to run the benchmark
//!
//! ```sh
//! cargo run --release -p bench -- --html report.html
//! ```
//!
//! The benchmark compares the echo server of this crate with a bare `mio` loop, with the blocking version and with tokio.
//! Each server runs in a process of its own, on a core of its own where the system allows it. A run takes about nine minutes;
//! with `-- --quick` it takes about half a minute.
//!
//! Four workloads measure other servers. `--workloads framed,broadcast,file,datagrams` runs these workloads alone:
//!
//! | workload | work | server of this crate | compared with |
//! |---|---|---|---|
//! | `framed` | the server receives frames of 1 000, 40 001 and 200 003 bytes on 4 connections, and acknowledges after each MiB | [`framing::u32_be`](crate::framing::u32_be()) | this crate without framing, a bare `mio` loop, tokio-util's codec |
//! | `broadcast` | the server sends messages of 1 KiB to 1 to 1 000 subscribers, with 1, 16 and 64 messages in flight | [`send_shared`](crate::Conn::send_shared) | [`send_all`](crate::Conn::send_all), a bare `mio` loop, tokio's broadcast channel |
//! | `file` | the server sends a file of 200 MiB on 1 and 4 connections | [`send_file`](crate::Conn::send_file) | reading and sending, a bare `mio` loop with sendfile(2), nginx if it is installed |
//! | `datagrams` | the server sends back datagrams of 64 bytes to 1 and 20 client sockets, with one datagram in flight for each | [`on_datagram`](crate::Handler::on_datagram) and [`reply`](crate::Socket::reply) | a bare `mio` loop, tokio's `UdpSocket` |
//!
//! A datagram without an echo after 200 ms is sent again, and counts as lost unless both echoes come. The table has the number
//! of lost datagrams. The feature `packet-info` of the benchmark shows the cost of the
//! [feature of this crate](super::datagrams#the-feature-packet-info):
//!
//! ```sh
//! cargo run --release -p bench --features packet-info -- --workloads datagrams
//! ```
//!
//! The benchmark verifies every byte and runs in interleaved rounds. It gives ratios of the same run with their 95 %
//! intervals, or only the range if there are few rounds, as in a quick run. `--html` writes a report with plots, and `--json`
//! writes all figures. `--exec` lets any other echo server take part, and `--help` explains the other arguments.
//!
//! # Applications
//!
//! ```sh
//! cargo run --release -p bench -- --apps
//! ```
//!
//! compares the example programs `kv`, `http` and `proxy` with the servers that users would choose otherwise, in about four
//! minutes. Each server has one core and one thread that serves. cargo builds the example programs first. The servers of the
//! third column that are not installed are left out, with a line that says so; hyper and may_minihttp are built with the
//! benchmark.
//!
//! | workloads | work | compared with |
//! |---|---|---|
//! | `kv-get`, `kv-set` | values of 3 bytes and of 1 KiB, 50 connections, 1 and 16 requests in flight | redis-server without persistence |
//! | `http-plaintext` | a text of 13 bytes, 50 connections, 1 and 16 requests in flight | nginx with one worker, hyper on tokio's `current_thread`, may_minihttp with one worker |
//! | `http-file` | files of 4 KiB and of 1 MiB, 10 connections | nginx with `sendfile on` |
//! | `proxy-streams` | 1 and 4 streams in one direction | HAProxy with its default buffer, HAProxy with `tune.bufsize 262144` |
//! | `proxy-ping-pong` | messages of 64 bytes and their echoes, 50 connections | both HAProxy |
//! | `proxy-churn` | 16 clients at a time connect, receive one echo of 64 bytes and close | both HAProxy |
//!
//! The load generator compares every byte of the values and of the bodies. After a round of SET, the load generator gets every
//! key. The streams through a proxy are verified as those of the workload `framed`. The backend of the proxies is a bare `mio`
//! loop on the thread of the load generator, so the backend needs no third core, and a proxy spends no time on waking the
//! backend.
//!
//! # Results
//!
//! The table has the ratios on a virtual machine with two cores (Linux 6.18, loopback, AMD EPYC). Below 1, this crate takes
//! less than the server of the column. Absolute figures differ from machine to machine, ratios less.
//!
//! | this crate compared with | bare mio loop | blocking, a thread each | tokio |
//! |---|---|---|---|
//! | server CPU for a message of 64 bytes, 1 connection | 1.02 (1.01–1.03) | 1.00 | 0.99 |
//! | server CPU for a message of 64 bytes, 10 to 1 000 connections | 1.00 (0.99–1.01) | 0.54 to 0.68 | 0.97 to 1.01 |
//! | server CPU for a message of 64 bytes, 10 000 connections | 1.00 (0.90–1.02) | 0.67 | 0.97 |
//! | 64 bytes, 16 messages in flight, 1 to 1 000 connections | 0.98 to 1.00 | 0.48 to 1.06 | 0.97 to 0.99 |
//! | 16 KiB, 1 to 1 000 connections | 1.00 to 1.02 | 0.25 to 0.43 | 0.45 to 0.74 |
//! | server CPU for a GiB of a stream both ways, 1 connection | 0.98 to 1.06 from run to run | 0.17 | 0.29 |
//! | server CPU for a GiB of a stream both ways, 16 connections | 1.01 (0.98–1.03) | 0.15 | 0.22 |
//! | memory of an idle connection, in bytes | 115 to 54 | 115 to 14 000 | 115 to 9 000 |
//!
//! The first column shows the cost of the layers of this crate: limits, timers, callbacks and fairness. For streams, the
//! comparison is with the better of two bare loops, with 64 and with 256 KiB of buffer.
//!
//! The rows with 16 KiB and with streams show the size of the buffer as much as the loop: textbooks have 4 KiB, and tokio's
//! usual buffer has 8 KiB. The thread version with a buffer of 256 KiB, as in this crate, shows the loop alone: with messages
//! of 16 KiB it takes 1.2 to 1.6 times the CPU time of this crate at 10 to 1 000 connections.
//!
//! The next table has the messages a second, compared with a thread for each client. Above 1, this crate handles more.
//!
//! | connections | 64 bytes | 16 KiB |
//! |---|---|---|
//! | 1 | 0.96 | 1.5 |
//! | 10 | 1.45 (1.33–1.53) | 3.8 (3.1–4.3) |
//! | 50 | 1.53 (1.41–1.57) | 3.3 (2.4–3.8) |
//! | 1 000 | 1.72 (1.63–1.77) | 2.9 (2.5–3.5) |
//! | 10 000 | 1.55 (1.53–1.64) | not measured |
//!
//! The bare loop does no better: nearly all of the time is the kernel's, and an event loop saves the switch between threads.
//!
//! # Frames, broadcasts, files
//!
//! Server CPU for each unit of work. Below 1, this crate takes less than the server of the column.
//!
//! | this crate compared with | bare mio loop | the same without the feature | tokio, or nginx for files |
//! |---|---|---|---|
//! | frames of 1 000 bytes, 4 streams | 0.97 (0.92–0.99) | 1.02 (0.99–1.08) of a server that consumes all it is shown | 0.52 |
//! | frames of 40 001 bytes | 1.02 (0.98–1.04) | 1.11 (1.07–1.17) | 0.85 |
//! | frames of 200 003 bytes | 1.00 (0.95–1.07) | 1.29 (1.24–1.38) | 1.27 |
//! | broadcast of 1 KiB to 100 subscribers, 16 in flight | 1.13 (1.01–1.18) | 0.60 (0.57–0.67) of `send_all` | 0.14 |
//! | broadcast to 100 subscribers, 64 in flight | 1.10 (1.06–1.14) | 0.45 (0.43–0.46) | 0.10 |
//! | broadcast to 1 000 subscribers, 16 in flight | 1.16 (1.07–1.17) | 0.43 (0.36–0.52) | 0.14 |
//! | broadcast to 1 000 subscribers, 64 in flight | 1.07 (0.96–1.12) | 0.29 (0.27–0.32) | 0.09 |
//! | a file of 200 MiB on 1 connection | 1.01 (0.96–1.14) | 0.25 (0.24–0.29) of reading and sending | 0.99 (0.90–1.04) |
//! | a file of 200 MiB on 4 connections | 1.00 (0.83–1.09) | 0.19 (0.17–0.20) | 1.10 (1.02–1.22) |
//!
//! With one message in flight, a broadcast costs all servers the same: one `send` for each delivery. With one subscriber,
//! `send_all` is cheaper than `send_shared`, because the shared block is made for one use. tokio's codec is cheaper with the
//! largest frames, because it receives into the storage of the frame itself.
//!
//! # Applications, results
//!
//! Server CPU for each request, of each example program compared with the server of the column (Intel Xeon, two cores, Linux
//! 6.18, loopback; redis-server 7.0, nginx 1.22, HAProxy 2.6). Below 1, the example takes less.
//!
//! | example `kv` compared with redis-server | 1 request in flight | 16 requests in flight |
//! |---|---|---|
//! | GET, 3 bytes | 0.85 (0.82–0.88) | 0.43 (0.42–0.43) |
//! | GET, 1 KiB | 0.87 (0.82–0.88) | 0.52 (0.47–0.57) |
//! | SET, 3 bytes | 0.82 (0.79–0.84) | 0.40 (0.39–0.40) |
//! | SET, 1 KiB | 0.81 (0.79–0.83) | 0.46 (0.44–0.48) |
//!
//! | example `http` compared with | nginx | may_minihttp | hyper |
//! |---|---|---|---|
//! | plaintext, 1 request in flight | 0.75 (0.74–0.76) | 0.88 | 0.80 |
//! | plaintext, 16 requests in flight | 0.08 (0.08–0.09) | 0.88 | 0.41 |
//! | a file of 4 KiB | 0.69 (0.68–0.69) | not measured | not measured |
//! | a file of 1 MiB | 0.98 (0.89–1.09) | not measured | not measured |
//!
//! | example `proxy` compared with | HAProxy | HAProxy with buffers of 256 KiB |
//! |---|---|---|
//! | 1 stream | 0.48 (0.46–0.50) | 0.96 (0.92–1.01) |
//! | 4 streams | 0.45 (0.42–0.49) | 0.97 (0.94–1.04) |
//! | messages of 64 bytes and their echoes | 0.91 (0.89–0.93) | 0.91 (0.87–0.97) |
//! | connect, one echo, close | 0.95 (0.93–1.04) | 0.91 (0.87–0.93) |
//!
//! With one request in flight, nearly all of the time is the kernel's, and all servers make the same two system calls for a
//! request. A loop in C that sends each request of redis-benchmark back unread takes 0.82 to 0.86 of redis-server's time, and
//! a proxy in C without buffers, limits and timers takes 0.81 (messages) and 0.90 (connections) of HAProxy's. With several
//! requests in flight, one `recv` and one `send` serve all of them; nginx sends each answer with a call of its own. With equal
//! buffers, a stream costs both proxies the same two copies in the kernel, which are 60 % of the time.
//!
//! The example `per_core` with two loops serves no more than with one loop if the clients run on the same two cores (1.00 of the
//! messages, one in flight on 64 connections): one loop and its clients use both cores already. Two loops pay off where cores
//! are idle.
//!
//! # Where blocking is as good or better
//!
//! With one connection, a thread that blocks is as fast as any loop, and the thread is simpler. With 16 KiB on one
//! connection, or with one stream, a blocking server with a large buffer is as cheap or a tenth cheaper, because it needs no
//! `epoll_wait`. Many connections show the cost of threads: at 1 000 connections the 99th percentile of the latency is
//! 57 ms in place of 10 ms, and each thread has a stack.
//!
//! # Where the time goes
//!
//! The benchmark can run one of its servers alone, under a profiler. The script below sends 10 000 messages on 10 connections, from
//! another terminal:
//!
//! ```sh
//! cargo build --release -p bench
//! strace -c -f target/release/bench --serve tidegate                   # system calls
//! valgrind --tool=callgrind target/release/bench --serve tidegate      # instructions outside of the kernel
//! perf record -g target/release/bench --serve tidegate                 # time, then: perf report
//! ```
//!
//! ```python
//! # load.py PORT [ROUNDS]: the port is in the line that the server prints
//! import socket, sys
//!
//! rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
//! clients = [socket.create_connection(("127.0.0.1", int(sys.argv[1]))) for _ in range(10)]
//! for _ in range(rounds):
//!     for client in clients:
//!         client.sendall(b"x" * 64)
//!     for client in clients:
//!         echo = 0
//!         while echo < 64:
//!             echo += len(client.recv(64 - echo))
//! ```
//!
//! Ctrl-C, or SIGTERM, ends the server, and the tool prints its counts. Instructions are the difference between two runs, of
//! 1 000 and of 11 000 messages (100 and 1 100 rounds), so that the start of the process does not count.
//!
//! | for a message of 64 bytes, 10 connections | this crate | bare mio loop | tokio |
//! |---|---|---|---|
//! | system calls: `recv`, `send` and a share of `epoll_wait` | 2.1 | 2.1 | 2.1 |
//! | instructions outside of the kernel | 308 to 343 | 105 to 112 | 839 |
//!
//! The number of instructions depends on the number of events that a poll returns: a message that is alone in its turn takes
//! 470 instructions. All of these instructions are about a hundredth of the kernel's work for the two calls. A program with
//! several threads takes some hundred instructions more, because the C library then does more around each call.
