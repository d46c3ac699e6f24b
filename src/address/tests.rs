//! Tests of the texts that are addresses, and of the texts that are not.

use super::*;

fn socket_addr(text: &str) -> SocketAddr {
    text.parse().expect("the test's own literal")
}

#[test]
fn a_literal_is_kept_as_it_is() {
    for text in ["127.0.0.1:7000", "[::1]:7000", "0.0.0.0:0", "[::]:7000", "[fe80::1%3]:80"] {
        let address = Address::resolve(text).expect(text);
        assert_eq!(address.socket_addrs(), [socket_addr(text)]);
        assert_eq!(address.to_string(), text);
        assert!(!address.is_any_interface());
    }
}

#[test]
fn a_name_is_looked_up() {
    let address = Address::resolve("localhost:7000").expect("every system knows localhost");
    assert!(address.socket_addrs().iter().all(|found| found.ip().is_loopback() && found.port() == 7000));
    assert_eq!(address.port(), Some(7000));
}

#[test]
fn an_empty_host_is_every_interface_and_prints_what_can_be_pasted_back() {
    let address = Address::resolve(":7000").expect("a form that is documented");
    assert!(address.is_any_interface());
    assert_eq!(address.socket_addrs(), [socket_addr("[::]:7000")]);
    assert_ne!(address, Address::from(socket_addr("[::]:7000")));
    assert_eq!(Address::resolve(&address.to_string()).expect("its own text"), address);
}

#[test]
fn what_a_name_resolved_to_keeps_its_order_without_repeats() {
    let [six, four] = [socket_addr("[::1]:7"), socket_addr("127.0.0.1:7")];
    let address = Address::from_found([six, four, six].into_iter()).expect("two");
    assert_eq!(address.socket_addrs(), [six, four]);
    assert_eq!(address.to_string(), "[::1]:7, 127.0.0.1:7");
    assert_eq!(Address::from_found([four, four].into_iter()), Some(Address::from(four)));
    assert_eq!(Address::from_found([].into_iter()), None);
}

#[test]
fn a_malformed_text_is_refused_in_one_line_that_says_why() {
    for (text, why) in [
        ("", "it is empty"),
        ("localhost", "the port is missing"),
        ("localhost:", "the port is missing"),
        (":", "the port is missing"),
        ("7000", "the port is missing"),
        ("[::1]", "the port is missing"),
        ("[::1]:", "the port is missing"),
        ("127.0.0.1:65536", "the port 65536 is out of range (0 to 65535)"),
        (":99999999999999999999", "is out of range (0 to 65535)"),
        ("localhost:+80", "the port \"+80\" is not a number"),
        ("localhost:-1", "the port \"-1\" is not a number"),
        ("localhost:http", "the port \"http\" is not a number"),
        ("unix", "the port is missing"),
        ("::1", "an IPv6 address needs brackets"),
        ("::1:7000", "an IPv6 address needs brackets"),
        ("a:b:7000", "more than one colon"),
        ("http://localhost:7000", "more than one colon"),
        ("[::1:7000", "the closing bracket is missing"),
        ("[::1]7000", "after the bracket comes a colon"),
        ("[]:7000", "not an IPv6 address"),
        ("[127.0.0.1]:7000", "not an IPv6 address"),
        (" localhost:7000", "is not the name of a host"),
        ("local\nhost:7000", "is not the name of a host"),
        ("nul\0:7000", "is not the name of a host"),
    ] {
        let error = Address::resolve(text).expect_err(text);
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{text:?}");
        let line = error.to_string();
        assert!(line.contains(&format!("bad address {text:?}: ")), "{line}");
        assert!(line.contains(why) && line.contains(FORMS) && !line.contains('\n'), "{line}");
    }
}

#[test]
fn a_name_that_does_not_resolve_is_an_error_that_names_it() {
    // Longer than a name may be (RFC 1035: 255 octets), so that no name server is asked.
    let text = format!("{}:7000", "a.".repeat(200));
    let error = Address::resolve(&text).expect_err("no such name");
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    let line = error.to_string();
    assert!(line.starts_with(&format!("cannot resolve {text:?}: ")) && !line.contains('\n'), "{line}");
}

#[test]
fn everything_that_names_an_address_is_to_address() {
    fn of(address: impl ToAddress) -> Address {
        address.to_address().expect("a literal")
    }
    let address = Address::from(socket_addr("127.0.0.1:7"));
    let text = String::from("127.0.0.1:7");
    assert_eq!(of("127.0.0.1:7"), address);
    assert_eq!(of(&text), address);
    assert_eq!(of(text), address);
    assert_eq!(of(socket_addr("127.0.0.1:7")), address);
    assert_eq!(of(&address), address);
    assert_eq!(of(address.clone()), address);
    assert_eq!("127.0.0.1:7".to_address().expect("a literal"), address);
}
