//! Tests of the example `restart`: replacements under load, successors that fail, and sockets of a service manager.

mod service;

use std::{
    io::Write,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Signal, kill_process};

use self::service::{Client, Service, end_of};
use crate::support::{
    End, PATIENCE,
    programs::{example, finish, is_installed, line},
    read_out, read_to_end,
    unix::Folder,
    within,
};

/// Connects, asks and leaves, again and again.
fn come_and_go(at: &str, stop: &AtomicBool, answers: &AtomicUsize) {
    while !stop.load(Ordering::Relaxed) {
        let mut client = Client::connect(at);
        client.ask("short");
        client.leave();
        answers.fetch_add(1, Ordering::Relaxed);
    }
}

/// Asks many lines over each connection. One process answers all lines of a connection.
fn stay(at: &str, stop: &AtomicBool, answers: &AtomicUsize) {
    while !stop.load(Ordering::Relaxed) {
        let mut client = Client::connect(at);
        let pid = client.ask("first");
        for number in 0..300 {
            let begin = Instant::now();
            match client.try_ask(&format!("line {number}")) {
                Some(other) => assert_eq!(other, pid),
                None => {
                    // On a busy machine, this client itself may have been idle for so long that a drain has closed it.
                    assert!(begin.elapsed() >= Duration::from_millis(200), "line {number} has no answer");
                    break;
                }
            }
            answers.fetch_add(1, Ordering::Relaxed);
        }
        client.leave();
    }
}

#[test]
fn twenty_replacements_under_load_refuse_reset_and_forget_no_client() {
    let (mut service, at) = Service::start(&["--listen", "127.0.0.1:0"]).address();
    let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let work = [come_and_go, come_and_go, come_and_go, stay, stay];
    let load = work.map(|work: fn(&str, &AtomicBool, &AtomicUsize)| {
        let (at, stop, answers) = (at.clone(), Arc::clone(&stop), Arc::clone(&answers));
        thread::spawn(move || work(&at, &stop, &answers))
    });
    for _ in 0..20 {
        let old = service.replace();
        let same;
        (service, same) = service.address();
        assert_eq!(same, at);
        assert_eq!(Client::connect(&at).ask("new"), service.pid);
        assert_eq!(end_of(old).exit_status(), Some(0));
        service.has_no_child();
        // Each process serves some of the clients before its own replacement.
        let (begin, before) = (Instant::now(), answers.load(Ordering::Relaxed));
        while answers.load(Ordering::Relaxed) < before + 10 {
            assert!(begin.elapsed() < PATIENCE, "the clients get no answers");
            assert!(!load.iter().any(|client| client.is_finished()), "a client has failed");
            thread::sleep(Duration::from_millis(5)); // between two looks
        }
    }
    stop.store(true, Ordering::Relaxed);
    within(|| load.map(|client| client.join().unwrap()));
    service.end();
}

#[test]
fn a_client_that_stays_is_served_by_the_old_process_until_the_client_leaves() {
    let (mut service, at) = Service::start(&["--listen", "127.0.0.1:0"]).address();
    let (mut stays, mut rests) = (Client::connect(&at), Client::connect(&at));
    let old = stays.ask("hello");
    assert_eq!((old, rests.ask("hello")), (service.pid, service.pid));
    assert_eq!(service.replace(), old);
    // The client that rests is closed as idle, and the client that asks without a pause is not.
    let resting = thread::spawn(move || read_to_end(rests.0.get_mut()));
    while !resting.is_finished() {
        assert_eq!(stays.ask("and again"), old);
    }
    assert_eq!(resting.join().unwrap(), b"");
    assert_eq!(Client::connect(&at).ask("hello"), service.pid);
    stays.leave();
    assert_eq!(end_of(old).exit_status(), Some(0));
    service.end();
}

#[test]
fn a_successor_that_ends_or_cannot_be_started_leaves_the_old_process_serving() {
    let (mut service, at) = Service::start(&["--listen", "127.0.0.1:0"]).address();
    let old = service.pid;
    let mut stays = Client::connect(&at);
    for program in ["false", "true"] {
        service.put(which(program));
        service.signal(Signal::USR2);
        service.logs("this process goes on");
        assert_eq!((stays.ask("hello"), Client::connect(&at).ask("hello")), (old, old));
        service.has_no_child();
    }
    service.put(service.folder.file("nothing"));
    service.signal(Signal::USR2);
    service.logs("the program cannot be started");
    assert_eq!((stays.ask("hello"), Client::connect(&at).ask("hello")), (old, old));
    service.put(example("restart").get_program());
    assert_eq!(service.replace(), old);
    stays.leave();
    assert_eq!(end_of(old).exit_status(), Some(0));
    assert_eq!(Client::connect(&at).ask("hello"), service.pid);
    service.end();
}

