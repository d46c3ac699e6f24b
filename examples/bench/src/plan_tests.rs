use clap::Parser;

use super::*;

fn planned(arguments: &str, descriptors: u64) -> (Vec<String>, Vec<String>) {
    let args = Args::try_parse_from(arguments.split(' ')).unwrap();
    let mut notes = Vec::new();
    let titles = cases(&args, descriptors, &mut notes).iter().map(Case::title).collect();
    (titles, notes)
}

#[test]
fn a_note_says_that_the_limit_of_descriptors_reduces_the_connections() {
    let (titles, notes) = planned("bench --workloads ping-pong --connections 1,5000,10000", 1064);
    assert_eq!(titles, ["ping-pong, 64 bytes, 1 connection", "ping-pong, 64 bytes, 1000 connections"]);
    assert_eq!(notes.len(), 2);
    assert_eq!(
        notes[1],
        "ping-pong ran with 1000 connections in place of 10000, because a process may have 1064 descriptors"
    );
}

#[test]
fn servers_close_to_the_floor_have_more_rounds_unless_the_user_sets_the_rounds() {
    let rounds = |arguments: &str, server| {
        let args = Args::try_parse_from(arguments.split(' ')).unwrap();
        let case = cases(&args, 20_000, &mut Vec::new()).remove(0);
        (0..case.rounds).filter(|round| case.has(*round, &Contender::from(server))).count()
    };
    for server in [Builtin::Tidegate, Builtin::Mio256k] {
        assert_eq!(rounds("bench --workloads ping-pong", server), 25);
        assert_eq!(rounds("bench --workloads ping-pong --rounds 5", server), 5);
    }
    assert_eq!(rounds("bench --workloads ping-pong", Builtin::Threads), 7);
    assert_eq!(rounds("bench --workloads ping-pong --rounds 5", Builtin::Threads), 5);
    assert_eq!(rounds("bench --workloads ping-pong --quick", Builtin::Threads), 3);
    assert_eq!(rounds("bench --workloads churn", Builtin::Threads), 7);
}

#[test]
fn the_blocking_server_takes_part_only_in_workloads_with_one_connection() {
    let args = Args::try_parse_from(["bench"]).unwrap();
    let blocking = Contender::from(Builtin::Blocking);
    let cases = cases(&args, 20_000, &mut Vec::new());
    let titles: Vec<_> = cases.iter().filter(|case| case.suits(&blocking)).map(Case::title).collect();
    assert_eq!(
        titles,
        [
            "ping-pong, 64 bytes, 1 connection",
            "ping-pong, 16 KiB, 1 connection",
            "pipelined, 64 bytes, 16 in flight, 1 connection",
            "bulk both ways, 1 stream"
        ]
    );
    assert!(cases.iter().all(|case| case.suits(&Contender::from(Builtin::Tidegate))));
}

#[test]
fn datagrams_have_one_and_several_sockets() {
    for arguments in ["bench --workloads datagrams", "bench --quick --workloads datagrams"] {
        let titles = planned(arguments, 20_000).0;
        assert_eq!(titles, ["datagrams, 64 bytes, 1 socket", "datagrams, 64 bytes, 20 sockets"]);
    }
}

#[test]
fn frames_and_broadcasts_have_several_shapes_in_a_full_run_and_one_in_a_quick_run() {
    let quick = planned("bench --quick --workloads framed,broadcast,file", 20_000).0;
    assert_eq!(
        quick,
        [
            "framed, 1000 bytes, 4 streams",
            "broadcast, 1 KiB, 16 in flight, 1 subscriber",
            "broadcast, 1 KiB, 16 in flight, 100 subscribers",
            "file, 16 MiB, 1 connection"
        ]
    );
    let full = planned("bench --workloads framed,broadcast,file", 20_000).0;
    assert_eq!(full.len(), 3 + 3 * 4 + 2);
    assert_eq!(full[2], "framed, 200003 bytes, 4 streams");
    assert_eq!(full[3], "broadcast, 1 KiB, 1 in flight, 1 subscriber");
    assert_eq!(full[14], "broadcast, 1 KiB, 64 in flight, 1000 subscribers");
    assert_eq!(full[16], "file, 200 MiB, 4 connections");
}

