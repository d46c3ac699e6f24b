//! Tests of the names of Unix sockets, and of texts at random.

use std::{
    ffi::OsStr,
    io::ErrorKind,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use proptest::prelude::*;

use crate::{Address, ToAddress as _};

const ABSTRACT: bool = cfg!(any(target_os = "linux", target_os = "android"));

#[test]
fn a_path_is_kept_as_it_is() {
    for path in ["/run/server.sock", "server.sock", "./@name", "/a path/with:7000", "7000", "/\u{e4}"] {
        let text = format!("unix:{path}");
        let address = Address::resolve(&text).expect("a path");
        assert!(address.is_unix() && address.socket_addrs().is_empty() && address.port().is_none());
        assert_eq!(address.unix_path(), Some(Path::new(path)));
        assert_eq!(address.to_string(), text);
        assert_eq!(address, Address::unix(path).expect("a path"));
        assert_eq!(address, text.to_address().expect("a path"));
    }
}

#[test]
fn an_abstract_name_is_kept_as_it_is() {
    let found = Address::resolve("unix:@a name");
    if !ABSTRACT {
        assert_eq!(found.expect_err("Linux alone").kind(), ErrorKind::Unsupported);
        return;
    }
    let address = found.expect("a name");
    assert!(address.is_unix() && address.unix_path().is_none());
    assert_eq!(address.to_string(), "unix:@a name");
    assert_ne!(address, Address::unix("@a name").expect("a path"));
}

#[test]
fn a_path_that_begins_like_an_abstract_name_prints_a_text_that_means_the_path() {
    let address = Address::unix("@name").expect("a path");
    assert_eq!(address.to_string(), "unix:./@name");
    assert_eq!(
        Address::resolve(&address.to_string()).expect("a path").unix_path(),
        Some(Path::new("./@name"))
    );
}

#[test]
fn a_name_that_is_no_printable_text_is_shown_in_one_line() {
    for (bytes, shown) in
        [(&b"/a\nb"[..], "unix:/a\\nb"), (b"/\xff", "unix:/\\xff"), (b"@\xff", "unix:./@\\xff")]
    {
        let address = Address::unix(PathBuf::from(OsStr::from_bytes(bytes))).expect("a path");
        assert_eq!(address.to_string(), shown);
    }
}

#[test]
fn a_name_that_cannot_be_an_address_is_refused_in_one_line_that_says_why() {
    let [long_path, long_name] = ["/", "@"].map(|start| format!("unix:{start}{}", "x".repeat(107)));
    for (text, why) in [
        ("unix:", "the path is missing"),
        ("unix:/nul\0", "the path contains a zero byte"),
        (&long_path, "the path has 108 bytes, which is more than"),
        ("unix:@", if ABSTRACT { "the abstract name is missing" } else { "Linux alone" }),
        // The zero byte in front of an abstract name takes the place of the zero byte behind a path.
        (&format!("{long_name}x"), if ABSTRACT { "the abstract name has 108 bytes" } else { "Linux alone" }),
    ] {
        let error = Address::resolve(text).expect_err(text);
        let line = error.to_string();
        assert!(line.starts_with(&format!("bad address {text:?}: ")), "{line}");
        assert!(line.contains(why) && !line.contains('\n'), "{line}");
    }
    let error = Address::unix("").expect_err("empty");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(error.to_string(), "bad path \"\" of a Unix socket: the path is missing");
    if ABSTRACT {
        for longest in [&long_path[.."unix:".len() + 107], &long_name] {
            Address::resolve(longest).expect("as long as it may be");
        }
    }
}

/// Texts that look like addresses, and texts that look like nothing. None of them has a name to look up.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("unix:".to_owned()),
        Just("@".to_owned()),
        Just("[::1]".to_owned()),
        Just("127.0.0.1".to_owned()),
        Just(":7000".to_owned()),
        Just("/".to_owned()),
        Just("x".repeat(50)),
        any::<char>().prop_map(String::from),
        any::<u32>().prop_map(|number| number.to_string()),
        ".{0,8}",
    ];
    let pieces = prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat());
    prop_oneof![pieces.clone(), pieces.prop_map(|rest| format!("unix:{rest}"))]
}

/// True if the system's resolver would be asked.
fn is_looked_up(text: &str) -> bool {
    let literal = text.parse::<std::net::SocketAddr>().is_ok();
    !literal && !text.starts_with("unix:") && super::split(text).is_ok_and(|(host, _)| !host.is_empty())
}

proptest! {
    #![proptest_config(crate::cases::config())]

    /// An address prints a text that means the address, and an error is one line that names the text.
    #[test]
    fn a_text_is_an_address_that_prints_as_itself_or_an_error_in_one_line(text in text()) {
        prop_assume!(!is_looked_up(&text));
        match Address::resolve(&text) {
            Ok(address) => {
                let shown = address.to_string();
                prop_assert!(!shown.contains(char::is_control), "{shown:?}");
                if !text.contains(char::is_control) {
                    prop_assert_eq!(Address::resolve(&shown).expect("its own text"), address);
                }
            }
            Err(error) => {
                let line = error.to_string();
                prop_assert!(matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported), "{line}");
                prop_assert!(line.starts_with(&format!("bad address {text:?}: ")), "{line}");
                prop_assert!(!line.contains(char::is_control), "{line:?}");
            }
        }
    }

    /// A path of any bytes is an address that has this path, or an error in one line.
    #[test]
    fn a_path_of_any_bytes_is_an_address_or_an_error_in_one_line(bytes in prop::collection::vec(any::<u8>(), 0..130)) {
        let path = Path::new(OsStr::from_bytes(&bytes));
        match Address::unix(path) {
            Ok(address) => {
                prop_assert_eq!(address.unix_path(), Some(path));
                prop_assert!(!address.to_string().contains(char::is_control));
            }
            Err(error) => prop_assert!(!error.to_string().contains(char::is_control), "{}", error),
        }
    }
}