/// The old process may be stopped, for instance with its whole machine, while the successor becomes ready and gets clients.
#[test]
fn a_successor_is_not_killed_if_the_old_process_sees_its_message_after_the_timeout() {
    let service = Service::start(&["--listen", "127.0.0.1:0", "--ready-timeout", "2"]);
    let (mut service, at) = service.address();
    let go_on = service.put_late_server();
    service.signal(Signal::USR2);
    let successor = service.process_that(" starts");
    let begin = Instant::now();
    service.signal(Signal::STOP);
    go_on();
    service = service.address().0; // the successor serves
    let mut client = Client::connect(&at);
    assert_eq!(client.ask("hello"), successor);
    // The time to become ready must pass while the old process is stopped, so that its timer is late.
    thread::sleep((begin + Duration::from_secs(2)).saturating_duration_since(Instant::now()));
    service.signal(Signal::CONT);
    assert_eq!(service.process_that(" is ready"), successor);
    let old = std::mem::replace(&mut service.pid, successor);
    assert_eq!(end_of(old).exit_status(), Some(0));
    assert_eq!(client.ask("hello"), successor);
    service.end();
}

/// Returns the path of a program of the system.
fn which(program: &str) -> PathBuf {
    let folders = ["/bin", "/usr/bin"].map(|folder| Path::new(folder).join(program));
    folders.into_iter().find(|path| path.exists()).expect("every Unix has this program")
}

#[test]
fn a_successor_that_is_not_ready_in_time_is_killed_and_a_further_signal_is_ignored_until_then() {
    let (mut service, at) = Service::start(&["--listen", "127.0.0.1:0", "--ready-timeout", "1"]).address();
    let old = service.pid;
    service.put_idler();
    service.signal(Signal::USR2);
    service.logs("starts");
    service.signal(Signal::USR2);
    service.logs("SIGUSR2 is ignored");
    assert_eq!(Client::connect(&at).ask("hello"), old);
    service.logs("is not ready in time and is killed");
    service.logs("has ended, signal: 9");
    service.has_no_child();
    assert_eq!(Client::connect(&at).ask("hello"), old);
    service.put(example("restart").get_program());
    assert_eq!(service.replace(), old);
    assert_eq!(end_of(old).exit_status(), Some(0));
    service.end();
}

#[test]
fn a_signal_to_end_also_ends_a_successor_that_is_not_ready() {
    let (service, _) = Service::start(&["--listen", "127.0.0.1:0"]).address();
    service.put_idler();
    service.signal(Signal::USR2);
    let successor = service.process_that(" starts");
    service.end();
    assert_eq!(end_of(successor).terminating_signal(), Some(Signal::KILL.as_raw()));
}

#[test]
fn a_signal_to_end_during_the_drain_resets_the_clients_of_the_old_process_alone() {
    let (mut service, at) = Service::start(&["--listen", "127.0.0.1:0"]).address();
    let mut stays = Client::connect(&at);
    stays.ask("hello");
    let old = service.replace();
    // An unfinished line keeps the connection from being idle, so only the signal ends the drain in time.
    stays.0.get_mut().write_all(b"half of a line").unwrap();
    kill_process(old, Signal::USR2).unwrap();
    service.logs("SIGUSR2 is ignored");
    kill_process(old, Signal::TERM).unwrap();
    assert_eq!(end_of(old).exit_status(), Some(0));
    assert_eq!(read_out(stays.0.get_mut()).1, End::Reset);
    assert_eq!(Client::connect(&at).ask("hello"), service.pid);
    service.end();
}