#[test]
fn a_server_takes_part_in_the_workloads_of_its_services() {
    let args = Args::try_parse_from(["bench", "--quick"]).unwrap();
    let cases = cases(&args, 20_000, &mut Vec::new());
    let servers = |kind| {
        let case = cases.iter().find(|case| case.kind == kind).unwrap();
        let contenders = Builtin::DEFAULT.map(Contender::from);
        let names: Vec<_> =
            contenders.into_iter().filter(|one| case.suits(one)).map(|one| one.name).collect();
        names.join(" ")
    };
    assert_eq!(servers(Kind::Framed), "tidegate mio tokio tidegate-all");
    assert_eq!(servers(Kind::Broadcast), "tidegate mio tokio tidegate-copy");
    let mio = if cfg!(target_os = "linux") { " mio" } else { "" };
    assert_eq!(servers(Kind::File), format!("tidegate{mio} tidegate-read nginx"));
    assert_eq!(servers(Kind::Datagrams), "tidegate mio tokio");
    assert_eq!(servers(Kind::Churn), "tidegate mio mio-256k threads threads-256k tokio");
    let other = Contender { name: "other".into(), about: String::new(), what: What::Program(Vec::new()) };
    let kinds: Vec<_> = cases.iter().filter(|case| !case.suits(&other)).map(Case::service).collect();
    use Service::{Broadcast, Datagrams, File, Framed};
    assert_eq!(kinds, [Framed, Broadcast, Broadcast, File, Datagrams, Datagrams]);
}

#[test]
fn the_workloads_of_the_example_programs_are_those_of_the_option_apps() {
    let quick = planned("bench --quick --apps", 20_000).0;
    assert_eq!(
        quick,
        [
            "kv: GET, 3 bytes, 1 in flight, 50 connections",
            "kv: GET, 3 bytes, 16 in flight, 50 connections",
            "kv: SET, 3 bytes, 1 in flight, 50 connections",
            "kv: SET, 3 bytes, 16 in flight, 50 connections",
            "http: plaintext, 1 in flight, 50 connections",
            "http: plaintext, 16 in flight, 50 connections",
            "http: a file of 4 KiB, 10 connections",
            "http: a file of 1 MiB, 10 connections",
            "proxy: 1 stream",
            "proxy: 4 streams",
            "proxy: ping-pong, 64 bytes, 50 connections",
            "proxy: connect, echo, close, 16 clients at a time",
        ]
    );
    let full = planned("bench --apps", 20_000).0;
    assert_eq!(full.len(), quick.len() + 4, "values of 1 KiB in addition: {full:?}");
    let others = planned("bench", 20_000).0;
    assert!(!others.iter().any(|title| full.contains(title)), "{others:?}");
    assert_eq!(planned("bench --workloads proxy-ping-pong", 20_000).0, [&full[14][..]]);
    assert!(Args::try_parse_from(["bench", "--apps", "--workloads", "churn"]).is_err());
}

#[test]
fn each_example_program_is_compared_with_the_servers_of_its_service() {
    let args = Args::try_parse_from(["bench", "--quick", "--apps"]).unwrap();
    for case in cases(&args, 20_000, &mut Vec::new()) {
        let suited = Builtin::DEFAULT.map(Contender::from).into_iter().filter(|one| case.suits(one));
        let names: Vec<_> = suited.map(|one| one.name).collect();
        let expected = match case.kind {
            Kind::KvGet | Kind::KvSet => "tidegate redis",
            Kind::HttpPlaintext => "tidegate nginx hyper may-minihttp",
            Kind::HttpFile => "tidegate nginx",
            _ => "tidegate haproxy haproxy-256k",
        };
        assert_eq!(names.join(" "), expected, "{}", case.title());
        assert!(case.kind.is_app() && case.service().example().is_some(), "{}", case.title());
    }
}