/// The successor does not depend on the process that started it.
#[test]
fn a_successor_serves_also_if_the_old_process_is_killed_before_the_successor_is_ready() {
    let (mut service, at) = Service::start(&["--listen", "127.0.0.1:0"]).address();
    let go = service.put_late_server();
    service.signal(Signal::USR2);
    let old = service.pid;
    service.pid = service.process_that(" starts");
    kill_process(old, Signal::KILL).unwrap();
    assert_eq!(end_of(old).terminating_signal(), Some(Signal::KILL.as_raw()));
    let mut waits = Client::connect(&at); // only the successor has the socket now
    go();
    assert_eq!(waits.ask("hello"), service.pid);
    waits.leave();
    let same;
    (service, same) = service.address();
    assert_eq!(same, at);
    service.end();
}

#[test]
fn a_unix_socket_keeps_its_file_over_replacements() {
    let folder = Folder::new();
    let name = format!("unix:{}", folder.file("socket").display());
    let arguments = ["--listen", &name, "--listen", "127.0.0.1:0"];
    for replacements in [0, 2] {
        let (service, first) = Service::start(&arguments).address();
        let (mut service, second) = service.address();
        assert_eq!(first, name);
        for _ in 0..replacements {
            let mut stays = Client::connect(&name);
            assert_eq!(stays.ask("hello"), service.pid);
            let old = service.replace();
            assert_eq!(stays.ask("hello"), old);
            stays.leave();
            assert_eq!(end_of(old).exit_status(), Some(0));
            for at in [&name, &second] {
                assert_eq!(Client::connect(at).ask("hello"), service.pid);
            }
        }
        service.end();
        let left: &[_] = if replacements == 0 { &[] } else { &["socket"] };
        assert_eq!(folder.names(), left);
    }
    // A file that was left behind is replaced.
    let (service, _) = Service::start(&arguments).address();
    assert_eq!(Client::connect(&name).ask("hello"), service.pid);
    service.end();
}

/// Passes a listener as a service manager does: as the descriptor 3, with the process id of the service.
fn activated(program: &Path, listener: &TcpListener) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" --listen 127.0.0.1:1"]).arg(program);
    let parent_fd = listener.try_clone().unwrap().into();
    command.fd_mappings(vec![FdMapping { parent_fd, child_fd: 3 }]).unwrap();
    command
}

#[test]
fn clients_wait_while_a_service_manager_that_keeps_the_socket_restarts_the_service() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    for _ in 0..2 {
        let mut early = Client::connect(&at); // before the service runs
        early.0.get_mut().write_all(b"early\n").unwrap();
        let (mut service, address) = Service::start_with(|program| activated(program, &listener)).address();
        assert_eq!(address, at);
        assert_eq!(early.answer("early"), Some(service.pid));
        early.leave();
        let old = service.replace();
        assert_eq!(end_of(old).exit_status(), Some(0));
        assert_eq!(Client::connect(&at).ask("hello"), service.pid);
        service.end();
    }
}

#[test]
fn systemd_socket_activate_starts_the_service() {
    let activate = "systemd-socket-activate";
    if !is_installed(activate) {
        return;
    }
    let folder = Folder::new();
    let socket = folder.file("socket");
    let name = format!("unix:{}", socket.display());
    let service = Service::start_with(|program| {
        let mut command = Command::new(activate);
        command.arg("-l").arg(&socket).arg(program);
        command
    });
    service.logs("Listening on");
    let mut client = Client::connect(&name);
    client.0.get_mut().write_all(b"hello\n").unwrap();
    let (mut service, address) = service.address();
    assert_eq!(address, name);
    assert_eq!(client.answer("hello"), Some(service.pid));
    client.leave();
    let old = service.replace();
    assert_eq!(end_of(old).exit_status(), Some(0));
    assert_eq!(Client::connect(&name).ask("hello"), service.pid);
    service.end();
}

#[test]
fn help_exits_with_0_and_errors_exit_with_1_or_2() {
    let run = |arguments: &[&str]| {
        let mut command = example("restart");
        command.args(arguments);
        finish(command)
    };
    let help = run(&["--help"]);
    assert!(help.status.success() && !help.stdout.is_empty() && help.stderr.is_empty(), "{help:?}");
    for bad in ["--no-such-option", "--drain=x", "--ready-timeout=-1"] {
        assert_eq!(run(&[bad]).status.code(), Some(2), "{bad}");
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let output = run(&["--listen", &at]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(line(&output).starts_with(&format!("restart: cannot listen on {at}: ")), "{output:?}");
}
